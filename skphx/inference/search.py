"""Global search of a box: random points, then a Gaussian process that guides more of them.

This is the only file that imports scikit-optimize.
"""

import warnings

import numpy as np
from threadpoolctl import threadpool_limits

# Of ten thousand random candidates the best ones are polished; scikit-optimize's five take half
# of all its time, and the best basin is nearly always among two.
_N_POLISHED = 2


def draw_points(box, n_points, random_state):
    """Draw points uniformly from a box.

    Parameters
    ----------
    box : ndarray of shape (n_parameters, 2)
        Lower and upper bounds.
    n_points : int
        Number of points.
    random_state : numpy.random.RandomState
        Source of randomness.

    Returns
    -------
    ndarray of shape (n_points, n_parameters)
        The points.
    """
    unit = random_state.uniform(size=(n_points, len(box)))
    return box[:, 0] + unit * (box[:, 1] - box[:, 0])


def gp_search(loss, box, points, losses, *, n_calls, random_state):
    """Add points where a Gaussian process expects low loss, with scikit-optimize.

    Parameters
    ----------
    loss : callable
        Maps a point, ndarray of shape (n_parameters,), to a float.
    box : ndarray of shape (n_parameters, 2)
        Lower and upper bounds; a parameter whose bounds are equal is not searched.
    points : ndarray of shape (n_points, n_parameters)
        Points evaluated already.
    losses : ndarray of shape (n_points,)
        Their losses.
    n_calls : int
        Number of points to add.
    random_state : int
        Seed.

    Returns
    -------
    points : ndarray of shape (n_points + n_calls, n_parameters)
        All points, the added ones last.
    losses : ndarray of shape (n_points + n_calls,)
        Their losses.

    Raises
    ------
    ImportError
        If scikit-optimize cannot be imported.

    References
    ----------
    Shankar, Gully-Santiago & Morley, section 4.2: `gp_minimize` with 100 random and 20 guided
    evaluations.
    """
    free = np.flatnonzero(box[:, 1] > box[:, 0])
    if n_calls <= 0 or len(free) == 0:
        return points, losses
    from skopt import gp_minimize

    added = []

    def loss_of_free(values):
        point = points[0].copy()
        point[free] = values
        added.append(point)
        return float(loss(point))

    # A hundred points are too few to share: threads would wait for each other longer than they
    # work, by a factor of five on two busy cores.
    with warnings.catch_warnings(), threadpool_limits(1):
        # Length scales at their bounds and repeated points are normal in a search.
        warnings.filterwarnings("ignore", module="sklearn.gaussian_process")
        warnings.filterwarnings("ignore", message="The objective has been evaluated")
        result = gp_minimize(
            loss_of_free,
            [tuple(map(float, box[column])) for column in free],
            x0=points[:, free].tolist(),
            y0=losses.tolist(),
            n_calls=n_calls,
            n_initial_points=0,
            n_restarts_optimizer=_N_POLISHED,
            random_state=random_state,
        )
    return np.vstack([points, added]), np.concatenate([losses, result.func_vals[len(losses) :]])
