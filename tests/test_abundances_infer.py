"""Abundances of elements of observed stars, from emulators whose lines have names."""

import numpy as np
import pytest
from named_star_grids import LINE_LIST, WAVELENGTH, nodes, spectra
from numpy.testing import assert_allclose, assert_array_equal

from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import load_npz_grid
from skphx.inference import LineMask, boxes_around, priors_around
from skphx.observing import ForwardModel, ObservedSpectrum
from skphx.species import name_lines, read_vald

RESOLUTION, SIGMA, VELOCITY = 20_000.0, 0.004, 12.0
PIXELS = np.arange(8491.0, 8519.0, 0.1)
# Teff, log g, [Fe/H] between the nodes.
PARAMETERS = np.array([[5420.0, 4.3, -0.3], [5300.0, 4.7, -0.1], [5650.0, 4.4, -0.2]])
CHANGES = {"Ca": 0.2, "Si": -0.25}
ELEMENTS = ("Ca", "Si")
NAMES = ("teff", "logg", "feh", "ca_fe", "si_fe")
TRUTH = np.insert(PARAMETERS, 3, [[0.2], [-0.25]], axis=1)


def observe(parameters, changes=None, *, seed=0, noise=SIGMA, velocity=0.0):
    """Return stars as `infer` takes them, with noise and a sloping continuum."""
    random = np.random.default_rng(seed)
    flux = spectra(parameters, changes)
    empty = ObservedSpectrum(PIXELS, np.ones(len(PIXELS)), resolution=RESOLUTION)
    forward = ForwardModel(WAVELENGTH, empty, max_velocity=abs(velocity) + 1.0)
    seen = forward.observe(flux, velocity=np.full(len(flux), velocity))
    seen = seen * (1.0 + 0.002 * (PIXELS - PIXELS.mean()))
    seen = seen + noise * random.normal(size=seen.shape)
    return [
        {"wavelength": PIXELS, "flux": one, "sigma": noise, "resolution": RESOLUTION}
        for one in seen
    ]


def estimator_of(emulator, **settings):
    given = {"random_state": 0, "n_initial_points": 20, "continuum_degree": 1}
    return StellarParameterEstimator.from_emulator(emulator, **given | settings)


@pytest.fixture(scope="module")
def emulator():
    points = nodes((5200.0, 5500.0, 5800.0), (4.0, 4.5, 5.0), (-0.5, -0.25, 0.0))
    return FluxEmulator(WAVELENGTH, medium="air").fit(points, spectra(points))


@pytest.fixture(scope="module")
def named(emulator):
    return name_lines(emulator, LINE_LIST)


@pytest.fixture(scope="module")
def estimator(named):
    return estimator_of(named)


@pytest.fixture(scope="module")
def stars():
    return observe(PARAMETERS, CHANGES)


@pytest.fixture(scope="module")
def results(estimator, stars):
    return estimator.infer(stars, medium="air", abundances=ELEMENTS)


