"""ScatteredGrid: polyharmonic radial basis functions on nodes at any positions."""

from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist

from skphx.interpolation._base import INTERPOLATIONS, NodeGrid

# Exponent of the distance, and degree of the polynomial that is added.
POWER = {"linear": 1, "hermite": 3, "cubic": 3, "radial": 5}
POLYNOMIAL_DEGREE = {"linear": 1, "hermite": 2, "cubic": 2, "radial": 2}
# Scattered nodes share no values, so that the lattice of their values is large and almost empty:
# above this number of lattice nodes per node the lattice is not used.
_MOST_CELLS = 64


class RadialWeights:
    """Weights of the nodes for polyharmonic interpolation.

    The interpolant is Σ c_i |x − x_i|^p + polynomial, with p = 1, 3 or 5. It is exact at the
    nodes, and its coefficients are orthogonal to the polynomials. It is linear in the node values,
    so the weights at a point are the basis functions at this point times the inverse of the linear
    system.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes, n_parameters)
        Nodes, all different, in units of node spacing.
    interpolation : {"linear", "hermite", "cubic", "radial"}
        p = 1 with a polynomial of first degree, p = 3 with one of second degree, or, for
        "radial", p = 5 with one of second degree. Terms that are linearly dependent on the
        nodes are left out, so that the degree is lower for few or degenerate nodes. The second
        degree is used only with at least twice as many nodes as terms. Without it "radial" has
        p = 3, because p = 5 needs a polynomial of second degree.

    Attributes
    ----------
    nodes, center : ndarray
        The nodes, and their mean.
    exponents : ndarray of shape (n_terms, n_parameters), int
        Exponents of the monomials of the polynomial.
    inverse : ndarray of shape (n_nodes + n_terms, n_nodes)
        Matrix from node values to coefficients.

    References
    ----------
    G. E. Fasshauer, "Meshfree Approximation Methods with MATLAB", World Scientific, 2007:
    chapters 6 to 8.
    """

    def __init__(self, nodes, interpolation):
        self.nodes = nodes
        self.center = nodes.mean(axis=0)
        self.exponents, degree = self._independent_monomials(POLYNOMIAL_DEGREE[interpolation])
        # The system is regular only if 2 * degree + 1 >= power.
        self.power = min(POWER[interpolation], 2 * degree + 1)
        n_nodes, n_terms = len(nodes), len(self.exponents)
        radial = cdist(nodes, nodes) ** self.power
        polynomial = self._polynomial(nodes)
        # With both blocks of the same magnitude the system is well conditioned.
        largest = radial.max() or 1.0
        system = np.zeros((n_nodes + n_terms, n_nodes + n_terms))
        system[:n_nodes, :n_nodes] = radial / largest
        system[:n_nodes, n_nodes:] = polynomial
        system[n_nodes:, :n_nodes] = polynomial.T
        right_side = np.eye(n_nodes + n_terms, n_nodes)
        self.inverse = np.linalg.solve(system, right_side)
        self.inverse[:n_nodes] /= largest

    def _independent_monomials(self, degree):
        """Monomials that are linearly independent on the nodes, and their total degree."""
        n_nodes, n_parameters = self.nodes.shape
        exponents: list[NDArray[np.intp]] = []
        basis: list[NDArray[np.float64]] = []
        for total in range(degree + 1):
            candidates = [
                np.bincount(np.array(chosen, dtype=np.intp), minlength=n_parameters)
                for chosen in combinations_with_replacement(range(n_parameters), total)
            ]
            # A parabola with almost as many terms as nodes oscillates between the nodes.
            if total > 1 and n_nodes < 2 * (len(exponents) + len(candidates)):
                return np.array(exponents), total - 1
            for candidate in candidates:
                column = self._monomials(self.nodes, candidate[None])[:, 0]
                rest = column.copy()
                for _ in range(2):  # one pass of Gram-Schmidt is not accurate enough
                    for unit in basis:
                        rest -= unit * (unit @ rest)
                if np.linalg.norm(rest) > 1e-8 * np.linalg.norm(column):
                    exponents.append(candidate)
                    basis.append(rest / np.linalg.norm(rest))
        return np.array(exponents), degree

    def _span(self):
        """Half range of each parameter; 1 for a single value."""
        span = np.abs(self.nodes - self.center).max(axis=0)
        return np.where(span > 0, span, 1.0)

    def _monomials(self, points, exponents):
        """Monomials of the centred points, shape (n_points, n_terms)."""
        scaled = (points - self.center) / self._span()
        return np.prod(scaled[:, None, :] ** exponents[None], axis=2)

    def _polynomial(self, points):
        return self._monomials(points, self.exponents)

    def __call__(self, points):
        """Weights of the nodes, ndarray of shape (n_points, n_nodes)."""
        distance = cdist(points, self.nodes)
        weights = np.hstack((distance**self.power, self._polynomial(points))) @ self.inverse
        # Exact at the nodes, without rounding errors.
        at_node = (distance == 0).any(axis=1)
        weights[at_node] = distance[at_node] == 0
        return weights

    def derivative(self, points, column):
        """Return the derivative of the weights by one parameter, shape (n_points, n_nodes)."""
        distance = cdist(points, self.nodes)
        offset = points[:, column, None] - self.nodes[None, :, column]
        if self.power == 1:
            # |x| has no derivative at a node; zero is the mean of those on both sides.
            radial = np.divide(offset, distance, out=np.zeros_like(offset), where=distance > 0)
        else:
            radial = self.power * distance ** (self.power - 2) * offset
        lowered = self.exponents.copy()
        lowered[:, column] = np.maximum(lowered[:, column] - 1, 0)
        slope = self._monomials(points, lowered) * (
            self.exponents[:, column] / self._span()[column]
        )
        return np.hstack((radial, slope)) @ self.inverse


