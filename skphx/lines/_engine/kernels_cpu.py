"""The compiled kernels behind the same functions as `kernels_torch`, for NumPy arrays."""

import numpy as np
from scipy import fft

from skphx.lines._engine import kernels_numba as compiled
from skphx.lines._engine import spline_numba as splines
from skphx.lines._engine.series import GAUSSIAN
from skphx.lines._engine.spline import N_TAYLOR, ORDER
from skphx.lines._engine.threads import count_threads, threads

_NOTHING = np.zeros(1)
_LONG_FFT = 20_000


def send(array, like):
    """Return the array, as it is where `like` is."""
    return array


def zeros(shape, like):
    """Return float64 zeros."""
    return np.zeros(shape)


def contiguous(array):
    """Return the values in rows, without gaps, which the kernels are compiled for."""
    return np.ascontiguousarray(array)


def new_bounds(targets):
    """Return what `near_forward` keeps of each block's product, at first nothing."""
    return np.zeros((len(targets) + compiled.BLOCK - 1) // compiled.BLOCK)


def _polynomials(kind, inner, n_lines):
    """Return polynomials as the kernels index them: zeros where there are none."""
    if inner is not None:
        return inner
    return np.zeros((1 if kind == GAUSSIAN else n_lines, N_TAYLOR))


def near_forward(
    kind, targets, center, reach, lo, hi, near, inner, inverse_square, depth, out, product, held
):
    """Add cores to `out`, or multiply them into `product`."""
    with threads(int((hi - lo).sum())):
        compiled.near_forward(
            kind,
            targets,
            center,
            reach,
            lo,
            hi,
            near,
            _polynomials(kind, inner, len(center)),
            inverse_square,
            depth,
            out,
            _NOTHING if product is None else product,
            _NOTHING if held is None else held,
        )


def fold(out, product):
    """Subtract ln(product) from `out`."""
    with threads(10 * len(out)):
        compiled.fold(out, product)


def near_adjoint(kind, targets, center, lo, hi, near, inner, inverse_square, grad):
    """Return gradients of centres, near parameters and polynomials."""
    d_center, d_near = np.zeros_like(center), np.zeros_like(near)
    d_inner = None if inner is None else np.zeros_like(inner)
    with threads(int((hi - lo).sum())):
        compiled.near_adjoint(
            kind,
            targets,
            center,
            lo,
            hi,
            near,
            _polynomials(kind, inner, len(center)),
            inverse_square,
            grad,
            d_center,
            d_near,
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
    """Add to `out` how the cores change along the d_ arrays."""
    with threads(int((hi - lo).sum())):
        compiled.near_tangent(
            kind,
            targets,
            center,
            reach,
            lo,
            hi,
            near,
            _polynomials(kind, inner, len(center)),
            inverse_square,
            d_center,
            d_near,
            _polynomials(kind, d_inner, len(center)),
            out,
        )


def spread_tangent(position, weight, d_position, d_weight, mesh):
    """Add to the mesh how `spread` changes along the d_ arrays."""
    splines.spread_tangent(position, weight, d_position, d_weight, mesh)


def spread(position, weight, mesh):
    """Add weights, (n_lines, n_terms), to a mesh, (n_terms, n_nodes)."""
    splines.spread(position, weight, mesh)


def spread_adjoint(position, weight, mesh):
    """Return gradients of positions and weights from those of the mesh."""
    d_position, d_weight = np.zeros_like(position), np.zeros_like(weight)
    with threads(20 * weight.size):
        splines.spread_adjoint(position, weight, mesh, d_position, d_weight)
    return d_position, d_weight


def interpolate(targets, origin, inverse_step, mesh, out):
    """Add the spline with coefficients `mesh` at the targets to `out`."""
    with threads(10 * len(targets)):
        splines.interpolate(targets, origin, inverse_step, mesh, out)


def interpolate_adjoint(targets, origin, inverse_step, grad, mesh):
    """Add the gradients of the spline's coefficients to `mesh`."""
    wanted = 8 * count_threads() + 1
    edges = np.unique(np.linspace(0, len(targets), wanted).astype(np.int64))
    width = np.diff(targets[np.minimum(edges, len(targets) - 1)]).min() * inverse_step
    if width < 2 * ORDER:
        edges = np.array([0, len(targets)])
    with threads(10 * len(targets)):
        for parity in (0, 1):
            splines.interpolate_adjoint(targets, origin, inverse_step, grad, edges, parity, mesh)


def rfft(array, length):
    """Fourier transform of real rows, padded with zeros to the length."""
    return fft.rfft(array, n=length, workers=_workers(array, length))


def irfft(array, length):
    """Real rows of that length from their Fourier transforms."""
    return fft.irfft(array, n=length, workers=_workers(array, length))


def _workers(array, length):
    """Threads for the transforms of several long rows."""
    return count_threads() if array.ndim > 1 and length > _LONG_FFT else 1


def contract(transforms, kernels):
    """Return the sum over rows of transforms times real kernels."""
    total = np.empty_like(transforms[0])
    splines.contract(transforms, kernels, total)
    return total


def refine(coefficients, n_nodes, shift):
    """Write a spline on nodes half as far apart."""
    fine = np.empty(n_nodes)
    splines.refine(coefficients, shift, fine)
    return fine


def refine_adjoint(grad, n_nodes, shift):
    """Return the gradients of the coarser mesh."""
    coarse = np.empty(n_nodes)
    splines.refine_adjoint(grad, shift, coarse)
    return coarse
