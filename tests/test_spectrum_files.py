"""Files of observed spectra: what is flux, error and mask is known, or said, and never guessed."""

import bz2
import gzip
import lzma

import numpy as np
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import Column, Table
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

from skphx._paths import whole_file
from skphx.datasets import load_spectrum
from skphx.observing import ObservedSpectrum, vacuum_to_air

FIRST = np.arange(N) < 5
ORDERS = np.vstack([WAVELENGTH, WAVELENGTH + 12.0])
BOTH = np.vstack([FLUX, FLUX])


def primary(data=None, **header):
    hdu = fits.PrimaryHDU(data)
    hdu.header.update(header)
    return hdu


@pytest.fixture
def path(tmp_path):
    return tmp_path / "star.fits"


# Which array is the flux


def test_images_without_names_are_for_the_user_to_name(path):
    write(path, primary(FLUX, **linear_axis()), image(SIGMA))
    with pytest.raises(ValueError, match=r"does not say which of its images is the flux.* flux=0"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, flux=0, sigma=1, **SAID))


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1)])
def test_extensions_come_in_any_order(path, order):
    extensions = [image(ORDERS, "WAVE"), image(BOTH, "SPEC"), image(np.vstack([SIGMA] * 2), "SIG")]
    write(path, *(extensions[i] for i in order))
    check(load_spectrum(path, **SAID), wavelength=ORDERS)


def test_columns_of_text_come_in_any_order(tmp_path):
    path = tmp_path / "star.csv"
    Table({"err": SIGMA, "flux": FLUX, "wave": WAVELENGTH}).write(path)
    check(load_spectrum(path, **SAID))


def test_what_is_not_used_is_named(path):
    columns = {"WAVE": WAVELENGTH, "FLUX": FLUX, "ERR": SIGMA, "FLUX_REDUCED": 2 * FLUX}
    index, constant = np.arange(N), np.ones(N)
    write(path, table(**columns, index=index, exposure=constant), image(FLUX, "SKY"))
    with pytest.warns(UserWarning, match="also holds column 'FLUX_REDUCED', HDU 2 'SKY', which"):
        check(load_spectrum(path, **SAID))


def test_the_user_chooses_other_arrays(path):
    write(path, table(WAVE=WAVELENGTH, FLUX=2 * FLUX, ERR=SIGMA, OTHER=FLUX, WEIGHT=SIGMA**-2))
    with pytest.warns(UserWarning, match="column 'FLUX', column 'ERR', which are not used"):
        check(load_spectrum(path, flux="other", ivar="WEIGHT", **SAID))
    with pytest.raises(ValueError, match="no column 'absent' for flux=, only HDU 1: "):
        load_spectrum(path, flux="absent", **SAID)


def test_two_arrays_of_one_meaning(tmp_path):
    path = tmp_path / "star.txt"
    Table({"wavelength": WAVELENGTH, "flux": FLUX, "intensity": SIGMA}).write(path, format="ascii")
    with pytest.raises(ValueError, match="several columns that may be the flux, 'flux', 'intens"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, flux="flux", sigma="intensity", **SAID))
    Table({"wave": WAVELENGTH, "lambda": WAVELENGTH, "flux": FLUX}).write(
        path, format="ascii", overwrite=True
    )
    with pytest.raises(ValueError, match="several columns of wavelengths, 'wave', 'lambda'"):
        load_spectrum(path, **SAID)


@pytest.mark.parametrize(
    ("flux", "error"),
    [
        ("normflux", "normflux_err"),
        ("Counts", "e_Counts"),
        ("flux", "dflux"),
        ("normalized_flux", "normalized_flux_error"),
    ],
)
def test_errors_with_the_name_of_their_flux(tmp_path, flux, error):
    Table({"wave": WAVELENGTH, flux: FLUX, error: SIGMA}).write(tmp_path / "star.csv")
    check(load_spectrum(tmp_path / "star.csv", **SAID))


def test_errors_are_those_of_the_flux_that_is_chosen(path):
    columns = {"WAVE": WAVELENGTH, "FLUX": 2 * FLUX, "ERR": 2 * SIGMA, "FLUX_REDUCED": FLUX}
    write(path, table(**columns, ERR_REDUCED=SIGMA))
    with pytest.warns(UserWarning, match="column 'FLUX', column 'ERR', which are not used"):
        check(load_spectrum(path, flux="FLUX_REDUCED", **SAID))
    path.unlink()
    write(path, table(**columns))
    with pytest.warns(UserWarning, match="column 'FLUX', column 'ERR', which are not used"):
        check(load_spectrum(path, flux="FLUX_REDUCED", **SAID), sigma=None)


