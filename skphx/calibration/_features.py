"""Groups of lines that share what a single line cannot know, and the strong lines with wings."""

from dataclasses import dataclass

import numpy as np

from skphx.lines._engine.profile import total_fwhm
from skphx.species import identify_lines

# A group needs so many lines; smaller ones are put together.
_FEWEST_LINES = 4
_OTHER = "other"
# Without a line list, lines are grouped by their optical depth in the reference stars.
_DEPTHS = (0.05, 0.2, 0.5, 1.0, 2.0)
# A strong line has at least this integrated optical depth in a reference star, Å; fitted lines
# nearer than the second number (Å) to its deepest one belong to it.
_STRONG_AREA, _NEAR = 0.1, 4.0


@dataclass(frozen=True, eq=False)
class OwnLines:
    """Lines with corrections of their own: those that the stars show well enough.

    Attributes
    ----------
    strength, width : ndarray of shape (n,), int
        Numbers of the lines with a correction of ln strength, and of those of them that have
        one of ln width as well.
    """

    strength: np.ndarray
    width: np.ndarray

    @property
    def both(self):
        """Numbers of the lines of strengths, then of widths."""
        return np.concatenate([self.strength, self.width])


@dataclass(frozen=True, eq=False)
class LineGroups:
    """Which lines belong together.

    Parameters
    ----------
    names : list of str of length n_groups
        Species, or classes of depth.
    number : ndarray of shape (n_lines,), int
        Group of each line.
    species : ndarray of str of shape (n_lines,)
        Species of each line, ``""`` if unknown.
    feature : ndarray of shape (n_lines,), int
        Strong line to which each line belongs, or -1.
    feature_center : ndarray of shape (n_features,)
        Wavelengths of the strong lines, Å.
    feature_names : list of str
        Their species, or ``""``.
    """

    names: list[str]
    number: np.ndarray
    species: np.ndarray
    feature: np.ndarray
    feature_center: np.ndarray
    feature_names: list[str]

    def sums(self, values):
        """Return the sums over the lines of each group, (n_lines, ...) to (n_groups, ...)."""
        total = np.zeros((len(self.names), *values.shape[1:]), dtype=values.dtype)
        np.add.at(total, self.number, values)
        return total


def group_lines(lines, line_list, medium):
    """Group lines by species, or by depth without a line list, and find the strong ones.

    Parameters
    ----------
    lines : ndarray of shape (n_lines, 4)
        Each line where it is strongest among the reference stars, from
        :func:`~skphx.species._line_names.strongest_lines`.
    line_list : LineList or None
        Known transitions.
    medium : {"air", "vacuum"} or None
        Medium of the centres; needed with a line list.

    Returns
    -------
    LineGroups
        The groups.
    """
    center, log_area = lines[:, 0], lines[:, 1]
    fwhm = total_fwhm(np.exp(lines[:, 2]), np.exp(lines[:, 3]))
    wavelength = center
    if line_list is None:
        species = np.full(len(center), "")
        depth = np.exp(log_area) / fwhm
        labels = np.array([f"depth class {k}" for k in np.searchsorted(_DEPTHS, depth)])
    else:
        found = identify_lines(center, line_list, medium=medium, tolerance=0.1, fwhm=fwhm)
        species = found.species
        labels = np.where(found.identified, species, _OTHER)
        wavelength = np.where(found.identified, center - found.offset, center)
    _, number, counts = np.unique(labels, return_inverse=True, return_counts=True)
    rare = counts < _FEWEST_LINES
    labels = np.where(rare[number], _OTHER, labels)
    names, number = np.unique(labels, return_inverse=True)
    feature, centers, feature_names = _strong_features(
        center, np.exp(log_area), fwhm, species, wavelength
    )
    groups = [str(name) for name in names]
    return LineGroups(groups, number, species, feature, centers, feature_names)


def _strong_features(center, area, fwhm, species, wavelength):
    """Put the fitted lines of each strong line together.

    A strong line is often fitted as several: a core, wings, and parts of both. From the line
    of the largest area on, lines near it that have the same species, or overlap it where species
    are unknown, are put together.
    """
    feature = np.full(len(center), -1)
    centers: list[float] = []
    names: list[str] = []
    for line in np.argsort(-area):
        if feature[line] >= 0:
            continue
        near = (np.abs(center - center[line]) < _NEAR) & (feature < 0)
        if species[line]:
            near &= species == species[line]
        else:
            near &= np.abs(center - center[line]) < np.maximum(fwhm, fwhm[line])
        if area[near].sum() < _STRONG_AREA:
            continue
        feature[near] = len(centers)
        deepest = np.flatnonzero(near)[np.argmax(area[near] / fwhm[near])]
        centers.append(wavelength[deepest])
        names.append(str(species[line]))
    return feature, np.array(centers), names
