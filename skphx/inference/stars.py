"""From observed stars to results: pixels, weights, starts, refinement, conclusions."""

from dataclasses import dataclass, replace

import numpy as np
from joblib import effective_n_jobs
from sklearn.utils.parallel import Parallel, delayed

from skphx.inference.conclusion import conclude
from skphx.inference.observed import ObservedSpectra, to_internal
from skphx.inference.refinement import Refinement, refine
from skphx.inference.scan import Scan
from skphx.observing._light_path import EFFECTS, LightPath
from skphx.observing._medium import to_medium
from skphx.observing._spectrum import ObservedSpectrum, as_chunks

# A step that lowers chi² by less, one hundredth of a standard error, is not worth taking.
_TOLERATED_CHI2 = 1e-4
# Error of a pixel in parts of the median flux where none is known; only its size is arbitrary.
_UNKNOWN_SIGMA = 0.01
_FEWEST_PIXELS = 10
# Pixels that are enough to find where to begin, and places among which they are chosen.
_MOST_SCANNED = 16_000
_N_WINDOWS = 17


@dataclass(frozen=True)
class Observing:
    """What happens to the light of the stars of one call, held or fitted.

    Parameters
    ----------
    velocity, vsini, macroturbulence : float or tuple (low, high)
        Radial velocity, v sin i and ζ_RT in km/s: a number is held, a range is fitted within.
    resolution : float, tuple (low, high) or None
        λ/FWHM of chunks that do not say theirs; a range is fitted, one value for all chunks.
    medium : {"air", "vacuum"} or None
        Of chunks that do not say theirs.
    continuum_degree : int or None
        Degree of the polynomial of each chunk that multiplies the model; None has none.
    limb_darkening : float
        Linear coefficient of the rotation.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    velocity: object = 0.0
    vsini: object = 0.0
    macroturbulence: object = 0.0
    resolution: object = None
    medium: str | None = None
    continuum_degree: int | None = 2
    limb_darkening: float = 0.6

    def __post_init__(self):
        for name in EFFECTS:
            value = getattr(self, name)
            if value is None and name == "resolution":
                continue
            pair = np.asarray(value, dtype=np.float64)
            if pair.shape not in ((), (2,)) or not np.isfinite(pair).all():
                raise ValueError(
                    f"{name} must be a number, to hold it, or (low, high), to fit it, got "
                    f"{value!r}."
                )
            if pair.shape == (2,) and not pair[0] < pair[1]:
                raise ValueError(f"{name} must be (low, high) with low < high, got {value!r}.")
            if name != "velocity" and pair.min() < 0:
                raise ValueError(f"{name} must not be negative, got {value!r}.")
        degree = self.continuum_degree
        if degree is not None and not (isinstance(degree, int | np.integer) and degree >= 0):
            raise ValueError(
                f"continuum_degree must be an integer from 0, or None for spectra whose continuum "
                f"is 1, got {degree!r}."
            )

    @property
    def free(self):
        """Names of the effects to fit."""
        return tuple(name for name in EFFECTS if np.ndim(getattr(self, name)) == 1)

    @property
    def ranges(self):
        """Lower and upper value of each effect, shape (4, 2); equal where held."""
        ranges = np.zeros((len(EFFECTS), 2))
        for row, name in enumerate(EFFECTS):
            value = getattr(self, name)
            # A resolution that is held belongs to the chunks.
            if value is not None and (name != "resolution" or np.ndim(value) == 1):
                ranges[row] = value
        return ranges

    def chunks_of(self, star, medium):
        """Chunks of a star with their wavelengths in the emulator's medium.

        Parameters
        ----------
        star : ObservedSpectrum, mapping, or sequence of these
            As `StellarParameterEstimator.infer` takes it.
        medium : {"air", "vacuum"} or None
            Of the emulator.

        Returns
        -------
        list of ObservedSpectrum
            Copies.

        Raises
        ------
        ValueError
            If only one of the media is known.
        """
        held = self.resolution if np.ndim(self.resolution) == 0 else None
        chunks = as_chunks(star, medium=self.medium, resolution=held)
        converted = []
        for chunk in chunks:
            wavelength = to_medium(
                chunk.wavelength, chunk.medium, medium, name="the observed spectrum"
            )
            # The medium is the emulator's from here on.
            converted.append(replace(chunk, wavelength=wavelength, medium=medium))
        return converted

    def path_to(self, chunks, emulator):
        """Light path from an emulator to chunks of its medium.

        Parameters
        ----------
        chunks : list of ObservedSpectrum
            From `chunks_of`.
        emulator : estimator
            Fitted.

        Returns
        -------
        LightPath
            With room for all velocities that are allowed.
        """
        ranges = self.ranges
        return LightPath(
            emulator.wavelength_,
            chunks,
            max_velocity=float(np.abs(ranges[0]).max()),
            max_broadening=float(ranges[1, 1] + 2.0 * ranges[2, 1]),
            resolution_range=tuple(ranges[3]) if ranges[3, 1] > 0 else None,
            limb_darkening=self.limb_darkening,
            model_resolution=getattr(emulator, "resolution_", None),
        )


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
    observing : Observing
        The way of the light.
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
    error : EmulatorError or None
        Of the emulator, see `emulator_error`.
    surrogate : NodeSpectra or None
        Stands in for the emulator until the last steps.
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
    level = np.empty_like(flux)
    for where in path.chunk_slices:
        part = np.where(good_and_covered[:, where], np.abs(flux[:, where]), np.nan)
        # A chunk without any good pixel has no level, and no weight either.
        empty = ~good_and_covered[:, where].any(axis=1)
        part[empty] = 1.0
        level[:, where] = np.nanmedian(part, axis=1, keepdims=True)
    sigma = np.where(sigma_known[:, None], sigma, _UNKNOWN_SIGMA * level)
    typical = observing.ranges.mean(axis=1)[None]
    noise = np.zeros(path.n_pixels) if error is None else error.seen_through(path, typical)
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.where(good_and_covered, 1.0 / (sigma**2 + (noise * level) ** 2), 0.0)
    problem = ObservedSpectra(
        emulator, path, flux, weights, observing.continuum_degree, observing.free, priors
    )
    quick = problem
    if surrogate is not None:
        near, same_path, _ = _narrow(surrogate, stars[0], observing, None)
        quick = ObservedSpectra(
            near, same_path, flux, weights, problem.degree, problem.free, priors
        )
    scan = Scan(_part_to_scan(quick, stars[0], observing), templates, observing.ranges)
    facts = {
        "n_shared": scan.n_evaluations,
        "sigma_known": sigma_known,
        "good": good_and_covered,
        "error": error,
        "uncovered": 1.0 - good_and_covered.sum(axis=1) / np.maximum(n_good, 1),
    }
    n_blocks = min(effective_n_jobs(n_jobs), len(stars))
    blocks = Parallel(n_jobs=n_jobs)(
        delayed(_infer_rows)(problem, quick, scan, rows, boxes, n_starts, facts, finish)
        for rows in np.array_split(np.arange(len(stars)), n_blocks)
    )
    return [result for block in blocks for result in block]


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
        error = error.with_spectra(error.spectra[:, inside])
    return emulator, observing.path_to(chunks, emulator), error


def _infer_rows(problem, quick, scan, rows, boxes, n_starts, facts, finish):
    """Results of some stars of a group."""
    starts = scan.starts(rows, boxes, n_starts)
    starts = to_internal(starts.reshape(len(rows) * n_starts, -1), problem.n_stellar)
    internal = np.moveaxis(to_internal(np.moveaxis(boxes, 2, 1), problem.n_stellar), 1, 2)
    end = _follow(quick, np.repeat(rows, n_starts), internal, starts, facts)
    if quick is not problem:
        n_quick = end.n_evaluations
        end = _follow(problem, rows, internal, end.points, facts)
        end.n_evaluations += n_quick
    results = conclude(problem, end, rows, internal, facts)
    if finish is not None:
        results = [
            finish(problem, row, internal[row], result)
            for row, result in zip(rows, results, strict=True)
        ]
    return results


def _follow(problem, rows, boxes, starts, facts):
    """Follow starts of stars to the bottom, and keep the lowest end of each star."""
    # Where errors are unknown, chi² has another scale.
    end = refine(
        lambda points, local: problem.evaluate(points, rows[local]),
        boxes[rows],
        starts,
        tolerance=1e-9,
        floor=np.where(facts["sigma_known"][rows], _TOLERATED_CHI2, 0.0),
    )
    n_stars = len(np.unique(rows))
    n_starts = len(rows) // n_stars
    best = end.cost.reshape(n_stars, n_starts).argmin(axis=1) + np.arange(n_stars) * n_starts
    kept = [
        getattr(end, name)[best]
        for name in ("points", "cost", "gradient", "curvature", "converged")
    ]
    spent = end.n_evaluations.reshape(n_stars, n_starts).sum(axis=1)
    return Refinement(*kept, n_evaluations=spent)
