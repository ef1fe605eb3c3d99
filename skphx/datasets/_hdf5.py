"""Grids in HDF5 files; :mod:`skphx.datasets._grid_arrays` says what they hold.

Data sets have the names of that module's arrays; ``medium``, ``flux_unit`` and ``provenance`` are
attributes. Flux is read only as far as it is wanted. Needs h5py, ``pip install 'skphx[hdf5]'``.
"""

from pathlib import Path

import numpy as np

from skphx._files import write_atomically
from skphx.datasets._grid_arrays import FLUX_NAMES, arrays_of_grid, grid_of_named

_ATTRIBUTES = ("medium", "flux_unit", "provenance")


def load_hdf5_grid(path, *, medium=None, wavelength_range=None, dtype=np.float64):
    """Load a grid of spectra from an HDF5 file, reading only the wavelengths that are wanted.

    Parameters
    ----------
    path : path
        File with data sets `wavelength`, `flux` (or `flux_1e4`), `teff`, `logg`, `feh` and other
        parameters, and attributes `medium` and `flux_unit`.
    medium : {"air", "vacuum"} or None
        Medium that the wavelengths hold for. Needed if the file does not say; where the file
        says otherwise, it is an error.
    wavelength_range : tuple (start, stop) or None
        Keep the pixels from start to stop in Å, both included.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.

    Returns
    -------
    Bunch
        As :func:`load_npz_grid`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ImportError
        If h5py is not installed.
    ValueError
        If it is not such a grid, or refers to other files, which is refused.

    Examples
    --------
    >>> import os, tempfile
    >>> from skphx.datasets import load_hdf5_grid, make_stellar_grid, save_hdf5_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.5,), feh=(0.0,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_hdf5_grid(os.path.join(folder, "grid.h5"), grid)
    ...     part = load_hdf5_grid(path, wavelength_range=(8500, 8600))
    >>> part.medium, part.spectra.shape
    ('vacuum', (2, 2000))
    """
    h5py = _import_h5py()
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    if not h5py.is_hdf5(path):
        raise ValueError(f"{path.name} is no HDF5 file, or is cut short; write it again.")
    try:
        with h5py.File(path, "r") as file:
            arrays = {}
            for name in file:
                if isinstance(file.get(name, getlink=True), h5py.HardLink):
                    _add(arrays, name, file[name], path.name)
                else:
                    raise ValueError(_refers(path.name, name))
            for name in _ATTRIBUTES:
                if name in file.attrs:
                    arrays[name] = file.attrs[name]
            return grid_of_named(arrays, path.name, medium, wavelength_range, dtype)
    except OSError as error:
        raise ValueError(f"{path.name} cannot be read: {error}; write it again.") from error


def save_hdf5_grid(path, grid):
    """Save a grid of spectra to an HDF5 file that :func:`load_hdf5_grid` reads.

    Parameters
    ----------
    path : path
        File to write, ending in ``.h5`` or ``.hdf5``; one that exists is replaced.
    grid : Bunch
        As for :func:`save_npz_grid`.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ImportError
        If h5py is not installed.
    LocalFileError
        If it cannot be written.
    ValueError
        If entries of the grid are missing or do not fit each other.

    Examples
    --------
    See :func:`load_hdf5_grid`.
    """
    h5py = _import_h5py()
    path = Path(path)
    if path.suffix not in (".h5", ".hdf5"):
        raise ValueError(f"path must end in .h5 or .hdf5, got {path.name!r}; rename the file.")
    arrays = arrays_of_grid(grid)

    def write(stream):
        with h5py.File(stream, "w") as file:
            for name, array in arrays.items():
                if name in _ATTRIBUTES:
                    file.attrs[name] = str(array)
                else:
                    # Chunks of whole rows would make every cut in wavelength read everything.
                    file.create_dataset(name, data=array, chunks=True if array.ndim == 2 else None)

    write_atomically(path, write)
    return path


def _add(arrays, name, node, file_name):
    """Take over a data set: flux to be read later, all else now."""
    if not hasattr(node, "shape"):
        return  # a group
    # Values that stand in other files could be any file of this machine.
    if node.external or node.is_virtual:
        raise ValueError(_refers(file_name, name))
    if node.dtype.kind not in "fiu":
        return
    arrays[name] = node if name in FLUX_NAMES else node[()]


def _refers(file_name, name):
    return (
        f"{name!r} of {file_name} refers to another file or place, which is refused; copy the "
        f"data into the file."
    )


def _import_h5py():
    try:
        import h5py
    except ImportError as error:
        raise ImportError("HDF5 files need h5py: pip install 'skphx[hdf5]'.") from error
    return h5py
