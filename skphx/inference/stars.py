"""From observed stars to results: pixels, weights, starts, refinement, conclusions."""

import numpy as np

from skphx.inference.emulator_covariance import error_of_pixels
from skphx.inference.observed import ObservedSpectra
from skphx.inference.scan import Scan
from skphx.inference.solving import levels, solve, weights_of
from skphx.observing._light_path import EFFECTS
from skphx.observing._spectrum import ObservedSpectrum

_FEWEST_PIXELS = 10
# Pixels that are enough to find where to begin, and places among which they are chosen.
_MOST_SCANNED = 16_000
_N_WINDOWS = 17


def infer_stars(
    emulator,
    stars,
    observing,
    boxes,
    priors,
    templates,
    *,
    n_starts,
    n_jobs,
    error=None,
    surrogate=None,
    finish=None,
):
    """Fit observed stars; those on the same pixels are fitted together.

    Parameters
    ----------
    emulator : estimator
        Fitted.
    stars : list
        Each what `as_chunks` takes.
    observing : ObservationModel
        What happens to the light.
    boxes : ndarray of shape (n_stars, n_parameters, 2)
        Boxes of the stellar parameters.
    priors : ndarray of shape (n_stars, n_parameters + 4, 2) or None
        Gaussian priors.
    templates : ndarray of shape (n_templates, n_parameters)
        Points of the grid from which searches begin.
    n_starts : int
        Best ones of them to refine.
    n_jobs : int or None
        Processes.
    error : InterpolationError or None
        Of the emulator.
    surrogate : FluxEmulator or None
        Low-rank surrogate that searches follow until the last steps.
    finish : callable or None
        ``finish(problem, row, box, result)`` is applied to each result.

    Returns
    -------
    list of InferenceResult
        One a star, in their order.
    """
    medium = getattr(emulator, "medium", None)
    chunked = [observing.chunks_of(star, medium) for star in stars]
    groups = {}
    for number, chunks in enumerate(chunked):
        groups.setdefault(tuple(map(_layout, chunks)), []).append(number)
    effects = np.broadcast_to(observing.ranges, (len(stars), len(EFFECTS), 2))
    boxes = np.concatenate([boxes, effects], axis=1)
    results = [None] * len(stars)
    for members in groups.values():
        found = _infer_group(
            emulator,
            [chunked[number] for number in members],
            members,
            observing,
            boxes[members],
            None if priors is None else priors[members],
            templates,
            n_starts,
            n_jobs,
            error,
            surrogate,
            finish,
        )
        for number, result in zip(members, found, strict=True):
            results[number] = result
    return results


def _layout(chunk):
    """Say what two chunks must share to be observed along one path."""
    spread = None
    if chunk.line_spread is not None:
        spread = tuple(
            part.tobytes()
            for part in (
                chunk.line_spread.data,
                chunk.line_spread.indices,
                chunk.line_spread.indptr,
            )
        )
    return chunk.wavelength.tobytes(), chunk.resolution, chunk.velocity, spread


def _infer_group(
    emulator,
    stars,
    numbers,
    observing,
    boxes,
    priors,
    templates,
    n_starts,
    n_jobs,
    error,
    surrogate,
    finish,
):
    """Results of stars that share their pixels."""
    emulator, path, error = _narrow(emulator, stars[0], observing, error)
    flux = np.array([np.concatenate([chunk.flux for chunk in star]) for star in stars])
    good = np.array([np.concatenate([chunk.good for chunk in star]) for star in stars])
    n_good = good.sum(axis=1)
    good_and_covered = good & path.covered
    for number, count in zip(numbers, good_and_covered.sum(axis=1), strict=True):
        if count < _FEWEST_PIXELS:
            raise ValueError(
                f"star {number} has {count} good pixels within the model's wavelengths, and a fit "
                f"needs {_FEWEST_PIXELS}; look at its mask and errors (mask=True leaves a pixel "
                f"out), or give a model of more wavelengths."
            )
    sigma_known = np.array([all(chunk.sigma is not None for chunk in star) for star in stars])
    sigma = np.array(
        [
            np.concatenate(
                [
                    np.full(len(chunk.flux), np.nan) if chunk.sigma is None else chunk.sigma
                    for chunk in star
                ]
            )
            for star in stars
        ]
    )
    level = levels(path, flux, good_and_covered)
    typical = observing.ranges.mean(axis=1)[None]
    noise = error_of_pixels(error, path, typical)
    weights = weights_of(sigma, sigma_known, level, noise, good_and_covered)
    problem = ObservedSpectra(
        emulator, path, flux, weights, observing.continuum_degree, observing.free, priors
    )
    near, same_path = emulator, path
    if surrogate is not None:
        near, same_path, _ = _narrow(surrogate, stars[0], observing, None)
    # With weights of its own: those of unknown errors are found out on the way.
    quick = ObservedSpectra(
        near, same_path, flux, weights.copy(), problem.degree, problem.free, priors
    )
    scan = Scan(_part_to_scan(quick, stars[0], observing), templates, observing.ranges)
    facts = {
        "n_shared": scan.n_evaluations,
        "sigma_known": sigma_known,
        "good": good_and_covered,
        "error": error,
        "level": level,
        "emulator_error": noise,
        "uncovered": 1.0 - good_and_covered.sum(axis=1) / np.maximum(n_good, 1),
    }
    return solve(problem, quick, scan, boxes, n_starts, facts, n_jobs=n_jobs, finish=finish)


def _part_to_scan(problem, chunks, observing):
    """Keep of long spectra as many pixels as it takes to know where to begin."""
    path = problem.path
    if path.n_pixels <= _MOST_SCANNED:
        return problem
    good = (problem.weights > 0).sum(axis=0)
    parts, kept = [], []
    for chunk, where in zip(chunks, path.chunk_slices, strict=True):
        n_pixels = where.stop - where.start
        n_kept = max(2, int(n_pixels * _MOST_SCANNED / path.n_pixels))
        # Of windows all over the chunk, the one in which most pixels of most stars are good.
        starts = np.linspace(0, n_pixels - n_kept, _N_WINDOWS).astype(int)
        counts = [good[where][start : start + n_kept].sum() for start in starts]
        start = starts[int(np.argmax(counts))]
        window = slice(start, start + n_kept)
        spread = chunk.line_spread
        parts.append(
            ObservedSpectrum(
                chunk.wavelength[window],
                chunk.flux[window],
                medium=chunk.medium,
                resolution=chunk.resolution,
                line_spread=None if spread is None else spread[window][:, window],
                velocity=chunk.velocity,
            )
        )
        kept.append(np.arange(where.start + start, where.start + start + n_kept))
    kept = np.concatenate(kept)
    emulator = problem.emulator
    emulator, path, _ = _narrow(emulator, parts, observing, None)
    return ObservedSpectra(
        emulator,
        path,
        problem.flux[:, kept],
        np.where(path.covered, problem.weights[:, kept], 0.0),
        problem.degree,
        problem.free,
        problem.priors,
    )


def _narrow(emulator, chunks, observing, error):
    """Cut the emulator to the wavelengths that the pixels can see, and lay the path from it."""
    path = observing.path_to(chunks, emulator)
    low, high = path.needed
    wavelength = emulator.wavelength_
    inside = (wavelength >= low) & (wavelength <= high)
    if not hasattr(emulator, "select") or inside.mean() > 0.9:
        return emulator, path, error
    emulator = emulator.select(wavelength=(low, high))
    if error is not None:
        error = error.on_pixels(lambda spectra: spectra[:, inside])
    return emulator, observing.path_to(chunks, emulator), error
