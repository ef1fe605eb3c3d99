"""Compiled operations of splines on a uniform mesh: the same as in `kernels_torch`."""

import math

import numpy as np
from numba import njit, prange

from skphx.lines._engine.cores_numba import OPTIONS
from skphx.lines._engine.spline import ORDER, pieces, refinement

# Targets that one thread works on at a time.
_BLOCK = 1024

_PIECES = pieces()
_REFINEMENT = refinement()


@njit(**OPTIONS)
def _spline_weights(t, value, slope):
    """B-spline weights of the nodes around a point at fraction t of its cell."""
    value[0] = 1.0 - t
    value[1] = t
    for k in range(3, ORDER + 1):
        if k == ORDER:
            slope[0] = -value[0]
            for j in range(1, ORDER - 1):
                slope[j] = value[j - 1] - value[j]
            slope[ORDER - 1] = value[ORDER - 2]
        part = 1.0 / (k - 1)
        value[k - 1] = part * t * value[k - 2]
        for j in range(1, k - 1):
            value[k - 1 - j] = part * ((t + j) * value[k - 2 - j] + (k - j - t) * value[k - 1 - j])
        value[0] = part * (1.0 - t) * value[0]


@njit(**OPTIONS)
def spread(position, weight, mesh):
    """Add each line's weights, (n_lines, n_terms), to the mesh, (n_terms, n_nodes)."""
    value, slope = np.empty(ORDER), np.empty(ORDER)
    for i in range(len(position)):
        cell = math.floor(position[i])
        _spline_weights(position[i] - cell, value, slope)
        first = int(cell) - (ORDER // 2 - 1)
        for m in range(mesh.shape[0]):
            for j in range(ORDER):
                mesh[m, first + j] += weight[i, m] * value[j]


@njit(parallel=True, **OPTIONS)
def spread_adjoint(position, weight, mesh, d_position, d_weight):
    """Gradients of `spread`: `mesh` holds those of the nodes."""
    for i in prange(len(position)):
        value, slope = np.empty(ORDER), np.empty(ORDER)
        cell = math.floor(position[i])
        _spline_weights(position[i] - cell, value, slope)
        first = int(cell) - (ORDER // 2 - 1)
        moved = 0.0
        for m in range(mesh.shape[0]):
            total, change = 0.0, 0.0
            for j in range(ORDER):
                total += value[j] * mesh[m, first + j]
                change += slope[j] * mesh[m, first + j]
            d_weight[i, m] = total
            moved += weight[i, m] * change
        d_position[i] = moved


@njit(**OPTIONS)
def spread_tangent(position, weight, d_position, d_weight, mesh):
    """Add to the mesh how `spread` changes along the d_ arrays."""
    value, slope = np.empty(ORDER), np.empty(ORDER)
    for i in range(len(position)):
        cell = math.floor(position[i])
        _spline_weights(position[i] - cell, value, slope)
        first = int(cell) - (ORDER // 2 - 1)
        for m in range(mesh.shape[0]):
            moved = weight[i, m] * d_position[i]
            for j in range(ORDER):
                mesh[m, first + j] += d_weight[i, m] * value[j] + moved * slope[j]


@njit(parallel=True, **OPTIONS)
def interpolate(targets, origin, inverse_step, mesh, out):
    """Add the spline with coefficients `mesh` at the targets to `out`."""
    n_targets = len(targets)
    for block in prange((n_targets + _BLOCK - 1) // _BLOCK):
        poly = np.zeros(ORDER)
        known = -1
        for i in range(block * _BLOCK, min((block + 1) * _BLOCK, n_targets)):
            position = (targets[i] - origin) * inverse_step
            cell = int(position)
            if cell != known:
                known = cell
                first = cell - (ORDER // 2 - 1)
                for k in range(ORDER):
                    total = 0.0
                    for j in range(ORDER):
                        total += _PIECES[j, k] * mesh[first + j]
                    poly[k] = total
            t = position - cell
            value = poly[ORDER - 1]
            for k in range(ORDER - 2, -1, -1):
                value = value * t + poly[k]
            out[i] += value


@njit(parallel=True, **OPTIONS)
def interpolate_adjoint(targets, origin, inverse_step, grad, edges, parity, mesh):
    """Add the gradients of `interpolate` to `mesh`, every second part of the targets.

    Parts ``edges[k]:edges[k + 1]`` lie more than a spline's support apart from the next but
    one, so that parts of one parity share no node.
    """
    n_parts = len(edges) - 1
    for half in prange((n_parts - parity + 1) // 2):
        part = 2 * half + parity
        moment = np.zeros(ORDER)
        known = -1
        for i in range(edges[part], edges[part + 1]):
            position = (targets[i] - origin) * inverse_step
            cell = int(position)
            if cell != known:
                if known >= 0:
                    _scatter(known, moment, mesh)
                known = cell
            t = position - cell
            g = grad[i]
            for k in range(ORDER):
                moment[k] += g
                g *= t
        if known >= 0:
            _scatter(known, moment, mesh)


@njit(**OPTIONS)
def _scatter(cell, moment, mesh):
    """Turn a cell's moments into gradients of its nodes, and clear them."""
    first = cell - (ORDER // 2 - 1)
    for j in range(ORDER):
        total = 0.0
        for k in range(ORDER):
            total += _PIECES[j, k] * moment[k]
        mesh[first + j] += total
    for k in range(ORDER):
        moment[k] = 0.0


@njit(**OPTIONS)
def refine(coarse, shift, fine):
    """Write the spline with coefficients `coarse` on nodes half as far apart."""
    for i in range(len(fine)):
        total = 0.0
        for k in range((i + shift) % 2, ORDER + 1, 2):
            j = (i + shift - k) // 2
            if 0 <= j < len(coarse):
                total += _REFINEMENT[k] * coarse[j]
        fine[i] = total


@njit(**OPTIONS)
def refine_adjoint(fine, shift, coarse):
    """Return, in `coarse`, the gradients of `refine`."""
    for j in range(len(coarse)):
        total = 0.0
        for k in range(ORDER + 1):
            i = 2 * j + k - shift
            if 0 <= i < len(fine):
                total += _REFINEMENT[k] * fine[i]
        coarse[j] = total


@njit(**OPTIONS)
def contract(transforms, kernels, total):
    """Return, in `total`, the sum over rows of transforms times real kernels."""
    for i in range(len(total)):
        value = 0.0j
        for m in range(len(transforms)):
            value += transforms[m, i] * kernels[m, i]
        total[i] = value
