"""What users do with the estimators together."""

import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
from detected import detected_cloner
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import Bunch

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
    make_stellar_estimator,
)
from skphx.datasets import make_stellar_grid
from skphx.inference import boxes_around, priors_around
from skphx.metrics import flux_rms
from skphx.model_selection import Coarsen, LeavePlaneOut
from skphx.paper import GaussianProcessSearch, PaperEmulator

pytestmark = pytest.mark.slow


def make_pipeline_of_four(wavelength, cloner=None):
    return make_pipeline(
        BlackbodyDivider(wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(wavelength, degree=1),
        VoigtCloner(wavelength, target_rms=None, max_iter=10) if cloner is None else cloner,
    )


def quick_cloner(grid, **settings):
    settings = {"target_rms": None, "max_iter": 5, "n_seeds": 3, **settings}
    return VoigtCloner(grid.wavelength, **settings)


def detecting_cloner(grid, **settings):
    return detected_cloner(grid.wavelength, target_rms=None, n_epochs=5, **settings)


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


class TestPipelineOfTheFourTransformers:
    def test_there_and_back(self, grid, routing):
        teff = grid.parameters[:, 0]
        pipeline = make_pipeline_of_four(grid.wavelength)
        lines = pipeline.fit_transform(grid.spectra, teff=teff)
        assert lines.shape == (12, 4 * pipeline[-1].n_lines_)
        np.testing.assert_allclose(pipeline.transform(grid.spectra, teff=teff), lines)
        np.testing.assert_allclose(
            clone(pipeline).fit(grid.spectra, teff=teff).transform(grid.spectra, teff=teff), lines
        )
        flux = pipeline.inverse_transform(lines, teff=teff)
        # Absolute flux again, up to what the clones leave.
        level = grid.spectra.max(axis=1, keepdims=True)
        assert (abs(flux - grid.spectra) / level).max() < 0.02
        # Each spectrum had its own teff: swapped ones are another flux.
        swapped = pipeline.inverse_transform(lines, teff=teff[::-1])
        assert (abs(swapped - grid.spectra) / level).max() > 0.1

    def test_other_spectra_come_back_with_their_own_scale_and_continuum(
        self, grid, held_out, routing
    ):
        pipeline = make_pipeline_of_four(grid.wavelength)
        pipeline.fit(grid.spectra, teff=grid.parameters[:, 0])
        teff = held_out.parameters[:, 0]
        lines = pipeline.transform(held_out.raw, teff=teff)
        divided = pipeline[0].transform(held_out.raw, teff=teff)
        scale = pipeline[1].measure_scale(divided)
        continuum = pipeline[2].measure_continuum(pipeline[1].transform(divided))
        flux = pipeline.inverse_transform(lines, teff=teff, scale=scale, continuum=continuum)
        level = held_out.raw.max(axis=1, keepdims=True)
        assert (abs(flux - held_out.raw) / level).max() < 0.02

    def test_teff_that_is_not_passed_is_asked_for(self, grid, routing):
        pipeline = make_pipeline_of_four(grid.wavelength)
        with pytest.raises(ValueError, match="BlackbodyDivider needs teff"):
            pipeline.fit(grid.spectra)

    def test_pandas_output_names_lines(self, grid, routing):
        teff = grid.parameters[:, 0]
        pipeline = make_pipeline_of_four(grid.wavelength).set_output(transform="pandas")
        frame = pipeline.fit_transform(grid.spectra, teff=teff)
        assert isinstance(frame, pd.DataFrame)
        assert list(frame.columns) == list(pipeline[-1].get_feature_names_out())
        normalised = pipeline[:-1].transform(grid.spectra, teff=teff)
        assert isinstance(normalised, pd.DataFrame)
        assert normalised.shape == grid.spectra.shape


class TestCrossValidation:
    def test_emulator_on_planes_left_out(self, grid):
        emulator = LineManifoldRegressor(quick_cloner(grid), smoothness=0)
        splitter = LeavePlaneOut("teff", parameter_names=emulator.parameter_names)
        scores = cross_val_score(emulator, grid.parameters, grid.normalised, cv=splitter)
        assert scores.shape == (1,)
        assert 0.9 < scores[0] < 1.0
        # The same, by hand.
        plane = grid.parameters[:, 0] == 5500
        by_hand = clone(emulator).fit(grid.parameters[~plane], grid.normalised[~plane])
        assert scores[0] == pytest.approx(
            by_hand.score(grid.parameters[plane], grid.normalised[plane])
        )
        errors = cross_val_score(
            emulator,
            grid.parameters,
            grid.normalised,
            cv=Coarsen(),
            scoring=make_scorer(flux_rms, greater_is_better=False),
        )
        assert -0.03 < errors[0] < 0

    def test_emulator_of_raw_spectra_is_tuned(self, grid):
        emulator = LineManifoldRegressor(make_pipeline_of_four(grid.wavelength))
        search = GridSearchCV(
            emulator,
            {
                "cloner__voigtcloner__prominence": [0.02, 0.9],
                "interpolation": ["linear", "auto"],
                "flux": [None],
                "smoothness": [0],
            },
            cv=LeavePlaneOut("teff", parameter_names=emulator.parameter_names),
            error_score="raise",
        ).fit(grid.parameters, grid.spectra)
        # A prominence of 0.9 sees no line.
        assert search.best_params_["cloner__voigtcloner__prominence"] == 0.02
        scores = search.cv_results_["mean_test_score"]
        assert scores.max() > 0.8 > scores.min()
        assert search.predict(grid.parameters[:1]).shape == (1, 400)

    def test_estimator_on_planes_left_out(self, grid):
        estimator = StellarParameterEstimator(
            LineManifoldRegressor(quick_cloner(grid), smoothness=0),
            n_initial_points=15,
            random_state=0,
            n_starts=1,
        )
        splitter = LeavePlaneOut(0, parameters_in="y")
        errors = cross_val_score(
            estimator,
            grid.normalised,
            grid.parameters,
            cv=splitter,
            scoring="neg_mean_absolute_error",
        )
        assert errors.shape == (1,)
        # Mean over K and dex: below a third of the plane's distance to its neighbours.
        assert -500 / 3 < errors[0] < 0

    def test_estimator_is_tuned(self, grid):
        estimator = StellarParameterEstimator(
            LineManifoldRegressor(quick_cloner(grid), smoothness=0),
            n_initial_points=4,
            random_state=0,
            n_starts=1,
        )
        search = GridSearchCV(
            estimator,
            {"search": [GaussianProcessSearch(4, 4), "gauss-newton"]},
            cv=LeavePlaneOut(0, parameters_in="y"),
            # In node spacings: a mean over kelvin and dex would be kelvin alone.
            scoring=lambda fitted, X, y: -np.mean(abs(fitted.predict(X) - y) / [500.0, 0.5, 0.5]),
            error_score="raise",
        ).fit(grid.normalised, grid.parameters)
        assert search.best_params_ == {"search": "gauss-newton"}
        assert search.best_estimator_.emulator_.lines_.shape[0] == 12


@pytest.fixture(scope="module")
def noisy():
    """Raw noisy spectra of the nodes of a grid, and those of a star between them."""
    settings = {"wavelength": (8500.0, 8530.0), "n_pixels": 500, "n_lines": 20, "random_state": 4}
    nodes = make_stellar_grid(
        teff=(4800, 5200, 5600, 6000), logg=(4.0, 4.4, 4.8), feh=(-0.4, 0.0), **settings
    )
    truth = np.array([[5000.0, 4.2, -0.2], [5700.0, 4.6, -0.1], [5400.0, 4.3, -0.3]])
    stars = make_stellar_grid(parameters=truth, noise=0.005, **settings)
    noise = np.random.default_rng(0).normal(size=nodes.spectra.shape)
    nodes.spectra = nodes.spectra + 0.005 * nodes.spectra.max(axis=1, keepdims=True) * noise
    return Bunch(nodes=nodes, truth=truth, spectra=stars.spectra)


class TestEstimatorOfFlux:
    """Defaults of all classes, on spectra with noise."""

    @pytest.fixture
    def estimator(self, noisy):
        wavelength = noisy.nodes.wavelength
        normalizer = make_pipeline(
            BlackbodyDivider(wavelength),
            PercentileNormalizer(),
            ContinuumNormalizer(wavelength, degree=1),
        )
        emulator = FluxEmulator(wavelength, normalizer)
        return StellarParameterEstimator(emulator, random_state=0)

    # In node spacings: a mean over kelvin and dex would be kelvin alone.
    @staticmethod
    def score(fitted, X, y):
        return -np.mean(abs(fitted.predict(X) - y) / [400.0, 0.4, 0.4])

    def test_all_settings_have_defaults(self):
        estimator = StellarParameterEstimator(FluxEmulator())
        assert repr(estimator) == "StellarParameterEstimator(emulator=FluxEmulator())"

    def test_planes_left_out(self, estimator, noisy):
        planes = LeavePlaneOut(0, parameters_in="y")
        nodes = noisy.nodes
        scores = cross_val_score(
            estimator, nodes.spectra, nodes.parameters, cv=planes, scoring=self.score
        )
        assert scores.shape == (2,)
        assert ((scores > -0.3) & (scores < 0)).all()

    def test_tuned(self, estimator, noisy):
        nodes = noisy.nodes
        x = np.linspace(-1.0, 1.0, 500)
        # Spectra whose continuum is not the grid's: only a polynomial of their degree helps.
        bent = nodes.spectra * (1.0 + 0.2 * x**2)
        bent[nodes.parameters[:, 0] < 5500] *= 1.0 - 0.2 * x
        search = GridSearchCV(
            estimator,
            {"continuum_degree": [0, 3], "emulator__interpolation": ["linear", "auto"]},
            cv=LeavePlaneOut(0, parameters_in="y"),
            scoring=self.score,
            error_score="raise",
        ).fit(bent, nodes.parameters)
        assert search.best_params_["continuum_degree"] == 3
        scores = search.cv_results_["mean_test_score"]
        assert np.isfinite(scores).all()
        assert len(np.unique(scores)) == 4
        chosen = search.best_params_["emulator__interpolation"]
        fitted = search.best_estimator_.emulator_
        assert (chosen == "linear") == (fitted.interpolation_ == "linear")
        assert search.predict(noisy.spectra).shape == (3, 3)

    def test_clones_give_the_same(self, estimator, noisy):
        nodes = noisy.nodes
        found = estimator.fit(nodes.spectra, nodes.parameters).predict(noisy.spectra)
        np.testing.assert_allclose(found[:, 0], noisy.truth[:, 0], atol=150.0)
        copy = clone(estimator)
        assert not hasattr(copy, "emulator_")
        again = copy.fit(nodes.spectra, nodes.parameters).predict(noisy.spectra)
        np.testing.assert_array_equal(again, found)

    def test_the_same_in_a_new_process(self, estimator, noisy, tmp_path):
        estimator.fit(noisy.nodes.spectra, noisy.nodes.parameters)
        found = TestFiles().predict_in_new_process(tmp_path, estimator, noisy.spectra)
        np.testing.assert_allclose(found, estimator.predict(noisy.spectra), rtol=1e-12)

    def test_inside_a_pipeline_with_metadata(self, estimator, noisy, routing):
        pipeline = make_pipeline(FunctionTransformer(lambda flux: 2.0 * flux), estimator)
        pipeline.fit(noisy.nodes.spectra, noisy.nodes.parameters)
        known = {
            "sigma": 0.01 * noisy.spectra.max(axis=1),
            "bounds": boxes_around(noisy.truth, {"teff": 50.0}),
            "priors": priors_around(noisy.truth, {"logg": 1e-3}),
        }
        found = pipeline.predict(noisy.spectra, **known)
        assert (abs(found[:, 0] - noisy.truth[:, 0]) <= 50.0 + 1e-9).all()
        assert (abs(found[:, 1] - noisy.truth[:, 1]) < 5e-3).all()
        alone = pipeline[-1].predict(2.0 * noisy.spectra, **known)
        np.testing.assert_array_equal(found, alone)


class TestFiles:
    def predict_in_new_process(self, tmp_path, model, argument):
        joblib.dump((model, argument), tmp_path / "model.joblib")
        code = (
            "import sys, joblib, numpy as np\n"
            "model, argument = joblib.load(sys.argv[1])\n"
            "np.save(sys.argv[2], model.predict(argument))\n"
        )
        arguments = [str(tmp_path / "model.joblib"), str(tmp_path / "flux.npy")]
        result = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True
        )
        assert result.returncode == 0, result.stderr
        return np.load(tmp_path / "flux.npy")

    def test_emulator_predicts_the_same_in_a_new_process(
        self, tmp_path, fitted_emulator, held_out
    ):
        flux = self.predict_in_new_process(tmp_path, fitted_emulator, held_out.parameters)
        np.testing.assert_array_equal(flux, fitted_emulator.predict(held_out.parameters))

    def test_estimator_infers_the_same_in_a_new_process(self, tmp_path, emulator, held_out):
        estimator = StellarParameterEstimator(emulator, n_initial_points=10, random_state=0).fit(
            held_out.nodes, held_out.node_parameters
        )
        found = self.predict_in_new_process(tmp_path, estimator, held_out.spectra)
        np.testing.assert_array_equal(found, estimator.predict(held_out.spectra))

    def test_raw_chain_predicts_the_same_in_a_new_process(self, tmp_path, grid):
        cloner = make_pipeline_of_four(grid.wavelength, detecting_cloner(grid))
        emulator = PaperEmulator(cloner, missing="fade").fit(grid.parameters, grid.spectra)
        flux = self.predict_in_new_process(tmp_path, emulator, grid.parameters[:2])
        np.testing.assert_array_equal(flux, emulator.predict(grid.parameters[:2]))

    def test_files_hold_little_more_than_the_arrays(self, tmp_path, fitted_emulator):
        path = tmp_path / "emulator.joblib"
        joblib.dump(fitted_emulator, path)
        arrays = [
            fitted_emulator.manifold_.coefficients,
            fitted_emulator.flux_.low_rank_.components,
            fitted_emulator._line_cloner().seed_spectra_,
            fitted_emulator._line_cloner().seed_lines_,
        ]
        assert path.stat().st_size < sum(array.nbytes for array in arrays) + 60_000

    def test_memory_maps_serve_as_well(self, tmp_path, fitted_emulator, held_out):
        path = tmp_path / "emulator.joblib"
        joblib.dump(fitted_emulator, path)
        mapped = joblib.load(path, mmap_mode="r")
        assert isinstance(mapped.manifold_.coefficients, np.memmap)
        assert isinstance(mapped.flux_.low_rank_.components, np.memmap)
        np.testing.assert_array_equal(
            mapped.predict(held_out.parameters), fitted_emulator.predict(held_out.parameters)
        )


