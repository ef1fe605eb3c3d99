"""Constants, units, names of parameters and checks that all modules share.

======================  =======================================================
quantity                unit
======================  =======================================================
wavelength              Å (in air or in vacuum, as the data set says)
flux, absolute          erg s⁻¹ cm⁻² cm⁻¹, as in PHOENIX: per cm² of the
                        star's surface and per cm of wavelength
Teff                    K
log g, [Fe/H]           dex(cm s⁻²), dex
velocity                km/s
resolution              λ/FWHM, dimensionless
======================  =======================================================

One erg s⁻¹ cm⁻² cm⁻¹ is 10⁻⁸ erg s⁻¹ cm⁻² Å⁻¹. The error message of every check names the
argument, what was expected, what was given, and what to do.
"""

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import constants

from skphx._paths import as_path
from skphx._plain import in_unit, refuse_masked, unit_of

#: Speed of light in km/s, and in Å/s.
SPEED_OF_LIGHT = constants.c / 1e3
SPEED_OF_LIGHT_ANGSTROM = constants.c * 1e10

#: Full width at half maximum of a Gaussian of standard deviation 1.
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))

#: Media in which wavelengths are given.
MEDIA = ("air", "vacuum")

#: Unit of absolute flux, in the notation of astropy.
FLUX_UNIT = "erg / (cm2 s cm)"

#: Å in a centimetre, and in a micrometre.
ANGSTROM_PER_CM = 1e8
ANGSTROM_PER_MICRON = 1e4

#: The stellar parameters of every grid that skphx.datasets loads, in their usual order, and their
#: units in the notation of astropy.
STELLAR_PARAMETERS = ("teff", "logg", "feh")
PARAMETER_UNITS = {"teff": "K", "logg": "dex(cm / s2)", "feh": "dex"}

#: Kinematic and instrumental parameters of an observed spectrum: radial velocity, projected
#: rotation velocity and macroturbulence in km/s, and resolution λ/FWHM.
KINEMATIC_PARAMETERS = ("velocity", "vsini", "macroturbulence", "resolution")
KINEMATIC_UNITS = {
    "velocity": "km / s",
    "vsini": "km / s",
    "macroturbulence": "km / s",
    "resolution": "",
}

#: End of the names of abundances [X/Fe] as parameters, such as "ca_fe".
ABUNDANCE_SUFFIX = "_fe"

#: The four numbers of a line: centre (Å), ln of the integrated optical depth (Å), ln of the
#: Gaussian standard deviation and of the Lorentzian half width at half maximum (Å).
LINE_PARAMETERS = ("center", "log_area", "log_sigma", "log_gamma")

# First and second radiation constant in cgs: 2 π h c² in erg cm² s⁻¹ and h c / k in cm K.
_C1 = 2.0 * np.pi * constants.h * 1e7 * (constants.c * 1e2) ** 2
_C2 = constants.h * constants.c / constants.k * 1e2


def unit_of_parameter(name: str) -> str | None:
    """Return the unit of a parameter in the notation of astropy, or None if it is unknown."""
    if name.endswith(ABUNDANCE_SUFFIX):
        return "dex"
    return {**PARAMETER_UNITS, **KINEMATIC_UNITS}.get(name)


def check_medium(medium: Any, *, name: str = "medium", required: bool = False) -> None:
    """Raise unless a medium is "air" or "vacuum", or None where it is not required.

    Parameters
    ----------
    medium : object
        Value of the argument.
    name : str
        Name of the argument, for the message.
    required : bool
        Whether None is an error.

    Raises
    ------
    ValueError
        For any other value.

    Examples
    --------
    >>> from skphx._domain import check_medium
    >>> check_medium("water")
    Traceback (most recent call last):
        ...
    ValueError: medium must be 'air', 'vacuum' or None, got 'water'...
    """
    if medium is None and not required:
        return
    if not isinstance(medium, str) or medium not in MEDIA:
        allowed = "'air' or 'vacuum'" if required else "'air', 'vacuum' or None"
        raise ValueError(f"{name} must be {allowed}, got {medium!r}.")


