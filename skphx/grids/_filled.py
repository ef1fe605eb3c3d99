"""Grids on a lattice of which some nodes are missing."""

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from skphx.grids._rectilinear import TensorWeights
from skphx.grids._scattered import HullGrid, RadialWeights

# Present nodes that a missing one is computed from.
N_FILLING = 96
# Holes are filled by the higher order also under linear interpolation: on real spectra it
# halves the error at a missing node, and a filled node costs nothing at evaluation.
FILLING = "cubic"


class FilledGrid(HullGrid):
    """Tensor-product interpolation on a lattice with holes.

    Each missing node of the product is written as a weighted sum of the nearest present ones
    (radial basis functions), and the lattice so filled is interpolated as a full one. Away
    from the holes nothing differs from `RectilinearGrid`; everywhere it is as smooth as that,
    and exact at the nodes that are there.

    Parameters
    ----------
    nodes : array-like of shape (n_nodes, n_parameters)
        One node a row, at least one.
    parameter_names : sequence of str, or None
        One name a column; None stands for ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic"}
        As in `RectilinearGrid`. The filling is cubic for all.

    Raises
    ------
    ValueError
        If nodes are repeated or unusable.

    Notes
    -----
    Memory goes with the size of the full product, so this is for lattices that are mostly
    there. Inside means inside the convex hull of the present nodes.

    Examples
    --------
    >>> from skphx.grids import FilledGrid
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
        """Matrix from present nodes to lattice cells, csr_array (n_lattice, n_nodes)."""
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
        # Not the uneven local spacing: it would bend straight lines.
        spaced_nodes, spaced_holes = self.nodes / self.scale, holes / self.scale
        for group, own in self._groups(spaced_nodes, spaced_holes):
            # Threads cost far more than they give on many small systems.
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
        """Rows of nodes that fill holes, and the rows of those holes."""
        if len(holes) == 0:
            return []
        tree = cKDTree(nodes)
        reach = tree.query(holes, k=[min(N_FILLING, len(nodes))])[0][:, 0]
        # All nodes at the reach: choosing among equals would depend on the rows' order.
        surroundings = tree.query_ball_point(holes, reach * (1 + 1e-9), return_sorted=True)
        # Holes that share their surroundings share the solution of one system.
        groups = {}
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
            Columns in the order in which the nodes were given; each row adds up to one.

        Raises
        ------
        ValueError
            If a point lies outside; see `resolve_outside`.
        """
        return self._on_nodes(self._tensor(self.resolve_outside(points)))

    def weights_jacobian(self, points):
        """Return ∂weights/∂parameter, one matrix a parameter.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the convex hull of the nodes.

        Returns
        -------
        list of csr_array of shape (n_points, n_nodes)
            One a parameter, per unit of that parameter. At a kink of linear interpolation it
            is the derivative to the right, on the upper bound that to the left.

        Raises
        ------
        ValueError
            If a point lies outside; see `resolve_outside`.
        """
        points = self.resolve_outside(points)
        return [
            self._on_nodes(self._tensor(points, derivative_of=column))
            for column in range(self.n_parameters)
        ]

    def _on_nodes(self, lattice_weights):
        """Weights by nodes, from weights by lattice cells."""
        weights = csr_array(lattice_weights @ self._filling)
        weights.sort_indices()
        return weights

    def _spaced(self, points):
        """Points in units of local node spacing; uneven axes have no single one."""
        return self._index_coordinates(points)
