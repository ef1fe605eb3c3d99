"""`infer` of StellarParameterEstimator: results of observed stars on their own pixels."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
from joblib import effective_n_jobs

from skphx._domain import KINEMATIC_PARAMETERS, SPEED_OF_LIGHT
from skphx.inference._emulator_covariance import error_of_pixels
from skphx.inference._errors_and_flags import make_results, without_undetermined
from skphx.inference._likelihood import Likelihood
from skphx.inference._minimisation import in_blocks, minimise_coarsely, minimise_finally
from skphx.inference._pixel_weights import PixelErrors, inverse_variances, median_levels
from skphx.inference._result import InferenceResult
from skphx.inference._star_list import check_flat_list, naming_star
from skphx.inference._starting_points import TemplateScan
from skphx.observing._kernels import shift_of_velocity

_FEWEST_PIXELS = 10
# Starting points of longer spectra are found with about this many pixels: one window of each
# segment, the best of so many windows.
_MOST_SCANNED = 16_000
_N_WINDOWS = 17
# The emulator is cut to the wavelengths that the pixels need if these are less than this part.
_LARGEST_CUT = 0.9


def infer_stars(
    emulator,
    stars,
    observation_model,
    boxes,
    priors,
    templates,
    *,
    n_starts,
    n_jobs,
    error=None,
    surrogate=None,
    sampler=None,
    model_error=None,
    continuum_degree=3,
):
    """Fit observed stars; stars on the same pixels are fitted together.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.
    stars : list
        Each as `as_segments` takes it.
    observation_model : ObservationModel
        Settings of the forward model.
    boxes : ndarray of shape (n_stars, n_parameters, 2)
        Search boxes of the stellar parameters.
    priors : ndarray of shape (n_stars, n_parameters + 4, 2) or None
        Gaussian priors.
    templates : ndarray of shape (n_templates, n_parameters)
        Stellar parameters of the templates, among which starting points are chosen.
    n_starts : int
        Number of starting points of each star.
    n_jobs : int or None
        Number of processes.
    error : InterpolationError or None
        Interpolation-error model of the emulator.
    surrogate : FluxEmulator or None
        Low-rank surrogate of the emulator.
    sampler : PosteriorSampler or None
        Adds samples to each result.
    model_error : object or None
        Errors of the model's lines, see
        :meth:`~skphx.inference._correlated_likelihood.CorrelatedLikelihood.at`.
    continuum_degree : int or None
        Degree of the continuum, if `observation_model` has ``"default"``.

    Returns
    -------
    list of InferenceResult
        One for each star, in their order.

    Raises
    ------
    ValueError
        If the stars look like segments of one star, only some segments of a star have errors, a
        star has too few good pixels, or the model does not cover them.
    """
    if observation_model.continuum_degree == "default":
        observation_model = replace(observation_model, continuum_degree=continuum_degree)
    medium = getattr(emulator, "medium", None)
    segmented = []
    for number, star in enumerate(stars):
        with naming_star(number):
            segmented.append(observation_model.segments_of(star, medium))
            _check_errors(segmented[-1])
    check_flat_list(stars, segmented)
    groups = defaultdict(list)
    for number, segments in enumerate(segmented):
        groups[tuple(segment.layout for segment in segments)].append(number)
    kinematic = np.broadcast_to(
        observation_model.ranges, (len(stars), len(KINEMATIC_PARAMETERS), 2)
    )
    boxes = np.concatenate([boxes, kinematic], axis=1)
    results: dict[int, InferenceResult] = {}
    for members in groups.values():
        with naming_star(members[0]):
            fit = _GroupFit(
                emulator,
                {number: segmented[number] for number in members},
                observation_model,
                None if priors is None else priors[members],
                templates,
                error,
                surrogate,
            )
        found = fit.results(boxes[members], n_starts, n_jobs, sampler, model_error)
        results.update(zip(members, found, strict=True))
    return [results[number] for number in range(len(stars))]


class _GroupFit:
    """Fit of stars that share pixels and instrument.

    Parameters
    ----------
    emulator, observation_model, templates, error, surrogate
        As in :func:`infer_stars`.
    stars : dict of int to list of ObservedSpectrum
        Segments of each star, by the number of the star.
    priors : ndarray of shape (n_group, n_parameters + 4, 2) or None
        Priors of these stars.
    """

    def __init__(self, emulator, stars, observation_model, priors, templates, error, surrogate):
        segments = next(iter(stars.values()))
        limits = emulator.wavelength_[0], emulator.wavelength_[-1]
        emulator, forward, self.error = _cut(emulator, segments, observation_model, error)
        flux = _join(stars, lambda segment: segment.flux)
        good = _join(stars, lambda segment: segment.good)
        sigma = _join(
            stars,
            lambda segment: (
                np.full(len(segment.flux), np.nan) if segment.sigma is None else segment.sigma
            ),
        )
        covered = good & forward.covered
        kinematic = observation_model.ranges.mean(axis=1)[None]
        shift, _ = shift_of_velocity(kinematic[0, 0])
        rest = np.concatenate(forward.centres) * np.exp(-shift / SPEED_OF_LIGHT)
        _check_pixels(stars, good, covered, rest, limits)
        self.uncovered = _lost_inside(good, forward.covered, rest, limits)
        self.pixels = PixelErrors(
            good=covered,
            sigma_known=np.array(
                [all(segment.sigma is not None for segment in star) for star in stars.values()]
            ),
            level=median_levels(forward, flux, covered),
            emulator_error=error_of_pixels(self.error, forward, kinematic),
        )
        weights = inverse_variances(sigma, self.pixels)
        others = (
            flux,
            weights,
            observation_model.continuum_degree,
            observation_model.free,
            priors,
        )
        self.likelihood = self.coarse_likelihood = Likelihood(emulator, forward, *others)
        if surrogate is not None:
            near, same_forward, _ = _cut(surrogate, segments, observation_model, None)
            self.coarse_likelihood = Likelihood(near, same_forward, *others)
        scanned = _cut_long_spectra(self.coarse_likelihood, segments, observation_model)
        self.scan = TemplateScan(scanned, templates, observation_model.ranges)

    def results(self, boxes, n_starts, n_jobs, sampler, model_error):
        """Return the results of all stars of the group.

        Parameters
        ----------
        boxes : ndarray of shape (n_group, n_parameters + 4, 2)
            Search boxes, in natural units.
        n_starts, n_jobs, sampler, model_error
            As in :func:`infer_stars`.

        Returns
        -------
        list of InferenceResult
            One for each star.
        """

        def results_of(rows):
            coarse, internal = minimise_coarsely(
                self.coarse_likelihood, self.scan, rows, boxes, n_starts, self.pixels
            )
            if model_error is None:
                return final_results(rows, coarse, internal)
            # Covariances of pixels are large: there is that of one star at a time.
            return [
                final_results(rows[[place]], coarse.part([place]), internal)[0]
                for place in range(len(rows))
            ]

        def final_results(rows, coarse, internal):
            likelihood, end, scales = minimise_finally(
                self.likelihood, coarse, rows, internal, self.pixels, self.error, model_error
            )
            results, scales, undetermined = make_results(
                likelihood,
                end,
                rows,
                internal,
                scales,
                self.pixels,
                error=self.error,
                uncovered=self.uncovered,
                n_shared=self.scan.n_templates,
            )
            if sampler is not None:
                results = [
                    sampler(likelihood, row, internal[row], result, scale)
                    for row, result, scale in zip(rows, results, scales, strict=True)
                ]
            return [
                without_undetermined(result, mask)
                for result, mask in zip(results, undetermined, strict=True)
            ]

        n_blocks = min(effective_n_jobs(n_jobs), len(boxes))
        return in_blocks(results_of, np.array_split(np.arange(len(boxes)), n_blocks), n_jobs)


def _check_errors(segments):
    """Raise if only some segments of a star have errors: how to weigh the others is unknown."""
    missing = [number for number, one in enumerate(segments) if one.sigma is None]
    if 0 < len(missing) < len(segments):
        raise ValueError(
            f"segment {missing[0]} has no sigma and others of the same star have: give sigma or "
            f"ivar of all segments, or of none."
        )


def _join(stars, values_of):
    """Return one row for each star, with the values of all its segments."""
    return np.array([np.concatenate([values_of(one) for one in star]) for star in stars.values()])


def _check_pixels(stars, good, covered, wavelength, limits):
    """Raise if a star has too few good pixels within the model's wavelengths."""
    for row, number in enumerate(stars):
        count = np.count_nonzero(covered[row])
        if count >= _FEWEST_PIXELS:
            continue
        own = wavelength[good[row]]
        where = f", from {own.min():.6g} to {own.max():.6g} Å" if len(own) else ""
        raise ValueError(
            f"star {number} has {count} good pixels within the model's wavelengths, "
            f"{limits[0]:.6g} to {limits[1]:.6g} Å, and a fit needs {_FEWEST_PIXELS}; it has "
            f"{len(own)} good pixels in all{where}. Check its mask and errors (mask=True leaves a "
            f"pixel out) and the line_mask, or use a model of more wavelengths."
        )


