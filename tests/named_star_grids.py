"""Stars of known abundances, computed line by line, and a line list that nearly describes them.

The spectra have other oscillator strengths, damping constants and microturbulence than the list
and the settings that tests give to the package. So what it fits is not what made the spectra.
"""

from dataclasses import replace

import numpy as np

from skphx import FluxEmulator
from skphx.species import LineList
from skphx.species._anchoring import StarSettings
from skphx.species._atmosphere import SchematicAtmosphere
from skphx.species._formation import emergent_flux
from skphx.species._opacity import rows_of_species, transitions_of

WAVELENGTH = np.arange(8490.0, 8520.0, 0.03)
TEFF, LOGG, FEH = (5000.0, 5500.0, 6000.0), (4.0, 4.5), (-0.5, 0.0)
MICROTURBULENCE = 1.3
#: Wavelengths of eleven lines, of which two form a blend, for quick fits of lines.
PART = np.arange(8503.8, 8513.6, 0.03)
# Species, wavelength in air (Å), excitation (eV), log gf, van der Waals constant (0 is unknown).
_ROWS = [
    ("Ca II", 8498.02, 1.69, -1.60, -7.68),
    ("Ca I", 8491.50, 4.10, -0.90, 0.0),
    ("Ca I", 8504.30, 4.45, -0.60, 0.0),
    ("Ca I", 8513.10, 4.53, -0.40, 0.0),
    ("Ti I", 8493.20, 0.84, -1.60, -7.70),
    ("Ti I", 8506.90, 1.74, -0.70, -7.70),
    ("Ti I", 8511.60, 2.10, -0.10, -7.70),
    ("Ti I", 8517.80, 0.82, -1.30, -7.70),
    ("Si I", 8494.60, 5.87, -0.90, -7.00),
    ("Si I", 8502.22, 5.87, -0.80, -7.00),
    ("Si I", 8509.80, 5.95, -0.50, -7.00),
    ("Si I", 8516.30, 6.19, -0.30, -7.00),
    ("Fe I", 8492.30, 4.60, -1.90, 278.255),
    ("Fe I", 8495.70, 5.01, -1.30, 0.0),
    ("Fe I", 8501.10, 4.30, -1.50, 350.240),
    ("Fe I", 8503.20, 4.90, -1.20, 0.0),
    ("Fe I", 8505.50, 5.02, -0.80, 0.0),
    ("Fe I", 8508.10, 2.73, -2.90, -7.65),
    ("Fe I", 8511.62, 4.20, -1.60, 0.0),
    ("Fe I", 8514.07, 2.20, -2.23, -7.75),
    ("Fe I", 8515.11, 3.02, -2.07, -7.75),
    ("Fe I", 8518.90, 4.95, -1.10, 0.0),
    ("CN", 8507.60, 0.75, -0.60, 0.0),
    ("CN", 8512.40, 0.80, -0.60, 0.0),
    ("CN", 8519.30, 0.72, -0.60, 0.0),
]


def _list_of(log_gf_error=0.0, waals_error=0.0):
    species, wavelength, excitation, log_gf, waals = map(np.array, zip(*_ROWS, strict=True))
    # Cross-sections have other units than the logarithms.
    waals = np.where(waals < 0, waals + waals_error, np.where(waals == 0, np.nan, waals))
    unknown = np.full(len(species), np.nan)
    return LineList(
        wavelength, species, excitation, log_gf + log_gf_error, unknown, "air", waals=waals
    )


#: What tests give to the package, and what the spectra are made of.
LINE_LIST = _list_of()
TRUE_LIST = _list_of(0.1 * np.random.default_rng(2).normal(size=len(_ROWS)), 0.15)


def nodes(teff=TEFF, logg=LOGG, feh=FEH):
    """All nodes of a grid, one a row."""
    return np.stack(np.meshgrid(teff, logg, feh, indexing="ij"), axis=-1).reshape(-1, 3)


def spectra(parameters, abundances=None, wavelength=WAVELENGTH):
    """Return exact spectra of stars with changes of [X/Fe], continuum 1.

    Temperatures, pressures and electrons are those of scaled-solar abundances.
    """
    middle = 0.5 * (wavelength[0] + wavelength[-1])
    result = []
    for teff, logg, feh in np.atleast_2d(parameters):
        star = StarSettings.of_point({"teff": teff, "logg": logg, "feh": feh}, MICROTURBULENCE)
        atmosphere = SchematicAtmosphere.of_star(teff, logg, star.metals)
        changed = dict(atmosphere.abundances)
        for element, change in (abundances or {}).items():
            changed[element] += change
        atmosphere = replace(atmosphere, abundances=changed)
        opacity = 0.0
        for species, rows in rows_of_species(TRUE_LIST, 0.0, np.inf).items():
            found = transitions_of(
                species,
                TRUE_LIST,
                rows,
                atmosphere,
                middle=middle,
                microturbulence=star.microturbulence,
            )
            opacity = opacity + found.on_pixels(wavelength)
        result.append(emergent_flux(opacity, atmosphere.source(middle)))
    return np.array(result)


def flux_emulator(parameters=None, **settings):
    """Fit an emulator to exact spectra of nodes."""
    parameters = nodes() if parameters is None else parameters
    given = {"medium": "air", "interpolation": "linear"}
    return FluxEmulator(WAVELENGTH, **given | settings).fit(parameters, spectra(parameters))
