"""ResidualDisplay: a spectrum, its line fit or emulated spectrum, and the residual."""

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import check_wavelength
from skphx.inference import InferenceResult
from skphx.inference._result import one_result
from skphx.inspection._axes import FLUX, WAVELENGTH, panels
from skphx.inspection._lines import in_window
from skphx.lines._base_cloner import BaseCloner
from skphx.lines._base_emulator import LineEmulator

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class ResidualDisplay:
    """A spectrum with its line fit or emulated spectrum, and the residual below.

    Parameters
    ----------
    wavelength : array-like of shape (n_pixels,)
        Pixel centres in Å.
    observed : array-like of shape (n_pixels,)
        Observed or model flux.
    predicted : array-like of shape (n_pixels,)
        Flux of the line fit, or emulated flux.
    centers : array-like of shape (n_lines,), or None
        Centres of lines to mark, Å.
    observed_label, predicted_label : str
        Labels of the two in the legend.

    Attributes
    ----------
    axes_ : ndarray of two matplotlib Axes
        Flux and residual, set by `plot`.
    ax_, figure_ : matplotlib Axes and Figure
        The upper panel, and its figure.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import VoigtCloner
    >>> from skphx.inspection import ResidualDisplay
    >>> wavelength = np.linspace(5000.0, 5004.0, 401)
    >>> spectra = 1 - 0.6 * np.exp(-0.5 * ((wavelength[None] - 5002.0) / 0.05) ** 2)
    >>> display = ResidualDisplay.from_estimator(VoigtCloner(wavelength).fit(spectra), spectra)
    >>> display.rms < 0.01
    True
    """

    def __init__(
        self,
        wavelength: ArrayLike,
        observed: ArrayLike,
        predicted: ArrayLike,
        *,
        centers: ArrayLike | None = None,
        observed_label: str = "spectrum",
        predicted_label: str = "line fit",
    ) -> None:
        self.wavelength = check_wavelength(wavelength)
        self.observed = np.asarray(observed, dtype=np.float64)
        self.predicted = np.asarray(predicted, dtype=np.float64)
        self.centers = None if centers is None else np.asarray(centers, dtype=np.float64)
        self.observed_label = observed_label
        self.predicted_label = predicted_label
        for name in ("observed", "predicted"):
            if getattr(self, name).shape != self.wavelength.shape:
                raise ValueError(
                    f"{name} must be one spectrum on the {len(self.wavelength)} pixels of "
                    f"wavelength, got shape {getattr(self, name).shape}."
                )

    @property
    def rms(self) -> float:
        """Root mean square of the residual over the pixels that are not NaN."""
        return float(np.sqrt(np.nanmean((self.observed - self.predicted) ** 2)))

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseCloner | LineEmulator,
        X: ArrayLike,
        y: ArrayLike | None = None,
        *,
        row: int = 0,
        window: tuple[float, float] | None = None,
    ) -> Self:
        """Fit the lines of a spectrum, or emulate a spectrum.

        Parameters
        ----------
        estimator : VoigtCloner or LineManifoldRegressor
            Fitted estimator.
        X : array-like of shape (n_spectra, n_pixels) or (n_spectra, n_parameters)
            Normalised spectra for a cloner; stellar parameters for an emulator.
        y : array-like of shape (n_spectra, n_pixels), or None
            For an emulator, the spectra of these parameters, in the form that its `fit` takes.
        row : int
            Number of the spectrum to draw.
        window : tuple of two floats, or None
            First and last wavelength to draw, Å; None is the whole range.

        Returns
        -------
        ResidualDisplay
            A display, not drawn.

        Raises
        ------
        ValueError
            If `y` is missing for an emulator.
        """
        one = np.asarray(X)[[row]]
        if hasattr(estimator, "predict_lines"):
            if y is None:
                raise ValueError("y must hold the spectra of the parameters X; pass y.")
            observed = estimator.normalize(np.asarray(y)[[row]], one)[0]
            predicted, label = estimator.predict(one)[0], "emulated"
            lines = estimator.predict_lines(one)
        else:
            lines = estimator.transform(one)
            observed, predicted = one[0], estimator.inverse_transform(lines)[0]
            label = "line fit"
        centers = np.asarray(lines).reshape(-1, 4)[:, 0]
        mask = in_window(estimator.wavelength_, window)
        return cls(
            estimator.wavelength_[mask],
            observed[mask],
            predicted[mask],
            centers=centers[np.isfinite(centers)],
            predicted_label=label,
        )

    @classmethod
    def from_result(
        cls, result: InferenceResult, wavelength: ArrayLike, *, segment: int = 0
    ) -> Self:
        """Take the fitted model of one observed star.

        Parameters
        ----------
        result : InferenceResult
            Of one star, as from :meth:`skphx.StellarParameterEstimator.infer`.
        wavelength : array-like of shape (n_segment_pixels,)
            Pixels of the segment, Å.
        segment : int
            Number of the segment: order, arm or exposure.

        Returns
        -------
        ResidualDisplay
            A display, not drawn; pixels that were not used are gaps.

        Raises
        ------
        ValueError
            If `result` is of several stars.
        """
        result = one_result(result)
        model = np.asarray(result.model[segment])
        return cls(wavelength, model + result.residual[segment], model, predicted_label="model")

    @classmethod
    def from_predictions(
        cls, wavelength: ArrayLike, observed: ArrayLike, predicted: ArrayLike, **options: Any
    ) -> Self:
        """Take two given spectra.

        Parameters
        ----------
        wavelength, observed, predicted
            As in the constructor.
        **options
            Other parameters of the constructor.

        Returns
        -------
        ResidualDisplay
            A display, not drawn.
        """
        return cls(wavelength, observed, predicted, **options)

    def plot(self, ax: "Axes | None" = None) -> Self:
        """Draw flux above and the residual below.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Axes whose place is divided into panels; None makes a figure.

        Returns
        -------
        ResidualDisplay
            Itself, with `axes_`, `ax_` and `figure_`.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the place of `ax` cannot be divided.
        """
        axes = panels(ax, 2, 1, figsize=(8.0, 4.4), sharex=True, height_ratios=(3, 1))[:, 0]
        top, bottom = axes
        top.plot(
            self.wavelength, self.observed, color="black", linewidth=1.8, label=self.observed_label
        )
        top.plot(
            self.wavelength, self.predicted, color="C1", linewidth=0.9, label=self.predicted_label
        )
        if self.centers is not None:
            low, high = self.wavelength[[0, -1]]
            inside = self.centers[(self.centers >= low) & (self.centers <= high)]
            # Marks above the continuum, in units of the panel's height.
            top.vlines(
                inside, 0.96, 0.99, transform=top.get_xaxis_transform(), color="0.5", linewidth=0.6
            )
            bottom_flux = min(np.nanmin(self.observed), np.nanmin(self.predicted))
            top_flux = max(np.nanmax(self.observed), np.nanmax(self.predicted))
            margin = 0.08 * (top_flux - bottom_flux)
            top.set_ylim(bottom_flux - margin, top_flux + 1.5 * margin)
        bottom.axhline(0.0, color="0.7", linewidth=0.8)
        bottom.plot(self.wavelength, self.observed - self.predicted, color="C1", linewidth=0.8)
        bottom.set(xlabel=WAVELENGTH, xlim=self.wavelength[[0, -1]])
        bottom.set_ylabel("residual")
        bottom.ticklabel_format(axis="x", useOffset=False)
        bottom.text(
            0.995, 0.94, f"rms {self.rms:.2g}", transform=bottom.transAxes,
            ha="right", va="top", fontsize="small",
        )  # fmt: skip
        top.set_ylabel(FLUX)
        top.legend(
            loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, fontsize="small", frameon=False
        )
        top.figure.align_ylabels(axes)
        self.axes_, self.ax_, self.figure_ = axes, top, top.figure
        return self
