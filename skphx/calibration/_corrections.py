"""What stars taught about the lines of an emulator, and how it changes the optical depth."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from skphx.lines._dense import render_dense, render_dense_jvp
from skphx.lines._engine.profile import gaussian, lorentzian
from skphx.lines._reach import lines_that_matter

if TYPE_CHECKING:
    import pandas

# Excitation temperature in eV⁻¹ for T in K; and the units of the coordinates below.
THETA = 5040.0
THETA_UNIT, LOGG_UNIT = 0.1, 0.5
# Half widths of the Lorentzian wings that a strong line can get, Å.
WING_WIDTHS = (0.5, 2.0, 6.0)
# Terms of the area of a wing: constant, with t, and with the coordinate of log g.
WING_TERMS = 3
# Errors of the flux in the cores of strong lines, which form where models are worst: Gaussians of
# this standard deviation at these distances from the centre, Å, and how far they reach.
CORE_WIDTH, _CORE_REACH = 0.3, 2.0
CORE_OFFSETS = np.arange(-4.0, 4.01, 0.5)
# Widths and strengths change by no more than this, in ln.
MOST_CHANGE = 3.0
_OF_LINES = ("strength", "width", "slope", "feature")


@dataclass(frozen=True, eq=False)
class Coordinates:
    """Stellar parameters on which corrections may depend: 5040 K/Teff and log g.

    Beyond the reference stars a correction stays what it is for the nearest one.

    Parameters
    ----------
    columns : tuple of int
        Columns of Teff and log g among the parameters; -1 if there is none.
    middle : ndarray of shape (2,)
        Origin of 5040/Teff and of log g.
    low, high : ndarray of shape (2,)
        Range of the reference stars, in the units of the coordinates.
    """

    columns: tuple[int, int]
    middle: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of_stars(cls, parameters, names):
        """Make the coordinates whose range is that of stars, (n_stars, n_parameters)."""
        teff, logg = (list(names).index(one) if one in names else -1 for one in ("teff", "logg"))
        new = cls((teff, logg), np.zeros(2), np.full(2, -np.inf), np.full(2, np.inf))
        middle = np.median(new._raw(parameters), axis=0)
        new = replace(new, middle=middle)
        values, _ = new.at(parameters)
        return replace(new, low=values.min(axis=0), high=values.max(axis=0))

    def _raw(self, points):
        raw = np.zeros((len(points), 2))
        if self.columns[0] >= 0:
            raw[:, 0] = THETA / points[:, self.columns[0]]
        if self.columns[1] >= 0:
            raw[:, 1] = points[:, self.columns[1]]
        return raw

    def at(self, points):
        """Return the coordinates of points, and their derivatives.

        Parameters
        ----------
        points : ndarray of shape (n_points, n_parameters)
            Stellar parameters.

        Returns
        -------
        values : ndarray of shape (n_points, 2)
            (5040/Teff − middle) / 0.1 and (log g − middle) / 0.5.
        slopes : ndarray of shape (n_parameters, n_points, 2)
            Their derivatives with respect to each parameter.
        """
        points = np.asarray(points, dtype=np.float64)
        values = (self._raw(points) - self.middle) / (THETA_UNIT, LOGG_UNIT)
        inside = (values >= self.low) & (values <= self.high) & (self.low < self.high)
        slopes = np.zeros((points.shape[1], *values.shape))
        if self.columns[0] >= 0:
            teff = points[:, self.columns[0]]
            slopes[self.columns[0], :, 0] = -THETA / teff**2 / THETA_UNIT * inside[:, 0]
        if self.columns[1] >= 0:
            slopes[self.columns[1], :, 1] = inside[:, 1] / LOGG_UNIT
        return np.clip(values, self.low, self.high), slopes


@dataclass(frozen=True, eq=False)
class LineCorrections:
    """Changes of the lines of an emulator, the same for all stars.

    The line i has its ln strength changed by ``strength[i] + slope[i] t``, with t = (5040 K/Teff −
    middle) / 0.1, and the logarithms of both its widths by ``width[i]``. A strong line also gets
    Lorentzian wings, whose area is a factor times its own integrated optical depth.

    Parameters
    ----------
    manifold : LineSurfaces or NodeLines
        The uncorrected lines along the grid of the line emulator.
    columns : tuple of int
        Columns of that grid's parameters among those of a point.
    bounds : ndarray of shape (n_own, 2)
        Limits of that grid; lines of points outside are those at the edge.
    coordinates : Coordinates
        Coordinates t and log g.
    strength, width, slope : ndarray of shape (n_lines,)
        Changes of ln strength and ln width, and of ln strength with t.
    feature : ndarray of shape (n_lines,), int
        Strong line to which each line belongs, or -1.
    feature_center : ndarray of shape (n_features,)
        Wavelengths of the strong lines, Å.
    wings : ndarray of shape (n_features, 3, 3)
        Area of the wing of each width, relative to that of the strong line: constant, times t,
        times the coordinate of log g.
    added : ndarray of shape (n_added, 3)
        Lines that the models lack: centre, standard deviation and area (Å) of a Gaussian optical
        depth that is the same for all stars.
    rendering : dict
        Options with which lines are summed.
    table : dict of ndarray of shape (n_lines,)
        Columns of :meth:`to_pandas`.
    """

    manifold: Any
    columns: tuple[int, ...]
    bounds: NDArray[np.float64]
    coordinates: Coordinates
    strength: NDArray[np.float64]
    width: NDArray[np.float64]
    slope: NDArray[np.float64]
    feature: NDArray[np.int_]
    feature_center: NDArray[np.float64]
    wings: NDArray[np.float64]
    added: NDArray[np.float64]
    rendering: dict = field(default_factory=dict)
    table: dict = field(default_factory=dict)

    @classmethod
    def none(cls, lines, columns, coordinates, groups):
        """Return corrections that change nothing."""
        zero = np.zeros(lines.manifold_.n_lines)
        return cls(
            lines.manifold_,
            columns,
            lines.grid_.bounds,
            coordinates,
            zero,
            zero,
            zero,
            groups.feature,
            groups.feature_center,
            np.zeros((len(groups.feature_center), len(WING_WIDTHS), WING_TERMS)),
            np.zeros((0, 3)),
            lines._rendering(),
        )

    def __len__(self) -> int:
        """Return the number of lines."""
        return len(self.strength)

    def to_pandas(self) -> "pandas.DataFrame":
        """Return a table with one row per line.

        Returns
        -------
        pandas.DataFrame
            Columns `center` (Å), `species`, `strength` and its error (changes of ln strength),
            `width` and its error (changes of ln width), `slope` (change of ln strength for a
            change of 5040 K/Teff by 0.1), `depth` (largest optical depth in a reference star),
            `n_stars` (number of stars that determine the strength better than before the fit),
            `own_strength` (the part of `strength` that is not common to the species) and
            `sampling_error` (its standard deviation due to noise); NaN for a line that has only
            the corrections of its species.
        """
        import pandas

        return pandas.DataFrame(self.table)

    @property
    def pulls(self) -> NDArray[np.float64]:
        """Corrections of ln strength in units of what noise alone would give.

        Of the lines that have corrections of their own; where nothing is wrong, and the errors
        of the stars are right, their mean square is near 1.
        """
        known = np.isfinite(self.table["sampling_error"])
        return self.table["own_strength"][known] / self.table["sampling_error"][known]

    def lines_at(self, points):
        """Return uncorrected and corrected lines, (n_points, n_lines, 4) each."""
        lines = self.manifold.at(self._own(points))
        values, _ = self.coordinates.at(points)
        return lines, self._corrected(lines, values[:, 0])

    def _own(self, points):
        """Return the parameters that the lines depend on, within the limits of their grid."""
        own = np.asarray(points, dtype=np.float64)[:, list(self.columns)]
        return np.clip(own, self.bounds[:, 0], self.bounds[:, 1])

    def selected(self, wavelength):
        """Keep the lines that matter on part of the wavelengths.

        Parameters
        ----------
        wavelength : ndarray of shape (n_pixels,)
            Pixel centres, Å.

        Returns
        -------
        LineCorrections
            A copy with fewer lines.
        """
        # A strong line's wings need the areas of all its parts.
        kept = lines_that_matter(self.manifold, wavelength) | (self.feature >= 0)
        if kept.all():
            return self
        return replace(
            self,
            manifold=self.manifold.selected(kept),
            table={name: column[kept] for name, column in self.table.items()},
            **{name: getattr(self, name)[kept] for name in _OF_LINES},
        )

    def _corrected(self, lines, t):
        corrected = lines.copy()
        corrected[:, :, 1] += np.clip(
            self.strength + self.slope * t[:, None], -MOST_CHANGE, MOST_CHANGE
        )
        corrected[:, :, 2:] += np.clip(self.width, -MOST_CHANGE, MOST_CHANGE)[:, None]
        return corrected

    def wing_shapes(self, wavelength):
        """Return the wings of unit area, shape (n_features · 3, n_pixels), 1/Å."""
        distance = np.asarray(wavelength) - self.feature_center[:, None, None]
        shapes = lorentzian(distance, np.array(WING_WIDTHS)[:, None])
        return shapes.reshape(-1, distance.shape[-1])

    def added_shapes(self, wavelength):
        """Return the added lines of unit area, shape (n_added, n_pixels), 1/Å."""
        distance = np.asarray(wavelength) - self.added[:, :1]
        return gaussian(distance, self.added[:, 1:2])

    def feature_areas(self, lines):
        """Return the integrated optical depth of each strong line, (n_points, n_features), Å."""
        areas = np.zeros((len(lines), len(self.feature_center)))
        members = self.feature >= 0
        np.add.at(areas.T, self.feature[members], np.exp(lines[:, members, 1]).T)
        return areas

    def core_shapes(self, wavelength, lines):
        """Return shapes of errors in the cores of strong lines, (n_features · n_cores, n_pixels).

        Parameters
        ----------
        wavelength : ndarray of shape (n_pixels,)
            Pixel centres, Å.
        lines : ndarray of shape (n_lines, 4)
            Lines of one star.

        Returns
        -------
        csr_array of shape (n_features · n_cores, n_pixels)
            Neighbouring Gaussians, times the squared depth of the strong line.
        """
        wavelength = np.asarray(wavelength)
        reach = CORE_OFFSETS[[0, -1]] + (-_CORE_REACH, _CORE_REACH)
        blocks = []
        for feature, center in enumerate(self.feature_center):
            first, last = np.searchsorted(wavelength, center + reach)
            x = wavelength[first:last]
            block = csr_array((len(CORE_OFFSETS), len(wavelength)))
            if len(x) > 1:
                own = lines[self.feature == feature]
                depth = 1.0 - render_dense(x, own[None], **self.rendering)[0]
                shapes = depth**2 * np.exp(
                    -0.5 * ((x - center - CORE_OFFSETS[:, None]) / CORE_WIDTH) ** 2
                )
                columns = np.tile(np.arange(first, last), len(shapes))
                starts = np.arange(len(shapes) + 1) * len(x)
                block = csr_array((shapes.ravel(), columns, starts), shape=block.shape)
            blocks.append(block)
        return vstack(blocks, format="csr") if blocks else csr_array((0, len(wavelength)))

    def _wing_areas(self, lines, values):
        basis = np.stack([np.ones(len(values)), *values.T], axis=1)
        relative = np.einsum("fwb,nb->nfw", self.wings, basis)
        return self.feature_areas(lines)[:, :, None] * relative, relative, basis

    def ratio(self, wavelength, points):
        """Return corrected over uncorrected transmission of the lines.

        Parameters
        ----------
        wavelength : ndarray of shape (n_pixels,)
            Pixel centres, Å.
        points : ndarray of shape (n_points, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_points, n_pixels)
            The factor of the flux.
        """
        lines = self.manifold.at(self._own(points))
        values, _ = self.coordinates.at(points)
        before = render_dense(wavelength, lines, **self.rendering)
        after = render_dense(wavelength, self._corrected(lines, values[:, 0]), **self.rendering)
        ratio = _quotient(after, before)
        if len(self.feature_center):
            areas, _, _ = self._wing_areas(lines, values)
            ratio *= np.exp(-areas.reshape(len(points), -1) @ self.wing_shapes(wavelength))
        return ratio * self._added_transmission(wavelength)

    def _added_transmission(self, wavelength):
        """Return the transmission of the lines that the models lack, or 1."""
        if len(self.added) == 0:
            return 1.0
        return np.exp(-self.added[:, 2] @ self.added_shapes(wavelength))

    def ratio_with_slopes(self, wavelength, points):
        """Return the same with derivatives of its logarithm.

        Parameters
        ----------
        wavelength, points
            As for :meth:`ratio`.

        Returns
        -------
        ratio : ndarray of shape (n_points, n_pixels)
            As :meth:`ratio` returns it.
        log_slopes : ndarray of shape (n_parameters, n_points, n_pixels)
            ∂ ln ratio / ∂parameter.
        """
        own = self._own(points)
        lines = self.manifold.at(own)
        values, slopes = self.coordinates.at(points)
        tangents = np.zeros((points.shape[1], *lines.shape))
        # Beyond the limits of their grid, lines do not change.
        within = own == points[:, list(self.columns)]
        tangents[list(self.columns)] = self.manifold.tangents_at(own) * within.T[:, :, None, None]
        moved = tangents.copy()
        change = self.strength + self.slope * values[:, :1]
        moved[..., 1] += slopes[:, :, :1] * self.slope * (np.abs(change) < MOST_CHANGE)
        before, before_slopes = render_dense_jvp(wavelength, lines, tangents, **self.rendering)
        after, after_slopes = render_dense_jvp(
            wavelength, self._corrected(lines, values[:, 0]), moved, **self.rendering
        )
        ratio = _quotient(after, before)
        ratio *= self._added_transmission(wavelength)
        log_slopes = _quotient(after_slopes, after) - _quotient(before_slopes, before)
        if len(self.feature_center):
            shapes = self.wing_shapes(wavelength)
            areas, relative, _ = self._wing_areas(lines, values)
            ratio *= np.exp(-areas.reshape(len(points), -1) @ shapes)
            own_areas = self.feature_areas(lines)
            for column, tangent in enumerate(tangents):
                grown = np.zeros_like(own_areas)
                members = self.feature >= 0
                np.add.at(
                    grown.T,
                    self.feature[members],
                    (np.exp(lines[:, members, 1]) * tangent[:, members, 1]).T,
                )
                change = grown[:, :, None] * relative + own_areas[:, :, None] * np.einsum(
                    "fwb,nb->nfw", self.wings[:, :, 1:], slopes[column]
                )
                log_slopes[column] -= change.reshape(len(points), -1) @ shapes
        return ratio, log_slopes


def _quotient(above, below):
    """Return a quotient of transmissions, finite where both are lost to rounding."""
    return above / np.maximum(below, np.finfo(float).tiny)
