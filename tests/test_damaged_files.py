"""Files of observed spectra that are damaged or odd: read, or refused with words of our own."""

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from observed_star import FLUX, SAID, SIGMA, WAVELENGTH, N, check, image, linear_axis, table, write

from skphx.datasets import load_spectrum


@pytest.fixture
def path(tmp_path):
    return tmp_path / "star.fits"


def replaced(path, card, new):
    """Replace the first card that begins with some bytes."""
    content = path.read_bytes()
    place = content.index(card)
    path.write_bytes(content[:place] + new.ljust(80) + content[place + 80 :])
    return path


def pixels(path, **columns):
    columns = columns or {"wavelength": WAVELENGTH, "flux": FLUX, "error": SIGMA}
    return write(path, table("SPECTRUM", units={"wavelength": "Angstrom"}, **columns), OBJECT="a")


# Cards of FITS headers


def test_a_card_that_cannot_be_read_and_is_not_needed_is_left_out(path):
    replaced(pixels(path), b"OBJECT  =", b"OBJECT  = 'HD 1")
    star = load_spectrum(path, medium="air")
    check(star)
    assert "OBJECT" not in star.header


def test_a_card_that_cannot_be_read_and_is_needed(path):
    replaced(pixels(path), b"TUNIT1  =", b"TUNIT1  = 'nm")
    with pytest.raises(ValueError, match="has a card TUNIT1 in HDU 1 that cannot be read: repair"):
        load_spectrum(path, medium="air")


@pytest.mark.parametrize("key", ["CRVAL1", "CDELT1", "CRPIX1", "COEFF0"])
@pytest.mark.parametrize("value", ["abc", "", True])
def test_axes_without_numbers(path, key, value):
    axis = {"COEFF0": 3.9, "COEFF1": 1e-5} if key == "COEFF0" else linear_axis()
    write(path, fits.PrimaryHDU(FLUX), **(axis | {key: value}))
    message = rf"star.fits has .*({key} of its axis, which must be a number|no CRVAL1 and CDELT1)"
    with pytest.raises(ValueError, match=message):
        load_spectrum(path, medium="air")


def test_one_wavelength_at_all_pixels(path):
    write(path, fits.PrimaryHDU(FLUX), COEFF0=3.9, COEFF1=0.0)
    with pytest.raises(ValueError, match="has the same wavelength at all pixels: pass"):
        load_spectrum(path, medium="air")


@pytest.mark.parametrize(
    ("card", "new"),
    [
        (b"XTENSION=", b"XTENSION=                  1.5"),
        (b"NAXIS1  =", b"NAXIS1  =                   -1"),
        (b"TFORM1  =", b"TFORM1  = '0'"),
        (b"TFORM2  =", b"TFORM2  = '9999999999D'"),
        (b"TFIELDS =", b"TFIELDS =            999999999"),
        (b"NAXIS   =", b"NAXIS   =            999999999"),
        (b"BITPIX  =", b"BITPIX  =                    0"),
    ],
)
def test_headers_that_are_damaged_are_refused_at_once(path, card, new):
    write(path, image(FLUX, "FLUX"), table("SPECTRUM", wavelength=WAVELENGTH, flux=FLUX))
    content = path.read_bytes()
    place = content.index(b"XTENSION= 'BINTABLE'")
    place = place + content[place:].index(card)
    path.write_bytes(content[:place] + new.ljust(80) + content[place + 80 :])
    with pytest.raises(
        ValueError, match=r"star.fits (is|has|cannot)[\s\S]*([cC]opy|Pass wavelength=)"
    ):
        load_spectrum(path, **SAID)


def test_a_unit_that_is_a_number(path):
    write(path, table(wavelength=WAVELENGTH, flux=FLUX, units={"flux": "Jy"}))
    replaced(path, b"TUNIT2  =", b"TUNIT2  =                    1")
    assert load_spectrum(path, **SAID).units["flux"] == "1"


def test_bytes_behind_the_last_extension_are_named(path):
    pixels(path)
    path.write_bytes(path.read_bytes() + b"\0" * 5000)
    check(load_spectrum(path, medium="air"))
    path.write_bytes(path.read_bytes() + b"signature" * 500)
    with pytest.warns(UserWarning, match="bytes behind HDU 1 that are no extension"):
        check(load_spectrum(path, medium="air"))


def test_a_fits_file_without_its_beginning_is_no_text(path):
    content = pixels(path).read_bytes()
    path.write_bytes(b" " * 80 + content[80:])
    with pytest.raises(ValueError, match=r"star.fits is damaged FITS: .* Copy it again"):
        load_spectrum(path, **SAID)
    path.write_bytes(b"1 2\n" * 3000 + b"\0\1\2")
    with pytest.raises(ValueError, match=r"star.fits is neither FITS nor text: .* Copy it again"):
        load_spectrum(path, **SAID)


# Names of columns


def test_a_column_that_the_user_names_and_the_table_lacks(path):
    message = r"has no column 'sig' for sigma=, only .*'error'.*: pass one of them"
    with pytest.raises(ValueError, match=message):
        load_spectrum(pixels(path), sigma="sig", medium="air")


