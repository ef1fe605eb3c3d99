"""Covariance of the pixels of one observed spectrum: noise, and errors that pixels share."""

import numpy as np
from scipy.linalg import cholesky, eigh, solve_triangular
from scipy.sparse import csr_array

# Most good pixels of a block, within which the covariance is dense.
_BLOCK_SIZE = 2500
# An error of a single line is left out of a block if it is nowhere larger than this part of the
# noise of a pixel.
_NEGLIGIBLE = 0.01
# Errors of a line smaller than this part of the noise are 0: most lines are far away.
_ROUNDING = 1e-5
# Rows of the stationary errors that are computed at once.
_STRIP = 32


class PixelCovariance:
    r"""Covariance of the pixels of one spectrum.

    It is :math:`C = D + U^T U`. D has a dense block for each stretch of pixels: the noise, the
    errors that are significant in this block only, and the stationary errors. The rows of U are
    errors that several blocks share. With D = LLᵀ, the spectrum is whitened by
    :math:`R = (1 + V V^T)^{-1/2} L^{-1}`, where :math:`V = L^{-1} U^T`; then :math:`R^T R =
    C^{-1}`.

    Parameters
    ----------
    weights : ndarray of shape (n_pixels,)
        Inverse variance of the noise; pixels with 0 have no influence.
    slices : list of slice
        Pixels of each segment. A block lies within one segment.
    independent : ndarray of shape (n_independent, n_pixels)
        Error spectra of one standard deviation, each of a single line, in the unit of the flux.
        What is less than a hundredth of the noise in all pixels of a block is left out.
    common : ndarray of shape (n_common, n_pixels)
        Error spectra that extend over many pixels.
    kernels : sequence of tuple (amplitude, length)
        Stationary errors, of covariance amplitude² exp(−\|Δv\|/length): in units of the
        continuum, and km/s. Pixels of different blocks do not share them.
    velocity : ndarray of shape (n_pixels,) or None
        c ln λ of the pixels, km/s; needed by `kernels`.
    continuum : ndarray of shape (n_pixels,) or None
        Continuum at each pixel, in the unit of the flux; needed by `kernels`.
    block_size : int
        Largest number of good pixels of a block.

    Attributes
    ----------
    n_good : int
        Number of pixels with influence.
    log_determinant : float
        Natural logarithm of the determinant of C, of these pixels.

    Notes
    -----
    All is computed in units of the noise, so that no eigenvalue of D is below 1.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inference._pixel_covariance import PixelCovariance
    >>> shared = np.array([[1.0, 1.0, 0.0]])
    >>> covariance = PixelCovariance(np.ones(3), [slice(0, 3)], shared[:0], shared)
    >>> covariance.weighted(np.eye(3)).round(3)
    array([[ 0.667, -0.333,  0.   ],
           [-0.333,  0.667,  0.   ],
           [ 0.   ,  0.   ,  1.   ]])
    """

    def __init__(
        self,
        weights,
        slices,
        independent,
        common,
        kernels=(),
        velocity=None,
        continuum=None,
        *,
        block_size=_BLOCK_SIZE,
    ):
        self._root = np.sqrt(weights)
        blocks = _blocks(weights > 0, slices, block_size)
        self.n_good = sum(len(pixels) for pixels in blocks)
        independent = independent * self._root
        # Whether an error is significant in a block, (n_blocks, n_independent).
        significant = np.array(
            [np.abs(independent[:, pixels]).max(axis=1) > _NEGLIGIBLE for pixels in blocks]
        )
        is_shared = significant.sum(axis=0) > 1
        self._blocks = []
        for pixels, is_inside in zip(blocks, significant, strict=True):
            own = independent[np.ix_(is_inside & ~is_shared, pixels)]
            own[np.abs(own) < _ROUNDING] = 0.0
            lines = csr_array(own)
            matrix = (lines.T @ lines).toarray()
            if len(kernels):
                self._add_kernels(matrix, pixels, kernels, velocity, continuum)
            matrix.flat[:: len(matrix) + 1] += 1.0
            # The part above the diagonal is below that of the transposed matrix.
            lower = cholesky(matrix.T, lower=True, overwrite_a=True, check_finite=False)
            self._blocks.append((pixels, lower))
        self.log_determinant = float(
            sum(
                2.0 * (np.log(np.diag(lower)) - np.log(self._root[pixels])).sum()
                for pixels, lower in self._blocks
            )
        )
        shared = np.concatenate([independent[is_shared], common * self._root])
        shared = self._in_blocks(shared)
        values, vectors = eigh(shared @ shared.T, overwrite_a=True, check_finite=False)
        root = np.sqrt(1.0 + np.maximum(values, 0.0))
        self.log_determinant += float(2.0 * np.log(root).sum())
        self._curves = vectors.T @ shared
        # (1/root - 1) / (root² - 1), without the difference of nearly equal numbers.
        self._factors = -1.0 / (root * (1.0 + root))

    def _add_kernels(self, matrix, pixels, kernels, velocity, continuum):
        """Add the stationary errors of some pixels, in units of the noise, above the diagonal."""
        v, scale = velocity[pixels], self._root[pixels] * continuum[pixels]
        # In strips that fit into the cache of the processor.
        for start in range(0, len(pixels), _STRIP):
            strip, onward = slice(start, start + _STRIP), slice(start, None)
            distance = np.abs(v[strip, None] - v[onward])
            total = sum(
                amplitude**2 * np.exp(distance * (-1.0 / length)) for amplitude, length in kernels
            )
            matrix[strip, onward] += total * scale[strip, None] * scale[onward]

    def whitened(self, values):
        """Return R `values`: independent numbers of variance 1, if the covariance is right.

        Parameters
        ----------
        values : ndarray of shape (..., n_pixels)
            Vectors, such as residuals.

        Returns
        -------
        ndarray of shape (..., n_pixels)
            In the order of the pixels; 0 for those without influence.
        """
        flat = values.reshape(-1, values.shape[-1]) * self._root
        return self._mixed(self._in_blocks(flat)).reshape(values.shape)

    def weighted(self, values):
        """Return C⁻¹ `values`.

        Parameters
        ----------
        values : ndarray of shape (..., n_pixels)
            Vectors.

        Returns
        -------
        ndarray of shape (..., n_pixels)
            0 for pixels without influence.
        """
        flat = self._mixed(self.whitened(values).reshape(-1, values.shape[-1]))
        return (self._in_blocks(flat, transposed=True) * self._root).reshape(values.shape)

    def _in_blocks(self, values, *, transposed=False):
        """Solve with the triangular matrix of each block, in units of the noise."""
        solved = np.zeros(values.shape)
        for pixels, lower in self._blocks:
            part = values[:, pixels]
            # Most continuum terms and errors are 0 in most blocks.
            some = np.flatnonzero(part.any(axis=1))
            if len(some):
                solved[np.ix_(some, pixels)] = solve_triangular(
                    lower, part[some].T, trans=int(transposed), lower=True, check_finite=False
                ).T
        return solved

    def _mixed(self, values):
        """Apply the symmetric root (1 + V Vᵀ)^(-1/2)."""
        return values + ((values @ self._curves.T) * self._factors) @ self._curves


def _blocks(good, slices, block_size):
    """Return the numbers of the good pixels of each block, which lies within one segment."""
    blocks = []
    for where in slices:
        pixels = where.start + np.flatnonzero(good[where])
        if len(pixels):
            blocks.extend(np.array_split(pixels, -(-len(pixels) // block_size)))
    return blocks
