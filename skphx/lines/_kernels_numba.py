"""Compiled loops of the line engine: the same operations as `_kernels_torch`.

Arrays are float64 and contiguous. Sums over targets run over blocks of targets, so that no
two threads write to one element; sums over lines run over lines.
"""

import math

import numpy as np
from numba import njit, prange

from skphx.lines._series import GAUSSIAN, LORENTZIAN, PSEUDO_VOIGT_PRODUCT, VOIGT
from skphx.lines._spline import N_TAYLOR, ORDER, pieces

# The error model of NumPy lets divisions vectorise.
_OPTIONS = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}

# Targets that one thread works on at a time: their arrays stay in the first cache.
BLOCK = 1024

# Products are turned into logarithms before they can underflow.
_FOLD_BELOW = 600.0
_SMALLEST = 1e-9

_PIECES = pieces()
_INVERSE_SQRT_PI = 1.0 / math.sqrt(math.pi)
_N = 11
_STEP = math.sqrt(math.pi / (_N + 1))


@njit(inline="always", **_OPTIONS)
def _exp_minus(t):
    """exp(−t) for t >= 0, without a call so that loops vectorise; 0.4e-17 from t = 40 on."""
    u = min(t, 40.0) * (-1.0 / 256.0)
    e = 1.0 + u * (1.0 + u * (1 / 2 + u * (1 / 6 + u * (1 / 24 + u * (1 / 120 + u / 720)))))
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    e *= e
    return e


@njit(inline="always", **_OPTIONS)
def _taylor(q, line, v):
    """Evaluate the even polynomial that stands for the far series inside the radius."""
    value = q[line, N_TAYLOR - 1]
    for j in range(N_TAYLOR - 2, -1, -1):
        value = value * v + q[line, j]
    return value


# Without fastmath: the quadrature's pole correction cancels.
@njit(cache=True, nogil=True, error_model="numpy")
def _faddeeva(x, y):
    """Real and imaginary part of w(x + iy), see `skphx.lines._faddeeva`."""
    mirrored = x < 0.0
    x = abs(x)
    phase = x / _STEP - math.floor(x / _STEP)
    high = y >= math.pi / _STEP
    origin = x < 0.25 * _STEP and y < 0.25 * _STEP
    midpoint = (high if y >= x else (phase <= 0.25 or phase >= 0.75)) or origin
    a, b = x * x - y * y, 2.0 * x * y
    real, imag = 0.0, 0.0
    if not midpoint:
        norm = 0.5 / (a * a + b * b)
        real, imag = a * norm, -b * norm
    for k in range(1, _N + 2 if midpoint else _N + 1):
        at = (k - 0.5) * _STEP if midpoint else k * _STEP
        square = at * at
        d = a - square
        norm = math.exp(-square) / (d * d + b * b)
        real += d * norm
        imag -= b * norm
    factor = 2.0 * _STEP / math.pi
    # i z (real + i imag)
    w_real = factor * (-x * imag - y * real)
    w_imag = factor * (x * real - y * imag)
    if not high:
        size = math.exp(-a)
        p_real, p_imag = 2.0 * size * math.cos(b), -2.0 * size * math.sin(b)
        growth = math.exp(2.0 * math.pi / _STEP * y)
        angle = 2.0 * math.pi / _STEP * x
        sign = 1.0 if midpoint else -1.0
        d_real = 1.0 + sign * growth * math.cos(angle)
        d_imag = -sign * growth * math.sin(angle)
        norm = 1.0 / (d_real * d_real + d_imag * d_imag)
        w_real += (p_real * d_real + p_imag * d_imag) * norm
        w_imag += (p_imag * d_real - p_real * d_imag) * norm
    return w_real, -w_imag if mirrored else w_imag


@njit(**_OPTIONS)
def _add_lorentzian(x, center, near, q, inverse_square, line, out):
    weight, square = near[line, 0], near[line, 1]
    for i in range(len(x)):
        x2 = (x[i] - center) * (x[i] - center)
        out[i] += weight / (x2 + square) - _taylor(q, line, 1.0 - x2 * inverse_square)


@njit(**_OPTIONS)
def _add_gaussian(x, center, near, line, out):
    peak, sharpness = near[line, 0], near[line, 1]
    for i in range(len(x)):
        x2 = (x[i] - center) * (x[i] - center)
        out[i] += peak * _exp_minus(sharpness * x2)


