"""StellarParameterEstimator: from spectra to parameters."""

import numpy as np
import pandas as pd
import pytest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import get_routing_for_object

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)
from skphx.datasets import make_stellar_grid
from skphx.inference import boxes_around, priors_around
from skphx.paper import GaussianProcessSearch

NAN = np.nan
# Twenty random points, and none that is guided.
AT_RANDOM = GaussianProcessSearch(20, 20)
# Points between the nodes, one of them near a corner.
POINTS = np.array([[5230.0, 4.13, -0.34], [5790.0, 4.41, -0.08], [5010.0, 4.02, -0.49]])


@pytest.fixture(scope="module")
def fit(emulator, grid):
    """Estimators of the same frozen emulator."""

    def fit(**settings):
        settings = {"n_initial_points": 20, "random_state": 0, **settings}
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


@pytest.mark.slow
def test_minimisation_and_guided_evaluations_only_ever_help(fit, held_out, loss):
    random = fit(search=AT_RANDOM).predict(held_out.spectra)
    guided = fit(search=GaussianProcessSearch(23, 20)).predict(held_out.spectra)
    # The loss below knows no continuum but 1.
    refined = fit(continuum_degree=None).predict(held_out.spectra)
    more_starts = fit(continuum_degree=None, n_starts=4).predict(held_out.spectra)
    spectra = held_out.spectra
    assert (loss(spectra, guided) <= loss(spectra, random)).all()
    assert (loss(spectra, refined) < loss(spectra, random)).all()
    # Starts of one valley end at one bottom, up to rounding.
    assert (loss(spectra, more_starts) <= (1 + 1e-5) * loss(spectra, refined)).all()
    # Of random points the best one is taken, not any.
    points = fit(search=GaussianProcessSearch(1, 1)).predict(spectra)
    assert (loss(spectra, random) < loss(spectra, points)).any()


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
    estimator = fit(search=AT_RANDOM)
    found = estimator.predict(held_out.spectra)
    np.testing.assert_array_equal(estimator.predict(held_out.spectra), found)
    other = fit(search=AT_RANDOM, random_state=1)
    assert not np.array_equal(other.predict(held_out.spectra), found)


def test_score_is_r2_of_the_parameters(fit, held_out):
    estimator = fit(search=AT_RANDOM)
    found = estimator.predict(held_out.spectra)
    expected = r2_score(held_out.parameters, found)
    assert estimator.score(held_out.spectra, held_out.parameters) == pytest.approx(expected)


def test_an_emulator_that_is_not_frozen_is_fitted_on_a_copy(grid):
    cloner = VoigtCloner(grid.wavelength, target_rms=None, max_iter=3)
    emulator = LineManifoldRegressor(cloner, smoothness=0)
    estimator = StellarParameterEstimator(emulator, n_initial_points=2)
    estimator.fit(grid.normalised, grid.parameters)
    assert not hasattr(emulator, "lines_")
    assert estimator.emulator_.lines_.shape[0] == len(grid.parameters)


