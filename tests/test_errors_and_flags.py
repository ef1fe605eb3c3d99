"""Errors that follow the residuals, priors that a misfit cannot overrule, and flags."""

import numpy as np
import pytest

from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import load_npz_grid, make_stellar_grid
from skphx.inference._covariance import with_priors
from skphx.inference._misfit import (
    correlations,
    is_misfit,
    noise_between_lines,
    variance_scale,
    white_noise,
)

RANGES = {"velocity": (-20.0, 20.0), "continuum_degree": 2}
TRUTH = np.array([5300.0, 4.2, -0.2])
INSIDE = slice(100, -100)


@pytest.fixture(scope="module")
def grid():
    return make_stellar_grid(
        teff=(5000.0, 5250.0, 5500.0, 5750.0),
        logg=(3.5, 4.0, 4.5),
        feh=(-0.5, 0.0, 0.5),
        wavelength=(8500.0, 8560.0),
        n_pixels=2000,
        n_lines=40,
    )


@pytest.fixture(scope="module")
def estimator(grid):
    emulator = FluxEmulator(grid.wavelength).fit(
        grid.parameters, grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    )
    return StellarParameterEstimator.from_emulator(emulator, random_state=0)


@pytest.fixture(scope="module")
def flux(estimator):
    return estimator.emulator_.predict(TRUTH[None])[0]


def star_of(grid, flux, noise, sigma):
    return {
        "wavelength": grid.wavelength[INSIDE],
        "flux": (flux + noise)[INSIDE],
        "sigma": sigma,
    }


def noise_of(n_pixels, seed=0, width=1):
    """Gaussian noise of variance 1, each value shared by about `width` pixels."""
    random = np.random.default_rng(seed)
    white = random.normal(size=n_pixels + width - 1)
    return np.convolve(white, np.ones(width) / np.sqrt(width), "valid")


def wrong_in_lines(flux):
    """Part of a spectrum that no model has: every second line is too deep by a third."""
    depth = 1.0 - flux
    half = np.arange(len(flux)) % 400 < 200
    return -0.33 * depth * half


