"""Which lines matter in a range of wavelengths: how deep each can be there."""

import numpy as np

from skphx.lines._engine.profile import pseudo_voigt

# Pseudo-Voigt, Voigt and blase's profile differ by less than this factor.
_SAFETY = 2.0
# Nodes that are looked at together.
_NODES_AT_ONCE = 64
# Lines are left out that together stay below this optical depth at every node.
_NEGLIGIBLE_DEPTH = 1e-4
# Thresholds tried for a single line, the highest first.
_THRESHOLDS = 10.0 ** np.arange(-4.0, -12.0, -0.5)


def deepest_within(center, log_area, log_sigma, log_gamma, low, high):
    """Bound the optical depth that each line reaches within a range of wavelengths.

    Parameters
    ----------
    center, log_area, log_sigma, log_gamma : ndarrays of one shape
        Centre (Å), ln area (Å), ln of the Gaussian standard deviation and of the Lorentzian half
        width (ln Å).
    low, high : float
        Ends of the range, Å.

    Returns
    -------
    ndarray of that shape
        Twice the optical depth of the line's pseudo-Voigt profile where the range is nearest to
        its centre: more than the line's own, whatever its profile.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines._reach import deepest_within
    >>> center = np.array([5000.0, 5010.0])
    >>> deepest_within(center, np.log(0.1), np.log(0.02), np.log(0.03), 4990.0, 5001.0).round(6)
    array([1.640202e+00, 2.600000e-05])
    """
    distance = np.maximum(np.maximum(low - center, center - high), 0.0)
    depth = np.exp(log_area) * pseudo_voigt(distance, np.exp(log_sigma), np.exp(log_gamma))
    return _SAFETY * depth


def deepest_of_nodes(lines_of, n_nodes, n_lines, low, high):
    """Bound how deep each line is at each node, where every node has every line.

    Parameters
    ----------
    lines_of : callable
        ``lines_of(rows)``, with a slice of nodes, returns their lines, (n_rows, n_lines, 4):
        centre (Å), ln area, ln sigma and ln gamma (ln Å).
    n_nodes, n_lines : int
        Numbers of nodes and of lines.
    low, high : float
        Ends of the range, Å.

    Returns
    -------
    node, number : ndarrays of shape (n_nodes * n_lines,), int
        Node of each line, and its number in the list.
    depth : ndarray of shape (n_nodes * n_lines,)
        Bound of its optical depth, see :func:`deepest_within`.
    """
    depth = np.empty((n_nodes, n_lines), dtype=np.float32)
    for first in range(0, n_nodes, _NODES_AT_ONCE):
        rows = slice(first, first + _NODES_AT_ONCE)
        center, log_area, log_sigma, log_gamma = np.moveaxis(lines_of(rows), 2, 0)
        depth[rows] = deepest_within(center, log_area, log_sigma, log_gamma, low, high)
    node, number = np.divmod(np.arange(depth.size), max(n_lines, 1))
    return node, number, depth.ravel()


def lines_that_matter(manifold, wavelength):
    """Tell which lines are needed on part of the wavelengths.

    Parameters
    ----------
    manifold : LineSurfaces or NodeLines
        Lines along the grid.
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.

    Returns
    -------
    ndarray of shape (n_lines,), bool
        False for lines that together have an optical depth below 1e-4 at every node.
    """
    node, number, depth = manifold.deepest(wavelength[0], wavelength[-1])
    most = np.zeros(manifold.n_lines, dtype=depth.dtype)
    np.maximum.at(most, number, depth)
    for threshold in _THRESHOLDS:
        is_left_out = most < threshold
        together = np.bincount(node, weights=depth * is_left_out[number], minlength=1)
        if together.max() <= _NEGLIGIBLE_DEPTH:
            return ~is_left_out
    return most > 0.0
