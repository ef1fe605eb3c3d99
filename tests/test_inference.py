"""Boxes and Gauss-Newton steps, on problems whose answer is known."""

import numpy as np
import pytest
from scipy.optimize import least_squares

from skphx.inference import boxes_around, priors_around
from skphx.inference._bounds_and_priors import draw_points, resolve_boxes, resolve_priors
from skphx.inference._gauss_newton import gauss_newton

NAMES = ("teff", "logg")
GRID = np.array([[4000.0, 6000.0], [3.0, 5.0]])
NAN = np.nan


def resolve(bounds, default=None, n_spectra=2):
    return resolve_boxes(bounds, default, n_spectra, grid_bounds=GRID, parameter_names=NAMES)


def test_boxes_around_are_centred_and_leave_the_rest_free():
    boxes = boxes_around([[5000.0, 4.0], [5500.0, 3.5]], {"logg": 0.25}, parameter_names=NAMES)
    np.testing.assert_array_equal(boxes[:, 0], np.full((2, 2), NAN))
    np.testing.assert_array_equal(boxes[:, 1], [[3.75, 4.25], [3.25, 3.75]])


@pytest.mark.parametrize(
    ("centers", "half_widths", "message"),
    [
        ([[5000.0, 4.0]], {"feh": 1.0}, r"half_widths names 'feh', but .*\('teff', 'logg'\)"),
        ([[5000.0, 4.0]], {"teff": 0.0}, r"half_widths\['teff'\] must be positive, got 0"),
        ([[5000.0, 4.0]], {"teff": NAN}, r"half_widths\['teff'\] must be positive, got nan"),
        ([5000.0, 4.0], {"teff": 1.0}, r"shape \(n_spectra, 2\).*got shape \(2,\)"),
        ([[5000.0]], {"teff": 1.0}, r"shape \(n_spectra, 2\).*got shape \(1, 1\)"),
    ],
)
def test_boxes_around_names_what_is_wrong(centers, half_widths, message):
    with pytest.raises(ValueError, match=message):
        boxes_around(centers, half_widths, parameter_names=NAMES)


def test_no_bounds_is_the_grid():
    np.testing.assert_array_equal(resolve(None), [GRID, GRID])


def test_bounds_of_the_call_go_before_the_constructors_and_these_before_the_grid():
    default = [[4500.0, 5500.0], [NAN, 4.0]]
    np.testing.assert_array_equal(resolve(None, default)[1], [[4500, 5500], [3, 4]])
    own = [[[NAN, 5000.0], [NAN, NAN]], [[NAN, NAN], [3.5, NAN]]]
    boxes = resolve(own, default)
    np.testing.assert_array_equal(boxes[0], [[4500, 5000], [3, 4]])
    np.testing.assert_array_equal(boxes[1], [[4500, 5500], [3.5, 4]])


def test_boxes_are_cut_to_the_grid():
    boxes = resolve([[3000.0, 4500.0], [4.5, 9.0]])
    np.testing.assert_array_equal(boxes, [[[4000, 4500], [4.5, 5]]] * 2)


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([[5500.0, 5000.0], [NAN, NAN]], "spectrum 0: teff in .5500, 5000. has a lower bound"),
        ([[NAN, NAN], [1.0, 2.0]], r"logg in \[1, 2\] lies outside the grid.*from 3 to 5"),
        ([GRID, [[7000.0, 8000.0], [NAN, NAN]]], "bounds of spectrum 1: teff in .7000, 8000."),
        ([4000.0, 5000.0], r"shape \(2, 2\) or \(2, 2, 2\).*teff, logg.*got shape \(2,\)"),
        (np.zeros((3, 2, 2)), r"got shape \(3, 2, 2\)"),
    ],
)
def test_wrong_boxes_are_named(bounds, message):
    with pytest.raises(ValueError, match=message):
        resolve(bounds)


