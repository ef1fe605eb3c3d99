"""Parts of calibration against finite differences and dense linear algebra."""

from dataclasses import replace

import numpy as np
import pytest
from calibration_stars import PARAMETERS, RESOLUTION, emulator_of, make_line_grid
from numpy.testing import assert_allclose, assert_array_equal

from skphx import FluxEmulator
from skphx.calibration import CalibratedEmulator
from skphx.calibration._corrections import Coordinates, LineCorrections
from skphx.calibration._features import group_lines
from skphx.calibration._operator import line_columns, observing_operator
from skphx.lines._dense import render_dense
from skphx.observing import ForwardModel, ObservedSpectrum
from skphx.species._line_names import strongest_lines

NAMES = ("teff", "logg", "feh")
STEPS = np.array([0.5, 1e-3, 1e-3])


@pytest.fixture(scope="module")
def emulator():
    return emulator_of(make_line_grid())


@pytest.fixture(scope="module")
def corrections(emulator):
    """Corrections of every kind, of lines in three groups and with strong lines."""
    return make_corrections(emulator, emulator, (0, 1, 2))


def make_groups(lines):
    strongest = strongest_lines(lines.manifold_.at(lines.grid_.nodes))
    return group_lines(strongest, None, "air")


def make_corrections(emulator, lines, columns):
    random = np.random.default_rng(0)
    coordinates = Coordinates.of_stars(PARAMETERS, emulator.grid_.parameter_names)
    groups = make_groups(lines)
    none = LineCorrections.none(lines, columns, coordinates, groups)
    assert len(none.feature_center) > 1
    return replace(
        none,
        strength=random.normal(scale=0.3, size=len(none)),
        width=random.normal(scale=0.2, size=len(none)),
        slope=random.normal(scale=0.2, size=len(none)),
        wings=random.normal(scale=0.1, size=none.wings.shape),
        added=np.array([[8510.0, 0.1, 0.02], [8518.0, 0.15, -0.01]]),
    )


def central(function, points, steps=STEPS):
    """Central differences, (n_parameters, n_points, ...)."""
    found = []
    for column, step in enumerate(steps):
        move = np.zeros(points.shape[1])
        move[column] = step
        found.append((function(points + move) - function(points - move)) / (2 * step))
    return np.array(found)


INSIDE = np.array([[5333.0, 4.37, -0.21], [5710.0, 4.61, -0.33]])
BEYOND = np.array([[5050.0, 4.37, -0.21], [5930.0, 4.95, -0.33], [5710.0, 4.05, -0.1]])


def test_coordinates_are_relative_to_the_median_star():
    coordinates = Coordinates.of_stars(PARAMETERS, NAMES)
    values, _ = coordinates.at(PARAMETERS)
    theta = 5040.0 / PARAMETERS[:, 0]
    assert_allclose(values[:, 0], (theta - np.median(theta)) / 0.1)
    assert_allclose(values[:, 1], (PARAMETERS[:, 1] - np.median(PARAMETERS[:, 1])) / 0.5)
    beyond, slopes = coordinates.at(BEYOND)
    assert_allclose(beyond[0, 0], values[:, 0].max())
    assert_allclose(beyond[1], [values[:, 0].min(), values[:, 1].max()])
    assert_array_equal(slopes[:, 1], 0.0)


@pytest.mark.parametrize("points", [INSIDE, BEYOND], ids=["inside", "beyond"])
def test_slopes_of_coordinates(points):
    coordinates = Coordinates.of_stars(PARAMETERS, NAMES)
    expected = central(lambda x: coordinates.at(x)[0], points)
    assert_allclose(coordinates.at(points)[1], expected, atol=1e-8)


@pytest.mark.parametrize("names", [("feh", "logg"), ("feh", "teff"), ("feh", "alpha")])
def test_coordinates_without_teff_or_logg(names):
    points = np.column_stack([[0.1, 0.2, -0.3], [4.0, 4.5, 5.0]])
    if "teff" in names:
        points[:, 1] *= 1000.0
    coordinates = Coordinates.of_stars(points, names)
    values, slopes = coordinates.at(points)
    known = np.array(["teff" in names, "logg" in names])
    assert_array_equal((values != 0).any(axis=0), known)
    assert_array_equal((slopes != 0).any(axis=(0, 1)), known)


def test_one_star_has_no_coordinates():
    values, slopes = Coordinates.of_stars(PARAMETERS[:1], NAMES).at(PARAMETERS)
    assert_array_equal(values, 0.0)
    assert_array_equal(slopes, 0.0)


