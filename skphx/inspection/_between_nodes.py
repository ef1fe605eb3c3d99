"""BetweenNodesDisplay: a spectrum at two nodes, and emulated between them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import check_wavelength
from skphx.flux._base import SpectralEmulator
from skphx.inspection._axes import FLUX, WAVELENGTH, format_star, single_axes
from skphx.inspection._lines import column_of, in_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class BetweenNodesDisplay:
    """Emulated spectrum at a point, and the spectra of the nodes on either side.

    Parameters
    ----------
    wavelength : array-like of shape (n_pixels,)
        Pixel centres in Å.
    flux : array-like of shape (3, n_pixels)
        Normalised flux at the lower node, at the point, and at the upper node.
    parameters : array-like of shape (3, n_parameters)
        Their stellar parameters.
    parameter_names : sequence of str
        Names of the columns.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Set by `plot`.

    References
    ----------
    Shankar, Gully-Santiago & Morley, figure 7.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inspection import BetweenNodesDisplay
    >>> wavelength = np.linspace(5000.0, 5002.0, 201)
    >>> profile = np.exp(-((wavelength - 5001.0) ** 2) / 0.02)
    >>> flux = 1 - np.array([[0.6], [0.55], [0.5]]) * profile
    >>> display = BetweenNodesDisplay(wavelength, flux, [[5700], [5772], [5800]], ("teff",))
    >>> len(display.plot().ax_.lines)
    3
    """

    def __init__(
        self,
        wavelength: ArrayLike,
        flux: ArrayLike,
        parameters: ArrayLike,
        parameter_names: Sequence[str],
    ) -> None:
        self.wavelength = check_wavelength(wavelength)
        self.flux = np.asarray(flux, dtype=np.float64)
        self.parameters = np.asarray(parameters, dtype=np.float64)
        self.parameter_names = tuple(parameter_names)
        if self.flux.shape != (3, len(self.wavelength)) or len(self.parameters) != 3:
            raise ValueError(
                f"flux and parameters must hold three rows (node, point, node), and flux "
                f"{len(self.wavelength)} pixels, got shapes {self.flux.shape} and "
                f"{self.parameters.shape}."
            )

    @classmethod
    def from_estimator(
        cls,
        emulator: SpectralEmulator,
        parameters: ArrayLike,
        *,
        along: str = "teff",
        window: tuple[float, float] | None = None,
    ) -> Self:
        """Evaluate a fitted emulator at a point and at the nodes on either side of it.

        Parameters
        ----------
        emulator : FluxEmulator or LineManifoldRegressor
            Fitted emulator.
        parameters : array-like of shape (n_parameters,)
            The point, such as the Sun: ``(5772, 4.44, 0.0)``.
        along : str
            Parameter in which the two nodes differ. In the other parameters they have the value
            of the grid nearest to the point.
        window : tuple of two floats, or None
            First and last wavelength to draw, Å; None is the whole range.

        Returns
        -------
        BetweenNodesDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If the point lies outside the grid, or the parameter is unknown.
        """
        grid = emulator.grid_
        point = np.asarray(parameters, dtype=np.float64).reshape(1, -1)
        column = column_of(emulator, along)
        point = grid.resolve_outside(point)[0]
        node = np.array(
            [
                axis[np.argmin(abs(axis - value))]
                for axis, value in zip(grid.axes, point, strict=True)
            ]
        )
        axis = grid.axes[column]
        upper = np.clip(np.searchsorted(axis, point[column], side="right"), 1, len(axis) - 1)
        rows = np.array([node, point, node])
        rows[0, column], rows[2, column] = axis[max(upper - 1, 0)], axis[upper]
        mask = in_window(emulator.wavelength_, window)
        flux = emulator.predict(rows)[:, mask]
        return cls(emulator.wavelength_[mask], flux, rows, grid.parameter_names)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the three spectra.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes to draw on; None makes a figure.

        Returns
        -------
        BetweenNodesDisplay
            Itself, with `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = single_axes(ax, figsize=(6.4, 4.2))
        styles: tuple[dict[str, Any], ...] = (
            {"color": "C0", "linestyle": "--", "linewidth": 1.2},
            {"color": "black", "linewidth": 1.6},
            {"color": "C1", "linestyle": "--", "linewidth": 1.2},
        )
        kinds = ("node", "emulated", "node")
        for flux, star, style, kind in zip(self.flux, self.parameters, styles, kinds, strict=True):
            label = f"{kind}: {format_star(self.parameter_names, star)}"
            ax.plot(self.wavelength, flux, label=label, **style)
        ax.set(xlabel=WAVELENGTH, ylabel=FLUX, xlim=self.wavelength[[0, -1]])
        ax.ticklabel_format(useOffset=False)
        ax.legend(fontsize="small", loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)
        self.ax_, self.figure_ = ax, ax.figure
        return self
