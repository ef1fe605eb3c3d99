"""Sum lines without a cut: cores on the pixels, wings on a ladder of coarser meshes.

Beyond a radius R a line is its far series, and inside R a polynomial continues that
smoothly. This smooth part is the same kernel for every line of one R, so that it is spread
on a mesh of step R / 10, convolved by FFT and interpolated; what remains of the line within
R is summed directly. Broad lines take a larger R, a power of two, and a coarser mesh; their
cores are summed on a mesh as well. Splines of one mesh are splines of the next finer one, so
all meshes join on the finest, from which the pixels are read. Every step is linear in what
it takes from the step before, so that the gradient is the same steps backwards.

References
----------
.. [1] Essmann, U. et al. 1995, J. Chem. Phys. 103, 8577 (smooth particle mesh).
"""

from dataclasses import dataclass

import numpy as np
import torch

from skphx.lines import _series, _spline

# Nodes of a mesh on either side of the pixels; even, so that meshes stay aligned.
_MARGIN = 40

# A line further outside than this many steps goes to a coarser mesh, which it reaches.
_OUTSIDE = _MARGIN - _spline.ORDER

# Costs of one node and of one core's target, in the same unit; measured.
_NODE_COST = 60.0
_TARGET_COST = 1.5

_PIXELS = -(1 << 20)

# False runs torch's operations on the CPU, too: slower, and equal to rounding.
COMPILED = True


@dataclass
class Group:
    """Cores of one part that share a radius and are summed at the same targets."""

    part: int
    target: int
    lines: torch.Tensor
    lo: torch.Tensor
    hi: torch.Tensor
    reach: float
    inverse_square: float
    depth: torch.Tensor


@dataclass
class Mesh:
    """One rung of the ladder: nodes at ``origin + step * (0, 1, …, n_nodes − 1)``."""

    level: int
    origin: float
    step: float
    n_nodes: int
    length: int
    spread: list
    groups: list


@dataclass
class Plan:
    """What is summed where, for one spectrum; meshes from coarse to fine."""

    meshes: list
    groups: list
    levels: list
    products: bool


def sum_lines(wavelength, center, log_amplitude, log_sigma, log_gamma, profile, transmission):
    """Optical depth of one spectrum by the mesh.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,), float64
        Pixel centres, Å, at least two.
    center, log_amplitude, log_sigma, log_gamma : tensors of shape (n_lines,), float64
        Lines.
    profile, transmission : str
        As in `skphx.lines.optical_depth`.

    Returns
    -------
    tensor of shape (n_pixels,), float64
        Optical depth, differentiable once in all four line parameters.
    """
    host, (center, *shape) = _sort(center, log_amplitude, log_sigma, log_gamma)
    parts = _series.expand(*shape, profile, transmission)
    plan = make_plan(wavelength, host, parts, center.device)
    return _run(plan, parts, wavelength, center)


def sum_windows(
    wavelength, center, log_amplitude, log_sigma, log_gamma, profile, transmission, wing_cut
):
    """Optical depth of one spectrum with every line cut to a window of pixels.

    Parameters
    ----------
    wavelength, center, log_amplitude, log_sigma, log_gamma, profile, transmission
        As in `sum_lines`.
    wing_cut : int
        Pixels of a window, as in `window_starts`; fewer than there are.

    Returns
    -------
    tensor of shape (n_pixels,), float64
        Optical depth, differentiable once in all four line parameters.
    """
    host, (center, *shape) = _sort(center, log_amplitude, log_sigma, log_gamma)
    parts = _series.expand(*shape, profile, transmission)
    start = window_starts(wavelength, host, wing_cut)
    windows = [(start, start + wing_cut - 1), (start + wing_cut, start + wing_cut + 1)]
    groups = []
    for number, part in enumerate(parts):
        part.far = None
        for lo, hi in windows:
            if part.reach is not None:
                lo = np.maximum(lo, np.searchsorted(wavelength, host - part.reach))
                hi = np.minimum(hi, np.searchsorted(wavelength, host + part.reach, side="right"))
            groups.append(
                _make_group(number, _PIXELS, lo, hi, wavelength, host, part, center.device)
            )
    plan = Plan([], groups, [None] * len(parts), transmission == "product")
    return _run(plan, parts, wavelength, center)


