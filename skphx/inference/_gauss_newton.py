"""Bounded least squares by damped Gauss-Newton steps, for many searches at once."""

from dataclasses import dataclass

import numpy as np

# Levenberg-Marquardt damping: its first value, and the value at which a search is given up.
_FIRST_DAMPING = 1e-3
_LAST_DAMPING = 1e9
# A search ends if a step is smaller than this part of its box.
_SMALLEST_STEP = 1e-9


@dataclass
class Minima:
    """Points at which searches ended.

    Attributes
    ----------
    points : ndarray of shape (n_searches, n_parameters)
        Best points.
    cost : ndarray of shape (n_searches,)
        Sum of squares there.
    gradient : ndarray of shape (n_searches, n_parameters)
        Half its gradient there.
    curvature : ndarray of shape (n_searches, n_parameters, n_parameters)
        Half its second derivatives there, in the Gauss-Newton approximation.
    converged : ndarray of shape (n_searches,), bool
        Whether the search ended at a minimum, inside the box or on a bound.
    n_evaluations : ndarray of shape (n_searches,), int
        Number of points evaluated.
    """

    points: np.ndarray
    cost: np.ndarray
    gradient: np.ndarray
    curvature: np.ndarray
    converged: np.ndarray
    n_evaluations: np.ndarray

    def part(self, searches):
        """Return the rows of some searches, by number; a copy."""
        return Minima(*(values[searches] for values in vars(self).values()))


def gauss_newton(evaluate, boxes, starts, *, tolerance=1e-10, floor=0.0, max_evaluations=60):
    """Minimise sums of squares within boxes, all searches at once.

    Parameters
    ----------
    evaluate : callable
        ``evaluate(points, rows)``, with points of shape (n, n_parameters) and the numbers `rows`
        of their searches, returns cost (n,), gradient (n, n_parameters) and curvature (n,
        n_parameters, n_parameters) as in `Minima`.
    boxes : ndarray of shape (n_searches, n_parameters, 2)
        Lower and upper bounds; a parameter whose bounds are equal is held.
    starts : ndarray of shape (n_searches, n_parameters)
        Starting points; those outside a box are moved onto its bounds.
    tolerance : float
        A search ends if the expected decrease of its cost is at most this part of the cost.
    floor : float or ndarray of shape (n_searches,)
        A search also ends if the expected decrease is at most this amount.
    max_evaluations : int
        Largest number of points evaluated for each search.

    Returns
    -------
    Minima
        One row for each search. Searches do not depend on each other.

    References
    ----------
    Nielsen (1999), "Damping parameter in Marquardt's method", IMM-REP-1999-05, for the damping;
    Bertsekas (1982), SIAM J. Control Optim. 20, 221, for the active set of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inference._gauss_newton import gauss_newton
    >>> def parabola(points, rows):
    ...     return ((points - 3.0) ** 2).sum(axis=1), points - 3.0, np.ones((len(points), 1, 1))
    >>> boxes = np.array([[[0.0, 9.0]], [[0.0, 2.0]]])
    >>> gauss_newton(parabola, boxes, np.array([[1.0], [1.0]])).points
    array([[3.],
           [2.]])
    """
    low, high = boxes[..., 0], boxes[..., 1]
    width = high - low
    # In units of the box, damping and steps are comparable between parameters.
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
        gain = _newton_step(matrix, scaled, free, 0.0)[1]
        done = gain <= np.maximum(tolerance * cost[rows], floor[rows])
        converged[rows[done]] = True
        step, _ = _newton_step(matrix, scaled, free, damping[rows])
        moved = np.clip(points[rows] + step * unit[rows], low[rows], high[rows])
        step = (moved - points[rows]) / unit[rows]
        stuck = (np.abs(step).max(axis=1, initial=0.0) < _SMALLEST_STEP) & ~done
        # With little damping, a step that is lost to rounding is also a minimum.
        converged[rows[stuck & (damping[rows] < 1.0)]] = True
        exhausted = n_evaluations[rows] >= max_evaluations
        ended = done | stuck | exhausted | (damping[rows] > _LAST_DAMPING)
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
    return Minima(points, cost, gradient, curvature, converged, n_evaluations)


def _newton_step(matrix, gradient, free, damping):
    """Return the damped Newton step of free parameters, and the expected decrease of the cost.

    All quantities are in units of the box; `damping` multiplies the diagonal.
    """
    both = free[:, :, None] & free[:, None, :]
    diagonal = np.einsum("nii->ni", matrix)
    # A parameter without influence on the cost also gets a diagonal, so its step is 0.
    least = 1e-12 * diagonal.max(axis=1, keepdims=True, initial=0.0) + np.finfo(float).tiny
    added = np.asarray(damping).reshape(-1, 1) * diagonal + least
    system = np.where(both, matrix, 0.0)
    system += np.eye(matrix.shape[1]) * np.where(free, added, 1.0)[:, None, :]
    right = np.where(free, -gradient, 0.0)
    step = np.linalg.solve(system, right[..., None])[..., 0]
    return step, (step * right).sum(axis=1)
