"""Grids in ``.npz`` files; :mod:`skphx.datasets._grid_arrays` says what they hold.

Nothing in the file is ever unpickled.
"""

import zipfile
from pathlib import Path

import numpy as np

from skphx._files import write_atomically
from skphx.datasets._grid_arrays import arrays_of_grid, grid_of_named


def load_npz_grid(path, *, medium=None, wavelength_range=None, dtype=np.float64):
    """Load a grid of spectra from an ``.npz`` file.

    Parameters
    ----------
    path : str or path-like
        File with `wavelength`, `teff`, `logg`, `feh` and `flux`, or `flux_1e4` for integers that
        are 10,000 times the flux. Every other array with one number a spectrum becomes a
        parameter, too.
    medium : {"air", "vacuum"} or None
        Medium that the wavelengths hold for. Needed if the file does not say; where the
        file says otherwise, it is an error.
    wavelength_range : tuple (start, stop) or None
        Keep the pixels from start to stop in Å, both included.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.

    Returns
    -------
    Bunch
        With `spectra`, `parameters`, `parameter_names`, `wavelength`, `medium`, `units` and
        `DESCR`; see :mod:`skphx.datasets`. The unit of the flux is None where the file has
        none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a grid: what is missing or does not fit is named.

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
    path = Path(path)
    arrays = _read_arrays(path)
    return grid_of_named(arrays, path.name, medium, wavelength_range, dtype)


def save_npz_grid(path, grid):
    """Save a grid of spectra to an ``.npz`` file that :func:`load_npz_grid` reads.

    Parameters
    ----------
    path : str or path-like
        File to write, ending in ``.npz``; one that exists is replaced.
    grid : Bunch
        Grid with `spectra`, `parameters`, `parameter_names`, `wavelength` and `medium`, and
        optionally `units`.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ValueError
        If entries of the grid are missing or do not fit each other.

    Examples
    --------
    See :func:`load_npz_grid`.
    """
    path = Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path must end in .npz, got {path.name!r}; rename the file.")
    arrays = arrays_of_grid(grid)
    write_atomically(path, lambda file: np.savez_compressed(file, **arrays))
    return path


def _read_arrays(path):
    """All arrays of an npz file; pickled objects are refused."""
    if not path.is_file():
        raise FileNotFoundError(
            f"There is no file {path}: check the path, and the folder that it starts from."
        )
    # np.load would take a file with other contents for a pickle, and say so.
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"{path.name} is no .npz file (a zip archive of arrays), or is cut short; download "
            f"or write it again."
        )
    arrays = {}
    with np.load(path, allow_pickle=False) as file:
        for key in file.files:
            try:
                arrays[key] = file[key]
            except (ValueError, EOFError, zipfile.BadZipFile) as error:
                raise ValueError(
                    f"Array {key!r} of {path.name} cannot be read: {error} Objects are "
                    f"refused, because to read them could run any code; save plain numbers."
                ) from error
            if not isinstance(arrays[key], np.ndarray):
                raise ValueError(f"{path.name} holds {key!r}, which is no array; use np.savez.")
    return arrays
