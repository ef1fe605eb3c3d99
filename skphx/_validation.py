"""Checks shared by all estimators; every message names argument, expected, got and remedy."""

import numpy as np


def check_wavelength(wavelength, n_pixels=None, *, name="wavelength"):
    """Return wavelengths as a float64 array in Å.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing and positive. A tuple of two numbers stands
        for `n_pixels` evenly spaced pixels from start to stop, both included. A Quantity in
        any unit of length is converted. None numbers the pixels 1, 2, ... n_pixels.
    n_pixels : int or None
        Number of pixels that the spectra have; None skips the check of the length.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    ndarray of shape (n_pixels,), float64
        Pixel centres in Å.

    Raises
    ------
    ValueError
        If the length, the order, the sign or the unit is wrong.

    Examples
    --------
    >>> from skphx._validation import check_wavelength
    >>> check_wavelength((5000, 5001), n_pixels=3)
    array([5000. , 5000.5, 5001. ])
    >>> check_wavelength([5001.0, 5000.0])
    Traceback (most recent call last):
        ...
    ValueError: wavelength must be strictly increasing, but element 1 (5000.0 Å) ...
    """
    if wavelength is None:
        if n_pixels is None:
            raise ValueError(f"{name}=None needs n_pixels; pass the pixels' wavelengths in Å.")
        return np.arange(1.0, n_pixels + 1.0)
    if hasattr(wavelength, "unit"):
        wavelength = _quantity_to_angstrom(wavelength, name)
    if isinstance(wavelength, tuple) and len(wavelength) == 2:
        if n_pixels is None:
            raise ValueError(
                f"{name}=(start, stop) needs the number of pixels; pass all pixels' wavelengths."
            )
        start, stop = (float(edge) for edge in wavelength)
        wavelength = np.linspace(start, stop, n_pixels)
        if n_pixels > 1 and not stop > start:
            raise ValueError(f"{name}=(start, stop) needs start < stop, got ({start}, {stop}).")
    wavelength = np.asarray(wavelength)
    if wavelength.ndim != 1 or wavelength.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} must be a one-dimensional array of numbers in Å, got shape "
            f"{wavelength.shape} and dtype {wavelength.dtype}."
        )
    wavelength = wavelength.astype(np.float64)
    if n_pixels is not None and len(wavelength) != n_pixels:
        raise ValueError(
            f"{name} has {len(wavelength)} elements but the spectra have {n_pixels} pixels; "
            f"pass the wavelengths of the same pixels as the flux."
        )
    if not np.isfinite(wavelength).all():
        where = int(np.flatnonzero(~np.isfinite(wavelength))[0])
        raise ValueError(
            f"{name} must be finite, but element {where} is {wavelength[where]}; "
            f"remove that pixel from wavelength and flux."
        )
    if len(wavelength) and wavelength[0] <= 0:
        raise ValueError(f"{name} must be positive, in Å, got a first element of {wavelength[0]}.")
    steps = np.diff(wavelength)
    if (steps <= 0).any():
        where = int(np.flatnonzero(steps <= 0)[0]) + 1
        raise ValueError(
            f"{name} must be strictly increasing, but element {where} ({wavelength[where]} Å) "
            f"follows {wavelength[where - 1]} Å; sort wavelength and flux together and merge "
            f"repeated pixels."
        )
    return wavelength


def _quantity_to_angstrom(wavelength, name):
    """Convert an astropy Quantity of length to plain Å."""
    from astropy import units

    try:
        return wavelength.to_value(units.AA)
    except units.UnitConversionError as error:
        raise ValueError(
            f"{name} must have a unit of length, got {wavelength.unit}; "
            f"convert it first, for instance to Angstrom."
        ) from error


def check_teff(teff, n_spectra, *, name="teff"):
    """Return Teff as a float64 array, one element a spectrum.

    Parameters
    ----------
    teff : float or array-like of shape (n_spectra,)
        Effective temperature in K; a scalar serves all spectra.
    n_spectra : int
        Number of spectra.
    name : str
        Name of the argument, for the messages.

    Returns
    -------
    ndarray of shape (n_spectra,), float64
        Effective temperature in K.

    Raises
    ------
    ValueError
        If the length is wrong, or an element is not finite or not positive.
    """
    if hasattr(teff, "unit"):
        teff = teff.to_value("K")
    teff = np.asarray(teff, dtype=np.float64)
    if teff.ndim == 0:
        teff = np.full(n_spectra, float(teff))
    if teff.shape != (n_spectra,):
        raise ValueError(
            f"{name} must hold one effective temperature a spectrum, shape ({n_spectra},), "
            f"got shape {teff.shape}."
        )
    bad = ~(np.isfinite(teff) & (teff > 0))
    if bad.any():
        where = int(np.flatnonzero(bad)[0])
        raise ValueError(
            f"{name} must be positive and finite, in K, but element {where} is {teff[where]}; "
            f"give the spectrum's effective temperature."
        )
    return teff
