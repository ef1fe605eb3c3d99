"""grid_from_arrays takes tables, Quantities and spectra of other packages, or says why not."""

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.nddata import NDDataArray, StdDevUncertainty
from astropy.table import QTable, Table
from astropy.utils.masked import Masked
from hypothesis import given, settings
from hypothesis import strategies as st

from skphx import FluxEmulator, make_stellar_estimator
from skphx.datasets import grid_from_arrays, make_stellar_grid

WAVELENGTH = np.linspace(5000.0, 5010.0, 5)
SPECTRA = np.array([[0.5, 0.6, 0.7, 0.8, 0.9], [1.0, 0.9, 0.8, 0.7, 0.6]])
PARAMETERS = np.array([[5000.0, 4.5, 0.0], [6000.0, 4.0, -0.5]])
NAMES = ("teff", "logg", "feh")
PER_ANGSTROM = u.Unit("erg/(s cm2 AA)")
PER_CM = u.Unit("erg/(s cm2 cm)")


def grid_of(spectra=SPECTRA, parameters=PARAMETERS, wavelength=WAVELENGTH, **changes):
    return grid_from_arrays(spectra, parameters, wavelength, **({"medium": "vacuum"} | changes))


# Spectra with units --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda unit: SPECTRA * unit,
        lambda unit: [flux * unit for flux in SPECTRA],
        lambda unit: [SPECTRA[0] * unit, (SPECTRA[1] * unit).to(1e3 * unit)],
        lambda unit: Masked(SPECTRA * unit, mask=False),
    ],
)
def test_unit_of_the_spectra_is_kept(make):
    grid = grid_of(make(PER_ANGSTROM))
    assert u.Unit(grid.units["spectra"]) == PER_ANGSTROM
    assert type(grid.spectra) is np.ndarray
    np.testing.assert_allclose(grid.spectra, SPECTRA)


@pytest.mark.parametrize("unit", ["W/(m2 um)", "1e-17 erg/(s cm2 AA)", "adu", "electron/s", "ct"])
def test_units_that_are_kept(unit):
    for grid in (grid_of(SPECTRA * u.Unit(unit)), grid_of(flux_unit=unit)):
        np.testing.assert_array_equal(grid.spectra, SPECTRA)
        assert u.Unit(grid.units["spectra"]) == u.Unit(unit)


def test_flux_unit_beside_a_unit():
    grid = grid_of(SPECTRA * PER_ANGSTROM, flux_unit="erg / (cm2 s cm)")
    np.testing.assert_allclose(grid.spectra, SPECTRA * 1e8)
    assert grid.units["spectra"] == "erg / (cm2 s cm)"
    with pytest.raises(
        ValueError, match=r"flux of spectra has the unit erg.* cannot be converted to adu"
    ):
        grid_of(SPECTRA * PER_ANGSTROM, flux_unit="adu")
    np.testing.assert_array_equal(grid_of(SPECTRA * u.Unit("")).spectra, SPECTRA)
    np.testing.assert_allclose(grid_of(50 * SPECTRA * u.percent).spectra, SPECTRA / 2)
    assert grid_of(flux_unit="normalized").units["spectra"] == "normalized"


@pytest.mark.parametrize("unit", ["Jy", "W/(m2 Hz)", "ph/(s cm2 AA)", "ph/(s cm2 Hz)"])
@pytest.mark.parametrize("how", ["Quantity", "flux_unit", "both"])
def test_flux_that_is_not_per_wavelength_is_converted(unit, how):
    spectra = SPECTRA if how == "flux_unit" else SPECTRA * u.Unit(unit)
    grid = grid_of(spectra, flux_unit=None if how == "Quantity" else unit)
    density = u.spectral_density(WAVELENGTH * u.AA)
    np.testing.assert_allclose(grid.spectra, (SPECTRA * u.Unit(unit)).to_value(PER_CM, density))
    assert u.Unit(grid.units["spectra"]) == PER_CM


@pytest.mark.parametrize(
    ("spectra", "message"),
    [
        (SPECTRA * u.W / u.m**2, "not flux per unit of wavelength or frequency; convert it"),
        (SPECTRA * u.K, "not flux per unit of wavelength"),
        (SPECTRA * u.AA, "not flux per unit of wavelength"),
        (SPECTRA * u.ABmag, "a logarithmic unit; convert it to flux"),
        (SPECTRA * u.mag, "a logarithmic unit; convert it to flux"),
        (
            [SPECTRA[0] * u.Jy, SPECTRA[1]],
            "some elements of spectra have a unit",
        ),
        ([SPECTRA[0] * u.Jy, SPECTRA[1] * u.K], "spectra cannot be converted to one unit"),
    ],
)
def test_units_that_are_refused(spectra, message):
    with pytest.raises(ValueError, match=message):
        grid_of(spectra)