class TestRecovery:
    def test_abundances_are_recovered(self, results):
        assert results.parameter_names == NAMES
        difference = results.parameters - TRUTH
        assert (np.abs(difference[:, 3:]) < 0.1).all()
        assert (np.abs(difference) < 3.5 * results.errors).all()

    def test_errors_are_finite_and_of_use(self, results):
        assert np.isfinite(results.covariance).all()
        assert (results.errors[:, 3:] < 0.15).all()
        assert (results.errors[:, 3:] > 0.005).all()
        for one in results.covariance:
            assert_allclose(one, one.T)
            assert (np.linalg.eigvalsh(one / np.outer(*[np.sqrt(np.diag(one))] * 2)) > 0).all()
        for one in results:
            assert "degenerate" not in one.flags
            assert "undetermined" not in one.flags

    def test_without_them_the_fit_is_worse(self, estimator, stars, results):
        plain = estimator.infer(stars, medium="air")
        assert plain.parameter_names == NAMES[:3]
        assert (plain.chi2 > results.chi2 + 50.0).all()

    def test_scaled_solar_stars_have_none(self, estimator):
        found = estimator.infer(observe(PARAMETERS), medium="air", abundances=ELEMENTS)
        assert (np.abs(found.parameters[:, 3:]) < 3.0 * found.errors[:, 3:]).all()

    def test_a_moving_star(self, estimator, stars, results):
        (star,) = observe(PARAMETERS[:1], CHANGES, velocity=VELOCITY)
        found = estimator.infer(star, medium="air", abundances=ELEMENTS, velocity=(-30.0, 30.0))
        assert found.parameter_names == (*NAMES, "velocity")
        assert abs(found.parameters[5] - VELOCITY) < 0.3
        assert_allclose(found.parameters[3:5], TRUTH[0, 3:], atol=0.1)

    def test_a_part_of_the_wavelengths(self, estimator, stars):
        kept = (PIXELS > 8500.0) & (PIXELS < 8515.0)
        part = {
            name: value[kept] if isinstance(value, np.ndarray) else value
            for name, value in stars[0].items()
        }
        found = estimator.infer(part, medium="air", abundances=ELEMENTS)
        assert (np.abs(found.parameters - TRUTH[0])[3:] < 3.5 * found.errors[3:]).all()

    def test_a_star_without_errors(self, estimator, stars):
        unknown = {name: stars[0][name] for name in ("wavelength", "flux", "resolution")}
        found = estimator.infer(unknown, medium="air", abundances=ELEMENTS)
        assert (np.abs(found.parameters - TRUTH[0])[3:] < 0.12).all()
        assert np.isfinite(found.covariance).all()

    def test_several_processes_find_the_same(self, named, stars, results):
        two = estimator_of(named, n_jobs=2)
        found = two.infer(stars, medium="air", abundances=ELEMENTS)
        assert_allclose(found.parameters, results.parameters, rtol=1e-6)

    def test_a_mask_of_lines(self, estimator, stars):
        """Without the pixels of silicon, calcium is still found."""
        mask = LineMask(LINE_LIST, "Si I", width=1.0)
        found = estimator.infer(stars[0], medium="air", abundances=ELEMENTS, line_mask=mask)
        assert abs(found.parameters[3] - 0.2) < 3.5 * found.errors[3]
        assert np.isnan(found.parameters[4])
        assert found.flags == ("undetermined",)


class TestModelErrors:
    def test_they_are_part_of_the_errors(self, estimator, stars, results):
        without = estimator.infer(stars, medium="air", abundances=ELEMENTS, model_error=False)
        assert (without.errors[:, 3:] < 0.8 * results.errors[:, 3:]).all()
        assert (np.abs(without.parameters - TRUTH)[:, 3:] < 0.12).all()
        asked = estimator.infer(stars[0], medium="air", abundances=ELEMENTS, model_error=True)
        assert_allclose(asked.errors, results[0].errors, rtol=1e-6)

    @pytest.mark.parametrize("n_stars", [1, 2, 3])
    @pytest.mark.parametrize("model_error", [True, False])
    def test_any_number_of_stars(self, estimator, stars, n_stars, model_error):
        """Results do not depend on the stars beside it."""
        settings = {"medium": "air", "abundances": ELEMENTS, "model_error": model_error}
        priors = {"ca_fe": (np.array([0.1, 0.2, 0.3])[:n_stars], 0.2)}
        together = estimator.infer(stars[:n_stars], priors=priors, **settings)
        last = n_stars - 1
        alone = estimator.infer(
            stars[last], priors={"ca_fe": (priors["ca_fe"][0][last], 0.2)}, **settings
        )
        assert_allclose(together.parameters[last], alone.parameters, rtol=1e-4, atol=1e-4)
        assert_allclose(together.errors[last], alone.errors, rtol=1e-3)
        assert together.flags[last] == alone.flags

    def test_which_are_undetermined_is_said_of_each_star(self, estimator, stars):
        """One star has large errors; its tight prior does not make a measurement of it."""
        poor = [stars[0], {**stars[1], "sigma": 0.5}, stars[2]]
        priors = {"ca_fe": (0.2, np.array([0.3, 0.01, 0.3]))}
        found = estimator.infer(
            poor, medium="air", abundances=ELEMENTS, priors=priors, model_error=False
        )
        is_unknown = np.isnan(found.parameters)
        assert is_unknown[1, 3:].all()
        assert not is_unknown[1, :3].any()
        assert not is_unknown[[0, 2]].any()
        assert ["undetermined" in flags for flags in found.flags] == [False, True, False]


