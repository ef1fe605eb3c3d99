"""Leave nodes out of a grid: which interpolation serves it best, and how far it can be trusted."""

from dataclasses import dataclass

import numpy as np

from skphx.grids import lattice_of, make_grid
from skphx.manifolds.growth import from_growth, to_growth

# Kinds with continuous derivatives, the most local first.
SMOOTH_KINDS = ("hermite", "cubic", "radial")
SOFTENINGS = (0.01, 0.03, 0.1, 0.3, np.inf)
# Planes left out along one axis; of a longer one as many, evenly spread.
_MAX_PLANES = 40
# Pixels whose errors are summed at once.
_CHUNK = 8192
# Pixels that decide between interpolations; all are as good as a few thousand.
_MAX_PIXELS = 4000
# The more local interpolation is kept where it loses less than this part to the best one: the
# gaps that left-out nodes leave are twice the grid's own, and in these an irregular grid, whose
# faults a spline spreads to its neighbours, looks smoother than it is.
_LITTLE_LOSS_OF_KIND = 0.05
# So is the smaller softening: grids hardly show along Teff what it gains along abundance, where
# they often have too few values to leave out.
_LITTLE_LOSS_OF_SOFTENING = 0.02


@dataclass
class Split:
    """Nodes to interpolate from, and nodes between them to predict.

    `axis` is the parameter along which the gaps are, `gap` their width in node spacings.
    """

    train: np.ndarray
    test: np.ndarray
    axis: int
    gap: int


def plane_splits(parameters):
    """Leave out every inner plane of each axis in turn, and coarser gaps where there is room.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.

    Returns
    -------
    list of Split
        With a gap of two spacings for each inner value of an axis of three values or more,
        and one with gaps of four for an axis of five or more. Nodes that share hardly any value
        with each other, a cloud, are left out one by one.
    """
    axes, positions = lattice_of(parameters)
    is_cloud = len(axes) > 1 and min(map(len, axes)) > len(parameters) // 2
    splits = []
    for column, axis in enumerate(axes[:1] if is_cloud else axes):
        place = positions[:, column]
        inner = np.arange(1, len(axis) - 1)
        if len(inner) > _MAX_PLANES:
            inner = inner[np.linspace(0, len(inner) - 1, _MAX_PLANES).astype(np.intp)]
        for value in inner:
            splits.append(_split(place != value, place == value, column, 2))
        if len(axis) >= 5 and not is_cloud:
            coarse = (place % 4 == 0) | (place == len(axis) - 1)
            between = (place % 4 == 2) & (place + 2 <= len(axis) - 1)
            splits.append(_split(coarse, between, column, 4))
    return [split for split in splits if len(split.test)]


def _split(train, test, axis, gap):
    return Split(np.flatnonzero(train), np.flatnonzero(test), axis, gap)


@dataclass
class HeldOut:
    """How well left-out nodes are predicted from the others.

    Attributes
    ----------
    interpolation : str
        Kind that does best.
    softening : float
        Softening of the scale of growth that does best, see `to_growth`.
    errors : ndarray of shape (n_interpolations, n_softenings)
        Mean rms of the predicted flux for each kind and softening tried; NaN where no node
        could be left out.
    interpolations, softenings : tuple
        The kinds and softenings tried.
    """

    interpolation: str
    softening: float
    errors: np.ndarray
    interpolations: tuple
    softenings: tuple


