"""Defects that one spectrum shows by itself, found in one pass over all pixels."""

from dataclasses import dataclass

import numpy as np

# Numbers held at once while spectra are read.
_CHUNK = 4_000_000
# A run of equal pixels is looked at from this many on, or from this part of the spectrum on.
_SHORTEST_RUN, _SHORTEST_PART = 8, 0.002
# The same for one in the middle: a continuum of 1 stored with four digits is constant over up
# to 1.5 % of a real spectrum of a hot star.
_SHORTEST_INNER_PART = 0.02
# A run of pixels without flux is looked at from this many on.
_SHORTEST_DARK_RUN = 3
# A pixel that leaves both beside it by this factor is no line, if it is also this far, in parts
# of the median flux, from the spectra around the node.
_LONE_FACTOR, _FAR = 20.0, 0.3
# Spectra around a node that say whether it should be flat there.
N_AROUND = 6
# Neighbours that vary by less than this part of their median flux are flat there, too, or have
# no flux either.
_FLAT = 0.003
# Added to relative flux before its logarithm: lines in light that hardly counts do not
# outweigh the rest, and flux over orders of magnitude is still near linear in parameters.
SOFTENING = 0.1


@dataclass
class Scan:
    """What one pass over the spectra keeps.

    Attributes
    ----------
    n_pixels : int
        Pixels of a spectrum.
    n_not_finite, n_dark : ndarray of shape (n_spectra,), int
        Pixels that are not finite, and pixels without positive flux.
    constant : ndarray of shape (n_spectra,), bool
        Whether all pixels hold the same number.
    level : ndarray of shape (n_spectra,)
        Median of the positive flux; NaN where there is none.
    shapes : ndarray of shape (n_spectra, n_bins)
        ln(flux / level + 0.1), flux averaged over equal numbers of pixels.
    bin_size : int
        Pixels a bin.
    runs : dict of list of tuple (start, stop, value)
        For each row the first, the last and the longest run of equal pixels, where they are
        long; pixels without flux count as equal.
    lone : dict of ndarray of int
        For each row the pixels that leave both pixels beside them by a factor of 20, or have
        no flux.
    """

    n_pixels: int
    n_not_finite: np.ndarray
    n_dark: np.ndarray
    constant: np.ndarray
    level: np.ndarray
    shapes: np.ndarray
    bin_size: int
    runs: dict
    lone: dict


