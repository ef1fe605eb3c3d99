"""A star with known parameters: its velocity, rotation and continuum, and its linear equations."""

import copy
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from skphx._domain import SPEED_OF_LIGHT
from skphx.calibration._corrections import WING_WIDTHS
from skphx.calibration._operator import line_columns, observing_operator
from skphx.inference._emulation import emulate
from skphx.inference._gauss_newton import gauss_newton
from skphx.inference._infer import _check_pixels, _cut, _join
from skphx.inference._likelihood import Likelihood, to_internal, to_natural
from skphx.inference._misfit import white_noise
from skphx.inference._pixel_weights import median_levels
from skphx.inference._starting_points import TemplateScan
from skphx.lines._dense import render_dense
from skphx.observing._kernels import shift_of_velocity

# Noise of a star without errors is at least this part of the flux.
_LEAST_NOISE = 1e-3
# Deviations of what is marginalised, in units of the largest change of the flux: no constraint.
_FREE = 1.0
_STEP = 1e-3
# Pixels are put together to bins, so many a width of the line-spread function.
_PIXELS_PER_WIDTH = 2.2


@dataclass(eq=False)
class Equations:
    """Linear equations of one star: residual = columns · corrections + errors.

    All rows are pixels that are used, in units of the star's median flux.

    Attributes
    ----------
    lines : ndarray of shape (n_own, n_pixels)
        Change of the flux with ln strength, then with ln width, of the lines that have
        corrections of their own.
    groups : ndarray of shape (2 n_groups, n_pixels)
        The same for all lines of a group together.
    wings : ndarray of shape (n_wings, n_pixels)
        The same for the wings of strong lines, in units of the strong line's own area.
    cores : ndarray of shape (n_cores, n_pixels)
        Errors of the flux in the cores of strong lines.
    added : ndarray of shape (n_added, n_pixels)
        The same for lines that the models lack, per Å of area.
    residual : ndarray of shape (n_pixels,)
        Observed minus modelled flux.
    sigma : ndarray of shape (n_pixels,)
        Standard errors.
    nuisance : ndarray of shape (n_nuisance, n_pixels)
        Changes that are marginalised: continuum, velocity, broadening, and the stellar
        parameters within their errors.
    stellar : ndarray of shape (n_parameters, n_pixels)
        Change of the flux with the stellar parameters.
    level : ndarray of shape (n_pixels,)
        The continuum.
    velocity : ndarray of shape (n_pixels,)
        c ln λ of the pixels at rest, km/s.
    segment : ndarray of shape (n_pixels,), int
        Segment of each pixel.
    """

    lines: np.ndarray
    groups: np.ndarray
    wings: np.ndarray
    cores: np.ndarray
    added: np.ndarray
    residual: np.ndarray
    sigma: np.ndarray
    nuisance: np.ndarray
    stellar: np.ndarray
    level: np.ndarray
    velocity: np.ndarray
    segment: np.ndarray


