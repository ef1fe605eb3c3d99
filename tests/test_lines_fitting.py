"""Fitting of lines: the compiled normal equations, the steps, growth of the list."""

import numpy as np
import pytest

from skphx.lines import fit_spectrum, render_flux
from skphx.lines._engine import normal_equations as kernels
from skphx.lines._engine.profile import components, total_fwhm
from skphx.lines._fitting import fit_lines
from skphx.lines._least_squares import _Problem, fit_levenberg_marquardt, line_parts

WAVELENGTH = np.linspace(5000.0, 5012.0, 601)
# A narrow line, a blend of two, a line with wide wings, a faint one.
LINES = np.column_stack(
    [
        [5001.503, 5004.0, 5004.31, 5007.2, 5010.1],
        np.log([0.05, 0.12, 0.06, 0.3, 0.01]),
        np.log([0.06, 0.08, 0.07, 0.09, 0.05]),
        np.log([0.02, 0.03, 0.05, 0.15, 0.02]),
    ]
)
TRANSMISSIONS = ["exponential", "product"]


def render(lines, **options):
    return render_flux(WAVELENGTH, *lines.T, **options)


def finite_differences(lines, **options):
    """Jacobian (n_pixels, n_lines, 4) of the rendered flux by central differences."""
    step = 1e-6
    jacobian = np.empty((len(WAVELENGTH), *lines.shape))
    for i, q in np.ndindex(lines.shape):
        moved = np.array([lines, lines])
        moved[:, i, q] += [step, -step]
        above, below = (render(each, **options) for each in moved)
        jacobian[:, i, q] = (above - below) / (2 * step)
    return jacobian


def normal_equations(lines, flux, *, prior=None, regularization=0.0, **options):
    """Normal equations at `lines`, and their Jacobian written out in full."""
    prior = lines if prior is None else prior
    options = {"profile": "pseudo-voigt", "transmission": "exponential", **options}
    problem = _Problem(
        WAVELENGTH, flux, prior, regularization, wing_cut=None, device="cpu", **options
    )
    order = np.argsort(lines[:, 0], kind="stable")
    equations = problem.linearise(lines, problem.evaluate(lines), order)
    dense = np.zeros((len(WAVELENGTH), len(lines), 4))
    for line, start, stop, first in zip(order, *equations.windows, strict=True):
        dense[start:stop, line] = equations.derivatives[first : first + stop - start]
    return equations, dense


@pytest.mark.parametrize("profile", ["pseudo-voigt", "blase"])
def test_parts_and_their_derivatives_are_those_of_torch(profile):
    torch = pytest.importorskip("torch")
    logs = torch.tensor(LINES[:, 1:], requires_grad=True)
    area, sigma, gamma = logs.exp().T
    eta, half_width, deviation = components(profile, sigma, gamma)
    expected = torch.stack([area * eta, half_width, area * (1.0 - eta), deviation], dim=1)
    parts, chain = line_parts(LINES, profile)
    np.testing.assert_allclose(parts, expected.detach(), rtol=1e-13)
    for number, part in enumerate(expected.T):
        slopes = torch.autograd.grad(part.sum(), logs, retain_graph=True)[0]
        np.testing.assert_allclose(chain[:, number], slopes, rtol=1e-12, atol=1e-16)


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
@pytest.mark.parametrize("profile", ["pseudo-voigt", "blase"])
def test_jacobian_is_that_of_the_rendered_flux(profile, transmission):
    options = {"profile": profile, "transmission": transmission}
    equations, dense = normal_equations(LINES, np.ones_like(WAVELENGTH), **options)
    expected = finite_differences(LINES, **options)
    start, stop, _ = equations.windows
    for line in range(len(LINES)):
        inside = slice(start[line], stop[line])
        largest = abs(expected[:, line]).max(axis=0)
        # Relative to the largest derivative: the rest is the error of the differences.
        difference = abs(dense[inside, line] - expected[inside, line]).max(axis=0)
        np.testing.assert_array_less(difference, 1e-6 * largest + 1e-9)
        # What lies outside a line's window is small by design: its optical depth is < 2e-4.
        outside = expected[:, line].copy()
        outside[inside] = 0.0
        assert (abs(outside[:, 1]) < 2.1e-4).all()


