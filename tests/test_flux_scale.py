"""The curve-of-growth scale."""

import numpy as np
import pytest

from skphx.flux._scale import from_growth, growth_slope, to_growth

SATURATIONS = (1e-4, 0.01, 0.3, np.inf)
FLUX = np.concatenate([np.linspace(-0.2, 0.999, 50), [1.0, 1.0 + 1e-9, 1.1, 3.0]])


@pytest.mark.parametrize("saturation", SATURATIONS)
def test_scale_there_and_back(saturation):
    np.testing.assert_allclose(
        from_growth(to_growth(FLUX, saturation), saturation), FLUX, rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("saturation", SATURATIONS)
def test_scale_grows_with_depth(saturation):
    assert (np.diff(to_growth(FLUX, saturation)) < 0).all()


@pytest.mark.parametrize("saturation", SATURATIONS)
def test_slope_is_the_difference_of_flux(saturation):
    z = to_growth(np.linspace(0.05, 1.2, 30), saturation)
    step = 1e-6
    difference = (from_growth(z + step, saturation) - from_growth(z - step, saturation)) / 2 / step
    # Central differences of a parabola are exact but for rounding.
    np.testing.assert_allclose(growth_slope(z, saturation), difference, rtol=1e-6)


def test_slope_is_continuous_at_the_continuum():
    np.testing.assert_allclose(growth_slope(np.array([-1e-12, 0.0, 1e-12]), 0.03), -1.0, atol=1e-9)


def test_limits_of_the_scale():
    saturation = 0.01
    shallow, deep = np.array([1e-6, 1e-5]), np.array([0.5, 1.0])
    np.testing.assert_allclose(to_growth(1.0 - shallow, saturation), shallow, rtol=1e-3)
    root = np.sqrt(2.0 * saturation * deep)
    np.testing.assert_allclose(to_growth(1.0 - deep, saturation), root, rtol=0.1)
    # Above the continuum it is flux, whatever the saturation.
    np.testing.assert_array_equal(to_growth(np.array([1.0, 1.5]), saturation), [0.0, -0.5])


@pytest.mark.parametrize("saturation", SATURATIONS)
def test_inputs_are_left_alone(saturation):
    flux, z = FLUX.copy(), np.linspace(-0.5, 1.0, 20)
    kept = z.copy()
    to_growth(flux, saturation)
    from_growth(z, saturation)
    growth_slope(z, saturation)
    np.testing.assert_array_equal(flux, FLUX)
    np.testing.assert_array_equal(z, kept)
