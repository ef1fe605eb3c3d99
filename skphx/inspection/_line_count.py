"""LineCountDisplay: how many lines each node has."""

import numpy as np

from skphx.inspection._axes import ABSENT, axis_label, format_value, single_axes
from skphx.inspection._lines import column_of, line_cloner, line_depths, lines_at, slice_points


class LineCountDisplay:
    """Number of lines at each node of a slice of the grid.

    Parameters
    ----------
    x_values, y_values : array-like of shape (n_x,) and (n_y,)
        Values of the two parameters at the nodes, increasing.
    counts : array-like of shape (n_y, n_x)
        Number of lines; NaN where the grid has no node.
    x, y : str
        Names of the two parameters.
    title : str or None
        Where the slice is.

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

    def __init__(self, x_values, y_values, counts, *, x="teff", y="logg", title=None):
        self.x_values = np.asarray(x_values, dtype=np.float64)
        self.y_values = np.asarray(y_values, dtype=np.float64)
        self.counts = np.asarray(counts, dtype=np.float64)
        self.x = x
        self.y = y
        self.title = title

    @classmethod
    def from_estimator(cls, emulator, *, x="teff", y="logg", at=None, min_depth=0.005):
        """Count the lines of a fitted emulator.

        Parameters
        ----------
        emulator : LineManifoldRegressor
            Fitted.
        x, y : str
            Parameters along which the slice extends.
        at : dict or None
            Values of the other parameters, such as ``{"feh": 0.0}``; the nearest nodes are
            taken, or those in the middle where nothing is said.
        min_depth : float
            Least depth of a line alone at its centre, in units of the continuum. In a grown
            list a line fades and is nowhere missing; this says from when it counts.

        Returns
        -------
        LineCountDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            If a parameter is unknown, or fixed and drawn at once.
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

    def plot(self, ax=None):
        """Draw the counts as tiles, one a node.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Where; None makes a figure.

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
