"""FITS files of observed spectra, and what may be wrong with them."""

import io
import re
import warnings

import numpy as np
from astropy.io import fits

from fuzzing import columns as made
from fuzzing.columns import ERRORS, LENGTHS, change, random_sheet
from fuzzing.observed import Case, random_spectrum


def to_bytes(hdus):
    """Return the bytes of a FITS file."""
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fits.HDUList(hdus).writeto(stream, output_verify="ignore")
    return re.sub(
        rb"TTYPE\d+ *= '[^'~]*~+",
        lambda found: found[0].replace(b"~", b" "),
        stream.getvalue(),
    )


def _format(values, repeat=""):
    code = {"f8": "D", "f4": "E", "i4": "J", "i2": "I", "i8": "K", "u1": "B", "b1": "L"}
    return f"{repeat}{code[values.dtype.str[1:]]}"


def _hdu(columns, arrays, name=None, header=None):
    """Return a table; `arrays` has the values of each column, with rows along the first axis."""
    listed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for column, values in zip(columns, arrays, strict=True):
            repeat = values.shape[1] if values.ndim > 1 else ""
            label = column.name.encode("ascii", "replace").decode()
            # astropy writes no name twice: see to_bytes.
            label += "~" * sum(one.name.strip("~") == label for one in listed)
            listed.append(
                fits.Column(label, _format(values, repeat), unit=column.unit, array=values)
            )
        hdu = fits.BinTableHDU.from_columns(listed, name=name)
        hdu.header.update(header or {})
    return hdu


def without_cards(content, *keys):
    """Blank cards in the bytes of a file, which astropy would write again."""
    for key in keys:
        card = f"{key:8}=".encode()
        if card in content:
            place = content.index(card)
            content = content[:place] + b" " * 80 + content[place + 80 :]
    return content


def table_of_pixels(rng):
    sheet = random_sheet(rng, "FITS table, a row a pixel")
    change(rng, sheet)
    hdus = [fits.PrimaryHDU(), _hdu(sheet.columns, [one.values[0] for one in sheet.columns])]
    return _other_hdus(rng, sheet, hdus)


def table_of_arrays(rng):
    sheet = random_sheet(rng, "FITS table, a row of arrays")
    change(rng, sheet, without=(made.several_stars,))
    hdus = [fits.PrimaryHDU(), _hdu(sheet.columns, [one.values for one in sheet.columns])]
    return _other_hdus(rng, sheet, hdus)


def table_of_orders(rng):
    sheet = random_sheet(rng, "FITS table, a row an order", n_orders=int(rng.integers(2, 5)))
    change(rng, sheet)
    hdus = [fits.PrimaryHDU(), _hdu(sheet.columns, [one.values for one in sheet.columns])]
    return _other_hdus(rng, sheet, hdus)


def table_of_arms(rng):
    n = int(rng.integers(2, 4))
    sheet = random_sheet(rng, "FITS tables, one an arm", n_orders=n)
    # An arm without a good pixel, error or mask is a case of its own.
    change(rng, sheet, without=(made.repeated_pixels, made.several_stars, made.no_errors))
    hdus = [fits.PrimaryHDU()]
    for i in range(n):
        hdus.append(_hdu(sheet.columns, [one.values[i] for one in sheet.columns], name=f"ARM{i}"))
    case = sheet.case
    draw = rng.random()
    if draw < 0.1:
        hdus.append(_hdu(sheet.columns, [one.values[0][:0] for one in sheet.columns], name="NO"))
        case.tell("an arm without rows")
    elif draw < 0.2:
        hdus.append(hdus[1].copy())
        case.tell("an arm twice", must_refuse="an arm appears twice", must_warn="")
    elif draw < 0.3:
        hdus[1:] = hdus[:0:-1]
        case.tell("arms in another order")
    return _other_hdus(rng, sheet, hdus)


