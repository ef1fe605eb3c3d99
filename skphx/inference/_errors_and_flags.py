"""Results of minimised searches: covariance, flags and evidence."""

import numpy as np
from scipy import fft

from skphx._domain import KINEMATIC_PARAMETERS
from skphx.inference._emulator_covariance import emulator_covariance
from skphx.inference._likelihood import SQUARED, to_natural
from skphx.inference._result import InferenceResult

# A fit is flagged as bad if its reduced chi² exceeds the first number, and 1 by more than the
# second number of its standard deviations.
_MOST_REDUCED_CHI2 = 1.5
_MOST_SIGMAS = 4.0
# If errors are unknown, a fit is bad if it explains less than this part of the variance about the
# continuum.
_LEAST_EXPLAINED = 0.5
# A spectrum is featureless if the model lowers chi² of the continuum alone by less than this for
# each parameter. Noise alone can reach this, because many templates and velocities are tried.
_CHANCE_CHI2 = 12.0
# A parameter is at a bound if it is nearer to the bound than this part of its box.
_AT_BOUND = 1e-6
# Inverse variance of a uniform distribution of width 1.
_UNIFORM_CURVATURE = 12.0
# Part of the good pixels that the model may leave uncovered without a flag.
_MOST_UNCOVERED = 0.1


def make_results(likelihood, end, rows, boxes, pixels, *, error, uncovered, n_shared):
    """Return the results of searches that have ended.

    Parameters
    ----------
    likelihood : Likelihood
        The fitted spectra.
    end : Minima
        Best end of each spectrum, points with squares.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
        Search boxes, with squares.
    pixels : PixelErrors
        Which pixels are good, and which spectra have errors.
    error : InterpolationError or None
        Interpolation-error model, on the emulator's wavelengths.
    uncovered : ndarray of shape (n_spectra,)
        Part of the good pixels that the model does not cover.
    n_shared : int
        Number of spectra emulated for all stars together.

    Returns
    -------
    list of InferenceResult
        One for each spectrum.
    """
    columns = likelihood.columns
    results = []
    for start in range(0, len(rows), likelihood.block):
        part = slice(start, start + likelihood.block)
        block, points = rows[part], end.points[part]
        model, continuum, grams = likelihood.with_continuum(likelihood.spectrum(points), block)
        _, _, jacobian = likelihood.derivatives(points, block)
        widths = np.diff(boxes[block], axis=2)[:, columns, 0]
        inverse, degenerate = _invert(end.curvature[part][:, columns[:, None], columns], widths)
        from_emulator = emulator_covariance(
            likelihood, error, points, block, inverse, jacobian, continuum
        )
        continuum_chi2 = _continuum_chi2(likelihood, block)
        for place, row in enumerate(block):
            fit = _Fit(
                likelihood,
                row,
                pixels,
                points[place],
                boxes[row],
                model[place],
                continuum_chi2[place],
            )
            flags = {
                "at_bound": bool(fit.at_bound),
                "bad_fit": fit.is_bad,
                "featureless": fit.is_featureless,
                "outside_grid": fit.is_outside_grid,
                "not_converged": not end.converged[part][place],
                "degenerate": degenerate[place],
                "uncovered": uncovered[row] > _MOST_UNCOVERED,
            }
            covariance, emulator_part = fit.covariances(inverse[place], from_emulator[place])
            evidence = fit.log_evidence(
                end.cost[part][place], inverse[place], [gram[place] for gram in grams]
            )
            slices = likelihood.forward.segment_slices
            residual = np.where(fit.good, fit.residual, np.nan)
            results.append(
                InferenceResult(
                    parameter_names=likelihood.names,
                    parameters=to_natural(points[place], likelihood.n_stellar)[columns],
                    covariance=covariance,
                    emulator_covariance=emulator_part,
                    chi2=fit.chi2 if fit.sigma_known else float(fit.freedom),
                    n_pixels=int(fit.good.sum()),
                    n_free=fit.n_free,
                    model=[model[place, where] for where in slices],
                    residual=[residual[where] for where in slices],
                    continuum=[continuum[place, where] for where in slices],
                    flags=tuple(flag for flag, is_set in flags.items() if is_set),
                    at_bound=fit.at_bound,
                    n_evaluations=int(end.n_evaluations[part][place]),
                    n_shared_evaluations=n_shared,
                    sigma_known=fit.sigma_known,
                    log_evidence=evidence,
                )
            )
    return results


