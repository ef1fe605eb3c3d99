"""Likelihood of spectra whose model has errors that pixels share."""

import copy

import numpy as np
from scipy.linalg import block_diag, cho_solve, cholesky

from skphx._domain import SPEED_OF_LIGHT
from skphx.inference._emulation import emulate_with_jacobian
from skphx.inference._likelihood import Likelihood, ridge
from skphx.inference._misfit import white_noise
from skphx.inference._pixel_covariance import PixelCovariance

# Where errors are unknown, the noise is at least this part of the flux.
_LEAST_NOISE = 1e-3
# Error spectra are observed in chunks of at most so many curves, and of so many numbers.
_MOST_CURVES, _MOST_NUMBERS = 256, 8_000_000


class CorrelatedLikelihood(Likelihood):
    """Likelihood of spectra with a covariance of their pixels.

    The continua of all segments of a spectrum are solved for together, because segments share
    errors of the model.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with the weights of their noise.
    covariances : dict of int to PixelCovariance
        Covariance of the pixels of each spectrum that is used, by its number.
    """

    def __init__(self, likelihood, covariances):
        # Flux and weights are shared with `likelihood`, not copied.
        vars(self).update(vars(likelihood))
        self.covariances = covariances

    @classmethod
    def at(cls, likelihood, model_error, rows, points):
        """Return the likelihood with the errors of the model at some points.

        Parameters
        ----------
        likelihood : Likelihood
            The spectra, with the weights of their noise.
        model_error : object
            The errors of the model. ``error_spectra(emulator, point)`` returns errors of single
            lines and common errors, one-sigma spectra of the normalised flux; `kernels` are
            pairs of amplitude and length (km/s) of stationary errors.
        rows : ndarray of shape (n,), int
            Spectra to use.
        points : ndarray of shape (n, n_parameters + 4)
            Their points, with squares.

        Returns
        -------
        CorrelatedLikelihood
            The covariance of each spectrum is held fixed.
        """
        covariances = {}
        spectra = likelihood.spectrum(points)
        _, continua, _ = likelihood.with_continuum(spectra, rows)
        for row, point, continuum in zip(rows, points, continua, strict=True):
            covariances[row] = _covariance_at(likelihood, model_error, row, point, continuum)
        return cls(likelihood, covariances)

    def chi2(self, residual, rows):
        """Return chi² of residuals, shape (n,)."""
        return (self.whitened(residual, rows) ** 2).sum(axis=1)

    def whitened(self, values, rows):
        """Return whitened vectors: for residuals, independent numbers of variance 1."""
        pairs = zip(values, rows, strict=True)
        return np.array([self.covariances[row].whitened(one) for one, row in pairs])

    def weighted(self, values, rows):
        """Return vectors multiplied by the inverse covariance of the pixels."""
        pairs = zip(values, rows, strict=True)
        return np.array([self.covariances[row].weighted(one) for one, row in pairs])

    def log_normalisation(self, row):
        """Return the logarithm of the determinant of 2π times the covariance of the pixels."""
        covariance = self.covariances[row]
        return covariance.n_good * np.log(2.0 * np.pi) + covariance.log_determinant

    def with_continuum(self, spectrum, rows):
        """Return models with their best continuum, as :class:`Likelihood` does.

        Each matrix of `grams` is that of one segment after the coefficients of all segments
        behind it are solved for, so that the product of their determinants is that of all
        coefficients together.
        """
        if self.degree is None:
            return super().with_continuum(spectrum, rows)
        n_terms = self.degree + 1
        continuum, systems = self._solved(spectrum, rows)
        lowers = np.array([lower for _, _, lower in systems])
        parts = [slice(k * n_terms, (k + 1) * n_terms) for k in range(len(self.bases))]
        corners = [lowers[:, part, part] for part in parts]
        grams = [corner @ np.swapaxes(corner, 1, 2) for corner in corners]
        return spectrum * continuum, continuum, grams

    def derivatives(self, points, rows):
        """Return models, residuals, and derivatives, as :class:`Likelihood` does."""
        flux, flux_jacobian = emulate_with_jacobian(self.emulator, points[:, : self.n_stellar])
        spectrum, jacobian = self.forward.observe_with_derivatives(
            flux, flux_jacobian, self.kinematics(points), self.free
        )
        if self.degree is None:
            return spectrum, spectrum - self.flux[rows], jacobian
        continuum, systems = self._solved(spectrum, rows)
        jacobian *= continuum[:, None]
        for place, (terms, white, lower) in enumerate(systems):
            mixed = white @ self.covariances[rows[place]].whitened(jacobian[place]).T
            jacobian[place] -= cho_solve((lower, True), mixed).T @ terms
        model = spectrum * continuum
        return model, model - self.flux[rows], jacobian

    def _solved(self, spectrum, rows):
        """Return the best continua, (n, n_pixels), and `_continuum_terms` of each spectrum."""
        continuum, systems = np.empty_like(spectrum), []
        for place, row in enumerate(rows):
            system = self._continuum_terms(spectrum[place], row)
            _, white, lower = system
            right = white @ self.covariances[row].whitened(self.flux[row])
            coefficients = cho_solve((lower, True), right).reshape(len(self.bases), -1)
            continuum[place] = np.concatenate(
                [part @ basis for part, basis in zip(coefficients, self.bases, strict=True)]
            )
            systems.append(system)
        return continuum, systems

    def _continuum_terms(self, spectrum, row):
        """Return the terms of the continua of all segments, times the spectrum.

        Returns
        -------
        terms, white : ndarray of shape (n_segments * (degree + 1), n_pixels)
            The terms, and the same whitened.
        lower : ndarray of shape (n_segments * (degree + 1), n_segments * (degree + 1))
            Cholesky factor of the products of the whitened terms.
        """
        terms = block_diag(*self.bases) * spectrum
        white = self.covariances[row].whitened(terms)
        gram = white @ white.T
        n_terms = self.degree + 1
        diagonal = np.diagonal(gram).reshape(-1, n_terms)
        gram += np.diag(np.repeat(ridge(diagonal.sum(axis=1)), n_terms))
        return terms, white, cholesky(gram, lower=True, check_finite=False)


