"""Constants of elements and molecules: abundances, ionisation, dissociation, masses.

Abundances are those of the Sun. Partition functions are those at about 5000 K, rounded; of rare
elements they are guesses. The strength of each species is afterwards fitted to the spectra, so
that only ratios within a species, and how they change with depth, depend on these numbers.
"""

import re
from dataclasses import dataclass

_ATOM = re.compile(r"([A-Z][a-z]?) ([IVX]+)")
_PART = re.compile(r"([A-Z][a-z]?)(\d*)")
_STAGES = {"I": 0, "II": 1}
# Elements made by the capture of helium nuclei, which [alpha/Fe] means.
ALPHA_ELEMENTS = ("O", "Ne", "Mg", "Si", "S", "Ar", "Ca", "Ti")

# Symbol, mass (u), abundance (log ε, H = 12; Asplund et al. 2009), first and second ionisation
# energy (eV; NIST), partition functions of the atom and of the ion.
_TABLE = """
H 1.008 12.00 13.598 999 2 1
He 4.003 10.93 24.587 54.418 1 2
Li 6.94 1.05 5.392 75.640 2.1 1
Be 9.01 1.38 9.323 18.211 1 2
B 10.81 2.70 8.298 25.155 6 1
C 12.011 8.43 11.260 24.383 9.3 6
N 14.007 7.83 14.534 29.601 4.1 9
O 15.999 8.69 13.618 35.121 8.7 4
F 19.00 4.56 17.423 34.971 5.7 8.6
Ne 20.18 7.93 21.565 40.963 1 5.5
Na 22.99 6.24 5.139 47.286 2.05 1
Mg 24.305 7.60 7.646 15.035 1.03 2
Al 26.98 6.45 5.986 18.829 5.9 1
Si 28.086 7.51 8.152 16.346 9.5 5.8
P 30.97 5.41 10.487 19.770 4.5 8
S 32.06 7.12 10.360 23.338 8.2 4
Cl 35.45 5.50 12.968 23.814 5.3 7.7
Ar 39.95 6.40 15.760 27.630 1 5
K 39.10 5.03 4.341 31.630 2.2 1
Ca 40.08 6.34 6.113 11.872 1.2 2.3
Sc 44.96 3.15 6.561 12.800 12 23
Ti 47.87 4.95 6.828 13.576 30 56
V 50.94 3.93 6.746 14.618 47 43
Cr 52.00 5.64 6.767 16.486 10.5 7.3
Mn 54.94 5.43 7.434 15.640 6.5 7.8
Fe 55.85 7.50 7.902 16.188 27 43
Co 58.93 4.99 7.881 17.084 33 29
Ni 58.69 6.22 7.640 18.169 30 11
Cu 63.55 4.19 7.726 20.292 2.3 1
Zn 65.38 4.56 9.394 17.964 1 2
Ga 69.72 3.04 5.999 20.515 5.5 1
Ge 72.63 3.65 7.899 15.935 7.5 4.3
Rb 85.47 2.52 4.177 27.290 2.2 1
Sr 87.62 2.87 5.695 11.030 1.3 2.2
Y 88.91 2.21 6.217 12.224 12 15
Zr 91.22 2.58 6.634 13.100 34 45
Nb 92.91 1.46 6.759 14.000 55 45
Mo 95.95 1.88 7.092 16.160 9 8
Ru 101.07 1.75 7.361 16.760 40 25
Rh 102.91 0.91 7.459 18.080 30 18
Pd 106.42 1.57 8.337 19.430 2 7
Ag 107.87 0.94 7.576 21.490 2 1
Ba 137.33 2.18 5.212 10.004 2.3 4.2
La 138.91 1.10 5.577 11.060 22 29
Ce 140.12 1.58 5.539 10.850 130 170
Pr 140.91 0.72 5.473 10.550 90 110
Nd 144.24 1.42 5.525 10.730 100 110
Sm 150.36 0.96 5.644 11.070 60 90
Eu 151.96 0.52 5.670 11.240 10 13
Gd 157.25 1.07 6.150 12.090 50 70
Tb 158.93 0.30 5.864 11.520 70 90
Dy 162.50 1.10 5.939 11.670 40 60
Ho 164.93 0.48 6.022 11.800 30 50
Er 167.26 0.92 6.108 11.930 30 50
Tm 168.93 0.10 6.184 12.050 10 20
Yb 173.05 0.84 6.254 12.180 2 2.5
Lu 174.97 0.10 5.426 13.900 8 1.5
Hf 178.49 0.85 6.825 14.900 20 25
W 183.84 0.85 7.864 16.370 15 20
Os 190.23 1.40 8.438 17.000 25 20
Ir 192.22 1.38 8.967 17.000 25 20
Pb 207.2 1.75 7.417 15.032 1.5 2.2
"""

