"""Pixels near lines of chosen species, at the velocity of a star.

========== ====== =====================================================================
quantity   unit   meaning
========== ====== =====================================================================
width      Å      half width that is masked: on each side of a transition, at rest
min_depth  1      least depth of a transition in the line list, in units of the continuum
velocity   km/s   radial velocity; positive for a star that moves away
========== ====== =====================================================================
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import SPEED_OF_LIGHT, check_medium, plain_wavelength
from skphx._plain import float_array
from skphx.observing._kernels import shift_of_velocity
from skphx.observing._units import plain_number, speed_in_km_per_s

# Lines of hydrogen are masked whatever depth is listed: in a cool star they are shallow, and wide.
_OF_ANY_DEPTH = "H I"
# Number of species that the message about an unknown one names.
_MOST_NAMED = 10
_COLUMNS = ("wavelength", "species", "depth", "medium", "in_medium")


class Transitions(Protocol):
    """Known transitions, such as a :class:`skphx.species.LineList`."""

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """Wavelengths in Å, shape (n_transitions,)."""

    @property
    def species(self) -> NDArray[np.str_]:
        """Names of the species, shape (n_transitions,)."""

    @property
    def depth(self) -> NDArray[np.float64]:
        """Depths at the line centre, shape (n_transitions,)."""

    @property
    def medium(self) -> Literal["air", "vacuum"]:
        """Medium of the wavelengths."""

    def in_medium(self, medium: Literal["air", "vacuum"]) -> "Transitions":
        """Return the same transitions with wavelengths in another medium."""


@dataclass(frozen=True, eq=False)
class LineMask:
    """Mask of the pixels near lines of chosen species.

    A pixel is masked if the wavelength of its centre, at rest, is within `width` of a transition
    of one of the species. Transitions count if their depth in the list is `min_depth` or more.
    Two kinds count whatever `min_depth` is: those of hydrogen, H I, whose listed depth is low in
    cool stars although the lines are wide, and transitions without a depth.

    Parameters
    ----------
    line_list : LineList
        Known transitions, of :func:`skphx.species.read_vald` or your own
        :class:`skphx.species.LineList`, in air or in vacuum.
    species : str, sequence of str, or None
        Names as in the list, such as ``("H I", "Ca II")``. None is for a mapping `width`, which
        has the names.
    width : float, Quantity, or mapping of str to these
        Half width in Å that is masked on each side of a transition; for each species, if it is a
        mapping such as ``{"H I": 5.0, "Ca II": 8.0}``.
    min_depth : float
        Least depth of a transition, 0 to 1.

    Raises
    ------
    TypeError
        If `line_list` is not a line list, or a name is not text.
    ValueError
        If there is no species, `species` and a mapping `width` have different names, a width is
        not positive, or `min_depth` is out of its range.

    See Also
    --------
    ObservationModel : has a `line_mask`, which `StellarParameterEstimator.infer` applies.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inference import LineMask
    >>> from skphx.species import LineList
    >>> line_list = LineList(
    ...     wavelength=np.array([8498.02, 8514.07]),
    ...     species=np.array(["Ca II", "Fe I"]),
    ...     excitation=np.array([1.69, 2.2]),
    ...     log_gf=np.array([-1.4, -2.2]),
    ...     depth=np.array([0.8, 0.6]),
    ...     medium="air",
    ... )
    >>> line_mask = LineMask(line_list, "Ca II", width=2.0)
    >>> line_mask.masked([8497.0, 8501.0, 8514.0], "air", velocity=40.0)
    array([False,  True, False])
    >>> LineMask(line_list)
    Traceback (most recent call last):
        ...
    ValueError: species must be given, such as species=("H I", "Ca II"), unless width is a ...
    """

    line_list: Transitions
    species: str | Sequence[str] | None = None
    width: float | Mapping[str, float] = 3.0
    min_depth: float = 0.1

    def __post_init__(self) -> None:
        if not all(hasattr(self.line_list, name) for name in _COLUMNS):
            raise TypeError(
                f"line_list must be a LineList of skphx.species, got "
                f"{type(self.line_list).__name__}; use skphx.species.read_vald(path)."
            )
        width: Any = self.width
        if isinstance(width, Mapping):
            width = {name: _half_width(value, name) for name, value in width.items()}
        else:
            width = _half_width(width)
        object.__setattr__(self, "width", width)
        object.__setattr__(self, "species", _names_of(self.species, width))
        min_depth = float_array(plain_number("min_depth", self.min_depth), "min_depth")
        if min_depth.shape != () or not 0.0 <= min_depth <= 1.0:
            raise ValueError(f"min_depth must be from 0 to 1, got {self.min_depth!r}.")
        object.__setattr__(self, "min_depth", float(min_depth))

    @property
    def widths(self) -> dict[str, float]:
        """Half width of each species, Å."""
        if isinstance(self.width, Mapping):
            return dict(self.width)
        return dict.fromkeys(self.species or (), self.width)

    def masked(
        self,
        wavelength: ArrayLike,
        medium: Literal["air", "vacuum"],
        velocity: float | tuple[float, float] = 0.0,
    ) -> NDArray[np.bool_]:
        """Return which pixels are near a line.

        Parameters
        ----------
        wavelength : array-like or Quantity of shape (n_pixels,)
            Pixel centres, Å, in any order.
        medium : {"air", "vacuum"}
            Medium of `wavelength`; a line list in the other medium is converted.
        velocity : float, Quantity, or tuple (low, high)
            Radial velocity of the star, km/s. A range masks the pixels that are near a line at
            any velocity within the range.

        Returns
        -------
        ndarray of shape (n_pixels,), bool
            True for pixels near a line.

        Raises
        ------
        ValueError
            If `medium` is unknown, or the velocity is not one number or (low, high).
        """
        check_medium(medium, required=True)
        wavelength = float_array(plain_wavelength(wavelength), "wavelength")
        given = float_array(speed_in_km_per_s("velocity", velocity), "velocity")
        if given.shape not in ((), (2,)) or not (abs(given) < SPEED_OF_LIGHT).all():
            raise ValueError(
                f"velocity must be a number in km/s, or (low, high), got {velocity!r}."
            )
        shift = np.exp(shift_of_velocity(given)[0] / SPEED_OF_LIGHT)
        center, width = _lines_of(self, medium)
        low, high = (center - width) * shift.min(), (center + width) * shift.max()
        order = np.argsort(low)
        low, high = low[order], np.maximum.accumulate(high[order])
        # The intervals that begin at or below a pixel reach up to `high` of the last of them.
        last = np.searchsorted(low, wavelength, side="right") - 1
        return (last >= 0) & (wavelength <= np.append(high, -np.inf)[last])

    def check_range(self, low: float, high: float, medium: Literal["air", "vacuum"]) -> None:
        """Raise unless every species has a transition to mask in a range of wavelengths.

        Parameters
        ----------
        low, high : float
            First and last wavelength, Å, at rest.
        medium : {"air", "vacuum"}
            Medium of the wavelengths.

        Raises
        ------
        ValueError
            If a species has none; the message names the species that there are, those of most
            transitions first.
        """
        check_medium(medium, required=True)
        line_list = self.line_list.in_medium(medium)
        inside = (line_list.wavelength >= low) & (line_list.wavelength <= high)
        present = line_list.species[inside]
        where = f"between {low:.6g} and {high:.6g} Å ({medium})"
        for name in self.widths:
            if (inside & _counts(line_list, name, self.min_depth)).any():
                continue
            if name in present:
                deepest = line_list.depth[inside & (line_list.species == name)].max()
                raise ValueError(
                    f"line_mask has no transition of {name!r} of min_depth={self.min_depth:g} or "
                    f"more {where}; the deepest has {deepest:.3g}: lower min_depth, or leave "
                    f"{name!r} out."
                )
            names, counts = np.unique(present, return_counts=True)
            frequent = names[np.argsort(-counts, kind="stable")][:_MOST_NAMED].tolist()
            raise ValueError(
                f"line_mask has no transition of {name!r} {where}; its list has there "
                f"{', '.join(frequent) or 'no transition'}"
                f"{' and others' if len(names) > _MOST_NAMED else ''}. Leave {name!r} out, or "
                f"use another list."
            )


def check_line_mask(line_mask: Any) -> None:
    """Raise TypeError unless the value is a LineMask or None.

    Parameters
    ----------
    line_mask : object
        The value.

    Raises
    ------
    TypeError
        If it is anything else.
    """
    if line_mask is not None and not isinstance(line_mask, LineMask):
        raise TypeError(
            f"line_mask must be a LineMask of skphx.inference or None, got "
            f"{type(line_mask).__name__}; write LineMask(line_list, species)."
        )


def _half_width(value, name=None):
    """Return a half width as a number in Å."""
    what = "width" if name is None else f"width of {name!r}"
    number = float_array(plain_wavelength(value, "width"), "width")
    if number.shape != () or not (np.isfinite(number) and number > 0):
        raise ValueError(f"{what} must be a positive number, in Å, got {value!r}.")
    return float(number)


def _names_of(species, width):
    """Return the names of the species, each once."""
    names = species
    if isinstance(species, str):
        names = (species,)
    elif species is None and isinstance(width, dict):
        names = tuple(width)
    names = () if names is None else tuple(names)
    if not all(isinstance(name, str) for name in names):
        raise TypeError(f'species must be names, such as ("H I", "Ca II"), got {species!r}.')
    names = tuple(dict.fromkeys(str(name) for name in names))
    if not names:
        raise ValueError(
            'species must be given, such as species=("H I", "Ca II"), unless width is a mapping '
            "that has the names."
        )
    if isinstance(width, dict) and set(names) != set(width):
        raise ValueError(
            f"species and width must name the same species, got {', '.join(names)} and "
            f"{', '.join(width)}; leave species out if width is a mapping."
        )
    return names


def _counts(line_list, name, min_depth):
    """Return which transitions are of a species and deep enough, shape (n_transitions,)."""
    deep = name == _OF_ANY_DEPTH or ~(line_list.depth < min_depth)
    return (line_list.species == name) & deep


@lru_cache(maxsize=8)
def _lines_of(line_mask, medium):
    """Return the wavelengths to mask and their half widths, Å, each of shape (n_lines,)."""
    line_list = line_mask.line_list.in_medium(medium)
    widths = line_mask.widths
    chosen = [_counts(line_list, name, line_mask.min_depth) for name in widths]
    center = [line_list.wavelength[one] for one in chosen]
    width = [np.full(one.sum(), half) for one, half in zip(chosen, widths.values(), strict=True)]
    return np.concatenate(center), np.concatenate(width)
