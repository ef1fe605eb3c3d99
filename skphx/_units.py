"""What a flux is: its unit, its blackbody limit, and the checks that a spectrum is one.

======================  =======================================================
quantity                unit
======================  =======================================================
wavelength              Å (vacuum or air, as the data set says)
flux, absolute          erg s⁻¹ cm⁻² cm⁻¹, as PHOENIX: per cm² of the star's
                        surface and per cm of wavelength
Teff                    K
log g, [Fe/H]           dex(cm s⁻²), dex
======================  =======================================================

One erg s⁻¹ cm⁻² cm⁻¹ is 10⁻⁸ erg s⁻¹ cm⁻² Å⁻¹.
"""

import numpy as np
from scipy import constants

#: Unit of absolute flux, as astropy writes it.
FLUX_UNIT = "erg / (cm2 s cm)"

ANGSTROM_IN_CM = 1e-8

# First and second radiation constant in cgs: 2 π h c² in erg cm² s⁻¹ and h c / k in cm K.
_C1 = 2.0 * np.pi * constants.h * 1e7 * (constants.c * 1e2) ** 2
_C2 = constants.h * constants.c / constants.k * 1e2


def blackbody_flux(wavelength, teff):
    r"""Flux that leaves the surface of a blackbody, :math:`\pi B_\lambda(T)`.

    .. math:: \pi B_\lambda(T) = \frac{2 \pi h c^2}{\lambda^5}
              \frac{1}{\exp(h c / \lambda k T) - 1}

    Parameters
    ----------
    wavelength : array-like
        Wavelength in Å (in vacuum; air changes the result by 0.1 % at most).
    teff : array-like
        Temperature in K, broadcast against `wavelength`.

    Returns
    -------
    ndarray
        Flux in erg s⁻¹ cm⁻² cm⁻¹. Far out in the Wien tail, beyond the range of floats,
        it is zero.

    References
    ----------
    Rybicki, G. B. & Lightman, A. P. (1979), Radiative Processes in Astrophysics, eq. 1.52.

    Examples
    --------
    >>> from skphx._units import blackbody_flux
    >>> print(f"{blackbody_flux(5000.0, 5772.0):.4e}")
    8.2431e+14
    """
    centimetres = np.asarray(wavelength, dtype=np.float64) * ANGSTROM_IN_CM
    ratio = _C2 / (centimetres * np.asarray(teff, dtype=np.float64))
    # exp(-x) / (1 - exp(-x)): expm1 keeps the digits in the Rayleigh-Jeans limit, and the
    # negative exponent underflows to zero in the Wien tail instead of overflowing.
    return _C1 / centimetres**5 * (np.exp(-ratio) / -np.expm1(-ratio))


def blackbody_log_slope(wavelength, teff):
    r"""Differentiate the logarithm of a blackbody's flux, :math:`d \ln B_\lambda / d T`.

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
    >>> from skphx._units import blackbody_flux, blackbody_log_slope
    >>> step = blackbody_flux(5000.0, 5773.0) / blackbody_flux(5000.0, 5772.0) - 1.0
    >>> round(float(blackbody_log_slope(5000.0, 5772.0) / step), 3)
    1.0
    """
    teff = np.asarray(teff, dtype=np.float64)
    centimetres = np.asarray(wavelength, dtype=np.float64) * ANGSTROM_IN_CM
    ratio = _C2 / (centimetres * teff)
    return ratio / teff / -np.expm1(-ratio)


def check_flux(X, *, allow_zero=False, name="X"):
    """Raise where a spectrum cannot be flux: zero everywhere, or negative in half its pixels.

    Fewer negative pixels pass: noise and sky subtraction leave them in observed spectra.

    Parameters
    ----------
    X : ndarray of shape (n_spectra, n_pixels), or iterable of spectra
        Flux, finite.
    allow_zero : bool
        Whether spectra that are zero everywhere pass.
    name : str
        Name of the argument that holds them, for the message.

    Raises
    ------
    ValueError
        Naming the first such spectrum.
    """
    # One by one: X may be larger than memory.
    share, highest = np.array([((flux < 0).mean(), flux.max()) for flux in X]).T
    negative = np.flatnonzero(share >= 0.5)
    if len(negative):
        raise ValueError(
            f"Negative values in data: {name} must hold flux, but {share[negative[0]]:.0%} of the "
            f"pixels of spectrum {negative[0]} are negative{_and_others(negative)}. Pass flux "
            f"itself, not its logarithm, a difference or a standardised spectrum."
        )
    if allow_zero:
        return
    dark = np.flatnonzero(highest <= 0)
    if len(dark):
        raise ValueError(
            f"{name} must hold flux, but spectrum {dark[0]} is zero at every pixel"
            f"{_and_others(dark)}, as in a corrupt file or one never filled: remove it from "
            f"{name}."
        )


def _and_others(which):
    """', as are 3 more spectra' for the messages."""
    return f", and so in {len(which) - 1} more spectra" if len(which) > 1 else ""
