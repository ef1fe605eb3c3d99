"""The species that make up each fitted line."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.special import voigt_profile

from skphx._domain import FWHM_PER_SIGMA
from skphx.lines._engine.profile import total_fwhm
from skphx.species._atmosphere import LOG_DEPTH

if TYPE_CHECKING:
    import pandas

#: Name of the opacity that no species of the line list explains.
UNIDENTIFIED = "unidentified"
# Opacity that no transition explains is hydrogen's within this distance of its lines, Å.
_REACH_OF_HYDROGEN = 30.0
# Pixels within this many FWHM of a line say what it is made of.
_REACH = 1.0
# Optical depth at which light leaves the star.
_FORMATION = 2.0 / 3.0
_SHOWN = 3


@dataclass(frozen=True, eq=False)
class LineNames:
    """Species that make up each fitted line.

    Attributes
    ----------
    center : ndarray of shape (n_lines,)
        Centre, Å.
    area : ndarray of shape (n_lines,)
        Integrated optical depth, Å.
    species : ndarray of str of shape (n_lines,)
        Species with the largest share of the opacity; ``"unidentified"`` if that is opacity that
        the line list does not explain.
    excitation : ndarray of shape (n_lines,)
        Energy of the lower level of its strongest transition there, eV; NaN if there is none.
    share : ndarray of shape (n_lines,)
        Its share of the opacity, 0 to 1.
    all_species : tuple of str
        All species.
    shares : ndarray of shape (n_lines, n_species)
        Share of each species; rows add up to 1.
    """

    center: NDArray[np.float64]
    area: NDArray[np.float64]
    species: NDArray[np.str_]
    excitation: NDArray[np.float64]
    share: NDArray[np.float64]
    all_species: tuple[str, ...]
    shares: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.center)

    def of_lines(self, lines: NDArray[np.float64]) -> "LineNames":
        """Return the names of some of the lines.

        Parameters
        ----------
        lines : ndarray of shape (n_kept, 4)
            Centre and ln area of the lines to keep come first.

        Returns
        -------
        LineNames
            Of these lines, in their order.
        """
        own = np.stack([self.center, np.log(self.area)], axis=1)
        _, rows = cKDTree(own).query(lines[:, :2])
        per_line = ("center", "area", "species", "excitation", "share", "shares")
        return replace(self, **{name: getattr(self, name)[rows] for name in per_line})

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table with one row per line.

        Returns
        -------
        pandas.DataFrame
            Columns `center`, `area`, `species`, `excitation` and `share`, and `others`: the next
            species with their shares, as text.
        """
        import pandas

        order = np.argsort(-self.shares, axis=1)[:, 1:_SHOWN]
        others = [
            ", ".join(
                f"{self.all_species[column]} {shares[column]:.2f}"
                for column in columns
                if shares[column] >= 0.005
            )
            for columns, shares in zip(order, self.shares, strict=True)
        ]
        names = ("center", "area", "species", "excitation", "share")
        return pandas.DataFrame(
            {**{name: getattr(self, name) for name in names}, "others": others}
        )


def strongest_lines(lines):
    """Return each line where it is strongest.

    Parameters
    ----------
    lines : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (ln Å); NaN where a node lacks a line.

    Returns
    -------
    ndarray of shape (n_lines, 4)
        The same of the node in which the area is largest.
    """
    return lines[log_areas(lines).argmax(axis=0), np.arange(lines.shape[1])]


def log_areas(lines):
    """Return ln area of each line at each node, -inf where a node lacks it."""
    return np.where(np.isfinite(lines[:, :, 1]), lines[:, :, 1], -np.inf)


