"""Sum lines without a cut: cores on the pixels, wings on a ladder of coarser meshes.

Beyond a radius R a line is its far series, and inside R a polynomial continues that
smoothly. This smooth part is the same kernel for every line of one R, so that it is spread
on a mesh of step R / 12, convolved by FFT and interpolated; what remains of the line within
R is summed directly. Broad lines take a larger R, a power of two, and a coarser mesh; their
cores are summed on a mesh as well. Splines of one mesh are splines of the next finer one, so
all meshes join on the finest, from which the pixels are read. Every step is linear in what
it takes from the step before, so that the gradient is the same steps backwards.

References
----------
.. [1] Essmann, U. et al. 1995, J. Chem. Phys. 103, 8577 (smooth particle mesh).
"""

import numpy as np
import torch

from skphx.lines import _series, _spline
from skphx.lines._plan import MARGIN, PIXELS, Plan, make_group, make_plan, window_starts

# Where node 0 of a mesh lies among those of the next coarser one, split in two.
_REFINE_SHIFT = MARGIN + _spline.ORDER // 2

# False runs torch's operations on the CPU, too: slower, and equal to rounding.
COMPILED = True


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
                make_group(number, PIXELS, lo, hi, wavelength, host, part, center.device)
            )
    plan = Plan([], groups, [None] * len(parts), transmission == "product")
    return _run(plan, parts, wavelength, center)


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


class _LineSum(torch.autograd.Function):
    """The sum over cores and meshes, its exact adjoint, and its tangents."""

    @staticmethod
    def forward(ctx, plan, kinds, pixels, center, *tensors):
        """Sum all parts of all lines at the pixels."""
        ctx.plan, ctx.kinds, ctx.pixels = plan, kinds, pixels
        ctx.save_for_backward(center, *tensors)
        ctx.save_for_forward(center, *tensors)
        kernels = _kernels_for(pixels)
        center = center.detach()
        near, far = _split(tensors)
        weights, inner = _mesh_weights(plan, far)

        def add_charges(mesh, charge):
            for part, lines in mesh.spread:
                position = (center[lines] - mesh.origin) / mesh.step
                kernels.spread(position, weights[part][lines], charge)

        def add_cores(groups, targets, out):
            _add_cores(kernels, groups, targets, center, near, inner, kinds, plan, out)

        return _climb(kernels, plan, pixels, add_charges, add_cores)

    @staticmethod
    def jvp(ctx, _plan, _kinds, _pixels, d_center, *tangents):
        """Change of the sum as the lines move: the steps of `forward`, linearised."""
        plan, kinds, pixels = ctx.plan, ctx.kinds, ctx.pixels
        center, *tensors = ctx.saved_tensors
        kernels = _kernels_for(pixels)
        center = center.detach()
        d_center = torch.zeros_like(center) if d_center is None else d_center.contiguous()
        near, far = _split(tensors)
        tangents = [
            torch.zeros_like(value) if change is None and value is not None else change
            for value, change in zip(
                (*near, *far), (*tangents[0::2], *tangents[1::2]), strict=True
            )
        ]
        d_near, d_far = tangents[: len(near)], tangents[len(near) :]
        weights, inner = _mesh_weights(plan, far)
        d_weights, d_inner = _mesh_weights(plan, d_far)

        def add_charges(mesh, charge):
            for part, lines in mesh.spread:
                position = (center[lines] - mesh.origin) / mesh.step
                kernels.spread_tangent(
                    position,
                    weights[part][lines],
                    d_center[lines] / mesh.step,
                    d_weights[part][lines],
                    charge,
                )

        def add_cores(groups, targets, out):
            for group in groups:
                part, lines = group.part, group.lines
                kernels.near_tangent(
                    kinds[part],
                    targets,
                    center[lines],
                    group.reach,
                    group.lo,
                    group.hi,
                    near[part][lines],
                    None if inner[part] is None else inner[part][lines],
                    group.inverse_square,
                    d_center[lines],
                    d_near[part][lines],
                    None if inner[part] is None else d_inner[part][lines],
                    out[: len(targets)],
                )

        return _climb(kernels, plan, pixels, add_charges, add_cores)

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
                d_coefficients = kernels.refine_adjoint(
                    d_coefficients, mesh.n_nodes, _REFINE_SHIFT
                )
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


def _climb(kernels, plan, pixels, add_charges, add_cores):
    """Fill the meshes from coarse to fine, and read the pixels from the finest."""
    coefficients = None
    for mesh in plan.meshes:
        if coefficients is None:
            coefficients = pixels.new_zeros(mesh.n_nodes)
        else:
            coefficients = kernels.refine(coefficients, mesh.n_nodes, _REFINE_SHIFT)
        if not mesh.spread and not mesh.groups:
            continue
        kernel, spline = _transforms(mesh.length, pixels.device)
        total = 0.0
        if mesh.spread:
            charge = pixels.new_zeros((_series.N_TERMS, mesh.length))
            add_charges(mesh, charge)
            total = kernels.contract(kernels.rfft(charge, mesh.length), kernel)
        if mesh.groups:
            values = pixels.new_zeros(mesh.length)
            add_cores(mesh.groups, _nodes(mesh, pixels), values)
            total = total + kernels.rfft(values, mesh.length) / spline
        coefficients += kernels.irfft(total, mesh.length)[: mesh.n_nodes]
    depth = torch.zeros_like(pixels)
    add_cores(plan.groups, pixels, depth)
    if coefficients is not None:
        mesh = plan.meshes[-1]
        kernels.interpolate(pixels, mesh.origin, 1.0 / mesh.step, coefficients, depth)
    return depth


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
