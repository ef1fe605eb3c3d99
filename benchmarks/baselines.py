"""What a user would write instead of an emulator: interpolate the pixels themselves."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.pipeline import Pipeline

from skphx.grids import make_grid


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
        return self

    def predict(self, X):
        if self.interpolation == "nearest":
            return self.spectra_[self.grid_.nearest_node(X)]
        return self.grid_.weights(np.asarray(X)) @ self.spectra_

    def jacobian(self, X):
        """∂flux/∂parameter, shape (n_spectra, n_pixels, n_parameters)."""
        weights = self.grid_.weights_jacobian(np.asarray(X))
        return np.stack([weight @ self.spectra_ for weight in weights], axis=2)

    def normalize(self, spectra, parameters):
        if self.normaliser is None:
            return np.asarray(spectra)
        return self.normaliser_.transform(spectra, teff=parameters[:, 0])


def normalisers_of(cloner):
    """All steps of a cloner but the last, unfitted; None where it is one step."""
    return Pipeline(cloner.steps[:-1]) if isinstance(cloner, Pipeline) else None
