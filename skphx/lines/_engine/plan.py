"""Decide which radius each line takes, and where its core is summed."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skphx.lines._engine import series, spline

# Nodes of a mesh on either side of the pixels; even, so that meshes stay aligned.
MARGIN = 40

# A line further outside than this many steps goes to a coarser mesh, which it reaches.
_OUTSIDE = MARGIN - spline.ORDER

# Costs of one node and of one core's target, in the same unit; measured.
_NODE_COST = 60.0
_TARGET_COST = 1.5

PIXELS = -(1 << 20)


@dataclass
class Group:
    """Cores of one part that share a radius and are summed at the same targets.

    `lines`, `lo`, `hi` and `depth` have one element a line, and lie where the sums run.
    """

    part: int
    target: int
    lines: Any
    lo: Any
    hi: Any
    reach: float
    inverse_square: float
    depth: Any


@dataclass
class Mesh:
    """One rung of the ladder: nodes at ``origin + step * (0, 1, …, n_nodes − 1)``."""

    level: int
    origin: float
    step: float
    n_nodes: int
    length: int
    spread: list
    groups: list


@dataclass
class Plan:
    """What is summed where, for one spectrum; meshes from coarse to fine."""

    meshes: list
    groups: list
    levels: list
    products: bool


def _log2_ceil(value):
    """Smallest whole k with 2^k >= value; very small values count as 2^-60."""
    return np.ceil(np.log2(np.maximum(value, 2.0**-60))).astype(np.int64)


def make_plan(wavelength, center, parts, send):
    """Decide each line's radius, and where its core is summed.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    center : ndarray of shape (n_lines,)
        Line centres, Å, not falling.
    parts : list of Extent
        The lines' parts.
    send : callable
        Brings an array to where the sums will run.

    Returns
    -------
    Plan
        Meshes and groups of lines.
    """
    first, last = float(wavelength[0]), float(wavelength[-1])
    span = last - first
    pixel = span / (len(wavelength) - 1)
    outside = np.maximum(np.maximum(first - center, center - last), 0.0)
    needed = [
        None
        if part.scale is None
        else np.maximum(
            _log2_ceil(part.scale * (series.RADIUS_PER_SCALE / spline.RADIUS)),
            _log2_ceil(outside / _OUTSIDE),
        )
        for part in parts
    ]
    finest = _choose_finest([each for each in needed if each is not None], span, pixel, wavelength)
    levels = [None if each is None else np.maximum(each, finest) for each in needed]

    pending: dict[int, list] = {}
    for number, (part, level) in enumerate(zip(parts, levels, strict=True)):
        reach = part.reach if level is None else spline.RADIUS * 2.0**level
        inside = outside < reach
        target = np.floor(np.log2(np.maximum(part.step, 2.0**-60))).astype(np.int64)
        target = _choose_targets(target, reach, inside, span, pixel)
        bins = _log2_ceil(reach) if level is None else level
        key = (target - PIXELS) * (1 << 12) + bins + 128
        for one in np.unique(key[inside]):
            lines = np.flatnonzero(inside & (key == one))
            pending.setdefault(int(target[lines[0]]), []).append((number, lines, reach[lines]))

    used = {int(one) for level in levels if level is not None for one in np.unique(level)}
    used |= set(pending) - {PIXELS}
    meshes = []
    for level in range(max(used, default=0), min(used, default=1) - 1, -1):
        step = 2.0**level
        n_nodes = int(np.ceil(span / step)) + 2 * MARGIN + 1
        mesh = Mesh(
            level=level,
            origin=first - MARGIN * step,
            step=step,
            n_nodes=n_nodes,
            length=_fast_length(2 * n_nodes),
            spread=[],
            groups=[],
        )
        for number, own in enumerate(levels):
            if own is not None:
                lines = np.flatnonzero(own == level)
                if len(lines):
                    mesh.spread.append((number, send(lines)))
        nodes = mesh.origin + step * np.arange(n_nodes)
        for number, lines, reach in pending.get(level, []):
            mesh.groups.append(
                _near_group(number, level, lines, reach, nodes, center, parts[number], send)
            )
        meshes.append(mesh)
    groups = [
        _near_group(number, PIXELS, lines, reach, wavelength, center, parts[number], send)
        for number, lines, reach in pending.get(PIXELS, [])
    ]
    return Plan(meshes, groups, levels, _multiplies(parts))


def plan_windows(wavelength, center, parts, wing_cut, send):
    """Sum every line directly, cut to its window of pixels.

    Parameters
    ----------
    wavelength, center, parts, send
        As in `make_plan`.
    wing_cut : int
        Pixels of a window, as in `window_starts`; fewer than there are.

    Returns
    -------
    Plan
        Groups of lines, and no mesh.
    """
    start = window_starts(wavelength, center, wing_cut)
    windows = [(start, start + wing_cut - 1), (start + wing_cut, start + wing_cut + 1)]
    groups = []
    for number, part in enumerate(parts):
        for lo, hi in windows:
            if part.reach is not None:
                first = np.searchsorted(wavelength, center - part.reach)
                last = np.searchsorted(wavelength, center + part.reach, side="right")
                lo, hi = np.maximum(lo, first), np.minimum(hi, last)
            groups.append(_make_group(number, PIXELS, lo, hi, wavelength, center, part, send))
    return Plan([], groups, [None] * len(parts), _multiplies(parts))


def _multiplies(parts):
    """Whether the lines' transmissions are multiplied."""
    return any(part.kind in (series.PSEUDO_VOIGT_PRODUCT, series.VOIGT_PRODUCT) for part in parts)


