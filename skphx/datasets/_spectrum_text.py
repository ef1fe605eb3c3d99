"""Spectra in text: tables with or without names of columns, ECSV, VOTable."""

import io
import re
import warnings

import numpy as np

from skphx._plain import short_reason
from skphx.datasets import _spectrum_names as names
from skphx.datasets._spectrum_conventions import convention_of, plain_header
from skphx.datasets._spectrum_gaia import gaia_part, read_gaia
from skphx.datasets._spectrum_lines import (
    find_names,
    first_line,
    is_comment,
    is_number,
    split_line,
    tidy_lines,
    titles,
)
from skphx.datasets._spectrum_parts import Array, Part, unused
from skphx.datasets._spectrum_request import ROLES, NoSpectrumError, UnknownLayoutError
from skphx.datasets._spectrum_star import check_rows, read_part

# Columns of LibreEsprit's files (NARVAL, ESPaDOnS) behind the wavelength, by their number.
_LIBRE_ESPRIT = {
    2: ("wavelength", "flux", "error"),
    5: ("wavelength", "flux", "polarisation", "null_1", "null_2", "error"),
}


def decoded(content):
    """Return the text of a file, without a byte-order mark.

    Parameters
    ----------
    content : bytes
        The file.

    Returns
    -------
    str
        The text.

    Raises
    ------
    NoSpectrumError
        If it is not text.
    """
    encoding = _wide_encoding(content)
    if encoding:
        try:
            return content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            raise NoSpectrumError(
                f"is text in {encoding[:6].upper()} that is damaged or cut short: copy it again, "
                f"or save it in UTF-8."
            ) from error
    if b"\x00" in content:
        what = "damaged FITS" if b"BITPIX  =" in content[:400] else "neither FITS nor text"
        raise NoSpectrumError(
            f"is {what}: it begins with {content[:12]!r}. Copy it again, or convert it to FITS or "
            f"to text with columns wavelength, flux and error."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _wide_encoding(content):
    """Return the encoding of text with two or four bytes a character, or None.

    Without a byte-order mark it is known by the zeros of letters and digits.
    """
    if content.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return "utf-32"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    start = np.frombuffer(content[:400], dtype=np.uint8)
    start = start[: len(start) // 4 * 4].reshape(-1, 4)
    # Which of four bytes are zero in nearly all characters.
    is_zero = tuple((start == 0).mean(axis=0) > 0.9) if len(start) > 1 else ()
    has_text = ((start != 0).mean(axis=0) > 0.9) if len(start) > 1 else ()
    known = {
        (False, True, False, True): "utf-16-le",
        (True, False, True, False): "utf-16-be",
        (False, True, True, True): "utf-32-le",
        (True, True, True, False): "utf-32-be",
    }
    is_whole = all(zero != text for zero, text in zip(is_zero, has_text, strict=True))
    return known.get(is_zero) if is_whole else None


def read_text(text, request):
    """Return the spectrum of a text file.

    Parameters
    ----------
    text : str
        Content of the file.
    request : Request
        What the user says.

    Returns
    -------
    dict
        Rows of pixels, and what is known about them.

    Raises
    ------
    NoSpectrumError
        If astropy cannot read the table, or its columns are not known.
    """
    start = text.lstrip()[:2000].lower()
    kind = "text table"
    if start.startswith("<") and "<votable" in start:
        parts, kind = _votables(text, request), "VOTable"
    else:
        if request.hdu is not None:
            raise NoSpectrumError("is text and has no HDUs; leave hdu out.")
        if start.startswith(("<!doctype", "<html", "<head")):
            raise NoSpectrumError(
                "is neither FITS nor a text table but a web page, which a server may send instead "
                "of a file: download it again."
            )
        parts = [_table(text, request)]
    for part in parts:
        check_rows(part)
        if gaia := gaia_part(part):
            return read_gaia(gaia, request)
    part = parts[0]
    said = not part.named and _name_columns(part, request)
    convention = convention_of({})
    star = read_part(part, request, convention)
    part, roles = star.pop("part"), star.pop("roles")
    left = [] if said else unused(part, roles)
    if part.named:
        request.unused.extend(f"column {name!r}" for name in left)
    else:
        request.unused.extend(f"column {part.find(name).number} without a name" for name in left)
    return star | {"facts": {"format": kind}, "header": plain_header(part.header)}


def _name_columns(part, request):
    """Columns without names: by convention the first two are wavelength and flux.

    What a third one holds is not known: errors, or a continuum. It is left out, with a warning;
    return whether there is one.
    """
    n_columns = len(part.arrays)
    if request.flux is None and n_columns not in (2, 3):
        raise UnknownLayoutError(
            f"has {n_columns} columns without names; two are taken for wavelength and flux, but "
            f"what is in more of them is not known: pass their numbers from 0, such as "
            f"wavelength=0, flux=1, sigma=2, or write the names in the first line."
        )
    third_is_left = n_columns == 3 and not request.names_arrays
    if third_is_left:
        request.notes.append(
            "has a third column without a name, which is not used: pass sigma=2 if it holds "
            "errors, ivar=2 or mask=2 if it holds those, or write names in the first line."
        )
    taken = [
        part.find(getattr(request, role)) for role in ROLES if getattr(request, role) is not None
    ]
    free = [array for array in part.arrays if not any(array is one for one in taken)]
    # By convention wavelengths come first.
    if request.wavelength is None and free and free[0].number == 0:
        free[0].key = "wavelength"
        free = free[1:]
    if request.flux is None and free:
        free[0].key = "flux"
    return third_is_left


def _votables(text, request):
    """Tables of a VOTable file that have rows; the user's choice, or the only one."""
    from astropy.io import votable
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            file = votable.parse(io.BytesIO(text.encode("utf-8")), verify="ignore")
            tables = [table.to_table(use_names_over_ids=True) for table in file.iter_tables()]
        except Exception as error:  # astropy raises many types
            raise NoSpectrumError(
                f"is a VOTable that cannot be read ({short_reason(error)}): it is "
                f"damaged or cut short; copy it again."
            ) from error
    gaia = {"origin": "gaia"} if "gaia" in text.lower() else {}
    tables = [table for table in tables if len(table)]
    if not tables:
        raise NoSpectrumError("has no rows in its VOTable: write or copy it again.")
    number = request.hdu if isinstance(request.hdu, int) else None
    if number is not None and not -len(tables) <= number < len(tables):
        raise NoSpectrumError(f"holds {len(tables)} tables: pass hdu=0 to {len(tables) - 1}.")
    if len(tables) > 1 and number is None:
        listed = "; ".join(f"{i}: {table.colnames}" for i, table in enumerate(tables))
        raise NoSpectrumError(
            f"holds {len(tables)} tables, which may be several spectra: pass hdu= with the number "
            f"of one, {listed}."
        )
    table = tables[number or 0]
    return [_part(table, {**{k: v for k, v in table.meta.items() if k != "description"}, **gaia})]


def _table(text, request):
    """Return the one table of a text file."""
    lines = text.splitlines()
    if not any(line.strip() for line in lines):
        raise NoSpectrumError("is neither FITS nor a text table: it is empty.")
    if lines[0].startswith("# %ECSV"):
        return _part(_read(text, format="ascii.ecsv"))
    if lines[0].lstrip("*").lower().startswith("reduced spectrum of"):
        return _libre_esprit(lines, request)
    first = first_line(lines)
    if first is None:
        raise NoSpectrumError(
            "is neither FITS nor a text table: all lines are comments. Write columns of "
            "wavelength, flux and error."
        )
    lines = [*lines[:first], *tidy_lines(lines[first:])]
    title, data = find_names(lines, first)
    if title is None:
        return _without_header(lines, data)
    lines = lines[title:]
    lines = [_all_named(lines), *lines[1:]]
    # Separators that astropy does not try.
    settings = {}
    if lines[0].startswith("|"):
        settings = {"format": "ascii.fixed_width", "guess": False}
    elif ";" in lines[0]:
        settings = {"format": "ascii.basic", "delimiter": ";", "guess": False}
    table = _read("\n".join(lines), **settings)
    return _part(_without_units_row(table))


def _all_named(lines):
    """Name all columns: pandas leaves the name of an index empty, R and to_string leave it out."""
    title = lines[0]
    if re.match(r"(\"\"|'')?[,;\t]", title):
        return "index" + title.lstrip("\"'")
    if re.search(r"[,;]\s*$|[^\s]+\t.*\t *$|^[^|].*\| *$", title):
        return f"{title.rstrip(' ')}unnamed"
    data = next((line for line in lines[1:] if line.strip()), "")
    if not re.search(r"[,;|\t]", title) and len(split_line(data)) == len(split_line(title)) + 1:
        return f"index {title}"
    return title


def _without_header(lines, first):
    """Columns of numbers; a comment above them may hold the names."""
    data = [line for line in lines[first:] if not is_comment(line)]
    words = split_line(data[0])
    separator = next((one for one in ",;|\t" if one in data[0]), r"\s")
    table = _read("\n".join(data), format="ascii.no_header", guess=False, delimiter=separator)
    part = _part(table)
    part.named = False
    for line in reversed(lines[:first]):
        found = titles(line, len(words))
        if found is None:
            continue
        for array, title in zip(part.arrays, found, strict=True):
            key, unit = names.split_name(title)
            array.name, array.key, array.unit = title, key, array.unit or unit
        part.named = True
        break
    return part


def _libre_esprit(lines, request):
    """Reduced spectra of NARVAL and ESPaDOnS: a title, two numbers, columns without names."""
    table = _read("\n".join(lines[2:]), format="ascii.no_header", guess=False)
    titles = _LIBRE_ESPRIT.get(len(table.colnames) - 1)
    part = _part(table)
    part.named = titles is not None
    for array, title in zip(part.arrays, titles or (), strict=bool(titles)):
        array.name = array.key = title
    part.arrays[0].unit = "nm"
    return part


def _read(text, format="ascii", **settings):
    """Read a table as astropy does."""
    from astropy.table import Table
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            if format != "ascii.ecsv":
                settings["fill_values"] = [("", "nan")]
            return Table.read(text.split("\n"), format=format, **settings)
        except Exception as error:  # the formats that astropy tries raise many types
            raise NoSpectrumError(
                f"is neither FITS nor a text table that astropy can read "
                f"({type(error).__name__}): write columns of wavelength, flux and error."
            ) from error


def _without_units_row(table):
    """Take off a second line of units, which makes text of columns of numbers."""
    from astropy.units import UnitsWarning

    if len(table) < 2:
        return table
    first = ["" if np.ma.is_masked(value) else str(value).strip() for value in table[0]]
    texts = [name for name in table.colnames if table[name].dtype.kind in "US"]
    if not texts or any(map(is_number, filter(None, first))):
        return table
    table = table[1:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnitsWarning)
        for name, unit in zip(table.colnames, first, strict=True):
            if name in texts:
                try:
                    table.replace_column(name, np.array([float(value) for value in table[name]]))
                except ValueError:
                    continue
            table[name].unit = unit.strip("[]() ") or None
    return table


def _part(table, header=None):
    """Arrays of an astropy table; masked elements are NaN."""
    arrays = []
    for i, name in enumerate(table.colnames):
        column = table[name]
        is_empty = np.ma.isMaskedArray(column) and column.mask.all()
        if is_empty and re.fullmatch(r"unnamed|col\d+", str(name)):
            continue  # behind a separator at the end of each line
        values = _plain(column)
        unit = None if getattr(column, "unit", None) is None else str(column.unit)
        ucd = str(getattr(column, "meta", {}).get("ucd", "") or "")
        arrays.append(Array(str(name), i, values, unit, ucd))
    if header is None:
        header = table.meta if isinstance(table.meta, dict) else {}
    return Part("", 0, "", arrays, header)


def _plain(column):
    values = getattr(column, "value", column)
    values = column if np.ma.isMaskedArray(column) else values
    if np.ma.isMaskedArray(values):
        if values.dtype.kind in "iu" and np.ma.getmaskarray(values).any():
            values = values.astype(np.float64)
        if values.dtype.kind == "f":
            return np.asarray(values.filled(np.nan))
        return np.asarray(values.data)
    values = np.asarray(values)
    if values.dtype.kind in "US" and set(np.char.lower(values).tolist()) <= {"true", "false"}:
        return np.char.lower(values) == "true"
    if values.dtype.kind == "O" and len(values) and np.ndim(values[0]) == 1:
        length = max(len(row) for row in values)
        rows = np.full((len(values), length), np.nan)
        for i, row in enumerate(values):
            rows[i, : len(row)] = np.ma.filled(np.ma.asarray(row, dtype=np.float64), np.nan)
        return rows
    return values
