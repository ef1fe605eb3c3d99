"""LineCalibrator and CalibratedEmulator as estimators: files, clones, tables, errors."""

import json
import pickle
from dataclasses import replace

import joblib
import numpy as np
import pandas as pd
import pytest
from calibration_stars import (
    PARAMETERS,
    PIXELS,
    emulator_of,
    make_line_grid,
    observe,
    transmission,
)
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression

from skphx import (
    FluxEmulator,
    LineManifoldRegressor,
    StellarParameterEstimator,
    VoigtCloner,
    load_model,
    make_stellar_estimator,
    save_model,
)
from skphx.calibration import CalibratedEmulator, LineCalibrator
from skphx.inference import LineMask, ObservationModel
from skphx.species import LineList

MODEL = ObservationModel(medium="air", continuum_degree=1)
N_STARS = 3
TRUTH = PARAMETERS[:N_STARS]


@pytest.fixture(scope="module")
def line_grid():
    return make_line_grid()


@pytest.fixture(scope="module")
def emulator(line_grid):
    return emulator_of(line_grid)


@pytest.fixture(scope="module")
def stars(emulator):
    return observe(emulator, TRUTH, 0.3)


def calibrator_of(emulator, **settings):
    return LineCalibrator(emulator, observation_model=MODEL, **settings)


@pytest.fixture(scope="module")
def calibrator(emulator, stars):
    return calibrator_of(emulator).fit(stars, TRUTH)


@pytest.fixture
def calibrated(calibrator):
    return calibrator.emulator_


def test_emulator_is_not_changed(emulator, calibrator, calibrated):
    assert calibrator.emulator is emulator
    assert calibrated.emulator_ is emulator
    expected = emulator._sum_of_lines(TRUTH)
    assert_array_equal(emulator.predict(TRUTH), expected)
    assert np.abs(calibrated.predict(TRUTH) - expected).max() > 0.05


def test_settings_are_those_of_the_emulator(emulator, calibrated):
    for name in ("medium", "parameter_names", "extrapolate", "interpolation"):
        assert getattr(calibrated, name) == getattr(emulator, name), name
    assert calibrated.grid_ is emulator.grid_
    assert calibrated.n_features_in_ == 3
    with pytest.raises(ValueError, match="outside"):
        calibrated.predict([[8000.0, 4.5, 0.0]])


@pytest.mark.parametrize("n_new", [None, 150])
def test_selected_emulator_is_the_same_there(calibrated, n_new):
    if n_new is None:
        inside = (calibrated.wavelength_ >= 8510.0) & (calibrated.wavelength_ <= 8520.0)
        cut = calibrated.select(wavelength=(8510.0, 8520.0))
        assert_array_equal(cut.wavelength_, calibrated.wavelength_[inside])
        assert_allclose(cut.predict(TRUTH), calibrated.predict(TRUTH)[:, inside], atol=5e-4)
        assert_allclose(
            cut.jacobian(TRUTH) * [100.0, 0.1, 0.1],
            calibrated.jacobian(TRUTH)[:, inside] * [100.0, 0.1, 0.1],
            atol=5e-4,
        )
    else:
        wavelength = np.linspace(8509.0, 8521.0, n_new)
        cut = calibrated.select(wavelength=wavelength)
        expected = [
            np.interp(wavelength, calibrated.wavelength_, one) for one in calibrated.predict(TRUTH)
        ]
        assert_allclose(cut.predict(TRUTH), expected, atol=0.02)
    assert len(cut.corrections_) < len(calibrated.corrections_)
    assert cut.model_error_ is calibrated.model_error_
    again = cut.select(wavelength=(8512.0, 8516.0))
    assert again.predict(TRUTH).shape == (N_STARS, len(again.wavelength_))
    for part in cut.model_error_.error_spectra(cut, TRUTH[0]):
        assert part.shape[1] == len(cut.wavelength_)


def test_score_and_normalize(calibrated, emulator):
    spectra = calibrated.predict(PARAMETERS)
    assert calibrated.score(PARAMETERS, spectra) == pytest.approx(1.0)
    assert emulator.score(PARAMETERS, spectra) < 0.999
    assert_array_equal(calibrated.normalize(spectra, PARAMETERS), spectra)


