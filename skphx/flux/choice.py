"""Which interpolation serves a grid best: nodes left out decide."""

from dataclasses import dataclass

import numpy as np

from skphx.flux.scale import from_growth, to_growth
from skphx.grids._hold_out import plane_splits

# Kinds with continuous derivatives, the most local first.
SMOOTH_KINDS = ("hermite", "cubic", "radial")
SATURATIONS = (0.01, 0.03, 0.1, 0.3, np.inf)
# Every node counts in a radial weight: beyond this many nodes that is slow.
_MOST_RADIAL_NODES = 2000
# Pixels that decide between interpolations; all are as good as a few thousand.
_MAX_PIXELS = 4000
# The more local interpolation is kept where it loses less than this part to the best one: the
# gaps that left-out nodes leave are twice the grid's own, and in these an irregular grid, whose
# faults a spline spreads to its neighbours, looks smoother than it is.
_LITTLE_LOSS_OF_KIND = 0.05
# So is the smaller saturation depth: grids hardly show along Teff what it gains along abundance,
# where they often have too few values to leave out.
_LITTLE_LOSS_OF_SATURATION = 0.02


@dataclass
class Choice:
    """How well left-out nodes are predicted from the others.

    Attributes
    ----------
    interpolation : str
        Kind that does best.
    saturation : float
        Saturation depth of the curve-of-growth scale that does best, see `to_growth`.
    errors : ndarray of shape (n_interpolations, n_saturations)
        Mean rms of the predicted flux for each kind and saturation tried; NaN where no node
        could be left out.
    """

    interpolation: str
    saturation: float
    errors: np.ndarray


def kinds_to_try(interpolation, n_nodes):
    """Kinds of interpolation that a setting leaves to choose from.

    Parameters
    ----------
    interpolation : str
        A kind, or "auto".
    n_nodes : int
        Number of nodes.

    Returns
    -------
    tuple of str
        The kind, or the smooth ones, without "radial" beyond 2000 nodes.
    """
    if interpolation != "auto":
        return (interpolation,)
    return SMOOTH_KINDS if n_nodes <= _MOST_RADIAL_NODES else SMOOTH_KINDS[:-1]


def choose_interpolation(parameters, spectra, *, interpolations, saturations):
    """Choose how to interpolate by leaving planes of nodes out.

    Parameters
    ----------
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    spectra : ndarray of shape (n_nodes, n_pixels)
        Normalised flux there.
    interpolations : sequence of str
        Kinds to choose from, the most local first.
    saturations : sequence of float
        Saturation depths to choose from, increasing.

    Returns
    -------
    Choice
        The choice and what it rests on: the most local kind and the smallest saturation depth
        that lose little to the best. Where no axis has three values, the last kind and the
        first saturation depth.
    """
    step = -(-spectra.shape[1] // _MAX_PIXELS)
    flux = spectra[:, ::step]
    total = np.zeros((len(interpolations), len(saturations)))
    n_tested = 0
    scaled = [to_growth(flux, saturation) for saturation in saturations]
    for split in plane_splits(parameters):
        if split.gap != 2:
            continue
        for i, kind in enumerate(interpolations):
            left_out = split.predict(parameters, kind)
            truth = flux[left_out.test]
            for k, saturation in enumerate(saturations):
                predicted = from_growth(left_out.weights @ scaled[k][left_out.train], saturation)
                total[i, k] += np.sqrt(np.mean((predicted - truth) ** 2, axis=1)).sum()
        n_tested += len(left_out.test)
    if n_tested == 0:
        return Choice(interpolations[-1], saturations[0], np.full(total.shape, np.nan))
    errors = total / n_tested
    of_kind = errors.min(axis=1)
    kind = int(np.argmax(of_kind <= (1.0 + _LITTLE_LOSS_OF_KIND) * of_kind.min()))
    good = errors[kind] <= (1.0 + _LITTLE_LOSS_OF_SATURATION) * errors[kind].min()
    return Choice(interpolations[kind], saturations[int(np.argmax(good))], errors)
