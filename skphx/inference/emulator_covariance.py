"""What an emulator's own interpolation error does to pixels and to parameters."""

import numpy as np

from skphx.inference.observed import to_natural


def error_of_pixels(error, path, effects):
    """Rms error of each observed pixel, averaged over the grid.

    Parameters
    ----------
    error : InterpolationError or None
        On the emulator's wavelengths.
    path : LightPath or ModelPixels
        The way to the pixels.
    effects : ndarray of shape (1, 4)
        Typical effects.

    Returns
    -------
    ndarray of shape (n_pixels,)
        In parts of the continuum; 0 where the emulator states no error.
    """
    if error is None:
        return np.zeros(path.n_pixels)
    seen, _ = path.observe_with_derivatives(
        error.spectra, None, np.repeat(effects, len(error.spectra), axis=0), ()
    )
    return np.sqrt((error.mean_factors[:, None] * seen**2).sum(axis=0))


def emulator_covariance(problem, error, points, rows, inverse, jacobian, continuum):
    """Covariance that the emulator's own error brings to the parameters.

    An error e of the emulated spectrum moves the solution by (JᵀWJ)⁻¹ JᵀW e.

    Parameters
    ----------
    problem : ObservedSpectra
        The fitted spectra.
    error : InterpolationError or None
        On the emulator's wavelengths.
    points : ndarray of shape (n, n_parameters)
        Solutions.
    rows : ndarray of shape (n,), int
        Their spectra.
    inverse : ndarray of shape (n, n_columns, n_columns)
        Inverse curvature by the problem's columns.
    jacobian : ndarray of shape (n, n_columns, n_pixels)
        Derivatives, projected off the continuum.
    continuum : ndarray of shape (n, n_pixels)
        The polynomial in the models.

    Returns
    -------
    ndarray of shape (n, n_columns, n_columns)
        0 where the emulator states no error.
    """
    if error is None:
        return np.zeros_like(inverse)
    vectors = jacobian * (problem.weights[rows] * continuum)[:, None]
    effects = to_natural(points, problem.n_stellar)[:, problem.n_stellar :]
    pulls = inverse @ problem.path.adjoint(vectors, effects)
    moved = (pulls @ error.spectra.T) * error.factors(points[:, : problem.n_stellar])[:, None]
    return moved @ np.swapaxes(moved, 1, 2)
