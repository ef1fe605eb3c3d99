"""Second-order fit of all lines of a spectrum: Levenberg-Marquardt on banded equations.

A spectrum of thousands of lines has too many unknowns for a dense solver, but each line overlaps
only with its neighbours. The normal equations of neighbours are banded, and their
Cholesky factor preconditions conjugate gradients on the full ones, in which the far wings of
strong lines couple everything. Each line has its own damping, so that a difficult blend does
not slow the others.
"""

import math

import numpy as np
from scipy.linalg import cho_solve_banded, cholesky_banded
from threadpoolctl import threadpool_limits

from skphx._domain import FWHM_PER_SIGMA
from skphx.lines._emission import clip_unreachable, unreachable_squares
from skphx.lines._engine.devices import fetch, send
from skphx.lines._engine.profile import component_slopes, components
from skphx.lines._render import optical_depth

# A line's window reaches to where its optical depth falls below this, but not beyond the
# largest reach: farther wings are in the flux, yet not in the Jacobian.
WINDOW_DEPTH = 2e-4
_WINDOW_SIGMAS = 5.0
_LARGEST_REACH = 40.0
_SMALLEST_REACH_PIXELS = 3.0
# Neighbours of each line, half of them on either side, that the banded matrix couples to it.
_N_COUPLED = 16
# Damping of a line relative to the diagonal: first value, limits, and factors.
_FIRST_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1.0, 1e-6, 1e8
_EASE, _TIGHTEN, _REJECT = 0.5, 2.0, 4.0
_MAX_REJECTIONS = 6
# Largest step: of the centre in full widths, of the three logarithms.
_LARGEST_SHIFT_FWHM, _LARGEST_LOG_STEP = 0.5, 1.0
# Widths stay above these parts of a pixel (what a pixel can tell), below this width in Å, and
# below this part of the spectrum: broader lines would be a continuum.
_LEAST_SIGMA_PIXELS, _LEAST_GAMMA_PIXELS = 0.3, 0.1
_LARGEST_WIDTH, _LARGEST_PART = 50.0, 0.25
_LOG_AREA_RANGE = (-30.0, 6.0)
# Scale of the regularisation: of the centre in Å per pixel step (set from
# the sampling), and of the three logarithms.
_SCALE_PIXELS, _SCALE_LOG = 2.5, 1.0


def fit_levenberg_marquardt(
    wavelength,
    flux,
    start,
    *,
    prior=None,
    regularization=1e-3,
    max_iter=100,
    tolerance=1e-3,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    device="cpu",
):
    """Fit all lines of one spectrum by damped Gauss-Newton steps.

    Minimises Σ (model - flux)² + r² Σ ((parameter - prior) / scale)², where the scale is 1
    for the three logarithms and 2.5 pixels for the centre: a regularisation r of 0.001 weighs a
    factor e in a width as much as a flux error of 0.001 in one pixel. Emission, which lines cannot
    describe, is cut off for the fit and left in the residual: :func:`clip_unreachable`.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    flux : ndarray of shape (n_pixels,)
        Normalised flux, dimensionless.
    start : ndarray of shape (n_lines, 4)
        Centre (Å), ln area (Å), ln sigma and ln gamma (Å) to begin with.
    prior : ndarray of shape (n_lines, 4) or None
        Parameters to which the lines are held, and from which no centre moves farther than
        its full width or three pixels; None is `start`.
    regularization : float
        Strength r of the regularisation.
    max_iter : int
        Largest number of steps.
    tolerance : float
        The fit ends when a step lowers the cost by less than this part of what lines can
        lower at all: flux above 1, or below 0, is left out.
    profile, transmission, wing_cut
        See :func:`skphx.lines.render_flux`.
    device : str
        "cpu", which needs no torch, or the torch device on which lines are summed.

    Returns
    -------
    lines : ndarray of shape (n_lines, 4)
        Fitted parameters, in the order of `start`.
    rms : float
        Root mean square of model minus flux, emission included.

    Notes
    -----
    Centres stay near `prior`; ln areas between -30 and 6; widths above a part of a pixel (0.3
    for sigma, 0.1 for gamma), and below 50 Å and a quarter of the spectrum.

    Directions for the exact Voigt profile are those of the pseudo-Voigt, which differs from
    it by 1.3 %; its flux, and with it the cost that each step must lower, is exact.

    References
    ----------
    Marquardt (1963), J. SIAM 11, 431; Nocedal & Wright, "Numerical Optimization", chapter 10.
    """
    prior = start if prior is None else prior
    reachable = clip_unreachable(flux)
    problem = _Problem(
        wavelength, reachable, prior, regularization, profile, transmission, wing_cut, device
    )
    # Bands are narrow: threaded linear algebra waits for its threads far longer than it works.
    with threadpool_limits(limits=1, user_api="blas"):
        lines, model = _minimise(problem, start, max_iter, tolerance)
    return lines, float(np.sqrt(np.mean((model - flux) ** 2)))


