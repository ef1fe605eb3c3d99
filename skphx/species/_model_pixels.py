"""Pixels on which spectra of lines are computed, and how they become those of an emulator."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from skphx._domain import FWHM_PER_SIGMA, SPEED_OF_LIGHT

# Pixels of the computed spectra, km/s, unless the emulator's are finer. Spectra of a higher
# resolving power than the second number are those of the star itself.
_STEP, _HIGHEST_RESOLUTION = 1.2, 300_000.0


@dataclass(frozen=True, eq=False)
class ModelPixels:
    """Pixels on which spectra are computed, and how they become those of the emulator.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        The emulator's pixel centres, Å.
    fine : ndarray of shape (n_fine,)
        Those of the computed spectra.
    width : float
        Standard deviation of the emulator's resolution, in fine pixels; 0 is none.
    """

    wavelength: NDArray[np.float64]
    fine: NDArray[np.float64]
    width: float

    @classmethod
    def of_emulator(cls, wavelength, resolution):
        """Choose pixels that are fine enough for the lines of a star.

        Parameters
        ----------
        wavelength : ndarray of shape (n_pixels,)
            The emulator's, Å.
        resolution : float or None
            λ/FWHM of its spectra.

        Returns
        -------
        ModelPixels
            The emulator's own pixels if they serve.
        """
        if len(wavelength) == 1:
            return cls(wavelength, wavelength, 0.0)
        step = np.median(np.diff(np.log(wavelength))) * SPEED_OF_LIGHT
        is_broad = resolution is not None and resolution < _HIGHEST_RESOLUTION
        if step <= _STEP and not is_broad:
            return cls(wavelength, wavelength, 0.0)
        step = min(step, _STEP) / SPEED_OF_LIGHT
        width = 1.0 / resolution / FWHM_PER_SIGMA / step if is_broad else 0.0
        margin = 5.0 * width * step
        low, high = np.log(wavelength[0]) - margin, np.log(wavelength[-1]) + margin
        fine = np.exp(np.linspace(low, high, int(np.ceil((high - low) / step)) + 1))
        return cls(wavelength, fine, width)

    def observe(self, flux):
        """Return spectra on the emulator's pixels, (n_fine,) to (n_pixels,)."""
        if self.fine is self.wavelength:
            return flux
        if self.width > 0:
            flux = gaussian_filter1d(flux, self.width, mode="nearest")
        return np.interp(self.wavelength, self.fine, flux)

    def thinned(self, n_pixels):
        """Return about so many of the pixels, where each stands for itself, or all."""
        if self.fine is not self.wavelength:
            return self, slice(None)
        every = slice(None, None, max(1, len(self.wavelength) // n_pixels))
        some = self.wavelength[every]
        return ModelPixels(some, some, 0.0), every

    def nearest(self, values):
        """Return the value of the emulator's nearest pixel on each computed one, (n_fine,)."""
        if self.fine is self.wavelength:
            return values
        middles = 0.5 * (self.wavelength[1:] + self.wavelength[:-1])
        return values[np.searchsorted(middles, self.fine)]
