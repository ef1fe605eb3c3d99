"""The Faddeeva function for torch, with gradients of any order."""

import math

import torch

from skphx.lines._engine.voigt_slope import faddeeva_slope

# The rules' highest node number; 11 gives 15 digits.
_N = 11
_STEP = math.sqrt(math.pi / (_N + 1))


class _Faddeeva(torch.autograd.Function):
    """w(z) for Im z >= 0, with its derivative."""

    @staticmethod
    def forward(ctx, z):
        """Evaluate by modified trapezoidal rules."""
        w = _evaluate(z.detach())
        ctx.save_for_backward(z)
        ctx.save_for_forward(z)
        return w

    @staticmethod
    def backward(ctx, grad):
        """Holomorphic: the gradient is that of the output times conj(w')."""
        (z,) = ctx.saved_tensors
        return grad * faddeeva_slope(z, faddeeva(z)).conj()

    @staticmethod
    def jvp(ctx, change):
        """Change of w as z changes."""
        (z,) = ctx.saved_tensors
        return change * faddeeva_slope(z, _evaluate(z))


def _evaluate(z):
    """Apply the modified midpoint or trapezium rule, whichever keeps away from its own nodes."""
    x, y = z.real.abs(), z.imag
    phase = x / _STEP - torch.floor(x / _STEP)
    high = y >= math.pi / _STEP
    # The trapezium rule cancels near z = 0, so the midpoint rule serves there as well.
    origin = (x < 0.25 * _STEP) & (y < 0.25 * _STEP)
    midpoint = torch.where(y >= x, high, (phase <= 0.25) | (phase >= 0.75)) | origin
    quadrant = torch.complex(x, y)
    square = quadrant * quadrant
    shift = midpoint.to(x.dtype)
    total = torch.where(midpoint, torch.zeros_like(z), 0.5 / square)
    for k in range(1, _N + 2):
        at = (k - 0.5 * shift) * _STEP
        weight = torch.exp(-at * at)
        if k > _N:
            weight = weight * shift
        total = total + weight / (square - at * at)
    w = (2j * _STEP / math.pi) * quadrant * total
    # Residue of the integrand's pole; from y = pi / step on it is below rounding.
    inside = torch.where(high, torch.ones_like(z), quadrant)
    sign = 2.0 * shift - 1.0
    pole = 2.0 * torch.exp(-inside * inside)
    pole = pole / (1.0 + sign * torch.exp((-2j * math.pi / _STEP) * inside))
    w = w + torch.where(high, torch.zeros_like(w), pole)
    # w(−conj z) = conj w(z).
    return torch.where(z.real < 0, w.conj(), w)


def faddeeva(z):
    """Faddeeva function w(z) = exp(−z²) erfc(−iz) of a complex tensor with Im z >= 0.

    Parameters
    ----------
    z : complex tensor
        Points of the upper half plane, the real axis included.

    Returns
    -------
    complex tensor
        w(z), to about 15 digits.

    References
    ----------
    Al Azah & Chandler-Wilde 2021, SIAM J. Numer. Anal. 59, 2346.
    """
    return _Faddeeva.apply(z)