def _minimise(problem, start, max_iter, tolerance):
    """Damped Gauss-Newton steps until one gains little; return lines and their model flux."""
    damping = np.full(len(start), _FIRST_DAMPING)
    lines = problem.bounded(start)
    state = problem.evaluate(lines)
    for _ in range(max_iter):
        # Only sorted lines have banded equations; a step may make neighbours pass each other.
        order = np.argsort(lines[:, 0], kind="stable")
        equations = problem.linearise(lines, state, order)
        for _ in range(_MAX_REJECTIONS):
            step = equations.solve(damping)
            trial = problem.bounded(lines + equations.limited(step))
            trial_state = problem.evaluate(trial)
            worse = equations.local_change(state, trial_state) > 0
            if trial_state.cost < state.cost:
                damping = np.where(worse, damping * _TIGHTEN, damping * _EASE)
                damping = np.clip(damping, _LEAST_DAMPING, _MOST_DAMPING)
                break
            # Lines around which the residual grew are damped more; all are, if it grew nowhere.
            damped = worse if worse.any() else np.ones_like(worse)
            damping = np.clip(np.where(damped, damping * _REJECT, damping), 0, _MOST_DAMPING)
        else:
            break
        gain = state.cost - trial_state.cost
        lines, state = trial, trial_state
        if gain <= tolerance * (state.cost - problem.unreachable_cost):
            break
    return lines, state.model


def regularization_scale(wavelength, center):
    """Return the scale of the regularisation, for each line and parameter.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    center : ndarray of shape (n_lines,)
        Line centres in Å.

    Returns
    -------
    ndarray of shape (n_lines, 4)
        2.5 pixels in Å for the centre, 1 for each of the three logarithms.
    """
    if len(center) == 0:
        return np.empty((0, 4))
    pixel = np.interp(center, wavelength, np.gradient(wavelength))
    logs = [np.full(len(center), _SCALE_LOG)] * 3
    return np.column_stack([_SCALE_PIXELS * pixel, *logs])


def line_parts(lines, profile):
    """Lorentzian and Gaussian part of each line, and their derivatives.

    Parameters
    ----------
    lines : ndarray of shape (n_lines, 4)
        Centre (Å), ln area (Å), ln sigma and ln gamma (Å).
    profile : str
        Shape of a line; the exact Voigt borrows the parts of its approximation.

    Returns
    -------
    parts : ndarray of shape (n_lines, 4)
        Area (Å) and half width (Å) of the Lorentzian, area (Å) and standard deviation (Å) of
        the Gaussian.
    chain : ndarray of shape (n_lines, 4, 3)
        Derivatives of `parts` with respect to ln area, ln sigma and ln gamma.
    """
    approximate = "pseudo-voigt" if profile == "voigt" else profile
    area, *widths = np.exp(lines[:, 1:].T)
    eta, half_width, deviation = components(approximate, *widths)
    parts = np.stack([area * eta, half_width, area * (1.0 - eta), deviation], axis=1)
    chain = np.zeros((len(lines), 4, 3))
    # Areas are proportional to the line's, and widths do not depend on it.
    chain[:, [0, 2], 0] = parts[:, [0, 2]]
    for column, slopes in enumerate(component_slopes(approximate, *widths), start=1):
        by_eta, by_half_width, by_deviation = slopes
        chain[:, :, column] = np.stack(
            [area * by_eta, by_half_width, -area * by_eta, by_deviation], axis=1
        )
    return parts, chain


def window_reach(parts, pixel, depth=WINDOW_DEPTH):
    """How far from its centre each line changes the flux, in Å.

    Parameters
    ----------
    parts : ndarray of shape (n_lines, 4)
        From :func:`line_parts`.
    pixel : ndarray of shape (n_lines,)
        Pixel step at each line, Å.
    depth : float
        Optical depth of the Lorentzian wing at the reach.

    Returns
    -------
    ndarray of shape (n_lines,)
        Half width of its window in the Jacobian.
    """
    wing = np.sqrt(parts[:, 0] * parts[:, 1] / (math.pi * depth))
    reach = np.clip(np.maximum(_WINDOW_SIGMAS * parts[:, 3], wing), 0.0, _LARGEST_REACH)
    return np.maximum(reach, _SMALLEST_REACH_PIXELS * pixel)


