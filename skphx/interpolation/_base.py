"""NodeGrid, the base class of all grids: nodes, axes, bounds, distances, points outside."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from skphx.interpolation._nodes import (
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
    """Nodes in parameter space, and weights to interpolate between them.

    Interpolated values are ``grid.weights(points) @ values``, with `values` of shape
    (n_nodes, ...) in the order of the given nodes. All state is NumPy arrays, so that pickled
    grids are small.

    Parameters
    ----------
    nodes : array-like of shape (n_nodes, n_parameters)
        One node per row, in any order.
    parameter_names : sequence of str, or None
        One name per column; None is ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic"}
        Kind of interpolation.

    Attributes
    ----------
    nodes : ndarray of shape (n_nodes, n_parameters)
        The nodes, in the order given.
    parameter_names : tuple of str
        Names of the columns.
    axes : list of ndarray of shape (n_values,)
        Increasing distinct values of each parameter.
    positions : ndarray of shape (n_nodes, n_parameters), int
        Index of each node on each axis.
    bounds : ndarray of shape (n_parameters, 2)
        Lowest and highest value of each parameter.

    Raises
    ------
    ValueError
        If the nodes are not valid, see `check_nodes`, or two of them are the same.
    """

    # Supported kinds of interpolation.
    kinds: ClassVar[tuple[str, ...]] = ("linear", "hermite", "cubic")

    interpolation: str
    nodes: NDArray[np.float64]
    parameter_names: tuple[str, ...]
    axes: list[NDArray[np.float64]]
    positions: NDArray[np.intp]
    bounds: NDArray[np.float64]

    def __init__(
        self,
        nodes: ArrayLike,
        parameter_names: Sequence[str] | None = None,
        interpolation: str = "linear",
    ) -> None:
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
        # In the order of the given rows, not of the sorted nodes.
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
            f"keep one row (and one spectrum) per node."
        )

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name}: {len(axis)}"
            for name, axis in zip(self.parameter_names, self.axes, strict=True)
        )
        return f"<{type(self).__name__} of {self.n_nodes} nodes ({sizes}), {self.interpolation}>"

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return self.nodes.shape[0]

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        return self.nodes.shape[1]

    @property
    def scale(self) -> NDArray[np.float64]:
        """Typical node spacing of each parameter, shape (n_parameters,); 1 for a single value.

        This is the median step of the axis. For scattered nodes, which share no values, it is the
        step of a lattice with as many nodes.
        """
        return spacing_of(self.axes, self.n_nodes)

    @abstractmethod
    def weights(self, points: ArrayLike) -> csr_array:
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
    def weights_jacobian(self, points: ArrayLike) -> list[csr_array]:
        """Return the derivatives of the weights.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the grid.

        Returns
        -------
        list of csr_array of shape (n_points, n_nodes)
            ∂weights/∂parameter, one matrix per parameter.
        """

    def check_points(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return points as a float64 array.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points, n_parameters)
            A copy of the points.

        Raises
        ------
        ValueError
            If the shape is not valid or a value is not finite.
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
                f"{points[row, column]}; remove this row or give its value."
            )
        return points

    def _bound_slack(self):
        """Distance from the bounds within which a point is on them, shape (n_parameters,)."""
        low, high = self.bounds.T
        return SAME_VALUE * np.where(high > low, high - low, np.abs(low))

    def _inside_box(self, points):
        """Whether each value is within its bounds, shape (n_points, n_parameters)."""
        slack = self._bound_slack()
        return (points >= self.bounds[:, 0] - slack) & (points <= self.bounds[:, 1] + slack)

    def _clip(self, points):
        """Nearest point of the domain of the grid."""
        return np.clip(points, self.bounds[:, 0], self.bounds[:, 1])

    def contains(self, points: ArrayLike) -> NDArray[np.bool_]:
        """Whether points are inside the grid, so that no extrapolation is needed.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points,), bool
            True inside and on the boundary.
        """
        return self._inside_box(self.check_points(points)).all(axis=1)

    def resolve_outside(
        self, points: ArrayLike, outside: Literal["error", "clip", "nearest"] = "error"
    ) -> NDArray[np.float64]:
        """Move points outside the grid into the grid, or raise an error.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.
        outside : {"error", "clip", "nearest"}
            What to do with a point outside the grid: raise an error; move the point to the
            nearest point on the boundary; or move the point to the nearest node.

        Returns
        -------
        ndarray of shape (n_points, n_parameters)
            The points, all inside the grid.

        Raises
        ------
        ValueError
            If `outside` is "error" and a point is outside the grid.
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
        # Points that are outside by rounding only are moved to the bounds.
        return np.clip(points, self.bounds[:, 0], self.bounds[:, 1])

    def _outside_message(self, points, beyond):
        """Error message: which point is outside, of which bounds, and what to do."""
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
                f"bounds but outside the convex hull of the {self.n_nodes} nodes, "
                f"{self.distance(points[row : row + 1])[0]:.3g} node spacings from the nearest"
            )
        n_beyond = int(beyond.sum())
        others = f" ({n_beyond} of {len(points)} points are outside)" if n_beyond > 1 else ""
        return (
            f"points must lie inside the grid, but {problem}{others}; correct the point, or move "
            f"it to the boundary ('clip') or to the nearest node ('nearest')."
        )

    def _index_coordinates(self, points):
        """Points in units of local node spacing: the nodes of each axis are 0, 1, 2, ..."""
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
        """Distance to the nearest node, and its row."""
        return cKDTree(self._spaced(self.nodes)).query(self._spaced(points))

    def nearest_node(self, points: ArrayLike) -> NDArray[np.intp]:
        """Row of the nearest node of each point; distances are in units of node spacing.

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

    def distance(self, points: ArrayLike) -> NDArray[np.float64]:
        """Distance of each point to its nearest node, in units of node spacing.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space, also outside the grid.

        Returns
        -------
        ndarray of shape (n_points,)
            Euclidean distance, with each parameter divided by its node spacing: 0 at a node,
            ``sqrt(n_parameters) / 2`` at the centre of a lattice cell.
        """
        return self._nearest(self.check_points(points))[0]