def test_emulator_in_files(calibrated, tmp_path):
    expected = calibrated.predict(TRUTH)
    path = save_model(tmp_path / "corrected.skops", calibrated)
    loaded = load_model(path)
    joblib.dump(calibrated, tmp_path / "corrected.joblib")
    for other in (
        loaded,
        joblib.load(tmp_path / "corrected.joblib"),
        pickle.loads(pickle.dumps(calibrated)),
    ):
        assert_allclose(other.predict(TRUTH), expected, rtol=1e-12)
        assert other.provenance == calibrated.provenance
        table = other.corrections_.to_pandas()
        pd.testing.assert_frame_equal(table, calibrated.corrections_.to_pandas())
        for first, second in zip(
            other.model_error_.error_spectra(other, TRUTH[0]),
            calibrated.model_error_.error_spectra(calibrated, TRUTH[0]),
            strict=True,
        ):
            assert_allclose(first, second, rtol=1e-9, atol=1e-12)
    assert json.loads(json.dumps(loaded.provenance))["parameters"] == TRUTH.tolist()


def test_calibrator_and_estimator_in_files(calibrator, stars, tmp_path):
    loaded = load_model(save_model(tmp_path / "calibrator.skops", calibrator))
    assert_array_equal(loaded.left_out_shift_, calibrator.left_out_shift_)
    estimator = StellarParameterEstimator.from_emulator(
        calibrator.emulator_, observation_model=MODEL, n_initial_points=20, random_state=0
    )
    loaded = load_model(save_model(tmp_path / "estimator.skops", estimator))
    assert_allclose(
        loaded.infer(stars[0]).parameters, estimator.infer(stars[0]).parameters, rtol=1e-6
    )


def test_provenance_names_the_stars(calibrated):
    assert calibrated.provenance["stars"] == ["0", "1", "2"]
    assert calibrated.provenance["parameter_names"] == ["teff", "logg", "feh"]
    assert calibrated.provenance["parameter_errors"] == np.zeros((3, 3)).tolist()


def test_clone_of_the_calibrator(calibrator, emulator, stars):
    """As everywhere in scikit-learn, an emulator is cloned without its fit unless frozen."""
    with pytest.raises(NotFittedError):
        clone(calibrator).fit(stars, TRUTH)
    frozen = clone(calibrator_of(FrozenEstimator(emulator), slopes=False)).fit(stars, TRUTH)
    assert_allclose(frozen.corrections_.strength, calibrator.corrections_.strength)
    assert not isinstance(frozen.emulator_.emulator, FrozenEstimator)


def test_clone_of_the_emulator_fits_other_nodes(fitted_emulator, grid):
    """The corrections stay, and the lines are fitted to the new nodes."""
    stars = [
        {"wavelength": grid.wavelength, "flux": flux**1.2, "sigma": 0.004}
        for flux in grid.normalised[[0, 5, 11]]
    ]
    calibrator = LineCalibrator(fitted_emulator).fit(stars, grid.parameters[[0, 5, 11]])
    emulator = calibrator.emulator_
    kept = grid.parameters[:, 0] > 5200.0
    other = clone(emulator)
    with pytest.raises(NotFittedError):
        other.predict(grid.parameters)
    other.fit(grid.parameters[kept], grid.normalised[kept])
    assert len(other.grid_.nodes) == kept.sum()
    point = [[5700.0, 4.2, -0.2]]
    assert_allclose(other.predict(point), emulator.predict(point), atol=0.03)
    unnamed = clone(emulator)
    unnamed.emulator.set_params(parameter_names=None)
    with pytest.raises(ValueError, match="3 parameters or more"):
        unnamed.fit(grid.parameters[::4, :1], grid.normalised[::4])


def test_compiled_estimator(calibrated):
    estimator = StellarParameterEstimator.from_emulator(calibrated, observation_model=MODEL)
    compiled = estimator.compile(resolution=20_000.0, n_between=1, n_tests=4)
    stars = observe(emulator=calibrated.emulator_, parameters=PARAMETERS[3:4], strength=0.3)
    found = compiled.infer(stars)
    assert_allclose(found[0].parameters[0], PARAMETERS[3, 0], atol=150.0)


def test_tables_of_parameters(emulator, stars, calibrator):
    names = ["teff", "logg", "feh"]
    table = pd.DataFrame(TRUTH, columns=names)[["feh", "teff", "logg"]]
    found = calibrator_of(emulator).fit(stars, table)
    assert_allclose(found.corrections_.strength, calibrator.corrections_.strength)
    assert_array_equal(found.emulator_.predict(table), calibrator.emulator_.predict(TRUTH))
    with pytest.raises(ValueError, match="feh"):
        calibrator_of(emulator).fit(stars, table[["teff", "logg"]])


