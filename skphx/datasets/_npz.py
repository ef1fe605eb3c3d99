"""Grids in ``.npz`` files; :mod:`skphx.datasets._grid_arrays` describes their content.

Pickled objects in a file are never loaded.
"""

import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.utils import Bunch

from skphx._atomic_write import write_atomically
from skphx._domain import check_file
from skphx._paths import as_path, whole_file
from skphx._plain import short_reason
from skphx.datasets._grid_arrays import arrays_of_grid, grid_of_named
from skphx.datasets._medium import Medium


def load_npz_grid(
    path: str | os.PathLike[str],
    *,
    medium: Medium | None = None,
    wavelength_range: tuple[float, float] | None = None,
    dtype: DTypeLike = np.float64,
) -> Bunch:
    """Load a grid of spectra from an ``.npz`` file.

    Parameters
    ----------
    path : path
        File, which may be compressed, with `wavelength`, `teff`, `logg`, `feh` and `flux`, or
        `flux_1e4` for integers that are 10,000 times the flux. Every other array with one number
        per spectrum is a further parameter.
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
        Grid with `spectra`, `parameters`, `parameter_names`, `wavelength`, `medium`, `units`,
        `provenance` and `DESCR`; see :mod:`skphx.datasets`. The unit of the flux is None if the
        file does not state it.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a valid grid; the message says what is missing or wrong.

    Examples
    --------
    >>> import os, tempfile
    >>> from skphx.datasets import load_npz_grid, make_stellar_grid, save_npz_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.5,), feh=(0.0,))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = save_npz_grid(os.path.join(folder, "grid.npz"), grid)
    ...     again = load_npz_grid(path)
    >>> again.medium, bool((again.spectra == grid.spectra).all())
    ('vacuum', True)
    """
    path = check_file(path)
    arrays = _read_arrays(path)
    return grid_of_named(arrays, path.name, medium, wavelength_range, dtype)


def save_npz_grid(path: str | os.PathLike[str], grid: Mapping[str, Any]) -> Path:
    """Save a grid of spectra to an ``.npz`` file, for :func:`load_npz_grid`.

    Parameters
    ----------
    path : path
        File to write, ending in ``.npz``; an existing file is replaced.
    grid : Bunch
        Grid with `spectra`, `parameters`, `parameter_names`, `wavelength` and `medium`, and
        optionally `units`, `constants` and `provenance`.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If the name does not end in ``.npz``, or entries of the grid are missing or do not agree.

    Examples
    --------
    See :func:`load_npz_grid`.
    """
    path = as_path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {path.name!r}; rename the file.")
    arrays = arrays_of_grid(grid)
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
    return path


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an npz file; pickled objects are refused."""
    # For other files, the error message of np.load would be about pickles.
    stored = whole_file(path)
    if not zipfile.is_zipfile(stored):
        raise ValueError(
            f"{path.name} is not an .npz file (a zip archive of arrays), or is cut short; "
            f"download or write it again."
        )
    arrays = {}
    key = ""
    try:
        # Opened here, so that it is also closed if np.load fails.
        with (
            open(stored, "rb") if isinstance(stored, Path) else stored as opened,
            np.load(opened, allow_pickle=False) as file,
        ):
            for key in file.files:
                arrays[key] = file[key]
    except Exception as error:  # zipfile, zlib and numpy raise many types for damaged files
        which = f"Array {key!r} of {path.name}" if key else path.name
        raise ValueError(
            f"{which} cannot be read: {short_reason(error)}. Objects are refused, because reading "
            f"them could run any code; save plain numbers. If the file is damaged, copy it again."
        ) from error
    for key, array in arrays.items():
        if not isinstance(array, np.ndarray):
            raise ValueError(f"{path.name} holds {key!r}, which is not an array; use numpy.savez.")
    return arrays
