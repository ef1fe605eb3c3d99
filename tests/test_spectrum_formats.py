"""Formats of observed spectra: text of many kinds, archives, surveys, and what specutils reads."""

import bz2
import gzip
import io
import lzma
import os
import sys

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Column, MaskedColumn, Table
from astropy.units import Unit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from observed_star import (
    FLUX,
    SAID,
    SIGMA,
    WAVELENGTH,
    N,
    check,
    image,
    linear_axis,
    rows,
    table,
    write,
)

from skphx.datasets import load_spectrum

FIRST = np.arange(N) < 5
LINES = [f"{a:.9g},{b:.9g},{c:.9g}" for a, b, c in zip(WAVELENGTH, FLUX, SIGMA, strict=True)]
PAIRS = [line.rpartition(",")[0] for line in LINES]


def spaced(lines):
    return [line.replace(",", " ") for line in lines]


def numbered(lines, separator=","):
    return [f"{i}{separator}{line}" for i, line in enumerate(lines)]


# Text

TEXTS = {
    "index of pandas": [",wavelength,flux,error", *numbered(LINES)],
    "index with quotes": ['"","wavelength","flux","error"', *numbered(LINES)],
    "index of pandas, read and written": ["Unnamed: 0,wavelength,flux,error", *numbered(LINES)],
    "index with semicolons": [
        *(";wavelength;flux;error",),
        *numbered([line.replace(",", ";") for line in LINES], ";"),
    ],
    "to_string": ["   wavelength  flux  error", *numbered(spaced(LINES), "  ")],
    "names in a comment": ["# HD 1", "# wavelength flux error", *spaced(LINES)],
    "names and units in a comment": ["#Wavelength (Angstrom), Flux, Err", *LINES],
    "units in names": ["wavelength_A,flux [counts],error", *LINES],
    "a line of units": ["wavelength,flux,error", "Angstrom,,", *LINES],
    "empty columns": ["wavelength,flux,error,", *[f"{line}," for line in LINES]],
    "tabs": ["Wave\tFlux\tFlux-Err", *[line.replace(",", "\t") for line in LINES]],
    "comments of IDL": ["% made by IDL", "wave flux err", *spaced(LINES)],
    "a title above the names": ["HD 1, 3 July 2020", "wave,flux,err", *LINES],
    "a number of lines": [str(N), "wave flux err", *spaced(LINES)],
    "comments at the ends": ["wave flux err", *[f"{line} # good" for line in spaced(LINES)]],
    "a line of units with slashes": ["wave,flux,err", "Ang.,erg/s/cm2/A,erg/s/cm2/A", *LINES],
    "decimal commas": [
        *("wave;flux;err",),
        *[line.replace(",", ";").replace(".", ",") for line in LINES],
    ],
    "decimal commas and tabs": [
        *("wave\tflux\terr",),
        *[line.replace(",", "\t").replace(".", ",") for line in LINES],
    ],
}


@pytest.mark.parametrize("kind", TEXTS)
def test_text_with_names(tmp_path, kind):
    path = tmp_path / "star.txt"
    path.write_text("\n".join(TEXTS[kind]))
    stated = "unit" in kind
    check(load_spectrum(path, **(SAID | ({"wavelength_unit": None} if stated else {}))))


@pytest.mark.parametrize(
    "lines",
    [
        PAIRS,
        spaced(PAIRS),
        [line.replace(",", ";") for line in PAIRS],
        ["# one comment of", *spaced(PAIRS)],
        ["# my star", *spaced(PAIRS)],
        [f"  {line}  " for line in spaced(PAIRS)],
        [f"{line}," for line in PAIRS],
        ["HD 1", *spaced(PAIRS)],
        [str(N), *spaced(PAIRS)],
        [line.replace(",", " ").replace(".", ",") for line in PAIRS],
        [f"{a:.8e} {b:.8e}".replace("e", "D") for a, b in zip(WAVELENGTH, FLUX, strict=True)],
    ],
)
def test_two_columns_without_names(tmp_path, lines):
    (tmp_path / "star.dat").write_text("\n".join(lines))
    check(load_spectrum(tmp_path / "star.dat", **SAID), sigma=None)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    text = "\n".join(["# étoile", "wavelength,flux,error", *LINES])
    (tmp_path / "star.csv").write_text(text, encoding=encoding)
    check(load_spectrum(tmp_path / "star.csv", **SAID))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files(tmp_path, compress):
    path = tmp_path / "star.compressed"
    path.write_bytes(compress("\n".join(PAIRS).encode()))
    check(load_spectrum(path, **SAID), sigma=None)
    whole = io.BytesIO()
    hdu = fits.PrimaryHDU(FLUX)
    hdu.header.update(linear_axis())
    hdu.writeto(whole)
    path.write_bytes(compress(whole.getvalue()))
    check(load_spectrum(path, medium="air"), sigma=None)
    path.write_bytes(compress(b"1 1\n" * 5000)[:40])
    with pytest.raises(ValueError, match=r"is compressed with .* and damaged"):
        load_spectrum(path, **SAID)


