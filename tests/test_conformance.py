"""What scikit-learn's users expect beyond its own checks."""

import io

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from detected import detected_cloner
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_info, threadpool_limits

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)
from skphx.paper import GaussianProcessSearch, PaperCloner, PaperEmulator

pytestmark = pytest.mark.slow

QUICK = {"target_rms": None, "max_iter": 3}


@pytest.fixture(scope="module")
def fitted(grid, fitted_emulator):
    """All seven and the paper's, fitted, with what to ask of each."""
    teff = grid.parameters[:, 0]
    spectra, normalised = grid.spectra, grid.normalised
    point = [[5300.0, 4.2, -0.3]]
    estimator = StellarParameterEstimator(
        FrozenEstimator(fitted_emulator), n_initial_points=8, random_state=0
    ).fit(normalised, grid.parameters)
    # Two orders of steps, Adam's and ours, in the cloner and in the emulator.
    cloner = PaperCloner(grid.wavelength, edge=0, n_epochs=3)
    paper = PaperEmulator(detected_cloner(grid.wavelength, target_rms=None, n_epochs=3))
    paper.fit(grid.parameters, normalised)
    search = GaussianProcessSearch(n_calls=10, n_initial_points=8)
    guided = StellarParameterEstimator(FrozenEstimator(paper), search, random_state=0)
    return {
        "BlackbodyDivider": (
            BlackbodyDivider(grid.wavelength).fit(spectra, teff=teff),
            lambda model: model.transform(spectra, teff=teff),
        ),
        "PercentileNormalizer": (
            PercentileNormalizer().fit(spectra),
            lambda model: model.transform(spectra),
        ),
        "ContinuumNormalizer": (
            ContinuumNormalizer(grid.wavelength, degree=1).fit(normalised),
            lambda model: model.transform(normalised),
        ),
        "VoigtCloner": (
            VoigtCloner(grid.wavelength, **QUICK).fit(normalised),
            lambda model: model.transform(normalised[:2]),
        ),
        "FluxEmulator": (
            FluxEmulator(grid.wavelength, PercentileNormalizer()).fit(grid.parameters, spectra),
            lambda model: model.predict(point, absolute=True),
        ),
        "LineManifoldRegressor": (
            fitted_emulator,
            lambda model: model.predict(point),
        ),
        "StellarParameterEstimator": (
            estimator,
            lambda model: model.predict(normalised[:1]),
        ),
        "PaperCloner": (
            cloner.fit(normalised),
            lambda model: model.transform(normalised[:2]),
        ),
        "PaperEmulator": (paper, lambda model: model.predict(point)),
        "GaussianProcessSearch": (
            guided.fit(normalised, grid.parameters),
            lambda model: model.predict(normalised[:1]),
        ),
    }


NAMES = [
    "BlackbodyDivider",
    "PercentileNormalizer",
    "ContinuumNormalizer",
    "VoigtCloner",
    "FluxEmulator",
    "LineManifoldRegressor",
    "StellarParameterEstimator",
    "PaperCloner",
    "PaperEmulator",
    "GaussianProcessSearch",
]
TRANSFORMERS = [*NAMES[:4], "PaperCloner"]


class TestPersistence:
    @pytest.mark.parametrize("name", NAMES)
    def test_skops_gives_the_same_back_and_asks_about_nothing_foreign(self, fitted, name):
        model, ask = fitted[name]
        written = skops.io.dumps(model)
        unknown = skops.io.get_untrusted_types(data=written)
        assert all(kind.startswith("skphx.") for kind in unknown)
        again = skops.io.loads(written, trusted=unknown)
        np.testing.assert_array_equal(ask(again), ask(model))

    @pytest.mark.parametrize("name", NAMES)
    def test_fitted_state_holds_no_torch_and_no_function(self, fitted, name):
        file = io.BytesIO()
        joblib.dump(fitted[name][0], file)
        text = file.getvalue()
        for foreign in (b"torch", b"skopt", b"scipy.interpolate", b"function"):
            assert foreign not in text

    def test_arrays_can_be_mapped_from_disk(self, fitted, tmp_path):
        model, ask = fitted["LineManifoldRegressor"]
        joblib.dump(model, tmp_path / "emulator.joblib")
        mapped = joblib.load(tmp_path / "emulator.joblib", mmap_mode="r")
        assert isinstance(mapped.manifold_.coefficients, np.memmap)
        assert isinstance(mapped.flux_.low_rank_.components, np.memmap)
        np.testing.assert_array_equal(ask(mapped), ask(model))


class TestRepr:
    def test_text_shows_what_differs_from_the_default(self):
        assert repr(VoigtCloner(prominence=0.02)) == "VoigtCloner(prominence=0.02)"
        assert repr(PaperCloner(edge=1.0)) == "PaperCloner(edge=1.0)"
        emulator = PaperEmulator(PaperCloner(), missing="fade", parameter_names=None)
        assert "".join(repr(emulator).split()) == (
            "PaperEmulator(cloner=PaperCloner(),missing='fade',parameter_names=None)"
        )
        assert repr(GaussianProcessSearch()) == "GaussianProcessSearch()"
        assert repr(GaussianProcessSearch(30, n_initial_points=9, verbose=1)) == (
            "GaussianProcessSearch(n_calls=30, n_initial_points=9, verbose=1)"
        )