def image_extensions(rng):
    n = int(rng.choice([1, 1, 3]))
    sheet = random_sheet(rng, "FITS image with extensions", n_orders=n)
    wavelength = sheet.of("wavelength")
    if wavelength.unit == "A":
        wavelength.unit = "Angstrom"
    change(rng, sheet, without=(made.twice, made.several_stars))
    hdus, case = [], sheet.case
    for column in sheet.columns:
        values = column.values
        if n == 1 and rng.random() < 0.7:
            values = values[0]
        hdu = fits.ImageHDU(values, name=column.name.encode("ascii", "replace").decode())
        if column.unit is not None:
            hdu.header["BUNIT"] = column.unit
        hdus.append(hdu)
    flux = next((i for i, one in enumerate(sheet.columns) if one.role == "flux"), None)
    named_by_user = any(name in case.call for name in ("flux", "wavelength"))
    draw = rng.random()
    if flux is not None and not case.must_refuse and not named_by_user and draw < 0.5:
        first = hdus.pop(flux)
        primary = fits.PrimaryHDU(first.data)
        if "BUNIT" in first.header:
            primary.header["BUNIT"] = first.header["BUNIT"]
        hdus = [primary, *hdus]
        case.tell("flux is the primary image")
        known = {"wavelength", "mask", *ERRORS}
        if not all(one.role in known for one in sheet.columns if one.role != "flux"):
            case.may_refuse = True
    else:
        hdus = [fits.PrimaryHDU(), *hdus]
        images = [one for one in sheet.columns]
        if len(images) == 1:
            case.tell("one image", known=False, may_refuse=True)
    if "nothing is called flux" in case.must_refuse:
        # Of the images, one may be the only one left.
        case.may_refuse = True
    return _other_hdus(rng, sheet, hdus)


def _other_hdus(rng, sheet, hdus):
    """Add what files also hold, and make the case."""
    case = sheet.case
    hdus[0].header.update({"OBJECT": "HD 1", "EXPTIME": 60.0, "INSTRUME": "FUZZ"})
    draw = rng.random()
    # What is named by number changes with the place.
    if draw < 0.08:
        hdus.append(fits.ImageHDU(name="EMPTY"))
        case.tell("an empty image")
    elif draw < 0.16:
        hdus.append(fits.BinTableHDU.from_columns([fits.Column("KEY", "8A", array=["a", "b"])],
                                                  name="HISTORY"))  # fmt: skip
        case.tell("a table of history")
    elif draw < 0.2 and hdus[0].data is None:
        hdus.insert(1, fits.BinTableHDU.from_columns([fits.Column("X", "D", array=[1.0, 2.0])],
                                                     name="INFO"))  # fmt: skip
        case.tell("a table before")
    elif draw < 0.24:
        hdus[0].header["SPECSYS"] = "BARYCENT"
        hdus[0].header["SPEC_RES"] = float(rng.choice([4e4, -1.0, 0.0]))
        case.tell("SPECSYS and SPEC_RES")
    case.content = to_bytes(hdus)
    return case


def image_axis(rng):
    """Return an image whose wavelengths are in the header, and errors in an extension."""
    axis = str(rng.choice(["linear", "log"]))
    spectrum = random_spectrum(rng, axis=axis, with_sigma=bool(rng.random() < 0.3))
    case = Case("FITS image with an axis", b"", {}, spectrum)
    header = _axis_header(rng, case, axis)
    made._spoil(rng, case) if rng.random() < 0.3 else None
    spectrum.wavelength = case.axis
    spectrum.flagged[:] = False
    unit = made.UNITS[int(rng.integers(len(made.UNITS)))]
    spectrum.unit = unit
    if unit is not None:
        header["BUNIT"] = unit
    data = spectrum.flux.astype(rng.choice(["f8", "f4"]))
    if data.dtype == np.float32:
        case.rtol = 1e-6
    shape = [(data.shape[1],), (1, data.shape[1]), (1, 1, data.shape[1])][int(rng.integers(3))]
    hdu = fits.PrimaryHDU(data.reshape(shape))
    hdu.header.update(header)
    hdus = [hdu]
    if spectrum.sigma is not None:
        column = made._errors(rng, spectrum)
        error = fits.ImageHDU(column.values.reshape(shape), name=column.name)
        if column.unit is not None:
            error.header["BUNIT"] = column.unit
        hdus.append(error)
    for _ in range(int(rng.choice([0, 0, 1, 1, 2]))):
        if _change_axis(rng, case, hdus):
            break
    case.content = to_bytes(hdus)
    return case


