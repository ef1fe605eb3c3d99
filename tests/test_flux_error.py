"""InterpolationError: how an emulator errs between its nodes, and where."""

from itertools import product

import numpy as np
import pytest
from conftest import make_small_grid

from skphx.flux import _error as error
from skphx.flux._error import InterpolationError
from skphx.flux._pixels import resampled
from skphx.flux._scale import from_growth
from skphx.interpolation import make_grid

CURVES = np.linspace(0.01, 0.04, 30)


@pytest.fixture(scope="module")
def nodes():
    return make_small_grid(
        teff=(4800, 5000, 5200, 5400, 5600), logg=(3.5, 4.0, 4.5, 5.0), feh=(-0.5, -0.2, 0.1)
    )


@pytest.fixture(scope="module")
def estimated(nodes):
    grid = make_grid(nodes.parameters, interpolation="cubic")
    return InterpolationError.estimate(grid, nodes.normalised)


def bent(*axes):
    """Nodes of a product, and flux that is a parabola along each axis, with its curvature."""
    nodes = np.array(list(product(*axes)), dtype=float)
    curvature = np.array([CURVES * factor for factor in (1.0, 0.5, 2.0)[: len(axes)]])
    return nodes, 0.5 + nodes**2 @ curvature, curvature


@pytest.mark.parametrize("n_values", [3, 4, 5, 9, 60])
def test_error_of_parabolas_between_two_nodes_is_known_exactly(n_values):
    nodes, flux, curvature = bent(np.arange(n_values) / 10.0)
    grid = make_grid(nodes)
    found = InterpolationError.estimate(grid, flux)
    # A chord over a gap h is off by c h² / 4 in its middle.
    expected = curvature[0] * 0.1**2 / 4.0
    np.testing.assert_allclose(found.rms, expected, rtol=1e-6)
    middle = np.array([[0.15]])
    truth = 0.5 + middle**2 @ curvature
    np.testing.assert_allclose(np.abs(grid.weights(middle) @ flux - truth)[0], expected, rtol=1e-6)
    # And elsewhere as the factors say.
    for x in (0.1, 0.12, 0.17, 0.2):
        point = np.array([[x]])
        off = np.abs(grid.weights(point) @ flux - 0.5 - point**2 @ curvature)[0]
        stated = np.sqrt((found.factors(point)[0] ** 2) @ found.spectra**2)
        np.testing.assert_allclose(stated, off, rtol=1e-6, atol=1e-12)


def test_errors_along_several_axes_add_in_squares():
    nodes, flux, curvature = bent(np.arange(4) / 10.0, np.arange(5) / 5.0, np.arange(3) / 4.0)
    found = InterpolationError.estimate(make_grid(nodes), flux)
    along = np.abs(curvature) * np.array([[0.1], [0.2], [0.25]]) ** 2 / 4.0
    np.testing.assert_allclose(found.rms, np.sqrt((along**2).sum(axis=0)), rtol=1e-6)
    for axis in range(3):
        own = np.sqrt((found.spectra[found.axis == axis] ** 2).sum(axis=0))
        np.testing.assert_allclose(own, along[axis], rtol=1e-6)


def test_spectra_are_the_covariance_of_left_out_nodes():
    rng = np.random.default_rng(0)
    parameters = np.array(list(product(range(4), range(3))), dtype=float)
    flux = 0.8 + rng.normal(0.0, 0.02, (12, 20))
    found = InterpolationError.estimate(make_grid(parameters), flux)
    table = flux.reshape(4, 3, 20)
    for axis, errors in (
        # Four values: planes 1 and 2 from their neighbours at uneven distances.
        (
            0,
            np.concatenate(
                [0.5 * (table[0] + table[2]) - table[1], 0.5 * (table[1] + table[3]) - table[2]]
            ),
        ),
        (1, 0.5 * (table[:, 0] + table[:, 2]) - table[:, 1]),
    ):
        expected = errors.T @ errors / len(errors) / 16.0
        own = found.spectra[found.axis == axis]
        np.testing.assert_allclose(own.T @ own, expected, atol=1e-12)


