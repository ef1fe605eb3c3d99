"""Interpolation along one axis: weights of its nodes as piecewise polynomials."""

from math import factorial

import numpy as np
from scipy.interpolate import make_interp_spline

# Number of nodes of an axis that each interpolation needs; with fewer its order is lower.
NODES_NEEDED = {"linear": 2, "hermite": 3, "cubic": 4, "radial": 3}


class AxisBasis:
    """Cardinal functions of the nodes of one axis: 1 at their own node, 0 at the others.

    In the interval from node i to node i + 1 each cardinal function is a polynomial in
    t = (x − x_i) / (x_{i+1} − x_i). Only the functions that are not zero in the interval are
    stored: two for linear, four for Hermite, and all for cubic, because splines are coupled along
    the whole axis.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes,)
        Strictly increasing.
    interpolation : {"linear", "hermite", "cubic"}
        "linear" is piecewise linear. "hermite" is piecewise cubic; the slope at each node is
        that of the parabola through the node and its two neighbours. "cubic" is the cubic
        spline with not-a-knot ends. With three nodes both are the parabola through them, with
        two the straight line. A single node always has weight 1.

    Attributes
    ----------
    nodes : ndarray of shape (n_nodes,)
        The nodes.
    degree : int
        Degree of the polynomials.
    coefficients : ndarray of shape (degree + 1, n_intervals, n_active)
        Coefficient of t**k of each active cardinal function in each interval.
    first : ndarray of shape (n_intervals,), int
        First active node of each interval.

    References
    ----------
    C. de Boor, "A Practical Guide to Splines", Springer, 2001: chapter IV for Bessel
    interpolation ("hermite") and for not-a-knot ends.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.interpolation._axis import AxisBasis
    >>> AxisBasis(np.array([0.0, 1.0, 4.0]), "linear").evaluate(np.array([2.5]))
    (array([[1, 2]]), array([[0.5, 0.5]]))
    """

    def __init__(self, nodes, interpolation):
        n_nodes = len(nodes)
        self.nodes = nodes
        # The Hermite parabola through three nodes is stored as a cubic, like all other pieces.
        local = interpolation == "hermite" and n_nodes > 2
        self.degree = 3 if local else min(NODES_NEEDED[interpolation] - 1, n_nodes - 1)
        if local:
            self._set_hermite()
        elif self.degree == 0:
            self.coefficients = np.ones((1, 1, 1))
            self.first = np.zeros(1, dtype=np.intp)
        elif self.degree == 1:
            rising = np.tile([[-1.0, 1.0]], (n_nodes - 1, 1))
            self.coefficients = np.stack((np.tile([[1.0, 0.0]], (n_nodes - 1, 1)), rising))
            self.first = np.arange(n_nodes - 1)
        else:
            self.coefficients = self._spline_coefficients()
            self.first = np.zeros(n_nodes - 1, dtype=np.intp)

    def _set_hermite(self):
        """Set the cubics given by values and slopes at both ends of each interval."""
        n_nodes = len(self.nodes)
        width = np.diff(self.nodes)
        slopes = np.zeros((n_nodes, n_nodes))
        for node in range(n_nodes):
            i, j, k = np.clip(node - 1, 0, n_nodes - 3) + np.arange(3)
            left, right = width[i], width[j]
            # Derivative of the parabola through nodes i, j, k, as weights of their values.
            to_left = np.array([-1.0, 1.0, 0.0]) / left
            to_right = np.array([0.0, -1.0, 1.0]) / right
            curvature = (to_right - to_left) / (left + right)
            x = self.nodes
            slopes[node, i : k + 1] = to_left + curvature * (2 * x[node] - x[i] - x[j])
        value = np.eye(n_nodes)
        rise = value[1:] - value[:-1]
        start, end = width[:, None] * slopes[:-1], width[:, None] * slopes[1:]
        full = np.stack((value[:-1], start, 3 * rise - 2 * start - end, start + end - 2 * rise))
        n_active = min(4, n_nodes)
        self.first = np.clip(np.arange(n_nodes - 1) - 1, 0, n_nodes - n_active)
        active = self.first[:, None] + np.arange(n_active)
        self.coefficients = np.take_along_axis(full, active[None], axis=2)

    def _spline_coefficients(self):
        """Taylor coefficients of all cardinal splines at the left end of each interval."""
        # On [0, 1] the linear system of the spline is well scaled for every unit.
        span = self.nodes[-1] - self.nodes[0]
        unit = (self.nodes - self.nodes[0]) / span
        spline = make_interp_spline(unit, np.eye(len(unit)), k=self.degree)
        width = np.diff(unit)[:, None]
        coefficients = np.stack(
            [
                spline(unit[:-1], nu=power) * width**power / factorial(power)
                for power in range(self.degree + 1)
            ]
        )
        # At a node, its weight is exactly 1 and the other weights are exactly 0.
        coefficients[0] = np.eye(len(unit))[:-1]
        return coefficients

    def evaluate(self, values, derivative=False):
        """Weights of the active nodes at values within the axis.

        Parameters
        ----------
        values : ndarray of shape (n_points,)
            Values within the range of the axis.
        derivative : bool
            Whether to return the first derivative of the weights instead.

        Returns
        -------
        columns : ndarray of shape (n_points, n_active), int
            Active nodes.
        weights : ndarray of shape (n_points, n_active)
            Their weights, or the derivatives of the weights.
        """
        n_active = self.coefficients.shape[2]
        if self.degree == 0:
            interval = np.zeros(len(values), dtype=np.intp)
            t, width = np.zeros((len(values), 1)), 1.0
        else:
            last = len(self.nodes) - 2
            interval = np.clip(np.searchsorted(self.nodes, values, side="right") - 1, 0, last)
            width = np.diff(self.nodes)[interval][:, None]
            t = (values - self.nodes[interval])[:, None] / width
        columns = self.first[interval][:, None] + np.arange(n_active)
        weights = np.zeros((len(values), n_active))
        # Horner's rule, from the highest power.
        if derivative:
            for power in range(self.degree, 0, -1):
                weights = weights * t + power * self.coefficients[power][interval]
            return columns, weights / width
        for power in range(self.degree, -1, -1):
            weights = weights * t + self.coefficients[power][interval]
        # The last node is the end of an interval, where the polynomials are not exact.
        at_end = values == self.nodes[-1]
        weights[at_end] = columns[at_end] == len(self.nodes) - 1
        return columns, weights
