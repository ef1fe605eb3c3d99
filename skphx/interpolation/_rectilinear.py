"""RectilinearGrid: interpolation on the full product of uneven axes."""

import numpy as np
from scipy.sparse import csr_array

from skphx.interpolation._axis import AxisBasis
from skphx.interpolation._base import NodeGrid
from skphx.interpolation._nodes import N_LISTED, format_node


class TensorWeights:
    """Tensor product of the one-dimensional cardinal functions of the axes of a lattice.

    Parameters
    ----------
    axes : list of ndarray of shape (n_values,)
        Increasing values of each parameter.
    interpolation : {"linear", "hermite", "cubic"}
        Kind of interpolation, see `AxisBasis`.

    Attributes
    ----------
    bases : list of AxisBasis
        One per axis.
    shape : tuple of int
        Number of values of each axis.
    """

    def __init__(self, axes, interpolation):
        self.bases = [AxisBasis(axis, interpolation) for axis in axes]
        self.shape = tuple(len(axis) for axis in axes)

    def __call__(self, points, derivative_of=None):
        """Weights of the lattice nodes, in C order.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Points within the axes.
        derivative_of : int or None
            Parameter of the derivative; None gives the weights.

        Returns
        -------
        csr_array of shape (n_points, n_lattice)
            The weights, or their derivatives.
        """
        n_points = len(points)
        flat = np.zeros((n_points, 1), dtype=np.intp)
        weights = np.ones((n_points, 1))
        for column, basis in enumerate(self.bases):
            places, factors = basis.evaluate(points[:, column], column == derivative_of)
            flat = (flat[:, :, None] * len(basis.nodes) + places[:, None, :]).reshape(n_points, -1)
            weights = (weights[:, :, None] * factors[:, None, :]).reshape(n_points, -1)
        indptr = np.arange(n_points + 1) * flat.shape[1]
        matrix = csr_array(
            (weights.ravel(), flat.ravel(), indptr), shape=(n_points, int(np.prod(self.shape)))
        )
        # At a node and on cell faces most weights are zero: without them products are faster.
        matrix.eliminate_zeros()
        return matrix


class RectilinearGrid(NodeGrid):
    """Tensor-product interpolation on the full product of uneven axes.

    Parameters
    ----------
    nodes : array-like of shape (n_nodes, n_parameters)
        All combinations of the axes' values, rows in any order.
    parameter_names : sequence of str, or None
        One name per column; None is ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic"}
        "linear" is multilinear: continuous, with kinks at the nodes. "hermite" is a tensor
        product of piecewise cubics with slopes from the neighbouring nodes: its derivative is
        continuous, and it is exact for parabolas. "cubic" is the tensor product of cubic
        splines with not-a-knot ends: twice differentiable, and exact for cubics. Both are
        parabolas along an axis of three nodes, and linear along one of two. On an axis with a
        single value, points must have this value.

    Raises
    ------
    ValueError
        If nodes are repeated, missing or not valid.

    Notes
    -----
    The weight matrix of "linear" has at most ``2**n_parameters`` entries per row, that of
    "hermite" ``4**n_parameters``. That of "cubic" is full for points that are not on a node of any
    axis, because splines are coupled along the whole axis; the weights decrease by a factor of
    about 3.7 per node. Each weight is exactly one at its own node and zero at all others, and the
    sum of the weights of a point is one.

    References
    ----------
    C. de Boor, "A Practical Guide to Splines", Springer, 2001: chapter XVII for tensor
    products.

    Examples
    --------
    >>> from skphx.interpolation._rectilinear import RectilinearGrid
    >>> grid = RectilinearGrid([[5000.0], [7000.0], [6000.0]], ["teff"])
    >>> grid.weights([[5250.0]]).toarray()
    array([[0.75, 0.  , 0.25]])
    >>> RectilinearGrid([[0, 0], [0, 1], [1, 0]])
    Traceback (most recent call last):
        ...
    ValueError: parameters must hold the full product of 2 x 2 values, but 1 of 4 nodes ...
    """

    def __init__(self, nodes, parameter_names=None, interpolation="linear"):
        super().__init__(nodes, parameter_names, interpolation)
        self._check_complete()
        self._tensor = TensorWeights(self.axes, interpolation)
        shape = self._tensor.shape
        self._node_of_cell = np.empty(self.n_nodes, dtype=np.intp)
        self._node_of_cell[np.ravel_multi_index(tuple(self.positions.T), shape)] = np.arange(
            self.n_nodes
        )

    def _check_complete(self):
        """Raise if a node of the full product is missing."""
        shape = tuple(len(axis) for axis in self.axes)
        n_lattice = np.prod([float(n) for n in shape])
        if n_lattice == self.n_nodes:
            return
        listed = "; ".join(
            format_node(node, self.parameter_names)
            for node in first_missing(self.axes, self.positions, N_LISTED)
        )
        n_missing = n_lattice - self.n_nodes
        raise ValueError(
            f"parameters must hold the full product of {' x '.join(map(str, shape))} values, "
            f"but {n_missing:.0f} of {n_lattice:.0f} nodes are missing: {listed}"
            f"{', ...' if n_missing > N_LISTED else ''}; supply them, or interpolate across "
            f"them with holes='interpolate'."
        )

    def _to_rows(self, lattice_weights):
        """Weights in the order of the given nodes, from weights in lattice order."""
        weights = csr_array(
            (
                lattice_weights.data,
                self._node_of_cell[lattice_weights.indices],
                lattice_weights.indptr,
            ),
            shape=lattice_weights.shape,
        )
        weights.sort_indices()
        return weights

    def weights(self, points):
        """Weights of the nodes at points.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the grid.

        Returns
        -------
        csr_array of shape (n_points, n_nodes)
            Columns in the order of the given nodes; the sum of each row is one.

        Raises
        ------
        ValueError
            If a point is outside the grid; see `resolve_outside`.
        """
        return self._to_rows(self._tensor(self.resolve_outside(points)))

    def weights_jacobian(self, points):
        """Return ∂weights/∂parameter, one matrix per parameter.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the grid.

        Returns
        -------
        list of csr_array of shape (n_points, n_nodes)
            One matrix per parameter, in 1 / (unit of the parameter). At a kink of linear
            interpolation it is the derivative to the right, at the upper bound that to the left.
            Zero for a parameter with a single value.

        Raises
        ------
        ValueError
            If a point is outside the grid; see `resolve_outside`.
        """
        points = self.resolve_outside(points)
        return [
            self._to_rows(self._tensor(points, derivative_of=column))
            for column in range(self.n_parameters)
        ]

    def _spaced(self, points):
        """Points in units of local node spacing, because axes may be uneven."""
        return self._index_coordinates(points)


def first_missing(axes, positions, n_listed):
    """Return the first missing nodes of the full product, at most n_listed of them.

    The product is not stored, because that of scattered nodes may be too large for the memory;
    of the first n_nodes + n_listed nodes of the product at least n_listed are missing.
    """
    shape = tuple(len(axis) for axis in axes)
    present = {tuple(place) for place in positions.tolist()}
    missing = []
    for place in np.ndindex(shape):
        if place not in present:
            missing.append([axis[i] for axis, i in zip(axes, place, strict=True)])
            if len(missing) == n_listed:
                break
    return missing
