"""What an observed star comes as: mappings, tables, spectra of specutils, orders.

All of these become mappings with the names of `ObservedSpectrum`'s parameters, one for each
segment. Objects are known by their attributes: no other package is imported for them.
"""

import difflib
from typing import Any, Protocol

import numpy as np
from scipy import sparse

from skphx.observing._values import Values, mask_of, values_of

#: Names of the parameters of `ObservedSpectrum`, in their order.
FIELDS = (
    "wavelength",
    "flux",
    "sigma",
    "ivar",
    "mask",
    "medium",
    "resolution",
    "line_spread",
    "velocity",
)

#: Names in the Bunch of :func:`skphx.datasets.load_spectrum`, and usual ones of descriptions: they
#: have no influence on a fit. Only "units" is read.
DESCRIPTIVE = (
    "DESCR",
    "barycentric_velocity",
    "facts",
    "frame",
    "header",
    "meta",
    "name",
    "object",
    "source",
    "units",
)

# Fields with a number at each pixel.
_NUMBERS = ("wavelength", "flux", "sigma", "ivar")
# Fields that are one value for a segment; an array holds one for each order.
_OF_A_SEGMENT = ("medium", "velocity")

# What users call the fields, in lower case; difflib finds names with other endings.
_SYNONYMS = {
    "wavelength": "wave wav wl wvl wvls lam lambda lamb loglam log_lambda spectral_axis x freq "
    "frequency wavenumber nu awav",
    "flux": "fluxes intensity spectrum spec counts y data flam",
    "sigma": "error errors err eflux e_flux flux_error flux_err fluxerr flux_sigma ferr std stdev "
    "stddev unc uncert uncertainty noise rms dflux snr s2n stat var variance",
    "ivar": "weight weights w invvar inverse_variance iv",
    "mask": "good good_pixels bad bad_pixels badpix quality qual dq flag flags valid ok",
    "medium": "air vac vacuum wavelength_medium wavelength_frame",
    "resolution": "r res resolving_power resolving power fwhm spectral_resolution",
    "line_spread": "lsf psf line_spread_function kernel",
    "velocity": "rv vel vrad v_rad radial_velocity vhelio v_helio vbary redshift z",
}
_REMEDIES = {
    "snr": "sigma = flux / snr",
    "s2n": "sigma = flux / s2n",
    "var": "sigma = var ** 0.5",
    "variance": "sigma = variance ** 0.5",
    "weights": "ivar, if the weights are inverse variances",
    "weight": "ivar, if the weights are inverse variances",
}


class SpectrumObject(Protocol):
    """A spectrum with a spectral axis, such as one of specutils."""

    @property
    def spectral_axis(self) -> Any:
        """Wavelengths, with their unit."""

    @property
    def flux(self) -> Any:
        """Flux, with its unit."""


class TableObject(Protocol):
    """A table with named columns, such as one of astropy or pandas."""

    @property
    def columns(self) -> Any:
        """The columns."""

    def __getitem__(self, name: Any, /) -> Any:
        """Return a column."""


def is_spectrum_object(star: Any) -> bool:
    """Whether an object is a spectrum with an axis, such as one of specutils."""
    return hasattr(star, "spectral_axis") and hasattr(star, "flux")


def names_of(star: Any) -> list[Any] | None:
    """Return the names of the columns or keys of an object; None if it has none.

    Parameters
    ----------
    star : object
        A mapping, a table or one of its rows, a structured array, or anything else.

    Returns
    -------
    list or None
        The names.
    """
    if getattr(star, "dtype", None) is not None and getattr(star.dtype, "names", None):
        return list(star.dtype.names)
    for attribute in ("colnames", "columns"):
        names = getattr(star, attribute, None)
        if names is not None and not callable(names):
            return list(names)
    if hasattr(star, "keys") and hasattr(star, "__getitem__"):
        return list(star.keys())
    return None


def fields_of(star: Any) -> dict[str, Any]:
    """Return the fields of one star, or of one segment, by name.

    Parameters
    ----------
    star : mapping, table, row of a table, structured array, or spectrum object
        With `wavelength` and `flux`.

    Returns
    -------
    dict
        Values as they were given, numbers as `Values` where their unit is stated elsewhere.
        Fields that are None are left out.

    Raises
    ------
    TypeError
        If the star is none of these.
    ValueError
        If a name is not known, a name appears twice, or `wavelength` or `flux` is missing.
    """
    if is_spectrum_object(star):
        return _fields_of_spectrum(star)
    names = None if isinstance(star, type) else names_of(star)
    if names is None:
        raise TypeError(_explain(star))
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"the star has several columns of the name {sorted(twice)[0]!r}.")
    unknown = [name for name in names if name not in FIELDS and name not in DESCRIPTIVE]
    if unknown:
        raise ValueError(_name_unknown(unknown, names))
    given = {name: star[name] for name in FIELDS if name in names}
    given = {name: _opened(value) for name, value in given.items()}
    given = {name: value for name, value in given.items() if value is not None}
    for name in ("wavelength", "flux"):
        if name not in given:
            raise ValueError(
                f"the star has no {name}; it is a mapping or a table with wavelength (Å) and "
                f"flux, got {', '.join(map(repr, names)) or 'an empty one'}; give the {name} of "
                f"each pixel."
            )
    _move_uncertainty(given)
    _apply_units(given, star["units"] if "units" in names else None)
    return given


