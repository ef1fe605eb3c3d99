"""Line profiles of unit area, for NumPy arrays and torch tensors alike.

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

import numpy as np

PROFILES = ("pseudo-voigt", "voigt", "blase")

# f_G / sigma
FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
# blase writes the same factor with five digits, and its files were trained with it.
BLASE_FWHM_PER_SIGMA = 2.3548


def _namespace(*arrays):
    """Return torch if any argument is a tensor, else NumPy."""
    for array in arrays:
        if type(array).__module__.partition(".")[0] == "torch":
            import torch

            return torch
    return np


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
    >>> from skphx.lines import total_fwhm
    >>> round(float(total_fwhm(0.0, 0.05)), 6)
    0.1
    """
    gauss, lorentz = fwhm_per_sigma * sigma, 2.0 * gamma
    terms = gauss + 2.69269 * lorentz
    terms = terms * gauss + 2.42843 * lorentz**2
    terms = terms * gauss + 4.47163 * lorentz**3
    terms = terms * gauss + 0.07842 * lorentz**4
    terms = terms * gauss + lorentz**5
    return terms**0.2


def lorentzian_share(sigma, gamma, *, fwhm_per_sigma=FWHM_PER_SIGMA):
    """Share eta of the Lorentzian in a pseudo-Voigt profile, 0 to 1.

    Parameters
    ----------
    sigma, gamma : array or tensor
        Widths of the Gaussian and the Lorentzian part, Å, as in `total_fwhm`.
    fwhm_per_sigma : float
        Factor from `sigma` to the Gaussian's full width.

    Returns
    -------
    array or tensor
        eta = 1.36603 q − 0.47719 q² + 0.11116 q³ with q = f_L / f.

    References
    ----------
    Thompson, Cox & Hastings 1987, J. Appl. Cryst. 20, 79.
    """
    ratio = 2.0 * gamma / total_fwhm(sigma, gamma, fwhm_per_sigma=fwhm_per_sigma)
    return ratio * (1.36603 + ratio * (-0.47719 + ratio * 0.11116))


def gaussian(x, sigma):
    """Gaussian of unit area and standard deviation `sigma`, 1/Å at distance `x` in Å."""
    xp = _namespace(x, sigma)
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
    if profile == "blase":
        eta = lorentzian_share(sigma, gamma, fwhm_per_sigma=BLASE_FWHM_PER_SIGMA)
        return eta, gamma, sigma
    fwhm = total_fwhm(sigma, gamma)
    ratio = 2.0 * gamma / fwhm
    eta = ratio * (1.36603 + ratio * (-0.47719 + ratio * 0.11116))
    return eta, 0.5 * fwhm, fwhm / FWHM_PER_SIGMA


def pseudo_voigt(x, sigma, gamma):
    """Pseudo-Voigt profile whose two parts share one full width at half maximum.

    eta L(x; f) + (1 − eta) G(x; f), with f of `total_fwhm` and eta of
    `lorentzian_share`; within 1.3 % of the exact profile's peak everywhere.

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
    Thompson, Cox & Hastings 1987, J. Appl. Cryst. 20, 79.

    Examples
    --------
    >>> from skphx.lines import pseudo_voigt, voigt
    >>> bool(abs(pseudo_voigt(0.0, 0.1, 0.05) / voigt(0.0, 0.1, 0.05) - 1) < 0.013)
    True
    """
    eta, half_width, deviation = components("pseudo-voigt", sigma, gamma)
    return eta * lorentzian(x, half_width) + (1.0 - eta) * gaussian(x, deviation)


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


def voigt(x, sigma, gamma):
    """Exact Voigt profile, Re w(z) / (sqrt(2 pi) sigma) with z = (x + i gamma) / (sqrt(2) sigma).

    Parameters
    ----------
    x : array or tensor
        Distance from the centre, Å.
    sigma, gamma : array or tensor
        Widths of the Gaussian and the Lorentzian part, Å, broadcast against `x`;
        `sigma` positive, `gamma` not negative.

    Returns
    -------
    array or tensor
        Profile of unit area, 1/Å. Gradients of any order pass through tensors.

    Examples
    --------
    >>> from scipy.special import voigt_profile
    >>> from skphx.lines import voigt
    >>> bool(abs(voigt(0.3, 0.1, 0.05) / voigt_profile(0.3, 0.1, 0.05) - 1) < 1e-12)
    True
    """
    scale = math.sqrt(2.0) * sigma
    norm = math.sqrt(math.pi) * scale
    if _namespace(x, sigma, gamma) is np:
        from scipy.special import wofz

        return wofz(x / scale + 1j * (gamma / scale)).real / norm
    import torch

    from skphx.lines._faddeeva import faddeeva

    real, imag = torch.broadcast_tensors(x / scale, gamma / scale)
    return faddeeva(torch.complex(real, imag)).real / norm


_FUNCTIONS = {"pseudo-voigt": pseudo_voigt, "voigt": voigt, "blase": blase_voigt}


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
