"""Grids as named arrays, the content of npz and HDF5 files.

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

import numpy as np
from sklearn.utils import Bunch

from skphx._domain import (
    PARAMETER_UNITS,
    STELLAR_PARAMETERS,
    check_medium,
    check_wavelength,
    plain_wavelength,
)
from skphx._plain import MASKED_FLUX, float_array, refuse_masked, unit_of
from skphx.datasets._grid_flux import flux_per_wavelength
from skphx.datasets._medium import agreed_medium
from skphx.datasets._reading import check_dtype, check_spectrum

# Wavelengths of stars, Å, of which the unit is known.
_SHORTEST, _LONGEST = 100.0, 1e7
FLUX_NAMES = ("flux", "flux_1e4")
_TEXTS = ("medium", "flux_unit", "wavelength_unit", "provenance")
RESERVED = ("wavelength", *_TEXTS, *FLUX_NAMES)

_DESCR = """Grid of stellar spectra from {name}
{rule}

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}).
Parameters: {parameters}.
Unit of the flux: {unit}.
"""


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

    numbers = float_array(arrays["wavelength"], f"wavelength of {name}")
    try:
        wavelength = numbers * units.Unit(unit)
    except ValueError as error:
        raise ValueError(
            f"wavelength_unit of {name} is {unit!r}, which is no unit of astropy; write Angstrom."
        ) from error
    check_light(wavelength, f"wavelength of {name}")
    return wavelength


def check_light(wavelength, name):
    """Raise if wavelengths with a unit are far from those of stars; without one they may be any.

    Parameters
    ----------
    wavelength : Quantity of shape (n_pixels,)
        Pixel centres.
    name : str
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If a wavelength is below 100 Å or above 1 mm.
    """
    numbers = np.asarray(plain_wavelength(wavelength, name))
    low, high = numbers.min(initial=np.inf), numbers.max(initial=0.0)
    if len(numbers) and (low < _SHORTEST or high > _LONGEST):
        raise ValueError(
            f"{name} is from {low:g} to {high:g} Å with its unit {unit_of(wavelength)}, which is "
            f"no light of stars; check the unit."
        )


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