@pytest.mark.parametrize("format", ["fits", "ascii.ecsv"])
def test_what_is_not_used_is_named_for_one_of_several_stars(tmp_path, format):
    two = {name: np.tile(array, 2) for name, array in (("wave", WAVELENGTH), ("flux", FLUX))}
    two |= {"my_errors": np.tile(SIGMA, 2), "source_id": np.repeat([1, 2], N)}
    Table(two).write(tmp_path / "stars", format=format)
    with pytest.warns(UserWarning, match="also holds column 'my_errors'"):
        check(load_spectrum(tmp_path / "stars", row=1, **SAID), sigma=None)


def test_a_column_name_twice_in_a_fits_table(path):
    write(path, table(wavelength=WAVELENGTH, flux=FLUX, flu2=2 * FLUX, error=SIGMA))
    replaced(path, b"TTYPE3  =", b"TTYPE3  = 'flux    '")
    message = r"several columns that may be the flux, 'flux' \(1\), 'flux' \(2\): pass flux=1"
    with pytest.raises(ValueError, match=message):
        load_spectrum(path, **SAID)
    with pytest.warns(UserWarning, match="also holds column 'flux'"):
        check(load_spectrum(path, flux=2, **SAID), flux=2 * FLUX)


def test_a_column_without_a_name(path):
    write(path, table(wavelength=WAVELENGTH, flux=FLUX))
    replaced(path, b"TTYPE1  =", b"")
    with pytest.raises(ValueError, match=r"only HDU 1: \['column 0', 'flux'\]: pass wavelength="):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, wavelength=0, **SAID), sigma=None)


def test_names_that_astropy_warns_of(path):
    write(path, table(wavelength=WAVELENGTH, flux=FLUX, sigm=SIGMA))
    replaced(path, b"TTYPE3  =", b"TTYPE3  = '?? ?'")
    with pytest.warns(UserWarning, match=r"star.fits also holds column '\?\? \?'"):
        check(load_spectrum(path, **SAID), sigma=None)


# HPF


@pytest.mark.parametrize(
    ("changes", "call", "message"),
    [
        ({"Sci Wavl": np.ones((2, N - 1))}, {}, r"Sci Wavl .* of the shape \(2, 120\)"),
        ({"Sci Wavl": np.full((2, N), 1e-150)}, {}, "between 500 and 600000 Å"),
        ({"Sci Error": np.ones((1, N))}, {}, "Sci Error with a row for each order"),
        ({"Sci Flux": None}, {}, "Sci Flux with a row for each order, got none"),
        ({}, {"sky_factor": 0.9}, "Sky Flux .* got none: .* or leave sky_factor 0"),
        ({}, {"row": -9}, "has 2 spectra, and no row -9: pass row=0 to 1"),
    ],
)
def test_hpf_files_that_do_not_fit(path, changes, call, message):
    arrays = {"Sci Flux": np.vstack([FLUX] * 2), "Sci Wavl": WAVELENGTH + [[0.0], [12.0]]}
    arrays |= {"Sci Error": np.vstack([SIGMA] * 2)} | changes
    hdus = [fits.ImageHDU(data, name=name) for name, data in arrays.items()]
    write(path, *hdus)
    with pytest.raises(ValueError, match=message):
        load_spectrum(path, **call)


# Text


@pytest.mark.parametrize("cut", [0.3, 0.7, 0.95])
def test_votables_that_are_cut_short(tmp_path, cut):
    path = tmp_path / "star.xml"
    Table({"wavelength": WAVELENGTH, "flux": FLUX}).write(path, format="votable")
    content = path.read_bytes()
    path.write_bytes(content[: int(cut * len(content))])
    with pytest.raises(ValueError, match=r"is a VOTable that cannot be read .* copy it again"):
        load_spectrum(path, **SAID)


@pytest.mark.parametrize("format", ["votable", "ascii.ecsv"])
def test_errors_that_are_all_masked_are_named(tmp_path, format):
    path = tmp_path / "star"
    masked = MaskedColumn(SIGMA, mask=np.ones(N, dtype=bool))
    Table({"wavelength": WAVELENGTH, "flux": FLUX, "error": masked}).write(path, format=format)
    with pytest.warns(UserWarning, match="errors in which none is positive: sigma is None"):
        check(load_spectrum(path, **SAID), sigma=None)


@pytest.mark.parametrize("separator", ["\t", "|", ",", ";"])
def test_separators_at_the_end_of_lines(tmp_path, separator):
    path = tmp_path / "star.txt"
    stream = io.StringIO()
    np.savetxt(stream, np.column_stack([WAVELENGTH, FLUX, SIGMA]), "%.12g", separator)
    lines = ["wave [Angstrom];flux [W / (m2 um)];error".replace(";", separator)]
    lines += stream.getvalue().splitlines()
    path.write_text("\n".join(f"{line}{separator}" for line in lines))
    check(load_spectrum(path, medium="air"))


@pytest.mark.parametrize("n_bytes", [-1, -3])
def test_utf_16_that_is_cut_short(tmp_path, n_bytes):
    path = tmp_path / "star.txt"
    text = "wavelength flux\n" + "\n".join(
        f"{a} {b}" for a, b in zip(WAVELENGTH, FLUX, strict=True)
    )
    path.write_bytes(text.encode("utf-16")[:n_bytes])
    with pytest.raises(ValueError, match=r"is text in UTF-16 that is damaged .* copy it again"):
        load_spectrum(path, **SAID)