def make_all(wavelength=(5000.0, 6000.0)):
    wavelength = np.linspace(*wavelength, 100)
    chain = make_stellar_estimator(wavelength, n_jobs=2, memory="folder")
    steps = [step for _, step in chain.emulator.cloner.steps]
    flux = make_stellar_estimator(wavelength, lines=False).emulator
    paper = make_stellar_estimator(wavelength, "paper", n_jobs=2, memory="folder")
    of_the_paper = [paper.emulator.cloner[-1], paper.emulator, paper.search, paper]
    return [*steps, flux, chain.emulator, chain, *of_the_paper]


@pytest.mark.parametrize("estimator", make_all(), ids=lambda each: type(each).__name__)
class TestEveryEstimator:
    def test_clone_has_equal_parameters_and_no_state(self, estimator):
        copy = clone(estimator)
        assert copy is not estimator
        assert repr(copy) == repr(estimator)
        mine, its = estimator.get_params(), copy.get_params()
        assert mine.keys() == its.keys()
        assert not [name for name in vars(copy) if name.endswith("_")]

    def test_html_names_the_estimator(self, estimator):
        html = estimator._repr_html_()
        assert type(estimator).__name__ in html
        assert html.startswith("<style>")

    def test_parameters_are_set_by_name(self, estimator):
        for name, value in estimator.get_params(deep=False).items():
            estimator.set_params(**{name: value})
        with pytest.raises(ValueError, match="Invalid parameter 'colour'"):
            estimator.set_params(colour="red")


