"""Interpolation-error model: size and shape of an emulator's error between its nodes."""

import numpy as np
from numpy.typing import NDArray

from skphx.flux._scale import from_growth, to_growth
from skphx.interpolation._hold_out import plane_splits

# Pixels processed together.
_BLOCK = 8192
# Limit of the size of all error spectra together, and limits of their number for each axis.
_MOST_NUMBERS = 2_000_000
_MOST_SPECTRA = 12
_FEWEST_SPECTRA = 2
# Ratio of squared errors in a gap to those in a gap half as wide. The first value, of an error
# that is quadratic in the width, is used if the axis is too short to measure the ratio; a measured
# ratio is cut at the second.
_USUAL_RATIO = 16.0
_LARGEST_RATIO = 256.0
# Mean of (4 t (1 − t))² for t from 0 to 1.
_MEAN_SQUARED_FACTOR = 8.0 / 15.0


class InterpolationError:
    """Covariance of an emulator's interpolation error, as a few error spectra for each axis.

    Half-way between two nodes of an axis, the covariance between pixels is the sum of the outer
    products of the error spectra of that axis. The errors fall to 0 towards the nodes as
    4 t (1 − t), where t runs from 0 at one node to 1 at the next.

    Parameters
    ----------
    spectra : ndarray of shape (n_errors, n_pixels)
        Error spectra, of normalised flux.
    axis : ndarray of shape (n_errors,), int
        Parameter (column of the grid) to which each error belongs; -1 for errors that are the
        same everywhere.
    nodes : list of ndarray of shape (n_values,)
        Increasing values of each parameter at the nodes.
    rms : ndarray of shape (n_pixels,) or None
        Rms error of each pixel half-way between nodes; None computes it from `spectra`.
    """

    def __init__(
        self,
        spectra: NDArray[np.float64],
        axis: NDArray[np.int_],
        nodes: list[NDArray[np.float64]],
        rms: NDArray[np.float64] | None = None,
    ) -> None:
        self.spectra, self.axis, self.nodes = spectra, axis, nodes
        self.rms = np.sqrt((spectra**2).sum(axis=0)) if rms is None else rms

    @classmethod
    def estimate(cls, grid, spectra, *, saturation=np.inf):
        """Estimate the error of an interpolation by leaving planes of nodes out.

        A left-out plane is predicted across a gap of two node spacings. Squared errors are
        smaller across one spacing. The ratio is taken from the grid where an axis is long
        enough: the ratio of squared errors across four spacings to those across two. Elsewhere
        it is 16, that of a quadratic error. On generated grids the estimate is right within a
        factor of 3 for axes of four values or more. For axes of three values and the smooth
        kinds it is up to 6 times too large, because the two remaining nodes have no curvature.

        Parameters
        ----------
        grid : NodeGrid
            Nodes and kind of interpolation.
        spectra : ndarray of shape (n_nodes, n_pixels)
            Normalised flux at the nodes.
        saturation : float
            Saturation depth of the curve-of-growth scale, see
            :func:`skphx.flux._scale.to_growth`.

        Returns
        -------
        InterpolationError or None
            None if no node can be left out.
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
        """Scale error spectra so that their sum of squares has the mean of `squares`.

        This makes up for the components that were left out.
        """
        size = (spectra**2).sum(axis=0).mean()
        if size > 0:
            spectra = spectra * np.sqrt(squares.mean() / size)
        return cls(spectra, axis, list(axes), np.sqrt(squares))

    @classmethod
    def with_missed(cls, estimated, missed, axes):
        """Add the error that an emulator has at its nodes, assumed to be the same everywhere.

        Parameters
        ----------
        estimated : InterpolationError or None
            Errors between the nodes; None where they are not known.
        missed : ndarray of shape (n_nodes, n_pixels)
            Emulated minus true flux at the nodes.
        axes : list of ndarray
            Values of each parameter at the nodes.

        Returns
        -------
        InterpolationError
            Both errors together.
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
        """Return the size of the errors at points.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_points, n_errors)
            Factors by which to multiply `spectra`, 0 to 1.
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
        return np.where(self.axis < 0, 1.0, _MEAN_SQUARED_FACTOR)

    def on_pixels(self, change):
        """Return the same errors on other pixels.

        Parameters
        ----------
        change : callable
            Maps spectra, ndarray of shape (n, n_pixels), to the new pixels, (n, n_new).

        Returns
        -------
        InterpolationError
            A copy.
        """
        rms = np.abs(change(self.rms[None])[0])
        return InterpolationError(change(self.spectra), self.axis, self.nodes, rms)


def _leading_vectors(gram, n_pixels):
    """Return the leading eigenvectors of the Gram matrix of errors, within the size limits."""
    most = int(np.clip(_MOST_NUMBERS // n_pixels // 3, _FEWEST_SPECTRA, _MOST_SPECTRA))
    return np.linalg.eigh(gram)[1][:, ::-1][:, :most]
