"""Select nodes of a library, and report missing nodes."""

import warnings
from collections.abc import Sequence
from itertools import product
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphx._domain import STELLAR_PARAMETERS

#: Values of a parameter: one, a tuple (low, high), a list of values, or None for all.
AxisValues = float | Sequence[float] | NDArray[Any] | None


class MissingNodesWarning(UserWarning):
    """A grid has missing nodes; ``grid.missing`` lists them."""


def chosen_values(wanted, values, name):
    """Return the selected values of an axis of a library, in increasing order.

    Parameters
    ----------
    wanted : None, float, tuple (low, high), or sequence of float
        All values; one value; all from low to high, both included; or a list of values.
    values : sequence of float
        Values of the library.
    name : str
        Name of the parameter, for the messages.

    Returns
    -------
    list of float
        At least one value.

    Raises
    ------
    ValueError
        If there is no value in the range, or a value is not in the library.

    Examples
    --------
    >>> from skphx.datasets._selection import chosen_values
    >>> chosen_values((5000, 5200), [4900, 5000, 5100, 5200], "teff")
    [5000.0, 5100.0, 5200.0]
    >>> chosen_values([5000, 5050], [4900, 5000, 5100], "teff")
    Traceback (most recent call last):
        ...
    ValueError: teff=5050 is not a grid node; nearest: 5000, 5100.
    """
    values = np.unique(np.asarray(values, dtype=np.float64))
    if wanted is None:
        return values.tolist()
    if isinstance(wanted, tuple) and len(wanted) == 2:
        low, high = (float(edge) for edge in wanted)
        found = values[(values >= low) & (values <= high)]
        if not len(found):
            raise ValueError(
                f"{name}=({low:g}, {high:g}) contains no grid node; nodes: {_listed(values)}."
            )
        return found.tolist()
    wanted = np.unique(np.atleast_1d(np.asarray(wanted, dtype=np.float64)))
    for value in wanted:
        distance = np.abs(values - value)
        if distance.min() > 1e-6 * max(1.0, abs(value)):
            nearest = np.sort(values[np.argsort(distance, kind="stable")[:2]])
            raise ValueError(
                f"{name}={value:g} is not a grid node; nearest: "
                f"{', '.join(f'{number:g}' for number in nearest)}."
            )
    return [float(values[np.abs(values - value).argmin()]) for value in wanted]


def is_wanted(value, wanted):
    """Whether the parameter of a file is in a range, or in a list of values."""
    if wanted is None:
        return True
    if isinstance(wanted, tuple) and len(wanted) == 2:
        return wanted[0] <= value <= wanted[1]
    return bool(np.isclose(np.atleast_1d(wanted), value, rtol=1e-6, atol=1e-6).any())


def check_ranges(ranges, known, name):
    """Raise if a range is not valid, or the library does not have its parameter."""
    for parameter, wanted in ranges.items():
        if parameter not in known:
            raise ValueError(
                f"{parameter} is not a parameter of the grid {name}, which has {', '.join(known)}."
            )
        usable = wanted is None or isinstance(wanted, Real | tuple | list | range | np.ndarray)
        if not usable:
            raise ValueError(
                f"{parameter} must be a number, a tuple (low, high) or a list of numbers, got "
                f"{wanted!r}."
            )


def columns_of(nodes, always=()):
    """Return the names of the columns of a grid, and the constant parameters.

    Parameters
    ----------
    nodes : list of dict
        Parameters of each spectrum.
    always : sequence of str
        Names that are columns even if they do not vary.

    Returns
    -------
    names : tuple of str
        teff, logg, feh, and all other parameters that vary.
    constants : dict
        The other parameters, with their values.
    """
    everything = list(dict.fromkeys(name for node in nodes for name in node))
    values = {name: {node.get(name) for node in nodes} for name in everything}
    names = [name for name in STELLAR_PARAMETERS if name in values]
    constants = {}
    for name in everything:
        if name in names:
            continue
        if len(values[name]) > 1 or name in always:
            names.append(name)
        else:
            constants[name] = values[name].pop()
    return tuple(names), constants


def missing_nodes(parameters):
    """Return the nodes of the full product of the columns' values that are not in the rows."""
    axes = [np.unique(column) for column in parameters.T]
    present = {tuple(row) for row in parameters.tolist()}
    absent = [node for node in product(*(axis.tolist() for axis in axes)) if node not in present]
    return np.array(absent, dtype=np.float64).reshape(-1, parameters.shape[1])


def report_missing(missing, names, n_found, on_missing, why):
    """Warn about missing nodes, or raise an error, depending on `on_missing`."""
    if not len(missing) or on_missing == "ignore":
        return
    shown = "; ".join(
        ", ".join(f"{name}={value:g}" for name, value in zip(names, node, strict=True))
        for node in missing[:5]
    )
    others = f"; and {len(missing) - 5} more" if len(missing) > 5 else ""
    text = (
        f"{len(missing)} of {len(missing) + n_found} nodes are missing, because {why}: {shown}"
        f"{others}. All are in grid.missing; an emulator interpolates across them with "
        f"holes='interpolate'."
    )
    if on_missing == "raise":
        raise ValueError(text)
    warnings.warn(text, MissingNodesWarning, stacklevel=4)


def check_on_missing(on_missing):
    """Raise unless `on_missing` is one of its three values."""
    if on_missing not in ("warn", "raise", "ignore"):
        raise ValueError(f"on_missing must be 'warn', 'raise' or 'ignore', got {on_missing!r}.")


def _listed(values):
    shown = [f"{value:g}" for value in values]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:3], "...", *shown[-3:]])
