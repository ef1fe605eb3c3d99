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
provenance              ()                   JSON: source of the grid; optional
======================  ===================  ============================================

Arrays of other shapes are ignored.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import Bunch

from skphx._domain import PARAMETER_UNITS, STELLAR_PARAMETERS, check_medium, check_wavelength
from skphx.datasets._medium import Medium, agreed_medium
from skphx.datasets._reading import check_dtype

FLUX_NAMES = ("flux", "flux_1e4")
RESERVED = ("wavelength", "medium", "flux_unit", "provenance", *FLUX_NAMES)

_DESCR = """Grid of stellar spectra from {name}
{rule}

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}).
Parameters: {parameters}.
Unit of the flux: {unit}.
"""


def grid_from_arrays(
    spectra: ArrayLike,
    parameters: ArrayLike,
    wavelength: ArrayLike,
    *,
    medium: Medium,
    parameter_names: Sequence[str] = STELLAR_PARAMETERS,
    flux_unit: str | None = None,
    name: str = "arrays",
) -> Bunch:
    """Make a grid from arrays in memory, with the same checks as for files.

    Parameters
    ----------
    spectra : array-like of shape (n_spectra, n_pixels)
        Flux, one spectrum per row.
    parameters : array-like of shape (n_spectra, n_parameters)
        Stellar parameters of each spectrum.
    wavelength : array-like or Quantity of shape (n_pixels,)
        Pixel centres in Å, strictly increasing.
    medium : {"air", "vacuum"}
        Medium of the wavelengths.
    parameter_names : sequence of str
        Names of the columns, including "teff", "logg" and "feh".
    flux_unit : str or None
        Unit of the flux, in the notation of astropy.
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
        If an argument is not valid, or the arguments do not agree.

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
    wavelength = check_wavelength(wavelength)
    grid: dict[str, Any] = {
        "spectra": np.asarray(spectra),
        "parameters": np.asarray(parameters),
        "parameter_names": tuple(parameter_names),
        "wavelength": wavelength,
        "medium": medium,
        "units": {"spectra": flux_unit},
    }
    arrays_of_grid(grid)
    if not np.isfinite(grid["parameters"]).all():
        raise ValueError("parameters must be finite, got NaN or infinity; remove those spectra.")
    return as_grid(
        name=name,
        spectra=grid["spectra"],
        parameters=grid["parameters"].astype(np.float64),
        names=grid["parameter_names"],
        wavelength=wavelength,
        medium=medium,
        unit=flux_unit,
    )


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
    wavelength = check_wavelength(arrays["wavelength"], name=f"wavelength of {name}")
    stored = flux_of(arrays, name, len(wavelength))
    keep = pixels_in(wavelength, wavelength_range, name)
    spectra = stored[:, keep].astype(dtype)
    if "flux" not in arrays:
        spectra /= 10_000
    names = parameter_names_of(arrays, len(spectra), name)
    return as_grid(
        name=name,
        spectra=spectra,
        parameters=np.column_stack([arrays[key].astype(np.float64) for key in names]),
        names=names,
        wavelength=wavelength[keep],
        medium=agreed_medium(name, str(arrays["medium"]) if "medium" in arrays else None, medium),
        unit=str(arrays["flux_unit"]) if "flux_unit" in arrays else None,
        provenance=provenance_of(arrays, name),
    )


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