def test_emulator_fitted_on_a_table(line_grid, stars):
    names = ["teff", "logg", "feh"]
    line_grid = type(line_grid)(**line_grid)
    line_grid.parameters = pd.DataFrame(line_grid.parameters, columns=names)
    line_grid.parameter_names = names
    fitted = emulator_of(line_grid)
    assert list(fitted.feature_names_in_) == names
    found = calibrator_of(fitted).fit(stars, pd.DataFrame(TRUTH, columns=names))
    assert list(found.emulator_.feature_names_in_) == names
    spectra = found.emulator_.predict(pd.DataFrame(TRUTH, columns=names))
    assert np.isfinite(spectra).all()


def test_lines_of_one_emulator_correct_the_flux_of_another(line_grid, emulator, stars):
    spectra = line_grid.spectra / line_grid.continuum
    flux = FluxEmulator(
        line_grid.wavelength, parameter_names=line_grid.parameter_names, medium="air"
    ).fit(line_grid.parameters, spectra)
    with pytest.raises(TypeError, match="no lines to correct: FluxEmulator"):
        calibrator_of(flux).fit(stars, TRUTH)
    found = calibrator_of(FrozenEstimator(flux), lines=FrozenEstimator(emulator))
    found.fit(stars, TRUTH)
    table = found.corrections_.to_pandas()
    seen = (table["strength_error"] < 0.1).to_numpy()
    assert seen.sum() > 4
    # The lines of `emulator` are not quite as deep as those of `flux`.
    before, truth = flux.predict(TRUTH), transmission(emulator, TRUTH, 0.3)
    deep = -np.log(before) > 0.1
    wanted = np.median(np.log(np.log(truth[deep]) / np.log(before[deep])))
    assert wanted < 0.27
    off = (table["strength"] - wanted).abs()[seen]
    assert (off < 2.0 * table["strength_error"][seen] + 0.05).all()
    left, at_first = found.emulator_.predict(TRUTH) - truth, before - truth
    assert np.sqrt((left**2).mean()) < 0.3 * np.sqrt((at_first**2).mean())
    assert found.emulator_.select(wavelength=(8510.0, 8520.0)).error_ is not None


def test_widths_are_corrected_where_the_stars_show_them(calibrator):
    table = calibrator.corrections_.to_pandas()
    own = table["own_strength"].notna()
    widths = own & (table["width_error"] < 0.1)
    assert 0 < widths.sum() < own.sum()
    assert table["depth"][widths].median() > table["depth"][own & ~widths].median()


def test_emulator_with_a_normaliser(grid):
    """The continuum of raw spectra is divided out as before calibration."""
    estimator = make_stellar_estimator(grid, random_state=0)
    estimator.fit(grid.spectra, grid.parameters)
    raw = estimator.emulator_
    stars = [
        {"wavelength": grid.wavelength, "flux": flux, "sigma": 0.004, "medium": grid.medium}
        for flux in grid.normalised[[0, 5, 11]] ** 1.2
    ]
    found = LineCalibrator(raw).fit(stars, grid.parameters[[0, 5, 11]])
    emulator = found.emulator_
    assert_allclose(
        emulator.normalize(grid.spectra, grid.parameters),
        raw.normalize(grid.spectra, grid.parameters),
    )
    flux, absolute = (emulator.predict(grid.parameters, absolute=one) for one in (False, True))
    plain = raw.predict(grid.parameters, absolute=True) / raw.predict(grid.parameters)
    assert_allclose(absolute / flux, plain, rtol=1e-6)
    assert np.isfinite(emulator.jacobian(grid.parameters[:2], absolute=True)).all()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"emulator": LinearRegression()}, TypeError, "emulator must be a fitted FluxEmulator"),
        ({"lines": LinearRegression()}, TypeError, "no lines to correct: LinearRegression"),
        ({"line_list": "vald.txt"}, TypeError, "line_list must be a LineList"),
        ({"slopes": "always"}, ValueError, "slopes must be True, False or 'auto'"),
        ({"max_lines": 0}, ValueError, "max_lines"),
        ({"n_iterations": 0}, ValueError, "n_iterations"),
        ({"continuum_degree": -1}, ValueError, "continuum_degree"),
        ({"continuum_degree": 1.5}, TypeError, "continuum_degree"),
        ({"observation_model": {"velocity": 0.0}}, TypeError, "must be an ObservationModel"),
    ],
)
def test_settings_are_checked(emulator, stars, settings, error, message):
    given = {"emulator": emulator, "observation_model": MODEL} | settings
    with pytest.raises(error, match=message):
        LineCalibrator(**given).fit(stars, TRUTH)


