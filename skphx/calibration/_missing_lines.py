"""Lines that stars have and the models lack: found in what corrections leave of the residuals."""

import numpy as np

from skphx._domain import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from skphx.inference._pixel_weights import SIGMA_PER_MEDIAN
from skphx.observing import _kernels as kernels

# Trial centres for each standard deviation of the observed line.
_TRIALS_PER_SIGMA = 3.0
# Least signal-to-noise ratio of all stars together, and of a star that counts as showing a line.
_LEAST_SIGNAL, _LEAST_OF_STAR = 6.0, 2.0
# No line is added nearer to a strong line, whose profile may be wrong, Å.
_FROM_STRONG = 3.0
# Standard deviations within which pixels are compared.
_REACH = 4.0


def find_missing_lines(stars, equations, residuals, groups, *, most, sigma):
    """Find absorption that several stars show at one wavelength, and the models do not.

    Residuals of each star are compared with a Gaussian at trial wavelengths, as a matched filter.

    Parameters
    ----------
    stars : list of ReferenceStar
        The stars.
    equations : list of Equations
        Their equations, for pixels and errors.
    residuals : list of ndarray of shape (n_pixels,)
        What the corrections leave: observed minus modelled flux.
    groups : LineGroups
        Has the strong lines.
    most : int
        Largest number of lines.
    sigma : float
        Standard deviation of the lines before broadening, Å.

    Returns
    -------
    ndarray of shape (n_found, 2)
        Centre and standard deviation of each line, Å, by centre. At least two stars show it, if
        there are two or more.
    """
    samples = []
    for star, one, residual in zip(stars, equations, residuals, strict=True):
        shift, _ = kernels.shift_of_velocity(star.kinematics[0, 0])
        rest = np.exp((one.velocity - shift) / SPEED_OF_LIGHT)
        left = SIGMA_PER_MEDIAN * np.median(np.abs(residual))
        broad = rest.mean() * star.forward.line_width / SPEED_OF_LIGHT / FWHM_PER_SIGMA
        samples.append((rest, residual, one.sigma**2 + left**2, np.hypot(broad, sigma)))
    low = min(rest.min() for rest, *_ in samples)
    high = max(rest.max() for rest, *_ in samples)
    step = min(width for *_, width in samples) / _TRIALS_PER_SIGMA
    trials = np.arange(low, high, step)
    above, below = np.zeros(len(trials)), np.zeros(len(trials))
    n_stars = np.zeros(len(trials), dtype=int)
    for rest, residual, variance, width in samples:
        numerator, denominator = _matched(trials, rest, residual, variance, width)
        above += numerator
        below += denominator
        n_stars += numerator > _LEAST_OF_STAR * np.sqrt(denominator)
    signal = above / np.sqrt(np.maximum(below, np.finfo(float).tiny))
    possible = (signal > _LEAST_SIGNAL) & (n_stars >= min(2, len(samples)))
    if len(groups.feature_center):
        distance = np.abs(trials[:, None] - groups.feature_center).min(axis=1)
        possible &= distance > _FROM_STRONG
    widest = max(width for *_, width in samples)
    found: list[float] = []
    for trial in np.argsort(-np.where(possible, signal, -np.inf), kind="stable"):
        if not possible[trial] or len(found) == most:
            break
        if all(abs(trials[trial] - other) > FWHM_PER_SIGMA * widest for other in found):
            found.append(float(trials[trial]))
    centers = np.sort(found)
    return np.column_stack([centers, np.full(len(centers), sigma)])


def _matched(trials, rest, residual, variance, width):
    """Return numerator and denominator of the depth of a Gaussian at each trial wavelength."""
    numerator, denominator = np.zeros(len(trials)), np.zeros(len(trials))
    order = np.argsort(rest)
    rest, residual, variance = rest[order], residual[order], variance[order]
    first = np.searchsorted(rest, trials - _REACH * width)
    last = np.searchsorted(rest, trials + _REACH * width)
    for trial in range(len(trials)):
        part = slice(first[trial], last[trial])
        shape = np.exp(-0.5 * ((rest[part] - trials[trial]) / width) ** 2)
        numerator[trial] = -(shape * residual[part] / variance[part]).sum()
        denominator[trial] = (shape**2 / variance[part]).sum()
    return numerator, denominator
