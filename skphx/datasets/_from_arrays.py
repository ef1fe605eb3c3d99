"""grid_from_arrays: a grid of arrays, tables and spectra in memory."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.utils import Bunch

from skphx._domain import STELLAR_PARAMETERS, check_medium, check_wavelength
from skphx._input_parameters import parameter_columns
from skphx._plain import unit_of
from skphx.datasets._grid_arrays import arrays_of_grid, as_grid, check_light
from skphx.datasets._grid_flux import split_unit
from skphx.datasets._medium import Medium
from skphx.datasets._spectrum_objects import unpack_spectra


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
        Pixel centres in Å, strictly increasing. With a unit they must be those of light, 100 Å
        to 1 mm; plain numbers may be any positive ones. None is the axis of objects that have
        one; if both are given, they must be the same.
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
    names = _names_of(parameter_names)
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


def _names_of(given):
    """Return names of parameters as a tuple of text."""
    is_list = isinstance(given, Iterable) and not isinstance(given, str)
    names = tuple(given) if is_list else (given,)
    if not is_list or not all(isinstance(name, str) for name in names):
        raise ValueError(
            f"parameter_names must be a list of names, such as ('teff', 'logg', 'feh'), got "
            f"{given!r}."
        )
    return names


def _agreed_wavelength(given, own):
    """Return wavelengths in Å, given by the user or found in the spectra."""
    if given is None and own is None:
        raise ValueError("wavelength must be given: pass the wavelengths of the pixels in Å.")
    wavelength = check_wavelength(own if given is None else given)
    if unit_of(given) is not None:
        check_light(given, "wavelength")
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
