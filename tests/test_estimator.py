"""StellarParameterEstimator: from spectra to parameters."""

import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.metadata_routing import get_routing_for_object

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)
from skphx.inference import boxes_around, priors_around

NAN = np.nan
# Points between the nodes, one of them near a corner.
POINTS = np.array([[5230.0, 4.13, -0.34], [5790.0, 4.41, -0.08], [5010.0, 4.02, -0.49]])


@pytest.fixture(scope="module")
def fit(emulator, grid):
    """Estimators of the same frozen emulator."""

    def fit(**settings):
        settings = {"n_calls": 20, "n_initial_points": 20, "random_state": 0, **settings}
        return StellarParameterEstimator(emulator, **settings).fit(
            grid.normalised, grid.parameters
        )

    return fit


@pytest.fixture(scope="module")
def loss(fitted_emulator):
    """Root mean square of emulated minus observed flux."""

    def loss(spectra, parameters):
        return np.sqrt(np.mean((fitted_emulator.predict(parameters) - spectra) ** 2, axis=1))

    return loss


def test_spectra_of_the_emulator_give_their_parameters_back(fit, fitted_emulator):
    found = fit(n_starts=4).predict(fitted_emulator.predict(POINTS))
    np.testing.assert_allclose(found[:, 0], POINTS[:, 0], atol=2.0)
    np.testing.assert_allclose(found[:, 1:], POINTS[:, 1:], atol=0.01)


def test_nodes_give_their_parameters_back(fit, grid):
    found = fit().predict(grid.normalised[[4, 11]])
    np.testing.assert_allclose(found[:, 0], grid.parameters[[4, 11], 0], atol=5.0)
    np.testing.assert_allclose(found[:, 1:], grid.parameters[[4, 11], 1:], atol=0.02)


def test_held_out_spectra_are_inferred_better_than_by_their_nearest_node(fit, grid, held_out):
    found = fit().predict(held_out.spectra)
    assert found.shape == held_out.parameters.shape
    distance = np.mean((grid.normalised[:, None] - held_out.spectra) ** 2, axis=2)
    nearest = grid.parameters[distance.argmin(axis=0)]
    spacing = [500.0, 0.5, 0.5]

    def error(parameters):
        return np.sqrt(np.mean(((parameters - held_out.parameters) / spacing) ** 2))

    assert error(found) < 0.5 * error(nearest)
    np.testing.assert_allclose(found[:, 0], held_out.parameters[:, 0], atol=120.0)


def test_refinement_and_guided_evaluations_only_ever_help(fit, held_out, loss):
    random = fit(refine=False).predict(held_out.spectra)
    guided = fit(refine=False, n_calls=23).predict(held_out.spectra)
    refined = fit().predict(held_out.spectra)
    more_starts = fit(n_starts=4).predict(held_out.spectra)
    spectra = held_out.spectra
    assert (loss(spectra, guided) <= loss(spectra, random)).all()
    assert (loss(spectra, refined) < loss(spectra, random)).all()
    # Starts of one valley end at one bottom, up to rounding.
    assert (loss(spectra, more_starts) <= (1 + 1e-5) * loss(spectra, refined)).all()
    # Of random points the best one is taken, not any.
    points = fit(refine=False, n_calls=1, n_initial_points=1).predict(spectra)
    assert (loss(spectra, random) < loss(spectra, points)).any()


def test_the_search_alone_ends_on_an_evaluated_point(fit, held_out, emulator):
    # The shared random points of a fixed seed: each answer is one of them.
    found = fit(refine=False).predict(np.repeat(held_out.spectra, 2, axis=0))
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])


def test_answers_lie_in_the_grid(fit, grid):
    flat = np.ones((1, grid.normalised.shape[1]))
    deep = grid.normalised[:1] ** 3
    found = fit().predict(np.vstack([flat, deep]))
    assert (found >= grid.parameters.min(axis=0)).all()
    assert (found <= grid.parameters.max(axis=0)).all()


def test_answers_lie_in_their_boxes(fit, held_out):
    boxes = np.array([[[5100, 5150], [4.1, 4.3], [NAN, NAN]], [[NAN, NAN], [4.0, 4.1], [NAN, 0]]])
    found = fit().predict(held_out.spectra, bounds=boxes)
    assert 5100 <= found[0, 0] <= 5150
    assert 4.1 <= found[0, 1] <= 4.3
    assert 4.0 <= found[1, 1] <= 4.1
    # One box for all, from the constructor, and a box of the call before it.
    estimator = fit(bounds=[[5100, 5150], [NAN, NAN], [NAN, NAN]])
    assert (estimator.predict(held_out.spectra)[:, 0] <= 5150).all()
    assert estimator.predict(held_out.spectra, bounds=boxes)[0, 1] <= 4.3


