"""Fit the lines of all spectra of a grid together, each parameter a smooth function along it.

A line that one spectrum leaves undetermined, because it is weak there or hidden in a blend, is
determined by the others as soon as its parameters may not jump between them: every parameter of
every line is a sum of a few basis functions of the stellar parameters, and the coefficients of
all lines in a window of wavelength are fitted to all spectra at once, by damped Gauss-Newton
steps.
"""

import numpy as np
from threadpoolctl import threadpool_limits

from skphx.lines._emission import clip_unreachable
from skphx.lines._least_squares import (
    conjugate_gradients,
    line_bounds,
    line_parts,
    regularization_scale,
    window_reach,
)
from skphx.lines._windows import depth_of

# Faint lines count less where the first surfaces are drawn: range of ln a, relative to the most.
_FAINTEST = -8.0
_START_RIDGE = 0.1
_FIRST_DAMPING, _EASE, _TIGHTEN, _LEAST_DAMPING = 0.1, 0.4, 4.0, 1e-4
_MAX_REJECTIONS = 5
_CG_STEPS, _CG_TOLERANCE = 20, 1e-2
# Added to the diagonal, relative to the largest, for coefficients that no pixel determines.
_TINY = 1e-9
# Largest change of a coefficient in one step, in units of the scale.
_LARGEST_STEP = 1.0


def fit_window(
    wavelength,
    flux,
    start,
    outside,
    basis,
    penalty,
    *,
    max_iter=12,
    tolerance=2e-3,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    device="cpu",
    span=None,
):
    """Fit the lines of one window of all spectra together.

    Minimises Σ (model - flux)² + Σ (penalty · coefficient)² over all spectra and pixels, where
    each parameter of each line is ``basis @ coefficients`` in units of the scale of
    :func:`skphx.lines._least_squares.regularization_scale`.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres of the window, Å.
    flux : ndarray of shape (n_spectra, n_pixels)
        Normalised flux, dimensionless.
    start : ndarray of shape (n_spectra, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å) to begin with; they need not be smooth.
    outside : ndarray of shape (n_spectra, n_pixels)
        Optical depth of lines that are not fitted.
    basis : ndarray of shape (n_spectra, n_terms)
        Basis functions of the stellar parameters at the spectra; the first is constant.
    penalty : ndarray of shape (n_terms,)
        How strongly each term is held back, as a flux error in one pixel for each unit.
    max_iter : int
        Largest number of steps.
    tolerance : float
        The fit ends when a step lowers the cost by less than this part.
    profile, transmission, wing_cut, device
        As in :func:`skphx.lines._fitting.fit_lines`.
    span : float or None
        Length in Å of the whole spectrum, of which no line may be wider than a quarter; None is
        that of the window.

    Returns
    -------
    coefficients : ndarray of shape (n_lines, 4, n_terms)
        Fitted parameters as sums of the basis functions, in Å and ln Å.
    lower, upper : ndarrays of shape (n_lines, 4)
        Bounds that each parameter keeps.
    rms : ndarray of shape (n_spectra,)
        Root mean square of fitted minus true flux, emission cut off.

    References
    ----------
    Nocedal & Wright, "Numerical Optimization", chapter 10; Press et al., "Numerical Recipes",
    section 2.7.6, for preconditioned conjugate gradients.
    """
    rendering = {
        "profile": profile,
        "transmission": transmission,
        "wing_cut": wing_cut,
        "device": device,
    }
    problem = _Joint(wavelength, flux, start, outside, basis, penalty, rendering, span)
    # The blocks are small: threaded linear algebra waits for its threads longer than it works.
    with threadpool_limits(limits=1, user_api="blas"):
        return problem.minimise(max_iter, tolerance)


class _Joint:
    """One window's problem: what stays the same over all steps."""

    def __init__(self, wavelength, flux, start, outside, basis, penalty, rendering, span):
        # Absorption lines cannot fit emission: it is clipped.
        self.flux = np.array([clip_unreachable(one) for one in flux])
        self.wavelength, self.outside = wavelength, outside
        self.basis, self.penalty, self.rendering = basis, penalty, rendering
        self.reference = start.mean(axis=0)
        self.scale = regularization_scale(wavelength, self.reference[:, 0])
        self.pixel = np.interp(self.reference[:, 0], wavelength, np.gradient(wavelength))
        self.lower, self.upper = line_bounds(
            wavelength, self.reference, rendering["profile"], span
        )
        self.coefficients = self._first_surfaces(start)
        # All spectra side by side, as if they were one long one.
        self.tiled = np.tile(wavelength, len(flux))

    def _first_surfaces(self, start):
        """Weighted fit of the basis to what each spectrum says alone."""
        log_area = start[..., 1]
        weights = np.exp(2.0 * np.clip(log_area - log_area.max(axis=0), _FAINTEST, 0.0))
        # The spectrum that has the line at its strongest weighs 1: the constant is determined.
        ridge = np.diag(_START_RIDGE * (np.arange(self.basis.shape[1]) > 0))
        normal = np.einsum("ni,nk,nm->ikm", weights, self.basis, self.basis) + ridge
        values = (start - self.reference) / self.scale
        right = np.einsum("ni,nk,niq->ikq", weights, self.basis, values)
        return np.linalg.solve(normal, right).transpose(0, 2, 1)

    def lines(self, coefficients):
        """Lines of all spectra, within their bounds."""
        values = np.tensordot(self.basis, coefficients, axes=(1, 2))
        return np.clip(values * self.scale + self.reference, self.lower, self.upper)

    def evaluate(self, coefficients):
        """Cost, lines, models and residuals of coefficients."""
        lines = self.lines(coefficients)
        model = np.exp(-(depth_of(self.wavelength, lines, **self.rendering) + self.outside))
        residual = model - self.flux
        cost = np.sum(residual**2) + np.sum((self.penalty * coefficients) ** 2)
        return cost, lines, model, residual

    def minimise(self, max_iter, tolerance):
        """Damped Gauss-Newton steps until one gains little."""
        damping = _FIRST_DAMPING
        cost, lines, model, residual = self.evaluate(self.coefficients)
        for _ in range(max_iter):
            equations = _Equations(self, lines, model, residual)
            for _ in range(_MAX_REJECTIONS):
                step = equations.solve(damping)
                trial = self.coefficients + np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)
                evaluated = self.evaluate(trial)
                if evaluated[0] < cost:
                    break
                damping *= _TIGHTEN
            else:
                break
            gain = cost - evaluated[0]
            self.coefficients = trial
            cost, lines, model, residual = evaluated
            damping = max(damping * _EASE, _LEAST_DAMPING)
            if gain <= tolerance * cost:
                break
        coefficients = self.coefficients * self.scale[..., None]
        coefficients[..., 0] += self.reference
        return coefficients, self.lower, self.upper, np.sqrt(np.mean(residual**2, axis=1))


