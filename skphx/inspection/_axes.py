"""Axes to draw on, and labels of stellar parameters and line quantities."""

import numpy as np

from skphx._domain import ABUNDANCE_SUFFIX

# Symbol and unit of each parameter.
_PARAMETERS = {
    "teff": (r"$T_\mathrm{eff}$", "K"),
    "logg": (r"$\log\,g$", ""),
    "feh": ("[Fe/H]", ""),
    "alpha": (r"[$\alpha$/Fe]", ""),
    "velocity": (r"$v_\mathrm{r}$", r"km s$^{-1}$"),
    "macroturbulence": (r"$v_\mathrm{mac}$", r"km s$^{-1}$"),
    "resolution": (r"$R$", ""),
    "vsini": (r"$v\,\sin i$", r"km s$^{-1}$"),
}
_QUANTITIES = {
    "center": r"centre $\mu$ (Å)",
    "log_area": r"$\ln(a\,/\,$Å$)$",
    "log_sigma": r"$\ln(\sigma\,/\,$Å$)$",
    "log_gamma": r"$\ln(\gamma\,/\,$Å$)$",
}
WAVELENGTH = "wavelength (Å)"
FLUX = "normalised flux"
# Colour of points without a node or without the line.
ABSENT = "0.85"


def import_pyplot():
    """Return ``matplotlib.pyplot``, or raise an error that says how to install it."""
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(
            "plot needs matplotlib, which is not installed; run pip install 'skphx[plot]'."
        ) from error
    return pyplot


def single_axes(ax, *, figsize):
    """Return the given axes, or axes of a new figure."""
    if ax is None:
        _, ax = import_pyplot().subplots(layout="constrained", figsize=figsize)
    return ax


def panels(ax, n_rows, n_columns, *, figsize, sharex=False, **grid_options):
    """Divide the place of given axes, or a new figure, into panels.

    Parameters
    ----------
    ax : matplotlib Axes or None
        Axes whose place is divided, and which are then hidden; None makes a figure.
    n_rows, n_columns : int
        Numbers of panels.
    figsize : tuple of two floats
        Size of a new figure, inches.
    sharex : bool or "col"
        As in ``Figure.subplots``.
    **grid_options
        Ratios of widths and heights, as in matplotlib's GridSpec.

    Returns
    -------
    ndarray of Axes, shape (n_rows, n_columns)
        The panels.

    Raises
    ------
    ValueError
        If the axes are not part of a grid of subplots.
    """
    if ax is None:
        figure = import_pyplot().figure(figsize=figsize, layout="constrained")
        grid = figure.add_gridspec(n_rows, n_columns, **grid_options)
    else:
        place = ax.get_subplotspec()
        if place is None:
            raise ValueError(
                "ax must come from plt.subplots or Figure.add_subplot, because its place is "
                "divided into panels, got axes without a subplot position; pass other axes, or "
                "ax=None."
            )
        ax.set_axis_off()
        grid = place.subgridspec(n_rows, n_columns, **grid_options)
    return grid.subplots(sharex=sharex, squeeze=False)


def symbol(name):
    """Return the symbol of a stellar parameter."""
    if name not in _PARAMETERS and name.endswith(ABUNDANCE_SUFFIX):
        return f"[{name.removesuffix(ABUNDANCE_SUFFIX).capitalize()}/Fe]"
    return _PARAMETERS.get(name, (name, ""))[0]


def unit(name):
    """Return the unit of a stellar parameter; empty for dex and unknown parameters."""
    return _PARAMETERS.get(name, (name, ""))[1]


def axis_label(name):
    """Return the symbol of a stellar parameter with its unit."""
    return f"{symbol(name)} ({unit(name)})" if unit(name) else symbol(name)


def quantity_label(name):
    """Return the label of a line parameter."""
    return _QUANTITIES[name]


def format_value(name, value):
    """Return one parameter of a star as text, such as ``log g = 4.5``."""
    # Abundances relative to the Sun are written with their sign.
    is_abundance = name in ("feh", "alpha") or name.endswith(ABUNDANCE_SUFFIX)
    digits = "+.2f" if is_abundance and value else ".6g"
    suffix = f" {unit(name)}" if unit(name) else ""
    return f"{symbol(name)} = {value:{digits}}{suffix}"


def format_star(names, values):
    """Return all parameters of a star as text."""
    return ", ".join(format_value(*pair) for pair in zip(names, values, strict=True))


def label_lines(ax, centers, texts):
    """Write a vertical text above each line, without overlaps.

    Parameters
    ----------
    ax : Axes
        Axes with their final x limits.
    centers : array-like of shape (n_lines,)
        Wavelengths in Å.
    texts : sequence of str
        The texts.
    """
    low, high = ax.get_xlim()
    # A vertical text of small font is as wide as this part of a usual panel.
    gap = 0.025 * (high - low)
    places = spread(centers, gap, low + 0.5 * gap, high - 0.5 * gap)
    for center, place, text in zip(centers, places, texts, strict=True):
        ax.annotate(
            text,
            xy=(center, 1.0),
            xytext=(place, 1.06),
            xycoords=ax.get_xaxis_transform(),
            textcoords=ax.get_xaxis_transform(),
            rotation=90,
            ha="center",
            va="bottom",
            fontsize="x-small",
            arrowprops={"arrowstyle": "-", "linewidth": 0.6, "color": "0.5", "shrinkB": 0},
        )


def spread(centers, gap, low, high):
    """Move positions as little as possible until neighbours are a gap apart.

    Parameters
    ----------
    centers : array-like of shape (n_places,)
        Preferred positions.
    gap : float
        Least distance; it is reduced if the positions do not fit between the limits.
    low, high : float
        Limits.

    Returns
    -------
    ndarray of shape (n_places,)
        Positions, in the given order.
    """
    centers = np.asarray(centers, dtype=np.float64)
    n_places = len(centers)
    if n_places == 0:
        return centers
    gap = min(gap, (high - low) / n_places)
    order = np.argsort(centers, kind="stable")
    # After subtraction of the gaps, the only condition is the order: an isotonic regression.
    gaps = gap * np.arange(n_places)
    from sklearn.isotonic import isotonic_regression

    fitted = isotonic_regression(centers[order] - gaps, y_min=low, y_max=high - gaps[-1])
    places = np.empty(n_places)
    places[order] = fitted + gaps
    return places
