"""identify_lines: the most likely transition of each fitted line."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from skphx._domain import check_medium, plain_wavelength
from skphx.species._line_list import LineList

if TYPE_CHECKING:
    import pandas

# A fitted line is broad if its FWHM is above the first number times the median of all lines. It
# can then only be hydrogen, or a transition of more than the second number in listed depth.
# Hydrogen has at least the third number as depth there: in a cool star, its listed depth is low.
_BROAD, _LEAST_DEPTH_OF_BROAD, _DEPTH_OF_HYDROGEN = 3.0, 0.5, 0.7
# Largest offset of a line in parts of its FWHM, of ordinary and of broad lines, and in Å. A broad
# line may be one of several that make up the two wings of a strong one.
_PART_OF_FWHM, _PART_OF_BROAD_FWHM, _LARGEST_OFFSET = 0.5, 1.0, 2.0


@dataclass(frozen=True, eq=False)
class LineIdentification:
    """Most likely transition of each fitted line, one element per line.

    Attributes
    ----------
    center : ndarray of shape (n_lines,)
        Centre of the fitted line, Å.
    transition : ndarray of shape (n_lines,), int
        Row of the line list, or -1 if no transition is within the tolerance.
    species : ndarray of str of shape (n_lines,)
        Species, such as ``"Fe I"``; empty if no transition is within the tolerance.
    offset : ndarray of shape (n_lines,)
        Fitted centre minus wavelength of the transition, Å; NaN if there is none.
    n_candidates : ndarray of shape (n_lines,), int
        Number of transitions within the tolerance.
    share : ndarray of shape (n_lines,)
        Depth of the transition divided by the sum of the depths of all candidates, near 1 if the
        identification is certain; NaN if the list has no depths. With `fwhm`, depths are weighed
        as in :func:`identify_lines`.
    """

    center: NDArray[np.float64]
    transition: NDArray[np.int64]
    species: NDArray[np.str_]
    offset: NDArray[np.float64]
    n_candidates: NDArray[np.int64]
    share: NDArray[np.float64]

    @property
    def identified(self) -> NDArray[np.bool_]:
        """Whether a transition was found, shape (n_lines,), bool."""
        return self.transition >= 0

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table with one row per line.

        Returns
        -------
        pandas.DataFrame
            The columns have the names of the attributes.
        """
        import pandas

        names = ("center", "transition", "species", "offset", "n_candidates", "share")
        return pandas.DataFrame({name: getattr(self, name) for name in names})


