"""Readers of observed spectra, one for each type of file.

Each returns a dict with wavelength (Å), flux, sigma, mask, medium, units, facts and header, and
with frame, resolution and barycentric_velocity if they are known.
"""

import warnings
from typing import Any

import numpy as np

from skphx.datasets._barycentre import barycentric_velocity
from skphx.datasets._fits import merged_header, open_fits

# Usual names in files, in lower case.
_WAVELENGTH = ("wavelength", "wave", "lambda", "lam", "wl", "wavel", "awav", "loglam", "col1")
_FLUX = ("flux", "flam", "flx", "spectrum", "intensity", "f", "col2")
_SIGMA = ("sigma", "error", "err", "flux_error", "flux_err", "fluxerr", "e_flux", "eflux",
          "uncertainty", "uncert", "std", "unc", "col3")  # fmt: skip
_VARIANCE = ("variance", "var")
_INVERSE = ("ivar", "inverse_variance", "invvar")
_MASK = ("mask", "and_mask", "dq", "quality", "flag", "flags")

# Longitude and latitude (degrees), height (m) of the Hobby-Eberly Telescope.
_HET = (-104.014722, 30.681444, 2026.0)


class NoSpectrumError(ValueError):
    """A file is not a spectrum; the message continues after the name of the file."""


def read_spectrum(path, wavelength_unit, sky_factor):
    """Read a file with the reader for its type."""
    with open(path, "rb") as file:
        start = file.read(16)
    if start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        with open_fits(path) as hdus:
            names = {hdu.name.upper() for hdu in hdus}
            if {"SCI FLUX", "SCI WAVL"} <= names:
                return _read_hpf(hdus, sky_factor)
            if sky_factor:
                raise NoSpectrumError("has no sky fibre; leave sky_factor 0.")
            tables = [hdu for hdu in hdus if hdu.header.get("XTENSION", "").strip() == "BINTABLE"]
            if tables:
                return _read_table(tables[0], hdus[0].header, wavelength_unit)
            return _read_image(hdus, wavelength_unit)
    if sky_factor:
        raise NoSpectrumError("has no sky fibre; leave sky_factor 0.")
    return _read_text(path, wavelength_unit)


def _read_hpf(hdus, sky_factor):
    """Orders of the Habitable-zone Planet Finder, with errors or variances."""
    flux = np.array(hdus["Sci Flux"].data, dtype=np.float64)
    wavelength = np.array(hdus["Sci Wavl"].data, dtype=np.float64)
    sigma = _hpf_sigma(hdus, "Sci")
    if sky_factor:
        sky = np.array(hdus["Sky Flux"].data, dtype=np.float64)
        sky_wavelength = np.asarray(hdus["Sky Wavl"].data, dtype=np.float64)
        sky_sigma = _hpf_sigma(hdus, "Sky")
        for order, pixels in enumerate(wavelength):
            # The wavelengths of the two fibres differ by a fraction of a pixel.
            of_sky = sky_wavelength[order]
            flux[order] -= sky_factor * np.interp(pixels, of_sky, sky[order])
            error = sky_factor * np.interp(pixels, of_sky, sky_sigma[order])
            sigma[order] = np.where(sigma[order] > 0, np.hypot(sigma[order], error), np.nan)
    header = hdus[0].header
    return {
        "wavelength": wavelength,
        "flux": flux,
        "sigma": sigma,
        # Pixels without data are zero in one version of the files, and NaN in the other.
        "mask": flux == 0,
        "medium": "vacuum",
        "resolution": 55_000.0,
        "frame": "observatory",
        "barycentric_velocity": _hpf_barycentric(header),
        "units": {"wavelength": "Angstrom", "flux": "electron / s"},
        "facts": _facts(header, "HPF spectrum of the science fibre", "ITIME"),
        "header": _plain(header),
    }


def _hpf_sigma(hdus, fibre):
    names = {hdu.name.upper() for hdu in hdus}
    if f"{fibre} Error".upper() in names:
        return np.array(hdus[f"{fibre} Error"].data, dtype=np.float64)
    if f"{fibre} Variance".upper() in names:
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.array(hdus[f"{fibre} Variance"].data, dtype=np.float64))
    raise NoSpectrumError(f"has neither {fibre} Error nor {fibre} Variance.")


def _hpf_barycentric(header):
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


def _read_table(hdu, primary, wavelength_unit):
    """Columns of a FITS table."""
    columns = {column.name.lower(): hdu.data[column.name] for column in hdu.columns}
    units = {column.name.lower(): column.unit for column in hdu.columns}
    header = primary.copy()
    header.update(hdu.header)
    star = _from_columns(columns, units, wavelength_unit, _medium_of(header, units))
    facts = _facts(header, "FITS table", "EXPTIME")
    return star | {"facts": facts, "header": _plain(header), "frame": _frame_of(header)}


