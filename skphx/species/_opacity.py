"""Opacity of the lines of each species on pixels, over that of the continuum."""

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from skphx._domain import SPEED_OF_LIGHT
from skphx.species._atmosphere import BOLTZMANN, LOG_DEPTH
from skphx.species._elements import is_unknown_molecule, mass_of, parts_of

# π e²/(m c²), cm; Å in a cm.
_CLASSICAL, _ANGSTROM = 8.8528e-13, 1e-8
_ATOMIC_MASS = 1.66054e-24  # g
# Damping where the list has none: log10 of the van der Waals constant per hydrogen atom at
# 10,000 K (s⁻¹ cm³), and the radiative constant (s⁻¹).
_USUAL_WAALS, _USUAL_RADIATIVE = -7.6, 2.2e7
# The van der Waals constant grows with this power of the temperature.
_WAALS_POWER = 0.3
# Transitions of less opacity in their core, in units of the continuum, are left out, and wings
# end where they have less than the second number.
_LEAST_CORE, _LEAST_WING = 1e-3, 2e-4
# Opacity in the core of the strongest line of a molecule whose number is unknown.
_STRONGEST_OF_UNKNOWN = 0.3
# Depth at which these are counted.
REFERENCE_DEPTH = int(np.argmin(np.abs(LOG_DEPTH + 1.0)))
# Beyond so many Doppler widths a profile is its asymptotic wing; cores reach this far.
_WING, _CORE_REACH = 8.0, 4.0
_SQRT_PI = math.sqrt(math.pi)


@dataclass(frozen=True, eq=False)
class Transitions:
    """Transitions of one species that matter in one star, with their populations.

    Parameters
    ----------
    rows : ndarray of shape (n,), int
        Rows of the line list.
    wavelength : ndarray of shape (n,)
        Å.
    strength : ndarray of shape (n, n_depths)
        Integrated opacity, Å, over that of the continuum at the middle of the wavelengths.
    doppler : ndarray of shape (n, n_depths)
        Doppler widths, Å.
    damping : ndarray of shape (n, n_depths)
        Ratio of Lorentzian half width and Doppler width.
    """

    rows: NDArray[np.int64]
    wavelength: NDArray[np.float64]
    strength: NDArray[np.float64]
    doppler: NDArray[np.float64]
    damping: NDArray[np.float64]

    def on_pixels(self, pixels, damping_factor=1.0):
        """Return the opacity on pixels over that of the continuum.

        Parameters
        ----------
        pixels : ndarray of shape (n_pixels,)
            Pixel centres, Å, increasing.
        damping_factor : float
            Factor of all Lorentzian widths.

        Returns
        -------
        ndarray of shape (n_pixels, n_depths)
            At each depth.
        """
        damping = self.damping * damping_factor
        wing = (self.strength * self.doppler * damping)[:, REFERENCE_DEPTH]
        reach = np.sqrt(wing / np.pi / _LEAST_WING)
        reach = np.maximum(reach, _CORE_REACH * self.doppler[:, REFERENCE_DEPTH])
        first = np.searchsorted(pixels, self.wavelength - reach)
        last = np.searchsorted(pixels, self.wavelength + reach)
        opacity = np.zeros((len(pixels), self.strength.shape[1]))
        _add_lines(
            pixels, opacity, first, last, self.wavelength, self.strength, self.doppler, damping
        )
        return opacity

    @property
    def core(self):
        """Opacity in the core of each line, without damping, over that of the continuum."""
        return (self.strength / self.doppler)[:, REFERENCE_DEPTH] / _SQRT_PI


