"""Find absorption lines in a normalised spectrum and guess their four parameters."""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, peak_widths

from skphx._domain import FWHM_PER_SIGMA
from skphx.lines._engine.profile import pseudo_voigt

# A pseudo-Voigt whose Gaussian and Lorentzian parts have equal full widths g has itself the
# full width 1.6346 g: the fifth root of the sum of the coefficients of Thompson, Cox &
# Hastings (1987).
_EQUAL_PARTS_FWHM = (1.0 + 2.69269 + 2.42843 + 4.47163 + 0.07842 + 1.0) ** 0.2
# No profile is deeper than this when its optical depth is guessed: ln 0 has no value.
_DEEPEST = 0.999
# A width below this fraction of a pixel says nothing about the line, only about the sampling.
_NARROWEST_FWHM_PIXELS = 0.5


def detect_lines(
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    *,
    prominence: float = 0.005,
    distance: int = 4,
    edge: float = 0.0,
) -> tuple[NDArray[np.intp], NDArray[np.float64], NDArray[np.float64]]:
    """Find absorption lines as the peaks of the negative flux.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å, strictly increasing.
    flux : ndarray of shape (n_pixels,)
        Normalised flux, continuum about 1, dimensionless.
    prominence : float
        Least prominence of a line in units of the continuum.
    distance : int
        Least number of pixels between two lines.
    edge : float
        Lines closer than this to either end of the spectrum are dropped, in Å.

    Returns
    -------
    pixel : ndarray of shape (n_lines,), int
        Pixel of the deepest point of each line, increasing.
    depth : ndarray of shape (n_lines,)
        Prominence over the flux from which the line dips, between 0 and 1.
    fwhm : ndarray of shape (n_lines,)
        Full width at half prominence in Å.

    References
    ----------
    Gully-Santiago & Morley (2022), ApJ 941, 200: the prominence criterion.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines import detect_lines
    >>> wavelength = np.linspace(5000.0, 5002.0, 201)
    >>> flux = 1 - 0.4 * np.exp(-0.5 * ((wavelength - 5001.0) / 0.05) ** 2)
    >>> pixel, depth, fwhm = detect_lines(wavelength, flux)
    >>> pixel, depth.round(2), fwhm.round(2)
    (array([100]), array([0.4]), array([0.12]))
    """
    if len(flux) < 3:
        nothing = np.empty(0)
        return nothing.astype(int), nothing, nothing
    pixel, found = find_peaks(-flux, prominence=prominence, distance=distance)
    _, _, left, right = peak_widths(
        -flux,
        pixel,
        rel_height=0.5,
        prominence_data=(found["prominences"], found["left_bases"], found["right_bases"]),
    )
    pixels = np.arange(len(flux))
    step = np.gradient(wavelength)[pixel]
    fwhm = np.interp(right, pixels, wavelength) - np.interp(left, pixels, wavelength)
    fwhm = np.maximum(fwhm, _NARROWEST_FWHM_PIXELS * step)
    depth = found["prominences"] / np.maximum(flux[pixel] + found["prominences"], 1e-12)
    depth = np.clip(depth, 0.0, _DEEPEST)
    inside = away_from_ends(wavelength, pixel, edge)
    return pixel[inside], depth[inside], fwhm[inside]


def away_from_ends(wavelength, pixel, edge):
    """Whether pixels are at least `edge`, in Å, from either end of the spectrum."""
    at = wavelength[pixel]
    return (at >= wavelength[0] + edge) & (at <= wavelength[-1] - edge)


def guess_line_parameters(depth, fwhm, *, transmission):
    """Turn depth and width of detected lines into first values of the fitted parameters.

    Gaussian and Lorentzian part start with equal full widths that make up `fwhm` together;
    the area makes the line as deep as it was detected.

    Parameters
    ----------
    depth : ndarray of shape (n_lines,)
        Depth over the local continuum, between 0 and 1.
    fwhm : ndarray of shape (n_lines,)
        Full width at half depth in Å.
    transmission : {"exponential", "product"}
        How lines combine to flux, see :func:`skphx.lines.render_flux`.

    Returns
    -------
    log_area, log_sigma, log_gamma : ndarrays of shape (n_lines,)
        ln of the area in Å, of the Gaussian's standard deviation in Å and of the Lorentzian's
        half width at half maximum in Å.
    """
    part = fwhm / _EQUAL_PARTS_FWHM
    sigma = part / FWHM_PER_SIGMA
    gamma = part / 2.0
    height = pseudo_voigt(0.0, sigma, gamma)
    peak = -np.log1p(-depth) if transmission == "exponential" else depth
    return np.log(peak / height), np.log(sigma), np.log(gamma)


def set_apart(pixel, n_pixels):
    """Move lines that share a pixel to the nearest pixels that are free.

    Parameters
    ----------
    pixel : ndarray of shape (n_lines,), int
        Pixels of lines of one spectrum.
    n_pixels : int
        Number of pixels of the spectrum.

    Returns
    -------
    ndarray of shape (n_lines,), int
        Pixels, each of them once as long as any is free. The first line at a pixel keeps it;
        of two free pixels at the same distance the bluer one is taken.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines._detection import set_apart
    >>> set_apart(np.array([4, 7, 4, 4]), n_pixels=10)
    array([4, 7, 3, 5])
    """
    apart = np.array(pixel, dtype=int)
    free = np.ones(n_pixels, dtype=bool)
    _, first = np.unique(apart, return_index=True)
    free[apart[first]] = False
    for line in np.setdiff1d(np.arange(len(apart)), first):
        choice = np.flatnonzero(free)
        if len(choice) == 0:
            break
        apart[line] = choice[np.argmin(abs(choice - apart[line]))]
        free[apart[line]] = False
    return apart
