"""Results of minimised searches: covariance, flags and evidence."""

from dataclasses import replace

import numpy as np

from skphx._domain import KINEMATIC_PARAMETERS
from skphx.inference._covariance import (
    UNIFORM_CURVATURE,
    curvature_of_chi2,
    inverted,
    with_priors,
)
from skphx.inference._emulator_covariance import emulator_covariance
from skphx.inference._likelihood import SQUARED, to_natural
from skphx.inference._minimisation import degrees_of_freedom
from skphx.inference._misfit import (
    MOST_REDUCED_CHI2,
    MOST_SIGMAS,
    is_misfit,
    noise_between_lines,
    variance_scale,
    white_noise,
)
from skphx.inference._result import InferenceResult
from skphx.species._abundances import ABUNDANCE_LIMITS, AbundanceGrid

# If errors are unknown, a fit is also bad if it explains less than this part of the variance about
# the continuum.
_LEAST_EXPLAINED = 0.5
# A spectrum is featureless if the model lowers chi² of the continuum alone by less than this for
# each parameter. Noise alone can reach this, because many templates and velocities are tried.
_CHANCE_CHI2 = 12.0
# A parameter is at a bound if it is nearer to the bound than this part of its box.
_AT_BOUND = 1e-6
# A star is outside the grid if spectra beyond an edge explain more than this part of the misfit.
# Of real stars inside a grid the largest part is 0.3, of those outside the least is 0.6.
_BEYOND_EXPLAINS = 0.45
# An abundance is not determined if the spectrum alone gives an error of this or more, dex.
_UNDETERMINED = 0.3
# Part of the good pixels within the model's wavelengths that may be left out without a flag.
_MOST_UNCOVERED = 0.1