def test_a_parameter_can_be_held(fit, fitted_emulator):
    held = [[NAN, NAN], [4.13, 4.13], [NAN, NAN]]
    found = fit().predict(fitted_emulator.predict(POINTS[:1]), bounds=held)
    np.testing.assert_allclose(found, POINTS[:1], rtol=1e-3)
    assert found[0, 1] == 4.13


def test_the_papers_box_around_a_prior(fit, held_out):
    boxes = boxes_around(held_out.parameters, {"teff": 150.0})
    found = fit().predict(held_out.spectra, bounds=boxes)
    assert (abs(found[:, 0] - held_out.parameters[:, 0]) <= 150.0 + 1e-9).all()


def test_spectra_do_not_depend_on_each_other(fit, held_out):
    estimator = fit(n_starts=1)
    together = estimator.predict(held_out.spectra)
    # Products of other sizes are rounded otherwise.
    np.testing.assert_allclose(
        estimator.predict(held_out.spectra[:1]), together[:1], rtol=1e-8, atol=1e-8
    )


def test_answers_are_repeatable_and_depend_on_the_seed(fit, held_out):
    estimator = fit(refine=False)
    found = estimator.predict(held_out.spectra)
    np.testing.assert_array_equal(estimator.predict(held_out.spectra), found)
    assert not np.array_equal(fit(refine=False, random_state=1).predict(held_out.spectra), found)


def test_score_is_r2_of_the_parameters(fit, held_out):
    estimator = fit(refine=False)
    found = estimator.predict(held_out.spectra)
    expected = r2_score(held_out.parameters, found)
    assert estimator.score(held_out.spectra, held_out.parameters) == pytest.approx(expected)


def test_an_emulator_that_is_not_frozen_is_fitted_on_a_copy(grid):
    cloner = VoigtCloner(grid.wavelength, target_rms=None, n_epochs=3)
    emulator = LineManifoldRegressor(cloner, smoothness=0)
    estimator = StellarParameterEstimator(emulator, n_calls=2, n_initial_points=2)
    estimator.fit(grid.normalised, grid.parameters)
    assert not hasattr(emulator, "lines_")
    assert estimator.emulator_.lines_.shape[0] == len(grid.parameters)


def test_raw_spectra_are_normalised_with_the_teff_tried(grid, held_out):
    cloner = make_pipeline(
        BlackbodyDivider(grid.wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(grid.wavelength, degree=1),
        VoigtCloner(grid.wavelength, n_epochs=10),
    )
    estimator = StellarParameterEstimator(
        LineManifoldRegressor(cloner, n_sweeps=1),
        n_calls=20,
        n_initial_points=20,
        random_state=0,
        n_starts=1,
    ).fit(grid.spectra, grid.parameters)
    found = estimator.predict(held_out.raw)
    np.testing.assert_allclose(found[:, 0], held_out.parameters[:, 0], atol=200.0)
    # Distance and units of the flux do not matter.
    np.testing.assert_allclose(estimator.predict(3e-12 * held_out.raw), found, rtol=1e-5)


def test_a_corner_without_nodes_is_not_an_answer(grid):
    # No node at 6000 K with log g 4.5: beyond that edge the emulator stands still.
    keep = ~((grid.parameters[:, 0] == 6000) & (grid.parameters[:, 1] == 4.5))
    cloner = VoigtCloner(grid.wavelength, target_rms=None, n_epochs=5)
    emulator = LineManifoldRegressor(cloner, holes="interpolate", smoothness=0)
    estimator = StellarParameterEstimator(
        emulator, n_calls=20, n_initial_points=20, random_state=0, n_starts=1
    ).fit(grid.normalised[keep], grid.parameters[keep])
    for refine in (True, False):
        estimator.set_params(refine=refine)
        found = estimator.predict(grid.normalised[~keep])
        assert estimator.emulator_.grid_.contains(found).all()


def test_progress_bar_only_where_asked(fit, held_out, capsys):
    fit(refine=False).predict(held_out.spectra)
    assert capsys.readouterr().err == ""
    fit(refine=False, verbose=1).predict(held_out.spectra)
    assert "inferring" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"n_calls": 10}, ValueError, "n_calls == 10, must be >= 20"),
        ({"n_initial_points": 0}, ValueError, "n_initial_points == 0"),
        ({"n_starts": 0}, ValueError, "n_starts == 0"),
        ({"n_calls": 20.5}, TypeError, "n_calls must be an instance of int"),
        ({"bounds": [[0, 1]]}, ValueError, r"bounds must have shape \(3, 2\)"),
        ({"bounds": [[7e3, 8e3], [NAN, NAN], [NAN, NAN]]}, ValueError, "outside the grid"),
    ],
)
def test_bad_settings_are_named(fit, settings, error, message):
    with pytest.raises(error, match=message):
        fit(**settings)


