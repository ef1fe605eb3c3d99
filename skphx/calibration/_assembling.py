"""Corrections, their table and the model error, put together from a solution."""

from dataclasses import replace

import numpy as np

from skphx.calibration._corrections import WING_TERMS, WING_WIDTHS
from skphx.calibration._model_error import LineModelError
from skphx.lines._engine.profile import total_fwhm


def corrected(corrections, design, own, groups, values):
    """Return corrections with the values of a solution.

    Parameters
    ----------
    corrections : LineCorrections
        Corrections of the same lines.
    design : Design
        What the values are.
    own : OwnLines
        Lines with corrections of their own.
    groups : LineGroups
        Groups of all lines.
    values : ndarray of shape (n_columns,)
        The solution.

    Returns
    -------
    LineCorrections
        The corrections.
    """
    parts = design.parts
    strength = values[parts["group strength"]][groups.number]
    width = values[parts["group width"]][groups.number]
    slope = np.zeros_like(strength)
    strength[own.strength] += values[parts["strength"]]
    width[own.width] += values[parts["width"]]
    if design.with_slopes:
        slope[own.strength] += values[parts["slope"]]
    # Columns are constant, times t, times log g; each has all widths of one line after another.
    wings = values[parts["wings"]].reshape(WING_TERMS, -1, len(WING_WIDTHS)).transpose(1, 2, 0)
    added = corrections.added.copy()
    added[:, 2] = values[parts["added"]]
    return replace(
        corrections, strength=strength, width=width, slope=slope, wings=wings, added=added
    )


def table_of(corrections, groups, own, found, strongest):
    """Return the columns of the table of corrections.

    Parameters
    ----------
    corrections, groups, own
        As in :func:`corrected`.
    found : object
        Has `design` and `solution`.
    strongest : ndarray of shape (n_lines, 4)
        Lines before correction, each where it is strongest.

    Returns
    -------
    dict of ndarray of shape (n_lines,)
        See :meth:`LineCorrections.to_pandas`.
    """
    design, solution, parts = found.design, found.solution, found.design.parts
    n_lines = len(corrections)
    errors, n_stars = {}, np.zeros(n_lines, dtype=int)
    for name in ("strength", "width"):
        of_group = np.arange(len(design.label))[parts[f"group {name}"]][groups.number]
        variance = solution.error[of_group] ** 2
        single, numbers = np.arange(len(design.label))[parts[name]], getattr(own, name)
        # The stars know the sum of what is common and a line's own, better than either.
        together = 2.0 * solution.covariance[single, of_group[numbers]]
        others = np.setdiff1d(np.arange(n_lines), numbers)
        variance[numbers] += together + solution.error[single] ** 2
        variance[others] += design.typical_variance(name)
        errors[name] = np.sqrt(variance)
    told = solution.information[:, parts["strength"]] * solution.prior[parts["strength"]]
    n_stars[own.strength] = (told > 1.0).sum(axis=0)
    fwhm = total_fwhm(np.exp(strongest[:, 2]), np.exp(strongest[:, 3]))
    own_strength, sampling_error = np.full((2, n_lines), np.nan)
    own_strength[own.strength] = solution.values[parts["strength"]]
    sampling_error[own.strength] = solution.sampling_error[parts["strength"]]
    return {
        "center": strongest[:, 0],
        "species": groups.species,
        "depth": np.exp(strongest[:, 1]) / (1.2 * fwhm),
        "strength": corrections.strength,
        "strength_error": errors["strength"],
        "width": corrections.width,
        "width_error": errors["width"],
        "slope": corrections.slope,
        "n_stars": n_stars,
        "own_strength": own_strength,
        "sampling_error": sampling_error,
    }


def model_error(corrections, groups, own, found, scale):
    """Return the errors that corrections leave.

    The variance of a line is what differs from star to star, plus that of its correction if the
    others are known.

    Parameters
    ----------
    corrections, groups, own
        As in :func:`corrected`.
    found : object
        Has `design`, `solution` and `variances`.
    scale : float
        Factor of all variances.

    Returns
    -------
    LineModelError
        The errors.
    """
    design, solution, variances = found.design, found.solution, found.variances
    parts = design.parts
    lines = np.zeros((2, len(corrections)))
    scatter = np.split(variances.lines, [len(own.strength)])
    for kind, name in enumerate(("strength", "width")):
        numbers = getattr(own, name)
        lines[kind, numbers] = scatter[kind] + solution.conditional[parts[name]]
    common = variances.groups.reshape(2, -1).copy()
    for kind, name in enumerate(("group strength", "group width")):
        common[kind] += solution.conditional[parts[name]]
    wings = variances.wings + solution.conditional[parts["wings"]][: len(variances.wings)]
    return LineModelError(
        corrections,
        groups,
        np.sqrt(scale * lines),
        np.sqrt(scale * common),
        np.sqrt(scale * wings).reshape(-1, len(WING_WIDTHS)),
        np.sqrt(scale * variances.cores),
        variances.scaled(scale).kernels,
    )