@pytest.mark.parametrize("width", [1, 2, 5, 12])
def test_a_variance_grows_with_the_number_of_pixels_that_share_noise(width):
    n = 20_000
    good, slices = np.ones(n, dtype=bool), [slice(0, n // 2), slice(n // 2, n)]
    good[np.random.default_rng(1).random(n) < 0.1] = False
    scale = variance_scale(noise_of(n, width=width), good, slices, n, sigma_known=True)
    assert scale == pytest.approx(0.9 * width, rel=0.15 if width > 1 else 0.12)


def test_correlations_never_rise_with_distance_and_are_zero_for_no_residuals():
    n = 500
    good = np.ones(n, dtype=bool)
    waves = np.sin(np.arange(n) / 5.0)
    found = correlations(waves, good, [slice(0, n)])
    assert (np.diff(found) <= 0).all()
    assert found.min() == 0.0
    assert found[0] == pytest.approx(np.cos(1 / 5.0), rel=0.01)
    assert not correlations(np.zeros(n), good, [slice(0, n)]).any()


def test_known_errors_are_never_lowered_and_unknown_ones_follow_the_scatter():
    n = 5000
    good, slices = np.ones(n, dtype=bool), [slice(0, n)]
    small = 0.1 * noise_of(n)
    assert variance_scale(small, good, slices, n, sigma_known=True) == 1.0
    assert variance_scale(small, good, slices, n, sigma_known=False) == pytest.approx(
        0.01, rel=0.1
    )


def test_white_noise_is_what_neighbours_do_not_share():
    n = 20_000
    good, slices = np.ones(n, dtype=bool), [slice(0, n // 2), slice(n // 2, n)]
    waves = 5.0 * np.sin(np.arange(n) / 200.0)
    spikes = np.where(np.arange(n) % 100 == 7, 1000.0, 0.0)
    found = white_noise(0.3 * noise_of(n) + waves + spikes, good, slices)
    assert found == pytest.approx(0.09, rel=0.1)
    assert white_noise(np.ones(n), np.arange(n) % 2 == 0, slices) == 0.0


def test_noise_alone_is_no_bad_fit_without_errors(estimator, grid, flux):
    stars = [
        star_of(grid, flux, noise_of(len(flux), seed=seed) / snr, None)
        for snr in (5, 10, 100)
        for seed in range(5)
    ]
    assert not any("bad_fit" in flags for flags in estimator.infer(stars, **RANGES).flags)


def test_error_bars_are_continuous_in_sigma(estimator, grid, flux):
    noise = wrong_in_lines(flux) + noise_of(len(flux)) / 200
    sigmas = np.geomspace(0.002, 0.02, 24)
    results = estimator.infer([star_of(grid, flux, noise, sigma) for sigma in sigmas], **RANGES)
    reduced = np.array([result.reduced_chi2 for result in results])
    flagged = np.array(["bad_fit" in result.flags for result in results])
    assert reduced.min() < 1.0
    assert reduced.max() > 5.0
    assert flagged.any()
    assert not flagged.all()
    errors = np.array([result.errors for result in results])[:, :3]
    # Neighbouring values of sigma differ by a tenth, and so no error by much more.
    ratio = errors[1:] / errors[:-1]
    assert ratio.max() < 1.15
    assert ratio.min() > 0.9


def test_noise_that_neighbours_share_counts_in_good_fits_too(estimator, grid, flux):
    alone, shared = estimator.infer(
        [
            star_of(grid, flux, 0.004 * noise_of(len(flux), seed=5, width=width), 0.004)
            for width in (1, 6)
        ],
        **RANGES,
    )
    assert "bad_fit" not in (*alone.flags, *shared.flags)
    from_noise, of_shared = (
        np.diag(result.covariance - result.emulator_covariance) for result in (alone, shared)
    )
    ratio = of_shared / from_noise
    assert ((ratio > 3.0) & (ratio < 9.0)).all()


def test_shared_noise_is_covered(estimator, grid, flux):
    stars = [
        star_of(grid, flux, 0.004 * noise_of(len(flux), seed=seed, width=5), 0.004)
        for seed in range(60)
    ]
    away = np.array(
        [(one.parameters[:3] - TRUTH) / one.errors[:3] for one in estimator.infer(stars, **RANGES)]
    )
    # Errors of independent noise would be too small by the root of five.
    assert ((np.abs(away) < 1.0).mean(axis=0) > 0.5).all()
    assert ((np.abs(away) < 2.0).mean(axis=0) > 0.85).all()


@pytest.mark.parametrize("sigma", [0.001, 0.002, None])
@pytest.mark.parametrize("deviation", [0.01, 0.1, 10.0])
def test_a_prior_is_not_overruled_by_a_misfit(estimator, grid, flux, sigma, deviation):
    star = star_of(grid, flux, wrong_in_lines(flux) + noise_of(len(flux)) / 1000, sigma)
    alone = estimator.infer(star, **RANGES)
    assert "bad_fit" in alone.flags
    offset = 0.15
    mean = alone.parameters[1] - offset
    found = estimator.infer(star, priors={"logg": (mean, deviation)}, **RANGES)
    assert found.errors[1] <= deviation * (1 + 1e-9)
    assert (found.errors <= alone.errors * 1.1).all()
    # Where prior and spectrum meet is decided by the error that is reported without the prior.
    weight = alone.errors[1] ** 2 / (alone.errors[1] ** 2 + deviation**2)
    expected = alone.parameters[1] - offset * weight
    assert found.parameters[1] == pytest.approx(expected, abs=0.3 * alone.errors[1] + 0.002)


def test_a_prior_of_no_content_changes_nothing(estimator, grid, flux):
    star = star_of(grid, flux, noise_of(len(flux)) / 100, 0.01)
    alone = estimator.infer(star, **RANGES)
    wide = estimator.infer(star, priors={"logg": (3.0, 1e5), "velocity": (5.0, 1e5)}, **RANGES)
    np.testing.assert_allclose(wide.parameters, alone.parameters, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(wide.errors, alone.errors, rtol=1e-4)


def test_samples_obey_the_same_errors(estimator, grid, flux):
    pytest.importorskip("emcee")
    noise = 0.02 * noise_of(len(flux), seed=5, width=6)
    star = star_of(grid, flux, noise, 0.02)
    result = estimator.infer(star, n_samples=2000, **RANGES)
    np.testing.assert_allclose(result.samples.std(axis=0), result.errors, rtol=0.3)
    tight = estimator.infer(star, n_samples=500, priors={"teff": (5300.0, 1.0)}, **RANGES)
    assert tight.samples[:, 0].std() < 1.2


def test_priors_reduce_every_variance_and_none_stays_above_the_priors():
    random = np.random.default_rng(2)
    for _ in range(20):
        root = random.normal(size=(4, 4))
        covariance = root @ root.T
        priors = np.full((4, 2), np.nan)
        priors[:2] = 0.0, 0.3
        after, part = with_priors(covariance, 0.4 * covariance, priors)
        expected = np.linalg.inv(np.linalg.inv(covariance) + np.diag([1 / 0.09] * 2 + [0, 0]))
        np.testing.assert_allclose(after, expected, rtol=1e-6, atol=1e-9)
        assert (np.diag(after) <= np.diag(covariance) + 1e-12).all()
        assert (np.diag(after)[:2] <= 0.09 + 1e-12).all()
        assert (np.linalg.eigvalsh(after - part) > -1e-9).all()


def test_a_misfit_is_flagged_without_errors(estimator, grid, flux):
    noise = noise_of(len(flux)) / 100
    right = estimator.infer(star_of(grid, flux, noise, None), **RANGES)
    wrong = estimator.infer(star_of(grid, flux, noise + wrong_in_lines(flux), None), **RANGES)
    assert right.flags == ()
    assert "bad_fit" in wrong.flags


@pytest.mark.parametrize("width", [1, 6])
def test_noise_without_errors_is_no_misfit(estimator, grid, flux, width):
    stars = [
        star_of(grid, flux, noise_of(len(flux), seed=seed, width=width) / 50, None)
        for seed in range(30)
    ]
    flagged = ["bad_fit" in result.flags for result in estimator.infer(stars, **RANGES)]
    assert sum(flagged) <= 1


def test_noise_is_measured_between_lines_and_misfit_in_them():
    n = 4000
    good, depth = np.ones(n, dtype=bool), np.zeros(n)
    depth[::10] = 0.5
    depth += 1e-6 * np.arange(n)
    noise = noise_of(n)
    assert noise_between_lines(noise, good, depth) == pytest.approx(1.0, rel=0.1)
    assert not is_misfit(noise, good, [slice(0, n)], depth)
    assert is_misfit(np.where(depth > 0.4, 3.0, 1.0) * noise, good, [slice(0, n)], depth)
    # Where photons are fewer they scatter less, and that is no misfit.
    assert not is_misfit(np.where(depth > 0.4, 0.5, 1.0) * noise, good, [slice(0, n)], depth)


@pytest.mark.parametrize(
    ("truth", "outside"),
    [
        ([5300.0, 4.2, -0.2], False),
        ([5750.0, 4.0, 0.5], False),
        ([5000.0, 3.5, -0.5], False),
        ([4600.0, 4.0, 0.0], True),
        ([5300.0, 4.0, -1.2], True),
        ([5300.0, 4.0, 1.1], True),
    ],
)
@pytest.mark.parametrize("sigma", [0.003, None])
def test_stars_beyond_the_nodes_are_outside_the_grid(estimator, grid, truth, outside, sigma):
    made = make_stellar_grid(
        parameters=[truth], wavelength=(8500.0, 8560.0), n_pixels=2000, n_lines=40
    )
    flux = made.spectra[0] / made.spectra[0].max()
    noise = noise_of(len(flux), seed=3) * 0.003
    result = estimator.infer(star_of(grid, flux, noise, sigma), **RANGES)
    assert ("outside_grid" in result.flags) == outside


def test_a_bound_of_the_user_is_no_edge_of_the_grid(estimator, grid, flux):
    star = star_of(grid, flux, noise_of(len(flux)) / 300, 1 / 300)
    cut = [[np.nan, np.nan], [np.nan, np.nan], [0.1, 0.5]]
    result = estimator.infer(star, bounds=cut, **RANGES)
    assert "feh" in result.at_bound
    assert "outside_grid" not in result.flags


@pytest.fixture(scope="module")
def real_estimator(shared_data):
    grid = load_npz_grid(shared_data / "atlas9_rvs_grid.npz", medium="air")
    teff, logg, _ = grid.parameters.T
    rows = (teff % 500 == 0) & (logg % 1 == 0)
    emulator = FluxEmulator(grid.wavelength, medium=grid.medium)
    emulator.fit(grid.parameters[rows], grid.spectra[rows])
    return StellarParameterEstimator.from_emulator(emulator, random_state=0)


def read_star(folder, *names):
    segments = []
    for name in names:
        stored = np.load(folder / "stars" / f"{name}.npz")
        segment = {
            key: stored[key] for key in ("wavelength", "flux", "sigma") if key in stored.files
        }
        near = (segment["wavelength"] > 8446) & (segment["wavelength"] < 8716)
        if not near.any():
            continue
        segment = {key: value[near] for key, value in segment.items()}
        resolution = float(stored["resolution"])
        segments.append(segment | {"medium": str(stored["medium"]), "resolution": resolution})
    return segments


WASP = [f"WASP14-2010-04-24_TRES_order{order}" for order in (47, 48, 49)]
REAL = {"velocity": (-60.0, 60.0), "vsini": (0.0, 40.0), "continuum_degree": 3}


@pytest.mark.shared_data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "outside", "bad"),
    [
        (["hd122563_MIKE"], True, True),
        (["g64-12_MIKE"], True, True),
        (["Sun_SAO2010"], False, True),
        (WASP, False, None),
        (["gaia_rvs_Kepler-93"], False, True),
        (["gaia_rvs_KOI-001"], False, None),
        (["gaia_rvs_GaiaDR3-3174658066485297152"], False, True),
    ],
)
def test_real_stars_outside_the_grid_are_told_from_those_inside(
    real_estimator, shared_data, names, outside, bad
):
    segments = read_star(shared_data, *names)
    result = real_estimator.infer([segments], **REAL)[0]
    assert ("outside_grid" in result.flags) == outside
    if bad is not None:
        assert ("bad_fit" in result.flags) == bad


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_suns_gravity_can_be_given_as_a_prior(real_estimator, shared_data):
    sun = read_star(shared_data, "Sun_SAO2010")
    settings = REAL | {"continuum_degree": 4}
    found = real_estimator.infer([sun], priors={"logg": (4.44, 0.02)}, **settings)[0]
    assert found.errors[1] <= 0.02
    assert abs(found.parameters[1] - 4.44) < 0.02


@pytest.mark.shared_data
@pytest.mark.slow
def test_the_errors_of_a_real_star_do_not_jump(real_estimator, shared_data):
    segments = read_star(shared_data, *WASP)
    scaled = [
        [one | {"sigma": one["sigma"] * factor} for one in segments]
        for factor in (1.1, 1.01, 1.0, 0.99, 0.97)
    ]
    results = real_estimator.infer(scaled, **REAL)
    assert len({"bad_fit" in result.flags for result in results}) == 2
    errors = np.array([result.errors[:3] for result in results])
    np.testing.assert_allclose(errors, errors[0] * np.ones_like(errors), rtol=0.02)


def test_stars_on_the_same_pixels_with_other_masks_are_stars(estimator, grid, flux):
    star = star_of(grid, flux, noise_of(len(flux)) / 100, 0.01)
    part = np.arange(len(star["flux"])) < 1200
    results = estimator.infer([star | {"mask": part}, star | {"mask": part[::-1]}], **RANGES)
    assert results.shape == (2,)


def test_masked_bounds_by_name_are_refused(estimator, grid, flux):
    star = star_of(grid, flux, noise_of(len(flux)) / 100, 0.01)
    masked = np.ma.masked_array([5100.0, 5300.0], [False, True])
    with pytest.raises(ValueError, match=r"bounds\['teff'\] must hold numbers .* masked"):
        estimator.infer([star, star], bounds={"teff": (masked, 5600.0)}, **RANGES)


def test_samples_and_errors_give_a_conflicting_prior_the_same_weight(estimator, grid, flux):
    pytest.importorskip("emcee")
    star = star_of(grid, flux, wrong_in_lines(flux) + noise_of(len(flux)) / 1000, 0.001)
    alone = estimator.infer(star, **RANGES)
    prior = {"logg": (alone.parameters[1] - 2 * alone.errors[1], alone.errors[1])}
    found = estimator.infer(star, priors=prior, n_samples=2000, **RANGES)
    np.testing.assert_allclose(found.samples.std(axis=0), found.errors, rtol=0.35)
    away = found.samples.mean(axis=0) - found.parameters
    assert (np.abs(away) < 0.7 * found.errors).all()
