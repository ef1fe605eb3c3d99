"""Read and write the grids of commands: ``.npz`` or ``.h5`` files."""

from skphx._paths import as_path, plain_name
from skphx.datasets import load_hdf5_grid, load_npz_grid, save_hdf5_grid, save_npz_grid
from skphx.datasets._hdf5 import HDF5_SUFFIXES


def read_grid(path, medium=None):
    """Load a grid from a file: Bunch."""
    load = load_hdf5_grid if is_hdf5(path) else load_npz_grid
    return load(path, medium=medium)


def is_hdf5(path):
    """Whether the name of a file, which may be compressed, is that of an HDF5 file."""
    return plain_name(path).endswith(HDF5_SUFFIXES)


def check_output(path):
    """Raise ValueError unless the name of a file has the suffix of a grid."""
    if as_path(path).suffix not in (".npz", *HDF5_SUFFIXES):
        raise ValueError(f"{path} must end in .npz or .h5; rename the file.")


def write_grid(path, grid):
    """Save a grid to a file."""
    save = save_hdf5_grid if is_hdf5(path) else save_npz_grid
    return save(path, grid)
