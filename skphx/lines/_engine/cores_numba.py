"""Compiled loops over the targets of one line: its core, and the core's derivatives.

In all of them `x` are positions of targets and `near` holds the parameters of the cores;
`q` are the polynomials in ``v = 1 − (x − center)² inverse_square`` that stand for the far
series inside the radius and are subtracted from the core.
"""

import math

from numba import njit

from skphx.lines._engine.series import GAUSSIAN, PSEUDO_VOIGT_PRODUCT
from skphx.lines._engine.spline import N_TAYLOR
from skphx.lines._engine.voigt_slope import ASYMPTOTIC, SLOPES

# The error model of NumPy lets divisions vectorise.
OPTIONS = {"cache": True, "nogil": True, "fastmath": True, "error_model": "numpy"}

# A line of a product leaves at least this share of the light.
SMALLEST = 1e-9

_INVERSE_SQRT_PI = 1.0 / math.sqrt(math.pi)
_N = 11
_STEP = math.sqrt(math.pi / (_N + 1))


@njit(inline="always", **OPTIONS)
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


@njit(inline="always", **OPTIONS)
def _taylor(q, line, v):
    """Evaluate the even polynomial that stands for the far series inside the radius."""
    value = q[line, N_TAYLOR - 1]
    for j in range(N_TAYLOR - 2, -1, -1):
        value = value * v + q[line, j]
    return value


# Without fastmath: the quadrature's pole correction cancels.
@njit(cache=True, nogil=True, error_model="numpy")
def _faddeeva(x, y):
    """Real and imaginary part of w(x + iy), see `skphx.lines._engine.faddeeva`."""
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


@njit(cache=True, nogil=True, error_model="numpy")
def _faddeeva_slope(x, y, real, imag):
    """Real and imaginary part of w', see `skphx.lines._engine.voigt_slope`."""
    if x * x + y * y <= ASYMPTOTIC * ASYMPTOTIC:
        return (
            -2.0 * (x * real - y * imag),
            -2.0 * (x * imag + y * real) + 2.0 * _INVERSE_SQRT_PI,
        )
    z = complex(x, y)
    inverse = 1.0 / (z * z)
    series = inverse * SLOPES[6]
    for k in range(5, -1, -1):
        series = (series + SLOPES[k]) * inverse
    return series.imag * _INVERSE_SQRT_PI, -series.real * _INVERSE_SQRT_PI


@njit(**OPTIONS)
def add_lorentzian(x, center, near, q, inverse_square, line, out):
    weight, square = near[line, 0], near[line, 1]
    for i in range(len(x)):
        x2 = (x[i] - center) * (x[i] - center)
        out[i] += weight / (x2 + square) - _taylor(q, line, 1.0 - x2 * inverse_square)


@njit(**OPTIONS)
def add_gaussian(x, center, near, line, out):
    peak, sharpness = near[line, 0], near[line, 1]
    for i in range(len(x)):
        x2 = (x[i] - center) * (x[i] - center)
        out[i] += peak * _exp_minus(sharpness * x2)


@njit(**OPTIONS)
def multiply_pseudo_voigt(x, center, near, q, inverse_square, line, out, product):
    weight, square, peak, sharpness = near[line, 0], near[line, 1], near[line, 2], near[line, 3]
    for i in range(len(x)):
        x2 = (x[i] - center) * (x[i] - center)
        absorbed = weight / (x2 + square) + peak * _exp_minus(sharpness * x2)
        product[i] *= min(max(1.0 - absorbed, SMALLEST), 1.0)
        out[i] -= _taylor(q, line, 1.0 - x2 * inverse_square)


@njit(**OPTIONS)
def add_voigt(x, center, near, q, inverse_square, line, out, product, multiply):
    peak, scale, y = near[line, 0], near[line, 1], near[line, 2]
    for i in range(len(x)):
        dx = x[i] - center
        absorbed = peak * _faddeeva(scale * dx, y)[0]
        out[i] -= _taylor(q, line, 1.0 - dx * dx * inverse_square)
        if multiply:
            product[i] *= min(max(1.0 - absorbed, SMALLEST), 1.0)
        else:
            out[i] += absorbed


@njit(**OPTIONS)
def taylor_adjoint(x, center, q, inverse_square, line, grad, d_q):
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


