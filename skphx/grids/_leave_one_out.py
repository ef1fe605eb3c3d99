"""Each node predicted from the others, and which of them is to blame where that fails."""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from skphx.grids._scattered import POWER, RadialWeights

_INTERPOLATION = "cubic"
_POWER = POWER[_INTERPOLATION]
# Nodes whose errors say what is usual around a node.
_N_SIMILAR = 20
# Errors below these are harmless, whatever their ratio to others: rms of the spectrum's
# shape, largest deviation of a pixel, and logarithm of its level.
FLOOR = np.array([1e-4, 1e-3, 1e-3])
# What is usual is taken from this percentile of the similar nodes' errors, since bad nodes among
# or beside them only make errors larger: half of the nodes around may be spoilt. The offsets
# are those of this percentile for a log-normal rms with a spread of 0.4, and for the absolute
# value of one normal number.
_USUAL = 25
_USUAL_OFFSET = np.array([-0.27, -0.27, np.log(0.3186)])
# Bounds on the robust standard deviation of the logarithm of errors: on few nodes an estimate
# may be far too small, on spoilt ones far too large. Real grids have 0.35 to 0.6.
_LEAST_SPREAD = np.array([0.35, 0.35, 0.5])
_LARGEST_SPREAD = 0.6
# Part of the threshold from which on a node is taken out for a trial: one that stands out less
# because others are bad, too, shows what it is when they are gone.
_TRIAL = 0.5
# Nodes beside one that a fault of it must have spoilt, and the logarithm of the factor by which
# their errors then shrink at least if it is taken out. Taking out a good node makes them grow,
# on real grids with exceptions up to a factor of exp(0.6) where nothing is outlying.
_N_BESIDE, _HARMFUL = 6, 0.5