class _Fit:
    """The best point of one spectrum, its flags and its errors.

    Parameters
    ----------
    likelihood, row
        The fitted spectra, and which of them.
    pixels : PixelErrors
        Of all spectra.
    point : ndarray of shape (n_parameters + 4,)
        Best point, with squares.
    box : ndarray of shape (n_parameters + 4, 2)
        Search box, with squares.
    model : ndarray of shape (n_pixels,)
        Flux of the model at the point.
    continuum_chi2 : float
        Chi² of the continuum without lines.
    """

    def __init__(self, likelihood, row, pixels, point, box, model, continuum_chi2):
        self.likelihood, self.row, self.point, self.box = likelihood, row, point, box
        self.good = pixels.good[row]
        self.sigma_known = bool(pixels.sigma_known[row])
        self.residual = likelihood.flux[row] - model
        self.chi2 = float((likelihood.weights[row] * self.residual**2).sum())
        self.width = np.diff(box, axis=1)[likelihood.columns, 0]
        self.varied = np.flatnonzero(self.width > 0)
        n_terms = 0 if likelihood.degree is None else likelihood.degree + 1
        # A segment without any good pixel has no continuum.
        self.used = [self.good[where].any() for where in likelihood.forward.segment_slices]
        self.n_free = len(self.varied) + n_terms * sum(self.used)
        self.freedom = max(int(self.good.sum()) - self.n_free, 1)
        self.reduced = self.chi2 / self.freedom
        self._continuum_chi2 = continuum_chi2

    @property
    def is_bad(self):
        """Whether the model does not describe the spectrum."""
        if not self.sigma_known:
            return self.chi2 > (1.0 - _LEAST_EXPLAINED) * self._continuum_chi2
        limit = max(_MOST_REDUCED_CHI2, 1.0 + _MOST_SIGMAS * np.sqrt(2.0 / self.freedom))
        return self.reduced > limit

    @property
    def is_featureless(self):
        """Whether the continuum alone describes the spectrum as well."""
        scale = max(self.reduced, 1.0) if self.sigma_known else self.reduced
        least = _CHANCE_CHI2 * scale * max(len(self.varied), 1)
        return self._continuum_chi2 - self.chi2 < least

    @property
    def is_outside_grid(self):
        """Whether the best point lies outside the nodes."""
        likelihood = self.likelihood
        stellar = self.point[None, : likelihood.n_stellar]
        return not likelihood.emulator.grid_.contains(stellar)[0]

    @property
    def at_bound(self):
        """Names of the parameters at a bound; a broadening of 0 is a value and no bound."""
        found = []
        names, columns = self.likelihood.names, self.likelihood.columns
        for name, column in zip(names, columns, strict=True):
            low, high = self.box[column]
            if high == low:
                continue
            slack = _AT_BOUND * (high - low)
            is_low = self.point[column] <= low + slack and not (name in SQUARED and low <= 0)
            if is_low or self.point[column] >= high - slack:
                found.append(name)
        return tuple(found)

    def covariances(self, inverse, from_emulator):
        """Return the covariance of the parameters, and the emulator's part of it.

        Parameters
        ----------
        inverse : ndarray of shape (n_columns, n_columns)
            Inverse curvature of chi².
        from_emulator : ndarray of shape (n_columns, n_columns)
            Covariance due to the error of the emulator.

        Returns
        -------
        covariance, emulator_covariance : ndarray of shape (n_columns, n_columns)
            In natural units.
        """
        likelihood = self.likelihood
        scale = max(self.reduced, 1.0) if self.sigma_known else self.reduced
        if self.is_bad or not self.sigma_known:
            scaled = self.residual * np.sqrt(likelihood.weights[self.row])
            scale *= _correlation_length(scaled, likelihood.forward.segment_slices)
        covariance = scale * inverse + from_emulator
        slopes = self._natural_slopes(covariance)
        covariance = covariance * np.outer(slopes, slopes)
        if self.is_featureless:
            natural = np.diff(to_natural(self.box.T, likelihood.n_stellar).T, axis=1)
            variance = natural[likelihood.columns, 0] ** 2 / _UNIFORM_CURVATURE
            covariance = np.diag(np.maximum(np.diag(covariance), variance))
        return covariance, from_emulator * np.outer(slopes, slopes)

    def _natural_slopes(self, covariance):
        """Return derivatives of natural parameters with respect to those with squares."""
        likelihood = self.likelihood
        slopes = np.ones(len(likelihood.columns))
        for place, column in enumerate(likelihood.columns):
            kinematic = column - likelihood.n_stellar
            if kinematic >= 0 and KINEMATIC_PARAMETERS[kinematic] in SQUARED:
                # A finite difference over one standard error: near 0 the derivative is infinite.
                deviation = np.sqrt(max(covariance[place, place], 0.0))
                value = np.sqrt(max(self.point[column], 0.0))
                if deviation > 0:
                    slopes[place] = (np.sqrt(value**2 + deviation) - value) / deviation
        return slopes

    def log_evidence(self, cost, inverse, grams):
        """Return the evidence in Laplace's approximation; NaN if errors are unknown.

        Parameters without a Gaussian prior have a uniform one in the box.

        Parameters
        ----------
        cost : float
            Chi² with priors.
        inverse : ndarray of shape (n_columns, n_columns)
            Inverse curvature of chi².
        grams : list of ndarray of shape (degree + 1, degree + 1)
            Curvature with respect to the continuum of each segment.

        Returns
        -------
        float
            Natural logarithm of the evidence.
        """
        if not self.sigma_known:
            return np.nan
        likelihood, varied = self.likelihood, self.varied
        variance = 1.0 / likelihood.weights[self.row][self.good]
        evidence = -0.5 * cost - 0.5 * np.log(2.0 * np.pi * variance).sum()
        if len(varied):
            _, log_volume = np.linalg.slogdet(2.0 * np.pi * inverse[np.ix_(varied, varied)])
            evidence += 0.5 * log_volume
        for place in varied:
            column = likelihood.columns[place]
            prior = None if likelihood.priors is None else likelihood.priors[self.row, column]
            if prior is not None and np.isfinite(prior).all():
                evidence -= np.log(np.sqrt(2.0 * np.pi) * prior[1])
            else:
                evidence -= np.log(self.width[place])
        for gram, is_used in zip(grams, self.used, strict=False):
            if is_used:
                evidence -= 0.5 * np.linalg.slogdet(gram / (2.0 * np.pi))[1]
        return float(evidence)


