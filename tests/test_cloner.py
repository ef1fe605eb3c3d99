"""VoigtCloner: spectra to lines and back."""

import joblib
import numpy as np
import pytest
from astropy import units

from skphx import VoigtCloner
from skphx.lines import LineTable, clone_spectrum, render_flux

WAVELENGTH = np.linspace(5000.0, 5010.0, 501)
LISTS = ["grown", "detected"]
# Centre, area, sigma, gamma (Å) of three lines that stand clear of each other.
TRUE = np.array(
    [[5002.013, 0.05, 0.06, 0.02], [5005.008, 0.15, 0.08, 0.05], [5007.991, 0.03, 0.05, 0.03]]
)


def make_spectra(strengths=(0.5, 1.0, 1.5), shift=0.0, **options):
    """The same lines, weaker and stronger."""
    return np.array(
        [
            render_flux(
                WAVELENGTH,
                TRUE[:, 0] + shift,
                np.log(TRUE[:, 1] * strength),
                *np.log(TRUE[:, 2:]).T,
                **options,
            )
            for strength in strengths
        ]
    )


def rms(a, b):
    return np.sqrt(np.mean((a - b) ** 2, axis=1))


@pytest.fixture(scope="module", params=LISTS)
def line_list(request):
    return request.param


@pytest.fixture(scope="module")
def cloner(line_list):
    return VoigtCloner(WAVELENGTH, line_list=line_list, target_rms=None).fit(make_spectra())


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


@pytest.mark.parametrize("transmission", ["exponential", "product"])
@pytest.mark.parametrize("profile", ["pseudo-voigt", "voigt", "blase"])
def test_profiles_and_transmissions_clone_their_own_spectra(profile, transmission):
    options = {"profile": profile, "transmission": transmission}
    spectra = make_spectra((0.5, 1.0), **options)
    cloner = VoigtCloner(WAVELENGTH, target_rms=None, n_epochs=30, **options)
    clones = cloner.inverse_transform(cloner.fit_transform(spectra))
    assert rms(clones, spectra).max() < 1e-3


def test_settings_of_rendering_matter():
    spectra = make_spectra((1.0,))
    cloner = VoigtCloner(WAVELENGTH, target_rms=None).fit(spectra)
    lines = cloner.transform(spectra)
    flux = cloner.inverse_transform(lines)
    for change in ({"transmission": "product"}, {"profile": "blase"}, {"wing_cut": 20}):
        other = VoigtCloner(WAVELENGTH, target_rms=None).fit(spectra).set_params(**change)
        assert abs(other.inverse_transform(lines) - flux).max() > 1e-3


@pytest.mark.parametrize("line_list", LISTS)
def test_refinement_reaches_its_target(line_list):
    # Lines that are no Voigt profiles: a saturated box and a ramp.
    spectra = make_spectra((1.0, 1.3))
    spectra *= 1.0 - 0.3 * ((WAVELENGTH > 5003.2) & (WAVELENGTH < 5003.6))
    settings = {"line_list": line_list, "n_epochs": 30}
    plain = VoigtCloner(WAVELENGTH, target_rms=None, **settings).fit(spectra)
    grown = VoigtCloner(WAVELENGTH, target_rms=0.004, **settings).fit(spectra)
    assert grown.n_lines_ > plain.n_lines_
    error = rms(grown.inverse_transform(grown.transform(spectra)), spectra)
    assert error.max() < 0.005
    assert (
        error.max() < 0.5 * rms(plain.inverse_transform(plain.transform(spectra)), spectra).max()
    )


def test_max_lines_limits_the_clone_of_a_spectrum():
    # A box is no Voigt profile: lines are added to it without end.
    spectra = make_spectra((1.0,)) * (1 - 0.3 * ((WAVELENGTH > 5003.2) & (WAVELENGTH < 5003.6)))
    settings = {"target_rms": 1e-6, "n_epochs": 5}
    assert VoigtCloner(WAVELENGTH, **settings).fit(spectra).n_lines_ > 6
    assert VoigtCloner(WAVELENGTH, max_lines=6, **settings).fit(spectra).n_lines_ == 6