def _axis_header(rng, case, axis):
    spectrum = case.spectrum
    at = spectrum.wavelength[0]
    n = len(at)
    unit = str(rng.choice(["Angstrom", "nm", "um", "ANGSTROMS", "m", "Angstroms"]))
    factor = {**LENGTHS, "m": 1e10, "Angstroms": 1.0}[unit]
    reference = float(rng.choice([1.0, 1.0, 5.0, -3.0, 0.5]))
    medium = str(rng.choice(["air", "vacuum"]))
    spectrum.medium = medium
    header = {}
    if axis == "linear":
        step = (at[1] - at[0]) / factor
        start = at[0] / factor + (reference - 1) * step
        kind = str(rng.choice(["LINEAR", "WAVE", "AWAV", "WAVELENGTH", "Wavelength", "LAMBDA"]))
        if kind in ("WAVE", "AWAV"):
            spectrum.medium = medium = {"WAVE": "vacuum", "AWAV": "air"}[kind]
            if rng.random() < 0.5:
                case.call["medium"] = medium
        else:
            case.call["medium"] = medium
        header = {"CTYPE1": kind, "CUNIT1": unit, "CRVAL1": start, "CRPIX1": reference}
        header["CDELT1" if rng.random() < 0.6 else "CD1_1"] = step
        case.axis = (factor * (start + step * (np.arange(n) + 1 - reference)))[None]
    else:
        style = int(rng.integers(3))
        step = np.log10(at[1] / at[0])
        start = np.log10(at[0])
        case.call["medium"] = medium
        if style == 0:
            header = {"COEFF0": start, "COEFF1": step}
            case.axis = 10 ** (start + step * np.arange(n))[None]
        else:
            start += (reference - 1) * step
            header = {"CRVAL1": start, "CDELT1": step, "CRPIX1": reference}
            header |= [{"CTYPE1": "LINEAR", "DC-FLAG": 1}, {"CTYPE1": "LOG-LINEAR"}][style - 1]
            case.axis = 10 ** (start + step * (np.arange(n) + 1 - reference))[None]
    if rng.random() < 0.2:
        header["AIRORVAC"] = medium[:3]
        case.call.pop("medium", None)
    case.tell(f"axis {header}")
    return header


