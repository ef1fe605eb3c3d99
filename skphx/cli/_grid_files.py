"""Grids as commands read and write them: ``.npz`` or ``.h5``."""

from pathlib import Path

from skphx.datasets import load_hdf5_grid, load_npz_grid, save_hdf5_grid, save_npz_grid

_HDF5 = (".h5", ".hdf5")


def read_grid(path, medium=None):
    """Load a grid from the file that a command names: Bunch."""
    load = load_hdf5_grid if Path(path).suffix in _HDF5 else load_npz_grid
    return load(path, medium=medium)


def check_output(path):
    """Raise ValueError unless a grid can be written to a file of this name."""
    if Path(path).suffix not in (".npz", *_HDF5):
        raise ValueError(f"{path} must end in .npz or .h5; give such a name.")


def write_grid(path, grid):
    """Save a grid to the file that a command names."""
    save = save_hdf5_grid if Path(path).suffix in _HDF5 else save_npz_grid
    return save(path, grid)
