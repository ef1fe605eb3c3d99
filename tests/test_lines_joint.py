"""Lines of all spectra of a grid fitted together."""

import numpy as np
import pytest

from skphx import VoigtCloner
from skphx.interpolation._surface import smooth_surface
from skphx.lines import _windows
from skphx.lines._emission import clip_unreachable
from skphx.lines._fitting import fit_lines
from skphx.lines._growing import nearest_spectrum
from skphx.lines._joint import fit_window
from skphx.lines._passes import Passes
from skphx.lines._windows import depth_of, make_windows

WAVELENGTH = np.arange(5000.0, 5010.0, 0.05)
TEFF = np.linspace(-1.0, 1.0, 15)[:, None]
SURFACE = smooth_surface(TEFF)
BASIS, PENALTY = SURFACE.basis(TEFF), 0.01 * SURFACE.curvature()
RENDERING = {
    "profile": "pseudo-voigt",
    "transmission": "exponential",
    "wing_cut": None,
    "device": "cpu",
}


def smooth_lines(center, log_area, slope, seed=0):
    """Lines of all spectra, each parameter a parabola along them."""
    center = np.asarray(center)
    rng = np.random.default_rng(seed)
    lines = np.empty((len(TEFF), len(center), 4))
    lines[..., 0] = center
    lines[..., 1] = log_area + slope * TEFF + 0.2 * rng.normal(size=len(center)) * TEFF**2
    lines[..., 2] = np.log(0.08) + 0.1 * TEFF
    lines[..., 3] = np.log(0.04) - 0.1 * TEFF
    return lines


def flux_of(lines, **changes):
    return np.exp(-depth_of(WAVELENGTH, lines, **(RENDERING | changes)))


def alone(flux, start, **settings):
    """Each spectrum fitted by itself."""
    return np.array(
        [
            fit_lines(WAVELENGTH, f, s, prior=s, regularization=0.01, max_iter=8, **settings)[0]
            for f, s in zip(flux, start, strict=True)
        ]
    )


def on_surfaces(coefficients, lower, upper, basis=BASIS):
    """Lines that coefficients stand for."""
    return np.clip(np.tensordot(basis, coefficients, axes=(1, 2)), lower, upper)


def together(flux, start, **changes):
    """All spectra fitted together, window by window."""
    passes = Passes(WAVELENGTH, flux, fitting={}, rendering=RENDERING | changes)
    return on_surfaces(*passes.fit_together(start, BASIS, PENALTY))


def rms(values):
    return np.sqrt(np.mean(values**2))


@pytest.fixture(scope="module")
def blended():
    """Blends, weak and strong, and their flux with noise."""
    rng = np.random.default_rng(4)
    center = np.sort(rng.uniform(5000.5, 5009.5, 24))
    truth = smooth_lines(center, rng.normal(-3.5, 0.7, 24), rng.normal(0.0, 0.6, 24))
    flux = flux_of(truth) + rng.normal(0.0, 0.005, (len(TEFF), len(WAVELENGTH)))
    start = truth + rng.normal(0.0, 1.0, truth.shape) * [0.02, 0.3, 0.2, 0.3]
    return truth, flux, alone(flux, start)


def test_planted_lines_are_recovered_better_than_node_by_node(blended):
    truth, flux, start = blended
    lines = together(flux, start)
    # Where a line is, how strong and how wide; of weak ones nothing tells what width is whose.
    for column in range(3):
        error, error_alone = (
            np.median(np.abs(one - truth)[..., column]) for one in (lines, start)
        )
        assert error < 0.9 * error_alone
    # They fit the noise less and the truth better.
    assert rms(flux_of(lines) - flux_of(truth)) < 0.8 * rms(flux_of(start) - flux_of(truth))


def test_lines_are_on_smooth_surfaces(blended):
    _, flux, start = blended
    lines = together(flux, start)
    values = lines.reshape(len(TEFF), -1)
    coefficients = np.linalg.lstsq(BASIS, values, rcond=None)[0]
    is_off = np.abs(BASIS @ coefficients - values).max(axis=0) > 1e-6
    # Only a bound may bend a surface.
    assert is_off.mean() < 0.05


def test_stiffer_surfaces_bend_less(blended):
    _, flux, start = blended

    def bending(penalty):
        fitted = fit_window(WAVELENGTH, flux, start, 0.0, BASIS, penalty, **RENDERING)
        return rms(np.diff(on_surfaces(*fitted[:3])[..., 1], 2, axis=0))

    assert bending(1e3 * PENALTY) < 0.3 * bending(PENALTY)


def test_error_told_is_that_of_the_lines_returned(blended):
    _, flux, start = blended
    *fitted, told = fit_window(WAVELENGTH, flux, start, 0.0, BASIS, PENALTY, **RENDERING)
    coefficients, lower, upper = fitted
    assert coefficients.shape == (24, 4, BASIS.shape[1])
    assert lower.shape == upper.shape == (24, 4)
    assert (lower < upper).all()
    error = flux_of(on_surfaces(*fitted)) - [clip_unreachable(one) for one in flux]
    np.testing.assert_allclose(told, np.sqrt(np.mean(error**2, axis=1)), rtol=1e-9)


