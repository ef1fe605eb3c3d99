"""ManifoldDisplay: parameters of one line over the grid, at the nodes or between them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import LINE_PARAMETERS
from skphx.inspection._axes import (
    ABSENT,
    axis_label,
    format_value,
    panels,
    quantity_label,
)
from skphx.inspection._lines import column_of, find_line, lines_at, slice_points
from skphx.lines._base_emulator import LineEmulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ManifoldDisplay:
    """A line's centre, strength or widths as a function of stellar parameters.

    Over two parameters the values are shown as colours, over one parameter as a curve. Where the
    line is absent, the colour is grey, and the curve has a gap.

    Parameters
    ----------
    x_values : array-like of shape (n_x,)
        Values of the first parameter, increasing.
    y_values : array-like of shape (n_y,), or None
        Values of the second one; None shows curves.
    values : dict
        For each quantity, ``"center"`` (Å), ``"log_area"``, ``"log_sigma"`` or
        ``"log_gamma"`` (ln Å), an array of shape (n_y, n_x), or (n_x,) without `y_values`; NaN
        where the line is absent.
    x, y : str, and str or None
        Names of the parameters.
    nodes : array-like of shape (n_nodes, 2), or None
        Nodes to mark: values of x and y. For curves, y is ignored.
    title : str or None
        The line, and the other parameters of the slice.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (n_quantities,)
        The panels, set by `plot`.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    LineCountDisplay : number of lines of the nodes of a slice.

    References
    ----------
    Shankar, Gully-Santiago & Morley, figures 3 to 6.

    Examples
    --------
    >>> from skphx.inspection import ManifoldDisplay
    >>> log_area = [[-2.0, -2.5, float("nan")], [-1.9, -2.3, -3.0]]
    >>> display = ManifoldDisplay([5000, 5500, 6000], [4.0, 4.5], {"log_area": log_area})
    >>> len(display.plot().axes_)
    1
    """

    def __init__(
        self,
        x_values: ArrayLike,
        y_values: ArrayLike | None,
        values: Mapping[str, ArrayLike],
        *,
        x: str = "teff",
        y: str | None = "logg",
        nodes: ArrayLike | None = None,
        title: str | None = None,
    ) -> None:
        self.x_values = np.asarray(x_values, dtype=np.float64)
        self.y_values = None if y_values is None else np.asarray(y_values, dtype=np.float64)
        self.values = {name: np.asarray(array, dtype=float) for name, array in values.items()}
        self.x = x
        self.y = y
        self.nodes = None if nodes is None else np.asarray(nodes, dtype=np.float64)
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        emulator: LineEmulator,
        line: int | float,
        *,
        x: str = "teff",
        y: str | None = "logg",
        at: Mapping[str, float] | None = None,
        quantities: Sequence[str] = ("log_area", "log_sigma"),
        n_points: int | None = None,
        species: str | None = None,
    ) -> Self:
        """Evaluate the manifold of one line of a fitted emulator.

        Parameters
        ----------
        emulator : LineManifoldRegressor
            Fitted emulator.
        line : int or float
            Number of the line in the list, or a wavelength in Å, which stands for the strongest
            line within 0.1 Å, or else for the nearest line.
        x, y : str, and str or None
            Parameters of the slice; ``y=None`` draws curves.
        at : dict or None
            Values of the other parameters, such as ``{"feh": 0.0}``; the nearest values of the
            nodes are used. Parameters that are not given have their middle value.
        quantities : sequence of str
            Some of ``"center"``, ``"log_area"``, ``"log_sigma"`` and ``"log_gamma"``.
        n_points : int or None
            Number of evenly spaced points along each parameter; None shows the nodes only.
        species : str or None
            Name of the line for the title, as from :func:`skphx.species.identify_lines`.

        Returns
        -------
        ManifoldDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If a parameter, a quantity or the line is unknown.
        """
        unknown = [name for name in quantities if name not in LINE_PARAMETERS]
        if unknown or not quantities:
            raise ValueError(
                f"quantities must be some of {', '.join(LINE_PARAMETERS)}, got {quantities!r}."
            )
        node_x, node_y, node_points = slice_points(emulator, x, y, at)
        number = find_line(emulator, line, lines_at(emulator, node_points))
        x_values, y_values, points = slice_points(emulator, x, y, at, n_points)
        # Row by row, to limit the memory: lines_at returns all lines at all points.
        chosen = np.array([lines_at(emulator, row)[:, number] for row in points])
        values = {name: chosen[..., LINE_PARAMETERS.index(name)] for name in quantities}
        if y is None:
            values = {name: array[0] for name, array in values.items()}
        inside = emulator.grid_.contains(node_points.reshape(-1, node_points.shape[-1]))
        nodes = np.stack(np.meshgrid(node_x, node_y), axis=-1).reshape(-1, 2)[inside]
        title = _title(emulator, chosen, points[0, 0], (x, y), species)
        return cls(
            x_values,
            None if y is None else y_values,
            values,
            x=x,
            y=y,
            nodes=None if n_points is None else nodes,
            title=title,
        )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw one panel for each quantity.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.

        Returns
        -------
        ManifoldDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        n_panels = len(self.values)
        axes = panels(ax, 1, n_panels, figsize=(0.6 + 4.4 * n_panels, 3.8))[0]
        draw = self._draw_curve if self.y_values is None else self._draw_colour
        for panel, (name, values) in zip(axes, self.values.items(), strict=True):
            draw(panel, name, values)
            panel.set_xlabel(axis_label(self.x))
            panel.ticklabel_format(useOffset=False)
        if self.title:
            axes[0].set_title(self.title, loc="left", fontsize="medium")
        self.axes_, self.ax_, self.figure_ = axes, axes[0], axes[0].figure
        return self

    def _draw_colour(self, panel, name, values):
        panel.set_facecolor(ABSENT)
        image = panel.pcolormesh(
            self.x_values, self.y_values, values, shading="nearest", cmap="viridis"
        )
        bar = panel.figure.colorbar(image, ax=panel, label=quantity_label(name))
        bar.formatter.set_useOffset(False)
        panel.set_ylabel(axis_label(self.y))
        if self.nodes is not None:
            panel.plot(*self.nodes.T, "o", color="white", markersize=2.5, clip_on=False)

    def _draw_curve(self, panel, name, values):
        panel.plot(self.x_values, values, "o-" if self.nodes is None else "-", markersize=4)
        if self.nodes is not None:
            at_nodes = np.interp(self.nodes[:, 0], self.x_values, values)
            panel.plot(self.nodes[:, 0], at_nodes, "o", color="C0", markersize=4)
        panel.set_ylabel(quantity_label(name))


def _title(emulator, chosen, point, free, species):
    """Return the name of the line, and the other parameters of the slice."""
    name = f"{species or 'line'} {np.nanmean(chosen[..., 0]):.2f} Å"
    fixed = [
        format_value(other, point[column_of(emulator, other)])
        for other in emulator.grid_.parameter_names
        if other not in free
    ]
    return ", ".join([name, *fixed])
