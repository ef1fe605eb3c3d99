"""What the clones leave of the spectra at the nodes, kept as small as it can be."""

import numpy as np
from scipy import linalg

from skphx.manifolds.pixels import resampled

# A low rank pays where it needs less than this part of the nodes.
_LARGEST_RANK = 0.5


class NodeResiduals:
    """Residual spectra of all nodes, of low rank where that loses nothing.

    Parameters
    ----------
    residual : ndarray of shape (n_nodes, n_pixels)
        Residuals at the nodes, dimensionless.
    tolerance : float
        Largest root mean square over the pixels of any node that a low rank may lose.

    Attributes
    ----------
    components : ndarray of shape (n_components, n_pixels)
        Spectra of which each residual is a sum.
    shares : ndarray of shape (n_nodes, n_components) or None
        Share of each component in each node; None where a component is the residual of one
        node.

    References
    ----------
    Eckart & Young (1936), Psychometrika 1, 211: the best approximation of a given rank.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.manifolds import NodeResiduals
    >>> residual = np.outer([1.0, 2.0, 3.0, 4.0], np.sin(np.arange(100.0)))
    >>> kept = NodeResiduals(residual, tolerance=1e-6)
    >>> kept.components.shape, bool(np.allclose(kept.at(np.eye(4)), residual))
    ((1, 100), True)
    """

    def __init__(self, residual, tolerance):
        self.components, self.shares = residual, None
        n_nodes, n_pixels = residual.shape
        if tolerance <= 0 or n_nodes < 4 or n_pixels < n_nodes:
            return
        # The small Gram matrix instead of the spectra: pixels outnumber nodes by far.
        squares, vectors = linalg.eigh(residual @ residual.T)
        vectors = vectors[:, ::-1]
        lost = np.cumsum((vectors**2 * np.maximum(squares[::-1], 0.0))[:, ::-1], axis=1)[:, ::-1]
        worst = np.sqrt(np.append(lost, np.zeros((n_nodes, 1)), axis=1).max(axis=0) / n_pixels)
        rank = int(np.argmax(worst <= tolerance))
        if rank <= _LARGEST_RANK * n_nodes:
            self.shares = np.ascontiguousarray(vectors[:, :rank])
            self.components = self.shares.T @ residual

    def at(self, weights):
        """Interpolate the residuals.

        Parameters
        ----------
        weights : sparse or dense array of shape (n_points, n_nodes)
            Weights of the nodes at the points.

        Returns
        -------
        ndarray of shape (n_points, n_pixels)
            Residuals at the points.
        """
        return (weights if self.shares is None else weights @ self.shares) @ self.components

    def resampled(self, pixels):
        """Give the same residuals on other pixels.

        Parameters
        ----------
        pixels : slice or PixelsBetween
            Pixels to keep, or where new ones are, see `skphx.manifolds.pixels`.

        Returns
        -------
        NodeResiduals
            Of the same nodes.
        """
        new = NodeResiduals.__new__(NodeResiduals)
        new.shares = self.shares
        new.components = np.ascontiguousarray(resampled(self.components, pixels))
        return new
