"""The plain sum of all lines at all pixels, and how it changes: the reference of the mesh."""

from functools import cached_property

import numpy as np
from scipy.special import wofz

from skphx.lines._engine.plan import window_pixels, window_starts
from skphx.lines._engine.profile import get_profile
from skphx.lines._engine.series import expand, expand_slopes
from skphx.lines._engine.voigt_slope import faddeeva_slope

# A single line of a product takes away at most this share of the light.
MAX_DEPTH = 1.0 - 1e-9

# About so many (line, pixel) pairs at once: their arrays stay in the second cache.
_BLOCK = 1 << 14


class DirectSum:
    """Optical depth of one spectrum, and how it changes with its lines.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,), float64
        Pixel centres, Å.
    lines : list of four ndarrays of shape (n_lines,), float64
        Centre, log_area, log_sigma and log_gamma of the lines.
    profile, transmission : str
        As in `skphx.lines.optical_depth`.
    wing_cut : int or None
        Pixels to which every line is cut, as in `window_starts`; None for no cut.
    """

    def __init__(self, wavelength, lines, profile, transmission, wing_cut=None):
        self._wavelength, self._lines = wavelength, lines
        self._profile, self._transmission = profile, transmission
        self._wing_cut = wing_cut

    def forward(self):
        """Return the optical depth at the pixels, (n_pixels,)."""
        shape = get_profile(self._profile)
        _, *logs = self._lines

        def depth(part, x):
            area, sigma, gamma = (np.exp(value[part])[:, None] for value in logs)
            absorbed = area * shape(x, sigma, gamma)
            if self._transmission == "exponential":
                return absorbed
            return -np.log1p(-np.clip(absorbed, 0.0, MAX_DEPTH))

        return self._sum(depth)

    def tangent(self, changes):
        """Return how the optical depth changes, (n_pixels,), as all lines move.

        `changes` are four arrays of shape (n_lines,): those of centre, log_area,
        log_sigma and log_gamma.
        """
        d_center, *d_logs = changes
        near, slopes = self._cores
        d_near = sum(change[:, None] * slope for change, slope in zip(d_logs, slopes, strict=True))
        core = _voigt_tangent if self._profile == "voigt" else _pseudo_voigt_tangent

        def change(part, x):
            columns = (array[part].T[..., None] for array in (near, d_near))
            absorbed, moved = core(x, d_center[part, None], *columns)
            if self._transmission == "exponential":
                return moved
            # Where a line takes all light that it may, nothing changes.
            left = 1.0 - absorbed
            return np.where(absorbed <= MAX_DEPTH, moved / np.maximum(left, 1e-9), 0.0)

        return self._sum(change)

    @cached_property
    def _cores(self):
        """Parameters of each line's core, and their derivatives by the three logarithms."""
        _, *logs = self._lines
        # All parameters are in one array where lines multiply.
        (near,), _ = expand(logs, self._profile, "product")
        (slopes,), _ = expand_slopes(logs, self._profile, "product")
        return near, slopes

    def _sum(self, function):
        """Add up a function of some lines and distances, (lines, pixels), over all lines."""
        wavelength, center = self._wavelength, self._lines[0]
        total = np.zeros(len(wavelength))
        reached = len(wavelength)
        if self._wing_cut is not None:
            reached = self._wing_cut
            start = window_starts(wavelength, center, reached)
        block = max(1, _BLOCK // max(1, reached))
        for first in range(0, len(center), block):
            part = slice(first, first + block)
            if self._wing_cut is None:
                total += function(part, wavelength - center[part, None]).sum(0)
            else:
                pixels = window_pixels(start[part], reached)
                values = function(part, wavelength[pixels] - center[part, None])
                total += np.bincount(pixels.ravel(), values.ravel(), len(total))
        return total


def _pseudo_voigt_tangent(x, d_center, near, d_near):
    """Lorentzian and Gaussian at distances x, and how their sum changes."""
    weight, square, peak, sharpness = near
    d_weight, d_square, d_peak, d_sharpness = d_near
    inverse = 1.0 / (x * x + square)
    gaussian = np.exp(-sharpness * x * x)
    change = inverse * (d_weight + weight * inverse * (2.0 * x * d_center - d_square))
    change += gaussian * (d_peak + peak * x * (2.0 * sharpness * d_center - d_sharpness * x))
    return weight * inverse + peak * gaussian, change


def _voigt_tangent(x, d_center, near, d_near):
    """Exact profile at distances x, and how it changes."""
    peak, scale, height = near
    d_peak, d_scale, d_height = d_near
    z = scale * x + 1j * height
    w = wofz(z)
    moved = d_scale * x - scale * d_center + 1j * d_height
    return peak * w.real, d_peak * w.real + peak * (faddeeva_slope(z, w) * moved).real