def test_constant_errors_of_an_unknown_name_are_named(tmp_path):
    columns = {"wave": WAVELENGTH, "flux": FLUX, "noise": np.full(N, 0.02)}
    Table(columns).write(tmp_path / "star.csv")
    with pytest.warns(UserWarning, match="also holds column 'noise', which is not used"):
        check(load_spectrum(tmp_path / "star.csv", **SAID), sigma=None)


def test_an_image_that_is_no_flux_is_not_taken_for_it(path):
    write(path, image(FLUX, "SKY", **linear_axis()))
    with pytest.raises(ValueError, match="which of its images is the flux: HDU 1 'SKY'"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, hdu="SKY", **SAID), sigma=None)


def test_rows_of_one_image(path):
    write(path, primary(np.vstack([WAVELENGTH, FLUX, SIGMA])))
    with pytest.raises(ValueError, match=r"image of shape \(3, 120\) without .* flux=0, sigma=1"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, wavelength=0, flux=1, sigma=2, **SAID))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sigma": 1, "ivar": 1}, "give one of sigma, variance and ivar"),
        ({"flux": 1.0}, "flux must be the name or the number of a column"),
        ({"row": "a"}, "row must be the number of a spectrum"),
        ({"mask_good": 2}, "mask_good must be 0 or 1"),
        ({"format": "iraf", "hdu": 1}, "give either format"),
        ({"hdu": 7}, "has no HDU 7, only HDU 0"),
        ({"row": 3}, "no row 3"),
    ],
)
def test_arguments_that_make_no_sense(path, arguments, message):
    write(path, table(wave=WAVELENGTH, flux=FLUX, err=SIGMA))
    with pytest.raises(ValueError, match=message):
        load_spectrum(path, **SAID, **arguments)


# Wavelengths


@pytest.mark.parametrize("word", ["Wavelength", "WAVELENGTH", "Wave", "Angstrom", "LAMBDA", ""])
def test_words_of_a_header_are_not_matched_by_their_first_letters(path, word):
    write(path, primary(FLUX, **linear_axis(CTYPE1=word)))
    with pytest.raises(ValueError, match="does not say whether its wavelengths are in air"):
        load_spectrum(path)
    star = load_spectrum(path, medium="air")
    check(star, sigma=None)
    assert star.medium == "air"


@pytest.mark.parametrize(
    "header",
    [
        {"CTYPE1": "LOG-LINEAR"},
        {"CTYPE1": "LINEAR", "DC-FLAG": 1},
        {"CTYPE1": "WAVE", "DC-FLAG": 1},
        {"CTYPE1": "LOGLAM"},
        {"CTYPE1": "LINEAR", "WFITTYPE": "LOG-LINEAR"},
    ],
)
def test_logarithmic_axes_of_headers(path, header):
    step = 1e-6
    header = {"CRVAL1": np.log10(8500.0), "CDELT1": step, "CRPIX1": 1, "AIRORVAC": "air"} | header
    write(path, primary(FLUX, **header))
    check(load_spectrum(path), wavelength=8500.0 * 10 ** (step * np.arange(N)), sigma=None)


def test_logarithm_that_no_keyword_tells(path):
    axis = linear_axis(CRVAL1=np.log10(8500.0), CDELT1=1e-6)
    write(path, primary(FLUX, **axis))
    with pytest.raises(ValueError, match=r"look like log10.Å.: pass wavelength_unit='log10"):
        load_spectrum(path, medium="air")
    with pytest.warns(UserWarning, match="says that its wavelengths are in Angstrom"):
        star = load_spectrum(path, medium="air", wavelength_unit="log10(nm)")
    check(star, wavelength=10 * 8500.0 * 10 ** (1e-6 * np.arange(N)), sigma=None)
    star = load_spectrum(path, medium="air", wavelength_unit="log10(Angstrom)")
    check(star, wavelength=8500.0 * 10 ** (1e-6 * np.arange(N)), sigma=None)


def test_nanometres_that_a_header_calls_angstrom(path):
    write(path, primary(FLUX, **linear_axis(CRVAL1=850.0, CDELT1=0.01)))
    with pytest.raises(ValueError, match=r"beyond 912 Å. They look like nm: pass wavelength_unit"):
        load_spectrum(path, medium="air")
    with pytest.warns(UserWarning, match="says that its wavelengths are in Angstrom"):
        star = load_spectrum(path, medium="air", wavelength_unit="nm")
    check(star, wavelength=8500.0 + 0.1 * np.arange(N), sigma=None)
    star = load_spectrum(path, medium="air", wavelength_unit="Angstrom")
    check(star, wavelength=850.0 + 0.01 * np.arange(N), sigma=None)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("LOGLAM", np.log10(WAVELENGTH)),
        ("log_wave", np.log10(WAVELENGTH)),
        ("log(lambda)", np.log10(WAVELENGTH)),
        ("lnlam", np.log(WAVELENGTH)),
        ("ln_wavelength", np.log(WAVELENGTH)),
    ],
)
def test_logarithms_by_name(path, name, values):
    write(path, fits.PrimaryHDU(FLUX), image(values, name))
    check(load_spectrum(path, **SAID), sigma=None)
    check(load_spectrum(path, medium="air"), sigma=None)


