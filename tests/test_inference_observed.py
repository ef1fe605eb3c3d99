"""Observed stars to results: recovery, calibrated errors, masks, segments, priors, flags."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, RegressorMixin

from skphx import StellarParameterEstimator
from skphx.datasets import load_npz_grid, load_spectrum, make_stellar_grid
from skphx.flux._error import InterpolationError
from skphx.inference import FLAGS, ObservationModel, compare_emulators
from skphx.inference._compiling import compile_emulator
from skphx.inference._infer import infer_stars
from skphx.inference._likelihood import Likelihood, to_internal
from skphx.inference._sampling import PosteriorSampler
from skphx.inference._starting_points import TemplateScan
from skphx.interpolation import make_grid
from skphx.observing import ForwardModel, ObservedSpectrum, air_to_vacuum, vacuum_to_air

NAN = np.nan
RESOLUTION = 20_000
PIXELS = np.arange(8506.0, 8554.0, 0.08)
TRUTH = np.array([5230.0, 4.21, -0.17])
VELOCITY, VSINI = 23.0, 11.0
RANGES = {"velocity": (-60.0, 60.0), "vsini": (0.0, 40.0)}


class Pixels(RegressorMixin, BaseEstimator):
    """Cubic interpolation of pixels, with the derivatives that inference uses."""

    def __init__(self, wavelength=None, medium=None, error=None):
        self.wavelength = wavelength
        self.medium = medium
        self.error = error

    def fit(self, X, y):
        self.grid_ = make_grid(X, parameter_names=("teff", "logg", "feh"), interpolation="cubic")
        self.wavelength_ = self.wavelength
        self.spectra_ = y
        if self.error is not None:
            # The same error everywhere.
            self.error_ = InterpolationError(self.error[None], np.array([-1]), self.grid_.axes)
        return self

    def predict(self, X):
        return self.grid_.weights(X) @ self.spectra_

    def jacobian(self, X):
        return np.stack([w @ self.spectra_ for w in self.grid_.weights_jacobian(X)], axis=2)

    def normalize(self, spectra, parameters):
        return spectra

    def select(self, wavelength):
        inside = (self.wavelength >= wavelength[0]) & (self.wavelength <= wavelength[1])
        part = Pixels(self.wavelength[inside], self.medium)
        return part.fit(self.grid_.nodes, self.spectra_[:, inside])


@pytest.fixture(scope="module")
def nodes():
    grid = make_stellar_grid(
        teff=(4800, 5200, 5600, 6000),
        logg=(3.5, 4.0, 4.5, 5.0),
        feh=(-0.5, -0.2, 0.1),
        wavelength=(8500.0, 8560.0),
        n_pixels=2401,
        n_lines=45,
        random_state=5,
        return_lines=True,
    )
    grid.normalised = grid.spectra / grid.continuum
    return grid


@pytest.fixture(scope="module")
def emulator(nodes):
    return Pixels(nodes.wavelength).fit(nodes.parameters, nodes.normalised)


@pytest.fixture(scope="module")
def estimator(emulator):
    return StellarParameterEstimator.from_emulator(emulator, n_initial_points=60, random_state=0)


def observe(
    emulator, parameters=TRUTH, velocity=VELOCITY, vsini=VSINI, pixels=PIXELS, snr=None, seed=0
):
    """A star with a tilted continuum of 3, and noise where asked for."""
    segment = ObservedSpectrum(pixels, np.ones_like(pixels), resolution=RESOLUTION)
    path = ForwardModel(emulator.wavelength_, segment, max_velocity=60.0, max_broadening=40.0)
    flux = path.observe(emulator.predict(np.atleast_2d(parameters)), velocity, vsini)[0]
    flux = flux * (3.0 + 0.3 * np.linspace(-1, 1, len(pixels)))
    sigma = np.full(len(pixels), 3.0 / (snr or 100.0))
    if snr:
        flux = flux + np.random.default_rng(seed).normal(size=len(flux)) * sigma
    return ObservedSpectrum(pixels, flux, sigma=sigma, resolution=RESOLUTION)


def in_sigmas(result, truth):
    return (result.parameters - truth) / result.errors


ALL = [*TRUTH, VELOCITY, VSINI]


def test_a_moving_rotating_star_is_found(estimator, emulator):
    result = estimator.infer(observe(emulator), **RANGES)
    assert result.parameter_names == ("teff", "logg", "feh", "velocity", "vsini")
    np.testing.assert_allclose(in_sigmas(result, ALL), 0.0, atol=0.02)
    assert result.ok
    assert result.chi2 < 0.01
    assert result.n_pixels == np.isfinite(result.residual[0]).sum() <= len(PIXELS)
    assert result.n_free == 5 + 4
    assert result.n_shared_evaluations == 60
    np.testing.assert_allclose(
        result.continuum[0], 3.0 + 0.3 * np.linspace(-1, 1, len(PIXELS)), rtol=1e-3
    )
    good = np.isfinite(result.residual[0])
    star = observe(emulator)
    np.testing.assert_allclose((result.model[0] + result.residual[0])[good], star.flux[good])


@pytest.mark.slow
def test_errors_are_calibrated(estimator, emulator):
    random = np.random.default_rng(11)
    n_stars = 150
    truth = np.column_stack(
        [
            random.uniform(5000, 5800, n_stars),
            random.uniform(3.8, 4.8, n_stars),
            random.uniform(-0.4, 0.0, n_stars),
            random.uniform(-50, 50, n_stars),
            random.uniform(5, 20, n_stars),
        ]
    )
    stars = [
        observe(emulator, row[:3], row[3], row[4], snr=80, seed=seed)
        for seed, row in enumerate(truth)
    ]
    results = estimator.infer(stars, continuum_degree=2, **RANGES)
    z = np.array([in_sigmas(result, row) for result, row in zip(results, truth, strict=True)])
    # Of 150 draws, a fraction of 0.683 scatters by 0.038, one of 0.954 by 0.017.
    within = (np.abs(z) < 1.0).mean(axis=0)
    assert ((within > 0.57) & (within < 0.80)).all()
    assert (np.abs(z) < 2.0).mean(axis=0).min() > 0.90
    assert np.mean([result.reduced_chi2 for result in results]) == pytest.approx(1.0, abs=0.02)
    assert np.mean([result.ok for result in results]) > 0.95
    # The full covariance, with its correlations: chi² of five parameters.
    distance = [
        (result.parameters - row) @ np.linalg.solve(result.covariance, result.parameters - row)
        for result, row in zip(results, truth, strict=True)
    ]
    assert np.mean(distance) == pytest.approx(5.0, abs=1.0)


def make_problem(emulator, star, degree=2, free=("velocity", "vsini"), **settings):
    forward = ForwardModel(
        emulator.wavelength_, star, max_velocity=60, max_broadening=80, **settings
    )
    weights = np.where(forward.covered, 1.0 / star.sigma**2, 0.0)
    return Likelihood(emulator, forward, star.flux[None], weights[None], degree, free, None)


@pytest.mark.parametrize("degree", [None, 0, 3])
def test_the_gradient_is_that_of_differences(emulator, degree):
    star = replace(observe(emulator, snr=50), resolution=None)
    free = ("velocity", "vsini", "macroturbulence", "resolution")
    problem = make_problem(emulator, star, degree, free, resolution_range=(10_000, 30_000))
    point = to_internal(np.array([[5500.0, 4.4, -0.3, 20.0, 9.0, 4.0, 18_000.0]]), 3)
    rows = np.zeros(1, dtype=int)
    cost, gradient, curvature = problem.evaluate(point, rows)
    for column in range(7):
        step = 1e-4 * abs(point[0, column])
        sides = []
        for side in (-1, 1):
            moved = point.copy()
            moved[0, column] += side * step
            sides.append(problem.evaluate(moved, rows)[0][0])
        # The gradient is half that of the cost.
        expected = (sides[1] - sides[0]) / (4 * step)
        scale = np.sqrt(cost[0] * curvature[0, column, column])
        assert gradient[0, column] == pytest.approx(expected, abs=2e-4 * scale)
    np.testing.assert_allclose(curvature, np.swapaxes(curvature, 1, 2))


def test_curvature_is_marginalised_over_the_continuum(emulator):
    star = observe(emulator, snr=50)
    flat = star.flux / (1.0 + 0.1 * np.linspace(-1, 1, len(PIXELS)))
    star = replace(star, flux=flat)
    constant, free = (make_problem(emulator, star, degree) for degree in (0, 4))
    point = to_internal(np.array([[*TRUTH, VELOCITY, VSINI, 0.0, 0.0]]), 3)
    rows = np.zeros(1, dtype=int)
    _, _, jacobian = free.derivatives(point, rows)
    # Nothing that a continuum can do is left in the derivatives.
    spectrum = free.spectrum(point)
    by_continuum = spectrum[:, None] * free.bases[0]
    overlap = (jacobian * free.weights) @ np.swapaxes(by_continuum, 1, 2)
    norms = np.sqrt((jacobian**2 * free.weights).sum(axis=2))
    assert np.abs(overlap / norms[..., None]).max() < 1e-6 * np.sqrt(free.weights.max())
    # And with more freedom there is never more information.
    more, less = (
        problem.evaluate(point, rows)[2][0][np.ix_(free.columns, free.columns)]
        for problem in (constant, free)
    )
    ratios = eigh(less, more, eigvals_only=True)
    assert 0 < ratios.min() < 0.99
    assert ratios.max() < 1.01


def test_what_is_masked_is_not_seen(estimator, emulator):
    star = observe(emulator, snr=100)
    bad = slice(100, 140)
    masked = replace(star, mask=np.isin(np.arange(len(PIXELS)), np.arange(len(PIXELS))[bad]))
    flux = star.flux.copy()
    flux[bad] = NAN
    gap = replace(star, flux=flux)
    flux = star.flux.copy()
    flux[bad] = 1e6
    wild = replace(masked, flux=flux)
    sigma = star.sigma.copy()
    sigma[bad] = np.inf
    without = replace(star, sigma=sigma)
    results = estimator.infer([masked, gap, wild, without], **RANGES)
    for result in results:
        np.testing.assert_array_equal(result.parameters, results[0].parameters)
        assert np.isnan(result.residual[0][bad]).all()
        assert np.isfinite(result.model[0]).all()
    assert results[0].n_pixels == estimator.infer(star, **RANGES).n_pixels - 40


def test_sigma_and_ivar_are_the_same(estimator, emulator):
    star = observe(emulator, snr=100)
    mapping = {"wavelength": star.wavelength, "flux": star.flux, "resolution": RESOLUTION}
    by_sigma, by_ivar = estimator.infer(
        [{**mapping, "sigma": star.sigma}, {**mapping, "ivar": star.sigma**-2.0}], **RANGES
    )
    np.testing.assert_allclose(by_ivar.parameters, by_sigma.parameters, rtol=1e-9)
    np.testing.assert_allclose(by_ivar.covariance, by_sigma.covariance, rtol=1e-6)


def test_two_exposures_halve_the_variance(estimator, emulator):
    star = observe(emulator)
    one, two = estimator.infer([star, [star, star]], **RANGES)
    np.testing.assert_allclose(two.parameters, one.parameters, rtol=1e-3)
    np.testing.assert_allclose(two.covariance, 0.5 * one.covariance, rtol=1e-2)
    assert two.n_pixels == 2 * one.n_pixels
    assert len(two.model) == 2


def test_orders_have_continua_of_their_own(estimator, emulator):
    star = observe(emulator)
    orders = [
        ObservedSpectrum(
            star.wavelength[part],
            factor * star.flux[part],
            sigma=factor * star.sigma[part],
            resolution=RESOLUTION,
        )
        for part, factor in ((slice(0, 250), 1.0), (slice(230, None), 700.0))
    ]
    result = estimator.infer([orders], continuum_degree=1, **RANGES)[0]
    np.testing.assert_allclose(in_sigmas(result, ALL), 0.0, atol=0.05)
    assert result.chi2 < 0.05
    # The same as rows of two-dimensional arrays.
    rows = {
        name: np.array([getattr(star, name)[:250], getattr(star, name)[250:500]])
        for name in ("wavelength", "flux", "sigma")
    }
    result = estimator.infer({**rows, "resolution": RESOLUTION}, **RANGES)
    assert [len(part) for part in result.model] == [250, 250]
    np.testing.assert_allclose(in_sigmas(result, ALL), 0.0, atol=0.1)


def test_exposures_of_other_days_are_brought_together(estimator, emulator):
    first = observe(emulator, velocity=10.0)
    second = replace(observe(emulator, velocity=30.0), velocity=20.0)
    result = estimator.infer([[first, second]], **RANGES)[0]
    assert result.parameters[3] == pytest.approx(10.0, abs=0.01)
    assert result.chi2 < 0.05


def test_media_are_converted_or_asked_for(nodes, emulator):
    in_air = Pixels(nodes.wavelength, medium="air").fit(nodes.parameters, nodes.normalised)
    estimator = StellarParameterEstimator.from_emulator(in_air, random_state=0)
    star = observe(emulator)
    vacuum = replace(star, wavelength=air_to_vacuum(PIXELS), medium="vacuum")
    by_air = estimator.infer(star, medium="air", **RANGES)
    by_vacuum = estimator.infer(vacuum, **RANGES)
    np.testing.assert_allclose(by_vacuum.parameters, by_air.parameters, rtol=1e-6)
    assert by_air.parameters[3] == pytest.approx(VELOCITY, abs=0.01)
    # Taken for air, the same star moves by 80 km/s.
    wrong = replace(vacuum, medium="air")
    moved = estimator.infer(wrong, velocity=(0.0, 200.0), vsini=(0.0, 40.0))
    assert moved.parameters[3] == pytest.approx(VELOCITY + 82.0, abs=2.0)
    with pytest.raises(
        ValueError,
        match="observed spectrum does not say whether its wavelengths are in air or vacuum",
    ):
        estimator.infer(star, **RANGES)


def test_effects_are_held_at_numbers(estimator, emulator):
    star = observe(emulator)
    held = estimator.infer(star, velocity=VELOCITY, vsini=VSINI)
    assert held.parameter_names == ("teff", "logg", "feh")
    np.testing.assert_allclose(in_sigmas(held, TRUTH), 0.0, atol=0.02)
    # What is known makes the rest better known.
    free = estimator.infer(star, **RANGES)
    assert (held.errors < free.errors[:3]).all()


def test_resolution_can_be_fitted(estimator, emulator):
    star = replace(observe(emulator, vsini=0.0), resolution=None)
    result = estimator.infer(star, velocity=(-60, 60), resolution=(5_000.0, 80_000.0))
    assert result.parameter_names[-1] == "resolution"
    assert result.parameters[-1] == pytest.approx(RESOLUTION, rel=1e-3)
    assert 0 < result.errors[-1] < 0.1 * RESOLUTION


def test_a_line_spread_matrix_is_used(estimator, emulator):
    star = observe(emulator)
    shape = (len(PIXELS), len(PIXELS))
    matrix = sparse.diags_array([0.2, 0.6, 0.2], offsets=[-1, 0, 1], shape=shape).tolil()
    matrix[0, :2], matrix[-1, -2:] = [0.8, 0.2], [0.2, 0.8]
    blurred = replace(star, flux=matrix @ star.flux, line_spread=matrix)
    with_matrix = estimator.infer(blurred, **RANGES)
    np.testing.assert_allclose(in_sigmas(with_matrix, ALL), 0.0, atol=0.1)
    without = estimator.infer(replace(blurred, line_spread=None), **RANGES)
    assert without.parameters[4] > VSINI + 0.3


def test_macroturbulence_can_be_fitted(estimator, emulator):
    segment = observe(emulator, vsini=0.0)
    path = ForwardModel(emulator.wavelength_, segment, max_velocity=60, max_broadening=60)
    flux = path.observe(emulator.predict(TRUTH[None]), VELOCITY, 0.0, 15.0)[0]
    star = replace(segment, flux=flux)
    result = estimator.infer(star, velocity=(-60, 60), macroturbulence=(0.0, 40.0))
    assert result.parameters[-1] == pytest.approx(15.0, abs=0.1)


def test_a_star_at_rest_has_no_rotation_and_an_error_of_it(estimator, emulator):
    result = estimator.infer(observe(emulator, velocity=0.0, vsini=0.0), **RANGES)
    assert result.parameters[4] < 1.0
    assert 0.5 < result.errors[4] < 10.0
    assert result.at_bound == ()


def test_priors_weigh_like_measurements(estimator, emulator):
    star = observe(emulator, snr=20)
    plain = estimator.infer(star, **RANGES)
    precision = np.linalg.inv(plain.covariance)
    mean, deviation = plain.parameters[1] + 0.5 * plain.errors[1], plain.errors[1]
    for priors in ({"logg": (mean, deviation)}, [[NAN, NAN], [mean, deviation], [NAN, NAN]]):
        pulled = estimator.infer(star, priors=priors, **RANGES)
        added = precision.copy()
        added[1, 1] += deviation**-2.0
        covariance = np.linalg.inv(added)
        shift = covariance[:, 1] * (mean - plain.parameters[1]) / deviation**2
        np.testing.assert_allclose(pulled.errors, np.sqrt(np.diag(covariance)), rtol=0.1)
        np.testing.assert_allclose(
            (pulled.parameters - plain.parameters) / plain.errors, shift / plain.errors, atol=0.05
        )
    velocities = np.array([VELOCITY, VELOCITY + 30.0])
    first, second = estimator.infer(
        [star, star], priors={"velocity": (velocities, 0.01)}, **RANGES
    )
    assert first.parameters[3] == pytest.approx(VELOCITY, abs=0.1)
    assert second.parameters[3] > VELOCITY + 1.0


@pytest.mark.parametrize(
    ("priors", "message"),
    [
        ({"mass": (1.0, 1.0)}, "priors names 'mass', but the parameters are"),
        ({"teff": (5000.0, 0.0)}, "teff has mean 5000 and standard deviation 0"),
        ({"teff": (5000.0, 1.0, 2.0)}, r"priors\['teff'\] must be \(mean, standard deviation\)"),
        ({"teff": ([1.0, 2.0, 3.0], 1.0)}, r"arrays of shape \(1,\), got shape \(3,\)"),
        ([[5000.0, 1.0]], r"priors must have shape \(3, 2\) or \(1, 3, 2\)"),
    ],
)
def test_wrong_priors_are_named(estimator, emulator, priors, message):
    star = observe(emulator)
    with pytest.raises(ValueError, match=message):
        estimator.infer(star, priors=priors)


def test_a_bound_is_told(estimator, emulator):
    result = estimator.infer(
        observe(emulator, snr=100), bounds=[[5400, 6000], [NAN, NAN], [NAN, NAN]], **RANGES
    )
    assert result.parameters[0] == 5400.0
    assert "at_bound" in result.flags
    assert result.at_bound == ("teff",)
    assert "teff" in str(result)


def nonsense(kind, random):
    x = np.linspace(-1, 1, len(PIXELS))
    return {
        "noise": 1 + 0.3 * random.normal(size=len(x)),
        "waves": 1 + 0.4 * np.sin(90 * x),
        "steps": np.where(np.sin(40 * x) > 0, 1.0, 0.4),
        "emission": 1 + 3 * np.exp(-0.5 * (x / 0.01) ** 2),
    }[kind]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["noise", "waves", "steps", "emission"])
@pytest.mark.parametrize("sigma", [0.01, None])
def test_nonsense_gets_a_flag_and_wide_errors(estimator, emulator, kind, sigma):
    flux = nonsense(kind, np.random.default_rng(0))
    star = ObservedSpectrum(PIXELS, flux, sigma=sigma, resolution=RESOLUTION)
    result = estimator.infer(star, **RANGES)
    assert {"bad_fit", "featureless"} & set(result.flags)
    honest = estimator.infer(observe(emulator, snr=100), **RANGES)
    assert (result.errors[:3] > 3 * honest.errors[:3]).all()
    for flag in result.flags:
        assert FLAGS[flag][:30] in str(result)


def test_pure_noise_with_honest_errors_says_nothing(estimator):
    flux = 1 + 0.1 * np.random.default_rng(3).normal(size=len(PIXELS))
    star = ObservedSpectrum(PIXELS, flux, sigma=0.1, resolution=RESOLUTION)
    result = estimator.infer(star, **RANGES)
    assert "featureless" in result.flags
    # Uniform in the box: 1200 K over the root of 12.
    assert result.errors[0] >= 340.0
    assert np.isfinite(result.covariance).all()


def test_without_errors_the_scatter_stands_for_them(estimator, emulator):
    star = observe(emulator, snr=60)
    known = estimator.infer(star, **RANGES)
    unknown = estimator.infer(replace(star, sigma=None), **RANGES)
    np.testing.assert_allclose(unknown.errors, known.errors, rtol=0.15)
    np.testing.assert_allclose(in_sigmas(unknown, known.parameters), 0.0, atol=0.2)
    assert unknown.ok
    assert unknown.reduced_chi2 == pytest.approx(1.0)
    assert np.isnan(unknown.log_evidence)
    assert "errors from the scatter" in str(unknown)


def test_too_small_errors_are_widened(estimator, emulator):
    star = observe(emulator, snr=60)
    honest = estimator.infer(star, **RANGES)
    proud = estimator.infer(replace(star, sigma=star.sigma / 4), **RANGES)
    assert "bad_fit" in proud.flags
    assert proud.reduced_chi2 == pytest.approx(16 * honest.reduced_chi2, rel=0.05)
    np.testing.assert_allclose(proud.errors, honest.errors, rtol=0.1)


def test_errors_that_neighbours_share_widen_more(estimator, emulator):
    star = observe(emulator, snr=300)
    random = np.random.default_rng(4)
    white = random.normal(size=len(PIXELS))
    smooth = np.convolve(random.normal(size=len(PIXELS) + 14), np.ones(15) / 15**0.5, "valid")
    alone, shared = estimator.infer(
        [replace(star, flux=star.flux + 0.03 * error) for error in (white, smooth)], **RANGES
    )
    assert shared.reduced_chi2 == pytest.approx(alone.reduced_chi2, rel=0.3)
    assert {"bad_fit"} == set(alone.flags) == set(shared.flags)
    # Fifteen pixels move together: nearly a fifteenth of the information.
    ratio = (shared.errors[:3] / alone.errors[:3]) ** 2
    assert ((ratio > 4) & (ratio < 25)).all()


def test_the_emulators_error_is_in_the_covariance(nodes, emulator):
    # An error that looks like another parameter, and is as large as the noise allows to see.
    random = np.random.default_rng(7)
    smooth = np.convolve(random.normal(size=len(nodes.wavelength)), np.ones(20) / 20, "same")
    error = 0.01 * smooth
    wrong = Pixels(nodes.wavelength, error=error).fit(nodes.parameters, nodes.normalised)
    star = observe(emulator)
    moved = Pixels(nodes.wavelength).fit(nodes.parameters, nodes.normalised + error)
    truth = StellarParameterEstimator.from_emulator(moved, random_state=0).infer(star, **RANGES)
    told = StellarParameterEstimator.from_emulator(wrong, random_state=0).infer(star, **RANGES)
    shift = truth.parameters - ALL
    claimed = np.sqrt(np.diag(told.emulator_covariance))
    assert (np.abs(shift) > 0.02 * told.errors).any()
    np.testing.assert_allclose(claimed, np.abs(shift), rtol=0.25, atol=0.03 * told.errors.max())
    bare = StellarParameterEstimator.from_emulator(emulator, random_state=0).infer(star, **RANGES)
    assert (bare.emulator_covariance == 0).all()
    assert (told.errors > bare.errors).all()


def test_pixels_beyond_the_model_are_left_out(estimator, emulator, nodes):
    star = observe(emulator)
    wide = np.arange(8480.0, 8554.0, 0.08)
    flux = np.interp(wide, PIXELS, star.flux)
    result = estimator.infer(
        ObservedSpectrum(wide, flux, sigma=0.03, resolution=RESOLUTION), **RANGES
    )
    # A spectrum that is wider than the model is cut without a word.
    assert result.ok
    assert np.isnan(result.residual[0][wide < 8500]).all()
    np.testing.assert_allclose(in_sigmas(result, ALL), 0.0, atol=0.5)
    with pytest.raises(ValueError, match="model must cover the pixels"):
        estimator.infer(replace(star, wavelength=PIXELS + 300), **RANGES)
    nothing = replace(star, mask=np.arange(len(PIXELS)) > 5)
    with pytest.raises(ValueError, match=r"star 1 has \d good pixels .* a fit needs 10"):
        estimator.infer([star, nothing], **RANGES)
    # All good pixels are outside, and masked ones inside.
    outside = ObservedSpectrum(wide, flux, sigma=0.03, mask=wide > 8495.0)
    message = r"has 0 good .* 8500 to 8560 Å, .* 188 good pixels in all, from 8480 to 8494.96"
    with pytest.raises(ValueError, match=message):
        estimator.infer(outside, **RANGES)


def test_pixels_lost_inside_the_model_are_told(nodes, emulator, estimator):
    star = observe(emulator)
    # Velocities that reach beyond the ends of the model cost pixels which it has.
    wide = {"velocity": (-450.0, 450.0), "vsini": (0.0, 40.0)}
    result = estimator.infer(star, **wide)
    assert "uncovered" in result.flags
    assert result.n_pixels < 0.9 * len(PIXELS)
    # So does a gap between two ranges of the model; a model of one range has none.
    inside = np.abs(nodes.wavelength - 8530.0) > 4.0
    gappy = Pixels(nodes.wavelength[inside]).fit(nodes.parameters, nodes.normalised[:, inside])
    by_gaps = StellarParameterEstimator.from_emulator(gappy, n_initial_points=60, random_state=0)
    result = by_gaps.infer(star, **RANGES)
    assert result.flags == ("uncovered",)
    assert np.isnan(result.residual[0][np.abs(PIXELS - 8530.0) < 4.0]).all()
    np.testing.assert_allclose(in_sigmas(result, ALL), 0.0, atol=0.05)
    assert estimator.infer(star, **RANGES).n_pixels > result.n_pixels + 100


@pytest.mark.slow
def test_stars_do_not_depend_on_each_other(emulator):
    stars = [observe(emulator, snr=50, seed=seed) for seed in range(3)]
    stars.append(observe(emulator, pixels=PIXELS[50:400], snr=50))
    settings = {"n_initial_points": 30, "random_state": 0}
    estimator = StellarParameterEstimator.from_emulator(emulator, **settings)
    together = estimator.infer(stars, **RANGES)
    for star, result in zip(stars, together, strict=True):
        alone = estimator.infer(star, **RANGES)
        np.testing.assert_allclose(alone.parameters, result.parameters, rtol=1e-9)
    parallel = StellarParameterEstimator.from_emulator(emulator, n_jobs=2, **settings)
    for one, other in zip(parallel.infer(stars, **RANGES), together, strict=True):
        np.testing.assert_allclose(one.parameters, other.parameters, rtol=1e-9)


def test_only_the_wavelengths_that_matter_are_emulated(emulator, monkeypatch):
    estimator = StellarParameterEstimator.from_emulator(emulator, random_state=0)
    star = observe(emulator, pixels=PIXELS[200:400])
    asked = []
    select = Pixels.select
    monkeypatch.setattr(
        Pixels,
        "select",
        lambda self, wavelength: asked.append(wavelength) or select(self, wavelength),
    )
    narrow = estimator.infer(star, **RANGES)
    assert len(asked) == 1
    monkeypatch.delattr(Pixels, "select")
    whole = estimator.infer(star, **RANGES)
    np.testing.assert_allclose(in_sigmas(narrow, whole.parameters), 0.0, atol=1e-3)


def test_inference_of_observed_stars_needs_no_scikit_optimize(estimator, emulator, monkeypatch):
    monkeypatch.setitem(sys.modules, "skopt", None)
    assert estimator.infer(observe(emulator), **RANGES).ok


def test_an_emulator_without_derivatives_is_differenced(nodes, emulator, estimator):
    class Plain(Pixels):
        jacobian = property()  # hasattr() is False

    plain = Plain(nodes.wavelength).fit(nodes.parameters, nodes.normalised)
    star = observe(emulator, snr=100)
    by_differences = StellarParameterEstimator.from_emulator(
        plain, n_initial_points=60, random_state=0
    ).infer(star, **RANGES)
    exact = estimator.infer(star, **RANGES)
    np.testing.assert_allclose(in_sigmas(by_differences, exact.parameters), 0.0, atol=0.02)
    np.testing.assert_allclose(by_differences.errors, exact.errors, rtol=0.02)


def test_the_scan_begins_near_the_star(emulator):
    star = observe(emulator, snr=50)
    observing = ObservationModel(**RANGES)
    forward = observing.forward_model_to([star], emulator)
    weights = np.where(forward.covered, star.sigma**-2.0, 0.0)
    problem = Likelihood(
        emulator, forward, star.flux[None], weights[None], 2, observing.free, None
    )
    random = np.random.RandomState(0)
    box = emulator.grid_.bounds
    templates = box[:, 0] + random.uniform(size=(80, 3)) * np.ptp(box, axis=1)
    boxes = np.concatenate([box, observing.ranges])[None]
    scan = TemplateScan(problem, templates, observing.ranges)
    start = scan.starts(np.zeros(1, int), boxes, 1)[0, 0]
    assert start[3] == pytest.approx(VELOCITY, abs=5.0)
    assert abs(start[0] - TRUTH[0]) < 400
    # Boxes are kept where a template lies in one.
    boxes[0, 0] = [5600.0, 6000.0]
    start = scan.starts(np.zeros(1, int), boxes, 2)[0]
    assert (start[:, 0] >= 5600.0).all()


def test_of_long_spectra_a_part_is_scanned(estimator, emulator, monkeypatch):
    star = observe(emulator, snr=50)
    # The middle, where the part would be, is masked.
    star = replace(star, mask=np.abs(PIXELS - 8530.0) < 8.0)
    whole = estimator.infer([[star, star]], **RANGES)[0]
    scanned = []
    scan = TemplateScan.__init__

    def watched(self, problem, *args):
        scanned.append(problem)
        scan(self, problem, *args)

    monkeypatch.setattr(TemplateScan, "__init__", watched)
    monkeypatch.setattr("skphx.inference._infer._MOST_SCANNED", 300)
    part = estimator.infer([[star, star]], **RANGES)[0]
    assert scanned[0].forward.n_pixels == 300
    assert (scanned[0].weights > 0).mean() > 0.9
    np.testing.assert_allclose(in_sigmas(part, whole.parameters), 0.0, atol=0.02)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"velocity": (5.0, -5.0)}, r"velocity must be \(low, high\) with low < high"),
        ({"velocity": (1, 2, 3)}, r"velocity must be a number, to hold it, or \(low, high\)"),
        ({"vsini": -1.0}, "vsini must not be negative, got -1"),
        ({"macroturbulence": NAN}, "macroturbulence must be a number"),
        ({"continuum_degree": -1}, "continuum_degree must be an integer from 0, or None"),
        ({"continuum_degree": 1.5}, "continuum_degree must be an integer from 0, or None"),
        ({"n_samples": -1}, "n_samples == -1"),
        ({"velocity": "fast"}, "velocity must hold numbers, got the text 'fast'"),
        ({"bounds": {"teff": ("5000", 5500)}}, r"bounds\['teff'\] must hold numbers, got the t"),
        ({"priors": {"teff": (5000, "50")}}, r"priors\['teff'\] must hold numbers, got the te"),
        ({"limb_darkening": "x"}, "limb_darkening must hold numbers, got the text 'x'"),
        ({"limb_darkening": NAN}, "limb_darkening must be from 0 to 1, got nan"),
        ({"bounds": "x"}, "bounds must hold numbers, got the text 'x'"),
        ({"priors": {"nothing": (1, 2)}}, "priors names 'nothing', .*: use one of them"),
    ],
)
def test_wrong_settings_are_named(estimator, emulator, settings, message):
    star = observe(emulator)
    with pytest.raises(ValueError, match=message):
        estimator.infer(star, **settings)


def test_settings_are_replaced_one_by_one(emulator):
    own = StellarParameterEstimator.from_emulator(emulator, random_state=0)
    own.set_params(observation_model__velocity=(-60, 60), n_starts=3)
    own.set_params(observation_model__vsini=(0.0, 40.0))
    assert own.observation_model == ObservationModel(velocity=(-60, 60), vsini=(0.0, 40.0))
    assert own.n_starts == 3
    with pytest.raises(ValueError, match="'speed' is not a setting of ObservationModel, which ha"):
        own.set_params(observation_model__speed=3.0)
    with pytest.raises(ValueError, match="vsini must not be negative"):
        own.set_params(observation_model__vsini=-1.0)


def test_only_some_segments_with_errors(estimator, emulator):
    star = observe(emulator, snr=100)
    with pytest.raises(ValueError, match="segment 1 has no sigma and others of the same star"):
        estimator.infer([[star, replace(star, sigma=None)]], **RANGES)
    alone, without = estimator.infer([star, replace(star, sigma=None)], **RANGES)
    assert alone.sigma_known
    assert not without.sigma_known


@pytest.mark.parametrize("errors", [True, False])
def test_a_negative_continuum_is_a_bad_fit(estimator, emulator, errors):
    star = observe(emulator, snr=100)
    inverted = replace(star, flux=-star.flux, sigma=star.sigma if errors else None)
    assert "bad_fit" in estimator.infer(inverted, **RANGES).flags
    assert "bad_fit" not in estimator.infer(star, **RANGES).flags


def test_samples_are_counted(estimator, emulator):
    with pytest.raises(TypeError, match="n_samples must be a number of samples, not True"):
        estimator.infer(observe(emulator), n_samples=True)


def test_a_result_is_a_row_of_a_table(estimator, emulator):
    result = estimator.infer(observe(emulator, snr=100), **RANGES)
    row = result.as_dict()
    assert row["teff"] == result.parameters[0]
    assert row["vsini_error"] == result.errors[4]
    assert row["flags"] == ""
    assert "teff=52" in repr(result)


@pytest.mark.slow
def test_the_grid_that_made_a_star_is_chosen(nodes, emulator):
    metal_poor = nodes.normalised**0.6
    estimators = {
        "ours": StellarParameterEstimator.from_emulator(emulator, random_state=0),
        "theirs": StellarParameterEstimator.from_emulator(
            Pixels(nodes.wavelength[:2200]).fit(nodes.parameters, metal_poor[:, :2200]),
            random_state=0,
        ),
    }
    star = observe(emulator, snr=100)
    for criterion in ("evidence", "chi2"):
        choice = compare_emulators(estimators, star, criterion=criterion, **RANGES)
        assert choice.name == "ours"
        assert choice.result is choice.results["ours"]
        assert criterion in str(choice)
        # Both have seen the same pixels, those that the shorter one covers.
        assert choice.results["ours"].n_pixels == choice.results["theirs"].n_pixels
    assert choice.probabilities["ours"] > 0.999
    unknown = compare_emulators(estimators, replace(star, sigma=None), criterion="chi2", **RANGES)
    assert unknown.name == "ours"
    with pytest.raises(ValueError, match="criterion='evidence' needs sigma or ivar"):
        compare_emulators(estimators, replace(star, sigma=None))
    with pytest.raises(ValueError, match="criterion must be one of"):
        compare_emulators(estimators, star, criterion="taste")
    with pytest.raises(ValueError, match="one estimator or more"):
        compare_emulators({}, star)


def test_evidence_prefers_the_smaller_box(estimator, emulator):
    star = observe(emulator, snr=50)
    wide = estimator.infer(star, **RANGES)
    narrow = estimator.infer(star, velocity=(10.0, 40.0), vsini=RANGES["vsini"])
    # The same best point in a prior a quarter as wide.
    assert narrow.log_evidence - wide.log_evidence == pytest.approx(np.log(4.0), abs=0.1)


@pytest.fixture(scope="module")
def compiled(emulator):
    return compile_emulator(emulator, resolution=RESOLUTION, random_state=1)


class TestCompiled:
    def test_its_error_is_as_stated(self, compiled, emulator):
        random = np.random.default_rng(9)
        box = emulator.grid_.bounds
        points = box[:, 0] + random.uniform(size=(40, 3)) * np.ptp(box, axis=1)
        path = ForwardModel(
            emulator.wavelength_, ObservedSpectrum(PIXELS, PIXELS, resolution=RESOLUTION)
        )
        small = ForwardModel(
            compiled.wavelength_,
            ObservedSpectrum(PIXELS, PIXELS, resolution=RESOLUTION),
            model_resolution=compiled.resolution_,
        )
        seen = path.covered & small.covered
        difference = path.observe(emulator.predict(points)) - small.observe(
            compiled.predict(points)
        )
        assert np.sqrt(np.mean(difference[:, seen] ** 2)) < 2 * compiled.compile_rms_ + 2e-5
        assert 0 < compiled.compile_rms_ < 1e-3
        assert len(compiled.wavelength_) < len(emulator.wavelength_)

    def test_its_derivatives_are_those_of_differences(self, compiled):
        jacobian = compiled.jacobian(TRUTH[None])
        for column, step in enumerate((1.0, 1e-3, 1e-3)):
            move = np.eye(3)[column] * step
            sides = compiled.predict(np.array([TRUTH - move, TRUTH + move]))
            np.testing.assert_allclose(
                jacobian[0, :, column], (sides[1] - sides[0]) / (2 * step), atol=1e-5 / step
            )

    def test_answers_are_those_of_the_full_path(self, estimator, emulator):
        survey = estimator.compile(resolution=RESOLUTION)
        stars = [observe(emulator, snr=100, seed=seed) for seed in range(5)]
        stars = [replace(star, mask=np.abs(PIXELS - 8530) > 20) for star in stars]
        full = estimator.infer(stars, **RANGES)
        fast = survey.infer(stars, **RANGES)
        for one, other in zip(full, fast, strict=True):
            np.testing.assert_allclose(in_sigmas(one, other.parameters), 0.0, atol=0.1)
            np.testing.assert_allclose(one.errors, other.errors, rtol=0.02)

    def test_it_is_for_its_box_and_range(self, emulator):
        bounds = [[5000, 5500], [4.25, 4.25], [NAN, NAN]]
        compiled = compile_emulator(emulator, bounds=bounds, wavelength=(8510.0, 8540.0))
        np.testing.assert_array_equal(
            compiled.grid_.bounds, [[5000, 5500], [4.25, 4.25], [-0.5, 0.1]]
        )
        assert compiled.wavelength_[0] >= 8510
        assert compiled.wavelength_[-1] <= 8540
        point = np.array([[5200.0, 4.25, -0.2]])
        inside = (emulator.wavelength_ >= 8510) & (emulator.wavelength_ <= 8540)
        np.testing.assert_allclose(
            compiled.predict(point)[0], emulator.predict(point)[0, inside], atol=1e-3
        )
        with pytest.raises(ValueError, match="points must lie inside the grid"):
            compiled.predict([[4900.0, 4.25, -0.2]])
        with pytest.raises(ValueError, match=r"wavelength must be a range \(low, high\)"):
            compile_emulator(emulator, wavelength=(8000.0, 8540.0))

    def test_a_sharper_instrument_is_refused(self, estimator, emulator):
        survey, star = estimator.compile(resolution=5_000), observe(emulator)
        with pytest.raises(
            ValueError, match="a resolution of 5000 and cannot be observed at 20000"
        ):
            survey.infer(star, **RANGES)
        with pytest.raises(ValueError, match="every segment must have one; set resolution"):
            survey.infer(replace(star, resolution=None), **RANGES)


@pytest.mark.slow
class TestSampler:
    def test_draws_agree_with_the_covariance_where_it_is_gaussian(self, estimator, emulator):
        star = observe(emulator, snr=100)
        held = {"velocity": (-60.0, 60.0), "vsini": VSINI, "continuum_degree": 2}
        result = estimator.infer(star, n_samples=1500, **held)
        assert result.samples.shape == (1500, 4)
        z = (result.samples - result.parameters) / result.errors
        np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.2)
        np.testing.assert_allclose(z.std(axis=0), 1.0, atol=0.15)
        drawn = np.corrcoef(result.samples.T)
        expected = result.covariance / np.outer(result.errors, result.errors)
        np.testing.assert_allclose(drawn, expected, atol=0.15)

    def test_draws_stay_in_the_box_and_repeat(self, estimator, emulator):
        star = observe(emulator, parameters=[5990.0, 4.2, -0.2], vsini=0.0, snr=30)
        result = estimator.infer(star, n_samples=60, **RANGES)
        assert result.samples[:, 0].max() <= 6000.0
        assert result.samples[:, 4].min() >= 0.0
        again = estimator.infer(star, n_samples=60, **RANGES)
        np.testing.assert_array_equal(result.samples, again.samples)

    def test_the_emulators_own_error_widens_the_draws(self, estimator, emulator, monkeypatch):
        original = PosteriorSampler.__call__

        def with_error(sampler, problem, row, box, result, scale):
            covariance = np.zeros_like(result.covariance)
            covariance[0, 0] = 80.0**2
            return original(
                sampler, problem, row, box, replace(result, emulator_covariance=covariance), scale
            )

        star = observe(emulator, snr=100)
        narrow = estimator.infer(star, n_samples=500).samples[:, 0].std()
        monkeypatch.setattr(PosteriorSampler, "__call__", with_error)
        wide = estimator.infer(star, n_samples=500).samples[:, 0].std()
        assert wide == pytest.approx(np.hypot(narrow, 80.0), rel=0.15)

    def test_without_emcee_it_says_so(self, estimator, emulator, monkeypatch):
        monkeypatch.setitem(sys.modules, "emcee", None)
        with pytest.raises(ImportError, match=r"pip install 'skphx\[sample\]'"):
            estimator.infer(observe(emulator), n_samples=5)


def test_infer_stars_is_what_the_estimator_calls(estimator, emulator):
    star = observe(emulator, snr=100)
    box = emulator.grid_.bounds
    templates = box[:, 0] + np.random.RandomState(0).uniform(size=(60, 3)) * np.ptp(box, axis=1)
    found = infer_stars(
        emulator,
        [star],
        ObservationModel(**RANGES),
        box[None],
        None,
        templates,
        n_starts=1,
        n_jobs=None,
    )[0]
    np.testing.assert_allclose(
        in_sigmas(found, estimator.infer(star, **RANGES).parameters), 0.0, atol=0.02
    )


@pytest.mark.shared_data
def test_a_real_star_from_file_to_parameters(shared_data):
    # Ten lines of a user's code, but for the emulator: splines through a part of a real grid.
    grid = load_npz_grid(shared_data / "atlas9_rvs_grid.npz", medium="air")
    teff, logg, _ = grid.parameters.T
    rows = (teff % 500 == 0) & (logg % 1 == 0)
    emulator = Pixels(grid.wavelength, medium=grid.medium)
    emulator.fit(grid.parameters[rows], grid.spectra[rows])
    estimator = StellarParameterEstimator.from_emulator(emulator, random_state=0)
    star = load_spectrum(shared_data / "observed" / "gaia_rvs_Kepler-93.csv")
    calcium = vacuum_to_air([8500.35, 8544.44, 8664.52]) * 1.000275
    near = np.abs(star.wavelength[:, None] - calcium).min(axis=1) < 3.0
    star = {**star, "mask": star.mask | near}
    result = estimator.infer(star, velocity=(-150.0, 150.0), vsini=(0.0, 40.0))
    # These spectra are at rest already. The models' error is told, and in the errors: within
    # three of them is what is known of the star otherwise.
    assert abs(result.parameters[3]) < 2.0
    assert "bad_fit" in result.flags
    assert 2.0 < result.reduced_chi2 < 5.0
    away = (result.parameters[:3] - [5669.0, 4.47, -0.18]) / result.errors[:3]
    assert np.abs(away).max() < 3.0
    assert result.errors[0] > 50.0


def test_a_segment_without_any_good_pixel_changes_nothing(estimator, emulator):
    star = observe(emulator, snr=100)
    dark = replace(star, mask=np.ones(len(PIXELS), dtype=bool))
    alone, both = estimator.infer([star, [star, dark]], **RANGES)
    np.testing.assert_allclose(both.parameters, alone.parameters, rtol=1e-6)
    assert both.n_free == alone.n_free
    assert both.log_evidence == pytest.approx(alone.log_evidence, rel=1e-6)
    unknown = [replace(star, sigma=None), replace(dark, sigma=None)]
    assert estimator.infer([unknown], **RANGES)[0].ok