class LeaveOneOut:
    """Predictions of every node from the usable ones around it, and their errors.

    Parameters
    ----------
    points : ndarray of shape (n_nodes, n_parameters)
        Nodes in units of node spacing; rows may be equal if at most one of them is usable.
    shapes : ndarray of shape (n_nodes, n_pixels)
        What describes the spectra apart from their level.
    levels : ndarray of shape (n_nodes,)
        Logarithm of the spectra's level.
    usable : ndarray of shape (n_nodes,), bool
        Nodes that may predict others.

    Attributes
    ----------
    usable : ndarray of shape (n_nodes,), bool
        Nodes that predict others now.
    shape_residual : ndarray of shape (n_nodes, n_pixels)
        Shapes minus their predictions.
    level_residual : ndarray of shape (n_nodes,)
        Levels minus their predictions.
    distance : ndarray of shape (n_nodes,)
        How hard each prediction is, see `predict`.
    errors : ndarray of shape (n_nodes, 3)
        For each node rms and largest deviation of its shape, and deviation of its level.
    scores : ndarray of shape (n_nodes, 3)
        How unusual the errors are among similar nodes, in robust standard deviations.
    """

    def __init__(self, points, shapes, levels, usable):
        self.points, self.shapes, self.levels = points, shapes, levels
        self.usable = usable.copy()
        n_nodes, n_parameters = points.shape
        # Three times the terms of a parabola, so that it is averaged over nodes on all sides.
        n_terms = (n_parameters + 1) * (n_parameters + 2) // 2
        self.n_predicting = 3 * n_terms
        # Padded with -1 where fewer nodes are usable.
        self._predicting = np.full((n_nodes, self.n_predicting), -1)
        self._weights = np.zeros((n_nodes, self.n_predicting))
        self.distance = np.ones(n_nodes)
        self.shape_residual = np.zeros_like(shapes)
        self.level_residual = np.zeros(n_nodes)
        self.errors = np.zeros((n_nodes, 3))
        self._update(np.arange(n_nodes))

    def predict(self, points):
        """Weights of the usable nodes, others than the point itself, at points.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Points in units of node spacing.

        Returns
        -------
        predicting : list of ndarray of int
            Rows of the nodes that predict each point.
        weights : list of ndarray
            Their weights.
        distance : ndarray of shape (n_points,)
            How hard the prediction is, by the geometry alone: the standard deviation of an
            error of kriging with the same kernel.
        """
        rows = np.flatnonzero(self.usable)
        k = min(self.n_predicting + 1, len(rows))
        gaps, found = cKDTree(self.points[rows]).query(points, k=np.arange(1, k + 1))
        predicting, weights, distance = [], [], np.empty(len(points))
        # Threads cost far more than they give on many small systems.
        with threadpool_limits(1, "blas"):
            for i, point in enumerate(points):
                near = rows[found[i][gaps[i] > 0][: self.n_predicting]]
                nodes = self.points[near]
                weight = RadialWeights(nodes, _INTERPOLATION)(point[None])[0]
                to_nodes = cdist(point[None], nodes)[0] ** _POWER
                variance = weight @ (cdist(nodes, nodes) ** _POWER) @ weight
                variance -= 2.0 * weight @ to_nodes
                # Where nodes lie in a plane and the point outside it, the kernel's theory
                # does not hold; the distance to the nearest does.
                least = 0.1 * to_nodes.min()
                distance[i] = np.sqrt(max(variance, least))
                predicting.append(near)
                weights.append(weight)
        return predicting, weights, distance

    def _update(self, rows):
        """Predict rows again, and all errors and scores."""
        predicting, weights, distance = self.predict(self.points[rows])
        for i, row in enumerate(rows):
            near, weight = predicting[i], weights[i]
            self._predicting[row], self._weights[row] = -1, 0.0
            self._predicting[row, : len(near)] = near
            self._weights[row, : len(near)] = weight
            self.distance[row] = distance[i]
            self.shape_residual[row] = self.shapes[row] - weight @ self.shapes[near]
            self.level_residual[row] = self.levels[row] - weight @ self.levels[near]
        self.errors[rows] = self.measure(self.shape_residual[rows], self.level_residual[rows])
        self._set_scores()

    @staticmethod
    def measure(shapes, levels):
        """Errors of residuals of shape and level, shape (n, 3)."""
        rms = np.sqrt(np.mean(shapes * shapes, axis=1))
        return np.column_stack((rms, np.abs(shapes).max(axis=1, initial=0.0), np.abs(levels)))

    def _set_scores(self):
        """Set what is usual near each node, and how far each is from it."""
        rows = np.flatnonzero(self.usable)
        k = min(_N_SIMILAR + 1, len(rows))
        gaps, found = cKDTree(self.points[rows]).query(self.points, k=np.arange(1, k + 1))
        # The nearest node of a usable one is itself.
        own = gaps[:, :1] == 0
        self._similar = rows[np.where(own, found[:, 1:], found[:, :-1])]
        self._excess = np.log(np.hypot(self.errors, FLOOR) / self.distance[:, None])
        self._usual, self._spread = self._compare(self._excess)
        self.scores = (self._excess - self._usual) / self._spread

    def _compare(self, excess):
        """Median of the similar nodes, and the spread of all about it."""
        usual = np.percentile(excess[self._similar], _USUAL, axis=1) - _USUAL_OFFSET
        spread = np.percentile((excess - usual)[self.usable], 84, axis=0)
        return usual, np.clip(spread, _LEAST_SPREAD, _LARGEST_SPREAD)

    def score_at(self, errors, node, distance):
        """Scores that errors would have near a node, shape of `errors`."""
        excess = np.log(np.hypot(errors, FLOOR) / distance)
        return (excess - self._usual[node]) / self._spread

    def set_usable(self, row, usable):
        """Let a node predict others, or not, and predict again those that it concerns."""
        self.usable[row] = usable
        if usable:
            offsets = self.points[self._predicting] - self.points[:, None]
            reach = np.linalg.norm(offsets, axis=2).max(axis=1)
            reach[self._predicting.min(axis=1) < 0] = np.inf
            concerned = cdist(self.points[[row]], self.points)[0] <= reach
        else:
            concerned = (self._predicting == row).any(axis=1)
            concerned[row] = True
        self._update(np.flatnonzero(concerned))

    def influence(self, suspect, least_score):
        """How much smaller the errors of the nodes beside it get if a node is taken out.

        Median of the logarithms of the ratios over the nodes in whose predictions it weighs
        most; the largest among the kinds of its errors with a score above the least one.
        """
        nodes, places = np.nonzero((self._predicting == suspect) & self.usable[:, None])
        weights = self._weights[nodes, places]
        beside = np.argsort(-np.abs(weights))[:_N_BESIDE]
        if len(beside) == 0:
            return np.inf
        nodes, weights = nodes[beside], weights[beside]
        # Without the node its own prediction stands in its place: all residuals follow.
        errors = self.measure(
            self.shape_residual[nodes] + weights[:, None] * self.shape_residual[suspect],
            self.level_residual[nodes] + weights * self.level_residual[suspect],
        )
        ratio = np.hypot(self.errors[nodes], FLOOR) / np.hypot(errors, FLOOR)
        unusual = self.scores[suspect] > least_score
        return float(np.median(np.log(ratio[:, unusual]), axis=0).max(initial=-np.inf))


def find_outlying(prediction, threshold):
    """Take nodes out that the others cannot predict, the worst first.

    A bad node spoils the predictions of its neighbours, too, whose errors then look as unusual
    as its own; but only without the bad node do the others get better. So the node is taken
    out that does most harm to those beside it, and all is judged again before the next. A node
    that is predicted well after all, once the bad ones are gone, comes back.

    Parameters
    ----------
    prediction : LeaveOneOut
        The nodes; those taken out are no longer usable afterwards.
    threshold : float
        Score above which a node is outlying.

    Returns
    -------
    ndarray of int
        Rows taken out, increasing.
    """
    removed, returned = [], []
    n_needed = prediction.points.shape[1] + 3
    while True:
        row = _most_harmful(prediction, _TRIAL * threshold, returned)
        if row is not None and prediction.usable.sum() > n_needed:
            prediction.set_usable(row, False)
            removed.append(row)
            continue
        innocent = [row for row in removed if prediction.scores[row].max() <= threshold]
        if not innocent:
            return np.sort(np.array(removed, dtype=np.intp))
        best = min(innocent, key=lambda row: prediction.scores[row].max())
        prediction.set_usable(best, True)
        removed.remove(best)
        returned.append(best)


def _most_harmful(prediction, least_score, innocent):
    """Return the node to take out next, or None."""
    suspects = prediction.usable & (prediction.scores.max(axis=1) > least_score)
    suspects[innocent] = False
    harm = {int(row): prediction.influence(row, least_score) for row in np.flatnonzero(suspects)}
    row = max(harm, key=harm.get, default=None)
    return row if row is not None and harm[row] > _HARMFUL else None
