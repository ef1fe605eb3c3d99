"""Accurate flux between the nodes of a grid, and how accurate it is.

======================================  ==================================================
what                                    where
======================================  ==================================================
the emulator                            :class:`skphx.FluxEmulator`, ``emulator.py``
what all emulators share                ``base.py``
the scale that is interpolated          ``scale.py``
spectra of the nodes as components      ``low_rank.py``
which interpolation, by nodes left out  ``choice.py``
the interpolation-error model           :class:`InterpolationError`, ``error.py``
what normalisers took away              ``continua.py``
parts of the wavelengths                ``pixels.py``
======================================  ==================================================
"""

from skphx.flux.error import InterpolationError

__all__ = ["InterpolationError"]
