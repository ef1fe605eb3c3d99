"""Lines of nodes some of which lack some, as the paper's emulator keeps them."""

import numpy as np
import pytest

from skphx.interpolation import make_grid
from skphx.lines import LineTable
from skphx.lines._node_lines import NodeLines
from skphx.lines._reach import lines_that_matter
from skphx.paper._ragged_lines import RaggedLines

NODES = np.array([[a, b] for a in (0.0, 1.0, 3.0) for b in (0.0, 1.0)])
POINTS = np.array([[0.3, 0.2], [2.0, 0.9], [1.0, 1.0], [3.0, 0.0]])
KINDS = ["linear", "hermite", "cubic", "radial"]


def random_lines(n_lines=12, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    lines = rng.normal(0.0, 0.3, (len(NODES), n_lines, 4)) + [0.0, -3.0, -2.5, -3.0]
    lines[..., 0] = lines[..., 0] * 0.01 + np.linspace(5000.0, 5050.0, n_lines)
    lines[rng.random(lines.shape[:2]) < missing] = np.nan
    return lines


def ragged(lines, kind="cubic", missing="fade", **settings):
    """The lines, on the nodes."""
    kept = RaggedLines(LineTable.from_dense(lines), lines.shape[1], missing=missing, **settings)
    assert kept.on(make_grid(NODES, interpolation=kind), make_grid(NODES)) is kept
    return kept


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("missing", ["fade", "drop"])
def test_where_no_line_is_missing_they_are_those_of_a_dense_table(kind, missing):
    lines = random_lines()
    kept = ragged(lines, kind, missing)
    dense = NodeLines(lines).on(make_grid(NODES, interpolation=kind))
    np.testing.assert_allclose(kept.at(POINTS), dense.at(POINTS), rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(
        kept.tangents_at(POINTS), dense.tangents_at(POINTS), rtol=1e-10, atol=1e-10
    )
    np.testing.assert_allclose(kept.to_dense(), dense.to_dense(), rtol=1e-14)
    chosen = np.arange(12) % 3 > 0
    one, other = kept.selected(chosen), dense.selected(chosen)
    np.testing.assert_allclose(one.to_dense(), other.to_dense(), rtol=1e-14)
    for one, other in zip(kept.deepest(5010, 5020), dense.deepest(5010, 5020), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def test_lines_come_back():
    lines = random_lines(missing=0.4)
    kept = RaggedLines(LineTable.from_dense(lines), 12)
    np.testing.assert_allclose(kept.to_dense(), lines, rtol=1e-14)
    np.testing.assert_array_equal(kept.present, np.isfinite(lines[..., 0]))
    chosen = np.arange(12) % 2 == 0
    np.testing.assert_allclose(kept.selected(chosen).to_dense(), lines[:, chosen], rtol=1e-14)
    assert kept.selected(chosen).n_instances == np.isfinite(lines[:, chosen, 0]).sum()


@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", ["linear", "cubic", "radial"])
def test_tangents_are_differences(kind, missing):
    kept = ragged(random_lines(missing=0.3), kind, missing)
    points = POINTS[:2]
    lines, tangents = kept.at(points), kept.tangents_at(points)
    absent = np.isnan(lines)
    assert not absent.all()
    step = 1e-6
    for column, tangent in enumerate(tangents):
        move = step * np.eye(2)[column]
        difference = (kept.at(points + move) - kept.at(points - move)) / 2 / step
        np.testing.assert_allclose(tangent[~absent], difference[~absent], rtol=1e-5, atol=1e-5)
        assert (tangent[absent] == 0).all()
    # With the paper's rule lines are absent between nodes, too.
    assert absent.any() == (missing == "drop")


@pytest.mark.parametrize("missing", ["fade", "drop"])
@pytest.mark.parametrize("kind", ["linear", "cubic", "radial"])
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_part_of_the_lines_is_on_the_same_grids(share, kind, missing):
    kept = ragged(random_lines(missing=share), kind, missing)
    lines, tangents = kept.interpolate(
        kept.grid.weights(POINTS),
        kept.presence_grid.weights(POINTS),
        kept.grid.weights_jacobian(POINTS),
        kept.presence_grid.weights_jacobian(POINTS),
    )
    np.testing.assert_array_equal(kept.at(POINTS), lines)
    np.testing.assert_array_equal(kept.tangents_at(POINTS), tangents)
    chosen = np.arange(12) % 3 > 0
    part = kept.selected(chosen)
    np.testing.assert_allclose(part.at(POINTS), lines[:, chosen], rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(
        part.tangents_at(POINTS), tangents[:, :, chosen], rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_lines_are_exact_at_their_nodes(kind):
    lines = random_lines(missing=0.3)
    for missing in ("fade", "drop"):
        kept = ragged(lines, kind, missing)
        np.testing.assert_allclose(kept.at(NODES), lines, rtol=1e-9)


def test_single_precision_keeps_centres():
    lines = random_lines(n_lines=40, missing=0.2)
    kept = RaggedLines(LineTable.from_dense(lines), 40, dtype=np.float32)
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
            for name in ("center", "log_area", "log_sigma", "log_gamma")
        },
    )
    kept = RaggedLines(huge)
    # The negative one has no place in the list.
    assert kept.n_lines == 2
    np.testing.assert_allclose(kept.to_dense(), lines[:, 1:], rtol=1e-14)


def test_a_list_has_a_place_also_for_lines_that_no_node_has():
    lines = random_lines(n_lines=4)
    lines[:, 2] = np.nan
    table = LineTable.from_dense(lines)
    assert RaggedLines(table).n_lines == 3
    kept = ragged(lines)
    np.testing.assert_allclose(kept.to_dense(), lines, rtol=1e-14)
    at = kept.at(POINTS)
    assert np.isnan(at[:, 2]).all()
    assert np.isfinite(at[:, [0, 1, 3]]).all()


def test_a_line_twice_in_a_node_is_refused():
    table = LineTable([0, 1, 3], [5000.0] * 3, *[[-3.0] * 3] * 3, identity=[7, 7, 7])
    with pytest.raises(ValueError, match="node 1 has two of identity 7"):
        RaggedLines(table)


def test_lines_that_matter_are_those_that_reach():
    lines = np.tile([0.0, -3.0, -3.0, -4.0], (2, 4, 1))
    lines[..., 0] = 5000.0, 5030.0, 5100.0, 5100.0
    lines[:, 1, 1:] = 3.0, 0.0, 1.0  # broad and strong: its wing reaches far
    lines[:, 2, 1] = -30.0
    lines[0, 3, 1:] = 4.0, 0.0, 2.0  # strong at one node only
    lines[1, 3] = np.nan
    kept = RaggedLines(LineTable.from_dense(lines), 4)
    np.testing.assert_array_equal(
        lines_that_matter(kept, np.array([4999.0, 5001.0])), [True, True, False, True]
    )
