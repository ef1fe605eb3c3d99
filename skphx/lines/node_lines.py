"""Lines at the nodes of a grid, and at any point between them."""

import numpy as np
from scipy import sparse

from skphx.lines.reach import deepest_within
from skphx.lines.table import LINE_PARAMETERS

CENTER = LINE_PARAMETERS.index("center")
LOG_AMPLITUDE = LINE_PARAMETERS.index("log_amplitude")
# The paper's two numbers: ln a written where a line is missing, and the ln a below which an
# interpolated line is dropped.
MISSING_LOG_AMPLITUDE = -1000.0
DROPPED_LOG_AMPLITUDE = -100.0
# Lines that are looked at together.
_CHUNK = 1 << 18


class NodeLines:
    """The lines of all nodes, of which only those that are there take space.

    A grid whose nodes all have all lines is one array; else the lines are kept node by node,
    each with its number in the common list, as in a sparse matrix. Centres are kept as
    distances from the line's own mean, so that single precision holds them to 1e-8 Å.

    Parameters
    ----------
    lines : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area (Å), ln sigma and ln gamma (ln Å) of every line at every node; NaN
        where a node lacks a line.
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
    values : ndarray of shape (n_nodes, n_lines, 4) or (n_instances, 4)
        Parameters of the lines, centres as distances from `centers`.
    offsets : ndarray of shape (n_nodes + 1,), int, or None
        Rows of `values` of each node; None where every node has every line.
    identity : ndarray of shape (n_instances,), int32, or None
        Number of each row's line in the common list.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines.node_lines import NodeLines
    >>> lines = np.full((2, 2, 4), np.nan)
    >>> lines[:, 0] = 5000.0, -2.0, -2.5, -3.0
    >>> lines[0, 1] = 5001.0, -4.0, -2.5, -3.0
    >>> kept = NodeLines(lines, missing="fade")
    >>> kept.n_instances, kept.present
    (3, array([[ True,  True],
           [ True, False]]))
    """

    def __init__(self, lines, *, missing="fade", dtype=np.float64):
        lines = np.asarray(lines)
        self.missing = missing
        self.grid = self.presence_grid = None
        self.n_nodes, self.n_lines, _ = lines.shape
        present = np.isfinite(lines).all(axis=2)
        n_with = present.sum(axis=0)
        total = np.where(present, lines[..., CENTER], 0.0).sum(axis=0)
        self.centers = total / np.maximum(n_with, 1)
        self.offsets = self.identity = None
        if present.all():
            self.values = lines.astype(np.float64)
            self.values[..., CENTER] -= self.centers
        else:
            self.offsets = np.concatenate([[0], np.cumsum(present.sum(axis=1))])
            self.identity = np.nonzero(present)[1].astype(np.int32)
            self.values = lines[present].astype(np.float64)
            self.values[:, CENTER] -= self.centers[self.identity]
        self.values = self.values.astype(dtype)

    @classmethod
    def from_table(cls, table, *, missing="fade", dtype=np.float32):
        """Take the lines of a ragged table, which may be too large for an array of all.

        Parameters
        ----------
        table : LineTable
            Lines of every node. The common list is made of the identities that occur, in
            their order; lines of a negative one, which have no place in it, are left out.
        missing, dtype
            As in the constructor.

        Returns
        -------
        NodeLines
            The lines, kept node by node.

        Raises
        ------
        ValueError
            If a node has two lines of one identity.
        """
        new = cls.__new__(cls)
        new.missing, new.n_nodes = missing, table.n_spectra
        new.grid = new.presence_grid = None
        known = table.identity >= 0
        node = np.repeat(np.arange(table.n_spectra), np.diff(table.offsets))[known]
        # Identities may be any whole numbers, such as the bits of a detected centre.
        identities, new.identity = np.unique(table.identity[known], return_inverse=True)
        new.identity = new.identity.astype(np.int32)
        new.n_lines = n_lines = len(identities)
        # Within a node by identity, as sparse matrices have them.
        order = np.lexsort((new.identity, node))
        new.identity = new.identity[order]
        twice = (np.diff(new.identity) == 0) & (np.diff(node) == 0)
        if twice.any():
            first = int(np.argmax(twice))
            raise ValueError(
                f"table must hold each line once a node, but node {node[first]} has two of "
                f"identity {identities[new.identity[first]]}; number lines by the line that they "
                f"are."
            )
        new.offsets = np.concatenate([[0], np.cumsum(np.bincount(node, minlength=new.n_nodes))])
        center = table.center[known][order]
        n_with = np.bincount(new.identity, minlength=n_lines)
        total = np.bincount(new.identity, weights=center, minlength=n_lines)
        new.centers = total / np.maximum(n_with, 1)
        new.values = np.empty((len(order), len(LINE_PARAMETERS)), dtype=dtype)
        new.values[:, CENTER] = center - new.centers[new.identity]
        for column, name in enumerate(LINE_PARAMETERS):
            if column != CENTER:
                new.values[:, column] = getattr(table, name)[known][order]
        return new

    @property
    def n_instances(self):
        """Number of lines over all nodes."""
        return self.values[..., CENTER].size

    @property
    def present(self):
        """Whether each node has each line, shape (n_nodes, n_lines)."""
        if self.identity is None:
            return np.ones((self.n_nodes, self.n_lines), dtype=bool)
        present = np.zeros((self.n_nodes, self.n_lines), dtype=bool)
        present[np.repeat(np.arange(self.n_nodes), np.diff(self.offsets)), self.identity] = True
        return present

    def to_dense(self):
        """All lines at all nodes, NaN where absent, shape (n_nodes, n_lines, 4)."""
        if self.identity is None:
            lines = self.values.astype(np.float64)
        else:
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
        NodeLines
            Lines of the new list, in the old order.
        """
        new = NodeLines.__new__(NodeLines)
        new.missing, new.n_nodes, new.n_lines = self.missing, self.n_nodes, int(kept.sum())
        new.on(self.grid, self.presence_grid)
        new.centers = self.centers[kept]
        if self.identity is None:
            new.values, new.offsets, new.identity = self.values[:, kept], None, None
            return new
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
            Bound of its optical depth, see :func:`skphx.lines.reach.deepest_within`.
        """
        if self.identity is None:
            node, number = np.divmod(np.arange(self.n_instances), self.n_lines)
        else:
            node = np.repeat(np.arange(self.n_nodes), np.diff(self.offsets))
            number = self.identity
        values = self.values.reshape(-1, len(LINE_PARAMETERS))
        depth = np.empty(self.n_instances, dtype=np.float32)
        for first in range(0, self.n_instances, _CHUNK):
            part = slice(first, first + _CHUNK)
            center, log_amplitude, log_sigma, log_gamma = values[part].astype(np.float64).T
            center += self.centers[number[part]]
            depth[part] = deepest_within(center, log_amplitude, log_sigma, log_gamma, low, high)
        return node, number, depth

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
        self : NodeLines
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
        wanted = weights_jacobian is not None
        if self.identity is None:
            lines = self._product(weights)
            tangents = None
            if wanted:
                tangents = np.array([self._product(one) for one in weights_jacobian])
            absent = np.zeros(lines.shape[:2], dtype=bool)
        else:
            lines, absent, tangents = self._ragged_at(
                weights, presence_weights, weights_jacobian, presence_jacobian
            )
        lines[..., CENTER] += self.centers
        lines[absent] = np.nan
        if wanted:
            tangents[:, absent] = 0.0
        return lines, tangents

    def _product(self, weights):
        """Weighted sums of the lines of all nodes, where all nodes have all of them."""
        sums = weights @ self.values.reshape(self.n_nodes, -1)
        return sums.reshape(weights.shape[0], self.n_lines, len(LINE_PARAMETERS)).astype(
            np.float64, copy=False
        )

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
        rows = np.concatenate([np.arange(a, b) for a, b in zip(begin, end, strict=True)] or [[]])
        rows = rows.astype(np.intp)
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

        In the place of a node that lacks the line stands the mean of those of the cell that
        have it, so that the shape of a line comes from where it was seen.
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
            lines[..., LOG_AMPLITUDE] = (
                sums[..., LOG_AMPLITUDE] + (1.0 - share) * MISSING_LOG_AMPLITUDE
            )
            absent |= lines[..., LOG_AMPLITUDE] < DROPPED_LOG_AMPLITUDE
        else:
            lines[..., LOG_AMPLITUDE] += np.log(safe)
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
                tangent[..., LOG_AMPLITUDE] = (
                    sums_change[..., LOG_AMPLITUDE] - share_change * MISSING_LOG_AMPLITUDE
                )
            else:
                tangent[..., LOG_AMPLITUDE] += covered_change / safe
        return lines, absent, tangents
