"""Grid validation: each planted fault is found, named and explained; clean grids have none."""

import itertools

import numpy as np
import pytest
from sklearn.utils import Bunch

from skphx.datasets import load_npz_grid, make_stellar_grid
from skphx.interpolation import make_grid
from skphx.validation import diagnose_grid

pytestmark = pytest.mark.slow

NAMES = ("teff", "logg", "feh")


def thinned(grid, n_pixels=600):
    step = grid.wavelength.size // n_pixels
    return Bunch(
        parameters=grid.parameters,
        spectra=np.ascontiguousarray(grid.spectra[:, ::step]),
        wavelength=grid.wavelength[::step],
    )


@pytest.fixture(scope="module")
def generated():
    """Raw flux of 90 nodes; Teff is uneven."""
    teff = (4000, 4250, 4500, 4750, 5000, 5500)
    grid = make_stellar_grid(
        teff=teff,
        logg=(3.0, 3.5, 4.0, 4.5, 5.0),
        wavelength=(8500, 8540),
        n_pixels=600,
        n_lines=40,
    )
    grid.wavelength.flags.writeable = grid.spectra.flags.writeable = False
    return grid


@pytest.fixture(scope="module")
def phoenix(shared_data):
    """Absolute flux, not normalised."""
    return thinned(load_npz_grid(shared_data / "phoenix_hband_grid.npz", medium="vacuum"))


@pytest.fixture(scope="module")
def rvs(shared_data):
    """Flux with a continuum of 1, stored with four digits."""
    grid = load_npz_grid(shared_data / "atlas9_rvs_grid.npz", medium="air")
    every_second = grid.parameters[:, 0] % 500 == 0
    grid.parameters, grid.spectra = grid.parameters[every_second], grid.spectra[every_second]
    return thinned(grid)


@pytest.fixture(
    scope="module",
    params=[
        "generated",
        pytest.param("phoenix", marks=pytest.mark.shared_data),
        pytest.param("rvs", marks=pytest.mark.shared_data),
    ],
)
def any_grid(request):
    return request.getfixturevalue(request.param)


def examine(grid, spectra=None, parameters=None, **options):
    parameters = grid.parameters if parameters is None else parameters
    spectra = grid.spectra if spectra is None else spectra
    return diagnose_grid(
        parameters, spectra, wavelength=grid.wavelength, parameter_names=NAMES, **options
    )


def faults(report):
    return [(finding.row, finding.kind) for finding in report.findings]


def middle(grid):
    """Row of a node in the middle of the grid."""
    offset = grid.parameters - np.median(grid.parameters, axis=0)
    return int(np.argmin((np.abs(offset) / np.ptp(grid.parameters, axis=0)).sum(axis=1)))


def corner(grid):
    """Row of the coolest dwarf that is poorest in metals."""
    teff, logg, feh = grid.parameters.T
    return int(np.lexsort((feh, -logg, teff))[0])


# ---------------------------------------------------------------------------- clean grids


def test_clean_grid_gives_no_alarm(any_grid):
    report = examine(any_grid)
    assert faults(report) == []
    assert report.good.all()
    assert "No row has to be excluded." in str(report)
    assert (report.score < 4.0).all()
    # What it says of prediction errors is of the order of what emulators reach.
    assert np.median(report.error) < 0.02


@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["phoenix_3000_4300K", "atlas9_hpf_grid", "atlas9_rvs_grid"])
def test_other_real_grids_give_no_alarm(shared_data, name):
    grid = thinned(load_npz_grid(shared_data / f"{name}.npz", medium="air"))
    assert faults(examine(grid)) == []


def test_verdict_does_not_depend_on_unit_or_order(generated):
    spectra = generated.spectra.copy()
    spectra[40] *= np.linspace(0.7, 1.3, spectra.shape[1])
    report = examine(generated, spectra)
    order = np.random.default_rng(0).permutation(len(spectra))
    other = examine(generated, 1e-17 * spectra[order], generated.parameters[order])
    np.testing.assert_array_equal(other.good, report.good[order])
    assert report.excluded.tolist() == [40]


# -------------------------------------------------------------------- one spectrum by itself


