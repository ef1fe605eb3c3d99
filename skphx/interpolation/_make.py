"""make_grid: choose the type of grid for given nodes."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from skphx.interpolation._base import INTERPOLATIONS, NodeGrid
from skphx.interpolation._filled import FilledGrid
from skphx.interpolation._nodes import check_nodes, lattice_of
from skphx.interpolation._rectilinear import RectilinearGrid
from skphx.interpolation._scattered import ScatteredGrid

# Nodes are treated as scattered if more than this fraction of the full product is missing.
LARGEST_HOLE = 0.5


def make_grid(
    parameters: ArrayLike,
    *,
    parameter_names: Sequence[str] | None = None,
    interpolation: Literal["linear", "hermite", "cubic", "radial"] = "linear",
    holes: Literal["error", "interpolate"] = "error",
) -> NodeGrid:
    """Make a grid of the type that is suitable for the nodes.

    Parameters
    ----------
    parameters : array-like of shape (n_nodes, n_parameters)
        One node per row, in any order.
    parameter_names : sequence of str, or None
        One name per column; None is ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic", "radial"}
        Kind of interpolation: "linear"; "cubic", cubic splines through all nodes of each axis;
        "hermite", cubic polynomials from the nearest nodes only (four per axis), which is
        faster for large grids and overshoots less on irregular grids; or "radial", radial basis
        functions of fifth order, which are the smoothest and not aligned with the axes.
    holes : {"error", "interpolate"}
        What to do if the nodes are not the full product of their axes: raise an error, or
        interpolate across the missing nodes.

    Returns
    -------
    NodeGrid
        A `RectilinearGrid` for a full product, a `FilledGrid` if at least half of the product
        is there, and a `ScatteredGrid` otherwise and for "radial".

    Raises
    ------
    ValueError
        If nodes are repeated, missing (with ``holes="error"``) or not valid.

    Notes
    -----
    Along an axis with too few values (fewer than three for "hermite", four for "cubic") the order
    of the interpolation is lower.

    Examples
    --------
    >>> from skphx.interpolation import make_grid
    >>> make_grid([[5000, 4.0], [6000, 4.0], [5000, 5.0], [6000, 5.0]],
    ...           parameter_names=("teff", "logg"))
    <RectilinearGrid of 4 nodes (teff: 2, logg: 2), linear>
    >>> make_grid([[5000, 4.0], [5000, 4.0]], parameter_names=("teff", "logg"))
    Traceback (most recent call last):
        ...
    ValueError: parameters must hold each node once, but 1 is repeated: teff=5000, logg=4 ...
    """
    for name, value, allowed in (
        ("interpolation", interpolation, INTERPOLATIONS),
        ("holes", holes, ("error", "interpolate")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
    nodes, parameter_names = check_nodes(parameters, parameter_names)
    axes, _ = lattice_of(nodes)
    n_lattice = np.prod([float(len(axis)) for axis in axes])
    if interpolation == "radial":
        if holes == "error":
            # Raises if the product is not complete.
            RectilinearGrid(nodes, parameter_names)
        return ScatteredGrid(nodes, parameter_names, interpolation)
    if holes == "error" or n_lattice == len(nodes):
        return RectilinearGrid(nodes, parameter_names, interpolation)
    if len(nodes) >= (1.0 - LARGEST_HOLE) * n_lattice:
        return FilledGrid(nodes, parameter_names, interpolation)
    return ScatteredGrid(nodes, parameter_names, interpolation)