class TestFrozenEmulator:
    def test_is_not_fitted_again(self, fitted_emulator, held_out, no_fits):
        no_fits()
        estimator = StellarParameterEstimator(
            FrozenEstimator(fitted_emulator), n_initial_points=10, random_state=0
        )
        estimator.fit(held_out.nodes, held_out.node_parameters)
        assert estimator.emulator_.estimator is fitted_emulator
        found = estimator.predict(held_out.spectra)
        np.testing.assert_allclose(found[:, 0], held_out.parameters[:, 0], atol=200.0)

    def test_survives_cloning(self, emulator, fitted_emulator, held_out):
        estimator = clone(
            StellarParameterEstimator(emulator, n_initial_points=5, random_state=0)
        ).fit(held_out.nodes, held_out.node_parameters)
        assert estimator.emulator_.estimator is fitted_emulator


class TestBoxes:
    @pytest.fixture
    def estimator(self, emulator, held_out):
        return StellarParameterEstimator(emulator, n_initial_points=10, random_state=0).fit(
            held_out.nodes, held_out.node_parameters
        )

    def test_travel_through_a_pipeline(self, estimator, held_out, routing):
        boxes = boxes_around(held_out.parameters, {"teff": 100.0, "logg": 0.2})
        pipeline = Pipeline(
            [("scale", FunctionTransformer(lambda flux: flux / 2)), ("infer", estimator)]
        )
        pipeline.fit(2 * held_out.nodes, held_out.node_parameters)
        found = pipeline.predict(2 * held_out.spectra, bounds=boxes)
        np.testing.assert_array_equal(found, estimator.predict(held_out.spectra, bounds=boxes))
        assert (abs(found[:, 0] - held_out.parameters[:, 0]) <= 100.0 + 1e-9).all()
        # They narrow the answer: away from the truth they keep it away.
        away = boxes_around(held_out.parameters + [200.0, 0, 0], {"teff": 50.0})
        elsewhere = pipeline.predict(2 * held_out.spectra, bounds=away)
        assert (elsewhere[:, 0] >= held_out.parameters[:, 0] + 150.0 - 1e-9).all()

    def test_are_on_the_request_by_default(self, estimator):
        from sklearn.utils.metadata_routing import get_routing_for_object

        assert get_routing_for_object(estimator).consumes("predict", ["bounds"]) == {"bounds"}


