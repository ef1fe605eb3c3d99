"""Nodes that a lattice lacks."""

import numpy as np

from skphx.grids._make import LARGEST_HOLE
from skphx.grids._nodes import lattice_of

# A value that fewer nodes hold than this part of what is usual on its axis is no value of the
# lattice: one node with a wrong label would otherwise tear a hole as large as a plane.
_RARE = 0.25


def missing_nodes(nodes):
    """Nodes that the lattice of the given ones lacks.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes, n_parameters)
        One node a row; repeated ones count once.

    Returns
    -------
    missing : ndarray of shape (n_missing, n_parameters), or None
        Nodes of the product of the axes' values; values that hardly any node holds are left
        out. None where less than half of the product is there, so that it is no lattice.
    surrounded : ndarray of shape (n_missing,)
        Part of the steps to the nodes next to it, along the axes and within the lattice's
        box, that lead to a node that is there.
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
