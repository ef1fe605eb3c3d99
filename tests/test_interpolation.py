"""Grids: exact at nodes, exact for polynomials, smooth, the same as scipy, clear in errors."""

import itertools
import pickle

import joblib
import numpy as np
import pytest
from scipy.interpolate import RBFInterpolator, RegularGridInterpolator, make_interp_spline
from scipy.sparse import csr_array
from scipy.sparse.linalg import spsolve

from skphx.interpolation import make_grid
from skphx.interpolation._filled import FilledGrid
from skphx.interpolation._nodes import check_nodes, lattice_of
from skphx.interpolation._rectilinear import RectilinearGrid
from skphx.interpolation._scattered import ScatteredGrid

NAMES = ("teff", "logg", "feh")
# Uneven on purpose: the step of Teff doubles, as in the PHOENIX library.
TEFF = np.array([4500.0, 4600.0, 4700.0, 4800.0, 5000.0, 5200.0])
LOGG = np.array([2.0, 2.5, 3.5, 4.0, 5.0])
FEH = np.array([-1.0, -0.5, 0.0, 0.5])
KINDS = ("linear", "hermite", "cubic")


def product(*axes):
    return np.array(list(itertools.product(*axes)))


def random_points(n_points, seed=0, low=(4500, 2, -1), high=(5200, 5, 0.5)):
    return np.random.default_rng(seed).uniform(low, high, (n_points, len(low)))


def scaled(points):
    """Parameters of order one, so that powers of them stay comparable."""
    return (np.asarray(points) - [4800, 3.5, 0]) / [400, 1.5, 1]


def smooth(points):
    x, y, z = scaled(points).T
    return np.sin(2 * x + y) * np.exp(0.3 * z) + x * y * z


@pytest.fixture(scope="module")
def nodes():
    return np.random.default_rng(1).permutation(product(TEFF, LOGG, FEH))


@pytest.fixture(scope="module")
def holey(nodes):
    """The lattice without a tenth of its nodes; its eight corners stay."""
    at_edge = (nodes == nodes.min(axis=0)) | (nodes == nodes.max(axis=0))
    lost = np.flatnonzero(~at_edge.all(axis=1))[::10]
    return np.delete(nodes, lost, axis=0)


def every_grid(nodes, holey):
    cloud = random_points(60, seed=3)
    for kind in KINDS:
        yield RectilinearGrid(nodes, NAMES, kind)
        yield FilledGrid(holey, NAMES, kind)
        yield ScatteredGrid(holey, NAMES, kind)
        yield ScatteredGrid(cloud, NAMES, kind)
    for where in (nodes, holey, cloud):
        yield ScatteredGrid(where, NAMES, "radial")


# ------------------------------------------------------------------ what every grid keeps


def test_exact_at_every_node(nodes, holey):
    for grid in every_grid(nodes, holey):
        weights = grid.weights(grid.nodes)
        assert isinstance(weights, csr_array)
        np.testing.assert_allclose(weights.toarray(), np.eye(grid.n_nodes), atol=1e-12)


def test_weights_add_up_to_one(nodes, holey):
    points = random_points(50)
    for grid in every_grid(nodes, holey):
        inside = grid.resolve_outside(points, "clip")
        np.testing.assert_allclose(grid.weights(inside).sum(axis=1), 1.0, atol=1e-9)
        for slope, scale in zip(grid.weights_jacobian(inside), grid.scale, strict=True):
            np.testing.assert_allclose(slope.sum(axis=1) * scale, 0.0, atol=1e-8)


def test_jacobian_is_the_finite_difference_of_the_weights(nodes, holey):
    # Moved inwards, so that both sides of the difference stay inside the hull.
    points = 0.9 * random_points(20) + 0.1 * np.array([4850, 3.5, -0.25])
    for grid in every_grid(nodes, holey):
        inside = grid.contains(points)
        for other in (points * (1 - 1e-3), points * (1 + 1e-3)):
            inside &= grid.contains(other)
        assert inside.sum() >= 5
        for column, slope in enumerate(grid.weights_jacobian(points[inside])):
            step = np.zeros(3)
            step[column] = 1e-4 * grid.scale[column]
            difference = grid.weights(points[inside] + step) - grid.weights(points[inside] - step)
            expected = difference.toarray() / (2 * step[column])
            tolerance = 2e-5 / grid.scale[column]
            np.testing.assert_allclose(slope.toarray(), expected, rtol=1e-4, atol=tolerance)