def line_bounds(wavelength, prior, profile, span=None):
    """Bounds that keep every line near its place and every width above what a pixel tells.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    prior : ndarray of shape (n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å) around which lines may move.
    profile : str
        Shape of a line.
    span : float or None
        Length in Å of the whole spectrum, where `wavelength` is a part of it: no line is wider
        than a quarter of it.

    Returns
    -------
    lower, upper : ndarrays of shape (n_lines, 4)
        Bounds of each parameter.
    """
    pixel = np.interp(prior[:, 0], wavelength, np.gradient(wavelength))
    fwhm = FWHM_PER_SIGMA * line_parts(prior, profile)[0][:, 3]
    reach = np.maximum(fwhm, 3.0 * pixel)
    span = wavelength[-1] - wavelength[0] if span is None else span
    widest = min(_LARGEST_WIDTH, _LARGEST_PART * span)
    constant = np.full(len(prior), 1.0)
    lower = [
        prior[:, 0] - reach,
        constant * _LOG_AREA_RANGE[0],
        np.log(_LEAST_SIGMA_PIXELS * pixel),
        np.log(_LEAST_GAMMA_PIXELS * pixel),
    ]
    upper = [
        prior[:, 0] + reach,
        constant * _LOG_AREA_RANGE[1],
        *[np.log(np.maximum(widest, pixel))] * 2,
    ]
    return np.column_stack(lower), np.column_stack(upper)


class _State:
    """Model flux, residual and cost of one set of parameters."""

    def __init__(self, model, residual, cost):
        self.model, self.residual, self.cost = model, residual, cost


class _Problem:
    """What stays the same over all steps of one fit."""

    def __init__(
        self, wavelength, flux, prior, regularization, profile, transmission, wing_cut, device
    ):
        self.wavelength, self.flux, self.prior = wavelength, flux, prior
        # Emission must not make absorption look converged.
        self.unreachable_cost = unreachable_squares(flux)
        self.profile, self.transmission = profile, transmission
        self.wing_cut, self.device = wing_cut, device
        self.prior_weight = (regularization / regularization_scale(wavelength, prior[:, 0])) ** 2
        self.pixel = np.interp(prior[:, 0], wavelength, np.gradient(wavelength))
        self.lower, self.upper = line_bounds(wavelength, prior, profile)

    def bounded(self, lines):
        """Lines with every parameter within its bounds."""
        return np.clip(lines, self.lower, self.upper)

    def evaluate(self, lines):
        """Render the lines and compare."""
        depth = optical_depth(
            self.wavelength,
            *send(lines, self.device).T,
            profile=self.profile,
            transmission=self.transmission,
            wing_cut=self.wing_cut,
        )
        model = np.exp(-fetch(depth))
        residual = model - self.flux
        cost = np.sum(residual**2) + np.sum(self.prior_weight * (lines - self.prior) ** 2)
        return _State(model, residual, cost)

    def linearise(self, lines, state, order):
        """Set up the normal equations at `lines`."""
        return _NormalEquations(self, lines, state, order)


