"""Checks of the stellar parameters that estimators and grids get: names and units of columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphx._domain import PARAMETER_UNITS
from skphx._plain import as_quantity, by_name, column_names, plain_numbers, refuse_masked, unit_of


def parameter_columns(
    values: Any, names: Sequence[str] | None, argument: str
) -> tuple[Any, dict[str, str]]:
    """Return stellar parameters as an array with the columns in order, and units of columns.

    Parameters
    ----------
    values : array-like or table of shape (n_spectra, n_parameters)
        Parameters. The columns of tables (DataFrame, Table of astropy, structured array, mapping)
        are found by their names. Columns may be Quantities.
    names : sequence of str or None
        Names of the columns, in order. None is unknown: columns keep their order.
    argument : str
        Name of the argument, for the messages.

    Returns
    -------
    values : object
        An ndarray of shape (n_spectra, n_parameters) of a table, a DataFrame of a DataFrame whose
        columns are numbers, and other objects as they are.
    units : dict
        Units of the columns that are not in `PARAMETER_UNITS`, such as ``km / s``, by name.

    Raises
    ------
    ValueError
        If the columns have other names, an element is masked, or a unit cannot be converted.

    Examples
    --------
    >>> from astropy import units
    >>> from skphx._input_parameters import parameter_columns
    >>> table = {"logg": [4.5], "teff": [5.0] * units.kK}
    >>> parameter_columns(table, ("teff", "logg"), "X")[0]
    array([[5.0e+03, 4.5e+00]])
    """
    if names is not None:
        names = (names,) if isinstance(names, str) else tuple(str(name) for name in names)
    given = column_names(values)
    if given is None:
        refuse_masked(values, argument)
        unit = unit_of(values)
        if unit is not None and names is not None and len(names) == 1:
            column, unit = _in_usual_unit(np.ravel(as_quantity(values, argument)), names[0])
            return column.reshape(-1, 1), _other_unit(names[0], unit)
        return plain_numbers(values, argument), {}
    order = given if names is None else names
    columns = by_name(values, order, argument)
    assert columns is not None  # because there are names
    units: dict[str, str] = {}
    if hasattr(values, "dtypes") and hasattr(values, "loc"):
        return values[list(order)], units  # pandas, of which scikit-learn keeps the names
    numbers = []
    for name, column in columns.items():
        refuse_masked(column, f"{argument}[{name!r}]")
        if unit_of(column) is not None:
            column, unit = _in_usual_unit(as_quantity(column, f"{argument}[{name!r}]"), name)
            units |= _other_unit(name, unit)
        try:
            numbers.append(np.atleast_1d(np.asarray(column, dtype=np.float64)))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{argument}[{name!r}] must hold numbers: {error}.") from error
    lengths = {name: len(column) for name, column in zip(order, numbers, strict=True)}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"the columns of {argument} have different lengths: {lengths}; give one value for "
            f"each spectrum."
        )
    return np.column_stack(numbers), units


def plain_parameters(values: Any, names: Sequence[str] | None, argument: str) -> Any:
    """Return stellar parameters for an estimator, which keeps no units of columns.

    Parameters
    ----------
    values, names, argument
        As for `parameter_columns`.

    Returns
    -------
    object
        As from `parameter_columns`.

    Raises
    ------
    ValueError
        As by `parameter_columns`, and if a column has another unit than stellar parameters have.
    """
    columns, units = parameter_columns(values, names, argument)
    if units:
        name, unit = next(iter(units.items()))
        raise ValueError(
            f"{argument}[{name!r}] has the unit {unit}, which would be lost; pass plain numbers, "
            f"always in the same unit."
        )
    return columns


def parameter_value(value: Any, name: str) -> Any:
    """Return one value or several of a parameter as plain numbers in its usual unit.

    Parameters
    ----------
    value : float, Quantity, tuple or list of these, or None
        The values.
    name : str
        Name of the parameter, such as "teff".

    Returns
    -------
    object
        The same without units; tuples stay tuples.

    Raises
    ------
    ValueError
        If a unit cannot be converted, or a value is masked.

    Examples
    --------
    >>> from astropy import units
    >>> from skphx._input_parameters import parameter_value
    >>> parameter_value((4 * units.kK, 5 * units.kK), "teff")
    (4000.0, 5000.0)
    """
    refuse_masked(value, name)
    if unit_of(value) is None:
        return value
    numbers = _in_usual_unit(as_quantity(value, name), name)[0]
    return tuple(numbers.tolist()) if isinstance(value, tuple) else numbers


def _in_usual_unit(quantity: Any, name: str) -> tuple[NDArray[np.float64], str | None]:
    """Return numbers in the unit that a parameter has in grids, and this unit."""
    from astropy import units

    unit = quantity.unit
    usual = PARAMETER_UNITS.get(name)
    is_log = unit == units.dex or hasattr(unit, "physical_unit")
    try:
        if name == "teff":
            return np.asarray(quantity.to_value(units.K, units.temperature())), usual
        if name == "logg" and unit.is_equivalent(units.cm / units.s**2) and not is_log:
            return np.log10(quantity.to_value(units.cm / units.s**2)), usual
        if unit == units.dex:
            return np.asarray(quantity.value, dtype=np.float64), usual or "dex"
        if is_log:
            of = units.cm / units.s**2 if name == "logg" else units.dimensionless_unscaled
            return np.asarray(quantity.to_value(units.dex(of))), usual or "dex"
        if unit.is_equivalent(units.dimensionless_unscaled):
            return np.asarray(quantity.to_value("")), usual
        if usual is None:
            speed = units.km / units.s
            unit = speed if unit.is_equivalent(speed) else unit
            return np.asarray(quantity.to_value(unit)), str(unit)
    except units.UnitConversionError:
        pass
    raise ValueError(
        f"{name} must be in {usual or 'dex'}, or in a unit that can be converted to it, got "
        f"{quantity.unit}."
    )


def _other_unit(name, unit):
    """Return the unit of a column as a dict, empty if the parameter has its usual unit or none."""
    return {} if unit is None or unit == PARAMETER_UNITS.get(name) else {name: unit}
