"""Files as surveys and instruments write them, and what may be wrong with them."""

import io

import numpy as np
from astropy.io import fits
from astropy.table import Table

from fuzzing.columns import Column, _spoil
from fuzzing.fits_files import _hdu, to_bytes, without_cards
from fuzzing.observed import Case, random_spectrum


def _spectrum(rng, kind, **drawn):
    spectrum = random_spectrum(rng, level=float(rng.choice([1.0, 40.0])), with_sigma=True, **drawn)
    case = Case(kind, b"", {}, spectrum)
    if rng.random() < 0.5:
        _spoil(rng, case)
    return case, spectrum


def _ivar(sigma):
    with np.errstate(all="ignore"):
        return np.where(sigma == 0, np.inf, np.sign(sigma) / sigma**2)


def _shuffle(rng, case, hdus, *, first=1):
    """Change the order of extensions, and add others."""
    draw = rng.random()
    if draw < 0.2 and len(hdus) > first + 1:
        tail = hdus[first:]
        hdus[first:] = [tail[i] for i in rng.permutation(len(tail))]
        case.tell("extensions in another order")
    elif draw < 0.3:
        hdus.append(fits.ImageHDU(name="NOTHING"))
        case.tell("an empty extension")


def sdss(rng):
    case, one = _spectrum(rng, "SDSS coadd", axis="log")
    one.medium = "vacuum"
    bits = np.where(one.flagged, 4, 0).astype(np.int32)
    columns = [
        Column("flux", "flux", one.flux),
        Column("wavelength", "loglam", _log10(one.wavelength)),
        Column("ivar", "ivar", _ivar(one.sigma)),
        Column("mask", "and_mask", bits),
        Column("decoy", "or_mask", np.full_like(bits, 8)),
        Column("decoy", "wdisp", np.ones_like(one.flux)),
        Column("decoy", "sky", one.flux * 0.1),
        Column("decoy", "model", one.flux * 1.01),
    ]
    draw = rng.random()
    header = {"TELESCOP": "SDSS 2.5-M", "PLATEID": 1}
    if draw < 0.15:
        columns = [columns[i] for i in rng.permutation(len(columns))]
        case.tell("columns in another order")
    elif draw < 0.25:
        columns[2].name = "weights"
        case.tell("ivar called weights", may_lose_sigma=True)
    elif draw < 0.35:
        del header["TELESCOP"]
        case.tell("no TELESCOP", must_refuse="the medium is unknown")
    elif draw < 0.45:
        del columns[0]
        case.tell("no flux", must_refuse="there is no flux")
    elif draw < 0.55:
        columns[1].values = one.wavelength
        case.tell("loglam holds wavelengths", must_refuse="10**8500 is no wavelength")
    hdus = [fits.PrimaryHDU(), _hdu(columns, [column.values[0] for column in columns], "COADD")]
    hdus[0].header.update(header)
    for i in range(int(rng.integers(0, 3))):
        visit = [column.values[0] for column in columns]
        hdus.append(_hdu(columns, visit, f"B{i}-001"))
    spall = Table({"PLUG_RA": [1.0], "Z": [0.1], "CLASS": ["STAR"]})
    hdus.append(fits.BinTableHDU(spall, name="SPALL"))
    if rng.random() < 0.2 and not case.must_refuse:
        case.call["medium"] = "vacuum"
    _shuffle(rng, case, hdus)
    case.content = to_bytes(hdus)
    return case


def _log10(values):
    with np.errstate(all="ignore"):
        return np.where(np.isfinite(values) & (values > 0), np.log10(np.abs(values)), values)


def lamost(rng):
    case, one = _spectrum(rng, "LAMOST", axis="log")
    one.medium = "vacuum"
    flagged = one.flagged
    header = {"TELESCOP": "LAMOST", "COEFF0": 3.5, "COEFF1": 1e-4}
    if rng.random() < 0.5:
        rows = [one.flux, _ivar(one.sigma), one.wavelength, flagged * 1.0, np.zeros_like(one.flux)]
        hdus = [fits.PrimaryHDU(np.concatenate(rows))]
        draw = rng.random()
        if draw < 0.2:
            del header["TELESCOP"]
            case.tell("no TELESCOP", must_refuse="five rows of unknown meaning")
        elif draw < 0.4:
            hdus[0].data = hdus[0].data[:4].copy()
            case.tell("a row is missing", must_refuse="four rows of unknown meaning")
    else:
        columns = [
            Column("flux", "FLUX", one.flux),
            Column("ivar", "IVAR", _ivar(one.sigma)),
            Column("wavelength", "WAVELENGTH", one.wavelength),
            Column("mask", "ANDMASK", flagged.astype(np.int16)),
            Column("decoy", "ORMASK", np.ones(one.flux.shape, np.int16)),
            Column("decoy", "NORMALIZATION", one.flux / 2),
        ]
        hdus = [fits.PrimaryHDU(), _hdu(columns, [column.values for column in columns], "COADD")]
        _shuffle(rng, case, hdus)
    hdus[0].header.update(header)
    case.content = to_bytes(hdus)
    return case


