"""Read and write the grids of commands: ``.npz`` or ``.h5`` files."""

from pathlib import Path

from skphx.datasets import load_hdf5_grid, load_npz_grid, save_hdf5_grid, save_npz_grid
from skphx.datasets._hdf5 import HDF5_SUFFIXES


def read_grid(path, medium=None):
    """Load a grid from a file: Bunch."""
    load = load_hdf5_grid if Path(path).suffix in HDF5_SUFFIXES else load_npz_grid
    return load(path, medium=medium)


def check_output(path):
    """Raise ValueError unless the name of a file has the suffix of a grid."""
    if Path(path).suffix not in (".npz", *HDF5_SUFFIXES):
        raise ValueError(f"{path} must end in .npz or .h5; rename the file.")


def write_grid(path, grid):
    """Save a grid to a file."""
    save = save_hdf5_grid if Path(path).suffix in HDF5_SUFFIXES else save_npz_grid
    return save(path, grid)
