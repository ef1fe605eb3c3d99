"""LineCountDisplay: the number of lines of each node."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx.inspection._axes import ABSENT, axis_label, format_value, single_axes
from skphx.inspection._lines import column_of, line_cloner, line_depths, lines_at, slice_points
from skphx.lines._base_emulator import LineEmulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class LineCountDisplay:
    """Number of lines at each node of a slice of the grid.

    Parameters
    ----------
    x_values, y_values : array-like of shape (n_x,) and (n_y,)
        Values of the two parameters at the nodes, increasing.
    counts : array-like of shape (n_y, n_x)
        Number of lines; NaN if the grid has no such node.
    x, y : str
        Names of the two parameters.
    title : str or None
        Other parameters of the slice.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Set by `plot`.

    See Also
    --------
    ManifoldDisplay : one line over the same slice.

    References
    ----------
    Shankar, Gully-Santiago & Morley, figure 2.

    Examples
    --------
    >>> from skphx.inspection import LineCountDisplay
    >>> counts = [[900, 700], [950, 720]]
    >>> display = LineCountDisplay([5000, 6000], [4.0, 4.5], counts, title="[Fe/H] = 0")
    >>> display.plot().ax_.get_title()
    '[Fe/H] = 0'
    """

    def __init__(
        self,
        x_values: ArrayLike,
        y_values: ArrayLike,
        counts: ArrayLike,
        *,
        x: str = "teff",
        y: str = "logg",
        title: str | None = None,
    ) -> None:
        self.x_values = np.asarray(x_values, dtype=np.float64)
        self.y_values = np.asarray(y_values, dtype=np.float64)
        self.counts = np.asarray(counts, dtype=np.float64)
        self.x = x
        self.y = y
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        emulator: LineEmulator,
        *,
        x: str = "teff",
        y: str = "logg",
        at: Mapping[str, float] | None = None,
        min_depth: float = 0.005,
    ) -> Self:
        """Count the lines of a fitted emulator.

        Parameters
        ----------
        emulator : LineManifoldRegressor
            Fitted emulator.
        x, y : str
            Parameters of the slice.
        at : dict or None
            Values of the other parameters, such as ``{"feh": 0.0}``; the nearest values of the
            nodes are used. Parameters that are not given have their middle value.
        min_depth : float
            Least depth at the centre of a line that is counted, without other lines, in units
            of the continuum. LineManifoldRegressor has every line at every node, with any depth.

        Returns
        -------
        LineCountDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If a parameter is unknown, or both held and drawn.
        """
        x_values, y_values, points = slice_points(emulator, x, y, at)
        lines = lines_at(emulator, points)
        depths = line_depths(line_cloner(emulator), lines)
        present = np.isfinite(lines).all(axis=-1)
        counts = (present & (depths >= min_depth)).sum(axis=-1).astype(np.float64)
        inside = emulator.grid_.contains(points.reshape(-1, points.shape[-1]))
        counts[~inside.reshape(counts.shape)] = np.nan
        others = [name for name in emulator.grid_.parameter_names if name not in (x, y)]
        title = ", ".join(
            format_value(name, points[0, 0, column_of(emulator, name)]) for name in others
        )
        return cls(x_values, y_values, counts, x=x, y=y, title=title or None)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the counts as coloured tiles, one for each node.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; None makes a figure.

        Returns
        -------
        LineCountDisplay
            Itself, with `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = single_axes(ax, figsize=(6.4, 4.0))
        ax.set_facecolor(ABSENT)
        image = ax.pcolormesh(
            self.x_values, self.y_values, self.counts, shading="nearest", cmap="viridis"
        )
        ax.figure.colorbar(image, ax=ax, label="lines")
        ax.set(xlabel=axis_label(self.x), ylabel=axis_label(self.y))
        if self.title:
            ax.set_title(self.title, fontsize="medium")
        self.ax_, self.figure_ = ax, ax.figure
        return self