class _Equations:
    """Normal equations of one step for the coefficients of all lines."""

    def __init__(self, problem, lines, model, residual):
        from skphx.lines._engine import normal_equations as kernels
        from skphx.lines._engine.threads import threads

        self._kernels, self._threads = kernels, threads
        self.problem = problem
        n_spectra, n_lines, _ = lines.shape
        n_pixels = len(problem.wavelength)
        flat = lines.reshape(-1, 4)
        parts, chain = line_parts(flat, problem.rendering["profile"])
        reach = window_reach(parts, np.tile(problem.pixel, n_spectra))
        shift = np.repeat(np.arange(n_spectra) * n_pixels, n_lines)
        start = np.searchsorted(problem.wavelength, flat[:, 0] - reach) + shift
        stop = np.searchsorted(problem.wavelength, flat[:, 0] + reach) + shift
        first = np.concatenate([[0], np.cumsum(stop - start)])
        self.windows = start, stop, first[:-1]
        self.derivatives = np.empty((first[-1], 4), dtype=np.float32)
        scale = np.tile(problem.scale, (n_spectra, 1))
        with threads(self.derivatives.size):
            kernels.window_derivatives(
                problem.tiled,
                model.ravel(),
                np.ascontiguousarray(flat[:, 0]),
                parts,
                chain,
                *self.windows,
                problem.rendering["transmission"] == "product",
                self.derivatives,
            )
            kernels.scale_rows(self.derivatives, *self.windows, scale)
        self.gradient = self._to_coefficients(residual.ravel())
        self.gradient += problem.penalty**2 * problem.coefficients
        self.blocks = self._blocks(n_spectra, n_lines)

    def _blocks(self, n_spectra, n_lines):
        """JᵀJ of each line with itself, shape (n_lines, 4 n_terms, 4 n_terms)."""
        squares = np.empty((n_spectra * n_lines, 4, 4))
        with self._threads(self.derivatives.size):
            self._kernels.own_normal_matrices(self.derivatives, *self.windows, squares)
        basis = self.problem.basis
        n_terms = basis.shape[1]
        products = (basis[:, :, None] * basis[:, None, :]).reshape(n_spectra, -1)
        blocks = squares.reshape(n_spectra, -1).T @ products
        blocks = blocks.reshape(n_lines, 4, 4, n_terms, n_terms).transpose(0, 1, 3, 2, 4)
        return np.ascontiguousarray(blocks).reshape(n_lines, 4 * n_terms, 4 * n_terms)

    def _to_coefficients(self, residual):
        """Jᵀ residual, shape (n_lines, 4, n_terms)."""
        basis = self.problem.basis
        out = np.empty((len(self.windows[0]), 4))
        with self._threads(self.derivatives.size):
            self._kernels.transposed_product(self.derivatives, *self.windows, residual, out)
        return np.tensordot(out.reshape(len(basis), -1, 4), basis, axes=(0, 0))

    def solve(self, damping):
        """Step of all coefficients, by preconditioned conjugate gradients."""
        problem = self.problem
        n_lines, size, _ = self.blocks.shape
        diagonal = np.einsum("lii->li", self.blocks)
        extra = (
            damping * diagonal + np.tile(problem.penalty**2, 4) + _TINY * (diagonal.max() or 1.0)
        )
        damped = self.blocks.copy()
        damped[:, np.arange(size), np.arange(size)] += extra
        inverse = np.linalg.inv(damped)
        extra = extra.reshape(n_lines, 4, -1)
        change = np.empty(len(problem.tiled))

        def multiply(step):
            step = step.reshape(extra.shape)
            lines = np.tensordot(problem.basis, step, axes=(1, 2)).reshape(-1, 4)
            self._kernels.forward_product(self.derivatives, *self.windows, lines, change)
            return (extra * step + self._to_coefficients(change)).ravel()

        def precondition(vector):
            return np.einsum("lij,lj->li", inverse, vector.reshape(n_lines, size)).ravel()

        step = conjugate_gradients(
            multiply,
            precondition,
            -self.gradient.ravel(),
            n_steps=_CG_STEPS,
            tolerance=_CG_TOLERANCE,
        )
        return step.reshape(extra.shape)
