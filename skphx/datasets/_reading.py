"""GridReader: read spectra of many files on one wavelength axis, and check them."""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from skphx._domain import check_wavelength, plain_wavelength

# Redward of 2.9e6 Å K / Teff the flux of a star is at least exp(-50) of its maximum. A file with
# zeros there is incomplete.
_WIEN_TAIL = 2.9e6


def check_dtype(dtype: DTypeLike) -> np.dtype[Any]:
    """Return the type of the flux of a grid; raise ValueError unless float64 or float32."""
    checked = np.dtype(dtype)
    if checked not in (np.dtype(np.float64), np.dtype(np.float32)):
        raise ValueError(f"dtype must be float64 or float32, got {checked}.")
    return checked


class GridReader:
    """Collect the spectra of a grid on one wavelength axis.

    Parameters
    ----------
    n_spectra : int
        Expected number of spectra.
    wavelength : tuple (low, high), ndarray of shape (n_pixels,), or None
        A tuple is a range in Å, both ends included. An array is the pixel centres in Å to which
        all spectra are interpolated linearly. None keeps all pixels.
    dtype : numpy.dtype
        Type of the flux.
    absolute : bool
        Whether the flux is physical, so that zeros are an error.
    """

    def __init__(self, n_spectra, wavelength, dtype, absolute):
        self._range: tuple[float, float] | None = None
        self._target: NDArray[np.float64] | None = None
        wavelength = plain_wavelength(wavelength)
        if isinstance(wavelength, tuple) and len(wavelength) == 2:
            low, high = (float(edge) for edge in wavelength)
            if not high > low:
                raise ValueError(f"wavelength=(low, high) needs low < high, got {wavelength}.")
            self._range = low, high
        elif wavelength is not None:
            self._target = check_wavelength(wavelength)
        self._n_spectra, self._dtype, self._absolute = n_spectra, dtype, absolute
        self._source = None  # the last wavelength array, often the same for all files
        self._spectra = np.empty((0, 0), dtype=dtype)
        self.n_read = 0
        self.wavelength = self._target

    @property
    def spectra(self):
        """Flux of the added spectra: ndarray of shape (n_read, n_pixels)."""
        return self._spectra[: self.n_read]

    def add(self, wavelength, flux, teff=None):
        """Add a spectrum.

        Parameters
        ----------
        wavelength, flux : array-like of shape (n_pixels,)
            Wavelength in Å, in any order, and flux; only the needed pixels are read.
        teff : float or None
            Effective temperature in K, for the check.

        Raises
        ------
        ValueError
            If the spectrum is damaged, or has other pixels than the spectra before.
        """
        if len(wavelength) != len(flux) or np.ndim(flux) != 1:
            raise ValueError(f"it has {len(wavelength)} wavelengths and {len(flux)} pixels")
        if wavelength is not self._source:
            self._set_axis(wavelength)
        if self._order is not None:
            flux = np.asarray(flux)[self._order]
        flux = np.asarray(flux[self._keep], dtype=np.float64)
        axis = self._axis
        check_spectrum(axis, flux, teff=teff, absolute=self._absolute)
        if self._target is not None:
            flux = np.interp(self._target, axis, flux)
        elif self.wavelength is None:
            self.wavelength = axis
        elif axis is not self.wavelength and not _same(axis, self.wavelength):
            raise ValueError(
                f"its {len(axis)} pixels are not those of the first spectrum "
                f"({len(self.wavelength)}); pass wavelength as an array of pixel centres in Å, to "
                f"which all spectra are interpolated"
            )
        if self.n_read == 0:
            self._spectra = np.empty((self._n_spectra, len(flux)), dtype=self._dtype)
        elif self.n_read == len(self._spectra):
            # More spectra than files, because files hold several spectra.
            self._spectra = np.concatenate([self._spectra, np.empty_like(self._spectra)])
        self._spectra[self.n_read] = flux
        self.n_read += 1

    def _set_axis(self, wavelength):
        """Set the order of the pixels, and which of them to keep."""
        values = np.asarray(wavelength, dtype=np.float64)
        order = None
        if not (np.diff(values) > 0).all():
            # Files written by many processors are not sorted, and may repeat wavelengths.
            _, order = np.unique(values, return_index=True)
            values = values[order]
        if not np.isfinite(values).all() or not len(values) or values[0] <= 0:
            raise ValueError("its wavelengths are not finite and positive")
        keep = slice(None)
        if self._target is not None:
            low, high = self._target[0], self._target[-1]
            if values[0] > low or values[-1] < high:
                raise ValueError(
                    f"it covers {values[0]:g} to {values[-1]:g} Å, not all of {low:g} to {high:g}"
                )
            first = np.searchsorted(values, low, side="right") - 1
            keep = slice(int(first), int(np.searchsorted(values, high, side="left")) + 1)
        elif self._range is not None:
            first = np.searchsorted(values, self._range[0])
            last = np.searchsorted(values, self._range[1], side="right")
            keep = slice(int(first), int(last))
            if first >= last:
                raise ValueError(
                    f"it has no pixel from {self._range[0]:g} to {self._range[1]:g} Å, only from "
                    f"{values[0]:g} to {values[-1]:g} Å"
                )
        self._source, self._order, self._keep = wavelength, order, keep
        self._axis = values[keep].copy()


def check_spectrum(wavelength, flux, *, teff=None, absolute=True):
    """Raise if a model spectrum is damaged or incomplete.

    Parameters
    ----------
    wavelength, flux : ndarray of shape (n_pixels,)
        Wavelength in Å, and flux in any unit.
    teff : float or None
        Effective temperature in K.
    absolute : bool
        Whether the flux is physical, so that zeros are an error.

    Raises
    ------
    ValueError
        If a pixel is not finite, negative, or zero; the message says which.
    """
    bad = ~np.isfinite(flux)
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {len(flux)} pixels are not finite, the first at "
            f"{wavelength[bad.argmax()]:.2f} Å (pixel {bad.argmax()})"
        )
    if (flux < 0).any():
        raise ValueError(
            f"{(flux < 0).sum()} of {len(flux)} pixels are negative, the first at "
            f"{wavelength[(flux < 0).argmax()]:.2f} Å (pixel {(flux < 0).argmax()})"
        )
    zero = flux == 0
    if zero.all():
        raise ValueError("its flux is zero everywhere")
    if absolute:
        zero &= wavelength > _WIEN_TAIL / (teff or 1000.0)
        if zero.any():
            raise ValueError(
                f"{zero.sum()} of {len(flux)} pixels are zero, the first at "
                f"{wavelength[zero.argmax()]:.2f} Å"
            )


def check_header(layout, path, parameters):
    """Raise if the parameters in the header of a file differ from those in its name."""
    if layout.header is None:
        return
    for name, stated in layout.header(path).items():
        named = parameters.get(name)
        tolerance = 1.0 if name == "teff" else 0.02
        if named is not None and abs(stated - named) > tolerance:
            raise ValueError(
                f"its name says {name}={named:g} and its header {stated:g}: it is another model"
            )


def _same(one, other):
    return len(one) == len(other) and np.allclose(one, other, rtol=1e-9, atol=0)
