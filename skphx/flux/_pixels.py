"""Selection of pixels: part of an emulator's wavelengths, or new pixels between the old."""

import numpy as np

from skphx._domain import check_wavelength, plain_wavelength


class PixelsBetween:
    """Positions of new pixels between the old ones, for linear interpolation.

    Parameters
    ----------
    new, old : ndarrays of shape (n_new,) and (n_old,)
        Pixel centres, Å, increasing; the new ones within the old.

    Attributes
    ----------
    left, right : ndarrays of shape (n_new,), int
        Old pixels on either side.
    share : ndarray of shape (n_new,)
        Weight of the right pixel in the interpolated value.
    """

    def __init__(self, new, old):
        self.left = np.clip(np.searchsorted(old, new, side="right") - 1, 0, max(len(old) - 2, 0))
        self.right = np.minimum(self.left + 1, len(old) - 1)
        step = np.where(self.right > self.left, old[self.right] - old[self.left], 1.0)
        self.share = (new - old[self.left]) / step


def find_pixels(wavelength, old):
    """Find the pixels of a range, or the positions of new pixels.

    Parameters
    ----------
    wavelength : tuple (start, stop) or array-like of shape (n_new,)
        Range to keep, Å; or new pixel centres within the old range, Å. Quantities are converted.
    old : ndarray of shape (n_old,)
        Old pixel centres, Å.

    Returns
    -------
    pixels : slice or PixelsBetween
        Old pixels to keep, or positions of the new ones between the old.
    new : ndarray of shape (n_new,)
        Their centres, Å.

    Raises
    ------
    ValueError
        If no old pixel is within the range, or a new one is outside the old range.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.flux._pixels import find_pixels
    >>> old = np.array([5000.0, 5001.0, 5002.0])
    >>> find_pixels((5000.5, 5002.0), old)
    (slice(1, 3, None), array([5001., 5002.]))
    >>> find_pixels([5000.25], old)[0].share
    array([0.25])
    """
    wavelength = plain_wavelength(wavelength)
    if isinstance(wavelength, tuple) and len(wavelength) == 2:
        start, stop = (float(edge) for edge in wavelength)
        first, last = np.searchsorted(old, start), np.searchsorted(old, stop, side="right")
        if not start <= stop or last <= first:
            raise ValueError(
                f"wavelength=({start:g}, {stop:g}) holds no pixel of the emulator, which has "
                f"{len(old)} between {old[0]:.2f} and {old[-1]:.2f} Å; give a range within these "
                f"limits."
            )
        return slice(int(first), int(last)), old[first:last]
    new = check_wavelength(wavelength)
    if len(new) == 0 or new[0] < old[0] or new[-1] > old[-1]:
        given = "no pixel" if len(new) == 0 else f"{new[0]:.2f} to {new[-1]:.2f} Å"
        raise ValueError(
            f"wavelength must lie between the emulator's {old[0]:.2f} and {old[-1]:.2f} Å, got "
            f"{given}; leave out the pixels beyond these limits."
        )
    return PixelsBetween(new, old), new


def resampled(values, pixels):
    """Return values on selected or new pixels.

    Parameters
    ----------
    values : ndarray of shape (..., n_old)
        Values on the old pixels.
    pixels : slice or PixelsBetween
        From :func:`find_pixels`.

    Returns
    -------
    ndarray of shape (..., n_new)
        The values kept, or interpolated linearly.
    """
    if isinstance(pixels, slice):
        return values[..., pixels]
    left, right = values[..., pixels.left], values[..., pixels.right]
    return left + pixels.share * (right - left)
