"""Growth of the depth of a line with its opacity, as one curve for all lines.

With the depth D = 1 − flux, t = 1 − D and u = ln of the opacity, dD/du = D t (t² + c)/(1 + c).
Weak lines grow in proportion to their opacity, saturated cores hardly, and wings as weak lines do.
The curve only says how a response changes away from where it was computed, for other parameters
and larger changes: the responses themselves are computed line by line. With c = 0.06 it is close
to the growth of lines in a model atmosphere of the Sun.
"""

import numpy as np

_LEAST, _MOST = 1e-9, 1.0 - 1e-4
_TABLE = np.concatenate([np.geomspace(_LEAST, 0.1, 400), 1.0 - np.geomspace(0.9, 1e-4, 600)[1:]])
_N_NEWTON = 2
_C = 0.06


def clipped_depth(flux):
    """Return the depth of flux, within the limits of the curve."""
    return np.clip(1.0 - flux, _LEAST, _MOST)


def log_opacity(depth):
    """Return u of a depth, up to a constant.

    Parameters
    ----------
    depth : ndarray
        Depths, from :func:`clipped_depth`.

    Returns
    -------
    ndarray
        The integral of du/dD, by partial fractions of 1/(D t (t² + c)).
    """
    left, part = 1.0 - depth, 1.0 / (1.0 + _C)
    integral = part * np.log(depth) - np.log(left) / _C
    integral += 0.5 * (1.0 / _C - part) * np.log(left**2 + _C)
    integral -= part / np.sqrt(_C) * np.arctan(left / np.sqrt(_C))
    return integral / part


def depth_of(log):
    """Return the depth of u, the inverse of :func:`log_opacity`."""
    depth = np.interp(log, _LOG_OF_TABLE, _TABLE)
    for _ in range(_N_NEWTON):
        step = (log_opacity(depth) - log) * growth(depth)
        depth = np.clip(depth - step, _LEAST, _MOST)
    return depth


def growth(depth):
    """Return dD/du."""
    left = 1.0 - depth
    return depth * left * (left**2 + _C) / (1.0 + _C)


_LOG_OF_TABLE = log_opacity(_TABLE)
