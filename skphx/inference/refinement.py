"""Local refinement: least squares from a good start to the bottom of its valley."""

import numpy as np
from scipy.optimize import least_squares

# Step of the finite differences, in parts of the box: small against the spacing of nodes,
# large against the rounding of the emulator.
_STEP = 1e-3


def refine(residuals, box, start):
    """Minimise a sum of squares within a box.

    Parameters
    ----------
    residuals : callable
        Maps points, ndarray of shape (n_points, n_parameters), to residuals of shape
        (n_points, n_pixels).
    box : ndarray of shape (n_parameters, 2)
        Lower and upper bounds; a parameter whose bounds are equal stays.
    start : ndarray of shape (n_parameters,)
        Where to begin, within the box.

    Returns
    -------
    point : ndarray of shape (n_parameters,)
        Where the search ended.
    rms : float
        Root mean square of the residuals there.

    References
    ----------
    Branch, Coleman & Li (1999), SIAM J. Sci. Comput. 21, 1: the trust-region method behind
    :func:`scipy.optimize.least_squares`.
    """
    width = box[:, 1] - box[:, 0]
    free = np.flatnonzero(width > 0)
    start = np.clip(start, box[:, 0], box[:, 1])

    def to_points(unit):
        points = np.tile(start, (len(unit), 1))
        points[:, free] = box[free, 0] + unit * width[free]
        return points

    def residuals_of(unit):
        return residuals(to_points(unit[None]))[0]

    def jacobian_of(unit):
        # Differences turn inwards in the upper half, so that no point leaves the box.
        steps = np.diag(np.where(unit > 0.5, -_STEP, _STEP))
        values = residuals(to_points(np.vstack([unit, unit + steps])))
        return ((values[1:] - values[0]) / steps.sum(axis=1)[:, None]).T

    if len(free) == 0:
        return start, float(np.sqrt(np.mean(residuals(start[None])[0] ** 2)))
    # The trust-region method needs a start off the bounds.
    unit = np.clip((start[free] - box[free, 0]) / width[free], 1e-6, 1.0 - 1e-6)
    solution = least_squares(
        residuals_of, unit, jac=jacobian_of, bounds=(0.0, 1.0), xtol=1e-6, ftol=1e-10, gtol=1e-14
    )
    rms = float(np.sqrt(2.0 * solution.cost / len(solution.fun)))
    return to_points(solution.x[None])[0], rms
