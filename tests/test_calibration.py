"""LineCalibrator: planted corrections are found, and stars not used are better described."""

import numpy as np
import pytest
from calibration_stars import PARAMETERS, emulator_of, make_line_grid, observe
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils import Bunch

from skphx import StellarParameterEstimator
from skphx.calibration import LineCalibrator
from skphx.inference import ObservationModel
from skphx.species import LineList

MODEL = ObservationModel(velocity=(-40.0, 40.0), medium="air", continuum_degree=1)
N_USED = 6
USED, UNUSED = slice(N_USED), slice(N_USED, None)


def plant(n_lines, wrong=0.405):
    """Return changes of a third of the lines, stronger and weaker in turn."""
    planted = np.zeros(n_lines)
    planted[::3] = wrong * (-1.0) ** np.arange(len(planted[::3]))
    return planted


def calibrate(emulator, stars, parameters, *, slopes="auto", line_list=None, **settings):
    calibrator = LineCalibrator(emulator, line_list, observation_model=MODEL, slopes=slopes)
    return calibrator.fit(stars, parameters, **settings)


def infer(emulator, stars, **settings):
    estimator = StellarParameterEstimator.from_emulator(
        emulator, observation_model=MODEL, n_initial_points=30, n_starts=2, random_state=0
    )
    return estimator.infer(stars, **settings)


def parameters_of(results):
    return np.array([one.parameters[:3] for one in results])


def errors_of(results):
    return np.array([one.errors[:3] for one in results])


@pytest.fixture(scope="module")
def emulator():
    return emulator_of(make_line_grid())


@pytest.fixture(scope="module")
def strengths(emulator):
    """Six stars whose lines have other strengths, and two more that are not used."""
    planted = plant(emulator.manifold_.n_lines)
    stars = observe(emulator, PARAMETERS, planted, velocity=12.0)
    calibrator = calibrate(emulator, stars[USED], PARAMETERS[USED])
    return Bunch(planted=planted, stars=stars, calibrator=calibrator)


def table_of(calibrator):
    """Return the table, and which lines the stars see well."""
    table = calibrator.corrections_.to_pandas()
    return table, (table["strength_error"] < 0.1).to_numpy()


def test_planted_strengths_are_found(strengths):
    table, seen = table_of(strengths.calibrator)
    off = (table["strength"] - strengths.planted).abs()
    assert seen.sum() > 8
    assert (off[seen] < 3.0 * table["strength_error"][seen]).all()
    assert off[seen].max() < 0.06
    wrong = seen & (strengths.planted != 0)
    assert wrong.sum() > 4
    assert (np.sign(table["strength"]) == np.sign(strengths.planted))[wrong].all()
    assert table["width"][seen].abs().max() < 0.2
    assert np.abs(strengths.calibrator.corrections_.pulls).max() > 10.0
    assert_allclose(strengths.calibrator.kinematics_[:, 0], 12.0, atol=0.5)


def test_emulator_describes_stars_that_were_not_used(strengths, emulator):
    stars, truth = strengths.stars[UNUSED], PARAMETERS[UNUSED]
    before = infer(emulator, stars)
    after = infer(strengths.calibrator.emulator_, stars)
    old, new = (np.abs(parameters_of(one) - truth) for one in (before, after))
    assert (new.mean(axis=0) < 0.5 * old.mean(axis=0)).all()
    errors = errors_of(after)
    assert (new < 4.0 * errors).all()
    without = infer(strengths.calibrator.emulator_, stars, model_error=False)
    assert (errors_of(without) < errors).all()


def test_nothing_is_found_where_nothing_is_wrong(emulator):
    stars = observe(emulator, PARAMETERS, velocity=-7.0, seed=3)
    calibrator = calibrate(emulator, stars[USED], PARAMETERS[USED])
    table, seen = table_of(calibrator)
    pulls = (table["strength"] / table["strength_error"])[seen]
    assert np.sqrt((pulls**2).mean()) < 2.0
    assert pulls.abs().max() < 3.5
    assert 0.3 < np.sqrt((calibrator.corrections_.pulls**2).mean()) < 1.6
    assert not calibrator.uses_slopes_
    before, after = (
        parameters_of(infer(one, stars[UNUSED])) for one in (emulator, calibrator.emulator_)
    )
    assert (np.abs(after - before) < [60.0, 0.1, 0.05]).all()


def test_planted_widths_are_found(emulator):
    planted = plant(emulator.manifold_.n_lines, 0.3)
    stars = observe(emulator, PARAMETERS[USED], width=planted, seed=1)
    table = calibrate(emulator, stars, PARAMETERS[USED]).corrections_.to_pandas()
    seen = (table["width_error"] < 0.1).to_numpy()
    assert (seen & (planted != 0)).sum() > 2
    off = (table["width"] - planted).abs()[seen]
    assert (off < 3.0 * table["width_error"][seen] + 0.02).all()
    assert off.max() < 0.15


