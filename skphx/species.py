"""Names for lines: what a list of known transitions says about lines that were fitted.

Cloning knows where a line is, how strong and how wide, and not which atom made it. A list from
the Vienna Atomic Line Database (VALD) does: :func:`read_vald` reads one, and
:func:`identify_lines` finds for each fitted line the transition that it most likely is.

========== ======= ==============================================================
quantity   unit    what
========== ======= ==============================================================
wavelength Å       in the medium that the list names
excitation eV      energy of the lower level
log gf     dex     statistical weight of the lower level times oscillator strength
depth      1       at the line's centre, in units of the continuum, in the star
                   for which the list was extracted
========== ======= ==============================================================
"""

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["LineIdentification", "LineList", "identify_lines", "read_vald"]

_ROMAN = ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X")
_HEADER = re.compile(r"WL_(air|vac)\((A|nm)\)")
_ROW = re.compile(r"^\s*'([^']+?)\s+(\d+)'\s*,(.*)$")
_ATOM = re.compile(r"[A-Z][a-z]?")
_EV_PER_INVERSE_CM = 1.239841984e-4

# Place of (wavelength, excitation, log gf, depth) among a row's numbers, by the kind of the
# format and how many numbers there are. "Extract stellar" adds a depth to "extract all".
_PLACES = {
    ("short", 9): (0, 1, 3, 8),
    ("short", 7): (0, 1, 2, None),
    ("long", 13): (0, 2, 1, 12),
    ("long", 12): (0, 2, 1, None),
}


@dataclass(frozen=True, eq=False)
class LineList:
    """Known transitions, in the order of wavelength.

    Parameters
    ----------
    wavelength : ndarray of shape (n_transitions,)
        In `medium`, Å.
    species : ndarray of str of shape (n_transitions,)
        Such as ``"Fe I"`` or ``"TiO"``.
    excitation : ndarray of shape (n_transitions,)
        Energy of the lower level, eV.
    log_gf : ndarray of shape (n_transitions,)
        Logarithm of weight times oscillator strength.
    depth : ndarray of shape (n_transitions,)
        Depth at the centre in the star of the list, 0 to 1; NaN where the list has none.
    medium : {"air", "vacuum"}
        What the wavelengths hold for.
    """

    wavelength: np.ndarray
    species: np.ndarray
    excitation: np.ndarray
    log_gf: np.ndarray
    depth: np.ndarray
    medium: str

    def __post_init__(self):
        _check_medium(self.medium)
        order = np.argsort(self.wavelength, kind="stable")
        for name in ("wavelength", "species", "excitation", "log_gf", "depth"):
            column = np.asarray(getattr(self, name))
            if column.shape != np.shape(self.wavelength) or column.ndim != 1:
                raise ValueError(
                    f"{name} must hold one value for each transition, shape "
                    f"{np.shape(self.wavelength)}, got {column.shape}."
                )
            object.__setattr__(self, name, column[order])

    def __len__(self):
        """Return the number of transitions."""
        return len(self.wavelength)

    def __repr__(self):
        """Name the number of transitions, the range of wavelengths and the medium."""
        if not len(self):
            return "LineList of no transitions"
        return (
            f"LineList of {len(self)} transitions, {self.wavelength[0]:.2f} to "
            f"{self.wavelength[-1]:.2f} Å ({self.medium})"
        )

    def in_medium(self, medium):
        """Return the list with wavelengths in air or in vacuum.

        Parameters
        ----------
        medium : {"air", "vacuum"}
            What the wavelengths shall hold for.

        Returns
        -------
        LineList
            The same transitions.

        Raises
        ------
        ValueError
            If there is no such medium.
        """
        _check_medium(medium)
        if medium == self.medium or not len(self):
            return self
        # Only a list in the other medium needs the room that knows both.
        from skphx.observing import air_to_vacuum, vacuum_to_air

        convert = vacuum_to_air if medium == "air" else air_to_vacuum
        # Two transitions may share a wavelength; conversion wants increasing ones.
        distinct, inverse = np.unique(self.wavelength, return_inverse=True)
        return LineList(
            convert(distinct)[inverse],
            self.species,
            self.excitation,
            self.log_gf,
            self.depth,
            medium,
        )