def test_paths(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    name = "mein stern é.csv"
    (tmp_path / name).write_text("\n".join(PAIRS))
    for path in (f"~/{name}", name, tmp_path / name, os.fsencode(tmp_path / name)):
        check(load_spectrum(path, **SAID), sigma=None)


def test_missing_numbers_in_text(tmp_path):
    path = tmp_path / "star.csv"
    words = ["", "--", "null", "nan", "N/A", "INDEF", "-NaN", "******"]
    bad = [f"{line.split(',')[0]},{word}" for line, word in zip(PAIRS, words, strict=False)]
    path.write_text("\n".join(["wave,flux", *bad, *PAIRS[8:]]))
    check(load_spectrum(path, **SAID), sigma=None, n_masked=8)


def test_words_that_are_no_numbers(tmp_path):
    path = tmp_path / "star.csv"
    path.write_text("\n".join(["8499.9,bad", *PAIRS]))
    with pytest.raises(ValueError, match="has text in column"):
        load_spectrum(path, **SAID)


def test_exponents_of_three_digits(tmp_path):
    path = tmp_path / "star.txt"
    pairs = zip(WAVELENGTH, FLUX, strict=True)
    path.write_text("\n".join(f"{one:.9f} {other:.9f}-100" for one, other in pairs))
    check(load_spectrum(path, **SAID), flux=1e-100 * FLUX, sigma=None)


def test_units_in_text_go_into_a_table_of_astropy(tmp_path):
    path = tmp_path / "star.csv"
    path.write_text("\n".join(["wave,flux,err", "A,erg/s/cm2/A,erg/s/cm2/A", *LINES]))
    stated = load_spectrum(path, medium="air").units["flux"]
    assert Unit(stated).is_equivalent("erg / (s cm2 Angstrom)")


@pytest.mark.parametrize("n_columns", [2, 5])
def test_libre_esprit(tmp_path, n_columns):
    middle = " 0.0 0.0 0.0" if n_columns == 5 else ""
    lines = ["***Reduced spectrum of 'HD 1'", f" {N} {n_columns}"]
    for a, b, c in zip(WAVELENGTH, FLUX, SIGMA, strict=True):
        lines.append(f" {a / 10:.9g} {b:.9g}{middle} {c:.9g}")
    (tmp_path / "star.s").write_text("\n".join(lines))
    check(load_spectrum(tmp_path / "star.s", medium="air"))


@pytest.mark.parametrize("format", ["ascii.ecsv", "votable", "fits"])
def test_masked_elements_of_tables(tmp_path, format):
    columns = {
        "wavelength": Column(WAVELENGTH / 10, unit="nm"),
        "flux": MaskedColumn(FLUX, mask=FIRST),
        "flux_error": SIGMA,
    }
    Table(columns).write(tmp_path / "star", format=format)
    check(load_spectrum(tmp_path / "star", medium="air"), n_masked=5)


def test_several_tables_of_a_votable(tmp_path):
    from astropy.io import votable

    path = tmp_path / "stars.xml"
    columns = {"wavelength": Column(WAVELENGTH / 10, unit="nm"), "flux": FLUX}
    file = votable.from_table(Table(columns))
    other = votable.from_table(Table(columns | {"flux": 2 * FLUX}))
    file.resources.append(other.resources[0])
    votable.writeto(file, str(path))
    with pytest.raises(ValueError, match="holds 2 tables, which may be several spectra: pass"):
        load_spectrum(path, medium="air")
    check(load_spectrum(path, medium="air", hdu=1), flux=2 * FLUX, sigma=None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and more", "is an archive"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"# only\n# comments\n", "all lines are comments"),
        (b"\x89HDF\r\n\x1a\n\x00\x00", "neither FITS nor text"),
        (b"\n\n  \n", "neither FITS nor a text table"),
        (b"version https://git-lfs.github.com/spec/v1\nsize 1\n", "a pointer of Git LFS"),
        (b"8500 1 0.1 1 1\n8501 1 0.1 1 1\n", "has 5 columns without names"),
    ],
)
def test_files_of_other_kinds(tmp_path, content, message):
    (tmp_path / "star").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load_spectrum(tmp_path / "star", **SAID)