def test_windows_agree_with_one_that_holds_all(blended, monkeypatch):
    truth, flux, start = blended
    whole = together(flux, start)
    assert len(make_windows(WAVELENGTH, start)) == 1
    monkeypatch.setattr(_windows, "_WINDOW_LINES", 8)
    monkeypatch.setattr(_windows, "_MARGIN_LINES", 4)
    assert len(make_windows(WAVELENGTH, start)) == 3
    parts = together(flux, start)
    error = rms(flux_of(whole) - flux_of(truth))
    assert rms(flux_of(parts) - flux_of(whole)) < 0.5 * error
    assert rms(flux_of(parts) - flux_of(truth)) < 1.1 * error


@pytest.mark.parametrize("center", [4999.0, 5005.0, 5009.9])
def test_a_line_broader_than_its_window(blended, monkeypatch, center):
    """Its width is bounded by the spectrum, not by the window, and its wings are seen."""
    truth, _, start = blended
    broad = np.tile([center, 0.4, np.log(0.8), np.log(0.5)], (len(TEFF), 1, 1))
    broad[:, 0, 1:] += 0.2 * TEFF
    truth = np.concatenate([truth, broad], axis=1)
    rng = np.random.default_rng(5)
    flux = flux_of(truth) + rng.normal(0.0, 0.005, (len(TEFF), len(WAVELENGTH)))
    begun = np.concatenate([start, broad + 0.05 * rng.normal(size=broad.shape) * [0, 1, 1, 1]], 1)
    begun = alone(flux, begun)
    monkeypatch.setattr(_windows, "_WINDOW_LINES", 6)
    monkeypatch.setattr(_windows, "_MARGIN_LINES", 3)
    monkeypatch.setattr(_windows, "_FEWEST_MARGIN_LINES", 3)
    lines = together(flux, begun)
    assert rms(flux_of(lines) - flux_of(truth)) < rms(flux_of(begun) - flux_of(truth))


def test_windows_hold_every_line_once_and_every_pixel(blended):
    rng = np.random.default_rng(0)
    wavelength = np.arange(5000.0, 5400.0, 0.05)
    lines = np.tile([0.0, -3.0, -2.5, -3.0], (3, 700, 1))
    lines[..., 0] = rng.permutation(rng.uniform(5001.0, 5399.0, 700))
    lines[:, 0] = 5200.0, 3.0, 1.0, 1.0
    found = make_windows(wavelength, lines, 5)
    own = np.concatenate([window.lines[window.own] for window in found])
    np.testing.assert_array_equal(np.sort(own), np.arange(700))
    seen = np.zeros(len(wavelength), dtype=bool)
    for window in found:
        seen[window.pixels] = True
        assert len(np.intersect1d(window.lines, window.others)) == 0
        # Nothing that is left out matters, and the strong line is nowhere left out.
        known = np.concatenate([window.lines, window.others])
        assert 0 in known
        pixels = wavelength[window.pixels]
        rest = np.setdiff1d(np.arange(700), known)
        assert depth_of(pixels, lines[:1, rest], **RENDERING).max(initial=0.0) < 1e-4
    assert seen.all()
    assert len(found) > 3


@pytest.mark.parametrize("n_terms", [1, 35, 70])
def test_windows_of_large_grids_stay_small(n_terms):
    """What one of them needs at most: derivatives, pixels, and blocks of coefficients."""
    n_spectra = 1000
    wavelength = np.arange(8000.0, 8060.0, 0.01)
    lines = np.tile([0.0, -3.0, -2.5, -3.0], (n_spectra, 180, 1))
    lines[..., 0] = np.linspace(8000.5, 8059.5, 180)
    for window in make_windows(wavelength, lines, n_terms):
        reach = 100  # pixels on either side in which such a line is derived
        n_pixels = window.pixels.stop - window.pixels.start
        needed = len(window.lines) * (
            16 * n_spectra * min(2 * reach, n_pixels) + 24 * (4 * n_terms) ** 2
        )
        assert needed + 8 * 8 * n_spectra * n_pixels < 6e8
        assert window.own.sum() >= 4


def test_emission_is_ignored(blended):
    _, flux, start = blended
    expected = together(flux, start)
    bright = flux.copy()
    bright[:, 120:126] += 2.0
    moved = together(bright, start)
    far = np.abs(start[0, :, 0] - WAVELENGTH[123]) > 1.0
    assert rms(flux_of(moved[:, far]) - flux_of(expected[:, far])) < 2e-3
    # As if the pixels were at the continuum, not as if lines had to be bright.
    assert (flux_of(moved)[:, 122:124] < 1.0).all()