def identify_lines(
    center: ArrayLike,
    line_list: LineList,
    *,
    medium: Literal["air", "vacuum"],
    tolerance: float = 0.05,
    min_depth: float = 0.0,
    fwhm: ArrayLike | None = None,
) -> LineIdentification:
    """Find the most likely transition of each fitted line.

    It is the deepest of the transitions within the tolerance, because there are weak transitions
    near every wavelength. If the list has no depths, it is the nearest transition.

    The lines of a fit that make up a wing of a strong line are broad, and may have their centres
    an Å and more from it. `fwhm` gives such lines the name of the strong line.

    Parameters
    ----------
    center : array-like of shape (n_lines,)
        Centres of fitted lines, Å, such as ``cloner.line_centers_``.
    line_list : LineList
        Known transitions.
    medium : {"air", "vacuum"}
        Medium of `center`; a list in the other medium is converted.
    tolerance : float
        Largest distance between a line and a transition, Å.
    min_depth : float
        Transitions with a smaller depth are not used; transitions without a depth are.
    fwhm : array-like of shape (n_lines,) or None
        Full widths at half maximum of the fitted lines, Å. None uses the tolerance and the depths
        alone, for all lines.

    Returns
    -------
    LineIdentification
        Arrays of shape (n_lines,): `center` (Å), `transition` (row of the line list, -1 if none is
        within the tolerance), `species`, `offset` (fitted minus listed wavelength, Å),
        `n_candidates` and `share` (depth of the transition over that of all candidates); the
        mask `identified`, and ``to_pandas()``. Several fitted lines can have the same
        transition: a deep line is often fitted as a narrow core and broad wings.

    Raises
    ------
    ValueError
        If `medium` is unknown, the tolerance is not positive, a centre is not finite, or `fwhm`
        does not hold a positive width for each line.

    Notes
    -----
    With `fwhm`, the depth of a transition at a distance Δλ is weighed by
    exp(−½ (Δλ / (FWHM/2))²), and the tolerance is at least half the FWHM, up to 2 Å. Lines
    broader than three times the median FWHM can only be hydrogen, H I, whose depth then counts as
    0.7 or more, or a transition deeper than 0.5; their tolerance is at least the FWHM, up to 2 Å.
    If there is no such transition near, the rule without `fwhm` names the line. The limits were
    set with the fitted lines of spectra of 4500 to 7000 K from 8450 to 8710 Å.

    The FWHM of a Voigt profile is 0.5346 L + √(0.2166 L² + G²), with the FWHM L of its Lorentzian
    and G of its Gaussian part.

    References
    ----------
    Olivero & Longbothum (1977), JQSRT 17, 233, for the width of a Voigt profile.

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
    check_medium(medium, required=True)
    center = np.asarray(plain_wavelength(center, "center"), dtype=np.float64)
    tolerance = plain_wavelength(tolerance, "tolerance")
    if center.ndim != 1 or not np.isfinite(center).all():
        raise ValueError(
            f"center must hold finite wavelengths in Å, shape (n_lines,), got shape "
            f"{center.shape}; remove lines without a centre."
        )
    if not tolerance > 0:
        raise ValueError(f"tolerance must be positive, in Å, got {tolerance}.")
    line_list = line_list.in_medium(medium)
    # An infinite width leaves the depths as they are.
    width = np.full(len(center), np.inf) if fwhm is None else _checked_fwhm(fwhm, len(center))
    reach = np.full(len(center), float(tolerance))
    broad = np.zeros(len(center), dtype=bool)
    if fwhm is not None and len(center):
        broad = width > _BROAD * np.median(width)
        part = np.where(broad, _PART_OF_BROAD_FWHM, _PART_OF_FWHM) * width
        reach = np.maximum(tolerance, np.minimum(part, _LARGEST_OFFSET))
    depth_of_broad = _depth_of_broad(line_list)
    transition = np.full(len(center), -1)
    n_candidates = np.zeros(len(center), dtype=np.int64)
    share = np.full(len(center), np.nan)
    for line, at in enumerate(center):
        depth = depth_of_broad if broad[line] else line_list.depth
        near = _candidates(line_list, depth, at, reach[line], width[line], min_depth)
        if broad[line] and not len(near[0]):
            near = _candidates(line_list, line_list.depth, at, tolerance, np.inf, min_depth)
        candidates, distance, weight = near
        n_candidates[line] = len(candidates)
        if not len(candidates):
            continue
        if np.isnan(weight).any():
            transition[line] = candidates[np.argmin(distance)]
            continue
        best = np.lexsort((distance, -weight))[0]
        transition[line] = candidates[best]
        share[line] = weight[best] / weight.sum() if weight.sum() > 0 else np.nan
    found = transition >= 0
    species = np.full(len(center), "", dtype=line_list.species.dtype)
    offset = np.full(len(center), np.nan)
    species[found] = line_list.species[transition[found]]
    offset[found] = center[found] - line_list.wavelength[transition[found]]
    return LineIdentification(center, transition, species, offset, n_candidates, share)


def _checked_fwhm(fwhm, n_lines):
    """Return the widths of the lines in Å, shape (n_lines,)."""
    width = np.asarray(plain_wavelength(fwhm, "fwhm"), dtype=np.float64)
    if width.shape != (n_lines,):
        raise ValueError(
            f"fwhm must hold a width in Å for each line, shape ({n_lines},), got shape "
            f"{width.shape}; give one width for each center, or leave fwhm out."
        )
    wrong = np.flatnonzero(~(np.isfinite(width) & (width > 0)))
    if len(wrong):
        raise ValueError(
            f"fwhm must hold positive widths in Å, but that of line {wrong[0]} is "
            f"{width[wrong[0]]}; remove lines without a width, or leave fwhm out."
        )
    return width


def _depth_of_broad(line_list):
    """Return the depths of transitions that make broad lines, and -1 for all others."""
    depth = line_list.depth
    strong = np.where(depth > _LEAST_DEPTH_OF_BROAD, depth, -1.0)
    return np.where(line_list.species == "H I", np.fmax(depth, _DEPTH_OF_HYDROGEN), strong)


def _candidates(line_list, depth, center, reach, width, min_depth):
    """Return the transitions that a fitted line may be.

    Parameters
    ----------
    line_list : LineList
        Known transitions, in the medium of the line.
    depth : ndarray of shape (n_transitions,)
        Their depths; negative for those that the line cannot be.
    center, reach, width : float
        Centre, largest distance and FWHM, Å.
    min_depth : float
        Least depth.

    Returns
    -------
    candidates : ndarray of shape (n_candidates,), int
        Rows of the list.
    distance : ndarray of shape (n_candidates,)
        Distances from the centre, Å.
    weight : ndarray of shape (n_candidates,)
        Depths, weighed by a Gaussian of the distance; NaN without a depth.
    """
    start = np.searchsorted(line_list.wavelength, center - reach, side="left")
    stop = np.searchsorted(line_list.wavelength, center + reach, side="right")
    candidates = start + np.flatnonzero(~(depth[start:stop] < max(min_depth, 0.0)))
    distance = abs(line_list.wavelength[candidates] - center)
    weight = depth[candidates] * np.exp(-0.5 * (2.0 * distance / width) ** 2)
    return candidates, distance, weight
