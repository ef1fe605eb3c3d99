"""FilledGrid: interpolation on a lattice with missing nodes."""

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from skphx.interpolation._rectilinear import TensorWeights
from skphx.interpolation._scattered import HullGrid, RadialWeights

# Number of nodes from which a missing node is computed.
N_FILLING = 96
# Missing nodes are always computed by cubic interpolation, also if the grid is interpolated
# linearly: on PHOENIX spectra this halves the error at a missing node, and needs no extra time.
FILLING = "cubic"


class FilledGrid(HullGrid):
    """Tensor-product interpolation on a lattice with missing nodes.

    Each missing node of the product is a weighted sum of the nearest given nodes (radial basis
    functions), and the filled lattice is interpolated like a full one. Far from the missing nodes
    the result is that of `RectilinearGrid`. It is as smooth as that of `RectilinearGrid`
    everywhere, and exact at the given nodes.

    Parameters
    ----------
    nodes : array-like of shape (n_nodes, n_parameters)
        One node per row, at least one.
    parameter_names : sequence of str, or None
        One name per column; None is ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic"}
        As in `RectilinearGrid`. Missing nodes are always computed by cubic interpolation.

    Raises
    ------
    ValueError
        If nodes are repeated or not valid.

    Notes
    -----
    The memory is proportional to the size of the full product, so most of its nodes should be
    there. Points are inside the grid if they are inside the convex hull of the given nodes.

    Examples
    --------
    >>> from skphx.interpolation._filled import FilledGrid
    >>> grid = FilledGrid([[0, 0], [0, 1], [1, 0], [1, 2], [0, 2]])
    >>> values = grid.nodes @ [1.0, 10.0]
    >>> (grid.weights([[0.9, 1.0]]) @ values).round(9)
    array([10.9])
    """

    def __init__(self, nodes, parameter_names=None, interpolation="linear"):
        super().__init__(nodes, parameter_names, interpolation)
        self._tensor = TensorWeights(self.axes, interpolation)
        self._filling = self._fill()

    def _fill(self):
        """Matrix from the given nodes to all lattice nodes, csr_array (n_lattice, n_nodes)."""
        shape = self._tensor.shape
        cell_of_node = np.ravel_multi_index(tuple(self.positions.T), shape)
        missing = np.setdiff1d(np.arange(np.prod(shape)), cell_of_node)
        places = np.unravel_index(missing, shape)
        holes = np.column_stack(
            [axis[place] for axis, place in zip(self.axes, places, strict=True)]
        )
        cells, columns, weights = (
            [cell_of_node],
            [np.arange(self.n_nodes)],
            [np.ones(self.n_nodes)],
        )
        # One spacing per axis: with local spacings a linear function would not be linear.
        spaced_nodes, spaced_holes = self.nodes / self.scale, holes / self.scale
        for group, own in self._groups(spaced_nodes, spaced_holes):
            # For many small systems, threads of BLAS make this slower.
            with threadpool_limits(1, "blas"):
                radial = RadialWeights(spaced_nodes[group], FILLING)
            cells.append(np.repeat(missing[own], len(group)))
            columns.append(np.tile(group, len(own)))
            weights.append(radial(spaced_holes[own]).ravel())
        entries = np.concatenate(weights)
        where = (np.concatenate(cells), np.concatenate(columns))
        return csr_array((entries, where), shape=(int(np.prod(shape)), self.n_nodes))

    @staticmethod
    def _groups(nodes, holes):
        """Rows of the nodes around missing nodes, and the rows of these missing nodes."""
        if len(holes) == 0:
            return []
        tree = cKDTree(nodes)
        reach = tree.query(holes, k=[min(N_FILLING, len(nodes))])[0][:, 0]
        # All nodes at the largest distance: the choice must not depend on the order of rows.
        surroundings = tree.query_ball_point(holes, reach * (1 + 1e-9), return_sorted=True)
        # Missing nodes with the same nodes around them need only one linear system.
        groups: dict[tuple[int, ...], list[int]] = {}
        for hole, group in enumerate(surroundings):
            groups.setdefault(tuple(group), []).append(hole)
        return [(np.array(group), np.array(own)) for group, own in groups.items()]

    def weights(self, points):
        """Weights of the nodes at points.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the convex hull of the nodes.

        Returns
        -------
        csr_array of shape (n_points, n_nodes)
            Columns in the order of the given nodes; the sum of each row is one.

        Raises
        ------
        ValueError
            If a point is outside the grid; see `resolve_outside`.
        """
        return self._on_nodes(self._tensor(self.resolve_outside(points)))

    def weights_jacobian(self, points):
        """Return ∂weights/∂parameter, one matrix per parameter.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the convex hull of the nodes.

        Returns
        -------
        list of csr_array of shape (n_points, n_nodes)
            One matrix per parameter, in 1 / (unit of the parameter). At a kink of linear
            interpolation it is the derivative to the right, at the upper bound that to the left.

        Raises
        ------
        ValueError
            If a point is outside the grid; see `resolve_outside`.
        """
        points = self.resolve_outside(points)
        return [
            self._on_nodes(self._tensor(points, derivative_of=column))
            for column in range(self.n_parameters)
        ]

    def _on_nodes(self, lattice_weights):
        """Weights of the given nodes, from those of all lattice nodes."""
        weights = csr_array(lattice_weights @ self._filling)
        weights.sort_indices()
        return weights

    def _spaced(self, points):
        """Points in units of local node spacing, because axes may be uneven."""
        return self._index_coordinates(points)
