"""Grids in ``.npz`` files: one array for the flux, one for each parameter, and the medium.

======================  ===================  ============================================
key                     shape                what
======================  ===================  ============================================
wavelength              (n_pixels,)          pixel centres in Å, strictly increasing
flux                    (n_spectra,          flux, or flux_1e4 in its place:
                        n_pixels)            integers, 10,000 times the flux
teff, logg, feh         (n_spectra,)         K, dex(cm s⁻²), dex
any other name          (n_spectra,)         one more parameter, such as alpha
medium                  ()                   "air" or "vacuum"; optional
flux_unit               ()                   as astropy writes it; optional
======================  ===================  ============================================

Arrays of other shapes are left alone. Nothing in the file is ever unpickled.
"""

import zipfile
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from skphx._validation import check_wavelength
from skphx.datasets._stellar_grid import PARAMETER_UNITS, check_medium

_FLUX_KEYS = ("flux", "flux_1e4")
_RESERVED = ("wavelength", "medium", "flux_unit", *_FLUX_KEYS)

_DESCR = """Grid of stellar spectra from {name}
{rule}

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}).
Parameters: {parameters}.
Unit of the flux: {unit}.
"""


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
    dtype = np.dtype(dtype)
    if dtype not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype must be float64 or float32, got {dtype}.")
    arrays = _read_arrays(path)
    for key in ("wavelength", *PARAMETER_UNITS):
        if key not in arrays:
            raise ValueError(
                f"{path.name} is no grid of spectra: it has no array {key!r}, only "
                f"{sorted(arrays)}. A grid needs wavelength, flux or flux_1e4, and one of each "
                f"of {', '.join(PARAMETER_UNITS)} a spectrum."
            )
    wavelength = check_wavelength(arrays["wavelength"], name=f"wavelength of {path.name}")
    spectra = _flux_of(arrays, path.name, len(wavelength))
    keep = _pixels_in(wavelength, wavelength_range, path.name)
    wavelength, spectra = wavelength[keep], spectra[:, keep].astype(dtype)
    if "flux" not in arrays:
        spectra /= 10_000
    names = _parameter_names(arrays, len(spectra), path.name)
    medium = _medium_of(arrays, medium, path.name)
    unit = str(arrays["flux_unit"]) if "flux_unit" in arrays else None
    return Bunch(
        spectra=spectra,
        parameters=np.column_stack([arrays[name].astype(np.float64) for name in names]),
        parameter_names=names,
        wavelength=wavelength,
        medium=medium,
        units={
            "wavelength": "Angstrom",
            "spectra": unit,
            **{name: PARAMETER_UNITS.get(name) for name in names},
        },
        DESCR=_DESCR.format(
            name=path.name,
            rule="=" * (len("Grid of stellar spectra from ") + len(path.name)),
            n_spectra=len(spectra),
            n_pixels=len(wavelength),
            low=wavelength[0],
            high=wavelength[-1],
            medium=medium,
            parameters=", ".join(names),
            unit=unit or "not given",
        ),
    )


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
    missing = {"spectra", "parameters", "parameter_names", "wavelength", "medium"} - set(grid)
    if missing:
        raise ValueError(f"grid lacks {sorted(missing)}; pass a Bunch as load_npz_grid gives it.")
    check_medium(grid["medium"])
    spectra, parameters = np.asarray(grid["spectra"]), np.asarray(grid["parameters"])
    wavelength = check_wavelength(grid["wavelength"], name="grid.wavelength")
    names = list(grid["parameter_names"])
    if spectra.ndim != 2 or spectra.shape[1] != len(wavelength):
        raise ValueError(
            f"grid.spectra must have shape (n_spectra, {len(wavelength)}) as grid.wavelength "
            f"has {len(wavelength)} pixels, got shape {spectra.shape}."
        )
    if parameters.shape != (len(spectra), len(names)):
        raise ValueError(
            f"grid.parameters must have shape ({len(spectra)}, {len(names)}), spectra by "
            f"parameter_names, got shape {parameters.shape}."
        )
    if spectra.dtype.kind != "f" or parameters.dtype.kind not in "fiu":
        raise ValueError(
            f"grid.spectra and grid.parameters must hold numbers, got dtypes {spectra.dtype} "
            f"and {parameters.dtype}."
        )
    unusable = sorted(set(names) & set(_RESERVED))
    if unusable or len(set(names)) != len(names) or not set(PARAMETER_UNITS) <= set(names):
        raise ValueError(
            f"grid.parameter_names must hold {list(PARAMETER_UNITS)} and others once each, none "
            f"of {list(_RESERVED)}, got {names}."
        )
    columns = dict(zip(names, parameters.T, strict=True))
    unit = grid.get("units", {}).get("spectra")
    if unit is not None:
        columns["flux_unit"] = np.array(str(unit))
    np.savez_compressed(
        path, wavelength=wavelength, flux=spectra, medium=np.array(grid["medium"]), **columns
    )
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


