"""Leave nodes of a grid out, and interpolate them from the other nodes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from skphx.interpolation._make import make_grid
from skphx.interpolation._nodes import lattice_of

# Largest number of planes that are left out along one axis; they are evenly spaced.
_MAX_PLANES = 40


@dataclass
class Split:
    """Training nodes, and test nodes between them.

    `axis` is the parameter along which nodes are left out, `gap` the distance of the training
    nodes on both sides in node spacings.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    axis: int
    gap: int

    def predict(self, parameters, interpolation):
        """Weights of the training nodes at the test nodes inside their convex hull.

        Parameters
        ----------
        parameters : ndarray of shape (n_nodes, n_parameters)
            All nodes.
        interpolation : str
            Kind of interpolation, see :func:`skphx.interpolation.make_grid`.

        Returns
        -------
        LeftOut
            The weights, and the rows of the nodes.
        """
        grid = make_grid(parameters[self.train], interpolation=interpolation, holes="interpolate")
        test = self.test[grid.contains(parameters[self.test])]
        return LeftOut(self.train, test, grid.weights(parameters[test]), self.axis, self.gap)


@dataclass
class LeftOut:
    """Prediction of left-out nodes: ``weights @ values[train]`` predicts ``values[test]``.

    `axis` and `gap` are those of the split.
    """

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    weights: csr_array
    axis: int
    gap: int


def plane_splits(parameters):
    """Make splits that leave out each interior plane of each axis, and splits with wider gaps.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.

    Returns
    -------
    list of Split
        One split with a gap of two node spacings for each interior value of an axis with at
        least three values, and one with gaps of four for an axis with at least five. Scattered
        nodes, which share almost no values, are left out one at a time.
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
