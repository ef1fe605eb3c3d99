"""One observed star, to be written to files of any kind and read back."""

import numpy as np
from astropy.io import fits
from astropy.table import Table

N = 120
WAVELENGTH = np.linspace(8500.0, 8510.0, N)
FLUX = 1.0 - 0.6 * np.exp(-0.5 * ((WAVELENGTH - 8504.0) / 0.3) ** 2)
SIGMA = np.linspace(0.01, 0.02, N)
# Of the user, where a file does not say them.
SAID = {"medium": "air", "wavelength_unit": "Angstrom"}


def write(path, *hdus, **keywords):
    """Write a FITS file with keywords in its primary header."""
    primary = hdus[0] if isinstance(hdus[0], fits.PrimaryHDU) else fits.PrimaryHDU()
    primary.header.update(keywords)
    others = hdus[1:] if primary is hdus[0] else hdus
    fits.HDUList([primary, *others]).writeto(path)
    return path


def table(name=None, header=None, units=None, **columns):
    hdu = fits.BinTableHDU(Table(columns), name=name)
    hdu.header.update(header or {})
    for column, unit in (units or {}).items():
        hdu.columns[column].unit = unit
    return hdu


def rows(name=None, units=None, **columns):
    """Return a table whose rows are arrays."""
    return table(
        name, units=units, **{key: np.atleast_2d(value) for key, value in columns.items()}
    )


def image(data, name=None, **header):
    hdu = fits.ImageHDU(np.asarray(data), name=name)
    hdu.header.update(header)
    return hdu


def linear_axis(**changes):
    axis = {"CTYPE1": "LINEAR", "CUNIT1": "Angstrom", "CRVAL1": 8500.0, "CRPIX1": 1.0}
    return axis | {"CDELT1": WAVELENGTH[1] - WAVELENGTH[0]} | changes


def check(star, wavelength=WAVELENGTH, flux=FLUX, sigma=SIGMA, n_masked=0, rtol=1e-6):
    """Compare what was read with what was written; sigma=None is a star without errors."""
    assert star.mask.sum() == n_masked
    np.testing.assert_allclose(star.wavelength, wavelength, rtol=1e-9)
    good = ~star.mask
    np.testing.assert_allclose(star.flux[good], np.broadcast_to(flux, good.shape)[good], rtol=rtol)
    if sigma is None:
        assert star.sigma is None
    else:
        expected = np.broadcast_to(sigma, good.shape)[good]
        np.testing.assert_allclose(star.sigma[good], expected, rtol=rtol)
    for order in np.atleast_2d(star.wavelength):
        assert (np.diff(order) > 0).all()
