"""Where to begin: templates from all over the grid, at all velocities, beside each spectrum."""

import numpy as np

from skphx.inference.observed import _gram, to_internal
from skphx.observing import _kernels as kernels
from skphx.observing._light_path import EFFECTS
from skphx.observing._resampling import interpolation_matrix

# Templates that look for the velocity; all of them look for the rest once it is known.
_N_FOR_VELOCITY = 12
# Values of v sin i, in parts of its range: narrow, as most stars are, to wide.
_BROADENINGS = (0.05, 0.3, 0.8)
# Velocities a full width of the lines, and at most.
_STEPS_PER_WIDTH = 2.5
_MOST_VELOCITIES = 400
# Width in km/s of a line of a model whose resolution is not known.
_NATURAL_WIDTH = 6.0


class Scan:
    """Templates seen through one light path, and their sums of squares with each spectrum.

    Parameters
    ----------
    problem : ObservedSpectra
        The spectra, with their path and continuum.
    stellar : ndarray of shape (n_templates, n_parameters)
        Points in the grid.
    ranges : ndarray of shape (4, 2)
        Lower and upper bound of velocity, v sin i, macroturbulence (km/s) and resolution.
    """

    def __init__(self, problem, stellar, ranges):
        self.problem = problem
        self.stellar = stellar
        low, high = ranges.T
        middle = 0.5 * (low + high)
        vsini = [middle[1]]
        if high[1] > low[1]:
            vsini = [low[1] + part * (high[1] - low[1]) for part in _BROADENINGS]
        effects = np.array([[0.0, width, middle[2], middle[3]] for width in vsini])
        self.points = np.array(
            [np.concatenate([star, effect]) for effect in effects for star in stellar]
        )
        internal = to_internal(self.points, problem.n_stellar)
        self.templates = np.concatenate(
            [
                problem.spectrum(internal[start : start + problem.block])
                for start in range(0, len(internal), problem.block)
            ]
        )
        self.velocities = self._velocities(low[0], high[0])

    @property
    def n_evaluations(self):
        """Templates emulated, for all spectra together."""
        return len(self.stellar)

    def _velocities(self, low, high):
        if high == low:
            return np.array([low])
        width = max(self.problem.path.line_width, _NATURAL_WIDTH)
        n_velocities = int(np.ceil((high - low) / width * _STEPS_PER_WIDTH)) + 1
        return np.linspace(low, high, min(n_velocities, _MOST_VELOCITIES))

    def _moved(self, templates, velocity):
        """Templates at another velocity, interpolated between the pixels of each chunk."""
        if velocity == 0:
            return templates
        moved = np.empty_like(templates)
        shift = np.exp(-kernels.shift_of_velocity(velocity)[0] / kernels.SPEED_OF_LIGHT)
        for where, pixels in zip(
            self.problem.path.chunk_slices, self.problem.path.centres, strict=True
        ):
            targets = np.clip(pixels * shift, pixels[0], pixels[-1])
            moved[:, where] = (interpolation_matrix(pixels, targets) @ templates[:, where].T).T
        return moved

    def _costs(self, templates, rows):
        """Return sums of squares of templates with their best continuum, (n_templates, n)."""
        problem = self.problem
        total = np.zeros((len(templates), len(rows)))
        for number, where in enumerate(problem.path.chunk_slices):
            flux, weights = problem.flux[rows, where], problem.weights[rows, where]
            part = templates[:, where]
            total += (weights * flux**2).sum(axis=1)
            if problem.degree is None:
                total += part**2 @ weights.T - 2.0 * part @ (weights * flux).T
                continue
            basis = problem._bases[number]
            for column in range(len(rows)):
                gram = _gram(weights[column] * part**2, basis)
                right = (part * (weights[column] * flux[column])) @ basis.T
                best = np.linalg.solve(gram, right[..., None])[..., 0]
                total[:, column] -= (best * right).sum(axis=1)
        return total

    def starts(self, rows, boxes, n_starts):
        """Best points of spectra.

        Parameters
        ----------
        rows : ndarray of shape (n,), int
            Spectra.
        boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
            Box of each spectrum, in the units of users; templates outside come last.
        n_starts : int
            Points wanted.

        Returns
        -------
        ndarray of shape (n, n_starts, n_parameters + 4)
            Points in the units of users, best first.
        """
        n_stellar = self.problem.n_stellar
        velocity = np.full(len(rows), self.velocities[0])
        if len(self.velocities) > 1:
            few = self._for_velocity()
            costs = np.array(
                [
                    self._costs(self._moved(few, value), rows).min(axis=0)
                    for value in self.velocities
                ]
            )
            velocity = self.velocities[costs.argmin(axis=0)]
        starts = np.empty((len(rows), n_starts, self.points.shape[1]))
        for value in np.unique(velocity):
            at = np.flatnonzero(velocity == value)
            costs = self._costs(self._moved(self.templates, value), rows[at])
            for column, place in enumerate(at):
                box = boxes[rows[place], :n_stellar]
                stellar = self.points[:, :n_stellar]
                outside = ((stellar < box[:, 0]) | (stellar > box[:, 1])).any(axis=1)
                scores = costs[:, column] + self._prior_cost(rows[place])
                if not outside.all():
                    scores = np.where(outside, np.inf, scores)
                best = np.argsort(scores, kind="stable")[:n_starts]
                best = np.where(np.isfinite(scores[best]), best, best[0])
                starts[place] = self.points[np.resize(best, n_starts)]
                starts[place, :, n_stellar + EFFECTS.index("velocity")] = value
        return starts

    def _for_velocity(self):
        """Templates of the middle broadening that look for the velocity."""
        n_templates = len(self.stellar)
        first = (len(self.points) // n_templates // 2) * n_templates
        chosen = np.linspace(0, n_templates - 1, min(_N_FOR_VELOCITY, n_templates)).astype(int)
        return self.templates[first + chosen]

    def _prior_cost(self, row):
        """Gaussian priors of one spectrum on every template's stellar parameters."""
        if self.problem.priors is None:
            return 0.0
        n_stellar = self.problem.n_stellar
        mean, deviation = self.problem.priors[row, :n_stellar].T
        pulls = (self.points[:, :n_stellar] - mean) / deviation
        return np.nansum(pulls**2, axis=1)
