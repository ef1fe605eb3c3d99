"""Residuals and continua at the nodes."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from skphx._units import blackbody_flux
from skphx.manifolds import NodeContinua, NodeResiduals
from skphx.manifolds.pixels import PixelsBetween

WAVELENGTH = np.linspace(5000.0, 5100.0, 300)
TEFF = np.array([4000.0, 5000.0, 6000.0])


@pytest.fixture
def residual():
    """Twenty residuals of falling size, of which a few say nearly all."""
    rng = np.random.default_rng(0)
    shares = rng.normal(size=(20, 20))
    return shares @ (rng.normal(size=(20, 300)) * 10.0 ** -np.arange(20.0)[:, None])


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6])
def test_a_low_rank_loses_less_than_the_tolerance(residual, tolerance):
    kept = NodeResiduals(residual, tolerance)
    assert kept.shares.shape == (20, len(kept.components))
    lost = np.sqrt(np.mean((kept.at(np.eye(20)) - residual) ** 2, axis=1))
    assert lost.max() <= tolerance
    # One component fewer would not do.
    fewer = kept.shares[:, :-1] @ kept.components[:-1]
    assert np.sqrt(np.mean((fewer - residual) ** 2, axis=1)).max() > tolerance


@pytest.mark.parametrize("tolerance", [0.0, 1e-12])
def test_where_a_low_rank_does_not_pay_residuals_are_kept_as_they_are(tolerance):
    noise = np.random.default_rng(1).normal(size=(20, 300))
    kept = NodeResiduals(noise, tolerance)
    assert kept.shares is None
    np.testing.assert_array_equal(kept.at(csr_array(np.eye(20))), noise)


def test_no_residual_at_all():
    kept = NodeResiduals(np.zeros((8, 50)), 1e-6)
    assert kept.components.shape == (0, 50)
    np.testing.assert_array_equal(kept.at(csr_array(np.full((2, 8), 0.125))), np.zeros((2, 50)))


def test_residuals_on_other_pixels(residual):
    for kept in (NodeResiduals(residual, 1e-4), NodeResiduals(residual, 0.0)):
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
