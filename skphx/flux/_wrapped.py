"""WrappedEmulator: base of emulators that change or extend the flux of another one."""

import copy
from typing import Any, Self

from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from skphx.flux._base import SpectralEmulator

# Fitted attributes of the inner emulator that its wrapper has, too.
_TAKEN = (
    "grid_",
    "error_",
    "node_continua_",
    "wavelength_",
    "resolution_",
    "n_features_in_",
    "n_pixels_fit_",
    "selected_pixels_",
    "interpolation_",
    "model_error_",
)


class WrappedEmulator(SpectralEmulator):
    """Base of emulators that change the flux of another one, `emulator_`.

    A subclass has the parameter `emulator`, and calls `_take` with a fitted emulator.
    """

    emulator: Any
    emulator_: Any

    def _take(self, emulator):
        """Use a fitted emulator, and have its nodes, pixels and errors."""
        check_is_fitted(emulator)
        self.emulator_ = emulator
        for name in _TAKEN:
            if hasattr(emulator, name):
                setattr(self, name, getattr(emulator, name))
        if hasattr(emulator, "feature_names_in_"):
            self.feature_names_in_ = emulator.feature_names_in_

    # Settings of the emulator that its base class and inference read.
    @property
    def medium(self) -> str | None:
        """Medium of the wavelengths, that of the emulator."""
        return self.emulator.medium

    @property
    def parameter_names(self) -> Any:
        """Names of the parameters, those of the emulator."""
        return self.emulator.parameter_names

    @property
    def extrapolate(self) -> str:
        """What `predict` does outside the nodes, as set in the emulator."""
        return self.emulator.extrapolate

    @property
    def interpolation(self) -> str:
        """Kind of interpolation, as set in the emulator."""
        return self.emulator.interpolation

    def select(self, *, wavelength: ArrayLike) -> Self:
        """Cut the emulator to part of the wavelengths, or move it to other pixels.

        Parameters
        ----------
        wavelength : tuple (start, stop) or array-like of shape (n_new,)
            Range to keep, Å; or new pixel centres within the old range, Å.

        Returns
        -------
        WrappedEmulator
            A fitted emulator of the same kind; this one is not changed.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If no pixel is within the range, or a new pixel is outside the old range.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        new._take(self.emulator_.select(wavelength=wavelength))
        new._select_own()
        return new

    def _select_own(self):
        """Bring what this emulator adds to the new wavelengths."""

    def _flux(self, points):
        return self.emulator_._flux(points)

    def _flux_jacobian(self, points):
        return self.emulator_._flux_jacobian(points)

    def _fitted_normalizer(self):
        return self.emulator_._fitted_normalizer()