class HullGrid(NodeGrid):
    """A grid whose domain is the convex hull of its nodes."""

    # Points at a smaller distance from the hull, in node spacings, are inside.
    _ON_HULL = 1e-6

    def _project(self, points):
        """Nearest points of the convex hull; distances are in units of node spacing.

        Each point is a mean of nodes with non-negative weights whose sum is one. The condition on
        the sum is an extra row with a large weight in a non-negative least-squares problem.
        """
        scale, center = self.scale, self.nodes.mean(axis=0)
        nodes = (self.nodes - center) / scale
        heavy = 1e3 * max(1.0, np.abs(nodes).max())
        system = np.vstack((nodes.T, np.full(len(nodes), heavy)))
        projected = np.empty_like(points)
        for row, point in enumerate((points - center) / scale):
            share = nnls(system, np.append(point, heavy))[0]
            projected[row] = (share / share.sum()) @ self.nodes
        return projected

    def contains(self, points):
        """Whether points lie inside the convex hull of the nodes.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points,), bool
            True inside and on the boundary.
        """
        points = self.check_points(points)
        inside = self._inside_box(points).all(axis=1)
        unsure = inside & ~self._surely_inside(points)
        gap = (self._project(points[unsure]) - points[unsure]) / self.scale
        inside[unsure] = np.linalg.norm(gap, axis=1) <= self._ON_HULL
        return inside

    def _surely_inside(self, points):
        """Whether all corners of the lattice cell of a point are nodes, which is fast to test."""
        n_values = np.array([len(axis) for axis in self.axes])
        if np.prod(n_values.astype(float)) > _MOST_CELLS * self.n_nodes:
            return np.zeros(len(points), dtype=bool)
        present = np.zeros(n_values, dtype=bool)
        present[tuple(self.positions.T)] = True
        lower = np.floor(self._index_coordinates(points)).astype(np.intp)
        lower = np.clip(lower, 0, np.maximum(n_values - 2, 0))
        inside = np.ones(len(points), dtype=bool)
        for step in np.ndindex(*(min(n, 2) for n in n_values)):
            inside &= present[tuple((lower + step).T)]
        return inside

    def _clip(self, points):
        return self._project(points)


class ScatteredGrid(HullGrid):
    """Polyharmonic radial basis functions on nodes at any positions.

    Parameters
    ----------
    nodes : array-like of shape (n_nodes, n_parameters)
        One node per row, at least one. The nodes may be on a line or in a plane.
    parameter_names : sequence of str, or None
        One name per column; None is ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic", "radial"}
        "linear" is a sum of distances and a polynomial of first degree: continuous, with
        kinks at the nodes. "cubic" is a sum of cubed distances and a polynomial of second
        degree: twice differentiable. "hermite" needs a lattice, and is here the same as
        "cubic". "radial" is a sum of fifth powers of distances and a polynomial of second
        degree: four times differentiable. Distances are in units of node spacing.

    Raises
    ------
    ValueError
        If nodes are repeated or not valid.

    Notes
    -----
    All nodes contribute at every point: weights are full matrices (in the sparse format of all
    grids), and a grid needs ``8 * n_nodes**2`` bytes. Points are inside the grid if they are
    inside the convex hull of the nodes.

    Examples
    --------
    >>> from skphx.interpolation._scattered import ScatteredGrid
    >>> grid = ScatteredGrid([[0.0, 0.0], [1.0, 0.2], [0.3, 1.0]])
    >>> grid.weights([[0.3, 1.0]]).toarray().round(12) + 0.0
    array([[0., 0., 1.]])
    """

    kinds = INTERPOLATIONS

    def __init__(self, nodes, parameter_names=None, interpolation="linear"):
        super().__init__(nodes, parameter_names, interpolation)
        self._radial = RadialWeights(self._spaced(self.nodes), interpolation)

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
        points = self.resolve_outside(points)
        return csr_array(self._radial(self._spaced(points)))

    def weights_jacobian(self, points):
        """Return ∂weights/∂parameter, one matrix per parameter.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points inside the convex hull of the nodes.

        Returns
        -------
        list of csr_array of shape (n_points, n_nodes)
            One matrix per parameter, in 1 / (unit of the parameter). At a node, where linear
            interpolation has a kink, it is the mean of the derivatives on both sides.

        Raises
        ------
        ValueError
            If a point is outside the grid; see `resolve_outside`.
        """
        points = self._spaced(self.resolve_outside(points))
        return [
            csr_array(self._radial.derivative(points, column) / self.scale[column])
            for column in range(self.n_parameters)
        ]
