"""What scikit-learn's users expect beyond its own checks."""

import io
import re
from email.message import Message
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn import config_context
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_html_repr
from threadpoolctl import threadpool_info, threadpool_limits

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
    _doc_link,
)

ROOT = Path(__file__).resolve().parents[1]
QUICK = {"target_rms": None, "n_epochs": 3}


@pytest.fixture(scope="module")
def fitted(grid, fitted_emulator):
    """All seven, fitted, with what to ask of each."""
    teff = grid.parameters[:, 0]
    spectra, normalised = grid.spectra, grid.normalised
    estimator = StellarParameterEstimator(
        FrozenEstimator(fitted_emulator), n_calls=8, n_initial_points=8, random_state=0
    ).fit(normalised, grid.parameters)
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
            lambda model: model.predict([[5300.0, 4.2, -0.3]], absolute=True),
        ),
        "LineManifoldRegressor": (
            fitted_emulator,
            lambda model: model.predict([[5300.0, 4.2, -0.3]]),
        ),
        "StellarParameterEstimator": (
            estimator,
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
]


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
    @pytest.mark.parametrize("name", NAMES)
    def test_html_links_to_the_page_of_the_estimator(self, fitted, name, monkeypatch):
        monkeypatch.setenv("SKPHX_DOCS", "https://docs.invalid/skphx/")
        html = estimator_html_repr(fitted[name][0])
        assert name in html
        assert f'href="https://docs.invalid/skphx/generated/api/skphx.{name}.html"' in html
        # `make docs` makes that page.
        assert re.search(rf"^   {name}$", (ROOT / "docs" / "api.md").read_text(), re.M)

    @pytest.mark.parametrize("name", NAMES)
    def test_without_an_address_nothing_leads_nowhere(self, fitted, name, monkeypatch):
        monkeypatch.delenv("SKPHX_DOCS", raising=False)
        monkeypatch.setattr(_doc_link, "metadata", lambda package: Message())
        html = estimator_html_repr(fitted[name][0])
        assert name in html
        assert not re.search(rf'href="[^"]*{name}', html)

    def test_the_address_can_stand_in_the_metadata(self, monkeypatch):
        monkeypatch.delenv("SKPHX_DOCS", raising=False)
        published = Message()
        published["Project-URL"] = "Source, https://code.invalid"
        published["Project-URL"] = "Documentation, https://docs.invalid"
        monkeypatch.setattr(_doc_link, "metadata", lambda package: published)
        html = estimator_html_repr(PercentileNormalizer())
        assert "https://docs.invalid/generated/api/skphx.PercentileNormalizer.html" in html

    def test_text_shows_what_differs_from_the_default(self):
        assert repr(VoigtCloner(prominence=0.02)) == "VoigtCloner(prominence=0.02)"


class TestOutput:
    @pytest.mark.parametrize("name", NAMES[:4])
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
        cloner = VoigtCloner(grid.wavelength, line_list="detected", memory=str(tmp_path), **QUICK)
        spectra = grid.normalised
        cloner.fit(spectra[:3])
        stored = _stored(tmp_path)
        assert stored == 3
        # Other neighbours, another order, another instance: nothing new is cloned.
        again = VoigtCloner(**cloner.get_params()).fit(spectra[[2, 0]])
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