def test_order_of_rows_changes_nothing(nodes, holey):
    points = random_points(20, seed=5)
    for grid in every_grid(nodes, holey):
        order = np.random.default_rng(7).permutation(grid.n_nodes)
        other = type(grid)(grid.nodes[order], NAMES, grid.interpolation)
        inside = grid.resolve_outside(points, "clip")
        expected = grid.weights(inside).toarray()[:, order]
        np.testing.assert_allclose(other.weights(inside).toarray(), expected, atol=1e-9)


def test_linear_functions_are_reproduced(nodes, holey):
    points = random_points(50)
    for grid in every_grid(nodes, holey):
        inside = grid.resolve_outside(points, "clip")
        values = scaled(grid.nodes) @ [1.0, -2.0, 3.0] + 0.7
        expected = scaled(inside) @ [1.0, -2.0, 3.0] + 0.7
        np.testing.assert_allclose(grid.weights(inside) @ values, expected, atol=1e-8)


def test_continuous_across_nodes(nodes, holey):
    # A line that passes through a node and several cell faces, in steps of 1e-6 of itself.
    line = np.array([4650, 2.2, -0.9]) + np.linspace(0, 1, 7)[:, None] * [300, 2.4, 1.2]
    nearby = line + 1e-6 * np.array([300, 2.4, 1.2])
    for grid in every_grid(nodes, holey):
        inside = grid.contains(line) & grid.contains(nearby)
        change = grid.weights(nearby[inside]) - grid.weights(line[inside])
        assert np.abs(change.toarray()).max() < 1e-4


@pytest.mark.parametrize("kind", ["hermite", "cubic"])
def test_derivative_is_continuous_across_nodes(nodes, kind):
    grid = RectilinearGrid(nodes, NAMES, kind)
    for node in (4700.0, 4800.0, 5000.0):
        left, right = (
            grid.weights_jacobian([[node + side, 3.1, -0.2]])[0].toarray()
            for side in (-1e-6, 1e-6)
        )
        np.testing.assert_allclose(left, right, atol=1e-8)


def test_state_is_small_arrays_and_survives_pickling(nodes, holey, tmp_path):
    points = random_points(10)
    for number, grid in enumerate(every_grid(nodes, holey)):
        path = tmp_path / f"{number}.joblib"
        joblib.dump(grid, path)
        inside = grid.resolve_outside(points, "clip")
        again = joblib.load(path).weights(inside)
        assert (again != grid.weights(inside)).nnz == 0
        limit = 10_000 if isinstance(grid, RectilinearGrid) else 16 * (grid.n_nodes + 10) ** 2
        assert len(pickle.dumps(grid)) < limit + 3000
        assert "interpolate." not in str(pickle.dumps(grid))


# ------------------------------------------------------------------ full products


def test_multilinear_functions_are_reproduced(nodes):
    def multilinear(points):
        x, y, z = scaled(points).T
        return 1 + x - 2 * y + 3 * x * y - x * z + 5 * x * y * z

    points = random_points(100)
    grid = RectilinearGrid(nodes, NAMES, "linear")
    np.testing.assert_allclose(
        grid.weights(points) @ multilinear(grid.nodes), multilinear(points), atol=1e-12
    )


@pytest.mark.parametrize(("kind", "degree"), [("linear", 1), ("hermite", 2), ("cubic", 3)])
def test_tensor_polynomials_up_to_the_order_and_no_further(nodes, kind, degree):
    grid = RectilinearGrid(nodes, NAMES, kind)
    points = random_points(100)

    def error(power):
        values = np.prod(scaled(grid.nodes) ** power, axis=1)
        return np.abs(grid.weights(points) @ values - np.prod(scaled(points) ** power, axis=1))

    assert error(degree).max() < 1e-11
    assert error(degree + 1).max() > 1e-4


