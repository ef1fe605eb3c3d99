"""From spectra on pixels to the best points: weights, starts, minimisation, conclusions.

This is the one way in which parameters are found, of spectra on the grid's own pixels
(`StellarParameterEstimator.predict`) and of observed stars (`infer`).
"""

import copy

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

from skphx.inference._emulation import RawFlux
from skphx.inference.conclusion import conclude
from skphx.inference.emulator_covariance import error_of_pixels
from skphx.inference.observed import ObservedSpectra, to_internal, to_natural
from skphx.inference.refinement import Refinement, refine
from skphx.inference.scan import Scan
from skphx.observing._light_path import EFFECTS
from skphx.observing._model_pixels import ModelPixels

# A step that lowers chi² by less, one hundredth of a standard error, is not worth taking.
_TOLERATED_CHI2 = 1e-4
# Error of a pixel in parts of the median flux where none is known; only its size is arbitrary.
_UNKNOWN_SIGMA = 0.01
# Where none is known, the emulator's own error makes a pixel count less only beyond so many times
# the median one, for it is often large where a parameter shows. It then counts as so many times
# larger, because errors of neighbouring pixels are correlated.
_OUTLYING_ERROR, _OF_NEIGHBOURS = 10.0, 2.0
# Standard deviation of a Gaussian over the median of its absolute values.
_OF_MEDIAN = 1.4826
# A squared error of a pixel, in parts of the continuum, below which a noise-free fit is as good
# as rounding.
_ROUNDING = 1e-16
# Spectra on the model's pixels that take their steps together.
_BLOCK = 32
# Part of the cost that another step must gain to be taken: by the surrogate, and in the end.
_COARSE_TOLERANCE, _FINAL_TOLERANCE = 1e-3, 1e-9


def levels(path, flux, good):
    """Median of the absolute flux of each chunk, at each of its pixels.

    Parameters
    ----------
    path : LightPath or ModelPixels
        Says which pixels are of one chunk.
    flux : ndarray of shape (n_spectra, n_pixels)
        Observed flux.
    good : ndarray of shape (n_spectra, n_pixels), bool
        Pixels to use.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Levels; 1 for a chunk without any good pixel, or with a median of 0.
    """
    level = np.empty_like(flux)
    for where in path.chunk_slices:
        part = np.where(good[:, where], np.abs(flux[:, where]), np.nan)
        part[~good[:, where].any(axis=1)] = 1.0
        level[:, where] = np.nanmedian(part, axis=1, keepdims=True)
    return np.where(level > 0, level, 1.0)


def weights_of(sigma, sigma_known, level, emulator_error, good):
    """One over the variance of each pixel, of the flux and of the emulator together.

    Parameters
    ----------
    sigma : ndarray of shape (n_spectra, n_pixels)
        Standard errors of the flux; not looked at where unknown.
    sigma_known : ndarray of shape (n_spectra,), bool
        Whether a spectrum came with errors.
    level : ndarray of shape (n_spectra, n_pixels)
        From :func:`levels`.
    emulator_error : ndarray of shape (n_pixels,)
        From :func:`~skphx.inference.emulator_covariance.error_of_pixels`.
    good : ndarray of shape (n_spectra, n_pixels), bool
        Pixels to use; the others weigh nothing.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Weights.
    """
    sigma = np.where(sigma_known[:, None], sigma, _UNKNOWN_SIGMA * level)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(good, 1.0 / (sigma**2 + (emulator_error * level) ** 2), 0.0)


