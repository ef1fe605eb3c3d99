"""Smooth surfaces through values at nodes: low polynomials that need not pass through them."""

from itertools import product

import numpy as np
from numpy.polynomial import legendre

# Planes are held back this much, relative to parabolas: only so that nothing is singular.
_PLANE = 0.01
# Largest total degree of surfaces, and of one parameter by the number of its values.
_DEGREE, _LONG_AXIS = 4, 6


def smooth_surface(parameters):
    """Choose the surface that suits the nodes of a grid.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.

    Returns
    -------
    PolynomialSurface
        Of total degree 4, or less where the nodes are too few for its terms; cubic at most
        along a parameter of fewer than six values.
    """
    n_values = [len(np.unique(column)) for column in parameters.T]
    largest = [_DEGREE if n >= _LONG_AXIS else _DEGREE - 1 for n in n_values]
    for degree in range(_DEGREE, 0, -1):
        surface = PolynomialSurface(parameters, degree, largest)
        if len(surface.exponents) <= len(parameters):
            return surface
    return PolynomialSurface(parameters, 0)


class PolynomialSurface:
    """Polynomials over the parameters of a grid: the terms of which smooth functions are sums.

    Where an interpolation repeats every node's value, a surface keeps what neighbouring nodes
    agree on: a value that its own node hardly determines follows the others.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    degree : int
        Largest total degree; along a parameter with n distinct values at most n - 1.
    largest : sequence of int or None
        Largest degree along each parameter.

    Attributes
    ----------
    exponents : ndarray of shape (n_terms, n_parameters), int
        Degree of each term's Legendre polynomials, low total degrees first.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.grids import PolynomialSurface
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
        """Terms at given parameters.

        Parameters
        ----------
        parameters : ndarray of shape (n_points, n_parameters)
            Points in parameter space.

        Returns
        -------
        ndarray of shape (n_points, n_terms)
            Products of Legendre polynomials.
        """
        width = np.where(self.high > self.low, self.high - self.low, 1.0)
        unit = 2.0 * (parameters - self.low) / width - 1.0
        terms = np.ones((len(parameters), len(self.exponents)))
        for column, powers in zip(unit.T, self.exponents.T, strict=True):
            terms *= legendre.legvander(column, powers.max())[:, powers]
        return terms

    def curvature(self):
        """How much each term bends a surface: 0 for the constant, little for planes.

        Returns
        -------
        ndarray of shape (n_terms,)
            Weight of each term in a penalty on bending.
        """
        degree = self.exponents.sum(axis=1)
        return np.where(degree > 1, degree - 1.0, _PLANE * degree)
