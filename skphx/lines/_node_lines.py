"""Lines at the nodes of a grid where every node has every line, and at any point between them."""

from typing import Any

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.lines._reach import deepest_of_nodes

CENTER = LINE_PARAMETERS.index("center")


class NodeLines:
    """The lines of all nodes, interpolated between them as any other quantity.

    Centres are kept as distances from the line's own mean, so that single precision holds them
    to 1e-8 Å.

    Parameters
    ----------
    lines : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area (Å), ln sigma and ln gamma (ln Å) of every line at every node, finite.
    dtype : data-type
        Precision in which values are kept.

    Attributes
    ----------
    centers : ndarray of shape (n_lines,)
        Mean centre of each line over the nodes, Å.
    values : ndarray of shape (n_nodes, n_lines, 4)
        Parameters of the lines, centres as distances from `centers`.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.interpolation import make_grid
    >>> from skphx.lines._node_lines import NodeLines
    >>> lines = np.full((2, 1, 4), [5000.0, -2.0, -2.5, -3.0])
    >>> lines[1, 0, 1] = -1.0
    >>> kept = NodeLines(lines).on(make_grid([[5000.0], [6000.0]], parameter_names=("teff",)))
    >>> kept.at(np.array([[5500.0]]))[0, 0]
    array([ 5.0e+03, -1.5e+00, -2.5e+00, -3.0e+00])
    """

    def __init__(self, lines, *, dtype=np.float64):
        values = np.array(lines, dtype=np.float64)
        self.grid: Any = None
        self.n_nodes, self.n_lines, _ = values.shape
        self.centers = values[..., CENTER].mean(axis=0)
        values[..., CENTER] -= self.centers
        self.values = values.astype(dtype)

    @property
    def present(self):
        """Whether each node has each line, shape (n_nodes, n_lines): all have all."""
        return np.ones((self.n_nodes, self.n_lines), dtype=bool)

    def to_dense(self):
        """All lines at all nodes, shape (n_nodes, n_lines, 4)."""
        return self._dense(slice(None))

    def _dense(self, rows):
        """Lines of some nodes."""
        lines = self.values[rows].astype(np.float64)
        lines[..., CENTER] += self.centers
        return lines

    def selected(self, kept):
        """Keep some of the lines only.

        Parameters
        ----------
        kept : ndarray of shape (n_lines,), bool
            Lines to keep.

        Returns
        -------
        NodeLines
            Lines of the new list, in the old order.
        """
        new = NodeLines.__new__(NodeLines)
        new.grid, new.n_nodes, new.n_lines = self.grid, self.n_nodes, int(kept.sum())
        new.centers, new.values = self.centers[kept], self.values[:, kept]
        return new

    def deepest(self, low, high):
        """Bound how deep each line is within a range of wavelengths.

        Parameters
        ----------
        low, high : float
            Ends of the range, Å.

        Returns
        -------
        node, number : ndarrays of shape (n_nodes * n_lines,), int
            Node of each line, and its number in the list.
        depth : ndarray of shape (n_nodes * n_lines,)
            Bound of its optical depth, see :func:`skphx.lines._reach.deepest_within`.
        """
        return deepest_of_nodes(self._dense, self.n_nodes, self.n_lines, low, high)

    def on(self, grid):
        """Say how lines run between the nodes, so that `at` knows.

        Parameters
        ----------
        grid : NodeGrid
            The nodes and how to interpolate between them.

        Returns
        -------
        self : NodeLines
            With the grid.
        """
        self.grid = grid
        return self

    def at(self, points):
        """Lines at points, after `on`.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_points, n_lines, 4)
            Centre (Å), ln area, ln sigma, ln gamma (ln Å).
        """
        lines = self._product(self.grid.weights(points))
        lines[..., CENTER] += self.centers
        return lines

    def tangents_at(self, points):
        """Differentiate the lines with respect to the parameters, after `on`.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_parameters, n_points, n_lines, 4)
            Derivatives.
        """
        return np.array([self._product(one) for one in self.grid.weights_jacobian(points)])

    def _product(self, weights):
        """Weighted sums of the lines of all nodes."""
        sums = weights @ self.values.reshape(self.n_nodes, -1)
        return sums.reshape(weights.shape[0], self.n_lines, len(LINE_PARAMETERS)).astype(
            np.float64, copy=False
        )
