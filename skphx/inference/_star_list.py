"""What `infer` is given: one star, or a list of stars, with the names that are known."""

from collections.abc import Iterable, Iterator, Mapping, ValuesView
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from skphx.observing._observed_spectrum import ObservedSpectrum, StarLike

#: One star, or several: a list of stars, or stars by name.
StarsLike: TypeAlias = "StarLike | Iterable[StarLike]"

# Two spectra are of one range if they overlap in this part of the narrower one.
_LEAST_OVERLAP = 0.5


def list_stars(stars: Any) -> tuple[list[Any], list[str | None], bool]:
    """Return the stars of a call as a list.

    Parameters
    ----------
    stars : star, or list, tuple, iterator or object array of stars, or mapping of str to star
        As `infer` takes it.

    Returns
    -------
    stars : list
        Each as `as_segments` takes it.
    names : list of str or None
        Name of each star, None if it is not known.
    several : bool
        Whether these are several stars, also if there is only one or none in the list.
    """
    if isinstance(stars, Mapping) and "flux" not in stars and "wavelength" not in stars:
        if all(map(_is_star, stars.values())):
            return list(stars.values()), [str(name) for name in stars], True
    elif isinstance(stars, list | tuple | Iterator | ValuesView) or _holds_objects(stars):
        listed = list(stars)
        return listed, [_name_of(star) for star in listed], True
    return [stars], [_name_of(stars)], False


def _is_star(value):
    """Whether an element of a mapping can be a star, and is not an array of numbers."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(_is_star, value))
    is_structured = bool(getattr(getattr(value, "dtype", None), "names", None))
    return (
        isinstance(value, ObservedSpectrum)
        or is_structured
        or any(hasattr(value, name) for name in ("keys", "columns", "spectral_axis"))
    )


def _holds_objects(stars):
    """Whether stars are in an array or a pandas Series of one dimension."""
    kind = getattr(getattr(stars, "dtype", None), "kind", None)
    if kind != "O" or getattr(stars, "ndim", 0) != 1:
        return False
    # A row of a pandas table is one star.
    return not (hasattr(stars, "keys") and "flux" in stars)


def _name_of(star):
    """Return the name that a star or its first segment has, or None."""
    while isinstance(star, list | tuple) and len(star):
        star = star[0]
    if not isinstance(star, Mapping):
        return None
    facts = star.get("facts")
    for name in (star.get("name"), facts.get("object") if isinstance(facts, Mapping) else None):
        if isinstance(name, str) and name.strip():
            return name.strip()
    return None


@contextmanager
def naming_star(number):
    """Add the number of the star to errors."""
    try:
        yield
    except (TypeError, ValueError) as error:
        error.add_note(f"in star {number}")
        raise


def check_flat_list(stars, segmented):
    """Raise if a flat list of spectra looks like the segments of one star.

    Parameters
    ----------
    stars : list
        Stars as they were given.
    segmented : list of list of ObservedSpectrum
        Segments of each star, in one medium.

    Raises
    ------
    ValueError
        If no star is a list of segments, and two stars hardly overlap in wavelength.
    """
    if len(stars) < 2 or any(isinstance(star, list | tuple) for star in stars):
        return
    low, high = np.array([_range_of(segments) for segments in segmented]).T
    # If all have this much in common, each two of them have.
    if high.min() - low.max() >= _LEAST_OVERLAP * (high - low).max():
        return
    _, first = np.unique(np.column_stack([low, high]), axis=0, return_index=True)
    low, high, known = low[first], high[first], first
    for row in range(len(known) - 1):
        others = slice(row + 1, None)
        shared = np.minimum(high[row], high[others]) - np.maximum(low[row], low[others])
        narrower = np.minimum(high[row] - low[row], high[others] - low[others])
        apart = np.flatnonzero(shared < _LEAST_OVERLAP * narrower)
        if len(apart):
            pair = sorted([row, row + 1 + apart[0]], key=lambda place: known[place])
            limits = " and ".join(f"{low[one]:.6g} to {high[one]:.6g} Å" for one in pair)
            numbers = " and ".join(str(known[one]) for one in pair)
            raise ValueError(
                f"a list is a list of stars, but spectra {numbers} of this list hardly overlap "
                f"({limits}), as segments of one star do. Write infer([[blue, red]]) for one "
                f"star of two segments, or infer([[blue], [red]]) for two stars; with names, "
                f"infer({{'HD 1': [blue], 'HD 2': [red]}})."
            )


def _range_of(segments):
    """Return the lowest and the highest wavelength in Å, of masked pixels, too."""
    return (
        min(segment.wavelength[0] for segment in segments),
        max(segment.wavelength[-1] for segment in segments),
    )