class ReferenceStar:
    """An observed star with known stellar parameters.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.
    segments : list of ObservedSpectrum
        The star, in the medium of the emulator.
    observation_model : ObservationModel
        Settings of the forward model; `continuum_degree` is a number or None.
    parameters : ndarray of shape (n_parameters,)
        Stellar parameters.
    errors : ndarray of shape (n_parameters,)
        Their standard errors.
    number : int
        Number of the star, for messages.

    Attributes
    ----------
    kinematics : ndarray of shape (1, 4)
        Velocity, v sin i, macroturbulence (km/s) and resolution, as fitted.
    """

    def __init__(self, emulator, segments, observation_model, parameters, errors, number=0):
        self.segments, self.observation_model = segments, observation_model
        self.parameters, self.errors = parameters, errors
        _, forward, _ = _cut(emulator, segments, observation_model, None)
        stars = {0: segments}
        self.flux = _join(stars, lambda one: one.flux)
        good = _join(stars, lambda one: one.good)
        self.good = good & forward.covered
        shift, _ = shift_of_velocity(observation_model.ranges[0].mean())
        rest = np.concatenate(forward.centres) * np.exp(-shift / SPEED_OF_LIGHT)
        limits = emulator.wavelength_[0], emulator.wavelength_[-1]
        _check_pixels({number: segments}, good, self.good, rest, limits)
        self.sigma_known = all(one.sigma is not None for one in segments)
        self.level = median_levels(forward, self.flux, self.good)
        if self.sigma_known:
            self.sigma = np.where(self.good, _join(stars, lambda one: one.sigma), np.inf)
        else:
            self.sigma = np.where(self.good, 0.01 * self.level, np.inf)
        self._start = None

    def fit(self, emulator):
        """Fit velocity, broadening and continuum, with the stellar parameters held.

        Parameters
        ----------
        emulator : estimator
            Emulator, corrected or not.

        Notes
        -----
        With a line mask, the star is fitted without it first, for its velocity.
        """
        is_first = self._start is None
        self._fit(emulator)
        mask = self.observation_model.line_mask
        if is_first and mask is not None:
            centres = np.concatenate(self.forward.centres)
            near = mask.masked(centres, emulator.medium, float(self.kinematics[0, 0]))
            self.good = self.good & ~near
            self.sigma = np.where(self.good, self.sigma, np.inf)
            self._fit(emulator)

    def _fit(self, emulator):
        """Fit with the pixels that are good."""
        model = self.observation_model
        self.emulator, self.forward, _ = _cut(emulator, self.segments, model, None)
        with np.errstate(divide="ignore"):
            weights = np.where(self.good, 1.0 / self.sigma**2, 0.0)
        self.likelihood = Likelihood(
            _HeldFlux(self.emulator, self.stellar_point),
            self.forward,
            self.flux,
            weights,
            model.continuum_degree,
            model.free,
            None,
        )
        n_stellar = self.likelihood.n_stellar
        held = np.stack([self.parameters, self.parameters], axis=1)
        box = np.concatenate([held, model.ranges])[None]
        rows = np.array([0])
        if self._start is None:
            scan = TemplateScan(self.likelihood, self.parameters[None], model.ranges)
            self._start = scan.starts(rows, box, 1)[0]
        inside = np.moveaxis(to_internal(np.moveaxis(box, 2, 1), n_stellar), 1, 2)
        end = gauss_newton(
            lambda points, searches: self.likelihood.evaluate(points, np.zeros_like(searches)),
            inside,
            to_internal(self._start, n_stellar),
        )
        self.point = end.points
        self._start = to_natural(end.points, n_stellar)
        self.kinematics = self.likelihood.kinematics(end.points)
        if not self.sigma_known:
            residual = (
                self.flux
                - self.likelihood.with_continuum(self.likelihood.spectrum(end.points), rows)[0]
            )
            scaled, slices = (residual / self.level)[0], self.forward.segment_slices
            noise = np.sqrt(white_noise(scaled, self.good[0], slices))
            self.sigma = np.where(self.good, max(noise, _LEAST_NOISE) * self.level, np.inf)

    def residual(self, emulator):
        """Return observed minus modelled flux, as in `equations`, of another emulator.

        Velocity and broadening stay as fitted; the continuum is fitted.
        """
        likelihood = copy.copy(self.likelihood)
        likelihood.emulator, _, _ = _cut(emulator, self.segments, self.observation_model, None)
        model, _, _ = likelihood.with_continuum(likelihood.spectrum(self.point), np.array([0]))
        good = self.good[0]
        level, sigma = self.level[0, good], self.sigma[0, good]
        left = (self.flux - model)[0, good] / level
        weights = (level / sigma) ** 2
        bins = self._bins(good)
        return np.bincount(bins, weights * left) / np.bincount(bins, weights)

    @property
    def stellar_point(self):
        """The stellar parameters, shape (1, n_parameters)."""
        return self.parameters[None]

    def strength_signal(self, corrections):
        """Return the signal-to-noise ratio with which each line is seen, roughly.

        Returns
        -------
        ndarray of shape (n_lines,)
            Equivalent width over its error from the noise of the pixels under the line.
        """
        lines, _ = corrections.lines_at(self.stellar_point)
        center, area = lines[0, :, 0], np.exp(lines[0, :, 1])
        wavelength = self.emulator.wavelength_
        flux = self.emulator._flux(self.stellar_point)[0]
        seen = area * np.interp(center, wavelength, flux)
        signal = np.zeros(len(center))
        for where, centres in zip(self.forward.segment_slices, self.forward.centres, strict=True):
            good = self.good[0, where]
            if good.sum() < 2:
                continue
            relative = np.median((self.sigma / self.level)[0, where][good])
            pixel = np.median(np.diff(centres))
            broad = center / 1e5 + 2.0 * pixel + center * self.forward.line_width / SPEED_OF_LIGHT
            inside = (center > centres[0]) & (center < centres[-1])
            here = seen / (relative * np.sqrt(pixel * broad * 1.5))
            signal = np.maximum(signal, np.where(inside, here, 0.0))
        return signal

    def equations(self, corrections, groups, own):
        """Linearise about the present corrections and the fitted velocity.

        Parameters
        ----------
        corrections : LineCorrections
            Those that `fit` was called with, in its emulator.
        groups : LineGroups
            Groups of all lines.
        own : OwnLines
            Lines that have corrections of their own.

        Returns
        -------
        Equations
            The equations.
        """
        likelihood, forward = self.likelihood, self.forward
        wavelength = self.emulator.wavelength_
        flux = self.emulator._flux(self.stellar_point)
        operator = observing_operator(
            forward, self.segments, self.kinematics, len(wavelength), wavelength
        )
        spectrum = likelihood.spectrum(self.point)
        model, continuum, _ = likelihood.with_continuum(spectrum, np.array([0]))
        good = self.good[0]
        level = self.level[0, good]

        def observed(columns, by_flux=flux):
            # ∂flux = −flux ∂τ of the samples, then to the pixels.
            seen = (columns * by_flux) @ operator.T
            seen = seen.toarray() if hasattr(seen, "toarray") else np.asarray(seen)
            return (-seen * continuum)[:, good] / level

        before, lines = (one[0] for one in corrections.lines_at(self.stellar_point))
        profile = corrections.rendering["profile"]
        by_line = [
            observed(line_columns(wavelength, lines[numbers], profile, by_width=by_width))
            for by_width, numbers in ((False, own.strength), (True, own.width))
        ]
        areas = corrections.feature_areas(before[None])[0]
        shapes = corrections.wing_shapes(wavelength) * np.repeat(areas, len(WING_WIDTHS))[:, None]
        common = group_depths(wavelength, lines, groups, corrections.rendering)
        n_free = len(likelihood.free)
        derivatives = self.emulator._flux_jacobian(self.stellar_point)
        _, jacobian = forward.observe_with_derivatives(
            flux, np.moveaxis(derivatives, 0, -1), self.kinematics, likelihood.free
        )
        jacobian = (jacobian[0] * continuum)[:, good] / level
        stellar = jacobian[: likelihood.n_stellar]
        kinematic = jacobian[likelihood.n_stellar :]
        nuisance = [_scaled(kinematic)] if n_free else []
        for where, basis in zip(forward.segment_slices, likelihood.bases, strict=False):
            rows = np.zeros((len(basis), forward.n_pixels))
            rows[:, where] = basis * spectrum[0, where]
            nuisance.append(_scaled(rows[:, good] / level))
        nuisance.append(stellar * self.errors[:, None])
        segment = np.zeros(forward.n_pixels, dtype=int)
        for number, where in enumerate(forward.segment_slices):
            segment[where] = number
        return _binned(
            self._bins(good),
            lines=np.concatenate(by_line),
            groups=observed(common),
            wings=observed(shapes),
            cores=observed(corrections.core_shapes(wavelength, lines), 1.0),
            added=observed(corrections.added_shapes(wavelength)),
            residual=(self.flux - model)[0, good] / level,
            sigma=self.sigma[0, good] / level,
            nuisance=np.concatenate(nuisance),
            stellar=stellar,
            level=continuum[0, good] / level,
            velocity=SPEED_OF_LIGHT * np.log(np.concatenate(forward.centres)[good]),
            segment=segment[good],
        )

    def _bins(self, good):
        """Return the bin of each good pixel: as many pixels as the resolution allows."""
        found, start = np.empty(good.sum(), dtype=int), 0
        widths = [
            self.forward.line_width / SPEED_OF_LIGHT * c.mean() for c in self.forward.centres
        ]
        place = 0
        for where, centres, width in zip(
            self.forward.segment_slices, self.forward.centres, widths, strict=True
        ):
            pixels = np.flatnonzero(good[where])
            step = np.median(np.diff(centres)) if len(centres) > 1 else width
            size = max(1, round(width / (_PIXELS_PER_WIDTH * step)))
            # Pixels of one bin are neighbours, also where some are left out.
            _, number = np.unique(pixels // size, return_inverse=True)
            found[place : place + len(pixels)] = start + number
            place += len(pixels)
            start += len(np.unique(number))
        return found


class _HeldFlux:
    """Emulator of one point: its flux is computed once, and has no slopes.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.
    point : ndarray of shape (1, n_parameters)
        Stellar parameters, which are held.
    """

    def __init__(self, emulator, point):
        self.grid_, self.wavelength_ = emulator.grid_, emulator.wavelength_
        self._held = emulate(emulator, point)

    def predict(self, points):
        """Return the flux, (n_points, n_samples)."""
        return np.repeat(self._held, len(points), axis=0)

    def jacobian(self, points):
        """Return zeros, (n_points, n_samples, n_parameters)."""
        return np.zeros((len(points), len(self.wavelength_), points.shape[1]))


def _binned(bins, *, sigma, segment, **rows):
    """Return equations of bins of pixels, each the mean weighted by the inverse variance."""
    weights = 1.0 / sigma**2
    total = np.bincount(bins, weights)
    mean = csr_array((weights / total[bins], (np.arange(len(bins)), bins)))
    binned = {name: row @ mean for name, row in rows.items()}
    return Equations(
        sigma=1.0 / np.sqrt(total),
        segment=np.rint(segment @ mean).astype(int),
        **binned,
    )


def _scaled(rows):
    """Return rows whose largest value is that of a change without constraint."""
    most = np.abs(rows).max(axis=1, keepdims=True, initial=0.0)
    return _FREE * np.divide(rows, most, out=np.zeros_like(rows), where=most > 0)


def group_depths(wavelength, lines, groups, rendering):
    """Return the optical depth of each group, and its change with ln width, (2 n_groups, n)."""
    n_groups = len(groups.names)
    found = np.zeros((2 * n_groups, len(wavelength)))
    for group in range(n_groups):
        own = lines[groups.number == group]
        if len(own) == 0:
            continue
        moved = np.repeat(own[None], 3, axis=0)
        moved[1, :, 2:] += _STEP
        moved[2, :, 2:] -= _STEP
        transmission = render_dense(wavelength, moved, **rendering)
        depth = -np.log(np.maximum(transmission, np.finfo(float).tiny))
        found[group] = depth[0]
        found[n_groups + group] = (depth[1] - depth[2]) / (2.0 * _STEP)
    return found
