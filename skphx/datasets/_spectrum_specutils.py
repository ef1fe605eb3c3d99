"""Formats whose arrays have no names: specutils knows where each of them is.

A file is recognised here, by keywords of its header, and read there. The loaders of specutils
that recognise any table or image are not used unless the user asks for them by name.
"""

import contextlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from skphx.datasets._spectrum_conventions import facts_of, frame_of, plain_header, resolution_of
from skphx.datasets._spectrum_pixels import Row, in_one_unit, standard_error
from skphx.datasets._spectrum_request import NoSpectrumError
from skphx.datasets._spectrum_star import one_star
from skphx.datasets._spectrum_units import to_angstrom

# Bits of APOGEE_PIXMASK that mean a bad pixel; the others are warnings.
_APOGEE_BITS = 0b100_0000_1111_1111
_APOGEE_PIXELS = 8000
# Loaders that take any table or image, or are wrong about pixels or errors.
_GUESSES = {
    "wcs1d-fits", "tabular-fits", "ASCII", "IPAC", "ECSV", "JWST x1d MIRI MRS", "JWST s2d",
    "JWST s2d multi", "JWST s3d", "MaNGA cube", "MaNGA rss", "SAMI-cube", "GALAH",
    "SDSS-I/II spSpec", "iraf",
}  # fmt: skip


@dataclass(frozen=True)
class Format:
    """One format that specutils reads.

    Parameters
    ----------
    label : str
        Name of the loader in specutils.
    test : callable
        Whether a FITS file is of this format.
    medium, frame : str or None
        Medium and frame of the wavelengths.
    prepare : callable or None
        Brings the file into the shape that the loader expects, and returns errors that it drops.
    mask : callable or None
        Bad pixels that the loader drops, of the shape of all its spectra.
    """

    label: str
    test: Callable[[Any], bool]
    medium: str | None = None
    frame: str | None = None
    prepare: Callable[[Any, Any], Any] | None = None
    mask: Callable[[Any], Any] | None = None


def _word(hdu, key):
    return str(hdu.header.get(key, "")).strip().lower()


def _is_apogee_visit(hdus):
    return (
        len(hdus) > 4
        and all(_word(hdus[i], "BUNIT").startswith("flux") for i in (1,))
        and _word(hdus[4], "BUNIT").startswith("wave")
        and hdus[1].header.get("NAXIS2") == 3
    )


def _is_apogee_star(hdus):
    header = hdus[0].header
    return (
        len(hdus) > 3
        and ("SFILE1" in header or "APRED" in header)
        and "NVISITS" in header
        and hdus[1].is_image
        and hdus[1].header.get("NAXIS1", 0) > _APOGEE_PIXELS
        and _word(hdus[1], "BUNIT").startswith("flux")
    )


def _is_aspcap_star(hdus):
    return (
        len(hdus) > 4
        and all(
            hdus[i].is_image and hdus[i].header.get("NAXIS1", 0) > _APOGEE_PIXELS
            for i in (1, 2, 3)
        )
        and "ASPCAPFLAG" in [str(value) for value in hdus[-1].header.values()]
    )


def _is_multispec(hdus):
    header = hdus[0].header
    return _word(hdus[0], "CTYPE1").startswith("multispe") and "WAT2_001" in header


def _is_desi(hdus):
    names = {hdu.name.upper() for hdu in hdus}
    return "FIBERMAP" in names and any(
        f"{arm}_FLUX" in names and f"{arm}_WAVELENGTH" in names for arm in "BRZ"
    )


def _is_mwm_visit(hdus):
    return "V_ASTRA" in hdus[0].header and not any(
        "wavelength" in [name.lower() for name in hdu.columns.names]
        for hdu in hdus[1:]
        if hasattr(hdu, "columns")
    )


def _two_dimensional(hdus, request):
    """Give images the two axes that loaders want: a star of one visit has one row."""
    for hdu in hdus[1:4]:
        if hdu.is_image and hdu.data is not None:
            hdu.data = np.atleast_2d(hdu.data)
    n_rows = len(hdus[1].data)
    if request.row is not None:
        if not -n_rows <= request.row < n_rows:
            raise NoSpectrumError(f"has {n_rows} rows: pass row=0 to {n_rows - 1}.")
        for hdu in hdus[1:4]:
            if hdu.is_image and hdu.data is not None:
                hdu.data = hdu.data[[request.row]]
        request.row = None
    elif n_rows > 1:
        request.unused.append(
            f"rows 1 to {n_rows - 1} (another combination of the visits, and the visits)"
        )