def _fields_of_spectrum(star):
    """Return the fields of a spectrum object; its mask is True for bad pixels."""
    given = {"wavelength": star.spectral_axis, "flux": star.flux}
    for name, attribute in (("sigma", "uncertainty"), ("mask", "mask")):
        value = getattr(star, attribute, None)
        if value is not None:
            given[name] = value
    n_axes = np.ndim(given["flux"])
    if n_axes > 1 and np.ndim(given["wavelength"]) == 1:
        if given["flux"].shape[:-1] != (1,) * (n_axes - 1):
            raise ValueError(
                f"a spectrum object must hold one spectrum, but its flux has shape "
                f"{given['flux'].shape} on one spectral axis: whether these are several stars or "
                f"several exposures is not known. Pass [spectrum[i] for i in ...] for several "
                f"stars, and a list within a list for exposures of one star."
            )
        given["flux"] = given["flux"].reshape(-1)
        if "sigma" in given:
            sigma = values_of("sigma", given["sigma"])
            given["sigma"] = Values(sigma.data.reshape(-1), sigma.mask.reshape(-1), sigma.unit)
        if "mask" in given:
            given["mask"] = np.asarray(given["mask"]).reshape(-1)
    return given


def _explain(star):
    """Return the message for a star of a type that is not known."""
    message = (
        f"an observed star must be an ObservedSpectrum, a mapping with wavelength and flux, or a "
        f"list of these, got {type(star).__name__}"
    )
    if isinstance(star, str) or hasattr(star, "__fspath__"):
        return f"{message}; read the file with skphx.datasets.load_spectrum."
    if hasattr(star, "uncertainty") or hasattr(star, "unit"):
        return (
            f"{message}; it has no wavelengths, so give them: "
            f'{{"wavelength": wavelength, "flux": flux}}, where flux may be this object.'
        )
    return f'{message}; arrays are given as {{"wavelength": wavelength, "flux": flux}}.'


def _name_unknown(unknown, names):
    """Return the message for names that are not known, with the nearest one that is."""
    name = str(unknown[0])
    near = _nearest(name)
    if near is None:
        hint = "."
    elif near in names:
        hint = f", but also {near!r}."
    else:
        hint = f": do you mean {_REMEDIES.get(name.lower(), repr(near))}"
        hint += " (True for pixels to leave out)?" if near == "mask" else "?"
    others = f" (and {', '.join(map(repr, unknown[1:5]))})" if len(unknown) > 1 else ""
    return (
        f"the star has the unknown name {name!r}{others}{hint} Known names are "
        f"{', '.join(FIELDS)}; {', '.join(DESCRIPTIVE)} are descriptions. Rename or leave out "
        f"what is not known: it might change the fit."
    )


def _nearest(name):
    """Return the known name that an unknown one probably means, or None."""
    plain = name.lower().strip()
    for field, synonyms in _SYNONYMS.items():
        if plain == field or plain in synonyms.split():
            return field
    close = difflib.get_close_matches(plain, FIELDS, n=1, cutoff=0.6)
    if close:
        return close[0]
    for field in ("sigma", "ivar", "mask", "wavelength", "resolution", "flux"):
        words = [field, *(one for one in _SYNONYMS[field].split() if len(one) > 2)]
        if any(word in plain.replace("-", "_").split("_") for word in words):
            return field
    return None


def _opened(value):
    """Return arrays without axes, in which files keep scalars, as plain values."""
    if getattr(value, "shape", None) == () and not hasattr(value, "unit"):
        value = value if isinstance(value, np.generic) else value[()]
        value = value.item() if isinstance(value, np.generic) else value
    return value.decode() if isinstance(value, bytes) else value