def solve(problem, quick, scan, boxes, n_starts, facts, *, n_jobs, finish=None):
    """Fit all spectra of a problem.

    Parameters
    ----------
    problem : ObservedSpectra
        The spectra, with the emulator.
    quick : ObservedSpectra
        The same with a low-rank surrogate, which searches follow until the last steps, or with the
        emulator itself.
    scan : Scan
        Where to begin.
    boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
        Search boxes, in the units of users.
    n_starts : int
        Best points of the scan to minimise from.
    facts : dict
        As `conclude` takes them, and ``level`` and ``emulator_error``, see :func:`weights_of`.
    n_jobs : int or None
        Processes.
    finish : callable or None
        ``finish(problem, row, box, result)`` is applied to each result.

    Returns
    -------
    list of InferenceResult
        One a spectrum.
    """

    def results_of(rows):
        weighed, end, internal = minimise(problem, quick, scan, rows, boxes, n_starts, facts)
        results = conclude(weighed, end, rows, internal, facts)
        if finish is None:
            return results
        return [
            finish(weighed, row, internal[row], result)
            for row, result in zip(rows, results, strict=True)
        ]

    n_blocks = min(effective_n_jobs(n_jobs), len(boxes))
    return _in_blocks(results_of, np.array_split(np.arange(len(boxes)), n_blocks), n_jobs)


def predict_parameters(
    emulator, spectra, sigma, boxes, priors, templates, degree, *, n_starts, n_jobs, **known
):
    """Best parameters of spectra on the emulator's own pixels.

    Parameters
    ----------
    emulator : estimator
        Fitted.
    spectra : ndarray of shape (n_spectra, n_pixels)
        Flux, as the emulator's spectra were given to its fit.
    sigma : ndarray of shape (n_spectra, n_pixels) or None
        Standard errors of the flux.
    boxes : ndarray of shape (n_spectra, n_parameters, 2)
        Search boxes.
    priors : ndarray of shape (n_spectra, n_parameters, 2) or None
        Gaussian priors.
    templates : ndarray of shape (n_templates, n_parameters)
        Points of the grid from which searches begin.
    degree : int or None
        Degree of the polynomial that multiplies the model; None has none.
    n_starts, n_jobs
        As in :func:`solve`.
    **known
        ``error``, an InterpolationError, and ``surrogate``, a FluxEmulator, of the emulator,
        where they are known.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters)
        Stellar parameters.
    """
    path = ModelPixels(emulator.wavelength_)
    n_spectra, n_effects = len(spectra), len(EFFECTS)
    ranges = np.zeros((n_effects, 2))
    good = np.ones(spectra.shape, dtype=bool)
    sigma_known = np.full(n_spectra, sigma is not None)
    noise = error_of_pixels(known.get("error"), path, ranges.mean(axis=1)[None])
    level = levels(path, spectra, good)
    weights = weights_of(spectra if sigma is None else sigma, sigma_known, level, noise, good)
    if priors is not None:
        nothing = np.full((n_spectra, n_effects, 2), np.nan)
        priors = np.concatenate([priors, nothing], axis=1)

    def with_emulator(one):
        # Each with weights of its own: those of unknown errors are found out on the way.
        own = weights.copy()
        return ObservedSpectra(RawFlux.of(one), path, spectra, own, degree, (), priors)

    problem = with_emulator(emulator)
    surrogate = known.get("surrogate")
    quick = with_emulator(emulator if surrogate is None else surrogate)
    scan = Scan(quick, templates, ranges)
    boxes = np.concatenate([boxes, np.zeros((n_spectra, n_effects, 2))], axis=1)
    facts = {"sigma_known": sigma_known, "good": good, "level": level, "emulator_error": noise}

    def points_of(rows):
        _, end, _ = minimise(problem, quick, scan, rows, boxes, n_starts, facts)
        return to_natural(end.points, problem.n_stellar)[:, : problem.n_stellar]

    # Blocks of one size, so that rounding does not depend on the number of processes.
    blocks = np.split(np.arange(n_spectra), np.arange(_BLOCK, n_spectra, _BLOCK))
    return np.array(_in_blocks(points_of, blocks, n_jobs))


def _in_blocks(function, blocks, n_jobs):
    """Call a function with blocks of rows, in processes, and list what it gives for each row."""
    found = Parallel(n_jobs=n_jobs)(delayed(function)(rows) for rows in blocks)
    return [one for block in found for one in block]