# Coefficients of powers of θ = 5040 K/T in log10 of the dissociation constant (dyn cm⁻²) of
# diatomic molecules: Tsuji (1973).
DISSOCIATION: dict[str, tuple[float, ...]] = {
    "CO": (13.820, -11.795, -0.17217, 0.022888, -0.0011349),
    "N2": (13.590, -10.585, 0.22067, -0.029997, 0.0014993),
    "CN": (12.805, -8.2793, 0.064162, -0.0073627, 0.00034666),
    "C2": (12.804, -6.5178, 0.097719, -0.012739, 0.00062603),
    "CH": (12.135, -4.0760, 0.12768, -0.015473, 0.00072661),
    "OH": (12.371, -5.0578, 0.13822, -0.016547, 0.00077224),
    "NH": (12.028, -4.0435, 0.16013, -0.018968, 0.00080),
    "MgH": (11.285, -2.7164, 0.19658, -0.027310, 0.0013816),
    "TiO": (13.398, -8.5956, 0.40873, -0.057937, 0.0029287),
}


@dataclass(frozen=True)
class Element:
    """Constants of one element.

    Parameters
    ----------
    mass : float
        Atomic mass, u.
    abundance : float
        Abundance in the Sun, log ε, where that of hydrogen is 12.
    ionisation : tuple of float
        First and second ionisation energy, eV.
    partition : tuple of float
        Partition functions of the atom and of its ion at about 5000 K.
    """

    mass: float
    abundance: float
    ionisation: tuple[float, float]
    partition: tuple[float, float]


def _read(table):
    elements = {}
    for row in table.strip().splitlines():
        symbol, *numbers = row.split()
        mass, abundance, first, second, atom, ion = map(float, numbers)
        elements[symbol] = Element(mass, abundance, (first, second), (atom, ion))
    return elements


ELEMENTS: dict[str, Element] = _read(_TABLE)


def parts_of(species):
    """Return the elements in a species, and its stage of ionisation.

    Parameters
    ----------
    species : str
        Such as ``"Fe I"`` or ``"TiO"``.

    Returns
    -------
    elements : tuple of str
        Symbols, an element that a molecule has twice also twice; empty if one is unknown.
    stage : int or None
        0 for atoms, 1 for singly ionised ones, None for molecules. Species of higher stages, and
        ions of molecules, have no elements.
    """
    atom = _ATOM.fullmatch(species)
    if atom:
        is_known = atom[1] in ELEMENTS and atom[2] in _STAGES
        return ((atom[1],), _STAGES[atom[2]]) if is_known else ((), None)
    if not re.fullmatch(rf"({_PART.pattern})+", species):
        return (), None
    symbols = tuple(
        symbol for symbol, count in _PART.findall(species) for _ in range(int(count or 1))
    )
    return (symbols if all(symbol in ELEMENTS for symbol in symbols) else ()), None


def is_unknown_molecule(species):
    """Whether a species is a molecule whose dissociation constant is not known."""
    symbols, stage = parts_of(species)
    return stage is None and species not in DISSOCIATION and len(symbols) > 0


def mass_of(species):
    """Return the mass of a species, u; 50 if it is unknown."""
    symbols, _ = parts_of(species)
    return sum(ELEMENTS[symbol].mass for symbol in symbols) or 50.0
