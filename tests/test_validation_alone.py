"""Grid validation: faults of one spectrum by itself, also where the spectra around share them."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d
from sklearn.utils import Bunch

from skphx.datasets import load_npz_grid
from skphx.validation import diagnose_grid
from skphx.validation._unphysical import Unphysical, upper_envelope

N_PIXELS = 3000
WAVELENGTH = np.linspace(8450.0, 8510.0, N_PIXELS)


def made_spectrum(seed, level=1.0, n_lines=60, slope=0.0):
    """Absorption lines of 2.5 to 6 pixels on a continuum."""
    rng = np.random.default_rng(seed)
    pixel = np.arange(N_PIXELS)[:, None]
    centre, sigma = rng.uniform(0, N_PIXELS, n_lines), rng.uniform(2.5, 6.0, n_lines)
    depth = -np.log1p(-rng.uniform(0.05, 0.9, n_lines))
    transmission = np.exp(-(np.exp(-0.5 * ((pixel - centre) / sigma) ** 2) @ depth))
    return level * transmission * np.exp(slope * np.linspace(-1, 1, N_PIXELS))


def made_grid(level=1.0):
    """Twenty-seven nodes whose lines grow smoothly with the parameters."""
    parameters = np.array(list(itertools.product((0, 1, 2), repeat=3)), dtype=float)
    base = np.log(made_spectrum(0))
    strength = 0.5 + parameters @ [0.11, 0.23, 0.53]
    return Bunch(parameters=parameters, spectra=level * np.exp(strength[:, None] * base))


def found(flux, wavelength=WAVELENGTH):
    return [(run.shape, run.start, run.stop) for run in Unphysical(len(flux), wavelength)(flux)]


def gaussian(centre, sigma):
    return np.exp(-0.5 * ((np.arange(N_PIXELS) - centre) / sigma) ** 2)


# --------------------------------------------------------------------------- what is no fault


@given(
    st.integers(0, 10_000),
    st.integers(0, 150),
    st.sampled_from([1e-20, 1.0, 3e14]),
    st.floats(-1.0, 1.0),
)
@settings(max_examples=40, deadline=None)
def test_clean_spectrum_is_clean(seed, n_lines, level, slope):
    assert found(made_spectrum(seed, level, n_lines, slope)) == []


@given(st.integers(0, 10_000), st.floats(0.05, 0.3), st.floats(2.5, 300.0), st.integers(0, 2999))
@settings(max_examples=40, deadline=None)
def test_emission_of_hot_stars_is_no_fault(seed, height, sigma, centre):
    assert found(made_spectrum(seed, n_lines=10) + height * gaussian(centre, sigma)) == []


@pytest.mark.parametrize("sigma", [5.0, 20.0, 100.0])
def test_strong_broad_emission_is_no_fault(sigma):
    """As of winds, at the resolution of the absorption lines and broader."""
    assert found(made_spectrum(1) + 0.9 * gaussian(1500, sigma)) == []


def test_stored_digits_make_no_fault():
    """The continuum is constant, and so are cores of strong lines."""
    flux = np.round(made_spectrum(2, n_lines=8), 3)
    flux *= 1.0 - 0.9999 * gaussian(1000, 12.0)
    assert found(np.round(flux, 3)) == []


def test_core_without_flux_is_no_fault():
    core = np.exp(-60.0 * gaussian(1000, 8.0))
    assert (core < 1e-6).sum() > 10
    assert found(made_spectrum(2) * core) == []


def test_pieces_of_the_spectrum_may_differ_in_level():
    flux, wavelength = made_spectrum(3), WAVELENGTH.copy()
    flux[1500:] *= 1.6
    assert [shape for shape, _, _ in found(flux, wavelength)] == ["step"]
    wavelength[1500:] += 20.0
    assert found(flux, wavelength) == []


def test_limit_of_a_series_may_be_a_step():
    flux = made_spectrum(3, n_lines=20)
    flux[:1500] *= 0.5
    assert [shape for shape, _, _ in found(flux, None)] == ["step"]
    assert found(flux, np.linspace(3640.0, 3655.0, N_PIXELS)) == []


def test_pixels_may_repeat_values():
    """Spectra on finer pixels without interpolation: each line is a block with steep walls."""
    assert found(np.repeat(made_spectrum(4)[::10], 10)) == []


def test_few_pixels_are_not_examined():
    assert found(np.array([1.0, 5.0, 1.0]), None) == []


# ----------------------------------------------------------------------------- what is a fault


@given(
    st.integers(0, 10_000),
    st.integers(1, 40),
    st.floats(1.6, 30.0),
    st.sampled_from([1e-20, 1.0, 3e14]),
    st.integers(5, 2900),
)
@settings(max_examples=60, deadline=None)
def test_spikes_are_found(seed, length, factor, level, start):
    flux = made_spectrum(seed, level, slope=0.3)
    flux[start : start + length] = factor * upper_envelope(flux)[start : start + length]
    assert found(flux) == [("above", start, start + length)]


@pytest.mark.parametrize("start", [0, 1, N_PIXELS - 3])
def test_spikes_at_the_ends_are_found(start):
    flux = made_spectrum(5)
    flux[start : start + 3] = 3.0
    assert found(flux) == [("above", start, min(start + 3, N_PIXELS))]


def test_spikes_in_few_lines():
    """A hot star: nothing to judge the resolution by."""
    flux = np.exp(-0.5 * gaussian(1000, 300.0))
    flux[2000], flux[500:520] = 1.6, 2.5
    assert found(flux) == [("above", 500, 520), ("above", 2000, 2001)]


def test_spikes_that_were_resampled_and_convolved():
    flux = made_spectrum(6)
    flux[700:720] = 3.6
    halves = 0.5 * (flux[1:] + flux[:-1])
    assert [shape for shape, _, _ in found(halves, None)] == ["above"]
    assert [shape for shape, _, _ in found(gaussian_filter1d(flux, 2.0))] == ["above"]


def test_low_blocks_with_steep_walls_are_found():
    """Lower than emission, but no line is a box."""
    flux = made_spectrum(7)
    flux[900:930] = 1.3
    assert found(flux) == [("above", 900, 930)]


@pytest.mark.parametrize("length", [1, 3, 8, 50])
@pytest.mark.parametrize("level", [1.0, 3e14])
def test_dips_are_found(length, level):
    flux = made_spectrum(8, level, n_lines=40)
    start = 1200 + int(np.argmin([np.ptp(flux[i - 4 : i + 60]) for i in range(1200, 1800)]))
    flux[start : start + length] = 0.2 * level * (1 + 1e-3 * np.arange(length))
    assert [(start, stop) for _, start, stop in found(flux)] == [(start, start + length)]


@pytest.mark.parametrize("factor", [0.5, 1.8])
def test_block_at_another_level(factor):
    flux = made_spectrum(9)
    flux[1000:1700] *= factor
    runs = Unphysical(N_PIXELS)(flux)
    assert [(run.shape, run.start, run.stop) for run in runs] == [("block", 1000, 1700)]
    assert runs[0].size == pytest.approx(factor, rel=0.1)


def test_equal_pixels():
    flux = made_spectrum(10)
    deep = int(np.argmin(flux))
    flux[deep - 6 : deep + 40] = flux[deep - 6]
    assert [shape for shape, _, _ in found(flux)] == ["equal"]


def test_zeros():
    flux = made_spectrum(10)
    flux[800:812] = 0.0
    flux[1800:1830] = 1e-12
    assert found(flux) == [("empty", 800, 812), ("empty", 1800, 1830)]


# -------------------------------------------------------------------------- reports on a grid


@pytest.mark.parametrize("level", [1.0, 3e14])
def test_fault_that_all_neighbours_share(level):
    grid = made_grid(level)
    assert diagnose_grid(grid.parameters, grid.spectra).findings == ()
    grid.spectra[:, 1000:1010] = 3.6 * level
    report = diagnose_grid(grid.parameters, grid.spectra, wavelength=WAVELENGTH)
    assert report.rows("bad_pixels") == list(range(27))
    assert not report.good.any()
    first = report.findings[0]
    assert first.measure == 10
    assert f"{WAVELENGTH[1000]:.8g} to {WAVELENGTH[1009]:.8g} Å" in first.description
    assert "3.6 times its own continuum" in first.description
    assert "repair the pixels" in first.remedy


def test_other_rows_are_not_blamed():
    grid = made_grid()
    rows = [4, 13, 14, 22]
    grid.spectra[rows, 500:503] = 2.2
    report = diagnose_grid(grid.parameters, grid.spectra)
    assert report.excluded.tolist() == rows
    assert {finding.kind for finding in report.findings} == {"bad_pixels"}


@pytest.mark.parametrize("rows", [[13], [4, 12, 13, 14, 22]])
@pytest.mark.parametrize(
    ("kind", "pixels", "change"),
    [
        ("truncated", slice(1000, 1015), lambda flux: 0.0 * flux),
        ("truncated", slice(1000, 1060), lambda flux: 0.0 * flux + 0.5),
        ("bad_pixels", slice(1400, 1800), lambda flux: 1.8 * flux),
        ("level", slice(1400, None), lambda flux: 1.8 * flux),
    ],
)
def test_kinds(kind, pixels, change, rows):
    grid = made_grid()
    grid.spectra[rows, pixels] = change(grid.spectra[rows, pixels])
    report = diagnose_grid(grid.parameters, grid.spectra)
    assert report.rows(kind) == report.excluded.tolist() == rows
    assert len(report.findings) == len(rows)


@pytest.mark.parametrize("change", [lambda flux: 0.0 * flux, lambda flux: 0.5 * flux])
def test_what_all_spectra_have_is_a_note(change):
    """A gap, or pieces at different levels."""
    grid = made_grid()
    grid.spectra[:, 1000:1300] = change(grid.spectra[:, 1000:1300])
    report = diagnose_grid(grid.parameters, grid.spectra, wavelength=WAVELENGTH)
    assert report.findings == ()
    assert len(report.notes) == 1
    assert f"{WAVELENGTH[1000]:.8g} to" in report.notes[0]


def test_one_spectrum_is_examined():
    flux = made_spectrum(11)
    flux[100:110] = 2.5
    report = diagnose_grid([[5000.0, 4.5]], flux[None])
    assert report.rows("bad_pixels") == [0]
    assert "pixels 100 to 109 (up to 2.5 times its own continuum)" in str(report)


def test_many_spikes_are_listed_in_part():
    grid = made_grid()
    grid.spectra[5, 100:2900:200] = 3.0
    report = diagnose_grid(grid.parameters, grid.spectra)
    assert report.excluded.tolist() == [5]
    parts = diagnose_grid(grid.parameters[:3], grid.spectra[[5, 1, 2]])
    assert parts.rows("bad_pixels") == [0]
    assert "and 9 more ranges" in parts.findings[0].description


# --------------------------------------------------------------------------------- real grids


def real_grid(folder, name):
    return load_npz_grid(folder / f"{name}.npz", medium="air")


@pytest.mark.shared_data
def test_real_defects_are_found_at_their_pixels(shared_data):
    """MOOG's opacity was zero at some pixels, in groups of neighbours; the truth is known."""
    faulty = real_grid(shared_data, "atlas9_rvs_defects")
    wide = real_grid(shared_data, "atlas9_rvs_wide")
    row_of = {tuple(node): row for row, node in enumerate(wide.parameters.tolist())}
    rows = [row_of[tuple(node)] for node in faulty.parameters.tolist()]
    bad = faulty.spectra != wide.spectra[rows]
    report = diagnose_grid(faulty.parameters, faulty.spectra, wavelength=faulty.wavelength)
    assert bad.any(axis=1).sum() == 36
    np.testing.assert_array_equal(report.excluded, np.flatnonzero(bad.any(axis=1)))
    for finding in report.findings:
        assert finding.kind == "bad_pixels"
        # A pixel at the edge of a run may be only a little too high.
        assert 0 <= bad[finding.row].sum() - finding.measure <= 1
    # The same after repair.
    assert diagnose_grid(faulty.parameters, wide.spectra[rows]).findings == ()


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "atlas9_rvs_grid",
        "atlas9_hpf_grid",
        "phoenix_hband_grid",
        "phoenix_3000_4300K",
        "atlas9_rvs_5d",
        "atlas9_rvs_5d_vmic15",
        "atlas9_rvs_wide",
        "sme_rvs_reference",
    ],
)
def test_clean_real_grids_in_full(shared_data, name):
    grid = real_grid(shared_data, name)
    report = diagnose_grid(grid.parameters, grid.spectra, wavelength=grid.wavelength)
    assert [one for one in report.findings if one.row is not None] == []


