"""Lines along a grid as coefficients of their surfaces."""

import pickle
from itertools import product

import joblib
import numpy as np
import pytest

from skphx import FluxEmulator, LineManifoldRegressor, VoigtCloner, load_model, save_model
from skphx.interpolation import make_grid
from skphx.interpolation._surface import smooth_surface
from skphx.lines import LineTable
from skphx.lines._node_lines import NodeLines
from skphx.lines._reach import lines_that_matter
from skphx.lines._surfaces import LineSurfaces

NODES = np.array(list(product(np.linspace(4000, 6000, 6), (3.0, 3.5, 4.0, 4.5), (-0.5, 0.0, 0.5))))
POINTS = np.array([[4130.0, 3.2, -0.4], [5010.0, 4.4, 0.49], [5990.0, 3.01, 0.0]])
UNBOUNDED = 9e9


def make_lines(n_lines=15, nodes=NODES, bounded=False, seed=0):
    """Random surfaces, their coefficients and bounds, of which some may hold."""
    rng = np.random.default_rng(seed)
    surface = smooth_surface(nodes)
    n_terms = len(surface.exponents)
    coefficients = rng.normal(0.0, 0.05, (n_lines, 4, n_terms))
    coefficients[:, 0] *= 0.1
    coefficients[..., 0] = [0.0, -3.0, -2.5, -3.0]
    coefficients[:, 0, 0] = np.sort(rng.uniform(5000.0, 5050.0, n_lines))
    width = np.full((n_lines, 4), 0.15 if bounded else UNBOUNDED)
    width[:, 0] *= 0.1
    lower, upper = coefficients[..., 0] - width, coefficients[..., 0] + width
    return LineSurfaces(surface, coefficients, lower, upper, nodes), coefficients, lower, upper


@pytest.mark.parametrize("bounded", [False, True])
def test_lines_are_sums_of_the_terms_within_their_bounds(bounded):
    lines, coefficients, lower, upper = make_lines(bounded=bounded)
    for points in (NODES, POINTS):
        unbounded = np.tensordot(lines.surface.basis(points), coefficients, axes=(1, 2))
        expected = np.clip(unbounded, lower, upper)
        is_held = expected != unbounded
        assert is_held.any() == bounded
        assert not is_held.all()
        found = lines.at(points)
        # Centres in single precision, beside their constant part.
        np.testing.assert_allclose(found[..., 0], expected[..., 0], rtol=0, atol=1e-8)
        np.testing.assert_allclose(found[..., 1:], expected[..., 1:], rtol=0, atol=3e-6)
    np.testing.assert_array_equal(lines.to_dense(), lines.at(NODES))
    np.testing.assert_array_equal(lines.at(POINTS.tolist()), lines.at(POINTS))


def test_nothing_given_is_changed():
    _, coefficients, lower, upper = make_lines()
    kept = [array.copy() for array in (coefficients, lower, upper)]
    LineSurfaces(smooth_surface(NODES), coefficients, lower, upper, NODES).at(POINTS)
    for array, before in zip((coefficients, lower, upper), kept, strict=True):
        np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("bounded", [False, True])
def test_tangents_are_differences(bounded):
    lines, *_ = make_lines(bounded=bounded)
    tangents = lines.tangents_at(POINTS)
    assert tangents.shape == (3, 3, 15, 4)
    for column, step in enumerate((0.01, 1e-5, 1e-5)):
        move = step * np.eye(3)[column]
        difference = (lines.at(POINTS + move) - lines.at(POINTS - move)) / (2 * step)
        scale = np.abs(difference).max(axis=(0, 1))
        np.testing.assert_allclose(tangents[column] / scale, difference / scale, atol=2e-6)
    # A parameter that keeps its bound does not move.
    is_held = (lines.at(POINTS)[..., 1:] == lines.lower[:, 1:]) | (
        lines.at(POINTS)[..., 1:] == lines.upper[:, 1:]
    )
    assert is_held.any() == bounded
    assert (tangents[..., 1:][:, is_held] == 0).all()


