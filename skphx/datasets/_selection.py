"""Which nodes of a library are wanted, and which of those are not there."""

import warnings
from itertools import product
from numbers import Real

import numpy as np

# The order of columns; others follow as the library names them.
_FIRST = ("teff", "logg", "feh")


class MissingNodesWarning(UserWarning):
    """Some nodes of a grid are not there; ``grid.missing`` lists them."""


def chosen_values(wanted, values, name):
    """Values of a library's axis that are wanted, in order.

    Parameters
    ----------
    wanted : None, float, tuple (low, high), or sequence of float
        All; one; all from low to high, both included; or just these.
    values : sequence of float
        What the library has.
    name : str
        Of the parameter, for the messages.

    Returns
    -------
    list of float
        At least one.

    Raises
    ------
    ValueError
        If none is in the range, or a value is none of the library's.

    Examples
    --------
    >>> from skphx.datasets._selection import chosen_values
    >>> chosen_values((5000, 5200), [4900, 5000, 5100, 5200], "teff")
    [5000.0, 5100.0, 5200.0]
    >>> chosen_values([5000, 5050], [4900, 5000, 5100], "teff")
    Traceback (most recent call last):
        ...
    ValueError: teff=5050 is no node of the library; the nearest are 5000 and 5100.
    """
    values = np.unique(np.asarray(values, dtype=np.float64))
    if wanted is None:
        return values.tolist()
    if isinstance(wanted, tuple) and len(wanted) == 2:
        low, high = (float(edge) for edge in wanted)
        found = values[(values >= low) & (values <= high)]
        if not len(found):
            raise ValueError(
                f"{name}=({low:g}, {high:g}) holds no node of the library, whose nodes are "
                f"{_listed(values)}."
            )
        return found.tolist()
    wanted = np.unique(np.atleast_1d(np.asarray(wanted, dtype=np.float64)))
    for value in wanted:
        distance = np.abs(values - value)
        if distance.min() > 1e-6 * max(1.0, abs(value)):
            nearest = np.sort(values[np.argsort(distance, kind="stable")[:2]])
            raise ValueError(
                f"{name}={value:g} is no node of the library; the nearest are "
                f"{' and '.join(f'{number:g}' for number in nearest)}."
            )
    return [float(values[np.abs(values - value).argmin()]) for value in wanted]


def is_wanted(value, wanted):
    """Whether a file's parameter is in a range, or one of some values."""
    if wanted is None:
        return True
    if isinstance(wanted, tuple) and len(wanted) == 2:
        return wanted[0] <= value <= wanted[1]
    return bool(np.isclose(np.atleast_1d(wanted), value, rtol=1e-6, atol=1e-6).any())


def check_ranges(ranges, known, name):
    """Raise where a range is given for a parameter that a library does not have."""
    for parameter, wanted in ranges.items():
        if parameter not in known:
            raise ValueError(
                f"{parameter} is no parameter of the grid {name}, which has {', '.join(known)}."
            )
        usable = wanted is None or isinstance(wanted, Real | tuple | list | range | np.ndarray)
        if not usable:
            raise ValueError(
                f"{parameter} must be a number, a tuple (low, high) or a list of nodes, got "
                f"{wanted!r}."
            )


def columns_of(nodes, always=()):
    """Names of the columns of parameters, and those that are constant.

    Parameters
    ----------
    nodes : list of dict
        Parameters of each spectrum.
    always : sequence of str
        Names that are columns also where they do not vary.

    Returns
    -------
    names : tuple of str
        teff, logg, feh, and every other parameter that varies.
    constants : dict
        The others.
    """
    everything = list(dict.fromkeys(name for node in nodes for name in node))
    values = {name: {node.get(name) for node in nodes} for name in everything}
    names = [name for name in _FIRST if name in values]
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
    """Nodes of the full product of the columns' values that are not among the rows."""
    axes = [np.unique(column) for column in parameters.T]
    present = {tuple(row) for row in parameters.tolist()}
    absent = [node for node in product(*(axis.tolist() for axis in axes)) if node not in present]
    return np.array(absent, dtype=np.float64).reshape(-1, parameters.shape[1])


def report_missing(missing, names, n_found, on_missing, why):
    """Warn of missing nodes, or raise, as `on_missing` says."""
    if not len(missing) or on_missing == "ignore":
        return
    shown = "; ".join(
        ", ".join(f"{name}={value:g}" for name, value in zip(names, node, strict=True))
        for node in missing[:5]
    )
    others = f"; and {len(missing) - 5} more" if len(missing) > 5 else ""
    text = (
        f"{len(missing)} of {len(missing) + n_found} nodes are missing, because {why}: {shown}"
        f"{others}. grid.missing lists them all; an emulator interpolates over them with "
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
