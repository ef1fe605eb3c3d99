"""LabelFinder: the node with which a mislabelled spectrum agrees."""

import numpy as np

from skphx.validation._leave_one_out import FLOOR

# A label is suggested if the difference to its prediction is smaller by this factor.
_BETTER = 0.5


class LabelFinder:
    """Compare spectra with the predictions of the good nodes at all nodes of a grid.

    Parameters
    ----------
    prediction : LeaveOneOut
        Predictions at the existing nodes, without the bad ones.
    missing : ndarray of shape (n_missing, n_parameters)
        Missing nodes of the lattice, in units of node spacing.
    threshold : float
        Largest score of a spectrum that agrees with a prediction.
    """

    def __init__(self, prediction, missing, threshold):
        self.prediction, self.threshold = prediction, threshold
        shapes = prediction.shapes - prediction.shape_residual
        levels = prediction.levels - prediction.level_residual
        # The usual errors at a missing node are those at the nearest node.
        similar, distance = np.arange(len(shapes)), prediction.distance
        if len(missing):
            predicting, weights, far = prediction.predict(missing)
            pairs = list(zip(predicting, weights, strict=True))
            shapes = np.vstack((shapes, [w @ prediction.shapes[near] for near, w in pairs]))
            levels = np.append(levels, [w @ prediction.levels[near] for near, w in pairs])
            similar = np.append(similar, [near[0] for near in predicting])
            distance = np.append(distance, far)
        self.points = np.vstack((prediction.points, missing))
        self.shapes, self.levels = shapes, levels
        self.similar, self.distance = similar, distance
        usual = np.median(prediction.errors[prediction.usable], axis=0)
        self.usual = np.hypot(usual, FLOOR)

    def find(self, row):
        """Return the node whose prediction agrees with a spectrum.

        Parameters
        ----------
        row : int
            Row of the spectrum among the nodes of the prediction.

        Returns
        -------
        place : int or None
            Index of the node among the nodes of the prediction followed by the missing ones;
            None if no prediction agrees much better than that at its own node.
        factor : float
            Factor by which the difference to this prediction is smaller than to that at its own
            node.
        """
        prediction = self.prediction
        errors = prediction.measure(
            prediction.shapes[row] - self.shapes, prediction.levels[row] - self.levels
        )
        scores = prediction.score_at(errors, self.similar, self.distance[:, None])
        # Rms and level only: the largest deviation does not help to find the label.
        gap = np.linalg.norm((errors / self.usual)[:, [0, 2]], axis=1)
        elsewhere = (self.points != self.points[row]).any(axis=1)
        fits = elsewhere & (scores.max(axis=1) <= self.threshold) & (gap < _BETTER * gap[row])
        if not fits.any():
            return None, 1.0
        place = int(np.argmin(np.where(fits, gap, np.inf)))
        return place, float(gap[row] / gap[place])
