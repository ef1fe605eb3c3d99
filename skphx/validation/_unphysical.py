"""Pixels that no star has, found in one spectrum alone, without the spectra around its node.

A photosphere does not shine far above its own continuum, and a line is as wide as the gas and the
instrument make it. So these are faults, also where all spectra around share them: runs of pixels
above the continuum with walls that are too steep for a line, blocks at another level between
two such walls, steps of the level, and runs of one value between pixels that vary.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from skphx.validation._runs import Run

# The upper envelope: this quantile of blocks of pixels, at least so many pixels and at most so
# many blocks, and then the median of so many blocks, so that a block with a fault does not count.
_QUANTILE, _BLOCK, _N_BLOCKS, _N_FILTERED = 0.9, 64, 64, 7
# All heights and steps are relative to the envelope. A run above the envelope begins here.
_ABOVE = 1.2
# Smallest height of a spike of any width. Lines of hot stars are in emission up to about 1.3.
_SPIKE = 0.4
# Smallest height of a run with steep walls, and smallest number of pixels: no line has that
# shape. A Gaussian of 4 pixels rises by 0.36 of its height within one pixel, a box by all of it.
_BOX, _BOX_PIXELS, _WALL = 0.2, 4, 0.6
# Where lines do not span several pixels, the run must be as high as a spike, and its pixels differ
# by at most this fraction of the height.
_FLAT = 0.2
# From this number of pixels on, a wall may take two pixels, as after resampling.
_WIDE_PIXELS = 8
# A run without steep walls is a fault if the flux is twice the envelope, and its flanks are
# steeper than those of the lines.
_TWICE = 2.0
# Steeper than the lines: steeper by this factor than all but a few steps between adjacent pixels,
# whose number is this one, or this fraction of all.
_STEEPER, _FEW_STEPS, _FEW_FRACTION = 1.5, 40, 0.005
# Absorption is compared with flux up to this multiple of the envelope.
_CLIP = 1.1
# Runs are shorter than this fraction of the spectrum; longer ones are blocks.
_LONGEST_RUN = 0.1
# Smallest step at the ends of blocks, and smallest logarithm of the factor between levels, more
# than between a continuum and emission. The steps beside a single step are this much smaller.
_STEP, _LEVEL, _LONE = 0.1, 0.3, 0.35
# Smallest number of pixels on each side of a single step, and quantiles that are compared there.
_WINDOW, _LEVELS = 50, (0.5, 0.75, 0.9)
# Smallest number of pixels of a block that holds lines.
_SCALED_PIXELS = 20
# Largest mismatch of the logarithms of two steps, or of the step and of the levels on both sides.
_ALIKE = 0.4
# A dip of fewer pixels than a box is a fault if it is deep and lines span several pixels: the rms
# of the second differences is below this multiple of that of the first (1.2 / sigma for Gaussian
# lines, above 1.4 for single pixels), with so many steps of this size as evidence.
_DIP, _RESOLVED, _N_EVIDENCE, _EVIDENCE = 0.5, 0.6, 100, 0.02
# Beside a dip, the steps are below this fraction of its depth.
_WING = 0.1
# Runs of one value: smallest number of pixels, distance from the envelope (a continuum may be
# constant), and step at one of the ends. Codes that begin a hydrogen line at some distance from
# its centre make steps of 0.03.
_EQUAL_PIXELS, _CONTINUUM, _EQUAL_STEP = 5, 0.02, 0.1
# Runs without flux: smallest number of pixels, and number from which the step need not be steeper
# than lines. Cores of strong lines may have no flux, too, but it does not end with a step.
_EMPTY_PIXELS, _LONG_EMPTY = 3, 20
# Flux below this fraction of the envelope is none, and below this one it counts as dark in
# factors between levels.
_EMPTY, _DARK = 1e-6, 0.01
# With more runs of one value than this, values were repeated to make the pixels.
_MOST_EQUAL_RUNS = 10
# Pieces of a spectrum are separated by more than this number of pixels.
_GAP = 3.0
# The limits of the series of hydrogen, at this wavelength (in Å) times n squared, within a
# fraction: there a spectrum may step.
_LYMAN, _N_SERIES, _EDGE = 911.75, 4, 0.005


def upper_envelope(flux: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upper envelope of a spectrum, robust to runs of bad pixels.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
        Finite flux, of which some is positive.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Positive.
    """
    n_pixels = len(flux)
    size = min(n_pixels, max(_BLOCK, n_pixels // _N_BLOCKS))
    blocks = flux[: n_pixels // size * size].reshape(-1, size)
    place = int(_QUANTILE * (size - 1))
    level = np.partition(blocks, place, axis=1)[:, place]
    centre = (np.arange(len(level)) + 0.5) * size
    positive = level > 0
    if not positive.any():
        return np.full(n_pixels, np.median(flux[flux > 0]))
    level = np.log(level[positive])
    level = median_filter(level, size=min(_N_FILTERED, len(level)), mode="mirror")
    return np.exp(np.interp(np.arange(n_pixels), centre[positive], level))


class Unphysical:
    """The search in the spectra of one grid.

    Parameters
    ----------
    n_pixels : int
        Number of pixels of a spectrum.
    wavelength : ndarray of shape (n_pixels,), or None
        Pixel centres in Å.
    """

    def __init__(self, n_pixels, wavelength=None):
        # Between pieces of the wavelengths, and at limits of hydrogen, flux may step.
        self.joined = np.ones(max(n_pixels - 1, 0), dtype=bool)
        self.at_limit = np.zeros(max(n_pixels - 1, 0), dtype=bool)
        if wavelength is not None and n_pixels > 1:
            pixel = np.diff(wavelength)
            beside = np.maximum(np.append(pixel[1:], 0.0), np.append(0.0, pixel[:-1]))
            self.joined = pixel < _GAP * beside
            limits = _LYMAN * np.arange(1, _N_SERIES + 1) ** 2
            offset = np.abs(wavelength[1:, None] / limits - 1.0)
            self.at_limit = (offset < _EDGE).any(axis=1)
        self.longest = max(_BOX_PIXELS, int(_LONGEST_RUN * n_pixels))

    def __call__(self, flux: NDArray[np.float64]) -> list[Run]:
        """Return the runs of pixels that no star has.

        Parameters
        ----------
        flux : ndarray of shape (n_pixels,)
            Finite flux, of which some is positive.

        Returns
        -------
        list of Run
            In the order of the pixels; they do not overlap.
        """
        if len(flux) < 2 * _BOX_PIXELS:
            return []
        envelope = upper_envelope(flux)
        ratio = flux / envelope
        step = np.diff(ratio)
        usual = _usual_step(ratio)
        found = self._above(ratio, step, usual)
        equal, repeated = _equal(ratio, step, flux, usual)
        if not repeated:
            known = _pixels(found, len(flux))
            found += [run for run in equal if not known[run.start : run.stop].any()]
            level = np.log(np.maximum(flux, _DARK * envelope))
            found += self._blocks(ratio, level, step, usual, _pixels(found, len(flux)))
        return sorted(found, key=lambda run: run.start)

    def _above(self, ratio, step, usual):
        """Find runs above the envelope that are no lines in emission."""
        return [
            Run(start, stop, "above", float(ratio[start:stop].max()))
            for start, stop in _intervals(ratio > _ABOVE)
            if stop - start <= self.longest and _is_above(ratio, step, usual, start, stop)
        ]

    def _blocks(self, ratio, level, step, usual, known):
        """Find blocks between opposite steps, narrow dips, and single steps."""
        size = np.abs(step)
        beside = np.maximum(np.append(0.0, size[:-1]), np.append(size[1:], 0.0))
        sharp = (size >= max(_STEP, _STEEPER * usual)) & self.joined
        # What lies within a known run, or at its ends, is explained.
        sharp &= ~(known[1:] | known[:-1])
        edges = np.flatnonzero(sharp)
        found: list[Run] = []
        if len(edges) == 0:
            return found
        jump = level[edges + 1] - level[edges]
        resolved = None
        used = np.zeros(len(edges), dtype=bool)
        for k in range(len(edges) - 1):
            first, last = edges[k] + 1, edges[k + 1] + 1
            opposite = jump[k] * jump[k + 1] < 0
            if used[k] or not opposite or not _alike(jump[k], -jump[k + 1]):
                continue
            if resolved is None:
                resolved = _is_resolved(step, edges)
            if not resolved:
                break
            if last - first >= _BOX_PIXELS:
                if _is_block(ratio, level, first, last, jump[k]):
                    factor = float(np.exp(0.5 * (jump[k] - jump[k + 1])))
                    found.append(Run(int(first), int(last), "block", factor))
                    used[k : k + 2] = True
            elif jump[k] < 0 and _is_dip(ratio, step, first, last, usual):
                found.append(Run(int(first), int(last), "dip", float(ratio[first:last].min())))
                used[k : k + 2] = True
        window = _window(len(ratio))
        for k, edge in enumerate(edges):
            lone = beside[edge] <= _LONE * size[edge] and ratio[edge : edge + 2].min() > _DARK
            if used[k] or not lone or self.at_limit[edge] or abs(jump[k]) < _LEVEL:
                continue
            if _levels_differ(level, int(edge), window, jump[k]):
                found.append(Run(int(edge), int(edge) + 2, "step", float(np.exp(jump[k]))))
        return _join_steps(sorted(found, key=lambda run: run.start))


def _intervals(flags):
    """Return starts and stops of the runs of true elements."""
    change = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return zip(change[::2].tolist(), change[1::2].tolist(), strict=True)


def _is_above(ratio, step, usual, start, stop):
    """Whether a run above the envelope is no line in emission."""
    peak = ratio[start:stop].max()
    near, around = _beside(ratio, start, stop)
    # Lines between parts of a broad emission have walls, too, but no continuum around.
    base = min(around) if peak >= _TWICE else max(around)
    height = peak - max(base, 1.0)
    if height < _BOX:
        return False
    walls = []
    if start > 1:
        walls.append(step[start - 2 : start + 1])
    if stop < len(step):
        walls.append(-step[max(stop - 2, 0) : stop + 1])
    # The rise within one pixel, and within two, on the side that is less steep.
    rise = min(wall.max() for wall in walls)
    rise_in_two = min(np.convolve(wall, [1, 1], "valid").max() for wall in walls)
    needed = _WALL * (peak - near)
    is_steeper = rise >= _STEEPER * usual
    if is_steeper and height >= (_SPIKE if rise >= needed else _TWICE - 1.0):
        return True
    n_high = int((ratio[start:stop] > 0.5 * (peak + near)).sum())
    is_wide = n_high >= _WIDE_PIXELS and rise_in_two >= needed
    if n_high < _BOX_PIXELS or not (rise >= needed or is_wide):
        return False
    if _is_resolved(step, np.arange(start - 2, stop + 1)):
        return True
    return height >= _SPIKE and np.ptp(ratio[start + 1 : stop - 1]) <= _FLAT * height


def _pixels(runs, n_pixels):
    """Return a mask of the pixels of runs."""
    mask = np.zeros(n_pixels, dtype=bool)
    for run in runs:
        mask[run.start : run.stop] = True
    return mask


def _usual_step(ratio):
    """Return the step between adjacent pixels that few exceed, up to the envelope."""
    size = np.abs(np.diff(np.clip(ratio, 0.0, _CLIP)))
    few = min(len(size), max(_FEW_STEPS, int(_FEW_FRACTION * len(size))))
    # In a spectrum of few pixels a tenth of them is few.
    few = min(few, max(1, len(size) // 10))
    return float(np.partition(size, len(size) - few)[len(size) - few])


def _beside(ratio, start, stop):
    """Return the higher of the pixels on both sides, and the largest ones further aside."""
    # Two pixels aside, because the wall itself may hold a pixel.
    reach = max(_BOX_PIXELS, stop - start)
    left = ratio[max(start - 1 - reach, 0) : max(start - 1, 0)][::-1]
    pieces = [piece for piece in (left, ratio[stop + 1 :][:reach]) if len(piece)]
    return max(piece[0] for piece in pieces), [piece.max() for piece in pieces]


def _alike(one, other):
    """Whether two logarithms of factors have one sign and agree."""
    return one * other > 0 and abs(one - other) <= _ALIKE * max(abs(one), abs(other))


def _is_block(ratio, level, first, last, jump):
    """Whether pixels between opposite steps are flat, or a piece of spectrum at another level."""
    n_inside = last - first
    near = min(n_inside, _window(len(level)))
    scaled = (
        n_inside >= _SCALED_PIXELS
        and abs(jump) >= _LEVEL
        and _levels_differ(level, first - 1, near, jump)
        and _levels_differ(level, last - 1, near, -jump)
    )
    base = np.array([ratio[first - 1], ratio[last]])
    height = ratio[first:last].mean() - base.mean()
    flat = np.ptp(ratio[first:last]) <= 0.1 * abs(height) and np.ptp(base) <= 0.3 * abs(height)
    return scaled or (flat and abs(height) >= _BOX)


def _join_steps(runs):
    """Make blocks of steps to another level and back."""
    joined: list[Run] = []
    for run in runs:
        last = joined[-1] if joined else run
        if last.shape == run.shape == "step" and _alike(np.log(last.size), -np.log(run.size)):
            size = float(np.sqrt(last.size / run.size))
            joined[-1] = Run(last.start + 1, run.start + 1, "block", size)
        else:
            joined.append(run)
    return joined


def _is_dip(ratio, step, first, last, usual):
    """Whether a few pixels are far below both sides, with walls of one pixel."""
    base = min(ratio[max(first - 2, 0)], ratio[min(last + 1, len(ratio) - 1)])
    height = base - ratio[first:last].min()
    wall = min(-step[first - 1], step[last - 1])
    # A line has wings.
    wing = max(abs(step[max(first - 2, 0)]), abs(step[min(last, len(step) - 1)]))
    is_steep = wall >= max(_WALL * height, 2.0 * usual)
    return height >= _DIP and is_steep and wing <= _WING * height


def _is_resolved(step, edges):
    """Whether lines span several pixels, judged without the steps at hand."""
    others = np.ones(len(step), dtype=bool)
    for offset in (-1, 0, 1):
        others[np.clip(edges + offset, 0, len(step) - 1)] = False
    curvature = np.diff(step)[others[1:] & others[:-1]]
    steps = step[others]
    if (np.abs(steps) >= _EVIDENCE).sum() < _N_EVIDENCE:
        return False
    return np.sum(curvature**2) < _RESOLVED**2 * np.sum(steps**2)


def _window(n_pixels):
    """Return the number of pixels on each side of a step whose levels are compared."""
    return max(_WINDOW, n_pixels // 50)


def _levels_differ(level, edge, window, jump):
    """Whether the spectra on both sides of a step differ by its factor."""
    left, right = level[max(edge + 1 - window, 0) : edge + 1], level[edge + 1 : edge + 1 + window]
    if min(len(left), len(right)) < window:
        return False
    return all(_alike(np.quantile(right, q) - np.quantile(left, q), jump) for q in _LEVELS)


def _equal(ratio, step, flux, usual):
    """Find runs of one value between pixels that vary, and whether values are repeated."""
    flux = np.where(ratio < _EMPTY, 0.0, flux)
    change = np.flatnonzero(flux[1:] != flux[:-1]) + 1
    starts, stops = np.append(0, change), np.append(change, len(flux))
    empty = flux[starts] == 0
    # Without flux at an end of the spectrum: there may be none in any spectrum.
    inside = (starts > 0) & (stops < len(flux))
    off_continuum = np.abs(ratio[starts] - 1.0) > _CONTINUUM
    before = np.where(starts > 0, np.abs(step[np.maximum(starts - 1, 0)]), 0.0)
    after = np.where(stops < len(flux), np.abs(step[np.minimum(stops, len(step)) - 1]), 0.0)
    jump = np.maximum(before, after)
    length = stops - starts
    chosen = np.where(
        empty,
        (length >= _EMPTY_PIXELS) & ((length >= _LONG_EMPTY) | (jump >= _STEEPER * usual)),
        (length >= _EQUAL_PIXELS) & off_continuum,
    )
    chosen &= inside & (jump >= _EQUAL_STEP)
    n_varying = int(off_continuum.sum())
    repeated = n_varying < 0.5 * int((np.abs(ratio - 1.0) > _CONTINUUM).sum())
    found = []
    for k in np.flatnonzero(chosen):
        start, stop, value = int(starts[k]), int(stops[k]), float(flux[starts[k]])
        if empty[k]:
            found.append(Run(start, stop, "empty", value))
        elif not _is_continuum(flux, start, stop, value):
            found.append(Run(start, stop, "equal", value))
    n_equal = sum(run.shape == "equal" for run in found)
    return found, repeated or n_equal > _MOST_EQUAL_RUNS


def _is_continuum(flux, start, stop, value):
    """Whether the value of equal pixels is the largest flux on one side of them."""
    left, right = flux[max(start - _BLOCK, 0) : start], flux[stop : stop + _BLOCK]
    return any(abs(value / side.max() - 1.0) <= _CONTINUUM for side in (left, right))