# Masks and bad pixels ------------------------------------------------------------------------

MASK = np.zeros(SPECTRA.shape, dtype=bool)
MASK[1, 3] = True


@pytest.mark.parametrize(
    "spectra",
    [
        np.ma.array(SPECTRA, mask=MASK),
        [SPECTRA[0], np.ma.array(SPECTRA[1], mask=MASK[1])],
        Masked(SPECTRA * PER_ANGSTROM, mask=MASK),
        NDDataArray(SPECTRA, mask=MASK),
    ],
)
def test_masked_pixels_are_refused(spectra):
    with pytest.raises(ValueError, match=r"1 of its 10 pixels are masked, the first is \[1, 3\]"):
        grid_of(spectra)


def test_masked_parameters_and_wavelengths():
    with pytest.raises(ValueError, match=r"parameters must hold numbers .* first is \[1, 0\]"):
        grid_of(parameters=np.ma.masked_greater(PARAMETERS, 5500))
    table = Table(np.ma.masked_greater(PARAMETERS, 5500), names=NAMES)
    with pytest.raises(ValueError, match=r"parameters\['teff'\] must hold numbers everywhere"):
        grid_of(parameters=table)
    with pytest.raises(ValueError, match=r"wavelength must hold numbers.*remove these pixels"):
        grid_of(wavelength=np.ma.masked_greater(WAVELENGTH, 5009))
    unmasked = grid_of(np.ma.array(SPECTRA), np.ma.array(PARAMETERS), np.ma.array(WAVELENGTH))
    for name in ("spectra", "parameters", "wavelength"):
        assert type(unmasked[name]) is np.ndarray


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "not finite"), (np.inf, "not finite"), (-0.1, "negative")]
)
def test_bad_pixels_are_named(value, message):
    bad = SPECTRA.copy()
    bad[1, 3] = value
    with pytest.raises(
        ValueError, match=rf"spectrum 1 of grid\.spectra: 1 of 5.*{message}.*pixel 3"
    ):
        grid_of(bad)
    with pytest.raises(ValueError, match=r"spectrum 0 .*its flux is zero everywhere"):
        grid_of(SPECTRA * [[0.0], [1.0]])
    with pytest.raises(ValueError, match="parameters must be finite"):
        grid_of(parameters=PARAMETERS * np.nan)


def test_types_of_numbers():
    whole = grid_of(np.array([[1, 2, 3, 4, 5]] * 2))
    assert whole.spectra.dtype == np.float64
    for kind, kept in ((">f8", "f8"), (">f4", "f4"), ("f4", "f4"), ("f2", "f8")):
        assert grid_of(SPECTRA.astype(kind)).spectra.dtype == np.dtype(kept)
    with pytest.raises(ValueError, match="all spectra with the same pixels"):
        grid_of([[1.0, 2.0], [1.0]])
    with pytest.raises(ValueError, match="must hold numbers, got dtypes"):
        grid_of(SPECTRA.astype(str))


# Parameters ----------------------------------------------------------------------------------

ORDER = ["feh", "teff", "logg"]


def tables(values=PARAMETERS, names=NAMES):
    """The same parameters in tables whose columns have another order."""
    frame = pd.DataFrame(values, columns=list(names))
    frame = frame[[name for name in [*ORDER, *names[3:]] if name in frame]]
    return {
        "DataFrame": frame,
        "Table": Table.from_pandas(frame),
        "QTable": QTable.from_pandas(frame, units={"teff": "K"}),
        "structured array": frame.to_records(index=False),
        "dict": dict(frame),
        "list of dicts": frame.to_dict("records"),
    }


@pytest.mark.parametrize("kind", tables())
def test_columns_are_found_by_name(kind):
    grid = grid_of(parameters=tables()[kind])
    np.testing.assert_array_equal(grid.parameters, PARAMETERS)
    assert grid.parameter_names == NAMES
    more = np.column_stack([PARAMETERS, [0.2, 0.4]])
    table = tables(more, (*NAMES, "alpha"))[kind]
    with pytest.raises(ValueError, match="alpha, and the parameters are teff, logg, feh; rename"):
        grid_of(parameters=table)
    grid = grid_of(parameters=table, parameter_names=("alpha", *NAMES))
    np.testing.assert_array_equal(grid.parameters, more[:, [3, 0, 1, 2]])
    other = tables(more, (*NAMES, "alpha"))[kind]
    with pytest.raises(ValueError, match=r"alpha, and the parameters are teff, logg, feh, xi;"):
        grid_of(parameters=other, parameter_names=(*NAMES, "xi"))


