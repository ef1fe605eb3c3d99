"""The forward model, against direct convolution, quadrature, published values, differences."""

import numpy as np
import pytest
from scipy import sparse
from scipy.integrate import quad
from scipy.interpolate import CubicSpline
from scipy.special import erfc

from skphx.observing import (
    ForwardModel,
    ObservedSpectrum,
    air_to_vacuum,
    resample_flux,
    vacuum_to_air,
)
from skphx.observing import _kernels as kernels
from skphx.observing._medium import to_medium
from skphx.observing._model_pixels import ModelPixels
from skphx.observing._observed_spectrum import as_segments
from skphx.observing._resampling import interpolation_matrix, pixel_edges

C = 299792.458
WAVELENGTH = np.linspace(8500.0, 8560.0, 3001)
PIXELS = np.arange(8510.0, 8550.0, 0.1)


def make_model(seed=0, n_lines=40):
    """Well-sampled absorption lines, some at the very ends."""
    random = np.random.default_rng(seed)
    flux = np.ones_like(WAVELENGTH)
    for centre in random.uniform(8500.0, 8560.0, n_lines):
        width = random.uniform(0.06, 0.15)
        flux *= 1 - random.uniform(0.05, 0.7) * np.exp(-0.5 * ((WAVELENGTH - centre) / width) ** 2)
    return flux


FLUX = make_model()


def segment(pixels=PIXELS, **settings):
    return ObservedSpectrum(pixels, np.ones_like(pixels), **settings)


def make_forward(segments, **settings):
    return ForwardModel(
        WAVELENGTH, segments, **{"max_velocity": 60.0, "max_broadening": 40.0, **settings}
    )


def observe_directly(velocity, vsini, macro, resolution, limb_darkening=0.6, pixels=PIXELS):
    """Kernels in velocity, summed directly on fine steps, then the integral of a spline."""
    step = 0.02
    logs = np.arange(np.log(8504.0), np.log(8556.0), step / C)
    flux = CubicSpline(WAVELENGTH, FLUX)(np.exp(logs))

    def convolve(flux, kernel):
        return np.convolve(flux, kernel / kernel.sum(), "same")

    reach = np.arange(-np.ceil(80 / step), np.ceil(80 / step) + 1) * step
    if vsini:
        disc = np.clip(1 - (reach / vsini) ** 2, 0, None)
        flux = convolve(
            flux, 2 * (1 - limb_darkening) * np.sqrt(disc) + 0.5 * np.pi * limb_darkening * disc
        )
    if macro:
        x = np.abs(reach) / macro
        flux = convolve(flux, np.exp(-(x**2)) - np.sqrt(np.pi) * x * erfc(x))
    if resolution:
        sigma = C / resolution / (2 * np.sqrt(2 * np.log(2)))
        flux = convolve(flux, np.exp(-0.5 * (reach / sigma) ** 2))
    beta = velocity / C
    moved = np.exp(logs) * np.sqrt((1 + beta) / (1 - beta))
    edges = np.concatenate([pixels - 0.05, pixels[-1:] + 0.05])
    return np.diff(CubicSpline(moved, flux).antiderivative()(edges)) / 0.1


@pytest.mark.parametrize(
    ("velocity", "vsini", "macro", "resolution"),
    [
        (0.0, 0.0, 0.0, None),
        (50.0, 0.0, 0.0, None),
        (-41.7, 12.0, 0.0, None),
        (0.0, 0.0, 8.0, None),
        (0.0, 0.0, 0.0, 11_500),
        (33.0, 20.0, 6.0, 11_500),
        (-20.0, 5.0, 3.0, 50_000),
    ],
)
def test_path_against_direct_convolution(velocity, vsini, macro, resolution):
    forward = make_forward(segment(resolution=resolution))
    assert forward.covered.all()
    found = forward.observe(FLUX[None], velocity, vsini, macro)[0]
    expected = observe_directly(velocity, vsini, macro, resolution)
    np.testing.assert_allclose(found, expected, atol=6e-5)
    assert np.ptp(expected) > 0.2


def test_an_effect_of_resolution_is_the_resolution_of_a_segment():
    held = make_forward(segment(resolution=20_000)).observe(FLUX[None], 10.0, 5.0)
    free = make_forward(segment(), resolution_range=(10_000, 40_000))
    np.testing.assert_allclose(free.observe(FLUX[None], 10.0, 5.0, 0.0, 20_000), held, atol=1e-5)