@pytest.mark.parametrize(
    ("values", "unit", "likely"),
    [
        (WAVELENGTH / 10 - 450, "Angstrom", "nm"),
        (WAVELENGTH / 1e4, "Angstrom", "um"),
        (WAVELENGTH / 1e4, "nm", "um"),
        (WAVELENGTH, "um", "Angstrom"),
        (np.log(WAVELENGTH), "Angstrom", r"ln\(Angstrom\)"),
    ],
)
def test_wavelengths_of_no_star(tmp_path, values, unit, likely):
    path = tmp_path / "star.csv"
    Table({"wave": values, "flux": FLUX}).write(path)
    with pytest.raises(ValueError, match=f"between 500 and 600000 Å.* wavelength_unit='{likely}'"):
        load_spectrum(path, medium="air", wavelength_unit=unit)
    Table({"wave": np.arange(N), "flux": FLUX}).write(path, overwrite=True)
    with pytest.raises(ValueError, match="Pass wavelength_unit, or the array of wavelengths"):
        load_spectrum(path, medium="air", wavelength_unit="Angstrom")


@pytest.mark.parametrize("value", [1e9, 1.0])
@pytest.mark.parametrize("where", [slice(50, 51), slice(0, 40), slice(60, None)])
def test_a_few_wavelengths_of_no_star_are_masked(tmp_path, value, where):
    wavelength = WAVELENGTH.copy()
    wavelength[where] = value
    n_bad = int((wavelength == value).sum())
    Table({"wave": wavelength, "flux": FLUX, "err": SIGMA}).write(tmp_path / "star.csv")
    with pytest.warns(UserWarning, match=f"has {n_bad} of {N} wavelengths outside 500 to 600000"):
        star = load_spectrum(tmp_path / "star.csv", **SAID)
    assert star.mask.sum() == n_bad
    np.testing.assert_array_equal(star.wavelength[~star.mask], WAVELENGTH[wavelength != value])
    np.testing.assert_array_equal(star.flux[~star.mask], FLUX[wavelength != value])


@pytest.mark.parametrize(
    "values", [np.linspace(300.0, 1000.0, 701), np.arange(2000), np.geomspace(4e5, 7e5, 300)]
)
def test_axes_that_go_on_beyond_the_limits_are_in_another_unit(tmp_path, values):
    Table({"wave": values, "flux": np.ones(len(values))}).write(tmp_path / "star.csv")
    with pytest.raises(ValueError, match="spectra of stars are between 500 and 600000 Å"):
        load_spectrum(tmp_path / "star.csv", **SAID)


@pytest.mark.parametrize("unit", ["A", "ANGSTROMS", "Ang", "0.1nm", "Å"])
def test_units_of_wavelength_as_files_write_them(path, unit):
    hdu = table(wave=WAVELENGTH, flux=FLUX)
    if unit == "Å":  # no ASCII, no FITS
        path = path.with_suffix(".csv")
        path.write_text(f"wave ({unit}),flux\n8500,1\n8501,1\n", encoding="utf-8")
        assert load_spectrum(path, medium="air").wavelength.tolist() == [8500.0, 8501.0]
        return
    hdu.columns["wave"].unit = unit
    write(path, hdu)
    check(load_spectrum(path, medium="air"), sigma=None)


def test_air_and_vacuum_beside_each_other(path):
    air = vacuum_to_air(WAVELENGTH)
    columns = {"wavelength": WAVELENGTH, "wavelength_air": air, "flux": FLUX, "error": SIGMA}
    write(path, table(**columns, units={"wavelength": "angstrom", "wavelength_air": "angstrom"}))
    check(load_spectrum(path, medium="air"), wavelength=air)
    check(load_spectrum(path, medium="vacuum"))
    star = load_spectrum(path)
    check(star)
    assert star.medium == "vacuum"  # their ratio says so
    hdu = table(wavelength_air=air, flux=FLUX, units={"wavelength_air": "angstrom"})
    write(path.with_name("air.fits"), hdu)
    assert load_spectrum(path.with_name("air.fits")).medium == "air"
    with pytest.warns(UserWarning, match="says that its wavelengths are in air; they are taken"):
        assert load_spectrum(path.with_name("air.fits"), medium="vacuum").medium == "vacuum"