def eso(rng):
    case, one = _spectrum(rng, "ESO science product")
    one.medium = str(rng.choice(["air", "vacuum"]))
    one.unit = "10^-16 erg/cm^2/s/Angstrom"
    columns = [
        Column("wavelength", "WAVE", one.wavelength / 10, "nm"),
        Column("flux", "FLUX", one.flux, "10^-16 erg/cm^2/s/Angstrom"),
        Column("sigma", "ERR", one.sigma, "10^-16 erg/cm^2/s/Angstrom"),
        Column("mask", "QUAL", one.flagged.astype(np.int32)),
        Column("decoy", "SNR", one.flux / 3),
        Column("decoy", "FLUX_REDUCED", one.flux * 3, "adu"),
        Column("decoy", "ERR_REDUCED", one.flux * 0.3, "adu"),
    ]
    one.unit = None  # the unit is as the file writes it
    order = rng.permutation(len(columns)) if rng.random() < 0.3 else range(len(columns))
    columns = [columns[i] for i in order]
    hdu = _hdu(columns, [column.values for column in columns], "SPECTRUM")
    header = {"PRODCATG": "SCIENCE.SPECTRUM", "SPECSYS": "BARYCENT", "SPEC_RES": 42_000.0}
    which = next(i for i, column in enumerate(columns, 1) if column.name == "WAVE")
    hdu.header[f"TUCD{which}"] = "em.wl;obs.atmos" if one.medium == "air" else "em.wl"
    draw, removed = rng.random(), []
    if draw < 0.15:
        removed = [f"TUCD{which}"]
        case.tell("no TUCD", must_refuse="the medium is unknown")
    elif draw < 0.3:
        removed = [f"TUNIT{which}"]
        case.tell("no TUNIT", must_refuse="the unit is unknown")
    elif draw < 0.4:
        removed = [f"TTYPE{which}"]
        case.tell("no TTYPE of the wavelengths", must_refuse="there are no wavelengths")
    primary = fits.PrimaryHDU()
    primary.header.update(header)
    case.content = without_cards(to_bytes([primary, hdu]), *removed)
    return case


def pypeit(rng):
    case, one = _spectrum(rng, "PypeIt OneSpec")
    case.call["medium"] = one.medium = "vacuum"
    columns = [
        Column("wavelength", "wave", one.wavelength),
        Column("decoy", "wave_grid_mid", one.wavelength + 0.01),
        Column("flux", "flux", one.flux),
        Column("ivar", "ivar", _ivar(one.sigma)),
        Column("decoy", "sigma", one.sigma),
        Column("mask", "mask", (~one.flagged).astype(np.int32)),
    ]
    hdu = _hdu(columns, [column.values[0] for column in columns], "SPECTRUM")
    hdu.header["DMODCLS"] = "OneSpec"
    draw = rng.random()
    if draw < 0.3:
        del hdu.header["DMODCLS"]
        case.call["wavelength_unit"] = "Angstrom"
        reason = "the mask may mean both" if 0 < one.flagged.sum() < one.flagged.size else ""
        case.tell("no DMODCLS", must_refuse=reason)
        case.may_refuse = True
        if one.flagged.all() or not one.flagged.any():
            case.known = not one.flagged.any()
    case.content = to_bytes([fits.PrimaryHDU(), hdu])
    return case


