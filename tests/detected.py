"""Cloners that detect lines in each spectrum, with settings that make them as accurate as ours.

The paper's own settings take long and see no line within 30 Å of the ends, which is all of the
short spectra here.
"""

from skphx.paper import PaperCloner

DETECTED = {
    "edge": 0.0,
    "optimizer": "levenberg-marquardt",
    "target_rms": 0.002,
    "tolerance": 2,
    "transmission": "exponential",
    "wing_cut": None,
}


def detected_cloner(wavelength, **settings):
    """A PaperCloner with `DETECTED`, or with other settings in their place."""
    return PaperCloner(wavelength, **DETECTED | settings)
