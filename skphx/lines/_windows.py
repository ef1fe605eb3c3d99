"""Windows of wavelength, in each of which the lines of all spectra of a grid are fitted together.

Lines only touch their neighbours, so that a grid can be fitted window by window: memory does not
grow with the length of the spectra, and windows run side by side.
"""

from dataclasses import dataclass

import numpy as np

from skphx.lines._engine.devices import fetch, send
from skphx.lines._least_squares import WINDOW_DEPTH, line_parts, window_reach
from skphx.lines._reach import deepest_within
from skphx.lines._render import optical_depth

# Lines of which a window keeps the result, and lines on either side that are fitted with them.
_WINDOW_LINES, _MARGIN_LINES, _FEWEST_MARGIN_LINES = 120, 12, 4
# Memory in bytes that one window may take; and what it takes for each spectrum and pixel that a
# line touches, for each spectrum and pixel of the window, and for each coupling of a line's
# coefficients.
_WINDOW_BYTES, _DERIVATIVE_BYTES, _PIXEL_BYTES, _BLOCK_BYTES = 4e8, 16.0, 120.0, 40.0
# A window reaches to where its own lines' wings are this deep: what happens to a broad line is
# not decided by its core alone.
_EDGE_DEPTH = 0.01
# Lines outside are summed in a window where they are deeper than this in any spectrum.
_NEGLIGIBLE_DEPTH = 1e-6


@dataclass
class Window:
    """Part of a grid that is fitted at once: a run of pixels and the lines that stand there.

    `pixels` are the pixels, `lines` the numbers of the free lines, `own` tells which of these
    keep their result, `others` are the numbers of lines that are not fitted but reach in.
    """

    pixels: slice
    lines: np.ndarray
    own: np.ndarray
    others: np.ndarray


def make_windows(wavelength, lines, n_terms=1):
    """Divide a grid into windows.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    lines : ndarray of shape (n_spectra, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å), finite.
    n_terms : int
        Number of basis functions of the surfaces, of which memory depends.

    Returns
    -------
    list of Window
        Every line is one window's own.
    """
    center = lines[..., 0].mean(axis=0)
    order = np.argsort(center, kind="stable")
    # Each line as it would be with the largest values of all spectra.
    widest = np.column_stack([center, lines[..., 1:].max(axis=0)])
    reach = _reach(wavelength, widest, _EDGE_DEPTH)
    n_own, n_margin = _lines_in_memory(wavelength, lines, n_terms)
    windows = []
    for first in range(0, len(order), n_own):
        last = min(first + n_own, len(order))
        low, high = max(0, first - n_margin), min(len(order), last + n_margin)
        own = order[first:last]
        start, stop = _edges(center[own], reach[own], center[order[[low, high - 1]]])
        # The outermost windows reach to the ends of the spectrum.
        start = 0 if low == 0 else np.searchsorted(wavelength, start)
        stop = np.searchsorted(wavelength, stop, side="right")
        stop = len(wavelength) if high == len(order) else stop
        if stop - start < 2:
            start, stop = max(0, stop - 2), min(len(wavelength), start + 2)
        outside = np.concatenate([order[:low], order[high:]])
        beside, log_area, log_sigma, log_gamma = widest[outside].T
        depth = deepest_within(
            beside, log_area, log_sigma, log_gamma, wavelength[start], wavelength[stop - 1]
        )
        is_own = np.zeros(high - low, dtype=bool)
        is_own[first - low : last - low] = True
        others = outside[depth > _NEGLIGIBLE_DEPTH]
        windows.append(Window(slice(start, stop), order[low:high], is_own, others))
    return windows


def _edges(center, reach, outermost):
    """Return the ends, Å: lines, and wings of own ones to a window's length beside them."""
    start, stop = outermost
    most = stop - start
    return (
        max(min(start, (center - reach).min()), start - most),
        min(max(stop, (center + reach).max()), stop + most),
    )


def _reach(wavelength, lines, depth):
    """Return how far from their centres lines are deeper than `depth`, Å."""
    parts, _ = line_parts(lines, "pseudo-voigt")
    step = (wavelength[-1] - wavelength[0]) / max(len(wavelength) - 1, 1)
    return window_reach(parts, np.full(len(lines), step), depth)


def _lines_in_memory(wavelength, lines, n_terms):
    """Count the lines of a window, and those beside it, that fit into its memory."""
    n_spectra, n_lines, _ = lines.shape
    sample = lines[:: max(1, n_spectra // 20)].reshape(-1, 4)
    step = (wavelength[-1] - wavelength[0]) / max(len(wavelength) - 1, 1)
    touched = 2.0 * _reach(wavelength, sample, WINDOW_DEPTH).mean() / step
    bytes_each = (
        _DERIVATIVE_BYTES * n_spectra * max(touched, 1.0)
        + _PIXEL_BYTES * n_spectra * len(wavelength) / n_lines
        + _BLOCK_BYTES * (4 * n_terms) ** 2
    )
    n_affordable = int(_WINDOW_BYTES / bytes_each)
    n_margin = int(np.clip(n_affordable // 4, _FEWEST_MARGIN_LINES, _MARGIN_LINES))
    return int(np.clip(n_affordable - 2 * n_margin, n_margin, _WINDOW_LINES)), n_margin


def depth_of(wavelength, lines, *, device, **options):
    """Optical depth of lines in all spectra.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    lines : ndarray of shape (n_spectra, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å).
    device : str
        "cpu", which needs no torch, or the torch device on which lines are summed.
    **options
        Options of :func:`skphx.lines.optical_depth`.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Their optical depth.
    """
    n_spectra, n_lines, _ = lines.shape
    if n_lines == 0:
        return np.zeros((n_spectra, len(wavelength)))
    columns = send(lines.reshape(-1, 4), device).T
    offsets = np.arange(n_spectra + 1) * n_lines
    return fetch(optical_depth(wavelength, *columns, offsets=offsets, **options))
