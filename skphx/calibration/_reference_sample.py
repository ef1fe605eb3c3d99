"""What LineCalibrator is given, checked: the emulators, and the stars with their parameters."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skphx._domain import check_medium
from skphx._input_parameters import plain_parameters
from skphx.calibration._reference_star import ReferenceStar
from skphx.flux._base import SpectralEmulator
from skphx.inference._infer import _check_errors
from skphx.inference._star_list import check_flat_list, list_stars, naming_star
from skphx.lines._manifold_regressor import LineManifoldRegressor


@dataclass(eq=False)
class ReferenceSample:
    """Reference stars.

    Attributes
    ----------
    stars : list of ReferenceStar
        The stars.
    parameters, errors : ndarray of shape (n_stars, n_parameters)
        Their stellar parameters, with standard errors.
    families : ndarray of shape (n_stars,), int
        Equal numbers for spectra of one star.
    names : list of str
        Names of the stars, or their numbers.
    """

    stars: list[ReferenceStar]
    parameters: NDArray[np.float64]
    errors: NDArray[np.float64]
    families: NDArray[np.int_]
    names: list[str]


def check_emulators(emulator, lines, *, needs_medium):
    """Return the emulator to correct, and the one with the lines.

    Parameters
    ----------
    emulator, lines
        Those of LineCalibrator.
    needs_medium : bool
        Whether the medium of the emulator must be known.

    Returns
    -------
    emulator : SpectralEmulator
        The fitted emulator, not frozen.
    lines : LineManifoldRegressor
        The same of the lines.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        As `LineCalibrator.fit` for its emulators.
    """
    is_same = lines is None
    emulator = _unfrozen(emulator)
    if not isinstance(emulator, SpectralEmulator):
        raise TypeError(
            f"emulator must be a fitted FluxEmulator or LineManifoldRegressor, got "
            f"{type(emulator).__name__}."
        )
    check_is_fitted(emulator)
    lines = emulator if is_same else _unfrozen(lines)
    # Other emulators of lines lack some at some nodes, or do not add optical depths.
    if not isinstance(lines, LineManifoldRegressor):
        raise TypeError(
            f"there are no lines to correct: {type(lines).__name__} has none that run along "
            f"its grid. Give a fitted LineManifoldRegressor as emulator, or as lines=."
        )
    check_is_fitted(lines)
    names, own = emulator.grid_.parameter_names, lines.grid_.parameter_names
    if not set(own) <= set(names):
        raise ValueError(
            f"lines must depend on parameters of the emulator, {', '.join(names)}, got "
            f"{', '.join(own)}."
        )
    if not is_same and emulator.medium != lines.medium:
        raise ValueError(
            f"emulator and lines must be in one medium, got {emulator.medium!r} and "
            f"{lines.medium!r}."
        )
    if needs_medium:
        check_medium(emulator.medium, required=True)
    return emulator, lines


def reference_sample(emulator, model, stars, parameters, parameter_errors, groups):
    """Return the checked stars with their parameters.

    Parameters
    ----------
    emulator : SpectralEmulator
        The fitted emulator.
    model : ObservationModel
        Settings of the forward model; `continuum_degree` is a number or None.
    stars, parameters, parameter_errors, groups
        As in `LineCalibrator.fit`.

    Returns
    -------
    ReferenceSample
        The stars.

    Raises
    ------
    TypeError, ValueError
        As `LineCalibrator.fit` for stars and parameters.
    """
    star_list, names, _ = list_stars(stars)
    values, errors = check_values(emulator.grid_, len(star_list), parameters, parameter_errors)
    segmented = []
    for number, star in enumerate(star_list):
        with naming_star(number):
            segmented.append(model.segments_of(star, emulator.medium))
            _check_errors(segmented[-1])
    check_flat_list(star_list, segmented)
    references = []
    for number, segments in enumerate(segmented):
        with naming_star(number):
            references.append(
                ReferenceStar(emulator, segments, model, values[number], errors[number], number)
            )
    families = check_families(groups, len(star_list))
    named = [str(number if name is None else name) for number, name in enumerate(names)]
    return ReferenceSample(references, values, errors, families, named)


def check_values(grid, n_stars, parameters, parameter_errors):
    """Return parameters and errors of the stars, (n_stars, n_parameters) each.

    Parameters
    ----------
    grid : NodeGrid
        Grid of the emulator.
    n_stars : int
        Number of stars.
    parameters, parameter_errors
        As in `LineCalibrator.fit`.

    Returns
    -------
    values, errors : ndarray of shape (n_stars, n_parameters)
        The numbers; errors are 0 without `parameter_errors`.

    Raises
    ------
    ValueError
        If a shape or a value is wrong.
    """
    values = np.asarray(
        plain_parameters(parameters, grid.parameter_names, "parameters"), dtype=np.float64
    )
    shape = (n_stars, grid.n_parameters)
    if n_stars == 0 or values.shape != shape:
        raise ValueError(
            f"parameters must hold one row for each star, shape {shape}, and one star or more, "
            f"got shape {values.shape}."
        )
    finite = np.isfinite(values).all(axis=1)
    inside = np.zeros(n_stars, dtype=bool)
    inside[finite] = grid.contains(values[finite])
    if not inside.all():
        star = int(np.argmin(inside))
        raise ValueError(
            f"parameters of star {star} must be finite and inside the grid, "
            f"{grid.bounds.tolist()} of {', '.join(grid.parameter_names)}, got "
            f"{values[star].tolist()}; leave the star out, or use a larger grid."
        )
    errors = np.zeros(shape)
    if parameter_errors is not None:
        given = np.asarray(parameter_errors, dtype=np.float64)
        if given.shape not in (shape, shape[1:]):
            raise ValueError(
                f"parameter_errors must have shape {shape} or {shape[1:]}, got {given.shape}."
            )
        if not ((given >= 0) & np.isfinite(given)).all():
            raise ValueError(
                "parameter_errors must be finite and 0 or more; 0 holds a parameter, and a large "
                "number leaves it free."
            )
        errors[:] = given
    return values, errors


def check_families(groups, n_stars):
    """Return a number for each star; equal ones are left out together.

    Parameters
    ----------
    groups : array-like of shape (n_stars,) or None
        Equal values for spectra of one star.
    n_stars : int
        Number of stars.

    Returns
    -------
    ndarray of shape (n_stars,), int
        The numbers.

    Raises
    ------
    ValueError
        If the shape is wrong.
    """
    if groups is None:
        return np.arange(n_stars)
    groups = np.asarray(groups)
    if groups.shape != (n_stars,):
        raise ValueError(f"groups must have shape {(n_stars,)}, got {groups.shape}.")
    return np.unique(groups, return_inverse=True)[1]


def _unfrozen(emulator):
    """Return the emulator within a FrozenEstimator, and others as they are."""
    return emulator.estimator if isinstance(emulator, FrozenEstimator) else emulator
