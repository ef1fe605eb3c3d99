"""Learn corrections from the equations of all stars, with priors learnt by leaving stars out."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from skphx.calibration._corrections import WING_WIDTHS
from skphx.calibration._covariance import StarCovariance

# Standard deviations of the errors of the models before anything is learnt, by the rows of
# `Equations` and fields of `ModelVariances` that they belong to; and amplitudes and lengths (km/s)
# of the error of the flux.
_SCATTER = {"lines": 0.05, "groups": 0.05, "wings": 0.05, "cores": 0.1}
KERNELS = ((0.002, 17.0), (0.002, 100.0), (0.002, 500.0))
# Factors between which a variance moves in one step, and what counts as prior knowledge of it.
_LEAST_FACTOR, _MOST_FACTOR, _PSEUDO = 0.2, 5.0, 2.0
_LARGEST_VARIANCE = 1.0
# Squares of errors count for no more than this when errors are scaled.
_LARGEST_SQUARE = 9.0


@dataclass(frozen=True, eq=False)
class ModelVariances:
    """Variances of what stars do not share: errors of the models that no correction removes.

    Attributes
    ----------
    lines : ndarray of shape (n_own,)
        Of the ln strengths, then the ln widths, of the lines with corrections of their own.
    groups : ndarray of shape (2 n_groups,)
        Of ln strength and ln width of all lines of a group together.
    wings : ndarray of shape (n_wings,)
        Of the wings of strong lines.
    cores : ndarray of shape (n_cores,)
        Of the flux in the cores of strong lines.
    kernels : tuple of (float, float)
        Amplitude (continuum 1) and length (km/s) of the error of the flux.
    """

    lines: np.ndarray
    groups: np.ndarray
    wings: np.ndarray
    cores: np.ndarray
    kernels: tuple[tuple[float, float], ...]

    @classmethod
    def start(cls, equations):
        """Return the variances before anything is learnt, for the equations of a star."""
        parts = {
            name: np.full(len(getattr(equations, name)), scatter**2)
            for name, scatter in _SCATTER.items()
        }
        return cls(**parts, kernels=KERNELS)

    def scaled(self, factor):
        """Return all variances times a factor."""
        parts = {name: getattr(self, name) * factor for name in _SCATTER}
        root = np.sqrt(factor)
        return ModelVariances(
            **parts,
            kernels=tuple((amplitude * root, length) for amplitude, length in self.kernels),
        )


@dataclass(eq=False)
class Solution:
    """Corrections of one fit.

    Attributes
    ----------
    values, error : ndarray of shape (n_columns,)
        Corrections, and their standard errors.
    covariance : ndarray of shape (n_columns, n_columns)
        Covariance of their errors.
    sampling_error : ndarray of shape (n_columns,)
        Standard deviation of the corrections that noise alone would give.
    conditional : ndarray of shape (n_columns,)
        Variance of each correction if all others were known.
    prior : ndarray of shape (n_columns,)
        Prior variances used.
    information : ndarray of shape (n_stars, n_columns)
        What each star says of each correction: inverse variance if all others were known.
    """

    values: np.ndarray
    error: np.ndarray
    covariance: np.ndarray
    sampling_error: np.ndarray
    conditional: np.ndarray
    prior: np.ndarray
    information: np.ndarray


class Learning:
    """Equations of all stars, and what is learnt of them.

    Parameters
    ----------
    design : Design
        The corrections.
    equations : list of Equations
        One for each spectrum.
    columns : list of ndarray of shape (n_columns, n_pixels)
        Their columns in the design.
    targets : list of ndarray of shape (n_pixels,)
        Residuals that the corrections, from zero, have to explain.
    families : ndarray of shape (n_spectra,), int
        Spectra of one star have the same number, and are left out together.
    """

    def __init__(self, design, equations, columns, targets, families):
        self.design, self.equations = design, equations
        self.columns, self.targets, self.families = columns, targets, families
        self._products = []

    def weigh(self, variances):
        """Compute the normal equations of every star with given errors of the models."""
        self.variances = variances
        self._products, self._covariances = [], []
        for one, columns, target in zip(self.equations, self.columns, self.targets, strict=True):
            covariance = StarCovariance(one, variances)
            self._covariances.append(covariance)
            rows = covariance.prepare(np.concatenate([columns, target[None]]))
            product = covariance.product(rows, rows)
            self._products.append((product[:-1, :-1], product[:-1, -1]))

    def learn(self, prior, n_rounds):
        """Learn prior widths and the variances of the models by leaving stars out.

        Parameters
        ----------
        prior : LearntPrior
            Prior, which is moved.
        n_rounds : int
            Number of rounds.

        Returns
        -------
        solution : Solution
            The corrections of all stars.
        left_out : LeftOut
            Each star predicted from the others.
        """
        prior.learn(self.solve(prior.variance))
        for _ in range(n_rounds):
            self.weigh(self.leave_stars_out(prior.variance).variances)
            prior.learn(self.solve(prior.variance))
        left_out = self.leave_stars_out(prior.variance, with_variances=False)
        return self.solve(prior.variance), left_out

    def solve(self, prior):
        """Return the corrections of all stars.

        Parameters
        ----------
        prior : ndarray of shape (n_columns,)
            Prior variances.

        Returns
        -------
        Solution
            The corrections.
        """
        matrix, right = self._total()
        values, inverse = self._solved(matrix, right, prior)
        information = np.array([np.diag(part) for part, _ in self._products])
        return Solution(
            values,
            np.sqrt(np.diag(inverse)),
            inverse,
            np.sqrt(
                np.maximum(np.einsum("ij,jk,ki->i", inverse, matrix, inverse, optimize=True), 0.0)
            ),
            1.0 / (np.diag(matrix) + 1.0 / prior),
            prior.copy(),
            information,
        )

    def cost(self, values, prior, residuals):
        """Return chi² of residuals and of corrections, with the present covariance.

        Parameters
        ----------
        values : ndarray of shape (n_columns,)
            Corrections.
        prior : ndarray of shape (n_columns,)
            Their prior variances.
        residuals : list of ndarray of shape (n_pixels,)
            Observed minus modelled flux with these corrections.

        Returns
        -------
        float
            The sum of squares that the corrections minimise.
        """
        total = float((values**2 / prior).sum())
        for covariance, residual in zip(self._covariances, residuals, strict=True):
            row = covariance.prepare(residual[None])
            total += float(covariance.squares(row)[0])
        return total

    def _total(self, without=None):
        kept = [
            product
            for product, family in zip(self._products, self.families, strict=True)
            if family != without
        ]
        n_columns = len(self.design.label)
        matrix = sum((part for part, _ in kept), np.zeros((n_columns, n_columns)))
        return matrix, sum((part for _, part in kept), np.zeros(n_columns))

    @staticmethod
    def _factor(matrix, prior):
        root = np.sqrt(prior)
        scaled = matrix * root[:, None] * root
        scaled[np.diag_indices_from(scaled)] += 1.0
        return root, cho_factor(scaled, lower=True, check_finite=False, overwrite_a=True)

    def _solved(self, matrix, right, prior):
        root, factor = self._factor(matrix, prior)
        values = root * cho_solve(factor, root * right, check_finite=False)
        inverse = cho_solve(factor, np.diag(root), check_finite=False) * root[:, None]
        return values, inverse

    def leave_stars_out(self, prior, *, with_variances=True):
        """Predict each star from the others.

        Parameters
        ----------
        prior : ndarray of shape (n_columns,)
            Prior variances.
        with_variances : bool
            Whether to say which variances would explain it.

        Returns
        -------
        LeftOut
            How well that worked, and variances of the models that would explain it.
        """
        n_families = len(np.unique(self.families))
        log_density = 0.0
        shifts, errors = [], []
        # Sums over stars for every variance.
        quadratic, trace = (dict.fromkeys([*_SCATTER, "kernels"], 0.0) for _ in range(2))
        for number, (one, columns, target) in enumerate(
            zip(self.equations, self.columns, self.targets, strict=True)
        ):
            if n_families > 1:
                matrix, right = self._total(self.families[number])
            else:
                matrix, right = self._total()
            root, factor = self._factor(matrix, prior)
            values = root * cho_solve(factor, root * right, check_finite=False)
            added = solve_triangular(
                factor[0], columns * root[:, None], lower=True, check_finite=False
            )
            # Corrections that change this star by nothing have no part in it.
            size = (added**2).sum(axis=1)
            added = added[size > 1e-8 * size.max(initial=0.0)]
            covariance = self._covariances[number].widened(added)
            residual = target - values @ columns
            local = [getattr(one, name) for name in _SCATTER] if with_variances else []
            rows = covariance.prepare(np.concatenate([residual[None], one.stellar, *local]))
            product = covariance.product(rows, covariance.part(rows, slice(1)))[:, 0]
            log_density -= 0.5 * (product[0] + covariance.log_determinant)
            n_stellar = 1 + len(one.stellar)
            if with_variances:
                squares = covariance.squares(rows)
                ends = np.cumsum([n_stellar, *map(len, local)])
                for name, (start, stop) in zip(_SCATTER, pairwise(ends), strict=True):
                    quadratic[name] += product[start:stop] ** 2
                    trace[name] += squares[start:stop]
                found, expected = covariance.kernel_terms(
                    residual, one, [length for _, length in self.variances.kernels]
                )
                quadratic["kernels"] += found
                trace["kernels"] += expected
            stellar = covariance.part(rows, slice(1, n_stellar))
            curvature = covariance.product(stellar, stellar)
            inverse = np.linalg.pinv(curvature, hermitian=True)
            shifts.append(inverse @ product[1:n_stellar])
            errors.append(np.diag(inverse))
        updated = self._updated(quadratic, trace) if with_variances else self.variances
        return LeftOut(log_density, np.array(shifts), np.sqrt(np.array(errors)), updated)

    def _updated(self, quadratic, trace):
        """Move variances towards those that explain what is left, by their kinds of line."""
        old, n_widths = self.variances, len(WING_WIDTHS)
        labels = {
            "lines": self.design.kind,
            "groups": np.arange(len(old.groups)),
            "wings": np.tile(np.arange(n_widths), len(old.wings) // n_widths),
            "cores": self.design.species_of_cores,
        }
        parts = {}
        for name, label in labels.items():
            found = np.bincount(label, quadratic[name]) + _PSEUDO
            expected = np.bincount(label, trace[name]) + _PSEUDO
            factor = np.clip(found / expected, _LEAST_FACTOR, _MOST_FACTOR)[label]
            parts[name] = np.minimum(getattr(old, name) * factor, _LARGEST_VARIANCE)
        kernels = tuple(
            (
                float(amplitude * np.sqrt(np.clip((found + 0.3) / (expected + 0.3), 0.1, 10.0))),
                length,
            )
            for (amplitude, length), found, expected in zip(
                old.kernels, quadratic["kernels"], trace["kernels"], strict=True
            )
        )
        return ModelVariances(**parts, kernels=kernels)


@dataclass(eq=False)
class LeftOut:
    """Stars predicted from the others.

    Attributes
    ----------
    log_density : float
        Logarithm of the density of the spectra, up to a constant.
    shifts, errors : ndarray of shape (n_spectra, n_parameters)
        Errors of the stellar parameters that would be inferred, to first order, and the standard
        errors that they would have.
    variances : ModelVariances
        Variances after one step towards those that explain the spectra.
    """

    log_density: float
    shifts: np.ndarray
    errors: np.ndarray
    variances: ModelVariances

    @property
    def scale(self) -> float:
        """Factor of the variances of the models that the errors of the parameters ask for.

        It is the mean of the squared errors of the stellar parameters in units of their standard
        errors, of which single ones count for no more than 9, and at least 1.
        """
        varied = self.errors > 0
        squares = (self.shifts[varied] / self.errors[varied]) ** 2
        return (
            float(max(np.minimum(squares, _LARGEST_SQUARE).mean(), 1.0)) if len(squares) else 1.0
        )
