"""Errors of the responses to abundances, as errors of the model in the likelihood."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from skphx._domain import SPEED_OF_LIGHT

# Relative errors of a response: common to all lines of an element, and of each line by itself.
# They are those of MOOG's derivatives beside ours, see docs/abundances.md.
_COMMON, _OF_LINE = 0.04, 0.15
# Pixels nearer than this are of one line, km/s.
_WIDTH = 100.0
# Errors of less flux everywhere are left out.
_NEGLIGIBLE = 1e-4


@dataclass(frozen=True, eq=False)
class ResponseError:
    """Errors of the change of the flux that an abundance makes, [X/Fe] ∂flux/∂[X/Fe].

    Parameters
    ----------
    of_lines : object or None
        Other errors of the emulator's lines, which are added.
    """

    of_lines: Any = None

    @property
    def kernels(self):
        """Stationary errors: those of the emulator's lines."""
        return () if self.of_lines is None else self.of_lines.kernels

    def error_spectra(self, emulator, point):
        """Return the errors of the flux of a star.

        Parameters
        ----------
        emulator : AbundanceEmulator
            The emulator, or a part of it.
        point : ndarray of shape (n_parameters,)
            Stellar parameters and abundances.

        Returns
        -------
        independent : ndarray of shape (n_independent, n_pixels)
            One-sigma errors of the flux due to single lines.
        common : ndarray of shape (n_common, n_pixels)
            The same due to all lines of an element.
        """
        points = emulator.grid_.resolve_outside(np.asarray(point)[None], "clip")
        abundances = points[0, emulator.grid_.n_base :]
        changes = emulator._abundance_slopes(points)[:, 0] * abundances[:, None]
        velocity = SPEED_OF_LIGHT * np.log(emulator.wavelength_)
        starts = np.flatnonzero(np.diff(np.floor(velocity / _WIDTH), prepend=-np.inf))
        ends = np.append(starts[1:], len(velocity))
        largest = np.maximum.reduceat(np.abs(changes), starts, axis=1)
        elements, lines = np.nonzero(_OF_LINE * largest > _NEGLIGIBLE)
        independent = np.zeros((len(elements), len(velocity)))
        for row, (element, line) in enumerate(zip(elements, lines, strict=True)):
            where = slice(starts[line], ends[line])
            independent[row, where] = _OF_LINE * changes[element, where]
        common = _COMMON * changes[_COMMON * largest.max(axis=1) > _NEGLIGIBLE]
        if self.of_lines is None:
            return independent, common
        others = self.of_lines.error_spectra(emulator, point)
        return np.concatenate([independent, others[0]]), np.concatenate([common, others[1]])
