"""Strengths and widths of lines as functions of the stellar parameters.

The formulas are those of Gray, The Observation and Analysis of Stellar Photospheres (2005),
for one layer of a star at one temperature. Units are cgs, K and eV; log is log10.

======================  ====================================================
quantity                unit
======================  ====================================================
temperature             K
log P_e, log P_g        dex(dyn cm⁻²), electron and gas pressure
excitation, ionisation  eV
line strength           dex, absorption of the line over that of the continuum
sigma, gamma            Å, standard deviation and half width at half maximum
======================  ====================================================
"""

from dataclasses import dataclass

import numpy as np
from scipy import constants

from skphx._domain import SPEED_OF_LIGHT, SPEED_OF_LIGHT_ANGSTROM

# Lines form above the continuum, where the temperature is a little lower than Teff.
_LINE_FORMING = 0.93


@dataclass(frozen=True)
class Species:
    """One kind of absorber.

    Attributes
    ----------
    name : str
        Name of the species.
    mass : float
        Mass in atomic mass units.
    ionisation : float
        Ionisation (of a molecule: dissociation) energy in eV.
    stage : {"neutral", "ionised", "molecule", "hydrogen"}
        Form of the element that absorbs.
    excitation : tuple of (float, float)
        Range of the lower level's energies in eV.
    reference : tuple of (float, float, float)
        Teff, log g and [Fe/H] for which strengths are drawn.
    log_strength : tuple of (float, float)
        Range of the log of the optical depth at line centre for these parameters.
    damping : float
        Log of the collisional damping constant in s⁻¹ at log P_g = 5 and 5500 K.
    """

    name: str
    mass: float
    ionisation: float
    stage: str
    excitation: tuple[float, float]
    reference: tuple[float, float, float]
    log_strength: tuple[float, float]
    damping: float


def atmosphere(teff, logg, feh):
    """Temperature and pressures in the layer in which lines form.

    Parameters
    ----------
    teff, logg, feh : ndarray of shape (n_spectra,)
        Stellar parameters in K, dex(cm s⁻²) and dex.

    Returns
    -------
    temperature, log_pe, log_pg : ndarray of shape (n_spectra,)
        In K and dex(dyn cm⁻²). Both pressures increase with log g. The electron pressure also
        increases strongly with Teff, and with [Fe/H] in cool stars, in which the electrons come
        from metals (Gray, ch. 9).
    """
    temperature = _LINE_FORMING * teff
    warmth = 2.5 * np.tanh((teff - 5777.0) / 3800.0)
    metal_electrons = 1.0 / (1.0 + np.exp((teff - 6500.0) / 500.0))
    log_pe = 1.0 + warmth + 0.4 * (logg - 4.44) + 0.3 * feh * metal_electrons
    log_pg = 5.0 + 0.62 * (logg - 4.44) - 0.3 * feh - 0.3 * np.tanh((teff - 5777.0) / 3800.0)
    return temperature, log_pe, log_pg


def log_strength(species, excitation, teff, logg, feh):
    """Log of line absorption divided by continuous absorption, up to a constant of the line.

    Parameters
    ----------
    species : Species
        The absorber.
    excitation : ndarray of shape (n_lines,)
        Energy of the lower level in eV.
    teff, logg, feh : ndarray of shape (n_spectra,)
        Stellar parameters in K, dex(cm s⁻²) and dex.

    Returns
    -------
    ndarray of shape (n_spectra, n_lines)
        Line strengths in dex.
    """
    temperature, log_pe, log_pg = atmosphere(teff, logg, feh)
    theta = 5040.0 / temperature
    # Saha: log N+/N0, for equal partition functions.
    log_ionised = 2.5 * np.log10(temperature) - 0.48 - theta * species.ionisation - log_pe
    neutral, ionised = -_log1p10(log_ionised), -_log1p10(-log_ionised)
    if species.stage == "hydrogen":
        log_absorbers = neutral
    elif species.stage == "neutral":
        log_absorbers = feh + neutral
    elif species.stage == "ionised":
        log_absorbers = feh + ionised
    else:
        # Law of mass action for two metals: N(AB)/N(A) = P_B / K(T), limited by the number of A.
        log_bound = feh + 0.6 * (log_pg - 5.0) + species.ionisation * (theta - 1.55)
        log_absorbers = feh - _log1p10(-log_bound)
    boltzmann = -theta[:, np.newaxis] * excitation
    return log_absorbers[:, np.newaxis] + boltzmann - _log_continuum(theta, log_pe)[:, np.newaxis]


