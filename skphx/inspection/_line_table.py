"""LineTableDisplay: the strongest lines of a window, in the spectrum and as a table."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import check_wavelength
from skphx.inspection._axes import FLUX, WAVELENGTH, format_star, label_lines, panels
from skphx.inspection._lines import (
    in_window,
    line_cloner,
    line_depths,
    line_widths,
    lines_at,
)
from skphx.lines._base_emulator import LineEmulator
from skphx.lines._engine.profile import total_fwhm

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Columns of the printed table: field, heading and format.
_COLUMNS = (
    ("line", "line", "{:d}"),
    ("name", "name", "{}"),
    ("center", "centre (Å)", "{:.3f}"),
    ("depth", "depth", "{:.3f}"),
    ("width", "eq. width (mÅ)", "{:.1f}"),
    ("fwhm", "FWHM (Å)", "{:.3f}"),
)


class LineTableDisplay:
    """Strongest lines of a window, marked in the spectrum and listed below the spectrum.

    Parameters
    ----------
    wavelength : array-like of shape (n_pixels,)
        Pixel centres in Å.
    flux : array-like of shape (n_pixels,)
        Normalised flux.
    table : structured ndarray of shape (n_lines,)
        The lines in the order of wavelength: ``line`` (number in the list), ``name``,
        ``center`` (Å), ``depth`` (in units of the continuum), ``width`` (equivalent width, mÅ)
        and ``fwhm`` (Å). Depth and width are those of the line without other lines.
    title : str or None
        Stellar parameters.

    Attributes
    ----------
    table_ : matplotlib Table
        The printed table, set by `plot`.
    axes_ : ndarray of two matplotlib Axes
        Spectrum and table.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    skphx.lines.LineTable.to_pandas : all fitted lines of spectra as a DataFrame.

    Examples
    --------
    >>> from skphx import LineManifoldRegressor, VoigtCloner
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.inspection import LineTableDisplay
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10, return_lines=True)
    >>> cloner = VoigtCloner(wavelength=grid.wavelength, max_iter=10)
    >>> emulator = LineManifoldRegressor(cloner)
    >>> emulator = emulator.fit(grid.parameters, grid.spectra / grid.continuum)
    >>> display = LineTableDisplay.from_estimator(emulator, (5500, 4.5, 0.0), n_lines=3)
    >>> display.table.dtype.names
    ('line', 'name', 'center', 'depth', 'width', 'fwhm')
    >>> len(display.table)
    3
    """

    def __init__(
        self,
        wavelength: ArrayLike,
        flux: ArrayLike,
        table: NDArray[Any],
        *,
        title: str | None = None,
    ) -> None:
        self.wavelength = check_wavelength(wavelength)
        self.flux = np.asarray(flux, dtype=np.float64)
        self.table = table
        self.title = title

    @classmethod
    def from_estimator(
        cls,
        emulator: LineEmulator,
        parameters: ArrayLike,
        *,
        window: tuple[float, float] | None = None,
        n_lines: int = 10,
        names: Sequence[str] | None = None,
    ) -> Self:
        """Take the strongest lines of a fitted emulator at a point.

        Parameters
        ----------
        emulator : LineManifoldRegressor
            Fitted emulator.
        parameters : array-like of shape (n_parameters,)
            Stellar parameters.
        window : tuple of two floats, or None
            First and last wavelength, Å; None is the whole range.
        n_lines : int
            Number of lines; those of the largest equivalent width are taken.
        names : sequence of str of length n_lines, or None
            Name of each line of the emulator's list, empty if unknown, as from
            :func:`skphx.species.identify_lines`.

        Returns
        -------
        LineTableDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If the point lies outside the grid, or the window outside the spectrum.
        """
        point = emulator.grid_.resolve_outside(np.reshape(parameters, (1, -1)))
        mask = in_window(emulator.wavelength_, window)
        wavelength = emulator.wavelength_[mask]
        lines = lines_at(emulator, point)[0]
        numbers = np.flatnonzero((lines[:, 0] >= wavelength[0]) & (lines[:, 0] <= wavelength[-1]))
        cloner = line_cloner(emulator)
        widths = 1e3 * line_widths(cloner, lines[numbers])
        strongest = np.argsort(-widths)[:n_lines]
        strongest = strongest[np.argsort(lines[numbers[strongest], 0])]
        chosen = numbers[strongest]
        table = np.empty(
            len(chosen),
            dtype=[
                ("line", np.int64), ("name", "U24"), ("center", float), ("depth", float),
                ("width", float), ("fwhm", float),
            ],
        )  # fmt: skip
        table["line"] = chosen
        table["name"] = "" if names is None else [names[int(number)] for number in chosen]
        table["center"] = lines[chosen, 0]
        table["depth"] = line_depths(cloner, lines[chosen])
        table["width"] = widths[strongest]
        table["fwhm"] = total_fwhm(*np.exp(lines[chosen, 2:]).T)
        return cls(
            wavelength,
            emulator.predict(point)[0, mask],
            table,
            title=format_star(emulator.grid_.parameter_names, point[0]),
        )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the spectrum with the lines marked, and the table below it.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.

        Returns
        -------
        LineTableDisplay
            Itself, with `table_`, `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        n_rows = len(self.table) + 1
        heights = 3.0, 0.24 * n_rows
        axes = panels(ax, 2, 1, figsize=(8.0, 1.0 + sum(heights)), height_ratios=heights)[:, 0]
        top, bottom = axes
        top.plot(self.wavelength, self.flux, color="black", linewidth=1.0)
        top.set(xlabel=WAVELENGTH, ylabel=FLUX, xlim=self.wavelength[[0, -1]])
        top.ticklabel_format(axis="x", useOffset=False)
        names = [row["name"] or str(row["line"]) for row in self.table]
        label_lines(top, self.table["center"], names)
        bottom.set_axis_off()
        # The column of names is left out if all are empty.
        columns = [c for c in _COLUMNS if c[0] != "name" or self.table["name"].any()]
        cells = [[form.format(row[name]) for name, _, form in columns] for row in self.table]
        if cells:
            self.table_ = bottom.table(
                cells, colLabels=[head for _, head, _ in columns], loc="center", cellLoc="right",
                edges="horizontal", bbox=[0.0, 0.0, 1.0, 1.0],
            )  # fmt: skip
            self.table_.auto_set_font_size(False)
            self.table_.set_fontsize(9)
            for cell in self.table_.get_celld().values():
                cell.set_edgecolor("0.8")
        if self.title:
            bottom.set_title(self.title, fontsize="small", loc="left")
        self.axes_, self.ax_, self.figure_ = axes, top, top.figure
        return self
