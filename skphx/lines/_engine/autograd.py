"""Sums of lines that torch differentiates, in both modes and on every device."""

import warnings

import torch
from torch.autograd import forward_ad
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from skphx.lines._engine.devices import fetch
from skphx.lines._engine.direct import MAX_DEPTH
from skphx.lines._engine.mesh import LineSum
from skphx.lines._engine.plan import window_pixels, window_starts
from skphx.lines._engine.profile import get_profile

# False runs torch's operations on the CPU, too: slower, and equal to rounding.
COMPILED = True

# The direct sum holds about this many (line, pixel) pairs at once.
_BLOCK = 1 << 20


def is_compiled(tensor):
    """Whether sums over a tensor are those over its values in a NumPy array."""
    return COMPILED and tensor.device.type == "cpu"


def unwrap(tensor):
    """Return what the engine takes: a view of the memory of the CPU, or the tensor itself."""
    tensor = tensor.detach()
    return tensor.numpy() if is_compiled(tensor) else tensor


def wrap(array):
    """Return what the engine gives as a tensor."""
    return array if isinstance(array, torch.Tensor) else torch.from_numpy(array)


def sum_lines(wavelength, lines, options):
    """Optical depth of one spectrum, differentiable once in all four line parameters.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,), float64
        Pixel centres, Å, at least two.
    lines : list of four tensors of shape (n_lines,), float64
        Centre, log_area, log_sigma and log_gamma of the lines.
    options : tuple
        Profile, transmission and wing_cut as in `LineSum`.

    Returns
    -------
    tensor of shape (n_pixels,), float64
        Optical depth.
    """
    return _LineSum.apply(wavelength, options, *lines)


class _LineSum(torch.autograd.Function):
    """`LineSum` as torch wants it."""

    @staticmethod
    def forward(ctx, wavelength, options, *lines):
        """Sum all lines at the pixels."""
        ctx.sum = LineSum(wavelength, [unwrap(value) for value in lines], *options)
        return wrap(ctx.sum.forward())

    @staticmethod
    def jvp(ctx, _wavelength, _options, *changes):
        """Change of the sum as the lines move."""
        known = next(change for change in changes if change is not None)
        moves = [torch.zeros_like(known) if each is None else each for each in changes]
        return wrap(ctx.sum.tangent([unwrap(move) for move in moves]))

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        """Gradients of all line parameters."""
        return None, None, *(wrap(each) for each in ctx.sum.adjoint(unwrap(grad)))


def sum_directly(wavelength, lines, options):
    """Plain sum of all lines at all pixels, differentiated by torch alone.

    Parameters
    ----------
    wavelength, lines, options
        As in `sum_lines`; one pixel is enough.

    Returns
    -------
    tensor of shape (n_pixels,), float64
        Optical depth.
    """
    profile, transmission, wing_cut = options
    shape = get_profile(profile)
    pixels = torch.as_tensor(wavelength, device=lines[0].device)
    start = None
    if wing_cut is not None:
        start = window_starts(wavelength, fetch(lines[0]), wing_cut)

    def partial_sum(center, log_area, log_sigma, log_gamma, index):
        at = pixels if index is None else pixels[index]
        sigma, gamma = log_sigma.exp()[:, None], log_gamma.exp()[:, None]
        depth = log_area.exp()[:, None] * shape(at - center[:, None], sigma, gamma)
        if transmission == "product":
            depth = -(-depth.clamp(0.0, MAX_DEPTH)).log1p()
        if index is None:
            return depth.sum(0)
        return torch.zeros_like(pixels).index_add(0, index.reshape(-1), depth.reshape(-1))

    block = max(1, _BLOCK // max(1, len(wavelength) if start is None else wing_cut))
    total = torch.zeros_like(pixels)
    for first in range(0, len(lines[0]), block):
        part = slice(first, first + block)
        index = None
        if start is not None:
            index = torch.as_tensor(window_pixels(start[part], wing_cut), device=pixels.device)
        # Recomputing each block backwards keeps one block in memory, not all.
        total = total + checkpoint(
            partial_sum, *(value[part] for value in lines), index, use_reentrant=False
        )
    return total


class TensorDirectSum:
    """`skphx.lines._engine.direct.DirectSum` for tensors on other devices than the CPU."""

    def __init__(self, wavelength, lines, *options):
        self._wavelength, self._lines, self._options = wavelength, lines, options

    def forward(self):
        """Return the optical depth at the pixels, (n_pixels,)."""
        return sum_directly(self._wavelength, self._lines, self._options)

    def tangent(self, changes):
        """Return how the optical depth changes, (n_pixels,), as all lines move."""
        with warnings.catch_warnings(), forward_ad.dual_level():
            # torch loads its own scripted formulas when the first dual tensor is made.
            warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
            moving = [
                forward_ad.make_dual(value, change)
                for value, change in zip(self._lines, changes, strict=True)
            ]
            depth = sum_directly(self._wavelength, moving, self._options)
            change = forward_ad.unpack_dual(depth).tangent
        return torch.zeros_like(depth) if change is None else change