def test_no_corrections_change_nothing(emulator, corrections):
    zero = np.zeros(len(corrections))
    none = replace(
        corrections,
        strength=zero,
        width=zero,
        slope=zero,
        wings=0.0 * corrections.wings,
        added=0.0 * corrections.added + [8510.0, 0.1, 0.0],
    )
    ratio = none.ratio(emulator.wavelength_, INSIDE)
    assert_allclose(ratio, 1.0, rtol=0, atol=1e-12)
    again, slopes = none.ratio_with_slopes(emulator.wavelength_, INSIDE)
    assert_allclose(again, 1.0, rtol=0, atol=1e-12)
    assert_allclose(slopes, 0.0, atol=1e-12)


def test_ratio_is_that_of_changed_lines_and_wings(emulator, corrections):
    """Summed here line by line, with the wings as Lorentzians."""
    point = INSIDE[0]
    t, g = corrections.coordinates.at(point[None])[0][0]
    before = emulator.manifold_.at(point[None])[0]
    after = before.copy()
    after[:, 1] += corrections.strength + corrections.slope * t
    after[:, 2:] += corrections.width[:, None]
    expected = np.divide(
        *render_dense(emulator.wavelength_, np.stack([after, before]), **corrections.rendering)
    )
    for feature, center in enumerate(corrections.feature_center):
        area = np.exp(before[corrections.feature == feature, 1]).sum()
        for place, half in enumerate((0.5, 2.0, 6.0)):
            factor = corrections.wings[feature, place] @ [1.0, t, g]
            x = emulator.wavelength_ - center
            expected *= np.exp(-area * factor * half / np.pi / (x**2 + half**2))
    for center, sigma, area in corrections.added:
        x = (emulator.wavelength_ - center) / sigma
        expected *= np.exp(-area * np.exp(-0.5 * x**2) / (sigma * np.sqrt(2.0 * np.pi)))
    assert_allclose(corrections.ratio(emulator.wavelength_, point[None])[0], expected, rtol=1e-9)


@pytest.mark.parametrize("points", [INSIDE, BEYOND], ids=["inside", "beyond"])
def test_slopes_of_the_ratio(emulator, corrections, points):
    wavelength = emulator.wavelength_
    ratio, slopes = corrections.ratio_with_slopes(wavelength, points)
    assert_allclose(ratio, corrections.ratio(wavelength, points), rtol=1e-10)
    expected = central(lambda x: np.log(corrections.ratio(wavelength, x)), points)
    assert_allclose(slopes * STEPS[:, None, None], expected * STEPS[:, None, None], atol=2e-7)
    assert np.abs(expected[0]).max() > 1e-5


def test_slopes_of_the_ratio_where_strengths_reach_their_limit(emulator, corrections):
    largest = replace(corrections, strength=np.full(len(corrections), -2.99))
    expected = central(lambda x: np.log(largest.ratio(emulator.wavelength_, x)), INSIDE)
    _, slopes = largest.ratio_with_slopes(emulator.wavelength_, INSIDE)
    assert_allclose(slopes * STEPS[:, None, None], expected * STEPS[:, None, None], atol=2e-7)


def test_jacobian_of_the_calibrated_emulator(emulator, corrections):
    calibrated = CalibratedEmulator._of_fitted(emulator, corrections)
    found = np.moveaxis(calibrated.jacobian(INSIDE), 2, 0)
    expected = central(calibrated.predict, INSIDE)
    assert_allclose(found * STEPS[:, None, None], expected * STEPS[:, None, None], atol=2e-7)


@pytest.mark.parametrize("points", [INSIDE, BEYOND], ids=["within the lines", "beyond them"])
def test_jacobian_with_lines_of_fewer_parameters(points):
    """The lines have a smaller grid than the flux, and no [α/Fe]."""
    lines = emulator_of(make_line_grid(teff=(5200, 5900), logg=(4.1, 4.9)))
    grid = make_line_grid()
    spectra = grid.spectra / grid.continuum
    alpha = np.repeat([0.0, 0.4], len(spectra))
    flux = FluxEmulator(grid.wavelength, parameter_names=(*NAMES, "alpha")).fit(
        np.column_stack([np.tile(grid.parameters, (2, 1)), alpha]),
        np.concatenate([spectra, spectra**1.2]),
    )
    corrections = make_corrections(flux, lines, (0, 1, 2))
    calibrated = CalibratedEmulator._of_fitted(flux, corrections)
    points = np.column_stack([points, np.full(len(points), 0.17)])
    steps = np.array([*STEPS, 1e-3])
    found = np.moveaxis(calibrated.jacobian(points), 2, 0)
    expected = central(calibrated.predict, points, steps)
    assert_allclose(found * steps[:, None, None], expected * steps[:, None, None], atol=2e-6)


def test_selected_corrections_are_the_same_there(emulator, corrections):
    wavelength = emulator.wavelength_[300:340]
    cut = corrections.selected(wavelength)
    assert len(cut) < len(corrections)
    expected = corrections.ratio(wavelength, INSIDE)
    assert_allclose(cut.ratio(wavelength, INSIDE), expected, atol=2e-4)


