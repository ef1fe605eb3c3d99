"""Leaving nodes out: what is chosen, and how large errors are."""

from itertools import product

import numpy as np
import pytest
from conftest import make_small_grid

from skphx.flux import _error as error
from skphx.flux._choice import SATURATIONS, SMOOTH_KINDS, choose_interpolation, kinds_to_try
from skphx.flux._error import InterpolationError
from skphx.flux._scale import from_growth, to_growth
from skphx.interpolation import make_grid
from skphx.interpolation._hold_out import plane_splits

TEFF = np.linspace(0.0, 1.0, 7)


def choose(parameters, spectra, kinds=SMOOTH_KINDS):
    return choose_interpolation(parameters, spectra, interpolations=kinds, saturations=SATURATIONS)


def error_between(parameters, spectra, *, interpolation, saturation):
    """Root mean square error half-way between nodes."""
    grid = make_grid(parameters, interpolation=interpolation, holes="interpolate")
    found = InterpolationError.estimate(grid, spectra, saturation=saturation)
    return None if found is None else found.rms


def wavy(parameters, frequency=3.0, n_pixels=40):
    """Flux that bends along the first parameter; each pixel with a phase of its own."""
    phase = np.linspace(0.0, 3.0, n_pixels)
    return 0.7 + 0.2 * np.sin(
        frequency * parameters[:, :1] + parameters[:, 1:].sum(1)[:, None] + phase
    )


def test_every_inner_plane_is_left_out():
    nodes = np.array(list(product(range(4), range(3), range(2))), dtype=float)
    splits = plane_splits(nodes)
    assert [(split.axis, split.gap) for split in splits] == [(0, 2), (0, 2), (1, 2)]
    for split in splits:
        together = np.concatenate([split.train, split.test])
        np.testing.assert_array_equal(np.sort(together), np.arange(24))
        left_out = np.unique(nodes[split.test, split.axis])
        assert len(left_out) == 1
        assert nodes[:, split.axis].min() < left_out[0] < nodes[:, split.axis].max()


def test_long_axes_have_a_wider_gap_too():
    splits = plane_splits(np.arange(9.0)[:, None])
    (wide,) = (split for split in splits if split.gap == 4)
    np.testing.assert_array_equal(wide.train, [0, 4, 8])
    np.testing.assert_array_equal(wide.test, [2, 6])


def test_very_long_axes_are_left_out_in_part_and_evenly():
    """The paper's grid has 73 temperatures."""
    splits = [split for split in plane_splits(np.arange(73.0)[:, None]) if split.gap == 2]
    left_out = np.concatenate([split.test for split in splits])
    assert len(left_out) == 40
    assert left_out[0] == 1
    assert left_out[-1] == 71
    assert np.diff(left_out).max() == 2


def test_clouds_are_left_out_one_by_one():
    nodes = np.random.default_rng(0).random((30, 3))
    splits = plane_splits(nodes)
    assert {(split.axis, split.gap, len(split.test)) for split in splits} == {(0, 2, 1)}
    rms = error_between(nodes, wavy(nodes, 1.0), interpolation="radial", saturation=np.inf)
    assert (rms > 0).all()


def test_grids_too_small_to_leave_anything_out():
    nodes = np.array(list(product((0.0, 1.0), (0.0, 1.0))))
    assert plane_splits(nodes) == []
    choice = choose(nodes, wavy(nodes))
    assert (choice.interpolation, choice.saturation) == (SMOOTH_KINDS[-1], SATURATIONS[0])
    assert choice.errors.shape == (len(SMOOTH_KINDS), len(SATURATIONS))
    assert np.isnan(choice.errors).all()
    settings = {"interpolation": "linear", "saturation": np.inf}
    assert error_between(nodes, wavy(nodes), **settings) is None