def transitions_of(species, line_list, rows, atmosphere, *, middle, microturbulence):
    """Compute the strengths and widths of the lines of a species in a star.

    Parameters
    ----------
    species : str
        Such as ``"Fe I"``.
    line_list : LineList
        Known transitions, in the medium of the pixels.
    rows : ndarray of int
        Those of the species.
    atmosphere : SchematicAtmosphere
        Of the star.
    middle : float
        Wavelength of the continuum opacity, Å.
    microturbulence : float
        km/s.

    Returns
    -------
    Transitions
        Without those that are too weak.

    References
    ----------
    Gray (2005), The Observation and Analysis of Stellar Photospheres, chapter 11. Anstee &
    O'Mara (1995), MNRAS 276, 859, for damping by hydrogen given as a cross-section.
    """
    wavelength = line_list.wavelength[rows]
    temperature = atmosphere.temperature
    excited = line_list.log_gf[rows, None] - atmosphere.theta * line_list.excitation[rows, None]
    strength = atmosphere.number(species) * 10.0**excited * atmosphere.stimulated(wavelength)
    strength *= _CLASSICAL * (wavelength[:, None] * _ANGSTROM) ** 2 / _ANGSTROM
    strength /= atmosphere.continuum([middle])
    thermal = 2.0 * BOLTZMANN * temperature / (mass_of(species) * _ATOMIC_MASS) * 1e-10
    speed = np.sqrt(microturbulence**2 + thermal)
    doppler = wavelength[:, None] / SPEED_OF_LIGHT * speed
    rate = atmosphere.hydrogen * _waals(species, line_list.waals[rows], temperature)
    radiative = line_list.radiative[rows]
    known = np.isfinite(radiative)
    rate += np.where(known, 10.0 ** np.where(known, radiative, 0.0), _USUAL_RADIATIVE)[:, None]
    half_width = rate * wavelength[:, None] ** 2 * _ANGSTROM
    half_width /= 4.0 * np.pi * SPEED_OF_LIGHT * 1e5
    if is_unknown_molecule(species):
        # Only how its lines compare is known: the strongest one begins as a clear line.
        core = (strength / doppler)[:, REFERENCE_DEPTH] / _SQRT_PI
        strength *= _STRONGEST_OF_UNKNOWN / core.max()
    found = Transitions(rows, wavelength, strength, doppler, half_width / doppler)
    kept = found.core > _LEAST_CORE
    return Transitions(
        rows[kept], wavelength[kept], strength[kept], doppler[kept], found.damping[kept]
    )


def _waals(species, constant, temperature):
    """Return the damping rate for each hydrogen atom in a cm³, s⁻¹ cm³, (n, n_depths)."""
    constant = np.where(np.isfinite(constant), constant, _USUAL_WAALS)[:, None]
    # Logarithms at 10,000 K are negative, cross-sections are above 1.
    simple = 10.0 ** np.minimum(constant, 0.0) * (temperature / 1e4) ** _WAALS_POWER
    if not (constant > 0).any():
        return simple
    section, power = np.floor(np.maximum(constant, 0.0)), np.mod(constant, 1.0)
    mean_mass = 1.0 / (1.0 / mass_of(species) + 1.0 / 1.008) * _ATOMIC_MASS
    speed = np.sqrt(8.0 * BOLTZMANN * temperature / (np.pi * mean_mass))
    gamma = np.array([math.gamma(2.0 - 0.5 * one) for one in power[:, 0]])[:, None]
    rate = 2.0 * (4.0 / np.pi) ** (0.5 * power) * gamma * 1e6 * section * 2.8003e-17
    return np.where(constant > 0, rate * (speed / 1e6) ** (1.0 - power), simple)


def rows_of_species(line_list, low, high):
    """Return the rows of each species whose elements are known, within a range.

    Parameters
    ----------
    line_list : LineList
        Known transitions.
    low, high : float
        Range of wavelengths, Å.

    Returns
    -------
    dict of str to ndarray of int
        Rows by species. Hydrogen is left out: its profiles need more than a line list has.
    """
    first, last = np.searchsorted(line_list.wavelength, [low, high])
    species, inverse = np.unique(line_list.species[first:last], return_inverse=True)
    return {
        str(name): first + np.flatnonzero(inverse == number)
        for number, name in enumerate(species)
        if parts_of(str(name))[0] not in ((), ("H",))
    }


@njit(inline="always", cache=True, nogil=True, error_model="numpy")
def _hjerting(u, a):
    """Return H(a, u) within 5e-6, by the rational function of Hui et al. (1978), JQSRT 19, 509."""
    z = complex(a, -u)
    above = 122.607931777104326 + z * (
        214.382388694706425
        + z
        * (
            181.928533092181549
            + z
            * (
                93.155580458138441
                + z * (30.180142196210589 + z * (5.912626209773153 + z * 0.564189583562615))
            )
        )
    )
    below = 122.60793177387535 + z * (
        352.730625110963558
        + z
        * (
            457.334478783897737
            + z
            * (
                348.703917719495792
                + z
                * (170.354001821091472 + z * (53.992906912940207 + z * (10.479857114260399 + z)))
            )
        )
    )
    return (above / below).real


@njit(cache=True, nogil=True, error_model="numpy")
def _add_lines(pixels, opacity, first, last, wavelength, strength, doppler, damping):
    """Add the Voigt profiles of lines, each within its pixels, at every depth."""
    for line in range(len(wavelength)):
        for depth in range(strength.shape[1]):
            width, a = doppler[line, depth], damping[line, depth]
            factor = strength[line, depth] / (width * _SQRT_PI)
            for pixel in range(first[line], last[line]):
                u = abs(pixels[pixel] - wavelength[line]) / width
                if u > _WING:
                    profile = a / (_SQRT_PI * (u * u + a * a)) * (1.0 + 1.5 / (u * u))
                else:
                    profile = _hjerting(u, a)
                opacity[pixel, depth] += factor * profile