def species_shares(formation, opacities, line_list):
    """Return the share of the opacity that each species has at the depth where light leaves.

    Parameters
    ----------
    formation : LineFormation
        Of a star.
    opacities : dict of str to ndarray of shape (n_fine, n_depths)
        Opacity of each species over that of the continuum.
    line_list : LineList
        For the lines of hydrogen.

    Returns
    -------
    dict of str to ndarray of shape (n_fine,)
        Shares, of hydrogen and of unidentified opacity too. They add up to 1, or are all 0
        where there is none.
    """
    smooth = formation.smooth_opacity()
    total = sum(opacities.values(), start=smooth)
    step = np.log(10.0) * np.diff(LOG_DEPTH)
    depth = (1.0 + total) * 10.0**LOG_DEPTH
    optical = np.cumsum(0.5 * step * (depth[:, 1:] + depth[:, :-1]), axis=1) + depth[:, :1]
    place = np.minimum((optical < _FORMATION).sum(axis=1) + 1, len(LOG_DEPTH) - 1)
    rows = np.arange(len(total))
    here = np.maximum(total[rows, place], np.finfo(float).tiny)
    shares = {species: one[rows, place] / here for species, one in opacities.items()}
    fine = formation.pixels.fine
    hydrogen = line_list.wavelength[line_list.species == "H I"]
    is_near = np.zeros(len(fine), dtype=bool)
    for center in hydrogen:
        is_near |= np.abs(fine - center) < _REACH_OF_HYDROGEN
    left = smooth[rows, place] / here
    shares["H I"] = np.where(is_near, left, 0.0)
    shares[UNIDENTIFIED] = np.where(is_near, 0.0, left)
    return shares


def shares_of_lines(wavelength, shares, lines):
    """Average shares over the profile of each line.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    shares : ndarray of shape (n_species, n_pixels)
        Shares at each pixel.
    lines : ndarray of shape (n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (ln Å).

    Returns
    -------
    ndarray of shape (n_lines, n_species)
        Shares of each line; 0 for one outside the wavelengths.
    """
    sigma, gamma = np.exp(lines[:, 2]), np.exp(lines[:, 3])
    reach = _REACH * total_fwhm(sigma, gamma)
    step = np.median(np.diff(wavelength))
    first = np.searchsorted(wavelength, lines[:, 0] - np.maximum(reach, step))
    last = np.searchsorted(wavelength, lines[:, 0] + np.maximum(reach, step))
    found = np.zeros((len(lines), len(shares)))
    for line, (start, stop) in enumerate(zip(first, last, strict=True)):
        if stop > start and np.isfinite(lines[line]).all():
            offset = wavelength[start:stop] - lines[line, 0]
            weights = voigt_profile(offset, sigma[line], gamma[line])
            found[line] = shares[:, start:stop] @ weights / weights.sum()
    return found


def name_by_shares(lines, by_species, line_list):
    """Name each line after the species with the largest share.

    Parameters
    ----------
    lines : ndarray of shape (n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (ln Å).
    by_species : dict of str to ndarray of shape (n_lines,)
        Share of each species in each line.
    line_list : LineList
        Known transitions, in the medium of the lines.

    Returns
    -------
    LineNames
        The names.
    """
    all_species = [*(one for one in by_species if one != UNIDENTIFIED), UNIDENTIFIED]
    nothing = np.zeros(len(lines))
    shares = np.stack([by_species.get(species, nothing) for species in all_species], axis=1)
    # What is left is unidentified, and is the whole line where there is no opacity at all.
    total = shares.sum(axis=1, keepdims=True)
    shares /= np.where(total > 0, total, 1.0)
    shares[total[:, 0] == 0, -1] = 1.0
    first = shares.argmax(axis=1)
    names = np.array(all_species)[first]
    width = total_fwhm(np.exp(lines[:, 2]), np.exp(lines[:, 3])) / FWHM_PER_SIGMA
    excitation = np.full(len(lines), np.nan)
    # log gf − θ χ for a star like the Sun.
    strength = line_list.log_gf - line_list.excitation
    for name in np.unique(names):
        rows = np.flatnonzero(line_list.species == name)
        if len(rows) == 0:
            continue
        for line in np.flatnonzero(names == name):
            offset = (line_list.wavelength[rows] - lines[line, 0]) / max(width[line], 0.02)
            best = np.argmax(strength[rows] * np.log(10.0) - 0.5 * offset**2)
            excitation[line] = line_list.excitation[rows[best]]
    return LineNames(
        lines[:, 0],
        np.exp(lines[:, 1]),
        names,
        excitation,
        shares[np.arange(len(lines)), first],
        tuple(all_species),
        shares,
    )