def _read_text(path, wavelength_unit):
    """Columns of a text file, among them Gaia's."""
    from astropy.table import Table
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            table = Table.read(path, format="ascii")
        except Exception as error:  # the formats that astropy tries raise many types
            raise NoSpectrumError(
                f"is neither FITS nor a text table that astropy can read "
                f"({type(error).__name__}): write columns of wavelength, flux and error."
            ) from error
    columns, units = {}, {}
    for name in table.colnames:
        column = table[name]
        units[name.lower()] = None if column.unit is None else str(column.unit)
        columns[name.lower()] = (
            column.filled(np.nan) if column.dtype.kind == "f" and hasattr(column, "filled")
            else np.asarray(column)
        )  # fmt: skip
    if {"source_id", "flux_error", "combined_transits"} <= set(columns):
        return _read_gaia(columns)
    star = _from_columns(columns, units, wavelength_unit, None)
    meta = table.meta if isinstance(table.meta, dict) else {}
    return star | {"facts": {"format": "text table"}, "header": _plain(meta)}


def _read_gaia(columns):
    """Mean spectrum of Gaia RVS: continuum 1, in vacuum, in the rest frame of the star."""
    return {
        "wavelength": 10.0 * columns["wavelength"],  # nm in the archive
        "flux": columns["flux"],
        "sigma": columns["flux_error"],
        "medium": "vacuum",
        "resolution": 11_500.0,
        "frame": "star",
        "units": {"wavelength": "Angstrom", "flux": ""},
        "facts": {
            "format": "Gaia RVS mean spectrum",
            "object": f"Gaia {columns['source_id'][0]}",
            "instrument": "Gaia RVS",
            "transits": int(columns["combined_transits"][0]),
        },
        "header": {},
    }


def _read_image(hdus, wavelength_unit):
    """One row of pixels, with the wavelength axis in the header or in an extension."""
    images = {
        hdu.name.lower() or "primary": hdu
        for hdu in hdus
        if hdu.is_image and hdu.header.get("NAXIS", 0) > 0
    }
    named = _pick(images, _FLUX)
    flux_hdu = images[named] if named else next(iter(images.values()), None)
    if flux_hdu is None:
        raise NoSpectrumError("holds neither a table nor an image.")
    flux = np.squeeze(np.array(flux_hdu.data, dtype=np.float64))
    header = merged_header(hdus, flux_hdu)
    star: dict[str, Any] = {
        "flux": flux,
        "units": {"wavelength": "Angstrom", "flux": header.get("BUNIT")},
    }
    axis = _pick(images, _WAVELENGTH)
    if axis:
        data = np.squeeze(np.array(images[axis].data, dtype=np.float64))
        star["wavelength"] = _in_angstrom(data, images[axis].header.get("BUNIT"), wavelength_unit)
    elif flux.ndim == 1:
        star["wavelength"] = _axis_of(header, len(flux), wavelength_unit)
    else:
        raise NoSpectrumError(
            f"holds an image of shape {flux.shape} without an extension of wavelengths; only one "
            f"row of pixels can have its wavelength axis in the header. Read other formats, such "
            f"as multispec of IRAF, with specutils, and use its arrays."
        )
    others = {name: np.squeeze(np.array(hdu.data)) for name, hdu in images.items()}
    star |= _errors(others)
    return star | {
        "medium": _medium_of(header, {}),
        "facts": _facts(header, "FITS image", "EXPTIME"),
        "header": _plain(header),
        "frame": _frame_of(header),
    }


def _axis_of(header, n_pixels, wavelength_unit):
    """Wavelengths in Å along axis 1 of a header."""
    kind = str(header.get("CTYPE1", "")).strip().upper()
    if kind[:4] in ("WAVE", "AWAV") and "CRVAL1" in header:
        from astropy.wcs import WCS

        header = header.copy()
        if not str(header.get("CUNIT1", "")).strip():
            header["CUNIT1"] = str(_unit(None, wavelength_unit))
        axis = WCS(header, naxis=1)  # the default reference pixel of the standard is 0
        # wcslib converts to metres.
        return axis.pixel_to_world_values(np.arange(n_pixels)) * 1e10
    if kind not in ("", "LINEAR", "LAMBDA", "WAVELENGTH", "ANGSTROM") or "CRVAL1" not in header:
        raise NoSpectrumError(
            f"has an axis of type {kind or 'none'!r}, which is not wavelength; save wavelength "
            f"and flux in a table."
        )
    step = header.get("CDELT1", header.get("CD1_1"))
    # An axis of IRAF, in which the default reference pixel is 1.
    values = header["CRVAL1"] + step * (np.arange(n_pixels) + 1.0 - header.get("CRPIX1", 1.0))
    if header.get("DC-FLAG", 0) == 1:
        values = 10.0**values
    return _in_angstrom(values, header.get("CUNIT1") or None, wavelength_unit)


