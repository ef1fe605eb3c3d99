"""From the end of a search to a result: covariance, emulator error, flags, evidence."""

import numpy as np
from scipy import fft

from skphx.inference.emulator_covariance import emulator_covariance
from skphx.inference.observed import SQUARED, to_natural
from skphx.inference.result import InferenceResult
from skphx.observing._light_path import EFFECTS

# A fit is bad where chi² over its degrees of freedom is beyond this, and beyond its scatter.
_MOST_REDUCED_CHI2 = 1.5
_MOST_SIGMAS = 4.0
# Part of the variance about the continuum that a model must explain where errors are unknown.
_LEAST_EXPLAINED = 0.5
# Improvement of chi² per parameter over a continuum alone that chance may bring: many templates
# and velocities are tried.
_LUCK = 12.0
# Nearer than this part of its box to a bound is at it.
_AT_BOUND = 1e-6
# One over the variance of a uniform distribution of width 1.
_OF_BOX = 12.0
_MOST_UNCOVERED = 0.1


def conclude(problem, end, rows, boxes, facts):
    """Results of searches that have ended.

    Parameters
    ----------
    problem : ObservedSpectra
        The fitted spectra.
    end : Refinement
        Best end of each spectrum, points with squares.
    rows : ndarray of shape (n,), int
        Their spectra.
    boxes : ndarray of shape (n_spectra, n_parameters, 2)
        Search boxes, with squares.
    facts : dict
        ``n_shared``, ``sigma_known`` (n_spectra,), ``good`` (n_spectra, n_pixels), ``uncovered``
        (n_spectra,): part of the good pixels that the model does not cover, and
        ``error``, an InterpolationError or None.

    Returns
    -------
    list of InferenceResult
        One a spectrum.
    """
    results = []
    for start in range(0, len(rows), problem.block):
        part = slice(start, start + problem.block)
        results += _conclude_block(problem, end, part, rows[part], boxes, facts)
    return results


def _conclude_block(problem, end, part, rows, boxes, facts):
    points, columns = end.points[part], problem.columns
    spectrum = problem.spectrum(points)
    model, continuum, grams = problem.with_continuum(spectrum, rows)
    _, _, jacobian = problem.derivatives(points, rows)
    curvature = end.curvature[part][:, columns[:, None], columns]
    width = np.diff(boxes[rows], axis=2)[:, columns, 0]
    inverse, degenerate = _invert(curvature, width)
    from_emulator = emulator_covariance(
        problem, facts["error"], points, rows, inverse, jacobian, continuum
    )
    alone = _continuum_chi2(problem, rows)
    results = []
    for place, row in enumerate(rows):
        good = facts["good"][row]
        weights, flux = problem.weights[row], problem.flux[row]
        residual = flux - model[place]
        chi2 = float((weights * residual**2).sum())
        varied = width[place] > 0
        n_terms = 0 if problem.degree is None else problem.degree + 1
        # A chunk without any good pixel has no continuum.
        used = [good[where].any() for where in problem.path.chunk_slices]
        n_free = int(varied.sum()) + n_terms * sum(used)
        freedom = max(int(good.sum()) - n_free, 1)
        reduced = chi2 / freedom
        flags = []
        if not facts["sigma_known"][row]:
            bad = chi2 > (1.0 - _LEAST_EXPLAINED) * alone[place]
            luck = _LUCK * reduced
        else:
            bad = reduced > _MOST_REDUCED_CHI2
            bad &= reduced > 1.0 + _MOST_SIGMAS * np.sqrt(2.0 / freedom)
            luck = _LUCK * max(reduced, 1.0)
        featureless = alone[place] - chi2 < luck * max(varied.sum(), 1)
        at_bound = _at_bound(problem, points[place], boxes[row], columns)
        stellar = points[place : place + 1, : problem.n_stellar]
        for flag, is_set in (
            ("at_bound", len(at_bound) > 0),
            ("bad_fit", bad),
            ("featureless", featureless),
            ("outside_grid", not problem.emulator.grid_.contains(stellar)[0]),
            ("not_converged", not end.converged[part][place]),
            ("degenerate", degenerate[place]),
            ("uncovered", facts["uncovered"][row] > _MOST_UNCOVERED),
        ):
            if is_set:
                flags.append(flag)
        scale = reduced if not facts["sigma_known"][row] else max(reduced, 1.0)
        if bad or not facts["sigma_known"][row]:
            scale *= _correlation(residual * np.sqrt(weights), problem.path.chunk_slices)
        covariance = scale * inverse[place] + from_emulator[place]
        evidence = np.nan
        if facts["sigma_known"][row]:
            evidence = _log_evidence(
                problem,
                end.cost[part][place],
                row,
                good,
                inverse[place],
                width[place],
                [gram[place] for gram, is_used in zip(grams, used, strict=False) if is_used],
            )
        to_users = _slopes(problem, points[place], covariance, columns)
        covariance = covariance * np.outer(to_users, to_users)
        if featureless:
            natural = np.diff(to_natural(boxes[row].T, problem.n_stellar).T, axis=1)[columns, 0]
            floor = natural**2 / 12.0
            covariance = np.diag(np.maximum(np.diag(covariance), floor))
        natural = to_natural(points[place], problem.n_stellar)
        if not facts["sigma_known"][row]:
            chi2 = float(freedom)
        slices = problem.path.chunk_slices
        shown = np.where(good, residual, np.nan)
        results.append(
            InferenceResult(
                parameter_names=names_of(problem),
                parameters=natural[columns],
                covariance=covariance,
                emulator_covariance=from_emulator[place] * np.outer(to_users, to_users),
                chi2=chi2,
                n_pixels=int(good.sum()),
                n_free=n_free,
                model=[model[place, where] for where in slices],
                residual=[shown[where] for where in slices],
                continuum=[continuum[place, where] for where in slices],
                flags=tuple(flags),
                at_bound=at_bound,
                n_evaluations=int(end.n_evaluations[part][place]),
                n_shared_evaluations=facts["n_shared"],
                sigma_known=bool(facts["sigma_known"][row]),
                log_evidence=float(evidence),
            )
        )
    return results