def hst_jwst(rng):
    telescope = str(rng.choice(["JWST", "HST"]))
    case, one = _spectrum(rng, f"{telescope} x1d")
    one.medium = "vacuum"
    bits = np.where(one.flagged, 1 if telescope == "JWST" else 512, 0).astype(np.int32)
    bits += np.where(rng.random(bits.shape) < 0.2, 4 if telescope == "JWST" else 1024, 0)
    names = ("FLUX_ERROR", "DQ") if telescope == "JWST" else ("ERROR", "DQ")
    unit = "Jy" if telescope == "JWST" else "erg/s/cm**2/Angstrom"
    one.unit = unit
    factor, unit_wl = (1e4, "um") if telescope == "JWST" else (1.0, "Angstroms")
    columns = [
        Column("wavelength", "WAVELENGTH", one.wavelength / factor, unit_wl),
        Column("flux", "FLUX", one.flux, unit),
        Column("sigma", names[0], one.sigma, unit),
        Column("mask", names[1], bits),
        Column("decoy", "BACKGROUND", one.flux / 9, unit),
        Column("decoy", "NET", one.flux * 5, "Counts/s"),
    ]
    if telescope == "HST":
        # DQ 1024 is among the bits of the handbook that do not count.
        case.spectrum.flagged |= False
    rows = [column.values if telescope == "HST" else column.values[0] for column in columns]
    hdus = [fits.PrimaryHDU(), _hdu(columns, rows, "EXTRACT1D" if telescope == "JWST" else "SCI")]
    hdus[0].header["TELESCOP"] = telescope
    _shuffle(rng, case, hdus)
    case.content = to_bytes(hdus)
    return case


def hpf(rng):
    case, one = _spectrum(rng, "HPF", n_orders=int(rng.integers(2, 4)))
    one.medium = "vacuum"
    one.flux[one.flagged | (one.flux == 0)] = 0.0
    one.flagged |= one.flux == 0
    with_variance = bool(rng.random() < 0.5)
    with np.errstate(all="ignore"):
        errors = np.sign(one.sigma) * one.sigma**2 if with_variance else one.sigma
    arrays = {
        "Sci Flux": one.flux, "Sky Flux": one.flux * 0.1, "Cal Flux": one.flux * 0.2,
        "Sci Variance" if with_variance else "Sci Error": errors,
        "Sci Wavl": one.wavelength, "Sky Wavl": one.wavelength,
    }  # fmt: skip
    primary = fits.PrimaryHDU()
    primary.header.update({"OBJECT": "HD 1", "ITIME": 100.0, "BRVCORR": 12_000.0})
    hdus = [primary, *(fits.ImageHDU(data, name=name) for name, data in arrays.items())]
    draw, position = rng.random(), {name: i for i, name in enumerate(arrays, 1)}
    if draw < 0.1:
        del hdus[4]
        case.tell("no errors", must_refuse="there are no errors")
    elif draw < 0.2:
        hdus[position["Sci Wavl"]].data = one.wavelength[:, :-1].copy()
        case.tell("wavelengths of another shape", must_refuse="shapes do not fit")
    elif draw < 0.3:
        hdus[4].data = errors[:1].copy()
        case.tell("errors of one order", must_refuse="shapes do not fit")
    elif draw < 0.35:
        hdus[1].data = None
        case.tell("no data of the flux", must_refuse="there is no flux")
    elif draw < 0.45:
        primary.header["BRVCORR"] = str(rng.choice(["abc", "1,5"]))
        case.call["barycentric"] = True
        case.tell("BRVCORR is text", must_refuse="the velocity is unknown")
    elif draw < 0.5:
        del primary.header["BRVCORR"]
        case.call["barycentric"] = True
        case.tell("no BRVCORR", must_refuse="the velocity is unknown")
    elif draw < 0.55:
        case.call["row"] = int(rng.choice([7, -9]))
        case.tell("a row that does not exist", must_refuse="there is no such row")
    elif draw < 0.65:
        case.call["sky_factor"] = 0.9
        del hdus[2]
        case.tell("no sky", must_refuse="there is no sky")
    _shuffle(rng, case, hdus)
    case.content = to_bytes(hdus)
    return case


_GAIA = np.linspace(846.0, 870.0, 2401)


