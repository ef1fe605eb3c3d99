"""Numbers of a star as users have them: arrays with masks and units, columns, uncertainties.

================== =========================================================
quantity           unit
================== =========================================================
wavelength         Å, from any length, frequency, wavenumber or energy
flux, sigma        that of the flux if it is per unit of wavelength; spectra
                   per unit of frequency, and photons per unit of wavelength
                   or frequency, become erg s⁻¹ cm⁻² Å⁻¹
velocity           km/s
================== =========================================================

astropy is imported only for values that have a unit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Flux to which spectra per unit of frequency are converted.
PER_ANGSTROM = "erg / (s cm2 Angstrom)"


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers with their mask and unit.

    Parameters
    ----------
    data : ndarray
        The numbers, float64, in `unit`.
    mask : ndarray of the same shape, bool
        True where there is none.
    unit : astropy unit or None
        Unit; None for plain numbers.
    """

    data: NDArray[np.float64]
    mask: NDArray[np.bool_]
    unit: Any = None

    def __getitem__(self, key):
        """Return a part, such as one order."""
        return Values(self.data[key], self.mask[key], self.unit)

    def __len__(self):
        """Return the length of the first axis."""
        return len(self.data)

    @property
    def ndim(self):
        """Number of axes."""
        return self.data.ndim


def values_of(name: str, given: Any, unit: Any = None) -> Values:
    """Return numbers, whatever holds them, as an array with its mask and unit.

    Parameters
    ----------
    name : str
        Name of the argument, for the messages.
    given : array-like
        An array, masked array, Quantity, column of a table or DataFrame, or NDData.
    unit : astropy unit, str or None
        Unit of plain numbers.

    Returns
    -------
    Values
        A copy.

    Raises
    ------
    ValueError
        If these are not real numbers.
    """
    if isinstance(given, Values):
        return given
    if hasattr(given, "uncertainty_type"):
        return _values_of_uncertainty(name, given)
    masks = []
    if _is_nddata(given):
        masks.append(given.mask)
        given = given.data if given.unit is None else given.data * given.unit
    if isinstance(given, list | tuple):
        if any(hasattr(one, "unit") for one in given):
            given = _joined(name, given)
        else:
            # NumPy would warn of each masked element.
            given = [np.nan if one is np.ma.masked else one for one in given]
    own_unit = getattr(given, "unit", None)
    if hasattr(given, "unmasked"):
        masks.append(given.mask)
        given = given.unmasked
    elif hasattr(given, "to_numpy"):
        given = _from_series(given)
    elif not isinstance(given, np.ndarray):
        given = np.ma.asarray(given)
    if isinstance(given, np.ma.MaskedArray):
        masks.append(np.ma.getmaskarray(given))
        given = np.ma.getdata(given)
    array = np.asarray(given)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold real numbers, got {array.dtype} values; convert them to floats, "
            f"with NaN where there is none."
        )
    mask = np.zeros(array.shape, dtype=bool)
    for one in masks:
        if one is not None:
            mask |= np.asarray(one, dtype=bool)
    return Values(array.astype(np.float64), mask, _parsed(unit if own_unit is None else own_unit))


def _is_nddata(given):
    """Whether an object is an NDData, or another container of data, mask and uncertainty."""
    return all(hasattr(given, name) for name in ("uncertainty", "data", "mask", "unit"))


def _joined(name, given):
    """Return a list of Quantities as one Quantity."""
    from astropy import units

    try:
        return units.Quantity(given)
    except (units.UnitsError, TypeError) as error:
        raise ValueError(
            f"{name} holds values of different units: {error}; give one Quantity for all."
        ) from error


