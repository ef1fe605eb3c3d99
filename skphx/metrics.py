"""Errors of predicted spectra and of predicted stellar parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from skphx._input_parameters import plain_parameters
from skphx._plain import column_names, plain_numbers

__all__ = ["flux_rms", "mean_parameter_error", "parameter_errors"]


def _as_pair(
    y_true: ArrayLike, y_pred: ArrayLike, columns: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Convert both arrays to float64 and the same two-dimensional shape; one row may be flat."""
    y_true, y_pred = plain_numbers(y_true, "y_true"), plain_numbers(y_pred, "y_pred")
    true = np.atleast_2d(np.asarray(y_true, dtype=np.float64))
    predicted = np.atleast_2d(np.asarray(y_pred, dtype=np.float64))
    if true.shape != predicted.shape or true.ndim != 2:
        raise ValueError(
            f"y_true and y_pred must have the same shape (n_spectra, {columns}), got "
            f"{true.shape} and {predicted.shape}."
        )
    for name, array in (("y_true", true), ("y_pred", predicted)):
        bad = ~np.isfinite(array)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise ValueError(
                f"{name} must be finite, but row {row}, column {column} is "
                f"{array[row, column]}; remove this spectrum or pixel from both arrays."
            )
    return true, predicted


@overload
def flux_rms(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    per_spectrum: Literal[False] = False,
) -> float: ...


@overload
def flux_rms(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    per_spectrum: Literal[True],
) -> NDArray[np.float64]: ...


def flux_rms(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    sample_weight: ArrayLike | None = None,
    per_spectrum: bool = False,
) -> float | NDArray[np.float64]:
    """Root mean square difference of flux over the pixels of each spectrum.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_spectra, n_pixels) or (n_pixels,)
        True and predicted flux, in the same unit.
    sample_weight : array-like of shape (n_spectra,), or None
        Weights of the spectra in the mean.
    per_spectrum : bool
        Whether to return one value for each spectrum instead of their mean.

    Returns
    -------
    float or ndarray of shape (n_spectra,)
        Mean over the spectra of the rms of each spectrum, or the rms of each spectrum; in the
        unit of the flux. It is not the rms of all pixels together, in which a single bad
        spectrum would dominate.

    Raises
    ------
    ValueError
        If the shapes differ, or a value is not finite, masked or has a unit.

    Examples
    --------
    >>> from sklearn.metrics import make_scorer
    >>> from skphx.metrics import flux_rms
    >>> flux_rms([[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [0.5, 1.5]])
    0.25
    >>> scorer = make_scorer(flux_rms, greater_is_better=False)
    """
    true, predicted = _as_pair(y_true, y_pred, "n_pixels")
    rms = np.sqrt(np.mean((true - predicted) ** 2, axis=1))
    if per_spectrum:
        return rms
    check_consistent_length(rms, sample_weight)
    weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    return float(np.average(rms, weights=weights))


@dataclass(frozen=True)
class ParameterErrors:
    """Errors of inferred stellar parameters, one element for each parameter.

    Attributes
    ----------
    parameter_names : tuple of str
        The parameters, in the order of the arrays.
    mean_absolute : ndarray of shape (n_parameters,)
        Mean of ``|predicted - true|``.
    bias : ndarray of shape (n_parameters,)
        Mean of ``predicted - true``.
    scatter : ndarray of shape (n_parameters,)
        Standard deviation of ``predicted - true`` about the bias.
    n_spectra : int
        Number of spectra.
    """

    parameter_names: tuple[str, ...]
    mean_absolute: NDArray[np.float64]
    bias: NDArray[np.float64]
    scatter: NDArray[np.float64]
    n_spectra: int

    def as_dict(self) -> dict[str, dict[str, float]]:
        """Return the errors as a dict of numbers.

        Returns
        -------
        dict
            ``{parameter: {"mean_absolute": ..., "bias": ..., "scatter": ...}}``.
        """
        return {
            name: {
                "mean_absolute": float(self.mean_absolute[column]),
                "bias": float(self.bias[column]),
                "scatter": float(self.scatter[column]),
            }
            for column, name in enumerate(self.parameter_names)
        }

    def __str__(self) -> str:
        width = max(9, *(len(name) for name in self.parameter_names))
        rows = [f"{'parameter':<{width}} {'mean abs':>10} {'bias':>10} {'scatter':>10}"]
        for name, errors in self.as_dict().items():
            figures = " ".join(f"{value:>10.4g}" for value in errors.values())
            rows.append(f"{name:<{width}} {figures}")
        return "\n".join(rows)


