"""Arrays of a file with their names, and which of them is the flux, the error, the mask."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from skphx.datasets import _spectrum_names as names
from skphx.datasets._spectrum_request import ERRORS, ROLES, NoSpectrumError, UnknownLayoutError

_MOST_LISTED = 20


@dataclass
class Array:
    """One array of a file.

    Parameters
    ----------
    name : str
        Name in the file.
    number : int
        Number of the column, or of the HDU.
    values : ndarray
        Its values.
    unit : str, astropy unit or None
        Unit in the file.
    ucd : str
        What the virtual observatory calls it.
    header : mapping
        Header of an image.
    """

    name: str
    number: int
    values: np.ndarray
    unit: Any = None
    ucd: str = ""
    header: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        self.key, unit = names.split_name(self.name)
        self.unit = self.unit or unit
        if self.unit is not None and not hasattr(self.unit, "is_equivalent"):
            self.unit = str(self.unit)  # cards of damaged headers hold numbers

    @property
    def is_number(self):
        """Whether the array holds numbers or booleans."""
        return self.values.dtype.kind in "fiub"

    def __repr__(self):
        return repr(_short(self.name)) if self.name else f"number {self.number}, without a name"


def _short(name, most=60):
    """Name for a message: that of a column may be a line of a damaged file."""
    return name if len(name) <= most else f"{name[:most]}..."


@dataclass
class Part:
    """Arrays that belong together: the columns of a table, or the images of a FITS file.

    Parameters
    ----------
    where : str
        What it is, for messages, such as "HDU 1 'COADD_B'".
    number, name : int, str
        Number and name of the HDU.
    arrays : list of Array
        The arrays.
    header : mapping
        Header.
    kind : {"column", "extension"}
        What an array is.
    axis : callable or None
        Returns wavelengths in Å and their medium from the header of an image of the flux.
    named : bool
        Whether the arrays have names; columns of text without a header do not.
    """

    where: str
    number: int
    name: str
    arrays: list[Array]
    header: Mapping[str, Any]
    kind: str = "column"
    axis: Callable[..., Any] | None = None
    named: bool = True

    def find(self, choice):
        """Return the array of this name or number, or None."""
        if isinstance(choice, int):
            wanted = choice if choice >= 0 else self.arrays[-1].number + 1 + choice
            return next((array for array in self.arrays if array.number == wanted), None)
        key = names.split_name(choice)[0]
        for same in (lambda array: array.name == choice, lambda array: array.key == key):
            found = [array for array in self.arrays if same(array)]
            if len(found) > 1:
                raise NoSpectrumError(
                    f"has {len(found)} arrays named {choice!r}: pass the number, one of "
                    f"{[array.number for array in found]}."
                )
            if found:
                return found[0]
        return None

    @property
    def listed(self):
        """Names of the arrays, for messages."""
        names = [_short(array.name) if array.name else array.number for array in self.arrays]
        return names[:_MOST_LISTED] + ["..."] * (len(names) > _MOST_LISTED)


def assign(part, request):
    """Return which array is what.

    Parameters
    ----------
    part : Part
        The arrays.
    request : Request
        What the user says.

    Returns
    -------
    roles : dict
        Arrays by role: wavelength, flux, one of sigma, variance and ivar, and mask, as far as
        names or the user say so.
    said : WavelengthName
        What the name of the wavelengths says.

    Raises
    ------
    UnknownLayoutError
        If an array that the user names is absent.
    NoSpectrumError
        If two arrays have a name of the same meaning.
    """
    roles = _chosen(part, request)
    said = names.WavelengthName()
    if "wavelength" in roles:
        said = names.wavelength_name(roles["wavelength"].key) or said
    else:
        found = _pick_wavelength(part, request, _taken(roles))
        if found:
            roles["wavelength"], said = found
    axis = roles.get("wavelength")
    if "flux" not in roles:
        for known in (names.FLUX, names.OTHER_FLUX):
            if flux := _only(part, known, "flux", roles, like=axis):
                roles["flux"] = flux
                break
    like = roles.get("flux", axis)
    if not set(ERRORS) & set(roles):
        for role, known in _names_of_errors(part, roles.get("flux")):
            if error := _only(part, known, role, roles, like=like):
                roles[role] = error
                break
    if "mask" not in roles:
        for known in (names.BAD_PIXELS, names.GOOD_PIXELS, names.MASK):
            if mask := _only(part, known, "mask", roles, like=like):
                roles["mask"] = mask
                break
    return roles, said


def _names_of_errors(part, flux):
    """Roles and names of errors, those to prefer first.

    Errors without the name of a flux are not those of another flux beside the usual one.
    """
    usual = (
        ("sigma", names.SIGMA),
        ("variance", names.VARIANCE),
        ("ivar", names.IVAR),
        ("relative", names.RELATIVE),
    )
    if flux is None:
        return usual
    if flux.key in names.FLUX:
        return tuple((role, known | names.errors_of(flux.key, role)) for role, known in usual)
    own = tuple((role, names.errors_of(flux.key, role)) for role, _ in usual)
    is_other = any(
        array.key in names.FLUX and array.values.size == flux.values.size for array in part.arrays
    )
    return own if is_other else own + usual


def _taken(roles):
    return [array.number for array in roles.values()]


def _chosen(part, request):
    """Arrays that the user names."""
    roles = {}
    for role in ROLES:
        choice = getattr(request, role)
        if choice is None:
            continue
        array = part.find(choice)
        if array is None:
            raise UnknownLayoutError(
                f"has no {part.kind} {choice!r} for {role}=, only {part.listed}: pass one of them."
            )
        if not array.is_number:
            raise NoSpectrumError(
                f"has text in {part.kind} {array!r}, not numbers: pass {role}= with another one."
            )
        roles[role] = array
    return roles


def _only(part, known, role, roles, like):
    """Array with one of the known names and as many pixels as another, or None."""
    found = [
        array
        for array in part.arrays
        if array.key in known
        and array.number not in _taken(roles)
        and array.values.size > 0
        and (like is None or array.values.shape[-1:] == like.values.shape[-1:])
        and (role == "flux" or like is None or array.values.size == like.values.size)
    ]
    if len(found) > 1:
        raise NoSpectrumError(
            f"has several {part.kind}s that may be the {role}, {_listed(found)}: pass "
            f"{role}={_choice(found)!r}, or another of them."
        )
    if found and not found[0].is_number:
        if part.kind == "column" and role == "flux":
            raise NoSpectrumError(
                f"has text in {part.kind} {found[0]!r}, not numbers, such as "
                f"{str(found[0].values.flat[0])!r}: write numbers, and nan where there is none."
            )
        return None
    return found[0] if found else None


def _listed(arrays):
    """Names for a message, with numbers where names do not tell arrays apart."""
    same = len({array.key for array in arrays}) < len(arrays)
    return ", ".join(f"{array!r} ({array.number})" if same else repr(array) for array in arrays)


def _choice(arrays):
    """Return the first name, or its number where names do not tell arrays apart."""
    same = len({array.key for array in arrays}) < len(arrays)
    return arrays[0].number if same else arrays[0].name


def _pick_wavelength(part, request, taken):
    """Return the array of wavelengths, that of the user's medium where there are two; or None."""
    found = [
        (array, said)
        for array in part.arrays
        if array.number not in taken
        and array.is_number
        and (said := names.wavelength_name(array.key))
    ]
    if not found:
        return None
    linear = [one for one in found if one[1].scale == "linear"]
    # A logarithm beside the wavelengths is the same axis.
    found = linear or found
    media = {one[1].medium for one in found}
    if len(media) > 1:
        wanted = request.medium or ("vacuum" if None not in media else None)
        if wanted not in media:
            # The one without a label is not that of the other label.
            wanted = None if None in media else next(iter(media))
        found = [one for one in found if one[1].medium == wanted]
    if len(found) > 1:
        listed = _listed([array for array, _ in found])
        raise NoSpectrumError(
            f"has several {part.kind}s of wavelengths, {listed}: pass "
            f"wavelength={found[0][0].name!r}, or another of them."
        )
    array, said = found[0]
    if said.medium is None and (medium := _beside(part, array)):
        said = names.WavelengthName(medium, said.scale, said.frame, said.unit)
    return array, said


