"""Fit the lines of all spectra of a grid together, each parameter a smooth function along it.

A line that one spectrum leaves undetermined, because it is weak there or hidden in a blend, is
determined by the others as soon as its parameters may not jump between them: every parameter of
every line is a sum of a few basis functions of the stellar parameters, and the coefficients of
all lines are fitted to all spectra at once, by damped Gauss-Newton steps. Lines only touch their
neighbours, so that a grid is fitted window by window of wavelength, each with all its spectra:
memory does not grow with the length of the spectra, and windows run side by side.
"""

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from skphx.lines.emission import clip_unreachable
from skphx.lines.least_squares import (
    conjugate_gradients,
    line_bounds,
    line_parts,
    pull_scale,
    window_reach,
)
from skphx.lines.render import optical_depth

# Lines fitted together for good, lines beside them on either side that are fitted along, and
# the memory in bytes that the derivatives of one window may take.
_WINDOW_LINES, _MARGIN_LINES, _WINDOW_BYTES = 120, 12, 4e8
# Lines farther than this from a window, in Å, are not summed there.
_FAR = 150.0
# Faint lines count less where the first surfaces are drawn: range of ln a, relative to the most.
_FAINTEST = -8.0
_START_RIDGE = 0.1
_FIRST_DAMPING, _EASE, _TIGHTEN, _LEAST_DAMPING = 0.1, 0.4, 4.0, 1e-4
_MAX_REJECTIONS = 5
_CG_STEPS, _CG_TOLERANCE = 20, 1e-2
# Largest change of a coefficient in one step, in units of the scale.
_LARGEST_STEP = 1.0


@dataclass
class Window:
    """Part of a grid that is fitted at once: a run of pixels and the lines that stand there.

    `pixels` are the pixels, `lines` the numbers of the free lines, `own` tells which of these
    keep their result, `others` are the numbers of lines outside that still reach in.
    """

    pixels: slice
    lines: np.ndarray
    own: np.ndarray
    others: np.ndarray


def make_windows(wavelength, lines):
    """Divide a grid into windows.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    lines : ndarray of shape (n_spectra, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å), finite.

    Returns
    -------
    list of Window
        Every line is one window's own.
    """
    center = lines[..., 0].mean(axis=0)
    order = np.argsort(center, kind="stable")
    n_own = _lines_in_memory(wavelength, lines)
    windows = []
    for first in range(0, len(order), n_own):
        last = min(first + n_own, len(order))
        low, high = max(0, first - _MARGIN_LINES), min(len(order), last + _MARGIN_LINES)
        # The outermost windows reach to the ends of the spectrum.
        start = 0 if low == 0 else np.searchsorted(wavelength, center[order[low]])
        stop = len(wavelength)
        if high < len(order):
            stop = np.searchsorted(wavelength, center[order[high - 1]], side="right")
        if stop - start < 2:
            start, stop = max(0, stop - 2), min(len(wavelength), start + 2)
        edges = wavelength[start] - _FAR, wavelength[stop - 1] + _FAR
        outside = np.concatenate([order[:low], order[high:]])
        near = (center[outside] > edges[0]) & (center[outside] < edges[1])
        own = np.zeros(high - low, dtype=bool)
        own[first - low : last - low] = True
        windows.append(Window(slice(start, stop), order[low:high], own, outside[near]))
    return windows


