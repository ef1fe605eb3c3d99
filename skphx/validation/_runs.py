"""Runs of pixels that no star has: their texts, and which of them are faults."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

# Runs that begin at the same pixel, within this number, are a property of the grid if this part of
# all spectra has them, and this number of spectra at least.
_SAME_PLACE, _SHARED, _LEAST_SHARED = 2, 0.5, 4
# Largest number of ranges of pixels in a text.
_N_RANGES = 5


@dataclass(frozen=True)
class Run:
    """Pixels of one spectrum that no star has.

    Attributes
    ----------
    start, stop : int
        The pixels, without the last one.
    shape : {"above", "dip", "block", "step", "equal", "empty"}
        Far above the continuum, narrow and far below it, between two opposite steps, on both
        sides of one step, of one value, without flux.
    size : float
        Largest flux over the envelope; for blocks and steps the factor of the level, for equal
        pixels their value.
    """

    start: int
    stop: int
    shape: str
    size: float

    @property
    def is_constant(self) -> bool:
        """Whether all pixels have one value."""
        return self.shape in ("equal", "empty")


def describe(run: Run) -> str:
    """Return the fault of a run as text."""
    return {
        "above": f"up to {run.size:.3g} times its own continuum",
        "dip": f"down to {run.size:.2g} of its own continuum",
        "block": f"at {run.size:.3g} times the level on both sides",
        "step": f"by a factor of {run.size:.3g}",
        "equal": f"all {run.size:.6g}",
        "empty": "zero",
    }[run.shape]


def without_shared(
    found: dict[int, list[Run]], n_spectra: int
) -> tuple[dict[int, list[Run]], list[tuple[Run, int]]]:
    """Separate faults from what most spectra of a grid have at the same pixels.

    Gaps between spectral orders, edges and lines that are not resolved are in all spectra. Flux
    far above the continuum is a fault, however many spectra have it.

    Parameters
    ----------
    found : dict of list of Run
        The runs of each row.
    n_spectra : int
        Number of spectra that were examined.

    Returns
    -------
    faults : dict of list of Run
        The runs of each row, without the shared ones.
    shared : list of tuple (Run, int)
        One of the shared runs each, and the number of spectra that have it.
    """
    least = max(_LEAST_SHARED, _SHARED * n_spectra)
    # The shapes differ from spectrum to spectrum, with the lines at the ends of the runs.
    ends = sorted(
        (place, row)
        for row, runs in found.items()
        for run in runs
        if run.shape != "above"
        for place in (run.start, run.stop)
    )
    places = np.array([place for place, _ in ends])

    def count(run):
        near = (run.start - _SAME_PLACE, run.start + _SAME_PLACE + 1)
        first, last = np.searchsorted(places, near)
        return len({row for _, row in ends[first:last]})

    faults: dict[int, list[Run]] = {}
    shared: list[tuple[Run, int]] = []
    for row, runs in found.items():
        for run in runs:
            n_rows = 0 if run.shape == "above" else count(run)
            if n_rows < least:
                faults.setdefault(row, []).append(run)
            elif not any(
                abs(run.start - place) <= 2 * _SAME_PLACE
                for one, _ in shared
                for place in (one.start, one.stop)
            ):
                shared.append((run, n_rows))
    return faults, shared


def findings_of(
    runs: list[Run], n_pixels: int, text_of_range: Callable[[int, int], str]
) -> Iterable[tuple[str, float, str, str]]:
    """Yield the findings of a row whose pixels are not of one value.

    Parameters
    ----------
    runs : list of Run
        The runs of the row.
    n_pixels : int
        Number of pixels of the spectrum.
    text_of_range : callable
        ``text_of_range(start, stop)`` names pixels.

    Yields
    ------
    kind : str
        Kind of the finding, see `diagnose_grid`.
    measure : float
        Size of the fault.
    description, remedy : str
        Its texts.
    """

    def ranges(runs):
        pieces = [
            f"{text_of_range(run.start, run.stop)} ({describe(run)})" for run in runs[:_N_RANGES]
        ]
        if len(runs) > _N_RANGES:
            pieces.append(f"and {len(runs) - _N_RANGES} more ranges")
        return ", ".join(pieces)

    steps = [run for run in runs if run.shape == "step"]
    pixels = [run for run in runs if run.shape != "step"]
    if pixels:
        n_bad = sum(run.stop - run.start for run in pixels)
        yield (
            "bad_pixels",
            n_bad,
            f"{n_bad} of {n_pixels} pixels cannot be those of a star: {ranges(pixels)}",
            "repair the pixels, or exclude the row; look at the same pixels of the nodes around, "
            "which may share the fault",
        )
    if steps:
        yield (
            "level",
            max((run.size for run in steps), key=lambda factor: abs(np.log(factor))),
            f"the level changes between two pixels: {ranges(steps)}",
            "check how the pieces of the spectrum were joined, scale one of them, or exclude the "
            "row",
        )


def add_constant(
    truncated: Mapping[int, list[tuple[int, int, float]]], found: Mapping[int, list[Run]]
) -> dict[int, list[tuple[int, int, float]]]:
    """Return truncated rows with the runs of one value that are faults by themselves.

    Parameters
    ----------
    truncated : dict of list of tuple (start, stop, value)
        Runs of one value that the nodes around do not have, for each row.
    found : dict of list of Run
        Runs of pixels that no star has, for each row.

    Returns
    -------
    dict of list of tuple (start, stop, value)
        Both, without those that overlap.
    """
    both = {row: list(runs) for row, runs in truncated.items()}
    for row, runs in found.items():
        known = truncated.get(row, [])
        for run in runs:
            apart = all(stop <= run.start or run.stop <= start for start, stop, _ in known)
            if run.is_constant and apart:
                both.setdefault(row, []).append((run.start, run.stop, run.size))
    return {row: sorted(runs) for row, runs in both.items()}
