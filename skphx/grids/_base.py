"""What all grids share: checked nodes, axes, bounds, distances, adjacency, outside points."""

from abc import ABC, abstractmethod

import numpy as np
from scipy.spatial import cKDTree

from skphx.grids._nodes import (
    N_LISTED,
    SAME_VALUE,
    check_nodes,
    format_node,
    lattice_of,
    spacing_of,
)

INTERPOLATIONS = ("linear", "hermite", "cubic", "radial")
OUTSIDE_RULES = ("error", "clip", "nearest")


class NodeGrid(ABC):
    """Nodes in parameter space, and weights that interpolate between them.

    Interpolated values are ``grid.weights(points) @ values``, with `values` of shape
    (n_nodes, ...) in the order in which the nodes were given. All fitted state is NumPy
    arrays, so that a grid pickles small.

    Parameters
    ----------
    nodes : array-like of shape (n_nodes, n_parameters)
        One node a row, in any order.
    parameter_names : sequence of str, or None
        One name a column; None stands for ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic"}
        Kind of the interpolation.

    Attributes
    ----------
    nodes : ndarray of shape (n_nodes, n_parameters)
        The nodes, in the order given.
    parameter_names : tuple of str
        Names of the columns.
    axes : list of ndarray of shape (n_values,)
        Increasing distinct values of each parameter.
    positions : ndarray of shape (n_nodes, n_parameters), int
        Place of each node on each axis.
    bounds : ndarray of shape (n_parameters, 2)
        Lowest and highest value of each parameter.

    Raises
    ------
    ValueError
        If the nodes are unusable, see `check_nodes`, or two of them are the same.
    """

    # Kinds of interpolation that the class can do.
    kinds = ("linear", "hermite", "cubic")

    def __init__(self, nodes, parameter_names=None, interpolation="linear"):
        if interpolation not in self.kinds:
            raise ValueError(f"interpolation must be one of {self.kinds}, got {interpolation!r}.")
        self.interpolation = interpolation
        self.nodes, self.parameter_names = check_nodes(nodes, parameter_names)
        self.axes, self.positions = lattice_of(self.nodes)
        self.bounds = np.array([(axis[0], axis[-1]) for axis in self.axes])
        self._check_distinct()

    def _check_distinct(self):
        """Raise if two rows hold the same node."""
        _, first, inverse, counts = np.unique(
            self.positions, axis=0, return_index=True, return_inverse=True, return_counts=True
        )
        repeated = np.flatnonzero(counts > 1)
        if len(repeated) == 0:
            return
        inverse = inverse.reshape(-1)
        # In the order of the user's rows, not of the sorted nodes.
        repeated = repeated[np.argsort(first[repeated])]
        listed = "; ".join(
            f"{format_node(self.nodes[first[node]], self.parameter_names)} in rows "
            f"{', '.join(map(str, np.flatnonzero(inverse == node)))}"
            for node in repeated[:N_LISTED]
        )
        more = ", ..." if len(repeated) > N_LISTED else ""
        raise ValueError(
            f"parameters must hold each node once, but {len(repeated)} "
            f"{'is' if len(repeated) == 1 else 'are'} repeated: {listed}{more}; "
            f"keep one row (and one spectrum) a node."
        )

    def __repr__(self):
        sizes = ", ".join(
            f"{name}: {len(axis)}"
            for name, axis in zip(self.parameter_names, self.axes, strict=True)
        )
        return f"<{type(self).__name__} of {self.n_nodes} nodes ({sizes}), {self.interpolation}>"

    @property
    def n_nodes(self):
        """Number of nodes."""
        return self.nodes.shape[0]

    @property
    def n_parameters(self):
        """Number of parameters."""
        return self.nodes.shape[1]

    @property
    def scale(self):
        """Typical node spacing of each parameter, shape (n_parameters,); 1 for a lone value.

        The median step of the axis; where nodes share no values, as in a random cloud, the
        step that as many nodes on a lattice would have.
        """
        return spacing_of(self.axes, self.n_nodes)

    @abstractmethod
    def weights(self, points):
        """Weights of the nodes at points.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the grid.

        Returns
        -------
        csr_array of shape (n_points, n_nodes)
            Interpolated values are this matrix times the values at the nodes.
        """

    @abstractmethod
    def weights_jacobian(self, points):
        """Return the derivatives of the weights.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the grid.

        Returns
        -------
        list of csr_array of shape (n_points, n_nodes)
            ∂weights/∂parameter, one for each parameter.
        """

    def check_points(self, points):
        """Return points as a float64 array.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points, n_parameters)
            A copy.

        Raises
        ------
        ValueError
            If the shape is wrong or a value is not finite.
        """
        points = np.array(points, dtype=np.float64)
        if points.ndim != 2 or points.shape[1] != self.n_parameters:
            raise ValueError(
                f"points must have shape (n_points, {self.n_parameters}), one column each for "
                f"{', '.join(self.parameter_names)}, got shape {points.shape}."
            )
        bad = ~np.isfinite(points)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"points must be finite, but row {row} has {self.parameter_names[column]}="
                f"{points[row, column]}; remove that row or give its value."
            )
        return points

    def _bound_slack(self):
        """How far beyond a bound rounding may put a point, shape (n_parameters,)."""
        low, high = self.bounds.T
        return SAME_VALUE * np.where(high > low, high - low, np.abs(low))

    def _inside_box(self, points):
        """Per value: within the bounds, shape (n_points, n_parameters)."""
        slack = self._bound_slack()
        return (points >= self.bounds[:, 0] - slack) & (points <= self.bounds[:, 1] + slack)

    def _clip(self, points):
        """Nearest point of the grid's domain."""
        return np.clip(points, self.bounds[:, 0], self.bounds[:, 1])

    def contains(self, points):
        """Whether points lie inside the grid, so that they are interpolated.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points,), bool
            True inside and on the edge.
        """
        return self._inside_box(self.check_points(points)).all(axis=1)

    def resolve_outside(self, points, outside="error"):
        """Return points to evaluate at, all inside the grid.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.
        outside : {"error", "clip", "nearest"}
            What to do with a point outside the grid: raise; move it to the nearest point of
            the grid's edge; or move it to the nearest node.

        Returns
        -------
        ndarray of shape (n_points, n_parameters)
            The points; those outside are replaced.

        Raises
        ------
        ValueError
            If `outside` is "error" and a point lies outside.
        """
        if outside not in OUTSIDE_RULES:
            raise ValueError(f"outside must be one of {OUTSIDE_RULES}, got {outside!r}.")
        points = self.check_points(points)
        beyond = ~self.contains(points)
        if beyond.any():
            if outside == "error":
                raise ValueError(self._outside_message(points, beyond))
            if outside == "nearest":
                points[beyond] = self.nodes[self.nearest_node(points[beyond])]
            else:
                points[beyond] = self._clip(points[beyond])
        # Points on a bound up to rounding are put onto it.
        return np.clip(points, self.bounds[:, 0], self.bounds[:, 1])

    def _outside_message(self, points, beyond):
        """Say which point is outside, of which bound, and what to do."""
        row = int(np.flatnonzero(beyond)[0])
        outside_box = np.flatnonzero(~self._inside_box(points[row : row + 1])[0])
        if len(outside_box):
            column = outside_box[0]
            low, high = self.bounds[column]
            problem = (
                f"row {row} has {self.parameter_names[column]}={points[row, column]:.10g}, "
                f"outside [{low:.10g}, {high:.10g}]"
            )
        else:
            problem = (
                f"row {row} ({format_node(points[row], self.parameter_names)}) is within the "
                f"bounds but outside the hull of the {self.n_nodes} nodes, "
                f"{self.distance(points[row : row + 1])[0]:.3g} node spacings from the nearest"
            )
        n_beyond = int(beyond.sum())
        others = f" ({n_beyond} of {len(points)} points are outside)" if n_beyond > 1 else ""
        return (
            f"points must lie inside the grid, but {problem}{others}; correct the point, or "
            f"ask for the edge ('clip') or the nearest node ('nearest')."
        )

    def _index_coordinates(self, points):
        """Points in units of local node spacing: nodes of an axis are at 0, 1, 2, ..."""
        coordinates = np.empty_like(points)
        for column, axis in enumerate(self.axes):
            values = points[:, column]
            if len(axis) == 1:
                coordinates[:, column] = values - axis[0]
                continue
            cell = np.clip(np.searchsorted(axis, values, side="right") - 1, 0, len(axis) - 2)
            coordinates[:, column] = cell + (values - axis[cell]) / np.diff(axis)[cell]
        return coordinates

    def _spaced(self, points):
        """Points in units of node spacing, for distances."""
        return points / self.scale

    def _nearest(self, points):
        """Distance to, and row of, the nearest node."""
        return cKDTree(self._spaced(self.nodes)).query(self._spaced(points))

    def nearest_node(self, points):
        """Row of the node nearest to each point, distances in units of node spacing.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points,), int
            Rows of `nodes`.
        """
        return self._nearest(self.check_points(points))[1]

    def distance(self, points):
        """How far each point is from its nearest node, in units of node spacing.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space, also outside the grid.

        Returns
        -------
        ndarray of shape (n_points,)
            Euclidean distance with each parameter divided by its node spacing: 0 at a node,
            ``sqrt(n_parameters) / 2`` in the middle of a lattice cell.
        """
        return self._nearest(self.check_points(points))[0]

    def edges(self):
        """Pairs of nodes that are neighbours.

        Two nodes are neighbours where they differ in one parameter only and no other node
        stands between them; so a missing node is stepped over. A node without any such
        partner is joined to its nearest nodes, two a parameter.

        Returns
        -------
        ndarray of shape (n_edges, 2), int
            Rows of `nodes`, the lower one first; each pair once, sorted.
        """
        pairs = []
        for column in range(self.n_parameters):
            others = np.delete(self.positions, column, axis=1)
            # The last key sorts first: whole lines along this axis become runs.
            order = np.lexsort((self.positions[:, column], *others.T))
            same_line = (others[order[1:]] == others[order[:-1]]).all(axis=1)
            pairs.append(np.column_stack((order[:-1], order[1:]))[same_line])
        pairs = np.concatenate(pairs)
        lonely = np.setdiff1d(np.arange(self.n_nodes), pairs)
        if len(lonely) and self.n_nodes > 1:
            k = min(2 * self.n_parameters, self.n_nodes - 1)
            spaced = self._spaced(self.nodes)
            # The nearest one is the node itself, as all nodes differ.
            found = cKDTree(spaced).query(spaced[lonely], k=k + 1)[1][:, 1:]
            pairs = np.concatenate((pairs, np.column_stack((np.repeat(lonely, k), found.ravel()))))
        return np.unique(np.sort(pairs, axis=1), axis=0)

    def neighbours(self, node):
        """Rows of the nodes next to one node, see `edges`.

        Parameters
        ----------
        node : int
            Row of `nodes`.

        Returns
        -------
        ndarray of shape (n_neighbours,), int
            Rows of its neighbours, increasing.
        """
        if not 0 <= node < self.n_nodes:
            raise ValueError(f"node must be a row from 0 to {self.n_nodes - 1}, got {node}.")
        edges = self.edges()
        return np.sort(
            np.concatenate((edges[edges[:, 0] == node, 1], edges[edges[:, 1] == node, 0]))
        )