@pytest.mark.parametrize("by_width", [False, True])
def test_columns_of_lines(emulator, by_width):
    lines = emulator.manifold_.at(INSIDE[:1])[0]
    profile = emulator._rendering()["profile"]
    columns = line_columns(emulator.wavelength_, lines, profile, by_width=by_width).toarray()
    step = 1e-4
    for line in range(len(lines)):
        moved = np.stack([lines, lines])
        where = slice(2, 4) if by_width else slice(1, 2)
        moved[:, line, where] += [[step], [-step]]
        depth = -np.log(render_dense(emulator.wavelength_, moved, **emulator._rendering()))
        assert_allclose(columns[line], (depth[0] - depth[1]) / (2 * step), atol=2e-5)


def spectrum(low, high, step=0.11, **settings):
    pixels = np.arange(low, high, step)
    return ObservedSpectrum(pixels, np.ones(len(pixels)), medium="air", **settings)


def gaussian_spread(n_pixels):
    distance = np.arange(n_pixels)[:, None] - np.arange(n_pixels)
    matrix = np.exp(-0.5 * (distance / 1.5) ** 2)
    return matrix / matrix.sum(axis=1, keepdims=True)


SEGMENTS = {
    "a number": [spectrum(8504.0, 8535.0, resolution=15_000.0)],
    "an array": [
        spectrum(
            8504.0,
            8535.0,
            resolution=np.linspace(9_000.0, 18_000.0, len(np.arange(8504.0, 8535.0, 0.11))),
        )
    ],
    "two segments": [
        spectrum(8503.0, 8522.0, resolution=15_000.0),
        spectrum(8519.0, 8536.0, 0.07, resolution=24_000.0, velocity=3.0),
    ],
    "free": [spectrum(8504.0, 8535.0)],
    "a matrix": [
        spectrum(8510.0, 8525.0, line_spread=gaussian_spread(len(np.arange(8510.0, 8525.0, 0.11))))
    ],
    "unknown": [spectrum(8504.0, 8535.0)],
}


@pytest.mark.parametrize("vsini", [0.0, 12.0])
@pytest.mark.parametrize("name", SEGMENTS)
def test_operator_is_the_forward_model(emulator, name, vsini):
    segments = SEGMENTS[name]
    free = (8_000.0, 30_000.0) if name == "free" else None
    forward = ForwardModel(
        emulator.wavelength_,
        segments,
        max_velocity=30.0,
        max_broadening=20.0,
        resolution_range=free,
    )
    kinematics = np.array([[-17.3, vsini, 2.0, 12_000.0 if free else np.nan]])
    flux = emulator.predict(INSIDE)
    expected = forward.observe_with_derivatives(flux, None, np.repeat(kinematics, 2, axis=0), ())[
        0
    ]
    operator = observing_operator(
        forward, segments, kinematics, flux.shape[1], emulator.wavelength_
    )
    found = (operator @ flux.T).T
    # Without a line-spread function, steps of the flux ring over many samples.
    atol = 1e-3 if name == "unknown" else 2e-4
    assert_allclose(found[:, forward.covered], expected[:, forward.covered], atol=atol)


def test_operator_over_a_gap_of_the_pixels(emulator):
    pixels = np.concatenate([np.arange(8504.0, 8512.0, 0.1), np.arange(8524.0, 8535.0, 0.1)])
    segments = [ObservedSpectrum(pixels, np.ones(len(pixels)), resolution=RESOLUTION)]
    forward = ForwardModel(emulator.wavelength_, segments, max_velocity=20.0)
    kinematics = np.array([[9.0, 0.0, 0.0, np.nan]])
    flux = emulator.predict(INSIDE[:1])
    expected = forward.observe_with_derivatives(flux, None, kinematics, ())[0]
    operator = observing_operator(
        forward, segments, kinematics, flux.shape[1], emulator.wavelength_
    )
    good = forward.covered
    assert_allclose((operator @ flux.T).T[:, good], expected[:, good], atol=2e-4)


def test_errors_of_cores_are_where_a_strong_line_is_deep(emulator, corrections):
    wavelength = emulator.wavelength_
    lines = corrections.lines_at(INSIDE[:1])[1][0]
    shapes = corrections.core_shapes(wavelength, lines).toarray()
    n_features = len(corrections.feature_center)
    shapes = shapes.reshape(n_features, -1, len(wavelength))
    assert (shapes >= 0).all()
    for feature, center in enumerate(corrections.feature_center):
        own = lines[corrections.feature == feature]
        depth = 1.0 - render_dense(wavelength, own[None], **corrections.rendering)[0]
        total = shapes[feature].sum(axis=0)
        assert (total <= 1.6 * depth**2 + 1e-12).all()
        core = np.argmax(depth)
        if abs(wavelength[core] - center) < 1.0:
            assert total[core] > 0.8 * depth[core] ** 2
        assert (total[np.abs(wavelength - center) > 6.0] == 0).all()
