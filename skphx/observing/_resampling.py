"""Resample a smooth spectrum to means over pixels, conserving flux."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, vstack

from skphx._domain import check_wavelength

# Six neighbouring samples define a polynomial of degree 5. Three Gauss points integrate this
# polynomial exactly.
_N_NEIGHBOURS = 6
_GAUSS_POINTS, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(3)
# Pixels integrated at once, to limit the memory.
_BLOCK = 50_000


def pixel_edges(wavelength):
    """Return pixel edges, half-way between centres; the outermost pixels are symmetric.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å, increasing; at least two.

    Returns
    -------
    ndarray of shape (n_pixels + 1,)
        Edges in Å.
    """
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    first = 1.5 * wavelength[0] - 0.5 * wavelength[1]
    last = 1.5 * wavelength[-1] - 0.5 * wavelength[-2]
    return np.concatenate([[first], middle, [last]])


def interpolation_matrix(nodes, targets):
    """Return the matrix of local polynomial interpolation through the six nearest samples.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes,)
        Positions of the samples, increasing.
    targets : ndarray of shape (n_targets,)
        Positions at which to interpolate, within the nodes.

    Returns
    -------
    csr_array of shape (n_targets, n_nodes)
        ``matrix @ samples`` interpolates; rows add up to one.
    """
    n_neighbours = min(_N_NEIGHBOURS, len(nodes))
    cell = np.searchsorted(nodes, targets, side="right") - 1
    first = np.clip(cell - (n_neighbours // 2 - 1), 0, len(nodes) - n_neighbours)
    columns = first + np.arange(n_neighbours)[:, None]
    # Differences in units of the local step: their products do not overflow or underflow.
    step = (nodes[columns[-1]] - nodes[columns[0]]) / max(n_neighbours - 1, 1)
    at = (nodes[columns] - targets) / np.where(step > 0, step, 1.0)
    weights = np.ones(columns.shape)
    for place in range(n_neighbours):
        divisor = np.ones(len(targets))
        for other in range(n_neighbours):
            if other != place:
                weights[place] *= at[other]
                divisor *= at[other] - at[place]
        weights[place] /= divisor
    indptr = np.arange(len(targets) + 1) * n_neighbours
    return csr_array(
        (weights.T.ravel(), columns.T.ravel(), indptr), shape=(len(targets), len(nodes))
    )


def pixel_matrix(nodes, low, high):
    """Return the matrix from samples to means over pixels of the curve through the samples.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes,)
        Wavelengths of the samples in Å, increasing.
    low, high : ndarray of shape (n_pixels,)
        Edges of each pixel in Å, within the nodes; ``low < high``, both increasing.

    Returns
    -------
    csr_array of shape (n_pixels, n_nodes)
        ``matrix @ samples`` is the mean flux of each pixel. All pixels integrate the same curve,
        so integrals over adjacent pixels add up to the integral over both.
    """
    return vstack(
        [
            _pixel_block(nodes, low[start : start + _BLOCK], high[start : start + _BLOCK])
            for start in range(0, len(low), _BLOCK)
        ],
        format="csr",
    )


def _pixel_block(nodes, low, high):
    """Return the rows of `pixel_matrix` for some pixels."""
    # Each pixel is cut at the nodes inside it. On each piece the curve is one polynomial.
    first = np.searchsorted(nodes, low, side="right")
    last = np.searchsorted(nodes, high, side="left")
    n_pieces = last - first + 1
    pixel = np.repeat(np.arange(len(low)), n_pieces)
    place = np.arange(len(pixel)) - np.repeat(np.cumsum(n_pieces) - n_pieces, n_pieces)
    cut = np.clip(np.repeat(first, n_pieces) + place, 0, len(nodes) - 1)
    start = np.where(place == 0, low[pixel], nodes[np.maximum(cut - 1, 0)])
    stop = np.where(place == n_pieces[pixel] - 1, high[pixel], nodes[cut])
    half = 0.5 * (stop - start)
    points = (0.5 * (start + stop))[:, None] + half[:, None] * _GAUSS_POINTS
    weights = half[:, None] * _GAUSS_WEIGHTS / (high - low)[pixel, None]
    n_points = points.size
    gather = csr_array(
        (weights.ravel(), np.arange(n_points), np.concatenate([[0], 3 * np.cumsum(n_pieces)])),
        shape=(len(low), n_points),
    )
    return gather @ interpolation_matrix(nodes, points.ravel())


def resample_flux(
    wavelength: ArrayLike, flux: ArrayLike, new_wavelength: ArrayLike
) -> NDArray[np.float64]:
    """Resample a well-sampled spectrum to other pixels, conserving flux.

    The flux of a new pixel is the mean, over this pixel, of a smooth curve through the old
    samples. The integral over any number of whole pixels is therefore that of the curve.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_samples,)
        Å, strictly increasing; at least two samples per resolution element.
    flux : array-like of shape (n_samples,) or (n_spectra, n_samples)
        Flux per unit of wavelength.
    new_wavelength : array-like or Quantity of shape (n_pixels,)
        Centres of the new pixels in Å, in the same medium. Edges are half-way between centres,
        and must lie within `wavelength`.

    Returns
    -------
    ndarray of shape (n_pixels,) or (n_spectra, n_pixels)
        Mean flux of each pixel.

    Raises
    ------
    ValueError
        If lengths disagree, there are fewer than two samples or pixels, or new pixels reach
        beyond the old ones.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.observing import resample_flux
    >>> wavelength = np.linspace(5000.0, 5010.0, 1001)
    >>> flux = 1.0 - 0.5 * np.exp(-0.5 * ((wavelength - 5005.0) / 0.1) ** 2)
    >>> coarse = resample_flux(wavelength, flux, [5004.5, 5005.5])
    >>> coarse.round(6)
    array([0.937334, 0.937334])
    >>> resample_flux(wavelength, flux, [5000.0, 5001.0])
    Traceback (most recent call last):
        ...
    ValueError: new_wavelength must lie within wavelength with whole pixels, but ...
    """
    samples = np.asarray(flux, dtype=np.float64)
    old = check_wavelength(wavelength, samples.shape[-1])
    new = check_wavelength(new_wavelength, name="new_wavelength")
    if min(len(old), len(new)) < 2:
        raise ValueError(
            f"wavelength and new_wavelength need two pixels or more, got {len(old)} and "
            f"{len(new)}; the width of a single pixel is unknown."
        )
    edges = pixel_edges(new)
    if edges[0] < old[0] or edges[-1] > old[-1]:
        raise ValueError(
            f"new_wavelength must lie within wavelength with whole pixels, but they reach from "
            f"{edges[0]:.10g} to {edges[-1]:.10g} Å and the spectrum from {old[0]:.10g} to "
            f"{old[-1]:.10g} Å; leave out the pixels beyond the spectrum."
        )
    return samples @ pixel_matrix(old, edges[:-1], edges[1:]).T