def test_orders_of_espresso(path):
    air = np.array([vacuum_to_air(order) for order in ORDERS])
    extensions = [
        *(image(BOTH, "SCIDATA"), image(np.vstack([SIGMA] * 2), "ERRDATA")),
        image(np.vstack([FIRST] * 2).astype("i4"), "QUALDATA"),
        *(image(ORDERS, "WAVEDATA_VAC_BARY"), image(air, "WAVEDATA_AIR_BARY")),
        *(image(ORDERS, "DLLDATA_VAC_BARY"), image(ORDERS, "DLLDATA_AIR_BARY")),
    ]
    write(path, primary(**{"HIERARCH ESO PRO CATG": "S2D_A"}), *extensions)
    star = load_spectrum(path, medium="air")
    check(star, wavelength=air, n_masked=10)
    assert star.frame == "barycentre"
    check(load_spectrum(path), wavelength=ORDERS, n_masked=10)


def test_medium_by_the_words_of_the_virtual_observatory(path):
    for ucd, medium in (("em.wl;obs.atmos", "air"), ("em.wl", "vacuum")):
        hdu = rows(WAVE=WAVELENGTH, FLUX=FLUX, ERR=SIGMA, units={"WAVE": "Angstrom"})
        hdu.header["TUCD1"] = ucd
        path.unlink(missing_ok=True)
        write(path, hdu, PRODCATG="SCIENCE.SPECTRUM", SPEC_RES=40_000.0, SPECSYS="BARYCENT")
        star = load_spectrum(path)
        check(star)
        assert (star.medium, star.frame, star.resolution) == (medium, "barycentre", 40_000.0)
    with pytest.warns(UserWarning, match="says that its resolution is 40000; resolution=50000"):
        assert load_spectrum(path, resolution=50_000.0).resolution == 50_000.0


# Masks


@pytest.mark.parametrize(
    ("name", "values", "header"),
    [
        ("mask", ~FIRST, {"DMODCLS": "OneSpec"}),
        ("and_mask", FIRST * 16, {}),
        ("ANDMASK", FIRST * 1.0, {}),
        ("PIXMASK", FIRST * 4, {"TELESCOP": "LAMOST"}),
        ("QUAL", FIRST * 2, {}),
        ("dq", FIRST * 1 + 2, {"TELESCOP": "JWST"}),
        ("DQ", FIRST * 4 + 1024, {"TELESCOP": "HST", "SDQFLAGS": 31743}),
        ("goodpix", ~FIRST, {}),
        ("mask", FIRST * 1024, {}),
    ],
)
def test_polarity_of_masks_that_is_known(path, name, values, header):
    columns = {"wave": WAVELENGTH, "flux": FLUX, "err": SIGMA, name: values}
    units = {"wave": "Angstrom"}
    write(path, table(header=header, units=units, **columns), TELESCOP=header.get("TELESCOP", ""))
    star = load_spectrum(path, **({} if "TELESCOP" in header else {"medium": "air"}))
    check(star, n_masked=5)
    assert star.mask.tolist() == FIRST.tolist()


@pytest.mark.parametrize("kind", [bool, int])
def test_polarity_of_masks_that_is_not_known(path, kind):
    write(path, table(wave=WAVELENGTH, flux=FLUX, mask=FIRST.astype(kind)))
    with pytest.raises(ValueError, match=r"with 115 zeros and 5 ones.* pass mask_good=0 or mask"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, mask_good=0, **SAID), sigma=None, n_masked=5)
    check(load_spectrum(path, mask_good=1, **SAID), sigma=None, n_masked=115)


@pytest.mark.parametrize("value", [0, 1])
def test_masks_that_mark_nothing(path, value):
    write(path, table(wave=WAVELENGTH, flux=FLUX, mask=np.full(N, value)))
    check(load_spectrum(path, **SAID), sigma=None)


def test_masks_in_text(tmp_path):
    path = tmp_path / "star.csv"
    Table({"wave": WAVELENGTH, "flux": FLUX, "mask": FIRST}).write(path)
    with pytest.raises(ValueError, match="pass mask_good"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, mask_good=0, **SAID), sigma=None, n_masked=5)


# Several spectra