def _one_band(hdus, request):
    """Of the bands of IRAF (spectrum, raw, sky, sigma) keep that of the spectrum; return sigma."""
    header, data = hdus[0].header, hdus[0].data
    if data is None:
        raise NoSpectrumError("has no image: copy it again.")
    sigma = None
    if data.ndim == 3:
        labels = [str(header.get(f"BANDID{i + 1}", "")).strip() for i in range(len(data))]
        words = [label.lower().split(" ")[0] for label in labels]
        if len(data) > 1 and words.count("spectrum") != 1:
            raise NoSpectrumError(
                f"has {len(data)} bands, {labels}, and not one that is called spectrum: keep the "
                f"band of the spectrum only, with scopy of IRAF."
            )
        number = words.index("spectrum") if "spectrum" in words else 0
        if "sigma" in words:
            sigma = np.array(data[words.index("sigma")], dtype=np.float64)
        request.unused.extend(
            f"band {label!r}"
            for i, label in enumerate(labels)
            if i != number and words[i] != "sigma"
        )
        hdus[0].data = data[number]
    header = hdus[0].header
    # The loader expects two axes of coordinates, and two cards or more of WAT2.
    header["WCSDIM"] = 2
    if "WAT2_002" not in header:
        header["WAT2_002"] = ""
    return sigma


def _one_target(hdus, request):
    """One star of the many in a file of DESI."""
    names = [hdu.name.upper() for hdu in hdus]
    fibres = hdus["FIBERMAP"]
    known = hasattr(fibres, "columns") and "TARGETID" in fibres.columns.names
    targets = [str(one) for one in np.atleast_1d(fibres.data["TARGETID"])] if known else []
    n_rows = len(next(hdu for hdu in hdus if hdu.name.upper().endswith("_FLUX")).data)
    row = request.row
    if row is None and n_rows > 1:
        listed = ", ".join(f"{i} for {one}" for i, one in enumerate(targets[:8]))
        raise NoSpectrumError(
            f"holds {n_rows} spectra, of the TARGETIDs {listed}{', ...' * (n_rows > 8)}: pass "
            f"row= to choose one."
        )
    if row is not None and not -n_rows <= row < n_rows:
        raise NoSpectrumError(f"has {n_rows} spectra: pass row=0 to {n_rows - 1}.")
    for name, hdu in zip(names, hdus, strict=True):
        if name.endswith(("_FLUX", "_IVAR", "_MASK")):
            hdu.data = hdu.data[row or 0]
    request.row = None


def _apogee_mask(hdus):
    return (np.atleast_2d(hdus[3].data).astype(np.int64) & _APOGEE_BITS) != 0


FORMATS = (
    Format("SDSS-V apVisit", _is_apogee_visit, "vacuum", "observatory", mask=_apogee_mask),
    Format(
        "APOGEE apStar",
        _is_apogee_star,
        "vacuum",
        "star",
        prepare=_two_dimensional,
        mask=lambda hdus: _apogee_mask(hdus)[:1],
    ),
    Format("APOGEE aspcapStar", _is_aspcap_star, "vacuum", "star"),
    Format("SDSS-V mwm", _is_mwm_visit, "vacuum", "star"),
    Format("iraf", _is_multispec, prepare=_one_band),
    Format("DESI coadd", _is_desi, "vacuum", "barycentre", prepare=_one_target),
)


def format_of(hdus):
    """Return the format of a FITS file that specutils is needed for, or None."""
    return next((one for one in FORMATS if one.test(hdus)), None)


def other_format(path):
    """Return the name of the loader that recognises a file by keywords, or None.

    Parameters
    ----------
    path : pathlib.Path
        A FITS file.

    Returns
    -------
    str or None
        The one loader; None without specutils, or if no loader or several recognise the file.
    """
    try:
        import specutils
    except ImportError:
        return None
    from astropy.io import registry

    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for one in (specutils.Spectrum, specutils.SpectrumList, specutils.SpectrumCollection):
            with contextlib.suppress(Exception):  # of identifiers that fail on other files
                found |= set(
                    registry.identify_format("read", one, str(path), None, (str(path),), {})
                )
    found -= _GUESSES
    return found.pop() if len(found) == 1 else None