def scan_spectra(spectra, max_pixels):
    """Read all spectra once, some rows at a time.

    Parameters
    ----------
    spectra : array of shape (n_spectra, n_pixels)
        Flux; only slices of rows are read, so that it may be memory-mapped.
    max_pixels : int
        Largest number of bins of the shapes.

    Returns
    -------
    Scan
        What was seen.
    """
    n_spectra, n_pixels = spectra.shape
    bin_size = -(-n_pixels // max_pixels)
    starts = np.arange(0, n_pixels, bin_size)
    sizes = np.diff(np.append(starts, n_pixels))
    scan = Scan(
        n_pixels=n_pixels,
        n_not_finite=np.zeros(n_spectra, dtype=np.intp),
        n_dark=np.zeros(n_spectra, dtype=np.intp),
        constant=np.zeros(n_spectra, dtype=bool),
        level=np.full(n_spectra, np.nan),
        shapes=np.full((n_spectra, len(starts)), np.nan),
        bin_size=bin_size,
        runs={},
        lone={},
    )
    n_rows = max(1, _CHUNK // n_pixels)
    for first in range(0, n_spectra, n_rows):
        chunk = np.asarray(spectra[first : first + n_rows], dtype=np.float64)
        rows = np.arange(first, first + len(chunk))
        scan.n_not_finite[rows] = (~np.isfinite(chunk)).sum(axis=1)
        scan.n_dark[rows] = (chunk <= 0).sum(axis=1)
        scan.constant[rows] = (chunk == chunk[:, :1]).all(axis=1)
        for row, flux in zip(rows, chunk, strict=True):
            lit = flux[(flux > 0) & np.isfinite(flux)]
            if len(lit) == 0:
                continue
            level = scan.level[row] = np.median(lit)
            if scan.n_not_finite[row] or scan.constant[row]:
                continue
            relative = np.maximum(np.add.reduceat(flux, starts) / (sizes * level), 0.0)
            scan.shapes[row] = np.log(relative + SOFTENING)
            runs = _long_runs(flux)
            if runs:
                scan.runs[int(row)] = runs
            lone = _lone_pixels(flux)
            if len(lone):
                scan.lone[int(row)] = lone
    return scan


def _long_runs(flux):
    """First, last and longest run of equal pixels, as (start, stop, value)."""
    lit = np.maximum(flux, 0.0)
    edges = np.flatnonzero(lit[1:] != lit[:-1]) + 1
    starts, stops = np.append(0, edges), np.append(edges, len(flux))
    lengths = stops - starts
    at_end = (starts == 0) | (stops == len(flux))
    part = np.where(at_end, _SHORTEST_PART, _SHORTEST_INNER_PART)
    shortest = np.maximum(_SHORTEST_RUN, np.ceil(part * len(flux)))
    shortest[lit[starts] == 0] = _SHORTEST_DARK_RUN
    long = np.flatnonzero(lengths >= shortest)
    dark = long[lit[starts[long]] == 0]
    chosen = {run for run in (0, len(starts) - 1) if lengths[run] >= shortest[run]}
    chosen |= {some[np.argmax(lengths[some])] for some in (long, dark) if len(some)}
    return [(int(starts[run]), int(stops[run]), float(lit[starts[run]])) for run in sorted(chosen)]


def _lone_pixels(flux):
    """Pixels that no resolved line explains."""
    least = np.full(len(flux), np.inf)
    most = np.full(len(flux), -np.inf)
    for own, beside in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
        least[own] = np.minimum(least[own], flux[beside])
        most[own] = np.maximum(most[own], flux[beside])
    alone = (flux * _LONE_FACTOR < least) | (flux > _LONE_FACTOR * most)
    return np.flatnonzero((flux <= 0) | alone)


def bad_pixels(spectra, scan, row, around):
    """Lone pixels of a spectrum that the spectra around its node do not show.

    Parameters
    ----------
    spectra : array of shape (n_spectra, n_pixels)
        Flux; only some rows are read.
    scan : Scan
        What `scan_spectra` saw.
    row : int
        The spectrum.
    around : ndarray of int
        Rows of the nodes around it.

    Returns
    -------
    ndarray of int
        Pixels, increasing.
    """
    pixels = scan.lone.get(row, np.empty(0, dtype=np.intp))
    if len(pixels) == 0 or len(around) == 0:
        return pixels
    own = np.asarray(spectra[row], np.float64)[pixels] / scan.level[row]
    others = [np.asarray(spectra[one], np.float64)[pixels] / scan.level[one] for one in around]
    usual = np.median(others, axis=0)
    return pixels[np.abs(own - usual) > _FAR]


def truncated_runs(spectra, scan, around):
    """Return the runs of equal pixels that the spectra around a node do not share.

    Parameters
    ----------
    spectra : array of shape (n_spectra, n_pixels)
        Flux; only pieces of it are read.
    scan : Scan
        What `scan_spectra` saw.
    around : callable
        ``around(row)`` gives the rows of the nodes around a node, the nearest first.

    Returns
    -------
    dict of list of tuple (start, stop, value)
        For each row that is truncated its runs.
    """
    truncated = {}
    for row, runs in scan.runs.items():
        rows = around(row)
        for start, stop, value in runs:
            away = []
            for other in rows:
                flux = np.asarray(spectra[other, start:stop], np.float64) / scan.level[other]
                away.append(flux.std() if value > 0 else np.abs(flux).mean())
            # Without any neighbour, pixels without flux are still a defect.
            is_fault = np.median(away) > _FLAT if away else value == 0
            if is_fault:
                truncated.setdefault(row, []).append((start, stop, value))
    return truncated


def equal_spectra(scan, rows):
    """Return groups of rows whose spectra are equal up to a factor.

    Parameters
    ----------
    scan : Scan
        What `scan_spectra` saw.
    rows : ndarray of int
        Rows to compare.

    Returns
    -------
    list of list of int
        Groups of two rows or more, the rows increasing.
    """
    # Rounding of flux stored in single precision, and somewhat more.
    tolerance = 1e-6
    shapes = scan.shapes[rows]
    # Equal spectra have equal projections: only those next to each other are compared in full.
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
    groups = {}
    for one, first in group_of.items():
        groups.setdefault(first, []).append(int(rows[one]))
    return sorted(sorted(group) for group in groups.values())
