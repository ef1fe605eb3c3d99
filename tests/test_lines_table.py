"""Tables of lines: ragged access, files, physical columns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from skphx._domain import LINE_PARAMETERS
from skphx.lines import LineTable, render_flux, voigt


def make_table(counts, seed=0):
    rng = np.random.default_rng(seed)
    n = sum(counts)
    return LineTable(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(int),
        center=rng.uniform(5000.0, 5100.0, n),
        log_area=rng.normal(-3.0, 1.0, n),
        log_sigma=rng.normal(-3.0, 0.3, n),
        log_gamma=rng.normal(-3.0, 0.3, n),
        identity=rng.integers(0, 1000, n),
    )


@given(counts=st.lists(st.integers(0, 5), max_size=6), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_split_and_concatenate_is_identity(counts, seed):
    table = make_table(counts, seed)
    assert len(table) == table.n_spectra == len(counts)
    assert [single.n_lines for single in table] == counts
    assert LineTable.concatenate(list(table)) == table
    assert LineTable.concatenate([table[:2], table[2:]]) == table
    assert table[::-1][::-1] == table


def test_getitem_takes_what_arrays_take():
    table = make_table([2, 0, 3])
    np.testing.assert_array_equal(table[2].center, table.center[2:])
    assert table[-1] == table[2]
    assert table[[2, 0]] == LineTable.concatenate([table[2], table[0]])
    assert table[np.array([True, False, True])] == table[[0, 2]]
    assert table[1].n_lines == 0
    assert table[0] != table[1]
    with pytest.raises(IndexError, match="spectrum 3 does not exist: the table holds 3"):
        table[3]


def test_repr_names_sizes_and_range():
    table = LineTable([0, 1], [5000.0], [0.0], [0.0], [0.0])
    assert repr(table) == "LineTable of 1 spectrum, 1 line, 5000.00 to 5000.00 Å"
    assert repr(table[:0]) == "LineTable of 0 spectra, no lines"
    assert "2 spectra, 5 lines (2 to 3 each)" in repr(make_table([2, 3]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"offsets": [0, 1]}, "offsets must rise from 0 to the number of lines, 2"),
        ({"offsets": [0, 3, 2]}, "offsets must rise"),
        ({"offsets": [0.0, 2.0]}, "offsets must be a one-dimensional array of whole numbers"),
        ({"log_sigma": [0.0]}, "log_sigma has 1 elements but center has 2"),
        ({"center": [1.0, np.nan]}, "center must be finite, but element 1 is nan"),
        ({"center": [["a", "b"]]}, "center must be a one-dimensional array of real numbers"),
        ({"identity": [0.5, 1.5]}, "identity must hold one whole number a line"),
    ],
)
def test_wrong_arrays_are_refused(change, message):
    columns = {name: [1.0, 2.0] for name in LINE_PARAMETERS} | {"offsets": [0, 2]} | change
    with pytest.raises(ValueError, match=message):
        LineTable(**columns)


def test_concatenate_refuses_other_things():
    with pytest.raises(TypeError, match="element 1 is a dict"):
        LineTable.concatenate([make_table([1]), {}])


def test_npz_round_trip(tmp_path):
    table = make_table([3, 0, 4])
    table.save(tmp_path / "lines.npz")
    assert LineTable.load(tmp_path / "lines.npz") == table


def test_load_refuses_other_files(tmp_path):
    np.savez(tmp_path / "other.npz", wavelength=np.arange(3.0))
    with pytest.raises(ValueError, match="is not a table of lines: it lacks"):
        LineTable.load(tmp_path / "other.npz")
    table = make_table([1])
    table.save(tmp_path / "lines.npz")
    with np.load(tmp_path / "lines.npz") as file:
        arrays = dict(file)
    np.savez(tmp_path / "later.npz", **arrays | {"version": 99})
    with pytest.raises(ValueError, match="has version 99 of the format"):
        LineTable.load(tmp_path / "later.npz")


def test_columns_of_physical_quantities():
    table = make_table([2, 3])
    frame = table.to_pandas(profile="voigt")
    assert frame["spectrum"].tolist() == [0, 0, 1, 1, 1]
    line = frame.iloc[3]
    area, sigma, gamma = (np.exp(getattr(table, n)[3]) for n in LINE_PARAMETERS[1:])
    assert line["optical_depth"] == pytest.approx(area * voigt(0.0, sigma, gamma))
    width, _ = quad(
        lambda x: -2.0 * np.expm1(-area * voigt(x, sigma, gamma)), 0.0, np.inf, limit=500
    )
    assert line["equivalent_width"] == pytest.approx(width, rel=1e-6)
    flux = render_flux(
        [line["center"]],
        *table[1].center[None, 1:2],
        *(getattr(table[1], n)[1:2] for n in LINE_PARAMETERS[1:]),
        profile="voigt",
    )
    assert line["depth"] == pytest.approx(1.0 - flux[0])


def test_weak_lines_equivalent_width_is_their_area():
    table = LineTable([0, 1], [5000.0], [np.log(1e-8)], [-3.0], [-2.0])
    frame = table.to_pandas()
    assert frame["equivalent_width"][0] == pytest.approx(1e-8, rel=1e-6)


def test_files_of_version_1_are_read(tmp_path):
    table = LineTable([0, 2], [5000.0, 5001.0], [-2.0, -3.0], [-3.0, -3.0], [-3.0, -4.0])
    table.save(tmp_path / "new.npz")
    with np.load(tmp_path / "new.npz") as stored:
        columns = dict(stored)
    columns["log_amplitude"] = columns.pop("log_area")
    np.savez(tmp_path / "old.npz", **columns | {"version": np.int64(1)})
    assert LineTable.load(tmp_path / "old.npz") == table
