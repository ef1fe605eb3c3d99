"""Spectra in FITS files: columns of tables, rows of arrays, images with an axis or extensions."""

import io

import numpy as np

from skphx._plain import short_reason
from skphx.datasets import _spectrum_names as names
from skphx.datasets._fits import merged_header
from skphx.datasets._spectrum_axis import header_axis
from skphx.datasets._spectrum_cards import check_numbers, check_structure, original_name
from skphx.datasets._spectrum_conventions import (
    convention_of,
    facts_of,
    frame_of,
    plain_header,
    resolution_of,
)
from skphx.datasets._spectrum_gaia import gaia_part, read_gaia
from skphx.datasets._spectrum_parts import Array, Part, assign, unused
from skphx.datasets._spectrum_request import ROLES, NoSpectrumError, UnknownLayoutError
from skphx.datasets._spectrum_star import overlap, read_part

# The five rows of images of LAMOST, and of SDSS until its seventh release.
_FIVE_ROWS = {
    "LAMOST": ["flux", "ivar", "wavelength", "andmask", "ormask"],
    "SDSS 2.5-M": ["flux", "continuum_subtracted", "error", "mask", "model"],
}


def open_content(content, request):
    """Open a FITS file in memory, so that scaled and compressed images can be read.

    Parameters
    ----------
    content : bytes
        The file, not compressed.
    request : Request
        Warnings go to its notes.

    Returns
    -------
    astropy.io.fits.HDUList
        The open file, a context manager.

    Raises
    ------
    NoSpectrumError
        If the file is damaged, or cut short.
    """
    check_numbers(content)
    try:
        hdus, end = _open(content)
    except NoSpectrumError:
        raise
    except Exception as error:  # astropy raises many types
        raise NoSpectrumError(
            f"is not a readable FITS file: {short_reason(error)}. It is damaged: copy it again."
        ) from error
    if end > len(content):
        raise NoSpectrumError(
            f"has {len(content)} bytes and should have {end} by its headers: it is cut short; "
            f"copy it again."
        )
    if content[end:].strip(b"\0 \r\n"):
        request.notes.append(
            f"has {len(content) - end} bytes behind HDU {len(hdus) - 1} that are no extension, "
            f"and are ignored: it may be damaged."
        )
    return hdus


def _open(content):
    """Return all HDUs, and where the last of them ends."""
    from astropy.io import fits

    hdus = fits.open(io.BytesIO(content), memmap=False, lazy_load_hdus=True)
    number = end = 0
    # Where no extension begins, astropy would take minutes to look for headers in data.
    while not number or content[end : end + 8] == b"XTENSION":
        check_structure(hdus[number], number)
        where = hdus[number].fileinfo()
        end = where["datLoc"] + where["datSpan"]
        number += 1
    return (hdus, end) if end >= len(content) else _open(content[:end])


def read_fits(hdus, request):
    """Return the spectrum of a FITS file, from the arrays with known names.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    request : Request
        What the user says.

    Returns
    -------
    dict
        Rows of pixels, and what is known about them.

    Raises
    ------
    NoSpectrumError
        If no array is known as the flux, or several are.
    """
    header = hdus[0].header
    tables = [_table_part(hdus, i) for i, hdu in enumerate(hdus) if _is_table(hdu)]
    images = _image_part(hdus, request)
    if request.hdu is not None:
        tables, images = _of_choice(hdus, tables, images, request)
    for part in tables:
        if gaia := gaia_part(part):
            return read_gaia(gaia, request)
    chosen = _spectrum_tables(tables, request)
    if not chosen and images is not None:
        return _read_images(hdus, images, tables, request)
    if not chosen:
        raise UnknownLayoutError(_no_spectrum(tables, request))
    found = [
        read_part(part, request, convention_of(merged_header(hdus, hdus[part.number])))
        for part in chosen
    ]
    star = _joined(found, chosen)
    merged = merged_header(hdus, hdus[chosen[0].number])
    convention = convention_of(merged)
    for part, one in zip(chosen, found, strict=True):
        where = f" of {part.where}" if len(chosen) > 1 else ""
        left = unused(one["part"], one["roles"], convention.silent)
        request.unused.extend(f"column {name!r}{where}" for name in left)
    numbers = [part.number for part in chosen]
    request.unused.extend(_other_hdus(hdus, numbers, convention, request))
    return star | _known(merged, header, "FITS table", star["frame"])


def _known(header, primary, kind, frame):
    return {
        "facts": facts_of(header, kind),
        "header": plain_header(header),
        "frame": frame_of(header) or frame,
        "resolution": resolution_of(header),
    }


def _is_table(hdu):
    return hasattr(hdu, "columns") and not _is_image(hdu)


def _is_image(hdu):
    return hdu.is_image and hdu.header.get("NAXIS", 0) > 0


def _where(hdus, number):
    name = hdus[number].name
    return f"HDU {number} {name!r}" if name else f"HDU {number}"