def test_on_the_right_scale_there_is_no_error():
    parameters = np.linspace(0.0, 1.0, 5)[:, None]
    flux = from_growth(parameters * np.linspace(0.1, 0.5, 30), 0.03)
    grid = make_grid(parameters)
    plain = InterpolationError.estimate(grid, flux)
    right = InterpolationError.estimate(grid, flux, saturation=0.03)
    assert right.rms.max() < 1e-12
    assert plain.rms.max() > 1e-3


def test_all_spectra_together_are_as_large_as_the_rms(estimated):
    size = np.sqrt((estimated.spectra**2).sum(axis=0).mean())
    assert size == pytest.approx(np.sqrt(np.mean(estimated.rms**2)))
    assert set(estimated.axis) == {0, 1, 2}
    assert len(estimated.spectra) == len(estimated.axis) <= 36
    # Of each pixel, too, for few components say nearly all.
    own = np.sqrt((estimated.spectra**2).sum(axis=0))
    large = estimated.rms > 0.1 * estimated.rms.max()
    np.testing.assert_allclose(own[large], estimated.rms[large], rtol=0.2)


def test_errors_are_none_at_a_node_and_whole_in_the_middle_of_a_cell(estimated):
    n_errors = len(estimated.axis)
    factors = estimated.factors(np.array([[5200.0, 4.0, -0.2], [5300.0, 4.25, -0.05]]))
    np.testing.assert_allclose(factors, [[0.0] * n_errors, [1.0] * n_errors])
    on_one_axis = estimated.factors(np.array([[5250.0, 4.0, -0.2]]))[0]
    np.testing.assert_allclose(on_one_axis, np.where(estimated.axis == 0, 0.75, 0.0))
    # Beyond the nodes they are those of the edge.
    assert (estimated.factors(np.array([[9000.0, 0.0, 3.0]])) == 0).all()


def test_mean_factors_are_means_over_the_grid(estimated):
    x = np.linspace(4800.0, 5600.0, 20_001)[:-1]
    points = np.column_stack([x, np.full_like(x, 4.25), np.full_like(x, -0.05)])
    squares = (estimated.factors(points) ** 2).mean(axis=0)
    along = estimated.axis == 0
    np.testing.assert_allclose(squares[along], estimated.mean_factors[along], rtol=1e-6)
    np.testing.assert_allclose(squares[~along], 1.0)


def test_errors_look_like_those_that_a_coarser_grid_really_makes(nodes, estimated):
    coarse = np.isin(nodes.parameters[:, 2], (-0.5, 0.1))
    thin = make_grid(nodes.parameters[coarse], interpolation="cubic")
    middle = nodes.parameters[~coarse]
    real = thin.weights(middle) @ nodes.normalised[coarse] - nodes.normalised[~coarse]
    basis = np.linalg.qr(estimated.spectra[estimated.axis == 2].T)[0]
    assert ((real @ basis) ** 2).sum() > 0.95 * (real**2).sum()


def test_errors_of_many_pixels_are_those_of_each(nodes, estimated, monkeypatch):
    monkeypatch.setattr(error, "_BLOCK", 7)
    grid = make_grid(nodes.parameters, interpolation="cubic")
    blocks = InterpolationError.estimate(grid, nodes.normalised)
    np.testing.assert_allclose(blocks.rms, estimated.rms, rtol=1e-12)
    for axis in range(3):
        one, other = (found.spectra[found.axis == axis] for found in (blocks, estimated))
        np.testing.assert_allclose(one.T @ one, other.T @ other, atol=1e-14)


def test_of_many_pixels_fewer_spectra_are_kept_of_the_same_size(nodes, estimated, monkeypatch):
    monkeypatch.setattr(error, "_MOST_NUMBERS", 3 * 4 * 400)
    grid = make_grid(nodes.parameters, interpolation="cubic")
    few = InterpolationError.estimate(grid, nodes.normalised)
    np.testing.assert_array_equal(np.bincount(few.axis), [4, 4, 4])
    np.testing.assert_array_equal(few.rms, estimated.rms)
    assert (few.spectra**2).sum() == pytest.approx((estimated.spectra**2).sum())


