"""Choose the interpolation of a grid by leaving nodes out."""

from dataclasses import dataclass

import numpy as np

from skphx.flux._scale import from_growth, to_growth
from skphx.interpolation._hold_out import plane_splits

# Kinds with continuous derivatives, the most local first.
SMOOTH_KINDS = ("hermite", "cubic", "radial")
SATURATIONS = (0.01, 0.03, 0.1, 0.3, np.inf)
# A radial interpolation has a weight for every node, which is slow beyond this many nodes.
_MOST_RADIAL_NODES = 2000
# The choice is made on at most this many pixels: more do not change it.
_MAX_PIXELS = 4000
# The most local interpolation is kept unless its error exceeds the best one by more than this
# part. Left-out nodes leave gaps twice the grid's own, and the test is then too favourable to
# splines, which spread the faults of an irregular grid to neighbouring nodes.
_KIND_TOLERANCE = 0.05
# The smallest saturation depth is kept in the same way. A smaller depth helps most along
# abundance, where grids often have too few values to leave any out, and little along Teff.
_SATURATION_TOLERANCE = 0.02


@dataclass
class Choice:
    """How well left-out nodes are predicted from the others.

    Attributes
    ----------
    interpolation : str
        The chosen kind.
    saturation : float
        The chosen saturation depth of the curve-of-growth scale, see `to_growth`.
    errors : ndarray of shape (n_interpolations, n_saturations)
        Mean rms of the predicted flux for each kind and saturation tried; NaN where no node
        could be left out.
    """

    interpolation: str
    saturation: float
    errors: np.ndarray


def kinds_to_try(interpolation, n_nodes):
    """Return the kinds of interpolation that a setting allows.

    Parameters
    ----------
    interpolation : str
        A kind, or "auto".
    n_nodes : int
        Number of nodes.

    Returns
    -------
    tuple of str
        The kind itself; for "auto" the smooth kinds, without "radial" beyond 2000 nodes.
    """
    if interpolation != "auto":
        return (interpolation,)
    return SMOOTH_KINDS if n_nodes <= _MOST_RADIAL_NODES else SMOOTH_KINDS[:-1]


def choose_interpolation(parameters, spectra, *, interpolations, saturations):
    """Choose kind and saturation depth of the interpolation by leaving planes of nodes out.

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
        The most local kind and the smallest saturation depth whose errors are close to the
        smallest, and the errors of all. Where no axis has three values, the last kind and the
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
    best_of_kind = errors.min(axis=1)
    kind = int(np.argmax(best_of_kind <= (1.0 + _KIND_TOLERANCE) * best_of_kind.min()))
    good = errors[kind] <= (1.0 + _SATURATION_TOLERANCE) * errors[kind].min()
    return Choice(interpolations[kind], saturations[int(np.argmax(good))], errors)
