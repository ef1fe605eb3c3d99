"""The scale of growth, and flux composed on it."""

import numpy as np
import pytest

from skphx.manifolds import from_growth, growth_slope, to_growth
from skphx.manifolds.composition import compose, compose_slopes, residual_of

SOFTENINGS = (1e-4, 0.01, 0.3, np.inf)
FLUX = np.concatenate([np.linspace(-0.2, 0.999, 50), [1.0, 1.0 + 1e-9, 1.1, 3.0]])


@pytest.mark.parametrize("softening", SOFTENINGS)
def test_scale_there_and_back(softening):
    np.testing.assert_allclose(
        from_growth(to_growth(FLUX, softening), softening), FLUX, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("softening", SOFTENINGS)
def test_scale_grows_with_depth(softening):
    assert (np.diff(to_growth(FLUX, softening)) < 0).all()


@pytest.mark.parametrize("softening", SOFTENINGS)
def test_slope_is_the_difference_of_flux(softening):
    z = to_growth(np.linspace(0.05, 1.2, 30), softening)
    step = 1e-6
    difference = (from_growth(z + step, softening) - from_growth(z - step, softening)) / 2 / step
    # Central differences of a parabola are exact but for rounding.
    np.testing.assert_allclose(growth_slope(z, softening), difference, rtol=1e-6)


def test_slope_is_continuous_at_the_continuum():
    np.testing.assert_allclose(growth_slope(np.array([-1e-12, 0.0, 1e-12]), 0.03), -1.0, atol=1e-9)


def test_limits_of_the_scale():
    softening = 0.01
    shallow, deep = np.array([1e-6, 1e-5]), np.array([0.5, 1.0])
    np.testing.assert_allclose(to_growth(1.0 - shallow, softening), shallow, rtol=1e-3)
    root = np.sqrt(2.0 * softening * deep)
    np.testing.assert_allclose(to_growth(1.0 - deep, softening), root, rtol=0.1)
    # Above the continuum it is flux, whatever the softening.
    np.testing.assert_array_equal(to_growth(np.array([1.0, 1.5]), softening), [0.0, -0.5])


@pytest.mark.parametrize("line_share", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("softening", SOFTENINGS)
def test_composition_gives_the_flux_back(softening, line_share):
    clone = np.random.default_rng(0).uniform(0.1, 1.0, FLUX.shape)
    residual = residual_of(FLUX, clone, line_share, softening)
    again = compose(residual, clone, line_share, softening)
    np.testing.assert_allclose(again, FLUX, rtol=1e-11, atol=1e-11)


def test_inputs_of_composition_are_left_alone():
    flux, clone = np.full(3, 0.5), np.full(3, 0.6)
    residual = residual_of(flux, clone, 0.5, 0.03)
    kept = residual.copy()
    compose(residual, clone, 0.5, 0.03)
    compose_slopes(residual, np.ones((2, 3)), clone, np.ones((2, 3)), 0.5, 0.03)
    np.testing.assert_array_equal(residual, kept)
    np.testing.assert_array_equal([flux[0], clone[0]], [0.5, 0.6])
    # Without softening the flux minus its lines is minus what is added in depth.
    np.testing.assert_allclose(residual_of(flux, clone, 1.0, np.inf), 0.1)