def _invert(curvature, widths):
    """Return the inverse curvature of free parameters, 0 elsewhere, and where it is singular."""
    inverse = np.zeros_like(curvature)
    degenerate = np.zeros(len(curvature), dtype=bool)
    for place, matrix in enumerate(curvature):
        varied = np.flatnonzero(widths[place] > 0)
        if len(varied) == 0:
            continue
        # In units of the box, eigenvalues are comparable.
        unit = widths[place, varied]
        scaled = matrix[np.ix_(varied, varied)] * np.outer(unit, unit)
        values, vectors = np.linalg.eigh(scaled)
        degenerate[place] = values[0] < _UNIFORM_CURVATURE
        # A combination that the spectrum does not determine has the variance of the box.
        values = np.maximum(values, _UNIFORM_CURVATURE)
        part = (vectors / values) @ vectors.T
        inverse[place][np.ix_(varied, varied)] = part * np.outer(unit, unit)
    return inverse, degenerate


def _continuum_chi2(likelihood, rows):
    """Return chi² of the continuum without any line, shape (n,)."""
    flux, weights = likelihood.flux[rows], likelihood.weights[rows]
    flat = np.ones((len(rows), likelihood.forward.n_pixels))
    if likelihood.degree is None:
        # The weighted mean of the flux, instead of a polynomial.
        total = weights.sum(axis=1, keepdims=True)
        model = flat * ((weights * flux).sum(axis=1, keepdims=True) / total)
    else:
        model, _, _ = likelihood.with_continuum(flat, rows)
    return (weights * (model - flux) ** 2).sum(axis=1)


def _correlation_length(residual, slices):
    """Return how many neighbouring pixels have correlated residuals, at least 1.

    This is 1 + 2 Σ of the autocorrelation, up to its first zero. Errors of a model are similar in
    many neighbouring pixels, and then have more influence on the parameters than independent
    errors of the same size.
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
        n_used = int(np.count_nonzero(part))
        total += n_used * (1.0 + 2.0 * correlation[1:vanishes].sum())
        n_pixels += n_used
    return total / n_pixels if n_pixels else 1.0
