"""Sum lines without a cut: cores on the pixels, wings on a ladder of coarser meshes.

Beyond a radius R a line is its far series, and inside R a polynomial continues that
smoothly. This smooth part is the same kernel for every line of one R, so that it is spread
on a mesh of step R / 12, convolved by FFT and interpolated; what remains of the line within
R is summed directly. Broad lines take a larger R, a power of two, and a coarser mesh; their
cores are summed on a mesh as well. Splines of one mesh are splines of the next finer one, so
all meshes join on the finest, from which the pixels are read. Every step is linear in what
it takes from the step before, so that the gradient is the same steps backwards.

Everything here is written for NumPy arrays and torch tensors alike: what differs is in
`kernels_cpu` and `kernels_torch`.

References
----------
.. [1] Essmann, U. et al. 1995, J. Chem. Phys. 103, 8577 (smooth particle mesh).
"""

from functools import cached_property, partial

import numpy as np

from skphx.lines._engine import series, spline
from skphx.lines._engine.devices import fetch, is_tensor
from skphx.lines._engine.plan import MARGIN, make_plan, plan_windows

# Where node 0 of a mesh lies among those of the next coarser one, split in two.
_REFINE_SHIFT = MARGIN + spline.ORDER // 2


class LineSum:
    """Optical depth of one spectrum, how it changes with its lines, and its gradients.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,), float64
        Pixel centres, Å, at least two.
    lines : list of four arrays or tensors of shape (n_lines,), float64
        Centre, log_area, log_sigma and log_gamma of the lines, outside any graph.
    profile, transmission : str
        As in `skphx.lines.optical_depth`.
    wing_cut : int or None
        Pixels to which every line is cut, as in `window_starts`, fewer than there are; None
        for no cut, which takes the mesh.

    Notes
    -----
    `forward`, `tangent` and `adjoint` return what they are given: arrays or tensors.
    """

    def __init__(self, wavelength, lines, profile, transmission, wing_cut=None):
        self._kernels = kernels = _kernels_for(lines[0])
        send = partial(kernels.send, like=lines[0])
        center = fetch(lines[0])
        self._order = None
        if (np.diff(center) < 0).any():
            order = np.argsort(center, kind="stable")
            center = center[order]
            self._order = send(order)
        self._center, *self._logs = self._sorted(lines)
        self._pixels = send(wavelength)
        self._options = profile, transmission
        parts = series.extents([fetch(value) for value in self._logs], *self._options)
        self._kinds = [part.kind for part in parts]
        if wing_cut is None:
            self._plan = make_plan(wavelength, center, parts, send)
        else:
            self._plan = plan_windows(wavelength, center, parts, wing_cut, send)
        self._units = [
            None if level is None else send(_units(level)) for level in self._plan.levels
        ]
        # Of the kernels inside the radius, (N_TERMS, N_TAYLOR).
        self._inner_polynomials = send(spline.inner_polynomials(series.N_TERMS))
        self._near, far = series.expand(self._logs, *self._options)
        self._weights, self._inner = self._on_the_mesh(far)

    def forward(self):
        """Return the optical depth at the pixels, (n_pixels,)."""
        kernels, center = self._kernels, self._center

        def add_charges(mesh, charge):
            for part, lines in mesh.spread:
                position = (center[lines] - mesh.origin) / mesh.step
                kernels.spread(position, self._weights[part][lines], charge)

        return self._climb(add_charges, self._add_cores)

    def tangent(self, changes):
        """Return how the optical depth changes, (n_pixels,), as all lines move.

        `changes` are four arrays or tensors of shape (n_lines,): those of centre,
        log_area, log_sigma and log_gamma.
        """
        kernels, center = self._kernels, self._center
        d_center, *d_logs = self._sorted(changes)
        d_near, d_far = (
            [None if slopes is None else _along(d_logs, slopes) for slopes in parts]
            for parts in self._slopes
        )
        d_weights, d_inner = self._on_the_mesh(d_far)

        def add_charges(mesh, charge):
            for part, lines in mesh.spread:
                kernels.spread_tangent(
                    (center[lines] - mesh.origin) / mesh.step,
                    self._weights[part][lines],
                    d_center[lines] / mesh.step,
                    d_weights[part][lines],
                    charge,
                )

        def add_cores(groups, targets, out):
            for group in groups:
                part, lines = group.part, group.lines
                kernels.near_tangent(
                    self._kinds[part],
                    targets,
                    center[lines],
                    group.reach,
                    group.lo,
                    group.hi,
                    self._near[part][lines],
                    _rows(self._inner[part], lines),
                    group.inverse_square,
                    d_center[lines],
                    d_near[part][lines],
                    _rows(d_inner[part], lines),
                    out,
                )

        return self._climb(add_charges, add_cores)

    def adjoint(self, grad):
        """Return the gradients of all line parameters: the steps of `forward` backwards.

        `grad` has shape (n_pixels,): gradients of what depends on the optical depth. Four
        arrays or tensors of shape (n_lines,) come back.
        """
        kernels, center = self._kernels, self._center
        grad = kernels.contiguous(grad)
        d_center = kernels.zeros(len(center), center)
        d_near = [kernels.zeros(each.shape, center) for each in self._near]
        d_weights = [
            None if each is None else kernels.zeros(each.shape, center) for each in self._weights
        ]
        gradients = d_center, d_near, d_weights
        self._add_core_gradients(self._plan.groups, self._pixels, grad, *gradients)
        d_coefficients = None
        for mesh in reversed(self._plan.meshes):
            if d_coefficients is None:
                d_coefficients = kernels.zeros(mesh.n_nodes, center)
                kernels.interpolate_adjoint(
                    self._pixels, mesh.origin, 1.0 / mesh.step, grad, d_coefficients
                )
            else:
                d_coefficients = kernels.refine_adjoint(
                    d_coefficients, mesh.n_nodes, _REFINE_SHIFT
                )
            if not mesh.spread and not mesh.groups:
                continue
            kernel, spline_transform = self._transforms(mesh)
            transform = kernels.rfft(d_coefficients, mesh.length)
            if mesh.spread:
                potential = kernels.irfft(transform * kernel, mesh.length)
                for part, lines in mesh.spread:
                    position = (center[lines] - mesh.origin) / mesh.step
                    moved, change = kernels.spread_adjoint(
                        position, self._weights[part][lines], potential
                    )
                    d_center[lines] += moved / mesh.step
                    d_weights[part][lines] += change
            if mesh.groups:
                values = kernels.irfft(transform / spline_transform, mesh.length)[: mesh.n_nodes]
                self._add_core_gradients(mesh.groups, self._nodes(mesh), values, *gradients)
        d_logs = self._gradients_of_logs(d_near, d_weights)
        return self._unsorted([d_center, *d_logs])

    @cached_property
    def _slopes(self):
        """Derivatives of the parts with respect to the logarithms, see `series.expand_slopes`."""
        return series.expand_slopes(self._logs, *self._options)

    def _gradients_of_logs(self, d_near, d_weights):
        """Gradients of the three logarithms from those of near parameters and weights."""
        near_slopes, far_slopes = self._slopes
        totals = [0.0, 0.0, 0.0]
        for part, level_units in enumerate(self._units):
            pairs = [(d_near[part], near_slopes[part])]
            if level_units is not None:
                pairs.append((d_weights[part] * level_units, far_slopes[part]))
            for gradient, slopes in pairs:
                totals = [
                    total + (gradient * slope).sum(1)
                    for total, slope in zip(totals, slopes, strict=True)
                ]
        return totals

    def _sorted(self, values):
        """Bring values of lines into the order of their centres."""
        if self._order is not None:
            values = [value[self._order] for value in values]
        return [self._kernels.contiguous(value) for value in values]

    def _unsorted(self, values):
        """Bring values of lines back into the order in which the lines were given."""
        if self._order is None:
            return values
        results = [self._kernels.zeros(len(value), value) for value in values]
        for result, value in zip(results, values, strict=True):
            result[self._order] = value
        return results

    def _on_the_mesh(self, far):
        """Far series in mesh steps, and the polynomials that continue them inside."""
        weights = [
            None if units is None else coefficients * units
            for coefficients, units in zip(far, self._units, strict=True)
        ]
        inner = [None if each is None else each @ self._inner_polynomials for each in weights]
        return weights, inner

    def _climb(self, add_charges, add_cores):
        """Fill the meshes from coarse to fine, and read the pixels from the finest."""
        kernels, pixels = self._kernels, self._pixels
        coefficients = None
        for mesh in self._plan.meshes:
            if coefficients is None:
                coefficients = kernels.zeros(mesh.n_nodes, pixels)
            else:
                coefficients = kernels.refine(coefficients, mesh.n_nodes, _REFINE_SHIFT)
            if not mesh.spread and not mesh.groups:
                continue
            kernel, spline_transform = self._transforms(mesh)
            total = 0.0
            if mesh.spread:
                charge = kernels.zeros((series.N_TERMS, mesh.length), pixels)
                add_charges(mesh, charge)
                total = kernels.contract(kernels.rfft(charge, mesh.length), kernel)
            if mesh.groups:
                values = kernels.zeros(mesh.length, pixels)
                add_cores(mesh.groups, self._nodes(mesh), values[: mesh.n_nodes])
                total = total + kernels.rfft(values, mesh.length) / spline_transform
            coefficients += kernels.irfft(total, mesh.length)[: mesh.n_nodes]
        depth = kernels.zeros(len(pixels), pixels)
        add_cores(self._plan.groups, pixels, depth)
        if coefficients is not None:
            mesh = self._plan.meshes[-1]
            kernels.interpolate(pixels, mesh.origin, 1.0 / mesh.step, coefficients, depth)
        return depth

    def _transforms(self, mesh):
        """Kernels' and spline's transforms."""
        kernel, nodes = spline.kernel_transforms(series.N_TERMS, mesh.length)
        return self._kernels.send(kernel, self._pixels), self._kernels.send(nodes, self._pixels)

    def _nodes(self, mesh):
        """Positions of the nodes, Å."""
        return self._kernels.send(mesh.origin + mesh.step * np.arange(mesh.n_nodes), self._pixels)

    def _add_cores(self, groups, targets, out):
        """Add the cores of all groups to `out`."""
        if not groups:
            return
        kernels = self._kernels
        product = held = None
        if self._plan.products:
            product = kernels.zeros(len(targets), targets) + 1.0
            held = kernels.new_bounds(targets)
        for group in groups:
            part, lines = group.part, group.lines
            kernels.near_forward(
                self._kinds[part],
                targets,
                self._center[lines],
                group.reach,
                group.lo,
                group.hi,
                self._near[part][lines],
                _rows(self._inner[part], lines),
                group.inverse_square,
                group.depth,
                out,
                product,
                held,
            )
        if product is not None:
            kernels.fold(out, product)

    def _add_core_gradients(self, groups, targets, grad, d_center, d_near, d_weights):
        """Add the gradients of all groups' cores."""
        for group in groups:
            part, lines = group.part, group.lines
            moved, change, polynomial = self._kernels.near_adjoint(
                self._kinds[part],
                targets,
                self._center[lines],
                group.lo,
                group.hi,
                self._near[part][lines],
                _rows(self._inner[part], lines),
                group.inverse_square,
                grad,
            )
            d_center[lines] += moved
            d_near[part][lines] += change
            if polynomial is not None:
                d_weights[part][lines] += polynomial @ self._inner_polynomials.T


def _kernels_for(array):
    """Compiled kernels for arrays, torch's operations for tensors."""
    if is_tensor(array):
        from skphx.lines._engine import kernels_torch

        return kernels_torch
    from skphx.lines._engine import kernels_cpu

    return kernels_cpu


def _units(level):
    """Factors from Å^(2+2m) to steps of each line's mesh, (n_lines, N_TERMS)."""
    return np.exp2(np.asarray(level, float)[:, None] * (-2.0 - 2.0 * np.arange(series.N_TERMS)))


def _along(changes, slopes):
    """Change of parameters, (n_lines, k), as the logarithms change, each (n_lines,)."""
    return sum(change[:, None] * slope for change, slope in zip(changes, slopes, strict=True))


def _rows(table, lines):
    """Rows of a table, if there is one."""
    return None if table is None else table[lines]
