"""Lines along a grid as the coefficients of their surfaces: what a joint fit determines."""

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.lines._reach import deepest_of_nodes

CENTER = LINE_PARAMETERS.index("center")


class LineSurfaces:
    """Every parameter of every line as one polynomial surface over the parameters of a grid.

    A surface has some thirty coefficients, whatever the number of nodes: for a thousand nodes that
    is a hundredth of a table of all lines at all nodes, counting that single precision suffices.

    Parameters
    ----------
    surface : PolynomialSurface
        Its terms.
    coefficients : ndarray of shape (n_lines, 4, n_terms)
        Of centre (Å), ln area, ln sigma and ln gamma (ln Å); the first term is constant.
    lower, upper : ndarrays of shape (n_lines, 4)
        Bounds that each parameter keeps.
    nodes : ndarray of shape (n_nodes, n_parameters)
        The grid's nodes.

    Attributes
    ----------
    centers : ndarray of shape (n_lines,)
        Constant part of each line's centre, Å.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.interpolation._surface import PolynomialSurface
    >>> from skphx.lines._surfaces import LineSurfaces
    >>> teff = np.array([[4000.0], [5000.0], [6000.0]])
    >>> coefficients = np.zeros((1, 4, 2))
    >>> coefficients[0, :, 0] = 5000.0, -2.0, -2.5, -3.0
    >>> coefficients[0, 1, 1] = -0.5  # its strength falls with Teff
    >>> lines = LineSurfaces(
    ...     PolynomialSurface(teff, 1), coefficients, np.full((1, 4), -9e9), np.full((1, 4), 9e9),
    ...     teff)
    >>> lines.at([[4500.0]])[0, 0, 1]
    np.float64(-1.75)
    """

    def __init__(self, surface, coefficients, lower, upper, nodes):
        self.surface, self.nodes = surface, nodes
        self.centers = coefficients[:, CENTER, 0].copy()
        coefficients = coefficients.copy()
        # The rest of a centre is small: single precision holds it to 1e-8 Å.
        coefficients[:, CENTER, 0] = 0.0
        self.coefficients = coefficients.astype(np.float32)
        self.lower, self.upper = (self._beside_centers(bound) for bound in (lower, upper))

    def _beside_centers(self, bound):
        bound = bound.copy()
        bound[:, CENTER] -= self.centers
        return bound

    @property
    def n_lines(self):
        """Number of lines."""
        return len(self.coefficients)

    @property
    def present(self):
        """Whether each node has each line, shape (n_nodes, n_lines): all have all."""
        return np.ones((len(self.nodes), self.n_lines), dtype=bool)

    def to_dense(self):
        """All lines at all nodes, shape (n_nodes, n_lines, 4)."""
        return self.at(self.nodes)

    def at(self, points):
        """Lines at points.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_points, n_lines, 4)
            Centre (Å), ln area, ln sigma and ln gamma (ln Å).
        """
        lines = np.clip(self._values(self._basis(points)), self.lower, self.upper)
        lines[..., CENTER] += self.centers
        return lines

    def tangents_at(self, points):
        """Differentiate the lines with respect to the parameters.

        Parameters
        ----------
        points : array-like of shape (n_points, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_parameters, n_points, n_lines, 4)
            Derivatives, 0 where a parameter keeps its bound.
        """
        points = np.asarray(points, dtype=np.float64)
        values = self._values(self._basis(points))
        held = (values < self.lower) | (values > self.upper)
        tangents = np.array([self._values(one) for one in self.surface.basis_jacobian(points)])
        tangents[:, held] = 0.0
        return tangents

    def _basis(self, points):
        return self.surface.basis(np.asarray(points, dtype=np.float64))

    def _values(self, basis):
        """Unbounded parameters of shape (n_points, n_lines, 4), centres beside `centers`."""
        flat = self.coefficients.reshape(-1, self.coefficients.shape[2])
        return (basis @ flat.T.astype(np.float64)).reshape(
            len(basis), self.n_lines, len(LINE_PARAMETERS)
        )

    def selected(self, kept):
        """Keep some of the lines only.

        Parameters
        ----------
        kept : ndarray of shape (n_lines,), bool
            Lines to keep.

        Returns
        -------
        LineSurfaces
            Lines of the new list, in the old order.
        """
        new = LineSurfaces.__new__(LineSurfaces)
        new.surface, new.nodes = self.surface, self.nodes
        for name in ("centers", "coefficients", "lower", "upper"):
            setattr(new, name, getattr(self, name)[kept])
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
        return deepest_of_nodes(
            lambda rows: self.at(self.nodes[rows]), len(self.nodes), self.n_lines, low, high
        )