def test_derivatives_of_the_terms_are_differences():
    surface = smooth_surface(NODES)
    slopes = surface.basis_jacobian(POINTS)
    assert slopes.shape == (3, 3, len(surface.exponents))
    for column, step in enumerate((0.1, 1e-4, 1e-4)):
        move = step * np.eye(3)[column]
        difference = (surface.basis(POINTS + move) - surface.basis(POINTS - move)) / (2 * step)
        scale = np.abs(difference).max()
        np.testing.assert_allclose(slopes[column] / scale, difference / scale, atol=1e-7)


def test_derivatives_along_a_parameter_of_one_value_are_zero():
    flat = np.array([[4000.0, 4.5], [5000.0, 4.5], [6000.0, 4.5]])
    lines, *_ = make_lines(nodes=flat)
    tangents = lines.tangents_at(flat[:1] + [[300.0, 0.0]])
    assert np.abs(tangents[0]).max() > 0
    assert (tangents[1] == 0).all()


def test_all_nodes_have_all_lines():
    lines, *_ = make_lines()
    assert lines.n_lines == 15
    assert lines.present.shape == (len(NODES), 15)
    assert lines.present.all()
    assert np.isfinite(lines.to_dense()).all()


def test_some_of_the_lines_are_the_same_lines():
    for bounded in (False, True):
        lines, *_ = make_lines(bounded=bounded)
        kept = np.arange(15) % 3 > 0
        part = lines.selected(kept)
        assert part.n_lines == 10
        np.testing.assert_array_equal(part.centers, lines.centers[kept])
        np.testing.assert_array_equal(part.at(POINTS), lines.at(POINTS)[:, kept])
        np.testing.assert_array_equal(
            part.tangents_at(POINTS), lines.tangents_at(POINTS)[:, :, kept]
        )
        again = part.selected(np.arange(10) == 4)
        np.testing.assert_array_equal(again.at(POINTS), part.at(POINTS)[:, [4]])
        assert lines.n_lines == 15
        none = lines.selected(np.zeros(15, dtype=bool))
        assert none.at(POINTS).shape == (3, 0, 4)
        assert none.tangents_at(POINTS).shape == (3, 3, 0, 4)


@pytest.mark.parametrize("window", [(5010.0, 5012.0), (4900.0, 5100.0), (5200.0, 5300.0)])
def test_depths_and_lines_that_matter_are_those_of_a_table_of_the_nodes(window):
    lines, *_ = make_lines(n_lines=40, bounded=True)
    table = NodeLines(lines.to_dense())
    for one, other in zip(lines.deepest(*window), table.deepest(*window), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)
    pixels = np.linspace(*window, 50)
    kept = lines_that_matter(lines, pixels)
    np.testing.assert_array_equal(kept, lines_that_matter(table, pixels))
    np.testing.assert_allclose(
        lines.selected(kept).to_dense(), table.selected(kept).to_dense(), rtol=1e-12
    )
    # What was left out is not seen.
    whole = LineTable.from_dense(lines.at(POINTS)).render(pixels)
    part = LineTable.from_dense(lines.selected(kept).at(POINTS)).render(pixels)
    np.testing.assert_allclose(part, whole, atol=1e-4)


def size_of(thing):
    return len(pickle.dumps(thing))


def test_surfaces_of_a_large_grid_are_small():
    nodes = np.array(list(product(np.linspace(3000, 7000, 13), range(10), range(10))), dtype=float)
    assert len(nodes) == 1300
    lines, *_ = make_lines(n_lines=500, nodes=nodes)
    table = lines.to_dense()
    assert table.dtype == np.float64
    assert table.nbytes > 50 * size_of(lines)
    # Half as much with half of the lines, but for the nodes themselves.
    half = lines.selected(np.arange(500) < 250)
    assert size_of(half) < 0.6 * size_of(lines)