def test_linear_equals_scipy(nodes):
    grid = RectilinearGrid(nodes, NAMES, "linear")
    points = random_points(200)
    lattice = smooth(product(TEFF, LOGG, FEH)).reshape(len(TEFF), len(LOGG), len(FEH))
    expected = RegularGridInterpolator((TEFF, LOGG, FEH), lattice)(points)
    np.testing.assert_allclose(grid.weights(points) @ smooth(nodes), expected, atol=1e-12)


def test_cubic_equals_scipy(nodes):
    grid = RectilinearGrid(nodes, NAMES, "cubic")
    points = random_points(200)
    lattice = smooth(product(TEFF, LOGG, FEH)).reshape(len(TEFF), len(LOGG), len(FEH))
    axes = (TEFF - 4500) / 700, LOGG, FEH
    unit_points = (points - [4500, 0, 0]) / [700, 1, 1]
    # Its default solver is iterative and stops at 1e-6.
    reference = RegularGridInterpolator(axes, lattice, method="cubic", solver=spsolve)
    expected = reference(unit_points)
    np.testing.assert_allclose(grid.weights(points) @ smooth(nodes), expected, atol=1e-9)


def test_cubic_slope_equals_scipy():
    values = np.sin(TEFF / 150)
    points = np.linspace(4500, 5200, 41)
    slope = RectilinearGrid(TEFF[:, None], None, "cubic").weights_jacobian(points[:, None])[0]
    expected = make_interp_spline(TEFF, values)(points, nu=1)
    np.testing.assert_allclose(slope @ values, expected, atol=1e-12)


def test_hermite_uses_only_the_nearest_nodes():
    axis = np.arange(12.0)
    grid = RectilinearGrid(axis[:, None], None, "hermite")
    weights = grid.weights([[5.3]]).toarray()[0]
    assert np.flatnonzero(weights).tolist() == [4, 5, 6, 7]


@pytest.mark.parametrize("kind", ["hermite", "cubic"])
def test_short_axes_lower_the_order(kind):
    three = RectilinearGrid([[0.0], [1.0], [3.0]], None, kind)
    points = np.linspace(0, 3, 13)
    np.testing.assert_allclose(three.weights(points[:, None]) @ [0.0, 1.0, 9.0], points**2)
    two = RectilinearGrid([[0.0], [2.0]], None, kind)
    np.testing.assert_allclose(two.weights([[0.5]]).toarray(), [[0.75, 0.25]])


@pytest.mark.parametrize("kind", KINDS)
def test_single_valued_axis_takes_only_that_value(kind):
    grid = RectilinearGrid(product(TEFF, [4.5]), ("teff", "logg"), kind)
    alone = RectilinearGrid(TEFF[:, None], ("teff",), kind)
    expected = alone.weights([[4711.0]]).toarray()
    np.testing.assert_array_equal(grid.weights([[4711.0, 4.5]]).toarray(), expected)
    assert grid.weights_jacobian([[4711.0, 4.5]])[1].nnz == 0
    with pytest.raises(ValueError, match=r"logg=4\.6, outside \[4\.5, 4\.5\]"):
        grid.weights([[4711.0, 4.6]])


