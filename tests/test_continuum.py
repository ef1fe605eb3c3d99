"""ContinuumNormalizer."""

import numpy as np
import pytest
from astropy import units
from numpy.polynomial import Polynomial
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphx import ContinuumNormalizer
from skphx.datasets import load_npz_grid, make_stellar_grid
from skphx.preprocessing._continuum import _basis

BLANK_SPECTRUM = {
    "check_estimators_dtypes": "casts random numbers to integers 0 to 2, five pixels a spectrum, "
    "so that one is zero everywhere; a blank spectrum is an error here"
}
WAVELENGTH = np.linspace(8038.0, 12849.0, 6800)


def quintic(wavelength):
    """A positive polynomial of degree 5 with every power in it, up to some 40 % from 1."""
    x = (wavelength - wavelength.mean()) / np.ptp(wavelength) * 2
    return Polynomial([1.0, 0.2, -0.3, 0.15, 0.12, -0.2])(x)


def absorb(wavelength, centers, depth=0.6, width=2.0):
    """Transmission of Gaussian lines."""
    offset = (wavelength - np.asarray(centers)[:, None]) / width
    return np.prod(1.0 - depth * np.exp(-0.5 * offset**2), axis=0)


@parametrize_with_checks(
    [ContinuumNormalizer(), ContinuumNormalizer(anchors="peaks", n_iterations=0)],
    expected_failed_checks=lambda estimator: BLANK_SPECTRUM,
)
def test_estimator_checks(estimator, check):
    check(estimator)


def test_lineless_quintic_is_recovered_exactly():
    spectra = quintic(WAVELENGTH) * np.array([[1.0], [1e15]])
    normalizer = ContinuumNormalizer(WAVELENGTH, degree=5)
    np.testing.assert_allclose(normalizer.fit_transform(spectra), 1.0, rtol=1e-11)
    np.testing.assert_allclose(normalizer.measure_continuum(spectra), spectra, rtol=1e-11)
    # The degree is true: a quartic cannot do it.
    off = ContinuumNormalizer(WAVELENGTH, degree=4).fit_transform(spectra) - 1
    assert np.abs(off).max() > 1e-3


def test_basis_is_well_conditioned_where_powers_are_not():
    assert np.linalg.cond(_basis(WAVELENGTH, 5)) < 10
    assert np.linalg.cond(np.vander(WAVELENGTH, 6)) > 1e16


@pytest.mark.parametrize("anchors", ["windows", "peaks"])
def test_continuum_lies_on_the_peaks_between_lines(anchors):
    random = np.random.default_rng(1)
    lines = absorb(WAVELENGTH, random.uniform(8038, 12849, 150))
    ripple = 1.0 + 1e-5 * np.sin(WAVELENGTH * 2.0)  # local maxima for "peaks" to find
    spectra = quintic(WAVELENGTH)[None] * lines * ripple
    flux = ContinuumNormalizer(WAVELENGTH, anchors=anchors).fit_transform(spectra)
    np.testing.assert_allclose(flux[0], lines, atol=1e-3)


def test_band_and_bad_pixels_do_not_pull_the_continuum():
    continuum = quintic(WAVELENGTH)
    band = 1.0 - 0.4 * ((WAVELENGTH > 9300) & (WAVELENGTH < 9900))
    spectrum = continuum * band
    spectrum[[100, 5000]] = 1e-9  # dead
    spectrum[3000] *= 50.0  # hot
    robust = ContinuumNormalizer(WAVELENGTH).fit([spectrum]).measure_continuum([spectrum])
    np.testing.assert_allclose(robust[0], continuum, rtol=1e-6)
    spectrum[3000] = continuum[3000]
    naive = ContinuumNormalizer(WAVELENGTH, n_iterations=0).fit([spectrum])
    assert np.abs(naive.measure_continuum([spectrum])[0] / continuum - 1).max() > 0.05