def test_parameters_of_one_column_need_two_dimensions(emulator, grid):
    estimator = StellarParameterEstimator(emulator, n_calls=2, n_initial_points=2)
    with pytest.raises(ValueError, match=r"shape \(n_spectra, n_parameters\), got shape \(12,\)"):
        estimator.fit(grid.normalised, grid.parameters[:, 0])


def test_a_frozen_emulator_of_other_pixels_is_named(emulator, grid):
    estimator = StellarParameterEstimator(emulator, n_calls=2, n_initial_points=2)
    with pytest.raises(ValueError, match="X must have the 400 pixels of the fitted emulator"):
        estimator.fit(grid.normalised[:, ::2], grid.parameters)


def test_a_frozen_emulator_keeps_its_state(emulator, fitted_emulator, grid):
    assert isinstance(emulator, FrozenEstimator)
    before = fitted_emulator.node_lines_
    StellarParameterEstimator(emulator, n_calls=2, n_initial_points=2).fit(
        grid.normalised[:2], grid.parameters[:2]
    )
    assert fitted_emulator.node_lines_ is before


def test_the_stand_in_only_shortens_the_way(fit, emulator, held_out):
    estimator = fit()
    found = estimator.predict(held_out.spectra)
    stand_in = estimator.surrogate_
    # It is exact at the nodes, up to what its components leave out.
    nodes = stand_in.grid_.nodes
    np.testing.assert_allclose(stand_in.predict(nodes), emulator.predict(nodes), atol=2e-3)
    estimator.surrogate_ = None
    without = estimator.predict(held_out.spectra)
    np.testing.assert_allclose(found[:, 0], without[:, 0], atol=0.5)
    np.testing.assert_allclose(found[:, 1:], without[:, 1:], atol=1e-3)


def test_priors_pull_as_much_as_they_weigh(fit, held_out):
    estimator = fit()
    plain = estimator.predict(held_out.spectra, sigma=0.01)
    # All pixels alike: the same answer as without errors.
    np.testing.assert_allclose(plain, estimator.predict(held_out.spectra), rtol=1e-3, atol=1e-3)
    # Downwards: the upper end of the grid is near.
    means = plain - [0.0, 0.1, 0.0]
    pulled = [
        estimator.predict(held_out.spectra, priors=priors_around(means, {"logg": sd}), sigma=0.01)
        for sd in (10.0, 1e-2, 1e-4)
    ]
    shift = [(plain - found)[:, 1] for found in pulled]
    np.testing.assert_allclose(shift[0], 0.0, atol=5e-3)
    np.testing.assert_allclose(shift[2], 0.1, atol=2e-3)
    assert (shift[0] < shift[1]).all()
    assert (shift[1] <= shift[2] + 1e-6).all()


def test_pixels_of_large_error_do_not_count(fit, held_out):
    estimator = fit()
    sigma = np.full(held_out.spectra.shape, 0.01)
    sigma[:, 100:150] = 1e6
    wild = held_out.spectra.copy()
    wild[:, 100:150] = 0.3
    found = estimator.predict(wild, sigma=sigma)
    np.testing.assert_allclose(
        found, estimator.predict(held_out.spectra, sigma=sigma), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"priors": [[5000.0, 1.0], [NAN, NAN], [NAN, NAN]]}, "priors need sigma"),
        ({"sigma": 0.0}, "sigma must be positive and finite"),
        ({"sigma": [0.1, 0.1, 0.1]}, r"sigma must have shape \(2, 400\) or \(2,\)"),
        ({"sigma": 0.1, "priors": [[1.0, 1.0]]}, r"priors must have shape \(3, 2\)"),
    ],
)
def test_wrong_priors_and_errors_are_named(fit, held_out, known, message):
    with pytest.raises(ValueError, match=message):
        fit().predict(held_out.spectra, **known)


def test_what_is_known_travels_as_metadata(fit):
    request = get_routing_for_object(fit()).consumes("predict", ["bounds", "priors", "sigma"])
    assert request == {"bounds", "priors", "sigma"}
