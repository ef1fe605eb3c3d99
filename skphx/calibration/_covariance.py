"""Covariance of the pixels of a reference star: noise, errors of the lines, and what is free."""

import copy

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

# Pixels whose covariance is kept in full.
_BLOCK = 2500


class StarCovariance:
    """Covariance C = D + UᵀU of the pixels of one star, D in blocks, U of low rank.

    Parameters
    ----------
    equations : Equations
        The star.
    variances : ModelVariances
        Variances of the errors of the models.
    """

    def __init__(self, equations, variances):
        local = np.concatenate(
            [
                equations.lines * np.sqrt(variances.lines)[:, None],
                equations.cores * np.sqrt(variances.cores)[:, None],
            ]
        )
        self._blocks = []
        for where in _blocks(equations.segment):
            part = local[:, where]
            part = part[np.abs(part).max(axis=1, initial=0.0) > 0]
            matrix = part.T @ part
            matrix[np.diag_indices_from(matrix)] += equations.sigma[where] ** 2
            velocity, level = equations.velocity[where], equations.level[where]
            distance = np.abs(velocity[:, None] - velocity)
            for amplitude, length in variances.kernels:
                if amplitude > 0:
                    matrix += amplitude**2 * np.exp(-distance / length) * level[:, None] * level
            factor = np.linalg.cholesky(matrix)
            self._blocks.append((where, factor))
        rows = [
            equations.groups * np.sqrt(variances.groups)[:, None],
            equations.wings * np.sqrt(variances.wings)[:, None],
            equations.nuisance,
        ]
        self._use(self._scale(np.concatenate(rows)))

    def _use(self, low_rank):
        """Take U, scaled."""
        self._low_rank = low_rank
        inner = low_rank @ low_rank.T
        inner[np.diag_indices_from(inner)] += 1.0
        self._inner = cho_factor(inner, lower=True, check_finite=False)
        self.log_determinant = 2.0 * (
            sum(np.log(np.diag(factor)).sum() for _, factor in self._blocks)
            + np.log(np.diag(self._inner[0])).sum()
        )

    def widened(self, added):
        """Return the covariance with more rows of U.

        Parameters
        ----------
        added : ndarray of shape (n_added, n_pixels)
            The rows, in the unit of the residuals.

        Returns
        -------
        StarCovariance
            This one is not changed.
        """
        new = copy.copy(self)
        new._use(np.concatenate([self._low_rank, self._scale(added)]))
        return new

    def _scale(self, rows):
        """Return D^(−1/2) times rows, (n, n_pixels)."""
        scaled = np.empty_like(rows, dtype=np.float64)
        for where, factor in self._blocks:
            scaled[:, where] = solve_triangular(
                factor, rows[:, where].T, lower=True, check_finite=False
            ).T
        return scaled

    def prepare(self, rows):
        """Return rows as :meth:`product` takes them: scaled, and their part in U."""
        scaled = self._scale(np.atleast_2d(rows))
        mixed = solve_triangular(
            self._inner[0], self._low_rank @ scaled.T, lower=True, check_finite=False
        )
        return scaled, mixed

    @staticmethod
    def product(first, second):
        """Return A C⁻¹ Bᵀ of prepared rows."""
        return first[0] @ second[0].T - first[1].T @ second[1]

    @staticmethod
    def part(rows, where):
        """Return some of prepared rows, as :meth:`product` takes them."""
        scaled, mixed = rows
        return scaled[where], mixed[:, where]

    @staticmethod
    def squares(rows):
        """Return the diagonal of A C⁻¹ Aᵀ of prepared rows."""
        return (rows[0] ** 2).sum(axis=1) - (rows[1] ** 2).sum(axis=0)

    def kernel_terms(self, residual, equations, lengths):
        """Return rᵀC⁻¹ K C⁻¹ r and tr(C⁻¹ K) for correlations K of several lengths.

        Parameters
        ----------
        residual : ndarray of shape (n_pixels,)
            Residuals r.
        equations : Equations
            The star.
        lengths : sequence of float
            Correlation lengths, km/s.

        Returns
        -------
        quadratic, trace : ndarray of shape (n_lengths,)
            The terms, without correlations between blocks.
        """
        solved = self._solved(residual)
        quadratic, trace = np.zeros(len(lengths)), np.zeros(len(lengths))
        for where, factor in self._blocks:
            unit = solve_triangular(
                factor, np.eye(len(factor)), lower=True, check_finite=False, overwrite_b=True
            )
            mixed = solve_triangular(
                self._inner[0], self._low_rank[:, where] @ unit, lower=True, check_finite=False
            )
            inverse = unit.T @ unit - mixed.T @ mixed
            velocity, level = equations.velocity[where], equations.level[where]
            distance = np.abs(velocity[:, None] - velocity)
            for place, length in enumerate(lengths):
                kernel = np.exp(-distance / length) * (level[:, None] * level)
                quadratic[place] += solved[where] @ kernel @ solved[where]
                trace[place] += (inverse * kernel).sum()
        return quadratic, trace

    def _solved(self, residual):
        """Return C⁻¹ r."""
        scaled = self._scale(residual[None])[0]
        scaled = scaled - self._low_rank.T @ cho_solve(self._inner, self._low_rank @ scaled)
        solved = np.empty_like(scaled)
        for where, factor in self._blocks:
            solved[where] = solve_triangular(
                factor, scaled[where], lower=True, trans="T", check_finite=False
            )
        return solved


def _blocks(segment):
    """Cut pixels into blocks of neighbours of one segment."""
    found = []
    for number in np.unique(segment):
        pixels = np.flatnonzero(segment == number)
        n_parts = -(-len(pixels) // _BLOCK)
        for part in np.array_split(pixels, n_parts):
            found.append(slice(part[0], part[-1] + 1))
    return found
