"""Bounds and Gaussian priors of the parameters, for each spectrum."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import KINEMATIC_PARAMETERS
from skphx._input_parameters import plain_parameters


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
    return boxes


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
    values = np.asarray(values, dtype=np.float64)
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


def resolve_boxes(bounds, default, n_spectra, *, grid_bounds, parameter_names):
    """Return one search box for each spectrum, within the grid.

    Parameters
    ----------
    bounds : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), or None
        Boxes given by the user; NaN and None stand for the default.
    default : array-like of shape (n_parameters, 2), or None
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
        If a shape is wrong, a lower bound exceeds its upper bound, or a box and the grid do
        not overlap.
    """
    boxes = np.broadcast_to(grid_bounds, (n_spectra, *grid_bounds.shape)).copy()
    for given in (default, bounds):
        if given is None:
            continue
        given = np.asarray(given, dtype=np.float64)
        if given.shape not in (grid_bounds.shape, boxes.shape):
            raise ValueError(
                f"bounds must have shape {grid_bounds.shape} or {boxes.shape}: lower and upper "
                f"bound of {', '.join(parameter_names)}, for all spectra or for each; got shape "
                f"{given.shape}."
            )
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


def resolve_priors(priors, n_spectra, parameter_names):
    """Return one prior for each spectrum and parameter.

    Parameters
    ----------
    priors : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), or None
        Mean and standard deviation of each parameter; NaN where there is no prior.
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
        If the shape is wrong, or a standard deviation is not positive.
    """
    if priors is None:
        return None
    priors = np.asarray(priors, dtype=np.float64)
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
    resolved = np.full((n_stars, len(names), 2), np.nan)
    if not isinstance(priors, Mapping):
        resolved[:, : len(parameter_names)] = resolve_priors(priors, n_stars, parameter_names)
        return resolved
    for name, prior in priors.items():
        if name not in names:
            raise ValueError(f"priors names {name!r}, but the parameters are {names}.")
        if len(prior) != 2:
            raise ValueError(
                f"priors[{name!r}] must be (mean, standard deviation), got {prior!r}."
            )
        for place, values in enumerate(prior):
            if np.shape(values) not in ((), (n_stars,)):
                raise ValueError(
                    f"priors[{name!r}] must hold numbers or arrays of shape ({n_stars},), got "
                    f"shape {np.shape(values)}."
                )
            resolved[:, names.index(name), place] = values
    return resolve_priors(resolved, n_stars, names)


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