def read_as(known, source, path, request):
    """Return the spectrum that specutils reads.

    Parameters
    ----------
    known : Format or str
        The format, or the name of a loader that the user gives.
    source : astropy.io.fits.HDUList or bytes
        The file.
    path : pathlib.Path
        Its path.
    request : Request
        What the user says.

    Returns
    -------
    dict
        Rows of pixels, and what is known about them.

    Raises
    ------
    NoSpectrumError
        If specutils is absent, or cannot read the file.
    """
    by_name = isinstance(known, str)
    label = known if by_name else known.label
    try:
        import specutils
    except ImportError as error:
        raise NoSpectrumError(
            f"is in the format {label}, which specutils reads: pip install 'skphx[specutils]'."
        ) from error
    errors = None
    if not by_name and known.prepare:
        errors = known.prepare(source, request)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            spectra = _spectra(specutils, label, str(path) if by_name else source)
        except NoSpectrumError:
            raise
        except Exception as error:  # loaders raise many types
            raise NoSpectrumError(
                f"is in the format {label}, and specutils cannot read it "
                f"({type(error).__name__}: {error}). Pass flux= and wavelength= with the names or "
                f"numbers of its arrays."
            ) from error
    return _star(spectra, known, source, errors, request)


def _spectra(specutils, label, source):
    """Spectra as the loader gives them: one, a list, or a collection."""
    from astropy.io import registry

    classes = (specutils.SpectrumCollection, specutils.SpectrumList, specutils.Spectrum)
    known = [one for one in classes if label in registry.get_formats(one, "Read")["Format"]]
    if not known:
        labels = sorted(set(registry.get_formats(specutils.SpectrumList, "Read")["Format"]))
        raise NoSpectrumError(
            f"cannot be read with format={label!r}: specutils has {', '.join(labels)}."
        )
    read = known[0].read(source, format=label)
    if not isinstance(read, specutils.SpectrumCollection):
        return list(read) if isinstance(read, specutils.SpectrumList) else [read]
    return [read[i] for i in range(read.shape[0])]


def _star(spectra, known, source, errors, request):
    """Rows of all spectra, with units, masks and what the header says."""
    from astropy import units

    header = spectra[0].meta.get("header", {})
    by_name = isinstance(known, str)
    label = known if by_name else known.label
    rows, unit, purposes = [], None, []
    for spectrum in spectra:
        axis = spectrum.spectral_axis
        stated = axis.unit
        if not stated.is_equivalent(units.AA):
            stated, axis = units.AA, axis.to(units.AA, units.spectral())
        flux_unit = spectrum.flux.unit
        if label == "iraf":  # what the loader assumes where the file says nothing
            stated = stated if "units=" in str(header.get("WAT1_001", "")) else None
            flux_unit = header.get("BUNIT")
        wavelength = to_angstrom(np.atleast_1d(axis.value), stated, "linear", request)
        flux = np.atleast_2d(np.array(spectrum.flux.value, dtype=np.float64))
        sigma, role = _errors(spectrum)
        mask = np.zeros(flux.shape, dtype=bool)
        if spectrum.mask is not None:
            mask = np.broadcast_to(np.asarray(spectrum.mask) != 0, flux.shape)
        sigma = [None] * len(flux) if sigma is None else np.broadcast_to(sigma, flux.shape)
        for one_flux, one_sigma, one_mask in zip(flux, sigma, mask, strict=True):
            one_flux, one_sigma, unit = in_one_unit(
                wavelength, one_flux, one_sigma, flux_unit, None, role, request
            )
            rows.append(Row(wavelength, one_flux, one_sigma, one_mask))
            purposes.append(spectrum.meta.get("purpose", "reduced"))
    if errors is not None:
        for row, of_row in zip(rows, np.atleast_2d(errors), strict=True):
            row.sigma = of_row
    if not by_name and known.mask:
        bad = known.mask(source)
        for row, of_row in zip(rows, bad, strict=True):
            row.mask = of_row
    if "reduced" in purposes and set(purposes) != {"reduced"}:
        request.unused.extend(f"the {one} spectrum" for one in purposes if one != "reduced")
        rows = [row for row, one in zip(rows, purposes, strict=True) if one == "reduced"]
    rows = one_star(rows, None, request)
    return {
        "rows": rows,
        "medium": None if by_name else known.medium,
        "frame": frame_of(header) or (None if by_name else known.frame),
        "resolution": resolution_of(header),
        "barycentric_velocity": _barycentric(header, label),
        "unit": unit,
        "facts": facts_of(header, label),
        "header": plain_header(header),
    }


def _barycentric(header, label):
    value = header.get("BC") if label.endswith("apVisit") else None
    return float(value) if isinstance(value, int | float) else None


def _errors(spectrum):
    """Return standard errors, in the unit of the flux, or None."""
    given = spectrum.uncertainty
    if given is None:
        return None, None
    role = {"std": "sigma", "var": "variance", "ivar": "ivar"}.get(given.uncertainty_type)
    if role is None:
        return None, None
    return standard_error(np.asarray(given.array), role), "sigma"
