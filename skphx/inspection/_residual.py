"""ResidualDisplay: a spectrum, its clone or emulation, and what is left."""

import numpy as np

from skphx._validation import check_wavelength
from skphx.inspection._axes import FLUX, WAVELENGTH, panels
from skphx.inspection._lines import in_window


class ResidualDisplay:
    """A spectrum with its clone or emulation above, their difference below.

    Parameters
    ----------
    wavelength : array-like of shape (n_pixels,)
        Pixel centres in Å.
    observed : array-like of shape (n_pixels,)
        Flux that was to be reproduced.
    predicted : array-like of shape (n_pixels,)
        Flux that reproduces it.
    centers : array-like of shape (n_lines,), or None
        Lines to tick, in Å.
    observed_label, predicted_label : str
        Names of the two for the legend.

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
        wavelength,
        observed,
        predicted,
        *,
        centers=None,
        observed_label="spectrum",
        predicted_label="clone",
    ):
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
    def rms(self):
        """Root mean square of the residual over the pixels that are not NaN."""
        return float(np.sqrt(np.nanmean((self.observed - self.predicted) ** 2)))

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, row=0, window=None):
        """Clone a spectrum, or emulate one.

        Parameters
        ----------
        estimator : VoigtCloner or LineManifoldRegressor
            Fitted.
        X : array-like of shape (n_spectra, n_pixels) or (n_spectra, n_parameters)
            Normalised spectra for a cloner; stellar parameters for an emulator.
        y : array-like of shape (n_spectra, n_pixels), or None
            With an emulator, the spectra of those parameters, as they are given to its fit.
        row : int
            Which of the spectra to draw.
        window : tuple of two floats, or None
            Ends of the wavelengths to draw, in Å; None draws all.

        Returns
        -------
        ResidualDisplay
            Not drawn yet.

        Raises
        ------
        ValueError
            If an emulator comes without spectra.
        """
        one = np.asarray(X)[[row]]
        if hasattr(estimator, "predict_lines"):
            if y is None:
                raise ValueError("y must hold the spectra of the parameters X; pass them.")
            observed = estimator.normalize(np.asarray(y)[[row]], one)[0]
            predicted, label = estimator.predict(one)[0], "emulated"
            lines = estimator.predict_lines(one)
        else:
            lines = estimator.transform(one)
            observed, predicted = one[0], estimator.inverse_transform(lines)[0]
            label = "clone"
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
    def from_result(cls, result, wavelength, *, chunk=0):
        """Take the fit of one observed star.

        Parameters
        ----------
        result : InferenceResult
            As of :meth:`skphx.StellarParameterEstimator.infer`.
        wavelength : array-like of shape (n_chunk_pixels,)
            Pixels of the chunk, Å.
        chunk : int
            Which chunk of the star: order, arm or exposure.

        Returns
        -------
        ResidualDisplay
            Not drawn yet; pixels that were not used are gaps.
        """
        model = np.asarray(result.model[chunk])
        return cls(wavelength, model + result.residual[chunk], model, predicted_label="model")

    @classmethod
    def from_predictions(cls, wavelength, observed, predicted, **options):
        """Take both spectra as they are.

        Parameters
        ----------
        wavelength, observed, predicted
            As of the constructor.
        **options
            Its other parameters.

        Returns
        -------
        ResidualDisplay
            Not drawn yet.
        """
        return cls(wavelength, observed, predicted, **options)

    def plot(self, ax=None):
        """Draw flux above and the residual below.

        Parameters
        ----------
        ax : matplotlib Axes or None
            Where; its place is divided into panels. None makes a figure.

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
            # Ticks above the continuum, in parts of the panel's height.
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
