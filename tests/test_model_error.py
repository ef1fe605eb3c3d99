"""Errors of the model's lines, which pixels share, in the likelihood of infer."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import make_stellar_grid
from skphx.inference._correlated_likelihood import (
    CorrelatedLikelihood,
    observed_errors,
    weigh_by_white_noise,
)
from skphx.inference._likelihood import Likelihood, to_internal
from skphx.inference._pixel_covariance import PixelCovariance
from skphx.inference._pixel_weights import PixelErrors
from skphx.observing import ForwardModel, ObservedSpectrum

WAVELENGTH = (8500.0, 8540.0)
CENTRES = np.linspace(8502.0, 8538.0, 37)
PIXELS = np.linspace(8502.0, 8538.0, 500)
TRUTH = np.array([5500.0, 4.3, -0.2])
SIGMA = 0.004
RANGES = {"velocity": (-20.0, 20.0), "resolution": 30_000.0, "continuum_degree": 1}


class LineErrors:
    """Errors of the strengths of lines in stretches of 1 Å, and of all lines together."""

    def __init__(self, independent=0.15, common=0.05, kernels=()):
        self.independent, self.common, self.kernels = independent, common, tuple(kernels)

    def error_spectra(self, emulator, point):
        depth = 1.0 - emulator.predict(point[None])[0]
        near = np.exp(-0.5 * ((emulator.wavelength_ - CENTRES[:, None]) / 0.4) ** 2)
        return self.independent * depth * near, self.common * depth[None]


@pytest.fixture(scope="module")
def lines():
    grid = make_stellar_grid(
        teff=(5000, 5500, 6000),
        logg=(4.0, 4.5),
        feh=(-0.5, 0.0),
        wavelength=WAVELENGTH,
        n_pixels=800,
        n_lines=40,
        random_state=1,
        return_lines=True,
    )
    grid.normalised = grid.spectra / grid.continuum
    return grid


@pytest.fixture
def emulator(lines):
    return FluxEmulator(lines.wavelength).fit(lines.parameters, lines.normalised)


@pytest.fixture
def estimator(emulator):
    return make_estimator(emulator)


def make_estimator(emulator):
    """Return an estimator without interpolation error, because the stars are emulated."""
    estimator = StellarParameterEstimator.from_emulator(
        emulator, n_initial_points=30, n_starts=2, random_state=0
    )
    estimator.error_ = None
    return estimator


def observe(emulator, errors=None, seed=0, noise=SIGMA, pixels=PIXELS, velocity=5.0):
    """Return a star whose lines are as wrong as one draw of the errors."""
    random = np.random.default_rng(seed)
    flux = emulator.predict(TRUTH[None])[0]
    if errors is not None:
        for spectra in errors.error_spectra(emulator, TRUTH):
            flux = flux + random.normal(size=len(spectra)) @ spectra
    empty = ObservedSpectrum(pixels, np.ones(len(pixels)), resolution=30_000.0)
    observed = ForwardModel(emulator.wavelength_, empty).observe(flux[None], velocity)[0]
    observed = observed + noise * random.normal(size=len(pixels))
    return replace(empty, flux=observed, sigma=np.full(len(pixels), SIGMA))


def of_two_segments(star):
    """Return the star in two segments of different continua."""
    half = len(star.flux) // 2
    left, right = star.part(slice(0, half + 40)), star.part(slice(half, None))
    return [left, replace(right, flux=3.0 * right.flux, sigma=3.0 * right.sigma)]


def random_covariance(block_size):
    """Return a covariance of 60 pixels in two segments, and the same as a dense matrix."""
    random = np.random.default_rng(0)
    n_pixels = 60
    slices = [slice(0, 35), slice(35, n_pixels)]
    weights = random.uniform(0.5, 4.0, size=n_pixels)
    weights[[0, 7, 34, 50]] = 0.0
    pixels = np.arange(n_pixels)
    # Lines whose errors end within a few pixels, some of them at the ends of blocks.
    centres = np.array([3, 10, 18, 28, 34, 40, 52])
    independent = np.maximum(1.0 - np.abs(pixels - centres[:, None]) / 4.0, 0.0)
    common = random.normal(size=(3, n_pixels))
    kernels = ((0.3, 20.0), (0.2, 100.0))
    velocity = 5.0 * pixels
    continuum = random.uniform(1.0, 2.0, size=n_pixels)
    covariance = PixelCovariance(
        weights, slices, independent, common, kernels, velocity, continuum, block_size=block_size
    )
    good = weights > 0
    stretches = np.zeros(n_pixels)
    for number, where in enumerate(slices):
        inside = where.start + np.flatnonzero(good[where])
        for part, found in enumerate(np.array_split(inside, -(-len(inside) // block_size))):
            stretches[found] = 10 * number + part
    distance = np.abs(velocity[:, None] - velocity)
    stationary = sum(a**2 * np.exp(-distance / length) for a, length in kernels)
    stationary = stationary * np.outer(continuum, continuum)
    dense = stationary * (stretches[:, None] == stretches)
    dense += independent.T @ independent + common.T @ common
    dense = dense[np.ix_(good, good)] + np.diag(1.0 / weights[good])
    return covariance, dense, good


@pytest.mark.parametrize("block_size", [2500, 20, 9])
def test_whitening_is_that_of_dense_matrices(block_size):
    covariance, dense, good = random_covariance(block_size)
    vectors = np.random.default_rng(1).normal(size=(2, 3, 60))
    white = covariance.whitened(vectors)
    kept = vectors[..., good]
    inverse = np.linalg.inv(dense)
    expected = np.einsum("abi,ij,cdj->abcd", kept, inverse, kept)
    np.testing.assert_allclose(np.einsum("abi,cdi->abcd", white, white), expected, rtol=1e-10)
    weighted = covariance.weighted(vectors)
    np.testing.assert_allclose(weighted[..., good], kept @ inverse, rtol=1e-9, atol=1e-12)
    assert covariance.n_good == 56
    assert covariance.log_determinant == pytest.approx(np.linalg.slogdet(dense)[1], rel=1e-12)


def test_masked_pixels_have_no_influence():
    covariance, _, good = random_covariance(20)
    vector = np.random.default_rng(1).normal(size=60)
    other = np.where(good, vector, 1e6)
    np.testing.assert_array_equal(covariance.whitened(other), covariance.whitened(vector))
    assert not covariance.whitened(vector)[~good].any()
    assert not covariance.weighted(vector)[~good].any()


def test_draws_of_the_covariance_are_white():
    covariance, dense, good = random_covariance(20)
    draws = np.zeros((4000, 60))
    draws[:, good] = np.random.default_rng(2).multivariate_normal(
        np.zeros(good.sum()), dense, size=4000
    )
    white = covariance.whitened(draws)[:, good]
    np.testing.assert_allclose(np.cov(white.T), np.eye(good.sum()), atol=0.1)


def test_a_covariance_is_pickled():
    covariance, _, _ = random_covariance(20)
    vector = np.random.default_rng(1).normal(size=60)
    again = pickle.loads(pickle.dumps(covariance))
    np.testing.assert_array_equal(again.weighted(vector), covariance.weighted(vector))


def test_errors_are_observed_in_chunks(emulator):
    star = observe(emulator)
    forward = ForwardModel(emulator.wavelength_, star)
    spectra = np.random.default_rng(0).normal(size=(300, len(emulator.wavelength_)))
    kinematics = np.array([[4.0, 0.0, 0.0, np.nan]])
    np.testing.assert_allclose(
        observed_errors(forward, spectra, kinematics), forward.observe(spectra, 4.0), atol=1e-12
    )


def make_likelihood(emulator, degree=2, segments=None, kernels=((0.002, 100.0),), priors=None):
    """Return a likelihood of one star with model error, a point with squares, and its row."""
    star = observe(emulator, LineErrors())
    segments = of_two_segments(star) if segments is None else segments
    forward = ForwardModel(emulator.wavelength_, segments, max_velocity=30, max_broadening=30)
    flux = np.concatenate([one.flux for one in segments])[None]
    sigma = np.concatenate([one.sigma for one in segments])[None]
    weights = np.where(forward.covered, 1.0 / sigma**2, 0.0)
    weights[0, 60:70] = 0.0
    free = ("velocity", "vsini")
    diagonal = Likelihood(emulator, forward, flux, weights, degree, free, priors)
    point = to_internal(np.array([[5450.0, 4.35, -0.25, 4.0, 3.0, 0.0, np.nan]]), 3)
    rows = np.zeros(1, dtype=int)
    return CorrelatedLikelihood.at(diagonal, LineErrors(kernels=kernels), rows, point), point, rows


@pytest.mark.parametrize("degree", [None, 0, 2])
def test_the_gradient_is_that_of_differences(emulator, degree):
    likelihood, point, rows = make_likelihood(emulator, degree)
    cost, gradient, curvature = likelihood.evaluate(point, rows)
    for column in likelihood.columns:
        step = 1e-4 * abs(point[0, column])
        sides = []
        for side in (-1, 1):
            moved = point.copy()
            moved[0, column] += side * step
            sides.append(likelihood.evaluate(moved, rows)[0][0])
        expected = (sides[1] - sides[0]) / (4 * step)
        scale = np.sqrt(cost[0] * curvature[0, column, column])
        assert gradient[0, column] == pytest.approx(expected, abs=2e-4 * scale)


def test_continua_are_solved_for_with_the_covariance(emulator):
    likelihood, point, rows = make_likelihood(emulator)
    spectrum = likelihood.spectrum(point)
    model, continuum, grams = likelihood.with_continuum(spectrum, rows)
    # Both segments together, with dense matrices.
    n_pixels = likelihood.forward.n_pixels
    inverse = likelihood.covariances[0].weighted(np.eye(n_pixels))
    terms = np.zeros((6, n_pixels))
    for number, where in enumerate(likelihood.forward.segment_slices):
        terms[3 * number : 3 * number + 3, where] = likelihood.bases[number]
    scaled = terms * spectrum[0]
    gram = scaled @ inverse @ scaled.T
    best = np.linalg.solve(gram, scaled @ inverse @ likelihood.flux[0])
    np.testing.assert_allclose(continuum[0], best @ terms, rtol=1e-6)
    np.testing.assert_allclose(model[0], best @ scaled, rtol=1e-6)
    # The segments share errors, and their determinants are that of both.
    assert abs(gram[:3, 3:]).max() > 1e-3 * abs(gram).max()
    found = sum(np.linalg.slogdet(one[0])[1] for one in grams)
    assert found == pytest.approx(np.linalg.slogdet(gram)[1], abs=1e-6)
    # Nothing that a continuum can do is left in the derivatives.
    _, _, jacobian = likelihood.derivatives(point, rows)
    left = jacobian[0] @ inverse @ scaled.T
    norm = np.sqrt(np.diag(jacobian[0] @ inverse @ jacobian[0].T)[:, None] * np.diag(gram))
    assert (abs(left) < 1e-6 * norm).all()


def test_the_posterior_is_that_of_a_dense_gaussian(emulator):
    likelihood, point, _ = make_likelihood(emulator, degree=None)
    good = likelihood.weights[0] > 0
    inverse = likelihood.covariances[0].weighted(np.eye(len(good)))
    dense = np.linalg.inv(inverse[np.ix_(good, good)])
    points = np.repeat(point, 2, axis=0)
    points[1, 0] += 100.0
    models = likelihood.spectrum(points)
    expected = [
        multivariate_normal(model[good], 0.5 * (dense + dense.T)).logpdf(likelihood.flux[0, good])
        for model in models
    ]
    log = likelihood.log_posterior(points, np.zeros(2, dtype=int))
    log = log - 0.5 * likelihood.log_normalisation(0)
    np.testing.assert_allclose(log, expected, rtol=1e-6)


def test_a_segment_without_good_pixels_has_no_continuum(emulator):
    star = observe(emulator)
    left, right = of_two_segments(star)
    right = replace(right, sigma=np.full(len(right.flux), np.inf))
    likelihood, point, rows = make_likelihood(emulator, segments=[left, right])
    model, continuum, _ = likelihood.with_continuum(likelihood.spectrum(point), rows)
    where = likelihood.forward.segment_slices[1]
    assert not continuum[0, where].any()
    assert np.isfinite(model).all()
    _, gradient, curvature = likelihood.evaluate(point, rows)
    assert np.isfinite(gradient).all()
    assert np.isfinite(curvature).all()


def test_noise_is_what_neighbours_do_not_share(emulator):
    star = observe(emulator, LineErrors())
    forward = ForwardModel(emulator.wavelength_, star, max_velocity=30)
    good = forward.covered[None]
    pixels = PixelErrors(
        good=good,
        sigma_known=np.array([False]),
        level=np.ones(good.shape),
        emulator_error=np.zeros(good.shape[1]),
    )
    weights = np.where(good, 1.0, 0.0)
    likelihood = Likelihood(emulator, forward, star.flux[None], weights, 1, ("velocity",), None)
    point = np.array([[*TRUTH, 5.0, 0.0, 0.0, np.nan]])
    weighed = weigh_by_white_noise(likelihood, np.zeros(1, dtype=int), point, pixels)
    noise = 1.0 / np.sqrt(weighed.weights[0, good[0]])
    assert noise == pytest.approx(SIGMA, rel=0.25)
    assert not weighed.weights[~good].any()
    assert (likelihood.weights == weights).all()
    # Noise-free spectra have a thousandth.
    model, _, _ = likelihood.with_continuum(likelihood.spectrum(point), np.zeros(1, dtype=int))
    exact = Likelihood(emulator, forward, model, weights, 1, ("velocity",), None)
    weighed = weigh_by_white_noise(exact, np.zeros(1, dtype=int), point, pixels)
    assert 1.0 / np.sqrt(weighed.weights[0, good[0]]) == pytest.approx(1e-3, rel=1e-6)


def test_no_error_is_no_change(estimator):
    emulator = estimator.emulator_.estimator
    star = observe(emulator)
    without = estimator.infer(star, **RANGES)
    emulator.model_error_ = LineErrors(0.0, 0.0)
    found = estimator.infer(star, **RANGES)
    np.testing.assert_allclose(found.parameters, without.parameters, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.covariance, without.covariance, rtol=1e-2, atol=1e-6)
    assert found.chi2 == pytest.approx(without.chi2, rel=1e-6)
    assert found.flags == without.flags
    assert found.log_evidence == pytest.approx(without.log_evidence, abs=0.01)


def test_false_ignores_the_errors(estimator):
    emulator = estimator.emulator_.estimator
    star = observe(emulator, LineErrors())
    without = estimator.infer(star, **RANGES)
    emulator.model_error_ = LineErrors()
    ignored = estimator.infer(star, model_error=False, **RANGES)
    np.testing.assert_array_equal(ignored.parameters, without.parameters)
    np.testing.assert_array_equal(ignored.covariance, without.covariance)
    used = estimator.infer(star, **RANGES)
    asked = estimator.infer(star, model_error=True, **RANGES)
    np.testing.assert_array_equal(used.parameters, asked.parameters)
    assert abs(used.parameters[0] - without.parameters[0]) > 1.0


def test_an_emulator_without_errors_is_refused(estimator):
    star = observe(estimator.emulator_)
    with pytest.raises(ValueError, match=r"calibrate it with skphx\.calibration\.LineCalibrator"):
        estimator.infer(star, model_error=True, **RANGES)


@pytest.mark.parametrize("value", ["yes", None, 1, np.ones(2)])
def test_other_values_are_refused(estimator, value):
    star = observe(estimator.emulator_)
    with pytest.raises(ValueError, match="model_error must be 'default', True or False"):
        estimator.infer(star, model_error=value, **RANGES)


@pytest.fixture(scope="module")
def drawn(lines):
    """Results of 60 stars whose lines are wrong, with and without the errors of the model."""
    emulator = FluxEmulator(lines.wavelength).fit(lines.parameters, lines.normalised)
    emulator.model_error_ = LineErrors()
    estimator = make_estimator(emulator)
    stars = [observe(emulator, emulator.model_error_, seed) for seed in range(60)]
    bounds = {"teff": (5000, 6000), "logg": (4.0, 4.5), "feh": (-0.5, 0.0)}
    return tuple(
        estimator.infer(stars, bounds=bounds, model_error=used, **RANGES) for used in (True, False)
    )


def coverage(results):
    """Return which parts of the intervals of 68 % contain the truth: of the parameters inside."""
    truth = np.array([*TRUTH, 5.0])
    z = (results.parameters - truth) / results.errors
    return (np.abs(z) < 1.0).mean(axis=0)


def test_intervals_contain_the_truth(drawn):
    with_errors, without = drawn
    assert ((coverage(with_errors) > 0.5) & (coverage(with_errors) < 0.85)).all()
    # Of 60 draws, a fraction of 0.68 scatters by 0.06.
    assert np.mean(coverage(without)) < np.mean(coverage(with_errors)) - 0.12


def test_parameters_are_more_accurate(drawn):
    truth = np.array([*TRUTH, 5.0])
    with_errors, without = (
        np.sqrt(np.mean((one.parameters - truth) ** 2, axis=0)) for one in drawn
    )
    assert (with_errors < 1.1 * without).all()


def test_whitened_residuals_are_those_of_noise(drawn):
    with_errors, without = drawn
    reduced = np.array([one.reduced_chi2 for one in with_errors])
    assert np.mean(reduced) == pytest.approx(1.0, abs=0.05)
    assert np.mean([one.reduced_chi2 for one in without]) > 1.5
    assert np.mean(["bad_fit" in one.flags for one in with_errors]) < 0.05
    assert np.mean(["bad_fit" in one.flags for one in without]) > 0.5


def test_a_part_of_the_wavelengths_has_its_own_errors(estimator):
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors()
    # The other pixels are masked: the emulator is cut only in the second call.
    star = observe(emulator, emulator.model_error_, seed=6)
    outside = (star.wavelength < 8508.0) | (star.wavelength > 8525.0)
    whole = estimator.infer(replace(star, mask=outside), **RANGES)
    inside = np.flatnonzero(~outside)
    part = estimator.infer(star.part(slice(inside[0], inside[-1] + 1)), **RANGES)
    assert part.n_pixels == whole.n_pixels
    # The polynomial is that of another interval, and edges of pixels are those of neighbours.
    np.testing.assert_allclose(part.parameters, whole.parameters, rtol=1e-3, atol=0.01)
    np.testing.assert_allclose(part.errors, whole.errors, rtol=0.02)


def test_a_star_of_two_segments(estimator):
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors(kernels=((0.003, 50.0),))
    star = observe(emulator, emulator.model_error_, seed=3)
    one = estimator.infer(star, **RANGES)
    two = estimator.infer([of_two_segments(star)], **RANGES)[0]
    assert (np.abs(two.parameters - one.parameters) < one.errors).all()
    assert two.ok
    assert [len(part) for part in two.residual] == [290, 250]


def test_two_exposures_share_the_errors_of_the_model(estimator):
    emulator = estimator.emulator_.estimator
    star = observe(emulator, noise=0.0)
    emulator.model_error_ = LineErrors(0.3)
    one = estimator.infer(star, **RANGES)
    four = estimator.infer([[star] * 4], **RANGES)[0]
    # Only the noise is halved.
    deeper = estimator.infer(replace(star, sigma=0.5 * star.sigma), **RANGES)
    np.testing.assert_allclose(four.errors, deeper.errors, rtol=0.02)
    assert (four.errors[:3] > 0.52 * one.errors[:3]).all()


def test_a_star_without_sigma(estimator):
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors()
    star = observe(emulator, emulator.model_error_, seed=2)
    known = estimator.infer(star, **RANGES)
    unknown = estimator.infer(replace(star, sigma=None), **RANGES)
    assert (np.abs(unknown.parameters - known.parameters) < known.errors).all()
    np.testing.assert_allclose(unknown.errors, known.errors, rtol=0.4)
    assert unknown.ok
    assert np.isnan(unknown.log_evidence)


def test_a_misfit_is_still_a_bad_fit(estimator):
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors()
    star = observe(emulator)
    # Lines that no model has.
    wrong = star.flux - 0.3 * np.exp(-0.5 * ((PIXELS - CENTRES[::3, None] - 0.5) / 0.15) ** 2).sum(
        axis=0
    )
    assert "bad_fit" in estimator.infer(replace(star, flux=wrong), **RANGES).flags
    flat = replace(star, flux=1.0 + SIGMA * np.random.default_rng(0).normal(size=len(PIXELS)))
    assert "featureless" not in estimator.infer(star, **RANGES).flags
    assert "featureless" in estimator.infer(replace(flat, sigma=None), **RANGES).flags


def test_priors_are_met(estimator):
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors()
    star = observe(emulator, emulator.model_error_, seed=1)
    alone = estimator.infer(star, **RANGES)
    prior = {"logg": (4.3, 0.02)}
    found = estimator.infer(star, priors=prior, **RANGES)
    assert found.errors[1] < 0.02 < alone.errors[1]
    assert abs(found.parameters[1] - 4.3) < 0.03
    assert np.isfinite(found.log_evidence)


def test_samples_have_the_errors(estimator):
    pytest.importorskip("emcee")
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors()
    star = observe(emulator, emulator.model_error_, seed=4)
    result = estimator.infer(star, n_samples=600, **RANGES)
    np.testing.assert_allclose(result.samples.std(axis=0), result.errors, rtol=0.3)
    distance = np.abs(result.samples.mean(axis=0) - result.parameters) / result.errors
    assert (distance < 0.5).all()


def test_several_processes_find_the_same(estimator):
    emulator = estimator.emulator_.estimator
    emulator.model_error_ = LineErrors()
    stars = [observe(emulator, emulator.model_error_, seed) for seed in range(2)]
    alone = estimator.infer(stars, **RANGES)
    together = estimator.set_params(n_jobs=2).infer(stars, **RANGES)
    np.testing.assert_allclose(together.parameters, alone.parameters, rtol=1e-9)


def test_predict_and_compiled_emulators_have_no_errors(estimator, lines):
    emulator = estimator.emulator_.estimator
    without = estimator.predict(lines.normalised[:2])
    emulator.model_error_ = LineErrors()
    np.testing.assert_array_equal(estimator.predict(lines.normalised[:2]), without)
    compiled = estimator.compile(resolution=30_000.0, wavelength=(8501.0, 8539.0))
    with pytest.raises(ValueError, match="model_error=True needs an emulator"):
        compiled.infer(observe(emulator), model_error=True, **RANGES)
