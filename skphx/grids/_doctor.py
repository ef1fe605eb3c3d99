"""Find the faults of a grid before anything is fitted to it."""

import numpy as np

from skphx._validation import check_wavelength
from skphx.grids._examination import Examination
from skphx.grids._nodes import check_nodes


def diagnose_grid(
    parameters,
    spectra,
    *,
    wavelength=None,
    parameter_names=None,
    threshold=4.0,
    max_pixels=2048,
):
    """Examine a grid of spectra, and say which nodes are not to be trusted.

    Parameters
    ----------
    parameters : array-like of shape (n_spectra, n_parameters)
        The nodes, one a row, in any order; lattices, with holes or not, and scattered nodes.
    spectra : array-like of shape (n_spectra, n_pixels)
        Flux at the nodes in any unit, normalised or not. An array on disk (memory-mapped) is
        read some rows at a time.
    wavelength : array-like of shape (n_pixels,), or None
        Pixel centres in Å, for the messages; None numbers the pixels from 0.
    parameter_names : sequence of str, or None
        One name a column; None stands for ``x0, x1, ...``.
    threshold : float
        Nodes whose error of prediction is more unusual than this many robust standard
        deviations are outlying.
    max_pixels : int
        Nodes are predicted from each other in flux averaged to at most this many pixels; all
        pixels are looked at for other faults.

    Returns
    -------
    GridReport
        The findings; ``print(report)`` shows them, ``report.good`` is a mask of the rows to
        keep.

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or an option is not valid.

    Notes
    -----
    Kinds of findings, and what their `measure` is:

    ====================== ===================================================================
    ``"no_parameters"``    parameters that are not finite: number of them
    ``"not_finite"``       NaN or infinite flux: part of the pixels
    ``"zero"``             no pixel with positive flux: 1
    ``"constant"``         the same number in all pixels: 1
    ``"truncated"``        zeros or one number over a range where the nodes around are not
                           constant: part of the pixels
    ``"duplicate_node"``   a node that another row holds, too, and with a better spectrum:
                           score
    ``"duplicate_spectrum"`` a spectrum equal, up to a factor, to that of another node: score
    ``"mislabelled"``      the spectrum fits the prediction at another node: how many times
                           better than at its own
    ``"bad_pixels"``       few pixels differ from those of the nodes around: their number
    ``"level"``            the flux as a whole is too high or too low: its ratio to what the
                           nodes around predict
    ``"outlying"``         the nodes around cannot predict the spectrum: score
    ``"missing"``          a node that the lattice lacks: part of the nodes next to it that are
                           there
    ====================== ===================================================================

    Every spectrum is divided by its median, its level. ln(flux + 0.1) of what is left, and
    the level's logarithm, are predicted for each node from the nearest others by cubic radial
    basis functions. The errors (rms, largest deviation, level) are divided by the standard
    deviation that the geometry alone leads to expect, since an edge is harder to predict than
    the middle. Their logarithms are compared with the median of the 20 nearest nodes, in units
    of the spread over the grid. As a bad node spoils the predictions around it, the node
    without which most of the excess vanishes is taken out first, and everything is judged
    again.

    Faults that follow the grid smoothly, such as one wrong set of opacities for a whole plane,
    cannot be seen like this.

    Examples
    --------
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.grids import diagnose_grid
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
        raise ValueError(f"threshold must be positive, got {threshold!r}; 4 is the default.")
    if not max_pixels >= 1:
        raise ValueError(f"max_pixels must be at least 1, got {max_pixels!r}; try 2048.")
    if wavelength is not None:
        wavelength = check_wavelength(wavelength, spectra.shape[1])
    return Examination(nodes, names, spectra, wavelength, threshold, max_pixels).report()


def _check_nodes_as_given(parameters, parameter_names):
    """Nodes and names, with the values that are not finite left as they are."""
    try:
        nodes = np.array(parameters, dtype=np.float64)
    except (TypeError, ValueError):
        nodes = np.empty(0)
    if nodes.ndim != 2 or nodes.size == 0:
        # Raises with the message for this case.
        return check_nodes(parameters, parameter_names)
    _, names = check_nodes(np.nan_to_num(nodes, posinf=0.0, neginf=0.0), parameter_names)
    return nodes, names


def _check_spectra(spectra, n_nodes):
    """Spectra as something that can be sliced, not read yet."""
    if not hasattr(spectra, "dtype") or not hasattr(spectra, "shape"):
        spectra = np.asarray(spectra)
    if np.dtype(spectra.dtype).kind not in "fiu" or len(spectra.shape) != 2:
        raise ValueError(
            f"spectra must be a two-dimensional array of numbers, one spectrum a row, got "
            f"shape {spectra.shape} and dtype {spectra.dtype}."
        )
    if spectra.shape[0] != n_nodes or spectra.shape[1] == 0:
        raise ValueError(
            f"spectra must hold one spectrum for each of the {n_nodes} rows of parameters, got "
            f"{spectra.shape[0]} rows of {spectra.shape[1]} pixels; supply both for the same "
            f"nodes, in the same order."
        )
    return spectra
