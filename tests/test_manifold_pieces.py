"""LineManifoldRegressor: parts of its wavelengths, physical flux, lines from files, copies."""

import pickle
from dataclasses import replace

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    VoigtCloner,
    load_model,
    save_model,
)
from skphx.lines import LineTable

POINTS = np.array([[5200.0, 4.2, -0.2], [5800.0, 4.4, -0.4]])
CUT = (8506.0, 8511.0)


def make_emulator(grid, **settings):
    cloning = {"max_iter": 5, "n_seeds": 3, "target_rms": None} | settings.pop("cloner", {})
    cloner = VoigtCloner(grid.wavelength, **cloning)
    return LineManifoldRegressor(cloner, **settings).fit(grid.parameters, grid.normalised)


@pytest.fixture(scope="module")
def emulators(grid):
    """Emulators that differ in what is behind their flux."""
    return {
        "flux": make_emulator(grid, flux=FluxEmulator(interpolation="hermite")),
        "linear": make_emulator(grid, flux=FluxEmulator(interpolation="linear", saturation=0.03)),
        "lines": make_emulator(grid, flux=None),
        "nodes": make_emulator(grid, flux=None, smoothness=0),
    }


@pytest.fixture(scope="module")
def raw_emulator(grid):
    """All normalisers before the cloner."""
    cloner = make_pipeline(
        BlackbodyDivider(grid.wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(grid.wavelength, degree=2),
        VoigtCloner(grid.wavelength, target_rms=None, max_iter=5, n_seeds=3),
    )
    return LineManifoldRegressor(cloner, "hermite").fit(grid.parameters, grid.spectra)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flux", "linear", "lines", "nodes"])
def test_a_range_is_the_full_emulator_there(emulators, name):
    emulator = emulators[name]
    part = emulator.select(wavelength=CUT)
    inside = (emulator.wavelength_ >= CUT[0]) & (emulator.wavelength_ <= CUT[1])
    np.testing.assert_array_equal(part.wavelength_, emulator.wavelength_[inside])
    np.testing.assert_allclose(
        part.predict(POINTS), emulator.predict(POINTS)[:, inside], atol=1e-4
    )
    np.testing.assert_allclose(
        part.jacobian(POINTS), emulator.jacobian(POINTS)[:, inside], atol=1e-4
    )
    np.testing.assert_array_equal(part.flux_error_ is None, emulator.flux_error_ is None)
    if part.flux_error_ is not None:
        np.testing.assert_array_equal(part.flux_error_, emulator.flux_error_[inside])
    # The whole stays as it was.
    assert len(emulator.wavelength_) == emulator.predict(POINTS).shape[1] > inside.sum()


def test_only_lines_that_matter_are_kept():
    """Of narrow lines over a wide range few reach in; a strong one from outside does."""
    wavelength = np.arange(5000.0, 5400.0, 0.5)
    lines = np.full((2, 41, 4), [0.0, -4.0, -2.5, -6.0])
    lines[:, :40, 0] = np.linspace(5001.0, 5399.0, 40)
    lines[:, 40] = 5200.0, 3.0, 0.5, 1.0
    lines[1, :, 1] += 0.2
    cloner = VoigtCloner(wavelength)
    emulator = LineManifoldRegressor(cloner, "linear", flux=None, parameter_names=("teff",))
    emulator.fit_table([[5000.0], [6000.0]], LineTable.from_dense(lines))
    part = emulator.select(wavelength=(5100.0, 5130.0))
    inside = (wavelength >= 5100.0) & (wavelength <= 5130.0)
    whole = emulator.predict([[5300.0]])[:, inside]
    np.testing.assert_allclose(part.predict([[5300.0]]), whole, atol=1e-4)
    assert 3 <= part.manifold_.n_lines < 20
    assert np.isclose(part.manifold_.centers, 5200.0).any()
    # Without that line the flux would be another.
    assert whole.max() < 0.999


def test_other_pixels_have_their_lines_evaluated_there(emulators):
    emulator = emulators["lines"]
    pixels = np.linspace(8503.03, 8517.01, 1000)
    finer = emulator.select(wavelength=pixels)
    lines = emulator.predict_lines(POINTS).reshape(2, -1, 4)
    expected = LineTable.from_dense(lines).render(pixels)
    np.testing.assert_allclose(finer.predict(POINTS), expected, atol=1e-4)
    again = finer.select(wavelength=CUT).select(wavelength=(8507.0, 8510.0))
    inside = (pixels >= 8507.0) & (pixels <= 8510.0)
    np.testing.assert_allclose(again.predict(POINTS), expected[:, inside], atol=2e-4)


@pytest.mark.parametrize("name", ["flux", "linear"])
def test_other_pixels_between_the_old_are_near(emulators, name):
    emulator = emulators[name]
    wavelength = emulator.wavelength_
    old = emulator.select(wavelength=wavelength[10:-10])
    np.testing.assert_allclose(old.predict(POINTS), emulator.predict(POINTS)[:, 10:-10], atol=1e-4)
    middle = emulator.select(wavelength=0.5 * (wavelength[1:] + wavelength[:-1]))
    flux = emulator.predict(POINTS)
    low, high = np.minimum(flux[:, 1:], flux[:, :-1]), np.maximum(flux[:, 1:], flux[:, :-1])
    predicted = middle.predict(POINTS)
    assert ((predicted > low - 0.02) & (predicted < high + 0.02)).all()


def test_spectra_follow_a_selection(grid, emulators, raw_emulator):
    inside = (grid.wavelength >= CUT[0]) & (grid.wavelength <= CUT[1])
    part = emulators["flux"].select(wavelength=CUT)
    np.testing.assert_array_equal(
        part.normalize(grid.normalised, grid.parameters), grid.normalised[:, inside]
    )
    cut = grid.normalised[:, inside]
    np.testing.assert_array_equal(part.normalize(cut, grid.parameters), cut)
    assert part.score(grid.parameters, grid.normalised) == pytest.approx(1.0)
    with pytest.raises(ValueError, match=r"must have the 400 pixels.* got 399"):
        part.normalize(grid.normalised[:, 1:], grid.parameters)
    with pytest.raises(ValueError, match=r"must have the 400 pixels.* got 399"):
        emulators["flux"].normalize(grid.normalised[:, 1:], grid.parameters)
    raw_part = raw_emulator.select(wavelength=CUT)
    np.testing.assert_allclose(
        raw_part.normalize(grid.spectra, grid.parameters),
        raw_emulator.normalize(grid.spectra, grid.parameters)[:, inside],
    )
    assert raw_part.score(grid.parameters, grid.spectra) == pytest.approx(1.0)


def test_physical_flux_comes_back(grid, held_out, raw_emulator):
    absolute = raw_emulator.predict(grid.parameters, absolute=True)
    np.testing.assert_allclose(absolute, grid.spectra, rtol=2e-3)
    bright = raw_emulator.predict(grid.parameters) > 0.3
    np.testing.assert_allclose(absolute[bright], grid.spectra[bright], rtol=1e-6)
    between = raw_emulator.predict(held_out.parameters, absolute=True)
    np.testing.assert_allclose(between, held_out.raw, atol=0.06 * held_out.raw.max())
    error = np.abs(between / held_out.raw - 1.0)
    assert np.median(error) < 2e-3
    part = raw_emulator.select(wavelength=CUT)
    inside = (grid.wavelength >= CUT[0]) & (grid.wavelength <= CUT[1])
    np.testing.assert_allclose(
        part.predict(held_out.parameters, absolute=True), between[:, inside], rtol=2e-4
    )


def test_without_normalisers_physical_flux_is_the_flux(emulators):
    emulator = emulators["linear"]
    np.testing.assert_array_equal(
        emulator.predict(POINTS, absolute=True), emulator.predict(POINTS)
    )


@pytest.mark.parametrize("kind", ["linear", "hermite"])
def test_lines_fitted_before_are_as_good_as_spectra(grid, kind):
    cloner = VoigtCloner(grid.wavelength, n_seeds=3, target_rms=None, max_iter=4)
    settings = {"interpolation": kind, "flux": None, "smoothness": 0}
    fitted = LineManifoldRegressor(cloner, **settings).fit(grid.parameters, grid.normalised)
    table = fitted.cloner_.line_table(grid.normalised)
    taken = LineManifoldRegressor(cloner, **settings).fit_table(grid.parameters, table)
    np.testing.assert_allclose(taken.predict(POINTS), fitted.predict(POINTS), atol=1e-6)
    np.testing.assert_allclose(taken.jacobian(POINTS), fitted.jacobian(POINTS), atol=1e-5)
    np.testing.assert_array_equal(taken.present_, fitted.present_)
    assert taken.flux_error_ is None
    assert np.isnan(taken.line_rms_).all()
    # Any numbers tell lines apart, in any order within a node.
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(table.offsets, table.offsets[1:], strict=False)]
    )
    columns = ("center", "log_area", "log_sigma", "log_gamma")
    other = LineTable(
        table.offsets,
        *(getattr(table, name)[order] for name in columns),
        identity=1000 * table.identity[order] - 7,
    )
    again = LineManifoldRegressor(cloner, **settings).fit_table(grid.parameters, other)
    np.testing.assert_array_equal(again.predict(POINTS), taken.predict(POINTS))


