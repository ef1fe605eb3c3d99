"""The operations of the line engine in torch: for GPUs, and what the compiled ones must equal.

Cores are summed over a flat list of (line, target) pairs, a bounded number at a time.
"""

import torch

from skphx.lines._engine import series
from skphx.lines._engine.faddeeva import faddeeva
from skphx.lines._engine.spline import N_TAYLOR, ORDER, pieces, refinement

# (line, target) pairs at once, and the share of light a line leaves at least.
_PAIRS = 1 << 22
_SMALLEST = 1e-9


def send(array, like):
    """Bring an array to where `like` is."""
    return torch.as_tensor(array, device=like.device)


def zeros(shape, like):
    """Return zeros of the kind of `like`."""
    return like.new_zeros(shape)


def contiguous(array):
    """Return the values in rows, without gaps."""
    return array.contiguous()


def new_bounds(targets):
    """Return nothing: sums of logarithms need no bounds."""
    return targets.new_zeros(0)


def _pairs(lo, hi):
    """Yield lines and targets of all pairs, a bounded number at a time."""
    counts = (hi - lo).clamp(min=0)
    ends = counts.cumsum(0).cpu()
    first, done = 0, 0
    while first < len(counts):
        last = int(torch.searchsorted(ends, done + _PAIRS, right=True))
        last = max(last, first + 1)
        part = counts[first:last]
        lines = torch.repeat_interleave(torch.arange(first, last, device=lo.device), part)
        begins = part.cumsum(0) - part
        inside = torch.arange(len(lines), device=lo.device) - begins[lines - first]
        yield lines, lo[lines] + inside
        first, done = last, int(ends[last - 1])


def _core(kind, x, near, inner, inverse_square):
    """Optical depth of pairs at distances x, less the polynomial."""
    square = x * x
    if kind == series.GAUSSIAN:
        return near[:, 0] * torch.exp(-near[:, 1] * square)
    if kind in (series.VOIGT, series.VOIGT_PRODUCT):
        z = torch.complex(near[:, 1] * x, near[:, 2])
        depth = near[:, 0] * faddeeva(z).real
    else:
        depth = near[:, 0] / (square + near[:, 1])
        if kind == series.PSEUDO_VOIGT_PRODUCT:
            depth = depth + near[:, 2] * torch.exp(-near[:, 3] * square)
    if kind in (series.PSEUDO_VOIGT_PRODUCT, series.VOIGT_PRODUCT):
        depth = -torch.log1p(-depth.clamp(0.0, 1.0 - _SMALLEST))
    if inner is None:
        return depth
    v = 1.0 - square * inverse_square
    polynomial = inner[:, N_TAYLOR - 1]
    for j in range(N_TAYLOR - 2, -1, -1):
        polynomial = polynomial * v + inner[:, j]
    return depth - polynomial


def near_forward(
    kind, targets, center, reach, lo, hi, near, inner, inverse_square, depth, out, product, held
):
    """Add cores to `out`."""
    for lines, at in _pairs(lo, hi):
        x = targets[at] - center[lines]
        polynomial = None if inner is None else inner[lines]
        out.index_add_(0, at, _core(kind, x, near[lines], polynomial, inverse_square))


def fold(out, product):
    """Do nothing: `near_forward` adds logarithms."""


def near_adjoint(kind, targets, center, lo, hi, near, inner, inverse_square, grad):
    """Return gradients of centres, near parameters and polynomials."""
    has_inner = kind != series.GAUSSIAN and inner is not None
    leaves = [center, near, inner] if has_inner else [center, near]
    totals = [torch.zeros_like(leaf) for leaf in leaves]
    for lines, at in _pairs(lo, hi):
        with torch.enable_grad():
            own = [leaf[lines].requires_grad_() for leaf in leaves]
            core = _core(
                kind,
                targets[at] - own[0],
                own[1],
                own[2] if has_inner else None,
                inverse_square,
            )
            changes = torch.autograd.grad(core, own, grad[at])
        for total, change in zip(totals, changes, strict=True):
            total.index_add_(0, lines, change)
    return (*totals, None) if not has_inner else tuple(totals)


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
    has_inner = kind != series.GAUSSIAN and inner is not None
    primals = [center, near, inner] if has_inner else [center, near]
    tangents = [d_center, d_near, d_inner] if has_inner else [d_center, d_near]
    for lines, at in _pairs(lo, hi):
        own = [leaf[lines].requires_grad_() for leaf in primals]
        with torch.enable_grad():
            polynomial = own[2] if has_inner else None
            core = _core(kind, targets[at] - own[0], own[1], polynomial, inverse_square)
        # Pairs are independent: the slopes of each, times how its line moves.
        slopes = torch.autograd.grad(core.sum(), own)
        change = torch.zeros_like(core)
        for slope, tangent in zip(slopes, tangents, strict=True):
            product = slope * tangent[lines]
            change += product.sum(1) if product.ndim > 1 else product
        out.index_add_(0, at, change.detach())


