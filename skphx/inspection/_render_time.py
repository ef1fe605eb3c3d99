"""RenderTimeDisplay: time for each spectrum, in single calls and in batches."""

from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx.flux._base import SpectralEmulator
from skphx.inspection._axes import single_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class RenderTimeDisplay:
    """Wall time for each emulated spectrum, against the number of spectra.

    Parameters
    ----------
    batch_sizes : array-like of shape (n_sizes,), int
        Numbers of spectra.
    batch_seconds : array-like of shape (n_sizes,)
        Seconds of one call for all these spectra.
    single_seconds : array-like of shape (n_sizes,)
        Seconds of one call for each spectrum, all together.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Set by `plot`.
    speedup_ax_ : matplotlib Axes
        Axes of the ratio of the two, on the right.

    References
    ----------
    Shankar, Gully-Santiago & Morley, figure 8.

    Examples
    --------
    >>> from skphx.inspection import RenderTimeDisplay
    >>> display = RenderTimeDisplay([1, 4, 16], [0.1, 0.2, 0.6], [0.1, 0.4, 1.6])
    >>> display.speedup.round(1)
    array([1. , 2. , 2.7])
    """

    def __init__(
        self, batch_sizes: ArrayLike, batch_seconds: ArrayLike, single_seconds: ArrayLike
    ) -> None:
        self.batch_sizes = np.asarray(batch_sizes, dtype=np.int64)
        self.batch_seconds = np.asarray(batch_seconds, dtype=np.float64)
        self.single_seconds = np.asarray(single_seconds, dtype=np.float64)

    @property
    def speedup(self) -> NDArray[np.float64]:
        """Time of single calls divided by that of one batch, shape (n_sizes,)."""
        return self.single_seconds / self.batch_seconds

    @classmethod
    def from_estimator(
        cls,
        emulator: SpectralEmulator,
        *,
        batch_sizes: Sequence[int] = (1, 2, 4, 8, 16, 32),
        n_repeats: int = 3,
        random_state: int = 0,
    ) -> Self:
        """Measure a fitted emulator at random points of its grid.

        Parameters
        ----------
        emulator : FluxEmulator or LineManifoldRegressor
            Fitted emulator.
        batch_sizes : sequence of int
            Numbers of spectra.
        n_repeats : int
            Number of measurements of each; the shortest time is kept, because other processes
            can only add to it.
        random_state : int
            Seed of the points.

        Returns
        -------
        RenderTimeDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If a number is below 1.
        """
        if min((*batch_sizes, n_repeats)) < 1:
            raise ValueError(
                f"batch_sizes and n_repeats must be 1 or more, got {batch_sizes} and {n_repeats}."
            )
        low, high = emulator.grid_.bounds.T
        points = np.random.default_rng(random_state).uniform(
            low, high, size=(max(batch_sizes), len(low))
        )
        points = emulator.grid_.resolve_outside(points, "clip")
        # The first call compiles; it is not measured.
        emulator.predict(points[:1])
        batch, single = np.empty((2, len(batch_sizes)))
        for place, size in enumerate(batch_sizes):
            batch[place] = min(_seconds(emulator, [points[:size]]) for _ in range(n_repeats))
            one_by_one = np.split(points[:size], size)
            single[place] = min(_seconds(emulator, one_by_one) for _ in range(n_repeats))
        return cls(batch_sizes, batch, single)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw milliseconds for each spectrum, and the ratio of the two times.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; None makes a figure.

        Returns
        -------
        RenderTimeDisplay
            Itself, with `ax_`, `speedup_ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = single_axes(ax, figsize=(6.4, 4.0))
        for seconds, label, marker in (
            (self.single_seconds, "one call for each", "o"),
            (self.batch_seconds, "one call for all", "s"),
        ):
            ax.plot(self.batch_sizes, 1e3 * seconds / self.batch_sizes, marker=marker, label=label)
        ax.set_xscale("log", base=2)
        ax.set_xticks(self.batch_sizes, [str(size) for size in self.batch_sizes])
        ax.set(xlabel="number of spectra", ylabel="ms for each spectrum")
        ax.set_ylim(bottom=0.0)
        right = ax.twinx()
        right.plot(self.batch_sizes, self.speedup, color="0.6", linestyle=":", marker=".")
        right.set_ylabel("speedup (dotted)", color="0.4")
        right.set_ylim(bottom=0.0)
        ax.legend(loc="lower left", fontsize="small")
        self.ax_, self.speedup_ax_, self.figure_ = ax, right, ax.figure
        return self


def _seconds(emulator, batches):
    """Return the wall time of predicting all batches."""
    start = perf_counter()
    for points in batches:
        emulator.predict(points)
    return perf_counter() - start
