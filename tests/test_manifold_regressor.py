"""LineManifoldRegressor: the emulator."""

import numpy as np
import pytest
from detected import detected_cloner
from sklearn.base import clone
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    VoigtCloner,
)
from skphx.lines import render_flux
from skphx.lines._node_lines import NodeLines
from skphx.lines._surfaces import LineSurfaces

WAVELENGTH = np.linspace(5000.0, 5004.0, 201)
ONE_NAME = {"parameter_names": ("teff",)}


def line_spectrum(area, center=5002.0):
    return render_flux(WAVELENGTH, [center], np.log([area]), np.log([0.06]), np.log([0.02]))


def rms(a, b):
    return np.sqrt(np.mean((a - b) ** 2, axis=1))


def quick_cloner(**settings):
    return VoigtCloner(WAVELENGTH, target_rms=None, **settings)


@pytest.fixture(scope="module")
def vanishing():
    """A line at teff 5000 that is absent at 6000; another is everywhere."""
    both = line_spectrum(0.1) * line_spectrum(0.05, 5003.0)
    return np.array([[5000.0], [6000.0]]), np.array([both, line_spectrum(0.05, 5003.0)])


@pytest.fixture(scope="module")
def three_nodes():
    """One line that strengthens with teff."""
    return np.array([[5000.0], [5500.0], [6000.0]]), np.array(
        [line_spectrum(area) for area in (0.02, 0.05, 0.1)]
    )


def test_nodes_are_reproduced(grid, fitted_emulator):
    flux = fitted_emulator.predict(grid.parameters)
    # As closely as the components that are kept, and exactly where all are.
    lost = rms(flux, grid.normalised).max()
    assert lost <= max(1e-7, 0.02 * np.sqrt(np.mean(fitted_emulator.flux_error_**2)))
    cloner = VoigtCloner(grid.wavelength, max_iter=2, n_seeds=2, target_rms=None)
    exact = LineManifoldRegressor(cloner, flux=FluxEmulator(tolerance=0))
    exact.fit(grid.parameters, grid.normalised)
    np.testing.assert_allclose(exact.predict(grid.parameters), grid.normalised, atol=1e-9)


@pytest.fixture(scope="module")
def fading():
    """A line that weakens along teff and is gone at the last of five nodes."""
    teff = np.linspace(5000.0, 7000.0, 5)
    areas = (0.1, 0.07, 0.04, 0.02)
    spectra = [line_spectrum(area) * line_spectrum(0.05, 5003.0) for area in areas]
    return teff[:, None], np.array([*spectra, line_spectrum(0.05, 5003.0)])


@pytest.mark.slow
@pytest.mark.parametrize("smoothness", [0, 0.01])
@pytest.mark.parametrize("interpolation", ["linear", "hermite", "cubic", "radial", "auto"])
def test_nodes_are_exact_also_where_lines_are_gone(fading, interpolation, smoothness):
    settings = {"flux": FluxEmulator(tolerance=0), "smoothness": smoothness, **ONE_NAME}
    emulator = LineManifoldRegressor(quick_cloner(), interpolation, **settings)
    emulator.fit(*fading)
    # The list is one for all: where a line is gone it has faded, and is there nevertheless.
    assert emulator.lines_.shape == (5, 2, 4)
    assert emulator.present_.all()
    np.testing.assert_allclose(emulator.predict(fading[0]), fading[1], atol=1e-9)


@pytest.mark.parametrize("smoothness", [0, 0.01])
def test_without_flux_the_nodes_are_as_good_as_their_lines(vanishing, smoothness):
    settings = {"flux": None, "smoothness": smoothness, **ONE_NAME}
    emulator = LineManifoldRegressor(quick_cloner(), **settings).fit(*vanishing)
    assert emulator.flux_ is None
    error = rms(emulator.predict(vanishing[0]), vanishing[1])
    np.testing.assert_allclose(error, emulator.line_rms_, rtol=1e-6)
    assert error.max() > 0


@pytest.mark.parametrize("smoothness", [0, 0.01])
def test_order_of_the_nodes_does_not_matter(grid, held_out, smoothness):
    cloner = VoigtCloner(grid.wavelength, n_seeds=3, target_rms=None, max_iter=10)
    emulator = LineManifoldRegressor(cloner, smoothness=smoothness)
    expected = clone(emulator).fit(grid.parameters, grid.normalised)
    rows = np.random.default_rng(0).permutation(len(grid.parameters))
    shuffled = clone(emulator).fit(grid.parameters[rows], grid.normalised[rows])
    np.testing.assert_allclose(
        shuffled.predict(held_out.parameters), expected.predict(held_out.parameters), atol=1e-9
    )
    # Their lines are the same up to what rounding does to fits that end early.
    np.testing.assert_allclose(
        shuffled._sum_of_lines(held_out.parameters),
        expected._sum_of_lines(held_out.parameters),
        atol=1e-6,
    )