def spread_tangent(position, weight, d_position, d_weight, mesh):
    """Add to the mesh how `spread` changes along the d_ tensors."""
    nodes, value, slope = _weights(position)
    change = d_weight.T[:, :, None] * value + (weight * d_position[:, None]).T[:, :, None] * slope
    mesh.index_add_(1, nodes.reshape(-1), change.reshape(len(mesh), -1))


def _weights(position):
    """First node, and B-spline weights and their slopes, of points on a mesh."""
    cell = torch.floor(position)
    t = position - cell
    table = torch.as_tensor(pieces(), device=position.device)
    powers = t[:, None] ** torch.arange(ORDER, device=position.device)
    slopes = table[:, 1:] * torch.arange(1, ORDER, device=position.device)
    nodes = cell.long()[:, None] + torch.arange(ORDER, device=position.device) - (ORDER // 2 - 1)
    return nodes, powers @ table.T, powers[:, :-1] @ slopes.T


def spread(position, weight, mesh):
    """Add weights, (n_lines, n_terms), to a mesh, (n_terms, n_nodes)."""
    nodes, value, _ = _weights(position)
    charge = weight.T[:, :, None] * value[None]
    mesh.index_add_(1, nodes.reshape(-1), charge.reshape(len(mesh), -1))


def spread_adjoint(position, weight, mesh):
    """Return gradients of positions and weights from those of the mesh."""
    nodes, value, slope = _weights(position)
    around = mesh[:, nodes]
    d_weight = (around * value).sum(2).T.contiguous()
    return ((around * slope).sum(2).T * weight).sum(1), d_weight


def interpolate(targets, origin, inverse_step, mesh, out):
    """Add the spline with coefficients `mesh` at the targets to `out`."""
    for part in torch.arange(len(targets), device=targets.device).split(_PAIRS // ORDER):
        nodes, value, _ = _weights((targets[part] - origin) * inverse_step)
        out[part] += (mesh[nodes] * value).sum(1)


def interpolate_adjoint(targets, origin, inverse_step, grad, mesh):
    """Add the gradients of the spline's coefficients to `mesh`."""
    for part in torch.arange(len(targets), device=targets.device).split(_PAIRS // ORDER):
        nodes, value, _ = _weights((targets[part] - origin) * inverse_step)
        mesh.index_add_(0, nodes.reshape(-1), (value * grad[part, None]).reshape(-1))


def rfft(array, length):
    """Fourier transform of real rows, padded with zeros to the length."""
    return torch.fft.rfft(array, n=length)


def irfft(array, length):
    """Real rows of that length from their Fourier transforms."""
    return torch.fft.irfft(array, n=length)


def contract(transforms, kernels):
    """Return the sum over rows of transforms times real kernels."""
    return (transforms * kernels).sum(0)


def refine(coefficients, n_nodes, shift):
    """Write a spline on nodes half as far apart."""
    n = len(coefficients)
    fine = coefficients.new_zeros(2 * n + ORDER)
    for k, weight in enumerate(refinement().tolist()):
        fine[k : k + 2 * n : 2] += weight * coefficients
    return fine[shift : shift + n_nodes].clone()


def refine_adjoint(grad, n_nodes, shift):
    """Return the gradients of the coarser mesh."""
    fine = grad.new_zeros(2 * n_nodes + ORDER)
    fine[shift : shift + len(grad)] = grad
    weights = refinement().tolist()
    return sum(weight * fine[k : k + 2 * n_nodes : 2] for k, weight in enumerate(weights))
