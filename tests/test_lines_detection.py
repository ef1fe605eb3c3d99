"""Detection finds what was put in, and its guess is near the truth."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skphx.lines import detect_lines, optical_depth
from skphx.lines._detection import guess_line_parameters, set_apart

WAVELENGTH = np.linspace(5000.0, 5020.0, 2001)


def gaussian_lines(centers, depths, sigma=0.05):
    lines = np.exp(-0.5 * ((WAVELENGTH - np.reshape(centers, (-1, 1))) / sigma) ** 2)
    return 1.0 - np.reshape(depths, (1, -1)) @ lines


def test_finds_centres_depths_and_widths():
    flux = gaussian_lines([5003.0, 5010.0, 5015.0], [0.5, 0.1, 0.02])[0]
    pixel, depth, fwhm = detect_lines(WAVELENGTH, flux)
    np.testing.assert_allclose(WAVELENGTH[pixel], [5003.0, 5010.0, 5015.0], atol=0.006)
    np.testing.assert_allclose(depth, [0.5, 0.1, 0.02], rtol=1e-3)
    np.testing.assert_allclose(fwhm, 2.3548 * 0.05, rtol=0.02)


def test_prominence_is_the_entry_threshold():
    flux = gaussian_lines([5003.0, 5010.0], [0.5, 0.01])[0]
    assert len(detect_lines(WAVELENGTH, flux, prominence=0.005)[0]) == 2
    assert len(detect_lines(WAVELENGTH, flux, prominence=0.02)[0]) == 1


def test_edge_drops_lines_near_the_ends():
    flux = gaussian_lines([5001.0, 5010.0, 5019.5], [0.5, 0.5, 0.5])[0]
    pixel, _, _ = detect_lines(WAVELENGTH, flux, edge=2.0)
    np.testing.assert_allclose(WAVELENGTH[pixel], [5010.0], atol=0.006)


def test_width_is_measured_in_angstrom_on_uneven_pixels():
    wavelength = np.concatenate([np.arange(5000, 5010, 0.01), np.arange(5010, 5020, 0.02)])
    flux = 1.0 - sum(
        0.5 * np.exp(-0.5 * ((wavelength - center) / 0.1) ** 2) for center in (5005.0, 5015.0)
    )
    fwhm = detect_lines(wavelength, flux)[2]
    np.testing.assert_allclose(fwhm, 0.23548, rtol=0.01)


@pytest.mark.parametrize("flux", [np.ones(2001), np.linspace(0.9, 1.1, 2001)])
def test_a_spectrum_without_lines_gives_none(flux):
    assert [len(found) for found in detect_lines(WAVELENGTH, flux)] == [0, 0, 0]


def test_two_pixels_hold_no_line():
    assert len(detect_lines(WAVELENGTH[:2], np.array([1.0, 0.5]))[0]) == 0


@pytest.mark.parametrize("transmission", ["exponential", "product"])
def test_the_guess_renders_to_the_detected_depth_and_width(transmission):
    depth, fwhm = np.array([0.01, 0.4, 0.9]), np.array([0.1, 0.2, 0.3])
    for one_depth, one_fwhm in zip(depth, fwhm, strict=True):
        guess = guess_line_parameters(
            np.array([one_depth]), np.array([one_fwhm]), transmission=transmission
        )
        offsets = np.array([-one_fwhm / 2, 0.0, one_fwhm / 2])
        tau = optical_depth(5000.0 + offsets, [5000.0], *guess, transmission=transmission)
        flux = np.exp(-tau)
        np.testing.assert_allclose(1.0 - flux[1], one_depth, rtol=1e-3)
        # Half the optical depth, or half the depth, at half the full width.
        half = tau if transmission == "exponential" else 1.0 - flux
        np.testing.assert_allclose(half[[0, 2]], half[1] / 2, rtol=0.01)


@settings(max_examples=200, deadline=None)
@given(pixel=st.lists(st.integers(0, 20), max_size=21))
def test_lines_set_apart_have_pixels_of_their_own(pixel):
    apart = set_apart(np.array(pixel, dtype=int), 21)
    assert len(np.unique(apart)) == len(pixel)
    assert ((apart >= 0) & (apart < 21)).all()
    _, first = np.unique(pixel, return_index=True)
    np.testing.assert_array_equal(apart[first], np.array(pixel, dtype=int)[first])
    # Lines that share no pixel stay where they are.
    np.testing.assert_array_equal(set_apart(apart, 21), apart)


def test_more_lines_than_pixels_share_what_there_is():
    np.testing.assert_array_equal(set_apart(np.array([1, 1, 1]), 2), [1, 0, 1])
