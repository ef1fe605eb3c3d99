"""Missing nodes of a lattice."""

import numpy as np

from skphx.interpolation._make import LARGEST_HOLE
from skphx.interpolation._nodes import lattice_of

# A value of an axis with fewer nodes than this fraction of the median is ignored: otherwise one
# node with a wrong label would add a plane of missing nodes.
_RARE = 0.25


def lattice_gaps(nodes):
    """Return the missing nodes of a lattice.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes, n_parameters)
        One node per row; repeated nodes count once.

    Returns
    -------
    missing : ndarray of shape (n_missing, n_parameters), or None
        Missing nodes of the full product of the values; values that very few nodes have are
        ignored. None if less than half of the product exists, so that it is not a lattice.
    surrounded : ndarray of shape (n_missing,)
        Fraction of the adjacent nodes of each missing node, along the axes and within the
        bounds, that exist.
    """
    axes, positions = lattice_of(nodes)
    on_lattice = np.ones(len(nodes), dtype=bool)
    for column, axis in enumerate(axes):
        counts = np.bincount(positions[:, column], minlength=len(axis))
        on_lattice &= (counts >= _RARE * np.median(counts))[positions[:, column]]
    axes, positions = lattice_of(nodes[on_lattice])
    positions = np.unique(positions, axis=0)
    shape = tuple(len(axis) for axis in axes)
    if len(positions) < (1.0 - LARGEST_HOLE) * np.prod([float(n) for n in shape]):
        return None, np.empty(0)
    there = np.zeros(shape, dtype=bool)
    there[tuple(positions.T)] = True
    places = np.argwhere(~there)
    missing = np.column_stack([axis[i] for axis, i in zip(axes, places.T, strict=True)])
    n_steps = np.zeros(len(places))
    n_there = np.zeros(len(places))
    for column in range(len(axes)):
        for step in (-1, 1):
            beside = places.copy()
            beside[:, column] += step
            inside = (beside[:, column] >= 0) & (beside[:, column] < shape[column])
            n_steps += inside
            n_there[inside] += there[tuple(beside[inside].T)]
    return missing, n_there / np.maximum(n_steps, 1)
