"""Weights of pixels: errors of the flux, known or estimated, and errors of the emulator."""

import copy
from dataclasses import dataclass

import numpy as np

# Where errors are unknown, the first weights assume this part of the median flux. Only ratios
# between pixels matter.
_UNKNOWN_SIGMA = 0.01
# Where errors are unknown, the emulator's error lowers the weight of a pixel only if this error is
# about the first number of times the median one or larger, because it is often large where a
# parameter has influence. It is multiplied by the second number, because errors of neighbouring
# pixels are correlated.
_OUTLYING_ERROR, _CORRELATION_FACTOR = 10.0, 2.0
#: Standard deviation of a Gaussian over the median of its absolute values.
SIGMA_PER_MEDIAN = 1.4826
# Squared errors of a pixel, in units of the continuum, below this are rounding errors.
ROUNDING = 1e-16


@dataclass(frozen=True, eq=False)
class PixelErrors:
    """Errors of the pixels of observed spectra.

    Attributes
    ----------
    good : ndarray of shape (n_spectra, n_pixels), bool
        Pixels to use.
    sigma_known : ndarray of shape (n_spectra,), bool
        Whether a spectrum has errors.
    level : ndarray of shape (n_spectra, n_pixels)
        Median absolute flux of the pixel's segment.
    emulator_error : ndarray of shape (n_pixels,)
        Error of the emulator, in units of the continuum.
    """

    good: np.ndarray
    sigma_known: np.ndarray
    level: np.ndarray
    emulator_error: np.ndarray


def median_levels(forward, flux, good):
    """Return the median absolute flux of each segment, at each of its pixels.

    Parameters
    ----------
    forward : ForwardModel or ModelPixels
        Has the pixels of each segment.
    flux : ndarray of shape (n_spectra, n_pixels)
        Observed flux.
    good : ndarray of shape (n_spectra, n_pixels), bool
        Pixels to use.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Levels; 1 for a segment without any good pixel, or with a median of 0.
    """
    level = np.empty_like(flux)
    for where in forward.segment_slices:
        part = np.where(good[:, where], np.abs(flux[:, where]), np.nan)
        part[~good[:, where].any(axis=1)] = 1.0
        level[:, where] = np.nanmedian(part, axis=1, keepdims=True)
    return np.where(level > 0, level, 1.0)


def inverse_variances(sigma, pixels):
    """Return the inverse variance of each pixel, of flux and emulator together.

    Parameters
    ----------
    sigma : ndarray of shape (n_spectra, n_pixels)
        Standard errors of the flux; not used for spectra whose errors are unknown.
    pixels : PixelErrors
        Which pixels are good, and the other errors.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Weights; 0 for pixels that are not good.
    """
    sigma = np.where(pixels.sigma_known[:, None], sigma, _UNKNOWN_SIGMA * pixels.level)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = sigma**2 + (pixels.emulator_error * pixels.level) ** 2
        return np.where(pixels.good, 1.0 / variance, 0.0)


def weigh_by_scatter(likelihood, rows, points, pixels):
    """Weigh spectra without errors by the scatter of their residuals.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra.
    rows : ndarray of shape (n,), int
        Spectra that were fitted.
    points : ndarray of shape (n, n_parameters)
        Their best points so far, with squares.
    pixels : PixelErrors
        Errors of all spectra.

    Returns
    -------
    Likelihood
        The same if all these spectra have errors; otherwise a copy with other weights.
    """
    unknown = np.flatnonzero(~pixels.sigma_known[rows])
    if len(unknown) == 0:
        return likelihood
    # Other blocks may run at the same time, and arrays shared with processes are read-only.
    likelihood = copy.copy(likelihood)
    likelihood.weights = likelihood.weights.copy()
    for start in range(0, len(unknown), likelihood.block):
        part = unknown[start : start + likelihood.block]
        row = rows[part]
        good, level = pixels.good[row], pixels.level[row]
        model, _, _ = likelihood.with_continuum(likelihood.spectrum(points[part]), row)
        residual = np.where(good, np.abs(likelihood.flux[row] - model) / level, np.nan)
        scatter = np.empty_like(residual)
        for where in likelihood.forward.segment_slices:
            has_good = good[:, where].any(axis=1, keepdims=True)
            median = np.nanmedian(
                np.where(has_good, residual[:, where], 1.0), axis=1, keepdims=True
            )
            scatter[:, where] = SIGMA_PER_MEDIAN * median
        error = np.where(good, pixels.emulator_error, np.nan)
        typical = _OUTLYING_ERROR * np.nanmedian(error, axis=1, keepdims=True)
        variance = scatter**2 + (_CORRELATION_FACTOR * np.hypot(error, typical)) ** 2
        # The limit matters for noise-free spectra of an emulator without an error model.
        variance = np.maximum(variance, ROUNDING)
        likelihood.weights[row] = np.where(good, 1.0 / (variance * level**2), 0.0)
    return likelihood


def check_sigma(sigma, shape):
    """Return standard errors as an array of the shape of the spectra, or None.

    Parameters
    ----------
    sigma : float, array-like of shape (n_spectra,) or (n_spectra, n_pixels), or None
        Standard errors given by the user.
    shape : tuple (n_spectra, n_pixels)
        Shape of the spectra.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels), or None
        Standard errors; None if `sigma` is None.

    Raises
    ------
    ValueError
        If the shape is wrong, or an error is not positive and finite.
    """
    if sigma is None:
        return None
    sigma = np.asarray(sigma, dtype=np.float64)
    if sigma.shape == shape[:1]:
        sigma = sigma[:, None]
    if sigma.shape not in (shape, (shape[0], 1), ()):
        raise ValueError(
            f"sigma must have shape {shape} or {shape[:1]}, an error for each pixel or each "
            f"spectrum, or be a number, got shape {sigma.shape}; for errors of the pixels of one "
            f"spectrum pass sigma.reshape(1, -1)."
        )
    if not (np.isfinite(sigma) & (sigma > 0)).all():
        raise ValueError(
            "sigma must be positive and finite; to leave a pixel out, give it a large error, or "
            "use infer with a mask."
        )
    return np.broadcast_to(sigma, shape)