def test_a_model_of_known_resolution_gets_what_is_missing():
    blurred = ForwardModel(WAVELENGTH, segment(WAVELENGTH[200:-200], resolution=30_000))
    model = np.pad(blurred.observe(FLUX[None])[0], 200, constant_values=1.0)
    forward = make_forward(segment(resolution=10_000), model_resolution=30_000)
    expected = make_forward(segment(resolution=10_000)).observe(FLUX[None])
    inside = slice(40, -40)
    np.testing.assert_allclose(
        forward.observe(model[None])[:, inside], expected[:, inside], atol=2e-4
    )


@pytest.mark.parametrize("by", ["velocity", "vsini", "macroturbulence", "resolution"])
def test_derivatives_by_effects_are_those_of_differences(by):
    forward = make_forward(segment(), resolution_range=(8_000, 20_000))
    column = ("velocity", "vsini", "macroturbulence", "resolution").index(by)
    effects = np.array([[12.0, 9.0, 4.0, 11_500.0]])
    jacobian = np.zeros((1, len(WAVELENGTH), 0))
    _, derivative = forward.observe_with_derivatives(FLUX[None], jacobian, effects, (by,))
    # Widths enter by their squares.
    squared = by in ("vsini", "macroturbulence")
    value = effects[0, column] ** 2 if squared else effects[0, column]
    step = 1e-3 * value
    sides = []
    for side in (-1, 1):
        moved = effects.copy()
        moved[0, column] = np.sqrt(value + side * step) if squared else value + side * step
        sides.append(forward.observe_with_derivatives(FLUX[None], None, moved, ())[0])
    expected = (sides[1] - sides[0]) / (2 * step)
    np.testing.assert_allclose(
        derivative[:, 0], expected, atol=2e-6 * np.abs(expected).max() + 1e-12
    )
    assert np.abs(expected).max() > 0


@pytest.mark.parametrize("by", ["vsini", "macroturbulence"])
def test_broadening_has_a_slope_at_rest(by):
    forward = make_forward(segment(resolution=11_500))
    jacobian = np.zeros((1, len(WAVELENGTH), 0))
    effects = np.array([[0.0, 0.0, 0.0, np.nan]])
    observed, slope = forward.observe_with_derivatives(FLUX[None], jacobian, effects, (by,))
    moved = forward.observe(FLUX[None], **{by: 1.0})
    np.testing.assert_allclose(slope[:, 0], moved - observed, rtol=0.05, atol=1e-6)


def test_derivatives_by_stellar_parameters_are_observed_like_flux():
    forward = make_forward(segment(resolution=11_500))
    other = make_model(seed=1)
    effects = np.array([[12.0, 9.0, 4.0, np.nan]])
    observed, jacobian = forward.observe_with_derivatives(
        FLUX[None], (other - FLUX)[None, :, None], effects, ("velocity",)
    )
    assert jacobian.shape == (1, 2, len(PIXELS))
    expected = forward.observe(other[None], 12.0, 9.0, 4.0) - observed
    np.testing.assert_allclose(jacobian[:, 0], expected, atol=1e-12)


