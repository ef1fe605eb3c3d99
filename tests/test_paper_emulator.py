"""PaperEmulator: flux as the sum of lines, some of which some nodes lack."""

import pickle
import warnings
from itertools import product

import joblib
import numpy as np
import pytest
from detected import detected_cloner
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from skphx import ContinuumNormalizer, PercentileNormalizer, VoigtCloner, load_model, save_model
from skphx.lines import LineTable, render_flux
from skphx.paper import PaperCloner, PaperEmulator
from skphx.paper._ragged_lines import RaggedLines

WAVELENGTH = np.linspace(5000.0, 5004.0, 201)
ONE_NAME = {"parameter_names": ("teff",)}
KINDS = ("linear", "hermite", "cubic", "radial")


def line_spectrum(area, center=5002.0):
    return render_flux(WAVELENGTH, [center], np.log([area]), np.log([0.06]), np.log([0.02]))


def rms(a, b):
    return np.sqrt(np.mean((a - b) ** 2, axis=1))


def quick_cloner(wavelength=WAVELENGTH, **settings):
    return detected_cloner(wavelength, **{"target_rms": None, **settings})


@pytest.fixture(scope="module")
def vanishing():
    """A line at teff 5000 that is absent at 6000; another is everywhere."""
    both = line_spectrum(0.1) * line_spectrum(0.05, 5003.0)
    return np.array([[5000.0], [6000.0]]), np.array([both, line_spectrum(0.05, 5003.0)])


@pytest.fixture(scope="module")
def fading():
    """A line that weakens along teff and is gone at the last of five nodes."""
    teff = np.linspace(5000.0, 7000.0, 5)
    areas = (0.1, 0.07, 0.04, 0.02)
    spectra = [line_spectrum(area) * line_spectrum(0.05, 5003.0) for area in areas]
    return teff[:, None], np.array([*spectra, line_spectrum(0.05, 5003.0)])


@pytest.fixture(scope="module")
def three_nodes():
    """One line that strengthens with teff."""
    return np.array([[5000.0], [5500.0], [6000.0]]), np.array(
        [line_spectrum(area) for area in (0.02, 0.05, 0.1)]
    )


def test_the_defaults_are_the_papers():
    settings = PaperEmulator(PaperCloner()).get_params(deep=False)
    assert settings.pop("cloner").get_params() == PaperCloner().get_params()
    assert settings == {
        "interpolation": "linear",
        "missing": "drop",
        "parameter_names": ("teff", "logg", "feh"),
        "holes": "error",
        "extrapolate": "error",
        "medium": None,
    }


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("interpolation", [*KINDS, "auto"])
def test_nodes_are_their_lines_also_where_some_are_missing(fading, interpolation, missing):
    emulator = PaperEmulator(quick_cloner(), interpolation, missing=missing, **ONE_NAME)
    emulator.fit(*fading)
    assert isinstance(emulator.manifold_, RaggedLines)
    np.testing.assert_array_equal(emulator.present_, [[1, 1]] * 4 + [[0, 1]])
    lines = clone(emulator.cloner).fit_transform(fading[1])
    np.testing.assert_allclose(emulator.lines_.reshape(5, -1), lines, rtol=1e-12)
    expected = emulator.cloner_.inverse_transform(lines)
    np.testing.assert_allclose(emulator.predict(fading[0]), expected, atol=1e-9)
    np.testing.assert_allclose(emulator.line_rms_, rms(expected, fading[1]), rtol=1e-6)
    assert 0 < emulator.line_rms_.max() < 2e-3
    assert emulator.flux_ is None
    if interpolation == "auto":
        assert emulator.interpolation_ in ("hermite", "cubic", "radial")
    else:
        assert emulator.interpolation_ == interpolation


def test_order_of_the_nodes_does_not_matter(grid, held_out):
    emulator = PaperEmulator(quick_cloner(grid.wavelength, n_epochs=10), "auto", missing="fade")
    expected = clone(emulator).fit(grid.parameters, grid.normalised)
    rows = np.random.default_rng(0).permutation(len(grid.parameters))
    shuffled = clone(emulator).fit(grid.parameters[rows], grid.normalised[rows])
    np.testing.assert_allclose(
        shuffled.predict(held_out.parameters), expected.predict(held_out.parameters), atol=1e-9
    )