def window_starts(wavelength, center, wing_cut):
    """First pixel of each line's window, as blase chooses it.

    A window holds pixels start … start + wing_cut − 2 and start + wing_cut: blase rounds
    ``linspace(start, start + wing_cut, wing_cut)`` down, which leaves the last but one out.
    Windows that would pass an end are moved inside.
    """
    start = np.searchsorted(wavelength, center) - wing_cut // 2
    return np.clip(start, 0, max(len(wavelength) - 1 - wing_cut, 0))


def _sort(center, *others):
    """Sort lines by centre; return the centres as an array and all as tensors."""
    host = center.detach().cpu().numpy()
    if (np.diff(host) < 0).any():
        order = np.argsort(host, kind="stable")
        host = host[order]
        order = torch.as_tensor(order, device=center.device)
        center, *others = (value[order] for value in (center, *others))
    return host, [center, *others]


def _run(plan, parts, wavelength, center):
    """Sum what the plan says."""
    pixels = torch.as_tensor(wavelength, device=center.device)
    tensors = [tensor for part in parts for tensor in (part.near, part.far)]
    return _LineSum.apply(plan, [part.kind for part in parts], pixels, center, *tensors)


def _log2_ceil(value):
    """Smallest whole k with 2^k >= value; very small values count as 2^-60."""
    return np.ceil(np.log2(np.maximum(value, 2.0**-60))).astype(np.int64)


def make_plan(wavelength, center, parts, device):
    """Decide each line's radius, and where its core is summed.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    center : ndarray of shape (n_lines,)
        Line centres, Å, not falling.
    parts : list of Part
        The lines' parts.
    device : torch.device
        Where the sums will run.

    Returns
    -------
    Plan
        Meshes and groups of lines.
    """
    first, last = float(wavelength[0]), float(wavelength[-1])
    span = last - first
    pixel = span / (len(wavelength) - 1)
    outside = np.maximum(np.maximum(first - center, center - last), 0.0)
    needed = [
        None
        if part.far is None
        else np.maximum(
            _log2_ceil(part.scale * (_series.RADIUS_PER_SCALE / _spline.RADIUS)),
            _log2_ceil(outside / _OUTSIDE),
        )
        for part in parts
    ]
    finest = _choose_finest([each for each in needed if each is not None], span, pixel, wavelength)
    levels = [None if each is None else np.maximum(each, finest) for each in needed]

    pending = {}
    for number, (part, level) in enumerate(zip(parts, levels, strict=True)):
        reach = part.reach if level is None else _spline.RADIUS * 2.0**level
        inside = outside < reach
        target = np.floor(np.log2(np.maximum(part.step, 2.0**-60))).astype(np.int64)
        target = _choose_targets(target, reach, inside, span, pixel)
        bins = _log2_ceil(reach) if level is None else level
        key = (target - _PIXELS) * (1 << 12) + bins + 128
        for one in np.unique(key[inside]):
            lines = np.flatnonzero(inside & (key == one))
            pending.setdefault(int(target[lines[0]]), []).append((number, lines, reach[lines]))

    used = {int(one) for level in levels if level is not None for one in np.unique(level)}
    used |= set(pending) - {_PIXELS}
    meshes = []
    for level in range(max(used, default=0), min(used, default=1) - 1, -1):
        step = 2.0**level
        n_nodes = int(np.ceil(span / step)) + 2 * _MARGIN + 1
        mesh = Mesh(
            level=level,
            origin=first - _MARGIN * step,
            step=step,
            n_nodes=n_nodes,
            length=_fast_length(2 * n_nodes),
            spread=[],
            groups=[],
        )
        for number, own in enumerate(levels):
            if own is not None:
                lines = np.flatnonzero(own == level)
                if len(lines):
                    mesh.spread.append((number, torch.as_tensor(lines, device=device)))
        nodes = mesh.origin + step * np.arange(n_nodes)
        for number, lines, reach in pending.get(level, []):
            mesh.groups.append(
                _near_group(number, level, lines, reach, nodes, center, parts[number], device)
            )
        meshes.append(mesh)
    groups = [
        _near_group(number, _PIXELS, lines, reach, wavelength, center, parts[number], device)
        for number, lines, reach in pending.get(_PIXELS, [])
    ]
    products = any(
        part.kind in (_series.PSEUDO_VOIGT_PRODUCT, _series.VOIGT_PRODUCT) for part in parts
    )
    return Plan(meshes, groups, levels, products)


