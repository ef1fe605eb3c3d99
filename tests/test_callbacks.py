"""scikit-learn's callbacks: what a fit tells about its progress, beside the bars of `verbose`."""

import copy

import numpy as np
import pytest
from sklearn.base import clone

from skphx import (
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
    load_model,
    save_model,
)


class Record:
    """Callback that remembers the tasks that begin and end."""

    max_propagation_depth = None

    def __init__(self):
        self.events = []

    def __deepcopy__(self, memo):
        return self

    def setup(self, estimator, context):
        self.events.append(("setup", type(estimator).__name__, context.task_name))

    def teardown(self, estimator, context):
        self.events.append(("teardown", type(estimator).__name__, context.task_name))

    def on_fit_task_begin(self, estimator, context):
        self.events.append(("begin", type(estimator).__name__, context.task_name))

    def on_fit_task_end(self, estimator, context):
        self.events.append(("end", type(estimator).__name__, context.task_name))

    def of(self, kind, task):
        return [name for what, name, which in self.events if (what, which) == (kind, task)]


@pytest.fixture
def record():
    return Record()


def quick_cloner(grid, **settings):
    return VoigtCloner(grid.wavelength, n_seeds=2, max_iter=3, target_rms=None, **settings)


def normalised(grid):
    return grid.spectra / grid.continuum


def test_a_cloner_tells_each_spectrum(grid, record):
    spectra = normalised(grid)
    quick_cloner(grid).set_callbacks(record).fit_transform(spectra)
    assert record.events[0] == ("setup", "VoigtCloner", "fit")
    assert record.events[-1] == ("teardown", "VoigtCloner", "fit")
    assert record.of("end", "growing the list") == ["VoigtCloner"]
    fitting = record.events.index(("begin", "VoigtCloner", "fitting lines"))
    done = [event for event in record.events[fitting:] if event[2] == "spectrum"]
    assert done.count(("end", "VoigtCloner", "spectrum")) == len(spectra)
    for task in ("fit", "growing the list", "fitting lines", "spectrum"):
        assert len(record.of("begin", task)) == len(record.of("end", task)) > 0


def test_what_an_archive_knows_counts_too(grid, tmp_path):
    spectra = normalised(grid)
    for _ in range(2):
        record = Record()
        quick_cloner(grid, archive=tmp_path / "a").set_callbacks(record).fit_transform(spectra)
        assert len(record.of("end", "spectrum")) >= len(spectra)


def test_callbacks_reach_the_emulator_and_its_cloner(grid, record):
    emulator = LineManifoldRegressor(quick_cloner(grid))
    estimator = StellarParameterEstimator(emulator).set_callbacks(record)
    estimator.fit(normalised(grid), grid.parameters)
    tellers = {name for _, name, _ in record.events}
    assert tellers >= {"StellarParameterEstimator", "VoigtCloner", "LineManifoldRegressor"}
    assert "LineManifoldRegressor" in record.of("end", "fitting surfaces")
    # They are taken back from what was fitted within.
    assert not hasattr(estimator.emulator_, "_parent_callback_ctx")
    assert getattr(estimator.emulator_, "_skl_callbacks", []) == []


def test_a_failed_fit_is_torn_down_and_leaves_the_old_one(grid, record):
    emulator = FluxEmulator(grid.wavelength).fit(grid.parameters, normalised(grid))
    before = dict(vars(emulator))
    emulator.set_callbacks(record)
    with pytest.raises(ValueError, match="parameters has 1 columns"):
        emulator.fit(grid.parameters[:, :1], normalised(grid))
    assert record.events[-1][0] == "teardown"
    assert record.of("end", "fit") == []
    assert all(vars(emulator)[name] is value for name, value in before.items())


def test_clones_keep_their_callbacks_and_copies_stay_usable(grid, record):
    cloner = clone(quick_cloner(grid).set_callbacks(record))
    copy.deepcopy(cloner).fit(normalised(grid))
    assert record.of("end", "fit") == ["VoigtCloner"]


def test_saved_models_leave_callbacks_out(grid, record, tmp_path):
    emulator = LineManifoldRegressor(quick_cloner(grid))
    estimator = StellarParameterEstimator(emulator).set_callbacks(record)
    estimator.fit(normalised(grid), grid.parameters)
    estimator.emulator_.cloner_.set_callbacks(record)
    loaded = load_model(save_model(tmp_path / "model.skops", estimator))
    spectra = normalised(grid)[:2]
    np.testing.assert_array_equal(
        loaded.emulator_.predict(grid.parameters[:2]),
        estimator.emulator_.predict(grid.parameters[:2]),
    )
    assert loaded.predict(spectra).shape == (2, 3)
    assert not hasattr(loaded, "_skl_callbacks")
    assert not hasattr(loaded.emulator_.cloner_, "_skl_callbacks")
    # What is in use keeps them.
    assert estimator._skl_callbacks == [record]
    assert estimator.emulator_.cloner_._skl_callbacks == [record]


@pytest.mark.parametrize("normaliser", [PercentileNormalizer, ContinuumNormalizer])
def test_normalisers_report_too(grid, record, normaliser):
    normaliser().set_callbacks(record).fit(grid.spectra)
    assert record.of("end", "fit") == [normaliser.__name__]