def test_midpoint_of_linear_interpolation_is_the_mean_of_the_lines(three_nodes):
    emulator = PaperEmulator(quick_cloner(), **ONE_NAME).fit(*three_nodes)
    lines = emulator.predict_lines([[5250.0]])
    np.testing.assert_allclose(lines.reshape(-1, 4), emulator.lines_[:2].mean(axis=0), rtol=1e-12)


def test_hermite_follows_the_parabola_through_three_nodes(three_nodes):
    emulator = PaperEmulator(quick_cloner(), "hermite", **ONE_NAME).fit(*three_nodes)
    lines = emulator.predict_lines([[5250.0]]).reshape(-1, 4)
    # Lagrange's weights of a parabola, a quarter of the way.
    np.testing.assert_allclose(
        lines, np.tensordot([0.375, 0.75, -0.125], emulator.lines_, axes=1), rtol=1e-12
    )


def test_fading_is_continuous_and_reaches_zero(vanishing):
    emulator = PaperEmulator(quick_cloner(), missing="fade", **ONE_NAME)
    emulator.fit(*vanishing)
    teff = np.linspace(5000.0, 6000.0, 101)
    center = np.searchsorted(WAVELENGTH, 5002.0)
    flux = emulator.predict(teff[:, None])[:, center]
    # As bright at the end as the other line alone, and no step on the way is much larger.
    alone = LineTable.from_dense(emulator.lines_[1:, 1:]).render(WAVELENGTH)[0, center]
    assert flux[-1] == pytest.approx(alone, abs=1e-12)
    steps = np.diff(flux)
    assert (steps > 0).all()
    assert steps.max() < 3.0 * (flux[-1] - flux[0]) / 100
    # Its area is the part of the way that nodes with the line cover; its shape stays.
    line = emulator.predict_lines(teff[:, None]).reshape(101, -1, 4)[:, 0]
    start = emulator.lines_[0, 0]
    np.testing.assert_allclose(np.exp(line[:-1, 1] - start[1]), 1 - np.arange(100) / 100)
    np.testing.assert_allclose(line[:-1, [0, 2, 3]], np.tile(start[[0, 2, 3]], (100, 1)))
    assert np.isnan(line[-1]).all()


def test_dropping_is_the_papers_jump(vanishing):
    emulator = PaperEmulator(quick_cloner(), missing="drop", **ONE_NAME)
    emulator.fit(*vanishing)
    start = emulator.lines_[0, 0]
    teff = 5000.0 + np.array([0.0, 1.0, 10.0, 90.0, 110.0])
    line = emulator.predict_lines(teff[:, None]).reshape(5, -1, 4)[:, 0]
    # ln a runs straight to -1000: e⁻¹⁰ after 1 % of the way, below -100 after some 10 %.
    share = (teff - 5000.0) / 1000.0
    np.testing.assert_allclose(line[:4, 1], (start[1] + share * (-1000.0 - start[1]))[:4])
    assert np.isnan(line[4]).all()
    # Only ln a carries the sentinel: the line stays where it is.
    np.testing.assert_allclose(line[:4, 0], start[0], rtol=1e-12)
    depth = 1.0 - emulator.predict(teff[:, None]).min(axis=1)
    assert depth[0] > 0.3
    center = np.searchsorted(WAVELENGTH, 5002.0)
    flux = emulator.predict(teff[:, None])[:, center]
    end = emulator.predict([[6000.0]])[0, center]
    # What the eye sees: within 10 K of 1000 the line is gone.
    assert end - flux[0] > 0.3
    assert end - flux[2] < 1e-4