def test_drawn_points_fill_the_box():
    points = draw_points(GRID, 4000, np.random.RandomState(0))
    assert points.shape == (4000, 2)
    unit = (points - GRID[:, 0]) / np.ptp(GRID, axis=1)
    assert unit.min() >= 0
    assert unit.max() <= 1
    np.testing.assert_allclose(unit.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(unit.std(axis=0), 12**-0.5, atol=0.02)
    fixed = draw_points(np.array([[1.0, 1.0], [0.0, 1.0]]), 5, np.random.RandomState(0))
    np.testing.assert_array_equal(fixed[:, 0], 1.0)


# Residuals of a straight model: the exact minimum is linear algebra.
MODEL = np.array([[1e-3, 0.5], [2e-3, -0.3], [-1e-3, 0.8], [5e-4, 0.1]])
TRUTH = np.array([5200.0, 4.2])


def linear_residuals(points):
    return (points - TRUTH) @ MODEL.T


def squares_of(residuals):
    """What gauss_newton asks for, from residuals and their finite differences."""

    def evaluate(points, rows):
        value = residuals(points)
        steps = np.array([1e-3, 1e-6])
        jacobian = np.stack(
            [
                (residuals(points + step) - residuals(points - step)) / (2 * step.sum())
                for step in np.diag(steps)
            ],
            axis=2,
        )
        return (
            (value**2).sum(axis=1),
            np.einsum("nrp,nr->np", jacobian, value),
            np.einsum("nrp,nrq->npq", jacobian, jacobian),
        )

    return evaluate


def refine_from(residuals, box, starts, **settings):
    starts = np.array(starts, dtype=float)
    return gauss_newton(
        squares_of(residuals), np.tile(box, (len(starts), 1, 1)), starts, **settings
    )


def curved_residuals(points):
    unit = (points - GRID[:, 0]) / np.ptp(GRID, axis=1)
    x, y = unit.T
    return np.column_stack([10 * (y - x**2), 1 - x, 0.1 * np.sin(3 * x)])


def test_refinement_of_a_straight_model_is_exact():
    end = refine_from(linear_residuals, GRID, GRID.T, floor=1e-16)
    np.testing.assert_allclose(end.points, [TRUTH, TRUTH], rtol=1e-6)
    assert end.cost.max() < 1e-12
    assert end.converged.all()
    np.testing.assert_allclose(end.curvature, np.tile(MODEL.T @ MODEL, (2, 1, 1)), rtol=1e-5)


def test_refinement_of_a_curved_model_ends_where_scipy_does():
    starts = [[4500.0, 4.9], [5900.0, 3.1], [4001.0, 3.0]]
    end = refine_from(curved_residuals, GRID, starts)
    expected = least_squares(
        lambda point: curved_residuals(point[None])[0],
        starts[0],
        bounds=GRID.T,
        x_scale=np.ptp(GRID, axis=1),
        xtol=1e-14,
        ftol=1e-14,
        gtol=1e-14,
    )
    np.testing.assert_allclose(end.points, np.tile(expected.x, (3, 1)), rtol=1e-4)
    np.testing.assert_allclose(end.cost, 2 * expected.cost, rtol=1e-6)


def test_searches_do_not_depend_on_each_other():
    starts = np.array([[4500.0, 4.9], [5900.0, 3.1], [4001.0, 3.0]])
    together = refine_from(curved_residuals, GRID, starts)
    for row in range(3):
        alone = refine_from(curved_residuals, GRID, starts[row : row + 1])
        np.testing.assert_array_equal(alone.points[0], together.points[row])
        assert alone.n_evaluations[0] == together.n_evaluations[row]


def test_refinement_stays_in_its_box():
    box = np.array([[4000.0, 5000.0], [3.0, 5.0]])
    visited = []
    evaluate = squares_of(linear_residuals)

    def watched(points, rows):
        visited.append(points.copy())
        return evaluate(points, rows)

    end = gauss_newton(watched, box[None], np.array([[4500.0, 3.2]]))
    visited = np.vstack(visited)
    assert (visited >= box[:, 0]).all()
    assert (visited <= box[:, 1]).all()
    # The minimum on the wall, from its normal equation.
    point = end.points[0]
    assert point[0] == 5000.0
    shift = (point[0] - TRUTH[0]) * MODEL[:, 0]
    expected = TRUTH[1] - MODEL[:, 1] @ shift / (MODEL[:, 1] @ MODEL[:, 1])
    assert point[1] == pytest.approx(expected, abs=1e-4)
    assert end.cost[0] > 1e-3
    assert end.converged.all()


def test_a_parameter_without_room_is_left_alone():
    box = np.array([[5000.0, 5000.0], [3.0, 5.0]])
    end = refine_from(linear_residuals, box, [[5000.0, 3.2]])
    assert end.points[0, 0] == 5000.0
    nowhere = np.array([[5000.0, 5000.0], [4.0, 4.0]])
    end = refine_from(linear_residuals, nowhere, [[9.0, 9.0]])
    np.testing.assert_array_equal(end.points, [[5000.0, 4.0]])
    assert end.cost[0] == pytest.approx((linear_residuals(end.points) ** 2).sum())


def test_refinement_stops_when_its_evaluations_are_used_up():
    end = refine_from(curved_residuals, GRID, [[4500.0, 4.9]], max_evaluations=3)
    assert end.n_evaluations[0] == 3
    assert not end.converged[0]


def test_priors_around_are_centred_and_leave_the_rest_free():
    priors = priors_around([[5000.0, 4.0], [5500.0, 3.5]], {"logg": 0.2}, parameter_names=NAMES)
    np.testing.assert_array_equal(priors[:, 0], np.full((2, 2), NAN))
    np.testing.assert_array_equal(priors[:, 1], [[4.0, 0.2], [3.5, 0.2]])
    np.testing.assert_array_equal(resolve_priors(priors, 2, NAMES), priors)
    assert resolve_priors(None, 2, NAMES) is None
    for means, deviations, message in (
        ([[5000.0, 4.0]], {"feh": 1.0}, "names 'feh'"),
        ([[5000.0, 4.0]], {"teff": 0.0}, "must be positive, got 0"),
        ([5000.0, 4.0], {"teff": 1.0}, r"got shape \(2,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            priors_around(means, deviations, parameter_names=NAMES)
    with pytest.raises(
        ValueError, match="spectrum 0: teff has mean 5000 and standard deviation nan"
    ):
        resolve_priors([[5000.0, NAN], [NAN, NAN]], 1, NAMES)