def test_results_do_not_depend_on_n_jobs(emulator, held_out):
    found = [
        StellarParameterEstimator(
            emulator,
            n_initial_points=10,
            random_state=0,
            n_starts=1,
            n_jobs=n_jobs,
        )
        .fit(held_out.nodes, held_out.node_parameters)
        .predict(held_out.spectra, bounds=boxes_around(held_out.parameters, {"teff": 300.0}))
        for n_jobs in (1, 2)
    ]
    # Products of other sizes are rounded otherwise.
    np.testing.assert_allclose(*found, rtol=1e-12)


def ours(grid, **settings):
    return LineManifoldRegressor(quick_cloner(grid, **settings))


def the_papers(grid, **settings):
    return PaperEmulator(detecting_cloner(grid, **settings))


@pytest.mark.parametrize("make", [ours, the_papers])
def test_emulator_does_not_depend_on_n_jobs(grid, make):
    one, two = (
        make(grid, n_jobs=n_jobs).fit(grid.parameters, grid.normalised) for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.lines_, two.lines_)


# On a busy machine joblib warns that writing takes long.
@pytest.mark.filterwarnings("ignore:Persisting input arguments")
@pytest.mark.parametrize("make", [ours, the_papers])
def test_memory_spares_a_second_fit_all_cloning(grid, tmp_path, no_fits, make):
    emulator = make(grid, memory=str(tmp_path))
    first = clone(emulator).fit(grid.parameters, grid.normalised)
    files = sorted(tmp_path.rglob("output.pkl"))
    assert files
    no_fits()
    second = clone(emulator).fit(grid.parameters, grid.normalised)
    np.testing.assert_array_equal(second.lines_, first.lines_)
    assert sorted(tmp_path.rglob("output.pkl")) == files


