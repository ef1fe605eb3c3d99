"""What infer takes and returns: lists of stars, results of many, kept settings, bounds."""

import pickle
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.table import Table
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Bunch

from skphx import (
    FluxEmulator,
    StellarParameterEstimator,
    load_model,
    make_stellar_estimator,
    save_model,
)
from skphx.inference import InferenceResult, ObservationModel, boxes_around, compare_emulators
from skphx.inspection import PosteriorDisplay, ResidualDisplay
from skphx.observing import ObservedSpectrum

NAN = np.nan
NAMES = ("teff", "logg", "feh")
FREE = {"velocity": (-40.0, 40.0)}


@pytest.fixture(scope="module")
def flux_emulator(grid):
    return FluxEmulator(grid.wavelength).fit(grid.parameters, grid.normalised)


@pytest.fixture(scope="module")
def estimator(flux_emulator):
    return StellarParameterEstimator.from_emulator(
        flux_emulator, n_initial_points=12, n_starts=1, random_state=0, continuum_degree=1
    )


@pytest.fixture(scope="module")
def stars(grid):
    """Four stars at nodes; the third one has fewer pixels."""
    parts = [slice(20, -20), slice(20, -20), slice(40, -60), slice(20, -20)]
    noise = 0.003 * np.random.default_rng(0).normal(size=grid.normalised.shape)
    return [
        {
            "wavelength": grid.wavelength[part],
            "flux": (grid.normalised + noise)[node, part],
            "sigma": 0.003,
        }
        for node, part in zip((1, 4, 6, 10), parts, strict=True)
    ]


@pytest.fixture(scope="module")
def one(estimator, stars):
    return estimator.infer(stars[0], **FREE)


@pytest.fixture(scope="module")
def many(estimator, stars):
    return estimator.infer(stars, **FREE)


def same(ours, theirs, name="result"):
    """Compare all that two results hold."""
    if isinstance(ours, InferenceResult):
        for field in vars(ours):
            same(getattr(ours, field), getattr(theirs, field), field)
    elif isinstance(ours, list | tuple):
        assert type(ours) is type(theirs), name
        for one, other in zip(ours, theirs, strict=True):
            same(one, other, name)
    elif isinstance(ours, np.ndarray | float):
        assert np.shape(ours) == np.shape(theirs), name
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-9)
    else:
        assert ours == theirs, name
    return True


