"""Starting points: emulated templates at many velocities, compared with each spectrum."""

import numpy as np

from skphx._domain import KINEMATIC_PARAMETERS, SPEED_OF_LIGHT
from skphx.inference._bounds_and_priors import draw_points
from skphx.inference._likelihood import to_internal, weighted_gram
from skphx.observing import _kernels as kernels
from skphx.observing._resampling import interpolation_matrix
from skphx.species._abundances import AbundanceGrid

# No more samples than the first number are emulated for templates, so a long spectrum has fewer
# templates, but no fewer than the second number.
_MOST_SAMPLES = 2_500_000
_FEWEST_TEMPLATES = 24
# Number of templates used to find the velocity; all are used afterwards.
_N_FOR_VELOCITY = 12
# Values of v sin i of the templates, as parts of its range.
_BROADENINGS = (0.05, 0.3, 0.8)
# Velocities tried for each FWHM of the lines, and the largest number of velocities.
_STEPS_PER_WIDTH = 2.5
_MOST_VELOCITIES = 400
# Least FWHM of lines, km/s.
_LEAST_WIDTH = 6.0


def draw_templates(grid, boxes, n_points, n_pixels, random_state):
    """Draw the stellar parameters of templates from the smallest box around all boxes.

    Parameters
    ----------
    grid : NodeGrid
        Nodes of the emulator; points outside are moved onto the edge. Abundances are those
        of the nodes, as far as the boxes allow it.
    boxes : ndarray of shape (n_spectra, n_parameters, 2)
        Search boxes.
    n_points : int
        Number of points; fewer are drawn for a long spectrum.
    n_pixels : int
        Number of pixels of the emulator.
    random_state : numpy.random.RandomState
        Random numbers.

    Returns
    -------
    ndarray of shape (n_templates, n_parameters)
        The points.
    """
    whole = np.stack([boxes[..., 0].min(axis=0), boxes[..., 1].max(axis=0)], axis=1)
    n_points = min(n_points, max(_FEWEST_TEMPLATES, _MOST_SAMPLES // n_pixels))
    points = draw_points(whole, n_points, random_state)
    if isinstance(grid, AbundanceGrid):
        points = grid.scaled_solar(points, boxes)
    return grid.resolve_outside(points, "clip")


class TemplateScan:
    """Templates observed through one forward model, and their chi² for each spectrum.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with their forward model and continuum.
    templates : ndarray of shape (n_templates, n_parameters)
        Stellar parameters of the templates.
    ranges : ndarray of shape (4, 2)
        Lower and upper bound of velocity, v sin i, macroturbulence (km/s) and resolution.
    """

    def __init__(self, likelihood, templates, ranges):
        self.likelihood = likelihood
        self.n_templates = len(templates)
        low, high = ranges.T
        middle = 0.5 * (low + high)
        vsini = [middle[1]]
        if high[1] > low[1]:
            vsini = [low[1] + part * (high[1] - low[1]) for part in _BROADENINGS]
        # All templates of one broadening are consecutive.
        kinematics = np.array([[0.0, width, middle[2], middle[3]] for width in vsini])
        self.points = np.array(
            [np.concatenate([star, one]) for one in kinematics for star in templates]
        )
        internal = to_internal(self.points, likelihood.n_stellar)
        self.spectra = np.concatenate(
            [
                likelihood.spectrum(internal[start : start + likelihood.block])
                for start in range(0, len(internal), likelihood.block)
            ]
        )
        self.velocities = self._velocities(low[0], high[0])

    def _velocities(self, low, high):
        """Return the velocities to try, km/s."""
        if high == low:
            return np.array([low])
        width = max(self.likelihood.forward.line_width, _LEAST_WIDTH)
        n_velocities = int(np.ceil((high - low) / width * _STEPS_PER_WIDTH)) + 1
        return np.linspace(low, high, min(n_velocities, _MOST_VELOCITIES))

    def _shifted(self, spectra, velocity):
        """Return spectra at another velocity, interpolated between pixels of each segment."""
        if velocity == 0:
            return spectra
        forward = self.likelihood.forward
        shifted = np.empty_like(spectra)
        factor = np.exp(-kernels.shift_of_velocity(velocity)[0] / SPEED_OF_LIGHT)
        for where, pixels in zip(forward.segment_slices, forward.centres, strict=True):
            targets = np.clip(pixels * factor, pixels[0], pixels[-1])
            shifted[:, where] = (interpolation_matrix(pixels, targets) @ spectra[:, where].T).T
        return shifted

    def _chi2(self, spectra, rows):
        """Return chi² of templates with their best continuum, (n_templates, n)."""
        likelihood = self.likelihood
        total = np.zeros((len(spectra), len(rows)))
        for number, where in enumerate(likelihood.forward.segment_slices):
            flux, weights = likelihood.flux[rows, where], likelihood.weights[rows, where]
            part = spectra[:, where]
            total += (weights * flux**2).sum(axis=1)
            if likelihood.degree is None:
                total += part**2 @ weights.T - 2.0 * part @ (weights * flux).T
                continue
            basis = likelihood.bases[number]
            for column in range(len(rows)):
                gram = weighted_gram(weights[column] * part**2, basis)
                right = (part * (weights[column] * flux[column])) @ basis.T
                best = np.linalg.solve(gram, right[..., None])[..., 0]
                total[:, column] -= (best * right).sum(axis=1)
        return total

    def starts(self, rows, boxes, n_starts):
        """Return the templates of the lowest chi² with priors, as starting points.

        Parameters
        ----------
        rows : ndarray of shape (n,), int
            Spectra.
        boxes : ndarray of shape (n_spectra, n_parameters + 4, 2)
            Box of each spectrum, in natural units. Templates outside the box are used only if
            no template is inside.
        n_starts : int
            Number of points for each spectrum.

        Returns
        -------
        ndarray of shape (n, n_starts, n_parameters + 4)
            Points in natural units, lowest chi² first.
        """
        n_stellar = self.likelihood.n_stellar
        stellar = self.points[:, :n_stellar]
        velocity = self._best_velocities(rows)
        starts = np.empty((len(rows), n_starts, self.points.shape[1]))
        for value in np.unique(velocity):
            members = np.flatnonzero(velocity == value)
            chi2 = self._chi2(self._shifted(self.spectra, value), rows[members])
            for column, place in enumerate(members):
                box = boxes[rows[place], :n_stellar]
                outside = ((stellar < box[:, 0]) | (stellar > box[:, 1])).any(axis=1)
                scores = chi2[:, column] + self._prior_chi2(rows[place])
                if not outside.all():
                    scores = np.where(outside, np.inf, scores)
                best = np.argsort(scores, kind="stable")[:n_starts]
                best = np.where(np.isfinite(scores[best]), best, best[0])
                starts[place] = self.points[np.resize(best, n_starts)]
                starts[place, :, n_stellar + KINEMATIC_PARAMETERS.index("velocity")] = value
        return starts

    def _best_velocities(self, rows):
        """Return the velocity of the lowest chi² of each spectrum, from a few templates."""
        if len(self.velocities) == 1:
            return np.full(len(rows), self.velocities[0])
        # Those of the middle broadening.
        first = (len(self.points) // self.n_templates // 2) * self.n_templates
        n_chosen = min(_N_FOR_VELOCITY, self.n_templates)
        chosen = np.linspace(0, self.n_templates - 1, n_chosen).astype(int)
        spectra = self.spectra[first + chosen]
        chi2 = [self._chi2(self._shifted(spectra, v), rows).min(axis=0) for v in self.velocities]
        return self.velocities[np.argmin(chi2, axis=0)]

    def _prior_chi2(self, row):
        """Return the priors of one spectrum on the stellar parameters of every template."""
        if self.likelihood.priors is None:
            return 0.0
        n_stellar = self.likelihood.n_stellar
        mean, deviation = self.likelihood.priors[row, :n_stellar].T
        offsets = (self.points[:, :n_stellar] - mean) / deviation
        return np.nansum(offsets**2, axis=1)
