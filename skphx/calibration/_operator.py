"""The forward model of one star as a sparse matrix, and the columns of lines through it."""

import numpy as np
from scipy.sparse import csr_array

from skphx._domain import FWHM_PER_SIGMA, SPEED_OF_LIGHT
from skphx.lines._engine.profile import get_profile, total_fwhm
from skphx.observing import _kernels as kernels

# Optical depths below this are left out of the columns of lines, and elements of the operator
# below this part of the largest.
_NEGLIGIBLE = 1e-6
# Step in ln width, for derivatives.
_STEP = 1e-3
# Pixels transformed together.
_BLOCK = 128
# Reach of a line-spread function in its standard deviations, and a margin in km/s.
_REACH, _MARGIN = 6.0, 5.0


def observing_operator(forward, segments, kinematics, n_samples, wavelength):
    """Return the forward model as a sparse matrix, (n_pixels, n_samples).

    Pixels whose light comes from wavelengths far apart are transformed together, so that a long
    spectrum needs no more transforms than a short one.

    Parameters
    ----------
    forward : ForwardModel
        The forward model.
    segments : list of ObservedSpectrum
        Its segments, for their resolution.
    kinematics : ndarray of shape (1, 4)
        Velocity, v sin i, macroturbulence (km/s) and resolution.
    n_samples : int
        Number of samples of the model.
    wavelength : ndarray of shape (n_samples,)
        Their wavelengths, Å.

    Returns
    -------
    csr_array of shape (n_pixels, n_samples)
        Flux of the pixels for a flux of 1 in a sample.
    """
    velocity, vsini, macro, resolution = kinematics[0]
    centres = np.concatenate(forward.centres)
    shift, _ = kernels.shift_of_velocity(velocity)
    rest = centres * np.exp(-shift / SPEED_OF_LIGHT)
    lowest = [one.resolution for one in segments if one.resolution is not None]
    if np.isfinite(resolution) and resolution > 0:
        lowest.append(resolution)
    sigma = max((SPEED_OF_LIGHT / np.min(r) / FWHM_PER_SIGMA for r in lowest), default=0.0)
    widths = np.concatenate(
        [np.gradient(c) if len(c) > 1 else np.ones(1) for c in forward.centres]
    )
    half = rest * (vsini + 4.0 * macro + _REACH * sigma + _MARGIN) / SPEED_OF_LIGHT + 2 * np.abs(
        widths
    )
    first = np.searchsorted(wavelength, rest - half)
    last = np.searchsorted(wavelength, rest + half, side="right")
    groups = _apart(first, last)
    if any(one.line_spread is not None for one in segments):
        groups = [np.array([pixel]) for pixel in range(forward.n_pixels)]
        first, last = np.zeros_like(first), np.full_like(last, n_samples)
    rows, columns, values = [], [], []
    for start in range(0, len(groups), _BLOCK):
        block = groups[start : start + _BLOCK]
        units = np.zeros((1, len(block), forward.n_pixels))
        for place, pixels in enumerate(block):
            units[0, place, pixels] = 1.0
        back = forward.adjoint(units, kinematics)[0]
        for place, pixels in enumerate(block):
            for pixel in pixels:
                part = back[place, first[pixel] : last[pixel]]
                kept = np.flatnonzero(np.abs(part) > _NEGLIGIBLE * np.abs(part).max(initial=0.0))
                rows.append(np.full(len(kept), pixel))
                columns.append(first[pixel] + kept)
                values.append(part[kept])
    return csr_array(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))),
        shape=(forward.n_pixels, n_samples),
    )


def _apart(first, last):
    """Put pixels together whose ranges of samples do not overlap."""
    groups: list[list[int]] = []
    ends: list[int] = []
    for pixel in np.argsort(first, kind="stable"):
        for number, end in enumerate(ends):
            if first[pixel] >= end:
                groups[number].append(pixel)
                ends[number] = last[pixel]
                break
        else:
            groups.append([pixel])
            ends.append(last[pixel])
    return [np.array(group) for group in groups]


def line_columns(wavelength, lines, profile, *, by_width):
    """Return how the optical depth changes with each line, as a sparse matrix.

    Parameters
    ----------
    wavelength : ndarray of shape (n_samples,)
        Samples of the model, Å.
    lines : ndarray of shape (n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (ln Å).
    profile : str
        Name of the profile.
    by_width : bool
        Differentiate with respect to the logarithm of both widths, else with respect to ln area.

    Returns
    -------
    csr_array of shape (n_lines, n_samples)
        Derivatives of the optical depth.
    """
    shape = get_profile(profile)
    center, area = lines[:, 0], np.exp(lines[:, 1])
    sigma, gamma = np.exp(lines[:, 2]), np.exp(lines[:, 3])
    # Where the Lorentzian wing is negligible, and the Gaussian core as well.
    reach = np.sqrt(area * total_fwhm(sigma, gamma) / (2.0 * np.pi * _NEGLIGIBLE)) + 6.0 * sigma
    first = np.searchsorted(wavelength, center - reach)
    last = np.searchsorted(wavelength, center + reach)
    rows = []
    for line in range(len(lines)):
        x = wavelength[first[line] : last[line]] - center[line]
        if by_width:
            wide, narrow = np.exp(_STEP), np.exp(-_STEP)
            values = (
                shape(x, sigma[line] * wide, gamma[line] * wide)
                - shape(x, sigma[line] * narrow, gamma[line] * narrow)
            ) / (2.0 * _STEP)
        else:
            values = shape(x, sigma[line], gamma[line])
        rows.append(area[line] * values)
    indptr = np.concatenate([[0], np.cumsum(last - first)])
    indices = np.concatenate(
        [np.zeros(0), *(np.arange(a, b) for a, b in zip(first, last, strict=True))]
    )
    data = np.concatenate(rows) if rows else np.zeros(0)
    return csr_array((data, indices.astype(np.int64), indptr), shape=(len(lines), len(wavelength)))
