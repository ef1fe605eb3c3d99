"""What absorption lines cannot describe: flux above the continuum, and below zero."""

import math

import numpy as np

# Flux above the continuum by more than both, a continuum that is a little too low and this many
# standard deviations of the noise, is emission.
_CONTINUUM_MARGIN, _NOISE_MARGIN = 0.01, 5.0


def measure_noise(flux):
    """Estimate the standard deviation of white noise in a spectrum or a residual.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
        Flux or residual, dimensionless.

    Returns
    -------
    float
        From the median second difference, which sees noise, but hardly the smooth shapes of
        resolved lines; noise that neighbouring pixels share is underestimated.
    """
    if len(flux) < 3:
        return 0.0
    return float(np.median(abs(np.diff(flux, 2))) * 1.4826 / math.sqrt(6.0))


def clip_unreachable(flux):
    """Cut off what no absorption line can reach: emission, and flux below zero.

    Emission would raise the wings of all lines around it, though no line can fit it.
    What noise, or a continuum that is a little off, can do to pixels at 1 is kept: a clip
    there would deepen lines.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
        Normalised flux, dimensionless.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Flux between 0 and 1, give or take 0.01 or five standard deviations of the noise.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines._emission import clip_unreachable
    >>> flux = np.ones(100)
    >>> flux[10:13] = 0.5, 1.005, 3.0
    >>> clip_unreachable(flux)[9:14]
    array([1.   , 0.5  , 1.005, 1.01 , 1.   ])
    """
    margin = max(_CONTINUUM_MARGIN, _NOISE_MARGIN * measure_noise(flux))
    return np.clip(flux, -margin, 1.0 + margin)


def unreachable_squares(flux):
    """Sum over pixels of what no absorption lines can reach, squared: flux above 1, or below 0."""
    return float(np.sum((flux - np.clip(flux, 0.0, 1.0)) ** 2))