def gaia(rng):
    flux = 1.0 - 0.5 * np.exp(-0.5 * ((_GAIA - rng.uniform(848, 868)) / 0.2) ** 2)
    from fuzzing.observed import Spectrum

    one = Spectrum(10 * _GAIA[None], flux[None], rng.uniform(0.01, 0.02, (1, 2401)),
                   np.zeros((1, 2401), bool), medium="vacuum")  # fmt: skip
    case = Case("Gaia RVS", b"", {}, one)
    if rng.random() < 0.5:
        _spoil(rng, case)
        one.wavelength = 10 * _GAIA[None].copy()
        one.flagged[:] = False
    n = int(rng.choice([1, 1, 2]))
    ids = np.arange(n) + 38_000_000_000_000_000
    if rng.random() < 0.5:
        table = Table({
            "source_id": np.repeat(ids, 2401), "wavelength": np.tile(_GAIA, n),
            "flux": np.tile(one.flux[0], n), "flux_error": np.tile(one.sigma[0], n),
        })  # fmt: skip
    else:
        table = Table({
            "source_id": ids, "combined_transits": np.full(n, 7),
            "flux": np.tile(one.flux, (n, 1)), "flux_error": np.tile(one.sigma, (n, 1)),
        })  # fmt: skip
    if n > 1:
        if rng.random() < 0.5:
            case.call["row"] = int(rng.integers(-1, 2))
            case.tell("one of two stars")
        else:
            case.tell("two stars", must_refuse="there are two stars")
    draw = rng.random()
    wide = table["flux"].ndim > 1
    if draw < 0.1:
        table.rename_column("flux_error", "err_of_flux_thing")
        case.tell("errors without their name", may_lose_sigma=True, may_refuse=True)
        if wide or n > 1:
            case.must_refuse = case.must_refuse or ("no wavelengths" if wide else "")
        case.call.setdefault("medium", "vacuum")
        case.call["wavelength_unit"] = "nm"
    elif draw < 0.2 and wide:
        table["flux"] = table["flux"][:, :-1]
        table["flux_error"] = table["flux_error"][:, :-1]
        case.tell("a pixel is missing", must_refuse="which wavelengths these are is unknown")
    elif draw < 0.3 and not wide:
        table = table[:: int(rng.integers(2, 5))] if n == 1 else table
        case.tell("every so many pixels", may_lose_pixels=True, known=n > 1)
    formats = ["fits", "votable"] + ([] if wide else ["csv", "ascii.ecsv"])
    format = str(rng.choice(formats))
    case.log.append(format)
    stream = io.StringIO() if format in ("csv", "ascii.ecsv") else io.BytesIO()
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table.write(stream, format=format)
    content = stream.getvalue()
    case.content = content if isinstance(content, bytes) else content.encode()
    return case


def _axis_in_header(log):
    return {"CTYPE1": "LOG-LINEAR", "CRVAL1": log[0], "CDELT1": log[1], "CRPIX1": 1, "DC-FLAG": 1}


def apogee(rng):
    case, one = _fixed(rng, "APOGEE apStar", 10 ** (4.179 + 6e-6 * np.arange(8575)))
    mask = np.where(one.flagged[0], 1, 4096)
    unit = "(10^-17 erg/s/cm^2/Ang)"
    n_rows = int(rng.choice([0, 1, 4]))
    hdus = [fits.PrimaryHDU()]
    for data, label in ((one.flux[0], f"Flux {unit}"), (one.sigma[0], f"Err {unit}"),
                        (mask, "Pixel-mask")):  # fmt: skip
        data = np.array([data] * n_rows) if n_rows else data
        hdu = fits.ImageHDU(data)
        hdu.header.update({"BUNIT": label, **_axis_in_header((4.179, 6e-6))})
        hdus.append(hdu)
    hdus[0].header.update({"SFILE1": "apVisit-1.fits", "NVISITS": 2, "HISTORY": "APOGEE"})
    draw = rng.random()
    if draw < 0.1:
        hdus[1].header["CRVAL1"] = "abc"
        case.tell("CRVAL1 is text", must_refuse="wavelengths are unknown")
    elif draw < 0.2:
        hdus[2].data = hdus[2].data[..., :-1].copy()
        case.tell("errors of another length", must_refuse="shapes do not fit")
    elif draw < 0.3:
        hdus[1].data = None
        case.tell("no flux", must_refuse="there is no flux")
    elif draw < 0.4:
        case.call["row"] = int(rng.choice([11, -12]))
        case.tell("a row that does not exist", must_refuse="there is no such row")
    elif draw < 0.5:
        hdus[3].data = hdus[3].data[..., :-1].copy()
        case.tell("mask of another length", must_refuse="shapes do not fit")
    elif draw < 0.6:
        del hdus[3]
        case.tell("no mask", known=False, may_refuse=True)
    case.content = to_bytes(hdus)
    return case


def _fixed(rng, kind, wavelength):
    """Return a case on given pixels."""
    from fuzzing.observed import Spectrum

    n = len(wavelength)
    flux = 1.0 - 0.5 * rng.random(n) ** 3
    one = Spectrum(wavelength[None].copy(), flux[None], np.full((1, n), 0.01) * (1 + flux),
                   rng.random((1, n)) < 0.002, medium="vacuum")  # fmt: skip
    case = Case(kind, b"", {}, one, rtol=1e-5, rtol_wavelength=1e-7)
    return case, one