# Gaia

GAIA = np.linspace(846.0, 870.0, 2401)
GAIA_FLUX = 1.0 - 0.5 * np.exp(-0.5 * ((GAIA - 854.4) / 0.2) ** 2)


def gaia_table(ids, shape):
    n = len(ids)
    if shape == "a row a star":
        arrays = {"flux": np.tile(GAIA_FLUX, (n, 1)), "flux_error": np.full((n, 2401), 0.01)}
        return Table({"source_id": ids, "combined_transits": [7] * n, **arrays})
    return Table(
        {
            "source_id": np.repeat(ids, 2401),
            "wavelength": np.tile(GAIA, n),
            "flux": np.tile(GAIA_FLUX, n),
            "flux_error": np.full(2401 * n, 0.01),
            "combined_transits": np.full(2401 * n, 7),
        }
    )


@pytest.mark.parametrize("shape", ["a row a star", "a row a pixel"])
@pytest.mark.parametrize("format", ["csv", "ascii.ecsv", "votable", "fits"])
def test_gaia_as_the_archive_sends_it(tmp_path, format, shape):
    path = tmp_path / "gaia"
    if (format, shape) == ("csv", "a row a star"):
        flux, error = (str(list(map(float, x))) for x in (GAIA_FLUX, np.full(2401, 0.01)))
        text = "source_id,flux,flux_error,combined_transits\n"
        path.write_text(text + "".join(f'{i},"{flux}","{error}",7\n' for i in (11, 12)))
    else:
        gaia_table([11, 12], shape).write(path, format=format)
    with pytest.raises(ValueError, match="several stars: pass row=, 0 for source_id 11, 1 for"):
        load_spectrum(path)
    star = load_spectrum(path, row=1)
    check(star, 10 * GAIA, GAIA_FLUX, 0.01)
    assert (star.medium, star.frame, star.resolution) == ("vacuum", "star", 11_500)
    assert star.facts["object"] == "Gaia 12"
    assert star.facts["transits"] == 7


def test_gaia_without_a_source(tmp_path):
    """VOTable of one star: its name stands outside the table."""
    path = tmp_path / "star.vot"
    columns = {"wavelength": Column(GAIA, unit="nm"), "flux": GAIA_FLUX, "flux_error": GAIA_FLUX}
    Table(columns).write(path, format="votable")
    with pytest.raises(ValueError, match="does not say whether its wavelengths are in air"):
        load_spectrum(path)
    path.write_text(path.read_text().replace("<TABLE>", "<INFO name='x' value='Gaia'/><TABLE>"))
    star = load_spectrum(path)
    check(star, 10 * GAIA, GAIA_FLUX, GAIA_FLUX)
    assert star.frame == "star"


# Surveys whose tables have names


def test_sdss(tmp_path):
    columns = {"flux": FLUX, "loglam": np.log10(WAVELENGTH), "ivar": SIGMA**-2}
    columns |= {"and_mask": FIRST * 8, "or_mask": FIRST * 9, "sky": FLUX, "model": FLUX}
    path = write(
        tmp_path / "spec.fits",
        table("COADD", **columns),
        table("SPALL", PLATE=[1.0]),
        TELESCOP="SDSS 2.5-M",
    )
    star = load_spectrum(path)
    check(star, n_masked=5)
    assert (star.medium, star.frame) == ("vacuum", "barycentre")
    assert star.units["flux"] == "1e-17 erg / (s cm2 Angstrom)"


