"""Slices of an emulator's grid, and lines at points, for the Displays."""

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.lines._engine.profile import get_profile
from skphx.lines._table import equivalent_width

# A wavelength stands for the strongest line within this distance, Å.
_SAME_PLACE = 0.1
# Points at which all lines are evaluated at once, to limit the memory.
_N_AT_ONCE = 64


def column_of(emulator, name):
    """Return the column of a stellar parameter."""
    names = emulator.grid_.parameter_names
    if name not in names:
        raise ValueError(f"the emulator's parameters are {', '.join(names)}, got {name!r}.")
    return names.index(name)


def slice_point(emulator, free, at):
    """Return a point of the grid with the parameters that a slice holds.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted emulator.
    free : sequence of str
        Parameters of the slice.
    at : dict or None
        Values of the other parameters; those not given have the middle value of the grid.

    Returns
    -------
    ndarray of shape (n_parameters,)
        Values of the nodes nearest to `at`; middle values for free parameters.

    Raises
    ------
    ValueError
        If a name is unknown, or both held and free.
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
    """Return the points of a slice of the grid.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted emulator.
    x, y : str, and str or None
        Parameters of the slice.
    at : dict or None
        As in `slice_point`.
    n_points : int or None
        Number of evenly spaced points along each of the two; None takes the nodes' values.

    Returns
    -------
    x_values, y_values : ndarrays of shape (n_x,) and (n_y,)
        Values of the two parameters.
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
    """Return lines at points of shape (..., n_parameters), (..., n_lines, 4); NaN outside."""
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
        raise ValueError("no point of the slice lies inside the grid; choose another slice.")
    return lines.reshape(*points.shape[:-1], *lines.shape[1:])


def line_depths(cloner, lines):
    """Return the depth of each line at its centre, without other lines; 0 if absent.

    The depth is 1 - exp(-optical depth). `lines` have shape (..., 4); `cloner` has their profile.
    """
    area, sigma, gamma = _area_and_widths(lines)
    return -np.expm1(-area * get_profile(cloner.profile)(0.0, sigma, gamma))


def line_widths(cloner, lines):
    """Return the equivalent width of each line in Å, shape (n_lines,); 0 if absent."""
    area, sigma, gamma = _area_and_widths(lines)
    return equivalent_width(area, sigma, gamma, cloner.profile)


def _area_and_widths(lines):
    """Return area, sigma and gamma in Å; the area of an absent line is 0."""
    _, log_area, log_sigma, log_gamma = np.moveaxis(lines, -1, 0)
    present = np.isfinite(log_area)
    area = np.exp(np.where(present, log_area, -np.inf))
    return area, *(np.exp(np.where(present, log, 0.0)) for log in (log_sigma, log_gamma))


def line_cloner(emulator):
    """Return the cloner, which has the profile of the lines: the last step of a Pipeline."""
    cloner = emulator.cloner_
    return cloner[-1] if hasattr(cloner, "steps") else cloner


def find_line(emulator, line, lines):
    """Return the number of a line in the list.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted emulator.
    line : int or float
        Number in the list, or a wavelength in Å, which stands for the strongest line within
        0.1 Å, or else for the nearest line.
    lines : ndarray of shape (..., n_lines, 4)
        The lines at some points.

    Returns
    -------
    int
        Number in the list.

    Raises
    ------
    ValueError
        If the number or the wavelength is out of its range.
    """
    n_lines = lines.shape[-2]
    if isinstance(line, int | np.integer):
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
    """Return the mask of the pixels within a window (low, high), Å; None is all pixels."""
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
