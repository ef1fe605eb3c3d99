"""Leave nodes of a grid out and interpolate them from the others: all hold-out of emulators."""

from dataclasses import dataclass

import numpy as np

from skphx.grids._make import make_grid
from skphx.grids._nodes import lattice_of

# Planes left out along one axis; of a longer one as many, evenly spread.
_MAX_PLANES = 40


@dataclass
class Split:
    """Nodes to interpolate from, and nodes between them to predict.

    `axis` is the parameter along which the gaps are, `gap` their width in node spacings.
    """

    train: np.ndarray
    test: np.ndarray
    axis: int
    gap: int

    def predict(self, parameters, interpolation):
        """Weights of the training nodes at the test nodes inside them.

        Parameters
        ----------
        parameters : ndarray of shape (n_nodes, n_parameters)
            All nodes.
        interpolation : str
            Kind, see :func:`skphx.grids.make_grid`.

        Returns
        -------
        LeftOut
            Weights, and which nodes they belong to.
        """
        grid = make_grid(parameters[self.train], interpolation=interpolation, holes="interpolate")
        test = self.test[grid.contains(parameters[self.test])]
        return LeftOut(self.train, test, grid.weights(parameters[test]), self.axis, self.gap)


@dataclass
class LeftOut:
    """Nodes predicted from others: ``weights @ values[train]`` stands for ``values[test]``.

    `axis` and `gap` are those of the split.
    """

    train: np.ndarray
    test: np.ndarray
    weights: object
    axis: int
    gap: int


def plane_splits(parameters):
    """Leave out every inner plane of each axis in turn, and coarser gaps where there is room.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.

    Returns
    -------
    list of Split
        With a gap of two spacings for each inner value of an axis of three values or more,
        and one with gaps of four for an axis of five or more. Nodes that share hardly any value
        with each other, a cloud, are left out one by one.
    """
    axes, positions = lattice_of(parameters)
    is_cloud = len(axes) > 1 and min(map(len, axes)) > len(parameters) // 2
    splits = []
    for column, axis in enumerate(axes[:1] if is_cloud else axes):
        place = positions[:, column]
        inner = np.arange(1, len(axis) - 1)
        if len(inner) > _MAX_PLANES:
            inner = inner[np.linspace(0, len(inner) - 1, _MAX_PLANES).astype(np.intp)]
        for value in inner:
            splits.append(_split(place != value, place == value, column, 2))
        if len(axis) >= 5 and not is_cloud:
            coarse = (place % 4 == 0) | (place == len(axis) - 1)
            between = (place % 4 == 2) & (place + 2 <= len(axis) - 1)
            splits.append(_split(coarse, between, column, 4))
    return [split for split in splits if len(split.test)]


def _split(train, test, axis, gap):
    return Split(np.flatnonzero(train), np.flatnonzero(test), axis, gap)
