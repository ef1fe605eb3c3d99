"""Wavelengths of an image from the keywords of its header."""

import re

import numpy as np

from skphx.datasets._spectrum_conventions import medium_of, standard_axis
from skphx.datasets._spectrum_request import NoSpectrumError
from skphx.datasets._spectrum_units import agreed_unit, check_plausible, parse_length, to_angstrom

_LINEAR = ("", "LINEAR", "LAMBDA", "WAVELENGTH", "WAVELEN", "ANGSTROM", "ANGSTROMS", "WAVE",
           "AWAV")  # fmt: skip
_OTHER = ("VELO", "VRAD", "VOPT", "ZOPT", "BETA", "FREQ", "ENER", "WAVN", "PIXEL", "RA--", "DEC-",
          "GLON", "GLAT")  # fmt: skip


def header_axis(header, n_pixels, request, hdus=None):
    """Return wavelengths along the first axis of an image.

    Parameters
    ----------
    header : mapping
        FITS header.
    n_pixels : int
        Number of pixels.
    request : Request
        What the user says.
    hdus : astropy.io.fits.HDUList or None
        The file, for axes in a table.

    Returns
    -------
    wavelength : ndarray of shape (n_pixels,)
        Wavelengths in Å.
    medium : {"air", "vacuum"} or None
        What the header says.

    Raises
    ------
    NoSpectrumError
        If the axis is none of wavelength, or its unit is unknown.

    Examples
    --------
    >>> from skphx.datasets._spectrum_axis import header_axis
    >>> from skphx.datasets._spectrum_request import Request
    >>> header = {"CTYPE1": "LINEAR", "CRVAL1": 8500.0, "CDELT1": 0.5, "CUNIT1": "Angstrom"}
    >>> header_axis(header, 3, Request())
    (array([8500. , 8500.5, 8501. ]), None)
    """
    kind = str(header.get("CTYPE1", "")).strip().upper()
    medium = medium_of(header)
    index = np.arange(n_pixels)
    if "CRVAL1" not in header and {"COEFF0", "COEFF1"} <= set(header):
        values = _number(header, "COEFF0") + _number(header, "COEFF1") * index
        return to_angstrom(values, None, "log10", request), medium
    step = next((_number(header, key) for key in ("CD1_1", "CDELT1") if header.get(key)), 0.0)
    if "CRVAL1" not in header or not step:
        raise NoSpectrumError(
            f"has an axis of type {kind or 'none'!r}, which is not wavelength: the header has no "
            f"CRVAL1 and CDELT1. Pass wavelength= with the extension that holds them, or save "
            f"wavelength and flux in a table."
        )
    stated = _stated_unit(header)
    length = parse_length(stated)[0] if stated else None
    is_length = length is not None and length.physical_type == "length"
    known = kind in _LINEAR or re.match(r"(LOG|LN)|A?WAV.*-", kind) or is_length
    if (
        kind.startswith(_OTHER)
        or header.get("DC-FLAG", 0) == -1
        or not (known or request.wavelength_unit is not None)
    ):
        raise NoSpectrumError(
            f"has an axis of type {kind or 'none'!r}, which is not wavelength; save wavelength "
            f"and flux in a table."
        )
    scale = _scale(header, kind)
    given = request.wavelength_unit
    is_plain = given is None or parse_length(given)[1] == "linear"
    is_standard = standard_axis(header) is not None
    if scale == "linear" and is_plain and is_standard and "-" in kind:
        return _standard(header, stated, n_pixels, request, hdus), medium
    # The reference pixel is 0 by default in the FITS standard, and 1 in IRAF.
    reference = _number(header, "CRPIX1", 0.0 if is_standard else 1.0)
    values = _number(header, "CRVAL1") + step * (index + 1.0 - reference)
    return to_angstrom(values, stated, scale, request), medium


def _number(header, key, default=None):
    """Return the number in a card; raise NoSpectrumError if the card holds another thing."""
    value = header.get(key, default)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise NoSpectrumError(
        f"has {value!r} in the card {key} of its axis, which must be a number: repair the header, "
        f"or pass wavelength= with the extension that holds the wavelengths."
    )


def _scale(header, kind):
    """Whether the values are logarithms."""
    if kind.startswith("LN"):
        return "ln"
    words = (kind, str(header.get("WFITTYPE", "")).strip().upper())
    # DC-FLAG is IRAF's; "-LOG" of the FITS standard has reference values in units of length.
    if any(word.startswith("LOG") for word in words):
        return "log10"
    return "log10" if header.get("DC-FLAG", 0) == 1 and not kind.endswith("-LOG") else "linear"


def _stated_unit(header):
    """Return the unit in CUNIT1, or in IRAF's words, or None."""
    unit = str(header.get("CUNIT1", "")).strip()
    if not unit:
        found = re.search(r"units=\s*([\w.]+)", str(header.get("WAT1_001", "")))
        unit = found[1] if found else ""
    return unit or None


def _standard(header, stated, n_pixels, request, hdus):
    """Axis with an algorithm of the FITS standard, such as WAVE-LOG, as astropy computes it."""
    from astropy import units
    from astropy.wcs import WCS

    unit, _ = agreed_unit(stated, "linear", request)
    header = header.copy()
    header["CUNIT1"] = unit.to_string("fits")
    axis = WCS(header, hdus, naxis=1)
    wavelength = axis.pixel_to_world_values(np.arange(n_pixels)) * units.m.to(units.AA)
    check_plausible(wavelength, wavelength * units.AA.to(unit), str(unit), request)
    return wavelength
