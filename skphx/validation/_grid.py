"""diagnose_grid: find faults of a grid before anything is fitted to it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skphx._domain import check_wavelength
from skphx.interpolation._nodes import check_nodes
from skphx.validation._examination import Examination
from skphx.validation._findings import GridReport


def diagnose_grid(
    parameters: ArrayLike,
    spectra: Any,
    *,
    wavelength: ArrayLike | None = None,
    parameter_names: Sequence[str] | None = None,
    threshold: float = 4.0,
    max_pixels: int = 2048,
) -> GridReport:
    """Validate a grid of spectra: find defective, mislabelled and outlying spectra.

    Parameters
    ----------
    parameters : array-like of shape (n_spectra, n_parameters)
        The nodes, one per row, in any order: a lattice, with or without missing nodes, or
        scattered nodes.
    spectra : array-like of shape (n_spectra, n_pixels)
        Flux at the nodes in any unit, normalised or not. A memory-mapped array is read a block
        of rows at a time.
    wavelength : array-like of shape (n_pixels,), or None
        Pixel centres in Å, for the texts, and for gaps between pixels and limits of the series of
        hydrogen, where the level may change; None uses pixel numbers from 0.
    parameter_names : sequence of str, or None
        One name per column; None is ``x0, x1, ...``.
    threshold : float
        Score above which a node is outlying: how unusual its prediction error is, in robust
        standard deviations.
    max_pixels : int
        For the predictions, the flux is averaged over bins, of which there are at most this
        many. The other faults are searched in all pixels.

    Returns
    -------
    GridReport
        The findings. ``print(report)`` shows them; ``report.good`` is a mask of the rows to keep.

    Raises
    ------
    ValueError
        If the shapes do not agree, or an option is not valid.

    Notes
    -----
    Kinds of findings, and the meaning of their `measure`:

    ======================== ==================================================================
    ``"no_parameters"``      parameters that are not finite: their number
    ``"not_finite"``         NaN or infinite flux: fraction of the pixels
    ``"zero"``               no pixel with positive flux: 1
    ``"constant"``           the same value in all pixels: 1
    ``"truncated"``          zeros or one value over a range in which the nodes around are not
                             constant, or which ends with a step: fraction of the pixels
    ``"duplicate_node"``     another row has the same node and a better spectrum: score
    ``"duplicate_spectrum"`` a spectrum equal, up to a factor, to that of another node: score
    ``"mislabelled"``        the spectrum agrees with the prediction at another node: how many
                             times better than at its own
    ``"bad_pixels"``         a few pixels differ from those of the nodes around, or cannot be
                             those of a star: their number
    ``"level"``              the flux is too high or too low by a factor: its ratio to the
                             prediction from the nodes around; or it changes by a factor between
                             two pixels: the factor
    ``"outlying"``           the spectrum differs from the prediction from the nodes around:
                             score
    ``"missing"``            a missing node of the lattice: fraction of its adjacent nodes that
                             exist
    ======================== ==================================================================

    First each spectrum is examined alone, because the spectra around a node may share its fault.
    Its continuum is its upper envelope. These are faults: pixels far above the continuum, with
    edges that are steeper than those of lines; a few pixels far below it, where lines span several
    pixels; a range of pixels at another level; a change of the level from one pixel to the next;
    equal pixels between pixels that vary. Emission up to about 1.3 times the continuum is no
    fault, nor is a constant continuum. What most spectra of a grid have at the same pixels, such
    as a gap, is only noted in `notes`, unless it is far above the continuum.

    Then each spectrum is divided by its median, which is its level. ln(flux + 0.1) of the result
    and the logarithm of the level are predicted at each node from the nearest other nodes, with
    cubic radial basis functions. The errors (rms, largest deviation, level) are divided by the
    standard deviation expected from the positions of the nodes, because the prediction is more
    difficult at the edge of the grid. Their logarithms are compared with those of the 20 nearest
    nodes, in units of the spread over the grid. A bad node also makes the predictions of the nodes
    around worse. The node without which the errors around decrease most is therefore removed
    first, and all errors are computed again.

    Faults that change smoothly over the grid and look like a spectrum, such as wrong opacities for
    a whole plane, cannot be found by this method.

    Examples
    --------
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.validation import diagnose_grid
    >>> grid = make_stellar_grid(wavelength=(8500, 8530), n_pixels=600, n_lines=10)
    >>> spectra = grid.spectra.copy()
    >>> spectra[7] = 0.0
    >>> spectra[20] *= 10.0
    >>> report = diagnose_grid(
    ...     grid.parameters, spectra, wavelength=grid.wavelength,
    ...     parameter_names=grid.parameter_names,
    ... )
    >>> report
    <GridReport: 45 spectra, 2 to exclude, 0 missing nodes>
    >>> [(finding.row, finding.kind) for finding in report.findings]
    [(7, 'zero'), (20, 'level')]
    >>> spectra[report.good].shape
    (43, 600)
    >>> diagnose_grid(grid.parameters, spectra[:9])
    Traceback (most recent call last):
        ...
    ValueError: spectra must hold one spectrum for each of the 45 rows of parameters, got 9 ...
    """
    nodes, names = _check_nodes_as_given(parameters, parameter_names)
    spectra = _check_spectra(spectra, len(nodes))
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, got {threshold!r}; the default is 4.")
    if not max_pixels >= 1:
        raise ValueError(
            f"max_pixels must be at least 1, got {max_pixels!r}; the default is 2048."
        )
    if wavelength is not None:
        wavelength = check_wavelength(wavelength, spectra.shape[1])
    return Examination(nodes, names, spectra, wavelength, threshold, max_pixels).report()


def _check_nodes_as_given(parameters, parameter_names):
    """Check nodes and names, but accept values that are not finite."""
    try:
        nodes = np.array(parameters, dtype=np.float64)
    except (TypeError, ValueError):
        nodes = np.empty(0)
    if nodes.ndim != 2 or nodes.size == 0:
        # Raises an error for these nodes.
        return check_nodes(parameters, parameter_names)
    _, names = check_nodes(np.nan_to_num(nodes, posinf=0.0, neginf=0.0), parameter_names)
    return nodes, names


def _check_spectra(spectra, n_nodes):
    """Check type and shape of the spectra, without reading them."""
    if not hasattr(spectra, "dtype") or not hasattr(spectra, "shape"):
        spectra = np.asarray(spectra)
    if np.dtype(spectra.dtype).kind not in "fiu" or len(spectra.shape) != 2:
        raise ValueError(
            f"spectra must be a two-dimensional array of numbers, one spectrum per row, got "
            f"shape {spectra.shape} and dtype {spectra.dtype}."
        )
    if spectra.shape[0] != n_nodes or spectra.shape[1] == 0:
        raise ValueError(
            f"spectra must hold one spectrum for each of the {n_nodes} rows of parameters, got "
            f"{spectra.shape[0]} rows of {spectra.shape[1]} pixels; supply both for the same "
            f"nodes, in the same order."
        )
    return spectra
