"""The opacity of each species in one star, fitted to the star's emulated flux.

Populations and line profiles of a schematic atmosphere say how the opacity at a wavelength is
shared by species, and how the flux changes with it. Abundances, partition functions, damping and
oscillator strengths are only roughly known, and hydrogen and unlisted lines are not computed at
all. So each species has a factor, strong lines have another for their damping, and a smooth
opacity is added, such that the flux becomes the emulated one.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from skphx._domain import ABUNDANCE_SUFFIX
from skphx.species._atmosphere import LOG_DEPTH, SchematicAtmosphere
from skphx.species._elements import ALPHA_ELEMENTS, ELEMENTS, parts_of
from skphx.species._formation import emergent_flux
from skphx.species._model_pixels import ModelPixels
from skphx.species._opacity import (
    REFERENCE_DEPTH,
    Transitions,
    rows_of_species,
    transitions_of,
)

# Lines so far beyond the pixels can reach them, Å.
_BEYOND = 30.0
# A species has a factor if its lines are deeper than this, and a factor of its damping if their
# core has more opacity than the second number.
_LEAST_DEPTH, _DAMPED = 0.02, 30.0
# Standard deviations of ln of the factors: atoms, molecules, damping.
_OF_ATOMS, _OF_MOLECULES, _OF_DAMPING = 0.5, 3.0, 0.5
# The error of the computed flux in the fit; residuals above the second number count less.
_ERROR, _OUTLYING = 0.02, 0.03
_N_STEPS, _SMOOTH_AFTER = 8, 2
_LARGEST_STEP = 1.0
# Width in Å of the bins in which the smooth opacity is found, and its limit.
_BIN, _MOST_SMOOTH = 1.5, 5.0
# It is found where lines have less opacity than this, in bins that have this part of such pixels.
_LARGEST_BETWEEN, _LEAST_USED = 1.0, 0.2
# Excitation of the lower level of hydrogen's lines beyond 8200 Å and up to there, eV.
_PASCHEN, _BALMER, _PASCHEN_FROM = 12.09, 10.20, 8200.0
# Steps of finite differences of ln opacity and ln damping, and the least slope of the flux.
_DIFFERENCE, _DAMPING_DIFFERENCE, _LEAST_SLOPE = 0.02, 0.2, -1e-6
# The fit uses about this many pixels.
_N_FITTED = 4000
# Depth at which the smooth opacity has its size.
_SMOOTH_DEPTH = int(np.argmin(np.abs(LOG_DEPTH + 0.5)))


@dataclass(frozen=True, eq=False)
class StarSettings:
    """What a point of the grid says of a star.

    Parameters
    ----------
    teff, logg : float
        K, and dex(cm s⁻²).
    metals : dict of str to float
        [X/H] of each element.
    microturbulence : float
        km/s.
    """

    teff: float
    logg: float
    metals: dict[str, float]
    microturbulence: float

    @classmethod
    def of_point(cls, values, microturbulence):
        """Read the parameters of a point by their names.

        Parameters
        ----------
        values : dict of str to float
            `teff`, `logg` and, if there are, `feh`, `alpha`, `vmic` and abundances such as
            `ca_fe`; others are not used.
        microturbulence : float
            Without `vmic`, km/s.

        Returns
        -------
        StarSettings
            The settings.
        """
        feh, alpha = values.get("feh", 0.0), values.get("alpha", 0.0)
        metals = {
            symbol: feh + (alpha if symbol in ALPHA_ELEMENTS else 0.0)
            for symbol in ELEMENTS
            if symbol not in ("H", "He")
        }
        for name, value in values.items():
            # Grids that vary the abundance of an element.
            element = name.removesuffix(ABUNDANCE_SUFFIX).capitalize()
            if name.endswith(ABUNDANCE_SUFFIX) and element in metals:
                metals[element] += value
        vmic = values.get("vmic", microturbulence)
        return cls(values["teff"], values["logg"], metals, vmic)


@dataclass(eq=False)
class LineFormation:
    """Opacity of each species in one star, and the flux that follows.

    Parameters
    ----------
    pixels : ModelPixels
        Pixels of the opacities.
    atmosphere : SchematicAtmosphere
        Of the star.
    transitions : dict of str to Transitions
        Lines of each species.
    factors : dict of str to float
        ln of the factor of each species' opacity.
    damping : dict of str to float
        ln of the factor of its Lorentzian widths.
    smooth : ndarray of shape (n_fine,)
        Opacity that no species explains, over that of the continuum.
    """

    pixels: ModelPixels
    atmosphere: SchematicAtmosphere
    transitions: dict[str, Transitions]
    factors: dict[str, float] = field(default_factory=dict)
    damping: dict[str, float] = field(default_factory=dict)
    smooth: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of_star(cls, star, pixels, flux, line_list):
        """Compute opacities and fit them to the flux of the star.

        Parameters
        ----------
        star : StarSettings
            The star.
        pixels : ModelPixels
            The pixels.
        flux : ndarray of shape (n_pixels,)
            Its emulated flux, continuum 1.
        line_list : LineList
            Known transitions, in the medium of the pixels.

        Returns
        -------
        LineFormation
            Fitted to the flux.
        """
        atmosphere = SchematicAtmosphere.of_star(star.teff, star.logg, star.metals)
        low, high = pixels.fine[0], pixels.fine[-1]
        transitions = {}
        for species, rows in rows_of_species(line_list, low - _BEYOND, high + _BEYOND).items():
            found = transitions_of(
                species,
                line_list,
                rows,
                atmosphere,
                middle=0.5 * (low + high),
                microturbulence=star.microturbulence,
            )
            if len(found.rows):
                transitions[species] = found
        new = cls(pixels, atmosphere, transitions)
        _Anchor(new, flux).fit()
        return new

    @property
    def source(self):
        """Source function at the middle of the pixels, (n_depths,)."""
        return self.atmosphere.source(0.5 * (self.pixels.fine[0] + self.pixels.fine[-1]))

    def opacities(self, fine=None):
        """Return the opacity of each species on these or all pixels, dict of (n, n_depths)."""
        fine = self.pixels.fine if fine is None else fine
        return {species: self.opacity(species, fine) for species in self.transitions}

    def smooth_opacity(self):
        """Return the opacity that no species explains, (n_fine, n_depths)."""
        return self.smooth[:, None] * self.shape_of_smooth()

    def opacity(self, species, pixels):
        """Return the opacity of a species on pixels, (n_pixels, n_depths)."""
        factor = np.exp(self.damping.get(species, 0.0))
        opacity = self.transitions[species].on_pixels(pixels, factor)
        return opacity * np.exp(self.factors.get(species, 0.0))

    def shape_of_smooth(self):
        """Return how the smooth opacity changes with depth: as that of hydrogen."""
        middle = 0.5 * (self.pixels.fine[0] + self.pixels.fine[-1])
        excitation = _PASCHEN if middle > _PASCHEN_FROM else _BALMER
        shape = 10.0 ** (-excitation * self.atmosphere.theta)
        shape /= self.atmosphere.continuum([middle])[0]
        return shape / shape[_SMOOTH_DEPTH]


class _Anchor:
    """Fit of the factors, the damping and the smooth opacity to the flux of a star.

    Parameters
    ----------
    formation : LineFormation
        Its lines; its factors, damping and smooth opacity are set.
    flux : ndarray of shape (n_pixels,)
        The emulated flux.
    """

    def __init__(self, formation, flux):
        self.formation = formation
        self.pixels, every = formation.pixels.thinned(_N_FITTED)
        self.flux = flux[every]
        self.source, self.shape = formation.source, formation.shape_of_smooth()
        self.plain = formation.opacities(self.pixels.fine)
        self.free = [
            species for species in self.plain if self._largest_depth(species) > _LEAST_DEPTH
        ]
        self.damped = [
            species for species in self.free if formation.transitions[species].core.max() > _DAMPED
        ]
        formation.factors = dict.fromkeys(self.free, 0.0)
        formation.damping = dict.fromkeys(self.damped, 0.0)
        self.smooth = np.zeros(len(self.pixels.fine))
        self.others = sum(
            (opacity for species, opacity in self.plain.items() if species not in self.free),
            start=np.zeros((len(self.pixels.fine), len(LOG_DEPTH))),
        )
        self.deviations = np.array(
            [
                *(_OF_MOLECULES if parts_of(one)[1] is None else _OF_ATOMS for one in self.free),
                *(_OF_DAMPING for _ in self.damped),
            ]
        )

    def fit(self):
        """Take a few steps, and give the results to the formation."""
        formation = self.formation
        for step in range(_N_STEPS):
            own = self._opacities()
            lines = sum(own.values(), start=self.others)
            if step >= _SMOOTH_AFTER:
                self._find_smooth(lines)
            if not self.free:
                continue
            change = self._change(own, lines)
            for species, one in zip(self.free, change, strict=False):
                formation.factors[species] += float(one)
            for species, one in zip(self.damped, change[len(self.free) :], strict=True):
                formation.damping[species] += float(one)
        formation.smooth = np.interp(formation.pixels.fine, self.pixels.fine, self.smooth)

    def _opacities(self):
        """Return the opacity of each species that has a factor."""
        return {
            species: (
                self.formation.opacity(species, self.pixels.fine)
                if species in self.damped
                else self.plain[species] * np.exp(self.formation.factors[species])
            )
            for species in self.free
        }

    def _find_smooth(self, lines):
        """Set the smooth opacity to what is missing between the lines."""
        total = lines + self.smooth[:, None] * self.shape
        computed = emergent_flux(total, self.source)
        more = emergent_flux(total + _DIFFERENCE * self.shape, self.source)
        slope = np.minimum((more - computed) / _DIFFERENCE, _LEAST_SLOPE)
        missing = self.pixels.nearest(self.pixels.observe(computed) - self.flux)
        between = lines[:, REFERENCE_DEPTH] < _LARGEST_BETWEEN
        self.smooth = _binned_median(self.pixels.fine, self.smooth - missing / slope, between)

    def _change(self, own, lines):
        """Return the Gauss-Newton step of all factors, (n_free + n_damped,)."""
        formation, fine = self.formation, self.pixels.fine
        total = lines + self.smooth[:, None] * self.shape
        computed = emergent_flux(total, self.source)
        growth = emergent_flux(total * (1.0 + _DIFFERENCE), self.source) - computed
        # For each unit of opacity, as if all of it had the same depth dependence.
        growth /= np.log1p(_DIFFERENCE) * np.maximum(total[:, REFERENCE_DEPTH], 1e-12)
        columns = [own[species][:, REFERENCE_DEPTH] for species in self.free]
        for species in self.damped:
            factor = np.exp(formation.damping[species] + _DAMPING_DIFFERENCE)
            wider = formation.transitions[species].on_pixels(fine, factor)
            wider *= np.exp(formation.factors[species])
            columns.append((wider - own[species])[:, REFERENCE_DEPTH] / _DAMPING_DIFFERENCE)
        slopes = np.array([self.pixels.observe(growth * column) for column in columns])
        residual = self.flux - self.pixels.observe(computed)
        weights = 1.0 / (1.0 + (residual / _OUTLYING) ** 2) / _ERROR**2
        values = np.array([*formation.factors.values(), *formation.damping.values()])
        curvature = (slopes * weights) @ slopes.T + np.diag(self.deviations**-2.0)
        gradient = (slopes * weights) @ residual - values / self.deviations**2
        step = np.linalg.solve(curvature, gradient)
        return np.clip(step, -_LARGEST_STEP, _LARGEST_STEP)

    def _largest_depth(self, species):
        """Return the depth of the deepest line of a species, as if it were alone."""
        opacity = self.plain[species]
        deepest = np.argmax(opacity[:, REFERENCE_DEPTH])
        return 1.0 - emergent_flux(opacity[[deepest]], self.source)[0]


def _binned_median(wavelength, values, used):
    """Return the median in bins of wavelength, interpolated, from 0 to a limit.

    Bins of which less than a fifth is used are left out.
    """
    n_bins = max(1, int(np.ceil((wavelength[-1] - wavelength[0]) / _BIN)))
    parts = np.array_split(np.arange(len(wavelength)), n_bins)
    parts = [part[used[part]] for part in parts if np.mean(used[part]) > _LEAST_USED]
    if not parts:
        return np.zeros(len(wavelength))
    centres = [wavelength[part].mean() for part in parts]
    medians = [np.median(values[part]) for part in parts]
    return np.clip(np.interp(wavelength, centres, medians), 0.0, _MOST_SMOOTH)