def test_raw_spectra_are_normalised_with_the_teff_tried(grid, held_out):
    cloner = make_pipeline(
        BlackbodyDivider(grid.wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(grid.wavelength, degree=1),
        VoigtCloner(grid.wavelength, max_iter=10),
    )
    estimator = StellarParameterEstimator(
        LineManifoldRegressor(cloner, n_passes=1),
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
    cloner = VoigtCloner(grid.wavelength, target_rms=None, max_iter=5)
    emulator = LineManifoldRegressor(cloner, holes="interpolate", smoothness=0)
    estimator = StellarParameterEstimator(
        emulator, n_initial_points=20, random_state=0, n_starts=1
    ).fit(grid.normalised[keep], grid.parameters[keep])
    for search in ("gauss-newton", AT_RANDOM):
        estimator.set_params(search=search)
        found = estimator.predict(grid.normalised[~keep])
        assert estimator.emulator_.grid_.contains(found).all()


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (
            {"search": "gp_minimize"},
            ValueError,
            r"search must be .*GaussianProcessSearch\(\), got",
        ),
        ({"search": GaussianProcessSearch(10, 20)}, ValueError, "n_calls == 10, must be >= 20"),
        ({"search": "random"}, ValueError, "search must be 'gauss-newton' or .*got 'random'"),
        ({"continuum_degree": -1}, ValueError, "continuum_degree == -1, must be >= 0"),
        ({"continuum_degree": 1.5}, TypeError, "continuum_degree must be an instance of int"),
        ({"search": GaussianProcessSearch(0, 1)}, ValueError, "n_calls == 0, must be >= 1"),
        ({"n_initial_points": 0}, ValueError, "n_initial_points == 0"),
        ({"n_starts": 0}, ValueError, "n_starts == 0"),
        ({"search": GaussianProcessSearch(20.5)}, TypeError, "n_calls must be an instance of int"),
        ({"search": GaussianProcessSearch(5, 0)}, ValueError, "n_initial_points == 0"),
        ({"bounds": [[0, 1]]}, ValueError, r"bounds must have shape \(3, 2\)"),
        ({"bounds": [[7e3, 8e3], [NAN, NAN], [NAN, NAN]]}, ValueError, "outside the grid"),
    ],
)
def test_bad_settings_are_named(fit, settings, error, message):
    with pytest.raises(error, match=message):
        fit(**settings)


def test_parameters_of_one_column_need_two_dimensions(emulator, grid):
    estimator = StellarParameterEstimator(emulator, n_initial_points=2)
    with pytest.raises(ValueError, match=r"shape \(n_spectra, n_parameters\), got shape \(12,\)"):
        estimator.fit(grid.normalised, grid.parameters[:, 0])


def test_a_frozen_emulator_of_other_pixels_is_named(emulator, grid):
    estimator = StellarParameterEstimator(emulator, n_initial_points=2)
    with pytest.raises(ValueError, match="X must have the 400 pixels of the fitted emulator"):
        estimator.fit(grid.normalised[:, ::2], grid.parameters)


def test_a_frozen_emulator_keeps_its_state(emulator, fitted_emulator, grid):
    assert isinstance(emulator, FrozenEstimator)
    before = fitted_emulator.manifold_, fitted_emulator.flux_
    StellarParameterEstimator(emulator, n_initial_points=2).fit(
        grid.normalised[:2], grid.parameters[:2]
    )
    assert fitted_emulator.manifold_ is before[0]
    assert fitted_emulator.flux_ is before[1]


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
    # Away from the end of the grid that is near.
    direction = np.where(plain[:, 1] < 4.25, 1.0, -1.0)
    means = plain + 0.1 * np.outer(direction, [0.0, 1.0, 0.0])
    pulled = [
        estimator.predict(held_out.spectra, priors=priors_around(means, {"logg": sd}), sigma=0.01)
        for sd in (10.0, 1e-2, 1e-4)
    ]
    shift = [direction * (found - plain)[:, 1] for found in pulled]
    np.testing.assert_allclose(shift[0], 0.0, atol=5e-3)
    np.testing.assert_allclose(shift[2], 0.1, atol=2e-3)
    assert (shift[0] < shift[1]).all()
    assert (shift[1] <= shift[2] + 1e-6).all()


def test_without_errors_the_scatter_stands_for_them(fit, fitted_emulator):
    estimator = fit()
    # Noise that is much larger than what the emulator misses: all pixels alike.
    noise = np.random.default_rng(0).normal(size=(3, 400))
    spectra = fitted_emulator.predict(POINTS) + 0.01 * noise
    np.testing.assert_allclose(
        estimator.predict(spectra), estimator.predict(spectra, sigma=0.01), rtol=2e-3, atol=5e-3
    )


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
    estimator = fit()
    with pytest.raises(ValueError, match=message):
        estimator.predict(held_out.spectra, **known)


def test_what_is_known_travels_as_metadata(fit):
    request = get_routing_for_object(fit()).consumes("predict", ["bounds", "priors", "sigma"])
    assert request == {"bounds", "priors", "sigma"}


# Raw and noisy spectra, which predict compares as infer does, on the model's own pixels.


