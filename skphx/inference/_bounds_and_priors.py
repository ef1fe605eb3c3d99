"""Bounds and Gaussian priors of the parameters, for each spectrum."""

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import KINEMATIC_PARAMETERS, unit_of_parameter
from skphx._input_parameters import plain_parameters
from skphx._plain import as_quantity, float_array, plain_numbers, refuse_masked, unit_of

# Mean and standard deviation of [X/Fe] where nothing else is said, dex: about twice the scatter
# among stars of the Galactic disc.
ABUNDANCE_PRIOR = (0.0, 0.3)
# What to do about masked bounds and priors.
_ABSENT = "NaN stands for no value"
# Bounds that exceed the grid by less than this part of its width do so by rounding.
_ROUNDING = 1e-9


class _BoxesAround(np.ndarray):
    """Boxes around known values: near the edge of a grid, all of them go beyond it."""

    def __repr__(self):
        return repr(np.asarray(self))


def boxes_around(
    centers: ArrayLike,
    half_widths: Mapping[str, float],
    *,
    parameter_names: Sequence[str] = ("teff", "logg", "feh"),
) -> NDArray[np.float64]:
    """Make search boxes around known values, such as the paper's Teff ± 500 K.

    Parameters
    ----------
    centers : array-like of shape (n_spectra, n_parameters)
        Known values of each spectrum's parameters.
    half_widths : dict of str to float
        Half width of the box, by parameter name; other parameters have no bounds.
    parameter_names : sequence of str
        Names of the columns of `centers`.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2)
        Lower and upper bounds, NaN where there is none, for ``predict(spectra, bounds=...)``.
        Where such a box goes beyond the grid it is cut, without a warning.

    Raises
    ------
    ValueError
        If a name is unknown or a half width is not positive.

    Examples
    --------
    >>> from skphx.inference import boxes_around
    >>> boxes_around([[5700.0, 4.4, 0.0]], {"teff": 500.0})
    array([[[5200., 6200.],
            [  nan,   nan],
            [  nan,   nan]]])
    """
    values = _check_values(centers, parameter_names, "centers")
    boxes = np.full((*values.shape, 2), np.nan)
    for name, half_width in half_widths.items():
        column = _column_of(name, half_width, parameter_names, "half_widths")
        boxes[:, column] = values[:, column, None] + np.array([-half_width, half_width])
    return boxes.view(_BoxesAround)


def priors_around(
    means: ArrayLike,
    standard_deviations: Mapping[str, float],
    *,
    parameter_names: Sequence[str] = ("teff", "logg", "feh"),
) -> NDArray[np.float64]:
    """Make Gaussian priors around known values, such as a photometric Teff.

    Parameters
    ----------
    means : array-like of shape (n_spectra, n_parameters)
        Prior mean of each spectrum's parameters.
    standard_deviations : dict of str to float
        Standard deviation, by parameter name; other parameters have no prior.
    parameter_names : sequence of str
        Names of the columns of `means`.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2)
        Mean and standard deviation, NaN where there is no prior, for
        ``predict(spectra, priors=..., sigma=...)``.

    Raises
    ------
    ValueError
        If a name is unknown or a standard deviation is not positive.

    Examples
    --------
    >>> from skphx.inference import priors_around
    >>> priors_around([[5700.0, 4.4, 0.0]], {"logg": 0.1})
    array([[[nan, nan],
            [4.4, 0.1],
            [nan, nan]]])
    """
    values = _check_values(means, parameter_names, "means")
    priors = np.full((*values.shape, 2), np.nan)
    for name, deviation in standard_deviations.items():
        column = _column_of(name, deviation, parameter_names, "standard_deviations")
        priors[:, column, 0] = values[:, column]
        priors[:, column, 1] = deviation
    return priors


def _check_values(values, parameter_names, argument):
    """Return an array of one row for each spectrum and one column for each parameter."""
    values = plain_parameters(values, parameter_names, argument)
    values = float_array(values, argument)
    if values.ndim != 2 or values.shape[1] != len(parameter_names):
        raise ValueError(
            f"{argument} must have shape (n_spectra, {len(parameter_names)}) for parameter_names="
            f"{tuple(parameter_names)}, got shape {values.shape}."
        )
    return values