def desi(rng):
    parts = [_fixed(rng, "DESI", 3600.0 + shift + 0.8 * np.arange(100)) for shift in
             (0.0, 2200.0, 4000.0)]  # fmt: skip
    case, one = parts[0]
    for name in ("wavelength", "flux", "sigma", "flagged"):
        setattr(one, name, np.concatenate([getattr(part, name) for _, part in parts]))
    n = int(rng.choice([1, 1, 2]))
    hdus = [fits.PrimaryHDU(), fits.BinTableHDU(Table({"TARGETID": np.arange(n) + 39}),
                                                name="FIBERMAP")]  # fmt: skip
    for i, arm in enumerate("BRZ"):
        for name, data, unit in (
            ("FLUX", one.flux[i], "1e-17 erg/(s cm2 Angstrom)"),
            ("IVAR", _ivar(one.sigma[i]), "1e+34 s2 cm4 Angstrom2 / erg2"),
            ("MASK", one.flagged[i].astype(np.int32), None),
        ):
            hdu = fits.ImageHDU(np.array([data] * n), name=f"{arm}_{name}")
            if unit:
                hdu.header["BUNIT"] = unit
            hdus.append(hdu)
        axis = fits.ImageHDU(one.wavelength[i], name=f"{arm}_WAVELENGTH")
        axis.header["BUNIT"] = "Angstrom"
        hdus.append(axis)
    hdus.append(fits.BinTableHDU(Table({"X": np.ones(n)}), name="SCORES"))
    if n > 1:
        case.call["row"] = int(rng.integers(0, 2))
    draw = rng.random()
    if draw < 0.15:
        del hdus[int(rng.choice([3, 5]))]
        case.tell("an extension is missing", known=False, may_refuse=True)
    elif draw < 0.3:
        hdus[2].data = hdus[2].data[:, :-1].copy()
        case.tell("flux of another length", must_refuse="shapes do not fit")
    elif draw < 0.4:
        case.call["row"] = 5
        case.tell("a row that does not exist", must_refuse="there is no such row")
    elif draw < 0.5:
        hdus[1].columns.change_name("TARGETID", "ID_OF_IT")
        case.tell("no TARGETID", may_refuse=True)
    hdus[0].header["INFIL000"] = "x"
    case.content = to_bytes(hdus)
    return case


def multispec(rng):
    n, n_orders = 120, int(rng.choice([1, 3]))
    case, one = _fixed(rng, "IRAF multispec", 5000.0 + 0.05 * np.arange(n))
    step = [0.05, 0.06, 0.07][:n_orders]
    start = [5000.0, 5100.0, 5200.0][:n_orders]
    one.wavelength = np.array([a + b * np.arange(n) for a, b in zip(start, step, strict=True)])
    one.flux = 1.0 - 0.5 * rng.random((n_orders, n))
    one.sigma, one.flagged, one.unit = None, np.zeros((n_orders, n), bool), None
    one.medium = case.call["medium"] = "air"
    functions = [f"{i + 1} {i + 1} 0 {a} {b} {n} 0. 1. 2." for i, (a, b) in
                 enumerate(zip(start, step, strict=True))]  # fmt: skip
    draw = rng.random()
    if draw < 0.15:
        functions[0] = str(rng.choice(["1 1 0 abc 0.05 120 0. 1. 2.", "1 1", "", "1 1 9 1 1 1 1"]))
        case.tell(f"function {functions[0]!r}", may_refuse=True, known=False)
    elif draw < 0.25:
        functions = functions[:-1]
        case.tell("a function is missing", may_refuse=True, known=False)
    hdu = fits.PrimaryHDU(one.flux if n_orders > 1 else one.flux[:1])
    hdu.header.update({"WCSDIM": 2, "CTYPE1": "MULTISPE", "CTYPE2": "MULTISPE"})
    hdu.header["WAT1_001"] = "wtype=multispec label=Wavelength units=angstroms"
    text = "wtype=multispec " + " ".join(f'spec{i + 1} = "{f}"' for i, f in enumerate(functions))
    for i in range(0, len(text), 68):
        hdu.header[f"WAT2_{i // 68 + 1:03d}"] = text[i : i + 68]
    if 0.25 < draw < 0.4:
        key = str(rng.choice(["WAT1_001", "WAT2_001", "WCSDIM", "CTYPE2"]))
        del hdu.header[key]
        case.tell(f"no {key}", may_refuse=True, known=key == "CTYPE2")
    case.content = to_bytes([hdu])
    return case