def test_voigt_directions_are_close_to_the_exact_profile():
    _, dense = normal_equations(LINES, np.ones_like(WAVELENGTH), profile="voigt")
    expected = finite_differences(LINES, profile="voigt")
    cosine = (dense * expected).sum(axis=0) / np.sqrt(
        (dense**2).sum(axis=0) * (expected**2).sum(axis=0)
    )
    assert cosine[:, :3].min() > 0.99
    assert cosine.min() > 0.95


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
def test_gradient_is_that_of_the_cost(transmission):
    rng = np.random.default_rng(0)
    prior = LINES + rng.normal(0.0, 0.01, LINES.shape)
    flux = render(LINES + rng.normal(0.0, 0.02, LINES.shape), transmission=transmission)
    regularization = 0.05
    equations, _ = normal_equations(
        LINES, flux, prior=prior, regularization=regularization, transmission=transmission
    )
    scale = np.array([2.5 * (WAVELENGTH[1] - WAVELENGTH[0]), 1.0, 1.0, 1.0])

    def half_cost(lines):
        misfit = np.sum((render(lines, transmission=transmission) - flux) ** 2)
        return 0.5 * (misfit + np.sum((regularization * (lines - prior) / scale) ** 2))

    expected = np.empty_like(LINES)
    step = 1e-6
    for i, q in np.ndindex(LINES.shape):
        moved = np.array([LINES, LINES])
        moved[:, i, q] += [step, -step]
        expected[i, q] = (half_cost(moved[0]) - half_cost(moved[1])) / (2 * step)
    # Wings beyond the windows are not in the gradient: that is the tolerance.
    np.testing.assert_allclose(equations.gradient, expected, atol=2e-3 * abs(expected).max())


def test_products_and_bands_are_those_of_the_dense_jacobian():
    rng = np.random.default_rng(1)
    flux = np.ones_like(WAVELENGTH)
    equations, dense = normal_equations(LINES, flux)
    n_lines = len(LINES)
    flat = dense.reshape(len(WAVELENGTH), -1)
    normal = flat.T @ flat

    step, out = rng.normal(size=(n_lines, 4)), np.empty(len(WAVELENGTH))
    kernels.forward_product(equations.derivatives, *equations.windows, step, out)
    np.testing.assert_allclose(out, flat @ step.ravel(), atol=1e-12)

    back = np.empty((n_lines, 4))
    kernels.transposed_product(equations.derivatives, *equations.windows, out, back)
    np.testing.assert_allclose(back.ravel(), flat.T @ out, rtol=1e-10, atol=1e-12)

    np.testing.assert_allclose(equations.diagonal.ravel(), np.diag(normal), rtol=1e-12)

    # Two neighbours a line, whole windows: bands of the dense matrix, couplings farther zero.
    n_coupled = 2
    bands = np.zeros((4 * n_coupled + 4, 4 * n_lines))
    kernels.banded_normal_matrix(equations.derivatives, *equations.windows, n_coupled, bands)
    line = np.arange(4 * n_lines) // 4
    near = line[:, None] - line[None] <= n_coupled
    for diagonal in range(len(bands)):
        size = 4 * n_lines - diagonal
        expected = np.diag(np.where(near, normal, 0.0), -diagonal)
        np.testing.assert_allclose(bands[diagonal, :size], expected, atol=1e-12)