def _column_of(name, width, parameter_names, argument):
    """Return the column of a parameter; raise if its name or its width is wrong."""
    if name not in parameter_names:
        raise ValueError(
            f"{argument} names {name!r}, but the parameters are {tuple(parameter_names)}."
        )
    if not width > 0:
        raise ValueError(f"{argument}[{name!r}] must be positive, got {width}.")
    return list(parameter_names).index(name)


def completed(pairs, own, grid):
    """Complete arrays for the parameters of a grid by NaN for its abundances.

    Parameters
    ----------
    pairs : array-like of shape (n_own, 2) or (n_spectra, n_own, 2), mapping or None
        Bounds or priors.
    own, grid : NodeGrid
        The grid, and the same with abundances.

    Returns
    -------
    ndarray, mapping or None
        The same, or an array with NaN for each abundance.
    """
    n_more = grid.n_parameters - own.n_parameters
    if pairs is None or isinstance(pairs, Mapping) or n_more == 0:
        return pairs
    array = float_array(plain_numbers(pairs, "bounds or priors", remedy=_ABSENT), "pairs")
    if array.ndim < 2 or array.shape[-2] != own.n_parameters:
        return pairs
    padding = [(0, 0)] * (array.ndim - 2) + [(0, n_more), (0, 0)]
    whole = np.pad(array, padding, constant_values=np.nan)
    return whole.view(_BoxesAround) if isinstance(pairs, _BoxesAround) else whole


