"""What the Displays ask an emulator: nodes of a slice, lines there, one line of the list."""

from numbers import Integral

import numpy as np

from skphx.lines.profile import get_profile
from skphx.lines.table import LINE_PARAMETERS, equivalent_width

# Two lines closer than this are told apart by strength, Å.
_SAME_PLACE = 0.1
# Points at which all lines are evaluated at once: bounds memory on large grids.
_N_AT_ONCE = 64


def column_of(emulator, name):
    """Column of a stellar parameter."""
    names = emulator.grid_.parameter_names
    if name not in names:
        raise ValueError(f"the emulator's parameters are {', '.join(names)}, got {name!r}.")
    return names.index(name)


def slice_point(emulator, free, at):
    """One point of the grid; those parameters that are not free say where the slice is.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted.
    free : sequence of str
        Parameters along which the slice extends.
    at : dict or None
        Values of the other parameters; where missing, the grid's middle value.

    Returns
    -------
    ndarray of shape (n_parameters,)
        Values on the axes of the grid.

    Raises
    ------
    ValueError
        If a name is unknown, or fixed and free at once.
    """
    grid, at = emulator.grid_, dict(at or {})
    for name in (*free, *at):
        column_of(emulator, name)
    both = sorted(set(free) & set(at))
    if both:
        raise ValueError(f"at must fix parameters that are not drawn, got {both[0]!r}; drop it.")
    point = np.array([axis[len(axis) // 2] for axis in grid.axes])
    for name, value in at.items():
        column = column_of(emulator, name)
        axis = grid.axes[column]
        point[column] = axis[np.argmin(abs(axis - value))]
    return point


def slice_points(emulator, x, y, at, n_points=None):
    """Points of a slice of the grid.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted.
    x, y : str, and str or None
        Parameters along which the slice extends.
    at : dict or None
        As of `slice_point`.
    n_points : int or None
        Points along each of the two, evenly spaced; None takes the values of the nodes.

    Returns
    -------
    x_values, y_values : ndarrays of shape (n_x,) and (n_y,)
        Values along the two.
    points : ndarray of shape (n_y, n_x, n_parameters)
        The points.
    """
    point = slice_point(emulator, [name for name in (x, y) if name is not None], at)
    values = []
    for name in (x, y):
        if name is None:
            values.append(np.zeros(1))
            continue
        axis = emulator.grid_.axes[column_of(emulator, name)]
        values.append(axis if n_points is None else np.linspace(axis[0], axis[-1], n_points))
    points = np.tile(point, (len(values[1]), len(values[0]), 1))
    points[:, :, column_of(emulator, x)] = values[0]
    if y is not None:
        points[:, :, column_of(emulator, y)] = values[1][:, None]
    return *values, points


def lines_at(emulator, points):
    """Lines at points of any shape (..., n_parameters), (..., n_lines, 4), NaN outside."""
    points = np.asarray(points, dtype=np.float64)
    flat = points.reshape(-1, points.shape[-1])
    inside = np.flatnonzero(emulator.grid_.contains(flat))
    lines = None
    for start in range(0, len(inside), _N_AT_ONCE):
        chosen = inside[start : start + _N_AT_ONCE]
        found = emulator.predict_lines(flat[chosen]).reshape(len(chosen), -1, len(LINE_PARAMETERS))
        if lines is None:
            lines = np.full((len(flat), *found.shape[1:]), np.nan)
        lines[chosen] = found
    if lines is None:
        raise ValueError("no point of the slice lies inside the grid; choose another.")
    return lines.reshape(*points.shape[:-1], *lines.shape[1:])


def line_depths(cloner, lines):
    """Depth 1 - exp(-optical depth) of each line alone at its centre; zero where absent.

    `lines` has the shape (..., 4); `cloner` knows their profile.
    """
    amplitude, sigma, gamma = _amplitude_and_widths(lines)
    return -np.expm1(-amplitude * get_profile(cloner.profile)(0.0, sigma, gamma))


def line_widths(cloner, lines):
    """Equivalent width of each line alone in Å, shape (n_lines,); zero where absent."""
    return equivalent_width(*_amplitude_and_widths(lines), cloner.profile)


def _amplitude_and_widths(lines):
    """Area, sigma and gamma in Å; an absent line has no area and any width."""
    _, log_amplitude, log_sigma, log_gamma = np.moveaxis(lines, -1, 0)
    present = np.isfinite(log_amplitude)
    amplitude = np.exp(np.where(present, log_amplitude, -np.inf))
    return amplitude, *(np.exp(np.where(present, log, 0.0)) for log in (log_sigma, log_gamma))


def line_cloner(emulator):
    """Step that knows the profile of the lines: the cloner, or the last of a Pipeline."""
    cloner = emulator.cloner_
    return cloner[-1] if hasattr(cloner, "steps") else cloner


def find_line(emulator, line, lines):
    """Place of one line in the list.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted.
    line : int or float
        Number in the list, or wavelength in Å: the strongest line within 0.1 Å, or the
        nearest one.
    lines : ndarray of shape (..., n_lines, 4)
        The lines somewhere in the grid.

    Returns
    -------
    int
        Number in the list.

    Raises
    ------
    ValueError
        If the number is beyond the list, or the wavelength beyond the pixels.
    """
    n_lines = lines.shape[-2]
    if isinstance(line, Integral):
        if not 0 <= line < n_lines:
            raise ValueError(
                f"line must be a number from 0 to {n_lines - 1} or a wavelength in Å as a float, "
                f"got {line}."
            )
        return int(line)
    low, high = emulator.wavelength_[[0, -1]]
    if not low <= line <= high:
        raise ValueError(
            f"line must lie in the emulator's wavelengths, {low:.1f} to {high:.1f} Å, got {line}."
        )
    flat = lines.reshape(-1, *lines.shape[-2:])
    known = np.isfinite(flat[:, :, 0]).any(axis=0)
    centers = np.full(n_lines, np.inf)
    centers[known] = np.nanmean(flat[:, known, 0], axis=0)
    distance = abs(centers - line)
    near = np.flatnonzero(distance <= _SAME_PLACE)
    if len(near):
        return int(near[np.argmax(line_depths(line_cloner(emulator), flat[:, near]).max(axis=0))])
    return int(np.argmin(distance))


def in_window(wavelength, window):
    """Mask of the pixels within a window, (low, high) in Å or None for all."""
    if window is None:
        return np.ones(len(wavelength), dtype=bool)
    low, high = window
    mask = (wavelength >= low) & (wavelength <= high)
    if mask.sum() < 2:
        raise ValueError(
            f"window must hold at least two pixels, got {low} to {high} Å where the spectrum "
            f"runs from {wavelength[0]:.1f} to {wavelength[-1]:.1f} Å."
        )
    return mask
