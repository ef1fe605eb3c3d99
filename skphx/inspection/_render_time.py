"""RenderTimeDisplay: time for one spectrum, one after the other and in batches."""

from time import perf_counter

import numpy as np

from skphx.inspection._axes import single_axes


class RenderTimeDisplay:
    """Wall time for each emulated spectrum, against the number asked for at once.

    Parameters
    ----------
    batch_sizes : array-like of shape (n_sizes,), int
        Numbers of spectra.
    batch_seconds : array-like of shape (n_sizes,)
        Seconds that one call for so many spectra took.
    single_seconds : array-like of shape (n_sizes,)
        Seconds that as many calls for one spectrum each took.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Set by `plot`.
    speedup_ax_ : matplotlib Axes
        Axis of the ratio of the two, at the right.

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

    def __init__(self, batch_sizes, batch_seconds, single_seconds):
        self.batch_sizes = np.asarray(batch_sizes, dtype=np.int64)
        self.batch_seconds = np.asarray(batch_seconds, dtype=np.float64)
        self.single_seconds = np.asarray(single_seconds, dtype=np.float64)

    @property
    def speedup(self):
        """Time of single calls over that of one batch, shape (n_sizes,)."""
        return self.single_seconds / self.batch_seconds

    @classmethod
    def from_estimator(
        cls, emulator, *, batch_sizes=(1, 2, 4, 8, 16, 32), n_repeats=3, random_state=0
    ):
        """Measure a fitted emulator at random points of its grid.

        Parameters
        ----------
        emulator : LineManifoldRegressor
            Fitted.
        batch_sizes : sequence of int
            Numbers of spectra to ask for.
        n_repeats : int
            How often each is measured; the least time is kept, as other work on the machine
            can only add to it.
        random_state : int
            Seed of the points.

        Returns
        -------
        RenderTimeDisplay
            Not drawn yet.

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
        # The first call of all compiles and warms up.
        emulator.predict(points[:1])
        batch, single = np.empty((2, len(batch_sizes)))
        for place, size in enumerate(batch_sizes):
            batch[place] = min(_seconds(emulator, [points[:size]]) for _ in range(n_repeats))
            one_by_one = np.split(points[:size], size)
            single[place] = min(_seconds(emulator, one_by_one) for _ in range(n_repeats))
        return cls(batch_sizes, batch, single)

    def plot(self, ax=None):
        """Draw milliseconds a spectrum, and the ratio of the two ways.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Where; None makes a figure.

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
            (self.single_seconds, "one after the other", "o"),
            (self.batch_seconds, "in one call", "s"),
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
    """Wall time of predicting all batches."""
    start = perf_counter()
    for points in batches:
        emulator.predict(points)
    return perf_counter() - start