def test_predict_lines_are_columns_of_the_cloner(vanishing):
    emulator = PaperEmulator(quick_cloner(), missing="fade", **ONE_NAME).fit(*vanishing)
    points = [[5100.0], [5500.0], [6000.0]]
    lines = emulator.predict_lines(points)
    assert lines.shape == (3, 4 * emulator.cloner_.n_lines_)
    # A line is there as a whole or not at all.
    nan = np.isnan(lines.reshape(3, -1, 4))
    np.testing.assert_array_equal(nan.any(axis=2), nan.all(axis=2))
    np.testing.assert_array_equal(nan[..., 0], [[0, 0], [0, 0], [1, 0]])
    rendered = emulator.cloner_.inverse_transform(lines)
    np.testing.assert_allclose(emulator.predict(points), rendered, rtol=1e-12)


def test_lines_within_the_pipeline_of_normalisers(grid, held_out):
    cloner = make_pipeline(
        PercentileNormalizer(99),
        ContinuumNormalizer(grid.wavelength, degree=1),
        quick_cloner(grid.wavelength, n_epochs=10),
    )
    emulator = PaperEmulator(cloner, missing="fade").fit(grid.parameters, grid.spectra)
    normalised = emulator.normalize(grid.spectra, grid.parameters)
    flux = emulator.predict(grid.parameters)
    np.testing.assert_allclose(rms(flux, normalised), emulator.line_rms_, rtol=1e-6)
    assert emulator.score(grid.parameters, grid.spectra) > 0.95
    absolute = emulator.predict(grid.parameters, absolute=True)
    np.testing.assert_allclose(absolute, flux * grid.spectra / normalised, rtol=1e-6)
    assert emulator.score(held_out.parameters, held_out.raw) > 0.8


def test_points_outside_are_errors_or_moved(three_nodes):
    emulator = PaperEmulator(quick_cloner(), **ONE_NAME).fit(*three_nodes)
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
    emulator = PaperEmulator(quick_cloner(grid.wavelength, n_epochs=10), missing="fade")
    with pytest.raises(ValueError, match=r"1 of 12 nodes are missing: teff=5500.*holes='interp"):
        emulator.fit(grid.parameters[keep], grid.normalised[keep])
    emulator.set_params(holes="interpolate").fit(grid.parameters[keep], grid.normalised[keep])
    error = rms(emulator.predict(grid.parameters[keep]), grid.normalised[keep])
    np.testing.assert_allclose(error, emulator.line_rms_, rtol=1e-6)
    assert rms(emulator.predict(held_out.parameters), held_out.spectra).max() < 0.05


def test_grids_without_any_line_are_flat():
    flat = np.ones((2, len(WAVELENGTH)))
    for cloner in (quick_cloner(), PaperCloner(WAVELENGTH)):
        with pytest.warns(UserWarning, match="no line was detected"):
            emulator = PaperEmulator(cloner, **ONE_NAME).fit([[5000.0], [6000.0]], flat)
        np.testing.assert_array_equal(emulator.predict([[5300.0]]), flat[:1])
        assert emulator.predict_lines([[5300.0]]).shape == (1, 0)


def test_lines_of_a_cloner_of_one_list_are_taken_as_well(three_nodes):
    # What is interpolated is what differs, not where lines come from.
    emulator = PaperEmulator(VoigtCloner(WAVELENGTH, target_rms=None), **ONE_NAME)
    emulator.fit(*three_nodes)
    assert emulator.present_.all()
    assert rms(emulator.predict(three_nodes[0]), three_nodes[1]).max() < 2e-3


def test_the_cloner_given_is_left_alone(three_nodes):
    cloner = quick_cloner()
    PaperEmulator(cloner, **ONE_NAME).fit(*three_nodes)
    assert not hasattr(cloner, "wavelength_")


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"missing": "keep"}, ValueError, "missing must be 'drop' or 'fade', got 'keep'"),
        ({"extrapolate": "yes"}, ValueError, "extrapolate must be .*, got 'yes'"),
        ({"interpolation": "spline"}, ValueError, r"interpolation must be .*got 'spline'"),
        ({"holes": "fill"}, ValueError, r"holes must be one of .*got 'fill'"),
        ({"medium": "water"}, ValueError, "medium must be 'air', 'vacuum' or None, got 'water'"),
        ({"parameter_names": ("a", "b")}, ValueError, "1 columns but parameter_names has 2"),
        ({"cloner": PercentileNormalizer()}, TypeError, "cloner must be .*PercentileNormalizer"),
        (
            {"cloner": make_pipeline(PaperCloner(), PercentileNormalizer())},
            TypeError,
            "Pipeline that ends in one, got PercentileNormalizer.*add skphx.paper.PaperCloner",
        ),
    ],
)
def test_bad_settings_are_named(three_nodes, settings, error, message):
    emulator = PaperEmulator(quick_cloner(), **ONE_NAME).set_params(**settings)
    with pytest.raises(error, match=message):
        emulator.fit(*three_nodes)