def weigh_by_white_noise(likelihood, rows, points, pixels):
    """Weigh spectra without errors by the noise that neighbouring pixels do not share.

    The scatter of the residuals would contain errors of the model, which the covariance of the
    pixels adds to the noise.

    Parameters
    ----------
    likelihood, rows, points, pixels
        As in :func:`~skphx.inference._pixel_weights.weigh_by_scatter`.

    Returns
    -------
    Likelihood
        The same if all these spectra have errors; otherwise a copy with other weights.
    """
    unknown = np.flatnonzero(~pixels.sigma_known[rows])
    if len(unknown) == 0:
        return likelihood
    likelihood = copy.copy(likelihood)
    likelihood.weights = likelihood.weights.copy()
    for start in range(0, len(unknown), likelihood.block):
        part = unknown[start : start + likelihood.block]
        model, _, _ = likelihood.with_continuum(likelihood.spectrum(points[part]), rows[part])
        for place, row in enumerate(rows[part]):
            good, level = pixels.good[row], pixels.level[row]
            residual = np.where(good, (likelihood.flux[row] - model[place]) / level, 0.0)
            variance = pixels.emulator_error**2
            for where in likelihood.forward.segment_slices:
                noise = white_noise(residual, good, [where])
                variance[where] += max(noise, _LEAST_NOISE**2)
            likelihood.weights[row] = np.where(good, 1.0 / (variance * level**2), 0.0)
    return likelihood


def _covariance_at(likelihood, model_error, row, point, continuum):
    """Return the covariance of the pixels of one spectrum, with the model's errors at a point.

    Parameters
    ----------
    likelihood, model_error, row
        As in :meth:`CorrelatedLikelihood.at`, of one spectrum.
    point : ndarray of shape (n_parameters + 4,)
        Its point, with squares.
    continuum : ndarray of shape (n_pixels,)
        Continuum of its model.

    Returns
    -------
    PixelCovariance
        Of noise and model.
    """
    emulator, forward = likelihood.emulator, likelihood.forward
    inner = getattr(emulator, "estimator", emulator)  # of a FrozenEstimator
    stellar = emulator.grid_.resolve_outside(point[None, : likelihood.n_stellar], "clip")[0]
    kinematics = likelihood.kinematics(point[None])
    independent, common = (
        observed_errors(forward, np.asarray(spectra, dtype=np.float64), kinematics)
        for spectra in model_error.error_spectra(inner, stellar)
    )
    independent *= continuum
    common *= continuum
    return PixelCovariance(
        likelihood.weights[row],
        forward.segment_slices,
        independent,
        common,
        model_error.kernels,
        SPEED_OF_LIGHT * np.log(np.concatenate(forward.centres)),
        continuum,
    )


def observed_errors(forward, spectra, kinematics):
    """Return error spectra as they are observed on the pixels.

    Parameters
    ----------
    forward : ForwardModel
        Forward model to the pixels.
    spectra : ndarray of shape (n_curves, n_samples)
        Errors on the model's wavelengths.
    kinematics : ndarray of shape (1, 4)
        Kinematic and instrumental parameters of the star.

    Returns
    -------
    ndarray of shape (n_curves, n_pixels)
        Observed errors.
    """
    observed = np.empty((len(spectra), forward.n_pixels))
    flat = np.zeros((1, spectra.shape[1]))
    n_curves = max(1, min(_MOST_CURVES, _MOST_NUMBERS // spectra.shape[1]))
    for start in range(0, len(spectra), n_curves):
        part = spectra[start : start + n_curves].T[None]
        _, found = forward.observe_with_derivatives(flat, part, kinematics, ())
        observed[start : start + n_curves] = found[0]
    return observed
