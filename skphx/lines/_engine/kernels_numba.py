"""Compiled sums over lines: the same operations as `kernels_torch`.

Arrays are float64 and contiguous, lines sorted by centre. Sums over targets run over blocks
of targets, so that no two threads write to one element; sums over lines run over lines.
"""

import math

import numpy as np
from numba import njit, prange

from skphx.lines._engine.cores_numba import (
    OPTIONS,
    SMALLEST,
    add_gaussian,
    add_lorentzian,
    add_voigt,
    gaussian_adjoint,
    lorentzian_adjoint,
    multiply_pseudo_voigt,
    pseudo_voigt_adjoint,
    sum_tangent,
    taylor_adjoint,
    taylor_tangent,
    voigt_adjoint,
    voigt_tangent,
)
from skphx.lines._engine.series import (
    GAUSSIAN,
    LORENTZIAN,
    PSEUDO_VOIGT_PRODUCT,
    VOIGT,
    VOIGT_PRODUCT,
)

# Targets that one thread works on at a time: their arrays stay in the first cache.
BLOCK = 1024

# Products are turned into logarithms before they can underflow.
_FOLD_BELOW = 600.0


@njit(parallel=True, **OPTIONS)
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
                add_lorentzian(targets[a:b], center[i], near, q, inverse_square, i, out[a:b])
            elif kind == GAUSSIAN:
                add_gaussian(targets[a:b], center[i], near, i, out[a:b])
            elif kind == VOIGT:
                add_voigt(
                    targets[a:b], center[i], near, q, inverse_square, i, out[a:b], out[a:b], False
                )
            else:
                loss = -math.log(max(1.0 - depth[i], SMALLEST))
                if held[block] + loss > _FOLD_BELOW:
                    for j in range(begin, end):
                        out[j] -= math.log(product[j])
                        product[j] = 1.0
                    held[block] = 0.0
                held[block] += loss
                if kind == PSEUDO_VOIGT_PRODUCT:
                    multiply_pseudo_voigt(
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
                    add_voigt(
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


@njit(parallel=True, **OPTIONS)
def fold(out, product):
    """Subtract ln(product) from `out`."""
    for i in prange(len(out)):
        out[i] -= math.log(product[i])


@njit(parallel=True, **OPTIONS)
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
            d_center[i] = gaussian_adjoint(x, center[i], near, i, g, d_near)
            continue
        d_center[i] = 0.0
        if inverse_square > 0.0:
            d_center[i] = taylor_adjoint(x, center[i], q, inverse_square, i, g, d_q)
        if kind == LORENTZIAN:
            d_center[i] += lorentzian_adjoint(x, center[i], near, i, g, d_near)
        elif kind == PSEUDO_VOIGT_PRODUCT:
            d_center[i] += pseudo_voigt_adjoint(x, center[i], near, i, g, d_near)
        else:
            d_center[i] += voigt_adjoint(x, center[i], near, i, g, d_near, kind != VOIGT)


@njit(parallel=True, **OPTIONS)
def near_tangent(
    kind,
    targets,
    center,
    reach,
    lo,
    hi,
    near,
    q,
    inverse_square,
    d_center,
    d_near,
    d_q,
    out,
):
    """Add to `out` how the cores change as their parameters move along the d_ arrays."""
    n_targets = len(targets)
    for block in prange((n_targets + BLOCK - 1) // BLOCK):
        begin, end = block * BLOCK, min((block + 1) * BLOCK, n_targets)
        first = np.searchsorted(center, targets[begin] - reach)
        last = np.searchsorted(center, targets[end - 1] + reach, side="right")
        for i in range(first, last):
            a, b = max(lo[i], begin), min(hi[i], end)
            if a >= b:
                continue
            x = targets[a:b]
            if kind in (VOIGT, VOIGT_PRODUCT):
                voigt_tangent(x, center[i], near, i, d_center[i], d_near, out[a:b], kind != VOIGT)
            else:
                sum_tangent(kind, x, center[i], near, i, d_center[i], d_near, out[a:b])
            if inverse_square > 0.0 and kind != GAUSSIAN:
                taylor_tangent(x, center[i], q, inverse_square, i, d_center[i], d_q, out[a:b])