@pytest.mark.parametrize("n_parameters", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("kind", KINDS)
def test_any_number_of_parameters(n_parameters, kind):
    axes = [np.array([0.0, 1.0, 2.5, 3.0])] + [np.array([0.0, 1.0, 3.0])] * (n_parameters - 1)
    grid = make_grid(product(*axes[:n_parameters]), interpolation=kind)
    points = np.random.default_rng(0).uniform(0, 3, (10, n_parameters))
    coefficients = np.arange(1.0, n_parameters + 1)
    values = np.prod(1 + grid.nodes * coefficients, axis=1)
    expected = np.prod(1 + points * coefficients, axis=1)
    np.testing.assert_allclose(grid.weights(points) @ values, expected, rtol=1e-10)


def test_single_precision_values_are_one_node():
    parameters = product([5000.0, 6000.0], [-0.3, 0.1])
    parameters[0, 1] = np.float32(-0.3)
    parameters[3, 1] = np.float32(0.1)
    grid = RectilinearGrid(parameters)
    assert [len(axis) for axis in grid.axes] == [2, 2]
    np.testing.assert_allclose(grid.weights(parameters).toarray(), np.eye(4), atol=1e-6)


# ------------------------------------------------------------------ holes


def test_filled_grid_equals_the_full_one_where_no_node_is_missing(nodes):
    grid = FilledGrid(nodes, NAMES, "cubic")
    full = RectilinearGrid(nodes, NAMES, "cubic")
    points = random_points(20)
    difference = grid.weights(points) - full.weights(points)
    assert np.abs(difference.toarray()).max() < 1e-12


def test_linear_filled_grid_differs_only_beside_the_hole(nodes):
    hole = np.array([4800.0, 3.5, 0.0])
    rest = nodes[(nodes != hole).any(axis=1)]
    grid, full = FilledGrid(rest, NAMES), RectilinearGrid(nodes, NAMES)
    points = random_points(200)
    error = np.abs(grid.weights(points) @ smooth(rest) - full.weights(points) @ smooth(nodes))
    beside = (
        (points[:, 0] > 4700) & (points[:, 0] < 5000) & (points[:, 1] > 2.5) & (points[:, 1] < 4)
    ) & (points[:, 2] > -0.5)
    assert error[~beside].max() < 1e-12
    assert 0 < error[beside].max() < 0.05


def test_filled_cubic_is_better_than_scattered_cubic(nodes, holey):
    points = random_points(300)

    def error(grid):
        return np.sqrt(np.mean((grid.weights(points) @ smooth(grid.nodes) - smooth(points)) ** 2))

    filled = error(FilledGrid(holey, NAMES, "cubic"))
    assert filled < 0.8 * error(ScatteredGrid(holey, NAMES, "cubic"))
    assert filled < 0.5 * error(FilledGrid(holey, NAMES, "linear"))


@pytest.mark.parametrize(
    ("kind", "kernel", "degree"),
    [("linear", "linear", 1), ("cubic", "cubic", 2), ("radial", "quintic", 2)],
)
def test_scattered_equals_scipy(kind, kernel, degree):
    cloud = np.random.default_rng(0).uniform(-1, 1, (40, 2))
    grid = ScatteredGrid(cloud, None, kind)
    points = 0.3 * np.random.default_rng(1).uniform(-1, 1, (30, 2))
    values = np.sin(3 * cloud[:, 0]) + cloud[:, 1] ** 2
    # scipy evaluates -r for "linear"; the interpolant is the same.
    reference = RBFInterpolator(cloud / grid.scale, values, kernel=kernel, degree=degree)
    expected = reference(points / grid.scale)
    np.testing.assert_allclose(grid.weights(points) @ values, expected, atol=1e-10)


@pytest.mark.parametrize("kind", ["cubic", "radial"])
def test_cubic_scattered_reproduces_parabolas(kind):
    cloud = random_points(40)
    points = 0.5 * random_points(20, seed=2) + 0.5 * cloud.mean(axis=0)
    grid = ScatteredGrid(cloud, NAMES, kind)
    points = grid.resolve_outside(points, "clip")

    def parabola(where):
        x, y, z = scaled(where).T
        return 1 + x - y + x**2 - 2 * x * y + 3 * y * z + z**2

    np.testing.assert_allclose(grid.weights(points) @ parabola(cloud), parabola(points), atol=1e-9)


@pytest.mark.parametrize(
    ("grid_class", "kind"),
    [*itertools.product([FilledGrid, ScatteredGrid], KINDS), (ScatteredGrid, "radial")],
)
@pytest.mark.parametrize(
    "parameters",
    [
        [[5000.0, 4.0, 0.0]],
        [[5000.0, 4.0, 0.0], [6000.0, 4.5, 0.0]],
        [[5000.0, 4.0, 0.0], [6000.0, 4.5, 0.0], [5500.0, 4.25, 0.0]],
        [[5000.0, 4.0, 0.0], [6000.0, 4.5, 0.1], [5500.0, 4.5, 0.0]],
        [[5000.0, 4.0, 0.0], [6000.0, 4.0, 0.0], [5500.0, 4.5, 0.0], [5200.0, 4.4, 0.0]],
    ],
    ids=["one", "two", "line", "plane", "flat"],
)
def test_few_or_degenerate_nodes(parameters, grid_class, kind):
    grid = grid_class(parameters, NAMES, kind)
    np.testing.assert_allclose(
        grid.weights(parameters).toarray(), np.eye(len(parameters)), atol=1e-9
    )
    middle = grid.nodes.mean(axis=0, keepdims=True)
    assert grid.contains(middle).all()
    values = grid.nodes @ [1e-3, 1.0, 10.0]
    np.testing.assert_allclose(grid.weights(middle) @ values, middle @ [1e-3, 1.0, 10.0])
    assert all(np.isfinite(slope.data).all() for slope in grid.weights_jacobian(middle))


def test_weights_of_few_scattered_nodes_stay_small():
    """Fifth powers without a parabola would be nearly singular: weights of thousands."""
    rng = np.random.default_rng(0)
    for n_nodes, n_parameters in itertools.product((5, 8, 10, 16), (3, 4)):
        for _ in range(20):
            grid = ScatteredGrid(rng.random((n_nodes, n_parameters)), None, "radial")
            points = rng.dirichlet(np.ones(n_nodes), 50) @ grid.nodes
            assert np.abs(grid.weights(points)).sum(axis=1).max() < 20


def test_radial_is_the_most_accurate_on_smooth_values(nodes, holey):
    points = random_points(200)
    for where in (nodes, holey):
        errors = []
        for kind in ("linear", "hermite", "cubic", "radial"):
            grid = make_grid(where, interpolation=kind, holes="interpolate")
            predicted = grid.weights(points) @ smooth(where)
            errors.append(np.sqrt(np.mean((predicted - smooth(points)) ** 2)))
        assert errors[3] < min(errors[:3])
    with pytest.raises(ValueError, match="12 of 120 nodes are missing"):
        make_grid(holey, parameter_names=NAMES, interpolation="radial")


def test_make_grid_chooses(nodes, holey):
    assert isinstance(make_grid(nodes), RectilinearGrid)
    assert isinstance(make_grid(nodes, holes="interpolate"), RectilinearGrid)
    assert isinstance(make_grid(holey, holes="interpolate"), FilledGrid)
    cloud = make_grid(random_points(30), parameter_names=NAMES, holes="interpolate")
    assert isinstance(cloud, ScatteredGrid)
    assert cloud.parameter_names == NAMES
    assert make_grid(nodes).parameter_names == ("x0", "x1", "x2")


# ------------------------------------------------------------------ inside, outside, near


def test_bounds_and_axes(nodes):
    grid = RectilinearGrid(nodes, NAMES)
    np.testing.assert_array_equal(grid.bounds, [[4500, 5200], [2, 5], [-1, 0.5]])
    for axis, expected in zip(grid.axes, (TEFF, LOGG, FEH), strict=True):
        np.testing.assert_array_equal(axis, expected)
    np.testing.assert_array_equal(grid.nodes, nodes)


def test_hull_of_ragged_grid():
    # A triangle of nodes: the missing corner is outside, the slope itself inside.
    ragged = np.array([[x, y] for x in range(4) for y in range(4) if x + y <= 3], dtype=float)
    for grid in (FilledGrid(ragged), ScatteredGrid(ragged)):
        inside = [[1.5, 1.5], [0.2, 0.3], [3, 0], [0, 1.7]]
        outside = [[1.6, 1.5], [3, 3], [4, 0], [-0.1, 1]]
        assert grid.contains(inside).all()
        assert not grid.contains(outside).any()
        np.testing.assert_allclose(
            grid.resolve_outside(outside, "clip"),
            [[1.55, 1.45], [1.5, 1.5], [3, 0], [0, 1]],
            atol=1e-4,
        )
        assert grid.contains(grid.resolve_outside(outside, "clip")).all()
        message = r"row 1 \(x0=3, x1=3\) is within the bounds but outside the convex hull of"
        with pytest.raises(ValueError, match=message):
            grid.weights([[1, 1], [3, 3]])


def test_hull_agrees_with_convex_hull_of_scipy():
    from scipy.spatial import Delaunay

    cloud = np.random.default_rng(0).uniform(size=(25, 3))
    points = np.random.default_rng(1).uniform(size=(300, 3))
    expected = Delaunay(cloud).find_simplex(points) >= 0
    np.testing.assert_array_equal(ScatteredGrid(cloud).contains(points), expected)
    assert 20 < expected.sum() < 280


def test_outside_rules(nodes):
    grid = RectilinearGrid(nodes, NAMES)
    points = np.array([[4000, 3.4, 0.1], [4711, 3.4, 0.7], [4711, 3.4, 0.1]])
    np.testing.assert_array_equal(
        grid.resolve_outside(points, "clip"), [[4500, 3.4, 0.1], [4711, 3.4, 0.5], points[2]]
    )
    np.testing.assert_array_equal(
        grid.resolve_outside(points, "nearest"), [[4500, 3.5, 0], [4700, 3.5, 0.5], points[2]]
    )
    np.testing.assert_array_equal(grid.contains(points), [False, False, True])
    message = r"row 0 has teff=4000, outside \[4500, 5200\] \(2 of 3 points are outside\).*'clip'"
    with pytest.raises(ValueError, match=message):
        grid.resolve_outside(points)
    assert points[0, 0] == 4000  # the caller's array is left alone


def test_rounding_at_the_bound_is_inside(nodes):
    grid = RectilinearGrid(nodes, NAMES)
    corner = grid.bounds[:, 1] * (1 + 1e-12)
    node = np.flatnonzero((nodes == grid.bounds[:, 1]).all(axis=1))
    assert grid.weights([corner]).toarray()[0, node] == 1.0


def test_distance_counts_local_node_spacings(nodes):
    grid = RectilinearGrid(nodes, NAMES)
    points = [[4700, 3.5, 0], [4750, 3.5, 0], [5100, 3.5, 0], [4750, 3.0, 0.25], [5400, 3.5, 0]]
    expected = [0, 0.5, 0.5, np.sqrt(0.75), 1]
    np.testing.assert_allclose(grid.distance(points), expected, atol=1e-12)
    assert grid.nearest_node([[4699, 3.4, 0.01]])[0] == np.flatnonzero(
        (nodes == [4700, 3.5, 0]).all(axis=1)
    )


def test_distance_grows_in_a_hole(nodes):
    hole = np.array([4800.0, 3.5, 0.0])
    rest = nodes[(nodes != hole).any(axis=1)]
    assert FilledGrid(rest, NAMES).distance([hole])[0] == pytest.approx(1.0)


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("parameters", "names", "message"),
    [
        ([1.0, 2.0], None, r"shape \(n_nodes, n_parameters\), got shape \(2,\).*reshape"),
        (np.empty((0, 3)), None, "at least one node"),
        ([["hot", "cool"]], None, "must hold numbers, got the text 'hot'"),
        ([[1.0], [1.0, 2.0]], None, "array of numbers"),
        ([[1.0, 2.0]], ("teff",), r"2 columns but parameter_names has 1 \(teff\)"),
        ([[1.0, 2.0]], ("teff", "teff"), "must differ"),
        ([[1.0, 2.0], [1.0, np.nan]], ("teff", "logg"), "row 1 has logg=nan"),
        ([[np.inf]], None, "row 0 has x0=inf"),
    ],
)
def test_unusable_nodes(parameters, names, message):
    for make in (check_nodes, lambda p, n: make_grid(p, parameter_names=n)):
        with pytest.raises(ValueError, match=message):
            make(parameters, names)