def test_adam_lowers_the_error_step_by_step():
    spectra = make_spectra((1.0,))
    errors = []
    for n_epochs in (0, 15, 60):
        cloner = VoigtCloner(
            WAVELENGTH,
            optimizer="adam",
            line_list="detected",
            target_rms=None,
            n_epochs=n_epochs,
            learning_rate=0.02,
        )
        errors.append(rms(cloner.inverse_transform(cloner.fit_transform(spectra)), spectra)[0])
    assert errors[2] < errors[1] < errors[0]


def test_fit_transform_is_fit_then_transform(line_list):
    spectra = make_spectra()
    cloner = VoigtCloner(WAVELENGTH, line_list=line_list)
    together = cloner.fit_transform(spectra)
    apart = VoigtCloner(WAVELENGTH, line_list=line_list).fit(spectra).transform(spectra)
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


def test_detected_lines_carry_identities_and_absence():
    spectra = make_spectra()
    spectra[0] = 1.0
    # The second spectrum alone has a further line.
    spectra[1] *= 1.0 - 0.2 * np.exp(-0.5 * ((WAVELENGTH - 5009.0) / 0.06) ** 2)
    cloner = VoigtCloner(WAVELENGTH, line_list="detected", target_rms=None)
    lines = cloner.fit_transform(spectra).reshape(3, -1, 4)
    present = np.isfinite(lines).all(axis=2)
    np.testing.assert_array_equal(present, [[0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 0]])
    assert np.isnan(lines[~present]).all()
    table = cloner.line_table(spectra)
    np.testing.assert_array_equal(table.offsets, [0, 0, 4, 7])
    np.testing.assert_array_equal(table.identity, [0, 1, 2, 3, 0, 1, 2])
    np.testing.assert_array_equal(
        cloner.line_pixels_, np.searchsorted(WAVELENGTH, cloner.line_centers_)
    )
    # A line that fit did not see has no column, but is in the table.
    new = make_spectra((1.0,)) * (1 - 0.3 * np.exp(-0.5 * ((WAVELENGTH - 5003.5) / 0.06) ** 2))
    assert (cloner.line_table(new).identity == -1).sum() == 1
    assert cloner.transform(new).shape == (1, 16)


def test_tolerance_decides_which_detections_are_one_line():
    pixel = WAVELENGTH[1] - WAVELENGTH[0]
    spectra = np.vstack([make_spectra((1.0,)), make_spectra((1.0,), shift=pixel)])
    settings = {"line_list": "detected", "target_rms": None}
    merged = VoigtCloner(WAVELENGTH, tolerance=2, **settings)
    assert np.isfinite(merged.fit_transform(spectra)).all()
    assert merged.n_lines_ == 3
    # The paper's identity: the same pixel, or another line.
    exact = VoigtCloner(WAVELENGTH, tolerance=0, **settings)
    lines = exact.fit_transform(spectra).reshape(2, -1, 4)
    assert exact.n_lines_ == 6
    np.testing.assert_array_equal(np.isfinite(lines).all(axis=2).sum(axis=0), np.ones(6))


def test_edge_and_min_distance_thin_out_the_detections():
    spectra = make_spectra((1.0,))
    settings = {"line_list": "detected", "target_rms": None}
    inner = VoigtCloner(WAVELENGTH, edge=2.5, **settings).fit(spectra)
    np.testing.assert_allclose(inner.line_centers_, [5005.0], atol=0.02)
    sparse = VoigtCloner(WAVELENGTH, min_distance=200, **settings).fit(spectra)
    np.testing.assert_allclose(sparse.line_centers_, [5005.0], atol=0.02)
    deep = VoigtCloner(WAVELENGTH, prominence=0.25, **settings).fit(spectra)
    assert deep.n_lines_ < 3


