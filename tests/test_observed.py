"""Observed spectra, as files bring them."""

import numpy as np
import pytest
from astropy import units
from astropy.io import fits
from astropy.table import Table
from scipy import constants

from skphx.datasets import barycentric_velocity, load_spectrum
from skphx.observing import vacuum_to_air
from skphx.observing._observed_spectrum import as_segments

PIXELS = np.linspace(8500.0, 8510.0, 101)
FLUX = 1.0 - 0.6 * np.exp(-0.5 * ((PIXELS - 8504.0) / 0.3) ** 2)
SIGMA = np.full(101, 0.01)
# Ca II triplet in vacuum, Å (NIST).
CALCIUM = (8500.35, 8544.44, 8664.52)


def save(path, *hdus, **keywords):
    hdus[0].header.update(keywords)
    fits.HDUList(list(hdus)).writeto(path)
    return path


def check(star, *, sigma=True, rtol=1e-9):
    np.testing.assert_allclose(star.wavelength, PIXELS, rtol=rtol)
    np.testing.assert_allclose(star.flux, FLUX, rtol=1e-6)
    assert star.wavelength.dtype == star.flux.dtype == np.float64
    if sigma:
        np.testing.assert_allclose(star.sigma, SIGMA, rtol=1e-6)
    else:
        assert star.sigma is None
    assert not star.mask.any()
    assert star.units["wavelength"] == "Angstrom"


# Text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("star.csv", "wavelength,flux,flux_error\n{rows}"),
        ("star.txt", "# wavelength flux sigma\n{rows}"),
        ("star.dat", "{rows}"),
        ("star.tsv", "Wave\tFlux\tErr\n{rows}"),
    ],
)
def test_text(tmp_path, name, text):
    separator = {"csv": ",", "tsv": "\t"}.get(name[-3:], " ")
    rows = "\n".join(
        separator.join(f"{number:.9g}" for number in row)
        for row in zip(PIXELS / 10, FLUX, SIGMA, strict=True)
    )
    (tmp_path / name).write_text(text.format(rows=rows))
    # Columns of star.dat have no names.
    sigma = {"sigma": 2} if name == "star.dat" else {}
    star = load_spectrum(tmp_path / name, medium="air", wavelength_unit="nm", **sigma)
    check(star)
    assert star.medium == "air"
    assert star.frame is None


def test_third_column_without_a_name_is_not_taken_for_errors(tmp_path):
    sigma = SIGMA.copy()
    sigma[0] = np.nan  # so that the column is not constant
    np.savetxt(tmp_path / "star.txt", np.column_stack([PIXELS, FLUX, sigma]))
    with pytest.warns(UserWarning, match="third column without a name, which is not used") as said:
        star = load_spectrum(tmp_path / "star.txt", medium="air", wavelength_unit="AA")
    check(star, sigma=False)
    assert len(said) == 1
    star = load_spectrum(tmp_path / "star.txt", medium="air", wavelength_unit="AA", sigma=2)
    np.testing.assert_array_equal(star.sigma, sigma)


def test_arrays_of_numpy_are_for_infer(tmp_path):
    np.savez(tmp_path / "star.npz", wavelength=PIXELS, flux=FLUX)
    with pytest.raises(ValueError, match=r"star.npz holds arrays of numpy: pass np.load"):
        load_spectrum(tmp_path / "star.npz", medium="air")


def test_columns_without_names_are_numbered_in_warnings(tmp_path):
    np.savetxt(tmp_path / "star.txt", np.column_stack([PIXELS, FLUX, SIGMA, FLUX / 2]))
    with pytest.warns(UserWarning, match="also holds column 3 without a name, which is not used"):
        star = load_spectrum(
            tmp_path / "star.txt", medium="air", wavelength_unit="AA", flux=1, sigma=2
        )
    check(star)


def test_text_with_units_of_its_own(tmp_path):
    table = Table({"wavelength": PIXELS / 1e4, "flux": FLUX, "ivar": 1 / SIGMA**2})
    table["wavelength"].unit = "micron"
    table["flux"].unit = "erg / (s cm2 Angstrom)"
    table.write(tmp_path / "star.ecsv")
    star = load_spectrum(tmp_path / "star.ecsv", medium="vacuum")
    check(star)
    assert units.Unit(star.units["flux"]) == units.Unit("erg / (s cm2 Angstrom)")


def test_gaps_and_bad_errors_are_masked(tmp_path):
    (tmp_path / "star.csv").write_text(
        "wavelength,flux,error,mask\n5000,1,0.1,0\n5001,nan,0.1,0\n5002,1,0,0\n5003,1,nan,0\n"
        "5004,1,0.1,3\n5005,1,-1,0\n5006,1,0.2,0\n"
    )
    star = load_spectrum(tmp_path / "star.csv", medium="air", wavelength_unit="Angstrom")
    assert star.mask.tolist() == [False, True, True, True, True, True, False]


