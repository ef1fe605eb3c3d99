"""The label that a spectrum fits, where it does not fit its own."""

import numpy as np

from skphx.grids._leave_one_out import FLOOR

# A label is suggested if the spectrum is nearer to the prediction there by this factor.
_BETTER = 0.5


class LabelFinder:
    """Compares spectra with what the good nodes predict at all nodes of a grid.

    Parameters
    ----------
    prediction : LeaveOneOut
        The nodes that are there, bad ones taken out.
    missing : ndarray of shape (n_missing, n_parameters)
        Nodes that the lattice lacks, in units of node spacing.
    threshold : float
        Largest score of a spectrum that fits.
    """

    def __init__(self, prediction, missing, threshold):
        self.prediction, self.threshold = prediction, threshold
        shapes = prediction.shapes - prediction.shape_residual
        levels = prediction.levels - prediction.level_residual
        # What is usual at a missing node is what is usual at the nearest.
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
        """Return the node whose prediction a spectrum fits.

        Parameters
        ----------
        row : int
            Row of the spectrum among the prediction's nodes.

        Returns
        -------
        place : int or None
            Place of the node among the prediction's nodes and, after them, the missing ones;
            None if the spectrum fits nowhere much better than at its own node.
        factor : float
            How many times nearer it is to the prediction there than to that at its own node.
        """
        prediction = self.prediction
        errors = prediction.measure(
            prediction.shapes[row] - self.shapes, prediction.levels[row] - self.levels
        )
        scores = prediction.score_at(errors, self.similar, self.distance[:, None])
        # Rms and level only: the largest deviation says nothing new about where it fits best.
        gap = np.linalg.norm((errors / self.usual)[:, [0, 2]], axis=1)
        elsewhere = (self.points != self.points[row]).any(axis=1)
        fits = elsewhere & (scores.max(axis=1) <= self.threshold) & (gap < _BETTER * gap[row])
        if not fits.any():
            return None, 1.0
        place = int(np.argmin(np.where(fits, gap, np.inf)))
        return place, float(gap[row] / gap[place])