def _fast_length(n):
    """Length of at least n whose FFT is fast."""
    from scipy.fft import next_fast_len

    return next_fast_len(int(n), real=True)


def _choose_finest(needed, span, pixel, wavelength):
    """Finest level in use: where finer nodes cost more than they save of the cores."""
    if not needed or not any(len(each) for each in needed):
        return 0
    # Never many more nodes than pixels, however narrow the lines.
    lowest = int(np.ceil(np.log2(span / (2.0 * len(wavelength) + 1000.0))))
    needed = np.maximum(np.concatenate(needed), lowest)
    levels, counts = np.unique(needed, return_counts=True)
    costs = []
    for level in levels:
        targets = 2.0 * spline.RADIUS * 2.0 ** np.maximum(levels, level) / pixel
        nodes = span / 2.0**level + 2 * MARGIN
        costs.append(_TARGET_COST * (counts * targets).sum() + _NODE_COST * nodes)
    return int(levels[np.argmin(costs)])


def _choose_targets(target, reach, inside, span, pixel):
    """Send cores to meshes where those are coarser than the pixels and it pays."""
    result = np.full_like(target, PIXELS)
    for level in np.unique(target[inside & (2.0**target > 1.5 * pixel)]):
        lines = inside & (target == level)
        saved = 2.0 * np.minimum(reach[lines], span).sum() * (1.0 / pixel - 2.0 ** -float(level))
        if _TARGET_COST * saved > _NODE_COST * (span / 2.0**level + 2 * MARGIN):
            result[lines] = level
    return result


def _near_group(number, target, lines, reach, targets, center, part, send):
    """Group lines that share a radius, or a reach: which targets does each core touch."""
    own = center[lines]
    lo = np.searchsorted(targets, own - reach)
    hi = np.searchsorted(targets, own + reach, side="right")
    group = _make_group(number, target, lo, hi, targets, own, part, send, lines)
    if part.scale is not None:
        group.inverse_square = float(1.0 / reach[0] ** 2)
    return group


def _make_group(number, target, lo, hi, targets, center, part, send, lines=None):
    """Group lines whose cores touch targets ``lo:hi``; all lines if none are named."""
    if lines is None:
        lines = np.arange(len(center))
    touched = hi > lo
    lines, lo, hi, center = lines[touched], lo[touched], hi[touched], center[touched]
    reach = 0.0
    if len(lines):
        reach = max((center - targets[lo]).max(), (targets[hi - 1] - center).max())
    return Group(
        part=number,
        target=target,
        lines=send(lines),
        lo=send(lo),
        hi=send(hi),
        # The kernels search by distance: leave room for rounding.
        reach=float(reach) * (1.0 + 1e-9) + 1e-9,
        inverse_square=0.0,
        depth=send(part.depth[lines]),
    )


def window_starts(wavelength, center, wing_cut):
    """First pixel of each line's window, as blase chooses it.

    A window holds pixels start … start + wing_cut − 2 and start + wing_cut: blase rounds
    ``linspace(start, start + wing_cut, wing_cut)`` down, which leaves the last but one out.
    Windows that would pass an end are moved inside.
    """
    start = np.searchsorted(wavelength, center) - wing_cut // 2
    return np.clip(start, 0, max(len(wavelength) - 1 - wing_cut, 0))


def window_pixels(start, wing_cut):
    """All pixels of windows, (n_lines, wing_cut), that begin where `window_starts` says."""
    steps = np.arange(wing_cut)
    steps[-1] += 1
    return start[:, None] + steps