@pytest.mark.parametrize("resolution", [None, 11_500])
def test_adjoint_is_the_transpose(resolution):
    forward = make_forward(
        [segment(PIXELS[:150], resolution=resolution), segment(PIXELS[130:], resolution=30_000)]
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
    first, second = (
        segment(PIXELS[:200], resolution=11_500),
        segment(PIXELS[150:], resolution=40_000),
    )
    forward = make_forward([first, second])
    together = forward.observe(FLUX[None], 20.0, 8.0)
    for part, where in zip((first, second), forward.segment_slices, strict=True):
        alone = make_forward(part).observe(FLUX[None], 20.0, 8.0)
        np.testing.assert_allclose(together[:, where], alone, atol=2e-5)


def test_a_known_velocity_of_a_segment_is_a_velocity():
    forward = make_forward([segment(resolution=11_500, velocity=25.0), segment(resolution=11_500)])
    moving, at_rest = (
        forward.observe(FLUX[None], velocity)[0, where]
        for velocity, where in zip((10.0, 35.0), forward.segment_slices, strict=True)
    )
    # 10 and 25 km/s add up to 35 km/s less 1e-7 km/s.
    np.testing.assert_allclose(moving, at_rest, atol=2e-5)


def test_line_spread_matrix_acts_on_pixels():
    shape = (len(PIXELS), len(PIXELS))
    matrix = sparse.diags_array([0.25, 0.5, 0.25], offsets=[-1, 0, 1], shape=shape)
    plain = make_forward(segment()).observe(FLUX[None])
    spread = make_forward(segment(line_spread=matrix)).observe(FLUX[None])
    np.testing.assert_allclose(spread, plain @ matrix.toarray().T, atol=1e-12)
    with pytest.raises(ValueError, match=r"line_spread must have shape \(400, 400\)"):
        segment(line_spread=np.eye(3))
    with pytest.raises(ValueError, match="line_spread must hold numbers, got the text 'gauss'"):
        segment(line_spread="gauss")
    with pytest.raises(ValueError, match="line_spread must hold finite numbers"):
        segment(line_spread=np.full((400, 400), np.nan))


def test_broadening_conserves_the_light():
    model = np.ones_like(WAVELENGTH)
    model -= 0.6 * np.exp(-0.5 * ((WAVELENGTH - 8530.0) / 0.1) ** 2)
    forward = make_forward(segment(resolution=11_500))
    removed = [
        (1 - forward.observe(model[None], velocity, vsini, macro)).sum()
        for velocity, vsini, macro in [(0, 0, 0), (0, 20, 0), (0, 0, 10)]
    ]
    np.testing.assert_allclose(removed, removed[0], rtol=1e-4)
    # In wavelength, a moving line is wider by its velocity over c.
    moving = (1 - forward.observe(model[None], 50.0)).sum()
    assert moving / removed[0] == pytest.approx(1 + 50 / C, rel=1e-5)


def test_pixels_that_the_model_does_not_cover_are_told():
    wide = np.arange(8490.0, 8570.0, 0.1)
    forward = make_forward(segment(wide))
    reach = 1 + 100.0 / C
    inside = ((wide - 0.05) / reach > 8500.0) & ((wide + 0.05) * reach < 8560.0)
    np.testing.assert_array_equal(forward.covered[inside], True)
    assert forward.covered.sum() <= inside.sum() + 2
    assert np.isfinite(forward.observe(FLUX[None], 60.0, 10.0)).all()
    outside = segment(PIXELS + 500.0)
    with pytest.raises(ValueError, match=r"model must cover the pixels .* 8500 to 8560 Å and the"):
        make_forward(outside)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_velocity": -1.0}, "max_velocity must be 0 or more, in km/s, got -1"),
        ({"limb_darkening": 1.5}, "limb_darkening must be from 0 to 1, got 1.5"),
        ({"resolution_range": (5000, 100)}, r"resolution_range must be \(low, high\)"),
        ({"model_resolution": 5000}, "cannot be observed at 11500"),
    ],
)
def test_wrong_settings_of_a_path_are_named(settings, message):
    observed = segment(resolution=11_500)
    with pytest.raises(ValueError, match=message):
        make_forward(observed, **settings)


def test_a_blurred_model_needs_the_resolution_of_every_segment():
    with pytest.raises(ValueError, match="every segment must have one; set resolution"):
        make_forward(segment(), model_resolution=5000)


# Transfer functions are Fourier transforms of kernels, here by quadrature.
@pytest.mark.parametrize("omega", [1e-3, 0.05, 0.3, 1.1])
def test_transfer_functions_by_quadrature(omega):
    def transform(kernel, reach):
        return 2 * quad(lambda v: kernel(v) * np.cos(omega * v), 0, reach, limit=200)[0]

    def rotating(v, vsini=7.0, e=0.4):
        y = max(1 - (v / vsini) ** 2, 0.0)
        scale = np.pi * vsini * (1 - e / 3)
        return (2 * (1 - e) * np.sqrt(y) + 0.5 * np.pi * e * y) / scale

    def turbulent(v, macro=5.0):
        x = v / macro
        return 2 / (np.sqrt(np.pi) * macro) * (np.exp(-(x**2)) - np.sqrt(np.pi) * x * erfc(x))

    frequency = np.array([omega])
    found = kernels.rotation(frequency, np.array([49.0]), 0.4)[0][0, 0]
    assert found == pytest.approx(transform(rotating, 7.0), abs=1e-7)
    found = kernels.macroturbulence(frequency, np.array([25.0]))[0][0, 0]
    assert found == pytest.approx(transform(turbulent, 60.0), abs=1e-7)


