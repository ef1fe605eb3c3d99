"""Lines as the mesh sees them: a core to sum nearby and a power series far away.

Beyond a few widths every profile is a series in x⁻², ``sum_m far[m] x^(−2−2m)``. Four terms
leave less than 2e-8 of the peak beyond ``RADIUS_PER_SCALE`` times the scale given here.

`expand` is written for NumPy arrays and torch tensors alike. It is analytic in areas and widths,
so that its derivatives are complex steps [1]_. What only decides how to sum is in `extents`,
which no derivative passes.

References
----------
.. [1] Squire, W. & Trapp, G. 1998, SIAM Rev. 40, 110.
"""

import math
from dataclasses import dataclass

import numpy as np

from skphx.lines._engine.devices import namespace
from skphx.lines._engine.profile import component_slopes, components

# Terms of the far series.
N_TERMS = 4

# Distance, in units of `Extent.scale`, beyond which the far series stands for the profile.
RADIUS_PER_SCALE = 6.0

# A Gaussian is summed this many standard deviations far: the rest is below 3e-11 of its peak.
GAUSSIAN_REACH = 7.0

# Kinds of cores, as the kernels number them.
LORENTZIAN, GAUSSIAN, PSEUDO_VOIGT_PRODUCT, VOIGT, VOIGT_PRODUCT = range(5)

# Beyond this depth ln(1 − a V) is too sharp to be interpolated from a mesh.
_SMOOTH_DEPTH = 0.5

# Its square is below the rounding of 1 by so much that no cancellation can bring it back.
_COMPLEX_STEP = 1e-30


@dataclass
class Extent:
    """How far one additive part of all lines reaches, and how smooth it is.

    Attributes
    ----------
    kind : int
        Which core, one of the numbers above.
    scale : ndarray of shape (n_lines,) or None
        Width that decides from where on the far series holds, Å; None if there is none.
    reach : ndarray of shape (n_lines,) or None
        Distance beyond which the core is nothing, Å, for parts without a series.
    step : ndarray of shape (n_lines,)
        Step from which the core can be interpolated, Å.
    depth : ndarray of shape (n_lines,)
        Optical depth at the centre, at most; bounds products.
    """

    kind: int
    scale: np.ndarray | None
    reach: np.ndarray | None
    step: np.ndarray
    depth: np.ndarray


def extents(logs, profile, transmission):
    """Say of which parts lines consist, and how far these reach.

    Parameters
    ----------
    logs : list of three ndarrays of shape (n_lines,), float64
        log_area, log_sigma and log_gamma: of area and widths, Å.
    profile, transmission : str
        As in `skphx.lines.optical_depth`.

    Returns
    -------
    list of Extent
        In the order of `expand`.
    """
    area, sigma, gamma = (np.exp(value) for value in logs)
    nothing = np.zeros_like(sigma)
    if profile == "voigt":
        width = gamma * gamma + 4.0 * sigma * sigma
        step = np.maximum(sigma / 4.0, gamma / 6.5)
        if transmission == "exponential":
            return [Extent(VOIGT, np.sqrt(width), None, step, nothing)]
        # No Voigt profile is higher than either of its two parts.
        depth = area / np.maximum(math.sqrt(2.0 * math.pi) * sigma, math.pi * gamma)
        step = np.where(depth < _SMOOTH_DEPTH, step / 1.25, 0.0)
        scale = np.sqrt(np.maximum(width, area * gamma / math.pi))
        return [Extent(VOIGT_PRODUCT, scale, None, step, depth)]
    eta, half, deviation = components(profile, sigma, gamma)
    if transmission == "exponential":
        reach = GAUSSIAN_REACH * deviation
        return [
            Extent(LORENTZIAN, half, None, half / 6.5, nothing),
            Extent(GAUSSIAN, None, reach, deviation / 4.0, nothing),
        ]
    weight = area * eta * half / math.pi
    depth = weight / (half * half)
    depth += area * (1.0 - eta) / (math.sqrt(2.0 * math.pi) * deviation)
    # −ln(1 − w / (x² + h²)) has branch points at x² = −h² and w − h².
    scale = np.sqrt(np.maximum(half * half, weight - half * half))
    # The Gaussian has no series: it must be over.
    scale = np.maximum(scale, 7.5 / RADIUS_PER_SCALE * deviation)
    step = np.where(depth < _SMOOTH_DEPTH, np.minimum(half / 8.0, deviation / 5.0), 0.0)
    return [Extent(PSEUDO_VOIGT_PRODUCT, scale, None, step, depth)]