def test_pixels_come_in_order(tmp_path):
    Table({"wavelength": PIXELS[::-1], "flux": FLUX[::-1]}).write(tmp_path / "star.csv")
    check(load_spectrum(tmp_path / "star.csv", medium="air", wavelength_unit="AA"), sigma=False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5000 1 0.1\n5001 1 0.1\n", "does not say the unit of its wavelengths"),
        ("a,b\n1,2\n3,4\n", r"has no columns of wavelength and flux, only \['a', 'b'\]"),
        ("5000 1 0.1 1\n5001 1 0.1 1\n", "has 4 columns without names"),
        ("wavelength,flux\n-5,1\n0,1\n", "has no wavelengths"),
        ("wavelength,flux\n5000,nan\n5001,nan\n", "has no usable pixel"),
        ("wavelength,flux\n5000,1\n", "two pixels or more"),
        ("wavelength,flux\n5000,one\n5001,two\n", "has text in column 'flux', not numbers"),
        ("\x00\x01\x02", "neither FITS nor text"),
        ("", "neither FITS nor a text table"),
    ],
)
def test_text_that_is_no_spectrum(tmp_path, text, message):
    (tmp_path / "star.txt").write_text(text)
    unit = None if "unit" in message else "Angstrom"
    with pytest.raises(ValueError, match=message) as error:
        load_spectrum(tmp_path / "star.txt", medium="air", wavelength_unit=unit)
    assert "star.txt" in str(error.value)


# FITS


def table_hdu(**columns):
    table = Table(columns)
    return fits.BinTableHDU(table)


def test_fits_table(tmp_path):
    hdu = table_hdu(WAVELENGTH=PIXELS, FLUX=FLUX, ERROR=SIGMA)
    hdu.columns["WAVELENGTH"].unit = "Angstrom"
    path = save(
        tmp_path / "star.fits",
        fits.PrimaryHDU(),
        hdu,
        OBJECT="HD 1",
        **{"DATE-OBS": "2024-01-01", "EXPTIME": 30.0, "SPECSYS": "BARYCENT"},
    )
    star = load_spectrum(path, medium="vacuum")
    check(star)
    assert star.facts == {
        "format": "FITS table",
        "object": "HD 1",
        "date": "2024-01-01",
        "exposure": 30.0,
    }
    assert star.header["OBJECT"] == "HD 1"
    assert star.frame == "barycentre"
    assert "HD 1" in star.DESCR


def test_fits_table_of_sdss_and_of_eso(tmp_path):
    sdss = table_hdu(loglam=np.log10(PIXELS), flux=FLUX, ivar=1 / SIGMA**2, and_mask=np.zeros(101))
    check(load_spectrum(save(tmp_path / "s.fits", fits.PrimaryHDU(), sdss), medium="vacuum"))
    # One row of arrays; and a row an order.
    eso = table_hdu(WAVE=PIXELS[None] / 10, FLUX=FLUX[None], ERR=SIGMA[None])
    eso.columns["WAVE"].unit = "nm"
    check(load_spectrum(save(tmp_path / "e.fits", fits.PrimaryHDU(), eso), medium="air"))
    two = table_hdu(WAVE=np.array([PIXELS, PIXELS + 20]), FLUX=np.array([FLUX, FLUX]))
    star = load_spectrum(
        save(tmp_path / "o.fits", fits.PrimaryHDU(), two), medium="air", wavelength_unit="Angstrom"
    )
    assert star.flux.shape == (2, 101)
    assert len(as_segments(star)) == 2


@pytest.mark.parametrize(
    ("keywords", "medium"),
    [
        # The standard's reference pixel is 0 where none is given, IRAF's is 1.
        ({"CTYPE1": "WAVE", "CUNIT1": "Angstrom", "CRVAL1": 8499.9, "CDELT1": 0.1}, "vacuum"),
        ({"CTYPE1": "AWAV", "CUNIT1": "nm", "CRVAL1": 850.0, "CDELT1": 0.01, "CRPIX1": 1}, "air"),
        ({"CTYPE1": "AWAV", "CUNIT1": "nm", "CRVAL1": 850.1, "CDELT1": 0.01, "CRPIX1": 11}, "air"),
        ({"CTYPE1": "LINEAR", "CRVAL1": 8500.0, "CD1_1": 0.1, "AIRORVAC": "air"}, "air"),
        ({"CTYPE1": "LINEAR", "CRVAL1": 8500.0, "CDELT1": 0.1, "VACUUM": 1}, "vacuum"),
    ],
)
def test_fits_image_with_an_axis(tmp_path, keywords, medium):
    error = fits.ImageHDU(SIGMA, name="ERROR")
    path = save(tmp_path / "star.fits", fits.PrimaryHDU(FLUX), error, **keywords)
    unit = None if "CUNIT1" in keywords else "Angstrom"
    star = load_spectrum(path, wavelength_unit=unit)
    check(star, rtol=1e-12)
    assert star.medium == medium


