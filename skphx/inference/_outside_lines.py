"""Fit observed stars without the pixels near lines of some species, which move with the star."""

from dataclasses import replace

import numpy as np

from skphx._domain import SPEED_OF_LIGHT
from skphx.inference._infer import infer_stars
from skphx.inference._star_list import check_flat_list, naming_star
from skphx.observing._kernels import shift_of_velocity

# The first fit leaves out all that the lines reach within the range of velocities, if at least
# this part of the good pixels remains, and so many of them.
_LEAST_LEFT, _FEWEST_LEFT = 0.5, 40


def infer_outside_lines(
    emulator, stars, observation_model, boxes, priors, templates, *, sampler=None, **settings
):
    """Fit observed stars; pixels near lines of the model's `line_mask` are left out.

    If the velocity is held, the mask is at this velocity. Otherwise stars are fitted twice: the
    first fit gives the velocity, at which the mask of the second is.

    Parameters
    ----------
    emulator, stars, observation_model, boxes, priors, templates
        As in :func:`~skphx.inference._infer.infer_stars`.
    sampler : PosteriorSampler or None
        Adds samples to each result of the last fit.
    **settings
        Other arguments of :func:`~skphx.inference._infer.infer_stars`.

    Returns
    -------
    list of InferenceResult
        One for each star, in their order. The numbers of evaluations are those of both fits.

    Raises
    ------
    ValueError
        If the emulator's medium is unknown, a species has no line within its wavelengths, or as
        :func:`~skphx.inference._infer.infer_stars`.
    """
    line_mask = observation_model.line_mask
    if line_mask is None:
        return infer_stars(
            emulator,
            stars,
            observation_model,
            boxes,
            priors,
            templates,
            sampler=sampler,
            **settings,
        )
    medium = getattr(emulator, "medium", None)
    limits = emulator.wavelength_[0], emulator.wavelength_[-1]
    if medium is None:
        raise ValueError(
            f"line_mask has wavelengths in {line_mask.line_list.medium}, but the medium of the "
            f"emulator is unknown; say whether its wavelengths are in air or vacuum: "
            f"make_stellar_estimator(..., medium='vacuum'), or "
            f"estimator.set_params(emulator__medium='vacuum') before fit."
        )
    line_mask.check_range(*limits, medium)
    segmented = []
    for number, star in enumerate(stars):
        with naming_star(number):
            segmented.append(observation_model.segments_of(star, medium))
    check_flat_list(stars, segmented)

    def fit(velocities, **more):
        masked = [
            _masked(segments, line_mask, velocity)
            for segments, velocity in zip(segmented, velocities, strict=True)
        ]
        return infer_stars(
            emulator, masked, observation_model, boxes, priors, templates, **settings, **more
        )

    low, high = observation_model.ranges[0]
    if low == high:
        return fit([low] * len(stars), sampler=sampler)
    first = fit(
        [_first_velocity(segments, line_mask, (low, high), limits) for segments in segmented]
    )
    last = fit([result["velocity"] for result in first], sampler=sampler)
    return [
        replace(
            result,
            n_evaluations=before.n_evaluations + result.n_evaluations,
            n_shared_evaluations=before.n_shared_evaluations + result.n_shared_evaluations,
        )
        for before, result in zip(first, last, strict=True)
    ]


def _near_lines(segment, line_mask, velocity):
    """Return which pixels of a segment are near a line, at one velocity or within a range."""
    # The segment's own velocity comes on top of the star's.
    shift, _ = shift_of_velocity(segment.velocity)
    wavelength = segment.wavelength * np.exp(-shift / SPEED_OF_LIGHT)
    return line_mask.masked(wavelength, segment.medium, velocity)


def _masked(segments, line_mask, velocity):
    """Return segments with the pixels near lines masked; None masks no pixel."""
    if velocity is None:
        return segments
    return [
        replace(one, mask=one.mask | _near_lines(one, line_mask, velocity)) for one in segments
    ]


def _first_velocity(segments, line_mask, velocities, limits):
    """Return the range of velocities if enough pixels remain without all of it, or None."""
    good = np.concatenate(
        [
            one.good & (one.wavelength >= limits[0]) & (one.wavelength <= limits[1])
            for one in segments
        ]
    )
    near = np.concatenate([_near_lines(one, line_mask, velocities) for one in segments])
    left = np.count_nonzero(good & ~near)
    return velocities if left >= max(_LEAST_LEFT * good.sum(), _FEWEST_LEFT) else None