def resolve_boxes(bounds, default, n_spectra, *, grid_bounds, parameter_names):
    """Return one search box for each spectrum, within the grid.

    Parameters
    ----------
    bounds : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), mapping, None
        Boxes given by the user: an array, or ``{"teff": (low, high)}`` with numbers or arrays of
        shape (n_spectra,). NaN and None, and parameters without a name, stand for the default.
    default : array-like of shape (n_parameters, 2), mapping or None
        Default box; NaN and None stand for the whole grid.
    n_spectra : int
        Number of spectra.
    grid_bounds : ndarray of shape (n_parameters, 2)
        Limits of the grid; boxes are cut to them.
    parameter_names : sequence of str
        Names of the parameters, for the messages.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2)
        Finite lower and upper bounds.

    Raises
    ------
    ValueError
        If a shape or a name is wrong, a lower bound exceeds its upper bound, or a box and the
        grid do not overlap.
    """
    boxes = np.broadcast_to(grid_bounds, (n_spectra, *grid_bounds.shape)).copy()
    for given in (default, bounds):
        if given is not None:
            given = _bounds_array(given, n_spectra, parameter_names)
            boxes = np.where(np.isnan(given), boxes, given)
    wrong = boxes[..., 0] > boxes[..., 1]
    outside = (boxes[..., 0] > grid_bounds[:, 1]) | (boxes[..., 1] < grid_bounds[:, 0])
    for bad, problem in (
        (wrong, "has a lower bound above its upper bound"),
        (outside, "lies outside the grid"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            low, high = boxes[row, column]
            name = parameter_names[column]
            raise ValueError(
                f"bounds of spectrum {row}: {name} in [{low:g}, {high:g}] {problem}; {name} of "
                f"the grid runs from {grid_bounds[column, 0]:g} to {grid_bounds[column, 1]:g}. "
                f"Correct the bounds."
            )
    return np.clip(boxes, grid_bounds[:, :1], grid_bounds[:, 1:])


def _bounds_array(bounds, n_spectra, parameter_names):
    """Return bounds as an array of shape (n_parameters, 2) or (n_spectra, n_parameters, 2)."""
    if isinstance(bounds, Mapping):
        kinematic = sorted(set(bounds) & set(KINEMATIC_PARAMETERS) - set(parameter_names))
        if kinematic:
            raise ValueError(
                f"bounds names {kinematic[0]!r}, but are bounds of the stellar parameters "
                f"{tuple(parameter_names)}; write infer(stars, {kinematic[0]}=(low, high))."
            )
        return _by_name(bounds, n_spectra, parameter_names, "bounds", "(low, high)")
    array = float_array(plain_numbers(bounds, "bounds", remedy=_ABSENT), "bounds")
    shape = (len(parameter_names), 2)
    if array.shape not in (shape, (n_spectra, *shape)):
        raise ValueError(
            f"bounds must have shape {shape} or {(n_spectra, *shape)}: lower and upper "
            f"bound of {', '.join(parameter_names)}, for all spectra or for each; got shape "
            f"{array.shape}."
        )
    return array


def _by_name(pairs, n_spectra, names, argument, meaning):
    """Return pairs of values by parameter name as an array, NaN for other parameters.

    Parameters
    ----------
    pairs : mapping of str to pair
        Two numbers, or arrays of shape (n_spectra,), or None, for each name.
    n_spectra : int
        Number of spectra.
    names : sequence of str
        Names of the parameters.
    argument, meaning : str
        Name of the argument, and of the two values, for the messages.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2)
        The values.

    Raises
    ------
    ValueError
        If a name is unknown, or a shape or a unit is wrong.
    """
    names = tuple(names)
    resolved = np.full((n_spectra, len(names), 2), np.nan)
    for name, pair in pairs.items():
        if name not in names:
            raise ValueError(
                f"{argument} names {name!r}, but the parameters are {names}: use one of them."
            )
        if not hasattr(pair, "__iter__") or len(pair) != 2:
            raise ValueError(f"{argument}[{name!r}] must be {meaning}, got {pair!r}.")
        for place, values in enumerate(pair):
            values = np.nan if values is None else _without_unit(values, name, argument)
            values = float_array(values, f"{argument}[{name!r}]")
            if np.shape(values) not in ((), (n_spectra,)):
                raise ValueError(
                    f"{argument}[{name!r}] must hold numbers or arrays of shape ({n_spectra},), "
                    f"got shape {np.shape(values)}."
                )
            resolved[:, names.index(name), place] = values
    return resolved


def _without_unit(values, name, argument):
    """Return Quantities in the unit of the parameter, and other values as they are."""
    refuse_masked(values, f"{argument}[{name!r}]", remedy=_ABSENT)
    if unit_of(values) is None:
        return values
    from astropy.units import UnitConversionError

    values = as_quantity(values, f"{argument}[{name!r}]")

    expected = unit_of_parameter(name) or ""
    # A standard deviation of log g is in dex alone.
    for unit in (expected, "dex") if expected.startswith("dex") else (expected,):
        try:
            return values.to_value(unit)
        except UnitConversionError:
            continue
    raise ValueError(
        f"{argument}[{name!r}] must be in {expected or 'no unit'}, got {values.unit}; convert it, "
        f"or give numbers."
    )


def warn_of_cut(bounds, n_spectra, *, grid_bounds, parameter_names):
    """Warn once if bounds go beyond the grid, and say to what they are cut.

    Bounds of :func:`boxes_around` and infinite ones are cut without a warning.

    Parameters
    ----------
    bounds, n_spectra, grid_bounds, parameter_names
        As in :func:`resolve_boxes`, which must have accepted the bounds.
    """
    if bounds is None or isinstance(bounds, _BoxesAround):
        return
    given = _bounds_array(bounds, n_spectra, parameter_names).reshape(-1, *grid_bounds.shape)
    beyond = _ROUNDING * np.ptp(grid_bounds, axis=1)[:, None] * [-1.0, 1.0] + grid_bounds
    cut = np.stack([given[..., 0] < beyond[:, 0], given[..., 1] > beyond[:, 1]], axis=2)
    cut &= np.isfinite(given)
    texts = []
    for column in np.flatnonzero(cut.any(axis=(0, 2))):
        low, high = grid_bounds[column]
        rows = np.flatnonzero(cut[:, column].any(axis=1))
        own = given[rows[0], column]
        used = np.clip(np.where(np.isnan(own), [low, high], own), low, high)
        where = ""
        if not np.array_equal(given[:, column], np.tile(own, (len(given), 1)), equal_nan=True):
            others = "" if len(rows) == 1 else f" (and of {len(rows) - 1} more)"
            where = f" of spectrum {rows[0]}{others}"
        texts.append(
            f"{parameter_names[column]}{where} from [{own[0]:g}, {own[1]:g}] to "
            f"[{used[0]:g}, {used[1]:g}]"
        )
    if texts:
        warnings.warn(
            f"bounds go beyond the grid and are cut: {'; '.join(texts)}. Values outside the grid "
            f"cannot be found: give bounds within it, or use a larger grid.",
            UserWarning,
            stacklevel=4,
        )


def resolve_priors(priors, n_spectra, parameter_names):
    """Return one prior for each spectrum and parameter.

    Parameters
    ----------
    priors : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), mapping, None
        Mean and standard deviation of each parameter, NaN where there is no prior; or
        ``{"teff": (mean, standard deviation)}`` with numbers or arrays of shape (n_spectra,).
    n_spectra : int
        Number of spectra.
    parameter_names : sequence of str
        Names of the parameters, for the messages.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2), or None
        Mean and standard deviation, both NaN or neither; None if `priors` is None.

    Raises
    ------
    ValueError
        If a shape or a name is wrong, or a standard deviation is not positive.
    """
    if priors is None:
        return None
    if isinstance(priors, Mapping):
        priors = _by_name(
            priors, n_spectra, parameter_names, "priors", "(mean, standard deviation)"
        )
    priors = float_array(plain_numbers(priors, "priors", remedy=_ABSENT), "priors")
    shape = (len(parameter_names), 2)
    if priors.shape not in (shape, (n_spectra, *shape)):
        raise ValueError(
            f"priors must have shape {shape} or {(n_spectra, *shape)}: mean and standard "
            f"deviation of {', '.join(parameter_names)}, for all spectra or for each; got shape "
            f"{priors.shape}."
        )
    priors = np.broadcast_to(priors, (n_spectra, *shape)).copy()
    wrong = (priors[..., 1] <= 0) | (np.isnan(priors).sum(axis=2) == 1)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        mean, deviation = priors[row, column]
        raise ValueError(
            f"priors of spectrum {row}: {parameter_names[column]} has mean {mean:g} and standard "
            f"deviation {deviation:g}; give a mean and a positive deviation, or NaN for both."
        )
    return priors


def resolve_observed_priors(priors, n_stars, parameter_names):
    """Return one prior for each star and parameter, kinematic and instrumental ones included.

    Parameters
    ----------
    priors : mapping of str to tuple (mean, standard deviation), array-like, or None
        Priors by parameter name, each two numbers or arrays of shape (n_stars,); or an array as
        `resolve_priors` takes, of the stellar parameters.
    n_stars : int
        Number of stars.
    parameter_names : sequence of str
        Names of the stellar parameters.

    Returns
    -------
    ndarray of shape (n_stars, n_parameters + 4, 2), or None
        Mean and standard deviation; velocity, vsini, macroturbulence and resolution are last.

    Raises
    ------
    ValueError
        If a name is unknown, a shape is wrong, or a standard deviation is not positive.
    """
    if priors is None:
        return None
    names = (*parameter_names, *KINEMATIC_PARAMETERS)
    if isinstance(priors, Mapping):
        return resolve_priors(priors, n_stars, names)
    resolved = np.full((n_stars, len(names), 2), np.nan)
    resolved[:, : len(parameter_names)] = resolve_priors(priors, n_stars, parameter_names)
    return resolved


def with_usual_abundances(resolved, given, n_stars, grid):
    """Add the usual prior of abundances where the user gives none.

    Parameters
    ----------
    resolved : ndarray of shape (n_stars, n_parameters + 4, 2) or None
        From `resolve_observed_priors`.
    given : mapping, array-like or None
        Priors as the user gave them; abundances that a mapping names keep what it says.
    n_stars : int
        Number of stars.
    grid : AbundanceGrid
        The grid with abundances.

    Returns
    -------
    ndarray of shape (n_stars, n_parameters + 4, 2)
        Mean and standard deviation.
    """
    if resolved is None:
        resolved = np.full((n_stars, grid.n_parameters + len(KINEMATIC_PARAMETERS), 2), np.nan)
    named = given if isinstance(given, Mapping) else ()
    for column in range(grid.n_base, grid.n_parameters):
        if grid.parameter_names[column] not in named:
            absent = np.isnan(resolved[:, column]).all(axis=1)
            resolved[absent, column] = ABUNDANCE_PRIOR
    return resolved


def draw_points(box, n_points, random_state):
    """Draw points uniformly from a box.

    Parameters
    ----------
    box : ndarray of shape (n_parameters, 2)
        Lower and upper bounds.
    n_points : int
        Number of points.
    random_state : numpy.random.RandomState
        Random numbers.

    Returns
    -------
    ndarray of shape (n_points, n_parameters)
        The points.
    """
    unit = random_state.uniform(size=(n_points, len(box)))
    return box[:, 0] + unit * (box[:, 1] - box[:, 0])