def _fast_length(n):
    """Length of at least n whose FFT is fast."""
    from scipy.fft import next_fast_len

    return next_fast_len(int(n), real=True)


def _choose_finest(needed, span, pixel, wavelength):
    """Finest level in use: where finer nodes cost more than they save of the cores."""
    if not needed or not any(len(each) for each in needed):
        return 0
    # Never many more nodes than pixels, however narrow the lines.
    lowest = int(np.ceil(np.log2(span / (2.0 * len(wavelength) + 1000.0))))
    needed = np.maximum(np.concatenate(needed), lowest)
    levels, counts = np.unique(needed, return_counts=True)
    costs = []
    for level in levels:
        targets = 2.0 * _spline.RADIUS * 2.0 ** np.maximum(levels, level) / pixel
        nodes = span / 2.0**level + 2 * _MARGIN
        costs.append(_TARGET_COST * (counts * targets).sum() + _NODE_COST * nodes)
    return int(levels[np.argmin(costs)])


def _choose_targets(target, reach, inside, span, pixel):
    """Send cores to meshes where those are coarser than the pixels and it pays."""
    result = np.full_like(target, _PIXELS)
    for level in np.unique(target[inside & (2.0**target > 1.5 * pixel)]):
        lines = inside & (target == level)
        saved = 2.0 * np.minimum(reach[lines], span).sum() * (1.0 / pixel - 2.0 ** -float(level))
        if _TARGET_COST * saved > _NODE_COST * (span / 2.0**level + 2 * _MARGIN):
            result[lines] = level
    return result


def _near_group(number, target, lines, reach, targets, center, part, device):
    """Group lines that share a radius, or a reach: which targets does each core touch."""
    own = center[lines]
    lo = np.searchsorted(targets, own - reach)
    hi = np.searchsorted(targets, own + reach, side="right")
    group = _make_group(number, target, lo, hi, targets, own, part, device, lines)
    if part.far is not None:
        group.inverse_square = float(1.0 / reach[0] ** 2)
    return group


def _make_group(number, target, lo, hi, targets, center, part, device, lines=None):
    """Group lines whose cores touch targets ``lo:hi``; all lines if none are named."""
    if lines is None:
        lines = np.arange(len(center))
    touched = hi > lo
    lines, lo, hi, center = lines[touched], lo[touched], hi[touched], center[touched]
    reach = 0.0
    if len(lines):
        reach = max((center - targets[lo]).max(), (targets[hi - 1] - center).max())

    def send(array):
        return torch.as_tensor(array, device=device)

    return Group(
        part=number,
        target=target,
        lines=send(lines),
        lo=send(lo),
        hi=send(hi),
        # The kernels search by distance: leave room for rounding.
        reach=float(reach) * (1.0 + 1e-9) + 1e-9,
        inverse_square=0.0,
        depth=send(part.depth[lines]),
    )


