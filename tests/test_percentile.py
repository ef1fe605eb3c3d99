"""PercentileNormalizer."""

import numpy as np
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from skphx import PercentileNormalizer

BLANK_SPECTRUM = {
    "check_estimators_dtypes": "casts random numbers to integers 0 to 2, five pixels a spectrum, "
    "so that one is zero everywhere; a blank spectrum is an error here"
}


@pytest.fixture
def spectra():
    random = np.random.default_rng(0)
    return random.uniform(0.2, 1.0, (6, 400)) * np.geomspace(1e3, 1e15, 6)[:, None]


@parametrize_with_checks(
    [PercentileNormalizer()], expected_failed_checks=lambda estimator: BLANK_SPECTRUM
)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("percentile", [50, 95.5, 99, 100])
def test_percentile_becomes_one_and_comes_back(spectra, percentile):
    normalizer = PercentileNormalizer(percentile=percentile).fit(spectra)
    flux = normalizer.transform(spectra)
    np.testing.assert_allclose(np.percentile(flux, percentile, axis=1), 1.0, rtol=1e-13)
    np.testing.assert_allclose(normalizer.inverse_transform(flux), spectra, rtol=1e-13)


def test_scaling_a_spectrum_changes_only_its_scale(spectra):
    normalizer = PercentileNormalizer().fit(spectra)
    np.testing.assert_allclose(normalizer.transform(7.0 * spectra), normalizer.transform(spectra))
    np.testing.assert_allclose(normalizer.measure_scale(7.0 * spectra), 7.0 * normalizer.scale_)


def test_rows_do_not_depend_on_each_other(spectra):
    alone = np.vstack([PercentileNormalizer().fit_transform(row[None]) for row in spectra])
    np.testing.assert_array_equal(PercentileNormalizer().fit_transform(spectra), alone)


def test_inverse_transform_of_other_spectra_takes_scale(spectra):
    normalizer = PercentileNormalizer().fit(spectra)
    others = 3.0 * spectra[::-1][:4]
    scale = normalizer.measure_scale(others)
    flux = normalizer.transform(others)
    np.testing.assert_allclose(normalizer.inverse_transform(flux, scale=scale), others)
    with pytest.raises(ValueError, match=r"got 4 spectra without scale, but fit had 6 spectra"):
        normalizer.inverse_transform(flux)
    single = PercentileNormalizer().fit(others[:1])
    np.testing.assert_allclose(single.inverse_transform(flux), flux * single.scale_)
    np.testing.assert_allclose(normalizer.inverse_transform(flux, scale=2.0), flux * 2.0)


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        ([1.0, 2.0], r"shape \(6,\), got shape \(2,\)"),
        ([1.0, 2.0, 0.0, 1.0, 1.0, 1.0], "element 2 is 0.0"),
        ([1.0, np.nan, 1.0, 1.0, 1.0, 1.0], "element 1 is nan"),
    ],
)
def test_bad_scale_is_named(spectra, scale, message):
    normalizer = PercentileNormalizer().fit(spectra)
    with pytest.raises(ValueError, match=message):
        normalizer.inverse_transform(spectra, scale=scale)


def test_bad_spectra_are_named(spectra):
    normalizer = PercentileNormalizer(percentile=40).fit(spectra)
    blank, dim = spectra.copy(), spectra.copy()
    blank[4] = 0.0
    dim[2, :200] = 0.0
    with pytest.raises(ValueError, match="spectrum 4 is zero at every pixel"):
        normalizer.fit(blank)
    with pytest.raises(
        ValueError, match=r"spectrum 2 at percentile=40 is 0.0: most of its pixels"
    ):
        normalizer.transform(dim)
    for value in (np.nan, np.inf):
        dim[0, 0] = value
        with pytest.raises(
            ValueError, match=r"X contains .* of spectrum 0 are not, the first is pixel 0"
        ):
            normalizer.transform(dim)
    with pytest.raises(ValueError, match="Negative values in data"):
        normalizer.transform(-spectra)
    assert len(normalizer.scale_) == 6


def test_a_few_negative_pixels_are_noise(spectra):
    spectra[:, :5] *= -0.01
    assert (PercentileNormalizer().fit_transform(spectra)[:, :5] < 0).all()


@pytest.mark.parametrize("percentile", [0, -1, 101])
def test_percentile_out_of_range(spectra, percentile):
    with pytest.raises(ValueError, match=f"percentile == {percentile}"):
        PercentileNormalizer(percentile=percentile).fit(spectra)
    with pytest.raises(TypeError, match="percentile must be an instance of"):
        PercentileNormalizer(percentile="99").fit(spectra)