def test_fits_image_with_a_logarithmic_axis(tmp_path):
    """Of the FITS standard's form, and of IRAF's."""
    step = 1e-5
    pixels = np.arange(101)
    path = save(
        tmp_path / "log.fits",
        fits.PrimaryHDU(FLUX),
        CTYPE1="WAVE-LOG",
        CUNIT1="Angstrom",
        CRVAL1=8500.0,
        CDELT1=8500.0 * step,
        CRPIX1=1.0,
    )
    star = load_spectrum(path)
    np.testing.assert_allclose(star.wavelength, 8500.0 * np.exp(step * pixels), rtol=1e-12)
    keywords = {"DC-FLAG": 1, "CRVAL1": np.log10(8500.0), "CDELT1": step}
    path = save(tmp_path / "iraf.fits", fits.PrimaryHDU(FLUX), **keywords)
    star = load_spectrum(path, medium="air", wavelength_unit="Angstrom")
    np.testing.assert_allclose(star.wavelength, 8500.0 * 10 ** (step * pixels), rtol=1e-12)


def test_fits_image_with_wavelengths_beside_it(tmp_path):
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(FLUX, name="FLUX"), fits.ImageHDU(PIXELS / 1e4)]
    hdus[2].name, hdus[2].header["BUNIT"] = "WAVE", "um"
    hdus += [fits.ImageHDU(SIGMA**2, name="VAR")]
    check(load_spectrum(save(tmp_path / "star.fits", *hdus), medium="vacuum"))


@pytest.mark.parametrize(
    ("hdus", "message"),
    [
        ([fits.PrimaryHDU()], "holds neither a table nor an image with data"),
        ([fits.PrimaryHDU(np.ones((3, 40)))], "holds an image of shape .3, 40. without"),
        ([fits.PrimaryHDU(np.ones(40))], "has an axis of type 'none', which is not wavelength"),
    ],
)
def test_fits_that_is_no_spectrum(tmp_path, hdus, message):
    with pytest.raises(ValueError, match=message):
        load_spectrum(save(tmp_path / "star.fits", *hdus), medium="air")


def test_truncated_fits(tmp_path):
    path = save(tmp_path / "star.fits", fits.PrimaryHDU(np.ones(5000)))
    path.write_bytes(path.read_bytes()[:-8000])
    with pytest.raises(ValueError, match=r"star.fits has .*cut short; copy it again"):
        load_spectrum(path)


# What must be said


def test_medium_and_unit_must_be_known_and_the_user_wins(tmp_path):
    Table({"wavelength": PIXELS, "flux": FLUX}).write(tmp_path / "s.csv")
    with pytest.raises(ValueError, match="does not say whether its wavelengths are in air"):
        load_spectrum(tmp_path / "s.csv", wavelength_unit="AA")
    with pytest.raises(ValueError, match="wavelengths in s, which is not a unit of length: pass"):
        load_spectrum(tmp_path / "s.csv", wavelength_unit="s", medium="air")
    keywords = {"CTYPE1": "AWAV", "CUNIT1": "nm", "CRVAL1": 850.0, "CDELT1": 0.01}
    path = save(tmp_path / "s.fits", fits.PrimaryHDU(FLUX), **keywords)
    with pytest.warns(UserWarning, match="s.fits says that its wavelengths are in air"):
        assert load_spectrum(path, medium="vacuum").medium == "vacuum"
    hdu = table_hdu(WAVE=PIXELS, FLUX=FLUX)
    hdu.columns["WAVE"].unit = "nm"
    path = save(tmp_path / "t.fits", fits.PrimaryHDU(), hdu)
    with pytest.warns(UserWarning, match="says that its wavelengths are in nm; they are read in"):
        check(load_spectrum(path, wavelength_unit="Angstrom", medium="air"), sigma=False)


def test_frames_are_not_guessed(tmp_path):
    Table({"wavelength": PIXELS, "flux": FLUX}).write(tmp_path / "s.csv")
    with pytest.raises(ValueError, match="does not say where and when it was observed"):
        load_spectrum(tmp_path / "s.csv", wavelength_unit="AA", medium="air", barycentric=True)
    with pytest.raises(ValueError, match="has no sky fibre"):
        load_spectrum(tmp_path / "s.csv", wavelength_unit="AA", medium="air", sky_factor=1.0)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        load_spectrum(tmp_path / "absent.csv")