class TestCloning:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_clone_has_the_settings_and_none_of_the_state(self, fitted, name):
        model = fitted[name][0]
        copy = clone(model)
        assert repr(copy) == repr(model)
        assert not [one for one in vars(copy) if one.endswith("_")]
        assert [one for one in vars(model) if one.endswith("_")]

    def test_settings_of_the_search_are_reached_through_the_estimator(self, fitted):
        estimator = clone(fitted["GaussianProcessSearch"][0])
        assert estimator.get_params()["search__n_calls"] == 10
        assert estimator.set_params(search__n_calls=12).search.n_calls == 12
        # The search of the original is its own.
        assert fitted["GaussianProcessSearch"][0].search.n_calls == 10


class TestOutput:
    @pytest.mark.parametrize("name", TRANSFORMERS)
    def test_pandas_keeps_numbers_rows_and_names(self, fitted, grid, name):
        model, ask = fitted[name]
        plain = ask(model)
        # set_output changes the estimator: give the others theirs back.
        try:
            frame = ask(model.set_output(transform="pandas"))
        finally:
            model.set_output(transform="default")
        assert isinstance(frame, pd.DataFrame)
        np.testing.assert_array_equal(frame, plain)
        assert list(frame.columns) == list(model.get_feature_names_out())
        assert frame.columns.is_unique


class TestMemory:
    def test_the_same_spectrum_is_never_cloned_twice(self, grid, tmp_path):
        cloner = detected_cloner(
            grid.wavelength, memory=str(tmp_path), target_rms=None, n_epochs=3
        )
        spectra = grid.normalised
        cloner.fit(spectra[:3])
        stored = _stored(tmp_path)
        assert stored == 3
        # Other neighbours, another order, another instance: nothing new is cloned.
        again = PaperCloner(**cloner.get_params()).fit(spectra[[2, 0]])
        assert _stored(tmp_path) == stored
        # One more spectrum, or another setting, is.
        again.fit(spectra[:4])
        assert _stored(tmp_path) == stored + 1
        again.set_params(prominence=0.02).fit(spectra[:1])
        assert _stored(tmp_path) == stored + 2
        # What does not change a clone does not clone again.
        again.set_params(verbose=0, n_jobs=1, tolerance=0).fit(spectra[:1])
        assert _stored(tmp_path) == stored + 2


def _stored(folder):
    """Number of results in a joblib cache."""
    return len(list(folder.rglob("output.pkl")))


class TestProcesses:
    def test_clones_do_not_depend_on_n_jobs(self, grid):
        tables = [
            VoigtCloner(grid.wavelength, n_jobs=n_jobs, **QUICK).fit_transform(grid.normalised[:4])
            for n_jobs in (1, 2)
        ]
        np.testing.assert_array_equal(*tables)

    def test_parameters_do_not_depend_on_n_jobs(self, fitted, grid):
        estimator, _ = fitted["StellarParameterEstimator"]
        before = estimator.n_jobs
        try:
            found = [
                estimator.set_params(n_jobs=n_jobs).predict(grid.normalised[:3])
                for n_jobs in (1, 2)
            ]
        finally:
            estimator.set_params(n_jobs=before)
        np.testing.assert_allclose(*found, rtol=1e-9)

    def test_limits_of_threads_are_left_as_they_were(self, grid):
        with threadpool_limits(2):
            before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
            VoigtCloner(grid.wavelength, **QUICK).fit(grid.normalised[:2])
            after = {pool["filepath"]: pool["num_threads"] for pool in threadpool_info()}
        assert [(path, after[path]) for path, _ in before] == before


def test_teff_reaches_the_one_step_that_asks(grid):
    seen = []

    class Watching(BlackbodyDivider):
        def transform(self, X, teff=None):
            seen.append(teff)
            return super().transform(X, teff=teff)

    teff = grid.parameters[:, 0]
    with config_context(enable_metadata_routing=True):
        pipeline = make_pipeline(Watching(grid.wavelength), PercentileNormalizer())
        pipeline.fit(grid.spectra, teff=teff)
        pipeline.transform(grid.spectra, teff=teff)
    assert len(seen) >= 1
    assert all(one is teff for one in seen)
    emulator = LineManifoldRegressor(
        make_pipeline(
            Watching(grid.wavelength),
            PercentileNormalizer(),
            VoigtCloner(grid.wavelength, **QUICK),
        ),
        smoothness=0,
    )
    seen.clear()
    emulator.fit(grid.parameters, grid.spectra)
    emulator.normalize(grid.spectra[:2], grid.parameters[:2])
    np.testing.assert_array_equal(seen[-1], teff[:2])
