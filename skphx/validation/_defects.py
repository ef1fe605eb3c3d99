"""Defects of single spectra, found in one pass over all pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skphx.validation._runs import Run
from skphx.validation._unphysical import Unphysical

# Number of pixels in memory while spectra are read.
_BLOCK_PIXELS = 4_000_000
# Smallest length of a run of equal pixels at an end of the spectrum, in pixels and as a fraction
# of all pixels.
_SHORTEST_RUN, _SHORTEST_FRACTION = 8, 0.002
# The same fraction for other runs: a continuum of 1 stored with four digits is constant over up to
# 1.5 % of the spectrum of a hot star.
_SHORTEST_INNER_FRACTION = 0.02
# Smallest length of a run of pixels without flux.
_SHORTEST_ZERO_RUN = 3
# A bad pixel differs from both adjacent pixels by this factor, and from the spectra around the
# node by this fraction of the median flux.
_BAD_FACTOR, _BAD_DIFFERENCE = 20.0, 0.3
# Number of spectra around a node that are compared with its spectrum.
N_AROUND = 6
# The spectra around a node are also flat, or also without flux, if they vary by less than this
# fraction of their median flux.
_FLAT = 0.003
# Added to the relative flux before the logarithm, so that pixels with very little flux do not
# dominate; the result is still almost linear in the parameters.
LOG_OFFSET = 0.1


@dataclass
class Scan:
    """Results of one pass over the spectra.

    Attributes
    ----------
    n_pixels : int
        Number of pixels of a spectrum.
    n_not_finite : ndarray of shape (n_spectra,), int
        Number of pixels that are not finite.
    constant : ndarray of shape (n_spectra,), bool
        Whether all pixels have the same value.
    level : ndarray of shape (n_spectra,)
        Median of the positive flux; NaN if there is none.
    shapes : ndarray of shape (n_spectra, n_bins)
        ln(flux / level + 0.1) of the flux averaged over bins.
    bin_size : int
        Number of pixels per bin.
    runs : dict of list of tuple (start, stop, value)
        For each row the first, the last and the longest run of equal pixels, if they are long
        enough; pixels without flux count as equal.
    isolated : dict of ndarray of int
        For each row the pixels that differ from both adjacent pixels by a factor of 20, or have
        no flux.
    unphysical : dict of list of Run
        For each row the pixels that no star has, see `Unphysical`.
    """

    n_pixels: int
    n_not_finite: NDArray[np.intp]
    constant: NDArray[np.bool_]
    level: NDArray[np.float64]
    shapes: NDArray[np.float64]
    bin_size: int
    runs: dict[int, list[tuple[int, int, float]]]
    isolated: dict[int, NDArray[np.intp]]
    unphysical: dict[int, list[Run]]


def scan_spectra(spectra, max_pixels, wavelength=None):
    """Read all spectra once, a block of rows at a time.

    Parameters
    ----------
    spectra : array of shape (n_spectra, n_pixels)
        Flux; only blocks of rows are read, so that it may be memory-mapped.
    max_pixels : int
        Largest number of bins of the shapes.
    wavelength : ndarray of shape (n_pixels,), or None
        Pixel centres in Å.

    Returns
    -------
    Scan
        The results.
    """
    n_spectra, n_pixels = spectra.shape
    bin_size = -(-n_pixels // max_pixels)
    starts = np.arange(0, n_pixels, bin_size)
    sizes = np.diff(np.append(starts, n_pixels))
    scan = Scan(
        n_pixels=n_pixels,
        n_not_finite=np.zeros(n_spectra, dtype=np.intp),
        constant=np.zeros(n_spectra, dtype=bool),
        level=np.full(n_spectra, np.nan),
        shapes=np.full((n_spectra, len(starts)), np.nan),
        bin_size=bin_size,
        runs={},
        isolated={},
        unphysical={},
    )
    find_unphysical = Unphysical(n_pixels, wavelength)
    n_rows = max(1, _BLOCK_PIXELS // n_pixels)
    for first in range(0, n_spectra, n_rows):
        block = np.asarray(spectra[first : first + n_rows], dtype=np.float64)
        rows = np.arange(first, first + len(block))
        scan.n_not_finite[rows] = (~np.isfinite(block)).sum(axis=1)
        scan.constant[rows] = (block == block[:, :1]).all(axis=1)
        for row, flux in zip(rows, block, strict=True):
            positive = flux[(flux > 0) & np.isfinite(flux)]
            if len(positive) == 0:
                continue
            level = scan.level[row] = np.median(positive)
            if scan.n_not_finite[row] or scan.constant[row]:
                continue
            relative = np.maximum(np.add.reduceat(flux, starts) / (sizes * level), 0.0)
            scan.shapes[row] = np.log(relative + LOG_OFFSET)
            runs = _long_runs(flux)
            if runs:
                scan.runs[int(row)] = runs
            isolated = _isolated_pixels(flux)
            if len(isolated):
                scan.isolated[int(row)] = isolated
            unphysical = find_unphysical(flux)
            if unphysical:
                scan.unphysical[int(row)] = unphysical
    return scan


def _long_runs(flux):
    """First, last and longest run of equal pixels, as (start, stop, value)."""
    flux = np.maximum(flux, 0.0)
    edges = np.flatnonzero(flux[1:] != flux[:-1]) + 1
    starts, stops = np.append(0, edges), np.append(edges, len(flux))
    lengths = stops - starts
    at_end = (starts == 0) | (stops == len(flux))
    fraction = np.where(at_end, _SHORTEST_FRACTION, _SHORTEST_INNER_FRACTION)
    shortest = np.maximum(_SHORTEST_RUN, np.ceil(fraction * len(flux)))
    shortest[flux[starts] == 0] = _SHORTEST_ZERO_RUN
    long = np.flatnonzero(lengths >= shortest)
    zero = long[flux[starts[long]] == 0]
    chosen = {run for run in (0, len(starts) - 1) if lengths[run] >= shortest[run]}
    chosen |= {some[np.argmax(lengths[some])] for some in (long, zero) if len(some)}
    return [
        (int(starts[run]), int(stops[run]), float(flux[starts[run]])) for run in sorted(chosen)
    ]


def _isolated_pixels(flux):
    """Pixels without flux, or too different from both adjacent pixels to be a resolved line."""
    least = np.full(len(flux), np.inf)
    most = np.full(len(flux), -np.inf)
    for own, adjacent in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        least[own] = np.minimum(least[own], flux[adjacent])
        most[own] = np.maximum(most[own], flux[adjacent])
    isolated = (flux * _BAD_FACTOR < least) | (flux > _BAD_FACTOR * most)
    return np.flatnonzero((flux <= 0) | isolated)


def bad_pixels(spectra, scan, row, around):
    """Isolated pixels of a spectrum that differ from the spectra around its node.

    Parameters
    ----------
    spectra : array of shape (n_spectra, n_pixels)
        Flux; only a few rows are read.
    scan : Scan
        Result of `scan_spectra`.
    row : int
        The spectrum.
    around : ndarray of int
        Rows of the nodes around its node.

    Returns
    -------
    ndarray of int
        Indices of the pixels, increasing.
    """
    pixels = scan.isolated.get(row, np.empty(0, dtype=np.intp))
    if len(pixels) == 0 or len(around) == 0:
        return pixels
    own = np.asarray(spectra[row], np.float64)[pixels] / scan.level[row]
    others = [np.asarray(spectra[one], np.float64)[pixels] / scan.level[one] for one in around]
    usual = np.median(others, axis=0)
    return pixels[np.abs(own - usual) > _BAD_DIFFERENCE]


def truncated_runs(spectra, scan, around):
    """Return the runs of equal pixels that are not in the spectra around the node.

    Parameters
    ----------
    spectra : array of shape (n_spectra, n_pixels)
        Flux; only parts of rows are read.
    scan : Scan
        Result of `scan_spectra`.
    around : callable
        ``around(row)`` gives the rows of the nodes around a node, the nearest first.

    Returns
    -------
    dict of list of tuple (start, stop, value)
        The runs of each truncated row.
    """
    truncated: dict[int, list[tuple[int, int, float]]] = {}
    for row, runs in scan.runs.items():
        rows = around(row)
        for start, stop, value in runs:
            deviations = []
            for other in rows:
                flux = np.asarray(spectra[other, start:stop], np.float64) / scan.level[other]
                deviations.append(flux.std() if value > 0 else np.abs(flux).mean())
            # Without other spectra, pixels without flux are a defect.
            is_fault = np.median(deviations) > _FLAT if deviations else value == 0
            if is_fault:
                truncated.setdefault(row, []).append((start, stop, value))
    return truncated


def equal_spectra(scan, rows):
    """Return groups of rows whose spectra are equal up to a factor.

    Parameters
    ----------
    scan : Scan
        Result of `scan_spectra`.
    rows : ndarray of int
        Rows to compare.

    Returns
    -------
    list of list of int
        Groups of two rows or more, the rows increasing.
    """
    # A little more than the rounding of flux in single precision.
    tolerance = 1e-6
    shapes = scan.shapes[rows]
    # Equal spectra have equal projections: only spectra with equal ones are compared in full.
    n_bins = shapes.shape[1]
    projection = shapes @ np.random.default_rng(0).standard_normal(n_bins) / np.sqrt(n_bins)
    order = np.argsort(projection, kind="stable")
    group_of = {}
    for place, first in enumerate(order):
        if first in group_of:
            continue
        for other in order[place + 1 :]:
            if projection[other] - projection[first] > 10 * tolerance:
                break
            if np.sqrt(np.mean((shapes[other] - shapes[first]) ** 2)) < tolerance:
                group_of[first] = group_of[other] = first
    groups: dict[int, list[int]] = {}
    for one, first in group_of.items():
        groups.setdefault(first, []).append(int(rows[one]))
    return sorted(sorted(group) for group in groups.values())
