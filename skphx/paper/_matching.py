"""Decide which lines of different spectra are the same line."""

import numpy as np
from scipy.ndimage import convolve1d
from scipy.signal import find_peaks


def match_lines(pixels, n_pixels, *, tolerance=2):
    """Learn one list of lines from the lines detected in many spectra.

    Lines of different spectra within `tolerance` pixels of a common centre are one line; the
    centres are where the detections of all spectra are densest. Lines at different pixels of
    one spectrum are never merged; a pixel that one spectrum names twice is one line.
    ``tolerance=0`` is the identity of Shankar et al.: the same detected pixel or another line.

    Parameters
    ----------
    pixels : list of ndarrays of int
        For each spectrum, the pixels of its detected lines.
    n_pixels : int
        Number of pixels of a spectrum.
    tolerance : int
        Largest distance in pixels between a line and the centre of its identity.

    Returns
    -------
    ndarray of shape (n_identities,), int
        Centre pixel of every identity, strictly increasing.

    Examples
    --------
    >>> from skphx.paper._matching import match_lines
    >>> match_lines([[10, 50], [11, 50], [11]], n_pixels=60, tolerance=2)
    array([11, 50])
    >>> match_lines([[10, 50], [11, 50], [11]], n_pixels=60, tolerance=0)
    array([10, 11, 50])
    """
    # Of two detections at one pixel the second would never be assigned.
    pixels = [np.unique(np.asarray(found, dtype=int)) for found in pixels]
    centers = np.empty(0, dtype=int)
    left = pixels
    # Each pass places centres where the detections that are not assigned yet are densest. Later
    # passes only add centres, so that the loop ends when every detection is assigned.
    while any(len(found) for found in left):
        counts = np.bincount(np.concatenate(left), minlength=n_pixels).astype(float)
        centers = np.union1d(centers, _crowded_pixels(counts, tolerance))
        left = [found[assign_lines(found, centers, tolerance=tolerance) < 0] for found in pixels]
    return centers


def assign_lines(pixel, centers, *, tolerance):
    """Give each line of one spectrum its identity.

    Parameters
    ----------
    pixel : ndarray of shape (n_lines,), int
        Pixels of the lines detected in one spectrum.
    centers : ndarray of shape (n_identities,), int
        Centre pixels of the identities, increasing.
    tolerance : int
        Largest distance in pixels.

    Returns
    -------
    ndarray of shape (n_lines,), int
        Index into `centers`, -1 for a line without identity: too far from every centre, or
        another line of the same spectrum is closer, or comes first at the same pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.paper._matching import assign_lines
    >>> assign_lines(np.array([9, 12, 30]), np.array([11, 50]), tolerance=2)
    array([-1,  0, -1])
    """
    pixel, centers = np.asarray(pixel), np.asarray(centers)
    identity = np.full(len(pixel), -1)
    if len(centers) == 0 or len(pixel) == 0:
        return identity
    right = np.searchsorted(centers, pixel).clip(max=len(centers) - 1)
    left = (right - 1).clip(min=0)
    nearest = np.where(abs(pixel - centers[left]) <= abs(centers[right] - pixel), left, right)
    distance = abs(pixel - centers[nearest])
    # The closest line of the spectrum takes the identity; ties go to the bluer one, then to
    # the first.
    order = np.lexsort((pixel, distance))
    order = order[distance[order] <= tolerance]
    taken, first = np.unique(nearest[order], return_index=True)
    identity[order[first]] = taken
    return identity


def _crowded_pixels(counts, tolerance):
    """Pixels where detections are densest, more than `tolerance` apart from one another."""
    if tolerance == 0:
        return np.flatnonzero(counts)
    # A tent weighs the neighbours; its small slope breaks the ties of plateaus.
    tent = 1.0 + tolerance - abs(np.arange(-tolerance, tolerance + 1.0))
    crowd = convolve1d(counts, tent, mode="constant")
    crowd = np.pad(crowd * (counts > 0), 1)
    peaks, _ = find_peaks(crowd, distance=tolerance + 1)
    return peaks - 1
