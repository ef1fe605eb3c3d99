"""Units of flux: flux per unit frequency becomes flux per unit wavelength.

Grids hold flux per unit wavelength, F_λ, in any unit, or numbers without a unit. Continua and
lines of flux per unit frequency, F_ν, have another shape, so F_ν and photon rates are converted,
and units that are no flux are refused.
"""

from typing import Any

import numpy as np

from skphx._domain import FLUX_UNIT
from skphx._plain import as_quantity, in_unit, unit_of

# Units of numbers that detectors count.
_COUNTS = {"adu", "ct", "count", "DN", "electron", "ph", "photon"}
_OF_COUNTS = _COUNTS | {"s", "m", "pix", "pixel", "bin"}


def flux_per_wavelength(
    flux: Any, unit: Any, wavelength: Any, name: str, *, wanted: Any = None
) -> tuple[Any, str | None]:
    """Return flux per unit wavelength, and its unit.

    Parameters
    ----------
    flux : ndarray of shape (..., n_pixels)
        Plain numbers.
    unit : str, astropy unit or None
        Their unit; None is unknown. Text that is no unit of astropy is kept as it is.
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å. The difference between air and vacuum is neglected: it changes
        converted flux by a factor of 1.0003.
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
    >>> from skphx.datasets._flux_units import flux_per_wavelength
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
    target = _target_of(given, label, name) if wanted is None else units.Unit(wanted)
    if target is None or target == given:
        return flux, label if wanted is None else str(wanted)
    # A spectral density needs one wavelength for each pixel.
    density = units.spectral_density(np.asarray(wavelength) * units.AA)
    flux = in_unit(
        np.asarray(flux, dtype=np.float64) * given,
        target,
        f"flux of {name}",
        equivalencies=density,
    )
    if wanted is not None:
        return flux, str(wanted)
    return flux, FLUX_UNIT if target == units.Unit(FLUX_UNIT) else str(target)


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

    target = _target_of(units.Unit(unit), str(unit), name)
    if target is None:
        return flux_per_wavelength(flux, own, wavelength, name, wanted=unit)
    wanted = FLUX_UNIT if target == units.Unit(FLUX_UNIT) else target
    return flux_per_wavelength(flux, own, wavelength, name, wanted=wanted)


def _target_of(unit, label, name):
    """Return the unit to which flux is converted; None if it is flux per wavelength, or counts."""
    from astropy import units

    one = units.dimensionless_unscaled
    if hasattr(unit, "physical_unit") or unit in (units.mag, units.dex, units.dB):
        raise ValueError(f"the flux of {name} is in {label}; pass flux, not its logarithm.")
    if unit.is_equivalent(one):
        return one
    per_wavelength = units.Unit(FLUX_UNIT)
    luminosity = units.erg / units.s / units.cm
    targets = (per_wavelength, per_wavelength / units.sr, luminosity)
    if any(unit.is_equivalent(target) for target in targets):
        return None
    bases = {base.name for base in unit.decompose().bases}
    if bases & _COUNTS and bases <= _OF_COUNTS:
        photons = units.photon / (units.s * units.cm**2)
        # Photons per area and wavelength or frequency are a flux; other counts are any scale.
        if not any(unit.is_equivalent(photons / per) for per in (units.cm, units.Hz)):
            return None
    density = units.spectral_density(1.0 * units.AA)
    if not unit.is_equivalent(units.W / units.m**2):  # νF_ν, or flux in a band
        for target in targets:
            if unit.is_equivalent(target, density):
                return target
    raise ValueError(
        f"the flux of {name} is in {label}, which is not flux per unit wavelength or frequency; "
        f"convert it to {FLUX_UNIT}, or to another unit of flux per unit wavelength."
    )