@pytest.mark.shared_data
@pytest.mark.parametrize("every", [2, 5, 20])
@pytest.mark.parametrize(
    "name", ["atlas9_rvs_5d_vmic15", "phoenix_hband_grid", "phoenix_3000_4300K"]
)
def test_coarse_pixels_give_no_alarm(shared_data, name, every):
    """Lines of one pixel, as in grids of low resolution."""
    grid = real_grid(shared_data, name)
    wavelength = grid.wavelength[::every]
    for flux in grid.spectra[::4, ::every]:
        assert found(np.ascontiguousarray(flux, dtype=float), wavelength) == []


@pytest.mark.shared_data
def test_raw_flux_with_shared_spikes(shared_data):
    grid = real_grid(shared_data, "phoenix_hband_grid")
    rows = np.flatnonzero((grid.parameters[:, 0] >= 4000) & (grid.parameters[:, 0] < 4500))
    spectra = np.array(grid.spectra, dtype=float)
    spectra[rows, 1000:1006] = 2.5 * np.quantile(spectra[rows, 900:1100], 0.95, axis=1)[:, None]
    report = diagnose_grid(grid.parameters, spectra)
    np.testing.assert_array_equal(report.excluded, rows)
    assert {one.kind for one in report.findings} == {"bad_pixels"}


@pytest.mark.shared_data
def test_native_spectra_of_phoenix(shared_data):
    with np.load(shared_data / "phoenix_T10000_native.npz") as hot:
        assert diagnose_grid([[1e4]], hot["flux"][None], wavelength=hot["wavelength"]).good.all()
    with np.load(shared_data / "phoenix_T4100_g2.5_native.npz") as cool:
        report = diagnose_grid([[4100.0]], cool["flux"][None], wavelength=cool["wavelength"])
        # Cores of strong lines were cut off at zero.
        assert report.rows("truncated") == [0]
        assert len(report.findings) == 1