@pytest.mark.parametrize("profile", ["pseudo-voigt", "voigt", "blase"])
@pytest.mark.parametrize("transmission", ["exponential", "product"])
def test_every_shape_of_line_and_way_to_combine_them(profile, transmission):
    truth = smooth_lines([5002.0, 5002.5, 5007.0], [-2.5, -3.0, -2.0], [0.5, -0.5, 0.2])
    rng = np.random.default_rng(1)
    changes = {"profile": profile, "transmission": transmission}
    flux = flux_of(truth, **changes) + rng.normal(0.0, 0.002, (len(TEFF), len(WAVELENGTH)))
    start = truth + rng.normal(0.0, 1.0, truth.shape) * [0.01, 0.1, 0.1, 0.1]
    lines = together(flux, start, **changes)
    error = flux_of(lines, **changes) - flux_of(truth, **changes)
    assert rms(error) < 0.002 / 3
    assert rms((lines - truth)[..., 1]) < 0.5 * rms((start - truth)[..., 1])


@pytest.mark.parametrize("center", [5000.0, 5004.0, 5009.96])
def test_one_line(center):
    truth = smooth_lines([center], -2.5, 0.4)
    lines = together(flux_of(truth), truth + [0.0, 0.2, 0.0, 0.0])
    np.testing.assert_allclose(flux_of(lines), flux_of(truth), atol=2e-3)


def test_lines_that_nothing_tells_of_stay_finite():
    """Faint everywhere, beyond the pixels, and two of the same."""
    start = smooth_lines([5004.0, 5004.0, 4990.0, 5006.0], [-3.0, -3.0, -3.0, -29.0], 0.0)
    flux = flux_of(start[:, :2])
    lines = together(flux, start)
    assert np.isfinite(lines).all()
    np.testing.assert_allclose(flux_of(lines), flux, atol=2e-3)
    only = together(np.ones_like(flux), start[:, 2:3])
    np.testing.assert_allclose(flux_of(only), 1.0, atol=2e-3)


def test_one_spectrum_and_no_freedom():
    truth = smooth_lines([5004.0], -2.5, 0.0)[:1]
    flux = np.exp(-depth_of(WAVELENGTH, truth, **RENDERING))
    *fitted, error = fit_window(
        WAVELENGTH,
        flux,
        truth + [0.0, 0.3, 0.0, 0.0],
        0.0,
        np.ones((1, 1)),
        np.zeros(1),
        **RENDERING,
    )
    lines = on_surfaces(*fitted, basis=np.ones((1, 1)))
    np.testing.assert_allclose(lines[0, 0, 1], truth[0, 0, 1], atol=0.02)
    assert error[0] < 2e-3


@pytest.fixture(scope="module")
def cloner(blended):
    return VoigtCloner(WAVELENGTH, n_seeds=2, target_rms=None, prominence=0.03).fit(blended[1])


def lines_of_nearest_seeds(cloner, flux):
    return np.array(
        [cloner.seed_lines_[nearest_spectrum(one, cloner.seed_spectra_)] for one in flux]
    )


def test_the_cloner_fits_surfaces_of_its_list(cloner, blended):
    flux = blended[1]
    start = lines_of_nearest_seeds(cloner, flux)
    kept = start.copy()
    fitted = cloner._passes(flux).fit_together(start, BASIS, PENALTY)
    assert fitted[0].shape == (cloner.n_lines_, 4, BASIS.shape[1])
    lines = on_surfaces(*fitted)
    assert lines.shape == (len(TEFF), cloner.n_lines_, 4)
    np.testing.assert_array_equal(start, kept)
    before = rms(cloner.inverse_transform(start.reshape(len(flux), -1)) - flux)
    assert rms(cloner.inverse_transform(lines.reshape(len(flux), -1)) - flux) < before


def test_surfaces_without_lines():
    flat = np.ones((len(TEFF), len(WAVELENGTH)))
    cloner = VoigtCloner(WAVELENGTH).fit(flat)
    fitted = cloner._passes(flat).fit_together(np.empty((len(TEFF), 0, 4)), BASIS, PENALTY)
    assert fitted[0].shape == (0, 4, BASIS.shape[1])
    assert on_surfaces(*fitted).shape == (len(TEFF), 0, 4)


def test_surfaces_that_do_not_fit_are_refused(cloner, blended):
    flux = blended[1]
    start = lines_of_nearest_seeds(cloner, flux)
    with pytest.raises(ValueError, match="start must hold the four parameters"):
        cloner._passes(flux).fit_together(start[:3], BASIS, PENALTY)
    with pytest.raises(ValueError, match="basis must have a row for each of the 15 spectra"):
        cloner._passes(flux).fit_together(start, BASIS[:3], PENALTY)
    with pytest.raises(ValueError, match="a number for each of its columns"):
        cloner._passes(flux).fit_together(start, BASIS, PENALTY[:2])