def test_arms_in_several_tables(path):
    def arm(name, axis, marked):
        return rows(
            name,
            FLUX=FLUX,
            IVAR=SIGMA**-2,
            WAVELENGTH=axis,
            ANDMASK=marked * 4,
        )

    write(path, arm("COADD_B", WAVELENGTH - 3000, FIRST), arm("COADD_R", WAVELENGTH, ~FIRST))
    star = load_spectrum(path, **SAID)
    check(star, wavelength=np.vstack([WAVELENGTH - 3000, WAVELENGTH]), n_masked=N)
    exposures = [arm("B-1", WAVELENGTH - 3000, FIRST), arm("R-1", WAVELENGTH, FIRST)]
    with fits.open(path, mode="append") as hdus:
        for hdu in exposures:
            hdus.append(hdu)
    with pytest.warns(UserWarning, match="also holds HDU 3 'B-1', HDU 4 'R-1', which are not"):
        assert load_spectrum(path, **SAID).flux.shape == (2, N)


def test_arms_of_different_lengths_are_padded(path):
    blue = table("BLUE", wave=WAVELENGTH[:100] - 3000, flux=FLUX[:100], err=SIGMA[:100])
    write(path, blue, table("RED", wave=WAVELENGTH, flux=FLUX, err=SIGMA))
    star = load_spectrum(path, **SAID)
    assert star.flux.shape == (2, N)
    assert star.mask.sum() == N - 100
    assert (np.diff(star.wavelength, axis=1) > 0).all()
    for order in range(2):
        ObservedSpectrum(star.wavelength[order], star.flux[order], star.sigma[order])


def test_empty_tables_are_skipped(path):
    columns = {"wavelength": WAVELENGTH, "flux": FLUX, "ivar": SIGMA**-2}
    empty = fits.BinTableHDU(rows(**columns).data[:0], name="BOSS")
    write(path, empty, rows("APOGEE", **columns))
    check(load_spectrum(path, **SAID))


def test_spectra_of_the_same_wavelengths_are_not_orders(path, tmp_path):
    columns = {"wave": WAVELENGTH, "flux": FLUX, "err": SIGMA}
    write(path, table("A", **columns), table("B", **columns | {"flux": 2 * FLUX}))
    with pytest.raises(ValueError, match=r"several spectra .* HDU 1 'A' \(8500 to 8510\), HDU 2"):
        load_spectrum(path, **SAID)
    with pytest.warns(UserWarning, match="also holds HDU 1 'A'"):
        check(load_spectrum(path, hdu="B", **SAID), flux=2 * FLUX)
    twice = {key: np.vstack([value] * 2) for key, value in columns.items()}
    write(tmp_path / "rows.fits", table(**twice))
    with pytest.raises(ValueError, match=r"holds 2 spectra of the same wavelengths.* row=0 to 1"):
        load_spectrum(tmp_path / "rows.fits", **SAID)
    check(load_spectrum(tmp_path / "rows.fits", row=1, **SAID))
    write(tmp_path / "image.fits", image(BOTH, "FLUX"), image(WAVELENGTH, "WAVE"))
    with pytest.raises(ValueError, match="of the same wavelengths"):
        load_spectrum(tmp_path / "image.fits", **SAID)
    text = Table({key: value.ravel() for key, value in twice.items()})
    text.write(tmp_path / "twice.csv")
    with pytest.raises(ValueError, match="of the same wavelengths"):
        load_spectrum(tmp_path / "twice.csv", **SAID)


@pytest.mark.parametrize("shape", ["a row a star", "a row a pixel"])
def test_two_stars_are_not_one(path, shape):
    if shape == "a row a star":
        hdu = rows(wave=ORDERS, flux=np.vstack([FLUX, 2 * FLUX]))
        hdu = fits.BinTableHDU.from_columns(
            [fits.Column("source_id", "K", array=[123, 456]), *hdu.columns]
        )
    else:
        ids, flux = np.repeat([123, 456], N), np.concatenate([FLUX, 2 * FLUX])
        hdu = table(source_id=ids, wave=ORDERS.ravel(), flux=flux)
    write(path, hdu)
    with pytest.raises(ValueError, match=r"stars.* pass row=, 0 for 123, 1 for 456"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, row=1, **SAID), ORDERS[1], 2 * FLUX, sigma=None)


def test_orders_one_after_the_other(tmp_path):
    path = tmp_path / "orders.txt"
    orders = np.vstack([WAVELENGTH, WAVELENGTH + 8])
    np.savetxt(path, np.column_stack([orders.ravel(), BOTH.ravel()]))
    check(load_spectrum(path, **SAID), wavelength=orders, sigma=None)


# Padding, bad pixels, missing errors


