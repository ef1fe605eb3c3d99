"""From arrays with a meaning to rows of pixels: one spectrum, or the orders of one."""

import numpy as np

from skphx.datasets import _spectrum_names as names
from skphx.datasets._spectrum_conventions import bad_pixels, medium_of
from skphx.datasets._spectrum_parts import Part, assign
from skphx.datasets._spectrum_pixels import Row, in_one_unit, split_orders, standard_error
from skphx.datasets._spectrum_request import ERRORS, NoSpectrumError, UnknownLayoutError
from skphx.datasets._spectrum_units import to_angstrom

# Rows that share more of their range are not neighbouring orders.
_SAME_RANGE = 0.95


def read_part(part, request, convention):
    """Return the rows of a part, and what is known about them.

    Parameters
    ----------
    part : Part
        Columns of a table, or images.
    request : Request
        What the user says.
    convention : Convention
        What the pipeline means.

    Returns
    -------
    dict
        ``rows``, a list of Row; ``part``, that of the star; ``roles``; ``medium``, ``frame`` and
        ``unit``.

    Raises
    ------
    UnknownLayoutError
        If no array is known as the flux, or none as the wavelengths.
    NoSpectrumError
        If a table has no rows, the arrays do not fit, or hold several spectra of which none is
        chosen.
    """
    check_rows(part)
    part, stars = _of_one_star(part, request)
    roles, said = assign(part, request)
    _check_known(part, roles)
    flux = _numbers(roles["flux"])
    if "wavelength" in roles:
        axis = roles["wavelength"]
        unit = axis.unit or said.unit or convention.wavelength_unit
        wavelength = to_angstrom(_numbers(axis), unit, said.scale, request)
        medium = said.medium or medium_of(part.header, axis)
    else:
        wavelength, medium = part.axis(roles["flux"], request)
    wavelength, flux, picked = _shaped(wavelength, flux, part)
    role = next((name for name in (*ERRORS, "relative") if name in roles), None)
    sigma = mask = None
    if role:
        sigma = standard_error(picked(_numbers(roles[role])), role, flux)
    if "mask" in roles:
        mask = picked(bad_pixels(roles["mask"], request, convention, part.header))
    flux_unit = roles["flux"].unit or convention.flux_unit
    error_unit = roles[role].unit if role else None
    flux, sigma, unit = in_one_unit(
        np.broadcast_to(wavelength, flux.shape), flux, sigma, flux_unit, error_unit, role, request
    )
    rows = _rows(wavelength, flux, sigma, mask)
    if len(rows) == 1:
        rows = split_orders(rows[0])
    return {
        "rows": one_star(rows, stars, request),
        "part": part,
        "roles": roles,
        "medium": medium or convention.medium,
        "frame": said.frame or convention.frame,
        "unit": unit,
    }


def check_rows(part):
    """Raise NoSpectrumError if a table has columns and no rows."""
    if part.kind == "column" and part.arrays and not any(len(one.values) for one in part.arrays):
        raise NoSpectrumError(
            f"has no rows: its table has the columns {part.listed} and no numbers. Write or copy "
            f"it again."
        )


def _check_known(part, roles):
    where = f" in {part.where}" if part.where else ""
    if not part.named and len(roles) < 2:
        raise UnknownLayoutError(
            f"has {len(part.arrays)} columns without names: pass their numbers from 0, such as "
            f"wavelength=0, flux=1, sigma=2."
        )
    missing = [name for name in ("wavelength", "flux") if name not in roles]
    if part.axis is not None and "flux" in roles:
        missing = []
    if missing:
        raise UnknownLayoutError(
            f"has no {part.kind}s of wavelength and flux{where}, only {part.listed}: pass "
            f"wavelength=, flux= and sigma= with the names or numbers of the {part.kind}s, or "
            f"name them 'wavelength' and 'flux'."
        )


def _numbers(array):
    if not array.is_number:
        raise NoSpectrumError(
            f"has text in {array!r}, not numbers: write numbers, and nan where there is none."
        )
    return array.values if array.values.dtype.kind == "b" else array.values.astype(np.float64)


def _of_one_star(part, request):
    """Return the part of one star where each row is a pixel, and the names of stars by row."""
    known = [
        array
        for array in part.arrays
        if array.key in names.STARS and part.kind == "column" and array.values.ndim == 1
    ]
    several = next((array for array in known if len(np.unique(array.values)) > 1), None)
    if several is None:
        return part, None
    stars, first = np.unique(several.values, return_index=True)
    stars = stars[np.argsort(first)]
    is_row = any(array.values.ndim == 2 for array in part.arrays)
    if is_row or len(stars) == len(several.values) > 20:
        return part, several.values.tolist() if is_row else None
    if request.row is None:
        raise NoSpectrumError(
            f"holds {len(stars)} stars, by the column {several!r}: pass row=, "
            f"{_numbered(stars.tolist())}."
        )
    which = several.values == stars[in_range(request.row, len(stars))]
    arrays = [
        type(array)(
            array.name, array.number, array.values[which], array.unit, array.ucd, array.header
        )
        for array in part.arrays
    ]
    return Part(**{**vars(part), "arrays": arrays}), [stars[request.row]]