def test_slopes_of_transfer_functions_join_where_the_series_ends():
    width2 = np.geomspace(1e-4, 1e3, 400)
    omega = np.array([1.0])
    for transfer in (
        lambda q: kernels.rotation(omega, q, 0.6),
        lambda q: kernels.macroturbulence(omega, q),
    ):
        value, slope = (part[:, 0] for part in transfer(width2))
        above, below = (transfer(width2 * factor)[0][:, 0] for factor in (1.001, 0.999))
        np.testing.assert_allclose(slope, (above - below) / (0.002 * width2), rtol=1e-4, atol=1e-7)
        assert value[0] == pytest.approx(1.0, abs=1e-4)


def test_resampling_conserves_flux():
    edges = np.array([8501.0, 8501.4, 8501.9, 8503.0, 8503.1, 8504.7])
    # Centres whose half-way edges are known, and one pixel as wide as all of them.
    pixels = np.linspace(8510.0, 8520.0, 101)
    parts = resample_flux(WAVELENGTH, FLUX, pixels)
    whole = CubicSpline(WAVELENGTH, FLUX).integrate(*pixel_edges(pixels)[[0, -1]])
    assert (parts * np.diff(pixel_edges(pixels))).sum() == pytest.approx(whole, rel=1e-7)
    uneven = resample_flux(WAVELENGTH, FLUX, edges)
    expected = CubicSpline(WAVELENGTH, FLUX).antiderivative()(pixel_edges(edges))
    np.testing.assert_allclose(uneven, np.diff(expected) / np.diff(pixel_edges(edges)), atol=2e-5)


def test_resampling_a_polynomial_is_exact():
    def mean(power):
        high, low = pixel_edges(PIXELS)[1:] - 8530, pixel_edges(PIXELS)[:-1] - 8530
        return (high ** (power + 1) - low ** (power + 1)) / (power + 1) / (high - low)

    uneven = np.sort(np.random.default_rng(3).uniform(8500.0, 8560.0, 900))
    for power in range(6):
        found = resample_flux(uneven, (uneven - 8530) ** power, PIXELS)
        np.testing.assert_allclose(found, mean(power), rtol=1e-6, atol=1e-5 * 20.0**power)


def test_interpolation_is_exact_at_samples_and_rows_add_up_to_one():
    nodes = np.sort(np.random.default_rng(4).uniform(0.0, 1.0, 30))
    matrix = interpolation_matrix(nodes, nodes).toarray()
    np.testing.assert_allclose(matrix, np.eye(30), atol=1e-12)
    between = 0.5 * (nodes[1:] + nodes[:-1])
    np.testing.assert_allclose(interpolation_matrix(nodes, between).sum(axis=1), 1.0)


def test_resampling_names_what_is_wrong():
    with pytest.raises(ValueError, match="need two pixels or more, got 3001 and 1"):
        resample_flux(WAVELENGTH, FLUX, [8510.0])
    with pytest.raises(ValueError, match="new_wavelength must lie within wavelength"):
        resample_flux(WAVELENGTH, FLUX, [8400.0, 8500.0])


# Wavelengths of the same lines in both media, as the NIST atomic spectra database lists them.
@pytest.mark.parametrize(
    ("vacuum", "air"),
    [(5891.583264, 5889.950954), (6564.632, 6562.819), (8500.35, 8498.02), (8544.44, 8542.09)],
)
def test_air_and_vacuum_of_known_lines(vacuum, air):
    assert vacuum_to_air([vacuum])[0] == pytest.approx(air, abs=6e-3)
    assert air_to_vacuum([air])[0] == pytest.approx(vacuum, abs=6e-3)


def test_air_and_vacuum_are_inverse_and_equal_below_2000():
    wavelength = np.linspace(1500.0, 25000.0, 500)
    np.testing.assert_allclose(
        air_to_vacuum(vacuum_to_air(wavelength))[20:], wavelength[20:], rtol=1e-10
    )
    far_ultraviolet = wavelength[wavelength < 2000]
    np.testing.assert_array_equal(vacuum_to_air(far_ultraviolet), far_ultraviolet)
    # The convention of this package's documentation: 1.4 Å at 5000 Å, 3.5 Å at 12800 Å.
    np.testing.assert_allclose([5000, 12800] - vacuum_to_air([5000, 12800]), [1.4, 3.5], atol=0.05)


