"""Make quantities fitted node by node smooth along the grid."""

import numpy as np

from skphx.grids._surface import PolynomialSurface

# Total degree of the surfaces in the last sweeps; the first begin with planes.
_DEGREE = 3
# A surface may leave the range of its nodes' values by this many scales, not run away.
_OVERSHOOT = 0.5
# Least weight of a node's value: a quantity that no flux determines still has a mean.
_LEAST_WEIGHT = 1e-3


def smooth_along_grid(refit, parameters, values, *, scale, pull, n_sweeps):
    """Fit nodes and surfaces in turn until each node's values are near a smooth surface.

    Every sweep draws a polynomial surface through each quantity, weighs nodes with what their
    data say about it, and fits every node again, pulled to the surface. A quantity that a
    node's data leave open follows the surface, one that they determine stays.

    Parameters
    ----------
    refit : callable
        ``refit(start, prior) -> (values, information)``, all arrays of the shape of `values`:
        fits every node from `start`, pulled to `prior`; `information` is the diagonal of the
        data's normal matrix.
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    values : ndarray of shape (n_nodes, n_lines, n_quantities)
        Values fitted node by node.
    scale : ndarray of shape (n_lines, n_quantities)
        What one standard deviation of the pull means, in the units of `values`.
    pull : float
        Strength of the pull that `refit` uses, in the units of the data.
    n_sweeps : int
        Number of sweeps.

    Returns
    -------
    ndarray of shape (n_nodes, n_lines, n_quantities)
        Values after the last sweep.

    References
    ----------
    Boyd et al. (2011), Foundations and Trends in Machine Learning 3, 1: fitting parts in turn
    with what they share.
    """
    n_nodes = len(values)
    information = np.broadcast_to((pull / scale) ** 2, values.shape)
    for sweep in range(n_sweeps):
        surface = PolynomialSurface(parameters, min(1 + sweep, _DEGREE))
        weights = information / (information + (pull / scale) ** 2) + _LEAST_WEIGHT
        coefficients = surface.fit(values.reshape(n_nodes, -1), weights.reshape(n_nodes, -1))
        prior = surface.evaluate(parameters, coefficients).reshape(values.shape)
        margin = _OVERSHOOT * scale
        prior = np.clip(prior, values.min(axis=0) - margin, values.max(axis=0) + margin)
        values, information = refit(values, prior)
    return values