def _numbered(labels, most=8):
    listed = [f"{number} for {label}" for number, label in enumerate(labels[:most])]
    return ", ".join(listed) + (", ..." if len(labels) > most else "")


def in_range(row, n_rows):
    """Return the number of a row; raise NoSpectrumError if there is no such row."""
    if not -n_rows <= row < n_rows:
        raise NoSpectrumError(
            f"has {n_rows} spectra, and no row {row}: pass row=0 to {n_rows - 1}."
        )
    return row


def _shaped(wavelength, flux, part):
    """Squeeze arrays, and check that they fit; also return a function that does so for others."""

    def squeezed(array):
        array = np.asarray(array)
        # A table of one row of arrays, and images with axes of one pixel.
        while array.ndim > 1 and 1 in array.shape[:-1]:
            array = array[tuple(0 if n == 1 else slice(None) for n in array.shape[:-1])]
        return array

    wavelength, flux = squeezed(wavelength), squeezed(flux)
    if flux.ndim > 2 or wavelength.shape not in (flux.shape, flux.shape[-1:]) or not flux.size:
        raise NoSpectrumError(
            f"has wavelengths of shape {wavelength.shape} and flux of shape {flux.shape}; both "
            f"must have the same shape, with two pixels or more."
        )
    if flux.shape[-1] < 2:
        raise NoSpectrumError(
            f"has wavelengths and flux of shape {flux.shape}: a spectrum has two pixels or more. "
            f"Pass flux= and wavelength= with others."
        )

    def picked(array):
        array = squeezed(array)
        if array.shape != flux.shape:
            raise NoSpectrumError(
                f"has flux of shape {flux.shape} and errors or a mask of shape {array.shape} in "
                f"{part.where or 'one table'}; pass sigma= or mask= with the names of others."
            )
        return array

    return wavelength, flux, picked


def _rows(wavelength, flux, sigma, mask):
    """Return the rows of two-dimensional arrays."""
    flux = np.atleast_2d(flux)
    wavelength = np.broadcast_to(wavelength, flux.shape)
    sigma = None if sigma is None else np.atleast_2d(sigma)
    mask = np.zeros(flux.shape, dtype=bool) if mask is None else np.atleast_2d(mask)
    return [
        Row(wavelength[i], flux[i], None if sigma is None else sigma[i], mask[i])
        for i in range(len(flux))
    ]


def one_star(rows, labels, request):
    """Return the rows of one star: that of the user's choice, or orders of different wavelengths.

    Parameters
    ----------
    rows : list of Row
        Rows of a table or image.
    labels : list or None
        Names of their stars, where the file has them.
    request : Request
        What the user says: `row`.

    Returns
    -------
    list of Row
        One, or the orders.

    Raises
    ------
    NoSpectrumError
        If there are several stars, or several spectra of the same wavelengths.
    """
    if request.row is not None and len(rows) > 1:
        return [rows[in_range(request.row, len(rows))]]
    if request.row is not None and request.row not in (0, -1) and labels is None:
        in_range(request.row, len(rows))
    if len(rows) == 1:
        return rows
    if labels is not None and len({str(label) for label in labels}) > 1:
        raise NoSpectrumError(
            f"holds {len(rows)} spectra, of several stars: pass row=, {_numbered(labels)}."
        )
    if _are_of_one_range(rows):
        raise NoSpectrumError(
            f"holds {len(rows)} spectra of the same wavelengths, which are not orders of one: "
            f"pass row=0 to {len(rows) - 1} to choose one."
        )
    return rows


def _are_of_one_range(rows):
    """Whether all rows have the same range of wavelengths; rows without any are padding."""
    ranges = []
    for row in rows:
        known = row.wavelength[np.isfinite(row.wavelength)]
        if len(known):
            ranges.append((float(known.min()), float(known.max())))
    return len(ranges) > 1 and all(overlap(ranges[0], one) > _SAME_RANGE for one in ranges[1:])


def overlap(one, other):
    """Return which part of the shorter of two ranges is common to both."""
    common = min(one[1], other[1]) - max(one[0], other[0])
    return common / max(min(one[1] - one[0], other[1] - other[0]), 1e-12)