def minimise(problem, quick, scan, rows, boxes, n_starts, facts):
    """Minimise from each start of some spectra, and keep the lowest end of each spectrum.

    Parameters
    ----------
    problem, quick, scan, boxes, n_starts, facts
        As in :func:`solve`.
    rows : ndarray of shape (n,), int
        The spectra.

    Returns
    -------
    problem : ObservedSpectra
        The same; where spectra came without errors a copy, weighed by the scatter.
    end : Refinement
        One row a spectrum, points with squares.
    boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
        Boxes with squares.
    """
    starts = scan.starts(rows, boxes, n_starts)
    starts = to_internal(starts.reshape(len(rows) * n_starts, -1), problem.n_stellar)
    internal = np.moveaxis(to_internal(np.moveaxis(boxes, 2, 1), problem.n_stellar), 1, 2)
    coarse = _follow(quick, np.repeat(rows, n_starts), internal, starts, facts, _COARSE_TOLERANCE)
    problem = _weighed_by_scatter(problem, rows, coarse.points, facts)
    end = _follow(problem, rows, internal, coarse.points, facts, _FINAL_TOLERANCE)
    end.n_evaluations += coarse.n_evaluations
    return problem, end, internal


def _weighed_by_scatter(problem, rows, points, facts):
    """Where errors of the flux are unknown, let the scatter about the model stand for them."""
    unknown = np.flatnonzero(~facts["sigma_known"][rows])
    if len(unknown) == 0:
        return problem
    # A copy: other blocks may run beside this one, and arrays mapped into processes are read-only.
    problem = copy.copy(problem)
    problem.weights = problem.weights.copy()
    for start in range(0, len(unknown), problem.block):
        part = unknown[start : start + problem.block]
        row = rows[part]
        good, level = facts["good"][row], facts["level"][row]
        model, _, _ = problem.with_continuum(problem.spectrum(points[part]), row)
        away = np.where(good, np.abs(problem.flux[row] - model) / level, np.nan)
        scatter = np.empty_like(away)
        for where in problem.path.chunk_slices:
            seen = np.where(good[:, where].any(axis=1, keepdims=True), away[:, where], 1.0)
            scatter[:, where] = _OF_MEDIAN * np.nanmedian(seen, axis=1, keepdims=True)
        error = np.where(good, facts["emulator_error"], np.nan)
        typical = _OUTLYING_ERROR * np.nanmedian(error, axis=1, keepdims=True)
        variance = scatter**2 + (_OF_NEIGHBOURS * np.hypot(error, typical)) ** 2
        # Noise-free spectra of an emulator that states no error: all pixels weigh alike.
        variance = np.maximum(variance, _ROUNDING)
        problem.weights[row] = np.where(good, 1.0 / (variance * level**2), 0.0)
    return problem


def _follow(problem, rows, boxes, starts, facts, tolerance):
    """Minimise from starts, and keep the lowest end of each spectrum."""
    rounding = _ROUNDING * (problem.weights[rows] * facts["level"][rows] ** 2).sum(axis=1)
    floor = np.where(facts["sigma_known"][rows], _TOLERATED_CHI2, rounding)
    end = refine(
        lambda points, local: problem.evaluate(points, rows[local]),
        boxes[rows],
        starts,
        tolerance=tolerance,
        floor=floor,
    )
    n_spectra = len(np.unique(rows))
    n_starts = len(rows) // n_spectra
    best = end.cost.reshape(n_spectra, n_starts).argmin(axis=1) + np.arange(n_spectra) * n_starts
    kept = [
        getattr(end, name)[best]
        for name in ("points", "cost", "gradient", "curvature", "converged")
    ]
    spent = end.n_evaluations.reshape(n_spectra, n_starts).sum(axis=1)
    return Refinement(*kept, n_evaluations=spent)
