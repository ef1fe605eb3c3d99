"""What happens to light between the star and the pixel, differentiable and linear in flux.

===================== ====================================================================
step                  where
===================== ====================================================================
air and vacuum        :func:`air_to_vacuum`, :func:`vacuum_to_air`
radial velocity       :class:`LightPath`, a shift in ln(wavelength)
rotation              :class:`LightPath`, Gray's kernel, linear limb darkening
macroturbulence       :class:`LightPath`, Gray's radial-tangential kernel
resolution            :class:`LightPath`, a Gaussian of constant velocity width
line-spread matrix    of one :class:`ObservedSpectrum`, on its pixels
pixels                :func:`resample_flux`, :class:`LightPath`: means that conserve flux
===================== ====================================================================

Velocities are in km/s, wavelengths in Å, resolution is λ/FWHM, dimensionless.
"""

from skphx.observing._light_path import LightPath
from skphx.observing._medium import air_to_vacuum, vacuum_to_air
from skphx.observing._resampling import resample_flux
from skphx.observing._spectrum import ObservedSpectrum

__all__ = ["LightPath", "ObservedSpectrum", "air_to_vacuum", "resample_flux", "vacuum_to_air"]
