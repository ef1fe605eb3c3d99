"""SensitivityDisplay: derivative of flux and lines with respect to a stellar parameter."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import check_wavelength
from skphx.inspection._axes import (
    FLUX,
    WAVELENGTH,
    format_star,
    format_value,
    label_lines,
    panels,
    symbol,
)
from skphx.inspection._lines import (
    column_of,
    in_window,
    line_cloner,
    line_widths,
    lines_at,
)
from skphx.lines._base_emulator import LineEmulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Default changes of each parameter.
_STEPS = {"teff": 100.0, "logg": 0.1, "feh": 0.1, "alpha": 0.1}
# Half the step of finite differences of lines, as a part of the mean distance between nodes.
_FRACTION = 1e-3


class SensitivityDisplay:
    """Derivative of flux and line strengths with respect to a stellar parameter.

    Parameters
    ----------
    wavelength : array-like of shape (n_pixels,)
        Pixel centres in Å.
    flux : array-like of shape (n_pixels,)
        Normalised flux.
    derivative : array-like of shape (n_pixels,)
        Change of the flux for a change of the parameter by `step`.
    centers : array-like of shape (n_lines,)
        Centres of the lines, Å.
    width_changes : array-like of shape (n_lines,)
        Change of each line's equivalent width for a change of the parameter by `step`, Å.
    parameter : str
        Name of the parameter.
    step : float
        Change of the parameter for which derivatives are given.
    names : sequence of str of length n_lines, or None
        Names of the lines, empty if unknown.
    title : str or None
        Stellar parameters.

    Attributes
    ----------
    axes_ : ndarray of three matplotlib Axes
        Flux, its derivative, and the lines; set by `plot`.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    LineTableDisplay : the lines of a window.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inspection import SensitivityDisplay
    >>> wavelength = np.linspace(5000.0, 5002.0, 201)
    >>> line = np.exp(-((wavelength - 5001.0) ** 2) / 0.02)
    >>> display = SensitivityDisplay(
    ...     wavelength, 1 - 0.5 * line, 0.1 * line, [5001.0], [-0.025], "teff", step=100.0
    ... )
    >>> display.plot().axes_.shape
    (3,)
    """

    def __init__(
        self,
        wavelength: ArrayLike,
        flux: ArrayLike,
        derivative: ArrayLike,
        centers: ArrayLike,
        width_changes: ArrayLike,
        parameter: str,
        *,
        step: float = 1.0,
        names: Sequence[str] | None = None,
        title: str | None = None,
    ) -> None:
        self.wavelength = check_wavelength(wavelength)
        self.flux = np.asarray(flux, dtype=np.float64)
        self.derivative = np.asarray(derivative, dtype=np.float64)
        self.centers = np.asarray(centers, dtype=np.float64)
        self.width_changes = np.asarray(width_changes, dtype=np.float64)
        self.parameter = parameter
        self.step = step
        self.names = [""] * len(self.centers) if names is None else list(names)
        self.title = title
        if len(self.names) != len(self.centers):
            raise ValueError(
                f"names must hold one name for each of the {len(self.centers)} lines, empty if "
                f"unknown, got {len(self.names)}."
            )

    @classmethod
    def from_estimator(
        cls,
        emulator: LineEmulator,
        parameters: ArrayLike,
        *,
        parameter: str = "teff",
        step: float | None = None,
        window: tuple[float, float] | None = None,
        names: Sequence[str] | None = None,
    ) -> Self:
        """Differentiate a fitted emulator.

        Parameters
        ----------
        emulator : LineManifoldRegressor
            Fitted emulator.
        parameters : array-like of shape (n_parameters,)
            Stellar parameters at which to differentiate.
        parameter : str
            Parameter with respect to which to differentiate.
        step : float or None
            Change of the parameter by which derivatives are multiplied; None is 100 K, or 0.1
            dex, or 1.
        window : tuple of two floats, or None
            First and last wavelength to draw, Å; None is the whole range.
        names : sequence of str of length n_lines, or None
            Name of each line of the emulator's list, empty if unknown, as from
            :func:`skphx.species.identify_lines`.

        Returns
        -------
        SensitivityDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If the parameter is unknown or the point lies outside the grid.
        """
        column = column_of(emulator, parameter)
        step = _STEPS.get(parameter, 1.0) if step is None else step
        point = emulator.grid_.resolve_outside(np.reshape(parameters, (1, -1)))
        mask = in_window(emulator.wavelength_, window)
        wavelength = emulator.wavelength_[mask]
        lines = lines_at(emulator, point)[0]
        change = step * _width_derivative(emulator, point[0], column)
        inside = np.flatnonzero(
            (lines[:, 0] >= wavelength[0]) & (lines[:, 0] <= wavelength[-1]) & np.isfinite(change)
        )
        return cls(
            wavelength,
            emulator.predict(point)[0, mask],
            step * emulator.jacobian(point)[0, mask, column],
            lines[inside, 0],
            change[inside],
            parameter,
            step=step,
            names=None if names is None else [names[int(number)] for number in inside],
            title=format_star(emulator.grid_.parameter_names, point[0]),
        )

    def plot(self, ax: "Axes | None" = None, *, n_labels: int = 8) -> Self:
        """Draw flux, its derivative, and the change of each line's equivalent width.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.
        n_labels : int
            Number of lines to label: those of the largest changes.

        Returns
        -------
        SensitivityDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        axes = panels(ax, 3, 1, figsize=(8.0, 6.4), sharex=True, height_ratios=(3, 2, 2))[:, 0]
        top, middle, bottom = axes
        top.plot(self.wavelength, self.flux, color="black", linewidth=1.0)
        top.set_ylabel(FLUX)
        middle.axhline(0.0, color="0.7", linewidth=0.8)
        middle.plot(self.wavelength, self.derivative, color="C0", linewidth=1.0)
        middle.set_ylabel("flux change")
        bottom.axhline(0.0, color="0.7", linewidth=0.8)
        bottom.vlines(self.centers, 0.0, 1e3 * self.width_changes, color="C1", linewidth=1.6)
        bottom.set_ylabel("width change (mÅ)")
        bottom.set(xlabel=WAVELENGTH, xlim=self.wavelength[[0, -1]])
        bottom.ticklabel_format(axis="x", useOffset=False)
        most = np.argsort(-abs(self.width_changes))[:n_labels]
        texts = [f"{self.names[line]} {self.centers[line]:.2f}".strip() for line in most]
        label_lines(top, self.centers[most], texts)
        step = format_value(self.parameter, self.step).split(" = ")[1].lstrip("+")
        place = f" at {self.title}" if self.title else ""
        bottom.annotate(
            f"changes for {symbol(self.parameter)} + {step}{place}",
            (0.0, -0.42),
            xycoords="axes fraction",
            fontsize="small",
            va="top",
        )
        top.figure.align_ylabels(axes)
        self.axes_, self.ax_, self.figure_ = axes, top, top.figure
        return self


def _width_derivative(emulator, point, column):
    """Return the change of each line's equivalent width for one unit of a parameter, Å."""
    axis = emulator.grid_.axes[column]
    reach = _FRACTION * (axis[-1] - axis[0]) / max(len(axis) - 1, 1)
    ends = np.array([point, point])
    ends[0, column] = max(point[column] - reach, axis[0])
    ends[1, column] = min(point[column] + reach, axis[-1])
    distance = ends[1, column] - ends[0, column]
    if distance == 0:
        raise ValueError(
            f"the grid has one value of {emulator.grid_.parameter_names[column]}, so there is no "
            f"derivative with respect to it; choose another parameter."
        )
    lower, upper = (line_widths(line_cloner(emulator), end) for end in lines_at(emulator, ends))
    return (upper - lower) / distance
