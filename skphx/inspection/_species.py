"""SpeciesDisplay: the transmission of each species in a spectrum."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import check_wavelength
from skphx.inspection._axes import FLUX, WAVELENGTH, format_star, panels
from skphx.inspection._lines import in_window

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Height of a panel of the spectrum and of one of a species, inches.
_HEIGHTS = 2.2, 0.8
_MARGIN = 0.05


class SpeciesDisplay:
    """Flux, and below it the transmission of each species; their product is the flux.

    Parameters
    ----------
    wavelength : array-like of shape (n_pixels,)
        Pixel centres in Å.
    flux : array-like of shape (n_pixels,)
        Normalised flux.
    transmission : mapping of str to array-like of shape (n_pixels,)
        Transmission of each species, in the order in which they are drawn.
    title : str or None
        Stellar parameters.

    Attributes
    ----------
    axes_ : ndarray of matplotlib Axes of shape (1 + n_species,)
        Panels of the flux and of the species, set by `plot`.
    ax_, figure_ : matplotlib Axes and Figure
        The first panel, and its figure.

    See Also
    --------
    skphx.species.NamedEmulator : computes the transmissions.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inspection import SpeciesDisplay
    >>> wavelength = np.linspace(5000.0, 5002.0, 201)
    >>> iron = 1 - 0.5 * np.exp(-((wavelength - 5000.5) ** 2) / 0.02)
    >>> titanium = 1 - 0.2 * np.exp(-((wavelength - 5001.0) ** 2) / 0.02)
    >>> display = SpeciesDisplay(
    ...     wavelength, iron * titanium, {"Fe I": iron, "Ti I": titanium}
    ... )
    >>> display.plot().axes_.shape
    (3,)
    """

    def __init__(
        self,
        wavelength: ArrayLike,
        flux: ArrayLike,
        transmission: Mapping[str, ArrayLike],
        *,
        title: str | None = None,
    ) -> None:
        self.wavelength = check_wavelength(wavelength)
        self.flux = np.asarray(flux, dtype=np.float64)
        self.transmission = {
            species: np.asarray(values, dtype=np.float64)
            for species, values in transmission.items()
        }
        self.title = title
        for name, values in {"flux": self.flux, **self.transmission}.items():
            if values.shape != self.wavelength.shape:
                raise ValueError(
                    f"{name} must have a value for each of the {len(self.wavelength)} pixels, got "
                    f"shape {values.shape}."
                )

    @classmethod
    def from_emulator(
        cls,
        emulator: Any,
        parameters: ArrayLike,
        *,
        window: tuple[float, float] | None = None,
        n_species: int = 6,
    ) -> Self:
        """Take the species that absorb most in a window, at a point.

        Parameters
        ----------
        emulator : NamedEmulator
            Fitted emulator of :func:`skphx.species.name_lines`.
        parameters : array-like of shape (n_parameters,)
            Stellar parameters.
        window : tuple of two floats, or None
            First and last wavelength, Å; None is the whole range.
        n_species : int
            Number of species; those of the largest equivalent width are taken. The product of
            all others is drawn as ``"others"``.

        Returns
        -------
        SpeciesDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If the point lies outside the grid, or the window outside the spectrum.
        """
        point = emulator.grid_.resolve_outside(np.reshape(parameters, (1, -1)))
        mask = in_window(emulator.wavelength_, window)
        wavelength = emulator.wavelength_[mask]
        found = {
            species: values[0, mask] for species, values in emulator.predict_species(point).items()
        }
        widths = {
            species: np.trapezoid(1.0 - values, wavelength) for species, values in found.items()
        }
        order = sorted((one for one in found if one != "others"), key=lambda one: -widths[one])
        shown, rest = order[:n_species], [*order[n_species:], "others"]
        transmission = {species: found[species] for species in shown}
        transmission["others"] = np.prod([found[species] for species in rest], axis=0)
        return cls(
            wavelength,
            emulator.predict(point)[0, mask],
            transmission,
            title=format_star(emulator.grid_.parameter_names, point[0]),
        )

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw the flux, and each species below it.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.

        Returns
        -------
        SpeciesDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        n_species = len(self.transmission)
        heights = [_HEIGHTS[0], *[_HEIGHTS[1]] * n_species]
        axes = panels(
            ax, len(heights), 1, figsize=(8.0, 0.6 + sum(heights)), sharex=True,
            height_ratios=heights,
        )[:, 0]  # fmt: skip
        top = axes[0]
        top.plot(self.wavelength, self.flux, color="black", linewidth=1.0)
        top.set(ylabel=FLUX, xlim=self.wavelength[[0, -1]])
        if self.title:
            top.set_title(self.title, fontsize="small", loc="left")
        for number, (panel, (species, values)) in enumerate(
            zip(axes[1:], self.transmission.items(), strict=True)
        ):
            panel.plot(self.wavelength, values, color=f"C{number % 10}", linewidth=1.0)
            low = min(values.min(), 1.0 - _MARGIN)
            panel.set_ylim(low - _MARGIN * (1.0 - low), 1.0 + 2.0 * _MARGIN * (1.0 - low))
            panel.set_ylabel(species, rotation=0, ha="right", va="center")
            panel.locator_params(axis="y", nbins=3)
        axes[-1].set_xlabel(WAVELENGTH)
        axes[-1].ticklabel_format(axis="x", useOffset=False)
        top.figure.align_ylabels(axes)
        self.axes_, self.ax_, self.figure_ = axes, top, top.figure
        return self
