"""Lines as the mesh sees them: a core to sum nearby and a power series far away.

Beyond a few widths every profile is a series in x⁻², ``sum_m far[m] x^(−2−2m)``. Four terms
leave less than 2e-8 of the peak beyond ``RADIUS_PER_SCALE`` times the scale given here.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from skphx.lines.profile import components

# Terms of the far series.
N_TERMS = 4

# Distance, in units of `Part.scale`, beyond which the far series stands for the profile.
RADIUS_PER_SCALE = 6.0

# A Gaussian is summed this many standard deviations far: the rest is below 3e-11 of its peak.
GAUSSIAN_REACH = 7.0

# Kinds of cores, as the kernels number them.
LORENTZIAN, GAUSSIAN, PSEUDO_VOIGT_PRODUCT, VOIGT, VOIGT_PRODUCT = range(5)

# Beyond this depth ln(1 − a V) is too sharp to be interpolated from a mesh.
_SMOOTH_DEPTH = 0.5


@dataclass
class Part:
    """One additive part of the optical depth of all lines.

    Attributes
    ----------
    kind : int
        Which core, one of the numbers above.
    near : tensor of shape (n_lines, 2 to 4)
        Parameters of the core as the kernels take them.
    far : tensor of shape (n_lines, N_TERMS) or None
        Coefficients of x^(−2−2m), Å^(2+2m); None if nothing reaches beyond `reach`.
    scale : ndarray of shape (n_lines,)
        Width that decides from where on the series holds, Å.
    reach : ndarray of shape (n_lines,) or None
        Distance beyond which the core is nothing, Å, for parts without a series.
    step : ndarray of shape (n_lines,)
        Step from which the core can be interpolated, Å.
    depth : ndarray of shape (n_lines,)
        Optical depth at the centre, at most; bounds products.
    """

    kind: int
    near: torch.Tensor
    far: torch.Tensor | None
    scale: np.ndarray | None
    reach: np.ndarray | None
    step: np.ndarray
    depth: np.ndarray


def expand(log_amplitude, log_sigma, log_gamma, profile, transmission):
    """Write lines as parts with a core and a far series.

    Parameters
    ----------
    log_amplitude, log_sigma, log_gamma : tensors of shape (n_lines,), float64
        Logarithms of area and widths, Å.
    profile, transmission : str
        As in `skphx.lines.optical_depth`.

    Returns
    -------
    list of Part
        Their optical depths add up to that of the lines; differentiable.
    """
    amplitude, sigma, gamma = log_amplitude.exp(), log_sigma.exp(), log_gamma.exp()
    if profile == "voigt":
        return [_voigt(amplitude, sigma, gamma, transmission)]
    eta, half, deviation = components(profile, sigma, gamma)
    weight = amplitude * eta * half / math.pi
    square = half * half
    peak = amplitude * (1.0 - eta) / (math.sqrt(2.0 * math.pi) * deviation)
    sharpness = 0.5 / (deviation * deviation)
    signs = [weight * (-square) ** m for m in range(N_TERMS)]
    half, deviation = _host(half), _host(deviation)
    if transmission == "exponential":
        nothing = np.zeros_like(half)
        return [
            Part(
                LORENTZIAN,
                torch.stack([weight, square], 1),
                torch.stack(signs, 1),
                scale=half,
                reach=None,
                step=half / 6.5,
                depth=nothing,
            ),
            Part(
                GAUSSIAN,
                torch.stack([peak, sharpness], 1),
                None,
                scale=None,
                reach=GAUSSIAN_REACH * deviation,
                step=deviation / 4.0,
                depth=nothing,
            ),
        ]
    depth = _host(weight / square + peak)
    # −ln(1 − w / (x² + h²)) has branch points at x² = −h² and w − h².
    scale = np.sqrt(np.maximum(half**2, _host(weight) - half**2))
    step = np.where(depth < _SMOOTH_DEPTH, np.minimum(half / 8.0, deviation / 5.0), 0.0)
    return [
        Part(
            PSEUDO_VOIGT_PRODUCT,
            torch.stack([weight, square, peak, sharpness], 1),
            _minus_log_one_minus(signs),
            # The Gaussian has no series: it must be over.
            scale=np.maximum(scale, 7.5 / RADIUS_PER_SCALE * deviation),
            reach=None,
            step=step,
            depth=depth,
        )
    ]


def _voigt(amplitude, sigma, gamma, transmission):
    """Exact profile: moments of t − i gamma with t normal."""
    s2, g2 = sigma * sigma, gamma * gamma
    weight = amplitude * gamma / math.pi
    series = [
        weight,
        weight * (3.0 * s2 - g2),
        weight * (15.0 * s2**2 - 10.0 * s2 * g2 + g2**2),
        weight * (105.0 * s2**3 - 105.0 * s2**2 * g2 + 21.0 * s2 * g2**2 - g2**3),
    ]
    scale = 1.0 / (math.sqrt(2.0) * sigma)
    near = torch.stack([amplitude * scale / math.sqrt(math.pi), scale, gamma * scale], 1)
    width = _host(g2 + 4.0 * s2)
    step = np.maximum(_host(sigma) / 4.0, _host(gamma) / 6.5)
    if transmission == "exponential":
        nothing = np.zeros_like(step)
        far = torch.stack(series, 1)
        return Part(VOIGT, near, far, np.sqrt(width), None, step, nothing)
    # No Voigt profile is higher than either of its two parts.
    sigma, gamma, area = _host(sigma), _host(gamma), _host(amplitude)
    depth = area / np.maximum(math.sqrt(2.0 * math.pi) * sigma, math.pi * gamma)
    step = np.where(depth < _SMOOTH_DEPTH, step / 1.25, 0.0)
    scale = np.sqrt(np.maximum(width, _host(weight)))
    far = _minus_log_one_minus(series)
    return Part(VOIGT_PRODUCT, near, far, scale, None, step, depth)


def _minus_log_one_minus(series):
    """Series of −ln(1 − P) in y = x⁻² from that of P = c0 y + c1 y² + …, four terms."""
    c0, c1, c2, c3 = series
    return torch.stack(
        [
            c0,
            c1 + c0**2 / 2.0,
            c2 + c0 * c1 + c0**3 / 3.0,
            c3 + c0 * c2 + c1**2 / 2.0 + c0**2 * c1 + c0**4 / 4.0,
        ],
        1,
    )


def _host(value):
    """Return a tensor's values as an array, outside the graph."""
    return value.detach().cpu().numpy()