def test_held_out_spectra_are_near_and_nearer_than_their_nearest_nodes(
    grid, held_out, fitted_emulator
):
    error = rms(fitted_emulator.predict(held_out.parameters), held_out.spectra)
    nearest = fitted_emulator.grid_.nearest_node(held_out.parameters)
    assert (error < 0.5 * rms(grid.normalised[nearest], held_out.spectra)).all()
    assert error.max() < 0.01


def test_midpoint_of_linear_interpolation_is_the_mean_of_the_lines(three_nodes):
    emulator = LineManifoldRegressor(quick_cloner(), "linear", smoothness=0, **ONE_NAME)
    emulator.fit(*three_nodes)
    lines = emulator.predict_lines([[5250.0]])
    np.testing.assert_allclose(lines.reshape(-1, 4), emulator.lines_[:2].mean(axis=0), rtol=1e-12)


def test_hermite_follows_the_parabola_through_three_nodes(three_nodes):
    emulator = LineManifoldRegressor(quick_cloner(), "hermite", smoothness=0, **ONE_NAME)
    emulator.fit(*three_nodes)
    lines = emulator.predict_lines([[5250.0]]).reshape(-1, 4)
    # Lagrange's weights of a parabola, a quarter of the way.
    np.testing.assert_allclose(
        lines, np.tensordot([0.375, 0.75, -0.125], emulator.lines_, axes=1), rtol=1e-12
    )


def test_without_smoothing_the_lines_are_those_of_the_cloner(grid):
    cloner = VoigtCloner(grid.wavelength, target_rms=None, max_iter=10)
    lines = clone(cloner).fit_transform(grid.normalised)
    emulator = LineManifoldRegressor(cloner, smoothness=0).fit(grid.parameters, grid.normalised)
    np.testing.assert_allclose(emulator.lines_.reshape(len(lines), -1), lines, rtol=1e-9)


def test_smoothing_lowers_the_curvature_of_noisy_lines():
    teff = np.linspace(5000.0, 6000.0, 7)[:, None]
    areas = np.linspace(0.03, 0.06, 7)
    noise = np.random.default_rng(0).normal(0.0, 0.01, (7, len(WAVELENGTH)))
    spectra = np.array([line_spectrum(area) for area in areas]) + noise
    cloner = VoigtCloner(WAVELENGTH, prominence=0.1, target_rms=None, n_seeds=3)

    def curvature(smoothness):
        emulator = LineManifoldRegressor(cloner, smoothness=smoothness, **ONE_NAME)
        lines = emulator.fit(teff, spectra).lines_
        assert lines.shape == (7, 1, 4)
        return np.abs(np.diff(lines[:, 0, 1:], 2, axis=0)).mean()

    assert curvature(0.3) < 0.7 * curvature(0.0)


@pytest.mark.parametrize("smoothness", [0, 0.01])
def test_predict_lines_are_columns_of_the_cloner(vanishing, smoothness):
    settings = {"smoothness": smoothness, **ONE_NAME}
    emulator = LineManifoldRegressor(quick_cloner(), **settings).fit(*vanishing)
    points = [[5100.0], [5500.0], [6000.0]]
    lines = emulator.predict_lines(points)
    assert lines.shape == (3, 4 * emulator.cloner_.n_lines_)
    assert np.isfinite(lines).all()
    rendered = emulator.cloner_.inverse_transform(lines)
    emulator.set_params(flux=None).fit(*vanishing)
    np.testing.assert_allclose(emulator.predict(points), rendered, rtol=1e-12)


@pytest.mark.parametrize(
    "flux", ["auto", FluxEmulator(interpolation="linear", saturation=0.1, tolerance=1e-3)]
)
def test_flux_does_not_know_of_the_lines(grid, held_out, flux):
    alone = FluxEmulator() if flux == "auto" else clone(flux)
    alone.set_params(wavelength=grid.wavelength, medium="vacuum")
    alone.fit(grid.parameters, grid.normalised)
    for prominence, smoothness in ((0.005, 0), (0.2, 0.01)):
        cloner = VoigtCloner(
            grid.wavelength, max_iter=2, target_rms=None, n_seeds=2, prominence=prominence
        )
        emulator = LineManifoldRegressor(
            cloner, "radial", flux=flux, smoothness=smoothness, medium="vacuum"
        )
        emulator.fit(grid.parameters, grid.normalised)
        for points in (held_out.parameters, grid.parameters):
            np.testing.assert_array_equal(emulator.predict(points), alone.predict(points))
            np.testing.assert_array_equal(emulator.jacobian(points), alone.jacobian(points))
        np.testing.assert_array_equal(emulator.flux_error_, alone.flux_error_)
        # How lines run between nodes is a setting of its own.
        assert emulator.interpolation_ == "radial"
        assert emulator.flux_.interpolation_ == alone.interpolation_


