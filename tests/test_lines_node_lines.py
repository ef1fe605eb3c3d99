"""Lines at the nodes, dense and node by node."""

import numpy as np
import pytest

from skphx.flux.pixels import find_pixels, resampled
from skphx.grids import make_grid
from skphx.lines import LineTable, optical_depth
from skphx.lines.node_lines import NodeLines
from skphx.lines.reach import deepest_within, lines_that_matter

NODES = np.array([[a, b] for a in (0.0, 1.0, 3.0) for b in (0.0, 1.0)])
POINTS = np.array([[0.3, 0.2], [2.0, 0.9], [1.0, 1.0], [3.0, 0.0]])


def random_lines(n_lines=12, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    lines = rng.normal(0.0, 0.3, (len(NODES), n_lines, 4)) + [0.0, -3.0, -2.5, -3.0]
    lines[..., 0] = lines[..., 0] * 0.01 + np.linspace(5000.0, 5050.0, n_lines)
    lines[rng.random(lines.shape[:2]) < missing] = np.nan
    return lines


def at(kept, kind="cubic", points=POINTS):
    grid, presence = make_grid(NODES, interpolation=kind), make_grid(NODES)
    return kept.interpolate(
        grid.weights(points),
        presence.weights(points),
        grid.weights_jacobian(points),
        presence.weights_jacobian(points),
    )


def as_ragged(kept):
    """Keep the same lines node by node, also where none is missing."""
    ragged = NodeLines(np.full((1, 1, 4), np.nan), missing=kept.missing)
    ragged.n_nodes, ragged.n_lines, ragged.centers = kept.n_nodes, kept.n_lines, kept.centers
    ragged.values = kept.values.reshape(-1, 4)
    ragged.offsets = np.arange(kept.n_nodes + 1) * kept.n_lines
    ragged.identity = np.tile(np.arange(kept.n_lines, dtype=np.int32), kept.n_nodes)
    return ragged


@pytest.mark.parametrize("kind", ["linear", "hermite", "cubic", "radial"])
@pytest.mark.parametrize("missing", ["fade", "drop"])
def test_both_ways_of_keeping_lines_agree(kind, missing):
    dense = NodeLines(random_lines(), missing=missing)
    assert dense.identity is None
    ragged = as_ragged(dense)
    for one, other in zip(at(dense, kind), at(ragged, kind), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-10)
    np.testing.assert_array_equal(dense.to_dense(), ragged.to_dense())
    kept = np.arange(12) % 3 > 0
    one, other = dense.selected(kept), ragged.selected(kept)
    np.testing.assert_array_equal(one.to_dense(), other.to_dense())


def test_lines_come_back():
    lines = random_lines(missing=0.4)
    kept = NodeLines(lines)
    np.testing.assert_allclose(kept.to_dense(), lines, rtol=1e-14)
    np.testing.assert_array_equal(kept.present, np.isfinite(lines[..., 0]))
    chosen = np.arange(12) % 2 == 0
    np.testing.assert_allclose(kept.selected(chosen).to_dense(), lines[:, chosen], rtol=1e-14)
    assert kept.selected(chosen).n_instances == np.isfinite(lines[:, chosen, 0]).sum()


@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", ["linear", "cubic", "radial"])
def test_tangents_are_differences(kind, missing):
    kept = NodeLines(random_lines(missing=0.3), missing=missing)
    points = POINTS[:2]
    lines, tangents = at(kept, kind, points)
    step = 1e-6
    for column, tangent in enumerate(tangents):
        move = step * np.eye(2)[column]
        difference = (
            (at(kept, kind, points + move)[0] - at(kept, kind, points - move)[0]) / 2 / step
        )
        absent = np.isnan(lines)
        np.testing.assert_allclose(tangent[~absent], difference[~absent], rtol=1e-5, atol=1e-5)
        assert (tangent[absent] == 0).all()


@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", ["linear", "cubic", "radial"])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_lines_at_points_are_those_of_the_grids_they_are_on(share, kind, missing):
    kept = NodeLines(random_lines(missing=share), missing=missing)
    assert kept.on(make_grid(NODES, interpolation=kind), make_grid(NODES)) is kept
    lines, tangents = at(kept, kind)
    np.testing.assert_array_equal(kept.at(POINTS), lines)
    np.testing.assert_array_equal(kept.tangents_at(POINTS), tangents)
    chosen = np.arange(12) % 3 > 0
    part = kept.selected(chosen)
    np.testing.assert_allclose(part.at(POINTS), lines[:, chosen], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(
        part.tangents_at(POINTS), tangents[:, :, chosen], rtol=1e-12, atol=1e-12
    )


def test_single_precision_keeps_centres():
    lines = random_lines(n_lines=40, missing=0.2)
    table = LineTable.from_dense(lines)
    kept = NodeLines.from_table(table)
    assert kept.values.dtype == np.float32
    error = np.abs(kept.to_dense() - lines)
    assert np.nanmax(error[..., 0]) < 1e-8
    assert np.nanmax(error[..., 1:]) < 1e-6
    np.testing.assert_array_equal(kept.present, np.isfinite(lines[..., 0]))


def test_identities_may_be_any_numbers_in_any_order():
    lines = random_lines(n_lines=3, missing=0.3)
    table = LineTable.from_dense(lines)
    order = np.concatenate(
        [np.arange(a, b)[::-1] for a, b in zip(table.offsets, table.offsets[1:], strict=False)]
    )
    huge = LineTable(
        offsets=table.offsets,
        identity=np.array([-3, 1_167_867_904, 1_167_867_999])[table.identity][order],
        **{
            name: getattr(table, name)[order]
            for name in ("center", "log_amplitude", "log_sigma", "log_gamma")
        },
    )
    kept = NodeLines.from_table(huge, dtype=np.float64)
    # The negative one has no place in the list.
    np.testing.assert_allclose(kept.to_dense(), lines[:, 1:], rtol=1e-14)


def test_a_line_twice_in_a_node_is_refused():
    table = LineTable([0, 1, 3], [5000.0] * 3, *[[-3.0] * 3] * 3, identity=[7, 7, 7])
    with pytest.raises(ValueError, match="node 1 has two of identity 7"):
        NodeLines.from_table(table)


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


@pytest.mark.parametrize("ragged", [False, True])
def test_lines_that_matter_are_those_that_reach(ragged):
    lines = np.tile([0.0, -3.0, -3.0, -4.0], (2, 4, 1))
    lines[..., 0] = 5000.0, 5030.0, 5100.0, 5100.0
    lines[:, 1, 1:] = 3.0, 0.0, 1.0  # broad and strong: its wing reaches far
    lines[:, 2, 1] = -30.0
    lines[0, 3, 1:] = 4.0, 0.0, 2.0  # strong at one node only
    if ragged:
        lines[1, 3] = np.nan
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
