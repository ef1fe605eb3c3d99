"""Flux over the continuum, of lines whose opacity over that of the continuum is known."""

import math

import numpy as np
from numba import njit

from skphx.species._atmosphere import LOG_DEPTH

# Cosines of rays and their weights, of Gauss and Legendre.
_POSITIONS, _WEIGHTS = np.polynomial.legendre.leggauss(3)
_COSINES = 0.5 * (1.0 + _POSITIONS)
_DEPTH = 10.0**LOG_DEPTH
_STEP = math.log(10.0) * (LOG_DEPTH[1] - LOG_DEPTH[0])
# Light that is left where the integration ends.
_NO_LIGHT = 1e-9


def emergent_flux(opacity, source):
    """Return the flux of lines over that of the continuum.

    The source function is linear in optical depth between depths; scattering is neglected.

    Parameters
    ----------
    opacity : ndarray of shape (n_pixels, n_depths)
        Opacity of the lines over that of the continuum.
    source : ndarray of shape (n_depths,)
        Source function, in any unit.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Flux, 1 without lines.

    References
    ----------
    Gray (2005), The Observation and Analysis of Stellar Photospheres, chapter 7.
    """
    flux = np.empty(len(opacity))
    none = np.empty(1)
    _integrate(np.zeros((1, len(source))), source, _DEPTH, _STEP, _COSINES, _WEIGHTS, none)
    _integrate(opacity, source, _DEPTH, _STEP, _COSINES, _WEIGHTS, flux)
    return flux / none[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _integrate(opacity, source, depth, step, cosines, weights, flux):
    """Integrate the intensity of each ray from the surface down, and sum the rays."""
    n_depths = len(source)
    for pixel in range(len(opacity)):
        total = 0.0
        for ray in range(len(cosines)):
            cosine = cosines[ray]
            above = (1.0 + opacity[pixel, 0]) * depth[0]
            light = math.exp(-above / cosine)
            intensity = source[0] * (1.0 - light)
            for k in range(1, n_depths):
                here = (1.0 + opacity[pixel, k]) * depth[k]
                thickness = 0.5 * step * (above + here) / cosine
                above = here
                left = light * math.exp(-thickness)
                slope = (source[k] - source[k - 1]) / thickness
                intensity += source[k - 1] * light - source[k] * left + slope * (light - left)
                light = left
                if light < _NO_LIGHT:
                    break
            intensity += source[n_depths - 1] * light
            total += weights[ray] * cosine * intensity
        flux[pixel] = total