def test_on_the_models_own_pixels_nothing_happens_to_the_light():
    forward = ModelPixels(WAVELENGTH)
    random = np.random.default_rng(0)
    flux = random.uniform(size=(2, len(WAVELENGTH)))
    slopes = random.normal(size=(2, len(WAVELENGTH), 3))
    # Whatever the effects are.
    effects = np.array([[30.0, 10.0, 5.0, 1e4], [0.0, 0.0, 0.0, 0.0]])
    observed, jacobian = forward.observe_with_derivatives(flux, slopes, effects, ())
    np.testing.assert_array_equal(observed, flux)
    np.testing.assert_array_equal(jacobian, np.swapaxes(slopes, 1, 2))
    # Who projects the derivatives off a continuum does not change the emulator's.
    jacobian *= 2.0
    np.testing.assert_array_equal(
        forward.observe_with_derivatives(flux, slopes, effects, ())[1] * 2, jacobian
    )
    assert forward.observe_with_derivatives(flux, None, effects, ())[1] is None


def test_the_models_own_pixels_are_those_of_a_forward_model():
    forward, usual = ModelPixels(WAVELENGTH), make_forward(segment(WAVELENGTH))
    assert forward.n_pixels == usual.n_pixels
    assert forward.segment_slices == usual.segment_slices


def test_media_are_never_mixed_silently():
    wavelength = np.array([5000.0, 5001.0])
    assert to_medium(wavelength, "air", "air") is wavelength
    assert to_medium(wavelength, None, None) is wavelength
    np.testing.assert_array_equal(
        to_medium(wavelength, "vacuum", "air"), vacuum_to_air(wavelength)
    )
    np.testing.assert_array_equal(
        to_medium(wavelength, "air", "vacuum"), air_to_vacuum(wavelength)
    )
    with pytest.raises(
        ValueError, match=r"does not say whether .* but those of the emulator are in air"
    ):
        to_medium(wavelength, None, "air")
    with pytest.raises(ValueError, match="is in air, but the emulator's medium is unknown"):
        to_medium(wavelength, "air", None)
    with pytest.raises(ValueError, match="medium of wavelength must be 'air', 'vacuum' or None"):
        to_medium(wavelength, "water", "air")


def test_good_pixels_have_flux_error_and_no_mask():
    flux = [1.0, np.nan, 1.0, 1.0, 1.0, np.inf]
    spectrum = ObservedSpectrum(
        np.arange(5000.0, 5006.0),
        flux,
        sigma=[0.1, 0.1, np.nan, 0.0, 0.1, 0.1],
        mask=[0, 0, 0, 0, 1, 0],
    )
    np.testing.assert_array_equal(spectrum.good, [True, False, False, False, False, False])
    masked = ObservedSpectrum(
        [5000.0, 5001.0], np.ma.masked_array([1.0, 1.0], [True, False]), ivar=[4.0, 4.0]
    )
    np.testing.assert_array_equal(masked.good, [False, True])
    np.testing.assert_array_equal(masked.sigma, 0.5)
    assert not ObservedSpectrum([5000.0, 5001.0], [1.0, 1.0], ivar=[0.0, 1.0]).good[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flux": [[1.0, 1.0]]}, "flux must hold one spectrum of two pixels or more"),
        (
            {"sigma": [0.1]},
            r"sigma must have one element for each of the 2 pixels .* shape \(1,\)",
        ),
        ({"medium": "water"}, "medium must be 'air', 'vacuum' or None, got 'water'"),
        ({"resolution": 0}, "resolution must be positive, λ/FWHM, got 0"),
        ({"velocity": 1e9}, "velocity must be in km/s"),
        ({"velocity": "fast"}, "velocity must be in km/s, got 'fast'"),
        ({"wavelength": [5000.0]}, "wavelength has 1 elements but the spectra have 2"),
    ],
)
def test_wrong_spectra_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        ObservedSpectrum(**{"wavelength": [5000.0, 5001.0], "flux": [1.0, 1.0], **settings})


def test_a_star_is_segments_mappings_or_orders():
    one = segment(PIXELS[:3])
    assert as_segments(one) == [one]
    assert as_segments(one, medium="air")[0].medium == "air"
    assert as_segments(segment(PIXELS[:3], medium="vacuum"), medium="air")[0].medium == "vacuum"
    mapping = {"wavelength": PIXELS[:3], "flux": np.ones(3), "sigma": np.ones(3), "DESCR": "text"}
    assert len(as_segments([mapping, one], resolution=100.0)) == 2
    orders = {
        "wavelength": PIXELS[:6].reshape(2, 3),
        "flux": np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
        "medium": "air",
    }
    first, second = as_segments(orders)
    np.testing.assert_array_equal(second.flux, [4.0, 5.0, 6.0])
    np.testing.assert_array_equal(first.wavelength, PIXELS[:3])
    with pytest.raises(TypeError, match=r"a mapping with wavelength and flux, .* got ndarray"):
        as_segments(np.ones(3))
