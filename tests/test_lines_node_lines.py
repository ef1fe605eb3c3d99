"""Lines at the nodes, which lines reach into a range of wavelengths, and which pixels do."""

import numpy as np
import pytest

from skphx.flux._pixels import find_pixels, resampled
from skphx.interpolation import make_grid
from skphx.lines import optical_depth
from skphx.lines._node_lines import NodeLines
from skphx.lines._reach import deepest_within, lines_that_matter

NODES = np.array([[a, b] for a in (0.0, 1.0, 3.0) for b in (0.0, 1.0)])
POINTS = np.array([[0.3, 0.2], [2.0, 0.9], [1.0, 1.0], [3.0, 0.0]])


KINDS = ["linear", "hermite", "cubic", "radial"]


def random_lines(n_lines=12, seed=0):
    rng = np.random.default_rng(seed)
    lines = rng.normal(0.0, 0.3, (len(NODES), n_lines, 4)) + [0.0, -3.0, -2.5, -3.0]
    lines[..., 0] = lines[..., 0] * 0.01 + np.linspace(5000.0, 5050.0, n_lines)
    return lines


def test_lines_come_back():
    lines = random_lines()
    given = lines.copy()
    kept = NodeLines(lines)
    np.testing.assert_array_equal(lines, given)
    np.testing.assert_allclose(kept.to_dense(), lines, rtol=1e-14)
    assert kept.present.shape == (len(NODES), 12)
    assert kept.present.all()
    chosen = np.arange(12) % 2 == 0
    part = kept.selected(chosen)
    assert part.n_lines == 6
    np.testing.assert_allclose(part.to_dense(), lines[:, chosen], rtol=1e-14)
    assert kept.n_lines == 12


@pytest.mark.parametrize("kind", KINDS)
def test_lines_at_points_are_weighted_sums_of_those_of_the_nodes(kind):
    lines, grid = random_lines(), make_grid(NODES, interpolation=kind)
    kept = NodeLines(lines)
    assert kept.on(grid) is kept
    expected = np.tensordot(grid.weights(POINTS).toarray(), lines, axes=1)
    np.testing.assert_allclose(kept.at(POINTS), expected, rtol=1e-12)
    np.testing.assert_allclose(kept.at(NODES), lines, rtol=1e-12)
    slopes = np.array([one.toarray() for one in grid.weights_jacobian(POINTS)])
    tangents = np.tensordot(slopes, lines, axes=1)
    # Centres lie at 5000 Å: sums of weights that cancel leave rounding behind.
    np.testing.assert_allclose(kept.tangents_at(POINTS), tangents, rtol=1e-9, atol=1e-10)
    chosen = np.arange(12) % 3 > 0
    part = kept.selected(chosen)
    np.testing.assert_allclose(part.at(POINTS), expected[:, chosen], rtol=1e-12)
    np.testing.assert_array_equal(part.tangents_at(POINTS), kept.tangents_at(POINTS)[:, :, chosen])


@pytest.mark.parametrize("kind", KINDS)
def test_tangents_are_differences(kind):
    kept = NodeLines(random_lines()).on(make_grid(NODES, interpolation=kind))
    points = POINTS[:2]
    tangents = kept.tangents_at(points)
    assert tangents.shape == (2, 2, 12, 4)
    step = 1e-6
    for column, tangent in enumerate(tangents):
        move = step * np.eye(2)[column]
        difference = (kept.at(points + move) - kept.at(points - move)) / 2 / step
        np.testing.assert_allclose(tangent, difference, rtol=1e-5, atol=1e-5)


def test_single_precision_keeps_centres():
    lines = random_lines(n_lines=40)
    kept = NodeLines(lines, dtype=np.float32)
    assert kept.values.dtype == np.float32
    error = np.abs(kept.to_dense() - lines)
    assert error[..., 0].max() < 1e-8
    assert error[..., 1:].max() < 1e-6
    # What comes out is double again.
    assert kept.on(make_grid(NODES)).at(POINTS).dtype == np.float64
    assert kept.tangents_at(POINTS).dtype == np.float64


@pytest.mark.parametrize("profile", ["pseudo-voigt", "voigt", "blase"])
def test_no_line_is_deeper_than_its_bound(profile):
    rng = np.random.default_rng(0)
    pixels = np.arange(5000.0, 5003.0, 0.01)
    center = rng.uniform(4990.0, 5013.0, 60)
    logs = rng.normal([-2.0, -3.0, -3.0], [1.0, 1.0, 1.0], (60, 3)).T
    depth = np.array(
        [
            optical_depth(pixels, [c], [a], [s], [g], profile=profile).max()
            for c, a, s, g in zip(center, *logs, strict=True)
        ]
    )
    bound = deepest_within(center, *logs, pixels[0], pixels[-1])
    assert (depth <= bound + 1e-12).all()
    assert np.median(bound / depth) < 5


def test_lines_that_matter_are_those_that_reach():
    lines = np.tile([0.0, -3.0, -3.0, -4.0], (2, 4, 1))
    lines[..., 0] = 5000.0, 5030.0, 5100.0, 5100.0
    lines[:, 1, 1:] = 3.0, 0.0, 1.0  # broad and strong: its wing reaches far
    lines[:, 2, 1] = -30.0
    lines[0, 3, 1:] = 4.0, 0.0, 2.0  # strong at one node only
    kept = lines_that_matter(NodeLines(lines), np.array([4999.0, 5001.0]))
    np.testing.assert_array_equal(kept, [True, True, False, True])


def test_many_lines_that_are_negligible_alone_may_matter_together():
    lines = np.tile([0.0, -7.0, -3.0, -3.0], (1, 3000, 1))
    lines[..., 0] = np.linspace(5010.0, 5012.0, 3000)
    pixels = np.linspace(5000.0, 5001.0, 20)
    alone = deepest_within(*lines[0, 0], pixels[0], pixels[-1])
    assert alone < 1e-6
    assert lines_that_matter(NodeLines(lines), pixels).all()
    assert not lines_that_matter(NodeLines(lines[:, :10]), pixels).any()


OLD = np.array([5000.0, 5001.0, 5003.0, 5004.0])


def test_new_pixels_are_means_of_old_ones():
    pixels, new = find_pixels([5000.0, 5002.0, 5004.0], OLD)
    np.testing.assert_array_equal(new, [5000.0, 5002.0, 5004.0])
    weights = resampled(np.eye(4), pixels).T
    np.testing.assert_allclose(weights, [[1, 0, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0, 1]])
    values = np.array([OLD, OLD**2])
    np.testing.assert_allclose(resampled(values, pixels)[0], new)
    np.testing.assert_allclose(resampled(OLD, pixels), new)
    lone, _ = find_pixels([5000.0], OLD[:1])
    np.testing.assert_array_equal(resampled(values[:, :1], lone), values[:, :1])
    np.testing.assert_array_equal(resampled(values, slice(1, 3)), values[:, 1:3])


@pytest.mark.parametrize(
    ("wavelength", "message"),
    [
        ((5001.2, 5002.8), r"wavelength=\(5001.2, 5002.8\) holds no pixel.* 4 between 5000"),
        ((5004.0, 5000.0), "holds no pixel"),
        ((np.nan, 5004.0), "holds no pixel"),
        ([4999.0, 5002.0], "between the emulator's 5000.00 and 5004.00 Å, got 4999.00 to 5002"),
        ([], "wavelength"),
    ],
)
def test_pixels_that_are_not_there(wavelength, message):
    with pytest.raises(ValueError, match=message):
        find_pixels(wavelength, OLD)
