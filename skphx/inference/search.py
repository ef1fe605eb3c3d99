"""The paper's search: random points of a box, then more of them, guided by a Gaussian process.

This is the only file that imports scikit-optimize.
"""

import warnings

import numpy as np
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from skphx.inference._emulation import emulate

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


class GuidedSearch:
    """Search for the point whose emulated spectrum is nearest to a spectrum, as the paper does.

    The loss is the root mean square over the pixels, all alike, of emulated minus observed flux;
    a raw spectrum is normalised with the Teff of the point that it is compared with. The answer
    is the best point evaluated.

    Parameters
    ----------
    emulator : estimator
        Fitted; with ``predict``, ``normalize`` and ``grid_``.
    spectra : ndarray of shape (n_spectra, n_pixels)
        Observed flux, as the emulator's spectra were given to its fit.
    n_calls, n_initial_points : int
        Evaluations in total, and those at random points; the others are guided.
    """

    def __init__(self, emulator, spectra, n_calls, n_initial_points):
        self.emulator, self.spectra = emulator, spectra
        self.n_calls, self.n_initial_points = n_calls, n_initial_points
        self._normalises = not np.array_equal(
            emulator.normalize(spectra[:1], emulator.grid_.nodes[:1]), spectra[:1]
        )

    def losses(self, row, points, emulated=None):
        """Root mean squares of one spectrum at points within the grid, shape (n_points,)."""
        emulated = emulate(self.emulator, points) if emulated is None else emulated
        observed = self.spectra[row]
        if self._normalises:
            observed = self.emulator.normalize(np.tile(observed, (len(points), 1)), points)
        return np.sqrt(np.mean((emulated - observed) ** 2, axis=1))

    def shared_points(self, box, random_state):
        """Random points for all spectra that have the same box, with their spectra."""
        points = self._inside(draw_points(box, self.n_initial_points, random_state))
        return points, emulate(self.emulator, points)

    def search(self, row, box, seed, shared=None):
        """Find the best point of one spectrum.

        Parameters
        ----------
        row : int
            The spectrum.
        box : ndarray of shape (n_parameters, 2)
            Where to search.
        seed : int
            Of random numbers.
        shared : tuple or None
            From `shared_points`; None draws points of its own.

        Returns
        -------
        ndarray of shape (n_parameters,)
            The point, within the grid.
        """
        if shared is None:
            shared = self.shared_points(box, check_random_state(seed))
        points, emulated = shared
        points, losses = gp_search(
            lambda point: self.losses(row, self._inside(point[None]))[0],
            box,
            points,
            self.losses(row, points, emulated),
            n_calls=self.n_calls - self.n_initial_points,
            random_state=seed,
        )
        return self._inside(points[[np.argmin(losses)]])[0]

    def _inside(self, points):
        return self.emulator.grid_.resolve_outside(points, "clip")
