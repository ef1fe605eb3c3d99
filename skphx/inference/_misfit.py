"""How far residuals are from independent noise of the errors given."""

import numpy as np
from scipy import fft

from skphx.inference._pixel_weights import SIGMA_PER_MEDIAN

# Where errors are unknown, residuals of the deepest pixels are compared with those of the
# shallowest ones: these parts of the good pixels.
_DEEPEST, _SHALLOWEST = 0.15, 0.5
# A fit is bad if chi² of a pixel exceeds that of noise by the first factor, and by more than the
# second number of standard deviations.
MOST_REDUCED_CHI2 = 1.5
MOST_SIGMAS = 4.0


def correlations(scaled, good, slices):
    """Return how similar the residuals of pixels are, by their distance.

    Autocorrelation, pooled over all segments, never increasing with distance and never negative:
    beyond the distance at which correlation ends, estimates are noise. It depends continuously on
    the residuals.

    Parameters
    ----------
    scaled : ndarray of shape (n_pixels,)
        Residuals divided by their standard errors.
    good : ndarray of shape (n_pixels,), bool
        Pixels to use.
    slices : list of slice
        Pixels of each segment.

    Returns
    -------
    ndarray of shape (n_lags,)
        Correlations at distances of 1, 2, ... pixels, from 0 to 1.

    References
    ----------
    Geyer (1992), Statistical Science 7, 473, for the initial monotone sequence.
    """
    longest = max(where.stop - where.start for where in slices)
    products, pairs = np.zeros(longest), np.zeros(longest)
    for where in slices:
        for values, total in (
            (np.where(good[where], scaled[where], 0.0), products),
            (good[where].astype(np.float64), pairs),
        ):
            power = np.abs(fft.rfft(values, n=2 * len(values))) ** 2
            total[: len(values)] += fft.irfft(power)[: len(values)]
    n_pixels = pairs[0]
    if products[0] <= 0 or n_pixels < 2:
        return np.zeros(0)
    # Products of few pairs are noisy: divided by the number of all pixels, they tend to 0. Masked
    # pixels inside a segment must not look like missing correlation.
    masked = np.maximum(pairs, 0.5 * n_pixels)
    measured = products[1:] / masked[1:] * (n_pixels / products[0])
    return np.maximum(np.minimum.accumulate(np.minimum(measured, 1.0)), 0.0)


def variance_scale(scaled, good, slices, freedom, sigma_known):
    """Return the factor by which the variances of the parameters exceed those of the weights.

    It is chi² of a pixel times the number of neighbouring pixels whose residuals are alike,
    1 + 2 Σ of their correlations: noise that neighbours share, and errors of the model, have
    more influence on the parameters than independent errors of the same size.

    Parameters
    ----------
    scaled, good, slices
        As in :func:`correlations`.
    freedom : int
        Number of degrees of freedom.
    sigma_known : bool
        Whether the spectrum has errors: then the factor is 1 or larger.

    Returns
    -------
    float
        The factor; a continuous function of residuals and errors.
    """
    reduced = float((scaled[good] ** 2).sum()) / freedom
    scale = reduced * (1.0 + 2.0 * correlations(scaled, good, slices).sum())
    return max(scale, 1.0) if sigma_known else scale


def noise_between_lines(scaled, good, depth):
    """Return the mean square of the residuals of the shallowest half of the pixels.

    Parameters
    ----------
    scaled, good
        As in :func:`correlations`.
    depth : ndarray of shape (n_pixels,)
        Depth of the model below its continuum.

    Returns
    -------
    float
        Where models err most in lines, this is nearly that of the noise.
    """
    return float(np.mean(scaled[good & (depth <= np.quantile(depth[good], _SHALLOWEST))] ** 2))


def white_noise(scaled, good, slices):
    """Return the mean square of what residuals do not share with their neighbours.

    Parameters
    ----------
    scaled, good, slices
        As in :func:`correlations`.

    Returns
    -------
    float
        Of the median difference between neighbouring pixels, so that the few pixels where models
        err or cosmic rays are have no influence; 0 without neighbours.
    """
    steps = np.concatenate(
        [np.abs(np.diff(scaled[where]))[good[where][1:] & good[where][:-1]] for where in slices]
    )
    # The difference of two Gaussian numbers has twice their variance.
    return 0.5 * (SIGMA_PER_MEDIAN * float(np.median(steps))) ** 2 if len(steps) else 0.0


def is_misfit(scaled, good, slices, depth):
    """Whether residuals are larger in the lines than between them.

    Noise does not know where the lines are, and is not larger there. This needs no errors.

    Parameters
    ----------
    scaled, good, slices, depth
        As in :func:`correlations` and :func:`noise_between_lines`.

    Returns
    -------
    bool
        Whether the mean square in the deepest pixels exceeds that in the shallowest ones by a
        factor of 1.5 and by four of its standard deviations. The deviation takes into account
        that residuals of neighbours are alike.
    """
    lines = good & (depth > np.quantile(depth[good], 1.0 - _DEEPEST))
    noise = noise_between_lines(scaled, good, depth)
    if lines.sum() < 2 or noise == 0:
        return False
    excess = np.mean(scaled[lines] ** 2) / noise - 1.0
    # Squares of correlated Gaussian numbers are correlated by the square of the correlation.
    alike = 1.0 + 2.0 * (correlations(scaled, good, slices) ** 2).sum()
    deviation = np.sqrt(2.0 * alike * (1.0 / lines.sum() + 1.0 / (_SHALLOWEST * good.sum())))
    return bool(excess > max(MOST_REDUCED_CHI2 - 1.0, MOST_SIGMAS * deviation))
