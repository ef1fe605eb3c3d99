"""Numbers of a star as users have them: arrays, masks, columns, Quantities, uncertainties.

astropy is imported only for values that have a unit.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Values:
    """Numbers with their mask and unit.

    Parameters
    ----------
    data : ndarray
        The numbers, float64, in `unit`.
    mask : ndarray of the same shape, bool
        True where there is none.
    unit : astropy unit or None
        Unit; None for plain numbers.
    """

    data: NDArray[np.float64]
    mask: NDArray[np.bool_]
    unit: Any = None

    def __getitem__(self, key):
        """Return a part, such as one order."""
        return Values(self.data[key], self.mask[key], self.unit)

    def __len__(self):
        """Return the length of the first axis."""
        return len(self.data)

    @property
    def ndim(self):
        """Number of axes."""
        return self.data.ndim


def values_of(name: str, given: Any, unit: Any = None) -> Values:
    """Return numbers, whatever holds them, as an array with its mask and unit.

    Parameters
    ----------
    name : str
        Name of the argument, for the messages.
    given : array-like
        An array, masked array, Quantity, column of a table or DataFrame, or NDData.
    unit : astropy unit, str or None
        Unit of plain numbers.

    Returns
    -------
    Values
        A copy.

    Raises
    ------
    ValueError
        If these are not real numbers.
    """
    if isinstance(given, Values):
        return given
    if hasattr(given, "uncertainty_type"):
        return _values_of_uncertainty(name, given)
    masks = []
    if _is_nddata(given):
        masks.append(given.mask)
        given = given.data if given.unit is None else given.data * given.unit
    if isinstance(given, list | tuple):
        if any(hasattr(one, "unit") for one in given):
            given = _joined(name, given)
        else:
            # NumPy would warn of each masked element.
            given = [np.nan if one is np.ma.masked else one for one in given]
    own_unit = getattr(given, "unit", None)
    if hasattr(given, "unmasked"):
        masks.append(given.mask)
        given = given.unmasked
    elif hasattr(given, "to_numpy"):
        given = _from_series(given)
    elif not isinstance(given, np.ndarray):
        given = np.ma.asarray(given)
    if isinstance(given, np.ma.MaskedArray):
        masks.append(np.ma.getmaskarray(given))
        given = np.ma.getdata(given)
    array = np.asarray(given)
    if array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must hold real numbers, got {array.dtype} values; convert them to floats, "
            f"with NaN where there is none."
        )
    mask = np.zeros(array.shape, dtype=bool)
    for one in masks:
        if one is not None:
            mask |= np.asarray(one, dtype=bool)
    return Values(array.astype(np.float64), mask, _parsed(unit if own_unit is None else own_unit))


def _is_nddata(given):
    """Whether an object is an NDData, or another container of data, mask and uncertainty."""
    return all(hasattr(given, name) for name in ("uncertainty", "data", "mask", "unit"))


def _joined(name, given):
    """Return a list of Quantities as one Quantity."""
    from astropy import units

    try:
        return units.Quantity(given)
    except (units.UnitsError, TypeError) as error:
        raise ValueError(
            f"{name} holds values of different units: {error}; give one Quantity for all."
        ) from error


def _from_series(series):
    """Return a column of pandas or polars as an array; missing numbers are NaN."""
    kind = getattr(series.dtype, "kind", "")
    if kind in "fiu" and kind and not isinstance(series.dtype, np.dtype):
        return series.to_numpy(dtype=np.float64, na_value=np.nan)
    return series.to_numpy()


def _parsed(unit):
    """Return a unit of a text, or the unit itself; None for none."""
    if unit is None or unit == "":
        return None
    if not isinstance(unit, str):
        return unit
    from astropy import units

    return units.Unit(unit, parse_strict="silent")


def _values_of_uncertainty(name, given):
    """Return the standard errors of an uncertainty of astropy.nddata."""
    kind = given.uncertainty_type
    if kind not in ("std", "var", "ivar"):
        raise ValueError(
            f"{name} is an uncertainty of type {kind!r}, whose meaning is not known; give a "
            f"StdDevUncertainty, VarianceUncertainty or InverseVariance, or an array of standard "
            f"errors."
        )
    if given.array is None:
        raise ValueError(f"{name} is an uncertainty without values; leave it out.")
    values = values_of(name, given.array, given.unit)
    if kind == "std":
        return values
    return errors_of_ivar(values) if kind == "ivar" else _errors_of_variance(values)


def _errors_of_variance(values):
    """Return standard errors of variances; NaN where these are negative."""
    with np.errstate(invalid="ignore"):
        sigma = np.sqrt(values.data)
    return Values(sigma, values.mask, None if values.unit is None else values.unit**0.5)


def errors_of_ivar(values: Values) -> Values:
    """Return standard errors of inverse variances; infinite where these are not positive."""
    sigma = np.full(values.data.shape, np.inf)
    positive = values.data > 0
    np.divide(1.0, np.sqrt(values.data, where=positive, out=sigma.copy()), sigma, where=positive)
    return Values(sigma, values.mask, None if values.unit is None else values.unit**-0.5)


def mask_of(name: str, given: Any) -> NDArray[np.bool_]:
    """Return a mask as an array; its own masked elements are True.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    given : array-like, bool or integers
        True or not 0 for pixels to leave out.

    Returns
    -------
    ndarray, bool
        A copy.

    Raises
    ------
    ValueError
        If the values are neither true, false nor integers.
    """
    if hasattr(given, "to_numpy"):
        # A missing value of pandas is a bad pixel.
        missing = np.asarray(given.isna()) if hasattr(given, "isna") else False
        given = np.where(missing, True, given.to_numpy()) if np.any(missing) else given.to_numpy()
    masked = np.ma.asarray(given)
    array = np.ma.getdata(masked)
    plain = array.dtype.kind in "biu"
    if not plain and array.dtype.kind == "f":
        plain = bool(np.isin(array, (0.0, 1.0)).all())
    elif not plain and array.dtype.kind == "O":
        plain = all(isinstance(one, bool | np.bool_) for one in array.ravel())
    if not plain:
        raise ValueError(
            f"{name} must be True for pixels to leave out and False for others, got "
            f"{array.dtype} values; compute it from them, such as mask=quality < 1."
        )
    return array.astype(bool) | np.ma.getmaskarray(masked)
