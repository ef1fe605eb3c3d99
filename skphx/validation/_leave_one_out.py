"""Predict each node from the nodes around, and find the nodes that make predictions fail."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from skphx.interpolation._scattered import POWER, RadialWeights

_INTERPOLATION = "cubic"
_POWER = POWER[_INTERPOLATION]
# Number of nodes around a node whose errors define the usual errors.
_N_SIMILAR = 20
# Smaller errors are never outlying: rms of the shape of the spectrum, largest deviation of a
# pixel, and deviation of the logarithm of the level.
FLOOR = np.array([1e-4, 1e-3, 1e-3])
# The usual errors are this percentile of the errors of the nodes around. It is low because bad
# nodes make errors larger: half of the nodes around may be affected. The offsets are the
# logarithms of this percentile for a log-normal rms with a spread of 0.4, and for the absolute
# value of one normal deviate.
_USUAL = 25
_USUAL_OFFSET = np.array([-0.27, -0.27, np.log(0.3186)])
# Bounds of the robust standard deviation of the logarithm of the errors: its estimate may be too
# small for few nodes, and too large with bad nodes. Public grids have 0.35 to 0.6.
_LEAST_SPREAD = np.array([0.35, 0.35, 0.5])
_LARGEST_SPREAD = 0.6
# Fraction of the threshold above which a node may be removed, because the score of a bad node is
# too low while there are other bad nodes.
_REMOVAL_FRACTION = 0.5
# Number of nodes around a bad node whose errors its removal must reduce, and the logarithm of the
# smallest factor. The removal of a good node increases these errors; on public grids without
# faults there are exceptions up to a factor of exp(0.6), at nodes with low scores.
_N_AFFECTED, _LEAST_REDUCTION = 6, 0.5


class LeaveOneOut:
    """Predictions of all nodes from the usable nodes around, and their errors.

    Parameters
    ----------
    points : ndarray of shape (n_nodes, n_parameters)
        Nodes in units of node spacing; rows may be equal if at most one of them is usable.
    shapes : ndarray of shape (n_nodes, n_pixels)
        The spectra without their level, see `Scan.shapes`.
    levels : ndarray of shape (n_nodes,)
        Logarithm of the level of the spectra.
    usable : ndarray of shape (n_nodes,), bool
        Nodes that may be used in predictions.

    Attributes
    ----------
    usable : ndarray of shape (n_nodes,), bool
        Nodes that are used in predictions.
    shape_residual : ndarray of shape (n_nodes, n_pixels)
        Shapes minus their predictions.
    level_residual : ndarray of shape (n_nodes,)
        Levels minus their predictions.
    distance : ndarray of shape (n_nodes,)
        Expected error of each prediction, see `predict`.
    errors : ndarray of shape (n_nodes, 3)
        Rms and largest deviation of the shape, and deviation of the level of each node.
    scores : ndarray of shape (n_nodes, 3)
        How unusual the errors are among similar nodes, in robust standard deviations.
    """

    def __init__(self, points, shapes, levels, usable):
        self.points, self.shapes, self.levels = points, shapes, levels
        self.usable = usable.copy()
        n_nodes, n_parameters = points.shape
        # Three times the number of terms of a parabola, so that there are nodes on all sides.
        n_terms = (n_parameters + 1) * (n_parameters + 2) // 2
        self.n_predicting = 3 * n_terms
        # Padded with -1 if fewer nodes are usable.
        self._predicting = np.full((n_nodes, self.n_predicting), -1)
        self._weights = np.zeros((n_nodes, self.n_predicting))
        self.distance = np.ones(n_nodes)
        self.shape_residual = np.zeros_like(shapes)
        self.level_residual = np.zeros(n_nodes)
        self.errors = np.zeros((n_nodes, 3))
        self._update(np.arange(n_nodes))

    def predict(self, points):
        """Weights of the usable nodes at points, without nodes at the point itself.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Points in units of node spacing.

        Returns
        -------
        predicting : list of ndarray of int
            Rows of the nodes from which each point is predicted.
        weights : list of ndarray
            Their weights.
        distance : ndarray of shape (n_points,)
            Expected error of the prediction from the positions of the nodes: the standard
            deviation of the error of kriging with the same kernel.
        """
        rows = np.flatnonzero(self.usable)
        k = min(self.n_predicting + 1, len(rows))
        gaps, found = cKDTree(self.points[rows]).query(points, k=np.arange(1, k + 1))
        predicting, weights, distance = [], [], np.empty(len(points))
        # For many small systems, threads of BLAS make this slower.
        with threadpool_limits(1, "blas"):
            for i, point in enumerate(points):
                near = rows[found[i][gaps[i] > 0][: self.n_predicting]]
                nodes = self.points[near]
                weight = RadialWeights(nodes, _INTERPOLATION)(point[None])[0]
                to_nodes = cdist(point[None], nodes)[0] ** _POWER
                variance = weight @ (cdist(nodes, nodes) ** _POWER) @ weight
                variance -= 2.0 * weight @ to_nodes
                # The variance is too small if the nodes are in a plane and the point is not.
                least = 0.1 * to_nodes.min()
                distance[i] = np.sqrt(max(variance, least))
                predicting.append(near)
                weights.append(weight)
        return predicting, weights, distance

    def _update(self, rows):
        """Predict rows again, and compute errors and scores."""
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
        """Set the usual errors near each node, and the scores."""
        rows = np.flatnonzero(self.usable)
        k = min(_N_SIMILAR + 1, len(rows))
        gaps, found = cKDTree(self.points[rows]).query(self.points, k=np.arange(1, k + 1))
        # The nearest usable node of a usable node is the node itself.
        own = gaps[:, :1] == 0
        self._similar = rows[np.where(own, found[:, 1:], found[:, :-1])]
        self._excess = np.log(np.hypot(self.errors, FLOOR) / self.distance[:, None])
        self._usual, self._spread = self._compare(self._excess)
        self.scores = (self._excess - self._usual) / self._spread

    def _compare(self, excess):
        """Usual errors of the similar nodes, and the spread of all errors about them."""
        usual = np.percentile(excess[self._similar], _USUAL, axis=1) - _USUAL_OFFSET
        spread = np.percentile((excess - usual)[self.usable], 84, axis=0)
        return usual, np.clip(spread, _LEAST_SPREAD, _LARGEST_SPREAD)

    def score_at(self, errors, node, distance):
        """Scores of errors near a node, shape of `errors`."""
        excess = np.log(np.hypot(errors, FLOOR) / distance)
        return (excess - self._usual[node]) / self._spread

    def set_usable(self, row, usable):
        """Use a node in predictions, or not, and predict the affected nodes again."""
        self.usable[row] = usable
        if usable:
            offsets = self.points[self._predicting] - self.points[:, None]
            reach = np.linalg.norm(offsets, axis=2).max(axis=1)
            reach[self._predicting.min(axis=1) < 0] = np.inf
            affected = cdist(self.points[[row]], self.points)[0] <= reach
        else:
            affected = (self._predicting == row).any(axis=1)
            affected[row] = True
        self._update(np.flatnonzero(affected))

    def influence(self, row, least_score):
        """Logarithm of the factor by which the removal of a node reduces the errors around.

        It is the median over the nodes in whose predictions the node has the largest weights, and
        the maximum over those of the three errors for which the score of the node is above the
        least score.
        """
        nodes, places = np.nonzero((self._predicting == row) & self.usable[:, None])
        weights = self._weights[nodes, places]
        largest = np.argsort(-np.abs(weights))[:_N_AFFECTED]
        if len(largest) == 0:
            return np.inf
        nodes, weights = nodes[largest], weights[largest]
        # Without the node, its prediction is used in its place; the residuals follow from that.
        errors = self.measure(
            self.shape_residual[nodes] + weights[:, None] * self.shape_residual[row],
            self.level_residual[nodes] + weights * self.level_residual[row],
        )
        ratio = np.hypot(self.errors[nodes], FLOOR) / np.hypot(errors, FLOOR)
        unusual = self.scores[row] > least_score
        return float(np.median(np.log(ratio[:, unusual]), axis=0).max(initial=-np.inf))


def find_outlying(prediction: LeaveOneOut, threshold: float) -> NDArray[np.intp]:
    """Remove the nodes that do not agree with the others, the worst first.

    A bad node also makes the predictions of its neighbours worse, so that their errors are as
    unusual as its own. But only the removal of the bad node reduces the errors of the others. So
    the node whose removal reduces the errors around most is removed, and all errors are computed
    again before the next one is removed. Removed nodes whose errors are not unusual after the
    others have been removed are put back, which avoids false positives.

    Parameters
    ----------
    prediction : LeaveOneOut
        The nodes; the removed ones are not usable afterwards.
    threshold : float
        Score above which a node is outlying.

    Returns
    -------
    ndarray of int
        Removed rows, increasing.
    """
    removed: list[int] = []
    returned: list[int] = []
    n_needed = prediction.points.shape[1] + 3
    while True:
        row = _most_influential(prediction, _REMOVAL_FRACTION * threshold, returned)
        if row is not None and prediction.usable.sum() > n_needed:
            prediction.set_usable(row, False)
            removed.append(row)
            continue
        good = [row for row in removed if prediction.scores[row].max() <= threshold]
        if not good:
            return np.sort(np.array(removed, dtype=np.intp))
        best = min(good, key=lambda row: prediction.scores[row].max())
        prediction.set_usable(best, True)
        removed.remove(best)
        returned.append(best)


def _most_influential(prediction, least_score, kept):
    """Return the node to remove next, or None; nodes in `kept` are not removed."""
    candidates = prediction.usable & (prediction.scores.max(axis=1) > least_score)
    candidates[kept] = False
    rows = np.flatnonzero(candidates)
    if len(rows) == 0:
        return None
    influence = [prediction.influence(row, least_score) for row in rows]
    best = int(np.argmax(influence))
    return int(rows[best]) if influence[best] > _LEAST_REDUCTION else None