class TestUndetermined:
    @pytest.fixture(scope="class")
    @classmethod
    def found(cls, estimator, stars):
        return estimator.infer(stars, medium="air", abundances=("Ca", "Ba", "Si"))

    def test_the_element_is_nan_with_a_flag(self, found):
        assert found.parameter_names == ("teff", "logg", "feh", "ca_fe", "ba_fe", "si_fe")
        for one in found:
            assert np.isnan(one.parameters[4])
            assert np.isnan(one.covariance[4]).all()
            assert np.isnan(one.covariance[:, 4]).all()
            assert np.isfinite(np.delete(np.delete(one.covariance, 4, 0), 4, 1)).all()
            assert "undetermined" in one.flags
            assert "degenerate" not in one.flags
            assert "at_bound" not in one.flags
            assert one.ok
            assert "undetermined (ba_fe)" in str(one)

    def test_other_parameters_do_not_change(self, found, results):
        others = np.delete(found.parameters, 4, axis=1)
        assert (np.abs(others - results.parameters) < 0.02 * results.errors).all()
        assert_allclose(np.delete(found.errors, 4, axis=1), results.errors, rtol=0.02)
        assert_allclose(found.chi2, results.chi2, rtol=1e-3)

    def test_noise_that_makes_lines_stronger_determines_nothing(self, estimator):
        """Stronger lines have smaller errors: those of scaled-solar abundances decide."""
        priors = {"teff": (5420.0, 30.0), "logg": (4.3, 0.05), "feh": (-0.3, 0.02)}
        settings = {"medium": "air", "abundances": ("Si",), "priors": priors, "model_error": False}
        noisy = estimator.infer(observe(PARAMETERS[[0] * 6], seed=3, noise=0.18), **settings)
        assert np.isnan(noisy.parameters[:, 3]).all()
        better = estimator.infer(observe(PARAMETERS[[0] * 6], seed=3, noise=0.12), **settings)
        assert np.isfinite(better.parameters[:, 3]).all()
        assert (better.errors[:, 3] < 0.3).all()
        assert (np.abs(better.parameters[:, 3]) < 3.0 * better.errors[:, 3]).all()

    def test_without_any_prior(self, estimator, stars):
        """Nothing at all is known of it, and the other parameters are not degenerate."""
        found = estimator.infer(
            stars[0],
            medium="air",
            abundances=("Ca", "Si", "Ba"),
            priors={"ba_fe": (None, None)},
        )
        assert found.flags == ("undetermined",)
        assert np.isnan(found.parameters[5])
        assert np.isfinite(found.errors[:5]).all()

    def test_samples(self, estimator, stars):
        found = estimator.infer(
            stars[0], medium="air", abundances=("Ca", "Ba"), n_samples=200, model_error=False
        )
        assert found.samples.shape == (200, 5)
        assert np.isfinite(found.samples[:, :4]).all()
        assert np.isnan(found.parameters[4])
        assert np.isnan(found.samples[:, 4]).all()
        calcium = found.samples[:, 3]
        assert abs(calcium.mean() - found.parameters[3]) < found.errors[3]
        assert 0.6 < calcium.std() / found.errors[3] < 1.6

    def test_as_a_table(self, found):
        table = found.to_pandas()
        assert {"ca_fe", "ca_fe_error", "ba_fe", "ba_fe_error", "si_fe"} <= set(table)
        assert table["ba_fe"].isna().all()
        assert_array_equal(table["ca_fe"], found.parameters[:, 3])
        assert table["flags"].str.contains("undetermined").all()
        assert found.to_table()["ca_fe"].unit == "dex"