# Between nodes ---------------------------------------------------------------------------------

PIXELS = np.linspace(5000.0, 5004.0, 80)
POINTS = np.array([[0.4, 0.3], [2.4, 1.7], [2.9, 2.2]])


def spectrum(x, y=0.0):
    """Three lines that answer two parameters, of which one is gone for x above 2.5."""
    area = np.array([0.04 * (1 + 0.2 * x), 0.03 * (1 + 0.3 * y), 0.02 * (2.5 - x)])
    present = area > 0.004
    return render_flux(
        PIXELS,
        np.array([5001.0, 5002.1, 5003.0])[present],
        np.log(area[present]),
        np.full(present.sum(), np.log(0.06) + 0.05 * y),
        np.full(present.sum(), np.log(0.03)),
    )


@pytest.fixture(scope="module")
def nodes():
    """Five by four nodes, at the last two of five of which one line is missing."""
    parameters = np.array(list(product((0.0, 1.0, 2.0, 3.0, 4.5), (0.0, 1.0, 2.0, 3.0))))
    return parameters, np.array([spectrum(*node) for node in parameters])


def fit(nodes, **settings):
    cloner = quick_cloner(PIXELS, n_epochs=4)
    return PaperEmulator(cloner, parameter_names=None, **settings).fit(*nodes)


@pytest.fixture(scope="module")
def emulators(nodes):
    """An emulator of each kind and rule."""
    return {
        (kind, missing): fit(nodes, interpolation=kind, missing=missing)
        for kind in KINDS
        for missing in ("fade", "drop")
    }


def finite_difference(function, points, step=1e-5):
    """Derivatives on a last axis."""
    moves = step * np.eye(points.shape[1])
    sides = [(function(points + move) - function(points - move)) / (2 * step) for move in moves]
    return np.stack(sides, axis=-1)


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_the_difference_of_flux(emulators, kind, missing):
    emulator = emulators[kind, missing]
    assert not emulator.present_.all()
    # Where ln a runs to -1000, the rounding of its weights is seen in smaller steps.
    difference = finite_difference(emulator.predict, POINTS, step=1e-4)
    np.testing.assert_allclose(emulator.jacobian(POINTS), difference, atol=2e-7)
    assert np.abs(difference).max() > 0.01


@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", KINDS)
def test_lines_jacobian_is_the_difference_of_lines(emulators, kind, missing):
    emulator = emulators[kind, missing]
    jacobian = emulator.lines_jacobian(POINTS)
    n_lines = emulator.manifold_.n_lines
    assert jacobian.shape == (3, n_lines, 4, 2)
    difference = finite_difference(emulator.predict_lines, POINTS)
    difference = difference.reshape(jacobian.shape)
    absent = np.isnan(difference)
    assert not absent.all()
    assert absent.any() == (missing == "drop")
    np.testing.assert_allclose(jacobian[~absent], difference[~absent], rtol=1e-5, atol=1e-5)
    assert (jacobian[absent] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_flux_is_continuous_across_nodes(emulators, kind):
    emulator = emulators[kind, "fade"]
    at = np.array([[2.0, 1.0], [3.0, 2.0]])
    for move in 1e-7 * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]):
        np.testing.assert_allclose(emulator.predict(at + move), emulator.predict(at), atol=1e-6)


def interior_hole(nodes):
    return ~(nodes == [2.0, 1.0]).all(axis=1)