@pytest.mark.parametrize("telescope", ["LAMOST", "SDSS 2.5-M"])
def test_images_with_five_rows(tmp_path, telescope):
    five = {
        "LAMOST": [FLUX, SIGMA**-2, WAVELENGTH, FIRST, FIRST],
        "SDSS 2.5-M": [FLUX, FLUX - 1, SIGMA, FIRST, FLUX],
    }[telescope]
    hdu = fits.PrimaryHDU(np.array(five, dtype=np.float64))
    log = {"COEFF0": np.log10(8500.0), "COEFF1": 1e-5, "TELESCOP": telescope}
    star = load_spectrum(write(tmp_path / "star.fits", hdu, **log))
    # As the release describes it: 10**(COEFF0 + COEFF1 i), i from 0.
    axis = WAVELENGTH if telescope == "LAMOST" else 8500.0 * 10 ** (1e-5 * np.arange(N))
    check(star, wavelength=axis, n_masked=5)
    assert star.medium == "vacuum"


def test_jwst(tmp_path):
    columns = {
        "WAVELENGTH": Column(WAVELENGTH / 1e4, unit="um"),
        "FLUX": Column(FLUX * WAVELENGTH**2, unit="Jy"),
        "FLUX_ERROR": Column(SIGMA * WAVELENGTH**2, unit="Jy"),
        "SURF_BRIGHT": FLUX,
        "DQ": (FIRST * 1 + 2).astype(np.uint32),
    }
    hdus = [table("EXTRACT1D", **columns) for _ in range(2)]
    path = write(tmp_path / "x1d.fits", *hdus, TELESCOP="JWST")
    with pytest.raises(ValueError, match="several spectra of the same wavelengths: HDU 1 'EXTR"):
        load_spectrum(path)
    with pytest.warns(UserWarning, match="column 'SURF_BRIGHT', HDU 1"):
        star = load_spectrum(path, hdu=2)
    scale = 2.99792458e18 * 1e-23
    check(star, flux=scale * FLUX, sigma=scale * SIGMA, n_masked=5)


def test_errors_of_galah_are_relative(tmp_path):
    axis = linear_axis()
    hdus = [fits.PrimaryHDU(2 * FLUX), image(SIGMA, "input_sigma", **axis)]
    hdus += [image(FLUX, "normalised", **axis)]
    path = write(tmp_path / "galah.fits", *hdus, ORIGIN="GALAH", **axis)
    with pytest.warns(UserWarning, match="also holds HDU 2 'NORMALISED'"):
        check(load_spectrum(path, medium="air"), flux=2 * FLUX, sigma=SIGMA * 2 * FLUX)


def test_bands_of_iraf(tmp_path):
    bands = np.array([FLUX, 3 * FLUX, 2 * FLUX, SIGMA])[:, None]
    labels = ("spectrum - background fit", "raw - none", "background - fit", "sigma - fit")
    header = {f"BANDID{i + 1}": label for i, label in enumerate(labels)}
    axis = linear_axis(CTYPE1="LINEAR", WAT1_001="wtype=linear label=Wavelength units=angstroms")
    del axis["CUNIT1"]
    path = write(tmp_path / "star.fits", fits.PrimaryHDU(bands), **axis, **header)
    with pytest.warns(UserWarning, match="also holds row 'raw', row 'background'"):
        check(load_spectrum(path, medium="air"))


# What specutils reads


@pytest.fixture
def no_specutils(monkeypatch):
    monkeypatch.setitem(sys.modules, "specutils", None)


def multispec(path, functions, bands=None):
    """Write an image as IRAF does, with a wavelength function for each row."""
    n = len(functions)
    data = np.vstack([FLUX] * n) if bands is None else np.array([[band] * n for band in bands])
    header = {"WCSDIM": data.ndim, "CTYPE1": "MULTISPE", "CTYPE2": "MULTISPE"}
    if bands is not None:
        labels = ("spectrum - a", "raw - b", "sigma - c")
        header |= {f"BANDID{i + 1}": label for i, label in enumerate(labels)}
        header |= {"CTYPE3": "LINEAR"}
    header["WAT1_001"] = "wtype=multispec label=Wavelength units=angstroms"
    text = "wtype=multispec " + " ".join(f'spec{i + 1} = "{f}"' for i, f in enumerate(functions))
    for i in range(0, len(text), 68):
        header[f"WAT2_{i // 68 + 1:03d}"] = text[i : i + 68]
    return write(path, fits.PrimaryHDU(data), **header)