@pytest.mark.parametrize("padding", [0.0, np.nan, -1.0])
@pytest.mark.parametrize("where", [slice(0, 20), slice(50, 60), slice(100, N)])
def test_padded_orders(path, padding, where):
    axis, flux = ORDERS.copy(), BOTH.copy()
    axis[1, where], flux[1, where] = padding, np.nan
    write(path, image(flux, "FLUX"), image(axis, "WAVELENGTH"))
    star = load_spectrum(path, **SAID)
    n_padded = len(range(N)[where])
    assert star.mask[1, where].all()
    assert star.mask.sum() == n_padded
    np.testing.assert_allclose(star.wavelength, ORDERS, rtol=1e-7)
    assert (np.diff(star.wavelength) > 0).all()


def test_an_order_without_wavelengths_is_left_out(path):
    axis = ORDERS.copy()
    axis[1] = 0.0
    write(path, image(BOTH, "FLUX"), image(axis, "WAVELENGTH"))
    with pytest.warns(UserWarning, match="1 of 2 orders without wavelengths"):
        check(load_spectrum(path, **SAID), sigma=None)


@pytest.mark.parametrize("value", [np.nan, 0.0, -1.0])
@pytest.mark.parametrize("name", ["ERR", "IVAR", "VARIANCE"])
def test_errors_that_are_none(path, name, value):
    if name == "VARIANCE" and value == -1.0:
        value = 0.0
    write(path, rows(WAVE=WAVELENGTH, FLUX=FLUX, **{name: np.full(N, value)}))
    with pytest.warns(UserWarning, match="errors in which none is positive: sigma is None"):
        check(load_spectrum(path, **SAID), sigma=None)


def test_repeated_wavelengths_are_masked(tmp_path):
    path = tmp_path / "star.csv"
    axis = WAVELENGTH.copy()
    axis[40] = axis[39]
    Table({"wave": axis, "flux": FLUX}).write(path)
    with pytest.warns(UserWarning, match="1 pixels with the wavelength of another one"):
        star = load_spectrum(path, **SAID)
    assert star.mask.sum() == 1
    np.testing.assert_allclose(star.wavelength, WAVELENGTH, rtol=1e-5)


def test_no_good_pixel(path):
    write(path, table(wave=WAVELENGTH, flux=FLUX, quality=np.ones(N, int)))
    with pytest.raises(ValueError, match=r"no usable pixel.* pass mask_good"):
        load_spectrum(path, **SAID)
    check(load_spectrum(path, mask_good=1, **SAID), sigma=None)


@pytest.mark.parametrize("compressed", [False, True])
def test_scaled_integers(path, compressed):
    hdu = fits.CompImageHDU if compressed else fits.ImageHDU
    data = np.round(FLUX * 1000).astype("i4")
    scaled = hdu(data.copy(), name="FLUX")
    scaled.header.update(linear_axis())
    if not compressed:
        scaled.scale("int16", bscale=0.5, bzero=100)
    write(path, scaled)
    check(load_spectrum(path, medium="air"), flux=data, sigma=None)


def test_blank_integers(path):
    data = np.round(FLUX * 1000).astype("i2")
    data[FIRST] = -999
    write(path, primary(data, **linear_axis()))
    content = path.read_bytes()
    header = fits.Header.fromstring(content[:2880].decode())
    header.update(BLANK=-999, BSCALE=0.001, BZERO=0.0)
    path.write_bytes(header.tostring().encode() + content[2880:])
    star = load_spectrum(path, medium="air")
    check(star, flux=np.round(FLUX, 3), sigma=None, n_masked=5)


def test_orders_of_different_lengths_in_one_table(path):
    arrays = {
        "WAVE": np.array([WAVELENGTH, WAVELENGTH[:90] + 20], dtype=object),
        "FLUX": np.array([FLUX, FLUX[:90]], dtype=object),
    }
    columns = [fits.Column(name, "PD()", array=array) for name, array in arrays.items()]
    write(path, fits.BinTableHDU.from_columns(columns))
    star = load_spectrum(path, **SAID)
    assert star.flux.shape == (2, N)
    assert star.mask.sum() == N - 90


# Units of flux


