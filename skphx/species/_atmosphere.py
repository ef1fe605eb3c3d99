"""A schematic atmosphere: how populations and continuum opacity change with depth.

It serves for ratios only, of one line to another and of a line's change to the line, never for the
flux itself, which is the emulator's. Temperature against optical depth has the shape of the Sun's,
scaled with Teff. Pressures are those of hydrostatic equilibrium, and the continuum is that of H⁻.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from skphx.species._elements import DISSOCIATION, ELEMENTS, is_unknown_molecule, parts_of

BOLTZMANN = 1.380649e-16  # erg/K
_ATOMIC_MASS = 1.66054e-24  # g
_SECOND_RADIATION = 1.438777e8  # h c/k, Å K
# log10 of the optical depth and T/Teff, of model atmospheres of the Sun.
_LOG_DEPTH = np.array([-6, -5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 1.5])
_RELATIVE_TEMPERATURE = (
    np.array(
        [
            *(3700, 3950, 4190, 4310, 4430, 4550, 4690, 4870),
            *(5100, 5600, 6030, 6420, 6850, 7500, 8300, 8900),
        ]
    )
    / 5777.0
)
# log10 of the optical depths at which lines are computed, and at which pressure is integrated.
LOG_DEPTH = np.arange(-6.0, 1.01, 0.25)
_FINE = np.arange(-6.0, 1.51, 0.05)
# Elements that give most of the electrons.
_DONORS = ("C", "Na", "Mg", "Al", "Si", "S", "K", "Ca", "Cr", "Fe", "Ni")
# Nuclei of hydrogen and helium for each of hydrogen, and mass for each, u.
_NUCLEI, _MASS = 1.085, 1.4
# The mean opacity over wavelength, which sets the pressure, in units of that of H⁻ at 8500 Å.
_MEAN_OPACITY = 0.8
_N_PRESSURES, _N_ELECTRONS = 10, 25
# Partition function of all molecules; their strengths are fitted to the spectra.
_PARTITION_OF_MOLECULES = 5e3


@dataclass(frozen=True, eq=False)
class SchematicAtmosphere:
    """Temperature, pressures and continuum opacity at each depth.

    Parameters
    ----------
    temperature : ndarray of shape (n_depths,)
        K, at the optical depths ``10**LOG_DEPTH``.
    electron_pressure : ndarray of shape (n_depths,)
        dyn cm⁻².
    hydrogen : ndarray of shape (n_depths,)
        Nuclei of hydrogen, cm⁻³.
    abundances : dict of str to float
        log ε of each element.
    """

    temperature: NDArray[np.float64]
    electron_pressure: NDArray[np.float64]
    hydrogen: NDArray[np.float64]
    abundances: dict[str, float]

    @classmethod
    def of_star(cls, teff, logg, metals):
        """Make the atmosphere of a star.

        Parameters
        ----------
        teff : float
            K.
        logg : float
            dex(cm s⁻²).
        metals : dict of str to float
            [X/H] of each element.

        Returns
        -------
        SchematicAtmosphere
            Its atmosphere.

        References
        ----------
        Gray (2005), The Observation and Analysis of Stellar Photospheres, chapters 8 and 9.
        """
        abundances = {
            symbol: element.abundance + metals.get(symbol, 0.0)
            for symbol, element in ELEMENTS.items()
        }
        depth = 10.0**_FINE
        temperature = teff * np.interp(_FINE, _LOG_DEPTH, _RELATIVE_TEMPERATURE)
        gravity = 10.0**logg
        pressure = gravity * np.sqrt(depth)
        for _ in range(_N_PRESSURES):
            electrons = _electron_pressure(temperature, pressure, abundances)
            opacity = _MEAN_OPACITY * h_minus(8500.0, temperature, electrons)
            # dP/dτ = g/κ, integrated as d P^1.5, which is smoother.
            slope = 1.5 * np.sqrt(pressure) * gravity * _MASS * _ATOMIC_MASS / opacity
            slope *= depth * np.log(10.0)
            steps = 0.5 * (slope[1:] + slope[:-1]) * np.diff(_FINE)
            integral = 0.45 * slope[0] + np.concatenate([[0.0], np.cumsum(steps)])
            pressure = np.sqrt(pressure * integral ** (2.0 / 3.0))

        def at(values):
            return 10.0 ** np.interp(LOG_DEPTH, _FINE, np.log10(values))

        temperature, electrons, pressure = at(temperature), at(electrons), at(pressure)
        hydrogen = pressure / (BOLTZMANN * temperature) / _NUCLEI
        return cls(temperature, electrons, hydrogen, abundances)

    @property
    def theta(self):
        """5040 K/T, shape (n_depths,)."""
        return 5040.0 / self.temperature

    def continuum(self, wavelength):
        """Return the continuum opacity for each hydrogen nucleus, cm², (n, n_depths)."""
        wavelength = np.asarray(wavelength, dtype=np.float64)[:, None]
        return h_minus(wavelength, self.temperature, self.electron_pressure)

    def source(self, wavelength):
        """Return the Planck function at a wavelength (Å), up to a factor, (n_depths,)."""
        return 1.0 / np.expm1(_SECOND_RADIATION / (wavelength * self.temperature))

    def stimulated(self, wavelength):
        """Return what stimulated emission leaves of the opacity, (n, n_depths)."""
        wavelength = np.asarray(wavelength, dtype=np.float64)[:, None]
        return -np.expm1(-_SECOND_RADIATION / (wavelength * self.temperature))

    def number(self, species, abundances=None):
        """Return how many particles a species has for each hydrogen nucleus.

        Parameters
        ----------
        species : str
            Such as ``"Fe I"`` or ``"TiO"``.
        abundances : dict of str to float or None
            log ε of each element; None is that of the atmosphere. Electrons stay as they are.

        Returns
        -------
        ndarray of shape (n_depths,)
            Number divided by the partition function; up to a factor for molecules whose
            dissociation is unknown.
        """
        abundances = self.abundances if abundances is None else abundances
        symbols, stage = parts_of(species)
        if stage is not None:
            element = ELEMENTS[symbols[0]]
            total = 10.0 ** (abundances[symbols[0]] - 12.0)
            first = saha(self.temperature, self.electron_pressure, element, 0)
            second = first * saha(self.temperature, self.electron_pressure, element, 1)
            part = (1.0, first)[stage] / (1.0 + first + second)
            return total * part / element.partition[stage]
        if is_unknown_molecule(species):
            # The same part of all particles everywhere, times the abundances of its elements.
            changes = [abundances[one] - ELEMENTS[one].abundance for one in symbols]
            return np.full(len(self.temperature), 10.0 ** sum(changes))
        return self._molecules(species, symbols, abundances)

    def _molecules(self, species, symbols, abundances):
        """Return the molecules for each hydrogen nucleus, divided by their partition function.

        Carbon and oxygen form CO, nitrogen N2, and the rest forms the other molecules.
        """
        hydrogen = self.hydrogen * BOLTZMANN * self.temperature
        pressure = {
            symbol: 10.0 ** (abundances[symbol] - 12.0) * hydrogen for symbol in {*symbols, *"CNO"}
        }
        dissociation = {
            name: 10.0 ** np.polynomial.polynomial.polyval(self.theta, powers)
            for name, powers in DISSOCIATION.items()
            if name in {"CO", "N2", species}
        }
        pressure["C"], pressure["O"] = (
            _unbound(own, other, dissociation["CO"])
            for own, other in (
                (pressure["C"], pressure["O"]),
                (pressure["O"], pressure["C"]),
            )
        )
        relative = pressure["N"] / dissociation["N2"]
        pressure["N"] = 2.0 * pressure["N"] / (1.0 + np.sqrt(1.0 + 8.0 * relative))
        for symbol in set(symbols) - set("HCNO"):
            element = ELEMENTS[symbol]
            ionised = saha(self.temperature, self.electron_pressure, element, 0)
            pressure[symbol] = pressure[symbol] / (1.0 + ionised)
        product = np.prod([pressure[symbol] for symbol in symbols], axis=0)
        return product / dissociation[species] / hydrogen / _PARTITION_OF_MOLECULES


def _unbound(own, other, dissociation):
    """Return the pressure of the atoms that a diatomic molecule with another element leaves.

    In cool stars this is a tiny part of all, which a difference of pressures would lose.
    """
    excess = other - own + dissociation
    root = np.sqrt(excess**2 + 4.0 * own * dissociation)
    with_excess = 2.0 * own * dissociation / (np.abs(excess) + root)
    return np.where(excess > 0, with_excess, 0.5 * (root - excess))


def saha(temperature, electron_pressure, element, stage):
    """Return the ratio of the numbers of a higher stage of ionisation and of the one below.

    Parameters
    ----------
    temperature, electron_pressure : ndarray of shape (n_depths,)
        K and dyn cm⁻².
    element : Element
        Constants of the element.
    stage : int
        0 for ions over atoms, 1 for double over single ions.

    Returns
    -------
    ndarray of shape (n_depths,)
        The ratio.

    References
    ----------
    Gray (2005), The Observation and Analysis of Stellar Photospheres, equation 1.20.
    """
    lower = element.partition[stage]
    upper = element.partition[1] if stage == 0 else lower
    log = 2.5 * np.log10(temperature) - 0.4772 + np.log10(2.0 * upper / lower)
    log -= element.ionisation[stage] * 5040.0 / temperature + np.log10(electron_pressure)
    return 10.0**log


def h_minus(wavelength, temperature, electron_pressure):
    """Return the opacity of H⁻, bound-free and free-free, for each hydrogen atom, cm².

    Parameters
    ----------
    wavelength : float or ndarray
        Å, from 2,600 to 110,000; the fit of the bound-free part is made for up to 15,000.
    temperature, electron_pressure : ndarray
        K and dyn cm⁻².

    Returns
    -------
    ndarray
        The opacity, in the common shape of the arguments.

    References
    ----------
    Gray (2005), The Observation and Analysis of Stellar Photospheres, equations 8.11 to 8.13.
    """
    theta = 5040.0 / temperature
    log_theta, log_wavelength = np.log10(theta), np.log10(wavelength)
    polyval = np.polynomial.polynomial.polyval
    powers = (
        1.99654,
        -1.18267e-5,
        2.64243e-6,
        -4.40524e-10,
        3.23992e-14,
        -1.39568e-18,
        2.78701e-23,
    )
    cross_section = np.where(np.less(wavelength, 16_400.0), polyval(wavelength, powers), 0.0)
    bound_free = 4.158e-28 * np.maximum(cross_section, 0.0) * electron_pressure
    bound_free = bound_free * theta**2.5 * 10.0 ** (0.754 * theta)
    bound_free *= -np.expm1(-_SECOND_RADIATION / (wavelength * temperature))
    constant = polyval(log_wavelength, (-2.2763, -1.6850, 0.76661, -0.0533464))
    linear = polyval(log_wavelength, (15.2827, -9.2846, 1.99381, -0.142631))
    square = polyval(log_wavelength, (-197.789, 190.266, -67.9775, 10.6913, -0.625151))
    log_free_free = constant + linear * log_theta + square * log_theta**2
    return bound_free + 1e-26 * electron_pressure * 10.0**log_free_free


def _electron_pressure(temperature, pressure, abundances):
    """Return the electron pressure at each depth, by iteration."""
    electrons = 1e-3 * pressure
    for _ in range(_N_ELECTRONS):
        free = 0.0
        for symbol in ("H", *_DONORS):
            ratio = saha(temperature, electrons, ELEMENTS[symbol], 0)
            free += 10.0 ** (abundances[symbol] - 12.0) * ratio / (1.0 + ratio)
        electrons = np.sqrt(electrons * pressure * free / (_NUCLEI + free))
    return electrons
