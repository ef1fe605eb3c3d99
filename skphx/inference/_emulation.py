"""Flux and its derivatives from any fitted emulator, for inference."""

import warnings
from contextlib import contextmanager

import numpy as np

# Step of finite differences, as a part of each parameter's range: small compared with the spacing
# of nodes, large compared with the rounding errors of the emulator.
_STEP = 1e-3


def emulate(emulator, points):
    """Return the flux at points; points beyond the edge of the grid are moved onto the edge.

    Parameters
    ----------
    emulator : estimator
        Has ``predict(points)`` and ``grid_``.
    points : ndarray of shape (n_points, n_parameters)
        Stellar parameters.

    Returns
    -------
    ndarray of shape (n_points, n_pixels)
        Flux, as the emulator predicts it.
    """
    with _ignore_missing_feature_names():
        return emulator.predict(emulator.grid_.resolve_outside(points, "clip"))


@contextmanager
def _ignore_missing_feature_names():
    """Ignore the warning about arrays for an emulator that was fitted on a DataFrame."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        yield


def emulate_with_jacobian(emulator, points):
    """Return flux and its derivatives at points.

    Parameters
    ----------
    emulator : estimator
        As for `emulate`. Derivatives are its ``jacobian(points)`` if it has this method, and
        finite differences otherwise.
    points : ndarray of shape (n_points, n_parameters)
        Stellar parameters.

    Returns
    -------
    flux : ndarray of shape (n_points, n_pixels)
        Normalised flux.
    jacobian : ndarray of shape (n_points, n_pixels, n_parameters)
        ∂flux/∂parameter, per unit of the parameter.
    """
    points = emulator.grid_.resolve_outside(points, "clip")
    flux = emulate(emulator, points)
    if hasattr(emulator, "jacobian"):
        with _ignore_missing_feature_names():
            return flux, np.asarray(emulator.jacobian(points))
    return flux, _differences(emulator, points, flux)


def _differences(emulator, points, flux):
    """Differentiate flux by finite differences, which stay within the bounds of the grid."""
    jacobian = np.zeros((*flux.shape, points.shape[1]))
    for column, (low, high) in enumerate(emulator.grid_.bounds):
        if high > low:
            step = np.where(points[:, column] > 0.5 * (low + high), -_STEP, _STEP) * (high - low)
            moved = points.copy()
            moved[:, column] += step
            jacobian[:, :, column] = (emulate(emulator, moved) - flux) / step[:, None]
    return jacobian


class RawFlux:
    """An emulator whose flux has the unit of the spectra given to its fit.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator with ``node_continua_``.
    """

    def __init__(self, emulator):
        self._emulator = emulator
        self.grid_, self.wavelength_ = emulator.grid_, emulator.wavelength_

    @staticmethod
    def of(emulator):
        """Return `RawFlux` of an emulator with normalisers, and other emulators unchanged."""
        has_continua = getattr(emulator, "node_continua_", None) is not None
        return RawFlux(emulator) if has_continua else emulator

    def predict(self, X):
        """Return raw flux at points, shape (n_points, n_pixels)."""
        return self._emulator.predict(X, absolute=True)

    def jacobian(self, X):
        """Return its derivatives, shape (n_points, n_pixels, n_parameters)."""
        return self._emulator.jacobian(X, absolute=True)
