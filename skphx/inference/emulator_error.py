"""The emulator's own error: how it looks, where it is large, and what it does to parameters."""

from dataclasses import dataclass, replace

import numpy as np

from skphx.grids import make_grid
from skphx.inference.observed import to_natural
from skphx.inference.surrogate import emulate_nodes
from skphx.manifolds.held_out import plane_splits

# Numbers kept of the errors' spectra, and the most and fewest of these an axis.
_MOST_NUMBERS = 2_000_000
_MOST_SPECTRA = 12
_FEWEST_SPECTRA = 2
# How much smaller squared errors are in gaps half as wide, where the grid does not tell: as those
# of a parabola; and what can be believed of what it tells.
_USUAL_RATIO = 16.0
_LARGEST_RATIO = 256.0
# Mean of (4 t (1 − t))² over a gap.
_MEAN_FACTOR = 8.0 / 15.0


@dataclass(frozen=True, eq=False, repr=False)
class EmulatorError:
    """Typical errors of an emulator as spectra, by the axis of the grid that they come from.

    Half-way between two nodes of an axis, the covariance of the errors of pixels is the sum of
    the outer products of that axis' spectra; towards the nodes the errors fall to 0, as 4 t (1 −
    t) with t the place between them.

    Parameters
    ----------
    spectra : ndarray of shape (n_errors, n_pixels)
        Errors of flux.
    axis : ndarray of shape (n_errors,), int
        Column of the grid's parameters; -1 for errors that are the same everywhere.
    nodes : list of ndarray of shape (n_values,)
        Increasing values of each parameter at the nodes.
    """

    spectra: np.ndarray
    axis: np.ndarray
    nodes: list

    def factors(self, points):
        """How large the errors are at points.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_points, n_errors)
            Factors of `spectra`, 0 to 1.
        """
        factors = np.ones((len(points), len(self.axis)))
        for column, values in enumerate(self.nodes):
            if len(values) == 1:
                continue
            x = points[:, column]
            cell = np.clip(np.searchsorted(values, x, side="right") - 1, 0, len(values) - 2)
            t = np.clip((x - values[cell]) / np.diff(values)[cell], 0.0, 1.0)
            factors[:, self.axis == column] = (4.0 * t * (1.0 - t))[:, None]
        return factors

    def with_spectra(self, spectra):
        """Return the same errors on other pixels.

        Parameters
        ----------
        spectra : ndarray of shape (n_errors, n_other_pixels)
            The same errors, seen elsewhere.

        Returns
        -------
        EmulatorError
            A copy.
        """
        return replace(self, spectra=spectra)

    def seen_through(self, path, effects):
        """Rms error of each pixel of a light path, averaged over the grid.

        Parameters
        ----------
        path : LightPath
            The way to the pixels.
        effects : ndarray of shape (1, 4)
            Typical effects.

        Returns
        -------
        ndarray of shape (n_pixels,)
            In parts of the continuum.
        """
        seen = path.observe_with_derivatives(
            self.spectra, None, np.repeat(effects, len(self.spectra), axis=0), ()
        )[0]
        weight = np.where(self.axis < 0, 1.0, _MEAN_FACTOR)
        return np.sqrt((weight[:, None] * seen**2).sum(axis=0))


def emulator_error(emulator, flux=None):
    """Find out how an emulator errs between its nodes.

    Planes of nodes are left out and interpolated from the others: that tells how errors look,
    which pixels err together. How large they are between nodes, where gaps are half as wide, is
    what the emulator's ``flux_error_`` says.

    Parameters
    ----------
    emulator : estimator
        Fitted; where it has an ``error_``, that is taken.
    flux : ndarray of shape (n_nodes, n_pixels) or None
        What it emulates at its nodes; None emulates them.

    Returns
    -------
    EmulatorError or None
        None where the emulator states no error, has no nodes to leave out, or so many that
        their spectra take more than a gigabyte.
    """
    known = getattr(emulator, "error_", None)
    rms = getattr(emulator, "flux_error_", None)
    if known is not None or rms is None:
        return known
    nodes = emulator.grid_.nodes
    splits = plane_splits(nodes)
    flux = emulate_nodes(emulator) if flux is None else flux
    if not splits or flux is None:
        return None
    spectra, axes = [], []
    for axis in range(nodes.shape[1]):
        found = {
            gap: [
                _left_out(emulator.grid_, flux, split)
                for split in splits
                if split.axis == axis and split.gap == gap
            ]
            for gap in (2, 4)
        }
        errors, wide = (np.concatenate([flux[:0], *found[gap]]) for gap in (2, 4))
        if len(errors) == 0:
            continue
        ratio = _USUAL_RATIO
        if len(wide):
            squares = np.mean(errors**2)
            ratio = np.mean(wide**2) / squares if squares > 0 else _USUAL_RATIO
        errors /= np.sqrt(len(errors) * np.clip(ratio, 1.0, _LARGEST_RATIO))
        most = int(np.clip(_MOST_NUMBERS // flux.shape[1] // 3, _FEWEST_SPECTRA, _MOST_SPECTRA))
        _, vectors = np.linalg.eigh(errors @ errors.T)
        spectra.append(vectors[:, ::-1][:, :most].T @ errors)
        axes.append(np.full(len(spectra[-1]), axis))
    if not spectra:
        return None
    spectra, axes = np.concatenate(spectra), np.concatenate(axes)
    size = np.sqrt((spectra**2).sum(axis=0).mean())
    if size > 0:
        spectra *= np.sqrt(np.mean(rms**2)) / size
    return EmulatorError(spectra, axes, list(emulator.grid_.axes))


def _left_out(grid, flux, split):
    """Errors at nodes left out, shape (n_nodes, n_pixels)."""
    without = make_grid(
        grid.nodes[split.train], interpolation=grid.interpolation, holes="interpolate"
    )
    test = split.test[without.contains(grid.nodes[split.test])]
    return without.weights(grid.nodes[test]) @ flux[split.train] - flux[test]


def emulator_covariance(problem, error, points, rows, inverse, jacobian, continuum):
    """Covariance that the emulator's own error brings to the parameters.

    An error e of the emulated spectrum moves the solution by (JᵀWJ)⁻¹ JᵀW e.

    Parameters
    ----------
    problem : ObservedSpectra
        The fitted spectra.
    error : EmulatorError or None
        On the emulator's wavelengths.
    points : ndarray of shape (n, n_parameters)
        Solutions.
    rows : ndarray of shape (n,), int
        Their spectra.
    inverse : ndarray of shape (n, n_columns, n_columns)
        Inverse curvature by the problem's columns.
    jacobian : ndarray of shape (n, n_columns, n_pixels)
        Derivatives, projected off the continuum.
    continuum : ndarray of shape (n, n_pixels)
        The polynomial in the models.

    Returns
    -------
    ndarray of shape (n, n_columns, n_columns)
        0 where the emulator states no error.
    """
    if error is None:
        return np.zeros_like(inverse)
    vectors = jacobian * (problem.weights[rows] * continuum)[:, None]
    effects = to_natural(points, problem.n_stellar)[:, problem.n_stellar :]
    pulls = inverse @ problem.path.adjoint(vectors, effects)
    moved = (pulls @ error.spectra.T) * error.factors(points[:, : problem.n_stellar])[:, None]
    return moved @ np.swapaxes(moved, 1, 2)
