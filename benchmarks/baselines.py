"""What a user would write instead of an emulator: interpolate the pixels themselves."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone

from skphx.flux._continua import NodeContinua
from skphx.flux._error import InterpolationError
from skphx.interpolation import make_grid


class PixelRegressor(RegressorMixin, BaseEstimator):
    """Interpolate normalised pixels over the nodes; the same interface as the emulator.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    interpolation : {"nearest", "linear", "cubic"}
        How pixels run between nodes.
    normaliser : transformer or None
        Steps that normalise raw spectra, as in the emulator's cloner.
    """

    def __init__(self, wavelength, interpolation, normaliser=None):
        self.wavelength = wavelength
        self.interpolation = interpolation
        self.normaliser = normaliser

    def fit(self, X, y):
        order = "linear" if self.interpolation == "nearest" else self.interpolation
        self.grid_ = make_grid(X, parameter_names=("teff", "logg", "feh"), interpolation=order)
        self.wavelength_ = np.asarray(self.wavelength)
        if self.normaliser is not None:
            self.normaliser_ = clone(self.normaliser).fit(y, teff=X[:, 0])
        self.spectra_ = self.normalize(y, X)
        self.node_continua_ = None
        if self.normaliser is not None:
            self.node_continua_ = NodeContinua(self.wavelength_, y, self.spectra_, X[:, 0])
        self.error_ = None
        if self.interpolation == "cubic":
            self.error_ = InterpolationError.estimate(self.grid_, self.spectra_)
        return self

    def predict(self, X, *, absolute=False):
        X = np.asarray(X)
        if self.interpolation == "nearest":
            flux = self.spectra_[self.grid_.nearest_node(X)]
        else:
            flux = self.grid_.weights(X) @ self.spectra_
        if absolute and self.node_continua_ is not None:
            flux = flux * self.node_continua_.at(self.grid_.weights(X), X[:, 0])
        return flux

    def jacobian(self, X, *, absolute=False):
        """∂flux/∂parameter, shape (n_spectra, n_pixels, n_parameters)."""
        X = np.asarray(X)
        changes = self.grid_.weights_jacobian(X)
        slopes = np.array([change @ self.spectra_ for change in changes])
        if absolute and self.node_continua_ is not None:
            log_slopes = self.node_continua_.log_slopes(changes, X[:, 0], 0)
            continuum = self.node_continua_.at(self.grid_.weights(X), X[:, 0])
            slopes = (slopes + self.predict(X) * log_slopes) * continuum
        return np.moveaxis(slopes, 0, -1)

    def normalize(self, spectra, parameters):
        if self.normaliser is None:
            return np.asarray(spectra)
        return self.normaliser_.transform(spectra, teff=parameters[:, 0])
