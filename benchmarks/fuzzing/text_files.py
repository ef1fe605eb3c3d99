"""Text, ECSV and VOTable files of observed spectra, and what may be wrong with them."""

import io
import warnings

import numpy as np
from astropy.table import Table

from fuzzing import columns as made
from fuzzing.columns import change, random_sheet
from fuzzing.observed import Case, random_spectrum

_MISSING = ["", "nan", "NaN", "--", "null", "N/A", "NA", "None"]


def _one_per_pixel(rng, kind):
    """Return a sheet whose columns have a row a pixel and distinct names, where they must."""
    sheet = random_sheet(rng, kind)
    change(rng, sheet)
    return sheet


def _unique_names(rng, sheet):
    """Rename the second of two columns of one name, as astropy needs."""
    seen = set()
    for column in sheet.columns:
        while column.name in seen:
            column.name += "_2"
        seen.add(column.name)
    if any(one.role == "twin" for one in sheet.columns):
        sheet.case.may_refuse = True


def votable(rng):
    return _astropy(rng, "VOTable", "votable")


def ecsv(rng):
    return _astropy(rng, "ECSV", "ascii.ecsv")


def _astropy(rng, kind, format):
    sheet = _one_per_pixel(rng, kind)
    _unique_names(rng, sheet)
    table = Table({one.name: one.values[0] for one in sheet.columns})
    case = sheet.case
    for one in sheet.columns:
        if one.unit is not None and not _settable(table, one, format):
            return _astropy(rng, kind, format)
    stream = io.BytesIO() if format == "votable" else io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(stream, format=format)
    content = stream.getvalue()
    text = content.decode() if isinstance(content, bytes) else content
    draw = rng.random()
    if draw < 0.1:
        text = text.replace("\n", "\r\n")
        case.tell("line ends of Windows")
    elif draw < 0.2 and format == "votable":
        text = text.replace("utf-8", "UTF-8")
        text = text.replace("<TABLE", "<!-- a comment --><TABLE")
        case.tell("a comment in the XML")
    elif draw < 0.3 and format == "votable":
        text = text[: int(len(text) * rng.uniform(0.2, 0.95))]
        case.tell("cut short", known=False, may_refuse=True, must_refuse="")
    elif draw < 0.4 and format == "votable":
        line = str(rng.choice(["float64", "double", "FIELD", "TD", "datatype"]))
        text = text.replace(line, "bogus", int(rng.integers(1, 5)))
        case.tell(f"{line} is bogus", known=False, may_refuse=True, must_refuse="")
    elif draw < 0.4 and format == "ascii.ecsv":
        line = str(rng.choice(["float64", "datatype", "name:", "%YAML", "delimiter", "- {"]))
        text = text.replace(line, str(rng.choice(["bogus", "{", "object", ""])), 1)
        case.tell(f"{line} is bogus", known=False, may_refuse=True, must_refuse="")
    case.content = text.encode()
    return case


def _settable(table, column, format):
    """Set the unit of a column, if astropy can write it."""
    from astropy import units

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            unit = units.Unit(column.unit, parse_strict="silent")
            table[column.name].unit = unit
            if format == "votable":
                return not isinstance(
                    unit, units.UnrecognizedUnit | units.function.FunctionUnitBase
                )
            return not isinstance(unit, units.function.FunctionUnitBase)
        except (ValueError, TypeError):
            return False


def csv(rng):
    return _text(rng, "CSV", str(rng.choice([",", ";", "\t", "|"])))


def spaces(rng):
    return _text(rng, "text with names", " ")


def _text(rng, kind, separator):
    sheet = _one_per_pixel(rng, kind)
    case = sheet.case
    for one in sheet.columns:
        if separator in " |":
            one.name = one.name.replace(" ", "_")
        one.name = _name_with_unit(rng, one, separator)
    names = [one.name for one in sheet.columns]
    if len(set(names)) < len(names):
        case.may_refuse = True
    rows = [[repr(float(x)) if one.values.dtype.kind == "f" else str(x) for x in one.values[0]]
            for one in sheet.columns]  # fmt: skip
    lines = [separator.join(row) for row in zip(*rows, strict=True)]
    title = separator.join(names)
    if separator != " " and any(separator in name for name in names):
        title = separator.join(f'"{name}"' for name in names)
    lines = _layout(rng, case, title, lines, separator)
    case.content = _encoded(rng, case, lines)
    return case


def _name_with_unit(rng, column, separator):
    unit = (column.unit or "").strip()
    if not unit:
        if column.unit is not None and separator != " " and rng.random() < 0.3:
            return f"{column.name} []"
        return column.name
    brackets = "[]" if rng.random() < 0.5 else "()"
    space = "" if separator == " " else str(rng.choice(["", " "]))
    if separator == " ":
        unit = unit.replace(" / ", "/").replace("1e-17 ", "1e-17*").replace(" ", ".")
    return f"{column.name}{space}{brackets[0]}{unit}{brackets[1]}"