def test_copies_are_the_same(tmp_path):
    lines, *_ = make_lines(bounded=True)
    joblib.dump(lines, tmp_path / "lines.joblib")
    for copy in (
        pickle.loads(pickle.dumps(lines)),
        joblib.load(tmp_path / "lines.joblib"),
        joblib.load(tmp_path / "lines.joblib", mmap_mode="r"),
    ):
        np.testing.assert_array_equal(copy.at(POINTS), lines.at(POINTS))
        np.testing.assert_array_equal(copy.tangents_at(POINTS), lines.tangents_at(POINTS))


# Of an emulator ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(grid):
    cloner = VoigtCloner(grid.wavelength, max_iter=5, n_seeds=3, target_rms=None)
    emulator = LineManifoldRegressor(cloner, flux=None)
    return emulator.fit(grid.parameters, grid.normalised)


def test_an_emulator_gives_its_surfaces(grid, fitted, held_out):
    lines = fitted.manifold_
    assert isinstance(lines, LineSurfaces)
    at = lines.at(held_out.parameters)
    np.testing.assert_array_equal(fitted.predict_lines(held_out.parameters), at.reshape(2, -1))
    np.testing.assert_array_equal(
        fitted.lines_jacobian(held_out.parameters),
        np.moveaxis(lines.tangents_at(held_out.parameters), 0, -1),
    )
    np.testing.assert_array_equal(fitted.lines_, lines.at(grid.parameters))
    np.testing.assert_array_equal(fitted.present_, lines.present)
    flux = LineTable.from_dense(at).render(grid.wavelength)
    np.testing.assert_allclose(fitted.predict(held_out.parameters), flux, atol=1e-12)


def test_flux_of_surfaces_has_the_derivatives_of_their_sum(fitted, held_out):
    points = held_out.parameters
    jacobian = fitted.jacobian(points)
    for column, step in enumerate((0.1, 1e-4, 1e-4)):
        move = step * np.eye(3)[column]
        difference = (fitted.predict(points + move) - fitted.predict(points - move)) / (2 * step)
        scale = np.abs(difference).max()
        np.testing.assert_allclose(jacobian[..., column] / scale, difference / scale, atol=1e-5)


def test_lines_of_surfaces_are_smooth_between_nodes_too(grid, fitted, held_out):
    """Where the table of the nodes is interpolated, lines have kinks."""
    table = NodeLines(fitted.lines_).on(make_grid(grid.parameters))
    teff = np.linspace(5000.0, 6000.0, 41)
    points = np.column_stack([teff, np.full(41, 4.2), np.full(41, -0.2)])

    def kink(lines):
        return np.abs(np.diff(lines.at(points)[..., 1], 2, axis=0)).max()

    assert kink(fitted.manifold_) < 0.3 * kink(table)
    nodes = grid.parameters
    np.testing.assert_allclose(fitted.manifold_.at(nodes), table.at(nodes), rtol=1e-12)


@pytest.mark.parametrize("flux", [None, "auto"])
def test_saved_emulators_keep_their_surfaces(grid, held_out, fitted, tmp_path, flux):
    emulator = fitted
    if flux is not None:
        emulator = LineManifoldRegressor(fitted.cloner, flux=flux)
        emulator.fit(grid.parameters, grid.normalised)
        assert isinstance(emulator.flux_, FluxEmulator)
    part = emulator.select(wavelength=(8505.0, 8510.0))
    for number, one in enumerate((emulator, part)):
        save_model(tmp_path / f"{number}.skops", one)
        copy = load_model(tmp_path / f"{number}.skops")
        assert isinstance(copy.manifold_, LineSurfaces)
        for method in ("predict", "jacobian", "predict_lines", "lines_jacobian"):
            np.testing.assert_array_equal(
                getattr(copy, method)(held_out.parameters),
                getattr(one, method)(held_out.parameters),
            )