def make_results(likelihood, end, rows, boxes, scales, pixels, *, error, uncovered, n_shared):
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
    scales : ndarray of shape (n,)
        Factors of the variances of the flux; NaN if the residuals at the end give them.
    pixels : PixelErrors
        Which pixels are good, and which spectra have errors.
    error : InterpolationError or None
        Interpolation-error model, on the emulator's wavelengths.
    uncovered : ndarray of shape (n_spectra,)
        Part of the good pixels within the model's wavelengths that are left out.
    n_shared : int
        Number of spectra emulated for all stars together.

    Returns
    -------
    results : list of InferenceResult
        One for each spectrum.
    factors : list of float
        Factors of the variances of the flux that their errors have.
    undetermined : list of ndarray of shape (n_columns,), bool
        Abundances that the spectrum does not determine, for `without_undetermined`.
    """
    columns = likelihood.columns
    results: list[InferenceResult] = []
    used: list[float] = []
    masks: list[np.ndarray] = []
    for start in range(0, len(rows), likelihood.block):
        part = slice(start, start + likelihood.block)
        block, points = rows[part], end.points[part]
        model, continuum, grams = likelihood.with_continuum(likelihood.spectrum(points), block)
        _, _, jacobian = likelihood.derivatives(points, block)
        widths = np.diff(boxes[block], axis=2)[:, columns, 0]
        continuum_chi2 = _continuum_chi2(likelihood, block)
        fits = [
            _Fit(
                likelihood,
                row,
                pixels,
                points[place],
                boxes[row],
                model[place],
                continuum[place],
                continuum_chi2[place],
                scales[part][place],
            )
            for place, row in enumerate(block)
        ]
        curvature = curvature_of_chi2(likelihood, block, jacobian)
        factors = np.array([fit.scale for fit in fits])
        used.extend(factors)
        inverse, _ = inverted(curvature, widths, factors)
        from_emulator = emulator_covariance(
            likelihood,
            error,
            points,
            block,
            inverse / factors[:, None, None],
            jacobian,
            continuum,
        )
        with_prior = curvature + likelihood.prior_curvature(points, block)
        undetermined = _undetermined(likelihood, points, block, boxes[block], factors)
        inverse_with_prior, _ = inverted(with_prior, widths, np.ones(len(block)))
        # Abundances that are not determined have a flag of their own.
        others = np.where(_is_abundance(likelihood), 0.0, widths)
        _, degenerate = inverted(with_prior, others, np.ones(len(block)))
        prior_chi2 = likelihood.prior_chi2(points, block)
        for place, row in enumerate(block):
            fit = fits[place]
            unknown = undetermined[place]
            unknown_names = np.array(likelihood.names)[unknown]
            at_bound = tuple(name for name in fit.at_bound if name not in unknown_names)
            flags = {
                "at_bound": bool(at_bound),
                "bad_fit": fit.is_bad,
                "featureless": fit.is_featureless,
                "outside_grid": fit.is_outside_grid(jacobian[place], curvature[place]),
                "not_converged": not end.converged[part][place],
                "degenerate": degenerate[place],
                "undetermined": unknown.any(),
                "uncovered": uncovered[row] > _MOST_UNCOVERED,
            }
            covariance, emulator_part = fit.covariances(inverse[place], from_emulator[place])
            masks.append(unknown)
            evidence = fit.log_evidence(
                fit.chi2 + prior_chi2[place],
                inverse_with_prior[place],
                [gram[place] for gram in grams],
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
                    at_bound=at_bound,
                    n_evaluations=int(end.n_evaluations[part][place]),
                    n_shared_evaluations=n_shared,
                    sigma_known=fit.sigma_known,
                    log_evidence=evidence,
                )
            )
    return results, used, masks


def without_undetermined(result, undetermined):
    """Return a result with NaN for the abundances that the spectrum does not determine.

    Parameters
    ----------
    result : InferenceResult
        Of one star.
    undetermined : ndarray of shape (n_columns,), bool
        Which parameters these are.

    Returns
    -------
    InferenceResult
        A copy, or the result itself if there is none.
    """
    if not undetermined.any():
        return result
    parameters = np.where(undetermined, np.nan, result.parameters)
    either = undetermined | undetermined[:, None]
    samples = result.samples
    return replace(
        result,
        parameters=parameters,
        covariance=np.where(either, np.nan, result.covariance),
        emulator_covariance=np.where(either, np.nan, result.emulator_covariance),
        samples=None if samples is None else np.where(undetermined, np.nan, samples),
    )


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
    continuum : ndarray of shape (n_pixels,)
        The polynomial in it.
    continuum_chi2 : float
        Chi² of the continuum without lines.
    scale : float
        Factor of the variances of the flux; NaN if the residuals give it.
    """

    def __init__(
        self, likelihood, row, pixels, point, box, model, continuum, continuum_chi2, scale
    ):
        self.likelihood, self.row, self.point, self.box = likelihood, row, point, box
        self.good = pixels.good[row]
        self.sigma_known = bool(pixels.sigma_known[row])
        self.residual = likelihood.flux[row] - model
        rows = np.array([row])
        self.chi2 = float(likelihood.chi2(self.residual[None], rows)[0])
        self.width = np.diff(box, axis=1)[likelihood.columns, 0]
        self.varied = np.flatnonzero(self.width > 0)
        slices = likelihood.forward.segment_slices
        self.used = [self.good[where].any() for where in slices]
        self.n_free, self.freedom = degrees_of_freedom(likelihood, self.good, self.width)
        self.reduced = self.chi2 / self.freedom
        self._continuum_chi2 = continuum_chi2
        scaled = likelihood.whitened(self.residual[None], rows)[0]
        self._residuals = scaled, self.good, slices
        # Absorption lines of a negative continuum are emission.
        self._is_inverted = float(np.mean(continuum[self.good] < 0)) > 0.5
        self._depth = 1.0 - np.divide(
            model, continuum, out=np.ones_like(model), where=continuum > 0
        )
        if np.isnan(scale):
            scale = variance_scale(*self._residuals, self.freedom, self.sigma_known)
        self.scale = scale

    @property
    def is_bad(self):
        """Whether the model does not describe the spectrum."""
        if self._is_inverted:
            return True
        if not self.sigma_known:
            return self._is_unexplained or is_misfit(*self._residuals, self._depth)
        limit = max(MOST_REDUCED_CHI2, 1.0 + MOST_SIGMAS * np.sqrt(2.0 / self.freedom))
        return self.reduced > limit

    @property
    def _is_unexplained(self):
        """Whether more than half of the variance about the continuum, beside noise, is left."""
        n_good = int(self.good.sum())
        noise = n_good * white_noise(*self._residuals)
        allowed = (1.0 - _LEAST_EXPLAINED) * (self._continuum_chi2 - noise)
        by_chance = MOST_SIGMAS * np.sqrt(2.0 / max(n_good, 1)) * noise
        return self.chi2 - noise > max(allowed, by_chance)

    @property
    def is_featureless(self):
        """Whether the continuum alone describes the spectrum as well."""
        scale = max(self.reduced, 1.0) if self.sigma_known else self.reduced
        least = _CHANCE_CHI2 * scale * max(len(self.varied), 1)
        return self._continuum_chi2 - self.chi2 < least

    def is_outside_grid(self, jacobian, curvature):
        """Whether the star seems to lie outside the nodes of the grid.

        It does if the best point lies outside the nodes of a ragged grid, or if a stellar
        parameter is at an edge of the grid, and spectra beyond the edge would remove much of what
        the fit leaves beside noise. An edge alone, or a gain of a few standard errors, does not
        suffice: errors of the models take stars there that are inside.

        Parameters
        ----------
        jacobian : ndarray of shape (n_columns, n_pixels)
            Derivatives, marginalised over the continuum.
        curvature : ndarray of shape (n_columns, n_columns)
            Half the second derivatives of chi² without priors.

        Returns
        -------
        bool
            True if it does.
        """
        likelihood = self.likelihood
        grid = likelihood.emulator.grid_
        stellar = self.point[: likelihood.n_stellar]
        if not grid.contains(stellar[None])[0]:
            return True
        scaled, good, _ = self._residuals
        misfit = self.chi2 - noise_between_lines(scaled, good, self._depth) * good.sum()
        least = max(_BEYOND_EXPLAINS * misfit, MOST_SIGMAS**2 * self.scale)
        weighted = likelihood.weighted(self.residual[None], np.array([self.row]))[0]
        gradient = -jacobian @ weighted
        for column in self.varied[self.varied < likelihood.n_stellar]:
            gain, step = self._beyond(column, curvature, gradient)
            edge = grid.bounds[column, int(step > 0)]
            at_edge = abs(stellar[column] - edge) <= _AT_BOUND * self.width[column]
            if at_edge and gain > least:
                return True
        return False

    def _beyond(self, column, curvature, gradient):
        """Return how much chi² would fall if one parameter could leave its box, and its step.

        The other parameters follow, except those at their bounds.
        """
        columns = self.likelihood.columns
        inside = (self.box[columns, 0] < self.point[columns]) & (
            self.point[columns] < self.box[columns, 1]
        )
        others = self.varied[inside[self.varied] & (self.varied != column)]
        solved, *_ = np.linalg.lstsq(
            curvature[np.ix_(others, others)], curvature[others, column], rcond=None
        )
        information = curvature[column, column] - curvature[column, others] @ solved
        if not information > 0:
            return 0.0, 0.0
        slope = gradient[column] - gradient[others] @ solved
        return slope**2 / information, -slope / information

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
            Inverse curvature of chi² without priors, times `scale`.
        from_emulator : ndarray of shape (n_columns, n_columns)
            Covariance due to the error of the emulator.

        Returns
        -------
        covariance, emulator_covariance : ndarray of shape (n_columns, n_columns)
            In natural units.
        """
        likelihood = self.likelihood
        covariance = inverse + from_emulator
        slopes = self._natural_slopes(covariance)
        covariance = covariance * np.outer(slopes, slopes)
        from_emulator = from_emulator * np.outer(slopes, slopes)
        if self.is_featureless:
            natural = np.diff(to_natural(self.box.T, likelihood.n_stellar).T, axis=1)
            variance = natural[likelihood.columns, 0] ** 2 / UNIFORM_CURVATURE
            covariance = np.diag(np.maximum(np.diag(covariance), variance))
        if likelihood.priors is None:
            return covariance, from_emulator
        return with_priors(
            covariance, from_emulator, likelihood.priors[self.row, likelihood.columns]
        )

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
            Inverse curvature of chi² with priors.
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
        evidence = -0.5 * cost - 0.5 * likelihood.log_normalisation(self.row)
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


def _is_abundance(likelihood):
    """Return which free parameters are abundances of elements, (n_columns,), bool."""
    grid = likelihood.emulator.grid_
    n_base = grid.n_base if isinstance(grid, AbundanceGrid) else grid.n_parameters
    return (likelihood.columns >= n_base) & (likelihood.columns < grid.n_parameters)


def _undetermined(likelihood, points, rows, boxes, factors):
    """Return which abundances the spectra alone determine to no better than 0.3 dex.

    Bounds and priors of abundances do not count. Lines grow with the abundance, so that noise
    that makes them stronger also makes the abundance look better determined. So this is decided
    at scaled-solar abundances.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra.
    points : ndarray of shape (n, n_parameters + 4)
        Best points, with squares.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    boxes : ndarray of shape (n, n_parameters + 4, 2)
        Search boxes, with squares.
    factors : ndarray of shape (n,)
        Factors of the variances of the flux.

    Returns
    -------
    ndarray of shape (n, n_columns), bool
        False for all that is no abundance.
    """
    widths = np.diff(boxes, axis=2)[:, likelihood.columns, 0]
    is_free = widths > 0
    found = np.zeros(widths.shape, dtype=bool)
    own = np.flatnonzero(_is_abundance(likelihood))
    if len(own) == 0:
        return found
    points = points.copy()
    of_point = likelihood.columns[own]
    points[:, of_point] = np.clip(0.0, boxes[:, of_point, 0], boxes[:, of_point, 1])
    _, _, jacobian = likelihood.derivatives(points, rows)
    widths[:, own] = np.where(is_free[:, own], np.diff(ABUNDANCE_LIMITS), 0.0)
    covariance, _ = inverted(curvature_of_chi2(likelihood, rows, jacobian), widths, factors)
    variances = np.diagonal(covariance, axis1=1, axis2=2)[:, own]
    found[:, own] = (variances >= _UNDETERMINED**2) & is_free[:, own]
    return found


def _continuum_chi2(likelihood, rows):
    """Return chi² of the continuum without any line, shape (n,)."""
    flux = likelihood.flux[rows]
    flat = np.ones((len(rows), likelihood.forward.n_pixels))
    if likelihood.degree is None:
        # The weighted mean of the flux, instead of a polynomial.
        weighted = likelihood.weighted(flat, rows)
        total = weighted.sum(axis=1, keepdims=True)
        model = flat * ((weighted * flux).sum(axis=1, keepdims=True) / total)
    else:
        model, _, _ = likelihood.with_continuum(flat, rows)
    return likelihood.chi2(model - flux, rows)
