"""Broadening as transfer functions: Fourier transforms of kernels, with their derivatives.

=========== ========= ==========================================================
quantity    unit      what
=========== ========= ==========================================================
omega       s/km      angular frequency conjugate to velocity, c ln(wavelength)
vsini2      km²/s²    square of the projected equatorial velocity
macro2      km²/s²    square of the radial-tangential macroturbulence ζ_RT
variance    km²/s²    of the Gaussian line-spread function
=========== ========= ==========================================================

Every kernel has unit area, so that every transfer function is 1 at frequency 0. Rotation and
macroturbulence enter by their squares: widths are even functions of the velocities, so that
derivatives by the velocities themselves vanish at rest, and least squares would stay there.
"""

import numpy as np
from scipy.special import j0, j1

SPEED_OF_LIGHT = 299792.458  # km/s
FWHM_OF_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
# Below it, closed forms lose digits to cancellation and the series has them all.
_SMALL = 0.5


def _series(z, coefficients):
    """Polynomial in z, lowest power first."""
    return np.polynomial.polynomial.polyval(z, coefficients)


def _disc(t2, t):
    """Transform of a disc seen edge-on, 2 J1(t)/t, and its derivative by t², −J2(t)/t²."""
    value = _series(t2, (1.0, -1 / 8, 1 / 192, -1 / 9216, 1 / 737280))
    slope = _series(t2, (-1 / 8, 1 / 96, -1 / 3072, 1 / 184320))
    large = t > _SMALL
    t_large = t[large]
    bessel1 = j1(t_large)
    value[large] = 2.0 * bessel1 / t_large
    slope[large] = -(2.0 * bessel1 / t_large - j0(t_large)) / t2[large]
    return value, slope


def _ball(t2, t):
    """Transform of a parabola, 3 (sin t − t cos t)/t³, and its derivative by t²."""
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
    """Transfer function of rotation, a rigid sphere with linear limb darkening.

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
        By `vsini2`.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapter 18.
    """
    t2 = vsini2[:, None] * omega**2
    t = np.sqrt(t2)
    disc, disc_slope = _disc(t2, t)
    ball, ball_slope = _ball(t2, t)
    of_disc = (1.0 - limb_darkening) / (1.0 - limb_darkening / 3.0)
    of_ball = 1.0 - of_disc
    transfer = of_disc * disc + of_ball * ball
    return transfer, (of_disc * disc_slope + of_ball * ball_slope) * omega**2


def macroturbulence(omega, macro2):
    """Transfer function of radial-tangential macroturbulence with equal shares.

    Integrated over a disc without limb darkening: radial and tangential streams then have
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
        The transfer function, and its derivative by `macro2`.

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
    """Transfer function of a Gaussian line-spread function.

    Parameters
    ----------
    omega : ndarray of shape (n_frequencies,)
        Angular frequency, s/km.
    variance : ndarray of shape (n_spectra,)
        Of the Gaussian, km²/s².

    Returns
    -------
    transfer, derivative : ndarray of shape (n_spectra, n_frequencies)
        The transfer function, and its derivative by `variance`.
    """
    half = -0.5 * omega**2
    transfer = np.exp(variance[:, None] * half)
    return transfer, transfer * half


def variance_of_resolution(resolution):
    """Variance in km²/s² of a Gaussian whose FWHM is c/R."""
    return (SPEED_OF_LIGHT / (FWHM_OF_SIGMA * np.asarray(resolution))) ** 2


def shift_of_velocity(velocity):
    """Shift in c ln(wavelength), km/s, of a relativistic radial velocity, and its derivative."""
    beta = np.asarray(velocity) / SPEED_OF_LIGHT
    return SPEED_OF_LIGHT * np.arctanh(beta), 1.0 / (1.0 - beta**2)