class TestBoundsAndPriors:
    def infer(self, estimator, star, elements=ELEMENTS, **settings):
        return estimator.infer(star, medium="air", abundances=elements, **settings)

    def test_bounds_by_name(self, estimator, stars):
        found = self.infer(
            estimator, stars[0], bounds={"ca_fe": (-0.4, 0.05), "teff": (5300, 5600)}
        )
        assert found.parameters[3] == pytest.approx(0.05)
        assert found.at_bound == ("ca_fe",)
        found = self.infer(estimator, stars[:2], bounds={"ca_fe": ([-0.6, 0.0], [0.1, None])})
        assert found.parameters[0, 3] == pytest.approx(0.1)
        assert abs(found.parameters[1, 3] - 0.2) < 0.1

    def test_an_abundance_may_be_held(self, estimator, stars, results):
        found = self.infer(estimator, stars[0], bounds={"ca_fe": (0.2, 0.2)})
        assert found.parameters[3] == 0.2
        assert found.errors[3] == 0.0
        assert "undetermined" not in found.flags
        assert found.errors[2] < results[0].errors[2]

    def test_bounds_beyond_the_limits(self, estimator, stars):
        with pytest.warns(UserWarning, match=r"ca_fe from \[-1, 0.5\] to \[-0.6, 0.5\]"):
            self.infer(estimator, stars[0], bounds={"ca_fe": (-1.0, 0.5)})

    @pytest.mark.parametrize("several", [False, True])
    def test_arrays_of_bounds_are_of_the_grid_or_of_all(self, estimator, stars, results, several):
        own = np.array([[5300.0, 5600.0], [np.nan, np.nan], [-0.4, np.nan]])
        everything = np.append(own, [[np.nan, np.nan], [np.nan, 0.1]], axis=0)
        if several:
            own, everything = np.stack([own]), np.stack([everything])
        given = stars[:1] if several else stars[0]
        same = self.infer(estimator, given, bounds=own)
        assert_allclose(np.ravel(same.parameters), results[0].parameters, rtol=1e-4, atol=1e-3)
        cut = self.infer(estimator, given, bounds=everything)
        assert np.ravel(cut.parameters)[3] > 0.1
        assert np.ravel(cut.parameters)[4] < 0.1

    def test_arrays_of_another_shape(self, estimator, stars):
        with pytest.raises(ValueError, match=r"bounds must have shape \(5, 2\).*ca_fe, si_fe"):
            self.infer(estimator, stars[0], bounds=np.zeros((4, 2)))

    def test_boxes_and_priors_around_known_values(self, estimator, stars):
        boxes = boxes_around(PARAMETERS, {"teff": 300.0, "logg": 0.4})
        priors = priors_around(PARAMETERS, {"teff": 20.0})
        found = self.infer(estimator, stars, bounds=boxes, priors=priors)
        assert (np.abs(found.parameters - TRUTH)[:, 3:] < 3.5 * found.errors[:, 3:]).all()
        assert (found.errors[:, 0] < 20.0).all()

    def test_bounds_of_the_constructor(self, named, stars):
        narrow = estimator_of(named, bounds={"teff": (5500.0, 5600.0)})
        found = self.infer(narrow, stars[0])
        assert found.parameters[0] == pytest.approx(5500.0)
        array = estimator_of(named, bounds=[[5500.0, 5600.0], [4.0, 5.0], [-0.5, 0.0]])
        assert_allclose(self.infer(array, stars[0]).parameters, found.parameters, rtol=1e-6)

    def test_priors_by_name(self, estimator, stars, results):
        low = self.infer(estimator, stars[0], priors={"ca_fe": (0.0, 0.08)})
        assert low.parameters[3] < results[0].parameters[3] - 0.005
        assert low.errors[3] < results[0].errors[3]
        own = self.infer(estimator, stars[0], priors={"logg": (4.3, 0.02)})
        assert own.errors[1] < 0.02

    def test_the_usual_prior(self, estimator, stars, results):
        """0 ± 0.3 dex, unless the user says otherwise."""
        usual = self.infer(estimator, stars[0], priors={"ca_fe": (0.0, 0.3), "si_fe": (0.0, 0.3)})
        assert_allclose(usual.parameters, results[0].parameters, rtol=1e-6)
        none = self.infer(estimator, stars[0], priors={"ca_fe": (None, None)})
        assert none.parameters[3] > results[0].parameters[3]
        assert none.errors[3] > results[0].errors[3]
        array = np.full((3, 2), np.nan)
        same = self.infer(estimator, stars[0], priors=array)
        assert_allclose(same.parameters, results[0].parameters, rtol=1e-6)

    def test_names_that_are_not_inferred(self, estimator, stars):
        with pytest.raises(ValueError, match="bounds names 'ti_fe', but the parameters are"):
            self.infer(estimator, stars[0], bounds={"ti_fe": (0.0, 0.1)})
        with pytest.raises(ValueError, match="priors names 'ca_fe', but the parameters are"):
            estimator.infer(stars[0], medium="air", priors={"ca_fe": (0.0, 0.1)})