class _LineSum(torch.autograd.Function):
    """The sum over cores and meshes, and its exact adjoint."""

    @staticmethod
    def forward(ctx, plan, kinds, pixels, center, *tensors):
        """Sum all parts of all lines at the pixels."""
        ctx.plan, ctx.kinds, ctx.pixels = plan, kinds, pixels
        ctx.save_for_backward(center, *tensors)
        kernels = _kernels_for(pixels)
        center = center.detach()
        near, far = _split(tensors)
        weights, inner = _mesh_weights(plan, far)
        coefficients = None
        for mesh in plan.meshes:
            coefficients = _refine(coefficients, mesh, pixels)
            if not mesh.spread and not mesh.groups:
                continue
            kernel, spline = _transforms(mesh.length, pixels.device)
            total = 0.0
            if mesh.spread:
                charge = pixels.new_zeros((_series.N_TERMS, mesh.length))
                for part, lines in mesh.spread:
                    position = (center[lines] - mesh.origin) / mesh.step
                    kernels.spread(position, weights[part][lines], charge)
                total = (kernels.rfft(charge, mesh.length) * kernel).sum(0)
            if mesh.groups:
                nodes = _nodes(mesh, pixels)
                values = pixels.new_zeros(mesh.length)
                _add_cores(kernels, mesh.groups, nodes, center, near, inner, kinds, plan, values)
                total = total + kernels.rfft(values, mesh.length) / spline
            coefficients += kernels.irfft(total, mesh.length)[: mesh.n_nodes]
        depth = torch.zeros_like(pixels)
        _add_cores(kernels, plan.groups, pixels, center, near, inner, kinds, plan, depth)
        if coefficients is not None:
            mesh = plan.meshes[-1]
            kernels.interpolate(pixels, mesh.origin, 1.0 / mesh.step, coefficients, depth)
        return depth

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        """Run the steps of `forward` backwards."""
        plan, kinds, pixels = ctx.plan, ctx.kinds, ctx.pixels
        center, *tensors = ctx.saved_tensors
        kernels = _kernels_for(pixels)
        grad = grad.contiguous()
        near, far = _split(tensors)
        weights, inner = _mesh_weights(plan, far)
        d_center = torch.zeros_like(center)
        d_near = [torch.zeros_like(each) for each in near]
        d_weights = [None if each is None else torch.zeros_like(each) for each in weights]
        state = (near, inner, kinds, d_center, d_near, d_weights)
        _add_core_gradients(kernels, plan.groups, pixels, center, grad, state)
        d_coefficients = None
        for rank, mesh in enumerate(reversed(plan.meshes)):
            if rank == 0:
                d_coefficients = pixels.new_zeros(mesh.n_nodes)
                kernels.interpolate_adjoint(
                    pixels, mesh.origin, 1.0 / mesh.step, grad, d_coefficients
                )
            else:
                d_coefficients = _refine_adjoint(d_coefficients, mesh)
            if not mesh.spread and not mesh.groups:
                continue
            kernel, spline = _transforms(mesh.length, pixels.device)
            transform = kernels.rfft(d_coefficients, mesh.length)
            if mesh.spread:
                potential = kernels.irfft(transform * kernel, mesh.length)
                for part, lines in mesh.spread:
                    position = (center[lines] - mesh.origin) / mesh.step
                    moved, change = kernels.spread_adjoint(
                        position, weights[part][lines], potential
                    )
                    d_center[lines] += moved / mesh.step
                    d_weights[part][lines] += change
            if mesh.groups:
                values = kernels.irfft(transform / spline, mesh.length)[: mesh.n_nodes]
                nodes = _nodes(mesh, pixels)
                _add_core_gradients(kernels, mesh.groups, nodes, center, values, state)
        gradients = []
        for part, level in enumerate(plan.levels):
            gradients.append(d_near[part])
            gradients.append(None if level is None else d_weights[part] * _units(level, center))
        return (None, None, None, d_center, *gradients)


def _kernels_for(tensor):
    """Compiled kernels for the CPU, torch's operations elsewhere."""
    if tensor.device.type == "cpu" and COMPILED:
        from skphx.lines import _kernels_cpu

        return _kernels_cpu
    from skphx.lines import _kernels_torch

    return _kernels_torch