def expand(logs, profile, transmission):
    """Write lines as parts with a core and a far series, whose optical depths add up.

    Parameters
    ----------
    logs : list of three arrays or tensors of shape (n_lines,), float64
        log_area, log_sigma and log_gamma: of area and widths, Å.
    profile, transmission : str
        As in `skphx.lines.optical_depth`.

    Returns
    -------
    near : list of arrays or tensors of shape (n_lines, 2 to 4)
        Parameters of each part's cores as the kernels take them.
    far : list of arrays or tensors of shape (n_lines, N_TERMS), or None
        Coefficients of x^(−2−2m), Å^(2+2m); None where nothing reaches beyond the core.
    """
    xp = namespace(*logs)
    area, sigma, gamma = (xp.exp(value) for value in logs)
    if profile == "voigt":
        return _expand_voigt(area, (sigma, gamma), transmission)
    return _expand_pseudo_voigt(area, components(profile, sigma, gamma), transmission)


def expand_slopes(logs, profile, transmission):
    """Return the derivatives of `expand` with respect to the three logarithms.

    Parameters
    ----------
    logs, profile, transmission
        As in `expand`.

    Returns
    -------
    near : list of lists of three arrays or tensors of shape (n_lines, 2 to 4)
        Derivatives of each part's near parameters.
    far : list of lists of three arrays or tensors of shape (n_lines, N_TERMS), or None
        Derivatives of each part's far coefficients.
    """
    xp = namespace(*logs)
    area, sigma, gamma = (xp.exp(value) for value in logs)
    if profile == "voigt":
        function, shape = _expand_voigt, (sigma, gamma)
        by_sigma, by_gamma = (sigma, 0.0), (0.0, gamma)
    else:
        function, shape = _expand_pseudo_voigt, components(profile, sigma, gamma)
        by_sigma, by_gamma = component_slopes(profile, sigma, gamma)
    step = 1j * _COMPLEX_STEP
    still = (0.0,) * len(shape)
    columns = []
    for by_area, by_shape in ((area, still), (0.0, by_sigma), (0.0, by_gamma)):
        moved = [value + step * change for value, change in zip(shape, by_shape, strict=True)]
        near, far = function(area + step * by_area, moved, transmission)
        columns.append(
            [None if each is None else each.imag / _COMPLEX_STEP for each in (*near, *far)]
        )
    parts = [None if part[0] is None else list(part) for part in zip(*columns, strict=True)]
    return parts[: len(parts) // 2], parts[len(parts) // 2 :]


def _expand_pseudo_voigt(area, shape, transmission):
    """Lorentzian and Gaussian, one part each, or both in one where they multiply."""
    xp = namespace(area)
    eta, half, deviation = shape
    square = half * half
    peak = area * (1.0 - eta) / (math.sqrt(2.0 * math.pi) * deviation)
    sharpness = 0.5 / (deviation * deviation)
    terms = [area * eta * half / math.pi]
    for _ in range(1, N_TERMS):
        terms.append(-terms[-1] * square)
    if transmission == "product":
        near = xp.stack([terms[0], square, peak, sharpness], 1)
        return [near], [xp.stack(_minus_log_one_minus(terms), 1)]
    near = [xp.stack([terms[0], square], 1), xp.stack([peak, sharpness], 1)]
    return near, [xp.stack(terms, 1), None]


def _expand_voigt(area, shape, transmission):
    """Exact profile; its far series are moments of t − i gamma with t normal."""
    xp = namespace(area)
    sigma, gamma = shape
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    near = xp.stack([area * scale / math.sqrt(math.pi), scale, gamma * scale], 1)
    weight = area * gamma / math.pi
    s2, g2 = sigma * sigma, gamma * gamma
    s4, g4 = s2 * s2, g2 * g2
    terms = [
        weight,
        weight * (3.0 * s2 - g2),
        weight * (15.0 * s4 - 10.0 * s2 * g2 + g4),
        weight * (105.0 * s4 * s2 - 105.0 * s4 * g2 + 21.0 * s2 * g4 - g4 * g2),
    ]
    if transmission == "product":
        terms = _minus_log_one_minus(terms)
    return [near], [xp.stack(terms, 1)]


def _minus_log_one_minus(series):
    """Series of −ln(1 − P) in y = x⁻² from that of P = c0 y + c1 y² + …, four terms."""
    c0, c1, c2, c3 = series
    square = c0 * c0
    return [
        c0,
        c1 + square / 2.0,
        c2 + c0 * c1 + square * c0 / 3.0,
        c3 + c0 * c2 + c1 * c1 / 2.0 + square * c1 + square * square / 4.0,
    ]
