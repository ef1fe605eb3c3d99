"""Polynomial surfaces of low degree, fitted to values at the nodes."""

from itertools import product

import numpy as np
from numpy.polynomial import legendre

# Penalty on linear terms, relative to quadratic ones: only to avoid singular systems.
_PLANE = 0.01
# Largest total degree, and number of values of a parameter from which it has this degree, too.
_DEGREE, _LONG_AXIS = 4, 6


def smooth_surface(parameters):
    """Choose the degree of a surface for the nodes of a grid.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.

    Returns
    -------
    PolynomialSurface
        Surface of total degree 4, or less if there are fewer nodes than terms; the degree is at
        most 3 along a parameter with fewer than six values.
    """
    n_values = [len(np.unique(column)) for column in parameters.T]
    largest = [_DEGREE if n >= _LONG_AXIS else _DEGREE - 1 for n in n_values]
    for degree in range(_DEGREE, 0, -1):
        surface = PolynomialSurface(parameters, degree, largest)
        if len(surface.exponents) <= len(parameters):
            return surface
    return PolynomialSurface(parameters, 0)


class PolynomialSurface:
    """Polynomials of the parameters of a grid, as a basis for smooth functions.

    In contrast to an interpolation, a surface need not pass through the value at each node. A
    value that is uncertain at its node is determined by the neighbouring nodes.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    degree : int
        Largest total degree; the degree along a parameter with n distinct values is at most
        n - 1.
    largest : sequence of int or None
        Largest degree along each parameter; None is `degree`.

    Attributes
    ----------
    exponents : ndarray of shape (n_terms, n_parameters), int
        Degrees of the Legendre polynomials of each term, sorted by total degree.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.interpolation._surface import PolynomialSurface
    >>> teff = np.array([[4000.0], [5000.0], [6000.0]])
    >>> surface = PolynomialSurface(teff, degree=1)
    >>> surface.basis(teff)
    array([[ 1., -1.],
           [ 1.,  0.],
           [ 1.,  1.]])
    """

    def __init__(self, parameters, degree, largest=None):
        self.low, self.high = parameters.min(axis=0), parameters.max(axis=0)
        n_values = [len(np.unique(column)) for column in parameters.T]
        largest = [degree] * len(n_values) if largest is None else largest
        ranges = [
            range(min(degree, n - 1, most) + 1) for n, most in zip(n_values, largest, strict=True)
        ]
        exponents = [powers for powers in product(*ranges) if sum(powers) <= degree]
        self.exponents = np.array(sorted(exponents, key=lambda powers: (sum(powers), powers)))

    def basis(self, parameters):
        """Values of the terms at given parameters.

        Parameters
        ----------
        parameters : ndarray of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points, n_terms)
            Products of Legendre polynomials.
        """
        return np.prod(self._factors(parameters), axis=0)

    def basis_jacobian(self, parameters):
        """Return the derivatives of the terms by the parameters.

        Parameters
        ----------
        parameters : ndarray of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_parameters, n_points, n_terms)
            ∂term/∂parameter.
        """
        factors = self._factors(parameters)
        unit, width = self._unit(parameters)
        slopes = np.empty_like(factors)
        for column, powers in enumerate(self.exponents.T):
            own = np.zeros((len(parameters), powers.max() + 1))
            for power in range(1, own.shape[1]):
                series = legendre.legder(np.eye(own.shape[1])[power])
                own[:, power] = legendre.legval(unit[:, column], series)
            others = np.delete(factors, column, axis=0).prod(axis=0)
            slopes[column] = own[:, powers] * others * (2.0 / width[column])
        return slopes

    def _unit(self, parameters):
        """Parameters scaled to [-1, 1] within the grid, and the widths of their ranges."""
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        return 2.0 * (parameters - self.low) / width - 1.0, width

    def _factors(self, parameters):
        """Polynomial of each parameter in each term, shape (n_parameters, n_points, n_terms)."""
        unit, _ = self._unit(parameters)
        return np.array(
            [
                legendre.legvander(column, powers.max())[:, powers]
                for column, powers in zip(unit.T, self.exponents.T, strict=True)
            ]
        )

    def curvature(self):
        """Weight of each term in a penalty on curvature: 0 for the constant, small for planes.

        Returns
        -------
        ndarray of shape (n_terms,)
            The weights.
        """
        degree = self.exponents.sum(axis=1)
        return np.where(degree > 1, degree - 1.0, _PLANE * degree)