def test_flux_and_errors_in_different_units(tmp_path):
    path = tmp_path / "star.ecsv"
    unit = "erg / (s cm2 Angstrom)"
    Table(
        {
            "wave": Column(WAVELENGTH, unit="Angstrom"),
            "flux": Column(FLUX, unit=f"1e-17 {unit}"),
            "error": Column(SIGMA * 1e-17, unit=unit),
        }
    ).write(path)
    check(load_spectrum(path, medium="air"))
    jansky = FLUX * WAVELENGTH**2
    Table(
        {
            "wave": Column(WAVELENGTH, unit="Angstrom"),
            "flux": Column(jansky, unit="Jy"),
            "error": Column(1000 * jansky / 50, unit="mJy"),
        }
    ).write(path, overwrite=True)
    star = load_spectrum(path, medium="air")
    # F_lambda = c F_nu / lambda^2
    scale = 2.99792458e18 * 1e-23
    check(star, flux=scale * FLUX, sigma=scale * FLUX / 50)
    assert star.units["flux"] == "erg / (Angstrom s cm2)"


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("var", SIGMA**2 * 1e-34, "erg2 s-2 cm-4 Angstrom-2"),
        ("ivar", SIGMA**-2 * 1e34, "erg-2 s2 cm4 Angstrom2"),
        ("err", 100 * SIGMA / FLUX, "%"),
    ],
)
def test_units_of_errors(tmp_path, name, values, unit):
    path = tmp_path / "star.ecsv"
    flux = Column(FLUX, unit=None if unit == "%" else "1e-17 erg s-1 cm-2 Angstrom-1")
    Table(
        {
            "wave": Column(WAVELENGTH, unit="Angstrom"),
            "flux": flux,
            name: Column(values, unit=unit),
        }
    ).write(path)
    check(load_spectrum(path, medium="air"))


def test_units_that_cannot_be_used(tmp_path):
    path = tmp_path / "star.ecsv"
    wave = Column(WAVELENGTH, unit="Angstrom")
    Table({"wave": wave, "flux": Column(FLUX, unit="mag")}).write(path)
    with pytest.raises(ValueError, match="has flux in mag, which is a logarithm"):
        load_spectrum(path, medium="air")
    flux = Column(FLUX, unit="erg s-1 cm-2 Angstrom-1")
    Table({"wave": wave, "flux": flux, "err": Column(SIGMA, unit="m")}).write(path, overwrite=True)
    with pytest.warns(UserWarning, match="errors in m, which cannot be converted"):
        check(load_spectrum(path, medium="air", sigma="err"))
    Table({"wave": Column(WAVELENGTH, unit="km/s"), "flux": FLUX}).write(path, overwrite=True)
    with pytest.raises(ValueError, match="wavelengths in km / s, which is not a unit of length"):
        load_spectrum(path, medium="air")


def test_extensions_of_one_name(path):
    hdus = [image(BOTH[0] * (i + 1), "SCI", **linear_axis()) for i in range(2)]
    write(path, *hdus, image(SIGMA, "ERR"))
    with pytest.raises(ValueError, match=r"'SCI' .1., 'SCI' .2.: pass flux=1, or another"):
        load_spectrum(path, **SAID)
    with pytest.warns(UserWarning, match="also holds HDU 1 'SCI'"):
        check(load_spectrum(path, flux=2, **SAID), flux=2 * FLUX)


def test_a_name_that_says_logarithm_and_values_that_do_not(tmp_path):
    Table({"loglam": WAVELENGTH, "flux": FLUX}).write(tmp_path / "star.csv")
    with pytest.raises(ValueError, match=r"are in log10.*Rename the array, if its"):
        load_spectrum(tmp_path / "star.csv", medium="air")