def test_equal_seeds_give_equal_answers_from_scratch(grid, held_out):
    def fit(random_state):
        estimator = StellarParameterEstimator(
            the_papers(grid), GaussianProcessSearch(10, 10), random_state=random_state
        )
        return estimator.fit(grid.normalised, grid.parameters)

    estimator, again = fit(5), fit(5)
    found = estimator.predict(held_out.spectra)
    np.testing.assert_array_equal(again.predict(held_out.spectra), found)
    again.set_params(random_state=np.random.RandomState(5))
    np.testing.assert_array_equal(again.predict(held_out.spectra), found)
    # A RandomState moves on, as everywhere in scikit-learn.
    assert not np.array_equal(again.predict(held_out.spectra), found)
    assert not np.array_equal(again.set_params(random_state=6).predict(held_out.spectra), found)


def test_tables_of_pandas_are_taken(grid, held_out):
    names = ["teff", "logg", "feh"]
    parameters = pd.DataFrame(grid.parameters, columns=names)
    columns = [f"{wavelength:.3f}" for wavelength in grid.wavelength]
    spectra = pd.DataFrame(grid.normalised, columns=columns)
    emulator = LineManifoldRegressor(quick_cloner(grid), smoothness=0).fit(parameters, spectra)
    assert list(emulator.feature_names_in_) == names
    flux = emulator.predict(pd.DataFrame(held_out.parameters, columns=names))
    plain = LineManifoldRegressor(quick_cloner(grid), smoothness=0).fit(
        grid.parameters, grid.normalised
    )
    np.testing.assert_array_equal(flux, plain.predict(held_out.parameters))
    # Columns are found by their names.
    table = pd.DataFrame(held_out.parameters, columns=names)[names[::-1]]
    np.testing.assert_array_equal(emulator.predict(table), flux)
    np.testing.assert_array_equal(plain.predict(table), flux)
    with pytest.raises(ValueError, match="columns of X are feh, logg, Teff, and the parameters"):
        emulator.predict(table.rename(columns={"teff": "Teff"}))
    assert emulator.score(parameters, spectra) == pytest.approx(1.0)
    estimator = StellarParameterEstimator(
        FrozenEstimator(emulator), n_initial_points=5, random_state=0
    ).fit(spectra, parameters)
    assert estimator.predict(spectra.iloc[:1]).shape == (1, 3)