def test_step_solves_the_damped_equations():
    rng = np.random.default_rng(2)
    flux = render(LINES + rng.normal(0.0, 0.05, LINES.shape))
    equations, dense = normal_equations(LINES, flux, regularization=0.01)
    flat = dense.reshape(len(WAVELENGTH), -1)
    damping = np.full(len(LINES), 0.1)
    damped = flat.T @ flat
    damped += np.diag((damping[:, None] * equations.diagonal + equations.prior_weight).ravel())
    expected = np.linalg.solve(damped, -equations.gradient.ravel()).reshape(-1, 4)
    step = equations.solve(damping)
    held = equations.held
    assert not held.any()
    # Conjugate gradients stop at a thousandth of the decrease that the step promises.
    difference = (step - expected).ravel()
    energy = np.sqrt(difference @ damped @ difference)
    assert energy < 0.05 * np.sqrt(expected.ravel() @ damped @ expected.ravel())


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
@pytest.mark.parametrize("profile", ["pseudo-voigt", "voigt", "blase"])
def test_levenberg_marquardt_finds_the_true_lines(profile, transmission):
    options = {"profile": profile, "transmission": transmission}
    rng = np.random.default_rng(3)
    start = LINES + rng.normal(0.0, [0.02, 0.3, 0.2, 0.3], LINES.shape)
    lines, rms = fit_levenberg_marquardt(
        WAVELENGTH, render(LINES, **options), start, regularization=0.0, tolerance=1e-9, **options
    )
    assert rms < 2e-5
    np.testing.assert_allclose(render(lines, **options), render(LINES, **options), atol=2e-4)
    # The isolated lines, in every parameter.
    np.testing.assert_allclose(lines[[0, 3], 0], LINES[[0, 3], 0], atol=1e-3)
    np.testing.assert_allclose(lines[[0, 3], 1], LINES[[0, 3], 1], atol=0.01)


def test_order_of_the_lines_does_not_matter():
    start = LINES + np.array([0.01, 0.1, 0.1, 0.1])
    flux = render(LINES)
    shuffled = np.array([3, 0, 4, 2, 1])
    lines, rms = fit_levenberg_marquardt(WAVELENGTH, flux, start)
    again, rms_again = fit_levenberg_marquardt(WAVELENGTH, flux, start[shuffled])
    np.testing.assert_allclose(again, lines[shuffled], rtol=1e-6)
    assert rms_again == pytest.approx(rms)


def test_strong_pull_keeps_the_prior_and_no_pull_leaves_it():
    flux = render(LINES)
    prior = LINES + np.array([0.005, 0.2, -0.2, 0.2])
    held, _ = fit_levenberg_marquardt(WAVELENGTH, flux, prior, regularization=1e4)
    np.testing.assert_allclose(held, prior, atol=1e-6)
    free, _ = fit_levenberg_marquardt(WAVELENGTH, flux, prior, regularization=0.0)
    assert abs(free - prior)[:, 1].min() > 0.05


def test_no_step_makes_the_fit_worse():
    start = LINES + np.array([0.05, 0.5, 0.3, -0.5])
    flux = render(LINES)
    errors = [
        fit_levenberg_marquardt(WAVELENGTH, flux, start, max_iter=n, regularization=0.0)[1]
        for n in range(6)
    ]
    assert errors[0] == pytest.approx(np.sqrt(np.mean((render(start) - flux) ** 2)))
    assert (np.diff(errors) <= 0).all()
    assert errors[-1] < 0.3 * errors[0]


def test_lines_are_added_until_the_target_is_reached():
    # A line with a broad shoulder that no minimum shows: found in the residual only.
    lines = np.array([LINES[0], [5001.68, np.log(0.025), np.log(0.1), np.log(0.02)]])
    flux = render(lines)
    detected, pixel, rms = fit_spectrum(WAVELENGTH, flux)
    assert len(detected) == len(pixel) == 1
    assert rms > 1e-3
    grown, pixel, rms = fit_spectrum(WAVELENGTH, flux, target_rms=3e-4)
    assert len(grown) == len(pixel) > 1
    assert rms <= 3e-4
    np.testing.assert_allclose(np.sqrt(np.mean((render(grown) - flux) ** 2)), rms, rtol=1e-6)
    limited, _, _ = fit_spectrum(WAVELENGTH, flux, target_rms=0.0, max_lines=2)
    assert len(limited) == 2


