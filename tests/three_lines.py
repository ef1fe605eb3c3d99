"""Spectra of three lines that are known."""

import numpy as np

from skphx.lines import render_flux

WAVELENGTH = np.linspace(5000.0, 5010.0, 501)
# Centre, area, sigma, gamma (Å) of three lines that stand clear of each other.
TRUE = np.array(
    [[5002.013, 0.05, 0.06, 0.02], [5005.008, 0.15, 0.08, 0.05], [5007.991, 0.03, 0.05, 0.03]]
)


def make_spectra(strengths=(0.5, 1.0, 1.5), shift=0.0, **options):
    """The same lines, weaker and stronger."""
    return np.array(
        [
            render_flux(
                WAVELENGTH,
                TRUE[:, 0] + shift,
                np.log(TRUE[:, 1] * strength),
                *np.log(TRUE[:, 2:]).T,
                **options,
            )
            for strength in strengths
        ]
    )


def rms(a, b):
    """Root mean square of each row's difference."""
    return np.sqrt(np.mean((a - b) ** 2, axis=1))
