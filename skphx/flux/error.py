"""The interpolation-error model: how an emulator errs between its nodes, and where."""

from dataclasses import dataclass, replace

import numpy as np

from skphx.flux.scale import from_growth, to_growth
from skphx.grids._hold_out import plane_splits

# Pixels whose errors are looked at together.
_BLOCK = 8192
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
class InterpolationError:
    """Typical errors of an emulator as spectra, by the axis of the grid that they come from.

    Half-way between two nodes of an axis, the covariance of the errors of pixels is the sum of
    the outer products of that axis' spectra; towards the nodes the errors fall to 0, as 4 t (1 −
    t) with t the place between them.

    Parameters
    ----------
    spectra : ndarray of shape (n_errors, n_pixels)
        Errors of normalised flux.
    axis : ndarray of shape (n_errors,), int
        Column of the grid's parameters; -1 for errors that are the same everywhere.
    nodes : list of ndarray of shape (n_values,)
        Increasing values of each parameter at the nodes.
    rms : ndarray of shape (n_pixels,) or None
        Root mean square error of each pixel half-way between nodes; None takes the spectra's.
    """

    spectra: np.ndarray
    axis: np.ndarray
    nodes: list
    rms: np.ndarray | None = None

    def __post_init__(self):
        if self.rms is None:
            object.__setattr__(self, "rms", np.sqrt((self.spectra**2).sum(axis=0)))

    @classmethod
    def estimate(cls, grid, spectra, *, saturation=np.inf):
        """Find out how an interpolation errs, by leaving planes of nodes out.

        A plane left out is predicted across a gap twice as wide as the grid's own. How much
        smaller squared errors are in a gap of one spacing is read off the grid: it is the ratio
        between those across gaps of four and of two, where an axis is long enough; elsewhere
        that of a quadratic error, 16. On generated grids the estimate is right within a factor
        of 3 for axes of four values or more; with three, of which leaving one out leaves no
        curvature, it is up to 6 times too large for the smooth kinds.

        Parameters
        ----------
        grid : NodeGrid
            Nodes and kind of interpolation.
        spectra : ndarray of shape (n_nodes, n_pixels)
            Normalised flux at the nodes.
        saturation : float
            Saturation depth of the scale that is interpolated, see
            :func:`skphx.flux.scale.to_growth`.

        Returns
        -------
        InterpolationError or None
            None where no node can be left out.
        """
        left_out = [
            split.predict(grid.nodes, grid.interpolation) for split in plane_splits(grid.nodes)
        ]
        left_out = [one for one in left_out if len(one.test)]
        n_pixels = spectra.shape[1]
        axes = sorted({one.axis for one in left_out if one.gap == 2})
        if not axes:
            return None
        squares = {(axis, gap): np.zeros(n_pixels) for axis in axes for gap in (2, 4)}
        members = {key: [one for one in left_out if (one.axis, one.gap) == key] for key in squares}
        n_tested = {key: sum(len(one.test) for one in members[key]) for key in squares}
        grams = {axis: np.zeros((n_tested[axis, 2],) * 2) for axis in axes}

        def errors_of(pixels, key):
            z = to_growth(spectra[:, pixels], saturation)
            return np.concatenate(
                [
                    from_growth(one.weights @ z[one.train], saturation) - spectra[one.test, pixels]
                    for one in members[key]
                ]
            )

        blocks = [slice(first, first + _BLOCK) for first in range(0, n_pixels, _BLOCK)]
        for pixels in blocks:
            for key in squares:
                if n_tested[key] == 0:
                    continue
                errors = errors_of(pixels, key)
                squares[key][pixels] = np.mean(errors**2, axis=0)
                if key[1] == 2:
                    grams[key[0]] += errors @ errors.T
        kept, of_axis, total = [], [], np.zeros(n_pixels)
        for axis in axes:
            ratio = _USUAL_RATIO
            if n_tested[axis, 4]:
                narrow = max(squares[axis, 2].mean(), np.finfo(float).tiny)
                ratio = np.clip(squares[axis, 4].mean() / narrow, 1.0, _LARGEST_RATIO)
            total += squares[axis, 2] / ratio
            vectors = _leading_vectors(grams[axis], n_pixels)
            vectors /= np.sqrt(n_tested[axis, 2] * ratio)
            part = np.empty((vectors.shape[1], n_pixels))
            for pixels in blocks:
                part[:, pixels] = vectors.T @ errors_of(pixels, (axis, 2))
            kept.append(part)
            of_axis.append(np.full(len(part), axis))
        return cls._scaled(np.concatenate(kept), np.concatenate(of_axis), grid.axes, total)

    @classmethod
    def _scaled(cls, spectra, axis, axes, squares):
        """Make up for the components that were left out: all together are as large as stated."""
        size = (spectra**2).sum(axis=0).mean()
        if size > 0:
            spectra = spectra * np.sqrt(squares.mean() / size)
        return cls(spectra, axis, list(axes), np.sqrt(squares))

    @classmethod
    def with_missed(cls, estimated, missed, axes):
        """Add what an emulator misses at its nodes already, and so everywhere.

        Parameters
        ----------
        estimated : InterpolationError or None
            Errors between the nodes.
        missed : ndarray of shape (n_nodes, n_pixels)
            Emulated minus true flux at the nodes.
        axes : list of ndarray
            Values of each parameter at the nodes.

        Returns
        -------
        InterpolationError
            Both together.
        """
        n_nodes, n_pixels = missed.shape
        vectors = _leading_vectors(missed @ missed.T, n_pixels)
        everywhere = cls._scaled(
            vectors.T @ missed / np.sqrt(n_nodes),
            np.full(vectors.shape[1], -1),
            axes,
            np.mean(missed**2, axis=0),
        )
        if estimated is None:
            return everywhere
        return cls(
            np.concatenate([estimated.spectra, everywhere.spectra]),
            np.concatenate([estimated.axis, everywhere.axis]),
            list(axes),
            np.hypot(estimated.rms, everywhere.rms),
        )

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

    @property
    def mean_factors(self):
        """Mean square of `factors` over the grid, shape (n_errors,)."""
        return np.where(self.axis < 0, 1.0, _MEAN_FACTOR)

    def on_pixels(self, change):
        """Return the same errors on other pixels.

        Parameters
        ----------
        change : callable
            Takes spectra, ndarray of shape (n, n_pixels), to those seen elsewhere, (n, n_new).

        Returns
        -------
        InterpolationError
            A copy.
        """
        rms = np.abs(change(self.rms[None])[0])
        return replace(self, spectra=change(self.spectra), rms=rms)


def _leading_vectors(gram, n_pixels):
    """Leading eigenvectors of the Gram matrix of errors, as many as are worth keeping."""
    most = int(np.clip(_MOST_NUMBERS // n_pixels // 3, _FEWEST_SPECTRA, _MOST_SPECTRA))
    return np.linalg.eigh(gram)[1][:, ::-1][:, :most]