PIXEL = np.arange(1.0, N + 1.0)
X = (2 * PIXEL - (N + 1)) / (N - 1)
FUNCTIONS = {
    "linear": (f"1 1 0 8500. 0.05 {N} 0. 1. 2.", 8500 + 0.05 * (PIXEL - 1)),
    "logarithmic": (f"1 1 1 3.93 1e-5 {N} 0. 1. 2.", 10 ** (3.93 + 1e-5 * (PIXEL - 1))),
    "Chebyshev": (
        f"1 1 2 8500. 0.05 {N} 0. 1. 2. 1. 0. 1 3 1. {N}. 8505. 5. 0.1",
        8505 + 5 * X + 0.1 * (2 * X**2 - 1),
    ),
    "Legendre": (
        f"1 1 2 8500. 0.05 {N} 0. 1. 2. 1. 0. 2 3 1. {N}. 8505. 5. 0.1",
        8505 + 5 * X + 0.1 * (1.5 * X**2 - 0.5),
    ),
}


@pytest.mark.parametrize("kind", FUNCTIONS)
def test_multispec_of_iraf(tmp_path, kind):
    function, axis = FUNCTIONS[kind]
    star = load_spectrum(multispec(tmp_path / "one.fits", [function]), medium="air")
    check(star, wavelength=axis, sigma=None)
    assert star.units["flux"] is None
    shifted = (
        function.replace("8500.", "8600.").replace("8505.", "8605.").replace("3.93 ", "3.94 ")
    )
    path = multispec(tmp_path / "two.fits", [function, shifted])
    assert load_spectrum(path, medium="air").flux.shape == (2, N)
    check(load_spectrum(path, medium="air", row=0), wavelength=axis, sigma=None)


def test_multispec_with_bands(tmp_path):
    path = multispec(tmp_path / "star.fits", [FUNCTIONS["linear"][0]], (FLUX, 3 * FLUX, SIGMA))
    with pytest.warns(UserWarning, match="also holds band 'raw - b'"):
        check(load_spectrum(path, medium="air"), wavelength=FUNCTIONS["linear"][1])


def test_multispec_without_specutils(tmp_path, no_specutils):
    path = multispec(tmp_path / "star.fits", [FUNCTIONS["linear"][0]])
    with pytest.raises(ValueError, match=r"specutils reads: pip install 'skphx\[specutils\]'"):
        load_spectrum(path, medium="air")
    write(tmp_path / "sky.fits", image(FLUX, "SKY", **linear_axis()))
    with pytest.raises(ValueError, match="does not say which of its images is the flux"):
        load_spectrum(tmp_path / "sky.fits", medium="air")


APOGEE = 10 ** (4.179 + 6e-6 * np.arange(8575))
BAD = np.arange(8575) < 4


def apogee_star(path, n_rows):
    log = {"CTYPE1": "LOG-LINEAR", "CRVAL1": 4.179, "CDELT1": 6e-6, "CRPIX1": 1, "DC-FLAG": 1}
    mask = BAD * 1 + ~BAD * 4096  # a bright sky line is no bad pixel

    def repeated(data, unit):
        data = data if n_rows is None else np.array([data * (i + 1) for i in range(n_rows)])
        return image(data, BUNIT=unit, **log)

    unit = "(10^-17 erg/s/cm^2/Ang)"
    hdus = [repeated(np.ones(8575), f"Flux {unit}"), repeated(np.full(8575, 0.01), f"Err {unit}")]
    hdus += [image(mask if n_rows is None else [mask] * n_rows, BUNIT="Pixel-mask", **log)]
    primary = fits.PrimaryHDU()
    primary.header["HISTORY"] = "APOGEE"
    return write(path, primary, *hdus, SFILE1="apVisit-1.fits", NVISITS=max(1, (n_rows or 3) - 2))


def test_apogee_star(tmp_path):
    star = load_spectrum(apogee_star(tmp_path / "one.fits", None))
    check(star, APOGEE, 1.0, 0.01, n_masked=4)
    assert (star.medium, star.frame) == ("vacuum", "star")
    path = apogee_star(tmp_path / "three.fits", 4)
    with pytest.warns(UserWarning, match="also holds rows 1 to 3"):
        check(load_spectrum(path), APOGEE, 1.0, 0.01, n_masked=4)
    check(load_spectrum(path, row=2), APOGEE, 3.0, 0.03, n_masked=4)


