"""read_vald: line lists of the Vienna Atomic Line Database."""

import os
import re
from typing import Literal

import numpy as np

from skphx._domain import check_file
from skphx._paths import open_text
from skphx.species._line_list import LineList

_ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_HEADER = re.compile(r"WL_(air|vac)\((A|nm)\)")
_ROW = re.compile(r"^\s*'([^']+?)\s+(\d+)'\s*,(.*)$")
_ATOM = re.compile(r"[A-Z][a-z]?")
_EV_PER_INVERSE_CM = 1.239841984e-4

# Places of wavelength, excitation, log gf, radiative and van der Waals damping and depth among the
# numbers of a row, for the format and the number of numbers. "Extract stellar" has a depth,
# "extract all" has none.
_PLACES: dict[tuple[str, int], tuple[int, int, int, int, int, int | None]] = {
    ("short", 9): (0, 1, 3, 4, 6, 8),
    ("short", 7): (0, 1, 2, 3, 5, None),
    ("long", 13): (0, 2, 1, 9, 11, 12),
    ("long", 12): (0, 2, 1, 9, 11, None),
}


def read_vald(path: str | os.PathLike[str]) -> LineList:
    """Read a line list of VALD.

    Parameters
    ----------
    path : path
        File of "extract stellar", "extract all" or "extract element", in the short or the long
        format, plain or compressed with gzip, bzip2 or xz.

    Returns
    -------
    LineList
        The transitions, with damping constants. Only "extract stellar" gives depths.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file has no VALD header, is compressed and damaged, or a row has the wrong number
        of columns.

    Notes
    -----
    The header says whether the wavelengths are in air or in vacuum. As usual, wavelengths of VALD
    below 2000 Å are always in vacuum.

    References
    ----------
    Ryabchikova, T. et al. (2015), Physica Scripta 90, 054005.

    Examples
    --------
    >>> import os, tempfile
    >>> from skphx.species import read_vald
    >>> text = '''8497.0, 8499.0, 1, 9, 1.0 Wavelength region, lines selected, processed, Vmicro
    ...                                                  Lande  Damping parameters  Central
    ... Spec Ion  WL_air(A)  Excit(eV) Vmic log gf*  Rad.  Stark  Waals  factor  depth  Reference
    ... 'Ca 2',   8498.0230, 1.6924, 1.0, -1.416, 8.210,-5.700,-7.676, 1.070, 0.750, 'a paper'
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "vald.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write(text)
    ...     line_list = read_vald(path)
    >>> line_list, line_list.species
    (LineList of 1 transitions, 8498.02 to 8498.02 Å (air), array(['Ca II'], dtype='<U5'))
    """
    path = check_file(path)
    kind: str | None = None
    medium: Literal["air", "vacuum"]
    rows = []
    with open_text(path, name=path.name, errors="replace") as file:
        for number, text in enumerate(file, start=1):
            if kind is None:
                header = _HEADER.search(text)
                if header:
                    medium = "air" if header[1] == "air" else "vacuum"
                    wavelength_unit = 10.0 if header[2] == "nm" else 1.0
                    energy_unit = 1.0 if "(eV)" in text else _EV_PER_INVERSE_CM
                    kind = "long" if "E_up" in text else "short"
                continue
            row = _ROW.match(text)
            if row is None:
                # Level names and references of the long format also start with a quote, but do
                # not end in an ionisation stage and a comma.
                continue
            name = _species_name(row[1], int(row[2]))
            rows.append((name, *_numbers(row[3], kind, path, number)))
    if kind is None:
        raise ValueError(
            f"{path} is not a VALD line list: it has no header line with WL_air(A), WL_vac(A) or "
            f"the same in nm; keep the header of the file, and request wavelengths from VALD, not "
            f"wavenumbers."
        )
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.empty(0)] * 7
    species, wavelength, excitation, log_gf, radiative, waals, depth = columns
    return LineList(
        wavelength * wavelength_unit,
        species.astype(str),
        excitation * energy_unit,
        log_gf,
        depth,
        medium,
        radiative,
        waals,
    )


def _species_name(name, stage):
    """``Fe II`` for ``Fe 2`` of VALD; the name of a neutral molecule is its formula."""
    if _ATOM.fullmatch(name):
        return f"{name} {_ROMAN[stage] if stage < len(_ROMAN) else stage}"
    return name if stage == 1 else f"{name} {'+' * (stage - 1)}"


def _numbers(text, kind, path, line_number):
    """Return the numbers of a row, those of `_PLACES`, in the units of the file."""
    fields = text.split("'")[0].split(",")
    try:
        numbers = [float(field) for field in fields if field.strip()]
        *places, depth = _PLACES[kind, len(numbers)]
    except (ValueError, KeyError):
        raise ValueError(
            f"{path}, line {line_number}: expected the numbers of VALD's {kind} format, 7 or 9 "
            f"(short), 12 or 13 (long), got {text.strip()[:60]!r}; do not edit the rows of VALD."
        ) from None
    return (*(numbers[place] for place in places), np.nan if depth is None else numbers[depth])
