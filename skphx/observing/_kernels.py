"""Transfer functions of broadening kernels, with their derivatives.

=========== ========= ==========================================================
quantity    unit      meaning
=========== ========= ==========================================================
omega       s/km      angular frequency conjugate to velocity, c ln(wavelength)
vsini2      km²/s²    square of the projected equatorial velocity
macro2      km²/s²    square of the radial-tangential macroturbulence ζ_RT
variance    km²/s²    variance of the Gaussian line-spread function
=========== ========= ==========================================================

A transfer function is the Fourier transform of a kernel. Every kernel has unit area, so every
transfer function is 1 at frequency 0. Rotation and macroturbulence are parameterised by their
squares. The broadening is an even function of these velocities, so derivatives with respect to
the velocities vanish at 0, and a least-squares fit could not leave 0.
"""

import numpy as np
from scipy.special import j0, j1

from skphx._domain import FWHM_PER_SIGMA, SPEED_OF_LIGHT

# Arguments below this use the power series: the closed forms suffer from cancellation there.
_SMALL = 0.5


def _series(z, coefficients):
    """Evaluate a polynomial in z, lowest power first."""
    return np.polynomial.polynomial.polyval(z, coefficients)


def _disc(t2, t):
    """Return the transform of a disc seen edge-on, 2 J1(t)/t, and d/d(t²) of it, −J2(t)/t²."""
    value = _series(t2, (1.0, -1 / 8, 1 / 192, -1 / 9216, 1 / 737280))
    slope = _series(t2, (-1 / 8, 1 / 96, -1 / 3072, 1 / 184320))
    large = t > _SMALL
    t_large = t[large]
    bessel1 = j1(t_large)
    value[large] = 2.0 * bessel1 / t_large
    slope[large] = -(2.0 * bessel1 / t_large - j0(t_large)) / t2[large]
    return value, slope


def _ball(t2, t):
    """Return the transform of a parabola, 3 (sin t − t cos t)/t³, and d/d(t²) of it."""
    value = _series(t2, (1.0, -1 / 10, 1 / 280, -1 / 15120, 1 / 1330560))
    slope = _series(t2, (-1 / 10, 1 / 140, -1 / 5040, 1 / 332640))
    large = t > _SMALL
    t_large, t2_large = t[large], t2[large]
    sine, cosine = np.sin(t_large), np.cos(t_large)
    bessel1 = (sine - t_large * cosine) / t2_large
    value[large] = 3.0 * bessel1 / t_large
    slope[large] = -1.5 * (3.0 * bessel1 / t_large - sine / t_large) / t2_large
    return value, slope


def rotation(omega, vsini2, limb_darkening):
    """Return the transfer function of rotation: rigid sphere, linear limb darkening.

    Parameters
    ----------
    omega : ndarray of shape (n_frequencies,)
        Angular frequency, s/km.
    vsini2 : ndarray of shape (n_spectra,)
        Square of v sin i, km²/s².
    limb_darkening : float
        Coefficient ε of the linear law, 0 to 1.

    Returns
    -------
    transfer : ndarray of shape (n_spectra, n_frequencies)
        Dimensionless.
    derivative : ndarray of shape (n_spectra, n_frequencies)
        Derivative with respect to `vsini2`.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapter 18.
    """
    t2 = vsini2[:, None] * omega**2
    t = np.sqrt(t2)
    disc, disc_slope = _disc(t2, t)
    ball, ball_slope = _ball(t2, t)
    share = (1.0 - limb_darkening) / (1.0 - limb_darkening / 3.0)
    transfer = share * disc + (1.0 - share) * ball
    return transfer, (share * disc_slope + (1.0 - share) * ball_slope) * omega**2


def macroturbulence(omega, macro2):
    """Return the transfer function of radial-tangential macroturbulence with equal shares.

    It is integrated over a disc without limb darkening. Radial and tangential motions then have
    the same transform, (1 − exp(−y))/y with y = (ωζ/2)².

    Parameters
    ----------
    omega : ndarray of shape (n_frequencies,)
        Angular frequency, s/km.
    macro2 : ndarray of shape (n_spectra,)
        Square of ζ_RT, km²/s².

    Returns
    -------
    transfer, derivative : ndarray of shape (n_spectra, n_frequencies)
        The transfer function, and its derivative with respect to `macro2`.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapter 17.
    """
    y = macro2[:, None] * (0.5 * omega) ** 2
    transfer = _series(y, (1.0, -1 / 2, 1 / 6, -1 / 24, 1 / 120, -1 / 720, 1 / 5040))
    slope = _series(y, (-1 / 2, 1 / 3, -1 / 8, 1 / 30, -1 / 144, 1 / 840, -1 / 5760))
    large = y > 0.1
    y_large = y[large]
    decay = np.exp(-y_large)
    transfer[large] = (1.0 - decay) / y_large
    slope[large] = (decay * (1.0 + y_large) - 1.0) / y_large**2
    return transfer, slope * (0.5 * omega) ** 2


def gaussian(omega, variance):
    """Return the transfer function of a Gaussian line-spread function.

    Parameters
    ----------
    omega : ndarray of shape (n_frequencies,)
        Angular frequency, s/km.
    variance : ndarray of shape (n_spectra,)
        Variance of the Gaussian, km²/s².

    Returns
    -------
    transfer, derivative : ndarray of shape (n_spectra, n_frequencies)
        The transfer function, and its derivative with respect to `variance`.
    """
    half = -0.5 * omega**2
    transfer = np.exp(variance[:, None] * half)
    return transfer, transfer * half


def variance_of_resolution(resolution):
    """Return the variance in km²/s² of a Gaussian whose FWHM is c/R."""
    return (SPEED_OF_LIGHT / (FWHM_PER_SIGMA * np.asarray(resolution))) ** 2


def shift_of_velocity(velocity):
    """Return the shift in c ln(wavelength), km/s, of a radial velocity, and its derivative.

    The Doppler shift is relativistic.
    """
    beta = np.asarray(velocity) / SPEED_OF_LIGHT
    return SPEED_OF_LIGHT * np.arctanh(beta), 1.0 / (1.0 - beta**2)