def test_lines_must_be_at_every_node_once(grid, emulators):
    lines = emulators["nodes"].lines_.copy()
    emulator = LineManifoldRegressor(VoigtCloner(grid.wavelength), "linear")
    lines[3, 1] = np.nan
    message = "every line once at every node; skphx.paper.PaperEmulator takes"
    with pytest.raises(ValueError, match=message):
        emulator.fit_table(grid.parameters, LineTable.from_dense(lines))
    # As many lines at every node, of which one has no place in the list of the others.
    table = LineTable.from_dense(emulators["nodes"].lines_)
    identity = table.identity.copy()
    identity[1] = identity[0]
    twice = replace(table, identity=identity)
    with pytest.raises(ValueError, match=message):
        emulator.fit_table(grid.parameters, twice)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interpolation": "auto"}, "interpolation='auto' leaves spectra out"),
        ({"cloner": VoigtCloner()}, "wavelength"),
        (
            {"cloner": make_pipeline(PercentileNormalizer(), VoigtCloner())},
            "must not be a Pipeline",
        ),
        ({"flux": FluxEmulator()}, "flux needs spectra to learn, and fit_table has none"),
    ],
)
def test_lines_that_cannot_be_taken(grid, emulators, settings, message):
    table = LineTable.from_dense(emulators["nodes"].lines_)
    emulator = LineManifoldRegressor(VoigtCloner(grid.wavelength), "linear")
    emulator.set_params(**settings)
    with pytest.raises(ValueError, match=message):
        emulator.fit_table(grid.parameters, table)
    with pytest.raises(ValueError, match="11 nodes but X has 12|" + message):
        emulator.fit_table(grid.parameters, table[:11])