@njit(**OPTIONS)
def lorentzian_adjoint(x, center, near, line, grad, d_near):
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


@njit(**OPTIONS)
def gaussian_adjoint(x, center, near, line, grad, d_near):
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


@njit(**OPTIONS)
def pseudo_voigt_adjoint(x, center, near, line, grad, d_near):
    weight, square, peak, sharpness = near[line, 0], near[line, 1], near[line, 2], near[line, 3]
    d_weight, d_square, d_peak, d_sharpness, d_center = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx = x[i] - center
        inverse = 1.0 / (dx * dx + square)
        e = _exp_minus(sharpness * dx * dx)
        left = 1.0 - weight * inverse - peak * e
        g = grad[i] / left if left > SMALLEST else 0.0
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


@njit(**OPTIONS)
def voigt_adjoint(x, center, near, line, grad, d_near, multiply):
    peak, scale, y = near[line, 0], near[line, 1], near[line, 2]
    d_peak, d_slope, d_scale, d_y = 0.0, 0.0, 0.0, 0.0
    for i in range(len(x)):
        dx = x[i] - center
        real, imag = _faddeeva(scale * dx, y)
        g = grad[i]
        if multiply:
            left = 1.0 - peak * real
            g = g / left if left > SMALLEST else 0.0
        d_peak += g * real
        slope, across = _faddeeva_slope(scale * dx, y, real, imag)
        d_slope += g * slope
        d_scale += g * slope * dx
        d_y -= g * across
    d_near[line, 0] = d_peak
    d_near[line, 1] = peak * d_scale
    d_near[line, 2] = peak * d_y
    return -peak * scale * d_slope


@njit(**OPTIONS)
def sum_tangent(kind, x, center, near, line, d_center, d_near, out):
    """Change of a Lorentzian, a Gaussian, or of −ln(1 − both)."""
    weight, square, peak, sharpness = 0.0, 1.0, 0.0, 0.0
    d_weight, d_square, d_peak, d_sharpness = 0.0, 0.0, 0.0, 0.0
    if kind == GAUSSIAN:
        peak, sharpness = near[line, 0], near[line, 1]
        d_peak, d_sharpness = d_near[line, 0], d_near[line, 1]
    else:
        weight, square = near[line, 0], near[line, 1]
        d_weight, d_square = d_near[line, 0], d_near[line, 1]
    if kind == PSEUDO_VOIGT_PRODUCT:
        peak, sharpness = near[line, 2], near[line, 3]
        d_peak, d_sharpness = d_near[line, 2], d_near[line, 3]
    multiply = kind == PSEUDO_VOIGT_PRODUCT
    for i in range(len(x)):
        dx = x[i] - center
        inverse = 1.0 / (dx * dx + square)
        e = _exp_minus(sharpness * dx * dx)
        change = inverse * (d_weight + weight * inverse * (2.0 * dx * d_center - d_square))
        change += e * (d_peak + peak * dx * (2.0 * sharpness * d_center - d_sharpness * dx))
        if multiply:
            left = 1.0 - weight * inverse - peak * e
            change = change / left if left > SMALLEST else 0.0
        out[i] += change


@njit(**OPTIONS)
def voigt_tangent(x, center, near, line, d_center, d_near, out, multiply):
    peak, scale, y = near[line, 0], near[line, 1], near[line, 2]
    for i in range(len(x)):
        dx = x[i] - center
        real, imag = _faddeeva(scale * dx, y)
        slope, across = _faddeeva_slope(scale * dx, y, real, imag)
        change = d_near[line, 0] * real
        change += peak * slope * (d_near[line, 1] * dx - scale * d_center)
        change -= peak * d_near[line, 2] * across
        if multiply:
            left = 1.0 - peak * real
            change = change / left if left > SMALLEST else 0.0
        out[i] += change


@njit(**OPTIONS)
def taylor_tangent(x, center, q, inverse_square, line, d_center, d_q, out):
    """Change of minus the polynomial."""
    for i in range(len(x)):
        dx = x[i] - center
        v = 1.0 - dx * dx * inverse_square
        slope = (N_TAYLOR - 1) * q[line, N_TAYLOR - 1]
        for j in range(N_TAYLOR - 2, 0, -1):
            slope = slope * v + j * q[line, j]
        out[i] -= _taylor(d_q, line, v) + slope * 2.0 * dx * inverse_square * d_center
