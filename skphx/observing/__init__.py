"""The forward model from stellar flux to observed pixels: linear in flux and differentiable.

===================== ====================================================================
step                  where
===================== ====================================================================
air and vacuum        :func:`air_to_vacuum`, :func:`vacuum_to_air`
radial velocity       :class:`ForwardModel`: shift in ln(wavelength)
rotation              :class:`ForwardModel`: Gray's kernel, linear limb darkening
macroturbulence       :class:`ForwardModel`: Gray's radial-tangential kernel
resolution            :class:`ForwardModel`: Gaussian, of one width or of one for each pixel
pixels                :class:`ForwardModel`, :func:`resample_flux`: mean flux of each pixel
line-spread matrix    :class:`ObservedSpectrum`: multiplies the pixels
===================== ====================================================================

Velocities are in km/s, wavelengths in Å, resolution is λ/FWHM, dimensionless.
"""

from skphx.observing._forward_model import ForwardModel
from skphx.observing._medium import air_to_vacuum, vacuum_to_air
from skphx.observing._observed_spectrum import ObservedSpectrum
from skphx.observing._resampling import resample_flux

__all__ = ["ForwardModel", "ObservedSpectrum", "air_to_vacuum", "resample_flux", "vacuum_to_air"]
