"""A scale on which flux changes evenly as its lines grow.

The depth of a weak line goes with the number of its atoms, that of a strong one with the
square root of it: the curve of growth. What is interpolated between two abundances is
therefore not flux but

    z = s (√(1 + 2 d / s) − 1)    for a depth d = 1 − flux ≥ 0,
    z = d                         above the continuum,

which is d where d ≪ s and √(2 s d) where d ≫ s. The softening s keeps the continuum, where a
root would be infinitely steep, on the linear part; an infinite s leaves the depth as it is.
"""

import numpy as np


def to_growth(flux, softening):
    """Put flux on the scale of growth.

    Parameters
    ----------
    flux : ndarray
        Normalised flux, dimensionless.
    softening : float
        Depth s at which the scale turns from linear to root, positive, may be infinite.

    Returns
    -------
    ndarray
        z of each pixel, dimensionless; 0 at the continuum, growing with depth.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapter 16, for the curve of
    growth.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.manifolds import from_growth, to_growth
    >>> flux = np.array([1.05, 1.0, 0.999, 0.5])
    >>> z = to_growth(flux, 0.03)
    >>> z.round(4)
    array([-0.05  ,  0.    ,  0.001 ,  0.1458])
    >>> bool(np.allclose(from_growth(z, 0.03), flux))
    True
    """
    depth = 1.0 - flux
    if np.isinf(softening):
        return depth
    grown = softening * (np.sqrt(1.0 + (2.0 / softening) * np.maximum(depth, 0.0)) - 1.0)
    return np.where(depth > 0.0, grown, depth)


def from_growth(z, softening):
    """Flux of values on the scale of growth; undoes :func:`to_growth`.

    Parameters
    ----------
    z : ndarray
        Values on the scale.
    softening : float
        As in :func:`to_growth`.

    Returns
    -------
    ndarray
        Normalised flux, dimensionless.
    """
    return 1.0 - z - np.maximum(z, 0.0) ** 2 / (2.0 * softening)


def growth_slope(z, softening):
    """Differentiate flux with respect to z.

    Parameters
    ----------
    z : ndarray
        Values on the scale.
    softening : float
        As in :func:`to_growth`.

    Returns
    -------
    ndarray
        ∂flux/∂z, at most -1.
    """
    return -1.0 - np.maximum(z, 0.0) / softening