def test_apogee_visit_is_three_orders_from_red_to_blue(tmp_path):
    axis = np.array([np.linspace(b, a, 2048) for a, b in ((164e2, 169e2), (158e2, 163e2))])
    axis = np.vstack([axis, np.linspace(15700.0, 15200.0, 2048)])
    mask = np.zeros((3, 2048), dtype=np.int32)
    mask[:, :2], mask[:, 2:9] = 1, 4096
    unit = "(10^-17 erg/s/cm^2/Ang)"
    hdus = [image(np.ones((3, 2048)), BUNIT=f"Flux {unit}"), image(np.full((3, 2048), 0.01))]
    hdus += [image(mask), image(axis, BUNIT="Wavelength (Ang)")]
    path = write(tmp_path / "apVisit.fits", fits.PrimaryHDU(), *hdus, SURVEY="apogee", BC=12.5)
    star = load_spectrum(path)
    check(star, axis[:, ::-1], 1.0, 0.01, n_masked=6)
    assert star.barycentric_velocity == 12.5
    assert load_spectrum(path, barycentric=True).frame == "barycentre"


def desi(path, n_targets):
    hdus = [table("FIBERMAP", TARGETID=np.arange(n_targets) + 39)]
    for arm, shift in (("B", 4000), ("R", 2000), ("Z", 0)):
        arrays = {
            "FLUX": (np.array([FLUX * (i + 1) for i in range(n_targets)]), "1e-17 erg/(s cm2 AA)"),
            "IVAR": (np.array([SIGMA**-2] * n_targets), "1e+34 s2 cm4 AA2 / erg2"),
            "MASK": (np.array([FIRST] * n_targets).astype(np.int32), None),
            "WAVELENGTH": (WAVELENGTH - shift, "Angstrom"),
        }
        for name, (data, unit) in arrays.items():
            hdus.append(image(data, f"{arm}_{name}", **({"BUNIT": unit} if unit else {})))
    return write(path, *hdus, table("SCORES", X=np.ones(n_targets)), INFIL000="x")


def test_desi(tmp_path):
    axis = np.vstack([WAVELENGTH - 4000, WAVELENGTH - 2000, WAVELENGTH])
    check(load_spectrum(desi(tmp_path / "one.fits", 1)), wavelength=axis, n_masked=15)
    path = desi(tmp_path / "two.fits", 2)
    with pytest.raises(ValueError, match="2 spectra, of the TARGETIDs 0 for 39, 1 for 40: pass"):
        load_spectrum(path)
    check(load_spectrum(path, row=1), wavelength=axis, flux=2 * FLUX, n_masked=15)


def test_format_that_the_user_names(tmp_path):
    hdu = fits.PrimaryHDU(FLUX)
    path = write(tmp_path / "star.fits", hdu, **linear_axis())
    star = load_spectrum(path, format="wcs1d-fits", medium="air")
    check(star, sigma=None)
    assert star.facts["format"] == "wcs1d-fits"
    with pytest.raises(ValueError, match="cannot be read with format='nothing': specutils has"):
        load_spectrum(path, format="nothing", medium="air")


# Any spectrum in any format comes back as it was


@st.composite
def spectra(draw):
    """Arrays of a spectrum: wavelengths in Å, flux, errors, bad pixels."""
    n = draw(st.integers(2, 40))
    start = draw(st.floats(2000, 20_000))
    steps = draw(st.lists(st.floats(0.01, 10.0), min_size=n - 1, max_size=n - 1))
    wavelength = start + np.concatenate([[0.0], np.cumsum(steps)])
    flux = np.array(draw(st.lists(st.floats(-1e3, 1e3), min_size=n, max_size=n)))
    sigma = np.array(draw(st.lists(st.floats(1e-3, 1e3), min_size=n, max_size=n)))
    bad = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    bad[draw(st.integers(0, n - 1))] = False
    return wavelength, flux, sigma, bad


def as_table(wavelength, flux, sigma, bad):
    columns = {"wavelength": wavelength, "flux": flux, "error": sigma, "dq": bad.astype(int)}
    return Table(columns)


def write_text(path, arrays, format):
    as_table(*arrays).write(path, format=format)


def write_units(path, arrays, format):
    written = as_table(arrays[0] / 10, *arrays[1:])
    written["wavelength"].unit = "nm"
    written.write(path, format=format)


def write_row(path, arrays):
    columns = dict(zip(("WAVE", "FLUX", "SIGMA", "QUAL"), arrays, strict=True))
    write(path, rows(**columns | {"QUAL": arrays[3].astype(int)}))