def test_transform_then_inverse_transform_is_the_identity():
    grid = make_stellar_grid(teff=(4000, 5000, 6000), logg=(4.0,), feh=(-0.5, 0.0))
    normalizer = ContinuumNormalizer(grid.wavelength).fit(grid.spectra)
    flux = normalizer.transform(grid.spectra)
    np.testing.assert_allclose(normalizer.inverse_transform(flux), grid.spectra, rtol=1e-12)
    np.testing.assert_allclose(normalizer.fit_transform(grid.spectra), flux, rtol=1e-12)
    continuum = normalizer.measure_continuum(grid.spectra)
    assert continuum.shape == grid.spectra.shape
    assert normalizer.coefficients_.shape == (6, 6)
    np.testing.assert_allclose(grid.spectra / continuum, flux, rtol=1e-12)
    some = [4, 1]
    np.testing.assert_allclose(
        normalizer.inverse_transform(flux[some], continuum=continuum[some]),
        grid.spectra[some],
        rtol=1e-12,
    )
    with pytest.raises(ValueError, match=r"got 2 spectra without continuum, but fit had 6"):
        normalizer.inverse_transform(flux[some])
    single = ContinuumNormalizer(grid.wavelength).fit(grid.spectra[:1])
    np.testing.assert_allclose(single.inverse_transform(flux), flux * continuum[0], rtol=1e-12)


def test_generated_continuum_is_found():
    grid = make_stellar_grid(parameters=[[5500, 4.5, -0.5], [4000, 4.0, 0.0]], return_lines=True)
    normalizer = ContinuumNormalizer(grid.wavelength).fit(grid.spectra)
    np.testing.assert_allclose(
        normalizer.measure_continuum(grid.spectra), grid.continuum, rtol=0.01
    )


def test_rows_do_not_depend_on_each_other():
    grid = make_stellar_grid(teff=(4000, 6000), logg=(4.0, 4.5), feh=(0.0,))
    normalizer = ContinuumNormalizer(grid.wavelength)
    alone = np.vstack([normalizer.fit_transform(row[None]) for row in grid.spectra])
    np.testing.assert_array_equal(normalizer.fit_transform(grid.spectra), alone)


def test_result_does_not_depend_on_the_unit_of_wavelength_or_flux():
    grid = make_stellar_grid(teff=(5000,), logg=(4.0,), feh=(0.0,))
    flux = ContinuumNormalizer(grid.wavelength).fit_transform(grid.spectra)
    in_nm = ContinuumNormalizer(grid.wavelength / 10 * units.nm).fit_transform(grid.spectra * 1e-8)
    np.testing.assert_allclose(in_nm, flux, rtol=1e-9)
    # Evenly spaced pixels: their numbers scale to the same [-1, 1].
    np.testing.assert_allclose(ContinuumNormalizer().fit_transform(grid.spectra), flux, rtol=1e-9)


def test_distance_follows_the_number_of_pixels():
    assert ContinuumNormalizer().fit(np.ones((1, 338_651))).distance_ == 5001
    assert ContinuumNormalizer().fit(np.ones((1, 6773))).distance_ == 100
    assert ContinuumNormalizer(distance=37).fit(np.ones((1, 6773))).distance_ == 37


def test_few_anchors_lower_the_degree():
    wavelength = np.linspace(5000.0, 5010.0, 200)
    spectrum = 1.0 + absorb(wavelength, [5003.0, 5007.0])
    normalizer = ContinuumNormalizer(wavelength, distance=50, n_iterations=0).fit([spectrum])
    assert np.count_nonzero(normalizer.coefficients_) == 2  # four windows: a straight line
    flat = ContinuumNormalizer(wavelength, anchors="peaks").fit(np.full((1, 200), 3.0))
    np.testing.assert_array_equal(flat.coefficients_, [[3.0, 0, 0, 0, 0, 0]])