def _from_columns(columns, units, wavelength_unit, medium):
    """Spectrum from named columns."""
    axis, flux = _pick(columns, _WAVELENGTH), _pick(columns, _FLUX)
    if axis is None or flux is None:
        raise NoSpectrumError(
            f"has no columns of wavelength and flux, only {sorted(columns)}; name them "
            f"'wavelength' and 'flux'."
        )
    values = np.asarray(columns[axis], dtype=np.float64)
    if axis == "loglam":  # SDSS: log10 of Å
        wavelength = 10.0**values
    else:
        wavelength = _in_angstrom(values, units[axis], wavelength_unit)
    values = np.asarray(columns[flux], dtype=np.float64)
    star: dict[str, Any] = {"wavelength": wavelength, "flux": values, **_errors(columns)}
    for name in ("wavelength", "flux", "sigma", "mask"):
        # A table of one row of arrays is one spectrum.
        if name in star and np.ndim(star[name]) == 2 and len(star[name]) == 1:
            star[name] = star[name][0]
    unit = units[flux]
    return star | {"medium": medium, "units": {"wavelength": "Angstrom", "flux": unit}}


def _errors(arrays):
    """Return standard errors and mask from the arrays with usual names."""
    found = {}
    if name := _pick(arrays, _SIGMA):
        found["sigma"] = np.array(arrays[name], dtype=np.float64)
    elif name := _pick(arrays, _VARIANCE):
        with np.errstate(invalid="ignore"):
            found["sigma"] = np.sqrt(np.array(arrays[name], dtype=np.float64))
    elif name := _pick(arrays, _INVERSE):
        inverse = np.array(arrays[name], dtype=np.float64)
        found["sigma"] = np.full(inverse.shape, np.nan)
        np.divide(1.0, np.sqrt(np.abs(inverse)), out=found["sigma"], where=inverse > 0)
    if name := _pick(arrays, _MASK):
        found["mask"] = np.array(arrays[name]) != 0
    return found


def _pick(names, candidates):
    """First candidate that is in the names, or None."""
    return next((name for name in candidates if name in names), None)


def _unit(stated, given):
    """Return the unit of the wavelengths; it must be stated or given, and agree if both are."""
    from astropy import units

    if stated is None and given is None:
        raise NoSpectrumError(
            "does not say the unit of its wavelengths: pass wavelength_unit, such as 'Angstrom' "
            "or 'nm'."
        )
    read = [_parse_unit(text) for text in (stated, given) if text is not None]
    for unit in read:
        if not unit.is_equivalent(units.AA):
            raise NoSpectrumError(f"has wavelengths in {unit}, which is not a unit of length.")
    if read[0] != read[-1]:
        raise NoSpectrumError(
            f"says that its wavelengths are in {read[0]}, but wavelength_unit={given!r} was "
            f"given; leave wavelength_unit out."
        )
    return read[0]


def _parse_unit(text):
    """Parse a unit in the notation of astropy, or of pipelines, such as "ANGSTROMS"."""
    from astropy import units

    unit = units.Unit(text, parse_strict="silent")
    if isinstance(unit, units.UnrecognizedUnit):
        unit = units.Unit(str(text).strip().lower().rstrip("s"), parse_strict="silent")
    return unit


def _in_angstrom(values, stated, given):
    from astropy import units

    return np.asarray(values, dtype=np.float64) * _unit(stated, given).to(units.AA)


def _medium_of(header, units):
    """Medium in a header, from the type of its axis or from usual keywords, or None."""
    kinds = [str(header.get(key, "")).upper() for key in ("CTYPE1", "TUCD1", "AIRORVAC")]
    if "awav" in units or any(kind.startswith(("AWAV", "AIR")) for kind in kinds):
        return "air"
    if header.get("VACUUM") in (True, 1) or kinds[2].startswith("VAC"):
        return "vacuum"
    return "vacuum" if kinds[0].startswith("WAVE") else None


def _frame_of(header):
    """Frame in the keyword SPECSYS of the FITS standard, or None."""
    frames = {"BARYCENT": "barycentre", "TOPOCENT": "observatory", "SOURCE": "star"}
    return frames.get(str(header.get("SPECSYS", "")).strip().upper())


def _facts(header, kind, exposure):
    facts: dict[str, Any] = {"format": kind}
    for name, key in (("object", "OBJECT"), ("instrument", "INSTRUME"), ("date", "DATE-OBS")):
        if str(header.get(key, "")).strip():
            facts[name] = str(header[key]).strip()
    if isinstance(header.get(exposure), int | float):
        facts["exposure"] = float(header[exposure])
    return facts


def _plain(header):
    """Convert a header to a dict."""
    skipped = ("", "COMMENT", "HISTORY")
    return {key: header[key] for key in header if key not in skipped}
