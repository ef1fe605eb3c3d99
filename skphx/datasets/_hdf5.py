"""Grids in HDF5 files; :mod:`skphx.datasets._grid_arrays` describes their content.

The data sets have the names of the arrays in that module; ``medium``, ``flux_unit`` and
``provenance`` are attributes. Flux is read only in the wavelength range. Needs h5py, ``pip install
'skphx[hdf5]'``.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from sklearn.utils import Bunch

from skphx._atomic_write import write_atomically
from skphx._domain import check_file
from skphx._input_parameters import parameter_value
from skphx._paths import as_path, whole_file
from skphx._plain import short_reason
from skphx.datasets._grid_arrays import FLUX_NAMES, arrays_of_grid, grid_of_named
from skphx.datasets._medium import Medium

#: Suffixes of HDF5 files.
HDF5_SUFFIXES = (".h5", ".hdf5")
_ATTRIBUTES = ("medium", "flux_unit", "wavelength_unit", "provenance")


def load_hdf5_grid(
    path: str | os.PathLike[str],
    *,
    medium: Medium | None = None,
    wavelength_range: tuple[float, float] | None = None,
    dtype: DTypeLike = np.float64,
) -> Bunch:
    """Load a grid of spectra from an HDF5 file; only the given wavelength range is read.

    Parameters
    ----------
    path : path
        File, which may be compressed, with data sets `wavelength`, `flux` (or `flux_1e4`),
        `teff`, `logg`, `feh` and other parameters, and attributes `medium` and `flux_unit`. A
        unit of wavelength, flux or teff may also be the attribute ``unit`` or ``units`` of the
        data set.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; needed if the file does not state it, and an error if the file
        states another one.
    wavelength_range : tuple (start, stop) or None
        Range of the pixels in Å, both ends included; None is all pixels.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.

    Returns
    -------
    Bunch
        The grid, as :func:`load_npz_grid` returns it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ImportError
        If h5py is not installed.
    ValueError
        If the file is not a valid grid, or refers to other files.

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
    path = check_file(path)
    stored = whole_file(path)
    if stored is path and not h5py.is_hdf5(path):
        raise ValueError(f"{path.name} is not an HDF5 file, or is cut short; write it again.")
    try:
        with h5py.File(stored, "r") as file:
            arrays: dict[str, Any] = {}
            for name in file:
                if isinstance(file.get(name, getlink=True), h5py.HardLink):
                    _add(arrays, name, file[name], path.name)
                else:
                    raise ValueError(_refers(path.name, name))
            for name in _ATTRIBUTES:
                if name in file.attrs:
                    arrays[name] = _text(file.attrs[name])
            return grid_of_named(arrays, path.name, medium, wavelength_range, dtype)
    except Exception as error:  # h5py raises many types for damaged files
        if isinstance(error, ValueError) and not isinstance(error, UnicodeError):
            raise
        raise ValueError(
            f"{path.name} cannot be read: {short_reason(error)}; write it again."
        ) from error


def save_hdf5_grid(path: str | os.PathLike[str], grid: Mapping[str, Any]) -> Path:
    """Save a grid of spectra to an HDF5 file, for :func:`load_hdf5_grid`.

    Parameters
    ----------
    path : path
        File to write, ending in ``.h5`` or ``.hdf5``; an existing file is replaced.
    grid : Bunch
        The grid, as for :func:`save_npz_grid`.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ImportError
        If h5py is not installed.
    LocalFileError
        If the file cannot be written.
    ValueError
        If entries of the grid are missing or do not agree.

    Examples
    --------
    See :func:`load_hdf5_grid`.
    """
    h5py = _import_h5py()
    path = as_path(path)
    if path.suffix not in HDF5_SUFFIXES:
        raise ValueError(f"path must end in .h5 or .hdf5, got {path.name!r}; rename the file.")
    arrays = arrays_of_grid(grid)

    def write(stream):
        with h5py.File(stream, "w") as file:
            for name, array in arrays.items():
                if name in _ATTRIBUTES:
                    file.attrs[name] = str(array)
                else:
                    # With chunks of whole rows, reading a wavelength range would read all data.
                    file.create_dataset(name, data=array, chunks=True if array.ndim == 2 else None)

    write_atomically(path, write)
    return path


def _add(arrays, name, node, file_name):
    """Add a data set to the arrays; flux is read later, all others now."""
    if not hasattr(node, "shape"):
        return  # a group
    # A data set in another file could read any file of this computer.
    if node.external or node.is_virtual:
        raise ValueError(_refers(file_name, name))
    if node.dtype.kind not in "fiu":
        return
    arrays[name] = node if name in FLUX_NAMES else node[()]
    unit = node.attrs.get("unit", node.attrs.get("units"))
    if unit is not None and name in ("wavelength", *FLUX_NAMES):
        arrays["wavelength_unit" if name == "wavelength" else "flux_unit"] = _text(unit)
    elif unit is not None and name == "teff":
        from astropy.units import Unit

        arrays[name] = parameter_value(arrays[name] * Unit(_text(unit)), name)


def _text(attribute):
    """Return an attribute as text; some programs write bytes."""
    return attribute.decode() if isinstance(attribute, bytes) else attribute


def _refers(file_name, name):
    return (
        f"{name!r} of {file_name} refers to another file or data set, which is not allowed; copy "
        f"the data into the file."
    )


def _import_h5py():
    try:
        import h5py
    except ImportError as error:
        raise ImportError("HDF5 files need h5py: pip install 'skphx[hdf5]'.") from error
    return h5py