def generate_raw(**parameters):
    """Raw spectra of one list of thirty lines."""
    return make_stellar_grid(
        wavelength=(8500.0, 8560.0), n_pixels=900, n_lines=30, random_state=5, **parameters
    )


def normalizer_of(wavelength):
    return make_pipeline(
        BlackbodyDivider(wavelength),
        PercentileNormalizer(99),
        ContinuumNormalizer(wavelength, degree=1),
    )


@pytest.fixture(scope="module")
def raw():
    """Estimator of raw spectra by their flux alone, and eighty spectra between its nodes."""
    nodes = generate_raw(
        teff=(4800, 5200, 5600, 6000), logg=(3.5, 4.0, 4.5, 5.0), feh=(-0.5, -0.2, 0.1)
    )
    wavelength = nodes.wavelength
    emulator = FluxEmulator(wavelength, normalizer_of(wavelength), medium=nodes.medium)
    estimator = StellarParameterEstimator(emulator, random_state=0)
    estimator.fit(nodes.spectra, nodes.parameters)
    random = np.random.default_rng(0)
    parameters = random.uniform([4900, 3.7, -0.4], [5900, 4.8, 0.0], (80, 3))
    return Bunch(
        estimator=estimator,
        nodes=nodes,
        wavelength=wavelength,
        parameters=parameters,
        spectra=generate_raw(parameters=parameters).spectra,
    )


def cubics(n_spectra, n_pixels, seed=1):
    """Positive polynomials of degree three, one a spectrum."""
    x = np.linspace(-1.0, 1.0, n_pixels)
    terms = np.random.default_rng(seed).uniform(-0.3, 0.3, (n_spectra, 3))
    return 1.0 + terms @ np.array([x, x**2, x**3])


def noisy(spectra, snr, seed=2):
    """Spectra with white noise, and its standard deviation a spectrum."""
    sigma = spectra.max(axis=1) / snr
    noise = np.random.default_rng(seed).normal(size=spectra.shape)
    return spectra + sigma[:, None] * noise, sigma


@pytest.mark.slow
@pytest.mark.parametrize("snr", [50, 200])
def test_noisy_spectra_are_predicted_without_bias_and_as_well_as_inferred(raw, snr):
    observed, sigma = noisy(raw.spectra * cubics(*raw.spectra.shape), snr)
    found = raw.estimator.predict(observed, sigma=sigma)
    stars = [
        {"wavelength": raw.wavelength, "flux": flux, "sigma": one, "medium": "vacuum"}
        for flux, one in zip(observed, sigma, strict=True)
    ]
    inferred = raw.estimator.infer(stars, continuum_degree=3)
    inferred = np.array([result.parameters for result in inferred])
    error = found - raw.parameters
    limit = 1.2 * np.abs(inferred - raw.parameters).mean(axis=0)
    assert (np.abs(error).mean(axis=0) <= limit).all()
    # The mean of 80 draws scatters by a ninth of their scatter.
    assert (np.abs(error.mean(axis=0)) < error.std(axis=0) / 3).all()
    # Without errors all pixels weigh alike, as they do with equal ones.
    error = raw.estimator.predict(observed) - raw.parameters
    assert (np.abs(error).mean(axis=0) <= limit).all()
    assert (np.abs(error.mean(axis=0)) < error.std(axis=0) / 3).all()


def test_predict_on_the_models_pixels_scatters_as_its_errors_say(raw):
    observed, sigma = noisy(raw.spectra, 50)
    stars = [
        {"wavelength": raw.wavelength, "flux": flux, "sigma": one, "medium": "vacuum"}
        for flux, one in zip(observed, sigma, strict=True)
    ]
    errors = np.array([result.errors for result in raw.estimator.infer(stars)])
    z = (raw.estimator.predict(observed, sigma=sigma) - raw.parameters) / errors
    np.testing.assert_allclose(np.sqrt(np.mean(z**2, axis=0)), 1.0, atol=0.25)


