"""Lines at the nodes of a grid where nodes can lack lines, and at any point between them."""

from typing import Any

import numpy as np
from scipy import sparse

from skphx._domain import LINE_PARAMETERS
from skphx.lines._reach import deepest_within

CENTER = LINE_PARAMETERS.index("center")
LOG_AREA = LINE_PARAMETERS.index("log_area")
# The paper's two numbers: ln a written where a line is missing, and the ln a below which an
# interpolated line is dropped.
MISSING_LOG_AREA = -1000.0
DROPPED_LOG_AREA = -100.0
# Lines that are looked at together.
_BLOCK = 1 << 18


class RaggedLines:
    """The lines of all nodes, of which only those that are there take space.

    They are kept node by node, each with its number in the common list, as in a sparse matrix.
    Centres are kept as distances from the line's own mean, so that single precision holds them
    to 1e-8 Å.

    Parameters
    ----------
    table : LineTable
        Lines of every node; those of a negative identity have no place in a common list and
        are left out.
    n_lines : int or None
        Length of the common list in which identities count; None makes a list of those that
        occur, in their order.
    missing : {"fade", "drop"}
        What a line does towards a node that lacks it: its area goes to zero continuously and
        its shape comes from the nodes that have it; or ln a runs to -1000 and the line ends
        below -100, as in the paper.
    dtype : data-type
        Precision in which values are kept.

    Attributes
    ----------
    centers : ndarray of shape (n_lines,)
        Mean centre of each line over the nodes that have it, Å.
    values : ndarray of shape (n_instances, 4)
        Parameters of the lines, centres as distances from `centers`.
    offsets : ndarray of shape (n_nodes + 1,), int
        Rows of `values` of each node.
    identity : ndarray of shape (n_instances,), int32
        Number of each row's line in the common list.

    Raises
    ------
    ValueError
        If a node has two lines of one identity.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines import LineTable
    >>> from skphx.paper._ragged_lines import RaggedLines
    >>> lines = np.full((2, 2, 4), np.nan)
    >>> lines[:, 0] = 5000.0, -2.0, -2.5, -3.0
    >>> lines[0, 1] = 5001.0, -4.0, -2.5, -3.0
    >>> kept = RaggedLines(LineTable.from_dense(lines), missing="fade")
    >>> kept.n_instances, kept.present
    (3, array([[ True,  True],
           [ True, False]]))
    """

    def __init__(self, table, n_lines=None, *, missing="fade", dtype=np.float64):
        self.missing, self.n_nodes = missing, table.n_spectra
        self.grid: Any = None
        self.presence_grid: Any = None
        known = table.identity >= 0
        node = np.repeat(np.arange(table.n_spectra), np.diff(table.offsets))[known]
        # Identities may be any whole numbers, such as the bits of a detected centre.
        identities, number = np.arange(n_lines or 0), table.identity[known]
        if n_lines is None:
            identities, number = np.unique(number, return_inverse=True)
        self.n_lines = n_lines = len(identities)
        self.identity = number.astype(np.int32)
        # Within a node by identity, as sparse matrices have them.
        order = np.lexsort((self.identity, node))
        self.identity = self.identity[order]
        twice = (np.diff(self.identity) == 0) & (np.diff(node) == 0)
        if twice.any():
            first = int(np.argmax(twice))
            raise ValueError(
                f"table must hold each line once a node, but node {node[first]} has two of "
                f"identity {identities[self.identity[first]]}; number lines by the line that they "
                f"are."
            )
        self.offsets = np.concatenate([[0], np.cumsum(np.bincount(node, minlength=self.n_nodes))])
        center = table.center[known][order]
        n_with = np.bincount(self.identity, minlength=n_lines)
        total = np.bincount(self.identity, weights=center, minlength=n_lines)
        self.centers = total / np.maximum(n_with, 1)
        self.values = np.empty((len(order), len(LINE_PARAMETERS)), dtype=dtype)
        self.values[:, CENTER] = center - self.centers[self.identity]
        for column, name in enumerate(LINE_PARAMETERS):
            if column != CENTER:
                self.values[:, column] = getattr(table, name)[known][order]

    @property
    def n_instances(self):
        """Number of lines over all nodes."""
        return len(self.values)

    @property
    def present(self):
        """Whether each node has each line, shape (n_nodes, n_lines)."""
        present = np.zeros((self.n_nodes, self.n_lines), dtype=bool)
        present[self._node(), self.identity] = True
        return present

    def to_dense(self):
        """All lines at all nodes, NaN where absent, shape (n_nodes, n_lines, 4)."""
        lines = np.full((self.n_nodes, self.n_lines, len(LINE_PARAMETERS)), np.nan)
        lines[self.present] = self.values
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
        RaggedLines
            Lines of the new list, in the old order.
        """
        new = RaggedLines.__new__(RaggedLines)
        new.missing, new.n_nodes, new.n_lines = self.missing, self.n_nodes, int(kept.sum())
        new.on(self.grid, self.presence_grid)
        new.centers = self.centers[kept]
        rows = kept[self.identity]
        new.values = self.values[rows]
        number = np.cumsum(kept) - 1
        new.identity = number[self.identity[rows]].astype(np.int32)
        new.offsets = np.concatenate([[0], np.cumsum(rows)])[self.offsets]
        return new

    def deepest(self, low, high):
        """Bound how deep each line is within a range of wavelengths.

        Parameters
        ----------
        low, high : float
            Ends of the range, Å.

        Returns
        -------
        node, number : ndarrays of shape (n_instances,), int
            Node of each line, and its number in the common list.
        depth : ndarray of shape (n_instances,)
            Bound of its optical depth, see :func:`skphx.lines._reach.deepest_within`.
        """
        depth = np.empty(self.n_instances, dtype=np.float32)
        for first in range(0, self.n_instances, _BLOCK):
            part = slice(first, first + _BLOCK)
            center, log_area, log_sigma, log_gamma = self.values[part].astype(np.float64).T
            center += self.centers[self.identity[part]]
            depth[part] = deepest_within(center, log_area, log_sigma, log_gamma, low, high)
        return self._node(), self.identity, depth

    def on(self, grid, presence_grid):
        """Say how lines run between the nodes, so that `at` knows.

        Parameters
        ----------
        grid : NodeGrid
            The nodes and how parameters of lines run between them.
        presence_grid : NodeGrid
            The same nodes, interpolated linearly, for where lines fade.

        Returns
        -------
        self : RaggedLines
            With both grids.
        """
        self.grid, self.presence_grid = grid, presence_grid
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
            Centre (Å), ln area, ln sigma, ln gamma (ln Å); NaN where there is no line.
        """
        weights = self.grid.weights(points)
        is_linear = self.grid.interpolation == "linear"
        presence = weights if is_linear else self.presence_grid.weights(points)
        return self.interpolate(weights, presence)[0]

    def tangents_at(self, points):
        """Differentiate the lines with respect to the parameters, after `on`.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_parameters, n_points, n_lines, 4)
            Derivatives, 0 where there is no line.
        """
        return self.interpolate(
            self.grid.weights(points),
            self.presence_grid.weights(points),
            self.grid.weights_jacobian(points),
            self.presence_grid.weights_jacobian(points),
        )[1]

    def interpolate(
        self, weights, presence_weights, weights_jacobian=None, presence_jacobian=None
    ):
        """Lines at points between the nodes, and how they change with the parameters.

        Parameters
        ----------
        weights : csr_array of shape (n_points, n_nodes)
            Weights of the nodes at the points.
        presence_weights : csr_array of shape (n_points, n_nodes)
            Weights of linear interpolation there, by which lines fade; the same object where
            the interpolation is linear.
        weights_jacobian, presence_jacobian : list of csr_array, or None
            Derivatives of both with respect to each parameter.

        Returns
        -------
        lines : ndarray of shape (n_points, n_lines, 4)
            Centre (Å), ln area, ln sigma, ln gamma (ln Å); NaN where there is no line.
        tangents : ndarray of shape (n_parameters, n_points, n_lines, 4), or None
            Their derivatives, 0 where there is no line; only with the jacobians.
        """
        lines, absent, tangents = self._ragged_at(
            weights, presence_weights, weights_jacobian, presence_jacobian
        )
        lines[..., CENTER] += self.centers
        lines[absent] = np.nan
        if tangents is not None:
            tangents[:, absent] = 0.0
        return lines, tangents

    def _node(self):
        """Node of each row of `values`."""
        return np.repeat(np.arange(self.n_nodes), np.diff(self.offsets))

    def _sums(self, weights):
        """Weighted sums over the nodes that have a line: of ones, and of the four values."""
        weights = sparse.csr_array(weights)
        # Only the nodes with any weight are read: a few of thousands, which may lie in a file.
        nodes, place = np.unique(weights.indices, return_inverse=True)
        near = sparse.csr_array(
            (weights.data, place.reshape(-1), weights.indptr),
            shape=(weights.shape[0], len(nodes)),
        )
        begin, end = self.offsets[nodes], self.offsets[nodes + 1]
        indptr = np.concatenate([[0], np.cumsum(end - begin)])
        runs = [np.arange(a, b) for a, b in zip(begin, end, strict=True)]
        rows = np.concatenate([np.empty(0, dtype=np.intp), *runs])
        identity, values = self.identity[rows], self.values[rows].astype(np.float64)
        shape = (len(nodes), self.n_lines)

        def summed(column):
            return (near @ sparse.csr_array((column, identity, indptr), shape=shape)).toarray()

        sums = np.empty((weights.shape[0], self.n_lines, len(LINE_PARAMETERS)))
        for column in range(len(LINE_PARAMETERS)):
            sums[..., column] = summed(values[:, column])
        return summed(np.ones(len(rows))), sums

    def _ragged_at(self, weights, presence_weights, weights_jacobian, presence_jacobian):
        """Lines at points where nodes may lack them.

        A node that lacks the line is given the mean of the nodes of the cell that have it, so that
        the shape of a line comes from where it was seen.
        """
        share, sums = self._sums(weights)
        covered, cell_sums = share, sums
        if presence_weights is not weights:
            covered, cell_sums = self._sums(presence_weights)
        # Sums of weights that cancel leave rounding behind.
        absent = covered <= 1e-12
        safe = np.where(absent, 1.0, covered)
        mean = cell_sums / safe[..., None]
        lines = sums + (1.0 - share)[..., None] * mean
        if self.missing == "drop":
            lines[..., LOG_AREA] = sums[..., LOG_AREA] + (1.0 - share) * MISSING_LOG_AREA
            absent |= lines[..., LOG_AREA] < DROPPED_LOG_AREA
        else:
            lines[..., LOG_AREA] += np.log(safe)
        if weights_jacobian is None:
            return lines, absent, None
        tangents = np.empty((len(weights_jacobian), *lines.shape))
        for tangent, by_weights, by_presence in zip(
            tangents, weights_jacobian, presence_jacobian, strict=True
        ):
            share_change, sums_change = self._sums(by_weights)
            covered_change, cell_change = share_change, sums_change
            if by_presence is not by_weights:
                covered_change, cell_change = self._sums(by_presence)
            mean_change = (cell_change - mean * covered_change[..., None]) / safe[..., None]
            tangent[:] = sums_change - share_change[..., None] * mean
            tangent += (1.0 - share)[..., None] * mean_change
            if self.missing == "drop":
                tangent[..., LOG_AREA] = (
                    sums_change[..., LOG_AREA] - share_change * MISSING_LOG_AREA
                )
            else:
                tangent[..., LOG_AREA] += covered_change / safe
        return lines, absent, tangents