def _lines_in_memory(wavelength, lines):
    """Count the lines whose derivatives, in all spectra, fit into the memory of a window."""
    step = (wavelength[-1] - wavelength[0]) / max(len(wavelength) - 1, 1)
    sample = lines[:: max(1, len(lines) // 20)]
    flat = sample.reshape(-1, 4)
    parts, _ = line_parts(flat, "pseudo-voigt")
    pixels = 2.0 * window_reach(parts, np.full(len(flat), step)) / step
    bytes_each = 16.0 * len(lines) * max(float(pixels.mean()), 1.0)
    return int(np.clip(_WINDOW_BYTES / bytes_each - 2 * _MARGIN_LINES, 10, _WINDOW_LINES))


def background(wavelength, lines, **rendering):
    """Optical depth in all spectra of lines that are not fitted.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres of the window, Å.
    lines : ndarray of shape (n_spectra, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å).
    **rendering
        Options of :func:`skphx.lines.optical_depth`, and `device`.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Their optical depth.
    """
    n_spectra, n_lines, _ = lines.shape
    if n_lines == 0:
        return np.zeros((n_spectra, len(wavelength)))
    return _depth(wavelength, lines, **rendering)


def fit_window(
    wavelength,
    flux,
    start,
    outside,
    basis,
    penalty,
    *,
    n_epochs=12,
    tolerance=2e-3,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    device="cpu",
):
    """Fit the lines of one window of all spectra together.

    Minimises Σ (clone - flux)² + Σ (penalty · coefficient)² over all spectra and pixels, where
    each parameter of each line is ``basis @ coefficients`` in units of the pull's scale, see
    :func:`skphx.lines.pull_scale`.

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
    n_epochs : int
        Largest number of steps.
    tolerance : float
        The fit ends when a step lowers the cost by less than this part.
    profile, transmission, wing_cut, device
        As in :func:`skphx.lines.fit_lines`.

    Returns
    -------
    lines : ndarray of shape (n_spectra, n_lines, 4)
        Fitted parameters, all on smooth functions.
    rms : ndarray of shape (n_spectra,)
        Root mean square of clone minus flux.

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
    problem = _Joint(wavelength, flux, start, outside, basis, penalty, rendering)
    # The blocks are small: threaded linear algebra waits for its threads longer than it works.
    with threadpool_limits(limits=1, user_api="blas"):
        return problem.minimise(n_epochs, tolerance)


def _depth(wavelength, lines, *, device, **options):
    """Optical depth of all spectra, shape (n_spectra, n_pixels)."""
    import torch

    n_spectra, n_lines, _ = lines.shape
    columns = torch.as_tensor(lines.reshape(-1, 4), device=device).T
    with torch.no_grad():
        offsets = np.arange(n_spectra + 1) * n_lines
        return optical_depth(wavelength, *columns, offsets=offsets, **options).cpu().numpy()


class _Joint:
    """One window's problem: what stays the same over all steps."""

    def __init__(self, wavelength, flux, start, outside, basis, penalty, rendering):
        # Emission is no line's to explain: it would pull absorption beside it away.
        self.flux = np.array([clip_unreachable(one) for one in flux])
        self.wavelength, self.outside = wavelength, outside
        self.basis, self.penalty, self.rendering = basis, penalty, rendering
        self.reference = start.mean(axis=0)
        self.scale = pull_scale(wavelength, self.reference[:, 0])
        self.pixel = np.interp(self.reference[:, 0], wavelength, np.gradient(wavelength))
        self.lower, self.upper = line_bounds(wavelength, self.reference, rendering["profile"])
        self.coefficients = self._first_surfaces(start)
        # All spectra side by side, as if they were one long one.
        self.tiled = np.tile(wavelength, len(flux))

    def _first_surfaces(self, start):
        """Weighted fit of the basis to what each spectrum says alone."""
        log_area = start[..., 1]
        weights = np.exp(2.0 * np.clip(log_area - log_area.max(axis=0), _FAINTEST, 0.0))
        bent = self.penalty / max(self.penalty.max(), 1e-300)
        ridge = np.diag(_START_RIDGE * np.maximum(np.arange(len(bent)) > 0, bent) + 1e-9)
        normal = np.einsum("ni,nk,nm->ikm", weights, self.basis, self.basis) + ridge
        values = (start - self.reference) / self.scale
        right = np.einsum("ni,nk,niq->ikq", weights, self.basis, values)
        return np.linalg.solve(normal, right).transpose(0, 2, 1)

    def lines(self, coefficients):
        """Lines of all spectra, within their bounds."""
        values = np.tensordot(self.basis, coefficients, axes=(1, 2))
        return np.clip(values * self.scale + self.reference, self.lower, self.upper)

    def evaluate(self, coefficients):
        """Cost, lines, clones and residuals of coefficients."""
        lines = self.lines(coefficients)
        clone = np.exp(-(_depth(self.wavelength, lines, **self.rendering) + self.outside))
        residual = clone - self.flux
        cost = np.sum(residual**2) + np.sum((self.penalty * coefficients) ** 2)
        return cost, lines, clone, residual

    def minimise(self, n_epochs, tolerance):
        """Damped Gauss-Newton steps until one gains little."""
        damping = _FIRST_DAMPING
        cost, lines, clone, residual = self.evaluate(self.coefficients)
        for _ in range(n_epochs):
            equations = _Equations(self, lines, clone, residual)
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
            cost, lines, clone, residual = evaluated
            damping = max(damping * _EASE, _LEAST_DAMPING)
            if gain <= tolerance * cost:
                break
        return lines, np.sqrt(np.mean(residual**2, axis=1))


class _Equations:
    """Normal equations of one step for the coefficients of all lines."""

    def __init__(self, problem, lines, clone, residual):
        from skphx.lines import _normal_equations as kernels
        from skphx.lines._threads import threads

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
                clone.ravel(),
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
        extra = damping * diagonal + np.tile(problem.penalty**2, 4) + 1e-9 * diagonal.max()
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