@dataclass(frozen=True, eq=False)
class LineIdentification:
    """What fitted lines most likely are, one element a line.

    Attributes
    ----------
    center : ndarray of shape (n_lines,)
        Centre of the fitted line, Å.
    transition : ndarray of shape (n_lines,), int
        Row of the line list, or -1 where nothing is near enough.
    species : ndarray of str of shape (n_lines,)
        Such as ``"Fe I"``; empty where nothing is near enough.
    offset : ndarray of shape (n_lines,)
        Fitted centre minus wavelength of the transition, Å; NaN where there is none.
    n_candidates : ndarray of shape (n_lines,), int
        Transitions within the tolerance.
    share : ndarray of shape (n_lines,)
        Depth of the transition over that of all candidates: near 1 where there is no doubt;
        NaN where the list has no depths.
    """

    center: np.ndarray
    transition: np.ndarray
    species: np.ndarray
    offset: np.ndarray
    n_candidates: np.ndarray
    share: np.ndarray

    @property
    def identified(self):
        """Whether a transition was found, shape (n_lines,), bool."""
        return self.transition >= 0

    def to_pandas(self):
        """Return one row a line as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            Columns as the attributes.
        """
        import pandas

        names = ("center", "transition", "species", "offset", "n_candidates", "share")
        return pandas.DataFrame({name: getattr(self, name) for name in names})


