"""Spectra of the nodes as few components, and continua at the nodes."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from skphx._domain import blackbody_flux
from skphx.flux._continua import NodeContinua
from skphx.flux._low_rank import LowRank
from skphx.flux._pixels import PixelsBetween

WAVELENGTH = np.linspace(5000.0, 5100.0, 300)
TEFF = np.array([4000.0, 5000.0, 6000.0])


@pytest.fixture
def values():
    """Twenty spectra of which a few say nearly all."""
    rng = np.random.default_rng(0)
    shares = rng.normal(size=(20, 20))
    return shares @ (rng.normal(size=(20, 300)) * 10.0 ** -np.arange(20.0)[:, None])


def losses(kept, values, slope=1.0):
    """Root mean square that each node loses."""
    return np.sqrt(np.mean(((kept.at(np.eye(len(values))) - values) * slope) ** 2, axis=1))


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_a_low_rank_loses_less_than_the_tolerance(values, tolerance):
    kept = LowRank.fit(values, tolerance)
    assert kept.coefficients.shape == (20, len(kept.components))
    assert losses(kept, values).max() <= tolerance
    # One component fewer would not do.
    fewer = LowRank(kept.mean, kept.components[:-1], kept.coefficients[:, :-1])
    assert losses(fewer, values).max() > tolerance


@pytest.mark.parametrize("tolerance", [1e-8, 1e-10, 1e-13])
def test_no_tolerance_is_too_small_to_be_kept(values, tolerance):
    assert losses(LowRank.fit(values, tolerance), values).max() <= tolerance


def test_more_nodes_than_pixels(values):
    tall = values.T.copy()
    kept = LowRank.fit(tall, 1e-3)
    assert len(kept.components) < 10
    assert losses(kept, tall).max() <= 1e-3


def test_a_slope_says_what_errors_count(values):
    slope = np.where(np.arange(300) < 150, 1e-3, 1.0) * np.ones((20, 1))
    slope[7] *= 100.0
    kept = LowRank.fit(values, 1e-4, slope)
    assert losses(kept, values, slope).max() <= 1e-4
    fewer = LowRank(kept.mean, kept.components[:-1], kept.coefficients[:, :-1])
    assert losses(fewer, values, slope).max() > 1e-4
    assert len(kept.components) != len(LowRank.fit(values, 1e-4).components)


@pytest.mark.parametrize("tolerance", [0.0, 1e-12])
def test_where_a_low_rank_does_not_pay_values_are_kept_as_they_are(tolerance):
    noise = np.random.default_rng(1).normal(size=(20, 300))
    kept = LowRank.fit(noise, tolerance)
    assert kept.coefficients is None
    # But for the rounding of the mean.
    np.testing.assert_allclose(kept.at(csr_array(np.eye(20))), noise, rtol=0, atol=2e-15)


def test_equal_nodes_need_no_component():
    for level in (0.0, 0.7):
        kept = LowRank.fit(np.full((8, 50), level), 1e-6)
        assert kept.components.shape == (0, 50)
        weights = csr_array(np.full((2, 8), 0.125))
        np.testing.assert_allclose(kept.at(weights), np.full((2, 50), level), rtol=1e-15)


@pytest.mark.parametrize("tolerance", [0.0, 1e-4])
def test_all_ways_to_weights_agree(values, tolerance):
    kept = LowRank.fit(values, tolerance)
    assert (kept.coefficients is None) == (tolerance == 0)
    few, many = np.zeros((2, 20)), np.full((1, 20), 0.05)
    few[0, 3], few[1, [5, 6]] = 1.0, (0.25, 0.75)
    every = kept.values()
    assert losses(kept, values).max() <= max(tolerance, 1e-14)
    for weights in (few, many):
        for given in (weights, csr_array(weights)):
            np.testing.assert_allclose(kept.at(given), weights @ every, rtol=1e-11, atol=1e-13)
    # Derivatives of weights add up to zero, and the mean does not count.
    change = few[1:] - few[:1]
    for given in (change, csr_array(change)):
        expected = every[[5, 6]].T @ [0.25, 0.75] - every[3]
        np.testing.assert_allclose(kept.change(given)[0], expected, rtol=1e-11, atol=1e-13)


def test_values_on_other_pixels(values):
    for kept in (LowRank.fit(values, 1e-4), LowRank.fit(values, 0.0)):
        every = kept.at(np.eye(20))
        np.testing.assert_allclose(kept.resampled(slice(3, 9)).at(np.eye(20)), every[:, 3:9])
        mean = PixelsBetween(np.arange(299) + 0.5, np.arange(300.0))
        expected = (every[:, :-1] + every[:, 1:]) / 2
        np.testing.assert_allclose(kept.resampled(mean).at(np.eye(20)), expected, atol=1e-12)


def spectra(depth, scale=1.0):
    """Raw and normalised flux of one broad line of a given depth, on blackbodies."""
    normalised = 1.0 - depth * np.exp(-0.5 * ((WAVELENGTH - 5050.0) / 5.0) ** 2)
    normalised = np.tile(normalised, (3, 1))
    slope = 1.0 + 1e-3 * (WAVELENGTH - 5050.0)
    continuum = np.array([scale * slope * blackbody_flux(WAVELENGTH, teff) for teff in TEFF])
    return continuum * normalised, normalised, continuum


@pytest.mark.parametrize("depth", [0.2, 0.999])
def test_continua_are_what_was_taken_away_also_below_deep_lines(depth):
    raw, normalised, continuum = spectra(depth, scale=1e-15)
    kept = NodeContinua(WAVELENGTH, raw, normalised, TEFF)
    np.testing.assert_allclose(kept.at(np.eye(3), TEFF), continuum, rtol=2e-5)
    # Half way the blackbody is that of the temperature asked for.
    half = kept.at(csr_array([[0.5, 0.5, 0.0]]), [4500.0])[0]
    expected = continuum[0] / blackbody_flux(WAVELENGTH, 4000.0) * blackbody_flux(WAVELENGTH, 4500)
    np.testing.assert_allclose(half, expected, rtol=2e-5)
    part = kept.resampled(slice(10, 20), WAVELENGTH[10:20])
    np.testing.assert_allclose(part.at(np.eye(3), TEFF), continuum[:, 10:20], rtol=2e-5)


def test_continua_without_temperatures():
    raw, normalised, continuum = spectra(0.5)
    kept = NodeContinua(WAVELENGTH, raw, normalised)
    assert not kept.has_blackbody
    np.testing.assert_allclose(kept.at(np.eye(3)), continuum, rtol=1e-6)


def test_continua_of_any_unit_take_no_more_room():
    rng = np.random.default_rng(0)
    normalised = np.ones((40, 300))
    shapes = np.exp(rng.normal(size=(40, 1)) + rng.normal(size=(40, 1)) * np.linspace(-1, 1, 300))
    for unit in (1.0, 1e-20, 1e15):
        kept = NodeContinua(WAVELENGTH, unit * shapes, normalised)
        assert len(kept.log_factor.components) == 2
        np.testing.assert_allclose(kept.at(np.eye(40)), unit * shapes, rtol=1e-6)


def test_flux_that_is_deep_everywhere_has_a_continuum():
    _, normalised, continuum = spectra(0.0)
    absorbed = normalised * np.linspace(0.05, 0.2, 300)
    kept = NodeContinua(WAVELENGTH, continuum * absorbed, absorbed, TEFF)
    np.testing.assert_allclose(kept.at(np.eye(3), TEFF)[:, -20:], continuum[:, -20:], rtol=1e-6)
    # Where the flux is fainter still, the continuum of the brightest pixels goes on.
    np.testing.assert_allclose(kept.at(np.eye(3), TEFF), continuum, rtol=0.1)


def test_spectra_without_any_flux_have_none():
    raw, normalised, _ = spectra(0.5)
    raw[1] = 0.0
    with pytest.raises(ValueError, match="spectrum 1 of y has no pixel that is positive"):
        NodeContinua(WAVELENGTH, raw, normalised, TEFF)


def test_slopes_of_continua_are_differences():
    rng = np.random.default_rng(0)
    raw, normalised, _ = spectra(0.3)
    kept = NodeContinua(WAVELENGTH, raw * np.exp(rng.normal(size=(3, 1))), normalised, TEFF)
    for by_teff in (kept, NodeContinua(WAVELENGTH, raw, normalised)):

        def log_factor(teff, by_teff=by_teff):
            share = (teff - 4000.0) / 1000.0
            return np.log(by_teff.at(csr_array([[1.0 - share, share, 0.0]]), [teff]))

        slope = csr_array([[-1e-3, 1e-3, 0.0]])
        found = by_teff.log_slopes([slope, 0.0 * slope], np.array([4300.0]), 0)
        assert found.shape == (2, 1, 300)
        difference = log_factor(4300.1) - log_factor(4299.9)
        np.testing.assert_allclose(found[0], difference / 0.2, rtol=1e-6)
        np.testing.assert_array_equal(found[1], 0.0)
