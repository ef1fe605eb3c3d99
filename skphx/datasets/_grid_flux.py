"""Flux of grids in one unit, per unit of wavelength."""

from typing import Any

import numpy as np

from skphx._domain import FLUX_UNIT
from skphx._flux_units import factor_at, unit_per_wavelength
from skphx._plain import as_quantity, unit_of


def flux_per_wavelength(
    flux: Any, unit: Any, wavelength: Any, name: str, *, wanted: Any = None
) -> tuple[Any, str | None]:
    """Return flux per unit of wavelength, and its unit.

    Parameters
    ----------
    flux : ndarray of shape (..., n_pixels)
        Plain numbers.
    unit : str, astropy unit or None
        Their unit; None is unknown. Text that is no unit of astropy is kept as it is.
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    name : str
        Name of the argument or the file, for the messages.
    wanted : str, astropy unit or None
        Unit of the result; None keeps units per wavelength, and converts others to `FLUX_UNIT`.

    Returns
    -------
    flux : ndarray of shape (..., n_pixels)
        The same, or converted to float64.
    unit : str or None
        Its unit in the notation of astropy.

    Raises
    ------
    ValueError
        If the unit is not one of flux, or cannot be converted to `wanted`.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.datasets._grid_flux import flux_per_wavelength
    >>> flux, unit = flux_per_wavelength(np.array([1.0]), "Jy", np.array([5000.0]), "star.fits")
    >>> print(flux * 1e4, unit)  # 1 Jy = 1e-23 erg/s/cm²/Hz, times c/λ²
    [1.19916983] erg / (cm2 s cm)
    """
    if unit is None:
        return flux, None if wanted is None else str(wanted)
    from astropy import units

    try:
        given = units.Unit(unit)
    except ValueError:  # a word of the file, such as "normalized"
        if wanted is not None and str(wanted) != str(unit):
            raise ValueError(
                f"the flux of {name} has the unit {unit!r}, which cannot be converted to {wanted}."
            ) from None
        return flux, str(unit)
    label = unit if isinstance(unit, str) else str(unit)
    if wanted is None:
        target = unit_per_wavelength(given, f"the flux of {name}", FLUX_UNIT)
        if target is None or target == given:
            return flux, label
        written = FLUX_UNIT if target == units.Unit(FLUX_UNIT) else str(target)
    else:
        target, written = units.Unit(wanted), str(wanted)
        if target == given:
            return flux, written
    try:
        factor = factor_at(wavelength, given, target)
    except units.UnitConversionError as error:
        raise ValueError(
            f"the flux of {name} has the unit {given}, which cannot be converted to {target}."
        ) from error
    return np.asarray(flux, dtype=np.float64) * factor, written


def split_unit(flux: Any, unit: Any, wavelength: Any, name: str) -> tuple[Any, str | None]:
    """Return flux without its own unit, converted to the unit given beside it, if both are known.

    Parameters
    ----------
    flux : array-like or Quantity of shape (..., n_pixels)
        Flux, with or without a unit.
    unit : str, astropy unit or None
        Unit of plain numbers, or the unit to which a Quantity is converted.
    wavelength, name
        As for `flux_per_wavelength`.

    Returns
    -------
    flux, unit
        As from `flux_per_wavelength`.

    Raises
    ------
    ValueError
        As by `flux_per_wavelength`.
    """
    own = unit_of(flux)
    if own is None:
        return flux_per_wavelength(flux, unit, wavelength, name)
    flux = as_quantity(flux, name).value
    if unit is None:
        return flux_per_wavelength(flux, own, wavelength, name)
    from astropy import units

    target = unit_per_wavelength(units.Unit(unit), f"the flux of {name}", FLUX_UNIT)
    wanted = unit if target is None or target == units.Unit(unit) else target
    return flux_per_wavelength(flux, own, wavelength, name, wanted=wanted)