@pytest.mark.parametrize("axes", [((0.0, 1.0),), ((0.0, 1.0), (0.0, 1.0), (2.0,)), ((1.0,),)])
def test_nothing_is_told_where_no_node_can_be_left_out(axes):
    nodes, flux, _ = bent(*axes)
    assert InterpolationError.estimate(make_grid(nodes), flux) is None


def test_an_axis_too_short_tells_nothing_beside_one_that_does():
    nodes, flux, curvature = bent((0.0, 0.1, 0.2), (0.0, 1.0), (3.0,))
    found = InterpolationError.estimate(make_grid(nodes), flux)
    assert set(found.axis) == {0}
    np.testing.assert_allclose(found.rms, curvature[0] * 0.01 / 4.0, rtol=1e-6)
    assert found.factors(np.array([[0.05, 0.5, 3.0]])).min() == 1.0


def test_holes_leave_the_nodes_that_are_inside_the_others():
    nodes, flux, curvature = bent(np.arange(5) / 10.0, np.arange(5) / 10.0)
    kept = (nodes != 0.1).any(axis=1) & (nodes.sum(axis=1) < 0.75)
    grid = make_grid(nodes[kept], holes="interpolate")
    found = InterpolationError.estimate(grid, flux[kept])
    expected = np.sqrt((curvature**2).sum(axis=0)) * 0.01 / 4.0
    assert (found.rms / expected < 3).all()
    assert (found.rms / expected > 1 / 3).all()


def test_what_is_missed_everywhere_adds_to_what_is_missed_between(estimated):
    rng = np.random.default_rng(0)
    missed = rng.normal(0.0, 2e-3, (8, estimated.spectra.shape[1]))
    axes = estimated.nodes
    both = InterpolationError.with_missed(estimated, missed, axes)
    alone = InterpolationError.with_missed(None, missed, axes)
    np.testing.assert_allclose(alone.rms, np.sqrt(np.mean(missed**2, axis=0)))
    np.testing.assert_allclose(both.rms, np.hypot(estimated.rms, alone.rms))
    everywhere = both.axis == -1
    assert (alone.axis == -1).all()
    for one in (both.spectra[everywhere], alone.spectra):
        np.testing.assert_allclose(one.T @ one, missed.T @ missed / 8, atol=1e-14)
    np.testing.assert_array_equal(both.spectra[~everywhere], estimated.spectra)
    points = np.array([[5200.0, 4.0, -0.2], [5271.0, 4.1, 0.05], [9000.0, 0.0, 3.0]])
    assert (both.factors(points)[:, everywhere] == 1.0).all()
    np.testing.assert_array_equal(both.factors(points)[:, ~everywhere], estimated.factors(points))
    assert (both.mean_factors[everywhere] == 1.0).all()


def test_errors_on_other_pixels(estimated):
    part = estimated.on_pixels(lambda spectra: resampled(spectra, slice(5, 9)))
    np.testing.assert_array_equal(part.spectra, estimated.spectra[:, 5:9])
    np.testing.assert_array_equal(part.rms, estimated.rms[5:9])
    # Also where what is seen of them has a sign.
    turned = estimated.on_pixels(lambda spectra: -2.0 * spectra)
    np.testing.assert_array_equal(turned.spectra, -2.0 * estimated.spectra)
    np.testing.assert_array_equal(turned.rms, 2.0 * estimated.rms)
    points = np.array([[5271.0, 4.1, 0.05]])
    np.testing.assert_array_equal(part.factors(points), estimated.factors(points))


def test_given_spectra_alone_their_rms_is_known():
    spectra = np.array([[3.0, 0.0], [4.0, 1.0]])
    found = InterpolationError(spectra, np.array([0, -1]), [np.array([0.0, 1.0])])
    np.testing.assert_allclose(found.rms, [5.0, 1.0])
    np.testing.assert_array_equal(found.mean_factors, [8 / 15, 1.0])