def test_slopes_are_found(emulator):
    """Strengths of two strong lines change with Teff."""
    theta = 5040.0 / PARAMETERS[:, 0]
    t = (theta - np.median(theta[USED])) / 0.1
    slope = np.zeros(emulator.manifold_.n_lines)
    slope[[7, 16]] = 0.4, -0.4
    stars = [
        observe(emulator, point, slope * one, seed=number)[0]
        for number, (point, one) in enumerate(zip(PARAMETERS[USED], t[USED], strict=True))
    ]
    with_slopes = calibrate(emulator, stars, PARAMETERS[USED], slopes=True)
    table = with_slopes.corrections_.to_pandas()
    assert_allclose(table["slope"][[7, 16]], [0.4, -0.4], atol=0.1)
    assert with_slopes.uses_slopes_
    without = calibrate(emulator, stars, PARAMETERS[USED], slopes=False)
    assert_array_equal(without.corrections_.slope, 0.0)
    assert calibrate(emulator, stars, PARAMETERS[USED]).uses_slopes_


def test_four_noisy_stars(emulator):
    planted = plant(emulator.manifold_.n_lines)
    stars = observe(emulator, PARAMETERS[:4], planted, noise=0.03, seed=4)
    calibrator = calibrate(emulator, stars, PARAMETERS[:4])
    table = calibrator.corrections_.to_pandas()
    off = (table["strength"] - planted).abs()
    assert (off < 4.0 * table["strength_error"]).all()
    # Where the stars show little, the prior holds the corrections.
    assert table["strength"].abs().max() < 1.0
    assert np.isfinite(calibrator.left_out_shift_).all()


def test_stars_with_uncertain_parameters(strengths, emulator):
    """Parameters that are wrong by their errors do little harm."""
    wrong = PARAMETERS[USED] + [[80.0], [-80.0], [80.0], [-80.0], [80.0], [-80.0]] * np.array(
        [1.0, 0.0, 0.0]
    )
    calibrator = calibrate(
        emulator, strengths.stars[USED], wrong, parameter_errors=[100.0, 0.0, 0.0]
    )
    table, seen = table_of(calibrator)
    off = (table["strength"] - strengths.planted)[seen].abs()
    assert seen.sum() > 4
    assert off.max() < 0.2


def test_left_out_stars(strengths, emulator):
    """Three spectra of two stars."""
    stars = [*strengths.stars[:2], observe(emulator, PARAMETERS[1], strengths.planted, seed=9)[0]]
    truth = PARAMETERS[[0, 1, 1]]
    calibrator = LineCalibrator(emulator, observation_model=MODEL)
    results = calibrator.infer_left_out(
        stars, truth, groups=["a", "b", "b"], n_initial_points=30, n_starts=2
    )
    assert not hasattr(calibrator, "emulator_")
    found = parameters_of(results)
    assert (np.abs(found - truth) < [250.0, 0.5, 0.2]).all()
    # The last one was learnt from the first star alone.
    alone = calibrate(emulator, stars[:1], truth[:1])
    expected = StellarParameterEstimator.from_emulator(
        alone.emulator_,
        observation_model=MODEL,
        n_initial_points=30,
        n_starts=2,
        random_state=0,
    ).infer([stars[2]])
    assert_allclose(found[2], parameters_of(expected)[0], rtol=1e-6)


def test_first_order_shifts_are_those_of_inference(strengths, emulator):
    calibrator = LineCalibrator(emulator, observation_model=MODEL, slopes=False)
    stars, truth = strengths.stars[:3], PARAMETERS[:3]
    calibrator.fit(stars, truth)
    results = calibrator.infer_left_out(stars, truth, n_initial_points=30, n_starts=2)
    exact = parameters_of(results) - truth
    assert calibrator.left_out_shift_.shape == exact.shape
    off = np.abs(calibrator.left_out_shift_ - exact) / calibrator.left_out_error_
    assert np.median(off) < 0.5


def test_one_star_alone(strengths, emulator):
    calibrator = calibrate(emulator, strengths.stars[:1], PARAMETERS[:1])
    assert np.isnan(calibrator.left_out_shift_).all()
    assert np.isnan(calibrator.left_out_error_).all()
    assert calibrator.scale_ == 1.0
    assert not calibrator.uses_slopes_
    table = calibrator.corrections_.to_pandas()
    seen = (table["strength_error"] < 0.1).to_numpy()
    assert seen.any()
    assert (table["strength"] - strengths.planted).abs()[seen].max() < 0.25
    with pytest.raises(ValueError, match="two or more stars"):
        calibrator.infer_left_out(strengths.stars[:1], PARAMETERS[:1])


