"""What inference asks of an emulator: flux and its derivatives, whatever the emulator is."""

import warnings
from contextlib import contextmanager

import numpy as np

from skphx.flux.emulator import FluxEmulator

# Grids of more numbers than this, a gigabyte, are searched with the emulator itself.
_MOST_NUMBERS = 125_000_000
# Nodes emulated at once.
_BLOCK = 64
# Rms of flux that a surrogate may miss at the nodes: a search for where to begin needs no more.
_TOLERANCE = 1e-4
# Step of the finite differences, in parts of the grid: small against the spacing of nodes,
# large against the rounding of the emulator.
_STEP = 1e-3


def emulate(emulator, points):
    """Flux at points, those beyond the grid's edge being moved onto it.

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
    with _nameless():
        return emulator.predict(emulator.grid_.resolve_outside(points, "clip"))


@contextmanager
def _nameless():
    """Let arrays without names reach an emulator that was fitted on a table with names."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="X does not have valid feature names")
        yield


def emulate_with_jacobian(emulator, points):
    """Flux and its derivatives at points.

    Parameters
    ----------
    emulator : estimator
        As for `emulate`; where it has ``jacobian(points)``, that is used, else differences of
        one thousandth of the grid.
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
        with _nameless():
            return flux, np.asarray(emulator.jacobian(points))
    return flux, differences(lambda at: emulate(emulator, at), points, emulator.grid_.bounds, flux)


def differences(function, points, bounds, values):
    """Differentiate by finite differences that turn inwards in the upper half of the bounds.

    Parameters
    ----------
    function : callable
        Maps points to arrays of shape (n_points, n_values).
    points : ndarray of shape (n_points, n_parameters)
        Where to differentiate.
    bounds : ndarray of shape (n_parameters, 2)
        No point beyond is asked for; a parameter without room has derivative 0.
    values : ndarray of shape (n_points, n_values)
        ``function(points)``.

    Returns
    -------
    ndarray of shape (n_points, n_values, n_parameters)
        The derivatives.
    """
    jacobian = np.zeros((*values.shape, points.shape[1]))
    for column, (low, high) in enumerate(bounds):
        if high > low:
            step = np.where(points[:, column] > 0.5 * (low + high), -_STEP, _STEP) * (high - low)
            moved = points.copy()
            moved[:, column] += step
            jacobian[:, :, column] = (function(moved) - values) / step[:, None]
    return jacobian


class RawFlux:
    """An emulator of spectra as they were given to its fit, before they were normalised.

    Parameters
    ----------
    emulator : estimator
        Fitted, with ``node_continua_``.
    """

    def __init__(self, emulator):
        self._emulator = emulator
        self.grid_, self.wavelength_ = emulator.grid_, emulator.wavelength_

    @staticmethod
    def of(emulator):
        """Return the raw flux of an emulator with normalisers; any other one as it is."""
        has_continua = getattr(emulator, "node_continua_", None) is not None
        return RawFlux(emulator) if has_continua else emulator

    def predict(self, X):
        """Raw flux at points, shape (n_points, n_pixels)."""
        return self._emulator.predict(X, absolute=True)

    def jacobian(self, X):
        """Return its derivatives, shape (n_points, n_pixels, n_parameters)."""
        return self._emulator.jacobian(X, absolute=True)


def make_surrogate(emulator):
    """Make a low-rank surrogate of an emulator, which searches follow until their last steps.

    It is as good as the emulator where that is a FluxEmulator or has one; of any other it is
    exact at the nodes, and between them off by what the emulator gains over interpolated pixels.

    Parameters
    ----------
    emulator : estimator
        Fitted.

    Returns
    -------
    FluxEmulator or None
        None where the spectra of its nodes would take more than a gigabyte.
    """
    inner = getattr(emulator, "estimator", emulator)  # of a FrozenEstimator
    nodes = emulator.grid_.nodes
    if len(nodes) * len(emulator.wavelength_) > _MOST_NUMBERS:
        return None
    flux_emulator = getattr(inner, "flux_", inner)
    if isinstance(flux_emulator, FluxEmulator):
        surrogate = flux_emulator.coarser(_TOLERANCE)
    else:
        starts = range(0, len(nodes), _BLOCK)
        flux = [emulate(emulator, nodes[start : start + _BLOCK]) for start in starts]
        surrogate = FluxEmulator.of_nodes(
            emulator.grid_,
            np.concatenate(flux),
            np.asarray(emulator.wavelength_),
            tolerance=_TOLERANCE,
            medium=getattr(emulator, "medium", None),
            resolution=getattr(emulator, "resolution_", None),
        )
    surrogate.node_continua_ = getattr(emulator, "node_continua_", None)
    return surrogate
