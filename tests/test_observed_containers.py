"""An observed star in whatever holds it: the same pixels, flux, errors and masks."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy import units as u
from astropy.nddata import (
    CCDData,
    InverseVariance,
    NDData,
    StdDevUncertainty,
    UnknownUncertainty,
    VarianceUncertainty,
)
from astropy.table import QTable, Table
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from skphx.datasets import load_spectrum
from skphx.inference._observation_model import ObservationModel
from skphx.observing import ObservedSpectrum
from skphx.observing._observed_spectrum import as_segments

N = 12
WAVELENGTH = 8500.0 + 0.1 * np.arange(N) + 0.001 * np.arange(N) ** 2
FLUX = 1.0 + 0.3 * np.sin(np.arange(N))
SIGMA = 0.01 + 0.001 * np.arange(N)
DENSITY = u.Unit("erg / (s cm2 Angstrom)")
STAR = {"wavelength": WAVELENGTH, "flux": FLUX, "sigma": SIGMA}
NAN = np.nan


def one(star, **defaults):
    (segment,) = as_segments(star, **defaults)
    return segment


def check(segment, *, flux=FLUX, sigma=SIGMA, bad=(), wavelength=WAVELENGTH, rtol=1e-12):
    """The segment has these values at its good pixels, and these pixels are bad."""
    good = np.ones(len(flux), dtype=bool)
    good[list(bad)] = False
    np.testing.assert_array_equal(segment.good, good)
    np.testing.assert_allclose(segment.wavelength[good], wavelength[good], rtol=rtol)
    np.testing.assert_allclose(segment.flux[good], flux[good], rtol=rtol)
    assert (np.diff(segment.wavelength) > 0).all()
    if sigma is None:
        assert segment.sigma is None
    else:
        np.testing.assert_allclose(segment.sigma[good], sigma[good], rtol=rtol)


# Mappings and tables


def structured():
    array = np.zeros(N, dtype=[(name, float) for name in STAR])
    for name, values in STAR.items():
        array[name] = values
    return array


def table_row():
    return Table({name: [values, values + 1] for name, values in STAR.items()})[0]


TABLES = {
    "dict": lambda: STAR,
    "Table": lambda: Table(STAR),
    "QTable": lambda: QTable({**STAR, "wavelength": (WAVELENGTH * u.AA).to(u.nm)}),
    "row": table_row,
    "structured": structured,
    "record": lambda: structured().view(np.recarray),
    "scalar record": lambda: np.array(
        [(WAVELENGTH, FLUX, SIGMA)], dtype=[(name, float, N) for name in STAR]
    )[0],
    "lists": lambda: {name: list(map(float, values)) for name, values in STAR.items()},
    "big-endian": lambda: {name: values.astype(">f8") for name, values in STAR.items()},
    "nested list": lambda: [[STAR]],
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_and_mappings(kind):
    check(one(TABLES[kind](), medium="vacuum"), rtol=1e-10)


def test_masked_table():
    table = Table(STAR, masked=True)
    table["wavelength"].mask[2] = table["flux"].mask[3] = table["sigma"].mask[4] = True
    check(one(table), bad=(2, 3, 4))


def test_table_of_orders():
    table = Table({name: [values, values + 100] for name, values in STAR.items()})
    table["medium"] = ["air", "vacuum"]
    first, second = as_segments(table)
    check(first)
    check(second, flux=FLUX + 100, sigma=SIGMA + 100, wavelength=WAVELENGTH + 100)
    assert (first.medium, second.medium) == ("air", "vacuum")


def test_constant_columns_are_one_value():
    segment = one(Table({**STAR, "medium": ["air"] * N, "velocity": np.full(N, 3.0)}))
    assert (segment.medium, segment.velocity) == ("air", 3.0)
    with pytest.raises(ValueError, match=r"medium must be one value for a segment, .* got 12"):
        one(Table({**STAR, "medium": ["air"] * (N - 1) + ["vacuum"]}))


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(STAR)
    check(one(frame))
    nullable = frame.convert_dtypes()
    nullable.loc[5, "flux"] = pandas.NA
    check(one(nullable.assign(mask=frame.index == 3)), bad=(3, 5))
    rows = pandas.DataFrame({name: [values] for name, values in STAR.items()})
    check(one(rows))
    check(one(rows.iloc[0]))
    check(one(frame.set_index(frame.index * 7)))
    two = pandas.concat([rows, rows]).assign(medium=["air", "vacuum"]).set_index(np.array([7, 9]))
    assert [segment.medium for segment in as_segments(two)] == ["air", "vacuum"]
    with pytest.raises(ValueError, match="unknown name 'order'"):
        as_segments(frame.assign(order=1))
    with pytest.raises(ValueError, match="several columns of the name 'flux'"):
        as_segments(pandas.concat([frame, frame[["flux"]]], axis=1))


def test_npz_file(tmp_path):
    np.savez(
        tmp_path / "star.npz",
        **STAR,
        medium=np.array("vacuum"),
        resolution=np.array(21400.0),
        source="a file",
        object="a star",
    )
    with np.load(tmp_path / "star.npz") as star:
        segment = one(star)
    check(segment)
    assert (segment.medium, segment.resolution) == ("vacuum", 21400.0)


def test_hdf5_group(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "star.h5", "w") as file:
        for name, values in {**STAR, "medium": "vacuum", "resolution": 2e4}.items():
            file[name] = values
        segment = one(file)
    check(segment)
    assert (segment.medium, segment.resolution) == ("vacuum", 2e4)


def test_bunch_of_load_spectrum(tmp_path):
    path = tmp_path / "star.txt"
    np.savetxt(path, np.column_stack(list(STAR.values())), header="wavelength flux sigma")
    star = load_spectrum(path, medium="air", wavelength_unit="Angstrom", resolution=5000.0)
    segment = one(star)
    check(segment, rtol=1e-9)
    assert (segment.medium, segment.resolution) == ("air", 5000.0)
    # Units that a mapping states are used.
    in_nm = one({**STAR, "wavelength": WAVELENGTH / 10, "units": {"wavelength": "nm"}})
    check(in_nm)


@pytest.mark.shared_data
def test_stars_of_the_shared_data(shared_data):
    for path in sorted((shared_data / "stars").glob("*.npz")):
        with np.load(path) as star:
            segment = one(star)
            np.testing.assert_array_equal(segment.wavelength, star["wavelength"])
            assert segment.medium == str(star["medium"])
            assert segment.resolution == star["resolution"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("error", "'sigma'"),
        ("err", "'sigma'"),
        ("flux_err", "'sigma'"),
        ("e_flux", "'sigma'"),
        ("Sigma", "'sigma'"),
        ("sigmas", "'sigma'"),
        ("uncertainty", "'sigma'"),
        ("variance", r"sigma = variance \*\* 0.5"),
        ("snr", "sigma = flux / snr"),
        ("weights", "ivar, if"),
        ("quality", r"'mask' \(True for pixels to leave out\)"),
        ("good", "'mask'"),
        ("bad_pixel", "'mask'"),
        ("resolving_power", "'resolution'"),
        ("R", "'resolution'"),
        ("lsf", "'line_spread'"),
        ("rv", "'velocity'"),
    ],
)
def test_unknown_names_are_errors(name, meant):
    flux_only = {"wavelength": WAVELENGTH, "flux": FLUX}
    for star in ({**flux_only, name: SIGMA}, Table({**flux_only, name: SIGMA})):
        with pytest.raises(ValueError, match=f"unknown name {name!r}: do you mean {meant}"):
            as_segments(star)


def test_other_unknown_names():
    with pytest.raises(ValueError, match=r"unknown name 'error', but also 'sigma'\. Known names"):
        as_segments({**STAR, "error": SIGMA})
    with pytest.raises(ValueError, match=r"unknown name 'tellurics'\. Known names are wavelength"):
        as_segments({**STAR, "tellurics": SIGMA})
    with pytest.raises(ValueError, match=r"'a' \(and 'b'\)"):
        as_segments({**STAR, "a": 1, "b": 2})
    with pytest.raises(ValueError, match=r"'wave'.*do you mean 'wavelength'"):
        as_segments({"wave": WAVELENGTH, "flux": FLUX})
    with pytest.raises(ValueError, match=r"the star has no flux; .* got 'wavelength'"):
        as_segments({"wavelength": WAVELENGTH, "flux": None})
    with pytest.raises(ValueError, match="wavelength must be given"):
        ObservedSpectrum(None, FLUX)


@pytest.mark.parametrize(
    ("star", "remedy"),
    [
        ("star.fits", "load_spectrum"),
        (np.ones(3), "arrays are given as"),
        ((WAVELENGTH, FLUX), "arrays are given as"),
        (FLUX * u.Jy, "it has no wavelengths"),
        (NDData(FLUX), "it has no wavelengths"),
        ([], "a list of these"),
        (3.0, "a mapping with wavelength and flux"),
        (iter([]), "a mapping with wavelength and flux"),
        (dict, "a mapping with wavelength and flux"),
    ],
)
def test_other_types_name_the_remedy(star, remedy):
    with pytest.raises(TypeError, match=remedy):
        as_segments(star)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("flux", ["1.0"] * N),
        ("flux", [True] * N),
        ("flux", FLUX + 1j),
        ("flux", np.array(FLUX, dtype=object)),
        ("flux", [None] * N),
        ("wavelength", WAVELENGTH.astype("datetime64[s]")),
        ("sigma", "0.1"),
        ("ivar", ["a"] * N),
        ("resolution", "high"),
    ],
)
def test_only_numbers(name, values):
    star = {"wavelength": WAVELENGTH, "flux": FLUX} | {name: values}
    with pytest.raises(ValueError, match=f"{name} must hold real numbers, got .* convert them"):
        as_segments(star)


# Masks


def test_every_mask_counts():
    masks = {
        "wavelength": np.ma.masked_array(WAVELENGTH, np.arange(N) == 1),
        "flux": np.ma.masked_array(FLUX, np.arange(N) == 2),
        "sigma": np.ma.masked_array(SIGMA, np.arange(N) == 3),
        "mask": np.ma.masked_array(np.arange(N) == 4, np.arange(N) == 5),
    }
    check(one(masks), bad=(1, 2, 3, 4, 5))
    ivar = np.ma.masked_array(SIGMA**-2, np.arange(N) == 3)
    check(one({"wavelength": WAVELENGTH, "flux": FLUX, "ivar": ivar}), bad=(3,))
    quantity = Masked(FLUX * u.Jy, mask=np.arange(N) == 6)
    check(one({**STAR, "flux": quantity, "sigma": None}), bad=(6,), sigma=None, flux=FLUX * JY)
    check(one({**STAR, "flux": [1.0, np.ma.masked, *FLUX[2:]]}), bad=(1,), flux=np.r_[1, FLUX[1:]])


def test_masks_may_be_integers():
    check(one({**STAR, "mask": np.arange(N) % 4 * 8}), bad=[i for i in range(N) if i % 4])
    check(one({**STAR, "mask": False}))
    check(one({**STAR, "mask": (np.arange(N) == 2).astype(float)}), bad=(2,))
    check(one({**STAR, "mask": np.array(np.arange(N) == 2, dtype=object)}), bad=(2,))
    for wrong in (["good"] * N, SIGMA):
        with pytest.raises(ValueError, match="mask must be True for pixels to leave out"):
            one({**STAR, "mask": wrong})


@pytest.mark.parametrize("kind", ["Int64", "boolean"])
def test_missing_values_of_a_mask_are_bad_pixels(kind):
    pandas = pytest.importorskip("pandas")
    mask = pandas.array([0] * (N - 1) + [None], dtype="Int64").astype(kind)
    for values in (mask, pandas.Series(mask)):
        check(one({**STAR, "mask": values}), bad=(N - 1,))


def padded(place, filling, n=3):
    """A star whose wavelengths have no meaning at some pixels, and its values there are NaN."""
    where = {"start": slice(0, n), "end": slice(N - n, N), "inside": slice(4, 4 + n)}[place]
    wavelength, flux = WAVELENGTH.copy(), FLUX.copy()
    wavelength[where] = filling(wavelength, where)
    flux[where] = NAN
    return {"wavelength": wavelength, "flux": flux, "sigma": SIGMA}, range(N)[where]


FILLINGS = {
    "zero": lambda *_: 0.0,
    "NaN": lambda *_: NAN,
    "sentinel": lambda *_: -999.0,
    "first": lambda w, _: w[0],
    "last": lambda w, _: w[-1],
    "neighbour": lambda w, where: w[max(where.start - 1, 0)],
    "masked": lambda w, where: w[where][::-1],
    "infinite": lambda *_: np.inf,
    "lower": lambda *_: np.array([7000.0, 7001.0, 7002.0]),
}


@pytest.mark.parametrize(
    ("place", "filling"),
    [(place, filling) for place in ("inside", "end") for filling in FILLINGS]
    + [("start", filling) for filling in FILLINGS if filling != "lower"],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_padded_pixels_are_left_out(place, filling, reverse):
    star, bad = padded(place, FILLINGS[filling])
    if reverse:
        star = {name: values[::-1] for name, values in star.items()}
    segment = one(star)
    check(segment, bad=bad)
    # The edges of good pixels are those of the spectrum without padding.
    good = np.flatnonzero(segment.good)
    expected = ObservedSpectrum(**STAR).edges
    for edges in (slice(None, -1), slice(1, None)):
        np.testing.assert_allclose(segment.edges[edges][good], expected[edges][good], atol=0.02)


def test_padding_may_have_flux_but_no_wavelength():
    wavelength = np.where(np.arange(N) < 2, 0.0, WAVELENGTH)
    check(one({**STAR, "wavelength": wavelength}), bad=(0, 1))


def test_long_padding_stays_positive_and_quick():
    wavelength = np.r_[np.arange(1.0, 9.0), np.arange(1.0, 20_000.0)]
    segment = ObservedSpectrum(wavelength, np.where(np.arange(len(wavelength)) < 8, 1.0, NAN))
    assert segment.good.sum() == 8
    assert (segment.wavelength > 0).all()
    left = ObservedSpectrum(np.r_[np.zeros(300), 1.0, 2.0, 3.0], np.ones(303))
    assert (left.wavelength > 0).all()
    assert (np.diff(left.wavelength) > 0).all()


@pytest.mark.parametrize(
    "wavelength",
    [
        np.r_[WAVELENGTH[:6], WAVELENGTH[4:10]],
        np.r_[WAVELENGTH[:6], WAVELENGTH[5:11]],
        np.roll(WAVELENGTH, 3),
    ],
)
def test_good_pixels_out_of_order_are_refused(wavelength):
    with pytest.raises(ValueError, match=r"wavelength must be strictly increasing, .* sort"):
        one({**STAR, "wavelength": wavelength})


def test_orders_without_wavelengths_are_kept_out():
    orders = {name: np.vstack([values, values]) for name, values in STAR.items()}
    orders["wavelength"][0] = NAN
    check(one(orders))
    check(one([{**STAR, "wavelength": np.zeros(N)}, STAR]))
    empty = {name: [values, values[:0], values[:1]] for name, values in STAR.items()}
    check(one(empty))
    with pytest.raises(ValueError, match="wavelength has 0 pixels with a positive and finite"):
        as_segments({**STAR, "wavelength": np.zeros(N)})


# Orders


def test_ragged_orders():
    star = {
        "wavelength": [WAVELENGTH, WAVELENGTH[:7] + 50],
        "flux": [FLUX * u.adu, np.ma.masked_array(FLUX[:7], np.arange(7) == 2) * u.adu],
        "sigma": [SIGMA, SIGMA[:7]],
        "mask": [np.arange(N) == 1, np.arange(7) == 3],
        "medium": ["air", "vacuum"],
        "resolution": [20_000.0, 30_000.0],
        "velocity": [1.0, 2000 * u.m / u.s],
        "line_spread": [np.eye(N), sparse.eye_array(7)],
    }
    star["flux"][1] = Masked(FLUX[:7] * u.adu, mask=np.arange(7) == 2)
    first, second = as_segments(star)
    check(first, bad=(1,))
    check(second, flux=FLUX[:7], sigma=SIGMA[:7], wavelength=WAVELENGTH[:7] + 50, bad=(2, 3))
    assert (first.medium, first.resolution, first.velocity) == ("air", 20_000.0, 1.0)
    assert (second.medium, second.resolution, second.velocity) == ("vacuum", 30_000.0, 2.0)
    assert second.line_spread.shape == (7, 7)
    as_objects = {
        name: np.array(star[name] + [None], dtype=object)[:2] for name in ("wavelength", "sigma")
    }
    assert [len(s.flux) for s in as_segments({**star, **as_objects})] == [N, 7]


def test_what_orders_share():
    flux = np.vstack([FLUX, FLUX + 1, FLUX + 2])
    segments = as_segments(
        {
            "wavelength": WAVELENGTH,
            "flux": flux,
            "sigma": SIGMA,
            "mask": np.arange(N) == 3,
            "medium": "air",
            "resolution": lambda w: w / 0.5,
            "line_spread": np.eye(N),
        }
    )
    for order, segment in enumerate(segments):
        check(segment, flux=flux[order], bad=(3,))
        np.testing.assert_allclose(segment.resolution, WAVELENGTH / 0.5)
        assert segment.line_spread.shape == (N, N)
    for name in ("sigma", "ivar"):
        each = as_segments({"wavelength": WAVELENGTH, "flux": flux, name: [0.1, 0.2, 0.3]})
        assert len({segment.sigma[0] for segment in each}) == 3
    each = as_segments({**STAR, "flux": flux, "resolution": np.array([1e4, 2e4, 3e4]) * u.one})
    assert [segment.resolution for segment in each] == [1e4, 2e4, 3e4]
    each = as_segments({**STAR, "flux": flux, "velocity": [0, 1, 2] * u.m / u.s})
    assert [segment.velocity for segment in each] == [0.0, 0.001, 0.002]


def test_wrong_numbers_of_orders():
    flux = np.vstack([FLUX, FLUX])
    for wrong in ({"medium": ["air"] * 3}, {"sigma": np.ones((3, N))}, {"velocity": [1.0]}):
        with pytest.raises(ValueError, match="must have one row for each of the 2 orders of flux"):
            as_segments({**STAR, "flux": flux, **wrong})
    with pytest.raises(ValueError, match="flux must have one axis, or two"):
        as_segments({**STAR, "flux": np.ones((2, 3, N))})
    with pytest.raises(ValueError, match="sigma must have one element for each of the 12 pixels"):
        as_segments({**STAR, "sigma": np.ones((2, N))})


# Units

# F_λ = F_ν c / λ², in erg s⁻¹ cm⁻² Å⁻¹ for 1 Jy.
JY = 1e-23 * 2.99792458e18 / WAVELENGTH**2
# h c / λ in erg.
PHOTON = 6.62607015e-27 * 2.99792458e18 / WAVELENGTH


@pytest.mark.parametrize(
    ("unit", "factor"),
    [
        (DENSITY, 1.0),
        (u.Unit("1e-17 erg / (s cm2 Angstrom)"), 1.0),
        (u.Unit("W / (m2 um)"), 1.0),
        (u.Unit("erg / (s cm2 cm)"), 1.0),
        (u.Unit("erg / (s Angstrom)"), 1.0),
        (u.Unit("W / (m2 um sr)"), 1.0),
        (u.adu, 1.0),
        (u.electron / u.s, 1.0),
        (u.ct / u.pix, 1.0),
        (u.Unit("DN / s"), 1.0),
        (u.dimensionless_unscaled, 1.0),
        (u.percent, 0.01),
        (u.Unit("furlongs / s", parse_strict="silent"), 1.0),
        (u.Jy, JY),
        (u.mJy, 1e-3 * JY),
        (u.Unit("erg / (s cm2 Hz)"), 1e23 * JY),
        (u.Unit("MJy / sr"), 1e6 * JY),
        (u.Unit("ph / (s cm2 Angstrom)"), PHOTON),
        (u.Unit("ph / (s cm2 Hz)"), 1e23 * JY * PHOTON),
    ],
)
def test_units_of_flux(unit, factor):
    if isinstance(unit, u.UnrecognizedUnit):
        star = Table({name: values for name, values in STAR.items()})
        star["flux"].unit = star["sigma"].unit = unit
    else:
        star = {**STAR, "flux": FLUX * unit, "sigma": SIGMA * unit}
    check(one(star), flux=FLUX * factor, sigma=SIGMA * factor, rtol=1e-9)
    # Errors without a unit have that of the flux.
    check(one({**STAR, "flux": star["flux"]}), flux=FLUX * factor, sigma=SIGMA * factor, rtol=1e-9)


@pytest.mark.parametrize("name", ["sigma", "ivar"])
@pytest.mark.parametrize("unit", ["1e-17 erg / (s cm2 Angstrom)", "W / (m2 um)", "mJy"])
def test_errors_in_another_unit(name, unit):
    sigma = (SIGMA * DENSITY).to(unit, u.spectral_density(WAVELENGTH * u.AA))
    star = {"wavelength": WAVELENGTH, "flux": FLUX * DENSITY}
    check(one({**star, name: sigma if name == "sigma" else sigma**-2}), rtol=1e-9)
    listed = {**star, "sigma": list(sigma)}
    check(one(listed), rtol=1e-9)
    check(one({**star, "sigma": (0.01 * DENSITY).to("W / (m2 um)")}), sigma=np.full(N, 0.01))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flux": FLUX * u.mag, "sigma": None}, "logarithmic unit; convert it to flux first"),
        ({"flux": FLUX * u.ABmag, "sigma": None}, "logarithmic unit"),
        ({"flux": FLUX * u.dex(DENSITY), "sigma": None}, "logarithmic unit"),
        ({"flux": FLUX * u.km, "sigma": None}, "flux is in km, which is not flux per unit"),
        (
            {"flux": FLUX * u.Unit("erg / (s cm2)"), "sigma": None},
            "is not flux per unit of wavelength",
        ),
        ({"sigma": SIGMA * DENSITY}, "but flux has no unit, so their ratio is unknown"),
        ({"sigma": 0.5 * u.percent}, r"but flux has no unit.*sigma=0\.005 \* flux"),
        ({"flux": FLUX * DENSITY, "sigma": 0.5 * u.percent}, r"cannot be converted.*0\.005"),
        ({"flux": FLUX * DENSITY, "sigma": SIGMA * u.adu}, "cannot be converted to the unit of"),
        ({"flux": FLUX * DENSITY, "sigma": SIGMA * u.mag}, "sigma is in mag, a logarithmic unit"),
        ({"flux": [1 * u.Jy, 2 * u.m]}, "flux holds values of different units"),
        ({"wavelength": WAVELENGTH * u.K}, "wavelength must have a unit of length, or of freq"),
        ({"wavelength": WAVELENGTH * u.km / u.s}, "without a rest wavelength"),
        ({"velocity": 3 * u.m}, "the unit of velocity must be a velocity, such as km/s"),
        ({"resolution": 3 * u.m}, "the unit of resolution must be none"),
    ],
)
def test_units_that_do_not_fit(settings, message):
    with pytest.raises(ValueError, match=message):
        as_segments({**STAR, **settings})


@pytest.mark.parametrize("unit", ["nm", "um", "m", "GHz", "Hz", "1 / cm", "eV", "J"])
def test_units_of_wavelength(unit):
    axis = (WAVELENGTH * u.AA).to(unit, u.spectral())
    check(one({**STAR, "wavelength": axis}), rtol=1e-10)
    masked = Masked(axis, mask=np.arange(N) == 3)
    check(one({**STAR, "wavelength": masked}), bad=(3,), rtol=1e-10)


def test_units_of_velocity_and_resolution():
    segment = one({**STAR, "velocity": 300 * u.m / u.s, "resolution": 2e4 * u.one})
    assert (segment.velocity, segment.resolution) == (0.3, 2e4)
    assert one({**STAR, "resolution": 20 * u.Unit(1000)}).resolution == 20_000.0


@pytest.mark.parametrize(
    "given",
    [
        (-15, 15) * u.m / u.s,
        (-15 * u.m / u.s, 15 * u.m / u.s),
        [-15 * u.m / u.s, 0.015],
        np.array([-0.015, 0.015]),
    ],
)
def test_units_of_ranges(given):
    for name, low in (("velocity", -0.015), ("vsini", 0.0), ("macroturbulence", 0.0)):
        pair = given if name == "velocity" else (0 * u.m / u.s, given[1])
        model = ObservationModel(**{name: pair})
        assert getattr(model, name) == pytest.approx((low, 0.015))
        assert model.free == (name,)
    assert ObservationModel(velocity=300 * u.m / u.s).velocity == 0.3
    assert ObservationModel(resolution=(1e4, 2e4) * u.one).resolution == (1e4, 2e4)
    assert ObservationModel(resolution=2e4 * u.one).free == ()
    with pytest.raises(ValueError, match="the unit of vsini must be a velocity"):
        ObservationModel(vsini=3 * u.K)
    with pytest.raises(ValueError, match="resolution must be positive"):
        ObservationModel(resolution=0.0)
    with pytest.raises(ValueError, match="a number for each pixel is given with the star"):
        ObservationModel(resolution=np.full(N, 2e4))


# Uncertainties and NDData


@pytest.mark.parametrize("name", ["sigma", "ivar"])
@pytest.mark.parametrize("unit", [None, DENSITY])
@pytest.mark.parametrize(
    ("kind", "power"), [(StdDevUncertainty, 1), (VarianceUncertainty, 2), (InverseVariance, -2)]
)
def test_uncertainties(kind, power, unit, name):
    flux = FLUX if unit is None else FLUX * unit
    own_unit = None if unit is None else (10 * unit) ** power
    values = SIGMA**power if unit is None else (SIGMA / 10) ** power
    star = {"wavelength": WAVELENGTH, "flux": flux, name: kind(values, unit=own_unit)}
    check(one(star), rtol=1e-10)
    check(ObservedSpectrum(**star), rtol=1e-10)


@pytest.mark.parametrize("kind", [NDData, CCDData])
def test_nddata(kind):
    data = kind(FLUX, unit=u.Jy, uncertainty=VarianceUncertainty(SIGMA**2), mask=np.arange(N) == 2)
    star = {"wavelength": WAVELENGTH * u.AA, "flux": data}
    check(one(star), flux=FLUX * JY, sigma=SIGMA * JY, bad=(2,), rtol=1e-9)
    check(ObservedSpectrum(**star), flux=FLUX * JY, sigma=SIGMA * JY, bad=(2,), rtol=1e-9)
    plain = NDData(FLUX, mask=np.arange(N) == 2)
    check(one({**STAR, "flux": plain}), bad=(2,))
    orders = {"wavelength": [WAVELENGTH, WAVELENGTH], "flux": [plain, plain], "sigma": SIGMA}
    assert len(as_segments(orders)) == 2
    for make in (as_segments, lambda star: ObservedSpectrum(**star)):
        with pytest.raises(ValueError, match="flux has its own uncertainty"):
            make({**star, "sigma": SIGMA})


def test_unknown_uncertainties():
    with pytest.raises(ValueError, match="sigma is an uncertainty of type 'unknown'"):
        one({**STAR, "sigma": UnknownUncertainty(SIGMA)})
    with pytest.raises(ValueError, match="sigma is an uncertainty without values"):
        one({**STAR, "sigma": StdDevUncertainty(None)})


# Spectra of specutils


def spectrum_object(axis, flux, **others):
    """What is used of a spectrum of specutils, for where it is not installed."""
    return SimpleNamespace(spectral_axis=axis, flux=flux, **others)


def spectrum_of_specutils(axis, flux, **others):
    return pytest.importorskip("specutils").Spectrum(spectral_axis=axis, flux=flux, **others)


@pytest.mark.parametrize("make", [spectrum_object, spectrum_of_specutils])
def test_spectra_of_specutils(make):
    mask = np.arange(N) == 2
    settings = {"uncertainty": StdDevUncertainty(SIGMA, unit=u.Jy), "mask": mask}
    for unit in ("nm", "THz", "1 / cm", "eV"):
        axis = (WAVELENGTH * u.AA).to(unit, u.spectral())
        segment = one(make(axis, FLUX * u.Jy, **settings), medium="air")
        check(segment, flux=FLUX * JY, sigma=SIGMA * JY, bad=(2,), rtol=1e-9)
        assert segment.medium == "air"
    check(one(make(WAVELENGTH * u.AA, FLUX * u.adu)), sigma=None)
    check(one(make(WAVELENGTH * u.AA, FLUX[None] * u.adu, mask=mask[None])), sigma=None, bad=(2,))
    row = make(WAVELENGTH * u.AA, FLUX[None] * u.adu, uncertainty=StdDevUncertainty(SIGMA[None]))
    check(one(row))
    with pytest.raises(ValueError, match=r"flux has shape \(3, 12\) on one spectral axis"):
        as_segments(make(WAVELENGTH * u.AA, np.vstack([FLUX] * 3) * u.adu))


def test_velocity_axis_of_specutils():
    specutils = pytest.importorskip("specutils")
    velocity = (WAVELENGTH / 8500.5 - 1) * 299792.458 * u.km / u.s
    spectrum = specutils.Spectrum(
        flux=FLUX * u.adu,
        spectral_axis=velocity,
        velocity_convention="optical",
        rest_value=8500.5 * u.AA,
    )
    check(one(spectrum), sigma=None, rtol=1e-9)
    with pytest.raises(ValueError, match="without a rest wavelength"):
        as_segments(spectrum_object(velocity, FLUX * u.adu))


def test_collections_of_specutils():
    specutils = pytest.importorskip("specutils")
    axis, flux = np.vstack([WAVELENGTH, WAVELENGTH + 50]), np.vstack([FLUX, FLUX + 1])
    collection = specutils.SpectrumCollection(
        flux=flux * u.adu,
        spectral_axis=axis * u.AA,
        uncertainty=StdDevUncertainty(np.vstack([SIGMA, SIGMA])),
        mask=np.arange(2 * N).reshape(2, N) == 3,
    )
    several = specutils.SpectrumList(
        [spectrum_of_specutils(axis[i] * u.AA, flux[i] * u.adu) for i in (0, 1)]
    )
    for star, bad, sigma in ((collection, (3,), SIGMA), (several, (), None)):
        first, second = as_segments(star)
        check(first, bad=bad, sigma=sigma)
        check(second, flux=flux[1], wavelength=axis[1], sigma=sigma)


# The same star in all of them


@st.composite
def stars(draw):
    n_pixels = draw(st.integers(2, 30))
    steps = draw(st.lists(st.floats(0.01, 2.0), min_size=n_pixels, max_size=n_pixels))
    flux = draw(st.lists(st.floats(-5.0, 50.0), min_size=n_pixels, max_size=n_pixels))
    sigma = draw(st.lists(st.floats(0.01, 5.0), min_size=n_pixels, max_size=n_pixels))
    mask = draw(st.lists(st.booleans(), min_size=n_pixels, max_size=n_pixels))
    start = draw(st.floats(1000.0, 50_000.0))
    return start + np.cumsum(steps), np.array(flux), np.array(sigma), np.array(mask)


@settings(max_examples=40, deadline=None)
@given(stars(), st.sampled_from(["nm", "um", "THz", "1 / cm", "eV"]), st.integers(0, 3))
def test_one_star_in_all_forms(star, unit, n_padded):
    wavelength, flux, sigma, mask = star
    plain = ObservedSpectrum(wavelength, flux, sigma, mask=mask)
    arrays = {"wavelength": wavelength, "flux": flux, "sigma": sigma, "mask": mask}
    masked = {name: np.ma.masked_array(arrays[name], mask) for name in ("flux", "sigma")}
    axis = (wavelength * u.AA).to(unit, u.spectral())
    quantities = {"wavelength": axis, "flux": flux * DENSITY, "mask": mask}
    quantities["sigma"] = (sigma * DENSITY).to("1e-17 W / (m2 um)")
    in_jansky = {
        name: (arrays[name] * DENSITY).to(u.Jy, u.spectral_density(wavelength * u.AA))
        for name in ("flux", "sigma")
    }
    reverse = {name: values[::-1] for name, values in arrays.items()}
    ends = np.full(n_padded, NAN)
    around = {
        name: np.concatenate([ends, arrays[name], ends]) for name in ("wavelength", "flux")
    } | {
        "sigma": np.concatenate([ends, sigma, ends]),
        "mask": np.concatenate([ends == 0, mask, ends == 0]),
    }
    ragged = {name: [values, values[: len(values) // 2]] for name, values in arrays.items()}
    spectrum = spectrum_object(
        axis, flux * DENSITY, uncertainty=StdDevUncertainty(sigma), mask=mask
    )
    forms = [arrays, Table(arrays), {"wavelength": wavelength, **masked}, quantities, reverse]
    forms += [{**quantities, **in_jansky}, around, ragged, spectrum]
    if "specutils" in sys.modules:
        forms.append(
            spectrum_of_specutils(
                axis, flux * DENSITY, uncertainty=StdDevUncertainty(sigma), mask=mask
            )
        )
    for form in forms:
        segment = as_segments(form)[0]
        inside = slice(n_padded, len(segment.flux) - n_padded) if form is around else slice(None)
        np.testing.assert_array_equal(segment.good[inside], plain.good)
        assert segment.good.sum() == plain.good.sum()
        np.testing.assert_allclose(segment.wavelength[inside], plain.wavelength, rtol=1e-12)
        for name in ("flux", "sigma"):
            np.testing.assert_allclose(
                getattr(segment, name)[inside][plain.good],
                getattr(plain, name)[plain.good],
                rtol=1e-9,
                atol=1e-12,
            )


def test_specutils_is_not_imported():
    import subprocess

    code = (
        "import sys; from skphx.observing import ObservedSpectrum; "
        "from skphx.observing._observed_spectrum import as_segments; "
        "as_segments({'wavelength': [5000., 5001.], 'flux': [1., 2.]}); "
        "print([m for m in ('specutils', 'pandas', 'astropy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