def names_of(problem):
    """Names of the problem's columns: stellar parameters, then free effects."""
    return (*problem.emulator.grid_.parameter_names, *problem.free)


def _invert(curvature, width):
    """Inverse curvature of what varies, 0 elsewhere; and where it is singular."""
    inverse = np.zeros_like(curvature)
    degenerate = np.zeros(len(curvature), dtype=bool)
    for place, matrix in enumerate(curvature):
        varied = np.flatnonzero(width[place] > 0)
        if len(varied) == 0:
            continue
        # In units of the box, eigenvalues can be compared.
        unit = width[place, varied]
        scaled = matrix[np.ix_(varied, varied)] * np.outer(unit, unit)
        values, vectors = np.linalg.eigh(scaled)
        degenerate[place] = values[0] < _OF_BOX
        # What the spectrum does not determine is as uncertain as the box is wide.
        values = np.maximum(values, _OF_BOX)
        part = (vectors / values) @ vectors.T
        inverse[place][np.ix_(varied, varied)] = part * np.outer(unit, unit)
    return inverse, degenerate


def _continuum_chi2(problem, rows):
    """Chi² of the continuum without any line, shape (n,)."""
    flat = np.ones((len(rows), problem.path.n_pixels))
    model, _, _ = problem.with_continuum(flat, rows)
    if problem.degree is None:
        # Lines are what differs from a constant.
        weights = problem.weights[rows]
        total = weights.sum(axis=1, keepdims=True)
        model = flat * ((weights * problem.flux[rows]).sum(axis=1, keepdims=True) / total)
    return (problem.weights[rows] * (model - problem.flux[rows]) ** 2).sum(axis=1)


def _at_bound(problem, point, box, columns):
    """Names of what ended at a bound; no broadening at all is not a bound but a value."""
    names = names_of(problem)
    found = []
    for name, column in zip(names, columns, strict=True):
        low, high = box[column]
        if high == low:
            continue
        slack = _AT_BOUND * (high - low)
        is_low = point[column] <= low + slack and not (name in SQUARED and low <= 0)
        if is_low or point[column] >= high - slack:
            found.append(name)
    return tuple(found)


def _slopes(problem, point, covariance, columns):
    """Return derivatives of users' parameters by internal ones, shape (n_columns,)."""
    slopes = np.ones(len(columns))
    for place, column in enumerate(columns):
        effect = column - problem.n_stellar
        if effect >= 0 and EFFECTS[effect] in SQUARED:
            # At rest the square is uncertain by its error, and the velocity by the root of it.
            deviation = np.sqrt(max(covariance[place, place], 0.0))
            value = np.sqrt(max(point[column], 0.0))
            if deviation > 0:
                slopes[place] = (np.sqrt(value**2 + deviation) - value) / deviation
    return slopes


def _correlation(residual, slices):
    """How many pixels say the same: 1 + 2 Σ of the autocorrelation, up to where it vanishes.

    What a model does not know, it does not know in many neighbouring pixels at once; their
    residuals then move parameters as fewer, larger ones would.
    """
    total, n_pixels = 0.0, 0
    for where in slices:
        part = residual[where]
        power = np.abs(fft.rfft(part, n=2 * len(part))) ** 2
        covariance = fft.irfft(power)[: len(part)]
        if covariance[0] <= 0:
            continue
        correlation = covariance / covariance[0]
        vanishes = np.argmax(correlation <= 0) if (correlation <= 0).any() else len(part)
        n_used = np.count_nonzero(part)
        total += n_used * (1.0 + 2.0 * correlation[1:vanishes].sum())
        n_pixels += n_used
    return total / n_pixels if n_pixels else 1.0


def _log_evidence(problem, cost, row, good, inverse, width, grams):
    """Evidence of the best point in Laplace's approximation; widths of boxes are priors."""
    variance = 1.0 / problem.weights[row][good]
    evidence = -0.5 * cost - 0.5 * np.log(2.0 * np.pi * variance).sum()
    varied = np.flatnonzero(width > 0)
    if len(varied):
        _, log_volume = np.linalg.slogdet(2.0 * np.pi * inverse[np.ix_(varied, varied)])
        evidence += 0.5 * log_volume
    for place in varied:
        column = problem.columns[place]
        prior = None if problem.priors is None else problem.priors[row, column]
        if prior is not None and np.isfinite(prior).all():
            evidence -= np.log(np.sqrt(2.0 * np.pi) * prior[1])
        else:
            evidence -= np.log(width[place])
    for gram in grams:
        evidence -= 0.5 * np.linalg.slogdet(gram / (2.0 * np.pi))[1]
    return evidence