def _table_part(hdus, number):
    """Columns of a table; a table without rows has none."""
    hdu = hdus[number]
    arrays = []
    if hdu.header.get("NAXIS2", 0) > 0:
        for i, column in enumerate(hdu.columns):
            values = _column(hdu.data[column.name], column)
            ucd = str(hdu.header.get(f"TUCD{i + 1}", "")).strip()
            arrays.append(Array(original_name(column.name), i, values, column.unit, ucd))
    return Part(_where(hdus, number), number, hdu.name, arrays, merged_header(hdus, hdu))


def _column(values, column):
    """Values of a column; arrays of different lengths are padded, and nulls are NaN."""
    if values.dtype.kind == "O":
        length = max(len(row) for row in values)
        padded = np.full((len(values), length), np.nan)
        for i, row in enumerate(values):
            padded[i, : len(row)] = row
        return padded
    values = np.asarray(values)
    if values.dtype.kind in "iu" and isinstance(column.null, int):
        null = values == column.null
        if null.any():
            return np.where(null, np.nan, values)
    return values


def _image_part(hdus, request):
    """Images of a file, by the names of their extensions; None if there is none."""
    arrays = []
    for number, hdu in enumerate(hdus):
        if not _is_image(hdu):
            continue
        header = merged_header(hdus, hdu)
        unit = str(hdu.header.get("BUNIT", "")).strip() or None
        array = Array(hdu.name.strip(), number, _image(hdu), unit, header=header)
        if array.key == "input_sigma" and "GALAH" in str(header.get("ORIGIN", "")):
            array.key = "relative_error"  # so it is described in its third release
        arrays.append(array)
    if not arrays:
        return None
    if len(arrays) == 1 and arrays[0].values.ndim == 2:
        arrays = _rows_by_number(arrays[0], request) or _named_rows(arrays[0]) or arrays
    part = Part("", -1, "", arrays, hdus[0].header, "extension")
    part.axis = lambda array, request: header_axis(
        array.header, array.values.shape[-1], request, hdus
    )
    return part


def _image(hdu):
    values = np.asarray(hdu.data)
    if values.ndim > 1 and 1 in values.shape[:-1]:
        values = values[tuple(0 if n == 1 else slice(None) for n in values.shape[:-1])]
    return values


def _rows_by_number(array, request):
    """Rows of the only image, if the user gives the numbers of two or more."""
    choices = [getattr(request, role) for role in ROLES]
    if sum(isinstance(choice, int) for choice in choices) < 2:
        return []
    return [
        Array(f"row {i}", i, row, array.unit, header=array.header)
        for i, row in enumerate(array.values)
    ]


def _named_rows(array):
    """Rows of an image that the header names, as arrays of their own; or none."""
    header, values = array.header, array.values
    labels = _FIVE_ROWS.get(str(header.get("TELESCOP", "")).strip(), [])
    if len(values) != 5 or not labels:
        keys = next((key for key in ("ROW", "ARRAY", "BANDID") if f"{key}1" in header), "ROW")
        labels = [str(header.get(f"{keys}{i + 1}", "")).strip() for i in range(len(values))]
        # IRAF: "spectrum - background median, weights variance, clean no".
        labels = [label.split(" ")[0] for label in labels] if keys == "BANDID" else labels
    known = [names.split_name(label)[0] in names.FLUX for label in labels]
    if sum(known) != 1:
        return []
    return [
        Array(label, i, values[i], array.unit, header=header) for i, label in enumerate(labels)
    ]


def _of_choice(hdus, tables, images, request):
    """Tables and images of the HDU that the user chooses."""
    try:
        number = hdus.index_of(request.hdu)
        hdus[number]
    except (KeyError, IndexError):
        listed = [_where(hdus, i) for i in range(len(hdus))]
        raise NoSpectrumError(f"has no HDU {request.hdu!r}, only {', '.join(listed)}.") from None
    number %= len(hdus)
    tables = [part for part in tables if part.number == number]
    if not tables and _is_image(hdus[number]):
        if request.flux is None:
            request.flux = number
        return [], images
    return tables, None


def _spectrum_tables(tables, request):
    """Tables that hold a spectrum: one, or arms of different wavelengths."""
    found = []
    for part in tables:
        try:
            roles, _ = assign(part, request)
        except UnknownLayoutError:
            continue
        if {"wavelength", "flux"} <= set(roles):
            found.append(part)
    coadded = [part for part in found if part.name.upper().startswith("COADD")]
    found = coadded or found
    if len(found) < 2:
        return found
    ranges = []
    for part in found:
        axis = assign(part, request)[0]["wavelength"].values.astype(np.float64)
        axis = axis[np.isfinite(axis) & (axis > 0)]
        ranges.append((axis.min(), axis.max()) if axis.size else (0.0, 0.0))
    for i, one in enumerate(ranges):
        for other in ranges[i + 1 :]:
            if overlap(one, other) > 0.5:
                listed = ", ".join(
                    f"{part.where} ({low:.6g} to {high:.6g})"
                    for part, (low, high) in zip(found, ranges, strict=True)
                )
                raise NoSpectrumError(
                    f"holds several spectra of the same wavelengths: {listed}. Pass hdu= with the "
                    f"number of one."
                )
    return found


