"""Spectra to lines and back: VoigtCloner, and what PaperCloner does as it does."""

import joblib
import numpy as np
import pytest
from astropy import units
from detected import detected_cloner
from three_lines import TRUE, WAVELENGTH, make_spectra, rms

from skphx import VoigtCloner
from skphx._input_spectra import LazySpectra
from skphx.lines import LineTable


def grown(max_iter=100, wavelength=WAVELENGTH, **settings):
    """One list of lines for all spectra."""
    return VoigtCloner(wavelength, max_iter=max_iter, **settings)


def detected(max_iter=100, wavelength=WAVELENGTH, **settings):
    """Lines of each spectrum by itself."""
    return detected_cloner(wavelength, n_epochs=max_iter, **settings)


@pytest.fixture(scope="module", params=[grown, detected], ids=lambda make: make.__name__)
def make_cloner(request):
    return request.param


@pytest.fixture(scope="module")
def cloner(make_cloner):
    return make_cloner(target_rms=None).fit(make_spectra())


def test_true_lines_are_recovered(cloner):
    strengths = np.array([0.5, 1.0, 1.5])
    lines = cloner.transform(make_spectra(strengths)).reshape(3, cloner.n_lines_, 4)
    assert cloner.n_lines_ == 3
    np.testing.assert_allclose(cloner.line_centers_, TRUE[:, 0], atol=0.02)
    np.testing.assert_allclose(lines[..., 0], np.tile(TRUE[:, 0], (3, 1)), atol=2e-3)
    np.testing.assert_allclose(np.exp(lines[..., 1]), strengths[:, None] * TRUE[:, 1], rtol=0.06)
    np.testing.assert_allclose(np.exp(lines[..., 2]), np.tile(TRUE[:, 2], (3, 1)), rtol=0.1)


def test_inverse_transform_renders_the_flux(cloner):
    spectra = make_spectra((0.7, 1.2))
    clones = cloner.inverse_transform(cloner.transform(spectra))
    assert clones.shape == spectra.shape
    assert rms(clones, spectra).max() < 1e-3


@pytest.mark.parametrize("profile", ["pseudo-voigt", "voigt", "blase"])
def test_profiles_fit_their_own_spectra(profile):
    spectra = make_spectra((0.5, 1.0), profile=profile)
    cloner = VoigtCloner(WAVELENGTH, target_rms=None, max_iter=30, profile=profile)
    clones = cloner.inverse_transform(cloner.fit_transform(spectra))
    assert rms(clones, spectra).max() < 1e-3


def test_settings_of_rendering_matter():
    spectra = make_spectra((1.0,))
    cloner = VoigtCloner(WAVELENGTH, target_rms=None).fit(spectra)
    lines = cloner.transform(spectra)
    flux = cloner.inverse_transform(lines)
    cloner.set_params(profile="blase")
    assert abs(cloner.inverse_transform(lines) - flux).max() > 1e-3


def test_refinement_reaches_its_target(make_cloner):
    # Lines that are no Voigt profiles: a saturated box and a ramp.
    spectra = make_spectra((1.0, 1.3))
    spectra *= 1.0 - 0.3 * ((WAVELENGTH > 5003.2) & (WAVELENGTH < 5003.6))
    plain = make_cloner(30, target_rms=None).fit(spectra)
    refined = make_cloner(30, target_rms=0.004).fit(spectra)
    assert refined.n_lines_ > plain.n_lines_
    error = rms(refined.inverse_transform(refined.transform(spectra)), spectra)
    assert error.max() < 0.005
    assert (
        error.max() < 0.5 * rms(plain.inverse_transform(plain.transform(spectra)), spectra).max()
    )


def test_max_lines_limits_the_clone_of_a_spectrum():
    # A box is no Voigt profile: lines are added to it without end.
    spectra = make_spectra((1.0,)) * (1 - 0.3 * ((WAVELENGTH > 5003.2) & (WAVELENGTH < 5003.6)))
    settings = {"target_rms": 1e-6, "max_iter": 5}
    assert VoigtCloner(WAVELENGTH, **settings).fit(spectra).n_lines_ > 6
    assert VoigtCloner(WAVELENGTH, max_lines=6, **settings).fit(spectra).n_lines_ == 6


def test_fit_transform_is_fit_then_transform(make_cloner):
    spectra = make_spectra()
    together = make_cloner().fit_transform(spectra)
    apart = make_cloner().fit(spectra).transform(spectra)
    np.testing.assert_allclose(together, apart, rtol=1e-10)


def test_rows_are_cloned_independently_and_in_any_order(cloner):
    spectra = make_spectra((0.6, 0.9, 1.4))
    lines = cloner.transform(spectra)
    np.testing.assert_allclose(cloner.transform(spectra[[2, 0]]), lines[[2, 0]], rtol=1e-10)