def test_barycentric_velocity_is_the_earths():
    """A star in the ecliptic, in the plane of the Earth's motion, sees its 30 km/s."""
    site = (0.0, 0.0, 0.0)
    year = [barycentric_velocity(0.0, 0.0, 2460000.5 + 5 * day, site) for day in range(73)]
    assert max(year) == pytest.approx(30.0, abs=0.8)
    assert min(year) == pytest.approx(-30.0, abs=0.8)
    # From the ecliptic's pole hardly anything of it is seen.
    assert abs(barycentric_velocity(270.0, 66.56, 2460000.5, site)) < 0.5


# The stars


@pytest.mark.shared_data
def test_barnards_star_of_hpf(shared_data):
    star = load_spectrum(shared_data / "observed" / "hpf_GJ699.fits")
    assert star.flux.shape == star.sigma.shape == star.wavelength.shape == (28, 2048)
    assert (star.medium, star.frame) == ("vacuum", "observatory")
    assert star.facts["object"] == "GJ_699"
    assert 8079 < star.wavelength.min() < star.wavelength.max() < 12786
    raw = fits.getdata(shared_data / "observed" / "hpf_GJ699.fits", "Sci Variance")
    np.testing.assert_allclose(star.sigma[14, 900:], np.sqrt(raw[14, 900:]), rtol=1e-6)
    # Ca II 8544, at the star's known -110.5 km/s once the Earth's motion is taken out.
    still = load_spectrum(shared_data / "observed" / "hpf_GJ699.fits", barycentric=True)
    order = still.wavelength[4]
    near = np.abs(order - CALCIUM[1]) < 5
    center = order[near][np.argmin(still.flux[4, near])]
    assert (center / CALCIUM[1] - 1) * constants.c / 1e3 == pytest.approx(-110.5, abs=2.5)
    assert still.frame == "barycentre"
    assert len(as_segments(still)) == 28


@pytest.mark.shared_data
def test_both_layouts_of_hpf(shared_data):
    star = load_spectrum(shared_data / "observed" / "hpf_A0V_standard.fits")
    raw = fits.getdata(shared_data / "observed" / "hpf_A0V_standard.fits", "Sci Error")
    good = ~star.mask
    np.testing.assert_allclose(star.sigma[good], raw[good], rtol=1e-7)
    assert star.mask.sum() == 235  # pixels that hold zero
    # What the pipeline wrote of the Earth's motion is what we compute without it.
    from skphx.datasets._spectrum_hpf import barycentric as hpf_barycentric

    header = fits.getheader(shared_data / "observed" / "hpf_A0V_standard.fits")
    assert star.barycentric_velocity == header.pop("BRVCORR") / 1e3
    assert hpf_barycentric(header) == pytest.approx(star.barycentric_velocity, abs=1e-4)


@pytest.mark.shared_data
def test_sky_of_hpf(shared_data):
    path = shared_data / "observed" / "hpf_GJ699.fits"
    star, less = load_spectrum(path), load_spectrum(path, sky_factor=1.0)
    both = ~(star.mask | less.mask)
    sky = (star.flux - less.flux)[both]
    assert 0.0 < np.median(sky) < 0.05 * np.median(star.flux[both])
    assert (less.sigma[both] >= star.sigma[both]).all()


@pytest.mark.shared_data
@pytest.mark.parametrize(("name", "n_masked"), [("Kepler-93", 7), ("KOI-001", 4), ("HD176650", 0)])
def test_stars_of_gaia(shared_data, name, n_masked):
    star = load_spectrum(shared_data / "observed" / f"gaia_rvs_{name}.csv")
    assert star.wavelength.shape == (2401,)
    np.testing.assert_allclose(star.wavelength[[0, -1]], [8460.0, 8700.0])
    assert (star.medium, star.frame, star.resolution) == ("vacuum", "star", 11_500)
    assert star.mask.sum() == n_masked
    assert 0.9 < np.median(star.flux[~star.mask]) < 1.05
    for line in CALCIUM:
        near = (np.abs(star.wavelength - line) < 2) & ~star.mask
        depth = 1 - star.flux[near]
        center = np.average(star.wavelength[near], weights=depth**4)
        assert center == pytest.approx(line, abs=0.15)
    # In air the same lines would stand two ångströms away.
    assert (vacuum_to_air(np.array(CALCIUM)) < np.array(CALCIUM) - 2.3).all()


@pytest.mark.shared_data
def test_frame_of_gaia_is_that_of_the_star(shared_data):
    with pytest.raises(ValueError, match="already in the rest frame of the star"):
        load_spectrum(shared_data / "observed" / "gaia_rvs_Kepler-93.csv", barycentric=True)
