"""Profiles: area, symmetry, limits, independent references."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.special import voigt_profile, wofz
from scipy.stats import cauchy, norm

from skphx.lines import pseudo_voigt, voigt
from skphx.lines._engine.profile import (
    PROFILES,
    blase_voigt,
    component_slopes,
    components,
    get_profile,
    total_fwhm,
)
from skphx.lines._engine.voigt_slope import ASYMPTOTIC, faddeeva_slope

RATIOS = np.geomspace(1e-3, 1e3, 25)
widths = st.floats(1e-3, 1e2)


@pytest.fixture
def torch():
    """The module: tests of tensors need it."""
    return pytest.importorskip("torch")


@pytest.fixture
def faddeeva(torch):
    """Ours, for tensors."""
    from skphx.lines._engine.faddeeva import faddeeva

    return faddeeva


@pytest.mark.parametrize("name", PROFILES)
@given(sigma=widths, gamma=widths)
@settings(deadline=None, max_examples=40)
def test_unit_area(name, sigma, gamma):
    # x = s tan(u) maps the whole axis to a finite, smooth and periodic integrand; both widths
    # are resolved by summing each part of the axis on its own scale.
    edges = np.concatenate([[0.0], np.geomspace(1e-2 * min(sigma, gamma), 1e9 * gamma, 400)])
    nodes, weights = np.polynomial.legendre.leggauss(12)
    half = 0.5 * np.diff(edges)[:, None]
    x = edges[:-1, None] + half * (nodes + 1.0)
    area = 2.0 * (get_profile(name)(x, sigma, gamma) * weights * half).sum()
    assert area == pytest.approx(1.0, abs=1e-8)


@pytest.mark.parametrize("name", PROFILES)
def test_symmetric_and_falling(name):
    x = np.linspace(0.0, 5.0, 400)
    value = get_profile(name)(x, 0.3, 0.2)
    np.testing.assert_array_equal(get_profile(name)(-x, 0.3, 0.2), value)
    assert (np.diff(value) < 0).all()


@pytest.mark.parametrize("name", PROFILES)
def test_limits_are_gaussian_and_lorentzian(name):
    # An even number of points leaves out the centre, where a vanishing Gaussian is a spike.
    x = np.linspace(-2.0, 2.0, 100)
    profile = get_profile(name)
    np.testing.assert_allclose(profile(x, 0.4, 1e-9), norm.pdf(x, scale=0.4), atol=1e-7)
    np.testing.assert_allclose(profile(x, 1e-6, 0.4), cauchy.pdf(x, scale=0.4), atol=5e-5)


def test_torch_voigt_equals_scipy(torch):
    rng = np.random.default_rng(0)
    x = rng.choice([-1.0, 1.0], 20_000) * 10.0 ** rng.uniform(-8, 5, 20_000)
    sigma, gamma = 10.0 ** rng.uniform(-4, 3, (2, 20_000))
    x[:100] = 0.0
    ours = voigt(*(torch.tensor(value) for value in (x, sigma, gamma))).numpy()
    np.testing.assert_allclose(ours, voigt_profile(x, sigma, gamma), rtol=1e-9)
    np.testing.assert_allclose(voigt(x, sigma, gamma), voigt_profile(x, sigma, gamma), rtol=1e-9)


def test_faddeeva_over_the_half_plane(torch, faddeeva):
    rng = np.random.default_rng(1)
    z = 10.0 ** rng.uniform(-12, 5, 50_000) * rng.choice([-1, 1], 50_000) + 1j * (
        10.0 ** rng.uniform(-12, 4, 50_000)
    )
    # The quadrature's own nodes, and the edges between its rules.
    step = np.sqrt(np.pi / 12)
    z[:48] = np.arange(48) * 0.25 * step + 1e-11j
    z[48:96] = np.arange(48) * 0.25 * step * (1 + 1j)
    z[48], z[0] = 1e-9j, 0.0
    ours = faddeeva(torch.tensor(z)).numpy()
    np.testing.assert_allclose(ours, wofz(z), rtol=1e-12)


def test_faddeeva_differentiates_twice_and_forward(torch, faddeeva):
    z = torch.tensor([0.3 + 0.2j, -2 + 1e-3j, 5 + 7j], dtype=torch.complex128, requires_grad=True)
    assert torch.autograd.gradcheck(faddeeva, (z,))
    assert torch.autograd.gradgradcheck(faddeeva, (z,))


def test_slope_of_the_faddeeva_function(torch):
    """Its integral between neighbouring points, by Simpson's rule, is the change of w."""
    rng = np.random.default_rng(2)
    radius = 10.0 ** rng.uniform(-3, 4, 2000)
    radius[:2] = ASYMPTOTIC - 1e-3, ASYMPTOTIC + 1e-3
    z = radius * np.exp(1j * rng.uniform(0.0, np.pi, len(radius)))
    step = 1e-3 * np.maximum(radius, 1.0)
    low, middle, high = (faddeeva_slope(at, wofz(at)) for at in (z, z + 0.5 * step, z + step))
    change = wofz(z + step) - wofz(z)
    np.testing.assert_allclose(step / 6.0 * (low + 4.0 * middle + high), change, rtol=1e-8)
    ours = faddeeva_slope(torch.tensor(z), torch.tensor(wofz(z))).numpy()
    np.testing.assert_allclose(ours, low, rtol=1e-12)


