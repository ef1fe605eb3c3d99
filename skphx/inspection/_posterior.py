"""PosteriorDisplay: corner plot of the posterior of one spectrum's parameters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx.inference import InferenceResult
from skphx.inference._result import one_result
from skphx.inspection._axes import axis_label, panels, symbol, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Part of the samples within each contour.
_LEVELS = (0.95, 0.68)
_N_BINS = 40


class PosteriorDisplay:
    """Corner plot of samples of the posterior of one spectrum's parameters.

    Parameters
    ----------
    samples : array-like of shape (n_samples, n_parameters)
        Samples of the posterior.
    parameter_names : sequence of str
        Names of the columns.
    truth : array-like of shape (n_parameters,), or None
        Values to mark, such as true values or those of the literature.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_parameters, n_parameters)
        The panels, set by `plot`; those above the diagonal are hidden.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    ParameterErrorDisplay : errors of many spectra with known parameters.

    Examples
    --------
    >>> from skphx.inspection import PosteriorDisplay
    >>> covariance = [[900.0, 0.3], [0.3, 0.01]]
    >>> display = PosteriorDisplay.from_gaussian([5772, 4.44], covariance, ("teff", "logg"))
    >>> display.samples.shape
    (20000, 2)
    """

    def __init__(
        self,
        samples: ArrayLike,
        parameter_names: Sequence[str],
        *,
        truth: ArrayLike | None = None,
    ) -> None:
        self.samples = np.asarray(samples, dtype=np.float64)
        self.parameter_names = tuple(parameter_names)
        self.truth = None if truth is None else np.asarray(truth, dtype=np.float64)
        n_parameters = len(self.parameter_names)
        if self.samples.ndim != 2 or self.samples.shape[1] != n_parameters:
            raise ValueError(
                f"samples must have shape (n_samples, {n_parameters}), a column each for "
                f"{', '.join(self.parameter_names)}, got {self.samples.shape}."
            )
        if self.truth is not None and self.truth.shape != (n_parameters,):
            raise ValueError(f"truth must have shape ({n_parameters},), got {self.truth.shape}.")

    @classmethod
    def from_gaussian(
        cls,
        mean: ArrayLike,
        covariance: ArrayLike,
        parameter_names: Sequence[str],
        *,
        truth: ArrayLike | None = None,
        n_samples: int = 20_000,
        random_state: int = 0,
    ) -> Self:
        """Draw samples from a Gaussian posterior.

        Parameters
        ----------
        mean : array-like of shape (n_parameters,)
            Best parameters.
        covariance : array-like of shape (n_parameters, n_parameters)
            Their covariance.
        parameter_names : sequence of str
            Names of the parameters.
        truth : array-like of shape (n_parameters,), or None
            Values to mark.
        n_samples : int
            Number of samples.
        random_state : int
            Seed of the random numbers.

        Returns
        -------
        PosteriorDisplay
            A display, not drawn.
        """
        random = np.random.default_rng(random_state)
        samples = random.multivariate_normal(
            np.asarray(mean, dtype=np.float64),
            np.asarray(covariance, dtype=np.float64),
            size=n_samples,
        )
        return cls(samples, parameter_names, truth=truth)

    @classmethod
    def from_result(cls, result: InferenceResult, *, truth: ArrayLike | None = None) -> Self:
        """Take the result of one observed star.

        Parameters
        ----------
        result : InferenceResult
            Of one star, as from :meth:`skphx.StellarParameterEstimator.infer`. If it has no
            samples, they are drawn from the Gaussian of its covariance. Parameters that were held
            are left out.
        truth : array-like of shape (n_parameters,), or None
            Values to mark, of all parameters of the result.

        Returns
        -------
        PosteriorDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If `result` is of several stars.
        """
        result = one_result(result)
        free = np.flatnonzero(np.diag(result.covariance) > 0)
        names = [result.parameter_names[column] for column in free]
        if truth is not None:
            truth = np.asarray(truth, dtype=np.float64)[free]
        if result.samples is not None:
            return cls(result.samples[:, free], names, truth=truth)
        covariance = result.covariance[np.ix_(free, free)]
        return cls.from_gaussian(result.parameters[free], covariance, names, truth=truth)

    @classmethod
    def from_predictions(
        cls,
        samples: ArrayLike,
        parameter_names: Sequence[str],
        *,
        truth: ArrayLike | None = None,
    ) -> Self:
        """Take samples from any sampler.

        Parameters
        ----------
        samples, parameter_names, truth
            As in the constructor.

        Returns
        -------
        PosteriorDisplay
            A display, not drawn.
        """
        return cls(samples, parameter_names, truth=truth)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw histograms on the diagonal and contours below it.

        Contours enclose 68 and 95 % of the samples; titles give the median and the central
        68 %.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.

        Returns
        -------
        PosteriorDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        n_parameters = len(self.parameter_names)
        size = 0.6 + 2.0 * n_parameters
        axes = panels(ax, n_parameters, n_parameters, figsize=(size, size), sharex="col")
        limits = np.percentile(self.samples, [0.1, 99.9], axis=0).T
        # A parameter that was held has a width of 0.
        widths = np.maximum(limits[:, 1] - limits[:, 0], 1e-6 * (1.0 + abs(limits[:, 0])))
        limits = np.stack([limits[:, 0] - 0.1 * widths, limits[:, 1] + 0.1 * widths], axis=1)
        for row in range(n_parameters):
            for column in range(n_parameters):
                panel = axes[row, column]
                if column > row:
                    panel.set_axis_off()
                elif column == row:
                    self._draw_histogram(panel, row, limits[row])
                else:
                    self._draw_contours(panel, column, row, limits)
                if row == n_parameters - 1:
                    panel.set_xlabel(axis_label(self.parameter_names[column]))
                if column == 0 < row:
                    panel.set_ylabel(axis_label(self.parameter_names[row]))
                elif column < row:
                    panel.tick_params(labelleft=False)
                panel.tick_params(axis="x", rotation=45)
        for panel in axes[-1]:
            panel.locator_params(axis="x", nbins=4)
            panel.ticklabel_format(axis="x", useOffset=False)
        for panel in axes[1:, 0]:
            panel.locator_params(axis="y", nbins=4)
            panel.ticklabel_format(axis="y", useOffset=False)
        axes[0, 0].figure.align_labels(axes)
        self.axes_, self.ax_, self.figure_ = axes, axes[0, 0], axes[0, 0].figure
        return self

    def _draw_histogram(self, panel, column, limits):
        values = self.samples[:, column]
        edges = np.linspace(limits[0], limits[1], _N_BINS + 1)
        panel.hist(values, bins=edges, color="C0", alpha=0.35)
        low, middle, high = np.percentile(values, [16, 50, 84])
        for value, style in ((low, ":"), (middle, "-"), (high, ":")):
            panel.axvline(value, color="C0", linestyle=style, linewidth=1.0)
        if self.truth is not None:
            panel.axvline(self.truth[column], color="C1", linewidth=1.2)
        panel.set_yticks([])
        panel.set_xlim(limits)
        panel.set_title(
            _interval(self.parameter_names[column], low, middle, high), fontsize="small"
        )

    def _draw_contours(self, panel, column, row, limits):
        x, y = self.samples[:, column], self.samples[:, row]
        density, x_edges, y_edges = np.histogram2d(
            x, y, bins=_N_BINS, range=[limits[column], limits[row]]
        )
        density = _smooth(density.T)
        levels = _levels_that_enclose(density, _LEVELS)
        centers = [0.5 * (edges[1:] + edges[:-1]) for edges in (x_edges, y_edges)]
        if len(levels) == len(_LEVELS):
            for level in levels:
                panel.contourf(*centers, density, levels=[level, np.inf], colors="C0", alpha=0.3)
            panel.contour(*centers, density, levels=levels, colors="C0", linewidths=0.8)
        else:
            panel.plot(x[:2000], y[:2000], ".", color="C0", markersize=1, alpha=0.3)
        if self.truth is not None:
            panel.axvline(self.truth[column], color="C1", linewidth=0.8)
            panel.axhline(self.truth[row], color="C1", linewidth=0.8)
        panel.set_ylim(limits[row])


def _smooth(density):
    """Smooth a histogram, to reduce the shot noise."""
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(density, 1.0, mode="constant")


def _levels_that_enclose(density, shares):
    """Return increasing densities above which given parts of the samples lie."""
    ordered = np.sort(density.ravel())[::-1]
    enclosed = np.cumsum(ordered) / ordered.sum()
    levels = [ordered[np.searchsorted(enclosed, share)] for share in shares]
    # Samples of a held parameter fill one column of bins, and have no contours.
    return np.unique([level for level in levels if 0 < level < ordered[0]])


def _interval(name, low, middle, high):
    """Median and central interval, rounded to two digits of its width."""
    error = max(high - low, 1e-300) / 2.0
    digits = int(np.clip(1 - np.floor(np.log10(error)), 0, 12)) if high > low else 3
    suffix = f" {unit(name)}" if unit(name) else ""
    plus, minus = f"{high - middle:.{digits}f}", f"{middle - low:.{digits}f}"
    return f"{symbol(name)} = ${middle:.{digits}f}^{{+{plus}}}_{{-{minus}}}${suffix}"
