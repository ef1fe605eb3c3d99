"""`predict` of StellarParameterEstimator: parameters of spectra on the grid's own pixels."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from skphx._domain import KINEMATIC_PARAMETERS
from skphx.inference._emulation import RawFlux
from skphx.inference._emulator_covariance import error_of_pixels
from skphx.inference._likelihood import Likelihood, to_natural
from skphx.inference._minimisation import in_blocks, minimise_coarsely, minimise_finally
from skphx.inference._pixel_weights import PixelErrors, inverse_variances, median_levels
from skphx.inference._starting_points import TemplateScan
from skphx.observing._model_pixels import ModelPixels

# Spectra minimised together. Blocks have a fixed size, so that rounding errors do not depend on
# the number of processes.
_BLOCK = 32


class Search(Protocol):
    """Another search for parameters, such as `skphx.paper.GaussianProcessSearch`."""

    def check_settings(self) -> None:
        """Raise if a setting is out of its range."""

    def search(
        self,
        emulator: Any,
        spectra: NDArray[np.float64],
        boxes: NDArray[np.float64],
        *,
        random_state: np.random.RandomState,
        n_jobs: int | None = None,
    ) -> NDArray[np.float64]:
        """Return the parameters of spectra, within their boxes of shape (n_parameters, 2)."""


def predict_parameters(
    emulator,
    spectra,
    sigma,
    boxes,
    priors,
    templates,
    degree,
    *,
    n_starts,
    n_jobs,
    error,
    surrogate,
):
    """Return the best parameters of spectra on the emulator's own pixels.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.
    spectra : ndarray of shape (n_spectra, n_pixels)
        Flux, in the unit of the spectra given to the emulator's fit.
    sigma : ndarray of shape (n_spectra, n_pixels) or None
        Standard errors of the flux.
    boxes : ndarray of shape (n_spectra, n_parameters, 2)
        Search boxes.
    priors : ndarray of shape (n_spectra, n_parameters, 2) or None
        Gaussian priors.
    templates : ndarray of shape (n_templates, n_parameters)
        Stellar parameters of the templates, among which starting points are chosen.
    degree : int or None
        Degree of the polynomial that multiplies the model; None is no polynomial.
    n_starts : int
        Number of starting points of each spectrum.
    n_jobs : int or None
        Number of processes.
    error : InterpolationError or None
        Interpolation-error model of the emulator.
    surrogate : FluxEmulator or None
        Low-rank surrogate of the emulator.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters)
        Stellar parameters.
    """
    forward = ModelPixels(emulator.wavelength_)
    n_spectra, n_kinematic = len(spectra), len(KINEMATIC_PARAMETERS)
    ranges = np.zeros((n_kinematic, 2))
    good = np.ones(spectra.shape, dtype=bool)
    pixels = PixelErrors(
        good=good,
        sigma_known=np.full(n_spectra, sigma is not None),
        level=median_levels(forward, spectra, good),
        emulator_error=error_of_pixels(error, forward, ranges.mean(axis=1)[None]),
    )
    weights = inverse_variances(spectra if sigma is None else sigma, pixels)
    if priors is not None:
        priors = np.concatenate([priors, np.full((n_spectra, n_kinematic, 2), np.nan)], axis=1)
    likelihood, coarse_likelihood = (
        Likelihood(RawFlux.of(one), forward, spectra, weights, degree, (), priors)
        for one in (emulator, emulator if surrogate is None else surrogate)
    )
    scan = TemplateScan(coarse_likelihood, templates, ranges)
    boxes = np.concatenate([boxes, np.zeros((n_spectra, n_kinematic, 2))], axis=1)

    def points_of(rows):
        coarse, internal = minimise_coarsely(
            coarse_likelihood, scan, rows, boxes, n_starts, pixels
        )
        _, end, _ = minimise_finally(likelihood, coarse, rows, internal, pixels)
        return to_natural(end.points, likelihood.n_stellar)[:, : likelihood.n_stellar]

    blocks = np.split(np.arange(n_spectra), np.arange(_BLOCK, n_spectra, _BLOCK))
    return np.array(in_blocks(points_of, blocks, n_jobs))