def _lost_inside(good, covered, wavelength, limits):
    """Return which part of the good pixels within the model's range is left out.

    Pixels beyond the model's first and last wavelength are not counted: there, the spectrum is
    wider than the model. At such an end, pixels near the end of the model are not counted either:
    some of them are always lost to velocity and broadening.

    Parameters
    ----------
    good : ndarray of shape (n_stars, n_pixels), bool
        Good pixels of each star.
    covered : ndarray of shape (n_pixels,), bool
        Pixels that the model covers, one or more.
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres at rest, at the middle of the velocities allowed, Å.
    limits : tuple (low, high)
        First and last wavelength of the model, Å.

    Returns
    -------
    ndarray of shape (n_stars,)
        Parts from 0 to 1.
    """
    counted = good & (wavelength >= limits[0]) & (wavelength <= limits[1])
    for beyond, near_end in (
        (wavelength < limits[0], wavelength < wavelength[covered].min()),
        (wavelength > limits[1], wavelength > wavelength[covered].max()),
    ):
        wider = (good & beyond).any(axis=1)
        counted &= ~(wider[:, None] & near_end)
    lost = (counted & ~covered).sum(axis=1)
    return lost / np.maximum(counted.sum(axis=1), 1)


def _cut_long_spectra(likelihood, segments, observation_model):
    """Return the likelihood of a part of the pixels, if there are more than the scan needs."""
    forward = likelihood.forward
    if forward.n_pixels <= _MOST_SCANNED:
        return likelihood
    good = (likelihood.weights > 0).sum(axis=0)
    parts, kept = [], []
    for segment, where in zip(segments, forward.segment_slices, strict=True):
        n_pixels = where.stop - where.start
        n_kept = max(2, int(n_pixels * _MOST_SCANNED / forward.n_pixels))
        # The window with the most good pixels of all stars.
        starts = np.linspace(0, n_pixels - n_kept, _N_WINDOWS).astype(int)
        counts = [good[where][start : start + n_kept].sum() for start in starts]
        start = starts[int(np.argmax(counts))]
        window = slice(start, start + n_kept)
        parts.append(segment.part(window))
        kept.append(np.arange(where.start + start, where.start + start + n_kept))
    columns = np.concatenate(kept)
    emulator, forward, _ = _cut(likelihood.emulator, parts, observation_model, None)
    return Likelihood(
        emulator,
        forward,
        likelihood.flux[:, columns],
        np.where(forward.covered, likelihood.weights[:, columns], 0.0),
        likelihood.degree,
        likelihood.free,
        likelihood.priors,
    )


def _cut(emulator, segments, observation_model, error):
    """Cut an emulator to the wavelengths that the pixels need.

    Returns
    -------
    emulator : estimator
        The emulator, or a part of it.
    forward : ForwardModel
        Its forward model to the segments.
    error : InterpolationError or None
        On the wavelengths of the emulator returned.
    """
    forward = observation_model.forward_model_to(segments, emulator)
    low, high = forward.needed
    wavelength = emulator.wavelength_
    inside = (wavelength >= low) & (wavelength <= high)
    if not hasattr(emulator, "select") or inside.mean() > _LARGEST_CUT:
        return emulator, forward, error
    emulator = emulator.select(wavelength=(low, high))
    if error is not None:
        error = error.on_pixels(lambda spectra: spectra[:, inside])
    return emulator, observation_model.forward_model_to(segments, emulator), error
