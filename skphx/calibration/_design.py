"""Which corrections there are, with their priors, and their columns in the equations of a star."""

import numpy as np

from skphx.calibration._corrections import CORE_OFFSETS, WING_TERMS, WING_WIDTHS

# Prior standard deviations before anything is learnt: ln strength, ln width and slope of a
# line, of a strong line; the same for all lines of a group; and wings.
STRENGTH, WIDTH, SLOPE = 0.3, 0.2, 0.1
STRONG_STRENGTH, STRONG_WIDTH, STRONG_SLOPE = 0.5, 0.5, 0.3
GROUP_STRENGTH, GROUP_WIDTH, WING = 0.2, 0.2, 0.3
# Area of a line that the models lack, Å.
ADDED = 0.05
# Largest absolute corrections of ln width, ln strength and slope.
_MOST_WIDTH, _MOST_STRENGTH, _MOST_SLOPE = 1.5, 1.5, 1.0


class Design:
    """Which corrections there are, and their columns in the equations of a star.

    Parameters
    ----------
    groups : LineGroups
        Groups of all lines.
    own : OwnLines
        Lines with corrections of their own.
    with_slopes : bool
        Whether strengths may change with 5040 K/Teff.
    n_added : int
        Number of lines that the models lack.

    Attributes
    ----------
    parts : dict of slice
        Columns of "strength", "width", "slope", "group strength", "group width", "wings",
        "added".
    label : ndarray of shape (n_columns,), int
        Columns of one label share a prior width.
    """

    def __init__(self, groups, own, with_slopes, n_added=0):
        self.with_slopes = with_slopes
        n_groups, self.n_strengths = len(groups.names), len(own.strength)
        n_wings = len(WING_WIDTHS) * len(groups.feature_center)
        # Strengths, then widths, as in the equations.
        self.kind = groups.number[own.both]
        self.kind[self.n_strengths :] += n_groups
        is_strong = groups.feature[own.both] >= 0
        self.parts: dict[str, slice] = {}
        labels, widths = [], []
        start = 0

        def add(name, label, width):
            nonlocal start
            self.parts[name] = slice(start, start + len(label))
            start += len(label)
            labels.append(len(self.parts) * 10_000 + label)
            widths.append(width)

        label = 2 * self.kind + is_strong
        of_strength, of_width = slice(self.n_strengths), slice(self.n_strengths, None)
        for name, part, common, strong in (
            ("strength", of_strength, STRENGTH, STRONG_STRENGTH),
            ("width", of_width, WIDTH, STRONG_WIDTH),
            ("slope", of_strength if with_slopes else slice(0), SLOPE, STRONG_SLOPE),
        ):
            add(name, label[part], np.where(is_strong[part], strong, common))
        add("group strength", np.zeros(n_groups, int), np.full(n_groups, GROUP_STRENGTH))
        add("group width", np.zeros(n_groups, int), np.full(n_groups, GROUP_WIDTH))
        # Wings of one species share prior widths, for each of the terms.
        species = np.unique(groups.feature_names, return_inverse=True)[1]
        of_wing = np.repeat(species, len(WING_WIDTHS))
        self.species_of_cores = np.repeat(species, len(CORE_OFFSETS))
        terms = np.arange(WING_TERMS)[:, None] * (len(species) + 1)
        add("wings", (terms + of_wing).ravel().astype(int), np.full(WING_TERMS * n_wings, WING))
        add("added", np.zeros(n_added, int), np.full(n_added, ADDED))
        self.label = np.unique(np.concatenate(labels), return_inverse=True)[1]
        self.start_variance = np.concatenate(widths) ** 2

    def columns(self, equations, coordinates):
        """Return the columns of a star, (n_columns, n_pixels).

        Parameters
        ----------
        equations : Equations
            The star.
        coordinates : ndarray of shape (2,)
            Its t and coordinate of log g.
        """
        t, logg = coordinates
        parts = [equations.lines]
        if self.with_slopes:
            parts.append(equations.lines[: self.n_strengths] * t)
        parts += [
            equations.groups,
            equations.wings,
            equations.wings * t,
            equations.wings * logg,
            equations.added,
        ]
        return np.concatenate(parts)

    def parts_of(self, other):
        """Return name and places, here and there, of the parts that another design has as well.

        Lines that were added since, and slopes that only one of them has, are left out.
        """
        return [
            (name, self.parts[name], part)
            for name, part in other.parts.items()
            if part.stop - part.start == self.parts[name].stop - self.parts[name].start
        ]

    @staticmethod
    def typical_variance(name):
        """Return the prior variance of the strength or width of a line that stars do not show."""
        return {"strength": STRENGTH, "width": WIDTH}[name] ** 2

    def limited(self, values):
        """Return corrections within what is plausible for a line."""
        values = values.copy()
        for name, part in self.parts.items():
            if name.endswith("width"):
                values[part] = np.clip(values[part], -_MOST_WIDTH, _MOST_WIDTH)
            elif name.endswith("strength"):
                values[part] = np.clip(values[part], -_MOST_STRENGTH, _MOST_STRENGTH)
            elif name == "slope":
                values[part] = np.clip(values[part], -_MOST_SLOPE, _MOST_SLOPE)
        return values