def _no_spectrum(tables, request):
    if tables and not any(part.arrays for part in tables):
        listed = ", ".join(part.where for part in tables)
        return f"has no rows in its tables, {listed}: write or copy it again."
    if not tables:
        return "holds neither a table nor an image with data: copy it again."
    listed = "; ".join(f"{part.where}: {part.listed}" for part in tables if part.arrays)
    for role in ROLES:
        choice = getattr(request, role)
        if choice is not None and not any(part.find(choice) for part in tables):
            return f"has no column {choice!r} for {role}=, only {listed}: pass one of them."
    return (
        f"has no columns of wavelength and flux, only {listed}: pass wavelength=, flux= and "
        f"sigma= with the names of the columns."
    )


def _joined(found, parts):
    """One spectrum of the rows of all parts."""
    units = {one["unit"] for one in found}
    if len(units) > 1:
        raise NoSpectrumError(
            f"has flux in different units, {sorted(map(str, units))}: pass hdu= with the number "
            f"of one of {', '.join(part.where for part in parts)}."
        )
    media = {one["medium"] for one in found}
    if len(media) > 1:
        raise NoSpectrumError(
            f"has wavelengths in {' and '.join(sorted(map(str, media)))}: pass hdu= with the "
            f"number of one of {', '.join(part.where for part in parts)}."
        )
    star = {key: value for key, value in found[0].items() if key not in ("part", "roles")}
    return star | {"rows": [row for one in found for row in one["rows"]]}


def _other_hdus(hdus, used, convention, request):
    """HDUs with data that are not used."""
    left = []
    for number, hdu in enumerate(hdus):
        key = names.split_name(hdu.name)[0]
        if number in used or not (_is_image(hdu) or hdu.header.get("NAXIS2", 0) > 0):
            continue
        if number and (key in names.BOOKKEEPING - {""} or key in convention.silent):
            continue
        if names.wavelength_name(key):  # of the same pixels in air, or in another frame
            continue
        left.append(_where(hdus, number))
    return left


def _read_images(hdus, part, tables, request):
    """Return the spectrum whose flux is an image."""
    _name_the_primary(part)
    roles, _ = assign(part, request)
    if "flux" not in roles:
        raise UnknownLayoutError(_unknown_images(part))
    flux = roles["flux"]
    if "wavelength" not in roles and flux.values.ndim > 1 and request.row is None:
        raise NoSpectrumError(
            f"holds an image of shape {flux.values.shape} without an extension of wavelengths: "
            f"pass row=0 to {flux.values.shape[0] - 1} if each row is a spectrum on the axis of "
            f"the header; flux=0, sigma=1 and so on if its rows are flux and errors; or "
            f"wavelength= with the extension."
        )
    part.header = flux.header
    convention = convention_of(flux.header)
    star = read_part(part, request, convention)
    roles, _ = star.pop("roles"), star.pop("part")
    numbers = [array.number for array in roles.values()]
    if part.arrays and part.arrays[0].header is flux.header and len(hdus) == 1:
        left = unused(part, roles, convention.silent)
        request.unused.extend(f"row {name!r}" for name in left)
    else:
        request.unused.extend(_other_hdus(hdus, numbers, convention, request))
    return star | _known(flux.header, hdus[0].header, "FITS image", star["frame"])


def _name_the_primary(part):
    """Name the only image, or the primary one where all others have names."""
    unnamed = [array for array in part.arrays if array.key in ("", "primary")]
    if len(part.arrays) == 1 and part.arrays[0].key not in names.NO_FLUX:
        unnamed = part.arrays  # named after the star, or in any way
    if any(array.key in names.FLUX for array in part.arrays) or len(unnamed) != 1:
        return
    known = names.SIGMA | names.VARIANCE | names.IVAR | names.RELATIVE | names.MASK
    known |= names.BAD_PIXELS | names.GOOD_PIXELS
    (one,) = unnamed
    is_other = one.key in known or names.wavelength_name(one.key)
    if not is_other and (one.number == 0 or len(part.arrays) == 1):
        one.key = "flux"


def _unknown_images(part):
    listed = ", ".join(f"HDU {array.number} {array.name!r}" for array in part.arrays)
    first, *others = (array.number for array in part.arrays)
    example = f"flux={first}" + (f", sigma={others[0]}" if others else "")
    return (
        f"does not say which of its images is the flux: {listed}. Pass flux= with the number or "
        f"name of one, and sigma=, ivar=, mask= and wavelength= for the others, such as {example}."
    )