def test_identical_spectra(strengths, emulator):
    calibrator = calibrate(emulator, strengths.stars[:1] * 3, PARAMETERS[[0, 0, 0]])
    assert np.isfinite(calibrator.corrections_.strength).all()
    assert np.isfinite(calibrator.left_out_shift_).all()


def test_star_without_errors_with_masks_and_segments(strengths, emulator):
    """None of it changes what is learnt by much."""
    first, second, third = (dict(star) for star in strengths.stars[:3])
    del first["sigma"]
    second["mask"] = np.arange(len(second["flux"])) % 10 == 3
    second["flux"] = np.where(second["mask"], 50.0, second["flux"])
    halves = [
        {name: value[part] if np.ndim(value) else value for name, value in third.items()}
        for part in (slice(None, 180), slice(170, None))
    ]
    halves[1]["flux"], halves[1]["sigma"] = 7.0 * halves[1]["flux"], 7.0 * halves[1]["sigma"]
    found = calibrate(emulator, [first, second, halves], PARAMETERS[:3])
    table, seen = table_of(found)
    plain, _ = table_of(calibrate(emulator, strengths.stars[:3], PARAMETERS[:3]))
    assert seen.sum() > 4
    assert (table["strength"] - plain["strength"])[seen].abs().max() < 0.1


def test_star_without_any_line_says_nothing(strengths, emulator):
    """A spectrum of the range from 8531 Å, where there are only wings, is harmless."""
    last = dict(strengths.stars[0])
    for name in ("wavelength", "flux"):
        last[name] = last[name][290:]
    with_it = calibrate(emulator, [*strengths.stars[1:4], [last]], PARAMETERS[[1, 2, 3, 0]])
    without = calibrate(emulator, strengths.stars[1:4], PARAMETERS[1:4], slopes=False)
    _, seen = table_of(without)
    off = with_it.corrections_.strength - without.corrections_.strength
    assert np.abs(off[seen]).max() < 0.1
    with pytest.raises(ValueError, match="show no line well enough"):
        calibrate(emulator, [last | {"sigma": 0.5}], PARAMETERS[:1])


def test_species_of_a_line_list(strengths, emulator):
    lines = strengths.calibrator.corrections_.to_pandas()
    center = lines["center"].to_numpy()
    species = np.where(np.arange(len(center)) % 2 == 0, "Fe I", "Ca II")
    zeros = np.zeros(len(center))
    known = LineList(center, species, zeros, zeros, np.full(len(center), 0.5), "air")
    calibrator = calibrate(
        emulator, strengths.stars[USED], PARAMETERS[USED], line_list=known, slopes=False
    )
    table, seen = table_of(calibrator)
    assert set(table["species"]) <= {"Fe I", "Ca II"}
    assert (table["strength"] - strengths.planted).abs()[seen].max() < 0.1
    assert calibrator.model_error_.groups.names == ["Ca II", "Fe I"]


def test_names_and_results_of_named_stars(strengths, emulator):
    named = {"one": strengths.stars[0], "two": strengths.stars[1]}
    calibrator = calibrate(emulator, named, PARAMETERS[:2])
    assert calibrator.star_names_ == ["one", "two"]
    results = calibrator.infer_left_out(
        named,
        PARAMETERS[:2],
        priors={"teff": (PARAMETERS[:2, 0], 5.0)},
        n_initial_points=30,
        n_starts=1,
    )
    assert_allclose(parameters_of(results)[:, 0], PARAMETERS[:2, 0], atol=15.0)
    assert [one.name for one in results] == ["one", "two"]


def test_errors_of_lines_are_as_large_as_their_scatter(emulator):
    """Lines that differ from star to star by 20 % leave a larger model error."""
    random = np.random.default_rng(0)
    n_lines = emulator.manifold_.n_lines
    parameters = PARAMETERS[:5]
    same = observe(emulator, parameters, seed=6)
    scattered = [
        observe(emulator, point, 0.2 * random.normal(size=n_lines), seed=number)[0]
        for number, point in enumerate(parameters)
    ]
    quiet, loud = (
        calibrate(emulator, stars, parameters, slopes=False) for stars in (same, scattered)
    )
    _, seen = table_of(quiet)
    strength = [one.model_error_.lines[0][seen] for one in (quiet, loud)]
    assert np.median(strength[1]) > 1.5 * np.median(strength[0])
    found = quiet.model_error_.error_spectra(quiet.emulator_, PARAMETERS[0])
    assert all(part.shape[1] == len(emulator.wavelength_) for part in found)
    assert np.isfinite(np.concatenate(found)).all()