def test_line_table_and_columns_hold_the_same_lines(cloner):
    spectra = make_spectra()
    table = cloner.line_table(spectra)
    assert isinstance(table, LineTable)
    assert table.n_spectra == 3
    np.testing.assert_array_equal(
        table.to_dense(cloner.n_lines_).reshape(3, -1), cloner.transform(spectra)
    )


def test_feature_names_tell_line_wavelength_and_quantity(cloner):
    names = cloner.get_feature_names_out()
    assert len(names) == 4 * cloner.n_lines_ == len(set(names))
    for number in range(cloner.n_lines_):
        own = names[4 * number : 4 * number + 4]
        assert [name.split("_", 2)[2] for name in own] == [
            "center",
            "log_area",
            "log_sigma",
            "log_gamma",
        ]
        for name in own:
            line, wavelength, _ = name.split("_", 2)
            assert line == f"line{number}"
            assert float(wavelength) == pytest.approx(cloner.line_centers_[number], abs=6e-4)


def test_pandas_output(make_cloner):
    spectra = make_spectra()
    cloner = make_cloner().set_output(transform="pandas")
    frame = cloner.fit_transform(spectra)
    assert list(frame.columns) == list(cloner.get_feature_names_out())
    plain = make_cloner().fit_transform(spectra)
    np.testing.assert_array_equal(frame.to_numpy(), plain)
    # The frame goes back as it came.
    flux = cloner.inverse_transform(frame)
    assert rms(flux, spectra).max() < 2e-3


def test_wavelength_in_any_unit_or_as_a_range(make_cloner):
    spectra = make_spectra((1.0,))
    expected = make_cloner().fit_transform(spectra)
    for wavelength in (WAVELENGTH / 10 * units.nm, (5000.0, 5010.0)):
        lines = make_cloner(wavelength=wavelength).fit_transform(spectra)
        np.testing.assert_allclose(lines, expected, rtol=1e-6)


def test_shifted_spectrum_has_shifted_lines():
    at_rest = VoigtCloner(WAVELENGTH, target_rms=None).fit_transform(make_spectra((1.0,)))
    moved = VoigtCloner(WAVELENGTH, target_rms=None).fit_transform(make_spectra((1.0,), shift=0.1))
    change = (moved - at_rest).reshape(3, 4)
    np.testing.assert_allclose(change[:, 0], 0.1, atol=2e-3)
    np.testing.assert_allclose(change[:, 1], 0.0, atol=0.03)


# The paper's cloner warns that it detects none.
@pytest.mark.filterwarnings("ignore:no line was detected:UserWarning")
def test_spectra_without_lines_are_flat(make_cloner):
    flat = np.ones((2, len(WAVELENGTH)))
    cloner = make_cloner()
    lines = cloner.fit_transform(flat)
    assert lines.shape == (2, 0)
    assert cloner.n_lines_ == 0
    assert len(cloner.get_feature_names_out()) == 0
    np.testing.assert_array_equal(cloner.inverse_transform(lines), flat)
    np.testing.assert_array_equal(cloner.transform(flat), lines)


def test_clones_do_not_depend_on_n_jobs(make_cloner):
    spectra = make_spectra()
    with joblib.parallel_config(backend="threading"):
        lines = make_cloner(10, n_jobs=2).fit_transform(spectra)
    np.testing.assert_allclose(lines, make_cloner(10).fit_transform(spectra), rtol=1e-12)


def test_memory_spares_known_clones(make_cloner, tmp_path, no_fits):
    spectra = make_spectra()
    lines = make_cloner(10, memory=str(tmp_path)).fit_transform(spectra)
    no_fits()
    again = make_cloner(10, memory=str(tmp_path)).fit_transform(spectra)
    np.testing.assert_array_equal(again, lines)
    other = make_cloner(11, memory=str(tmp_path))
    with pytest.raises(AssertionError, match="lines were fitted"):
        other.fit(spectra)


def test_progress_bar_only_where_asked(capsys, make_cloner):
    spectra = make_spectra()
    make_cloner(2, target_rms=None).fit_transform(spectra)
    assert capsys.readouterr().err == ""
    make_cloner(2, target_rms=None, verbose=1).fit_transform(spectra)
    assert "fitting lines" in capsys.readouterr().err


class RowsOnDemand:
    """Spectra in a file: single precision, given out row by row and never all at once."""

    def __init__(self, spectra):
        self._spectra = spectra.astype(np.float32)
        self.shape, self.dtype = self._spectra.shape, self._spectra.dtype

    def __getitem__(self, key):
        assert key == slice(None, 1) or isinstance(key, int | np.integer)
        return self._spectra[key]

    def __array__(self, *args, **kwargs):
        raise AssertionError("all spectra were read at once")