@pytest.mark.parametrize("place", [middle, corner])
def test_defect_of_one_spectrum(any_grid, place):
    row, n_pixels = place(any_grid), any_grid.spectra.shape[1]
    cases = {
        "zero": slice(None),
        "constant": slice(None),
        "not_finite": slice(n_pixels // 2, n_pixels // 2 + 1),
        "truncated": slice(-n_pixels // 5, None),
    }
    values = {"zero": 0.0, "constant": any_grid.spectra[row, 0], "not_finite": np.nan}
    for kind, pixels in cases.items():
        spectra = any_grid.spectra.copy()
        spectra[row, pixels] = values.get(kind, 0.0)
        report = examine(any_grid, spectra)
        assert faults(report) == [(row, kind)]
        assert report.excluded.tolist() == [row]
        assert np.isnan(report.score[row])
        expected = (np.zeros(n_pixels)[pixels].size) / n_pixels
        assert report.findings[0].measure == pytest.approx(expected)


@pytest.mark.parametrize("pixels", [slice(0, 40), slice(300, 340), slice(560, 600)])
def test_range_filled_with_one_number(generated, pixels):
    spectra = generated.spectra.copy()
    spectra[50, pixels] = spectra[50, pixels].mean()
    report = examine(generated, spectra)
    assert faults(report) == [(50, "truncated")]
    first, last = generated.wavelength[pixels][[0, -1]]
    assert f"{first:.8g} to {last:.8g} Å" in report.findings[0].description


def test_range_without_flux_in_all_spectra_is_no_fault(generated):
    spectra = generated.spectra.copy()
    spectra[:, :60] = 0.0
    assert faults(examine(generated, spectra)) == []


def test_lone_pixel_is_reported_and_the_row_kept(generated):
    spectra = np.repeat(generated.spectra, 60, axis=1)
    wavelength = np.linspace(8500, 8540, spectra.shape[1])
    pixel = 60 * int(np.argmax(generated.spectra[33])) + 30
    spectra[33, pixel] *= 1e-3
    report = diagnose_grid(
        generated.parameters, spectra, wavelength=wavelength, parameter_names=NAMES, max_pixels=600
    )
    assert faults(report) == [(33, "bad_pixels")]
    assert report.findings[0].measure == 1
    assert report.good[33]


def test_parameters_that_are_not_finite(generated):
    parameters = generated.parameters.copy()
    parameters[12, 1] = np.nan
    report = examine(generated, parameters=parameters)
    assert report.rows("no_parameters") == [12]
    # The node that this row stood for is missing from the lattice.
    missing = report.findings[-1]
    assert (missing.row, missing.kind) == (None, "missing")
    assert missing.parameters == tuple(generated.parameters[12])
    assert report.excluded.tolist() == [12]


# ------------------------------------------------------------------ a spectrum and the others


@pytest.mark.parametrize("place", [middle, corner])
def test_wrong_scale(any_grid, place):
    row = place(any_grid)
    spectra = any_grid.spectra.copy()
    spectra[row] *= np.pi
    report = examine(any_grid, spectra)
    assert faults(report) == [(row, "level")]
    assert report.findings[0].measure == pytest.approx(np.pi, rel=0.1)


@pytest.mark.parametrize("place", [middle, corner])
def test_outlying_spectrum(any_grid, place):
    row, n_pixels = place(any_grid), any_grid.spectra.shape[1]
    spectra = any_grid.spectra.copy()
    spectra[row] *= 1 + 0.3 * np.sin(np.arange(n_pixels) / 5)
    report = examine(any_grid, spectra)
    assert faults(report) == [(row, "outlying")]
    # Its neighbours, whose predictions it spoils, are not blamed.
    assert report.excluded.tolist() == [row]


def test_few_pixels(any_grid):
    row = middle(any_grid)
    spectra = any_grid.spectra.copy()
    spectra[row, 200:203] *= 3.0
    report = examine(any_grid, spectra)
    assert faults(report) == [(row, "bad_pixels")]
    assert report.findings[0].measure == 3
    assert f"{any_grid.wavelength[200]:.8g} to" in report.findings[0].description
    assert not report.good[row]


def test_swapped_labels(any_grid):
    grid, rows = any_grid, [middle(any_grid), corner(any_grid)]
    spectra = grid.spectra.copy()
    spectra[rows] = spectra[rows[::-1]]
    report = examine(grid, spectra)
    assert sorted(faults(report)) == sorted((row, "mislabelled") for row in rows)
    labels = {finding.row: finding.label for finding in report.findings}
    assert labels == {
        row: tuple(grid.parameters[other]) for row, other in zip(rows, rows[::-1], strict=True)
    }
    # With the labels corrected nothing is left to say.
    parameters = grid.parameters.copy()
    for row, label in labels.items():
        parameters[row] = label
    assert examine(grid, spectra, parameters).good.all()


@pytest.mark.shared_data
def test_swapped_neighbours(phoenix):
    """100 K apart: spectra that differ by a hundredth."""
    row = middle(phoenix)
    near = phoenix.parameters + [100, 0, 0]
    other = int(np.flatnonzero((near == phoenix.parameters[row]).all(axis=1))[0])
    spectra = phoenix.spectra.copy()
    spectra[[row, other]] = spectra[[other, row]]
    report = examine(phoenix, spectra)
    assert sorted(report.rows("mislabelled")) == sorted((row, other))
    assert report.findings[0].label == report.findings[1].parameters


def test_label_off_the_lattice(any_grid):
    row = middle(any_grid)
    truth = any_grid.parameters[row]
    parameters = any_grid.parameters.copy()
    parameters[row, 0] = parameters[:, 0].max() - 10.0
    report = examine(any_grid, parameters=parameters)
    assert report.rows("mislabelled") == [row]
    assert report.findings[0].label == tuple(truth)
    # One hole, not one for each node of a plane that does not exist.
    assert [finding.parameters for finding in report.findings[1:]] == [tuple(truth)]


def test_duplicated_node_with_a_wrong_label(any_grid):
    """Two rows claim one node; one of them belongs to a node that is missing."""
    rows = [corner(any_grid), middle(any_grid)]
    parameters = any_grid.parameters.copy()
    parameters[rows[1]] = parameters[rows[0]]
    report = examine(any_grid, parameters=parameters)
    assert report.rows("mislabelled") == [rows[1]]
    assert report.findings[0].label == tuple(any_grid.parameters[rows[1]])
    assert report.excluded.tolist() == [rows[1]]


def test_duplicated_row(any_grid):
    row, n_nodes = middle(any_grid), len(any_grid.parameters)
    report = examine(
        any_grid,
        np.vstack((any_grid.spectra, any_grid.spectra[row])),
        np.vstack((any_grid.parameters, any_grid.parameters[row])),
    )
    assert faults(report) == [(n_nodes, "duplicate_node")]
    assert f"row {row} holds the same node" in report.findings[0].description


def test_of_two_rows_with_one_node_the_better_stays(any_grid):
    row, n_nodes = middle(any_grid), len(any_grid.parameters)
    ripple = 1 + 0.3 * np.sin(np.arange(any_grid.spectra.shape[1]) / 5)
    spectra = np.vstack((any_grid.spectra, any_grid.spectra[row]))
    spectra[row] *= ripple
    report = examine(any_grid, spectra, np.vstack((any_grid.parameters, any_grid.parameters[row])))
    assert report.excluded.tolist() == [row]
    assert faults(report) == [(row, "duplicate_node")]
    assert f"row {n_nodes} holds the same node" in report.findings[0].description


@pytest.mark.parametrize("factor", [1.0, 2.5])
def test_duplicated_spectrum(any_grid, factor):
    """The spectrum of one node stands at another, too, maybe scaled."""
    true, copy = middle(any_grid), corner(any_grid)
    spectra = any_grid.spectra.copy()
    spectra[copy] = factor * spectra[true]
    report = examine(any_grid, spectra)
    assert faults(report) == [(copy, "duplicate_spectrum")]
    description = report.findings[0].description
    assert f"that of row {true}" in description
    assert ("times 2.5" in description) == (factor != 1.0)
    assert report.excluded.tolist() == [copy]


def test_parameter_without_effect_excludes_nothing(generated):
    parameters = np.column_stack((np.repeat(generated.parameters, 2, axis=0), [0.0, 0.4] * 90))
    spectra = np.repeat(generated.spectra, 2, axis=0)
    report = diagnose_grid(parameters, spectra, parameter_names=(*NAMES, "alpha"))
    assert report.good.all()
    assert len(report.rows("duplicate_spectrum")) == 90
    assert "no effect" in str(report)


def test_many_faults_at_once(any_grid):
    """Bad nodes hide each other; found all the same, and nobody else is blamed."""
    rng = np.random.default_rng(5)
    rows = rng.permutation(len(any_grid.parameters))[:9]
    spectra, n_pixels = any_grid.spectra.copy(), any_grid.spectra.shape[1]
    expected = {}
    for row, kind in zip(
        rows, ["zero", "not_finite", "truncated", "level", "level"], strict=False
    ):
        expected[row] = kind
    spectra[rows[0]] = 0.0
    spectra[rows[1], n_pixels // 3] = np.nan
    spectra[rows[2], : n_pixels // 6] = 0.0
    spectra[rows[3]] *= 7.0
    spectra[rows[4]] *= 0.1
    for row in rows[5:7]:
        expected[row] = "outlying"
        spectra[row] *= 1 + 0.4 * np.sin(np.arange(n_pixels) / 5)
    # The last two are swapped.
    expected[rows[7]] = expected[rows[8]] = "mislabelled"
    spectra[rows[7:]] = spectra[rows[:6:-1]]
    report = examine(any_grid, spectra)
    assert dict(faults(report)) == expected
    np.testing.assert_array_equal(report.excluded, np.sort(rows))


# ----------------------------------------------------------------------------- kinds of grids


def test_missing_nodes(any_grid):
    gone = [middle(any_grid), corner(any_grid)]
    keep = np.delete(np.arange(len(any_grid.parameters)), gone)
    report = examine(any_grid, any_grid.spectra[keep], any_grid.parameters[keep])
    assert [finding.row for finding in report.findings] == [None, None]
    found = {finding.parameters: finding.measure for finding in report.findings}
    assert found == {tuple(any_grid.parameters[row]): 1.0 for row in gone}
    assert report.good.all()


def test_grid_with_holes(any_grid):
    """A fifth of the nodes away: faults are found among the others."""
    bad = middle(any_grid)
    keep = np.setdiff1d(np.arange(len(any_grid.parameters)), np.arange(0, 1000, 5))
    keep = np.union1d(keep, bad)
    spectra = any_grid.spectra[keep].copy()
    place = int(np.searchsorted(keep, bad))
    spectra[place] *= 1 + 0.3 * np.sin(np.arange(spectra.shape[1]) / 5)
    report = examine(any_grid, spectra, any_grid.parameters[keep])
    assert report.excluded.tolist() == [place]
    assert report.rows("outlying") == [place]
    n_missing = len(any_grid.parameters) - len(keep)
    assert [finding.kind for finding in report.findings].count("missing") == n_missing


def test_good_rows_make_a_grid(generated):
    parameters = np.vstack((generated.parameters, generated.parameters[3:5]))
    spectra = np.vstack((generated.spectra, generated.spectra[3:5]))
    spectra[20] = 0.0
    good = examine(generated, spectra, parameters).good
    grid = make_grid(parameters[good], parameter_names=NAMES, holes="interpolate")
    assert grid.n_nodes == 89


def test_one_parameter():
    teff = np.arange(4000.0, 7001.0, 200.0)
    grid = make_stellar_grid(teff=teff, logg=(4.5,), feh=(0.0,), n_pixels=500)
    clean = diagnose_grid(teff[:, None], grid.spectra, parameter_names=["teff"])
    assert clean.good.all()
    spectra = grid.spectra.copy()
    spectra[[5, 9]] = spectra[[9, 5]]
    report = diagnose_grid(teff[:, None], spectra, parameter_names=["teff"])
    assert faults(report) == [(5, "mislabelled"), (9, "mislabelled")]
    assert [finding.label for finding in report.findings] == [(5800.0,), (5000.0,)]


def test_four_parameters():
    axes = ((4500, 5000, 5500, 6000), (3.5, 4.0, 4.5), (-0.5, 0.0, 0.5), (0.0, 0.2, 0.4))
    parameters = np.array(list(itertools.product(*axes)), dtype=float)
    grid = make_stellar_grid(parameters=parameters[:, :3], n_pixels=400)
    spectra = grid.spectra ** (1 + 0.3 * parameters[:, 3:])
    assert diagnose_grid(parameters, spectra).good.all()
    spectra[[30, 70]] = spectra[[70, 30]]
    report = diagnose_grid(parameters, spectra)
    assert faults(report) == [(30, "mislabelled"), (70, "mislabelled")]


def test_scattered_nodes():
    rng = np.random.default_rng(2)
    parameters = rng.uniform((4500, 3.0, -0.5), (6000, 5.0, 0.5), (120, 3))
    grid = make_stellar_grid(parameters=parameters, n_pixels=500)
    clean = diagnose_grid(parameters, grid.spectra, parameter_names=NAMES)
    assert clean.good.all()
    assert "taken as scattered" in str(clean)
    spectra = grid.spectra.copy()
    spectra[[10, 60]] = spectra[[60, 10]]
    spectra[80] *= 1 + 0.5 * np.sin(np.arange(500) / 5)
    report = diagnose_grid(parameters, spectra, parameter_names=NAMES)
    assert report.excluded.tolist() == [10, 60, 80]
    assert report.rows("mislabelled") == [10, 60]


def test_few_nodes_are_examined_by_themselves(generated):
    spectra = generated.spectra[:4].copy()
    spectra[1] = 0.0
    report = examine(generated, spectra, generated.parameters[:4])
    assert report.rows("zero") == [1]
    assert report.excluded.tolist() == [1]
    assert "too few" in str(report)
    assert np.isnan(report.score).all()


def test_nothing_usable_at_all(generated):
    report = examine(generated, np.zeros_like(generated.spectra))
    assert not report.good.any()
    assert set(faults(report)) == {(row, "zero") for row in range(90)}


def test_spectra_on_disk_are_read_in_pieces(generated, tmp_path, monkeypatch):
    monkeypatch.setattr("skphx.validation._defects._BLOCK_PIXELS", 7 * 600)
    spectra = generated.spectra.astype(np.float32)
    spectra[20] *= 10.0
    np.save(tmp_path / "spectra.npy", spectra)

    class Watched:
        """Stands for an array on disk; remembers the most that was read at once."""

        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, array.dtype
            self.most = 0

        def __getitem__(self, key):
            piece = self.array[key]
            self.most = max(self.most, piece.size)
            return piece

    watched = Watched(np.load(tmp_path / "spectra.npy", mmap_mode="r"))
    report = examine(generated, watched)
    assert watched.most == 7 * 600
    assert faults(report) == faults(examine(generated, spectra)) == [(20, "level")]


# ---------------------------------------------------------------------------------- the report


def test_report_reads_well(generated):
    spectra = generated.spectra.copy()
    spectra[3] = 0.0
    spectra[40] *= 10.0
    report = examine(generated, spectra)
    assert repr(report) == "<GridReport: 90 spectra, 2 to exclude, 0 missing nodes>"
    text = str(report)
    assert "row 3 (teff=4000, logg=3.5, feh=-0.5): no pixel has positive flux" in text
    assert "Rows to exclude: 3, 40." in text
    assert "-> check the unit and the scale" in text
    frame = report.to_pandas()
    assert frame["row"].tolist() == [3, 40]
    assert frame["kind"].tolist() == ["zero", "level"]
    assert frame["teff"].tolist() == generated.parameters[[3, 40], 0].tolist()


def test_frame_has_no_row_for_missing_nodes(generated):
    frame = examine(generated, generated.spectra[1:], generated.parameters[1:]).to_pandas()
    assert frame["row"].isna().tolist() == [True]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spectra": np.ones((89, 600))}, "one spectrum for each of the 90 rows"),
        ({"spectra": np.ones(600)}, "must be a two-dimensional array"),
        ({"spectra": np.full((90, 600), "a")}, "must be a two-dimensional array of numbers"),
        ({"parameters": np.ones(90)}, "a single parameter needs reshape"),
        ({"parameters": np.ones((90, 2))}, "has 2 columns but parameter_names has 3"),
        ({"wavelength": np.arange(1.0, 9.0)}, "wavelength has 8 elements"),
        ({"threshold": 0.0}, "threshold must be positive"),
        ({"max_pixels": 0}, "max_pixels must be at least 1"),
    ],
)
def test_errors_say_what_to_do(generated, change, message):
    arguments = {
        "parameters": generated.parameters,
        "spectra": generated.spectra,
        "parameter_names": NAMES,
        **change,
    }
    with pytest.raises(ValueError, match=message):
        diagnose_grid(**arguments)
