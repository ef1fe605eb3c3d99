"""Search boxes and priors: what is known of each parameter before, for each spectrum."""

import numpy as np

from skphx.observing._light_path import EFFECTS


def boxes_around(centers, half_widths, *, parameter_names=("teff", "logg", "feh")):
    """Search boxes around what is known before: the paper's Teff ± 500 K.

    Parameters
    ----------
    centers : array-like of shape (n_spectra, n_parameters)
        Prior guess of each spectrum's parameters.
    half_widths : dict of str to float
        Half width of the box in the parameters named; the others stay free.
    parameter_names : sequence of str
        Names of the columns of `centers`.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2)
        Lower and upper bounds, NaN where free: what ``predict(spectra, bounds=...)`` takes.

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
    centers = np.asarray(centers, dtype=np.float64)
    if centers.ndim != 2 or centers.shape[1] != len(parameter_names):
        raise ValueError(
            f"centers must have shape (n_spectra, {len(parameter_names)}) for parameter_names="
            f"{tuple(parameter_names)}, got shape {centers.shape}."
        )
    boxes = np.full((*centers.shape, 2), np.nan)
    for name, half_width in half_widths.items():
        if name not in parameter_names:
            raise ValueError(
                f"half_widths names {name!r}, but the parameters are {tuple(parameter_names)}."
            )
        if not half_width > 0:
            raise ValueError(f"half_widths[{name!r}] must be positive, got {half_width}.")
        column = list(parameter_names).index(name)
        boxes[:, column] = centers[:, column, None] + np.array([-half_width, half_width])
    return boxes


def resolve_boxes(bounds, default, n_spectra, *, grid_bounds, parameter_names):
    """Return one box a spectrum, within the grid.

    Parameters
    ----------
    bounds : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), or None
        Boxes asked for; NaN stands for the default.
    default : array-like of shape (n_parameters, 2), or None
        Box where `bounds` says nothing; None is the whole grid.
    n_spectra : int
        Number of spectra.
    grid_bounds : ndarray of shape (n_parameters, 2)
        Ends of the grid; boxes are cut to them.
    parameter_names : sequence of str
        For the messages.

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
    for asked in (default, bounds):
        if asked is None:
            continue
        asked = np.asarray(asked, dtype=np.float64)
        if asked.shape not in (grid_bounds.shape, boxes.shape):
            raise ValueError(
                f"bounds must have shape {grid_bounds.shape} or {boxes.shape}: lower and upper "
                f"bound of {', '.join(parameter_names)}, for all spectra or for each; got shape "
                f"{asked.shape}."
            )
        boxes = np.where(np.isnan(asked), boxes, asked)
    wrong = boxes[..., 0] > boxes[..., 1]
    outside = (boxes[..., 0] > grid_bounds[:, 1]) | (boxes[..., 1] < grid_bounds[:, 0])
    for bad, problem in (
        (wrong, "has a lower bound above its upper bound"),
        (outside, "lies outside the grid"),
    ):
        if bad.any():
            row, column = np.argwhere(bad)[0]
            low, high = boxes[row, column]
            raise ValueError(
                f"bounds of spectrum {row}: {parameter_names[column]} in [{low:g}, {high:g}] "
                f"{problem}, whose {parameter_names[column]} runs from "
                f"{grid_bounds[column, 0]:g} to {grid_bounds[column, 1]:g}; correct the box."
            )
    return np.clip(boxes, grid_bounds[:, :1], grid_bounds[:, 1:])


def priors_around(means, standard_deviations, *, parameter_names=("teff", "logg", "feh")):
    """Gaussian priors around what is known before, such as a photometric Teff.

    Parameters
    ----------
    means : array-like of shape (n_spectra, n_parameters)
        Prior mean of each spectrum's parameters.
    standard_deviations : dict of str to float
        Standard deviation of the parameters named; the others have no prior.
    parameter_names : sequence of str
        Names of the columns of `means`.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2)
        Mean and standard deviation, NaN where there is none: what
        ``predict(spectra, priors=..., sigma=...)`` takes.

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
    means = np.asarray(means, dtype=np.float64)
    if means.ndim != 2 or means.shape[1] != len(parameter_names):
        raise ValueError(
            f"means must have shape (n_spectra, {len(parameter_names)}) for parameter_names="
            f"{tuple(parameter_names)}, got shape {means.shape}."
        )
    priors = np.full((*means.shape, 2), np.nan)
    for name, deviation in standard_deviations.items():
        if name not in parameter_names:
            raise ValueError(
                f"standard_deviations names {name!r}, but the parameters are "
                f"{tuple(parameter_names)}."
            )
        if not deviation > 0:
            raise ValueError(f"standard_deviations[{name!r}] must be positive, got {deviation}.")
        column = list(parameter_names).index(name)
        priors[:, column, 0] = means[:, column]
        priors[:, column, 1] = deviation
    return priors


def resolve_priors(priors, n_spectra, parameter_names):
    """Return one prior a spectrum and parameter.

    Parameters
    ----------
    priors : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), or None
        Mean and standard deviation of each parameter; NaN where there is none.
    n_spectra : int
        Number of spectra.
    parameter_names : sequence of str
        For the messages.

    Returns
    -------
    ndarray of shape (n_spectra, n_parameters, 2), or None
        Mean and standard deviation, both NaN or neither; None where `priors` is None.

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
    """Return one prior a star, stellar parameter and effect.

    Parameters
    ----------
    priors : dict of str to tuple (mean, standard deviation), array-like, or None
        By name, numbers or arrays of shape (n_stars,), for stellar parameters and effects; or an
        array as `resolve_priors` takes, for stellar parameters alone.
    n_stars : int
        Number of stars.
    parameter_names : sequence of str
        Names of the stellar parameters.

    Returns
    -------
    ndarray of shape (n_stars, n_parameters + 4, 2), or None
        Mean and standard deviation; velocity, vsini, macroturbulence and resolution come last.

    Raises
    ------
    ValueError
        If a name is unknown, a shape is wrong, or a standard deviation is not positive.
    """
    if priors is None:
        return None
    names = (*parameter_names, *EFFECTS)
    resolved = np.full((n_stars, len(names), 2), np.nan)
    if not isinstance(priors, dict):
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
