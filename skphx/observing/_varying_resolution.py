r"""A Gaussian line-spread function whose width changes along the spectrum.

The flux of a pixel at velocity coordinate x = c ln λ is

.. math:: y(x) = \int G(x - x';\, \sigma^2(x))\, f(x')\, dx' ,

with the width at the pixel, so that a constant stays a constant. Pixels are sorted into bins of
similar variance. Within a bin, σ²(x) = σ₀² + ε²(x), where σ₀ is the smallest width of the bin: the
constant part is a factor of the Fourier transform, like that of a constant resolution. The rest
is narrow compared with σ₀, and its integral is a Gauss-Hermite sum over shifted pixels,

.. math:: y(x) = \sum_q w_q\, (G_{\sigma_0} * f)(x + \epsilon(x)\, z_q) ,

a sparse matrix. All of this is linear in f and independent of velocity, rotation and
macroturbulence, so their derivatives stay exact.

========== ========= =================================================
quantity   unit      meaning
========== ========= =================================================
variance   km²/s²    of the Gaussian line-spread function at a pixel
excess     km²/s²    variance of a pixel minus the smallest of its bin
========== ========= =================================================
"""

import numpy as np

from skphx._domain import SPEED_OF_LIGHT
from skphx.observing._resampling import pixel_matrix

# In a bin, variances differ by less than this factor, so ε² is below a third of the whole
# variance. Seven points then integrate a feature as narrow as the Gaussian itself to 2e-6.
_BIN_RATIO = 1.5
_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def bins_of_variance(variances):
    """Sort the pixels of segments into bins of similar variance.

    Parameters
    ----------
    variances : dict of int to ndarray of shape (n_segment_pixels,)
        Whole variance of each pixel, km²/s², that of the model included, by number of the
        segment.

    Returns
    -------
    list of tuple (smallest, members)
        The smallest variance of each bin, and a dict from numbers of segments to the pixels in
        the bin, in their order.
    """
    if not variances:
        return []
    logs = {number: np.log(values) for number, values in variances.items()}
    lowest = min(values.min() for values in logs.values())
    width = max(values.max() for values in logs.values()) - lowest
    n_bins = int(width / np.log(_BIN_RATIO)) + 1
    places = {
        number: np.minimum(
            (n_bins * (values - lowest) / max(width, 1e-300)).astype(int), n_bins - 1
        )
        for number, values in logs.items()
    }
    bins = []
    for place in range(n_bins):
        members = {number: np.flatnonzero(at == place) for number, at in places.items()}
        members = {number: pixels for number, pixels in members.items() if len(pixels)}
        if members:
            smallest = min(variances[number][pixels].min() for number, pixels in members.items())
            bins.append((smallest, members))
    return bins


def broadened_pixel_matrix(nodes, low, high, excess):
    """Return the matrix from samples to pixels that also broadens by a variance of each pixel.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes,)
        Wavelengths of the samples in Å, increasing.
    low, high : ndarray of shape (n_pixels,)
        Edges of each pixel in Å.
    excess : ndarray of shape (n_pixels,)
        Variance of a Gaussian at each pixel, km²/s².

    Returns
    -------
    csr_array of shape (n_pixels, n_nodes)
        Rows add up to one. Beyond the nodes the curve is continued with its value at the end.
    """
    widths = np.sqrt(excess) / SPEED_OF_LIGHT
    matrix = None
    for point, weight in zip(_POINTS, _WEIGHTS, strict=True):
        shift = np.exp(point * widths)
        part = weight * clipped_pixel_matrix(nodes, low * shift, high * shift)
        matrix = part if matrix is None else matrix + part
    return matrix


def clipped_pixel_matrix(nodes, low, high):
    """Return `pixel_matrix`, with the nearest samples for pixels beyond the nodes."""
    first, last = nodes[0], nodes[-1]
    low = np.clip(low, first, last * (1 - 1e-6))
    high = np.clip(high, first * (1 + 1e-6), last)
    return pixel_matrix(nodes, low, np.maximum(high, low * (1 + 1e-9)))