def check_file(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file; raise FileNotFoundError unless the file exists.

    Parameters
    ----------
    path : path
        Path of a file; ``~`` is the home folder.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    FileNotFoundError
        If there is no file with this path.

    Examples
    --------
    >>> from skphx._domain import check_file
    >>> check_file("absent.npz")
    Traceback (most recent call last):
        ...
    FileNotFoundError: There is no file absent.npz: check the path.
    """
    path = as_path(path)
    if path.is_dir():
        raise FileNotFoundError(f"There is no file {path}: it is a folder; check the path.")
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    return path


def check_wavelength(
    wavelength: Any, n_pixels: int | None = None, *, name: str = "wavelength"
) -> NDArray[np.float64]:
    """Return wavelengths as a float64 array in Å.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing and positive. A tuple of two numbers means
        `n_pixels` evenly spaced pixels from start to stop, both included. Quantities and columns
        of astropy in any unit of length are converted. None numbers the pixels 1, 2, ...
        n_pixels.
    n_pixels : int or None
        Number of pixels of the spectra; None skips the check of the length.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    ndarray of shape (n_pixels,), float64
        Pixel centres in Å.

    Raises
    ------
    ValueError
        If the length, the order, the sign or the unit is wrong, or an element is masked.

    Examples
    --------
    >>> from skphx._domain import check_wavelength
    >>> check_wavelength((5000, 5001), n_pixels=3)
    array([5000. , 5000.5, 5001. ])
    >>> check_wavelength([5001.0, 5000.0])
    Traceback (most recent call last):
        ...
    ValueError: wavelength must be strictly increasing, but element 1 (5000.0 Å) ...
    """
    if wavelength is None:
        if n_pixels is None:
            raise ValueError(f"{name} must be given: pass the wavelengths of the pixels in Å.")
        return np.arange(1.0, n_pixels + 1.0)
    wavelength = plain_wavelength(wavelength, name)
    if isinstance(wavelength, tuple) and len(wavelength) == 2:
        if n_pixels is None:
            raise ValueError(
                f"{name}=(start, stop) also needs the number of pixels; pass the wavelengths of "
                f"all pixels instead."
            )
        start, stop = (float(edge) for edge in wavelength)
        wavelength = np.linspace(start, stop, n_pixels)
        if n_pixels > 1 and not stop > start:
            raise ValueError(f"{name}=(start, stop) needs start < stop, got ({start}, {stop}).")
    wavelength = np.asarray(wavelength)
    if wavelength.ndim != 1 or wavelength.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must be a one-dimensional array of numbers in Å, got shape "
            f"{wavelength.shape} and dtype {wavelength.dtype}."
        )
    wavelength = wavelength.astype(np.float64)
    if n_pixels is not None and len(wavelength) != n_pixels:
        raise ValueError(
            f"{name} has {len(wavelength)} elements but the spectra have {n_pixels} pixels; "
            f"pass one wavelength for each pixel of the flux."
        )
    if not np.isfinite(wavelength).all():
        where = int(np.flatnonzero(~np.isfinite(wavelength))[0])
        raise ValueError(
            f"{name} must be finite, but element {where} is {wavelength[where]}; "
            f"remove this pixel from wavelength and flux."
        )
    if len(wavelength) and wavelength[0] <= 0:
        raise ValueError(
            f"{name} must be positive, in Å, but its first element is {wavelength[0]}."
        )
    steps = np.diff(wavelength)
    if (steps <= 0).any():
        where = int(np.flatnonzero(steps <= 0)[0]) + 1
        raise ValueError(
            f"{name} must be strictly increasing, but element {where} ({wavelength[where]} Å) "
            f"follows {wavelength[where - 1]} Å; sort wavelength and flux together, and merge "
            f"repeated pixels."
        )
    return wavelength


def plain_wavelength(wavelength: Any, name: str = "wavelength") -> Any:
    """Return wavelengths without their unit, in Å; a tuple stays a tuple.

    Parameters
    ----------
    wavelength : object
        Wavelengths as the user gave them: plain numbers in Å, or in a unit of length.
    name : str
        Name of the argument, for the message.

    Returns
    -------
    object
        The same, if there is no unit; otherwise an ndarray or a tuple of numbers in Å.

    Raises
    ------
    ValueError
        If the unit is not one of length, or an element is masked.
    """
    refuse_masked(wavelength, name, remedy="remove these pixels from wavelength and flux")
    unit = unit_of(wavelength)
    if unit is None:
        return wavelength
    if not unit.is_equivalent("Angstrom"):
        raise ValueError(
            f"{name} must have a unit of length, got {unit}; convert the wavelengths to a "
            f"length, for instance to Angstrom."
        )
    numbers = in_unit(wavelength, "Angstrom", name)
    return tuple(numbers.tolist()) if isinstance(wavelength, tuple) else numbers


def check_teff(teff: Any, n_spectra: int) -> NDArray[np.float64]:
    """Return Teff as a float64 array with one element for each spectrum.

    Parameters
    ----------
    teff : float, array-like or Quantity of shape (n_spectra,)
        Effective temperature in K, or in another unit of temperature; a scalar is used for all
        spectra.
    n_spectra : int
        Number of spectra.

    Returns
    -------
    ndarray of shape (n_spectra,), float64
        Effective temperature in K.

    Raises
    ------
    ValueError
        If the length or the unit is wrong, or an element is masked, not finite or not positive.
    """
    refuse_masked(teff, "teff")
    if unit_of(teff) is not None:
        from astropy.units import temperature

        teff = in_unit(teff, "K", "teff", equivalencies=temperature())
    teff = np.asarray(teff, dtype=np.float64)
    if teff.ndim == 0:
        teff = np.full(n_spectra, float(teff))
    if teff.shape != (n_spectra,):
        raise ValueError(
            f"teff must hold one effective temperature per spectrum, shape "
            f"({n_spectra},), got shape {teff.shape}."
        )
    bad = ~(np.isfinite(teff) & (teff > 0))
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"teff must be positive and finite, in K, but element {where} is {teff[where]}; "
            f"give the effective temperature of this spectrum."
        )
    return teff


def check_flux(X: Any, *, allow_zero: bool = False, name: str = "X") -> None:
    """Raise if a spectrum is zero everywhere, or negative in at least half of its pixels.

    Fewer negative pixels are accepted: observed spectra have them after sky subtraction.

    Parameters
    ----------
    X : ndarray of shape (n_spectra, n_pixels), or iterable of spectra
        Flux, finite.
    allow_zero : bool
        Whether to accept spectra that are zero everywhere.
    name : str
        Name of the argument, for the message.

    Raises
    ------
    ValueError
        If there is such a spectrum; the message names the first one.
    """
    # One spectrum at a time: X may be larger than the memory.
    fraction, highest = np.array([((flux < 0).mean(), flux.max()) for flux in X]).T
    negative = np.flatnonzero(fraction >= 0.5)
    if len(negative):
        raise ValueError(
            f"Negative values in data: {name} must hold flux, but {fraction[negative[0]]:.0%} of "
            f"the pixels of spectrum {negative[0]} are negative{_and_others(negative)}. Pass "
            f"flux, not its logarithm, a difference or a standardised spectrum."
        )
    if allow_zero:
        return
    zero = np.flatnonzero(highest <= 0)
    if len(zero):
        raise ValueError(
            f"{name} must hold flux, but spectrum {zero[0]} is zero at every pixel"
            f"{_and_others(zero)}: the file may be corrupt or incomplete; remove it from {name}."
        )


def _and_others(which):
    """Text for the other spectra with the same fault, such as ' (and in 3 more spectra)'."""
    return f" (the same in {len(which) - 1} more spectra)" if len(which) > 1 else ""


def blackbody_flux(wavelength: ArrayLike, teff: ArrayLike) -> NDArray[np.float64]:
    r"""Flux at the surface of a blackbody, :math:`\pi B_\lambda(T)`.

    .. math:: \pi B_\lambda(T) = \frac{2 \pi h c^2}{\lambda^5}
              \frac{1}{\exp(h c / \lambda k T) - 1}

    Parameters
    ----------
    wavelength : array-like
        Wavelength in Å, in vacuum (wavelengths in air change the flux by at most 0.1 %).
    teff : array-like
        Temperature in K, broadcast against `wavelength`.

    Returns
    -------
    ndarray
        Flux in erg s⁻¹ cm⁻² cm⁻¹; zero in the far Wien tail, where it is below the smallest
        float.

    References
    ----------
    Rybicki, G. B. & Lightman, A. P. (1979), Radiative Processes in Astrophysics, eq. 1.52.

    Examples
    --------
    >>> from skphx._domain import blackbody_flux
    >>> print(f"{blackbody_flux(5000.0, 5772.0):.4e}")
    8.2431e+14
    """
    centimetres = np.asarray(wavelength, dtype=np.float64) / ANGSTROM_PER_CM
    ratio = _C2 / (centimetres * np.asarray(teff, dtype=np.float64))
    # exp(-x) / (1 - exp(-x)): expm1 is precise in the Rayleigh-Jeans limit, and the negative
    # exponent underflows to zero in the Wien tail, where a positive one would overflow.
    return _C1 / centimetres**5 * (np.exp(-ratio) / -np.expm1(-ratio))


def blackbody_log_slope(wavelength: ArrayLike, teff: ArrayLike) -> NDArray[np.float64]:
    r"""Return the derivative of the logarithm of a blackbody flux, :math:`d \ln B_\lambda / d T`.

    Parameters
    ----------
    wavelength : array-like
        Wavelength in Å.
    teff : array-like
        Temperature in K, broadcast against `wavelength`.

    Returns
    -------
    ndarray
        Derivative in 1/K.

    Examples
    --------
    >>> from skphx._domain import blackbody_flux, blackbody_log_slope
    >>> step = blackbody_flux(5000.0, 5773.0) / blackbody_flux(5000.0, 5772.0) - 1.0
    >>> round(float(blackbody_log_slope(5000.0, 5772.0) / step), 3)
    1.0
    """
    teff = np.asarray(teff, dtype=np.float64)
    centimetres = np.asarray(wavelength, dtype=np.float64) / ANGSTROM_PER_CM
    ratio = _C2 / (centimetres * teff)
    return ratio / teff / -np.expm1(-ratio)
