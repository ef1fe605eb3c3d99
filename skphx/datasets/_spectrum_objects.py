"""Spectra in objects of specutils and astropy, recognised by what they have.

specutils is not imported: a spectrum has `flux` and `spectral_axis`, other data have `data`,
`unit` and `mask`.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skphx._plain import MASKED_FLUX, as_quantity, refuse_masked, unit_of

# Wavelengths that differ by less than this fraction are the same.
_SAME_WAVELENGTH = 1e-9


def unpack_spectra(spectra: Any, name: str = "spectra") -> tuple[Any, NDArray[np.float64] | None]:
    """Return flux, which may have a unit, and the wavelengths that come with it.

    Parameters
    ----------
    spectra : object
        Array-like or Quantity of shape (n_spectra, n_pixels); a Spectrum or SpectrumCollection
        of specutils, an NDData of astropy, or a list of these with one spectrum each.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    flux : object
        Array-like or Quantity of shape (n_spectra, n_pixels).
    wavelength : ndarray of shape (n_pixels,) or None
        Pixel centres in Å, if the objects have a spectral axis.

    Raises
    ------
    ValueError
        If a pixel is masked, spectra have different wavelengths or units that cannot be
        converted, or an axis is not one of wavelength, frequency or energy.
    """
    several = isinstance(spectra, list | tuple) and len(spectra) > 0
    if not (several and any(map(_is_object, spectra))):
        if _is_object(spectra):
            return _unpack(spectra, name)
        refuse_masked(spectra, name, what="flux", remedy=MASKED_FLUX)
        if several and unit_of(spectra) is not None:
            spectra = as_quantity(spectra, name)
        return spectra, None
    parts = [_unpack(one, f"spectrum {row} of {name}") for row, one in enumerate(spectra)]
    wavelength = parts[0][1]
    for row, (flux, axis) in enumerate(parts):
        if (axis is None) != (wavelength is None) or np.shape(flux) != np.shape(parts[0][0]):
            raise ValueError(f"spectrum {row} of {name} has other pixels than the first one.")
        if axis is not None and not np.allclose(axis, wavelength, rtol=_SAME_WAVELENGTH, atol=0):
            raise ValueError(
                f"spectrum {row} of {name} has other wavelengths than the first one; resample "
                f"all spectra to the same pixels."
            )
    fluxes = [np.squeeze(flux, axis=0) if np.ndim(flux) == 2 else flux for flux, _ in parts]
    has_unit = unit_of(fluxes) is not None
    return (as_quantity(fluxes, name) if has_unit else np.array(fluxes)), wavelength


def _is_object(spectrum):
    """Whether an object is a spectrum of specutils, or NDData of astropy."""
    if hasattr(spectrum, "spectral_axis") and hasattr(spectrum, "flux"):
        return True
    is_array = isinstance(spectrum, np.ndarray) or not hasattr(spectrum, "data")
    return not is_array and hasattr(spectrum, "uncertainty") and hasattr(spectrum, "mask")


def _unpack(spectrum, name):
    """Return flux of one object, with one axis or two, and its wavelengths."""
    if not _is_object(spectrum):
        raise ValueError(f"{name} is a {type(spectrum).__name__}, unlike others; pass one type.")
    mask = spectrum.mask
    if mask is not None:
        refuse_masked(
            np.ma.array(np.zeros(np.shape(mask)), mask=mask), name, what="flux", remedy=MASKED_FLUX
        )
    if not hasattr(spectrum, "spectral_axis"):
        flux = np.asarray(spectrum.data)
        return (flux if spectrum.unit is None else flux * spectrum.unit), None
    flux, wavelength = spectrum.flux, _wavelength_of(spectrum.spectral_axis, name)
    refuse_masked(flux, name, what="flux", remedy=MASKED_FLUX)
    if len(wavelength) > 1 and wavelength[0] > wavelength[-1]:
        flux, wavelength = flux[..., ::-1], wavelength[::-1]
    return flux, wavelength


def _wavelength_of(axis, name):
    """Convert a spectral axis to Å, the same for all rows."""
    from astropy import units

    try:
        wavelength = np.asarray(axis.to_value(units.AA, units.spectral()), dtype=np.float64)
    except units.UnitConversionError as error:
        raise ValueError(
            f"the spectral axis of {name} is in {axis.unit}; convert it to wavelengths."
        ) from error
    if wavelength.ndim == 2:
        if not np.allclose(wavelength, wavelength[0], rtol=_SAME_WAVELENGTH, atol=0):
            raise ValueError(
                f"the spectra of {name} have different wavelengths; resample all spectra to the "
                f"same pixels."
            )
        wavelength = wavelength[0]
    return wavelength
