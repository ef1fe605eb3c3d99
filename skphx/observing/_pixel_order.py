"""Pixels in increasing order, and wavelengths for pixels that have none."""

import numpy as np
from numpy.typing import NDArray


class NoWavelengthsError(ValueError):
    """A segment with fewer than two pixels that have a wavelength."""


def is_descending(wavelength: NDArray[np.float64], good: NDArray[np.bool_]) -> bool:
    """Whether the wavelengths of the good pixels decrease.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        In Å; NaN where there is none.
    good : ndarray of shape (n_pixels,), bool
        Pixels with flux. If fewer than two have a wavelength, all pixels count.

    Returns
    -------
    bool
        True if every wavelength is lower than the one before.
    """
    known = np.isfinite(wavelength)
    if (known & good).sum() > 1:
        known &= good
    return known.sum() > 1 and bool((np.diff(wavelength[known]) < 0).all())


def complete_wavelengths(
    wavelength: NDArray[np.float64], good: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return increasing wavelengths at all pixels, and which of them were given.

    Files pad the ends of orders with 0, NaN or repeated wavelengths, and mask single pixels.
    Such a pixel gets a wavelength between its neighbours, and at the ends one that continues
    them by equal ratios: so the edges of the good pixels stay where they are.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        In Å; NaN where there is none. Those of the good pixels increase.
    good : ndarray of shape (n_pixels,), bool
        Pixels with flux. Other pixels need no correct wavelength.

    Returns
    -------
    wavelength : ndarray of shape (n_pixels,)
        Strictly increasing.
    given : ndarray of shape (n_pixels,), bool
        Pixels whose wavelength is the one given.

    Raises
    ------
    NoWavelengthsError
        If fewer than two pixels have a wavelength.
    ValueError
        If the wavelengths of the good pixels do not increase.
    """
    known = np.isfinite(wavelength)
    _drop_out_of_order(wavelength, known, good)
    if known.sum() < 2:
        raise NoWavelengthsError(
            f"wavelength has {known.sum()} pixels with a positive and finite value, and a "
            f"spectrum needs two; give the wavelengths of the pixels in Å."
        )
    if known.all():
        return wavelength, known
    places = np.flatnonzero(known)
    first, last = places[0], places[-1]
    complete = np.interp(np.arange(len(wavelength)), places, wavelength[places])
    ratio = complete[first + 1] / complete[first]
    complete[:first] = complete[first] * ratio ** -np.arange(first, 0.0, -1.0)
    ratio = complete[last] / complete[last - 1]
    beyond = np.arange(1.0, len(wavelength) - last)
    complete[last + 1 :] = complete[last] * ratio**beyond
    return complete, known


def _drop_out_of_order(wavelength, known, good):
    """Set `known` to False for pixels without flux whose wavelength is out of order."""
    firm = known & good
    if firm.any():
        # A pixel without flux must lie between the good pixels on either side.
        low = np.maximum.accumulate(np.where(firm, wavelength, -np.inf))
        high = np.minimum.accumulate(np.where(firm, wavelength, np.inf)[::-1])[::-1]
        with np.errstate(invalid="ignore"):
            known &= firm | ((wavelength > low) & (wavelength < high))
    while True:
        places = np.flatnonzero(known)
        wrong = np.flatnonzero(np.diff(wavelength[places]) <= 0)
        if not len(wrong):
            return
        pairs = np.unique(np.concatenate([places[wrong], places[wrong + 1]]))
        droppable = pairs[~good[pairs]]
        if not len(droppable):
            before, after = places[wrong[0]], places[wrong[0] + 1]
            raise ValueError(
                f"wavelength must be strictly increasing, but element {after} "
                f"({wavelength[after]} Å) follows {wavelength[before]} Å; sort wavelength and "
                f"flux together, and merge repeated pixels."
            )
        known[droppable] = False
