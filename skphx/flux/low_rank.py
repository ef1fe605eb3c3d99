"""Spectra of many nodes as a mean and few components: the one low-rank class of the package."""

import numpy as np
from scipy import sparse

from skphx.flux.pixels import resampled

# A low rank pays where it needs less than this part of the nodes.
_LARGEST_RANK = 0.9
# Products with weights of which more than this part is not zero are those of dense matrices.
_DENSE = 0.1
# Pixels by which errors are judged; all are as good as some thousands.
_MAX_PIXELS = 20_000


class LowRank:
    """Values of all nodes as ``mean + coefficients @ components``.

    Interpolation is linear in the values at the nodes, so that only the coefficients are
    interpolated, and a spectrum is one small product.

    Parameters
    ----------
    mean : ndarray of shape (n_pixels,)
        Mean of the nodes.
    components : ndarray of shape (n_components, n_pixels)
        Spectra of which each node's distance from the mean is a sum.
    coefficients : ndarray of shape (n_nodes, n_components) or None
        Share of each component in each node; None where a component is the spectrum of one
        node, its distance from the mean.

    References
    ----------
    Eckart & Young (1936), Psychometrika 1, 211: the best approximation of a given rank.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.flux.low_rank import LowRank
    >>> spectra = np.outer([1.0, 2.0, 3.0, 4.0], np.sin(np.arange(100.0)))
    >>> kept = LowRank.fit(spectra, tolerance=1e-6)
    >>> kept.components.shape, bool(np.allclose(kept.at(np.eye(4)), spectra))
    ((1, 100), True)
    """

    def __init__(self, mean, components, coefficients):
        self.mean, self.components, self.coefficients = mean, components, coefficients

    @classmethod
    def fit(cls, values, tolerance, slope=None):
        """Take as many components as leave no node with a larger error than a tolerance.

        Parameters
        ----------
        values : ndarray of shape (n_nodes, n_pixels)
            Spectra of the nodes.
        tolerance : float
            Largest root mean square over the pixels that any node may lose; 0 keeps the spectra
            as they are.
        slope : ndarray of shape (n_nodes, n_pixels) or None
            What an error of a value is multiplied by before the root mean square is taken, such
            as ∂flux/∂value; None is 1.

        Returns
        -------
        LowRank
            Of the nodes.
        """
        mean = values.mean(axis=0)
        away = values - mean
        n_nodes, n_pixels = away.shape
        if tolerance <= 0 or n_nodes < 4:
            return cls(mean, away, None)
        components = _principal_components(away)
        coefficients = away @ components.T
        rank = _smallest_rank(away, components, coefficients, tolerance, slope)
        if rank > _LARGEST_RANK * min(n_nodes, n_pixels):
            return cls(mean, away, None)
        return cls(
            mean,
            np.ascontiguousarray(components[:rank]),
            np.ascontiguousarray(coefficients[:, :rank]),
        )

    def at(self, weights):
        """Interpolate the values.

        Parameters
        ----------
        weights : sparse or dense array of shape (n_points, n_nodes)
            Weights of the nodes at the points, which add up to one.

        Returns
        -------
        ndarray of shape (n_points, n_pixels)
            Values at the points.
        """
        return self.mean + self.change(weights)

    def change(self, weights):
        """Sum the nodes' distances from the mean, for weights that add up to anything.

        Parameters
        ----------
        weights : sparse or dense array of shape (n_points, n_nodes)
            Weights, such as the derivatives of those of `at`, which add up to zero.

        Returns
        -------
        ndarray of shape (n_points, n_pixels)
            Their sums; derivatives of the values where the weights are derivatives.
        """
        shares = weights if self.coefficients is None else weights @ self.coefficients
        if sparse.issparse(shares) and shares.nnz > _DENSE * np.prod(shares.shape):
            shares = shares.toarray()
        return shares @ self.components

    def values(self):
        """Values of all nodes, shape (n_nodes, n_pixels)."""
        if self.coefficients is None:
            return self.mean + self.components
        return self.mean + self.coefficients @ self.components

    def resampled(self, pixels):
        """Give the same values on other pixels.

        Parameters
        ----------
        pixels : slice or PixelsBetween
            Pixels to keep, or where new ones are, see :mod:`skphx.flux.pixels`.

        Returns
        -------
        LowRank
            Of the same nodes.
        """
        return LowRank(
            np.ascontiguousarray(resampled(self.mean, pixels)),
            np.ascontiguousarray(resampled(self.components, pixels)),
            self.coefficients,
        )


def _principal_components(away):
    """Orthonormal components, the most important first, by the smaller of the Gram matrices."""
    if len(away) > away.shape[1]:
        _, vectors = np.linalg.eigh(away.T @ away)
        return vectors[:, ::-1].T
    _, vectors = np.linalg.eigh(away @ away.T)
    # Of spectra far fainter than the first, rounding leaves directions that are not orthogonal.
    return np.linalg.qr(away.T @ vectors[:, ::-1])[0].T


def _smallest_rank(away, components, coefficients, tolerance, slope):
    """Find by bisection how few components lose no more than the tolerance; else all nodes."""
    step = -(-away.shape[1] // _MAX_PIXELS)
    away, components = away[:, ::step], components[:, ::step]
    slope = 1.0 if slope is None else slope[:, ::step]

    def loss(rank):
        lost = (away - coefficients[:, :rank] @ components[:rank]) * slope
        return np.sqrt(np.mean(lost**2, axis=1)).max()

    low, high = 0, len(components)
    if loss(high) > tolerance:
        # What is left out is rounding, and even that is too much.
        return len(coefficients)
    while low < high:
        middle = (low + high) // 2
        if loss(middle) <= tolerance:
            high = middle
        else:
            low = middle + 1
    return high
