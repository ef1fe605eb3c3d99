"""What pipelines mean, and their files do not say in so many words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from skphx.datasets import _spectrum_names as names
from skphx.datasets._spectrum_request import NoSpectrumError


def _all_bits(header):
    return None


@dataclass(frozen=True)
class Convention:
    """Facts about the files of one pipeline.

    Parameters
    ----------
    test : callable
        Whether a header is of this pipeline.
    medium, frame : str or None
        Medium and frame of the wavelengths.
    mask_good : {0, 1} or None
        Value of good pixels in an array that is called mask.
    bits : callable
        Bits of faults in the flags, from the header; None are all.
    flux_unit : str or None
        Unit of flux where columns do not give it.
    wavelength_unit : str or None
        Unit of wavelengths where columns do not give it.
    silent : frozenset of str
        Arrays and extensions that hold no other spectrum of the star.
    """

    test: Callable[[Mapping[str, Any]], bool]
    medium: str | None = None
    frame: str | None = None
    mask_good: int | None = None
    bits: Callable[[Mapping[str, Any]], int | None] = _all_bits
    flux_unit: str | None = None
    wavelength_unit: str | None = None
    silent: frozenset[str] = frozenset()


def _word(header, key):
    return str(header.get(key, "")).strip().upper()


def _hst_bits(header):
    # Of the STIS handbook, where a header does not give it.
    return int(header.get("SDQFLAGS", 31743))


_SDSS_ARRAYS = frozenset({
    "or_mask", "continuum_subtracted", "wdisp", "wresl", "sky", "model", "ivar", "specobj",
    "spall", "spzline", "zall", "zline", "specobjall", "zbest",
})  # fmt: skip
_HST_ARRAYS = frozenset({
    "gross", "net", "background", "gcounts", "net_error", "error_lower", "variance_flat",
    "variance_counts", "variance_bkg", "bkg_error", "background_per_pixel", "num_exposures",
    "actual_exposures", "dq_outer", "dq", "dq_wgt", "bk", "exptime",
})  # fmt: skip
_JWST_ARRAYS = frozenset({
    "flux_var_poisson", "flux_var_rnoise", "flux_var_flat", "sb_error", "sb_var_poisson",
    "sb_var_rnoise", "sb_var_flat", "background", "bkgd_error", "berror", "bkgd_var_poisson",
    "bkgd_var_rnoise", "bkgd_var_flat", "npixels", "asdf", "dispersion",
})  # fmt: skip

CONVENTIONS = (
    Convention(
        lambda header: _word(header, "TELESCOP").startswith("SDSS 2.5"),
        medium="vacuum",
        frame="barycentre",
        mask_good=0,
        flux_unit="1e-17 erg / (s cm2 Angstrom)",
        silent=_SDSS_ARRAYS,
    ),
    Convention(
        lambda header: "V_ASTRA" in header,
        medium="vacuum",
        frame="star",
        mask_good=0,
        wavelength_unit="Angstrom",
        flux_unit="1e-17 erg / (s cm2 Angstrom)",
    ),
    Convention(
        lambda header: _word(header, "TELESCOP") == "LAMOST",
        medium="vacuum",
        mask_good=0,
        wavelength_unit="Angstrom",
        silent=frozenset({"ormask", "or_mask"}),
    ),
    Convention(
        lambda header: "GALAH" in _word(header, "ORIGIN"),
        silent=frozenset({"no_sky_spectrum", "no_sky_subspectrum", "no_sky_sigma"}),
    ),
    # The one bit that means "do not use"; the others are history.
    Convention(
        lambda header: _word(header, "TELESCOP") == "JWST",
        medium="vacuum",
        bits=lambda header: 1,
        silent=_JWST_ARRAYS,
    ),
    Convention(
        lambda header: _word(header, "TELESCOP") == "HST",
        medium="vacuum",
        wavelength_unit="Angstrom",
        bits=_hst_bits,
        silent=_HST_ARRAYS,
    ),
    Convention(
        lambda header: "DMODCLS" in header or "PYP_SPEC" in header,
        mask_good=1,
        wavelength_unit="Angstrom",
        silent=frozenset({"wave_grid_mid", "obj_model", "telluric"}),
    ),
    # Wavelengths of ESPRESSO's orders; DLLDATA are the widths of pixels.
    Convention(
        lambda header: str(header.get("HIERARCH ESO PRO CATG", "")).startswith(("S1D", "S2D")),
        mask_good=0,
        wavelength_unit="Angstrom",
        silent=frozenset({"dlldata_vac_bary", "dlldata_air_bary", "dlldata_vac", "dlldata_air"}),
    ),
)
_NONE = Convention(lambda header: True)


def convention_of(header):
    """Return the convention of a header.

    Parameters
    ----------
    header : mapping
        FITS header.

    Returns
    -------
    Convention
        That of the pipeline, or one without facts.
    """
    return next((one for one in CONVENTIONS if one.test(header)), _NONE)


def bad_pixels(array, request, convention, header):
    """Return which pixels a mask marks as bad.

    Parameters
    ----------
    array : Array
        The mask.
    request : Request
        What the user says: `mask_good`.
    convention : Convention
        What the pipeline means.
    header : mapping
        Header, for the bits that count.

    Returns
    -------
    ndarray, bool
        True for bad pixels.

    Raises
    ------
    NoSpectrumError
        If neither the format nor the user says which value is good.
    """
    values = array.values
    if values.dtype.kind == "f":
        values = np.where(np.isfinite(values), values, 0).astype(np.int64)
    elif values.dtype.kind == "b":
        values = values.astype(np.int64)
    if request.mask_good is not None:
        return values != 1 if request.mask_good == 1 else values != 0
    if array.key in names.GOOD_PIXELS:
        return values == 0
    if array.key in names.BAD_PIXELS:
        bits = convention.bits(header)
        return values != 0 if bits is None else (values & bits) != 0
    if convention.mask_good is not None:
        return values == 0 if convention.mask_good == 1 else values != 0
    found = np.unique(values)
    if len(found) < 2:
        return np.zeros(values.shape, dtype=bool)
    if set(found.tolist()) <= {0, 1}:
        n_ones = int(values.sum())
        raise NoSpectrumError(
            f"has a mask, {array!r}, with {values.size - n_ones} zeros and {n_ones} ones, and "
            f"does not say which of them are good pixels: pass mask_good=0 or mask_good=1."
        )
    # More than two values are bits of faults.
    return values != 0


def medium_of(header, array=None):
    """Return the medium that a header states for its wavelengths, or None.

    Parameters
    ----------
    header : mapping
        FITS header.
    array : Array or None
        The column of wavelengths, for its UCD.

    Returns
    -------
    {"air", "vacuum"} or None
        The medium.
    """
    ucd = array.ucd.lower() if array is not None else ""
    if "obs.atmos" in ucd:
        return "air"
    # The standard of ESO's science products: em.wl alone is in vacuum.
    if ucd == "em.wl" and _word(header, "PRODCATG").startswith("SCIENCE."):
        return "vacuum"
    stated = _word(header, "AIRORVAC")
    if stated.startswith(("AIR", "VAC")):
        return "air" if stated.startswith("AIR") else "vacuum"
    if "VACUUM" in header:
        if _word(header, "VACUUM") in ("TRUE", "T", "1"):
            return "vacuum"
        if _word(header, "VACUUM") in ("FALSE", "F", "0"):
            return "air"
    if array is not None:
        return None
    found = standard_axis(header)
    return None if found is None else {"AWAV": "air", "WAVE": "vacuum"}[found]


def standard_axis(header):
    """Return "WAVE" or "AWAV" if the FITS standard's word for an axis of wavelengths is given.

    Parameters
    ----------
    header : mapping
        FITS header.

    Returns
    -------
    {"WAVE", "AWAV"} or None
        None for other words, such as "Wavelength".
    """
    found = re.fullmatch(r"(WAVE|AWAV)(-[A-Z0-9]{3})?", str(header.get("CTYPE1", "")).strip())
    return found[1] if found else None


def frame_of(header):
    """Return the frame in the keyword SPECSYS of the FITS standard, or None."""
    frames = {"BARYCENT": "barycentre", "TOPOCENT": "observatory", "SOURCE": "star"}
    return frames.get(_word(header, "SPECSYS"))


def resolution_of(header):
    """Return λ/FWHM in the keyword SPEC_RES of ESO's science products, or None."""
    value = header.get("SPEC_RES")
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 1.0:
        return float(value)
    return None


def facts_of(header, kind, exposure="EXPTIME"):
    """Return format, object, instrument, date and exposure (s), as far as they are known."""
    facts: dict[str, Any] = {"format": kind}
    for name, key in (("object", "OBJECT"), ("instrument", "INSTRUME"), ("date", "DATE-OBS")):
        if str(header.get(key, "")).strip():
            facts[name] = str(header[key]).strip()
    value = header.get(exposure)
    if isinstance(value, int | float) and not isinstance(value, bool):
        facts["exposure"] = float(value)
    return facts


def plain_header(header):
    """Convert a header to a dict."""
    skipped = ("", "COMMENT", "HISTORY")
    return {key: header[key] for key in header if key not in skipped}