def _move_uncertainty(given):
    """Take mask, unit and uncertainty from a flux that has them."""
    flux = given["flux"]
    uncertainty = getattr(flux, "uncertainty", None)
    if uncertainty is None:
        return
    if "sigma" in given or "ivar" in given:
        raise ValueError(
            "flux has its own uncertainty, so give neither sigma nor ivar, or flux.data alone."
        )
    given["sigma"] = values_of("sigma", uncertainty)
    given["flux"] = values_of("flux", flux)


def _apply_units(given, units):
    """Give plain numbers the units that a mapping states."""
    if not hasattr(units, "get"):
        return
    for name in given.keys() & {"wavelength", "flux", "sigma"}:
        unit, value = units.get(name), given[name]
        if unit and is_rows_of_arrays(value):
            given[name] = [values_of(name, row, unit) for row in value]
        elif unit:
            given[name] = values_of(name, value, unit)


def is_rows_of_arrays(value: Any) -> bool:
    """Whether a value is a list, or an array of objects, of one array for each order."""
    if hasattr(value, "to_numpy") and getattr(value.dtype, "kind", "") == "O":
        value = value.to_numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "O" or value.ndim != 1:
            return False
    elif not isinstance(value, list | tuple):
        return False
    return any(_has_axes(one) for one in value)


def _has_axes(value):
    """Whether a value is an array of one axis or more."""
    if isinstance(value, list | tuple) or sparse.issparse(value):
        return True
    return np.ndim(value.data if hasattr(value, "uncertainty") else value) > 0


def orders_of(given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the fields of each order, of one star.

    Parameters
    ----------
    given : dict
        Fields of the star. Arrays may have a row for each order, and lists an array for each.

    Returns
    -------
    list of dict
        Fields of each order; one if the flux has no rows.

    Raises
    ------
    ValueError
        If the number of rows differs between fields.
    """
    flux = _rows("flux", given["flux"])
    if flux is None:
        return [given]
    lengths = [len(row) if row.ndim == 1 else -1 for row in flux]
    if -1 in lengths:
        raise ValueError(
            "flux must have one axis, or two: one row for each order; give the spectra one by one."
        )
    split = {
        name: _of_orders(name, value, lengths) for name, value in given.items() if name != "flux"
    }
    split["flux"] = flux
    return [{name: rows[order] for name, rows in split.items()} for order in range(len(flux))]


def _rows(name, value):
    """Return a list with a value for each order, or None if a value has no rows."""
    if is_rows_of_arrays(value):
        read = mask_of if name == "mask" else values_of
        return [read(name, row) for row in value]
    whole = mask_of(name, value) if name == "mask" else values_of(name, value)
    return list(map(whole.__getitem__, range(len(whole)))) if whole.ndim > 1 else None


def _of_orders(name, value, lengths):
    """Return the values of one field for each order."""
    n_orders = len(lengths)
    if name == "line_spread":
        rows = _matrices(value)
    elif name in _OF_A_SEGMENT:
        value = value.to_numpy() if hasattr(value, "to_numpy") else value
        several = isinstance(value, list | tuple) or np.ndim(value) > 0
        rows = [value[order] for order in range(len(value))] if several else None
    elif callable(value):
        rows = None
    else:
        rows = _rows(name, value)
        if rows is None:
            whole = mask_of(name, value) if name == "mask" else values_of(name, value)
            one_each = whole.ndim == 1 and len(whole) == n_orders and name != "wavelength"
            if one_each and (name == "resolution" or set(lengths) != {n_orders}):
                rows = [whole[order] for order in range(n_orders)]
    if rows is None:
        return [value] * n_orders
    if len(rows) != n_orders:
        raise ValueError(
            f"{name} must have one row for each of the {n_orders} orders of flux, got {len(rows)}."
        )
    return rows


def _matrices(value):
    """Return the line-spread matrices of orders, or None if there is one for all."""
    if sparse.issparse(value) or (isinstance(value, np.ndarray) and value.ndim == 2):
        return None
    is_one = isinstance(value, list | tuple) and not any(
        sparse.issparse(one) or np.ndim(one) == 2 for one in value
    )
    return None if is_one else list(value)


def shared_value(name: str, value: Any) -> Any:
    """Return the one value of a segment, also if a table repeats it in each row.

    Parameters
    ----------
    name : str
        Name of the field.
    value : object
        One value, or an array of equal values.

    Returns
    -------
    object
        A plain value.

    Raises
    ------
    ValueError
        If the values differ.
    """
    if value is None or isinstance(value, str) or np.ndim(value) == 0:
        return _opened(value)
    values = [_opened(one) for one in np.asarray(value).ravel().tolist()]
    if len(set(values)) != 1:
        raise ValueError(
            f"{name} must be one value for a segment, or one for each order, got {len(values)} "
            f"values."
        )
    return values[0]