class _NormalEquations:
    """Damped normal equations of one step, lines sorted by centre inside."""

    def __init__(self, problem, lines, state, order):
        from skphx.lines._engine import normal_equations as kernels
        from skphx.lines._engine.threads import threads

        self._kernels, self._threads = kernels, threads
        self.order = order
        wavelength = problem.wavelength
        center = np.ascontiguousarray(lines[order, 0])
        parts, chain = line_parts(lines[order], problem.profile)
        reach = window_reach(parts, problem.pixel[order])
        start = np.searchsorted(wavelength, center - reach)
        stop = np.searchsorted(wavelength, center + reach)
        first = np.concatenate([[0], np.cumsum(stop - start)])
        derivatives = np.empty((first[-1], 4))
        self.windows = start, stop, first[:-1]
        with self._threads(derivatives.size):
            kernels.window_derivatives(
                wavelength,
                state.model,
                center,
                parts,
                chain,
                *self.windows,
                problem.transmission == "product",
                derivatives,
            )
        self.derivatives = derivatives
        self.n_pixels = len(wavelength)
        self.sigma = parts[:, 3]
        self.prior_weight = problem.prior_weight[order]
        self.gradient = self._transposed(state.residual)
        self.gradient += self.prior_weight * (lines - problem.prior)[order]
        # A parameter that its bound holds back takes no part in the step.
        self.held = ((lines <= problem.lower)[order] & (self.gradient > 0)) | (
            (lines >= problem.upper)[order] & (self.gradient < 0)
        )
        self.gradient[self.held] = 0.0
        self.diagonal = np.empty((len(lines), 4))
        with self._threads(derivatives.size):
            kernels.squared_norms(derivatives, *self.windows, self.diagonal)
            self.bands = self._neighbour_bands(center, wavelength)

    def _neighbour_bands(self, center, wavelength):
        """JᵀJ between neighbours, as lower bands; positive semidefinite by construction.

        Each window is cut where the next but n-th line stands, so that lines farther apart
        share no pixel; what the cut takes from the diagonal is given back.
        """
        start, stop, first = self.windows
        half = min(_N_COUPLED, len(center) - 1) // 2
        # Infinite ends: the outermost lines are not cut on their open side.
        padded = np.concatenate([np.full(half, -np.inf), center, np.full(half, np.inf)])
        left = np.searchsorted(wavelength, padded[: len(center)])
        right = np.searchsorted(wavelength, padded[2 * half :])
        cut_start, cut_stop = np.maximum(start, left), np.minimum(stop, right)
        cut_stop = np.maximum(cut_stop, cut_start)
        cut_first = first + cut_start - start
        n_coupled = 2 * half
        bands = np.zeros((4 * n_coupled + 4, 4 * len(center)))
        self._kernels.banded_normal_matrix(
            self.derivatives, cut_start, cut_stop, cut_first, n_coupled, bands
        )
        bands[0] = self.diagonal.ravel()
        return bands

    def _transposed(self, residual):
        out = np.empty((len(self.order), 4))
        with self._threads(self.derivatives.size):
            self._kernels.transposed_product(self.derivatives, *self.windows, residual, out)
        return out

    def solve(self, damping):
        """Step of every line, in the order in which the lines were given."""
        extra = damping[self.order, None] * self.diagonal + self.prior_weight
        # A parameter to which no pixel responds must not make the matrix singular.
        extra += 1e-12 * self.diagonal.max()
        extra[self.held] = 1e6 * self.diagonal.max()
        damped = self.bands.copy()
        damped[0] += extra.ravel()
        factor = cholesky_banded(damped, lower=True, overwrite_ab=True, check_finite=False)
        flux_change = np.empty(self.n_pixels)

        def multiply(step):
            step = step.reshape(-1, 4)
            self._kernels.forward_product(self.derivatives, *self.windows, step, flux_change)
            return (self._transposed(flux_change) + extra * step).ravel()

        def precondition(vector):
            return cho_solve_banded((factor, True), vector, check_finite=False)

        step = conjugate_gradients(multiply, precondition, -self.gradient.ravel())
        unsorted = np.empty((len(self.order), 4))
        unsorted[self.order] = step.reshape(-1, 4)
        return unsorted

    def limited(self, step):
        """Step limited to where the linear model holds."""
        shift = np.empty(len(step))
        shift[self.order] = _LARGEST_SHIFT_FWHM * FWHM_PER_SIGMA * self.sigma
        largest = np.column_stack([shift, *[np.full(len(step), _LARGEST_LOG_STEP)] * 3])
        return np.clip(step, -largest, largest)

    def local_change(self, before, after):
        """Change of the squared residual within each line's window."""
        change = np.concatenate([[0.0], np.cumsum(after.residual**2 - before.residual**2)])
        start, stop, _ = self.windows
        unsorted = np.empty(len(self.order))
        unsorted[self.order] = change[stop] - change[start]
        return unsorted


def conjugate_gradients(multiply, precondition, right, *, n_steps=12, tolerance=1e-3):
    """Preconditioned conjugate gradients, started from the preconditioner's answer."""
    solution = precondition(right)
    residual = right - multiply(solution)
    scale = abs(right @ solution)
    direction = preconditioned = precondition(residual)
    measure = residual @ preconditioned
    for _ in range(n_steps):
        if not measure > tolerance * scale:
            break
        product = multiply(direction)
        length = measure / (direction @ product)
        solution = solution + length * direction
        residual = residual - length * product
        preconditioned = precondition(residual)
        measure, previous = residual @ preconditioned, measure
        direction = preconditioned + (measure / previous) * direction
    return solution
