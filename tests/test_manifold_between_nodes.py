"""LineManifoldRegressor between nodes: derivatives, holes, edges, one and many parameters."""

import warnings
from itertools import product

import numpy as np
import pytest

from skphx import FluxEmulator, LineManifoldRegressor, VoigtCloner
from skphx.lines import render_flux
from skphx.model_selection import InteriorNodes

pytestmark = pytest.mark.slow

WAVELENGTH = np.linspace(5000.0, 5004.0, 80)
KINDS = ("linear", "hermite", "cubic", "radial")


def spectrum(x, y=0.0, z=0.0, a=0.0):
    """Three lines that answer four parameters, of which one is gone for x above 2.5."""
    area = [
        0.04 * (1 + 0.2 * x),
        0.03 * (1 + 0.3 * y) * np.exp(-0.3 * z),
        0.02 * (2.5 - x) + 0.01 * a,
    ]
    center = [5001.0, 5002.1, 5003.0]
    present = np.array(area) > 0.004
    return render_flux(
        WAVELENGTH,
        np.array(center)[present],
        np.log(np.array(area)[present]),
        np.full(present.sum(), np.log(0.06) + 0.05 * y),
        np.full(present.sum(), np.log(0.03)),
    )


def make_nodes(*axes):
    nodes = np.array(list(product(*axes)), dtype=float)
    return nodes, np.array([spectrum(*node) for node in nodes])


@pytest.fixture(scope="module")
def nodes():
    """Five by four nodes, at the last two of five of which one line is gone."""
    return make_nodes((0.0, 1.0, 2.0, 3.0, 4.5), (0.0, 1.0, 2.0, 3.0))


def fit(nodes, **settings):
    cloner = settings.pop("cloner", None)
    if cloner is None:
        cloner = VoigtCloner(WAVELENGTH, n_seeds=2, target_rms=None, max_iter=4)
    if "flux" not in settings:
        # All components, and lines and flux interpolated in the same way.
        kind = settings.get("interpolation", "auto")
        settings["flux"] = FluxEmulator(interpolation=kind, tolerance=0)
    settings = {"parameter_names": None, "smoothness": 0} | settings
    return LineManifoldRegressor(cloner, **settings).fit(*nodes)


@pytest.fixture(scope="module")
def emulators(nodes):
    """An emulator of each kind, whose nodes are each fitted alone."""
    return {kind: fit(nodes, interpolation=kind) for kind in KINDS}


def finite_difference(function, points, step=1e-5):
    """Derivatives on a last axis."""
    moves = step * np.eye(points.shape[1])
    sides = [(function(points + move) - function(points - move)) / (2 * step) for move in moves]
    return np.stack(sides, axis=-1)


POINTS = np.array([[0.4, 0.3], [2.4, 1.7], [2.9, 2.2]])


