"""Minimise chi² from several starting points: first with the surrogate, then the emulator."""

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from skphx.inference._gauss_newton import Minima, gauss_newton
from skphx.inference._likelihood import to_internal
from skphx.inference._pixel_weights import ROUNDING, weigh_by_scatter

# Steps that lower chi² by less than this are not taken: a hundredth of a standard error.
_TOLERATED_CHI2 = 1e-4
# Minimisation ends if the next step would lower chi² by less than this part of chi².
_COARSE_TOLERANCE, _FINAL_TOLERANCE = 1e-3, 1e-9


def minimise(likelihood, coarse_likelihood, scan, rows, boxes, n_starts, pixels):
    """Minimise from each starting point of some spectra, and keep the lowest end of each.

    All starting points are followed to a coarse tolerance. The best end of each spectrum is then
    followed to the final tolerance.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with the emulator.
    coarse_likelihood : Likelihood
        The same with the low-rank surrogate, for the coarse minimisation; with the emulator if
        there is no surrogate.
    scan : TemplateScan
        Starting points.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
        Search boxes, in natural units.
    n_starts : int
        Number of starting points of each spectrum.
    pixels : PixelErrors
        Errors of the pixels.

    Returns
    -------
    likelihood : Likelihood
        The same; if spectra have no errors, a copy weighted by their scatter.
    end : Minima
        One row for each spectrum, points with squares.
    boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
        Boxes with squares.
    """
    starts = scan.starts(rows, boxes, n_starts)
    starts = to_internal(starts.reshape(len(rows) * n_starts, -1), likelihood.n_stellar)
    boxes = np.moveaxis(to_internal(np.moveaxis(boxes, 2, 1), likelihood.n_stellar), 1, 2)
    repeated = np.repeat(rows, n_starts)
    coarse = _best_ends(coarse_likelihood, repeated, boxes, starts, pixels, _COARSE_TOLERANCE)
    likelihood = weigh_by_scatter(likelihood, rows, coarse.points, pixels)
    end = _best_ends(likelihood, rows, boxes, coarse.points, pixels, _FINAL_TOLERANCE)
    end.n_evaluations += coarse.n_evaluations
    return likelihood, end, boxes


def _best_ends(likelihood, rows, boxes, starts, pixels, tolerance):
    """Minimise from starting points, and keep the lowest end of each spectrum.

    `rows` are the spectra of the starting points; those of one spectrum are consecutive, and
    all spectra have as many.
    """
    rounding = ROUNDING * (likelihood.weights[rows] * pixels.level[rows] ** 2).sum(axis=1)
    end = gauss_newton(
        lambda points, local: likelihood.evaluate(points, rows[local]),
        boxes[rows],
        starts,
        tolerance=tolerance,
        floor=np.where(pixels.sigma_known[rows], _TOLERATED_CHI2, rounding),
    )
    n_spectra = len(np.unique(rows))
    n_starts = len(rows) // n_spectra
    best = end.cost.reshape(n_spectra, n_starts).argmin(axis=1) + np.arange(n_spectra) * n_starts
    return Minima(
        end.points[best],
        end.cost[best],
        end.gradient[best],
        end.curvature[best],
        end.converged[best],
        end.n_evaluations.reshape(n_spectra, n_starts).sum(axis=1),
    )


def in_blocks(function, blocks, n_jobs):
    """Call a function with blocks of rows, in parallel, and return its results for all rows."""
    found = Parallel(n_jobs=n_jobs)(delayed(function)(rows) for rows in blocks)
    return [one for block in found for one in block]
