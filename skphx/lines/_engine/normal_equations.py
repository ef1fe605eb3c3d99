"""Compiled kernels for the normal equations of many overlapping lines.

A line changes the flux only near its centre, so that the Jacobian of a spectrum with respect to
all line parameters is a window of pixels a line, four columns wide. It is kept as such::

    derivatives[first[i] + k - start[i], q]  =  d flux[k] / d parameter q of line i

for the pixels ``start[i] <= k < stop[i]``, with the parameters centre, ln area, ln sigma,
ln gamma. Lines are sorted by centre.
"""

import math

import numba
import numpy as np

_SQRT_TWO_PI = math.sqrt(2.0 * math.pi)
# Beyond this many standard deviations a Gaussian is below 1e-14 of its peak.
_GAUSSIAN_REACH = 8.0


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
def window_derivatives(wavelength, flux, center, parts, chain, start, stop, first, product, out):
    """Write the Jacobian of the flux, window by window.

    Parameters
    ----------
    wavelength, flux : ndarrays of shape (n_pixels,)
        Pixel centres (Å) and rendered flux.
    center : ndarray of shape (n_lines,)
        Line centres (Å).
    parts : ndarray of shape (n_lines, 4)
        Area (Å) and half width (Å) of the Lorentzian, area (Å) and standard deviation (Å) of
        the Gaussian.
    chain : ndarray of shape (n_lines, 4, 3)
        Derivatives of `parts` with respect to ln area, ln sigma, ln gamma.
    start, stop, first : ndarrays of shape (n_lines,), int
        Window of each line, and its first row of `out`.
    product : bool
        Whether lines combine as Π (1 - a V) and not as exp(-Σ a V).
    out : ndarray of shape (n_rows, 4)
        Filled with the derivatives.
    """
    for i in numba.prange(len(center)):
        lorentz, half, gauss, sigma = parts[i, 0], parts[i, 1], parts[i, 2], parts[i, 3]
        for k in range(start[i], stop[i]):
            x = wavelength[k] - center[i]
            inverse = 1.0 / (x * x + half * half)
            lorentzian = half / math.pi * inverse
            scaled = x / sigma
            gaussian = 0.0
            if abs(scaled) < _GAUSSIAN_REACH:
                gaussian = math.exp(-0.5 * scaled * scaled) / (_SQRT_TWO_PI * sigma)
            by_center = 2.0 * x * inverse * lorentz * lorentzian
            by_center += gauss * gaussian * scaled / sigma
            by_half = lorentz * lorentzian * (1.0 / half - 2.0 * half * inverse)
            by_sigma = gauss * gaussian * (scaled * scaled - 1.0) / sigma
            factor = -flux[k]
            if product:
                depth = lorentz * lorentzian + gauss * gaussian
                factor /= max(1.0 - depth, 1e-3)
            row = first[i] + k - start[i]
            out[row, 0] = factor * by_center
            for q in range(3):
                out[row, 1 + q] = factor * (
                    chain[i, 0, q] * lorentzian
                    + chain[i, 1, q] * by_half
                    + chain[i, 2, q] * gaussian
                    + chain[i, 3, q] * by_sigma
                )


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
def transposed_product(derivatives, start, stop, first, residual, out):
    """Write Jᵀ residual, of shape (n_lines, 4), to `out`."""
    for i in numba.prange(len(start)):
        a = b = c = d = 0.0
        shift = first[i] - start[i]
        for k in range(start[i], stop[i]):
            value = residual[k]
            a += derivatives[shift + k, 0] * value
            b += derivatives[shift + k, 1] * value
            c += derivatives[shift + k, 2] * value
            d += derivatives[shift + k, 3] * value
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = a, b, c, d


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
def squared_norms(derivatives, start, stop, first, out):
    """Write the diagonal of JᵀJ, of shape (n_lines, 4), to `out`."""
    for i in numba.prange(len(start)):
        out[i] = 0.0
        for row in range(first[i], first[i] + stop[i] - start[i]):
            for q in range(4):
                out[i, q] += derivatives[row, q] ** 2


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
def scale_rows(derivatives, start, stop, first, scale):
    """Multiply the derivatives of each line by its row of `scale`, shape (n_lines, 4)."""
    for i in numba.prange(len(start)):
        for row in range(first[i], first[i] + stop[i] - start[i]):
            for q in range(4):
                derivatives[row, q] *= scale[i, q]


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
def own_normal_matrices(derivatives, start, stop, first, out):
    """Write JᵀJ of each line with itself, of shape (n_lines, 4, 4), to `out`."""
    for i in numba.prange(len(start)):
        out[i] = 0.0
        for row in range(first[i], first[i] + stop[i] - start[i]):
            for q in range(4):
                for p in range(4):
                    out[i, q, p] += derivatives[row, q] * derivatives[row, p]


@numba.njit(cache=True, fastmath=True, nogil=True)
def forward_product(derivatives, start, stop, first, step, out):
    """Write J step, of shape (n_pixels,), to `out`; `step` has shape (n_lines, 4)."""
    out[:] = 0.0
    for i in range(len(start)):
        a, b, c, d = step[i, 0], step[i, 1], step[i, 2], step[i, 3]
        shift = first[i] - start[i]
        for k in range(start[i], stop[i]):
            row = shift + k
            out[k] += (
                derivatives[row, 0] * a
                + derivatives[row, 1] * b
                + derivatives[row, 2] * c
                + derivatives[row, 3] * d
            )


@numba.njit(cache=True, parallel=True, fastmath=True, nogil=True)
def banded_normal_matrix(derivatives, start, stop, first, n_coupled, out):
    """Write JᵀJ of each line and the `n_coupled` lines that follow it, in banded form.

    Parameters
    ----------
    derivatives, start, stop, first
        The Jacobian.
    n_coupled : int
        Number of following lines to which a line is coupled.
    out : ndarray of shape (4 * n_coupled + 4, 4 * n_lines)
        Zeros; filled with the lower bands as :func:`scipy.linalg.cholesky_banded` takes them.
    """
    n_lines = len(start)
    for i in numba.prange(n_lines):
        block = np.empty((4, 4))
        shift_i = first[i] - start[i]
        for j in range(i, min(n_lines, i + n_coupled + 1)):
            low, high = max(start[i], start[j]), min(stop[i], stop[j])
            if low >= high:
                continue
            block[:] = 0.0
            shift_j = first[j] - start[j]
            for k in range(low, high):
                for q in range(4):
                    value = derivatives[shift_j + k, q]
                    for p in range(4):
                        block[q, p] += value * derivatives[shift_i + k, p]
            for q in range(4):
                for p in range(4):
                    diagonal = 4 * (j - i) + q - p
                    if diagonal >= 0:
                        out[diagonal, 4 * i + p] = block[q, p]