def in_a_file(spectra, kind, folder):
    if kind == "object":
        return RowsOnDemand(spectra)
    np.save(folder / "grid.npy", spectra.astype(kind))
    return np.load(folder / "grid.npy", mmap_mode="r")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float32", "float64", "object"])
def test_spectra_in_a_file_are_read_row_by_row(make_cloner, kind, tmp_path):
    spectra = make_spectra()
    if kind != "float64":
        spectra = spectra.astype(np.float32).astype(np.float64)
    lazy = in_a_file(spectra, kind, tmp_path)
    cloner = make_cloner(10, archive=tmp_path / "lines")
    lines = cloner.fit_transform(lazy)
    expected = make_cloner(10).fit_transform(spectra)
    np.testing.assert_array_equal(lines, expected)
    # Nothing is fitted again: lazy or not, the archive knows the spectra.
    seconds = cloner.fit_seconds_
    again = cloner.fit_transform(spectra)
    np.testing.assert_array_equal(cloner.fit_seconds_, seconds)
    np.testing.assert_array_equal(again, lines)
    np.testing.assert_array_equal(cloner.transform(lazy), lines)


def test_spectra_in_a_file_go_to_several_workers(tmp_path):
    spectra = make_spectra()
    lazy = in_a_file(spectra, "float64", tmp_path)
    settings = {"max_iter": 5, "target_rms": None}
    with joblib.parallel_config(backend="threading"):
        lines = VoigtCloner(WAVELENGTH, n_jobs=2, **settings).fit_transform(lazy)
    np.testing.assert_array_equal(
        lines, VoigtCloner(WAVELENGTH, **settings).fit_transform(spectra)
    )


def test_growing_and_fitting_hold_no_copy_of_the_grid(tmp_path):
    import tracemalloc

    wavelength = np.linspace(5000.0, 5010.0, 10_000)
    spectra = np.tile(1 - 0.4 * np.exp(-0.5 * ((wavelength - 5004) / 0.05) ** 2), (60, 1))
    lazy = in_a_file(spectra, "float32", tmp_path)
    cloner = VoigtCloner(wavelength, max_iter=0, target_rms=None, n_seeds=1).fit(lazy)
    lines = np.tile(cloner.seed_lines_, (60, 1, 1))
    tracemalloc.start()
    try:
        cloner.fit(lazy)
        rows = LazySpectra(lazy)
        passes = cloner._passes(rows)
        cloner._fit_each(rows, passes)
        passes.measure_each(lines)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < spectra.nbytes / 2


def test_spectra_in_a_file_are_checked_like_others(tmp_path):
    spectra = make_spectra()
    spectra[1, 7] = np.nan
    cloner = VoigtCloner(WAVELENGTH, max_iter=1)
    with pytest.raises(ValueError, match=r"X contains NaN.* spectrum 1 .* pixel 7"):
        cloner.fit(in_a_file(spectra, "float32", tmp_path))
    with pytest.raises(ValueError, match="wavelength has 501 elements"):
        cloner.fit(RowsOnDemand(make_spectra()[:, 1:]))
    cloner.fit(RowsOnDemand(make_spectra()))
    with pytest.raises(ValueError, match="X has 500 features"):
        cloner.transform(RowsOnDemand(make_spectra()[:, 1:]))
    with pytest.raises(ValueError, match="0 sample"):
        cloner.fit(RowsOnDemand(make_spectra()[:0]))


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (3e14, r"spectrum 1 has a median of 3e\+14 .* divide it by its continuum"),
        (1e-9, r"spectrum 1 has a median of .* maximum of 1e-09; divide it by its continuum"),
    ],
)
def test_flux_with_a_unit_is_refused(scale, message):
    spectra = make_spectra((1.0, 1.0))
    spectra[1] *= scale
    with pytest.raises(ValueError, match=message):
        VoigtCloner(WAVELENGTH).fit(spectra)


def test_emission_is_left_to_the_residual(make_cloner):
    quiet = make_spectra((1.0, 1.2))
    emission = 2.5 * np.exp(-0.5 * ((WAVELENGTH - 5003.6) / 0.1) ** 2)
    cloner = make_cloner().fit(quiet + emission)
    lines = cloner.transform(quiet + emission)
    clones = cloner.inverse_transform(lines)
    assert clones.max() <= 1.0
    # The absorption is cloned as if there were no emission, and no line hides beneath it.
    assert rms(clones, quiet).max() < 0.003
    assert cloner.n_lines_ == make_cloner().fit(quiet).n_lines_
    assert abs(cloner.line_centers_ - 5003.6).min() > 0.5


def test_inverse_transform_refuses_other_columns(cloner):
    with pytest.raises(
        ValueError, match=r"X must have 12 columns, four for each of the 3 .* got 8"
    ):
        cloner.inverse_transform(np.zeros((1, 8)))