def test_padded_orders_go_straight_into_a_fit(path):
    """Wavelengths of padding beyond the grid do no harm."""
    from skphx import make_stellar_estimator
    from skphx.datasets import make_stellar_grid

    grid = make_stellar_grid(
        teff=(5000, 5500, 6000), logg=(4.0, 4.5), feh=(-0.5, 0.0), wavelength=(8450.0, 8560.0)
    )
    estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    estimator.fit(grid.spectra, grid.parameters)
    axis, flux = grid.wavelength, grid.spectra[7]
    half = len(axis) // 2
    orders, values = np.zeros((2, half)), np.full((2, half), np.nan)
    orders[0], values[0] = axis[:half], flux[:half]
    orders[1, : half // 2] = axis[half : half + half // 2]
    values[1, : half // 2] = flux[half : half + half // 2]
    sigma = np.where(np.isfinite(values), 0.005 * np.nanmedian(values), 0.0)
    write(path, image(values, "FLUX"), image(orders, "WAVE"), image(sigma, "ERR"))
    star = load_spectrum(path, medium=grid.medium, wavelength_unit="Angstrom")
    result = estimator.infer(star)
    assert (np.abs(result.parameters - grid.parameters[7]) < [60.0, 0.15, 0.1]).all()


# Files that are damaged, empty or no text


@pytest.mark.parametrize("damage", ["end", "start", "cut"])
@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_damaged_compressed_files(tmp_path, module, damage):
    lines = [f"{8500 + i / 10:.1f} {1 + i % 7 / 100:.2f}" for i in range(3000)]
    content = bytearray(module.compress("\n".join(lines).encode()))
    if damage == "cut":
        content = content[: len(content) // 2]
    else:  # zlib.error of gzip where the codes are damaged, a wrong checksum at the end
        where = slice(20, 60) if damage == "start" else slice(-40, -12)
        content[where] = b"\x55" * len(content[where])
    path = tmp_path / "star.dat"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"star\.dat is compressed with .* cut short: copy it"):
        load_spectrum(path, **SAID)
    with pytest.raises(ValueError, match=r"star\.dat cannot be read: it is compressed, and damag"):
        whole_file(path)


@pytest.mark.parametrize("names", [("wavelength", "flux"), ("a", "b", "c")])
@pytest.mark.parametrize("format", ["csv", "ascii.ecsv", "ascii.basic", "votable", "fits"])
def test_tables_without_rows(tmp_path, format, names):
    path = tmp_path / "star"
    Table({name: np.zeros(0) for name in names}).write(path, format=format)
    with pytest.raises(ValueError, match="star has no rows"):
        load_spectrum(path, **SAID)
    path.write_text("source_id,wavelength,flux,flux_error\n")
    with pytest.raises(ValueError, match=r"star has no rows: .* 'flux_error'"):
        load_spectrum(path)


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"]
)
def test_text_with_wide_characters(tmp_path, encoding):
    path = tmp_path / "star.csv"
    Table({"wave": WAVELENGTH, "flux": FLUX, "err": SIGMA}).write(path)
    content = path.read_text().encode(encoding)
    path.write_bytes(content)
    check(load_spectrum(path, **SAID))
    path.write_bytes(content[:-1])
    with pytest.raises(ValueError, match=r"csv is text in UTF-.. that is damaged or cut short: c"):
        load_spectrum(path, **SAID)


def test_zeros_that_are_no_text(tmp_path):
    (tmp_path / "star.dat").write_bytes(b"\x01\x00\x00\x02" * 200)
    with pytest.raises(
        ValueError, match=r"is neither FITS nor text: it begins with .* convert it"
    ):
        load_spectrum(tmp_path / "star.dat", **SAID)


# Tables of Gaia


RVS = np.linspace(846.0, 870.0, 2401)


@pytest.mark.parametrize("format", ["fits", "ascii.ecsv", "votable", "csv"])
def test_arrays_of_a_gaia_table_that_the_user_names(tmp_path, format):
    path = tmp_path / "gaia"
    noise = np.random.default_rng(1).uniform(0.9, 1.0, (3, 2401))
    columns = {"source_id": np.full(2401, 7), "wavelength": RVS, "flux": noise[0]}
    columns |= {"flux_error": noise[1] / 100, "other": noise[2], "bad": (RVS > 869.0).astype(int)}
    Table(columns | {"ra": np.full(2401, 12.5)}).write(path, format=format)
    with pytest.warns(UserWarning, match="also holds column 'other', column 'bad', which are not"):
        star = load_spectrum(path)
    check(star, 10 * RVS, noise[0], noise[1] / 100)
    with pytest.warns(UserWarning, match="also holds column 'flux', which is not used"):
        star = load_spectrum(path, flux="other", sigma="flux_error", mask="bad", mask_good=0)
    np.testing.assert_array_equal(star.flux, noise[2])
    np.testing.assert_array_equal(star.sigma, noise[1] / 100)
    np.testing.assert_array_equal(star.mask, RVS > 869.0)
    assert (star.medium, star.frame, star.resolution) == ("vacuum", "star", 11_500)
    with pytest.raises(ValueError, match="no column 'absent' for flux="):
        load_spectrum(path, flux="absent")


def test_unit_of_a_gaia_table_that_the_user_gives(tmp_path):
    path = tmp_path / "gaia.csv"
    columns = {"source_id": np.full(2401, 7), "wavelength": RVS, "flux": RVS, "flux_error": RVS}
    Table(columns).write(path)
    check(load_spectrum(path, wavelength_unit="nm"), 10 * RVS, RVS, RVS)
    with pytest.warns(UserWarning, match="says that its wavelengths are in nm; they are read in"):
        check(load_spectrum(path, wavelength_unit="Angstrom"), RVS, RVS, RVS)


def test_errors_in_a_unit_that_cannot_be_converted(tmp_path):
    path = tmp_path / "star.ecsv"
    unit = u.Unit("erg / (s cm2 AA)")
    Table({"wavelength": WAVELENGTH * u.AA, "flux": FLUX * unit, "error": SIGMA * u.K}).write(path)
    with pytest.warns(UserWarning, match="errors in K, which cannot be .* left out: name them"):
        star = load_spectrum(path, medium="air")
    assert star.sigma is None
    with pytest.warns(UserWarning, match="errors in K, .* taken to be in the unit of the flux"):
        star = load_spectrum(path, medium="air", sigma="error")
    np.testing.assert_array_equal(star.sigma, SIGMA)
