"""Resolution that changes along a spectrum, against direct integrals and constant resolutions."""

from dataclasses import replace

import numpy as np
import pytest
from astropy import units as u
from scipy import sparse
from scipy.interpolate import CubicSpline

from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import make_stellar_grid
from skphx.inference._observation_model import ObservationModel
from skphx.observing import ForwardModel, ObservedSpectrum
from skphx.observing._observed_spectrum import as_segments
from skphx.observing._unit_hint import unit_mistake
from skphx.observing._varying_resolution import bins_of_variance

C = 299792.458
WAVELENGTH = np.linspace(8500.0, 8560.0, 3001)
PIXELS = np.arange(8512.0, 8548.0, 0.1)
N = len(PIXELS)
KINEMATICS = {"velocity": 33.0, "vsini": 12.0, "macroturbulence": 5.0}
RISING = np.linspace(9_000.0, 30_000.0, N)
RESOLUTIONS = {
    "rising": RISING,
    "falling": RISING[::-1],
    "one bin": np.linspace(19_000.0, 21_000.0, N),
    "step": np.where(PIXELS < 8530.0, 11_500.0, 40_000.0),
}


def make_model(seed=0, n_lines=40):
    random = np.random.default_rng(seed)
    flux = np.ones_like(WAVELENGTH)
    for centre in random.uniform(8500.0, 8560.0, n_lines):
        width = random.uniform(0.06, 0.15)
        flux *= 1 - random.uniform(0.05, 0.7) * np.exp(-0.5 * ((WAVELENGTH - centre) / width) ** 2)
    return flux


FLUX = make_model()


def segment(resolution, **settings):
    return ObservedSpectrum(PIXELS, np.ones(N), resolution=resolution, **settings)


def make_forward(segments, **settings):
    return ForwardModel(
        WAVELENGTH, segments, **{"max_velocity": 60.0, "max_broadening": 40.0, **settings}
    )


def integrate_directly(velocity, resolution):
    """Mean over each pixel of the integral over a Gaussian of the pixel's own width."""
    logs = np.arange(np.log(8501.0), np.log(8559.0), 0.05 / C)
    beta = velocity / C
    moved = WAVELENGTH * np.sqrt((1 + beta) / (1 - beta))
    flux = CubicSpline(moved, FLUX)(np.exp(logs))
    points, weights = np.polynomial.legendre.leggauss(6)
    sigma = C / resolution / np.sqrt(8 * np.log(2))
    observed = np.zeros(N)
    for pixel in range(N):
        for point, weight in zip(points, weights, strict=True):
            away = (logs - np.log(PIXELS[pixel] + 0.05 * point)) * C
            near = np.abs(away) < 8 * sigma[pixel]
            kernel = np.exp(-0.5 * (away[near] / sigma[pixel]) ** 2)
            observed[pixel] += 0.5 * weight * (kernel @ flux[near]) / kernel.sum()
    return observed


@pytest.mark.parametrize("kind", RESOLUTIONS)
@pytest.mark.parametrize("velocity", [0.0, -41.7])
def test_against_a_direct_integral(kind, velocity):
    resolution = RESOLUTIONS[kind]
    found = make_forward(segment(resolution)).observe(FLUX[None], velocity)[0]
    np.testing.assert_allclose(found, integrate_directly(velocity, resolution), atol=2e-5)
    mean = make_forward(segment(resolution.mean())).observe(FLUX[None], velocity)[0]
    assert np.abs(found - mean).max() > 0.005


@pytest.mark.parametrize("model_resolution", [None, 45_000.0])
def test_each_pixel_is_that_of_its_constant_resolution(model_resolution):
    settings = {"model_resolution": model_resolution}
    found = make_forward(segment(RISING), **settings).observe(FLUX[None], **KINEMATICS)[0]
    for pixel in range(5, N, 40):
        constant = make_forward(segment(RISING[pixel]), **settings)
        expected = constant.observe(FLUX[None], **KINEMATICS)[0, pixel]
        assert found[pixel] == pytest.approx(expected, abs=3e-6)


def test_a_model_of_the_highest_resolution_of_the_pixels():
    resolution = np.linspace(20_000.0, 30_000.0, N)
    forward = make_forward(segment(resolution), model_resolution=30_000.0)
    own = make_forward(segment(None)).observe(FLUX[None])[0]
    # The last pixel needs no broadening, and its neighbours little.
    np.testing.assert_allclose(forward.observe(FLUX[None])[0, -1], own[-1], atol=1e-5)
    with pytest.raises(ValueError, match="resolution of 30000 and cannot be observed at 33000"):
        make_forward(segment(resolution * 1.1), model_resolution=30_000.0)
    with pytest.raises(ValueError, match="so every segment must have one"):
        make_forward([segment(RISING), segment(None)], model_resolution=30_000.0)


