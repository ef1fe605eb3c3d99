"""Minimise chi² from several starting points: the surrogate's, the emulator's, then with priors.

Priors come last, because their weight relative to a spectrum is known only then: a misfit lowers
the weight of the spectrum, and not that of the priors.
"""

import numpy as np
from sklearn.utils.parallel import Parallel, delayed

from skphx.inference._correlated_likelihood import CorrelatedLikelihood, weigh_by_white_noise
from skphx.inference._covariance import excess_of_emulator
from skphx.inference._gauss_newton import gauss_newton
from skphx.inference._likelihood import to_internal, to_natural
from skphx.inference._misfit import variance_scale
from skphx.inference._pixel_weights import ROUNDING, weigh_by_scatter

# Steps that lower chi² by less than this are not taken: a hundredth of a standard error.
_TOLERATED_CHI2 = 1e-4
# Minimisation ends if the next step would lower chi² by less than this part of chi².
_COARSE_TOLERANCE, _FINAL_TOLERANCE = 1e-3, 1e-9
# How often the covariance of the model's errors is computed: at the coarse end and at the minimum.
_N_COVARIANCES = 2


def minimise_coarsely(likelihood, scan, rows, boxes, n_starts, pixels):
    """Follow each starting point of some spectra coarsely, and keep the lowest end of each.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with the low-rank surrogate; with the emulator if there is no surrogate.
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
    end : Minima
        One row for each spectrum, points with squares.
    boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
        Boxes with squares.
    """
    starts = scan.starts(rows, boxes, n_starts)
    starts = to_internal(starts.reshape(len(rows) * n_starts, -1), likelihood.n_stellar)
    boxes = np.moveaxis(to_internal(np.moveaxis(boxes, 2, 1), likelihood.n_stellar), 1, 2)
    repeated = np.repeat(rows, n_starts)
    return _best_ends(likelihood, repeated, boxes, starts, pixels, _COARSE_TOLERANCE), boxes


def minimise_finally(likelihood, coarse, rows, boxes, pixels, error=None, model_error=None):
    """Follow the coarse end of each spectrum to its minimum.

    It is followed to the final tolerance, and from there, if the spectrum has priors, to their
    common minimum.

    The covariance of the model's errors is that of the coarse end, which is held fixed. At the
    minimum it is computed again, and the minimum is searched once more, so that a coarse end
    that is far away has little influence.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with the emulator.
    coarse : Minima
        Coarse ends, one row for each of `rows`.
    rows, boxes
        Numbers of the spectra, and the boxes of all spectra with squares.
    pixels : PixelErrors
        Errors of the pixels.
    error : InterpolationError or None
        Interpolation-error model, for the weight of the priors.
    model_error : object or None
        Errors of the model's lines, see
        :meth:`~skphx.inference._correlated_likelihood.CorrelatedLikelihood.at`.

    Returns
    -------
    likelihood : Likelihood
        The same; if spectra have no errors, a copy weighted by their scatter; with `model_error`,
        with the covariances of the pixels.
    end : Minima
        One row for each spectrum, points with squares.
    scales : ndarray of shape (n,)
        Factors of the variances of the flux that the residuals without priors ask for, see
        :func:`~skphx.inference._misfit.variance_scale`; NaN for spectra without priors.
    """
    noise, end = likelihood, coarse
    for _ in range(1 if model_error is None else _N_COVARIANCES):
        if model_error is None:
            likelihood = weigh_by_scatter(noise, rows, end.points, pixels)
        else:
            weighed = weigh_by_white_noise(noise, rows, end.points, pixels)
            likelihood = CorrelatedLikelihood.at(weighed, model_error, rows, end.points)
        n_before = end.n_evaluations
        end = _best_ends(likelihood, rows, boxes, end.points, pixels, _FINAL_TOLERANCE)
        end.n_evaluations += n_before
    end, scales = _with_priors(likelihood, rows, boxes, end, pixels, error)
    return likelihood, end, scales