def _from_series(series):
    """Return a column of pandas or polars as an array; missing numbers are NaN."""
    kind = getattr(series.dtype, "kind", "")
    if kind in "fiu" and kind and not isinstance(series.dtype, np.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy()


def _parsed(unit):
    """Return a unit of a text, or the unit itself; None for none."""
    if unit is None or unit == "":
        return None
    if not isinstance(unit, str):
        return unit
    from astropy import units

    return units.Unit(unit, parse_strict="silent")


def _values_of_uncertainty(name, given):
    """Return the standard errors of an uncertainty of astropy.nddata."""
    kind = given.uncertainty_type
    if kind not in ("std", "var", "ivar"):
        raise ValueError(
            f"{name} is an uncertainty of type {kind!r}, whose meaning is not known; give a "
            f"StdDevUncertainty, VarianceUncertainty or InverseVariance, or an array of standard "
            f"errors."
        )
    if given.array is None:
        raise ValueError(f"{name} is an uncertainty without values; leave it out.")
    values = values_of(name, given.array, given.unit)
    if kind == "std":
        return values
    return errors_of_ivar(values) if kind == "ivar" else _errors_of_variance(values)


def _errors_of_variance(values):
    """Return standard errors of variances; NaN where these are negative."""
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(values.data)
    return Values(sigma, values.mask, None if values.unit is None else values.unit**0.5)


def errors_of_ivar(values: Values) -> Values:
    """Return standard errors of inverse variances; infinite where these are not positive."""
    sigma = np.full(values.data.shape, np.inf)
    positive = values.data > 0
    np.divide(1.0, np.sqrt(values.data, where=positive, out=sigma.copy()), sigma, where=positive)
    return Values(sigma, values.mask, None if values.unit is None else values.unit**-0.5)


def mask_of(name: str, given: Any) -> NDArray[np.bool_]:
    """Return a mask as an array; its own masked elements are True.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    given : array-like, bool or integers
        True or not 0 for pixels to leave out.

    Returns
    -------
    ndarray, bool
        A copy.

    Raises
    ------
    ValueError
        If the values are neither true, false nor integers.
    """
    if hasattr(given, "to_numpy"):
        given = given.to_numpy()
    masked = np.ma.asarray(given)
    array = np.ma.getdata(masked)
    plain = array.dtype.kind in "biu"
    if not plain and array.dtype.kind == "f":
        plain = bool(np.isin(array, (0.0, 1.0)).all())
    elif not plain and array.dtype.kind == "O":
        plain = all(isinstance(one, bool | np.bool_) for one in array.ravel())
    if not plain:
        raise ValueError(
            f"{name} must be True for pixels to leave out and False for others, got "
            f"{array.dtype} values; compute it from them, such as mask=quality < 1."
        )
    return array.astype(bool) | np.ma.getmaskarray(masked)


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
    from astropy import units

    one = units.dimensionless_unscaled
    if isinstance(unit, units.UnrecognizedUnit):
        # Nothing is known, and nothing is converted.
        return unit, 1.0
    if not isinstance(unit, units.UnitBase) or _is_logarithmic(unit):
        raise ValueError(
            f"{name} is in {unit}, a logarithmic unit; convert it to flux first, for instance "
            f"with 10 ** (-0.4 * magnitudes)."
        )
    if unit.is_equivalent(one):
        return one, unit.to(one)
    flux = units.Unit(PER_ANGSTROM)
    per_photon, per_frequency = units.ph / units.erg, units.AA / units.Hz
    for target in (flux, flux / units.sr, flux * units.cm**2):
        if unit.is_equivalent(target):
            return unit, 1.0
        others = (per_frequency, per_photon, per_frequency * per_photon)
        # A flux that is not per unit of wavelength or frequency is not converted: it may be
        # that of a pixel, or wavelength times density.
        if any(unit.is_equivalent(target * other) for other in others):
            density = np.ones(len(wavelength)) * unit
            return target, density.to_value(target, units.spectral_density(wavelength * units.AA))
    if _is_count(unit):
        return unit, 1.0
    raise ValueError(
        f"{name} has the unit {unit}, which is not one of flux: give flux per unit of wavelength "
        f"or of frequency, photons or counts, or plain numbers."
    )


def _is_logarithmic(unit):
    """Whether a unit is a magnitude, a dex or a decibel."""
    from astropy import units

    return any(base in (units.mag, units.dex, units.dB) for base in unit.decompose().bases)


def _is_count(unit):
    """Whether a unit is one of counts, with or without time, area and pixels."""
    from astropy import units

    counts = {units.adu, units.ct, units.electron, units.ph, units.DN, units.bin, units.pix}
    bases = set(unit.decompose().bases)
    return bool(bases & counts) and bases <= counts | {units.s, units.m, units.rad}


def _error_factor(unit, flux_unit, target, wavelength):
    """Return the factor from the unit of the errors to that of the converted flux."""
    from astropy import units

    errors_target, factor = _target_and_factor("sigma", unit, wavelength)
    relative = errors_target == units.dimensionless_unscaled
    if flux_unit is None:
        if relative and factor == 1.0:
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


_RELATIVE = " (a relative error of half a per cent is sigma=0.005 * flux)"


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