@pytest.mark.parametrize("kind", RESOLUTIONS)
def test_a_constant_stays_a_constant(kind):
    forward = make_forward(segment(RESOLUTIONS[kind]))
    observed = forward.observe(np.full((1, len(WAVELENGTH)), 7.0), **KINEMATICS)
    np.testing.assert_allclose(observed, 7.0, rtol=1e-12)


def test_nearly_constant_arrays_are_constant_resolutions():
    number = make_forward(segment(20_000.0)).observe(FLUX[None], **KINEMATICS)
    array = 20_000.0 * (1 + 1e-9 * np.sin(np.arange(N)))
    assert np.ndim(segment(array).resolution) == 1
    nearly = make_forward(segment(array)).observe(FLUX[None], **KINEMATICS)
    np.testing.assert_allclose(nearly, number, atol=1e-6)
    assert segment(np.full(N, 20_000.0)).resolution == 20_000.0


@pytest.mark.parametrize("by", ["velocity", "vsini", "macroturbulence"])
def test_derivatives_are_those_of_differences(by):
    forward = make_forward([segment(RISING), segment(25_000.0)])
    column = tuple(KINEMATICS).index(by)
    effects = np.array([[*KINEMATICS.values(), np.nan]])
    jacobian = np.zeros((1, len(WAVELENGTH), 0))
    _, derivative = forward.observe_with_derivatives(FLUX[None], jacobian, effects, (by,))
    squared = by != "velocity"
    value = effects[0, column] ** (2 if squared else 1)
    sides = []
    for side in (-1, 1):
        moved = effects.copy()
        changed = value * (1 + side * 2e-4)
        moved[0, column] = np.sqrt(changed) if squared else changed
        sides.append(forward.observe_with_derivatives(FLUX[None], None, moved, ())[0])
    expected = (sides[1] - sides[0]) / (4e-4 * value)
    np.testing.assert_allclose(derivative[:, 0], expected, atol=2e-6 * np.abs(expected).max())
    assert np.abs(expected).max() > 0


def test_derivatives_by_stellar_parameters_are_observed_like_flux():
    forward = make_forward(segment(RISING))
    other = make_model(seed=1)
    effects = np.array([[*KINEMATICS.values(), np.nan]])
    observed, jacobian = forward.observe_with_derivatives(
        FLUX[None], (other - FLUX)[None, :, None], effects, ("velocity",)
    )
    expected = forward.observe(other[None], **KINEMATICS) - observed
    np.testing.assert_allclose(jacobian[:, 0], expected, atol=1e-12)


def blur(n_pixels):
    """A line-spread matrix of three pixels."""
    matrix = sparse.diags_array([0.2, 0.6, 0.2], offsets=[-1, 0, 1], shape=(n_pixels, n_pixels))
    return sparse.csr_array(matrix / matrix.sum(axis=1)[:, None])


def test_line_spread_comes_after_the_resolution():
    plain = make_forward(segment(RISING)).observe(FLUX[None], **KINEMATICS)
    both = make_forward(segment(RISING, line_spread=blur(N))).observe(FLUX[None], **KINEMATICS)
    np.testing.assert_allclose(both[0], blur(N) @ plain[0], atol=1e-12)


def test_adjoint_is_the_transpose():
    forward = make_forward(
        [segment(RISING, line_spread=blur(N)), segment(RISING[::-1]), segment(11_500.0)]
    )
    random = np.random.default_rng(2)
    vectors = random.normal(size=(2, 3, forward.n_pixels))
    models = np.stack([FLUX, make_model(seed=1)])
    effects = np.array([[30.0, 10.0, 0.0, np.nan], [-5.0, 0.0, 3.0, np.nan]])
    observed = forward.observe(models, *effects[:, :3].T)
    back = forward.adjoint(vectors, effects)
    np.testing.assert_allclose(
        np.einsum("nvs,ns->nv", back, models),
        np.einsum("nvp,np->nv", vectors, observed),
        rtol=1e-10,
        atol=1e-8,
    )


def test_segments_are_observed_one_by_one():
    parts = [segment(RISING), segment(20_000.0), segment(RISING[::-1]), segment(None)]
    forward = make_forward(parts)
    together = forward.observe(FLUX[None], **KINEMATICS)
    for part, where in zip(parts, forward.segment_slices, strict=True):
        alone = make_forward(part).observe(FLUX[None], **KINEMATICS)
        np.testing.assert_allclose(together[:, where], alone, atol=2e-6)
    # A fitted resolution is one number for all.
    free = make_forward(parts, resolution_range=(10_000, 40_000))
    fitted = free.observe(FLUX[None], **KINEMATICS, resolution=15_000.0)
    np.testing.assert_array_equal(fitted[:, :N], fitted[:, N : 2 * N])