def test_labels_that_are_no_names():
    np.testing.assert_array_equal(
        grid_of(parameters=pd.DataFrame(PARAMETERS)).parameters, PARAMETERS
    )


def test_columns_with_units():
    parameters = {
        "teff": [5.0, 6.0] * u.kK,
        "logg": [4.5, 2.0] * u.dex(u.m / u.s**2),
        "feh": [0.0, -0.5] * u.dex,
        "xi": [1000.0, 2000.0] * u.m / u.s,
    }
    grid = grid_of(parameters=parameters, parameter_names=(*NAMES, "xi"))
    np.testing.assert_allclose(grid.parameters, [[5000, 6.5, 0, 1], [6000, 4.0, -0.5, 2]])
    assert grid.units["xi"] == "km / s"
    assert grid.units["teff"] == "K"
    gravity = parameters | {"logg": [100.0, 1000.0] * u.m / u.s**2}
    grid = grid_of(parameters=gravity, parameter_names=(*NAMES, "xi"))
    np.testing.assert_allclose(grid.parameters[:, 1], [4.0, 5.0])
    for name, value in (("teff", [1, 2] * u.AA), ("logg", [1, 2] * u.K), ("feh", [1, 2] * u.K)):
        with pytest.raises(ValueError, match=f"{name}.* must be in .* got"):
            grid_of(parameters=parameters | {name: value}, parameter_names=(*NAMES, "xi"))
    with pytest.raises(ValueError, match="parameters has the unit K, which would be lost"):
        grid_of(parameters=PARAMETERS * u.K)


# Wavelengths ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wavelength",
    [
        WAVELENGTH * u.AA,
        (WAVELENGTH * u.AA).to(u.um),
        list(WAVELENGTH * u.AA),
        QTable({"w": (WAVELENGTH * u.AA).to(u.nm)})["w"],
        Table({"w": (WAVELENGTH * u.AA).to(u.nm)})["w"],
        Table({"w": WAVELENGTH})["w"],
        pd.Series(WAVELENGTH),
    ],
)
def test_wavelengths(wavelength):
    np.testing.assert_allclose(grid_of(wavelength=wavelength).wavelength, WAVELENGTH, rtol=1e-14)


@pytest.mark.parametrize("names", [None, "teff", (1, 2, 3), 3])
def test_names_of_parameters_that_are_none(names):
    with pytest.raises(ValueError, match="parameter_names must be a list of names, such as"):
        grid_of(np.ones((2, 4)), [[5000, 4, 0], [6000, 4, 0]], parameter_names=names)


def test_wavelengths_that_are_refused():
    with pytest.raises(ValueError, match="wavelength must have a unit of length, got K"):
        grid_of(wavelength=WAVELENGTH * u.K)
    for unit in (u.um, u.km, u.fm):
        with pytest.raises(ValueError, match=rf"its unit {unit}, which is no light of stars"):
            grid_of(wavelength=WAVELENGTH * unit)
    # Plain numbers may be any axis.
    np.testing.assert_array_equal(grid_of(wavelength=[1, 2, 3, 4, 5]).wavelength, np.arange(1, 6))
    with pytest.raises(ValueError, match="wavelength must be given"):
        grid_of(wavelength=None)


# Objects of specutils and astropy --------------------------------------------------------------


def test_nddata():
    data = NDDataArray(SPECTRA, unit=PER_ANGSTROM, uncertainty=StdDevUncertainty(SPECTRA / 100))
    rows = [NDDataArray(flux, unit=PER_ANGSTROM) for flux in SPECTRA]
    for grid in (grid_of(data), grid_of(rows)):
        np.testing.assert_array_equal(grid.spectra, SPECTRA)
        assert u.Unit(grid.units["spectra"]) == PER_ANGSTROM
    assert grid_of(NDDataArray(SPECTRA)).units["spectra"] is None


