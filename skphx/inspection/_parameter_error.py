"""ParameterErrorDisplay: inferred stellar parameters against true ones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx.inference._estimator import StellarParameterEstimator
from skphx.inspection._axes import axis_label, panels, symbol, unit
from skphx.metrics import parameter_errors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.typing import ColorType


class ParameterErrorDisplay:
    """True against inferred stellar parameters, and the difference.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_spectra, n_parameters)
        True and inferred parameters.
    parameter_names : sequence of str
        Names of the columns.
    y_err : array-like of shape (n_spectra, n_parameters), or None
        Standard errors of the inferred parameters.

    Attributes
    ----------
    errors : ParameterErrors
        Mean absolute error, bias and scatter of each parameter.
    axes_ : ndarray of matplotlib Axes of shape (2, n_parameters)
        Inferred parameters above, differences below; set by `plot`.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    PosteriorDisplay : posterior of one spectrum.
    skphx.metrics.parameter_errors : computes the errors.

    Examples
    --------
    >>> from skphx.inspection import ParameterErrorDisplay
    >>> display = ParameterErrorDisplay.from_predictions(
    ...     [[5000, 4.0], [6000, 4.5]], [[5010, 4.1], [5970, 4.6]], ("teff", "logg")
    ... )
    >>> display.errors.mean_absolute
    array([20. ,  0.1])
    """

    def __init__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        parameter_names: Sequence[str],
        *,
        y_err: ArrayLike | None = None,
    ) -> None:
        self.errors = parameter_errors(y_true, y_pred, parameter_names)
        self.y_true = np.atleast_2d(np.asarray(y_true, dtype=np.float64))
        self.y_pred = np.atleast_2d(np.asarray(y_pred, dtype=np.float64))
        self.parameter_names = self.errors.parameter_names
        self.y_err = None if y_err is None else np.atleast_2d(np.asarray(y_err, dtype=float))
        if self.y_err is not None and self.y_err.shape != self.y_true.shape:
            raise ValueError(
                f"y_err must have the shape of y_true, {self.y_true.shape}, got "
                f"{self.y_err.shape}."
            )

    @classmethod
    def from_estimator(
        cls,
        estimator: StellarParameterEstimator,
        X: ArrayLike,
        y: ArrayLike,
        **predict_params: Any,
    ) -> Self:
        """Infer the parameters of spectra.

        Parameters
        ----------
        estimator : StellarParameterEstimator
            Fitted estimator.
        X : array-like of shape (n_spectra, n_pixels)
            Spectra.
        y : array-like of shape (n_spectra, n_parameters)
            Their true parameters.
        **predict_params
            Passed on to ``estimator.predict``, such as ``bounds``.

        Returns
        -------
        ParameterErrorDisplay
            A display, not drawn.
        """
        predicted = estimator.predict(X, **predict_params)
        return cls(y, predicted, estimator.emulator_.grid_.parameter_names)

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        parameter_names: Sequence[str],
        *,
        y_err: ArrayLike | None = None,
    ) -> Self:
        """Take inferred parameters.

        Parameters
        ----------
        y_true, y_pred, parameter_names, y_err
            As in the constructor.

        Returns
        -------
        ParameterErrorDisplay
            A display, not drawn.
        """
        return cls(y_true, y_pred, parameter_names, y_err=y_err)

    def plot(
        self, ax: "Axes | None" = None, *, color: "ColorType" = "C0", label: str | None = None
    ) -> Self:
        """Draw a column of panels for each parameter.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.
        color : color
            Colour of the points.
        label : str or None
            Label of the points, for a legend.

        Returns
        -------
        ParameterErrorDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        n_parameters = len(self.parameter_names)
        axes = panels(
            ax,
            2,
            n_parameters,
            figsize=(0.4 + 2.9 * n_parameters, 4.6),
            sharex="col",
            height_ratios=(2, 1),
        )
        for column, name in enumerate(self.parameter_names):
            top, bottom = axes[:, column]
            true, found = self.y_true[:, column], self.y_pred[:, column]
            error = None if self.y_err is None else self.y_err[:, column]
            style = {
                "fmt": "o", "color": color, "markersize": 4, "elinewidth": 0.8, "alpha": 0.8,
            }  # fmt: skip
            top.axline((true[0], true[0]), slope=1, color="0.7", linewidth=0.8, zorder=0)
            top.errorbar(true, found, yerr=error, label=label, **style)
            bottom.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
            bottom.errorbar(true, found - true, yerr=error, **style)
            top.set_title(self._summary(column), fontsize="small")
            bottom.set_xlabel(f"true {axis_label(name)}")
            for panel in (top, bottom):
                panel.ticklabel_format(useOffset=False)
        axes[0, 0].set_ylabel("inferred")
        axes[1, 0].set_ylabel("inferred − true")
        if label is not None:
            axes[0, 0].legend(fontsize="small")
        self.axes_, self.ax_, self.figure_ = axes, axes[0, 0], axes[0, 0].figure
        return self

    def _summary(self, column):
        """Return mean absolute error and bias of a parameter as text, with unit."""
        name = self.parameter_names[column]
        suffix = f" {unit(name)}" if unit(name) else ""
        absolute, bias = self.errors.mean_absolute[column], self.errors.bias[column]
        return f"{symbol(name)}: mean error {absolute:.2g}{suffix},\nbias {bias:+.2g}{suffix}"