def parameter_errors(
    y_true: ArrayLike, y_pred: ArrayLike, parameter_names: Sequence[str] | None = None
) -> ParameterErrors:
    """Mean absolute error, bias and scatter of each stellar parameter.

    Parameters
    ----------
    y_true, y_pred : array-like or table of shape (n_spectra, n_parameters)
        True and predicted parameters. The columns of tables are found by their names.
    parameter_names : sequence of str, or None
        One name for each column; None is ``x0, x1, ...``, or the names of the columns if both
        are tables.

    Returns
    -------
    ParameterErrors
        With `parameter_names`; `mean_absolute`, `bias` and `scatter`, ndarrays of shape
        (n_parameters,), the mean of ``|predicted - true|``, the mean of ``predicted - true`` and
        its standard deviation about the bias, in the unit of each parameter; and `n_spectra`.
        ``print`` shows a table, ``as_dict()`` gives numbers.

    Raises
    ------
    ValueError
        If the shapes differ, a value is not finite, masked or has a unit, the number of names
        is wrong, or one of the two is a table with named columns, the other is not, and
        `parameter_names` is None.

    Examples
    --------
    >>> from skphx.metrics import parameter_errors
    >>> true = [[5000, 4.0], [6000, 4.5]]
    >>> print(parameter_errors(true, [[5010, 4.1], [5970, 4.6]], ("teff", "logg")))
    parameter   mean abs       bias    scatter
    teff              20        -10         20
    logg             0.1        0.1          0
    """
    if parameter_names is None:
        parameter_names = _common_names(y_true, y_pred)
    true, predicted = _as_pair(
        plain_parameters(y_true, parameter_names, "y_true"),
        plain_parameters(y_pred, parameter_names, "y_pred"),
        "n_parameters",
    )
    n_spectra, n_parameters = true.shape
    if parameter_names is None:
        parameter_names = [f"x{column}" for column in range(n_parameters)]
    if len(parameter_names) != n_parameters:
        raise ValueError(
            f"parameter_names has {len(parameter_names)} names but y_true has {n_parameters} "
            f"columns; give one name for each column."
        )
    error = predicted - true
    return ParameterErrors(
        parameter_names=tuple(parameter_names),
        mean_absolute=np.mean(np.abs(error), axis=0),
        bias=np.mean(error, axis=0),
        scatter=np.std(error, axis=0),
        n_spectra=n_spectra,
    )


def _common_names(y_true, y_pred):
    """Return the names of the columns of two tables, or None if neither has names."""
    names, others = column_names(y_true), column_names(y_pred)
    if (names is None) == (others is None):
        return names
    has, lacks = ("y_true", "y_pred") if others is None else ("y_pred", "y_true")
    raise ValueError(
        f"{has} has columns named {', '.join(names or others or ())}, and {lacks} has no names; "
        f"pass parameter_names, the parameters in the order of the columns of {lacks}."
    )


def mean_parameter_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    parameter: str | int,
    parameter_names: Sequence[str] | None = None,
) -> float:
    """Mean absolute error of one stellar parameter, for scorers.

    Parameters
    ----------
    y_true, y_pred : array-like or table of shape (n_spectra, n_parameters)
        True and predicted parameters. The columns of tables are found by their names.
    parameter : str or int
        Name or column of the parameter.
    parameter_names : sequence of str, or None
        One name for each column; None is ``x0, x1, ...``.

    Returns
    -------
    float
        Mean absolute error, in the parameter's unit.

    Raises
    ------
    ValueError
        If the parameter does not exist, or as for `parameter_errors`.

    Examples
    --------
    >>> from sklearn.metrics import make_scorer
    >>> from skphx.metrics import mean_parameter_error
    >>> mean_parameter_error([[5000, 4.0]], [[5010, 4.1]], parameter=0)
    10.0
    >>> scorer = make_scorer(mean_parameter_error, greater_is_better=False, parameter="teff",
    ...                      parameter_names=("teff", "logg", "feh"))
    """
    errors = parameter_errors(y_true, y_pred, parameter_names)
    names = errors.parameter_names
    if isinstance(parameter, str):
        if parameter not in names:
            raise ValueError(f"parameter must be one of {names}, got {parameter!r}.")
        parameter = names.index(parameter)
    elif not 0 <= parameter < len(names):
        raise ValueError(
            f"parameter must be a column from 0 to {len(names) - 1}, got {parameter}."
        )
    return float(errors.mean_absolute[parameter])