class TestSpecutils:
    @pytest.fixture(autouse=True)
    def specutils(self):
        return pytest.importorskip("specutils")

    def spectrum(self, specutils, flux, axis=WAVELENGTH * u.AA, unit=PER_ANGSTROM, **more):
        return specutils.Spectrum(flux=flux * unit, spectral_axis=axis, **more)

    def test_lists(self, specutils):
        spectra = [self.spectrum(specutils, flux) for flux in SPECTRA]
        for several in (spectra, specutils.SpectrumList(spectra)):
            for wavelength in (None, WAVELENGTH):
                grid = grid_of(several, wavelength=wavelength)
                np.testing.assert_array_equal(grid.spectra, SPECTRA)
                np.testing.assert_allclose(grid.wavelength, WAVELENGTH)
                assert u.Unit(grid.units["spectra"]) == PER_ANGSTROM
        with pytest.raises(ValueError, match=r"differs from the axis of the spectra.*leave wave"):
            grid_of(spectra, wavelength=WAVELENGTH + 1)

    def test_one_object(self, specutils):
        grid = grid_of(self.spectrum(specutils, SPECTRA), wavelength=None)
        np.testing.assert_array_equal(grid.spectra, SPECTRA)
        axes = np.array([WAVELENGTH, WAVELENGTH]) * u.AA
        collection = specutils.SpectrumCollection(flux=SPECTRA * PER_ANGSTROM, spectral_axis=axes)
        np.testing.assert_array_equal(grid_of(collection, wavelength=None).spectra, SPECTRA)

    def test_frequencies(self, specutils):
        axis = (WAVELENGTH * u.AA).to(u.THz, u.spectral())
        spectra = [self.spectrum(specutils, flux, axis, u.Jy) for flux in SPECTRA]
        grid = grid_of(spectra, wavelength=None)
        np.testing.assert_allclose(grid.wavelength, WAVELENGTH)
        density = u.spectral_density(WAVELENGTH * u.AA)
        np.testing.assert_allclose(grid.spectra, (SPECTRA * u.Jy).to_value(PER_CM, density))

    def test_what_is_refused(self, specutils):
        mask = np.arange(5) == 2
        for spectra, message in (
            ([self.spectrum(specutils, SPECTRA[0], mask=mask)], "spectrum 0 of spectra must hold"),
            (
                [
                    self.spectrum(specutils, SPECTRA[0]),
                    self.spectrum(specutils, SPECTRA[1], (WAVELENGTH + 1) * u.AA),
                ],
                "spectrum 1 of spectra has other wavelengths than the first one; resample",
            ),
            ([self.spectrum(specutils, SPECTRA[0]), SPECTRA[1]], "is a ndarray, unlike others"),
            (
                [
                    self.spectrum(specutils, SPECTRA[0]),
                    self.spectrum(specutils, SPECTRA[1][:4], WAVELENGTH[:4] * u.AA),
                ],
                "spectrum 1 of spectra has other pixels",
            ),
        ):
            with pytest.raises(ValueError, match=message):
                grid_of(spectra, wavelength=None)


# Any grid, given in any way --------------------------------------------------------------------


@given(
    flux=st.lists(st.floats(1e-3, 1e3), min_size=8, max_size=8),
    unit=st.sampled_from([PER_ANGSTROM, PER_CM, u.Unit("W/(m2 nm)"), u.Unit("mW/(m2 um)")]),
    length=st.sampled_from([u.AA, u.nm, u.um, u.m]),
    frequency=st.booleans(),
    kind=st.sampled_from(sorted(tables())),
)
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_same_grid_in_any_form(flux, unit, length, frequency, kind):
    wavelength = WAVELENGTH[:4]
    spectra = np.reshape(flux, (2, 4)) * PER_CM
    given = spectra.to(unit)
    if frequency:
        given = spectra.to(u.mJy, u.spectral_density(wavelength * u.AA))
    grid = grid_of(given, tables()[kind], (wavelength * u.AA).to(length), flux_unit=PER_CM)
    np.testing.assert_allclose(grid.spectra, spectra.value, rtol=1e-12)
    np.testing.assert_allclose(grid.wavelength, wavelength, rtol=1e-14)
    np.testing.assert_array_equal(grid.parameters, PARAMETERS)
    assert u.Unit(grid.units["spectra"]) == PER_CM


def test_a_grid_of_objects_can_be_fitted():
    made = make_stellar_grid(
        teff=[5.0, 6.0] * u.kK, logg=(4.0, 4.5), feh=(0.0,), wavelength=(500 * u.nm, 5050 * u.AA),
        n_pixels=200,
    )  # fmt: skip
    assert made.parameters[-1].tolist() == [6000.0, 4.5, 0.0]
    np.testing.assert_allclose(made.wavelength[[0, -1]], [5000.0, 5050.0])
    frame = pd.DataFrame(made.parameters, columns=NAMES)[ORDER]
    grid = grid_of(made.spectra * PER_CM, frame, made.wavelength * u.AA)
    estimator = make_stellar_estimator(grid, lines=False, random_state=0)
    found = estimator.fit(grid.spectra, grid.parameters).predict(grid.spectra[-1:])
    np.testing.assert_allclose(found, [[6000.0, 4.5, 0.0]], atol=0.1)
    part = FluxEmulator(grid.wavelength * u.AA).fit(
        grid.parameters, grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    )
    assert part.select(wavelength=(501 * u.nm, 5020 * u.AA)).wavelength_[0] >= 5010.0
