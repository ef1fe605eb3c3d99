"""The compiled kernels behind the same functions as `_kernels_torch`, for tensors of the CPU."""

import numpy as np
import torch
from scipy import fft

from skphx.lines import _kernels_numba as compiled
from skphx.lines import _spline_numba as splines
from skphx.lines._series import GAUSSIAN
from skphx.lines._spline import N_TAYLOR, ORDER
from skphx.lines._threads import threads

_NOTHING = np.zeros(1)
_LONG_FFT = 20_000


def new_bounds(targets):
    """Return what `near_forward` keeps of each block's product, at first nothing."""
    return targets.new_zeros((len(targets) + compiled.BLOCK - 1) // compiled.BLOCK)


def _polynomials(kind, inner, n_lines):
    """Return polynomials as the kernels index them: zeros where there are none."""
    if inner is not None:
        return inner.numpy()
    return np.zeros((1 if kind == GAUSSIAN else n_lines, N_TAYLOR))


def near_forward(
    kind, targets, center, reach, lo, hi, near, inner, inverse_square, depth, out, product, held
):
    """Add cores to `out`, or multiply them into `product`."""
    with threads(int((hi - lo).sum())):
        compiled.near_forward(
            kind,
            targets.numpy(),
            center.numpy(),
            reach,
            lo.numpy(),
            hi.numpy(),
            near.numpy(),
            _polynomials(kind, inner, len(center)),
            inverse_square,
            depth.numpy(),
            out.numpy(),
            _NOTHING if product is None else product.numpy(),
            _NOTHING if held is None else held.numpy(),
        )


def fold(out, product):
    """Subtract ln(product) from `out`."""
    with threads(10 * len(out)):
        compiled.fold(out.numpy(), product.numpy())


def near_adjoint(kind, targets, center, lo, hi, near, inner, inverse_square, grad):
    """Return gradients of centres, near parameters and polynomials."""
    d_center, d_near = torch.zeros_like(center), torch.zeros_like(near)
    d_inner = None if inner is None else torch.zeros_like(inner)
    with threads(int((hi - lo).sum())):
        compiled.near_adjoint(
            kind,
            targets.numpy(),
            center.numpy(),
            lo.numpy(),
            hi.numpy(),
            near.numpy(),
            _polynomials(kind, inner, len(center)),
            inverse_square,
            grad.numpy(),
            d_center.numpy(),
            d_near.numpy(),
            _polynomials(kind, d_inner, len(center)),
        )
    return d_center, d_near, d_inner


def near_tangent(
    kind,
    targets,
    center,
    reach,
    lo,
    hi,
    near,
    inner,
    inverse_square,
    d_center,
    d_near,
    d_inner,
    out,
):
    """Add to `out` how the cores change along the d_ tensors."""
    with threads(int((hi - lo).sum())):
        compiled.near_tangent(
            kind,
            targets.numpy(),
            center.numpy(),
            reach,
            lo.numpy(),
            hi.numpy(),
            near.numpy(),
            _polynomials(kind, inner, len(center)),
            inverse_square,
            d_center.numpy(),
            d_near.numpy(),
            _polynomials(kind, d_inner, len(center)),
            out.numpy(),
        )


def spread_tangent(position, weight, d_position, d_weight, mesh):
    """Add to the mesh how `spread` changes along the d_ tensors."""
    splines.spread_tangent(
        position.numpy(), weight.numpy(), d_position.numpy(), d_weight.numpy(), mesh.numpy()
    )


def spread(position, weight, mesh):
    """Add weights, (n_lines, n_terms), to a mesh, (n_terms, n_nodes)."""
    splines.spread(position.numpy(), weight.numpy(), mesh.numpy())


def spread_adjoint(position, weight, mesh):
    """Return gradients of positions and weights from those of the mesh."""
    d_position, d_weight = torch.zeros_like(position), torch.zeros_like(weight)
    with threads(20 * weight.numel()):
        splines.spread_adjoint(
            position.numpy(), weight.numpy(), mesh.numpy(), d_position.numpy(), d_weight.numpy()
        )
    return d_position, d_weight


def interpolate(targets, origin, inverse_step, mesh, out):
    """Add the spline with coefficients `mesh` at the targets to `out`."""
    with threads(10 * len(targets)):
        splines.interpolate(targets.numpy(), origin, inverse_step, mesh.numpy(), out.numpy())


def interpolate_adjoint(targets, origin, inverse_step, grad, mesh):
    """Add the gradients of the spline's coefficients to `mesh`."""
    targets, grad, mesh = targets.numpy(), grad.numpy(), mesh.numpy()
    wanted = 8 * torch.get_num_threads() + 1
    edges = np.unique(np.linspace(0, len(targets), wanted).astype(np.int64))
    width = np.diff(targets[np.minimum(edges, len(targets) - 1)]).min() * inverse_step
    if width < 2 * ORDER:
        edges = np.array([0, len(targets)])
    with threads(10 * len(targets)):
        for parity in (0, 1):
            splines.interpolate_adjoint(targets, origin, inverse_step, grad, edges, parity, mesh)


def rfft(array, length):
    """Fourier transform of real rows, padded with zeros to the length."""
    workers = torch.get_num_threads() if array.ndim > 1 and length > _LONG_FFT else 1
    return torch.from_numpy(fft.rfft(array.numpy(), n=length, workers=workers))


def irfft(array, length):
    """Real rows of that length from their Fourier transforms."""
    workers = torch.get_num_threads() if array.ndim > 1 and length > _LONG_FFT else 1
    return torch.from_numpy(fft.irfft(array.numpy(), n=length, workers=workers))


def contract(transforms, kernels):
    """Return the sum over rows of transforms times real kernels."""
    total = torch.empty_like(transforms[0])
    splines.contract(transforms.numpy(), kernels.numpy(), total.numpy())
    return total


def refine(coefficients, n_nodes, shift):
    """Write a spline on nodes half as far apart."""
    fine = coefficients.new_empty(n_nodes)
    splines.refine(coefficients.numpy(), shift, fine.numpy())
    return fine


def refine_adjoint(grad, n_nodes, shift):
    """Return the gradients of the coarser mesh."""
    coarse = grad.new_empty(n_nodes)
    splines.refine_adjoint(grad.numpy(), shift, coarse.numpy())
    return coarse
