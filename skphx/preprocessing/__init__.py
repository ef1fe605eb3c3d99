"""Transformers that normalise spectra.

:class:`skphx.BlackbodyDivider` divides by the blackbody of Teff,
:class:`skphx.PercentileNormalizer` by a high percentile, and :class:`skphx.ContinuumNormalizer`
by a polynomial fitted to continuum pixels.
"""
