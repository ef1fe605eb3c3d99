"""The curve-of-growth scale, on which interpolation of flux between nodes is more accurate.

The depth of a weak line is proportional to the number of absorbing atoms. The strength of a
saturated line grows more slowly, about as the square root of this number. This is the curve of
growth. Therefore the interpolated quantity is not the flux but

    z = s (√(1 + 2 d / s) − 1)    for a depth d = 1 − flux ≥ 0,
    z = d                         above the continuum,

which is d for d ≪ s and √(2 s d) for d ≫ s. The saturation depth s is the depth at which lines
saturate. With infinite s, z is the depth itself.
"""

import numpy as np


def to_growth(flux, saturation):
    """Convert flux to the curve-of-growth scale.

    Parameters
    ----------
    flux : ndarray
        Normalised flux, dimensionless.
    saturation : float
        Depth s at which lines saturate, positive or infinite.

    Returns
    -------
    ndarray
        z of each pixel, dimensionless; 0 at the continuum, increasing with depth.

    References
    ----------
    Gray, "The Observation and Analysis of Stellar Photospheres", chapter 16, for the curve of
    growth.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.flux._scale import from_growth, to_growth
    >>> flux = np.array([1.05, 1.0, 0.999, 0.5])
    >>> z = to_growth(flux, 0.03)
    >>> z.round(4)
    array([-0.05  ,  0.    ,  0.001 ,  0.1458])
    >>> bool(np.allclose(from_growth(z, 0.03), flux))
    True
    """
    depth = 1.0 - flux
    if np.isinf(saturation):
        return depth
    grown = saturation * (np.sqrt(1.0 + (2.0 / saturation) * np.maximum(depth, 0.0)) - 1.0)
    return np.where(depth > 0.0, grown, depth)


def from_growth(z, saturation):
    """Convert values on the curve-of-growth scale to flux, the inverse of :func:`to_growth`.

    Parameters
    ----------
    z : ndarray
        Values on the scale.
    saturation : float
        As in :func:`to_growth`.

    Returns
    -------
    ndarray
        Normalised flux, dimensionless.
    """
    if np.isinf(saturation):
        return 1.0 - z
    return 1.0 - z - np.maximum(z, 0.0) ** 2 / (2.0 * saturation)


def growth_slope(z, saturation):
    """Differentiate flux with respect to z.

    Parameters
    ----------
    z : ndarray
        Values on the scale.
    saturation : float
        As in :func:`to_growth`.

    Returns
    -------
    ndarray
        ∂flux/∂z, at most -1.
    """
    return -1.0 - np.maximum(z, 0.0) / saturation