def ragged_edge(nodes):
    return nodes.sum(axis=1) < 6.0


def mostly_holes(nodes):
    """Less than half of the lattice: scattered."""
    corners = np.isin(nodes[:, 0], (0.0, 4.5)) & np.isin(nodes[:, 1], (0.0, 3.0))
    return corners | (np.arange(len(nodes)) % 4 == 1)


@pytest.mark.slow
@pytest.mark.parametrize("keep", [interior_hole, ragged_edge, mostly_holes])
@pytest.mark.parametrize("kind", ["linear", "cubic"])
def test_grids_with_holes_are_as_good_as_their_lines(nodes, keep, kind):
    parameters, spectra = nodes
    kept = keep(parameters)
    assert not kept.all()
    emulator = fit(
        (parameters[kept], spectra[kept]), interpolation=kind, missing="fade", holes="interpolate"
    )
    error = rms(emulator.predict(parameters[kept]), spectra[kept])
    np.testing.assert_allclose(error, emulator.line_rms_, rtol=1e-6)
    inside = emulator.grid_.contains(parameters)
    predicted = emulator.predict(parameters[inside])
    assert np.sqrt(np.mean((predicted - spectra[inside]) ** 2)) < 0.03
    # Differences also where weights are those of a filled or scattered grid.
    point = np.array([[1.3, 0.6]])
    np.testing.assert_allclose(
        emulator.jacobian(point), finite_difference(emulator.predict, point), atol=1e-6
    )


def test_settings_changed_after_fit_wait_for_the_next_fit(nodes):
    emulator = fit(nodes, missing="fade")
    expected = emulator.predict(POINTS), emulator.jacobian(POINTS), emulator.predict_lines(POINTS)
    emulator.set_params(interpolation="cubic", missing="drop")
    emulator.set_params(cloner__profile="voigt", cloner__wing_cut=4)
    for method, values in zip(
        (emulator.predict, emulator.jacobian, emulator.predict_lines), expected, strict=True
    ):
        np.testing.assert_array_equal(method(POINTS), values)


@pytest.mark.parametrize("kind", ["linear", "auto"])
def test_one_node(kind):
    emulator = fit((np.zeros((1, 2)), spectrum(0.0)[None]), interpolation=kind)
    assert rms(emulator.predict([[0.0, 0.0]]), spectrum(0.0)[None])[0] < 0.01
    assert (emulator.jacobian([[0.0, 0.0]]) == 0).all()
    assert emulator.flux_error_ is None
    with pytest.raises(ValueError, match="outside"):
        emulator.predict([[0.1, 0.0]])


def test_errors_left_out_are_told(nodes):
    emulator = fit(nodes, missing="fade")
    assert emulator.flux_error_.shape == PIXELS.shape
    assert (emulator.flux_error_ > 0).all()
    # What lines miss at the nodes they miss between them too.
    missed = emulator.predict(nodes[0]) - nodes[1]
    assert (emulator.flux_error_ >= np.sqrt(np.mean(missed**2, axis=0)) - 1e-12).all()