def _log_continuum(theta, log_pe):
    """Log of the continuous absorption per hydrogen atom, of H⁻ and neutral hydrogen."""
    negative_ion = log_pe + 2.5 * np.log10(theta) + 0.754 * theta
    # The Paschen continuum starts at the third level, 12.1 eV; with this constant it dominates
    # above 8500 K, as in fig. 8.5 of Gray.
    paschen = -12.1 * theta + 10.2
    return negative_ion + _log1p10(paschen - negative_ion)


def _log1p10(x):
    """log10(1 + 10**x) without overflow."""
    return np.logaddexp(0.0, x * np.log(10.0)) / np.log(10.0)


def gaussian_sigma(species, center, teff, logg, broadening):
    """Return the standard deviation of the Gaussian part: thermal, turbulent and instrumental.

    Parameters
    ----------
    species : Species
        The absorber.
    center : ndarray of shape (n_lines,)
        Line centres in Å.
    teff, logg : ndarray of shape (n_spectra,)
        Stellar parameters in K and dex(cm s⁻²).
    broadening : float
        Standard deviation of all other velocities in km/s.

    Returns
    -------
    ndarray of shape (n_spectra, n_lines)
        Standard deviation in Å. The microturbulence is 1.1 km/s at log g = 4.5, and 1.6 km/s at
        log g = 2.
    """
    thermal = constants.k * _LINE_FORMING * teff / (species.mass * constants.atomic_mass) / 1e6
    turbulence = 1.1 + 0.2 * (4.5 - logg)
    velocity = np.sqrt(thermal + turbulence**2 / 2.0 + broadening**2)
    return velocity[:, np.newaxis] / SPEED_OF_LIGHT * center


def lorentzian_gamma(species, center, scatter, teff, logg, feh):
    """Half width at half maximum of the Lorentzian part in Å.

    Parameters
    ----------
    species : Species
        The absorber.
    center, scatter : ndarray of shape (n_lines,)
        Line centres in Å, and damping of each line relative to that of the species, in dex.
    teff, logg, feh : ndarray of shape (n_spectra,)
        Stellar parameters in K, dex(cm s⁻²) and dex.

    Returns
    -------
    ndarray of shape (n_spectra, n_lines)
        Half width in Å. For metals: radiation and van der Waals collisions, ∝ P_g T^-0.7. For
        hydrogen: linear Stark effect, ∝ P_e^(2/3).
    """
    temperature, log_pe, log_pg = atmosphere(teff, logg, feh)
    if species.stage == "hydrogen":
        log_damping = species.damping + (log_pe - 1.0) * 2.0 / 3.0
    else:
        log_damping = (
            species.damping + (log_pg - 5.0)
            - 0.7 * np.log10(temperature / (_LINE_FORMING * 5500.0))
        )  # fmt: skip
    radiation = 1e8
    damping = radiation + 10.0 ** (log_damping[:, np.newaxis] + scatter)
    return center**2 * damping / (4.0 * np.pi * SPEED_OF_LIGHT_ANGSTROM)


#: Absorbers by name. Damping is a little too large, so that pixels of 0.05 Å show the wings.
SPECIES = {
    species.name: species
    for species in (
        Species("neutral metal", 55.8, 7.90, "neutral", (0.5, 5.0), (5000.0, 4.4, 0.0),
                (-1.8, 0.4), 9.6),
        Species("ionised metal", 55.8, 7.90, "ionised", (2.0, 6.0), (7000.0, 4.0, 0.0),
                (-1.2, 0.4), 9.5),
        Species("strong neutral", 24.3, 7.65, "neutral", (1.5, 2.7), (5000.0, 4.4, 0.0),
                (0.2, 0.8), 10.8),
        Species("strong ionised", 40.1, 6.11, "ionised", (0.5, 1.7), (6000.0, 4.4, 0.0),
                (0.2, 0.8), 10.8),
        Species("molecule", 63.9, 6.90, "molecule", (0.0, 1.0), (3800.0, 4.5, 0.0),
                (-1.3, 0.2), 9.3),
        Species("hydrogen", 1.008, 13.598, "hydrogen", (12.09, 12.09), (8000.0, 4.0, 0.0),
                (-0.4, 0.0), 11.45),
    )
}  # fmt: skip