@pytest.mark.parametrize("saturation", [0.03, np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_is_the_difference_of_flux(nodes, kind, saturation):
    emulator = fit(nodes, flux=FluxEmulator(interpolation=kind, saturation=saturation))
    jacobian = emulator.jacobian(POINTS)
    assert jacobian.shape == (3, len(WAVELENGTH), 2)
    difference = finite_difference(emulator.predict, POINTS)
    np.testing.assert_allclose(jacobian, difference, atol=2e-7)
    assert np.abs(jacobian).max() > 0.01


@pytest.mark.parametrize("smoothness", [0, 0.01])
@pytest.mark.parametrize("kind", KINDS)
def test_jacobian_of_lines_alone(nodes, kind, smoothness):
    emulator = fit(nodes, interpolation=kind, smoothness=smoothness, flux=None)
    difference = finite_difference(emulator.predict, POINTS, step=1e-4)
    np.testing.assert_allclose(emulator.jacobian(POINTS), difference, atol=2e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_lines_jacobian_is_the_difference_of_lines(emulators, kind):
    emulator = emulators[kind]
    jacobian = emulator.lines_jacobian(POINTS)
    n_lines = emulator.manifold_.n_lines
    assert jacobian.shape == (3, n_lines, 4, 2)
    assert n_lines > 0
    difference = finite_difference(emulator.predict_lines, POINTS).reshape(jacobian.shape)
    np.testing.assert_allclose(jacobian, difference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_flux_is_continuous_across_nodes(emulators, kind):
    emulator = emulators[kind]
    at = np.array([[2.0, 1.0], [3.0, 2.0]])
    for move in 1e-7 * np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]):
        np.testing.assert_allclose(emulator.predict(at + move), emulator.predict(at), atol=1e-6)


def interior_hole(nodes):
    inside = (nodes == [2.0, 1.0]).all(axis=1)
    return ~inside


def ragged_edge(nodes):
    return nodes.sum(axis=1) < 6.0


def mostly_holes(nodes):
    """Less than half of the lattice: scattered."""
    corners = np.isin(nodes[:, 0], (0.0, 4.5)) & np.isin(nodes[:, 1], (0.0, 3.0))
    return corners | (np.arange(len(nodes)) % 4 == 1)


@pytest.mark.parametrize("keep", [interior_hole, ragged_edge, mostly_holes])
@pytest.mark.parametrize("kind", KINDS)
def test_grids_with_holes_are_exact_at_their_nodes_and_good_between(nodes, keep, kind):
    parameters, spectra = nodes
    kept = keep(parameters)
    assert not kept.all()
    emulator = fit((parameters[kept], spectra[kept]), interpolation=kind, holes="interpolate")
    np.testing.assert_allclose(emulator.predict(parameters[kept]), spectra[kept], atol=1e-8)
    inside = emulator.grid_.contains(parameters)
    predicted = emulator.predict(parameters[inside])
    assert np.sqrt(np.mean((predicted - spectra[inside]) ** 2)) < 0.03
    # Differences also where weights are those of a filled or scattered grid.
    point = np.array([[1.3, 0.6]])
    np.testing.assert_allclose(
        emulator.jacobian(point), finite_difference(emulator.predict, point), atol=1e-6
    )
    if keep is interior_hole:
        assert emulator.distance([[2.0, 1.0]])[0] == pytest.approx(1.0)
    assert emulator.distance(parameters[kept]).max() == 0.0


@pytest.mark.parametrize("kind", ["cubic", "radial"])
def test_leaving_one_node_out(nodes, kind):
    parameters, spectra = nodes
    errors = []
    for train, test in InteriorNodes().split(parameters):
        if len(errors) == 3:
            break
        emulator = fit(
            (parameters[train], spectra[train]), interpolation=kind, holes="interpolate"
        )
        distance = emulator.distance(parameters[test])
        assert distance[0] >= 0.9
        if emulator.grid_.contains(parameters[test])[0]:
            errors.append(np.abs(emulator.predict(parameters[test]) - spectra[test]).max())
    assert errors
    assert max(errors) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_outside_is_an_error_or_moved(nodes, kind):
    parameters, spectra = nodes
    kept = ragged_edge(parameters)
    emulator = fit((parameters[kept], spectra[kept]), interpolation=kind, holes="interpolate")
    outside = np.array([[4.4, 2.9], [-1.0, 1.0]])
    for method in (emulator.predict, emulator.jacobian, emulator.predict_lines):
        with pytest.raises(ValueError, match=r"outside|hull"):
            method(outside)
    clipped = emulator.set_params(extrapolate="clip").predict(outside)
    np.testing.assert_allclose(clipped[1], emulator.predict([[0.0, 1.0]])[0], atol=1e-6)
    nearest = emulator.set_params(extrapolate="nearest").predict(outside)
    row = emulator.grid_.nearest_node(outside)
    np.testing.assert_allclose(nearest, spectra[kept][row], atol=1e-8)
    assert emulator.distance(outside).min() > 0.5


def test_an_unknown_rule_set_after_fit_is_named(emulators):
    emulator = emulators["linear"].set_params(extrapolate="wrap")
    try:
        with pytest.raises(ValueError, match="'wrap'"):
            emulator.predict([[9.0, 9.0]])
    finally:
        emulator.set_params(extrapolate="error")


def test_settings_changed_after_fit_wait_for_the_next_fit(nodes):
    flux = FluxEmulator(interpolation="linear", saturation=0.03)
    emulator = fit(nodes, interpolation="linear", flux=flux)
    expected = emulator.predict(POINTS), emulator.jacobian(POINTS), emulator.predict_lines(POINTS)
    changes = {"flux__saturation": 1.0, "flux__interpolation": "cubic", "flux__tolerance": 0.1}
    emulator.set_params(interpolation="cubic", smoothness=1.0, **changes)
    emulator.set_params(flux=None, cloner__profile="voigt", cloner__max_iter=0)
    for method, values in zip(
        (emulator.predict, emulator.jacobian, emulator.predict_lines), expected, strict=True
    ):
        np.testing.assert_array_equal(method(POINTS), values)


@pytest.mark.parametrize("kind", ["linear", "cubic", "radial", "auto"])
@pytest.mark.parametrize("n_parameters", [1, 4])
def test_one_parameter_and_four(n_parameters, kind):
    axes = [(0.0, 1.0, 2.0, 3.0), (0.0, 1.0), (-1.0, 0.0), (0.0, 0.4)][:n_parameters]
    grid = make_nodes(*axes)
    cloner = VoigtCloner(WAVELENGTH, n_seeds=3, target_rms=None, max_iter=5)
    names = ("teff", "logg", "feh", "alpha")[:n_parameters]
    emulator = fit(grid, interpolation=kind, cloner=cloner, parameter_names=names, smoothness=0.01)
    np.testing.assert_allclose(emulator.predict(grid[0]), grid[1], atol=1e-8)
    point = np.array([[1.4, 0.5, -0.3, 0.1][:n_parameters]])
    assert np.abs(emulator.predict(point) - spectrum(*point[0])).max() < 0.1
    assert emulator.jacobian(point).shape == (1, len(WAVELENGTH), n_parameters)
    np.testing.assert_allclose(
        emulator.jacobian(point), finite_difference(emulator.predict, point), atol=1e-6
    )


@pytest.mark.parametrize("kind", ["linear", "auto"])
@pytest.mark.parametrize("smoothness", [0, 0.01])
def test_one_node(kind, smoothness):
    cloner = VoigtCloner(WAVELENGTH, target_rms=None, max_iter=5)
    node = np.zeros((1, 2)), spectrum(0.0)[None]
    emulator = fit(node, interpolation=kind, cloner=cloner, smoothness=smoothness)
    np.testing.assert_allclose(emulator.predict([[0.0, 0.0]])[0], spectrum(0.0), atol=1e-9)
    assert (emulator.jacobian([[0.0, 0.0]]) == 0).all()
    assert emulator.flux_error_ is None
    with pytest.raises(ValueError, match="outside"):
        emulator.predict([[0.1, 0.0]])


@pytest.mark.parametrize("settings", [{"interpolation": "auto"}, {"flux": None}])
def test_errors_left_out_are_told(nodes, settings):
    emulator = fit(nodes, **settings)
    assert emulator.flux_error_.shape == WAVELENGTH.shape
    assert (emulator.flux_error_ > 0).all()
    if "flux" in settings:
        # What lines alone miss at the nodes they miss between them too.
        missed = emulator.predict(nodes[0]) - nodes[1]
        assert (emulator.flux_error_ >= np.sqrt(np.mean(missed**2, axis=0)) - 1e-12).all()
    else:
        assert emulator.flux_.held_out_errors_.shape == (3, 5)
        assert emulator.interpolation_ in ("hermite", "cubic", "radial")
        assert emulator.interpolation_ == emulator.flux_.interpolation_


def test_nodes_in_any_memory(nodes, tmp_path):
    """Read-only and memory-mapped inputs, in other orders of memory and precisions."""
    parameters, spectra = nodes
    expected = fit(nodes).predict(POINTS)
    frozen = [array.copy() for array in nodes]
    for array in frozen:
        array.flags.writeable = False
    np.save(tmp_path / "spectra.npy", spectra)
    mapped = np.load(tmp_path / "spectra.npy", mmap_mode="r")
    for given in (
        frozen,
        (parameters, mapped),
        (np.asfortranarray(parameters), np.asfortranarray(spectra)),
    ):
        np.testing.assert_allclose(fit(given).predict(POINTS), expected, atol=1e-12)
    single = fit((parameters, spectra.astype(np.float32))).predict(POINTS)
    np.testing.assert_allclose(single, expected, atol=1e-5)


def test_nothing_is_warned_of(nodes):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(nodes, interpolation="auto").predict(POINTS)