@pytest.mark.parametrize("name", ["flux", "linear", "lines", "nodes", "raw", "part", "finer"])
def test_copies_predict_the_same(emulators, raw_emulator, tmp_path, name):
    pixels = np.linspace(8503.03, 8517.01, 50)
    emulator = {
        **emulators,
        "raw": raw_emulator,
        "part": raw_emulator.select(wavelength=CUT),
        "finer": emulators["linear"].select(wavelength=pixels),
    }[name]
    flux, jacobian = emulator.predict(POINTS, absolute=True), emulator.jacobian(POINTS)
    joblib.dump(emulator, tmp_path / "emulator.joblib")
    save_model(tmp_path / "emulator.skops", emulator)
    for copy in (
        pickle.loads(pickle.dumps(emulator)),
        joblib.load(tmp_path / "emulator.joblib"),
        joblib.load(tmp_path / "emulator.joblib", mmap_mode="r"),
        load_model(tmp_path / "emulator.skops"),
    ):
        np.testing.assert_array_equal(copy.predict(POINTS, absolute=True), flux)
        np.testing.assert_array_equal(copy.jacobian(POINTS), jacobian)
        np.testing.assert_array_equal(copy.wavelength_, emulator.wavelength_)
        assert copy.select(wavelength=CUT).predict(POINTS).shape[0] == 2


def test_clones_of_emulators_know_nothing(emulators):
    for emulator in (emulators["linear"], emulators["linear"].select(wavelength=CUT)):
        fresh = clone(emulator)
        assert not [name for name in vars(fresh) if name.endswith("_")]
        assert fresh.get_params()["flux__saturation"] == 0.03


def test_the_resolution_of_the_spectra_is_that_of_the_flux(grid):
    emulator = make_emulator(grid, flux=FluxEmulator(resolution=20_000.0))
    assert emulator.resolution_ == 20_000.0
    assert make_emulator(grid, flux=None).resolution_ is None
