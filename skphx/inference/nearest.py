"""Spectra on the emulator's own pixels: distance to the emulated spectrum, and its descent."""

import numpy as np

from skphx.inference._emulation import differences, emulate, emulate_with_jacobian
from skphx.inference.refinement import refine

# Numbers held at once: searches are refined in blocks of so many derivatives.
_BLOCK_SIZE = 4_000_000
# A squared error of a pixel below which a noise-free fit is as good as rounding.
_ROUNDING = 1e-16


class NearestSpectra:
    """Sums of squares between spectra and an emulator, in the emulator's pixel space.

    Where the emulator's cloner starts with steps that need Teff, a spectrum is normalised
    with the Teff of the point that it is compared with.

    Parameters
    ----------
    emulator : estimator
        Fitted; with ``predict``, ``normalize``, ``grid_`` and, if it has one, ``jacobian``.
    spectra : ndarray of shape (n_spectra, n_pixels)
        Observed flux, as the emulator was fitted on.
    sigma : ndarray of shape (n_spectra, n_pixels) or None
        Standard errors of the flux; None weighs all pixels alike.
    priors : ndarray of shape (n_spectra, n_parameters, 2) or None
        Mean and standard deviation of each parameter; NaN where there is none.
    normalizer : estimator or None
        Whose ``normalize`` is used; None is the emulator's own.
    """

    def __init__(self, emulator, spectra, sigma=None, priors=None, *, normalizer=None):
        self.emulator = emulator
        self.normalizer = emulator if normalizer is None else normalizer
        self.spectra = spectra
        self.sigma = sigma
        self.priors = priors
        self._normalises = not np.array_equal(
            self.normalizer.normalize(spectra[:1], emulator.grid_.nodes[:1]), spectra[:1]
        )

    def _observed(self, points, rows):
        """Spectra `rows` as the emulator would emulate them at points."""
        if not self._normalises:
            return self.spectra[rows]
        inside = self.emulator.grid_.resolve_outside(points, "clip")
        return self.normalizer.normalize(self.spectra[rows], inside)

    def _weights(self, points, rows, observed):
        """One over the standard error of the normalised flux."""
        if self.sigma is None:
            return None
        if not self._normalises:
            return 1.0 / self.sigma[rows]
        # Normalising divides: errors scale as the flux does.
        with np.errstate(divide="ignore", invalid="ignore"):
            scale = np.where(self.spectra[rows] != 0, observed / self.spectra[rows], np.nan)
        scale = np.where(np.isfinite(scale), scale, np.nanmedian(scale, axis=1, keepdims=True))
        return 1.0 / (self.sigma[rows] * np.abs(scale))

    def cost(self, row, points, emulated=None):
        """Sum of squares of one spectrum at many points.

        Parameters
        ----------
        row : int
            The spectrum.
        points : ndarray of shape (n_points, n_parameters)
            Stellar parameters.
        emulated : ndarray of shape (n_points, n_pixels) or None
            Flux emulated there; None emulates it.

        Returns
        -------
        ndarray of shape (n_points,)
            Sums of squares, with priors.
        """
        emulated = emulate(self.emulator, points) if emulated is None else emulated
        rows = np.full(len(points), row)
        if self._normalises:
            observed = self._observed(points, rows)
            weights = self._weights(points, rows, observed)
        else:
            observed, weights = self.spectra[row], None
            weights = None if self.sigma is None else 1.0 / self.sigma[row]
        residual = emulated - observed
        if weights is not None:
            residual *= weights
        cost = np.einsum("ij,ij->i", residual, residual)
        if self.priors is None:
            return cost
        pulls = (points - self.priors[row, :, 0]) / self.priors[row, :, 1]
        return cost + np.nansum(pulls**2, axis=1)

    def evaluate(self, points, rows):
        """Sum of squares and its derivatives, as :func:`refine` takes them.

        Parameters
        ----------
        points : ndarray of shape (n, n_parameters)
            Stellar parameters.
        rows : ndarray of shape (n,), int
            Spectrum of each.

        Returns
        -------
        tuple of ndarray
            Cost (n,), half its gradient (n, n_parameters), half its curvature in the
            approximation of Gauss and Newton (n, n_parameters, n_parameters).
        """
        flux, jacobian = emulate_with_jacobian(self.emulator, points)
        observed = self._observed(points, rows)
        if self._normalises:
            jacobian -= differences(
                lambda at: self._observed(at, rows), points, self.emulator.grid_.bounds, observed
            )
        residual = flux - observed
        weights = self._weights(points, rows, observed)
        if weights is not None:
            residual *= weights
            jacobian = jacobian * weights[..., None]
        cost = np.einsum("ij,ij->i", residual, residual)
        transposed = np.swapaxes(jacobian, 1, 2)
        gradient = np.matmul(transposed, residual[..., None])[..., 0]
        curvature = np.matmul(transposed, jacobian)
        return add_priors(cost, gradient, curvature, points, self.priors, rows)

    def refine(self, boxes, starts, rows, tolerance):
        """Follow starts to the bottom.

        Parameters
        ----------
        boxes : ndarray of shape (n_starts, n_parameters, 2)
            Box of each start.
        starts : ndarray of shape (n_starts, n_parameters)
            Where to begin.
        rows : ndarray of shape (n_starts,), int
            Spectrum of each start.
        tolerance : float
            Part of the cost that another step must gain to be taken.

        Returns
        -------
        points : ndarray of shape (n_starts, n_parameters)
            Where the searches ended.
        cost : ndarray of shape (n_starts,)
            Sums of squares there.
        n_evaluations : ndarray of shape (n_starts,), int
            Points evaluated.
        """
        n_pixels, n_parameters = self.spectra.shape[1], starts.shape[1]
        block = max(1, _BLOCK_SIZE // (n_pixels * (n_parameters + 1)))
        ends = []
        for first in range(0, len(starts), block):
            part = slice(first, first + block)
            members = rows[part]
            ends.append(
                refine(
                    lambda points, local, members=members: self.evaluate(points, members[local]),
                    boxes[part],
                    starts[part],
                    tolerance=tolerance,
                    floor=n_pixels * _ROUNDING,
                )
            )
        return tuple(
            np.concatenate([getattr(end, name) for end in ends])
            for name in ("points", "cost", "n_evaluations")
        )


def add_priors(cost, gradient, curvature, points, priors, rows):
    """Add Gaussian priors to a sum of squares and its derivatives.

    Parameters
    ----------
    cost, gradient, curvature : ndarray
        As :func:`refine` takes them; changed in place.
    points : ndarray of shape (n, n_parameters)
        Where they were evaluated.
    priors : ndarray of shape (n_spectra, n_parameters, 2) or None
        Mean and standard deviation; NaN where there is none.
    rows : ndarray of shape (n,), int
        Spectrum of each point.

    Returns
    -------
    tuple of ndarray
        The three.
    """
    if priors is not None:
        mean, sd = np.moveaxis(priors[rows], 2, 0)
        known = np.isfinite(mean) & np.isfinite(sd)
        weight = np.where(known, 1.0 / np.where(known, sd, 1.0) ** 2, 0.0)
        away = np.where(known, points - mean, 0.0)
        cost += (weight * away**2).sum(axis=1)
        gradient += weight * away
        diagonal = np.arange(points.shape[1])
        curvature[:, diagonal, diagonal] += weight
    return cost, gradient, curvature
