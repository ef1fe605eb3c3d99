"""Accurate flux between the nodes of a grid, and how accurate it is.

======================================  ==================================================
what                                    where
======================================  ==================================================
the emulator                            :class:`skphx.FluxEmulator`, ``_emulator.py``
base class of all emulators             ``_base.py``
the curve-of-growth scale               ``_scale.py``
low-rank spectra of the nodes           ``_low_rank.py``
choice of the interpolation             ``_choice.py``
the interpolation-error model           ``_error.py``
continua that normalisers divided out   ``_continua.py``
selection of pixels                     ``_pixels.py``
======================================  ==================================================
"""
