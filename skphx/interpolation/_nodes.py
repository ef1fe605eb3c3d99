"""Check the nodes of a grid, and find their axes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._input_parameters import plain_parameters
from skphx._plain import column_names

# Values of an axis that differ by less than this fraction of its range are the same value: grids
# read from float32 files have 0.1 and 0.10000000149 for the same node. Points outside a bound by
# less than this are on the bound.
SAME_VALUE = 1e-6
# Largest number of nodes that an error message lists.
N_LISTED = 5


def check_nodes(
    parameters: ArrayLike,
    parameter_names: Sequence[str] | None = None,
    *,
    name: str = "parameters",
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Return the nodes of a grid as an array, and the names of its columns.

    Parameters
    ----------
    parameters : array-like or table of shape (n_nodes, n_parameters)
        One node per row. The columns of tables are found by their names.
    parameter_names : sequence of str, or None
        One name per column; None is the names of the columns of a table, else ``x0, x1, ...``.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    nodes : ndarray of shape (n_nodes, n_parameters), float64
        The nodes, in the given order.
    parameter_names : tuple of str
        The names.

    Raises
    ------
    ValueError
        If `parameters` is not a two-dimensional array of finite numbers with one column per
        name, has no row, has columns with other names or masked elements, or two names are
        equal.

    Examples
    --------
    >>> from skphx.interpolation._nodes import check_nodes
    >>> check_nodes([[5000], [6000]])[1]
    ('x0',)
    """
    if parameter_names is None:
        parameter_names = column_names(parameters)
    parameters = plain_parameters(parameters, parameter_names, name)
    try:
        nodes = np.array(parameters, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be an array of numbers of shape (n_nodes, n_parameters), got "
            f"{type(parameters).__name__} that cannot be converted to one: {error}."
        ) from error
    if nodes.ndim != 2:
        hint = "; a single parameter needs reshape(-1, 1)" if nodes.ndim == 1 else ""
        raise ValueError(
            f"{name} must have shape (n_nodes, n_parameters), got shape {nodes.shape}{hint}."
        )
    if nodes.shape[0] == 0 or nodes.shape[1] == 0:
        raise ValueError(
            f"{name} must hold at least one node and one parameter, got shape {nodes.shape}; "
            f"pass the parameters of the spectra of the grid."
        )
    n_parameters = nodes.shape[1]
    if parameter_names is None:
        parameter_names = tuple(f"x{column}" for column in range(n_parameters))
    elif isinstance(parameter_names, str):
        parameter_names = (parameter_names,)
    parameter_names = tuple(str(column) for column in parameter_names)
    if len(parameter_names) != n_parameters:
        raise ValueError(
            f"{name} has {n_parameters} columns but parameter_names has "
            f"{len(parameter_names)} ({', '.join(parameter_names)}); give one name per column, "
            f"in the order of the columns."
        )
    if len(set(parameter_names)) != n_parameters:
        raise ValueError(
            f"parameter_names must differ from each other, got {parameter_names}; "
            f"rename the repeated one."
        )
    bad = ~np.isfinite(nodes)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} must be finite, but row {row} has {parameter_names[column]}="
            f"{nodes[row, column]}; remove this node or give its value."
        )
    return nodes, parameter_names


def format_node(node, parameter_names):
    """Return a node as text, such as ``teff=5000, logg=4.5``."""
    return ", ".join(
        f"{name}={value:.10g}" for name, value in zip(parameter_names, node, strict=True)
    )


def lattice_of(nodes):
    """Return the axes of the nodes, and the index of each node on each axis.

    Parameters
    ----------
    nodes : ndarray of shape (n_nodes, n_parameters)
        One node per row.

    Returns
    -------
    axes : list of ndarray of shape (n_values,)
        Increasing distinct values of each parameter. Values that differ by less than a
        millionth of the range of the parameter count as one.
    positions : ndarray of shape (n_nodes, n_parameters), int
        ``axes[j][positions[i, j]]`` is parameter j of node i.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.interpolation._nodes import lattice_of
    >>> axes, positions = lattice_of(np.array([[6000.0, 4.0], [5000.0, 4.0]]))
    >>> axes
    [array([5000., 6000.]), array([4.])]
    >>> positions
    array([[1, 0],
           [0, 0]])
    """
    axes = []
    positions = np.empty(nodes.shape, dtype=np.intp)
    for column, values in enumerate(nodes.T):
        distinct, place = np.unique(values, return_inverse=True)
        starts = np.ones(len(distinct), dtype=bool)
        starts[1:] = np.diff(distinct) > SAME_VALUE * (distinct[-1] - distinct[0])
        axes.append(distinct[starts])
        positions[:, column] = (np.cumsum(starts) - 1)[place]
    return axes, positions


def spacing_of(axes, n_nodes):
    """Typical node spacing of each parameter.

    Parameters
    ----------
    axes : list of ndarray of shape (n_values,)
        Increasing distinct values of each parameter.
    n_nodes : int
        Number of nodes.

    Returns
    -------
    ndarray of shape (n_parameters,)
        The median step of the axis, 1 for a single value. For scattered nodes, which share no
        values, it is the step of a lattice with as many nodes.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.interpolation._nodes import spacing_of
    >>> spacing_of([np.array([5000.0, 5500.0, 6000.0]), np.array([4.5])], n_nodes=3)
    array([500.,   1.])
    """
    scale = np.ones(len(axes))
    varying = [column for column, axis in enumerate(axes) if len(axis) > 1]
    n_cells = np.prod([float(len(axes[column])) for column in varying])
    # Scattered nodes have many more distinct values than a lattice with as many nodes.
    is_cloud = len(varying) > 1 and n_cells > 8.0 * n_nodes
    for column in varying:
        axis = axes[column]
        if is_cloud:
            n_steps = max(n_nodes ** (1.0 / len(varying)) - 1.0, 1.0)
            scale[column] = (axis[-1] - axis[0]) / n_steps
        else:
            scale[column] = np.median(np.diff(axis))
    return scale
