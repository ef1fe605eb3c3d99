"""How a line grows and broadens from star to star: Boltzmann, Saha, pressures, widths.

The formulas are those of Gray, The Observation and Analysis of Stellar Photospheres (2005),
for one layer of a star at one temperature. Units here are cgs, K and eV; log is log10.

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

SPEED_OF_LIGHT = constants.c / 1e3  # km/s
_BOLTZMANN_EV = constants.k / constants.e  # eV/K
_ANGSTROM_PER_CM = 1e8

# Lines form above the continuum, where it is a little cooler than Teff.
_LINE_FORMING = 0.93


@dataclass(frozen=True)
class Species:
    """One kind of absorber.

    Attributes
    ----------
    name : str
        Name in the line list.
    mass : float
        Mass in atomic mass units.
    ionisation : float
        Ionisation (of a molecule: dissociation) energy in eV.
    stage : {"neutral", "ionised", "molecule", "hydrogen"}
        Which form of the element absorbs.
    excitation : tuple of (float, float)
        Range of the lower level's energies in eV.
    reference : tuple of (float, float, float)
        Teff, log g and [Fe/H] at which the drawn strengths hold.
    log_strength : tuple of (float, float)
        Range of the log of the optical depth at line centre there.
    damping : float
        Log of the collisional damping constant in s⁻¹ at log P_g = 5 and 5500 K.
    """

    name: str
    mass: float
    ionisation: float
    stage: str
    excitation: tuple
    reference: tuple
    log_strength: tuple
    damping: float


def atmosphere(teff, logg, feh):
    """Temperature and pressures where lines form.

    Parameters
    ----------
    teff, logg, feh : ndarray of shape (n_spectra,)
        Stellar parameters in K, dex(cm s⁻²) and dex.

    Returns
    -------
    temperature, log_pe, log_pg : ndarray of shape (n_spectra,)
        In K and dex(dyn cm⁻²). Both pressures rise with log g, the electrons' also steeply with
        Teff, and with [Fe/H] in cool stars, where metals give the electrons (Gray, ch. 9).
    """
    temperature = _LINE_FORMING * teff
    warmth = 2.5 * np.tanh((teff - 5777.0) / 3800.0)
    metal_electrons = 1.0 / (1.0 + np.exp((teff - 6500.0) / 500.0))
    log_pe = 1.0 + warmth + 0.4 * (logg - 4.44) + 0.3 * feh * metal_electrons
    log_pg = 5.0 + 0.62 * (logg - 4.44) - 0.3 * feh - 0.3 * np.tanh((teff - 5777.0) / 3800.0)
    return temperature, log_pe, log_pg


def log_strength(species, excitation, teff, logg, feh):
    """Log of line absorption over continuous absorption, up to a constant of the line.

    Parameters
    ----------
    species : Species
        What absorbs.
    excitation : ndarray of shape (n_lines,)
        Energy of the lower level in eV.
    teff, logg, feh : ndarray of shape (n_spectra,)
        Stellar parameters in K, dex(cm s⁻²) and dex.

    Returns
    -------
    ndarray of shape (n_spectra, n_lines)
        dex.
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
        # Mass action with two metals: N(AB)/N(A) = P_B / K(T), and no more than all of A.
        log_bound = feh + 0.6 * (log_pg - 5.0) + species.ionisation * (theta - 1.55)
        log_absorbers = feh - _log1p10(-log_bound)
    boltzmann = -theta[:, np.newaxis] * excitation
    return log_absorbers[:, np.newaxis] + boltzmann - _log_continuum(theta, log_pe)[:, np.newaxis]


def _log_continuum(theta, log_pe):
    """Log of the continuous absorption a hydrogen atom: H⁻, then neutral hydrogen when hot."""
    negative_ion = log_pe + 2.5 * np.log10(theta) + 0.754 * theta
    # The Paschen continuum starts at the third level, 12.1 eV; the constant lets it take
    # over near 8500 K, as in Gray's fig. 8.5.
    paschen = -12.1 * theta + 10.2
    return negative_ion + _log1p10(paschen - negative_ion)


def _log1p10(x):
    """log10(1 + 10**x) without overflow."""
    return np.logaddexp(0.0, x * np.log(10.0)) / np.log(10.0)


def gaussian_sigma(species, center, teff, logg, broadening):
    """Give the standard deviation of the Gaussian part: thermal, turbulent, instrumental.

    Parameters
    ----------
    species : Species
        What absorbs.
    center : ndarray of shape (n_lines,)
        Line centres in Å.
    teff, logg : ndarray of shape (n_spectra,)
        Stellar parameters in K and dex(cm s⁻²).
    broadening : float
        Standard deviation of all other velocities in km/s.

    Returns
    -------
    ndarray of shape (n_spectra, n_lines)
        Å. Turbulence is 1.1 km/s at log g = 4.5 and grows to 1.6 km/s in giants of log g = 2.
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
        What absorbs.
    center, scatter : ndarray of shape (n_lines,)
        Line centres in Å, and how far the line's damping lies from the species', in dex.
    teff, logg, feh : ndarray of shape (n_spectra,)
        Stellar parameters in K, dex(cm s⁻²) and dex.

    Returns
    -------
    ndarray of shape (n_spectra, n_lines)
        Å. Metals: radiation and van der Waals collisions, ∝ P_g T^-0.7. Hydrogen: the linear
        Stark effect, ∝ P_e^(2/3).
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
    light = SPEED_OF_LIGHT * 1e5 * _ANGSTROM_PER_CM  # Å/s
    return center**2 * damping / (4.0 * np.pi * light)


#: Absorbers by name. Damping is a little above real values, so that wings show at 0.05 Å.
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