def test_paper_recipe_is_a_plain_least_squares_polynomial_through_find_peaks():
    from scipy.signal import find_peaks

    random = np.random.default_rng(2)
    spectrum = quintic(WAVELENGTH) * (1.0 + 0.05 * random.standard_normal(len(WAVELENGTH)))
    normalizer = ContinuumNormalizer(
        WAVELENGTH, anchors="peaks", distance=100, n_iterations=0
    ).fit([spectrum])
    peaks, _ = find_peaks(spectrum, distance=100)
    expected = Polynomial.fit(WAVELENGTH[peaks], spectrum[peaks], 5)(WAVELENGTH)
    np.testing.assert_allclose(normalizer.measure_continuum([spectrum])[0], expected, rtol=1e-10)


def test_continuum_that_is_not_positive_is_named():
    wavelength = np.linspace(5000.0, 5100.0, 1000)
    spectra = np.ones((3, 1000))
    spectra[1] = np.exp(-((wavelength - 5000.0) / 8.0))
    normalizer = ContinuumNormalizer(wavelength, degree=1, n_iterations=0)
    with pytest.raises(ValueError, match=r"continuum of spectrum 1 is not positive.*at 5100 Å"):
        normalizer.fit(spectra)
    assert not hasattr(normalizer, "coefficients_")
    normalizer.fit(spectra[[0, 2]])
    with pytest.raises(ValueError, match=r"Lower degree \(now 1\), shorten distance"):
        normalizer.transform(spectra)
    assert normalizer.coefficients_.shape == (2, 2)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"degree": -1}, ValueError, "degree == -1"),
        ({"degree": 2.5}, TypeError, "degree must be an instance of"),
        ({"distance": 0}, ValueError, "distance == 0"),
        ({"n_iterations": -1}, ValueError, "n_iterations == -1"),
        (
            {"anchors": "valleys"},
            ValueError,
            "anchors must be 'windows' or 'peaks', got 'valleys'",
        ),
        ({"wavelength": WAVELENGTH[:-1]}, ValueError, "6799 elements but the spectra have 6800"),
    ],
)
def test_bad_settings_are_named(settings, error, message):
    with pytest.raises(error, match=message):
        ContinuumNormalizer(**settings).fit(quintic(WAVELENGTH)[None])


def test_bad_flux_and_continuum_are_named():
    good = quintic(WAVELENGTH)[None]
    normalizer = ContinuumNormalizer(WAVELENGTH).fit(good)
    with pytest.raises(ValueError, match="spectrum 0 is zero at every pixel"):
        normalizer.transform(np.zeros_like(good))
    with pytest.raises(ValueError, match="Negative values in data"):
        normalizer.transform(-good)
    with pytest.raises(ValueError, match=r"shape \(1, 6800\), got shape \(1, 10\)"):
        normalizer.inverse_transform(good, continuum=good[:, :10])
    with pytest.raises(ValueError, match="continuum must be positive and finite"):
        normalizer.inverse_transform(good, continuum=0 * good)


def test_float32_stays_float32():
    spectra = quintic(WAVELENGTH).astype(np.float32)[None]
    normalizer = ContinuumNormalizer(WAVELENGTH)
    flux = normalizer.fit_transform(spectra)
    assert flux.dtype == np.float32
    assert normalizer.inverse_transform(flux).dtype == np.float32
    np.testing.assert_allclose(flux, 1.0, atol=1e-5)


@pytest.mark.shared_data
def test_spectra_that_are_normalised_stay_as_they_are(shared_data):
    grid = load_npz_grid(shared_data / "atlas9_hpf_grid.npz", medium="air")
    normalizer = ContinuumNormalizer(grid.wavelength).fit(grid.spectra[::6])
    np.testing.assert_allclose(normalizer.measure_continuum(grid.spectra[::6]), 1.0, atol=1e-3)


@pytest.mark.shared_data
def test_a_dead_pixel_of_a_real_spectrum_is_survived(shared_data):
    with np.load(shared_data / "phoenix_T4100_g2.5_native.npz") as file:
        wavelength, flux = file["wavelength"], file["flux"][None]
    assert flux.min() < 1e-8
    normalizer = ContinuumNormalizer(wavelength).fit(flux)
    np.testing.assert_allclose(normalizer.measure_continuum(flux), 1.0, atol=1e-3)