def test_bins_hold_every_pixel_once():
    random = np.random.default_rng(0)
    variances = {number: random.uniform(1.0, 30.0, 50) for number in (2, 5)}
    bins = bins_of_variance(variances)
    assert len(bins) > 3
    for smallest, members in bins:
        inside = np.concatenate([variances[number][pixels] for number, pixels in members.items()])
        assert inside.min() == smallest
        assert inside.max() / smallest < 1.6
    for number in variances:
        pixels = np.concatenate([members.get(number, []) for _, members in bins])
        assert sorted(pixels) == list(range(50))
    assert bins_of_variance({}) == []


# What a resolution may be


def linear(wavelength):
    return 20_000.0 + 100.0 * (wavelength - 8500.0)


def test_functions_and_arrays():
    expected = linear(PIXELS)
    by_function = segment(linear)
    np.testing.assert_allclose(by_function.resolution, expected)
    np.testing.assert_allclose(segment(expected * u.one).resolution, expected)
    assert segment(lambda w: 20_000.0).resolution == 20_000.0
    (default,) = as_segments(segment(None), resolution=linear)
    np.testing.assert_allclose(default.resolution, expected)
    # In reversed order, arrays go with their pixels, and functions with wavelengths.
    backwards = ObservedSpectrum(PIXELS[::-1], np.ones(N), resolution=expected[::-1])
    np.testing.assert_allclose(backwards.resolution, expected)
    backwards = ObservedSpectrum(PIXELS[::-1], np.ones(N), resolution=linear)
    np.testing.assert_allclose(backwards.resolution, expected)


def test_orders_have_their_own():
    flux = np.ones((2, N))
    star = {"wavelength": PIXELS, "flux": flux}
    each = as_segments({**star, "resolution": np.vstack([RISING, RISING[::-1]])})
    np.testing.assert_array_equal(each[1].resolution, RISING[::-1])
    assert [s.resolution for s in as_segments({**star, "resolution": [1e4, 2e4]})] == [1e4, 2e4]
    shared = as_segments({**star, "resolution": RISING})
    np.testing.assert_array_equal(shared[1].resolution, RISING)
    ragged = {
        "wavelength": [PIXELS, PIXELS[:50]],
        "flux": [flux[0], flux[0][:50]],
        "resolution": [RISING, RISING[:50]],
    }
    assert as_segments(ragged)[1].resolution.shape == (50,)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -5.0, np.inf])
def test_resolutions_out_of_range_are_refused(bad):
    array = np.where(np.arange(N) == 7, bad, RISING)
    with pytest.raises(ValueError, match=r"at all good pixels, but it is .* at 8512\.7 Å"):
        segment(array)
    with pytest.raises(ValueError, match="resolution must be positive, λ/FWHM"):
        segment(bad)
    # Pixels that are left out need none.
    masked = segment(array, mask=np.arange(N) == 7)
    assert masked.resolution[7] == pytest.approx(RISING[7])
    assert np.isfinite(make_forward(masked).observe(FLUX[None])).all()
    with pytest.raises(ValueError, match="at all good pixels"):
        segment(np.full(N, bad), mask=np.ones(N))


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"got shape \(2,\); a range to fit is infer"):
        segment((10_000.0, 20_000.0))
    with pytest.raises(ValueError, match=r"got shape \(3,\)"):
        segment(lambda w: np.ones(3))


def test_resolution_stays_with_its_pixels():
    star = segment(RISING, medium="air")
    (converted,) = ObservationModel().segments_of(star, "vacuum")
    np.testing.assert_array_equal(converted.resolution, RISING)
    part = star.part(slice(5, 20))
    np.testing.assert_array_equal(part.resolution, RISING[5:20])
    np.testing.assert_array_equal(part.wavelength, PIXELS[5:20])
    assert part.medium == "air"
    with_matrix = segment(RISING, line_spread=blur(N), sigma=0.1).part(slice(5, 20))
    assert with_matrix.line_spread.shape == (15, 15)
    np.testing.assert_array_equal(with_matrix.sigma, 0.1)


def test_layouts_tell_instruments_apart():
    same = [segment(RISING), segment(RISING.copy()), replace(segment(RISING), flux=2 * np.ones(N))]
    assert len({one.layout for one in same}) == 1
    others = [
        segment(RISING[::-1]),
        segment(20_000.0),
        segment(None),
        segment(RISING, velocity=1.0),
        segment(RISING, line_spread=blur(N)),
        ObservedSpectrum(PIXELS + 0.01, np.ones(N), resolution=RISING),
    ]
    assert len({one.layout for one in (*same, *others)}) == 1 + len(others)