def test_feature_names_tell_line_wavelength_and_quantity(cloner):
    names = cloner.get_feature_names_out()
    assert len(names) == 4 * cloner.n_lines_ == len(set(names))
    for number in range(cloner.n_lines_):
        own = names[4 * number : 4 * number + 4]
        assert [name.split("_", 2)[2] for name in own] == [
            "center",
            "log_amplitude",
            "log_sigma",
            "log_gamma",
        ]
        for name in own:
            line, wavelength, _ = name.split("_", 2)
            assert line == f"line{number}"
            assert float(wavelength) == pytest.approx(cloner.line_centers_[number], abs=6e-4)


def test_pandas_output(line_list):
    spectra = make_spectra()
    cloner = VoigtCloner(WAVELENGTH, line_list=line_list).set_output(transform="pandas")
    frame = cloner.fit_transform(spectra)
    assert list(frame.columns) == list(cloner.get_feature_names_out())
    plain = VoigtCloner(WAVELENGTH, line_list=line_list).fit_transform(spectra)
    np.testing.assert_array_equal(frame.to_numpy(), plain)
    # The frame goes back as it came.
    flux = cloner.inverse_transform(frame)
    assert rms(flux, spectra).max() < 2e-3


def test_wavelength_in_any_unit_or_as_a_range():
    spectra = make_spectra((1.0,))
    expected = VoigtCloner(WAVELENGTH).fit_transform(spectra)
    for wavelength in (WAVELENGTH / 10 * units.nm, (5000.0, 5010.0)):
        lines = VoigtCloner(wavelength).fit_transform(spectra)
        np.testing.assert_allclose(lines, expected, rtol=1e-6)


def test_shifted_spectrum_has_shifted_lines():
    at_rest = VoigtCloner(WAVELENGTH, target_rms=None).fit_transform(make_spectra((1.0,)))
    moved = VoigtCloner(WAVELENGTH, target_rms=None).fit_transform(make_spectra((1.0,), shift=0.1))
    change = (moved - at_rest).reshape(3, 4)
    np.testing.assert_allclose(change[:, 0], 0.1, atol=2e-3)
    np.testing.assert_allclose(change[:, 1], 0.0, atol=0.03)


def test_spectra_without_lines_are_flat_clones(line_list):
    flat = np.ones((2, len(WAVELENGTH)))
    cloner = VoigtCloner(WAVELENGTH, line_list=line_list)
    lines = cloner.fit_transform(flat)
    assert lines.shape == (2, 0)
    assert cloner.n_lines_ == 0
    assert len(cloner.get_feature_names_out()) == 0
    np.testing.assert_array_equal(cloner.inverse_transform(lines), flat)
    np.testing.assert_array_equal(cloner.transform(flat), lines)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_clones_do_not_depend_on_n_jobs(line_list, n_jobs):
    spectra = make_spectra()
    settings = {"line_list": line_list, "n_epochs": 10}
    with joblib.parallel_config(backend="threading"):
        lines = VoigtCloner(WAVELENGTH, n_jobs=n_jobs, **settings).fit_transform(spectra)
    np.testing.assert_allclose(
        lines, VoigtCloner(WAVELENGTH, **settings).fit_transform(spectra), rtol=1e-12
    )


def test_memory_spares_known_clones(line_list, tmp_path, monkeypatch):
    spectra = make_spectra()
    settings = {"line_list": line_list, "n_epochs": 10, "memory": str(tmp_path)}
    lines = VoigtCloner(WAVELENGTH, **settings).fit_transform(spectra)
    monkeypatch.setattr("skphx.lines.fitting.FITTERS", {})  # every new fit would fail
    again = VoigtCloner(WAVELENGTH, **settings).fit_transform(spectra)
    np.testing.assert_array_equal(again, lines)
    with pytest.raises(ValueError, match="optimizer must be one of"):
        VoigtCloner(WAVELENGTH, **{**settings, "n_epochs": 11}).fit(spectra)


def test_progress_bar_only_where_asked(capsys, line_list):
    spectra = make_spectra()
    settings = {"line_list": line_list, "n_epochs": 2, "target_rms": None}
    VoigtCloner(WAVELENGTH, **settings).fit_transform(spectra)
    assert capsys.readouterr().err == ""
    VoigtCloner(WAVELENGTH, verbose=1, **settings).fit_transform(spectra)
    assert "cloning" in capsys.readouterr().err