def _with_priors(likelihood, rows, boxes, end, pixels, error):
    """Follow spectra with priors to the minimum of both, and return the factors of variances.

    The search starts at the best point without priors, and at this point moved to the means of
    the priors, because the best point without them may be another minimum.
    """
    scales = np.full(len(rows), np.nan)
    if likelihood.priors is None:
        return end, scales
    means, deviations = np.moveaxis(likelihood.priors[rows], 2, 0)
    known = np.isfinite(means) & np.isfinite(deviations)
    some = np.flatnonzero(known.any(axis=1))
    if len(some) == 0:
        return end, scales
    rows, points = rows[some], end.points[some]
    widths = np.diff(boxes[rows], axis=2)[:, likelihood.columns, 0]
    scales[some] = variance_scales(likelihood, rows, points, widths, pixels)
    total = scales[some] * excess_of_emulator(
        likelihood, rows, points, widths, scales[some], error
    )
    natural = to_natural(points, likelihood.n_stellar)
    moved = to_internal(np.where(known[some], means[some], natural), likelihood.n_stellar)
    starts = np.stack([points, moved], axis=1).reshape(2 * len(some), -1)
    repeated = np.repeat(total, 2)
    found = _best_ends(
        likelihood,
        np.repeat(rows, 2),
        boxes,
        starts,
        pixels,
        _FINAL_TOLERANCE,
        lambda points, numbers, local: likelihood.evaluate_with_priors(
            points, numbers, repeated[local]
        ),
    )
    found.n_evaluations += end.n_evaluations[some]
    for name in vars(end):
        getattr(end, name)[some] = getattr(found, name)
    return end, scales


def variance_scales(likelihood, rows, points, widths, pixels):
    """Return the factors of the variances of the flux that residuals ask for.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with their final weights.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    points : ndarray of shape (n, n_parameters)
        Their best points, with squares.
    widths : ndarray of shape (n, n_columns)
        Widths of the search box.
    pixels : PixelErrors
        Errors of the pixels.

    Returns
    -------
    ndarray of shape (n,)
        The factors.
    """
    scales = np.empty(len(rows))
    slices = likelihood.forward.segment_slices
    for start in range(0, len(rows), likelihood.block):
        part = slice(start, start + likelihood.block)
        model, _, _ = likelihood.with_continuum(likelihood.spectrum(points[part]), rows[part])
        scaled = likelihood.whitened(likelihood.flux[rows[part]] - model, rows[part])
        for place, row in enumerate(rows[part]):
            good = pixels.good[row]
            _, freedom = degrees_of_freedom(likelihood, good, widths[start + place])
            scales[start + place] = variance_scale(
                scaled[place], good, slices, freedom, bool(pixels.sigma_known[row])
            )
    return scales


def degrees_of_freedom(likelihood, good, widths):
    """Return how many numbers are fitted, continua included, and how many pixels are left.

    Parameters
    ----------
    likelihood : Likelihood
        Has the continuum and the segments.
    good : ndarray of shape (n_pixels,), bool
        Good pixels of a spectrum.
    widths : ndarray of shape (n_columns,)
        Widths of its search box.

    Returns
    -------
    n_free, freedom : int
        Number of fitted numbers; good pixels less these, 1 or more.
    """
    n_terms = 0 if likelihood.degree is None else likelihood.degree + 1
    # A segment without any good pixel has no continuum.
    n_used = sum(good[where].any() for where in likelihood.forward.segment_slices)
    n_free = int((widths > 0).sum() + n_terms * n_used)
    return n_free, max(int(good.sum()) - n_free, 1)


def _best_ends(likelihood, rows, boxes, starts, pixels, tolerance, evaluate=None):
    """Minimise from starting points, and keep the lowest end of each spectrum.

    `rows` are the spectra of the starting points; those of one spectrum are consecutive, and
    all spectra have as many. ``evaluate(points, spectra, searches)`` is chi² if it is None.
    """
    if evaluate is None:

        def evaluate(points, numbers, local):
            return likelihood.evaluate(points, numbers)

    rounding = ROUNDING * (likelihood.weights[rows] * pixels.level[rows] ** 2).sum(axis=1)
    end = gauss_newton(
        lambda points, local: evaluate(points, rows[local], local),
        boxes[rows],
        starts,
        tolerance=tolerance,
        floor=np.where(pixels.sigma_known[rows], _TOLERATED_CHI2, rounding),
    )
    n_spectra = len(np.unique(rows))
    n_starts = len(rows) // n_spectra
    best = end.cost.reshape(n_spectra, n_starts).argmin(axis=1) + np.arange(n_spectra) * n_starts
    lowest = end.part(best)
    lowest.n_evaluations = end.n_evaluations.reshape(n_spectra, n_starts).sum(axis=1)
    return lowest


def in_blocks(function, blocks, n_jobs):
    """Call a function with blocks of rows, in parallel, and return its results for all rows."""
    found = Parallel(n_jobs=n_jobs)(delayed(function)(rows) for rows in blocks)
    return [one for block in found for one in block]