@pytest.mark.parametrize("name", ["pseudo-voigt", "blase"])
def test_slopes_of_the_components_are_complex_steps(name):
    rng = np.random.default_rng(3)
    sigma, gamma = np.exp(rng.uniform(-12.0, 12.0, (2, 500)))
    step = 1e-30
    moved_widths = ((sigma * (1.0 + 1j * step), gamma), (sigma, gamma * (1.0 + 1j * step)))
    values = components(name, sigma, gamma)
    for slopes, moved in zip(component_slopes(name, sigma, gamma), moved_widths, strict=True):
        for slope, value, stepped in zip(slopes, values, components(name, *moved), strict=True):
            # Relative to the value: complex steps cancel where it hardly moves.
            difference = abs(slope - np.imag(stepped) / step)
            np.testing.assert_array_less(difference, 1e-13 * value)


def test_profiles_take_lists():
    for profile in (pseudo_voigt, voigt):
        value = profile([-0.1, 0.0, 0.1], [0.2], 0.1)
        np.testing.assert_array_equal(value, profile(np.array([-0.1, 0.0, 0.1]), 0.2, 0.1))


@pytest.mark.parametrize("ratio", RATIOS)
def test_pseudo_voigt_is_within_its_known_error(ratio):
    sigma, gamma = 1.0, ratio
    x = np.linspace(0.0, 20.0 * (sigma + gamma), 4001)
    exact = voigt_profile(x, sigma, gamma)
    error = np.abs(pseudo_voigt(x, sigma, gamma) - exact).max() / exact[0]
    assert error < 0.013


@pytest.mark.parametrize(("ratio", "excess"), [(0.1, 0.90), (1.0, 0.67), (10.0, 0.14)])
def test_common_width_mends_the_peak_of_separate_widths(ratio, excess):
    exact = voigt_profile(0.0, 1.0, ratio)
    assert blase_voigt(0.0, 1.0, ratio) / exact - 1.0 == pytest.approx(excess, abs=0.01)
    assert abs(pseudo_voigt(0.0, 1.0, ratio) / exact - 1.0) < 0.003


@pytest.mark.parametrize("ratio", RATIOS)
def test_total_fwhm_of_the_exact_profile(ratio):
    sigma, gamma = 1.0, ratio
    half = 0.5 * voigt_profile(0.0, sigma, gamma)
    width = 2.0 * brentq(
        lambda x: voigt_profile(x, sigma, gamma) - half, 0.0, 10.0 * (sigma + gamma), xtol=1e-12
    )
    assert total_fwhm(sigma, gamma) == pytest.approx(width, rel=5e-3)


@pytest.mark.parametrize("name", ["pseudo-voigt", "blase"])
def test_numpy_and_torch_agree(torch, name):
    x = np.linspace(-3.0, 3.0, 50)
    value = get_profile(name)(torch.tensor(x), torch.tensor(0.2), torch.tensor(0.5))
    np.testing.assert_allclose(value, get_profile(name)(x, 0.2, 0.5), rtol=1e-6)


def test_pseudo_voigt_has_its_stated_width():
    fwhm = total_fwhm(0.3, 0.2)
    peak = pseudo_voigt(0.0, 0.3, 0.2)
    assert pseudo_voigt(0.5 * fwhm, 0.3, 0.2) == pytest.approx(0.5 * peak, rel=1e-12)


def test_unknown_profile_is_refused():
    with pytest.raises(ValueError, match=r"profile must be one of .*got 'sinc'"):
        get_profile("sinc")