def _flux_of(arrays, name, n_pixels):
    """Flux as stored, with its shape and type checked."""
    present = [key for key in _FLUX_KEYS if key in arrays]
    if len(present) != 1:
        raise ValueError(
            f"{name} must have either flux or flux_1e4, got {present or sorted(arrays)}."
        )
    flux = arrays[present[0]]
    if flux.ndim != 2 or flux.shape[1] != n_pixels:
        raise ValueError(
            f"{present[0]} of {name} must have shape (n_spectra, {n_pixels}) as wavelength has "
            f"{n_pixels} elements, got shape {flux.shape}."
        )
    kinds = "f" if present[0] == "flux" else "iu"
    if flux.dtype.kind not in kinds:
        raise ValueError(
            f"{present[0]} of {name} must hold {'floats' if kinds == 'f' else 'integers'}, got "
            f"dtype {flux.dtype}; flux is stored as floats, 10,000 times the flux as integers."
        )
    return flux


def _pixels_in(wavelength, wavelength_range, name):
    """Slice of the pixels inside the range."""
    if wavelength_range is None:
        return slice(None)
    try:
        start, stop = (float(edge) for edge in wavelength_range)
    except (TypeError, ValueError):
        raise ValueError(
            f"wavelength_range must be (start, stop) in Å, got {wavelength_range!r}."
        ) from None
    first = int(np.searchsorted(wavelength, start, side="left"))
    last = int(np.searchsorted(wavelength, stop, side="right"))
    if last <= first:
        raise ValueError(
            f"wavelength_range {start:g} to {stop:g} Å holds no pixel of {name}, whose "
            f"wavelengths go from {wavelength[0]:g} to {wavelength[-1]:g} Å."
        )
    return slice(first, last)


def _parameter_names(arrays, n_spectra, name):
    """Names of the parameters: teff, logg, feh, then other columns as the file orders them."""
    for key in PARAMETER_UNITS:
        column = arrays[key]
        if column.shape != (n_spectra,) or column.dtype.kind not in "fiu":
            raise ValueError(
                f"{key} of {name} must hold one number a spectrum, shape ({n_spectra},), got "
                f"shape {column.shape} and dtype {column.dtype}."
            )
    others = tuple(
        key
        for key, column in arrays.items()
        if key not in (*_RESERVED, *PARAMETER_UNITS)
        and column.shape == (n_spectra,)
        and column.dtype.kind in "fiu"
    )
    names = (*PARAMETER_UNITS, *others)
    for key in names:
        if not np.isfinite(arrays[key]).all():
            raise ValueError(
                f"{key} of {name} must be finite, got NaN or infinity at spectrum "
                f"{np.flatnonzero(~np.isfinite(arrays[key]))[0]}."
            )
    return names


def _medium_of(arrays, medium, name):
    """Medium that file and argument agree on."""
    if medium is not None:
        check_medium(medium)
    if "medium" not in arrays:
        if medium is None:
            raise ValueError(
                f"{name} does not say whether its wavelengths hold for air or vacuum: pass "
                f"medium='air' or medium='vacuum'."
            )
        return medium
    stored = str(arrays["medium"])
    check_medium(stored)
    if medium is not None and medium != stored:
        raise ValueError(
            f"medium={medium!r} was given, but {name} says {stored!r}: leave medium out, or "
            f"convert the wavelengths and save the grid again."
        )
    return stored
