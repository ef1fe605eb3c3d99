"""One list of lines for many spectra."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skphx.paper._matching import assign_lines, match_lines

DETECTIONS = st.lists(
    st.lists(st.integers(0, 60), unique=True, max_size=12).map(lambda pixels: sorted(pixels)),
    min_size=1,
    max_size=6,
)


def test_shifted_detections_are_one_line():
    centers = match_lines([[10, 50], [11, 50], [11], [12, 52]], 60, tolerance=2)
    np.testing.assert_array_equal(centers, [11, 50])


def test_the_papers_identity_is_the_detected_pixel():
    centers = match_lines([[10, 50], [11, 50]], 60, tolerance=0)
    np.testing.assert_array_equal(centers, [10, 11, 50])


def test_no_line_at_all():
    assert len(match_lines([[], []], 60)) == 0


def test_the_closest_line_takes_the_identity():
    np.testing.assert_array_equal(assign_lines([9, 12], [11], tolerance=2), [-1, 0])


@settings(max_examples=200, deadline=None)
@given(pixels=DETECTIONS, tolerance=st.integers(0, 4))
def test_every_detection_has_a_home_and_none_is_shared(pixels, tolerance):
    centers = match_lines(pixels, 61, tolerance=tolerance)
    assert (np.diff(centers) > 0).all()
    for found in pixels:
        identity = assign_lines(found, centers, tolerance=tolerance)
        assert len(np.unique(identity)) == len(found)
        if len(found):
            assert identity.min() >= 0
            assert abs(centers[identity] - np.array(found)).max() <= tolerance


@pytest.mark.parametrize("tolerance", [0, 2])
def test_order_of_spectra_does_not_matter(tolerance):
    rng = np.random.default_rng(0)
    pixels = [np.sort(rng.choice(500, 40, replace=False)) for _ in range(8)]
    np.testing.assert_array_equal(
        match_lines(pixels, 500, tolerance=tolerance),
        match_lines(pixels[::-1], 500, tolerance=tolerance),
    )


@settings(max_examples=200, deadline=None)
@given(
    pixels=st.lists(st.lists(st.integers(0, 40), max_size=20), min_size=1, max_size=5),
    tolerance=st.integers(0, 4),
)
def test_pixels_named_twice_are_one_line(pixels, tolerance):
    centers = match_lines(pixels, 41, tolerance=tolerance)
    np.testing.assert_array_equal(
        centers, match_lines([sorted(set(found)) for found in pixels], 41, tolerance=tolerance)
    )
    for found in pixels:
        identity = assign_lines(found, centers, tolerance=tolerance)
        # The first of each pixel has an identity, the others have none.
        assert len(np.unique(identity[identity >= 0])) == np.sum(identity >= 0) == len(set(found))
