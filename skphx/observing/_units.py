"""Units of a star's numbers, converted to those of the package.

================== =========================================================
quantity           unit
================== =========================================================
wavelength         Å, from any length, frequency, wavenumber or energy
flux, sigma        that of the flux if it is per unit of wavelength; spectra
                   per unit of frequency, and photons per unit of wavelength
                   or frequency, become erg s⁻¹ cm⁻² Å⁻¹
velocity           km/s
resolution         λ/FWHM, dimensionless
================== =========================================================

astropy is imported only for values that have a unit.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphx._flux_units import factor_at, unit_per_wavelength
from skphx.observing._values import Values

# What a user who gives a relative error meant.
_RELATIVE = " (a relative error of half a per cent is sigma=0.005 * flux)"


def wavelength_in_angstrom(values: Values, given: Any = None) -> NDArray[np.float64]:
    """Return wavelengths in Å; NaN where they are masked, not finite or not positive.

    Parameters
    ----------
    values : Values
        Wavelengths; or frequencies, wavenumbers or energies, with their unit. Plain numbers are
        in Å.
    given : object, optional
        What the values were made of. A spectral axis of velocities knows its rest wavelength.

    Returns
    -------
    ndarray
        In Å.

    Raises
    ------
    ValueError
        If the unit is not that of a spectral axis, or velocities have no rest wavelength.
    """
    wavelength = values.data
    if values.unit is not None:
        wavelength = _to_angstrom(values, given)
    with np.errstate(invalid="ignore"):
        usable = np.isfinite(wavelength) & (wavelength > 0) & ~values.mask
    return np.where(usable, wavelength, np.nan)


def _to_angstrom(values, given):
    """Convert the values of a spectral axis to Å."""
    from astropy import units

    if getattr(given, "doppler_rest", None) is not None and given.doppler_convention is not None:
        return np.asarray(given.to(units.AA).value, dtype=np.float64)
    try:
        with np.errstate(divide="ignore"):
            return (values.data * values.unit).to_value(units.AA, units.spectral())
    except (units.UnitsError, TypeError) as error:
        if _is_velocity(values.unit):
            raise ValueError(
                f"wavelength is given as velocities in {values.unit} without a rest wavelength; "
                f"convert them to a length first, such as rest * (1 + velocity / c)."
            ) from error
        raise ValueError(
            f"wavelength must have a unit of length, or of frequency, wavenumber or energy, got "
            f"{values.unit}; convert the wavelengths to a length, for instance to Angstrom."
        ) from error


def _is_velocity(unit):
    from astropy import units

    return isinstance(unit, units.UnitBase) and unit.is_equivalent(units.km / units.s)


def flux_per_wavelength(
    flux: Values, sigma: Values | None, wavelength: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """Return flux and standard errors in one unit, per unit of wavelength.

    Parameters
    ----------
    flux : Values of shape (n_pixels,)
        Flux.
    sigma : Values of shape (n_pixels,) or None
        Standard errors; without a unit they are in the unit of the flux.
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å; NaN where there is none.

    Returns
    -------
    flux, sigma : ndarray of shape (n_pixels,)
        In the unit of the flux if this is per unit of wavelength, and in `PER_ANGSTROM` if it
        is another density or photons. Masked flux is NaN.

    Raises
    ------
    ValueError
        If the flux is not one, or the unit of the errors does not fit that of the flux.
    """
    if flux.unit is None:
        target, factor = None, 1.0
    else:
        target, factor = _target_and_factor("flux", flux.unit, wavelength)
    bright = np.where(flux.mask, np.nan, flux.data * factor)
    if sigma is None:
        return bright, None
    if sigma.unit is not None:
        factor = _error_factor(sigma.unit, flux.unit, target, wavelength)
    return bright, np.where(sigma.mask, np.nan, sigma.data * factor)


def _target_and_factor(name, unit, wavelength):
    """Return the unit to which flux is converted, and the factor, a number or one a pixel."""
    target = unit_per_wavelength(unit, name)
    if target is None:
        return unit, 1.0
    return target, factor_at(wavelength, unit, target)


def _error_factor(unit, flux_unit, target, wavelength):
    """Return the factor from the unit of the errors to that of the converted flux."""
    from astropy import units

    errors_target, factor = _target_and_factor("sigma", unit, wavelength)
    relative = errors_target == units.dimensionless_unscaled
    if flux_unit is None:
        if relative and np.all(factor == 1.0):
            return factor
        raise ValueError(
            f"sigma is in {unit} but flux has no unit, so their ratio is unknown; give both a "
            f"unit, or neither{_RELATIVE if relative else ''}."
        )
    if errors_target == target:
        return factor
    try:
        return factor * errors_target.to(target)
    except units.UnitsError as error:
        raise ValueError(
            f"sigma is in {unit}, which cannot be converted to the unit of flux, {flux_unit}; "
            f"give sigma in the unit of flux{_RELATIVE if relative else ''}."
        ) from error


def speed_in_km_per_s(name: str, given: Any) -> Any:
    """Return a velocity, or several, as plain numbers in km/s.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    given : float, array-like, Quantity, or sequence of Quantities
        Plain numbers are in km/s.

    Returns
    -------
    float, tuple of float, or what was given
        Quantities are converted; other values are returned as they are.

    Raises
    ------
    ValueError
        If the unit is not one of velocity.
    """
    return _without_unit(name, given, "km / s", "a velocity, such as km/s")


def plain_number(name: str, given: Any) -> Any:
    """Return dimensionless numbers without their unit; raise ValueError for another unit.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    given : float, array-like, Quantity, or sequence of Quantities
        The numbers.

    Returns
    -------
    float, tuple of float, or what was given
        Quantities are converted; other values are returned as they are.
    """
    return _without_unit(name, given, "", "none, because it is a ratio")


def _without_unit(name, given, unit, kind):
    """Convert Quantities to a unit, and return other values as they are."""
    several = isinstance(given, list | tuple)
    listed = given if isinstance(given, list | tuple) else [given]
    if all(getattr(one, "unit", None) is None for one in listed):
        return given
    from astropy import units

    try:
        parts = [
            one
            if getattr(one, "unit", None) is None
            else units.Quantity(one).to_value(units.Unit(unit))
            for one in listed
        ]
    except units.UnitsError as error:
        raise ValueError(
            f"the unit of {name} must be {kind}, got {given!r}; convert it."
        ) from error
    plain = [float(part) if np.ndim(part) == 0 else part for part in parts]
    return tuple(plain) if several else plain[0]