def _split(tensors):
    """Return the parts' near and far tensors, outside the graph."""
    tensors = [None if each is None else each.detach() for each in tensors]
    return tensors[0::2], tensors[1::2]


def _units(level, like):
    """Factors from Å^(2+2m) to steps of each line's mesh, (n_lines, N_TERMS)."""
    powers = -2.0 - 2.0 * torch.arange(_series.N_TERMS, device=like.device, dtype=like.dtype)
    level = torch.as_tensor(level, device=like.device).to(like.dtype)
    return torch.exp2(level[:, None] * powers)


def _mesh_weights(plan, far):
    """Far series in mesh steps, and the polynomials that continue them inside."""
    weights, inner = [], []
    for level, series in zip(plan.levels, far, strict=True):
        if level is None:
            weights.append(None)
            inner.append(None)
            continue
        weight = series * _units(level, series)
        weights.append(weight)
        inner.append(weight @ _inner(series))
    return weights, inner


def _inner(like):
    """Polynomials of the kernels inside the radius, as a tensor beside `like`."""
    return torch.as_tensor(_spline.inner_polynomials(_series.N_TERMS), device=like.device)


def _transforms(length, device):
    """Kernels' and spline's transforms as tensors."""
    kernel, spline = _spline.kernel_transforms(_series.N_TERMS, length)
    return torch.as_tensor(kernel, device=device), torch.as_tensor(spline, device=device)


def _nodes(mesh, like):
    """Positions of the nodes, Å."""
    index = torch.arange(mesh.n_nodes, device=like.device, dtype=like.dtype)
    return mesh.origin + mesh.step * index


def _add_cores(kernels, groups, targets, center, near, inner, kinds, plan, out):
    """Add the cores of all groups to `out`, which may be longer than `targets`."""
    if not groups:
        return
    product = held = None
    if plan.products:
        product = torch.ones_like(targets)
        held = kernels.new_bounds(targets)
    values = out[: len(targets)]
    for group in groups:
        lines = group.lines
        kernels.near_forward(
            kinds[group.part],
            targets,
            center[lines],
            group.reach,
            group.lo,
            group.hi,
            near[group.part][lines],
            None if inner[group.part] is None else inner[group.part][lines],
            group.inverse_square,
            group.depth,
            values,
            product,
            held,
        )
    if product is not None:
        kernels.fold(values, product)


def _add_core_gradients(kernels, groups, targets, center, grad, state):
    """Add the gradients of all groups' cores."""
    near, inner, kinds, d_center, d_near, d_weights = state
    for group in groups:
        part, lines = group.part, group.lines
        moved, change, polynomial = kernels.near_adjoint(
            kinds[part],
            targets,
            center[lines],
            group.lo,
            group.hi,
            near[part][lines],
            None if inner[part] is None else inner[part][lines],
            group.inverse_square,
            grad,
        )
        d_center[lines] += moved
        d_near[part][lines] += change
        if polynomial is not None:
            d_weights[part][lines] += polynomial @ _inner(center).T


def _refine(coefficients, mesh, like):
    """Write a spline of the next coarser mesh on this one: exact, and a stencil of 9."""
    result = like.new_zeros(mesh.n_nodes)
    if coefficients is None:
        return result
    n = len(coefficients)
    weights = _spline.refinement().tolist()
    fine = like.new_zeros(2 * n + _spline.ORDER)
    for k, weight in enumerate(weights):
        fine[k : k + 2 * n : 2] += weight * coefficients
    shift = _MARGIN + _spline.ORDER // 2
    return fine[shift : shift + mesh.n_nodes].clone()


def _refine_adjoint(grad, mesh):
    """Gradients of the coarser mesh from those of the finer one."""
    n = mesh.n_nodes
    shift = _MARGIN + _spline.ORDER // 2
    fine = grad.new_zeros(2 * n + _spline.ORDER)
    fine[shift : shift + len(grad)] = grad
    weights = _spline.refinement().tolist()
    return sum(weight * fine[k : k + 2 * n : 2] for k, weight in enumerate(weights))