@pytest.fixture(scope="module")
def estimator():
    grid = make_stellar_grid(
        teff=(5000, 5500, 6000),
        logg=(4.0, 4.5),
        feh=(-0.5, 0.0),
        wavelength=(8500.0, 8560.0),
        n_pixels=3001,
        n_lines=20,
        random_state=0,
    )
    spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    return StellarParameterEstimator(FluxEmulator(grid.wavelength), random_state=0).fit(
        spectra, grid.parameters
    )


def test_inference(estimator):
    truth = np.array([[5300.0, 4.2, -0.2]])
    stars = []
    for resolution in (RISING, RISING[::-1]):
        forward = make_forward(segment(resolution))
        flux = forward.observe(estimator.emulator_.predict(truth), 21.0, 8.0)[0]
        flux += np.random.default_rng(0).normal(0, 0.002, N)
        stars.append({"wavelength": PIXELS, "flux": flux, "sigma": 0.002})
    settings = {"velocity": (-50.0, 50.0), "vsini": (0.0, 30.0)}
    given = [
        {**star, "resolution": resolution}
        for star, resolution in zip(stars, (RISING, RISING[::-1]), strict=True)
    ]
    for result in estimator.infer(given, **settings):
        assert np.abs((result.parameters[:3] - truth[0]) / result.errors[:3]).max() < 4
        assert result.parameters[3] == pytest.approx(21.0, abs=0.2)
        assert result.reduced_chi2 < 1.3
    wrong = estimator.infer({**stars[0], "resolution": RISING.mean()}, **settings)
    assert wrong.reduced_chi2 > 3
    by_function = estimator.infer(
        stars[0], resolution=lambda w: np.interp(w, PIXELS, RISING), **settings
    )
    first = estimator.infer(given[0], **settings)
    np.testing.assert_allclose(by_function.parameters, first.parameters, rtol=1e-6)


def test_long_spectra_are_cut_with_their_resolution(estimator, monkeypatch):
    from skphx.inference import _infer

    flux = make_forward(segment(RISING)).observe(
        estimator.emulator_.predict([[5300.0, 4.2, -0.2]]), 21.0
    )[0]
    star = {"wavelength": PIXELS, "flux": flux, "sigma": 0.002, "resolution": RISING}
    whole = estimator.infer(star, velocity=(-50.0, 50.0))
    monkeypatch.setattr(_infer, "_MOST_SCANNED", 200)
    part = estimator.infer(star, velocity=(-50.0, 50.0))
    np.testing.assert_allclose(part.parameters, whole.parameters, rtol=1e-4, atol=1e-3)


# Wavelengths in another unit than Å


@pytest.mark.parametrize(
    ("convert", "unit"),
    [
        (lambda w: w / 10, "nm"),
        (lambda w: w / 1e4, "µm"),
        (np.log10, r"log10\(Å\)"),
        (np.log, r"ln\(Å\)"),
        (lambda w: w / 1e10, "m"),
        (lambda w: w / 1e8, "cm"),
        (lambda w: 1e8 / w, "cm⁻¹"),
        (lambda w: C * 1e13 / w, "Hz"),
        (lambda w: C * 1e1 / w, "THz"),
        (lambda w: C * 1e4 / w, "GHz"),
    ],
)
def test_wavelengths_in_another_unit_are_refused(estimator, convert, unit):
    star = {"wavelength": convert(PIXELS), "flux": FLUX[:N], "sigma": 0.01}
    message = (
        rf"from 8500 to 8560 Å and the .* of the spectrum look like {unit}: convert them to Å"
    )
    with pytest.raises(ValueError, match=message):
        estimator.infer(star)


def test_other_mistakes_of_unit():
    with pytest.raises(
        ValueError, match=r"must cover the pixels of the spectrum.*Check the unit of both"
    ):
        make_forward(ObservedSpectrum(PIXELS + 300, np.ones(N)))
    with pytest.raises(ValueError, match="wavelengths of the model look like nm: fit it"):
        ForwardModel(WAVELENGTH / 10, segment(None))
    with pytest.raises(ValueError, match="spectrum look like Å that were taken for nm"):
        make_forward(ObservedSpectrum(PIXELS * 10, np.ones(N)))
    # One of several segments.
    in_nm = ObservedSpectrum(PIXELS / 10, np.ones(N))
    with pytest.raises(ValueError, match=r"segment 1 of the spectrum .* look like nm"):
        make_forward([segment(None), in_nm])
    # Orders far from the model are no mistake, nor are models on small numbers.
    far = ObservedSpectrum(PIXELS + 4000, np.ones(N))
    assert make_forward([segment(None), far]).covered.sum() == N
    tiny = np.linspace(1.0, 2.0, 500)
    assert ForwardModel(tiny, ObservedSpectrum(tiny, tiny)).covered.any()
    assert unit_mistake((700.0, 800.0), (5000.0, 5100.0)) == ""
