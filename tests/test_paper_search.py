"""GaussianProcessSearch: the paper's search, alone and within the estimator."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state

from skphx import FluxEmulator, PercentileNormalizer, StellarParameterEstimator
from skphx.inference import priors_around
from skphx.inference._bounds_and_priors import draw_points
from skphx.paper import GaussianProcessSearch
from skphx.paper._search import minimize_guided

pytestmark = pytest.mark.slow

NAN = np.nan
GRID = np.array([[4000.0, 6000.0], [3.0, 5.0]])
TRUTH = np.array([5200.0, 4.2])
MODEL = np.array([[1e-3, 0.5], [2e-3, -0.3], [-1e-3, 0.8], [5e-4, 0.1]])


def bowl(point):
    return float(np.sqrt(np.mean(((point - TRUTH) @ MODEL.T) ** 2)))


def search(n_calls, box=GRID, n_points=8, random_state=0):
    points = draw_points(box, n_points, np.random.RandomState(1))
    losses = np.array([bowl(point) for point in points])
    return (points, losses), minimize_guided(
        bowl, box, points, losses, n_calls=n_calls, random_state=random_state
    )


def test_guided_search_adds_evaluations_and_finds_lower_loss():
    (points, losses), (all_points, all_losses) = search(4)
    assert all_points.shape == (12, 2)
    np.testing.assert_array_equal(all_points[:8], points)
    np.testing.assert_array_equal(all_losses[:8], losses)
    # The added losses are those of the added points, and one is lower than all random ones.
    np.testing.assert_allclose(all_losses, [bowl(point) for point in all_points])
    assert all_losses[8:].min() < losses.min()
    assert (all_points >= GRID[:, 0]).all()
    assert (all_points <= GRID[:, 1]).all()


def test_guided_search_is_repeatable():
    _, (points, _) = search(2)
    _, (again, _) = search(2)
    np.testing.assert_array_equal(points, again)


def test_guided_search_leaves_a_fixed_parameter_alone():
    box = np.array([[5000.0, 5000.0], [3.0, 5.0]])
    _, (points, _) = search(1, box=box)
    assert points.shape == (9, 2)
    np.testing.assert_array_equal(points[:, 0], 5000.0)


def test_without_calls_or_room_nothing_is_added():
    (points, losses), found = search(0)
    assert found[0] is points
    assert found[1] is losses
    _, (points, _) = search(5, box=np.array([[5000.0, 5000.0], [4.0, 4.0]]))
    assert len(points) == 8


# Within the estimator --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fit(emulator, grid):
    """Estimators of the same frozen emulator."""

    def fit(n_calls=20, n_initial_points=20, *, verbose=0, **settings):
        search = GaussianProcessSearch(n_calls, n_initial_points, verbose=verbose)
        settings = {"random_state": 0, **settings}
        return StellarParameterEstimator(emulator, search, **settings).fit(
            grid.normalised, grid.parameters
        )

    return fit


def test_the_defaults_are_the_papers():
    assert GaussianProcessSearch().get_params() == {
        "n_calls": 120,
        "n_initial_points": 100,
        "verbose": 0,
    }


def test_it_ends_on_the_best_of_the_points_evaluated(fit, fitted_emulator, grid, held_out):
    # The shared random points of a fixed seed: each answer is one of them.
    spectra = np.repeat(held_out.spectra, 2, axis=0)
    found = fit().predict(spectra)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])
    estimator = fit()
    points = draw_points(fitted_emulator.grid_.bounds, 20, check_random_state(0))
    flux = fitted_emulator.predict(points)
    for spectrum, answer in zip(spectra, estimator.predict(spectra), strict=True):
        loss = np.sqrt(np.mean((flux - spectrum) ** 2, axis=1))
        np.testing.assert_array_equal(answer, points[loss.argmin()])


def test_guided_points_lead_on(fit, fitted_emulator, held_out):
    spectrum = held_out.spectra[:1]
    random, guided = (fit(n_calls, 8).predict(spectrum) for n_calls in (8, 12))
    random, guided = (abs(fitted_emulator.predict(one) - spectrum) for one in (random, guided))
    assert np.mean(guided**2) < np.mean(random**2)


def test_spectra_have_boxes_of_their_own(fit, held_out):
    boxes = np.array([[[5100, 5150], [4.1, 4.3], [NAN, NAN]], [[NAN, NAN], [4.0, 4.1], [NAN, 0]]])
    found = fit(11, 10).predict(held_out.spectra, bounds=boxes)
    assert 5100 <= found[0, 0] <= 5150
    assert 4.1 <= found[0, 1] <= 4.3
    assert 4.0 <= found[1, 1] <= 4.1
    # One box for all is the same as the same box for each.
    box = [[5100, 5600], [NAN, NAN], [-0.4, -0.1]]
    one = fit().predict(held_out.spectra, bounds=box)
    np.testing.assert_array_equal(fit().predict(held_out.spectra, bounds=[box] * 2), one)
    assert ((one[:, 0] >= 5100) & (one[:, 0] <= 5600)).all()


def test_answers_are_repeatable_and_depend_on_the_seed(fit, held_out):
    estimator, spectra = fit(11, 10), held_out.spectra[:1]
    found = estimator.predict(spectra)
    np.testing.assert_array_equal(estimator.predict(spectra), found)
    assert not np.array_equal(fit(11, 10, random_state=1).predict(spectra), found)


def test_answers_do_not_depend_on_n_jobs(fit, held_out):
    one, two = (fit(11, 10, n_jobs=n_jobs).predict(held_out.spectra) for n_jobs in (1, 2))
    np.testing.assert_allclose(one, two, rtol=1e-9)


def test_raw_spectra_are_normalised_with_the_teff_tried(grid, held_out):
    emulator = FluxEmulator(grid.wavelength, PercentileNormalizer(99))
    estimator = StellarParameterEstimator(
        emulator, GaussianProcessSearch(40, 40), random_state=0
    ).fit(grid.spectra, grid.parameters)
    found = estimator.predict(held_out.raw)
    # The factor of the flux does not matter.
    np.testing.assert_allclose(estimator.predict(3e-12 * held_out.raw), found)
    np.testing.assert_allclose(found[:, 0], held_out.parameters[:, 0], atol=250.0)


def test_progress_bar_only_where_asked(fit, held_out, capsys):
    fit().predict(held_out.spectra)
    assert capsys.readouterr().err == ""
    fit(verbose=1).predict(held_out.spectra)
    assert "inferring" in capsys.readouterr().err


def test_it_takes_neither_errors_nor_priors(fit, held_out):
    estimator = fit(10, 10)
    assert estimator.surrogate_ is None
    priors = priors_around(held_out.parameters, {"teff": 100.0})
    for known in ({"sigma": 1.0}, {"sigma": 1.0, "priors": priors}, {"priors": priors}):
        with pytest.raises(
            ValueError, match=r"search=GaussianProcessSearch.* takes neither sigma nor"
        ):
            estimator.predict(held_out.spectra, **known)
    # Without them it does, and keeps to its box.
    box = [[5000, 5100], [NAN, NAN], [NAN, NAN]]
    found = estimator.predict(held_out.spectra, bounds=box)
    assert ((found[:, 0] >= 5000) & (found[:, 0] <= 5100)).all()


def test_observed_stars_are_inferred_without_it(fit, fitted_emulator, grid):
    star = {"wavelength": grid.wavelength, "flux": grid.normalised[4], "sigma": 0.01}
    few, many = (fit(*calls).infer(star).parameters for calls in ((1, 1), (1000, 900)))
    np.testing.assert_array_equal(few, many)
    ours = StellarParameterEstimator.from_emulator(fitted_emulator, random_state=0).infer(star)
    np.testing.assert_allclose((few - ours.parameters) / [500.0, 0.5, 0.5], 0.0, atol=1e-3)


def test_it_is_cloned_with_the_estimator(emulator):
    estimator = StellarParameterEstimator(emulator, GaussianProcessSearch(30, 20))
    copy = clone(estimator).set_params(search__n_calls=25)
    assert (copy.search.n_calls, copy.search.n_initial_points) == (25, 20)
    assert estimator.search.n_calls == 30
    assert isinstance(copy.emulator, FrozenEstimator)