def test_lines_on_the_root_of_the_curve_of_growth_want_a_small_saturation():
    slope = np.linspace(0.3, 0.9, 20)
    choice = choose(TEFF[:, None], 1.0 - (0.1 + TEFF[:, None] * slope) ** 2, kinds=("linear",))
    assert choice.saturation == SATURATIONS[0]
    assert (np.diff(choice.errors[0]) > 0).all()


def test_depths_that_grow_evenly_want_plain_flux():
    slope = np.linspace(0.3, 0.9, 20)
    choice = choose(TEFF[:, None], 1.0 - 0.05 - TEFF[:, None] * slope, kinds=("linear",))
    assert np.isinf(choice.saturation)
    assert choice.errors[0, -1] < 1e-12


def test_irregular_grids_want_the_local_kind_and_smooth_ones_a_global_one():
    nodes = np.linspace(0.0, 2.0, 11)[:, None]
    noise = np.random.default_rng(1).normal(0.0, 0.02, (11, 400))
    assert choose(nodes, 0.8 + 0.02 * nodes + noise).interpolation == "hermite"
    assert choose(nodes, wavy(nodes)).interpolation != "hermite"


def test_errors_tell_what_leaving_a_plane_out_gives():
    nodes = TEFF[:5, None]
    flux = wavy(nodes)
    choice = choose_interpolation(nodes, flux, interpolations=("linear",), saturations=(np.inf,))
    expected = []
    for row in (1, 2, 3):
        predicted = 0.5 * (flux[row - 1] + flux[row + 1])
        expected.append(np.sqrt(np.mean((predicted - flux[row]) ** 2)))
    assert choice.errors[0, 0] == pytest.approx(np.mean(expected), rel=1e-9)


@pytest.mark.parametrize("kind", ["linear", "cubic", "radial"])
def test_error_between_nodes_is_about_the_true_one(kind):
    coarse = make_small_grid(
        teff=(4500, 4750, 5000, 5250, 5500, 5750, 6000),
        logg=(3.0, 3.5, 4.0, 4.5, 5.0),
        feh=(-0.5, -0.25, 0.0, 0.25),
    )
    between = make_small_grid(teff=(4625, 5375, 5875), logg=(3.25, 4.25), feh=(-0.37, -0.12))
    stated = error_between(
        coarse.parameters, coarse.normalised, interpolation=kind, saturation=0.1
    )
    weights = make_grid(coarse.parameters, interpolation=kind).weights(between.parameters)
    predicted = from_growth(weights @ to_growth(coarse.normalised, 0.1), 0.1)
    true = np.sqrt(np.mean((predicted - between.normalised) ** 2))
    assert 1 / 3 < np.sqrt(np.mean(stated**2)) / true < 3


def test_error_of_many_pixels_is_that_of_each(monkeypatch):
    flux = wavy(TEFF[:, None])
    settings = {"interpolation": "cubic", "saturation": 0.1}
    whole = error_between(TEFF[:, None], flux, **settings)
    monkeypatch.setattr(error, "_BLOCK", 7)
    np.testing.assert_allclose(error_between(TEFF[:, None], flux, **settings), whole, rtol=1e-12)


def test_kinds_are_those_asked_for_or_all_that_are_quick():
    assert kinds_to_try("linear", 5) == ("linear",)
    assert kinds_to_try("auto", 2000) == ("hermite", "cubic", "radial")
    assert kinds_to_try("auto", 2001) == ("hermite", "cubic")


def test_weights_of_a_split_are_those_of_a_grid_without_its_nodes():
    nodes = np.array(list(product((0.0, 1.0, 3.0, 4.0), (0.0, 1.0, 2.0))))
    values = wavy(nodes)
    for split in plane_splits(nodes):
        left_out = split.predict(nodes, "linear")
        alone = make_grid(nodes[split.train])
        np.testing.assert_array_equal(left_out.test, split.test)
        np.testing.assert_allclose(
            left_out.weights @ values[left_out.train],
            alone.weights(nodes[split.test]) @ values[split.train],
            rtol=1e-12,
        )
