"""The paper's search: random points of a box, then more of them, guided by a Gaussian process.

This is the only file that imports scikit-optimize.
"""

import warnings
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_scalar
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from skphx.inference._bounds_and_priors import draw_points
from skphx.inference._emulation import emulate
from skphx.paper._extra import needed_for

# Of ten thousand random candidates the best ones are polished; scikit-optimize's five take half
# of all its time, and the best basin is nearly always among two.
_N_POLISHED = 2


class GaussianProcessSearch(BaseEstimator):
    """Search for the nearest emulated spectrum as the paper does, by ``gp_minimize``.

    The loss is the root mean square over the pixels, all alike, of emulated minus observed flux;
    a raw spectrum is normalised with the Teff of the point that it is compared with. It is
    evaluated at random points of the search box, then at points where a Gaussian process expects
    it to be low; the answer is the best point evaluated.

    Parameters
    ----------
    n_calls : int, default=120
        Evaluations in total; those beyond `n_initial_points` are guided.
    n_initial_points : int, default=100
        Random evaluations, shared by all spectra that have the same search box.
    verbose : int, default=0
        Above 0, a progress bar over the spectra.

    See Also
    --------
    skphx.StellarParameterEstimator : takes it as ``search``.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference", section 4.2.

    Examples
    --------
    >>> from skphx import FluxEmulator, StellarParameterEstimator
    >>> from skphx.paper import GaussianProcessSearch
    >>> StellarParameterEstimator(FluxEmulator(), search=GaussianProcessSearch(n_calls=110))
    StellarParameterEstimator(emulator=FluxEmulator(),
                              search=GaussianProcessSearch(n_calls=110))
    """

    def __init__(
        self, n_calls: int = 120, n_initial_points: int = 100, *, verbose: int = 0
    ) -> None:
        self.n_calls = n_calls
        self.n_initial_points = n_initial_points
        self.verbose = verbose

    def check_settings(self) -> None:
        """Raise where a parameter of the constructor is out of its range.

        Raises
        ------
        ValueError, TypeError
            Naming the parameter.
        ImportError
            If scikit-optimize is not installed and any evaluation is guided.
        """
        check_scalar(self.n_initial_points, "n_initial_points", Integral, min_val=1)
        check_scalar(self.n_calls, "n_calls", Integral, min_val=self.n_initial_points)
        if self.n_calls > self.n_initial_points:
            with needed_for("search=GaussianProcessSearch()"):
                import skopt  # noqa: F401

    def search(
        self,
        emulator: Any,
        spectra: NDArray[np.float64],
        boxes: NDArray[np.float64],
        *,
        random_state: np.random.RandomState,
        n_jobs: int | None = None,
    ) -> NDArray[np.float64]:
        """Find the best point of each spectrum.

        Parameters
        ----------
        emulator : estimator
            Fitted; with ``predict``, ``normalize`` and ``grid_``.
        spectra : ndarray of shape (n_spectra, n_pixels)
            Observed flux, as the emulator's spectra were given to its fit.
        boxes : ndarray of shape (n_spectra, n_parameters, 2)
            Where to search.
        random_state : numpy.random.RandomState
            Source of randomness.
        n_jobs : int or None
            Spectra searched at once.

        Returns
        -------
        ndarray of shape (n_spectra, n_parameters)
            Points within the grid.

        Raises
        ------
        ImportError
            If scikit-optimize is not installed and any evaluation is guided.
        """
        losses = _Losses(emulator, spectra)
        shared = None
        if (boxes == boxes[0]).all():
            shared = losses.at_random(boxes[0], self.n_initial_points, random_state)
        seeds = random_state.randint(np.iinfo(np.int32).max, size=len(spectra))
        found = Parallel(n_jobs=n_jobs, return_as="generator")(
            delayed(self._search_one)(losses, row, boxes[row], seeds[row], shared)
            for row in range(len(spectra))
        )
        progress = tqdm(
            found,
            total=len(spectra),
            desc="inferring",
            unit="spectrum",
            disable=not self.verbose,
        )
        return np.array(list(progress))

    def _search_one(self, losses, row, box, seed, shared):
        """Find the best point of one spectrum."""
        if shared is None:
            shared = losses.at_random(box, self.n_initial_points, check_random_state(seed))
        points, emulated = shared
        points, values = minimize_guided(
            lambda point: losses.of(row, losses.inside(point[None]))[0],
            box,
            points,
            losses.of(row, points, emulated),
            n_calls=self.n_calls - self.n_initial_points,
            random_state=seed,
        )
        return losses.inside(points[[np.argmin(values)]])[0]


class _Losses:
    """How far spectra are from emulated ones, as the paper measures it."""

    def __init__(self, emulator, spectra):
        self.emulator, self.spectra = emulator, spectra
        self._normalises = not np.array_equal(
            emulator.normalize(spectra[:1], emulator.grid_.nodes[:1]), spectra[:1]
        )

    def of(self, row, points, emulated=None):
        """Root mean squares of one spectrum at points within the grid, shape (n_points,)."""
        emulated = emulate(self.emulator, points) if emulated is None else emulated
        observed = self.spectra[row]
        if self._normalises:
            observed = self.emulator.normalize(np.tile(observed, (len(points), 1)), points)
        return np.sqrt(np.mean((emulated - observed) ** 2, axis=1))

    def at_random(self, box, n_points, random_state):
        """Random points of a box, with their emulated spectra."""
        points = self.inside(draw_points(box, n_points, random_state))
        return points, emulate(self.emulator, points)

    def inside(self, points):
        """Points moved onto the grid."""
        return self.emulator.grid_.resolve_outside(points, "clip")


def minimize_guided(loss, box, points, losses, *, n_calls, random_state):
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
        If scikit-optimize is not installed.

    References
    ----------
    Shankar, Gully-Santiago & Morley, section 4.2: `gp_minimize` with 100 random and 20 guided
    evaluations.
    """
    free = np.flatnonzero(box[:, 1] > box[:, 0])
    if n_calls <= 0 or len(free) == 0:
        return points, losses
    with needed_for("a guided search"):
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