class TestResult:
    def test_one_star_has_its_values_and_a_list_has_one_more_axis(self, one, many, stars):
        assert type(one) is type(many) is InferenceResult
        n_stars, n_parameters = len(stars), 4
        assert one.shape == ()
        assert many.shape == (n_stars,)
        assert one.parameter_names == many.parameter_names == (*NAMES, "velocity")
        for name, shape in {
            "parameters": (n_parameters,),
            "errors": (n_parameters,),
            "covariance": (n_parameters, n_parameters),
            "emulator_covariance": (n_parameters, n_parameters),
            "chi2": (),
            "reduced_chi2": (),
            "n_pixels": (),
            "n_free": (),
            "n_evaluations": (),
            "n_shared_evaluations": (),
            "sigma_known": (),
            "log_evidence": (),
            "ok": (),
        }.items():
            assert np.shape(getattr(one, name)) == shape, name
            assert getattr(many, name).shape == (n_stars, *shape), name
        assert isinstance(one.chi2, float)
        assert isinstance(one.reduced_chi2, float)
        assert isinstance(one.ok, bool)
        assert many.n_pixels.dtype.kind == "i"
        assert many.ok.dtype == bool
        assert many.n_pixels[2] < many.n_pixels[1]
        # What differs in length from star to star is in tuples.
        assert isinstance(many.flags, tuple)
        assert [len(part[0]) for part in many.model] == [len(star["flux"]) for star in stars]

    def test_stars_of_a_list_are_as_they_are_alone(self, estimator, one, many, stars):
        assert same(many[0], one)
        assert same(many[-1], estimator.infer(stars[-1], **FREE))
        np.testing.assert_array_equal([single.parameters for single in many], many.parameters)
        np.testing.assert_array_equal(many.errors[2], many[2].errors)
        assert many.reduced_chi2[2] == many[2].reduced_chi2

    def test_a_program_for_many_stars_runs_for_one(self, estimator, one, many, stars):
        assert len(one) == 1
        assert [single is one for single in one] == [True]
        assert one[0] is one[-1] is one
        with pytest.raises(IndexError):
            one[1]
        listed = estimator.infer(stars[:1], **FREE)
        assert listed.shape == (1,)
        assert same(listed[0], one)
        assert same(one[:], listed)
        assert same(one[[True]], listed)
        for result in (one, listed, many):
            assert len(result.to_pandas()) == len(result.to_table()) == len(result)
            assert sum(1 for _ in result) == len(result)

    def test_indices_are_those_of_an_array(self, many):
        wanted = np.array([2, 0])
        for index, rows in (
            (slice(1, 3), [1, 2]),
            (slice(None, None, -1), [3, 2, 1, 0]),
            (wanted, wanted),
            ([2, 0], wanted),
            (np.array([True, False, False, True]), [0, 3]),
            ([], []),
            (np.int64(1), 1),
        ):
            taken = many[index]
            np.testing.assert_array_equal(taken.parameters, many.parameters[rows])
            assert taken.shape == np.shape(rows)
        assert many[[2, 0]].model == (many.model[2], many.model[0])
        assert many[1:3].parameter_names == many.parameter_names
        assert many[many.ok].ok.all()
        with pytest.raises(IndexError, match="index 4 is out of bounds"):
            many[4]
        with pytest.raises(IndexError, match="stars have one axis"):
            many[[[0, 1]]]

    def test_names_are_columns(self, one, many):
        np.testing.assert_array_equal(many["logg"], many.parameters[:, 1])
        np.testing.assert_array_equal(many["velocity_error"], many.errors[:, 3])
        np.testing.assert_array_equal(many["ok"], many.ok)
        assert one["teff"] == one.parameters[0]
        assert isinstance(one["teff"], float)
        with pytest.raises(KeyError, match="no column 'mass'; there are teff, teff_error, "):
            many["mass"]

    def test_tables(self, one, many):
        frame, table = many.to_pandas(), many.to_table()
        columns = [part for name in many.parameter_names for part in (name, f"{name}_error")]
        columns += ["chi2", "reduced_chi2", "n_pixels", "ok", "flags"]
        assert list(frame.columns) == table.colnames == list(many.as_dict()) == columns
        np.testing.assert_array_equal(frame["feh_error"], many.errors[:, 2])
        np.testing.assert_array_equal(frame["reduced_chi2"], many.reduced_chi2)
        assert frame["ok"].dtype == bool
        assert list(frame["flags"]) == [" ".join(flags) for flags in many.flags]
        assert table["teff"].unit == table["teff_error"].unit == u.K
        assert table["logg"].unit == u.dex(u.cm / u.s**2)
        assert table["logg_error"].unit == u.dex
        assert table["velocity"].unit == u.km / u.s
        row = one.as_dict()
        assert list(row) == columns
        assert type(row["teff"]) is float
        assert type(row["n_pixels"]) is int
        assert type(row["ok"]) is bool
        assert pd.DataFrame([row]).equals(one.to_pandas())

    def test_without_pandas_it_says_so(self, many, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(ImportError, match=r"pip install pandas, or use to_table\(\)"):
            many.to_pandas()
        assert len(many.to_table()) == 4

    def test_texts(self, one, many):
        assert repr(one).startswith("<InferenceResult teff=")
        lines = repr(many).splitlines()
        assert lines[0] == "<InferenceResult of 4 stars>"
        assert lines[1].split() == ["star", *many.parameter_names, "chi²/n", "flags"]
        assert len(lines) == 6
        assert f"{many.parameters[3, 0]:.5g} ± {many.errors[3, 0]:.2g}" in lines[5]
        long = repr(many[np.zeros(50, dtype=int)]).splitlines()
        assert len(long) == 2 + 10 + 1 + 10
        assert "…" in long[12]
        assert long[-1].split()[0] == "49"
        # The meaning of the flags stands below the table.
        flagged = InferenceResult(**{**vars(many), "flags": ((), ("at_bound",), (), ())})
        assert str(flagged).splitlines()[-1].startswith("at_bound: a parameter is at a bound")
        assert list(flagged.ok) == [True, False, True, True]

    @pytest.mark.parametrize("copy", [lambda r, _: pickle.loads(pickle.dumps(r)), "joblib"])
    def test_files(self, one, many, tmp_path, copy):
        for result in (one, many):
            if copy == "joblib":
                joblib.dump(result, tmp_path / "result.joblib")
                again = joblib.load(tmp_path / "result.joblib")
            else:
                again = copy(result, None)
            assert np.array_equal(again.parameters, result.parameters)
            assert again.flags == result.flags
            assert again.shape == result.shape
            assert repr(again) == repr(result)

    def test_in_arrays_of_objects_a_result_is_one_thing(self, one, many):
        assert np.asarray(one).shape == ()
        array = np.array([one, one])
        assert array.shape == (2,)
        assert array[1] is one
        assert np.asarray(many).shape == (4,)
        assert len(pd.Series([one, one])) == 2

    def test_no_star_is_a_result_of_none(self, estimator):
        nothing = estimator.infer([], **FREE)
        assert len(nothing) == 0
        assert list(nothing) == []
        assert nothing.parameters.shape == (0, 4)
        assert nothing.covariance.shape == (0, 4, 4)
        assert nothing.flags == ()
        assert nothing.ok.shape == (0,)
        assert list(nothing.to_pandas().columns)[:2] == ["teff", "teff_error"]
        assert len(nothing.to_table()) == 0
        assert repr(nothing) == "<InferenceResult of 0 stars>"
        assert estimator.infer({}).shape == (0,)

    def test_samples(self, estimator, stars):
        pytest.importorskip("emcee")
        many = estimator.infer(stars[:2], n_samples=30)
        assert many.samples.shape == (2, 30, 3)
        assert many[1].samples.shape == (30, 3)
        assert estimator.infer(stars[0]).samples is None
        assert estimator.infer(stars[:2]).samples is None

    def test_pictures_are_of_one_star(self, estimator, many, stars):
        wavelength = stars[0]["wavelength"]
        listed = estimator.infer(stars[:1], **FREE)
        display = ResidualDisplay.from_result(listed, wavelength)
        np.testing.assert_allclose(display.predicted, many.model[0][0])
        assert PosteriorDisplay.from_result(listed).parameter_names == many.parameter_names
        for draw in (
            lambda: ResidualDisplay.from_result(many, wavelength),
            lambda: PosteriorDisplay.from_result(many),
        ):
            with pytest.raises(ValueError, match=r"of one star, got a result of 4 stars; choose"):
                draw()


class TestStars:
    def test_all_kinds_of_lists(self, estimator, many, stars):
        array = np.empty(4, dtype=object)
        array[:] = stars
        by_name = dict(zip("abcd", stars, strict=True))
        for kind in (
            tuple(stars),
            iter(stars),
            (star for star in stars),
            array,
            pd.Series(stars),
            by_name,
            by_name.values(),
            [[star] for star in stars],
        ):
            result = estimator.infer(kind, **FREE)
            np.testing.assert_array_equal(result.parameters, many.parameters)
        assert estimator.infer(by_name).name == tuple("abcd")

    def test_one_star_is_one_star(self, estimator, one, stars):
        star = stars[0]
        flux = np.asarray(star["flux"])
        spectrum = ObservedSpectrum(star["wavelength"], flux, sigma=0.003)
        for kind in (spectrum, Bunch(**star), pd.Series(star)):
            result = estimator.infer(kind, **FREE)
            assert result.shape == ()
            np.testing.assert_array_equal(result.parameters, one.parameters)
        for wrong in (flux, "star.fits", None, 5.0, {"flux": flux}, {"a": flux, "b": flux}):
            with pytest.raises((TypeError, ValueError), match=r"wavelength|star"):
                estimator.infer(wrong, **FREE)

    def test_names(self, estimator, stars):
        named = {**stars[0], "facts": {"object": "HD 1"}}
        one = estimator.infer(named)
        assert one.name == "HD 1"
        assert repr(one).startswith("<InferenceResult HD 1: teff=")
        assert str(one).startswith("HD 1\n")
        assert next(iter(one.as_dict())) == "name"
        several = estimator.infer([[named, stars[0]], stars[1]])
        assert several.name == ("HD 1", None)
        assert list(several.to_pandas()["name"]) == ["HD 1", ""]
        assert several[0].name == "HD 1"
        assert several[1].name is None
        assert repr(several).splitlines()[2].split()[:2] == ["HD", "1"]

    def test_segments_are_not_stars(self, estimator, stars):
        star = stars[0]
        parts = [{name: star[name][part] for name in ("wavelength", "flux")} | {"sigma": 0.003}
                 for part in (slice(0, 200), slice(160, None))]  # fmt: skip
        for flat in (parts, tuple(parts), iter(parts), dict(zip("br", parts, strict=True))):
            with pytest.raises(ValueError, match="a list is a list of stars") as caught:
                estimator.infer(flat, **FREE)
            assert "infer([[blue, red]]) for one star" in str(caught.value)
            assert "infer([[blue], [red]]) for two stars" in str(caught.value)
            assert "spectra 0 and 1 of this list hardly overlap (8501 to 8510.98 Å" in str(
                caught.value
            )
        together = estimator.infer([parts], **FREE)
        assert together.shape == (1,)
        assert len(together.model[0]) == 2
        apart = estimator.infer([[part] for part in parts], **FREE)
        assert apart.shape == (2,)
        assert (apart.errors[:, 0] > together.errors[0, 0]).all()
        # With a list in it, the list is one of stars.
        assert len(estimator.infer([[parts[0]], parts[1]])) == 2

    def test_every_pair_counts(self, estimator, grid, stars):
        def part(low, high):
            inside = (grid.wavelength >= low) & (grid.wavelength <= high)
            return {
                "wavelength": grid.wavelength[inside],
                "flux": grid.normalised[4, inside],
                "sigma": 0.01,
            }

        whole, narrow = part(8501, 8519), part(8509, 8512)
        # All overlap by half of the narrower one or more.
        chain = [part(8501, 8511), part(8505, 8515), whole, narrow]
        assert len(estimator.infer(chain)) == 4
        with pytest.raises(ValueError, match="spectra 0 and 4 of this list"):
            estimator.infer([*chain, part(8509, 8519)])
        # With names, lists of segments are stars, too.
        assert len(estimator.infer({"a": [part(8501, 8509)], "b": [part(8511, 8519)]})) == 2

    def test_an_error_names_its_star(self, estimator, stars):
        wrong = {**stars[1], "sigma": 0.003 * np.ones(7)}
        with pytest.raises(ValueError, match="sigma must have one element") as caught:
            estimator.infer([stars[0], wrong])
        assert caught.value.__notes__ == ["in star 1"]
        far = {**stars[1], "wavelength": stars[1]["wavelength"] + 100.0}
        with pytest.raises(
            ValueError, match=r"reaches from 8500 to 8520 Å and .* 8600.98"
        ) as caught:
            estimator.infer([[stars[0]], [far]])
        assert caught.value.__notes__ == ["in star 1"]


class TestObservationModel:
    KEPT = ObservationModel(velocity=(-40.0, 40.0), continuum_degree=2)

    @pytest.fixture
    def keeping(self, estimator):
        return (
            clone(estimator).set_params(observation_model=self.KEPT).fit(*self.training(estimator))
        )

    def training(self, estimator):
        grid = estimator.emulator_.grid_
        return estimator.emulator_.predict(grid.nodes), grid.nodes

    def test_an_object_is_the_same_as_keywords(self, estimator, keeping, stars):
        by_keywords = estimator.infer(stars[0], velocity=(-40.0, 40.0), continuum_degree=2)
        assert same(keeping.infer(stars[0]), by_keywords)
        assert same(estimator.infer(stars[0], observation_model=self.KEPT), by_keywords)
        # An object of the call replaces the kept one.
        plain = keeping.infer(stars[0], observation_model=ObservationModel())
        assert plain.parameter_names == NAMES
        assert same(plain, estimator.infer(stars[0]))

    def test_keywords_replace_single_values(self, keeping, estimator, stars):
        # An explicit 0 counts, and so does None.
        held = keeping.infer(stars[0], velocity=0.0)
        assert same(held, estimator.infer(stars[0], continuum_degree=2))
        assert keeping.infer(stars[0], vsini=(0.0, 20.0)).parameter_names == (
            *NAMES,
            "velocity",
            "vsini",
        )
        assert keeping.infer(stars[0]).n_free == 4 + 3
        assert keeping.infer(stars[0], continuum_degree=None).n_free == 4
        sharp = clone(keeping).set_params(observation_model=ObservationModel(resolution=3000.0))
        sharp.fit(*self.training(estimator))
        assert same(sharp.infer(stars[0], resolution=None), estimator.infer(stars[0]))
        assert sharp.infer(stars[0]).chi2 > 1.1 * estimator.infer(stars[0]).chi2

    def test_the_degree_of_the_constructor_is_the_default(self, estimator, stars):
        model = ObservationModel(vsini=3.0)
        assert model.continuum_degree == "default"
        for degree in (0, 2):
            settings = {**estimator.get_params(deep=False), "continuum_degree": degree}
            emulator = settings.pop("emulator")
            other = StellarParameterEstimator.from_emulator(emulator, **settings)
            assert other.infer(stars[0], observation_model=model).n_free == 3 + degree + 1
            assert other.infer(stars[0], continuum_degree="default").n_free == 3 + degree + 1

    @pytest.mark.parametrize(
        ("settings", "error", "message"),
        [
            (
                {"observation_model": KEPT, "velocity": 0.0, "medium": None},
                ValueError,
                "give either observation_model or velocity, medium, not both",
            ),
            ({"observation_model": {"velocity": 1.0}}, TypeError, "ObservationModel .*got dict"),
            ({"medium": "water"}, ValueError, "medium must be 'air', 'vacuum' or None, got 'wat"),
        ],
    )
    def test_wrong_settings_are_named(self, estimator, stars, settings, error, message):
        with pytest.raises(error, match=message):
            estimator.infer(stars[0], **settings)

    def test_a_kept_model_must_be_one(self, estimator):
        wrong = clone(estimator).set_params(observation_model="slow")
        with pytest.raises(TypeError, match=r"must be an ObservationModel .*got str; write"):
            wrong.fit(*self.training(estimator))

    def test_it_is_a_parameter_of_scikit_learn(self, keeping, estimator):
        assert keeping.get_params()["observation_model"] == self.KEPT
        assert clone(keeping).observation_model == self.KEPT
        assert "observation_model=ObservationModel(" in repr(keeping)
        others = [None, ObservationModel(vsini=3.0)]
        spectra, parameters = self.training(estimator)
        search = GridSearchCV(
            clone(keeping), {"observation_model": others}, cv=KFold(2), scoring="r2"
        )
        search.set_params(estimator__emulator=clone(keeping.emulator))
        search.fit(spectra, parameters)
        assert search.best_params_["observation_model"] in others

    def test_it_is_saved_with_the_model(self, keeping, stars, tmp_path):
        expected = keeping.infer(stars[0])
        joblib.dump(keeping, tmp_path / "model.joblib")
        by_joblib = joblib.load(tmp_path / "model.joblib")
        by_skops = load_model(save_model(tmp_path / "model.skops", keeping))
        for again in (by_joblib, by_skops):
            assert again.observation_model == self.KEPT
            assert same(again.infer(stars[0]), expected)
        survey = keeping.compile(wavelength=(8500.5, 8519.5))
        assert survey.observation_model == self.KEPT
        assert survey.infer(stars[0]).parameter_names == (*NAMES, "velocity")

    def test_make_stellar_estimator_takes_it(self, grid):
        for settings in ({"lines": False}, {}, {"configuration": "paper"}):
            made = make_stellar_estimator(grid, observation_model=self.KEPT, **settings)
            assert made.observation_model is self.KEPT

    def test_emulators_are_compared_with_it(self, keeping, stars):
        choice = compare_emulators({"a": keeping}, stars[0], velocity=(-20.0, 20.0))
        assert choice.result.parameter_names == (*NAMES, "velocity")


class TestBounds:
    CUT = (
        r"bounds go beyond the grid and are cut: teff from \[5100, 7000\] to \[5100, 6000\]; "
        r"feh from \[-1, nan\] to \[-0.5, 0\]"
    )

    def test_bounds_by_name(self, estimator, stars, grid):
        by_array = estimator.infer(stars, bounds=[[5200, 5800], [NAN, NAN], [NAN, -0.1]])
        by_name = estimator.infer(stars, bounds={"teff": (5200, 5800), "feh": (None, -0.1)})
        np.testing.assert_array_equal(by_name.parameters, by_array.parameters)
        low = np.array([5000.0, 5400.0, 5400.0, 5700.0])
        bounds = {"teff": (low, low + 200.0)}
        for found in (
            estimator.infer(stars, bounds=bounds).parameters,
            estimator.predict(grid.normalised[:4], bounds=bounds),
        ):
            assert ((found[:, 0] >= low) & (found[:, 0] <= low + 200.0)).all()
        kept = StellarParameterEstimator.from_emulator(
            estimator.emulator_, bounds={"teff": (5200, 5400)}, n_initial_points=5, random_state=0
        )
        assert (kept.predict(grid.normalised)[:, 0] <= 5400).all()
        in_kk = estimator.infer(stars[0], bounds={"teff": (5.2, 5.8) * u.kK, "feh": (None, -0.1)})
        np.testing.assert_allclose(in_kk.parameters, by_array.parameters[0], atol=1e-6)

    @pytest.mark.parametrize(
        ("bounds", "message"),
        [
            ({"mass": (1, 2)}, r"bounds names 'mass', but the parameters are \('teff', 'logg'"),
            ({"velocity": (1, 2)}, r"write infer\(stars, velocity=\(low, high\)\)"),
            ({"teff": 5000}, r"bounds\['teff'\] must be \(low, high\), got 5000"),
            ({"teff": (5000, 5500, 6000)}, r"bounds\['teff'\] must be \(low, high\)"),
            ({"teff": ([1, 2, 3], 4)}, r"arrays of shape \(1,\), got shape \(3,\)"),
            ({"teff": (1, 2) * u.km}, r"bounds\['teff'\] must be in K, got km; convert it"),
            ({"teff": (7000, 8000)}, r"teff in \[7000, 8000\] lies outside the grid"),
        ],
    )
    def test_wrong_bounds_are_named(self, estimator, stars, bounds, message):
        with pytest.raises(ValueError, match=message):
            estimator.infer(stars[0], bounds=bounds)

    def test_priors_of_predict_have_names_and_units(self, estimator, grid):
        spectra = grid.normalised[:2]
        by_array = [[5100.0, 50.0], [NAN, NAN], [NAN, NAN]]
        expected = estimator.predict(spectra, priors=by_array, sigma=0.01)
        for priors in (
            {"teff": (5100.0, 50.0)},
            {"teff": ([5.1, 5.1] * u.kK, 50 * u.K)},
        ):
            found = estimator.predict(spectra, priors=priors, sigma=0.01)
            np.testing.assert_allclose(found, expected, rtol=1e-6)
        star = {"wavelength": grid.wavelength[20:-20], "flux": spectra[0, 20:-20], "sigma": 0.01}
        fast, slow = (
            estimator.infer(star, velocity=(-5, 5), priors={"velocity": pair, "logg": logg})
            for pair, logg in (
                ((1.0, 0.01), (4.1, 0.2)),
                ((1000, 10) * u.m / u.s, (4.1 * u.dex(u.cm / u.s**2), 0.2 * u.dex)),
            )
        )
        np.testing.assert_allclose(slow.parameters, fast.parameters, rtol=1e-8)
        assert fast.parameters[3] == pytest.approx(1.0, abs=0.1)

    def test_cut_bounds_are_told_once(self, estimator, stars, grid):
        bounds = {"teff": (5100, 7000), "feh": (-1, None)}
        for call in (
            lambda: estimator.infer(stars, bounds=bounds),
            lambda: estimator.predict(grid.normalised[:3], bounds=bounds),
        ):
            with pytest.warns(UserWarning, match=self.CUT) as caught:
                call()
            assert len(caught) == 1
            assert caught[0].filename == __file__
        boxes = np.full((3, 3, 2), NAN)
        boxes[1:, 0] = [5200, 6500]
        with pytest.warns(
            UserWarning,
            match=r"teff of spectrum 1 \(and of 1 more\) from \[5200, 6500\] to \[5200, 6000\]",
        ) as caught:
            estimator.predict(grid.normalised[:3], bounds=boxes)
        assert len(caught) == 1

    def test_bounds_of_the_constructor_are_told_when_it_is_fitted(self, estimator, grid):
        settings = {"bounds": {"teff": (5100, 7000)}, "n_initial_points": 4, "random_state": 0}
        with pytest.warns(UserWarning, match=r"teff from \[5100, 7000\] to \[5100, 6000\]"):
            kept = StellarParameterEstimator.from_emulator(estimator.emulator_, **settings)
        with pytest.warns(UserWarning, match=r"teff from \[5100, 7000\] to \[5100, 6000\]"):
            clone(kept).fit(grid.normalised, grid.parameters)
        # It has been said: neither predict nor compile says it again.
        kept.predict(grid.normalised[:1])
        kept.compile()
        with pytest.warns(UserWarning, match=r"teff from \[4000, 5500\] to \[5000, 5500\]"):
            kept.compile(bounds={"teff": (4000, 5500)})

    def test_what_nobody_asked_for_is_not_told(self, estimator, stars, grid):
        around = boxes_around(grid.parameters[:3], {"teff": 400.0, "feh": 0.4})
        assert (around[0, 0] == [4600.0, 5400.0]).all()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            estimator.predict(grid.normalised[:3], bounds=around)
            estimator.predict(grid.normalised[1:2], bounds=around[[1]])
            estimator.infer(stars[:3], bounds=around)
            limits = estimator.emulator_.grid_.bounds
            estimator.infer(stars[:3], bounds=limits)
            estimator.infer(stars[:3], bounds=limits + [[-1e-7, 1e-7], [0, 0], [0, 0]])
            estimator.infer(stars[:3], bounds={"teff": (5100, np.inf)})
            estimator.infer(stars[:3], bounds={"logg": (None, NAN)})

    def test_a_mapping_is_metadata(self, estimator, grid):
        from sklearn import config_context

        with config_context(enable_metadata_routing=True):
            pipeline = make_pipeline(FunctionTransformer(), estimator)
            found = pipeline.predict(grid.normalised, bounds={"teff": (5000, 5200)})
        assert found[:, 0].max() <= 5200


def test_a_table_of_results_is_read_again(many, tmp_path):
    many.to_table().write(tmp_path / "results.ecsv")
    again = Table.read(tmp_path / "results.ecsv")
    np.testing.assert_array_equal(again["teff"], many["teff"])
    assert again["velocity"].unit == u.km / u.s
