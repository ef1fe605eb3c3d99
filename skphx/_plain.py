"""Plain numbers of what users pass: Quantities, masked arrays, tables with named columns.

NumPy converts Quantities, masked arrays and tables to arrays silently, and drops units,
masks and names of columns. Here units are converted, or refused; masks are refused; and columns
are found by their names.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

#: What to do about masked elements, of arrays of flux and of other arrays.
MASKED_FLUX = "leave these spectra out, or interpolate over the masked pixels first"
_MASKED = "leave these rows out, or fill in their values first"


def refuse_masked(values: Any, name: str, *, what: str = "numbers", remedy: str = _MASKED) -> None:
    """Raise if an array, or an array in a list, has masked elements.

    Parameters
    ----------
    values : object
        An array of any type, or a list of arrays.
    name : str
        Name of the argument, for the message.
    what, remedy : str
        What the argument holds, and what to do, for the message.

    Raises
    ------
    ValueError
        If an element is masked; the message names the first one.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx._plain import refuse_masked
    >>> refuse_masked(np.ma.array([1.0, 2.0]), "teff")
    >>> refuse_masked(np.ma.array([1.0, 2.0], mask=[False, True]), "teff")
    Traceback (most recent call last):
        ...
    ValueError: teff must hold numbers everywhere, but 1 of its 2 elements are masked, ...
    """
    mask = _mask_of(values)
    if mask is None or not mask.any():
        return
    noun = "pixels" if what == "flux" else "elements"
    where = "at every pixel" if what == "flux" else "everywhere"
    first = ", ".join(map(str, np.argwhere(mask)[0]))
    raise ValueError(
        f"{name} must hold {what} {where}, but {int(mask.sum())} of its {mask.size} {noun} are "
        f"masked, the first is [{first}], and masks are not supported; {remedy}."
    )


def _mask_of(values: Any) -> Any:
    """Return the mask of an array or of a list of arrays, or None if nothing can be masked."""
    if isinstance(values, list | tuple):
        found = [_mask_of(value) for value in values]
        masks: list[Any] = [mask for mask in found if mask is not None]
        if not masks:
            return None
        if any(mask.shape != masks[0].shape for mask in masks):
            return np.concatenate([mask.ravel() for mask in masks])
        return np.array([np.zeros_like(masks[0]) if mask is None else mask for mask in found])
    if values is np.ma.masked:
        return np.ones(1, dtype=bool)
    if isinstance(values, np.ma.MaskedArray):
        mask: Any = np.ma.getmaskarray(values)
        if mask.dtype.names:  # of a structured array: a mask for each field
            return np.array([mask[field] for field in mask.dtype.names]).any(axis=0)
        return mask
    # Of Masked and NDData of astropy; in pandas `mask` is a method.
    stated: Any = getattr(values, "mask", None)
    is_mask = isinstance(stated, np.ndarray | np.bool_ | bool)
    if is_mask and (hasattr(values, "unit") or hasattr(values, "unmasked")):
        return np.atleast_1d(np.asarray(stated, dtype=bool))
    return None


def refuse_text(values: Any, name: str) -> None:
    """Raise ValueError if values that must be numbers are text, or a list of text.

    Examples
    --------
    >>> from skphx._plain import refuse_text
    >>> refuse_text([5000.0, "5500"], "bounds")
    Traceback (most recent call last):
        ...
    ValueError: bounds must hold numbers, got the text '5500'.
    """
    if isinstance(values, str | bytes):
        raise ValueError(f"{name} must hold numbers, got the text {values!r}.")
    if isinstance(values, list | tuple):
        for value in values:
            refuse_text(value, name)


def unit_of(values: Any) -> Any:
    """Return the unit of a Quantity, of a column of astropy or of a list of them, or None."""
    if isinstance(values, list | tuple):
        found = (unit_of(value) for value in values)
        return next((unit for unit in found if unit is not None), None)
    unit = getattr(values, "unit", None)
    # Dates of pandas have a unit that is text.
    return unit if hasattr(unit, "physical_type") or hasattr(unit, "physical_unit") else None


def as_quantity(values: Any, name: str) -> Any:
    """Return a Quantity of a Quantity, a column of astropy, or a list of Quantities.

    Raises
    ------
    ValueError
        If only some elements of a list have units, or the units cannot be converted.
    """
    from astropy import units

    if isinstance(values, list | tuple) and any(unit_of(value) is None for value in values):
        raise ValueError(
            f"some elements of {name} have a unit and some have none; give it to all."
        )
    if hasattr(values, "data") and not isinstance(values, np.ndarray):
        values = units.Quantity(values.data, values.unit)  # NDData
    try:
        return units.Quantity(values, subok=True)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} cannot be converted to one unit: {error}.") from error


def in_unit(values: Any, unit: Any, name: str, *, equivalencies: Any = ()) -> np.ndarray:
    """Return the numbers of a Quantity in a unit.

    Parameters
    ----------
    values : Quantity, column of astropy, or list of Quantities
        The values.
    unit : str or astropy unit
        The unit.
    name : str
        Name of the argument, for the message.
    equivalencies : list
        Of astropy, for the conversion.

    Returns
    -------
    ndarray
        Plain numbers.

    Raises
    ------
    ValueError
        If the unit cannot be converted.
    """
    from astropy import units

    quantity = as_quantity(values, name)
    if isinstance(values, list | tuple):
        # Each by itself: 8505 Å are not exactly 850.5 nm.
        return np.array([in_unit(one, unit, name, equivalencies=equivalencies) for one in values])
    try:
        return np.asarray(quantity.to_value(unit, equivalencies))
    except units.UnitConversionError as error:
        raise ValueError(
            f"{name} must be in {unit or 'plain numbers'}, or in a unit that can be converted to "
            f"it, got {quantity.unit}."
        ) from error


def plain_numbers(values: Any, name: str, *, what: str = "numbers", remedy: str = _MASKED) -> Any:
    """Return values without masks and units: refuse masked elements and units, but not 1 or %.

    Parameters
    ----------
    values : object
        Array of any type, a list, a number, or None.
    name : str
        Name of the argument, for the message.
    what, remedy : str
        As for `refuse_masked`.

    Returns
    -------
    object
        The same object, unless it is dimensionless: then an ndarray of its numbers.

    Raises
    ------
    ValueError
        If an element is masked or text, or the values have a unit.
    """
    refuse_masked(values, name, what=what, remedy=remedy)
    refuse_text(values, name)
    unit = unit_of(values)
    if unit is None:
        return values
    from astropy import units

    if not unit.is_equivalent(units.dimensionless_unscaled) or hasattr(unit, "physical_unit"):
        raise ValueError(
            f"{name} has the unit {unit}, which would be lost; pass plain numbers, such as "
            f"{name}.to_value({str(unit)!r}), all in the same unit."
        )
    return in_unit(values, "", name)


def float_array(values: Any, name: str) -> np.ndarray:
    """Return numbers as an array of float64.

    Parameters
    ----------
    values : array-like
        Numbers, without masks and units.
    name : str
        Name of the argument, for the message.

    Returns
    -------
    ndarray
        The numbers.

    Raises
    ------
    ValueError
        If these are text or no numbers, or lists of different lengths.

    Examples
    --------
    >>> from skphx._plain import float_array
    >>> float_array("fast", "velocity")
    Traceback (most recent call last):
        ...
    ValueError: velocity must hold numbers, got the text 'fast'.
    """
    refuse_text(values, name)
    try:
        if np.iscomplexobj(values):
            raise TypeError("complex numbers are not real")
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        text = " ".join(repr(values).split())
        text = f"{text[:80]}..." if len(text) > 80 else text
        raise ValueError(f"{name} must hold numbers, got {text}: {error}.") from error


def short_reason(error: BaseException, most: int = 300) -> str:
    r"""Return the message of an exception of another package in one line, for a message of ours.

    Examples
    --------
    >>> from skphx._plain import short_reason
    >>> short_reason(ValueError("no such\n  thing"))
    'no such thing'
    """
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= most else f"{text[:most]}..."


def column_names(values: Any) -> list[str] | None:
    """Return the names of the columns of a table, or None if the columns have no names.

    Parameters
    ----------
    values : object
        A DataFrame of pandas or polars, a Table of astropy, a structured array, a mapping of
        columns, or a list of mappings; other objects have no names.

    Returns
    -------
    list of str or None
        The names. A DataFrame whose labels are not all text has none, as in scikit-learn.

    Examples
    --------
    >>> from skphx._plain import column_names
    >>> column_names({"teff": [5000.0], "logg": [4.5]})
    ['teff', 'logg']
    """
    if isinstance(values, Mapping):
        names = list(values)
    elif isinstance(values, np.ndarray):
        names = list(values.dtype.names or ())
    elif isinstance(values, list | tuple):
        named = len(values) > 0 and all(isinstance(row, Mapping) for row in values)
        names = list(values[0]) if named else []
    elif hasattr(values, "colnames"):
        names = list(values.colnames)
    else:
        columns = getattr(values, "columns", None)
        names = [] if columns is None or not hasattr(values, "__getitem__") else list(columns)
    return names if names and all(isinstance(name, str) for name in names) else None


def by_name(values: Any, names: Sequence[str], argument: str) -> dict[str, Any] | None:
    """Return the columns of a table by their names, in a given order.

    Parameters
    ----------
    values : object
        A table, see `column_names`, or another object.
    names : sequence of str
        Names that the columns must have, in any order.
    argument : str
        Name of the argument, for the message.

    Returns
    -------
    dict or None
        A column for each name, in the order of `names`; None if the columns have no names.

    Raises
    ------
    ValueError
        If the names of the columns are not these.
    """
    given = column_names(values)
    if given is None:
        return None
    if sorted(given) != sorted(names):
        raise ValueError(
            f"the columns of {argument} are {', '.join(given)}, and the parameters are "
            f"{', '.join(names)}; rename the columns, select those of the parameters, or change "
            f"parameter_names. Columns are matched by name, in any order."
        )
    if isinstance(values, list | tuple):
        if any(set(row) != set(given) for row in values):
            raise ValueError(f"the rows of {argument} have different names; give each all names.")
        return {name: [row[name] for row in values] for name in names}
    return {name: values[name] for name in names}
