"""The right grid for given nodes."""

import numpy as np

from skphx.grids._axis import NODES_NEEDED
from skphx.grids._base import INTERPOLATIONS
from skphx.grids._filled import FilledGrid
from skphx.grids._nodes import check_nodes, lattice_of
from skphx.grids._rectilinear import RectilinearGrid
from skphx.grids._scattered import ScatteredGrid

# Lattices with a larger part of their product missing are treated as scattered.
LARGEST_HOLE = 0.5


def make_grid(
    parameters,
    *,
    parameter_names=None,
    interpolation="linear",
    holes="error",
    short_axes="lower",
):
    """Return the grid that fits the nodes.

    Parameters
    ----------
    parameters : array-like of shape (n_nodes, n_parameters)
        One node a row, in any order.
    parameter_names : sequence of str, or None
        One name a column; None stands for ``x0, x1, ...``.
    interpolation : {"linear", "hermite", "cubic", "radial"}
        Kind of the interpolation: "linear"; "cubic", with splines along each axis over all
        nodes; "hermite", cubic from the nearest nodes only (four an axis), which is cheaper
        on large grids and follows an irregular grid with less overshoot; or "radial", the
        smoothest, with fifth powers of distances to all nodes, which knows no axes.
    holes : {"error", "interpolate"}
        What to do where the nodes are not the full product of their axes: raise, or
        interpolate across the holes.
    short_axes : {"lower", "error"}
        What to do where an axis has more than one value but fewer than the interpolation
        needs (three for Hermite, four for cubic): lower the order along that axis, or raise.

    Returns
    -------
    NodeGrid
        `RectilinearGrid` for a full product; else `FilledGrid` where at least half of the
        product is there, and `ScatteredGrid` for sparser nodes.

    Raises
    ------
    ValueError
        If nodes are repeated, missing (with ``holes="error"``), too few (with
        ``short_axes="error"``) or unusable.

    Examples
    --------
    >>> from skphx.grids import make_grid
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
        ("short_axes", short_axes, ("lower", "error")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}.")
    nodes, parameter_names = check_nodes(parameters, parameter_names)
    axes, _ = lattice_of(nodes)
    if short_axes == "error":
        _check_long_enough(axes, parameter_names, interpolation)
    n_lattice = np.prod([float(len(axis)) for axis in axes])
    if interpolation == "radial":
        if holes == "error":
            # Only to raise where the product is not complete.
            RectilinearGrid(nodes, parameter_names)
        return ScatteredGrid(nodes, parameter_names, interpolation)
    if holes == "error" or n_lattice == len(nodes):
        return RectilinearGrid(nodes, parameter_names, interpolation)
    if len(nodes) >= (1.0 - LARGEST_HOLE) * n_lattice:
        return FilledGrid(nodes, parameter_names, interpolation)
    return ScatteredGrid(nodes, parameter_names, interpolation)


def _check_long_enough(axes, parameter_names, interpolation):
    """Raise if an axis has fewer values than the interpolation's order asks for."""
    n_needed = NODES_NEEDED[interpolation]
    for name, axis in zip(parameter_names, axes, strict=True):
        if 1 < len(axis) < n_needed:
            raise ValueError(
                f"interpolation={interpolation!r} needs at least {n_needed} values of {name}, "
                f"got {len(axis)} ({', '.join(f'{value:.10g}' for value in axis)}); supply "
                f"more nodes, or choose a lower order."
            )
