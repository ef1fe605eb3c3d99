"""Spectra of the Habitable-zone Planet Finder, as its pipeline writes them."""

import numpy as np

from skphx.datasets._barycentre import barycentric_velocity
from skphx.datasets._spectrum_conventions import facts_of, plain_header
from skphx.datasets._spectrum_pixels import Row
from skphx.datasets._spectrum_request import NoSpectrumError
from skphx.datasets._spectrum_star import in_range
from skphx.datasets._spectrum_units import to_angstrom

# Longitude and latitude (degrees), height (m) of the Hobby-Eberly Telescope.
_HET = (-104.014722, 30.681444, 2026.0)


def is_hpf(hdus):
    """Whether a FITS file is of HPF."""
    return {"SCI FLUX", "SCI WAVL"} <= {hdu.name.upper() for hdu in hdus}


def read_hpf(hdus, request):
    """Return the orders of the science fibre, with errors or variances.

    Parameters
    ----------
    hdus : astropy.io.fits.HDUList
        The file.
    request : Request
        What the user says: `sky_factor`.

    Returns
    -------
    dict
        Rows of pixels, and what is known about them.

    Raises
    ------
    NoSpectrumError
        If the file has no errors.
    """
    flux = _orders(hdus, "Sci Flux")
    wavelength = _orders(hdus, "Sci Wavl", flux.shape)
    wavelength = to_angstrom(wavelength, "Angstrom", "linear", request)
    sigma = _sigma(hdus, "Sci", flux.shape)
    # Pixels without data are zero in one version of the files, and NaN in the other.
    mask = flux == 0
    if request.sky_factor:
        sky = _orders(hdus, "Sky Flux", flux.shape)
        sky_wavelength = _orders(hdus, "Sky Wavl", flux.shape)
        sky_sigma = _sigma(hdus, "Sky", flux.shape)
        for order, pixels in enumerate(wavelength):
            # The wavelengths of the two fibres differ by a fraction of a pixel.
            of_sky = sky_wavelength[order]
            flux[order] -= request.sky_factor * np.interp(pixels, of_sky, sky[order])
            error = request.sky_factor * np.interp(pixels, of_sky, sky_sigma[order])
            sigma[order] = np.where(sigma[order] > 0, np.hypot(sigma[order], error), np.nan)
    header = hdus[0].header
    rows = [Row(*arrays) for arrays in zip(wavelength, flux, sigma, mask, strict=True)]
    if request.row is not None:
        rows = [rows[in_range(request.row, len(rows))]]
    return {
        "rows": rows,
        "medium": "vacuum",
        "resolution": 55_000.0,
        "frame": "observatory",
        "barycentric_velocity": barycentric(header),
        "unit": "electron / s",
        "facts": facts_of(header, "HPF spectrum of the science fibre", "ITIME"),
        "header": plain_header(header),
    }


def _orders(hdus, name, shape=None):
    """Return an image with a row for each order."""
    data = next((hdu.data for hdu in hdus if hdu.name.upper() == name.upper()), None)
    if not isinstance(data, np.ndarray) or data.ndim != 2 or shape not in (None, data.shape):
        found = "none" if data is None else f"shape {np.shape(data)}"
        raise NoSpectrumError(
            f"needs an extension {name} with a row for each order"
            f"{'' if shape is None else f', of the shape {shape} of Sci Flux'}, got {found}: "
            f"copy the file again"
            f"{', or leave sky_factor 0' if name.startswith('Sky') else ''}."
        )
    return np.array(data, dtype=np.float64)


def _sigma(hdus, fibre, shape):
    names = {hdu.name.upper() for hdu in hdus}
    if f"{fibre} Error".upper() in names:
        return _orders(hdus, f"{fibre} Error", shape)
    if f"{fibre} Variance".upper() in names:
        with np.errstate(invalid="ignore"):
            return np.sqrt(_orders(hdus, f"{fibre} Variance", shape))
    raise NoSpectrumError(
        f"has neither {fibre} Error nor {fibre} Variance: pass flux='{fibre} Flux' and "
        f"wavelength='{fibre} Wavl' to read it without errors."
    )


def barycentric(header):
    """Velocity in km/s, from the header or from position and time; None if they are missing."""
    if "BRVCORR" in header:
        return float(header["BRVCORR"]) / 1e3
    try:
        from astropy.coordinates import Angle
        from astropy.time import Time

        ra, dec = Angle(f"{header['QRA']} hours").deg, Angle(f"{header['QDEC']} degrees").deg
        middle = Time(header["DATE-OBS"]).jd + 0.5 * float(header["ITIME"]) / 86_400.0
        return barycentric_velocity(ra, dec, middle, _HET)
    except (KeyError, ValueError, TypeError):
        return None
