"""Local refinement: Gauss-Newton steps of many spectra at once, within their boxes."""

from dataclasses import dataclass

import numpy as np

# Damping of Levenberg and Marquardt: where it begins, and where a search is stuck.
_FIRST_DAMPING = 1e-3
_LAST_DAMPING = 1e9
# Part of a box below which a step is none.
_SMALLEST_STEP = 1e-9


@dataclass
class Refinement:
    """Where searches ended.

    Attributes
    ----------
    points : ndarray of shape (n_searches, n_parameters)
        Best points.
    cost : ndarray of shape (n_searches,)
        Sum of squares there.
    gradient : ndarray of shape (n_searches, n_parameters)
        Half its gradient.
    curvature : ndarray of shape (n_searches, n_parameters, n_parameters)
        Half its second derivatives, in the approximation of Gauss and Newton.
    converged : ndarray of shape (n_searches,), bool
        Whether the search ended at a minimum, of the box or on its faces.
    n_evaluations : ndarray of shape (n_searches,), int
        Points evaluated.
    """

    points: np.ndarray
    cost: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray
    converged: np.ndarray
    n_evaluations: np.ndarray


def refine(evaluate, boxes, starts, *, tolerance=1e-10, floor=0.0, max_evaluations=60):
    """Minimise sums of squares within boxes, all searches in step.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(points, rows)`` with points of shape (n, n_parameters) of the searches
        `rows`; returns cost (n,), gradient (n, n_parameters) and curvature (n, n_parameters,
        n_parameters) as in `Refinement`.
    boxes : ndarray of shape (n_searches, n_parameters, 2)
        Lower and upper bounds; a parameter whose bounds are equal stays.
    starts : ndarray of shape (n_searches, n_parameters)
        Where to begin; moved into the boxes.
    tolerance : float
        A search ends when the next step can lower its cost by no more than this part of it.
    floor : float or ndarray of shape (n_searches,)
        Or by no more than this amount.
    max_evaluations : int
        Points evaluated for each search at most.

    Returns
    -------
    Refinement
        One row a search; no search depends on another.

    References
    ----------
    Nielsen (1999), "Damping parameter in Marquardt's method", IMM-REP-1999-05; the active set
    of bounds is that of Bertsekas (1982), SIAM J. Control Optim. 20, 221.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inference import refine
    >>> def parabola(points, rows):
    ...     return ((points - 3.0) ** 2).sum(axis=1), points - 3.0, np.ones((len(points), 1, 1))
    >>> boxes = np.array([[[0.0, 9.0]], [[0.0, 2.0]]])
    >>> refine(parabola, boxes, np.array([[1.0], [1.0]])).points
    array([[3.],
           [2.]])
    """
    low, high = boxes[..., 0], boxes[..., 1]
    width = high - low
    # Units of the box make damping and steps comparable between parameters.
    unit = np.where(width > 0, width, 1.0)
    points = np.clip(starts, low, high)
    rows = np.arange(len(points))
    cost, gradient, curvature = (np.array(part) for part in evaluate(points, rows))
    n_evaluations = np.ones(len(points), dtype=int)
    converged = np.zeros(len(points), dtype=bool)
    damping = np.full(len(points), _FIRST_DAMPING)
    growth = np.full(len(points), 2.0)
    floor = np.broadcast_to(np.asarray(floor, dtype=np.float64), cost.shape)
    running = np.ones(len(points), dtype=bool)
    while running.any():
        rows = np.flatnonzero(running)
        scaled = gradient[rows] * unit[rows]
        matrix = curvature[rows] * unit[rows, :, None] * unit[rows, None, :]
        free = width[rows] > 0
        free &= ~((points[rows] <= low[rows]) & (scaled > 0))
        free &= ~((points[rows] >= high[rows]) & (scaled < 0))
        gain = _decrement(matrix, scaled, free, 0.0)[1]
        done = gain <= np.maximum(tolerance * cost[rows], floor[rows])
        converged[rows[done]] = True
        step, _ = _decrement(matrix, scaled, free, damping[rows])
        moved = np.clip(points[rows] + step * unit[rows], low[rows], high[rows])
        step = (moved - points[rows]) / unit[rows]
        stuck = (np.abs(step).max(axis=1, initial=0.0) < _SMALLEST_STEP) & ~done
        # A step that rounding swallows, with little damping, is a minimum as well.
        converged[rows[stuck & (damping[rows] < 1.0)]] = True
        out_of_time = n_evaluations[rows] >= max_evaluations
        ended = done | stuck | out_of_time | (damping[rows] > _LAST_DAMPING)
        running[rows[ended]] = False
        rows, moved, step = rows[~ended], moved[~ended], step[~ended]
        if len(rows) == 0:
            continue
        scaled, matrix = scaled[~ended], matrix[~ended]
        expected = -2.0 * (scaled * step).sum(axis=1)
        expected -= np.einsum("ni,nij,nj->n", step, matrix, step)
        new_cost, new_gradient, new_curvature = evaluate(moved, rows)
        n_evaluations[rows] += 1
        gained = cost[rows] - new_cost
        better = gained > 0
        ratio = np.where(better, gained / np.where(expected > 0, expected, np.inf), 0.0)
        shrink = np.maximum(1.0 / 3.0, 1.0 - (2.0 * np.minimum(ratio, 1.0) - 1.0) ** 3)
        damping[rows] *= np.where(better, shrink, growth[rows])
        growth[rows] = np.where(better, 2.0, 2.0 * growth[rows])
        accepted = rows[better]
        points[accepted], cost[accepted] = moved[better], new_cost[better]
        gradient[accepted] = new_gradient[better]
        curvature[accepted] = new_curvature[better]
    return Refinement(points, cost, gradient, curvature, converged, n_evaluations)


def _decrement(matrix, gradient, free, damping):
    """Damped Newton step on free parameters, and what it gains.

    Parameters and return in units of the box; `damping` multiplies the diagonal.
    """
    both = free[:, :, None] & free[:, None, :]
    diagonal = np.einsum("nii->ni", matrix)
    # A parameter without influence gets a diagonal all the same, and so no step.
    least = 1e-12 * diagonal.max(axis=1, keepdims=True, initial=0.0) + np.finfo(float).tiny
    added = np.asarray(damping).reshape(-1, 1) * diagonal + least
    system = np.where(both, matrix, 0.0)
    system += np.eye(matrix.shape[1]) * np.where(free, added, 1.0)[:, None, :]
    right = np.where(free, -gradient, 0.0)
    step = np.linalg.solve(system, right[..., None])[..., 0]
    return step, (step * right).sum(axis=1)