@pytest.mark.parametrize("holes", ["error", "interpolate"])
def test_duplicate_nodes(nodes, holes):
    repeated = np.vstack((nodes, nodes[[4, 17]]))
    expected = ", ".join(f"{name}={value:g}" for name, value in zip(NAMES, nodes[4], strict=True))
    with pytest.raises(ValueError, match=rf"2 are repeated: {expected} in rows 4, 120; .*17, 121"):
        make_grid(repeated, parameter_names=NAMES, holes=holes)


def test_missing_nodes():
    full = product([5000.0, 6000.0], [4.0, 4.5], [0.0, 0.5])
    message = (
        r"2 x 2 x 2 values, but 1 of 8 nodes are missing: teff=5000, logg=4.5, feh=0; "
        r".*holes='interpolate'"
    )
    with pytest.raises(ValueError, match=message):
        make_grid(np.delete(full, 2, axis=0), parameter_names=NAMES)


def test_many_missing_nodes_are_counted_not_listed():
    with pytest.raises(ValueError, match=r"26970 of 27000 nodes are missing: .*, \.\.\.; supply"):
        make_grid(random_points(30), parameter_names=NAMES)


@pytest.mark.parametrize("argument", ["interpolation", "holes"])
def test_unknown_choices(nodes, argument):
    with pytest.raises(ValueError, match=rf"{argument} must be one of .*got 'magic'"):
        make_grid(nodes, **{argument: "magic"})


