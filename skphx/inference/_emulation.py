"""What inference asks of an emulator: flux and its derivatives, whatever the emulator is."""

import warnings
from contextlib import contextmanager

import numpy as np

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
        Normalised flux.
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
