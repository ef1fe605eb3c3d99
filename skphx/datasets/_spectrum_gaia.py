"""Mean spectra of Gaia RVS, as the archive sends them: a row a pixel, or a row a star."""

import re
from dataclasses import replace
from typing import Any

import numpy as np

from skphx.datasets._spectrum_conventions import convention_of
from skphx.datasets._spectrum_parts import Array, Part, unused
from skphx.datasets._spectrum_pixels import Row
from skphx.datasets._spectrum_request import NoSpectrumError
from skphx.datasets._spectrum_star import one_star, read_part
from skphx.datasets._spectrum_units import to_angstrom

# The pixels of all mean spectra, nm.
_AXIS = np.linspace(846.0, 870.0, 2401)
_RESOLUTION = 11_500.0
# Columns of the archive about the star, and not about its pixels.
_SILENT = frozenset({
    "solution_id", "ra", "dec", "combined_transits", "combined_ccds", "deblended_ccds",
})  # fmt: skip


def gaia_part(part):
    """Return the columns of Gaia RVS spectra, or None for other tables.

    Parameters
    ----------
    part : Part
        Columns of a table.

    Returns
    -------
    Part or None
        With arrays of numbers, and wavelengths.
    """
    columns = {array.key: array for array in part.arrays}
    if not {"flux", "flux_error"} <= set(columns):
        return None
    arrays = [
        Array(array.name, array.number, _parsed(array.values), array.unit) for array in part.arrays
    ]
    columns = {array.key: array for array in arrays}
    flux = columns["flux"].values
    if flux.dtype.kind != "f":
        return None
    named = "source_id" in columns or "gaia" in _text(part.header)
    axis = columns["wavelength"].values if "wavelength" in columns else None
    if axis is None:
        if not named or flux.shape[-1] != len(_AXIS):
            return None
        axis = np.broadcast_to(_AXIS, flux.shape)
        arrays.append(Array("wavelength", len(arrays), axis, "nm"))
    elif not named or axis.dtype.kind != "f" or not _is_rvs(axis):
        return None
    if "combined_transits" not in columns and str(columns["flux"].unit or "").strip():
        return None
    return Part(part.where, part.number, part.name, arrays, part.header)


def _is_rvs(axis):
    known = axis[np.isfinite(axis)]
    return bool(known.size) and known.min() > 845.0 and known.max() < 875.0


def _text(header):
    return " ".join(str(header[key]) for key in header).lower()


def _parsed(values):
    """Arrays that text holds, such as "[0.98, NaN]"."""
    if values.dtype.kind not in "USO":
        return values
    if not all(re.fullmatch(r"\s*[\[({].*[\])}]\s*", str(text), re.S) for text in values):
        return values
    rows = [
        [_number(one) for one in re.split(r"[,\s]+", str(text).strip(" \n[](){}")) if one]
        for text in values
    ]
    return np.array(rows) if len({len(row) for row in rows}) == 1 else values


def _number(text):
    return np.nan if text.lower() in ("null", "none", "--", "nan") else float(text)


def read_gaia(part, request):
    """Return a mean spectrum of Gaia RVS: in vacuum, in the rest frame of the star.

    Parameters
    ----------
    part : Part
        As from :func:`gaia_part`.
    request : Request
        What the user says: `row` where there are several stars, the unit of the wavelengths, and
        names of arrays, which are used as in other tables. Columns that are not used go to
        `unused`.

    Returns
    -------
    dict
        Rows of pixels, and what is known about them.

    Raises
    ------
    NoSpectrumError
        If there are several stars, and none is chosen, or an array that the user names is absent.
    """
    if request.names_roles:
        return _read_named(part, request)
    columns = {array.key: array.values for array in part.arrays}
    ids = np.atleast_1d(columns["source_id"]) if "source_id" in columns else None
    flux, sigma = columns["flux"].astype(float), columns["flux_error"].astype(float)
    wavelength = to_angstrom(columns["wavelength"], "nm", "linear", request)
    if flux.ndim == 1:
        stars = list(dict.fromkeys(ids.tolist())) if ids is not None else [None]
        every = np.arange(len(flux))
        groups = [every if ids is None else every[ids == star] for star in stars]
        rows = [_row(wavelength[one], flux[one], sigma[one]) for one in groups]
        firsts = [int(one[0]) for one in groups]
    else:
        stars = ids.tolist() if ids is not None else [None] * len(flux)
        firsts = list(range(len(flux)))
        wavelength = np.broadcast_to(wavelength, flux.shape)
        rows = [_row(*arrays) for arrays in zip(wavelength, flux, sigma, strict=True)]
    labels = [f"source_id {star}" for star in stars] if len(rows) > 1 else None
    chosen = one_star(rows, labels, request)
    if len(chosen) != 1:
        raise NoSpectrumError(f"holds {len(rows)} spectra of Gaia: pass row= to choose one.")
    number = next(i for i, row in enumerate(rows) if row is chosen[0])
    which = groups[number] if flux.ndim == 1 else slice(None)
    _name_unused(part, which, request)
    facts: dict[str, Any] = {"format": "Gaia RVS mean spectrum", "instrument": "Gaia RVS"}
    if stars[number] is not None:
        facts["object"] = f"Gaia {stars[number]}"
    if "combined_transits" in columns:
        facts["transits"] = int(np.atleast_1d(columns["combined_transits"])[firsts[number]])
    return {
        "rows": chosen,
        "medium": "vacuum",
        "frame": "star",
        "resolution": _RESOLUTION,
        "unit": "",
        "facts": facts,
        "header": {},
    }


def _read_named(part, request):
    """Return the spectrum of the arrays that the user names; the others are found by name."""
    convention = convention_of({})
    if request.wavelength is None:  # the axis is that of Gaia
        convention = replace(convention, medium="vacuum", frame="star", wavelength_unit="nm")
    star = read_part(part, request, convention)
    left = unused(part, star.pop("roles"), _SILENT)
    request.unused.extend(f"column {name!r}" for name in left)
    facts = {"format": "Gaia RVS mean spectrum", "instrument": "Gaia RVS"}
    return star | {"resolution": _RESOLUTION, "facts": facts, "header": {}}


def _name_unused(part, which, request):
    """Name the columns that are not used, by their values for the star that is chosen."""
    arrays = [
        Array(array.name, array.number, array.values[which], array.unit) for array in part.arrays
    ]
    columns = {array.key: array for array in arrays}
    roles = {
        role: columns[key]
        for role, key in (("wavelength", "wavelength"), ("flux", "flux"), ("sigma", "flux_error"))
    }
    chosen = Part(part.where, part.number, part.name, arrays, part.header)
    request.unused.extend(f"column {name!r}" for name in unused(chosen, roles, _SILENT))


def _row(wavelength, flux, sigma):
    return Row(wavelength, flux, sigma, np.zeros(len(flux), dtype=bool))
