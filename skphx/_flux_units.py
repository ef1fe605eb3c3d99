"""Units of flux: which become flux per unit of wavelength, and by which factor at each pixel.

Models, grids and observed spectra are flux per unit of wavelength, F_λ, in any unit, or numbers
without a unit. Flux per unit of frequency, F_ν, and photon rates have another shape, so they are
converted; units that are no flux are refused. astropy is imported only where there is a unit.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Unit to which observed spectra per unit of frequency, and photons, are converted.
PER_ANGSTROM = "erg / (s cm2 Angstrom)"


def is_logarithmic(unit: Any) -> bool:
    """Whether an astropy unit is a magnitude, a dex or a decibel."""
    from astropy import units

    if not isinstance(unit, units.UnitBase):
        return True
    return any(base in (units.mag, units.dex, units.dB) for base in unit.decompose().bases)


def unit_per_wavelength(unit: Any, name: str, per_wavelength: str = PER_ANGSTROM) -> Any:
    """Return the unit per unit of wavelength to which flux has to be converted.

    Parameters
    ----------
    unit : astropy unit
        Unit of the flux.
    name : str
        What is in this unit, for the messages.
    per_wavelength : str
        Unit of converted flux; that of intensities is divided by sr, that of luminosities
        multiplied by cm².

    Returns
    -------
    astropy unit or None
        None for flux that stays as it is: per unit of wavelength, counts, or in a unit that
        astropy does not know. Dimensionless for percentages and the like.

    Raises
    ------
    ValueError
        If the unit is logarithmic, or is not one of flux.

    Examples
    --------
    >>> from astropy import units
    >>> from skphx._flux_units import unit_per_wavelength
    >>> print(unit_per_wavelength(units.Jy, "flux"))
    erg / (Angstrom s cm2)
    >>> unit_per_wavelength(units.W / units.m**2, "flux")
    Traceback (most recent call last):
        ...
    ValueError: flux is in W / m2, which is not flux per unit of wavelength or frequency; ...
    """
    from astropy import units

    if isinstance(unit, units.UnrecognizedUnit):
        return None
    if is_logarithmic(unit):
        raise ValueError(
            f"{name} is in {unit}, a logarithmic unit; convert it to flux first, for instance "
            f"with 10 ** (-0.4 * magnitudes)."
        )
    if unit.is_equivalent(units.dimensionless_unscaled):
        return units.dimensionless_unscaled
    flux = units.Unit(per_wavelength)
    per_photon, per_frequency = units.ph / units.erg, units.AA / units.Hz
    for target in (flux, flux / units.sr, flux * units.cm**2):
        if unit.is_equivalent(target):
            return None
        others = (per_frequency, per_photon, per_frequency * per_photon)
        # A flux that is not per unit of wavelength or frequency is not converted: it may be
        # that of a pixel, or wavelength times density.
        if any(unit.is_equivalent(target * other) for other in others):
            return target
    if _is_count(unit):
        return None
    raise ValueError(
        f"{name} is in {unit}, which is not flux per unit of wavelength or frequency; convert it "
        f"to {per_wavelength}, or give photons, counts or plain numbers."
    )


def _is_count(unit):
    """Whether a unit is one of counts, with or without time, area and pixels."""
    from astropy import units

    counts = {units.adu, units.ct, units.electron, units.ph, units.DN, units.bin, units.pix}
    bases = set(unit.decompose().bases)
    return bool(bases & counts) and bases <= counts | {units.s, units.m, units.rad}


def factor_at(wavelength: ArrayLike, unit: Any, target: Any) -> NDArray[np.float64]:
    """Return the factor from one unit of flux to another at each pixel.

    Parameters
    ----------
    wavelength : array-like
        Pixel centres in Å; NaN where there is none. The difference between air and vacuum is
        neglected: it changes converted flux by a factor of 1.0003.
    unit, target : astropy unit
        Unit of the flux, and the one of the result.

    Returns
    -------
    ndarray
        Factors in the shape of `wavelength`, NaN where this is NaN.

    Raises
    ------
    astropy.units.UnitConversionError
        If flux cannot be converted.

    Examples
    --------
    >>> from astropy import units
    >>> from skphx._flux_units import factor_at
    >>> factor_at([5000.0], units.Jy, units.Unit("erg / (s cm2 cm)"))  # 1e-23 c/λ²
    array([0.00011992])
    """
    from astropy import units

    wavelength = np.asarray(wavelength, dtype=np.float64)
    factor = np.full(wavelength.shape, np.nan)
    known = np.isfinite(wavelength)
    at = units.spectral_density(wavelength[known] * units.AA)
    factor[known] = (np.ones(known.sum()) * unit).to_value(target, at)
    return factor