class RowsOnDemand:
    """Spectra in a file: single precision, given out row by row and never all at once."""

    def __init__(self, spectra):
        self._spectra = spectra.astype(np.float32)
        self.shape, self.dtype = self._spectra.shape, self._spectra.dtype

    def __getitem__(self, key):
        assert key == slice(None, 1) or np.ndim(key) == 0
        return self._spectra[key]

    def __array__(self, *args, **kwargs):
        raise AssertionError("all spectra were read at once")


def in_a_file(spectra, kind, folder):
    if kind == "object":
        return RowsOnDemand(spectra)
    np.save(folder / "grid.npy", spectra.astype(kind))
    return np.load(folder / "grid.npy", mmap_mode="r")


@pytest.mark.parametrize("kind", ["float32", "float64", "object"])
def test_spectra_in_a_file_are_read_row_by_row(line_list, kind, tmp_path):
    spectra = make_spectra()
    if kind != "float64":
        spectra = spectra.astype(np.float32).astype(np.float64)
    lazy = in_a_file(spectra, kind, tmp_path)
    settings = {"line_list": line_list, "n_epochs": 10}
    cloner = VoigtCloner(WAVELENGTH, archive=tmp_path / "lines", **settings)
    lines = cloner.fit_transform(lazy)
    expected = VoigtCloner(WAVELENGTH, **settings).fit_transform(spectra)
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
    settings = {"n_epochs": 5, "target_rms": None}
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
    cloner = VoigtCloner(wavelength, n_epochs=0, target_rms=None, n_seeds=1).fit(lazy)
    lines = np.tile(cloner.seed_lines_, (60, 1, 1))
    tracemalloc.start()
    try:
        cloner.fit(lazy).refit(lazy, lines, lines, pull=0.1, n_epochs=0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < spectra.nbytes / 2


def test_spectra_in_a_file_are_checked_like_others(tmp_path):
    spectra = make_spectra()
    spectra[1, 7] = np.nan
    cloner = VoigtCloner(WAVELENGTH, n_epochs=1)
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


def test_emission_is_left_to_the_residual(line_list):
    quiet = make_spectra((1.0, 1.2))
    emission = 2.5 * np.exp(-0.5 * ((WAVELENGTH - 5003.6) / 0.1) ** 2)
    settings = {"line_list": line_list}
    cloner = VoigtCloner(WAVELENGTH, **settings).fit(quiet + emission)
    lines = cloner.transform(quiet + emission)
    clones = cloner.inverse_transform(lines)
    assert clones.max() <= 1.0
    # The absorption is cloned as if there were no emission, and no line hides beneath it.
    assert rms(clones, quiet).max() < 0.003
    assert cloner.n_lines_ == VoigtCloner(WAVELENGTH, **settings).fit(quiet).n_lines_
    assert abs(cloner.line_centers_ - 5003.6).min() > 0.5


def test_refit_needs_the_lines_of_every_spectrum(cloner):
    spectra = make_spectra()
    lines = cloner.transform(spectra).reshape(3, 3, 4)
    with pytest.raises(ValueError, match=r"prior must hold .* shape \(3, 3, 4\), got \(2, 3, 4\)"):
        cloner.refit(spectra, lines, lines[:2], pull=0.1)


def test_inverse_transform_refuses_other_columns(cloner):
    with pytest.raises(
        ValueError, match=r"X must have 12 columns, four for each of the 3 .* got 8"
    ):
        cloner.inverse_transform(np.zeros((1, 8)))


def test_one_spectrum_is_the_clone_of_clone_spectrum():
    spectra = make_spectra((1.0,))
    cloner = VoigtCloner(WAVELENGTH, line_list="detected", target_rms=None)
    lines = cloner.fit_transform(spectra).reshape(-1, 4)
    expected, _, _ = clone_spectrum(WAVELENGTH, spectra[0])
    np.testing.assert_allclose(lines, expected, rtol=1e-12)
