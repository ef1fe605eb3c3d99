"""Low-rank approximation of the nodes' spectra: a mean and few components."""

import numpy as np
from scipy import sparse

from skphx.flux._pixels import resampled

# The spectra themselves are kept if the rank would exceed this part of the number of nodes.
_LARGEST_RANK = 0.9
# A sparse matrix of which more than this part is nonzero is converted to a dense one.
_DENSE = 0.1
# Errors are computed on at most this many pixels.
_MAX_PIXELS = 20_000


class LowRank:
    """Values at all nodes as ``mean + coefficients @ components``.

    Interpolation is linear in the values at the nodes. Therefore only the coefficients are
    interpolated, and a spectrum is one small matrix product.

    Parameters
    ----------
    mean : ndarray of shape (n_pixels,)
        Mean over the nodes.
    components : ndarray of shape (n_components, n_pixels)
        Components of the differences from the mean.
    coefficients : ndarray of shape (n_nodes, n_components) or None
        Coefficients of the components for each node. None if `components` are the differences
        themselves, one for each node.

    References
    ----------
    Eckart & Young (1936), Psychometrika 1, 211: the best approximation of a given rank.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.flux._low_rank import LowRank
    >>> spectra = np.outer([1.0, 2.0, 3.0, 4.0], np.sin(np.arange(100.0)))
    >>> kept = LowRank.fit(spectra, tolerance=1e-6)
    >>> kept.components.shape, bool(np.allclose(kept.at(np.eye(4)), spectra))
    ((1, 100), True)
    """

    def __init__(self, mean, components, coefficients):
        self.mean, self.components, self.coefficients = mean, components, coefficients

    @classmethod
    def fit(cls, values, tolerance, slope=None):
        """Keep the fewest components for which no node has a larger error than a tolerance.

        Parameters
        ----------
        values : ndarray of shape (n_nodes, n_pixels)
            Spectra of the nodes.
        tolerance : float
            Largest rms error over the pixels of any node; 0 keeps the spectra as they are.
        slope : ndarray of shape (n_nodes, n_pixels) or None
            Factor of the errors in this rms, such as ∂flux/∂value; None is 1.

        Returns
        -------
        LowRank
            Approximation of the spectra.
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
        """Return the weighted sum of the nodes' differences from the mean.

        Parameters
        ----------
        weights : sparse or dense array of shape (n_points, n_nodes)
            Weights with any sum, such as the derivatives of those of `at`, whose sum is zero.

        Returns
        -------
        ndarray of shape (n_points, n_pixels)
            Weighted sums; derivatives of the values if the weights are derivatives.
        """
        factors = weights if self.coefficients is None else weights @ self.coefficients
        if sparse.issparse(factors) and factors.nnz > _DENSE * np.prod(factors.shape):
            factors = factors.toarray()
        return factors @ self.components

    def values(self):
        """Return the values at all nodes, shape (n_nodes, n_pixels)."""
        if self.coefficients is None:
            return self.mean + self.components
        return self.mean + self.coefficients @ self.components

    def resampled(self, pixels):
        """Return the same values on other pixels.

        Parameters
        ----------
        pixels : slice or PixelsBetween
            Pixels to keep, or positions of new ones, see :mod:`skphx.flux._pixels`.

        Returns
        -------
        LowRank
            Approximation for the same nodes.
        """
        return LowRank(
            np.ascontiguousarray(resampled(self.mean, pixels)),
            np.ascontiguousarray(resampled(self.components, pixels)),
            self.coefficients,
        )


def _principal_components(away):
    """Return orthonormal components, largest variance first, from the smaller Gram matrix."""
    if len(away) > away.shape[1]:
        _, vectors = np.linalg.eigh(away.T @ away)
        return vectors[:, ::-1].T
    _, vectors = np.linalg.eigh(away @ away.T)
    # Rounding makes components of very small variance not orthogonal; QR corrects this.
    return np.linalg.qr(away.T @ vectors[:, ::-1])[0].T


def _smallest_rank(away, components, coefficients, tolerance, slope):
    """Return the smallest rank within the tolerance, by bisection, or the number of nodes."""
    step = -(-away.shape[1] // _MAX_PIXELS)
    away, components = away[:, ::step], components[:, ::step]
    slope = 1.0 if slope is None else slope[:, ::step]

    def loss(rank):
        lost = (away - coefficients[:, :rank] @ components[:rank]) * slope
        return np.sqrt(np.mean(lost**2, axis=1)).max()

    low, high = 0, len(components)
    if loss(high) > tolerance:
        # Even the rounding errors of a full rank exceed the tolerance.
        return len(coefficients)
    while low < high:
        middle = (low + high) // 2
        if loss(middle) <= tolerance:
            high = middle
        else:
            low = middle + 1
    return high
