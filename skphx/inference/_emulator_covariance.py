"""Errors of pixels and of parameters due to the interpolation error of the emulator."""

import numpy as np


def error_of_pixels(error, forward, kinematics):
    """Return the rms error of each observed pixel, averaged over the grid.

    Parameters
    ----------
    error : InterpolationError or None
        Interpolation-error model on the emulator's wavelengths.
    forward : ForwardModel or ModelPixels
        Forward model to the pixels.
    kinematics : ndarray of shape (1, 4)
        Typical kinematic and instrumental parameters.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Errors in units of the continuum; 0 if `error` is None.
    """
    if error is None:
        return np.zeros(forward.n_pixels)
    observed, _ = forward.observe_with_derivatives(
        error.spectra, None, np.repeat(kinematics, len(error.spectra), axis=0), ()
    )
    return np.sqrt((error.mean_factors[:, None] * observed**2).sum(axis=0))


def emulator_covariance(likelihood, error, points, rows, inverse, jacobian, continuum):
    """Return the covariance of the parameters due to the error of the emulator.

    An error e of the emulated spectrum changes the solution by (JᵀWJ)⁻¹ JᵀW e, where W is the
    inverse covariance of the pixels.

    Parameters
    ----------
    likelihood : Likelihood
        The fitted spectra.
    error : InterpolationError or None
        Interpolation-error model on the emulator's wavelengths.
    points : ndarray of shape (n, n_parameters)
        Solutions, with squares.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    inverse : ndarray of shape (n, n_columns, n_columns)
        Inverse curvature of chi².
    jacobian : ndarray of shape (n, n_columns, n_pixels)
        Derivatives, marginalised over the continuum.
    continuum : ndarray of shape (n, n_pixels)
        The polynomial in the models.

    Returns
    -------
    ndarray of shape (n, n_columns, n_columns)
        Covariance; 0 if `error` is None.
    """
    if error is None:
        return np.zeros_like(inverse)
    vectors = likelihood.weighted(jacobian, rows) * continuum[:, None]
    response = inverse @ likelihood.forward.adjoint(vectors, likelihood.kinematics(points))
    factors = error.factors(points[:, : likelihood.n_stellar])
    changes = (response @ error.spectra.T) * factors[:, None]
    return changes @ np.swapaxes(changes, 1, 2)