def test_nothing_is_warned_of(nodes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(nodes, interpolation="auto").predict(POINTS)


# Parts, files, and lines fitted before ---------------------------------------------------------

STARS = np.array([[5200.0, 4.2, -0.2], [5800.0, 4.4, -0.4]])
CUT = (8506.0, 8511.0)


@pytest.fixture(scope="module")
def emulator(grid):
    cloner = quick_cloner(grid.wavelength, n_epochs=5)
    return PaperEmulator(cloner, "auto", missing="fade").fit(grid.parameters, grid.normalised)


def test_a_range_is_the_full_emulator_there(emulator):
    assert not emulator.present_.all()
    part = emulator.select(wavelength=CUT)
    inside = (emulator.wavelength_ >= CUT[0]) & (emulator.wavelength_ <= CUT[1])
    np.testing.assert_array_equal(part.wavelength_, emulator.wavelength_[inside])
    np.testing.assert_allclose(part.predict(STARS), emulator.predict(STARS)[:, inside], atol=1e-4)
    np.testing.assert_allclose(
        part.jacobian(STARS), emulator.jacobian(STARS)[:, inside], atol=1e-4
    )
    np.testing.assert_array_equal(part.flux_error_, emulator.flux_error_[inside])
    # The whole stays as it was.
    assert len(emulator.wavelength_) == emulator.predict(STARS).shape[1] > inside.sum()


def test_a_wing_cut_of_a_part_hardly_differs(grid):
    cloner = quick_cloner(grid.wavelength, n_epochs=5, wing_cut=100)
    emulator = PaperEmulator(cloner, missing="fade").fit(grid.parameters, grid.normalised)
    inside = (grid.wavelength >= CUT[0]) & (grid.wavelength <= CUT[1])
    part = emulator.select(wavelength=CUT)
    np.testing.assert_allclose(part.predict(STARS), emulator.predict(STARS)[:, inside], atol=0.01)


def test_copies_predict_the_same(emulator, tmp_path):
    for number, one in enumerate((emulator, emulator.select(wavelength=CUT))):
        flux, jacobian = one.predict(STARS), one.jacobian(STARS)
        joblib.dump(one, tmp_path / f"{number}.joblib")
        save_model(tmp_path / f"{number}.skops", one)
        for copy in (
            pickle.loads(pickle.dumps(one)),
            joblib.load(tmp_path / f"{number}.joblib"),
            joblib.load(tmp_path / f"{number}.joblib", mmap_mode="r"),
            load_model(tmp_path / f"{number}.skops"),
        ):
            np.testing.assert_array_equal(copy.predict(STARS), flux)
            np.testing.assert_array_equal(copy.jacobian(STARS), jacobian)


@pytest.mark.slow
@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", ["linear", "hermite"])
def test_lines_cloned_before_are_as_good_as_spectra(grid, kind, missing):
    cloner = quick_cloner(grid.wavelength, n_epochs=4)
    settings = {"interpolation": kind, "missing": missing}
    fitted = PaperEmulator(cloner, **settings).fit(grid.parameters, grid.normalised)
    table = fitted.cloner_.line_table(grid.normalised)
    taken = PaperEmulator(cloner, **settings).fit_table(grid.parameters, table)
    np.testing.assert_allclose(taken.predict(STARS), fitted.predict(STARS), atol=1e-6)
    np.testing.assert_allclose(taken.jacobian(STARS), fitted.jacobian(STARS), atol=1e-5)
    np.testing.assert_array_equal(taken.present_, fitted.present_)
    assert not taken.present_.all()
    assert taken.flux_error_ is None
    assert np.isnan(taken.line_rms_).all()
    assert taken.cloner_.inverse_transform(taken.predict_lines(STARS)).shape == (2, 400)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"interpolation": "auto"}, "interpolation='auto' leaves spectra out"),
        ({"cloner": PaperCloner()}, "wavelength"),
        (
            {"cloner": make_pipeline(PercentileNormalizer(), PaperCloner())},
            "must not be a Pipeline",
        ),
        ({"missing": "keep"}, "missing must be 'drop' or 'fade'"),
    ],
)
def test_lines_that_cannot_be_taken(grid, emulator, settings, message):
    table = LineTable.from_dense(emulator.lines_)
    other = PaperEmulator(quick_cloner(grid.wavelength)).set_params(**settings)
    with pytest.raises(ValueError, match=message):
        other.fit_table(grid.parameters, table)


def test_lines_of_too_few_nodes_or_twice_in_one_are_named(grid, emulator):
    table = LineTable.from_dense(emulator.lines_)
    other = PaperEmulator(quick_cloner(grid.wavelength))
    with pytest.raises(ValueError, match="11 nodes but X has 12"):
        other.fit_table(grid.parameters, table[:11])
    columns = ("center", "log_area", "log_sigma", "log_gamma")
    same = LineTable(
        table.offsets,
        *(getattr(table, name) for name in columns),
        identity=np.zeros_like(table.identity),
    )
    with pytest.raises(ValueError, match="node 0 has two of identity 0"):
        other.fit_table(grid.parameters, same)