def test_bad_points(nodes):
    grid = make_grid(nodes, parameter_names=NAMES)
    with pytest.raises(ValueError, match=r"\(n_points, 3\), one column each for teff, logg, feh"):
        grid.weights([[5000, 4.0]])
    with pytest.raises(ValueError, match="row 1 has logg=nan"):
        grid.weights([[5000, 4.0, 0], [5000, np.nan, 0]])
    with pytest.raises(ValueError, match="outside must be one of"):
        grid.resolve_outside([[5000, 4.0, 0]], outside="wrap")


def test_lattice_gives_the_nodes_back(holey):
    axes, positions = lattice_of(holey)
    rebuilt = np.column_stack([axis[place] for axis, place in zip(axes, positions.T, strict=True)])
    np.testing.assert_array_equal(rebuilt, holey)


@pytest.mark.shared_data
def test_off_grid_spectra(shared_data):
    """Pixels interpolated over the coarse grid of real spectra: the known figures come out."""
    with np.load(shared_data / "atlas9_rvs_grid.npz") as stored:
        parameters = np.column_stack([stored[name] for name in NAMES]).astype(float)
        flux = stored["flux_1e4"][:, ::10] / 1e4
    with np.load(shared_data / "atlas9_rvs_offgrid.npz") as stored:
        points = np.column_stack([stored[name] for name in NAMES]).astype(float)
        truth = stored["flux_1e4"][:, ::10] / 1e4
    coarse = (parameters[:, 0] % 500 == 0) & (parameters[:, 1] % 1 == 0)
    parameters, flux = parameters[coarse], flux[coarse]
    rms = {}
    for kind in KINDS:
        predicted = make_grid(parameters, interpolation=kind).weights(points) @ flux
        rms[kind] = np.sqrt(np.mean((predicted - truth) ** 2, axis=1)).mean()
    assert 0.0029 < rms["linear"] < 0.0032
    assert rms["cubic"] < 0.00095
    assert rms["cubic"] < rms["hermite"] < 0.5 * rms["linear"]
    # One node lost: still far better than linear interpolation on the full grid.
    lost = (parameters == [6000, 3, -0.5]).all(axis=1)
    grid = make_grid(parameters[~lost], interpolation="cubic", holes="interpolate")
    error = grid.weights(parameters[lost]) @ flux[~lost] - flux[lost]
    assert np.sqrt(np.mean(error**2)) < 0.002