def test_noise_becomes_no_line():
    noise = np.random.default_rng(4).normal(0.0, 0.01, len(WAVELENGTH))
    flux = render(LINES[:1]) + noise
    lines, _, rms = fit_spectrum(WAVELENGTH, flux, prominence=0.1, target_rms=0.001)
    assert len(lines) <= 3
    assert rms == pytest.approx(0.01, rel=0.15)


@pytest.mark.parametrize("height", [0.5, 50.0])
def test_emission_changes_no_absorption_line(height):
    emission = height * np.exp(-0.5 * ((WAVELENGTH - 5005.8) / 0.1) ** 2)
    alone, _, rms_alone = fit_spectrum(WAVELENGTH, render(LINES), target_rms=0.001)
    lines, _, rms = fit_spectrum(WAVELENGTH, render(LINES) + emission, target_rms=0.001)
    assert len(lines) == len(alone)
    assert rms_alone <= 0.001
    flux = render(lines)
    # What is left is the emission, and little else.
    assert np.sqrt(np.mean((flux - render(LINES)) ** 2)) < 0.002
    assert rms == pytest.approx(np.sqrt(np.mean(emission**2)), rel=0.02)


def test_a_line_cut_by_an_end_is_added_unless_the_edge_forbids():
    cut = np.array([[WAVELENGTH[0], -2.0, -2.0, -3.0], [WAVELENGTH[-1] + 0.03, -2.0, -2.0, -3.0]])
    flux = render(np.concatenate([LINES, cut]))
    lines, _, rms = fit_spectrum(WAVELENGTH, flux, target_rms=0.002)
    assert rms <= 0.002
    lines, _, _ = fit_spectrum(WAVELENGTH, flux, target_rms=0.002, edge=1.0)
    # A centre may move by its width, but not from inside to where the cut lines stand.
    assert lines[:, 0].min() > WAVELENGTH[0] + 0.5
    assert lines[:, 0].max() < WAVELENGTH[-1] - 0.5


@pytest.mark.parametrize("transmission", TRANSMISSIONS)
def test_lines_stay_within_their_bounds_whatever_the_flux(transmission):
    rng = np.random.default_rng(5)
    step = WAVELENGTH[1] - WAVELENGTH[0]
    options = {"transmission": transmission}
    detected, _, _ = fit_spectrum(WAVELENGTH, render(LINES), max_iter=0, **options)
    for flux in (
        rng.uniform(0.0, 2.0, len(WAVELENGTH)),
        rng.normal(0.5, 10.0, len(WAVELENGTH)),
        np.full(len(WAVELENGTH), 0.01),
        np.full(len(WAVELENGTH), 30.0),
        np.where(WAVELENGTH < 5006.0, 1.0, -5.0),
    ):
        lines, _ = fit_lines(
            WAVELENGTH, flux, detected, regularization=0.0, max_iter=30, **options
        )
        width = total_fwhm(*np.exp(detected[:, 2:].T))
        assert (abs(lines - detected)[:, 0] <= np.maximum(width, 3 * step) + 1e-9).all()
        assert (lines[:, 1] >= -30.0).all()
        assert (lines[:, 1] <= 6.0).all()
        assert (np.exp(lines[:, 2]) >= 0.299 * step).all()
        assert (np.exp(lines[:, 3]) >= 0.099 * step).all()
        assert np.exp(lines[:, 2:]).max() <= 3.001


def test_a_spectrum_without_lines_has_a_flat_model():
    lines, pixel, rms = fit_spectrum(WAVELENGTH, np.ones_like(WAVELENGTH), target_rms=0.001)
    assert lines.shape == (0, 4)
    assert len(pixel) == 0
    assert rms == 0.0


def test_a_fit_that_loses_its_numbers_is_named(monkeypatch):
    def lose(wavelength, flux, start, **settings):
        return np.where(np.arange(len(start))[:, None] == 1, np.nan, start), np.nan

    monkeypatch.setattr("skphx.lines._fitting.fit_levenberg_marquardt", lose)
    with pytest.raises(RuntimeError, match=r"1 of 5 lines .* not finite .* near 5004.000 Å"):
        fit_lines(WAVELENGTH, render(LINES), LINES)