def _layout(rng, case, title, lines, separator):
    """Return all lines, with comments, indices and other additions."""
    draw = rng.random()
    numbered = [f"{i}{separator}{line}" for i, line in enumerate(lines)]
    if draw < 0.08 and separator == ",":
        case.tell("an index without a name")
        return [f"{separator}{title}", *numbered]
    if draw < 0.12 and separator == ",":
        case.tell("an index with a name")
        return [f"index{separator}{title}", *numbered]
    if draw < 0.2:
        case.tell("comments")
        return ["# by hand", "#", title, *lines]
    if draw < 0.26 and separator in " ,":
        case.tell("names in a comment")
        case.may_refuse = case.may_refuse or any(mark in title for mark in "()[]")
        case.known = case.known and not case.may_refuse
        return ["# by hand", f"# {title}", *lines]
    if draw < 0.31:
        case.tell("blank lines at the end")
        return [title, *lines, "", "  ", ""]
    if draw < 0.36 and separator != " ":
        case.tell("a separator at the end of lines")
        return [f"{title}{separator}", *(f"{line}{separator}" for line in lines)]
    if draw < 0.41:
        case.tell("spaces about lines")
        return [f" {title} ", *(f"  {line} " for line in lines)]
    if draw < 0.46:
        case.tell("capital E and D", may_refuse=True)
        return [title, *(line.replace("e", str(rng.choice(["E", "D"]))) for line in lines)]
    if draw < 0.51:
        which = int(rng.integers(len(lines)))
        lines[which] = lines[which].rpartition(separator)[0] or "1"
        case.tell("a value is missing in a line", known=False, may_refuse=True, must_refuse="")
    elif draw < 0.56:
        which = int(rng.integers(len(lines)))
        lines[which] += f"{separator}1.0"
        case.tell("a value too many in a line", may_refuse=True, may_lose_pixels=True)
        case.must_warn = case.must_warn or ""
    elif draw < 0.6:
        case.tell("the title again in the middle", may_refuse=True, may_lose_pixels=True)
        lines = [*lines[:2], title, *lines[2:]]
    elif draw < 0.64 and separator != ",":
        case.tell("decimal commas", may_refuse=True)
        lines = [line.replace(".", ",") for line in lines]
    elif draw < 0.67:
        case.tell("only the title", must_refuse="there are no pixels")
        lines = []
    elif draw < 0.7:
        case.tell("one pixel", may_refuse=True, known=False, must_refuse="")
        lines = lines[:1]
    elif draw < 0.75:
        case.tell("a footer", may_refuse=True, may_lose_pixels=True)
        lines = [*lines, str(rng.choice(["# end", "END", "---", "total 5 rows"]))]
    return [title, *lines]


def no_names(rng):
    """Text without names: two columns, or more with numbers in the call."""
    spectrum = random_spectrum(rng)
    case = Case("text without names", b"", {"wavelength_unit": "Angstrom"}, spectrum)
    case.call["medium"] = spectrum.medium = "air"
    made._spoil(rng, case) if rng.random() < 0.3 else None
    # A spoiled wavelength is padding, and a flag has no column.
    spectrum.flagged[:] = False
    arrays = [spectrum.wavelength[0], spectrum.flux[0]]
    draw = rng.random()
    if spectrum.sigma is None:
        pass
    elif draw < 0.4:
        arrays.append(spectrum.sigma[0])
        case.tell("three columns", may_lose_sigma=True)
    elif draw < 0.8:
        arrays += [np.ones_like(arrays[0]) * 1.1, spectrum.sigma[0]]
        case.call |= {"wavelength": 0, "flux": 1, "sigma": 3}
        case.tell("four columns, chosen by number")
    else:
        arrays += [spectrum.sigma[0], 1.5 * spectrum.flux[0]]
        case.tell("four columns", must_refuse="four columns have no names")
    separator = str(rng.choice([" ", "  ", ",", ";", "\t"]))
    lines = [separator.join(f"{x:.12g}" for x in row) for row in zip(*arrays, strict=True)]
    draw = rng.random()
    if draw < 0.2:
        lines = [f"{mark} a comment" for mark in "#%!"[: int(rng.integers(1, 4))]] + lines
        case.tell("comments")
    elif draw < 0.3:
        lines = [f"   {line}  " for line in lines]
        case.tell("spaces about lines")
    elif draw < 0.4:
        which = int(rng.integers(len(lines)))
        lines[which] = f"{lines[which].split(separator)[0]}{separator}" + str(rng.choice(_MISSING))
        case.tell("a missing value", known=False, may_refuse=True)
    elif draw < 0.45:
        lines[-1] = lines[-1][: len(lines[-1]) // 2]
        case.tell("the last line is cut", known=False, may_refuse=True)
    elif draw < 0.5:
        lines = [str(len(lines)), *lines]
        case.tell("a line with the number of pixels", may_refuse=True)
    elif draw < 0.55:
        lines = ["HD 1 observed in 2020", *lines]
        case.tell("a title that is no comment", may_refuse=True)
    case.rtol = max(case.rtol, 1e-9)
    case.content = _encoded(rng, case, lines)
    return case


def _encoded(rng, case, lines):
    """Return bytes, in one of the encodings and line ends that occur."""
    end = str(rng.choice(["\n", "\n", "\n", "\r\n", "\r"]))
    text = end.join(lines) + (end if rng.random() < 0.7 else "")
    encoding = str(rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1"]))
    case.log.append(f"{encoding}, lines end in {end!r}")
    return text.encode(encoding, "replace")