class TestCalls:
    def test_no_stars(self, estimator):
        none = estimator.infer([], medium="air", abundances=ELEMENTS)
        assert none.parameter_names == NAMES
        assert none.parameters.shape == (0, 5)

    def test_no_elements(self, estimator, stars):
        found = estimator.infer(stars[0], medium="air", abundances=[])
        assert found.parameter_names == NAMES[:3]

    def test_the_order_is_that_of_the_call(self, estimator, stars, results):
        found = estimator.infer(stars[0], medium="air", abundances=("Si", "Ca"))
        assert found.parameter_names == ("teff", "logg", "feh", "si_fe", "ca_fe")
        assert_allclose(found.parameters[[0, 1, 2, 4, 3]], results[0].parameters, rtol=1e-3)

    def test_emulators_without_names(self, emulator, stars):
        message = "lines have names.*name them with skphx.species.name_lines.*from_emulator"
        with pytest.raises(ValueError, match=message):
            estimator_of(emulator).infer(stars[0], medium="air", abundances=("Ca",))

    def test_the_estimator_is_not_changed(self, estimator, named, results):
        assert estimator.emulator_.estimator is named
        assert estimator.emulator_.grid_.parameter_names == NAMES[:3]
        assert named.grid_.n_parameters == 3


class TestEmulatorWithAbundances:
    """An emulator with abundances is one like any other."""

    @pytest.fixture(scope="class")
    @classmethod
    def ordinary(cls, named):
        return estimator_of(named.with_abundances(ELEMENTS))

    def test_infer(self, ordinary, stars, results):
        found = ordinary.infer(
            stars, medium="air", priors={"ca_fe": (0.0, 0.3), "si_fe": (0.0, 0.3)}
        )
        assert found.parameter_names == NAMES
        assert_allclose(found.parameters, results.parameters, rtol=1e-3, atol=2e-3)
        assert_allclose(found.errors, results.errors, rtol=0.02)

    def test_predict(self, ordinary):
        random = np.random.default_rng(5)
        flux = spectra(PARAMETERS, CHANGES)
        flux = flux + 0.003 * random.normal(size=flux.shape)
        found = ordinary.predict(flux, sigma=0.003)
        assert found.shape == (3, 5)
        assert (np.abs(found - TRUTH)[:, 3:] < 0.08).all()
        held = ordinary.predict(flux, bounds={"ca_fe": (0.1, 0.1)})
        assert_allclose(held[:, 3], 0.1)

    def test_compile(self, ordinary, stars):
        compiled = ordinary.compile(
            resolution=RESOLUTION,
            n_between=0,
            n_tests=4,
            bounds={"ca_fe": (0.0, 0.4), "si_fe": (-0.4, 0.0)},
        )
        assert compiled.emulator_.compile_rms_ < 2e-3
        found = compiled.infer(stars[0], medium="air")
        assert found.parameter_names == NAMES
        assert (np.abs(found.parameters - TRUTH[0])[3:] < 0.12).all()

    def test_others_need_the_named_one(self, ordinary, stars):
        with pytest.raises(ValueError, match="abundances need an emulator whose lines have names"):
            ordinary.infer(stars[0], medium="air", abundances=("Ti",))