def choose_interpolation(parameters, spectra, *, interpolations, softenings):
    """Choose how to interpolate by leaving planes of nodes out.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    spectra : ndarray of shape (n_nodes, n_pixels)
        Normalised flux there.
    interpolations : sequence of str
        Kinds to choose from, the most local first.
    softenings : sequence of float
        Softenings to choose from, increasing.

    Returns
    -------
    HeldOut
        The choice and what it rests on: the most local kind and the smallest softening that
        lose little to the best. Where no axis has three values, the last kind and the first
        softening.
    """
    step = -(-spectra.shape[1] // _MAX_PIXELS)
    flux = spectra[:, ::step]
    total = np.zeros((len(interpolations), len(softenings)))
    n_tested = 0
    scaled = [to_growth(flux, softening) for softening in softenings]
    for split in plane_splits(parameters):
        if split.gap != 2:
            continue
        for i, kind in enumerate(interpolations):
            weights, inside = _weights(parameters, split, kind)
            truth = flux[split.test[inside]]
            for k, softening in enumerate(softenings):
                predicted = from_growth(weights @ scaled[k][split.train], softening)
                total[i, k] += np.sqrt(np.mean((predicted - truth) ** 2, axis=1)).sum()
        n_tested += int(inside.sum())
    if n_tested == 0:
        nothing = np.full(total.shape, np.nan)
        return HeldOut(
            interpolations[-1], softenings[0], nothing, tuple(interpolations), tuple(softenings)
        )
    errors = total / n_tested
    of_kind = errors.min(axis=1)
    kind = int(np.argmax(of_kind <= (1.0 + _LITTLE_LOSS_OF_KIND) * of_kind.min()))
    good = errors[kind] <= (1.0 + _LITTLE_LOSS_OF_SOFTENING) * errors[kind].min()
    return HeldOut(
        interpolations[kind],
        softenings[int(np.argmax(good))],
        errors,
        tuple(interpolations),
        tuple(softenings),
    )


def flux_error_between_nodes(parameters, spectra, *, interpolation, softening):
    """Estimate for each pixel how wrong flux between the nodes may be.

    A plane left out is predicted across a gap twice as wide as the grid's own. How much
    smaller the error is in a gap of one spacing is read off the grid: it is the ratio between
    the errors across gaps of four and of two, where an axis is long enough; elsewhere that of
    a quadratic error, 4. On generated grids the estimate is right within a factor of 3 for axes
    of four values or more; with three, of which leaving one out leaves no curvature, it is up to
    6 times too large for the smooth kinds.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    spectra : ndarray of shape (n_nodes, n_pixels)
        Normalised flux there.
    interpolation : str
        Kind of interpolation.
    softening : float
        Softening of the scale of growth.

    Returns
    -------
    ndarray of shape (n_pixels,) or None
        Root mean square error of the flux, dimensionless; None where no node can be left out.
    """
    splits = [
        (split, *_weights(parameters, split, interpolation)) for split in plane_splits(parameters)
    ]
    # Squared errors summed over the left-out nodes, by axis and gap, and their number.
    squares, n_tested = {}, {}
    for split, _, inside in splits:
        key = split.axis, split.gap
        squares.setdefault(key, np.zeros(spectra.shape[1]))
        n_tested[key] = n_tested.get(key, 0) + int(inside.sum())
    for first in range(0, spectra.shape[1], _CHUNK):
        pixels = slice(first, first + _CHUNK)
        flux = np.asarray(spectra[:, pixels])
        z = to_growth(flux, softening)
        for split, weights, inside in splits:
            predicted = from_growth(weights @ z[split.train], softening)
            error = predicted - flux[split.test[inside]]
            squares[split.axis, split.gap][pixels] += np.sum(error**2, axis=0)
    total = None
    for axis, gap in squares:
        if gap != 2 or n_tested[axis, 2] == 0:
            continue
        mean = squares[axis, 2] / n_tested[axis, 2]
        ratio = 16.0
        if n_tested.get((axis, 4)):
            wide = squares[axis, 4].mean() / n_tested[axis, 4]
            ratio = np.clip(wide / max(mean.mean(), 1e-300), 1.0, 256.0)
        total = mean / ratio if total is None else total + mean / ratio
    return None if total is None else np.sqrt(total)


def _weights(parameters, split, interpolation):
    """Weights of the training nodes at the test nodes inside them, and which those are."""
    train = parameters[split.train]
    grid = make_grid(train, interpolation=interpolation, holes="interpolate")
    inside = grid.contains(parameters[split.test])
    return grid.weights(parameters[split.test[inside]]), inside
