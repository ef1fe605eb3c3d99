"""Errors of the models that calibration leaves: of single lines, of all alike, and of the flux."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skphx.calibration._corrections import LineCorrections
from skphx.calibration._features import LineGroups
from skphx.calibration._operator import line_columns
from skphx.calibration._reference_star import group_depths

# Errors of the flux below this are left out.
_NEGLIGIBLE = 2e-4


@dataclass(frozen=True, eq=False)
class LineModelError:
    """One-sigma errors of a calibrated emulator, which differ from star to star.

    Parameters
    ----------
    corrections : LineCorrections
        The lines, with their corrections.
    groups : LineGroups
        Lines of one species.
    lines : ndarray of shape (2, n_lines)
        Standard errors of ln strength and of ln width of each line.
    common : ndarray of shape (2, n_groups)
        The same of all lines of a group together.
    wings : ndarray of shape (n_features, 3)
        Standard errors of the wings of strong lines, in units of the line's own area.
    cores : ndarray of shape (n_features · n_cores,)
        Standard errors of the flux (continuum 1) in the cores of strong lines, where the line is
        saturated; they fall with the square of its depth.
    kernels : tuple of (float, float)
        Amplitude (continuum 1) and length (km/s) of the errors of the flux: their covariance
        is amplitude² exp(−|Δv|/length).
    """

    corrections: LineCorrections
    groups: LineGroups
    lines: NDArray[np.float64]
    common: NDArray[np.float64]
    wings: NDArray[np.float64]
    cores: NDArray[np.float64]
    kernels: tuple[tuple[float, float], ...] = field(default=())

    def error_spectra(self, emulator, point):
        """Return the errors of the flux of a star.

        Parameters
        ----------
        emulator : CalibratedEmulator
            The emulator, or a part of it.
        point : ndarray of shape (n_parameters,)
            Stellar parameters.

        Returns
        -------
        independent : ndarray of shape (n_independent, n_pixels)
            One-sigma errors of the flux due to single lines, and in cores of strong ones; those
            below 2e-4 are left out.
        common : ndarray of shape (n_common, n_pixels)
            The same due to groups and wings.
        """
        points = emulator.grid_.resolve_outside(np.asarray(point)[None], "clip")
        wavelength = emulator.wavelength_
        flux = emulator._flux(points)[0]
        before, lines = (one[0] for one in self.corrections.lines_at(points))
        profile = self.corrections.rendering["profile"]
        independent = []
        for errors, by_width in zip(self.lines, (False, True), strict=True):
            seen = np.flatnonzero(errors > 0)
            columns = line_columns(wavelength, lines[seen], profile, by_width=by_width)
            change = (columns * flux).multiply(errors[seen][:, None]).tocsr()
            large = abs(change).max(axis=1).toarray().ravel() > _NEGLIGIBLE
            independent.append(-change[large].toarray())
        if len(self.cores):
            shapes = self.corrections.core_shapes(wavelength, lines)
            cores = shapes.multiply(self.cores[:, None]).tocsr()
            independent.append(cores[cores.max(axis=1).toarray().ravel() > _NEGLIGIBLE].toarray())
        depths = group_depths(wavelength, lines, self.groups, self.corrections.rendering)
        shapes = self.corrections.wing_shapes(wavelength)
        areas = self.corrections.feature_areas(before[None])[0]
        common = np.concatenate(
            [
                depths * self.common.reshape(-1)[:, None],
                shapes * (areas[:, None] * self.wings).reshape(-1)[:, None],
            ]
        )
        common = -common * flux
        return np.concatenate(independent), common[np.abs(common).max(axis=1) > _NEGLIGIBLE]