def test_emulators_are_checked(line_grid, emulator, stars):
    unfitted = LineManifoldRegressor(VoigtCloner(wavelength=line_grid.wavelength))
    for settings in ({"emulator": unfitted}, {"emulator": emulator, "lines": unfitted}):
        with pytest.raises(NotFittedError):
            LineCalibrator(**settings).fit(stars, TRUTH)
    renamed = emulator_of(line_grid, parameter_names=("teff", "logg", "alpha"))
    with pytest.raises(ValueError, match="lines must depend on parameters of the emulator"):
        calibrator_of(emulator, lines=renamed).fit(stars, TRUTH)
    vacuum = emulator_of(line_grid).set_params(medium="vacuum")
    with pytest.raises(ValueError, match="emulator and lines must be in one medium"):
        calibrator_of(emulator, lines=vacuum).fit(stars, TRUTH)
    unknown = emulator_of(line_grid).set_params(medium=None)
    zeros = np.zeros(1)
    lines = LineList(np.array([8510.0]), np.array(["Fe I"]), zeros, zeros, zeros + 0.5, "air")
    with pytest.raises(ValueError, match="medium"):
        LineCalibrator(unknown, lines).fit(stars, TRUTH)


OUTSIDE = TRUTH + [[0.0, 0.0, 0.0], [5000.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parameters": TRUTH[:2]}, r"one row for each star, shape \(3, 3\)"),
        ({"parameters": OUTSIDE}, "parameters of star 1 must be finite and inside the grid"),
        ({"parameters": np.where(OUTSIDE > 9000, np.nan, TRUTH)}, "parameters of star 1 must be"),
        ({"parameter_errors": [1.0, 2.0]}, "parameter_errors must have shape"),
        ({"parameter_errors": [-1.0, 0.0, 0.0]}, "parameter_errors must be finite and 0 or more"),
        ({"parameter_errors": np.inf * np.ones(3)}, "parameter_errors must be finite"),
        ({"groups": ["a", "b"]}, r"groups must have shape \(3,\)"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "infer_left_out"])
def test_what_is_given_is_checked(emulator, stars, method, settings, message):
    given = {"parameters": TRUTH} | settings
    with pytest.raises(ValueError, match=message):
        getattr(calibrator_of(emulator), method)(stars, **given)


def test_stars_are_checked_as_infer_checks_them(emulator, stars):
    def refused(star, message):
        with pytest.raises(ValueError, match=message) as caught:
            calibrator_of(emulator).fit([stars[0], star], TRUTH[:2])
        assert "star 1" in str(caught.value) + "".join(caught.value.__notes__)

    few = {name: value[:5] if np.ndim(value) else value for name, value in stars[1].items()}
    refused([few], "good pixels within the model's wavelengths")
    half = {name: value for name, value in stars[1].items() if name != "sigma"}
    refused([stars[1], half], "segment 1 has no sigma")
    far = stars[1] | {"wavelength": stars[1]["wavelength"] + 500.0}
    with pytest.raises(ValueError, match="wavelengths"):
        calibrator_of(emulator).fit([[far]], TRUTH[:1])
    with pytest.raises(ValueError, match="one star or more"):
        calibrator_of(emulator).fit([], np.zeros((0, 3)))


def without_resolution(star):
    return {name: value for name, value in star.items() if name != "resolution"}


def in_two_segments(star, **changes):
    """The star, and a second segment of which no pixel can be used."""
    return [star, star | changes]


@pytest.mark.parametrize(
    ("change", "model"),
    [
        (without_resolution, {"resolution": (8_000.0, 40_000.0)}),
        (lambda star: star | {"flux": 1e-17 * star["flux"], "sigma": 1e-17 * 0.004}, {}),
        (lambda star: star | {"flux": star["flux"] / 1.0}, {"vsini": (0.0, 50.0)}),
        (lambda star: in_two_segments(star, wavelength=star["wavelength"] + 100.0), {}),
        (lambda star: in_two_segments(star, mask=np.ones(len(star["flux"]), dtype=bool)), {}),
        (
            lambda star: in_two_segments(
                star, wavelength=star["wavelength"][:1], flux=star["flux"][:1]
            ),
            {},
        ),
    ],
    ids=["free resolution", "in SI", "rotation", "far segment", "masked segment", "one pixel"],
)
def test_stars_of_other_kinds(emulator, stars, calibrator, change, model):
    found = LineCalibrator(emulator, observation_model=replace(MODEL, **model))
    found.fit([change(stars[0]), *map(change, stars[1:])], TRUTH)
    table = calibrator.corrections_.to_pandas()
    seen = (table["strength_error"] < 0.05).to_numpy()
    assert seen.sum() > 3
    off = found.corrections_.strength - calibrator.corrections_.strength
    assert np.abs(off[seen]).max() < 0.1


def test_velocities_at_their_limit_are_named(emulator, stars):
    fast = stars[1] | {"wavelength": stars[1]["wavelength"] * (1.0 + 50.0 / 299792.458)}
    model = replace(MODEL, velocity=(-40.0, 40.0))
    calibrator = LineCalibrator(emulator, observation_model=model, slopes=False)
    with pytest.warns(UserWarning, match="velocity is at the limit of its range.* stars 1:"):
        calibrator.fit([stars[0], fast], TRUTH[:2])


def test_slopes_of_numpy(emulator, stars):
    assert calibrator_of(emulator, slopes=np.True_).fit(stars, TRUTH).uses_slopes_


def test_failed_fit_leaves_the_calibrator_as_it_was(emulator, stars):
    calibrator = calibrator_of(emulator, slopes=False).fit(stars, TRUTH)
    before = calibrator.emulator_
    with pytest.raises(ValueError, match="groups"):
        calibrator.fit(stars, TRUTH, groups=[0])
    assert calibrator.emulator_ is before


def test_fewer_lines_have_corrections_of_their_own(emulator, stars):
    calibrator = calibrator_of(emulator, max_lines=4, slopes=False).fit(stars, TRUTH)
    table = calibrator.corrections_.to_pandas()
    assert (table["n_stars"] > 0).sum() <= 4
    assert len(table) == emulator.manifold_.n_lines
    assert isinstance(calibrator.emulator_, CalibratedEmulator)


def test_a_line_mask_leaves_pixels_out(emulator, stars, line_grid):
    center = float(np.median(line_grid.lines["center"]))
    spoilt = []
    for star in stars:
        near = np.abs(star["wavelength"] - center) < 0.8
        spoilt.append({**star, "flux": np.where(near, 0.5 * star["flux"], star["flux"])})
    one = np.array([center])
    line_list = LineList(one, np.array(["Xx I"]), one * 0, one * 0, one * 0 + 0.9, "air")
    mask = LineMask(line_list, ("Xx I",), width=1.0)
    masked = LineCalibrator(emulator, observation_model=replace(MODEL, line_mask=mask))
    kept = masked.fit(spoilt, TRUTH).corrections_
    spoiling = calibrator_of(emulator).fit(spoilt, TRUTH).corrections_
    table = kept.to_pandas()
    far = (np.abs(table["center"] - center) > 3.0) & (table["n_stars"] == N_STARS)
    assert far.sum() > 3
    assert_allclose(table["strength"][far], 0.3, atol=0.12)
    near = np.argmin(np.abs(table["center"] - center))
    assert abs(spoiling.strength[near] - kept.strength[near]) > 0.2


def test_lines_that_the_models_lack_are_added(emulator, line_grid):
    centers = np.sort(np.ravel(line_grid.lines["center"]))
    inside = centers[(centers > 8506.0) & (centers < 8534.0)]
    gap = int(np.argmax(np.diff(inside)))
    new = 0.5 * (inside[gap] + inside[gap + 1])
    width, area = 0.18, 0.02
    depth = area * np.exp(-0.5 * ((PIXELS - new) / width) ** 2) / (width * np.sqrt(2 * np.pi))
    added = [{**one, "flux": one["flux"] * np.exp(-depth)} for one in observe(emulator, TRUTH)]
    found = calibrator_of(emulator, add_lines=3).fit(added, TRUTH)
    assert len(found.corrections_.added) >= 1
    nearest = found.corrections_.added[np.argmin(np.abs(found.corrections_.added[:, 0] - new))]
    assert abs(nearest[0] - new) < 0.1
    assert 0.5 * area < nearest[2] < 1.5 * area
    without = calibrator_of(emulator).fit(added, TRUTH)
    pixel = np.argmin(np.abs(emulator.wavelength_ - new))
    flux = {
        key: one.emulator_.predict(TRUTH)[:, pixel]
        for key, one in {"with": found, "without": without}.items()
    }
    assert (flux["with"] < flux["without"] - 0.01).all()
    none = calibrator_of(emulator, add_lines=3).fit(observe(emulator, TRUTH), TRUTH)
    assert len(none.corrections_.added) == 0