def test_the_flux_given_is_left_alone_and_gets_its_settings_from_the_lines(grid):
    given = FluxEmulator(np.arange(1.0, 5.0), PercentileNormalizer(), extrapolate="clip")
    cloner = VoigtCloner(grid.wavelength, max_iter=2, n_seeds=2, target_rms=None)
    emulator = LineManifoldRegressor(cloner, flux=given, extrapolate="nearest", medium="air")
    emulator.fit(grid.parameters, grid.normalised)
    assert not [name for name in vars(given) if name.endswith("_")]
    assert given.medium is None
    flux = emulator.flux_
    assert (flux.medium, flux.extrapolate, flux.normalizer) == ("air", "nearest", None)
    np.testing.assert_array_equal(flux.wavelength_, grid.wavelength)
    assert emulator.get_params()["flux__extrapolate"] == "clip"


def test_lines_are_surfaces_or_tables(grid, fitted_emulator):
    def lines_of(**settings):
        cloner = VoigtCloner(grid.wavelength, max_iter=2, n_seeds=2, target_rms=None)
        emulator = LineManifoldRegressor(cloner, flux=None, **settings)
        return emulator.fit(grid.parameters, grid.normalised).manifold_

    assert isinstance(fitted_emulator.manifold_, LineSurfaces)
    assert isinstance(lines_of(), LineSurfaces)
    assert isinstance(lines_of(smoothness=0), NodeLines)


def test_clones_are_as_wrong_as_the_sum_of_their_lines(grid, fitted_emulator):
    emulator = fitted_emulator
    lines = emulator.lines_.reshape(len(grid.parameters), -1)
    np.testing.assert_array_equal(emulator.predict_lines(grid.parameters), lines)
    clones = emulator.cloner_.inverse_transform(lines)
    np.testing.assert_allclose(emulator.line_rms_, rms(clones, grid.normalised), rtol=1e-9)


def test_points_outside_are_errors_or_moved(three_nodes):
    emulator = LineManifoldRegressor(quick_cloner(), **ONE_NAME).fit(*three_nodes)
    outside, edge = [[6400.0]], emulator.predict([[6000.0]])
    with pytest.raises(ValueError, match=r"teff=6400, outside \[5000, 6000\].*'clip'.*'nearest'"):
        emulator.predict(outside)
    for rule in ("clip", "nearest"):
        moved = emulator.set_params(extrapolate=rule).predict(outside)
        np.testing.assert_array_equal(moved, edge)
    # Inside nothing is moved, also by "nearest".
    assert not np.array_equal(emulator.predict([[5900.0]]), edge)


def test_holes_are_errors_or_interpolated(grid, held_out):
    keep = np.arange(12) != 5
    cloner = VoigtCloner(grid.wavelength, n_seeds=2, target_rms=None, max_iter=10)
    emulator = LineManifoldRegressor(cloner, flux=FluxEmulator(tolerance=0), smoothness=0)
    with pytest.raises(ValueError, match=r"1 of 12 nodes are missing: teff=5500.*holes='interp"):
        emulator.fit(grid.parameters[keep], grid.normalised[keep])
    emulator.set_params(holes="interpolate").fit(grid.parameters[keep], grid.normalised[keep])
    np.testing.assert_allclose(
        emulator.predict(grid.parameters[keep]), grid.normalised[keep], atol=1e-9
    )
    assert rms(emulator.predict(held_out.parameters), held_out.spectra).max() < 0.05


def test_score_is_r2_over_all_pixels(grid, held_out, fitted_emulator):
    predicted = fitted_emulator.predict(held_out.parameters)
    expected = r2_score(held_out.spectra, predicted, multioutput="variance_weighted")
    score = fitted_emulator.score(held_out.parameters, held_out.spectra)
    assert score == pytest.approx(expected)
    assert 0.9 < score < 1.0
    assert fitted_emulator.score(grid.parameters, grid.normalised) == pytest.approx(1.0)