def _beside(part, array):
    """Medium of wavelengths without a label, from those with one beside them, or None."""
    for other in part.arrays:
        said = names.wavelength_name(other.key)
        if (
            other is array
            or said is None
            or said.medium is None
            or said.scale != "linear"
            or not other.is_number
            or other.values.shape != array.values.shape
            or str(other.unit) != str(array.unit)
        ):
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.nanmedian(np.asarray(array.values, float) / other.values)
        # The index of air is between 1.00026 and 1.00034 from 2000 Å to the infrared.
        if abs(ratio - 1.0) < 1e-6:
            return said.medium
        if 2.5e-4 < ratio - 1.0 < 3.5e-4 and said.medium == "air":
            return "vacuum"
        if 2.5e-4 < 1.0 - ratio < 3.5e-4 and said.medium == "vacuum":
            return "air"
    return None


def unused(part, roles, silent=frozenset()):
    """Return names of the arrays that are of the size of the spectrum, and are not used.

    Parameters
    ----------
    part : Part
        The arrays.
    roles : dict
        Arrays that are used.
    silent : set of str
        Names that are known to be of no use.

    Returns
    -------
    list of str
        The names.
    """
    taken, size = _taken(roles), roles["flux"].values.size
    has_sigma = bool(set(ERRORS) & set(roles))
    left = []
    for array in part.arrays:
        if array.number in taken or not array.is_number or array.values.size != size:
            continue
        if array.key in names.BOOKKEEPING or array.key in silent or array.key in names.STARS:
            continue
        # The same errors again, and the other axis of the same wavelengths.
        if has_sigma and array.key in names.VARIANCE | names.IVAR:
            continue
        if names.wavelength_name(array.key) or _is_plain(array.values):
            continue
        left.append(array.name if array.name else f"number {array.number}")
    return left


def _is_plain(values):
    """Whether an array holds nothing: only 0, 1, NaN or one integer, or numbers of its pixels."""
    if values.dtype.kind == "b":
        return bool(values.all() or not values.any())
    with np.errstate(invalid="ignore", over="ignore"):
        numbers = values.ravel().astype(np.float64)
        steps = np.diff(numbers)
    if not np.isfinite(numbers).any():
        return True
    is_constant = values.dtype.kind in "iu" or numbers[0] in (0.0, 1.0)
    return bool(len(steps) and ((is_constant and np.all(steps == 0.0)) or np.all(steps == 1.0)))