def _change_axis(rng, case, hdus):
    """Change a card or the data of an image; True if nothing more can be judged."""
    header, what = hdus[0].header, int(rng.integers(14))
    is_log = "COEFF0" in header or header.get("DC-FLAG") == 1 or "LOG" in header["CTYPE1"]
    if what == 0:
        key = str(rng.choice(["CRVAL1", "CDELT1", "CD1_1", "COEFF0"]))
        if key not in header:
            return False
        del header[key]
        case.tell(f"no {key}", must_refuse="the axis is unknown")
    elif what == 1 and "CUNIT1" in header:
        del header["CUNIT1"]
        if "wavelength_unit" in case.call:
            return False
        case.tell("no CUNIT1", must_refuse="the unit is unknown")
    elif what == 2 and "CTYPE1" in header:
        kind = str(rng.choice(["VELO", "FREQ", "PIXEL", "VELO-LSR", "ENER", "WAVN", "RA---TAN"]))
        header["CTYPE1"] = kind
        case.tell(f"axis of {kind}", must_refuse="the axis is not one of wavelengths")
    elif what == 3 and "CUNIT1" in header:
        header["CUNIT1"] = str(rng.choice(["Hz", "km/s", "furlong", "pixel", "eV", "deg"]))
        case.tell(f"axis in {header['CUNIT1']}", must_refuse="the unit is not one of length")
    elif what == 4:
        key = next(one for one in ("CRVAL1", "COEFF0") if one in header)
        header[key] = [np.float64(-5000.0), 0.0, 1e30, "abc", True, "8500,5", ""][
            int(rng.integers(7))
        ]
        case.tell(f"{key} = {header[key]!r}", must_refuse="wavelengths are impossible")
    elif what == 5:
        key = next((one for one in ("CDELT1", "CD1_1", "COEFF1") if one in header), None)
        if key is None:
            return False
        header[key] = [0.0, "x", 1e9, "", True][int(rng.integers(5))]
        case.tell(f"{key} = {header[key]!r}", must_refuse="wavelengths are impossible")
    elif what == 6 and len(hdus) == 1:
        hdus[0].data = hdus[0].data[..., ::-1].copy()
        key = next(one for one in ("CDELT1", "CD1_1", "COEFF1") if one in header)
        last = header.get("NAXIS1")
        if "COEFF0" in header:
            header["COEFF0"] += (last - 1) * header["COEFF1"]
        else:
            header["CRPIX1"] = last + 1 - header["CRPIX1"]
        header[key] *= -1
        case.tell("axis that decreases")
        return False
    elif what == 7:
        hdus.append(fits.ImageHDU(np.ones((8, 8)), name="PREVIEW"))
        case.tell("a preview")
        return False
    elif what == 8 and len(hdus) == 2:
        hdus[1].name = str(rng.choice(["SKY", "THING", "CONT"]))
        case.tell("errors without their name", may_lose_sigma=True, may_refuse=True)
    elif what == 9:
        hdus[0] = _scaled(case, hdus[0])
        return hdus[0].data.dtype.kind == "f"
    elif what == 10 and len(hdus) == 1 and not is_log:
        n = hdus[0].data.shape[-1]
        stacked = np.array([hdus[0].data.reshape(n) * factor for factor in (1.0, 2.0)])
        hdus[0].data = stacked
        case.tell("two rows", must_refuse="two rows, of which none is chosen")
    elif what == 11:
        header["CRPIX1"] = [np.float64(1e12), "one", -1e9, True][int(rng.integers(4))]
        if "COEFF0" in header and "CRVAL1" not in header:
            return False
        case.tell(f"CRPIX1 = {header['CRPIX1']!r}", known=False, may_refuse=True)
    elif what == 12 and len(hdus) == 1:
        hdus[:] = [fits.PrimaryHDU(), fits.ImageHDU(hdus[0].data, header)]
        case.tell("flux in an extension without a name")
    elif what == 13 and is_log and "COEFF0" not in header:
        for key in ("DC-FLAG", "CTYPE1"):
            header.pop(key, None)
        header["CTYPE1"], header["CUNIT1"] = "LINEAR", "Angstrom"
        case.tell("logarithms not stated", must_refuse="4 Å is no wavelength of a star")
    else:
        return False
    return True


def _scaled(case, hdu):
    """Store flux as integers with BSCALE and BZERO."""
    data = hdu.data
    if not np.isfinite(data).all() or np.abs(data).max() > 1e4 * case._level:
        return hdu
    low, high = float(data.min()), float(data.max())
    scale = max(high - low, abs(high), 1e-30) / 60_000
    steps = np.round((data - low) / scale)
    header = hdu.header.copy()
    new = fits.PrimaryHDU((steps - 32768).astype(np.int16), header)
    new.header["BSCALE"], new.header["BZERO"] = scale, low + 32768 * scale
    case.spectrum.flux = (low + steps * scale).reshape(1, -1).astype(np.float64)
    case.tell("integers with BSCALE", rtol=1e-3)
    return new