@pytest.fixture(scope="module")
def raw_emulator(grid):
    cloner = make_pipeline(
        BlackbodyDivider(grid.wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(grid.wavelength, degree=1),
        VoigtCloner(grid.wavelength, target_rms=None, max_iter=10),
    )
    emulator = LineManifoldRegressor(cloner, flux=FluxEmulator(tolerance=0))
    return emulator.fit(grid.parameters, grid.spectra)


def test_a_pipeline_gets_its_teff_without_routing_being_switched_on(grid, raw_emulator):
    normalised = raw_emulator.normalize(grid.spectra, grid.parameters)
    divider = BlackbodyDivider(grid.wavelength)
    expected = divider.fit_transform(grid.spectra, teff=grid.parameters[:, 0])
    expected = PercentileNormalizer(99).fit_transform(expected)
    expected = ContinuumNormalizer(grid.wavelength, degree=1).fit_transform(expected)
    np.testing.assert_allclose(normalised, expected, rtol=1e-12)
    np.testing.assert_allclose(raw_emulator.predict(grid.parameters), normalised, atol=1e-9)
    assert raw_emulator.score(grid.parameters, grid.spectra) == pytest.approx(1.0)


def test_normalisation_forgets_the_scale_of_the_flux(held_out, raw_emulator):
    once = raw_emulator.normalize(held_out.raw, held_out.parameters)
    again = raw_emulator.normalize(7e-9 * held_out.raw, held_out.parameters)
    np.testing.assert_allclose(again, once, rtol=1e-12)


def test_normalize_of_a_lone_cloner_changes_nothing(held_out, fitted_emulator):
    spectra = fitted_emulator.normalize(held_out.spectra, held_out.parameters)
    np.testing.assert_array_equal(spectra, held_out.spectra)


def test_parameters_without_names_are_numbered(three_nodes):
    emulator = LineManifoldRegressor(quick_cloner(), parameter_names=None).fit(*three_nodes)
    assert emulator.grid_.parameter_names == ("x0",)


def test_a_single_node_is_reproduced(three_nodes):
    emulator = LineManifoldRegressor(quick_cloner(), **ONE_NAME)
    emulator.fit(three_nodes[0][:1], three_nodes[1][:1])
    np.testing.assert_allclose(emulator.predict([[5000.0]]), three_nodes[1][:1], atol=1e-9)


def test_the_cloner_given_is_left_alone(three_nodes):
    cloner = quick_cloner()
    LineManifoldRegressor(cloner, **ONE_NAME).fit(*three_nodes)
    assert not hasattr(cloner, "wavelength_")


@pytest.mark.parametrize("settings", [{}, {"flux": None}, {"flux": None, "smoothness": 0}])
def test_grids_without_any_line_are_flat(settings):
    flat = np.ones((2, len(WAVELENGTH)))
    emulator = LineManifoldRegressor(VoigtCloner(WAVELENGTH), **settings, **ONE_NAME)
    emulator.fit([[5000.0], [6000.0]], flat)
    np.testing.assert_array_equal(emulator.predict([[5300.0]]), flat[:1])
    assert emulator.predict_lines([[5300.0]]).shape == (1, 0)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"extrapolate": "yes"}, ValueError, "extrapolate must be .*, got 'yes'"),
        ({"interpolation": "spline"}, ValueError, r"interpolation must be .*got 'spline'"),
        ({"holes": "fill"}, ValueError, r"holes must be one of .*got 'fill'"),
        ({"smoothness": -1.0}, ValueError, "smoothness == -1"),
        ({"n_passes": 0}, ValueError, "n_passes == 0"),
        ({"medium": "water"}, ValueError, "medium must be 'air', 'vacuum' or None, got 'water'"),
        ({"flux": False}, TypeError, "flux must be a FluxEmulator, 'auto' or None, got False"),
        ({"flux": "none"}, TypeError, "flux must be a FluxEmulator, 'auto' or None, got 'none'"),
        ({"flux": PercentileNormalizer()}, TypeError, "flux must be a FluxEmulator.*Percentile"),
        ({"flux": FluxEmulator(saturation=0)}, ValueError, "saturation == 0"),
        ({"parameter_names": ("a", "b")}, ValueError, "1 columns but parameter_names has 2"),
        ({"cloner": PercentileNormalizer()}, TypeError, "cloner must be .*PercentileNormalizer"),
        (
            {"cloner": detected_cloner(WAVELENGTH)},
            TypeError,
            "got PaperCloner; .* skphx.paper.PaperEmulator for lines that some nodes lack",
        ),
        (
            {"cloner": make_pipeline(VoigtCloner(), PercentileNormalizer())},
            TypeError,
            "Pipeline that ends in one, got PercentileNormalizer.*add skphx.VoigtCloner",
        ),
    ],
)
def test_bad_settings_are_named(three_nodes, settings, error, message):
    emulator = LineManifoldRegressor(quick_cloner(), **ONE_NAME).set_params(**settings)
    with pytest.raises(error, match=message):
        emulator.fit(*three_nodes)
