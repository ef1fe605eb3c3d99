"""EmulatorErrorDisplay: error of emulated spectra, over the grid."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx.flux._base import SpectralEmulator
from skphx.inspection._axes import axis_label, panels
from skphx.metrics import flux_rms

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class EmulatorErrorDisplay:
    """Error of an emulator's flux as a function of stellar parameters.

    Parameters
    ----------
    parameters : array-like of shape (n_spectra, n_parameters)
        Stellar parameters of the test spectra.
    rms : array-like of shape (n_spectra,)
        Rms of emulated minus true flux of each spectrum.
    parameter_names : sequence of str
        Names of the columns.
    nodes : array-like of shape (n_nodes, n_parameters), or None
        Nodes of the emulator, to mark.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes
        The panels, set by `plot`.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    Examples
    --------
    >>> from skphx.inspection import EmulatorErrorDisplay
    >>> display = EmulatorErrorDisplay.from_predictions(
    ...     [[5000, 4.0], [5500, 4.5]], [[1.0, 0.9], [1.0, 0.8]], [[1.0, 0.9], [1.0, 0.7]],
    ...     parameter_names=("teff", "logg"),
    ... )
    >>> display.rms.round(3)
    array([0.   , 0.071])
    """

    def __init__(
        self,
        parameters: ArrayLike,
        rms: ArrayLike,
        parameter_names: Sequence[str],
        *,
        nodes: ArrayLike | None = None,
    ) -> None:
        self.parameters = np.asarray(parameters, dtype=np.float64)
        self.rms = np.asarray(rms, dtype=np.float64)
        self.parameter_names = tuple(parameter_names)
        self.nodes = None if nodes is None else np.asarray(nodes, dtype=np.float64)
        expected = (len(self.rms), len(self.parameter_names))
        if self.parameters.shape != expected:
            raise ValueError(
                f"parameters must have a row for each rms and a column for each name, shape "
                f"{expected}, got {self.parameters.shape}."
            )

    @classmethod
    def from_estimator(cls, emulator: SpectralEmulator, X: ArrayLike, y: ArrayLike) -> Self:
        """Emulate test spectra.

        Parameters
        ----------
        emulator : FluxEmulator or LineManifoldRegressor
            Fitted emulator.
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters of spectra that the emulator was not fitted on.
        y : array-like of shape (n_spectra, n_pixels)
            Their spectra, in the form that `fit` takes.

        Returns
        -------
        EmulatorErrorDisplay
            A display, not drawn.
        """
        rms = flux_rms(emulator.normalize(y, X), emulator.predict(X), per_spectrum=True)
        grid = emulator.grid_
        return cls(X, rms, grid.parameter_names, nodes=grid.nodes)

    @classmethod
    def from_predictions(
        cls,
        parameters: ArrayLike,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        parameter_names: Sequence[str],
        nodes: ArrayLike | None = None,
    ) -> Self:
        """Compare emulated spectra with true ones.

        Parameters
        ----------
        parameters : array-like of shape (n_spectra, n_parameters)
            Stellar parameters of the test spectra.
        y_true, y_pred : array-like of shape (n_spectra, n_pixels)
            True and emulated flux.
        parameter_names : sequence of str
            Names of the columns.
        nodes : array-like of shape (n_nodes, n_parameters), or None
            Nodes of the emulator, to mark.

        Returns
        -------
        EmulatorErrorDisplay
            A display, not drawn.
        """
        rms = flux_rms(y_true, y_pred, per_spectrum=True)
        return cls(parameters, rms, parameter_names, nodes=nodes)

    def plot(self, ax: "Axes | None" = None, *, x: str = "teff", y: str = "logg") -> Self:
        """Draw the error against each parameter, and a map over two parameters.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.
        x, y : str
            Parameters of the map. Where several spectra have the same position, the largest
            error is on top. If one of the names is unknown, there is no map.

        Returns
        -------
        EmulatorErrorDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        names = self.parameter_names
        has_map = x in names and y in names
        n_panels = len(names) + has_map
        ratios = [1.4] * has_map + [1.0] * len(names)
        size = 0.4 + 2.7 * sum(ratios), 3.4
        axes = panels(ax, 1, n_panels, figsize=size, width_ratios=ratios)[0]
        if has_map:
            self._draw_map(axes[0], names.index(x), names.index(y))
        against = axes[has_map:]
        for column, (panel, name) in enumerate(zip(against, names, strict=True)):
            panel.semilogy(
                self.parameters[:, column], self.rms, "o", color="C0", markersize=4, alpha=0.6
            )
            panel.set_xlabel(axis_label(name))
            if column:
                panel.sharey(against[0])
                panel.tick_params(labelleft=False, which="both")
        against[0].set_ylabel("rms flux error")
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        return self

    def _draw_map(self, ax, x, y):
        if self.nodes is not None:
            ax.plot(*self.nodes[:, [x, y]].T, "+", color="0.6", markersize=5, zorder=0)
        # The largest error is drawn last, on top.
        order = np.argsort(self.rms)
        dots = ax.scatter(
            *self.parameters[order][:, [x, y]].T,
            c=self.rms[order],
            norm="log",
            cmap="viridis",
            s=40,
        )
        ax.figure.colorbar(dots, ax=ax, label="rms flux error")
        ax.set(
            xlabel=axis_label(self.parameter_names[x]), ylabel=axis_label(self.parameter_names[y])
        )