def write_images(path, arrays):
    wavelength, flux, sigma, bad = arrays
    hdus = [
        image(sigma**2, "VARIANCE"),
        image(bad.astype("u1"), "DQ"),
        image(wavelength, "LAMBDA"),
    ]
    write(path, fits.PrimaryHDU(flux), *hdus)


def write_hpf(path, arrays):
    wavelength, flux, sigma, bad = (np.atleast_2d(array) for array in arrays)
    flux = np.where(bad, 0.0, np.where(flux == 0, 1.0, flux))
    arrays = {"Flux": flux, "Wavl": wavelength, "Variance": sigma**2}
    write(path, *(image(data, f"Sci {name}") for name, data in arrays.items()))


WRITERS = {
    "csv": lambda path, arrays: write_text(path, arrays, "csv"),
    "basic": lambda path, arrays: write_text(path, arrays, "ascii.basic"),
    "commented": lambda path, arrays: write_text(path, arrays, "ascii.commented_header"),
    "tab": lambda path, arrays: write_text(path, arrays, "ascii.tab"),
    "fixed width": lambda path, arrays: write_text(path, arrays, "ascii.fixed_width"),
    "ecsv": lambda path, arrays: write_units(path, arrays, "ascii.ecsv"),
    "votable": lambda path, arrays: write_units(path, arrays, "votable"),
    "fits": lambda path, arrays: write_units(path, arrays, "fits"),
    "row": write_row,
    "images": write_images,
    "hpf": write_hpf,
}


@pytest.mark.parametrize("kind", WRITERS)
@settings(
    deadline=None,
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(arrays=spectra())
def test_what_is_written_is_read(tmp_path, kind, arrays):
    path = tmp_path / "star"
    path.unlink(missing_ok=True)
    WRITERS[kind](path, arrays)
    wavelength, flux, sigma, bad = arrays
    said = {} if kind == "hpf" else {"medium": "air"}
    if kind not in ("hpf", "ecsv", "votable", "fits"):
        said = SAID
    star = load_spectrum(path, **said)
    if kind == "hpf":
        bad, flux = np.where(flux == 0, bad, bad), np.where(flux == 0, 1.0, flux)
    assert star.mask.tolist() == bad.tolist()
    np.testing.assert_allclose(star.wavelength, wavelength, rtol=1e-12)
    np.testing.assert_allclose(star.flux[~bad], flux[~bad], rtol=1e-12)
    np.testing.assert_allclose(star.sigma[~bad], sigma[~bad], rtol=1e-12)


@pytest.mark.parametrize("logarithm", [False, True])
@settings(
    deadline=None,
    max_examples=15,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    start=st.floats(1000.0, 30_000.0),
    step=st.floats(1e-6, 1e-3),
    reference=st.floats(-5.0, 50.0),
    flux=st.lists(st.floats(-10.0, 10.0), min_size=2, max_size=30),
)
def test_axes_that_are_written_are_read(tmp_path, logarithm, start, step, reference, flux):
    path = tmp_path / "star.fits"
    path.unlink(missing_ok=True)
    header = {"CRPIX1": reference, "CUNIT1": "Angstrom", "AIRORVAC": "vac"}
    index = np.arange(1.0, len(flux) + 1) - reference
    if logarithm:
        header |= {"CTYPE1": "LINEAR", "DC-FLAG": 1, "CRVAL1": np.log10(start), "CDELT1": step}
        expected = start * 10 ** (step * index)
    else:
        header |= {"CTYPE1": "AWAV", "CRVAL1": start, "CDELT1": step * start}
        expected = start * (1 + step * index)
    write(path, fits.PrimaryHDU(np.array(flux)), **header)
    star = load_spectrum(path)
    np.testing.assert_allclose(star.wavelength, expected, rtol=1e-12)
    np.testing.assert_array_equal(star.flux, flux)


@settings(
    deadline=None,
    max_examples=10,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(missing=st.sets(st.integers(0, 2400), max_size=30), format=st.sampled_from(["csv", "fits"]))
def test_gaia_that_is_written_is_read(tmp_path, missing, format):
    path = tmp_path / "gaia"
    path.unlink(missing_ok=True)
    written = gaia_table([5], "a row a pixel")
    written["flux"][sorted(missing)] = np.nan
    written.write(path, format=format)
    star = load_spectrum(path)
    assert set(np.flatnonzero(star.mask)) == missing
    np.testing.assert_array_equal(star.flux[~star.mask], GAIA_FLUX[~star.mask])
