"""Line profiles of unit area, for NumPy arrays and, where torch is installed, its tensors.

========== ==========================================================
symbol     meaning and unit
========== ==========================================================
x          distance from the line's centre, Å
sigma      standard deviation of the Gaussian part, Å
gamma      half width at half maximum of the Lorentzian part, Å
f_G, f_L   full widths at half maximum, 2 sqrt(2 ln 2) sigma and 2 gamma, Å
f          full width at half maximum of the whole profile, Å
eta        share of the Lorentzian part, 0 to 1
profile    density, 1/Å: its integral over all x is 1
========== ==========================================================

References
----------
.. [1] Thompson, P., Cox, D. E. & Hastings, J. B. 1987, J. Appl. Cryst. 20, 79.
.. [2] Al Azah, M. & Chandler-Wilde, S. N. 2021, SIAM J. Numer. Anal. 59, 2346.
.. [3] Gully-Santiago, M. & Morley, C. V. 2022, ApJ 941, 200.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import FWHM_PER_SIGMA
from skphx.lines._engine.devices import namespace

# blase writes the same factor with five digits, and its files were trained with it.
BLASE_FWHM_PER_SIGMA = 2.3548

# f⁵ by falling powers of f_G, and a fifth of its derivatives with respect to ln f_G and ln f_L.
_FIFTH_POWER = (1.0, 2.69269, 2.42843, 4.47163, 0.07842, 1.0)
_GAUSS_SLOPE = tuple(0.2 * (5 - k) * term for k, term in enumerate(_FIFTH_POWER))
_LORENTZ_SLOPE = tuple(0.2 * k * term for k, term in enumerate(_FIFTH_POWER))


def total_fwhm(sigma, gamma, *, fwhm_per_sigma=FWHM_PER_SIGMA):
    """Full width at half maximum of a Voigt profile, in Å, within 0.5 %.

    Parameters
    ----------
    sigma : array or tensor
        Standard deviation of the Gaussian part, Å, not negative.
    gamma : array or tensor
        Half width at half maximum of the Lorentzian part, Å, not negative.
    fwhm_per_sigma : float
        Factor from `sigma` to the Gaussian's full width.

    Returns
    -------
    array or tensor
        f = (f_G⁵ + 2.69269 f_G⁴ f_L + 2.42843 f_G³ f_L² + 4.47163 f_G² f_L³
        + 0.07842 f_G f_L⁴ + f_L⁵)^(1/5), Å.

    References
    ----------
    Thompson, Cox & Hastings 1987, J. Appl. Cryst. 20, 79.

    Examples
    --------
    >>> from skphx.lines._engine.profile import total_fwhm
    >>> round(float(total_fwhm(0.0, 0.05)), 6)
    0.1
    """
    return _quintic(_FIFTH_POWER, fwhm_per_sigma * sigma, 2.0 * gamma) ** 0.2


def _quintic(coefficients, gauss, lorentz):
    """Sum of c_k f_G^(5−k) f_L^k; products, because powers of arrays take far longer."""
    square = lorentz * lorentz
    fourth = square * square
    value = coefficients[0] * gauss + coefficients[1] * lorentz
    value = value * gauss + coefficients[2] * square
    value = value * gauss + coefficients[3] * (square * lorentz)
    value = value * gauss + coefficients[4] * fourth
    return value * gauss + coefficients[5] * (fourth * lorentz)


def _share(ratio):
    """Share of the Lorentzian where its width is that part of the total one."""
    return ratio * (1.36603 + ratio * (-0.47719 + ratio * 0.11116))


def _share_slope(ratio):
    """Return the derivative of `_share`."""
    return 1.36603 + ratio * (-2.0 * 0.47719 + ratio * 3.0 * 0.11116)


def gaussian(x, sigma):
    """Gaussian of unit area and standard deviation `sigma`, 1/Å at distance `x` in Å."""
    xp = namespace(x, sigma)
    return xp.exp(-0.5 * (x / sigma) ** 2) / (math.sqrt(2.0 * math.pi) * sigma)


def lorentzian(x, gamma):
    """Lorentzian of unit area and half width `gamma`, 1/Å at distance `x` in Å."""
    return gamma / (math.pi * (x**2 + gamma**2))


def components(profile, sigma, gamma):
    """Split a pseudo-Voigt profile into its Lorentzian and its Gaussian part.

    Parameters
    ----------
    profile : {"pseudo-voigt", "blase"}
        Name of the profile.
    sigma, gamma : array or tensor
        Widths, Å.

    Returns
    -------
    eta, half_width, standard_deviation : arrays or tensors
        Share of the Lorentzian, its half width at half maximum (Å), and the standard
        deviation of the Gaussian (Å): profile = eta L(x; half_width) + (1 − eta)
        G(x; standard_deviation).
    """
    factor = BLASE_FWHM_PER_SIGMA if profile == "blase" else FWHM_PER_SIGMA
    fwhm = total_fwhm(sigma, gamma, fwhm_per_sigma=factor)
    eta = _share(2.0 * gamma / fwhm)
    if profile == "blase":
        return eta, gamma, sigma
    return eta, 0.5 * fwhm, fwhm / FWHM_PER_SIGMA


def component_slopes(profile, sigma, gamma):
    """Differentiate `components` with respect to the logarithms of both widths.

    Parameters
    ----------
    profile : {"pseudo-voigt", "blase"}
        Name of the profile.
    sigma, gamma : array or tensor
        Widths, Å.

    Returns
    -------
    by_log_sigma, by_log_gamma : tuples of three arrays or tensors
        Derivatives of eta, half width (Å) and standard deviation (Å).
    """
    factor = BLASE_FWHM_PER_SIGMA if profile == "blase" else FWHM_PER_SIGMA
    widths = factor * sigma, 2.0 * gamma
    total = _quintic(_FIFTH_POWER, *widths)
    # d ln f / d ln sigma and d ln f / d ln gamma; they add up to 1.
    by_sigma = _quintic(_GAUSS_SLOPE, *widths) / total
    by_gamma = _quintic(_LORENTZ_SLOPE, *widths) / total
    fwhm = total**0.2
    ratio = 2.0 * gamma / fwhm
    # d (f_L / f) / d ln gamma = (f_L / f) d ln f / d ln sigma, and minus that for ln sigma.
    d_eta = _share_slope(ratio) * ratio * by_sigma
    if profile == "blase":
        return (-d_eta, 0.0 * gamma, sigma), (d_eta, gamma, 0.0 * sigma)
    half, deviation = 0.5 * fwhm, fwhm / FWHM_PER_SIGMA
    return (
        (-d_eta, half * by_sigma, deviation * by_sigma),
        (d_eta, half * by_gamma, deviation * by_gamma),
    )


def pseudo_voigt(x: ArrayLike, sigma: ArrayLike, gamma: ArrayLike) -> Any:
    """Pseudo-Voigt profile whose two parts share one full width at half maximum.

    eta L(x; f) + (1 − eta) G(x; f), with f of `total_fwhm` and eta of
    Thompson et al.; within 1.3 % of the exact profile's peak everywhere.

    Parameters
    ----------
    x : array-like or tensor
        Distance from the centre, Å.
    sigma, gamma : array-like or tensor
        Widths of the Gaussian and the Lorentzian part, Å, broadcast against `x`.

    Returns
    -------
    array or tensor
        Profile of unit area, 1/Å: an array from arrays; a tensor, with gradients, from torch
        tensors.

    References
    ----------
    Thompson, Cox & Hastings 1987, J. Appl. Cryst. 20, 79.

    Examples
    --------
    >>> from skphx.lines import pseudo_voigt, voigt
    >>> bool(abs(pseudo_voigt(0.0, 0.1, 0.05) / voigt(0.0, 0.1, 0.05) - 1) < 0.013)
    True
    """
    distance, *widths = _without_lists(x, sigma, gamma)
    eta, half_width, deviation = components("pseudo-voigt", *widths)
    return eta * lorentzian(distance, half_width) + (1.0 - eta) * gaussian(distance, deviation)


def blase_voigt(x, sigma, gamma):
    """Pseudo-Voigt profile as blase computes it: each part keeps its own width.

    eta L(x; gamma) + (1 − eta) G(x; sigma). Its peak is up to 90 % above the exact
    profile's; use it to evaluate line lists that were trained with it.

    Parameters
    ----------
    x : array or tensor
        Distance from the centre, Å.
    sigma, gamma : array or tensor
        Widths of the Gaussian and the Lorentzian part, Å, broadcast against `x`.

    Returns
    -------
    array or tensor
        Profile of unit area, 1/Å.

    References
    ----------
    Gully-Santiago & Morley 2022, ApJ 941, 200.
    """
    eta, half_width, deviation = components("blase", sigma, gamma)
    return eta * lorentzian(x, half_width) + (1.0 - eta) * gaussian(x, deviation)


def voigt(x: ArrayLike, sigma: ArrayLike, gamma: ArrayLike) -> Any:
    """Exact Voigt profile, Re w(z) / (sqrt(2 pi) sigma) with z = (x + i gamma) / (sqrt(2) sigma).

    Parameters
    ----------
    x : array-like or tensor
        Distance from the centre, Å.
    sigma, gamma : array-like or tensor
        Widths of the Gaussian and the Lorentzian part, Å, broadcast against `x`;
        `sigma` positive, `gamma` not negative.

    Returns
    -------
    array or tensor
        Profile of unit area, 1/Å: an array from arrays; a tensor, with gradients of any order,
        from torch tensors.

    Examples
    --------
    >>> from scipy.special import voigt_profile
    >>> from skphx.lines import voigt
    >>> bool(abs(voigt(0.3, 0.1, 0.05) / voigt_profile(0.3, 0.1, 0.05) - 1) < 1e-12)
    True
    """
    distance, deviation, half_width = _without_lists(x, sigma, gamma)
    scale = math.sqrt(2.0) * deviation
    norm = math.sqrt(math.pi) * scale
    if namespace(distance, deviation, half_width) is np:
        from scipy.special import wofz

        return wofz(distance / scale + 1j * (half_width / scale)).real / norm
    import torch

    from skphx.lines._engine.faddeeva import faddeeva

    real, imag = torch.broadcast_tensors(distance / scale, half_width / scale)
    return faddeeva(torch.complex(real, imag)).real / norm


def _without_lists(*values):
    """Turn sequences into arrays; numbers, arrays and tensors stay as they are."""
    return [np.asarray(value) if isinstance(value, list | tuple) else value for value in values]


_FUNCTIONS = {"pseudo-voigt": pseudo_voigt, "voigt": voigt, "blase": blase_voigt}
PROFILES = tuple(_FUNCTIONS)


def get_profile(name):
    """Return the profile function ``f(x, sigma, gamma)`` of that name.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    if name not in _FUNCTIONS:
        raise ValueError(f"profile must be one of {PROFILES}, got {name!r}; choose one of them.")
    return _FUNCTIONS[name]