@njit(**_OPTIONS)
def _multiply_pseudo_voigt(x, center, near, q, inverse_square, line, out, product):
    weight, square, peak, sharpness = near[line, 0], near[line, 1], near[line, 2], near[line, 3]
    for i in range(len(x)):
        x2 = (x[i] - center) * (x[i] - center)
        absorbed = weight / (x2 + square) + peak * _exp_minus(sharpness * x2)
        product[i] *= min(max(1.0 - absorbed, _SMALLEST), 1.0)
        out[i] -= _taylor(q, line, 1.0 - x2 * inverse_square)


@njit(**_OPTIONS)
def _add_voigt(x, center, near, q, inverse_square, line, out, product, multiply):
    peak, scale, y = near[line, 0], near[line, 1], near[line, 2]
    for i in range(len(x)):
        dx = x[i] - center
        absorbed = peak * _faddeeva(scale * dx, y)[0]
        out[i] -= _taylor(q, line, 1.0 - dx * dx * inverse_square)
        if multiply:
            product[i] *= min(max(1.0 - absorbed, _SMALLEST), 1.0)
        else:
            out[i] += absorbed


@njit(parallel=True, **_OPTIONS)
def near_forward(
    kind, targets, center, reach, lo, hi, near, q, inverse_square, depth, out, product, held
):
    """Add the cores of lines sorted by centre to `out`, or multiply them into `product`.

    Line i reaches targets ``lo[i]:hi[i]``, all within `reach` of its centre. `held`, one
    element a block, bounds −ln of what `product` holds there.
    """
    n_targets = len(targets)
    for block in prange((n_targets + BLOCK - 1) // BLOCK):
        begin, end = block * BLOCK, min((block + 1) * BLOCK, n_targets)
        first = np.searchsorted(center, targets[begin] - reach)
        last = np.searchsorted(center, targets[end - 1] + reach, side="right")
        for i in range(first, last):
            a, b = max(lo[i], begin), min(hi[i], end)
            if a >= b:
                continue
            if kind == LORENTZIAN:
                _add_lorentzian(targets[a:b], center[i], near, q, inverse_square, i, out[a:b])
            elif kind == GAUSSIAN:
                _add_gaussian(targets[a:b], center[i], near, i, out[a:b])
            elif kind == VOIGT:
                _add_voigt(
                    targets[a:b], center[i], near, q, inverse_square, i, out[a:b], out[a:b], False
                )
            else:
                loss = -math.log(max(1.0 - depth[i], _SMALLEST))
                if held[block] + loss > _FOLD_BELOW:
                    for j in range(begin, end):
                        out[j] -= math.log(product[j])
                        product[j] = 1.0
                    held[block] = 0.0
                held[block] += loss
                if kind == PSEUDO_VOIGT_PRODUCT:
                    _multiply_pseudo_voigt(
                        targets[a:b],
                        center[i],
                        near,
                        q,
                        inverse_square,
                        i,
                        out[a:b],
                        product[a:b],
                    )
                else:
                    _add_voigt(
                        targets[a:b],
                        center[i],
                        near,
                        q,
                        inverse_square,
                        i,
                        out[a:b],
                        product[a:b],
                        True,
                    )


@njit(parallel=True, **_OPTIONS)
def fold(out, product):
    """Subtract ln(product) from `out`."""
    for i in prange(len(out)):
        out[i] -= math.log(product[i])


@njit(**_OPTIONS)
def _taylor_adjoint(x, center, q, inverse_square, line, grad, d_q):
    """Gradients of minus the polynomial; returns that of the centre."""
    m0, m1, m2, m3, m4, m5, m6, m7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    d_center = 0.0
    for i in range(len(x)):
        dx = x[i] - center
        v = 1.0 - dx * dx * inverse_square
        slope = (N_TAYLOR - 1) * q[line, N_TAYLOR - 1]
        for j in range(N_TAYLOR - 2, 0, -1):
            slope = slope * v + j * q[line, j]
        g = grad[i]
        d_center += g * slope * dx
        m0 += g
        g *= v
        m1 += g
        g *= v
        m2 += g
        g *= v
        m3 += g
        g *= v
        m4 += g
        g *= v
        m5 += g
        g *= v
        m6 += g
        g *= v
        m7 += g
    d_q[line, 0] = -m0
    d_q[line, 1] = -m1
    d_q[line, 2] = -m2
    d_q[line, 3] = -m3
    d_q[line, 4] = -m4
    d_q[line, 5] = -m5
    d_q[line, 6] = -m6
    d_q[line, 7] = -m7
    return -2.0 * inverse_square * d_center


@njit(**_OPTIONS)
def _lorentzian_adjoint(x, center, near, line, grad, d_near):
    weight, square = near[line, 0], near[line, 1]
    d_weight, d_square, d_center = 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx = x[i] - center
        inverse = 1.0 / (dx * dx + square)
        g = grad[i] * inverse
        d_weight += g
        g *= inverse
        d_square += g
        d_center += g * dx
    d_near[line, 0] = d_weight
    d_near[line, 1] = -weight * d_square
    return 2.0 * weight * d_center


@njit(**_OPTIONS)
def _gaussian_adjoint(x, center, near, line, grad, d_near):
    peak, sharpness = near[line, 0], near[line, 1]
    d_peak, d_sharpness, d_center = 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx = x[i] - center
        g = grad[i] * _exp_minus(sharpness * dx * dx)
        d_peak += g
        g *= dx
        d_center += g
        d_sharpness += g * dx
    d_near[line, 0] = d_peak
    d_near[line, 1] = -peak * d_sharpness
    return 2.0 * peak * sharpness * d_center


@njit(**_OPTIONS)
def _pseudo_voigt_adjoint(x, center, near, line, grad, d_near):
    weight, square, peak, sharpness = near[line, 0], near[line, 1], near[line, 2], near[line, 3]
    d_weight, d_square, d_peak, d_sharpness, d_center = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx = x[i] - center
        inverse = 1.0 / (dx * dx + square)
        e = _exp_minus(sharpness * dx * dx)
        left = 1.0 - weight * inverse - peak * e
        g = grad[i] / left if left > _SMALLEST else 0.0
        ge = g * e
        d_peak += ge
        ge *= dx
        d_sharpness += ge * dx
        gl = g * inverse
        d_weight += gl
        gl *= inverse
        d_square += gl
        d_center += weight * gl * dx + peak * sharpness * ge
    d_near[line, 0] = d_weight
    d_near[line, 1] = -weight * d_square
    d_near[line, 2] = d_peak
    d_near[line, 3] = -peak * d_sharpness
    return 2.0 * d_center


@njit(**_OPTIONS)
def _voigt_adjoint(x, center, near, line, grad, d_near, multiply):
    peak, scale, y = near[line, 0], near[line, 1], near[line, 2]
    d_peak, d_slope, d_scale, d_y = 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx = x[i] - center
        real, imag = _faddeeva(scale * dx, y)
        g = grad[i]
        if multiply:
            left = 1.0 - peak * real
            g = g / left if left > _SMALLEST else 0.0
        d_peak += g * real
        # w' = −2 z w + 2i / sqrt(pi)
        slope = -2.0 * (scale * dx * real - y * imag)
        d_slope += g * slope
        d_scale += g * slope * dx
        d_y += g * (2.0 * (scale * dx * imag + y * real) - 2.0 * _INVERSE_SQRT_PI)
    d_near[line, 0] = d_peak
    d_near[line, 1] = peak * d_scale
    d_near[line, 2] = peak * d_y
    return -peak * scale * d_slope


@njit(parallel=True, **_OPTIONS)
def near_adjoint(
    kind, targets, center, lo, hi, near, q, inverse_square, grad, d_center, d_near, d_q
):
    """Gradients of `near_forward`, one line a loop: the sums over its targets."""
    for i in prange(len(center)):
        a, b = lo[i], hi[i]
        if a >= b:
            continue
        x, g = targets[a:b], grad[a:b]
        if kind == GAUSSIAN:
            d_center[i] = _gaussian_adjoint(x, center[i], near, i, g, d_near)
            continue
        d_center[i] = 0.0
        if inverse_square > 0.0:
            d_center[i] = _taylor_adjoint(x, center[i], q, inverse_square, i, g, d_q)
        if kind == LORENTZIAN:
            d_center[i] += _lorentzian_adjoint(x, center[i], near, i, g, d_near)
        elif kind == PSEUDO_VOIGT_PRODUCT:
            d_center[i] += _pseudo_voigt_adjoint(x, center[i], near, i, g, d_near)
        else:
            d_center[i] += _voigt_adjoint(x, center[i], near, i, g, d_near, kind != VOIGT)


@njit(**_OPTIONS)
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


@njit(**_OPTIONS)
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


@njit(parallel=True, **_OPTIONS)
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


@njit(parallel=True, **_OPTIONS)
def interpolate(targets, origin, inverse_step, mesh, out):
    """Add the spline with coefficients `mesh` at the targets to `out`."""
    n_targets = len(targets)
    for block in prange((n_targets + BLOCK - 1) // BLOCK):
        poly = np.zeros(ORDER)
        known = -1
        for i in range(block * BLOCK, min((block + 1) * BLOCK, n_targets)):
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


@njit(parallel=True, **_OPTIONS)
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


@njit(**_OPTIONS)
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