@pytest.mark.slow
def test_no_cubic_polynomial_changes_the_answer(raw):
    emulator = raw.estimator.emulator_
    truth = raw.parameters[:12]
    # Spectra of the emulator itself: whatever multiplies them, the fit is exact.
    exact = emulator.predict(truth, absolute=True)
    found = raw.estimator.predict(exact)
    np.testing.assert_allclose(found / truth, 1.0, atol=1e-3)
    for seed in (1, 2):
        moved = raw.estimator.predict(1e-12 * exact * cubics(*exact.shape, seed))
        np.testing.assert_allclose((moved - truth) / [400.0, 0.5, 0.3], 0.0, atol=1e-3)
    # Of real ones noise is weighed a little otherwise: far less than it moves the answer itself.
    observed, _ = noisy(raw.spectra[:12], 200)
    plain = raw.estimator.predict(observed)
    moved = raw.estimator.predict(observed * cubics(*observed.shape))
    scatter = np.sqrt(np.mean((plain - truth) ** 2, axis=0))
    assert (np.sqrt(np.mean((moved - plain) ** 2, axis=0)) < 0.5 * scatter).all()
    # And a scale changes nothing at all.
    np.testing.assert_allclose(raw.estimator.predict(1e9 * observed), plain, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_the_continuum_has_the_degree_that_was_asked_for(raw):
    emulator = raw.estimator.emulator_
    truth = raw.parameters[:6]
    exact = emulator.predict(truth, absolute=True)
    tilted = exact * np.linspace(0.9, 1.1, exact.shape[1])
    spacing = [400.0, 0.5, 0.3]

    def errors(spectra, degree):
        estimator = StellarParameterEstimator.from_emulator(
            emulator, continuum_degree=degree, random_state=0
        )
        return np.abs((estimator.predict(spectra) - truth) / spacing)

    # A constant cannot tilt, a line can; without any polynomial not even the unit may differ.
    assert errors(tilted, 0).max() > 0.02
    assert errors(tilted, 1).max() < 1e-3
    assert errors(exact, None).max() < 1e-3
    assert errors(2.0 * exact, None).max() > 0.1
    # A whole degree less of freedom is worth something in infer, too.
    star = {"wavelength": raw.wavelength, "flux": tilted[0], "medium": "vacuum"}
    n_free = {
        degree: raw.estimator.infer(star, **settings).n_free
        for degree, settings in (
            (3, {}),
            (1, {"continuum_degree": 1}),
            (None, {"continuum_degree": None}),
        )
    }
    assert n_free == {3: 3 + 4, 1: 3 + 2, None: 3}


def test_one_spectrum_is_predicted_as_among_others(raw):
    observed, sigma = noisy(raw.spectra[:3], 100)
    together = raw.estimator.predict(observed, sigma=sigma)
    for row in range(3):
        alone = raw.estimator.predict(observed[row : row + 1], sigma=sigma[row : row + 1])
        assert alone.shape == (1, 3)
        np.testing.assert_allclose(alone[0], together[row], rtol=1e-6)
    # One standard error for all pixels, one a spectrum, and one a pixel are the same.
    by_number = raw.estimator.predict(observed[:1], sigma=float(sigma[0]))
    by_pixel = raw.estimator.predict(observed[:1], sigma=np.full((1, 900), sigma[0]))
    np.testing.assert_allclose(by_number, together[:1], rtol=1e-6)
    np.testing.assert_array_equal(by_number, by_pixel)


@pytest.mark.slow
def test_arrays_that_processes_map_from_disk_are_taken(raw):
    """More than the megabyte from which joblib maps arrays, read-only."""
    many = np.resize(noisy(raw.spectra, 200)[0], (160, 900))
    one, two = (
        StellarParameterEstimator.from_emulator(
            raw.estimator.emulator_, n_jobs=n_jobs, random_state=0
        ).predict(many)
        for n_jobs in (1, 2)
    )
    assert many.nbytes > 1e6
    np.testing.assert_allclose(one, two, rtol=1e-9)


@pytest.mark.parametrize("search", ["gauss-newton", GaussianProcessSearch()])
def test_blank_and_negative_spectra_are_refused(raw, search):
    estimator = StellarParameterEstimator.from_emulator(raw.estimator.emulator_, search=search)
    for factor, message in ((0.0, "spectrum 1 is zero at every pixel"), (-1.0, "of spectrum 1")):
        spectra = np.vstack([raw.spectra[0], factor * raw.spectra[1]])
        with pytest.raises(ValueError, match=message):
            estimator.predict(spectra)


def test_raw_spectra_obey_bounds_and_priors(raw):
    observed, sigma = noisy(raw.spectra[:5], 100)
    plain = raw.estimator.predict(observed, sigma=sigma)
    boxes = boxes_around(plain + [200.0, 0.0, 0.0], {"teff": 100.0})
    found = raw.estimator.predict(observed, sigma=sigma, bounds=boxes)
    inside = np.minimum(plain[:, 0] + 100.0, 6000.0)
    np.testing.assert_allclose(found[:, 0], inside, atol=0.1)
    # What is held at the truth, and known exactly beforehand, are the same.
    truth = raw.parameters[:5]
    held = boxes_around(truth, {"logg": 1e-6})
    known = priors_around(truth, {"logg": 1e-6})
    by_box = raw.estimator.predict(observed, sigma=sigma, bounds=held)
    by_prior = raw.estimator.predict(observed, sigma=sigma, priors=known)
    np.testing.assert_allclose(by_prior[:, 1], truth[:, 1], atol=1e-4)
    np.testing.assert_allclose((by_prior - by_box) / [400.0, 0.5, 0.3], 0.0, atol=1e-3)


def test_an_emulator_of_known_resolution_predicts_on_its_own_pixels(raw):
    told = StellarParameterEstimator(
        FluxEmulator(raw.wavelength, normalizer_of(raw.wavelength), resolution=20_000.0),
        random_state=0,
    ).fit(raw.nodes.spectra, raw.nodes.parameters)
    assert told.emulator_.resolution_ == 20_000.0
    np.testing.assert_allclose(
        told.predict(raw.spectra[:3]), raw.estimator.predict(raw.spectra[:3]), rtol=1e-9
    )


def test_a_compiled_emulator_predicts_on_its_own_pixels(raw):
    # Spectra at the instrument's resolution, on the steps that suffice for it.
    compiled = raw.estimator.compile(resolution=15_000.0, random_state=1)
    assert isinstance(compiled.emulator_.estimator, FluxEmulator)
    assert compiled.n_features_in_ == len(compiled.emulator_.wavelength_) < 900
    truth = raw.parameters[:8]
    seen = compiled.emulator_.predict(truth) * cubics(8, compiled.n_features_in_)
    found = compiled.predict(seen)
    np.testing.assert_allclose((found - truth) / [400.0, 0.5, 0.3], 0.0, atol=1e-3)


def test_one_parameter_is_enough():
    grid = generate_raw(teff=(4800, 5200, 5600, 6000), logg=(4.5,), feh=(0.0,))
    between = generate_raw(parameters=[[5000.0, 4.5, 0.0], [5500.0, 4.5, 0.0]])
    wavelength = grid.wavelength
    emulator = FluxEmulator(wavelength, normalizer_of(wavelength), parameter_names=("teff",))
    estimator = StellarParameterEstimator(emulator, random_state=0)
    estimator.fit(grid.spectra, grid.parameters[:, :1])
    observed, sigma = noisy(between.spectra * cubics(2, 900), 200)
    found = estimator.predict(observed, sigma=sigma)
    assert found.shape == (2, 1)
    np.testing.assert_allclose(found[:, 0], [5000.0, 5500.0], atol=25.0)
    found = estimator.predict(observed, sigma=sigma, priors=[[4900.0, 1e-3]])
    np.testing.assert_allclose(found[:, 0], 4900.0, atol=1.0)
    found = estimator.predict(observed, bounds=[[5100.0, 5400.0]])
    np.testing.assert_allclose(found[:, 0], [5100.0, 5400.0])


def test_four_parameters_are_not_too_many():
    def with_alpha(grid, alpha):
        # Lines of one half of the range are those of elements that it strengthens.
        normalised = grid.spectra / grid.continuum
        half = np.arange(900) < 450
        return normalised ** np.where(half, 1.0 + alpha[:, None], 1.0)

    nodes = generate_raw(
        teff=(5000, 5400, 5800), logg=(4.0, 4.5), feh=(-0.4, 0.0), return_lines=True
    )
    alphas = np.repeat([0.0, 0.2, 0.4], len(nodes.parameters))
    spectra = with_alpha(nodes, np.zeros(12)), with_alpha(nodes, np.full(12, 0.2))
    spectra = np.vstack([*spectra, with_alpha(nodes, np.full(12, 0.4))])
    parameters = np.column_stack([np.tile(nodes.parameters, (3, 1)), alphas])
    names = ("teff", "logg", "feh", "alpha")
    estimator = StellarParameterEstimator(
        FluxEmulator(nodes.wavelength, parameter_names=names), random_state=0
    ).fit(spectra, parameters)
    truth = np.array([[5200.0, 4.25, -0.2, 0.1], [5600.0, 4.1, -0.3, 0.3]])
    exact = estimator.emulator_.predict(truth) * cubics(2, 900)
    found = estimator.predict(exact)
    np.testing.assert_allclose((found - truth) / [400.0, 0.5, 0.4, 0.2], 0.0, atol=2e-3)
    between = with_alpha(generate_raw(parameters=truth[:, :3], return_lines=True), truth[:, 3])
    found = estimator.predict(noisy(between, 200)[0])
    np.testing.assert_allclose(found[:, 3], truth[:, 3], atol=0.05)


@pytest.mark.parametrize("part", [(8510.0, 8545.0), np.arange(8510.0, 8545.0, 0.1)])
@pytest.mark.parametrize("normalised", [False, True])
def test_an_emulator_that_was_cut_predicts_on_its_pixels(raw, part, normalised):
    emulator = raw.estimator.emulator_
    whole = raw.spectra[:6]
    if normalised:
        whole = emulator.normalize(whole, raw.parameters[:6])
        nodes = emulator.normalize(raw.nodes.spectra, raw.nodes.parameters)
        emulator = FluxEmulator(raw.wavelength).fit(raw.nodes.parameters, nodes)
    cut = StellarParameterEstimator.from_emulator(emulator.select(wavelength=part), random_state=0)
    wavelength = cut.emulator_.wavelength_
    assert cut.n_features_in_ == len(wavelength) < 900
    seen = np.array([np.interp(wavelength, raw.wavelength, flux) for flux in whole])
    if len(part) == 2:
        # Nothing is interpolated: these are old pixels.
        inside = (raw.wavelength >= part[0]) & (raw.wavelength <= part[1])
        np.testing.assert_array_equal(seen, whole[:, inside])
    observed, sigma = noisy(seen * cubics(*seen.shape), 200)
    found = cut.predict(observed, sigma=sigma)
    np.testing.assert_allclose(found[:, 0], raw.parameters[:6, 0], atol=60.0)
    np.testing.assert_allclose(found[:, 1], raw.parameters[:6, 1], atol=0.12)
    np.testing.assert_allclose(found[:, 2], raw.parameters[:6, 2], atol=0.06)
    with pytest.raises(ValueError, match="X has 900 features"):
        cut.predict(whole)


def test_an_emulator_fitted_on_tables_predicts_raw_spectra(raw):
    # No warning about names of columns reaches the user.
    nodes = pd.DataFrame(raw.nodes.parameters, columns=["teff", "logg", "feh"])
    emulator = FluxEmulator(raw.wavelength, normalizer_of(raw.wavelength))
    emulator.fit(nodes, raw.nodes.spectra)
    estimator = StellarParameterEstimator.from_emulator(emulator, random_state=0)
    np.testing.assert_allclose(
        estimator.predict(raw.spectra[:2]), raw.estimator.predict(raw.spectra[:2]), rtol=1e-9
    )


def test_degrees_may_be_integers_of_numpy(raw):
    settings = {"random_state": 0, "n_initial_points": 20}
    of_python, of_numpy = (
        StellarParameterEstimator.from_emulator(
            raw.estimator.emulator_, continuum_degree=degree, **settings
        ).predict(raw.spectra[:2])
        for degree in (2, np.int64(2))
    )
    np.testing.assert_array_equal(of_numpy, of_python)