def read_vald(path):
    """Read a line list as VALD sends it.

    Parameters
    ----------
    path : path
        Answer to "extract stellar", "extract all" or "extract element", in the short or the
        long format, plain or compressed (``.gz``).

    Returns
    -------
    LineList
        Its transitions. Depths are there only in answers to "extract stellar".

    Raises
    ------
    ValueError
        If the file has no header of VALD's, or a row that its format does not have.

    Notes
    -----
    The header says whether wavelengths are in air or in vacuum. VALD's air wavelengths below
    2000 Å are vacuum ones, by the usual convention.

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
    path = Path(path)
    opened = gzip.open if path.suffix == ".gz" else open
    kind = medium = None
    rows = []
    with opened(path, "rt", encoding="utf-8", errors="replace") as file:
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
                # Level names and references of the long format start with a quote, too, but
                # what they quote does not end in an ionisation stage and a comma.
                continue
            name = _species_name(row[1], int(row[2]))
            rows.append((name, *_numbers(row[3], kind, path, number)))
    if kind is None:
        raise ValueError(
            f"{path} has no header of VALD's, a line with WL_air(A), WL_vac(A) or the same in nm; "
            f"keep the header as it was sent, and ask VALD for wavelengths, not wavenumbers."
        )
    columns = [np.array(column) for column in zip(*rows, strict=True)] or [np.empty(0)] * 5
    species, wavelength, excitation, log_gf, depth = columns
    return LineList(
        wavelength * wavelength_unit,
        species.astype(str),
        excitation * energy_unit,
        log_gf,
        depth,
        medium,
    )


def identify_lines(center, line_list, *, medium, tolerance=0.05, min_depth=0.0):
    """Find the transition that each fitted line most likely is.

    Of the transitions within the tolerance it is the deepest one, because weak ones are near
    everywhere; where the list has no depths, the nearest one.

    Parameters
    ----------
    center : array-like of shape (n_lines,)
        Centres of fitted lines, Å, such as ``cloner.line_centers_``.
    line_list : LineList
        Known transitions.
    medium : {"air", "vacuum"}
        What `center` holds for; a list in the other medium is converted.
    tolerance : float
        Largest distance between line and transition, Å.
    min_depth : float
        Transitions of less depth are not considered; those without a depth are.

    Returns
    -------
    LineIdentification
        One element a line. Several fitted lines can be one transition: a deep line is often
        cloned as a narrow core on broad wings.

    Raises
    ------
    ValueError
        If `medium` is unknown, the tolerance is not positive, or a centre is not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.species import LineList, identify_lines
    >>> line_list = LineList(
    ...     wavelength=np.array([8498.023, 8498.05, 8514.072]),
    ...     species=np.array(["Ca II", "Ti I", "Fe I"]),
    ...     excitation=np.array([1.69, 3.1, 2.2]),
    ...     log_gf=np.array([-1.4, -2.0, -2.2]),
    ...     depth=np.array([0.75, 0.01, 0.5]),
    ...     medium="air",
    ... )
    >>> identify_lines([8498.04, 8505.0], line_list, medium="air").species
    array(['Ca II', ''], dtype='<U5')
    >>> identify_lines([8498.04], line_list, medium="ether")
    Traceback (most recent call last):
        ...
    ValueError: medium must be 'air' or 'vacuum', got 'ether'.
    """
    _check_medium(medium)
    center = np.asarray(center, dtype=np.float64)
    if center.ndim != 1 or not np.isfinite(center).all():
        raise ValueError(
            f"center must hold finite wavelengths in Å, shape (n_lines,), got shape "
            f"{center.shape}; leave absent lines out."
        )
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, in Å, got {tolerance}.")
    line_list = line_list.in_medium(medium)
    first = np.searchsorted(line_list.wavelength, center - tolerance, side="left")
    last = np.searchsorted(line_list.wavelength, center + tolerance, side="right")
    transition = np.full(len(center), -1)
    n_candidates = np.zeros(len(center), dtype=np.int64)
    share = np.full(len(center), np.nan)
    for line, (start, stop) in enumerate(zip(first, last, strict=True)):
        depth = line_list.depth[start:stop]
        candidates = start + np.flatnonzero(~(depth < min_depth))
        n_candidates[line] = len(candidates)
        if not len(candidates):
            continue
        distance = abs(line_list.wavelength[candidates] - center[line])
        depth = line_list.depth[candidates]
        if np.isnan(depth).any():
            transition[line] = candidates[np.argmin(distance)]
            continue
        best = np.lexsort((distance, -depth))[0]
        transition[line] = candidates[best]
        share[line] = depth[best] / depth.sum() if depth.sum() > 0 else np.nan
    found = transition >= 0
    species = np.full(len(center), "", dtype=line_list.species.dtype)
    offset = np.full(len(center), np.nan)
    species[found] = line_list.species[transition[found]]
    offset[found] = center[found] - line_list.wavelength[transition[found]]
    return LineIdentification(center, transition, species, offset, n_candidates, share)


def _check_medium(medium):
    """Raise unless the medium is one of the two."""
    if medium not in ("air", "vacuum"):
        raise ValueError(f"medium must be 'air' or 'vacuum', got {medium!r}.")


def _species_name(name, stage):
    """``Fe II`` for VALD's ``Fe 2``; a neutral molecule goes by its formula alone."""
    if _ATOM.fullmatch(name):
        return f"{name} {_ROMAN[stage] if stage < len(_ROMAN) else stage}"
    return name if stage == 1 else f"{name} {'+' * (stage - 1)}"


def _numbers(text, kind, path, line_number):
    """Wavelength, excitation, log gf and depth of a row, in the units of the file."""
    fields = text.split("'")[0].split(",")
    try:
        numbers = [float(field) for field in fields if field.strip()]
        wavelength, excitation, log_gf, depth = _PLACES[kind, len(numbers)]
    except (ValueError, KeyError):
        raise ValueError(
            f"{path}, line {line_number}: expected the numbers of VALD's {kind} format, 7 or 9 "
            f"(short), 12 or 13 (long), got {text.strip()[:60]!r}; keep the file as it was sent."
        ) from None
    return (
        numbers[wavelength],
        numbers[excitation],
        numbers[log_gf],
        np.nan if depth is None else numbers[depth],
    )
