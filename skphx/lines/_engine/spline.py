"""Uniform B-splines and the smooth kernels that lines have on a mesh.

Distances are in mesh steps. The kernel of order m is x^(−2−2m) from `RADIUS` on, and inside
the Taylor polynomial of that in x² at RADIUS, so that `N_TAYLOR` − 1 derivatives are
continuous and a spline of order `ORDER` carries it.
"""

from functools import lru_cache
from math import comb, factorial

import numpy as np

# Support of the B-spline in mesh steps; degree ORDER − 1.
ORDER = 8

# Distance in mesh steps from which on a line is its far series only.
RADIUS = 12.0

# Terms of the polynomial inside.
N_TAYLOR = 8


@lru_cache(maxsize=1)
def pieces():
    """Return polynomials of the spline's weights in the fraction t of a cell.

    Returns
    -------
    ndarray of shape (ORDER, ORDER)
        Element [j, k] belongs to node ``cell − ORDER / 2 + 1 + j`` and t^k.
    """
    table = np.zeros((ORDER, ORDER))
    degree = ORDER - 1
    for j in range(ORDER):
        # B(x) = sum_i (−1)^i C(ORDER, i) (x + ORDER/2 − i)₊^degree / degree!, at
        # x = t + ORDER/2 − 1 − j.
        shift = ORDER - 1 - j
        for i in range(shift + 1):
            base = shift - i
            for k in range(degree + 1):
                term = comb(degree, k) * float(base) ** (degree - k)
                table[j, k] += (-1) ** i * comb(ORDER, i) * term
    return table / factorial(degree)


@lru_cache(maxsize=1)
def refinement():
    """Return the weights that write a spline as one of half the step, (ORDER + 1,)."""
    return np.array([comb(ORDER, k) for k in range(ORDER + 1)]) / 2.0 ** (ORDER - 1)


def inner_polynomials(n_terms):
    """Return the polynomials of the kernels inside the radius.

    Returns
    -------
    ndarray of shape (n_terms, N_TAYLOR)
        Kernel m at x < RADIUS is ``sum_j [m, j] (1 − x² / RADIUS²)^j``.
    """
    table = [[comb(m + j, j) for j in range(N_TAYLOR)] for m in range(n_terms)]
    return np.array(table, float) * RADIUS ** (-2.0 - 2.0 * np.arange(n_terms))[:, None]


@lru_cache(maxsize=32)
def kernel_transforms(n_terms, length):
    """Return Fourier transforms of the kernels and of the spline at the nodes.

    Parameters
    ----------
    n_terms : int
        Number of kernels.
    length : int
        Length of the periodic mesh.

    Returns
    -------
    kernels : ndarray of shape (n_terms, length // 2 + 1)
        Real transforms, divided twice by that of the spline: once for the way onto the
        mesh and once for the way from it.
    spline : ndarray of shape (length // 2 + 1,)
        Real transform of the spline.
    """
    index = np.arange(length)
    x = np.minimum(index, length - index).astype(float)
    v = 1.0 - (x / RADIUS) ** 2
    inside = x < RADIUS
    outer = np.where(inside, RADIUS, x)
    inner = inner_polynomials(n_terms)
    transforms = []
    for m in range(n_terms):
        kernel = outer ** (-2.0 - 2.0 * m)
        kernel[inside] = np.polynomial.polynomial.polyval(v[inside], inner[m])
        transforms.append(np.fft.rfft(kernel).real)
    # The spline at the nodes: weights of the cell's left end.
    nodes = np.zeros(length)
    np.add.at(nodes, np.arange(-(ORDER // 2 - 1), ORDER // 2 + 1) % length, pieces()[:, 0])
    spline = np.fft.rfft(nodes).real
    return np.array(transforms) / spline**2, spline