def test_a_grid_of_alpha_elements_and_microturbulence():
    """Where a grid has [alpha/Fe], abundances of alpha elements are relative to it."""
    names = ("teff", "logg", "feh", "alpha")
    points = nodes((5300.0, 5700.0), (4.5,), (-0.25,))
    alpha = {"Ca": 0.3, "Si": 0.3, "Ti": 0.3, "O": 0.3}
    parameters = np.concatenate([np.insert(points, 3, value, axis=1) for value in (0.0, 0.3)])
    flux = np.concatenate([spectra(points), spectra(points, alpha)])
    emulator = FluxEmulator(WAVELENGTH, medium="air", parameter_names=names)
    named = name_lines(emulator.fit(parameters, flux), LINE_LIST)
    star = np.array([5300.0, 4.5, -0.25])
    for value in (0.0, 0.3):
        exact = spectra(star, {one: value for one in alpha} | {"Si": value + 0.2})
        before = spectra(star, dict.fromkeys(alpha, value))
        change = named.with_abundances(["Si"]).predict([[*star, value, 0.2]]) - named.predict(
            [[*star, value]]
        )
        assert np.linalg.norm(change - (exact - before)) < 0.2 * np.linalg.norm(exact - before)


@pytest.fixture(scope="module")
def real(shared_data):
    """Named emulator of a few nodes of a real grid, and spectra of one of them with changes."""
    paths = [shared_data / name for name in ("vald_rvs.txt.gz", "atlas9_rvs_abundances.npz")]
    for path in paths:
        if not path.is_file():
            pytest.skip(f"needs {path.name}, and {path} does not exist")
    grid = load_npz_grid(shared_data / "atlas9_rvs_grid.npz", medium="air")
    kept = np.ones(len(grid.parameters), dtype=bool)
    for column, values in enumerate([(5750.0, 6000.0), (4.5, 5.0), (0.0, 0.5)]):
        kept &= np.isin(grid.parameters[:, column], values)
    emulator = FluxEmulator(grid.wavelength, medium="air", interpolation="linear")
    emulator.fit(grid.parameters[kept], grid.spectra[kept])
    data = np.load(paths[1])
    rows = data["one_teff"] == 5750
    flux = data["one_flux"][rows] / 1e6
    changes = list(zip(data["one_element"][rows], data["one_delta"][rows], strict=True))
    star = [data[name][rows][0] for name in ("one_teff", "one_logg", "one_feh")]
    return name_lines(emulator, read_vald(paths[0])), star, changes, flux


@pytest.mark.shared_data
@pytest.mark.parametrize("element", ["Ca", "Si", "Ti", "Ni"])
def test_derivatives_of_real_spectra(real, element):
    """Beside spectra that MOOG computed with 0.2 dex more and less of an element."""
    named, star, changes, flux = real
    assert_allclose(named.predict([star])[0], flux[0], atol=1e-3)
    low, high = (flux[changes.index((element, change))] for change in (-0.2, 0.2))
    exact = (high - low) / 0.4
    found = named.with_abundances([element]).jacobian([[*star, 0.0]])[0, :, 3]
    assert np.corrcoef(found, exact)[0, 1] > 0.95
    assert 0.8 < found @ exact / (exact @ exact) < 1.25
