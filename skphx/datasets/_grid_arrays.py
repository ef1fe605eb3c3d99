"""Grids as named arrays, the content of npz and HDF5 files; and grid_from_arrays.

======================  ===================  ============================================
name                    shape                what
======================  ===================  ============================================
wavelength              (n_pixels,)          pixel centres in Å, strictly increasing
flux                    (n_spectra,          flux; or flux_1e4 instead,
                        n_pixels)            integers, 10,000 times the flux
teff, logg, feh         (n_spectra,)         K, dex(cm s⁻²), dex
any other name          (n_spectra,)         another parameter, such as alpha
medium                  ()                   "air" or "vacuum"; optional
flux_unit               ()                   in the notation of astropy; optional
wavelength_unit         ()                   the same; Å if it is not there
provenance              ()                   JSON: source of the grid; optional
======================  ===================  ============================================

Arrays of other shapes are ignored.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skphx._domain import (
    PARAMETER_UNITS,
    STELLAR_PARAMETERS,
    check_medium,
    check_wavelength,
    plain_wavelength,
)
from skphx._input_parameters import parameter_columns
from skphx._plain import MASKED_FLUX, refuse_masked, unit_of
from skphx.datasets._flux_units import flux_per_wavelength, split_unit
from skphx.datasets._medium import Medium, agreed_medium
from skphx.datasets._reading import check_dtype, check_spectrum
from skphx.datasets._spectrum_objects import unpack_spectra

FLUX_NAMES = ("flux", "flux_1e4")
_TEXTS = ("medium", "flux_unit", "wavelength_unit", "provenance")
RESERVED = ("wavelength", *_TEXTS, *FLUX_NAMES)

_DESCR = """Grid of stellar spectra from {name}
{rule}

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}).
Parameters: {parameters}.
Unit of the flux: {unit}.
"""


def grid_from_arrays(
    spectra: Any,
    parameters: Any,
    wavelength: Any = None,
    *,
    medium: Medium,
    parameter_names: Sequence[str] = STELLAR_PARAMETERS,
    flux_unit: Any = None,
    name: str = "arrays",
) -> Bunch:
    """Make a grid from arrays in memory, with the same checks as for files.

    Parameters
    ----------
    spectra : array-like or Quantity of shape (n_spectra, n_pixels), or objects
        Flux, one spectrum per row, finite and not negative. Flux per unit frequency, such as Jy,
        and photon fluxes are converted to erg s⁻¹ cm⁻² cm⁻¹, flux per unit wavelength keeps its
        unit. Objects are a Spectrum or SpectrumCollection of specutils or an NDData of astropy,
        or a list of these.
    parameters : array-like or table of shape (n_spectra, n_parameters)
        Stellar parameters of each spectrum. The columns of a DataFrame, a Table of astropy, a
        structured array or a dict are found by their names, in any order. Columns that are
        Quantities are converted to K, dex(cm s⁻²), dex and km/s.
    wavelength : array-like or Quantity of shape (n_pixels,), or None
        Pixel centres in Å, strictly increasing. None is the axis of objects that have one; if
        both are given, they must be the same.
    medium : {"air", "vacuum"}
        Medium of the wavelengths.
    parameter_names : sequence of str
        Names of the columns, including "teff", "logg" and "feh".
    flux_unit : str, astropy unit or None
        Unit of the flux, in the notation of astropy. Spectra with a unit of their own are
        converted to this one.
    name : str
        Name of the grid in its description.

    Returns
    -------
    Bunch
        With `spectra`, `parameters`, `parameter_names`, `wavelength`, `medium`, `units`,
        `provenance` and `DESCR`; see :mod:`skphx.datasets`.

    Raises
    ------
    ValueError
        If an argument is not valid, a pixel is masked, not finite or negative, a unit cannot be
        converted, or the arguments do not agree.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.datasets import grid_from_arrays
    >>> grid = grid_from_arrays(
    ...     np.ones((2, 4)), [[5000, 4.5, 0], [6000, 4.5, 0]], [8500, 8501, 8502, 8503],
    ...     medium="air",
    ... )
    >>> grid.spectra.shape, grid.units["teff"]
    ((2, 4), 'K')
    >>> grid_from_arrays(np.ones((2, 4)), [[5000, 4.5, 0]], [1, 2, 3, 4], medium="air")
    Traceback (most recent call last):
        ...
    ValueError: grid.parameters must have shape (2, 3), one row per spectrum ...
    """
    check_medium(medium, required=True)
    spectra, own = unpack_spectra(spectra)
    if unit_of(spectra) is None:
        spectra = _as_flux(spectra)
    wavelength = _agreed_wavelength(wavelength, own)
    if np.shape(spectra)[-1:] == wavelength.shape:
        spectra, flux_unit = split_unit(spectra, flux_unit, wavelength, "spectra")
    names = tuple(parameter_names)
    parameters, units = parameter_columns(parameters, names, "parameters")
    grid: dict[str, Any] = {
        "spectra": _as_flux(spectra),
        "parameters": np.asarray(parameters),
        "parameter_names": names,
        "wavelength": wavelength,
        "medium": medium,
        "units": {"spectra": flux_unit},
    }
    arrays_of_grid(grid)
    made = as_grid(
        name=name,
        spectra=grid["spectra"],
        parameters=grid["parameters"].astype(np.float64),
        names=names,
        wavelength=wavelength,
        medium=medium,
        unit=flux_unit,
    )
    made.units |= units
    return made


def _agreed_wavelength(given, own):
    """Return wavelengths in Å, given by the user or found in the spectra."""
    if given is None and own is None:
        raise ValueError("wavelength must be given: pass the wavelengths of the pixels in Å.")
    wavelength = check_wavelength(own if given is None else given)
    if own is not None and (
        len(own) != len(wavelength) or not np.allclose(own, wavelength, rtol=1e-9, atol=0)
    ):
        raise ValueError(
            f"wavelength differs from the axis of the spectra, {len(own)} pixels from "
            f"{own[0]:.10g} to {own[-1]:.10g} Å; leave wavelength out."
        )
    return wavelength


def _as_flux(spectra):
    """Return flux as an array of float64 or float32 in the byte order of this computer."""
    try:
        spectra = np.asarray(spectra)
    except ValueError as error:
        raise ValueError(
            f"spectra must be an array of shape (n_spectra, n_pixels), all spectra with the same "
            f"pixels: {error}."
        ) from error
    if spectra.dtype.kind in "iu":
        return spectra.astype(np.float64)
    if spectra.dtype.kind == "f" and spectra.dtype not in (np.float64, np.float32):
        return spectra.astype(np.float32 if spectra.dtype.itemsize == 4 else np.float64)
    return spectra


def as_grid(*, name, spectra, parameters, names, wavelength, medium, unit, provenance=None):
    """Make a Bunch of checked arrays."""
    return Bunch(
        spectra=spectra,
        parameters=parameters,
        parameter_names=names,
        wavelength=wavelength,
        medium=medium,
        units={
            "wavelength": "Angstrom",
            "spectra": unit,
            **{name: PARAMETER_UNITS.get(name) for name in names},
        },
        provenance=provenance or {"grid": name},
        DESCR=_DESCR.format(
            name=name,
            rule="=" * (len("Grid of stellar spectra from ") + len(name)),
            n_spectra=len(spectra),
            n_pixels=len(wavelength),
            low=wavelength[0],
            high=wavelength[-1],
            medium=medium,
            parameters=", ".join(names),
            unit=unit or "not given",
        ),
    )


def arrays_of_grid(grid):
    """Return the named arrays that are stored in a file of a grid.

    Parameters
    ----------
    grid : mapping
        Grid with `spectra`, `parameters`, `parameter_names`, `wavelength` and `medium`, and
        optionally `units`, `constants` and `provenance`.

    Returns
    -------
    dict of ndarray
        The arrays, see the docstring of this module.

    Raises
    ------
    ValueError
        If entries are missing or do not agree.
    """
    missing = {"spectra", "parameters", "parameter_names", "wavelength", "medium"} - set(grid)
    if missing:
        raise ValueError(
            f"grid lacks {sorted(missing)}; pass a Bunch as load_npz_grid or grid_from_arrays "
            f"returns it."
        )
    check_medium(grid["medium"], required=True)
    refuse_masked(grid["spectra"], "grid.spectra", what="flux", remedy=MASKED_FLUX)
    refuse_masked(grid["parameters"], "grid.parameters")
    spectra, parameters = np.asarray(grid["spectra"]), np.asarray(grid["parameters"])
    wavelength = check_wavelength(grid["wavelength"], name="grid.wavelength")
    names = list(grid["parameter_names"])
    if spectra.ndim != 2 or spectra.shape[1] != len(wavelength):
        raise ValueError(
            f"grid.spectra must have shape (n_spectra, {len(wavelength)}), because "
            f"grid.wavelength has {len(wavelength)} pixels, got shape {spectra.shape}."
        )
    if parameters.shape != (len(spectra), len(names)):
        raise ValueError(
            f"grid.parameters must have shape ({len(spectra)}, {len(names)}), one row per "
            f"spectrum and one column per name, got shape {parameters.shape}."
        )
    if spectra.dtype.kind != "f" or parameters.dtype.kind not in "fiu":
        raise ValueError(
            f"grid.spectra and grid.parameters must hold numbers, got dtypes {spectra.dtype} "
            f"and {parameters.dtype}."
        )
    unusable = sorted(set(names) & set(RESERVED))
    if unusable or len(set(names)) != len(names) or not set(STELLAR_PARAMETERS) <= set(names):
        raise ValueError(
            f"grid.parameter_names must hold each of {list(STELLAR_PARAMETERS)} once, and no name "
            f"twice or of {list(RESERVED)}, got {names}."
        )
    if not np.isfinite(parameters).all():
        raise ValueError("parameters must be finite, got NaN or infinity; remove those spectra.")
    _check_rows(wavelength, spectra, "grid.spectra")
    columns = dict(zip(names, parameters.T, strict=True))
    columns |= {"wavelength": wavelength, "flux": spectra, "medium": np.array(grid["medium"])}
    unit = grid.get("units", {}).get("spectra")
    if unit is not None:
        columns["flux_unit"] = np.array(str(unit))
    provenance = dict(grid.get("provenance") or {})
    if grid.get("constants"):
        provenance["constants"] = dict(grid["constants"])
    if provenance:
        columns["provenance"] = np.array(json.dumps(provenance, default=str))
    return columns


def grid_of_named(arrays, name, medium, wavelength_range, dtype):
    """Make a grid of the arrays of a file, and read only a wavelength range.

    Parameters
    ----------
    arrays : mapping
        The arrays, see the docstring of this module; flux may be a data set of a file, which is
        read only in the range.
    name : str
        Name of the file.
    medium, wavelength_range, dtype
        As for :func:`load_npz_grid`.

    Returns
    -------
    Bunch
        The grid.

    Raises
    ------
    ValueError
        If arrays are missing or do not agree.
    """
    dtype = check_dtype(dtype)
    for key in ("wavelength", *STELLAR_PARAMETERS):
        if key not in arrays:
            raise ValueError(
                f"{name} is not a grid of spectra: it has no array {key!r}, only "
                f"{sorted(arrays)}. A grid needs wavelength, flux or flux_1e4, and "
                f"{', '.join(STELLAR_PARAMETERS)} with one value per spectrum."
            )
    wavelength = check_wavelength(_wavelength_of(arrays, name), name=f"wavelength of {name}")
    stored = flux_of(arrays, name, len(wavelength))
    keep = pixels_in(wavelength, wavelength_range, name)
    spectra = stored[:, keep].astype(dtype)
    if "flux" not in arrays:
        spectra /= 10_000
    names = parameter_names_of(arrays, len(spectra), name)
    _check_rows(wavelength[keep], spectra, name)
    unit = str(arrays["flux_unit"]) if "flux_unit" in arrays else None
    flux, unit = flux_per_wavelength(spectra, unit, wavelength[keep], name)
    spectra = flux.astype(dtype, copy=False)
    return as_grid(
        name=name,
        spectra=spectra,
        parameters=np.column_stack([arrays[key].astype(np.float64) for key in names]),
        names=names,
        wavelength=wavelength[keep],
        medium=agreed_medium(name, str(arrays["medium"]) if "medium" in arrays else None, medium),
        unit=unit,
        provenance=provenance_of(arrays, name),
    )


def _wavelength_of(arrays, name):
    """Return the wavelengths of a file, with their unit if the file states it."""
    unit = str(arrays["wavelength_unit"]) if "wavelength_unit" in arrays else ""
    if unit in ("", "Angstrom"):
        return arrays["wavelength"]
    from astropy import units

    try:
        return arrays["wavelength"] * units.Unit(unit)
    except ValueError as error:
        raise ValueError(
            f"wavelength_unit of {name} is {unit!r}, which is no unit of astropy; write Angstrom."
        ) from error


def _check_rows(wavelength, spectra, name):
    """Raise unless all spectra are finite, not negative, and not zero everywhere."""
    for row, flux in enumerate(spectra):
        try:
            check_spectrum(wavelength, flux, absolute=False)
        except ValueError as error:
            raise ValueError(
                f"spectrum {row} of {name}: {error}; remove this spectrum, or give its flux."
            ) from error


def provenance_of(arrays, name):
    """Return the provenance that a file states, with the name of the file: dict."""
    try:
        stored = json.loads(str(arrays["provenance"])) if "provenance" in arrays else {}
    except ValueError:
        stored = None
    if not isinstance(stored, dict):
        raise ValueError(f"provenance of {name} is not a JSON object; save the grid again.")
    return {"grid": name, **stored, "file": name}


def flux_of(arrays, name, n_pixels):
    """Return the stored flux, an array or a data set of a file; check its shape and type."""
    present = [key for key in FLUX_NAMES if key in arrays]
    if len(present) != 1:
        raise ValueError(
            f"{name} must have either flux or flux_1e4, got {present or sorted(arrays)}."
        )
    flux = arrays[present[0]]
    if flux.ndim != 2 or flux.shape[1] != n_pixels:
        raise ValueError(
            f"{present[0]} of {name} must have shape (n_spectra, {n_pixels}), because wavelength "
            f"has {n_pixels} elements, got shape {flux.shape}."
        )
    kinds = "f" if present[0] == "flux" else "iu"
    if flux.dtype.kind not in kinds:
        raise ValueError(
            f"{present[0]} of {name} must hold {'floats' if kinds == 'f' else 'integers'}, got "
            f"dtype {flux.dtype}; flux must be floats, flux_1e4 integers."
        )
    return flux


def pixels_in(wavelength, wavelength_range, name):
    """Return the slice of the pixels inside the range."""
    if wavelength_range is None:
        return slice(None)
    wavelength_range = plain_wavelength(wavelength_range, "wavelength_range")
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
            f"wavelength_range {start:g} to {stop:g} Å holds no pixel of {name}, which has "
            f"wavelengths from {wavelength[0]:g} to {wavelength[-1]:g} Å."
        )
    return slice(first, last)


def parameter_names_of(arrays, n_spectra, name):
    """Return the parameter names: teff, logg, feh, then others in the order of the file."""
    for key in STELLAR_PARAMETERS:
        column = arrays[key]
        if column.shape != (n_spectra,) or column.dtype.kind not in "fiu":
            raise ValueError(
                f"{key} of {name} must hold one number per spectrum, shape ({n_spectra},), got "
                f"shape {column.shape} and dtype {column.dtype}."
            )
    others = tuple(
        key
        for key, column in arrays.items()
        if key not in (*RESERVED, *STELLAR_PARAMETERS)
        and column.shape == (n_spectra,)
        and column.dtype.kind in "fiu"
    )
    names = (*STELLAR_PARAMETERS, *others)
    for key in names:
        if not np.isfinite(arrays[key]).all():
            raise ValueError(
                f"{key} of {name} must be finite, got NaN or infinity at spectrum "
                f"{np.flatnonzero(~np.isfinite(arrays[key]))[0]}."
            )
    return names
