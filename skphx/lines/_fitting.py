"""Fit the lines of one spectrum: detect them, fit them, and add what the residual shows."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import find_peaks, peak_widths

from skphx._domain import LINE_PARAMETERS
from skphx.lines._detection import (
    away_from_ends,
    detect_lines,
    guess_line_parameters,
    set_apart,
)
from skphx.lines._emission import measure_noise, unreachable_squares
from skphx.lines._engine.arguments import LIMITS
from skphx.lines._least_squares import fit_levenberg_marquardt
from skphx.lines._table import LineTable

_RENDER_OPTIONS = ("profile", "transmission", "wing_cut", "device")
# Lines are added where the residual exceeds this many times its own rms (or the target) and
# at least this flux; the multiple is lowered when a round gains little, down to the last.
_FIRST_MULTIPLE, _LOWER, _LAST_MULTIPLE = 2.0, 0.7, 0.9
_LARGEST_RESIDUAL_THRESHOLD = 0.01
# ... and this many times the noise, so that noise becomes no line.
_RESIDUAL_PER_NOISE = 4.0
_MAX_ROUNDS = 12
# A round that lowers the rms by less than this part gains little.
_LITTLE_GAIN = 0.15


def fit_spectrum(
    wavelength: NDArray[np.float64],
    flux: NDArray[np.float64],
    *,
    start: NDArray[np.float64] | None = None,
    prominence: float = 0.005,
    distance: int = 4,
    edge: float = 0.0,
    target_rms: float | None = None,
    max_lines: int | None = None,
    fit: Callable[..., tuple[NDArray[np.float64], float]] | None = None,
    **fitting: Any,
) -> tuple[NDArray[np.float64], NDArray[np.intp], float]:
    """Detect and fit the lines of one spectrum.

    Lines are detected and fitted together; then, until the flux is met as well as asked for,
    lines are added where the residual shows missing absorption, and all are fitted again.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    flux : ndarray of shape (n_pixels,)
        Normalised flux, dimensionless.
    start : ndarray of shape (n_lines, 4) or None
        Lines to begin with, such as those of a similar spectrum; lines detected elsewhere are
        added to them. None begins with the detected lines alone.
    prominence, distance, edge
        See :func:`detect_lines`.
    target_rms : float or None
        Root mean square of lines minus flux at which no more lines are added; None adds none.
    max_lines : int or None
        Number of lines at which no more are added.
    fit : callable or None
        Fits given lines; None is :func:`fit_lines`. It is called as ``fit(wavelength, flux,
        start, prior=prior, **fitting)``, the last round's first values being its prior, and
        returns lines and rms.
    **fitting
        Keywords of `fit`.

    Returns
    -------
    lines : ndarray of shape (n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å): the lines of `start` or the detected
        ones in their order, then those added.
    pixel : ndarray of shape (n_lines,), int
        Pixel at which each line was detected, or at which `start` puts it; where an earlier
        line has that pixel, the nearest free one, for pixels tell lines apart.
    rms : float
        Root mean square of lines minus flux.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`fit_lines`.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines import fit_spectrum
    >>> wavelength = np.linspace(5000.0, 5004.0, 401)
    >>> flux = 1 - 0.5 * np.exp(-0.5 * ((wavelength - 5002.0) / 0.05) ** 2)
    >>> lines, pixel, rms = fit_spectrum(wavelength, flux)
    >>> lines.shape, pixel, bool(rms < 0.005)
    ((1, 4), array([200]), True)
    """
    transmission = fitting.get("transmission", "exponential")
    rendering = {name: fitting[name] for name in _RENDER_OPTIONS if name in fitting}

    def guess(pixel, depth, fwhm):
        logs = guess_line_parameters(depth, fwhm, transmission=transmission)
        return np.column_stack([wavelength[pixel], *logs])

    pixel, depth, fwhm = detect_lines(
        wavelength, flux, prominence=prominence, distance=distance, edge=edge
    )
    start = np.empty((0, len(LINE_PARAMETERS))) if start is None else start
    known = _nearest_pixel(wavelength, start[:, 0])
    unknown = _apart(pixel, known, distance)
    start = np.concatenate([start, guess(pixel[unknown], depth[unknown], fwhm[unknown])])
    pixel = np.concatenate([known, pixel[unknown]])
    fit = fit_lines if fit is None else fit
    lines, rms = fit(wavelength, flux, start, prior=start, **fitting)
    # Where each line was first put: later rounds bind it to that place, or it would drift.
    first = start
    # Emission stays in the residual: where it alone exceeds the target, the target is of the rest.
    emission = np.sqrt(unreachable_squares(flux) / len(flux))
    target = np.inf if target_rms is None else target_rms
    goal = np.hypot(target, emission) if emission > target else target
    multiple = _FIRST_MULTIPLE
    for _ in range(_MAX_ROUNDS):
        room = np.inf if max_lines is None else max_lines - len(lines)
        if rms <= goal or room <= 0 or multiple < _LAST_MULTIPLE:
            break
        model = LineTable.from_dense(lines[None]).render(wavelength, **rendering)[0]
        left = _without(rms, emission)
        threshold = multiple * max(left, target)
        added, depth, fwhm = _missing_absorption(wavelength, flux, model, threshold)
        # The deepest ones first, where there is not room for all; and none where a line is.
        new = _apart(added, _nearest_pixel(wavelength, lines[:, 0]), 1)
        new &= away_from_ends(wavelength, added, edge)
        new &= np.argsort(np.argsort(np.where(new, -depth, 0.0))) < room
        guessed = guess(added[new], depth[new], fwhm[new])
        prior = np.concatenate([first, guessed])
        more, more_rms = fit(
            wavelength, flux, np.concatenate([lines, guessed]), prior=prior, **fitting
        )
        if _without(more_rms, emission) > (1.0 - _LITTLE_GAIN) * left:
            multiple *= _LOWER
        if more_rms < rms:
            lines, rms, first = more, more_rms, prior
            pixel = np.concatenate([pixel, added[new]])
    return lines, set_apart(pixel, len(wavelength)), rms


def fit_lines(
    wavelength,
    flux,
    start,
    *,
    max_iter=100,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    device="cpu",
    prior=None,
    regularization=1e-3,
):
    """Fit all lines of one spectrum together, by damped Gauss-Newton steps.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    flux : ndarray of shape (n_pixels,)
        Normalised flux, dimensionless.
    start : ndarray of shape (n_lines, 4)
        First values of centre (Å), ln area (Å), ln sigma and ln gamma (Å).
    max_iter : int
        Largest number of steps; the fit stops earlier where it has converged.
    profile, transmission, wing_cut
        See :func:`skphx.lines.render_flux`.
    device : str
        Where lines are summed: "cpu", or a device of torch.
    prior : ndarray of shape (n_lines, 4) or None
        Parameters to which the lines are held; None is `start`.
    regularization : float
        How strongly, see :func:`fit_levenberg_marquardt`.

    Returns
    -------
    lines : ndarray of shape (n_lines, 4)
        Fitted parameters, as `start`.
    rms : float
        Root mean square of lines minus flux over the pixels.

    Raises
    ------
    RuntimeError
        If the fit ends in parameters that are not finite or that no line can have.
    """
    if len(start) == 0:
        return start, rms_without_lines(flux)
    lines, rms = fit_levenberg_marquardt(
        wavelength,
        flux,
        start,
        max_iter=max_iter,
        profile=profile,
        transmission=transmission,
        wing_cut=wing_cut,
        device=device,
        prior=prior,
        regularization=regularization,
    )
    check_fitted(lines, start)
    return lines, rms


def rms_without_lines(flux):
    """Root mean square of flux minus a continuum of 1."""
    return float(np.sqrt(np.mean((1.0 - flux) ** 2)))


def check_fitted(lines, start, *, remedy=""):
    """Raise where a fit ended in parameters that are not finite or that no line can have.

    Parameters
    ----------
    lines, start : ndarrays of shape (n_lines, 4)
        Lines after the fit and before.
    remedy : str
        What else the user can do, for the message.

    Raises
    ------
    RuntimeError
        Naming the first such line.
    """
    lowest, highest = np.array([LIMITS[name] for name in LINE_PARAMETERS]).T
    sound = ((lines >= lowest) & (lines <= highest)).all(axis=1)
    if not sound.all():
        raise RuntimeError(
            f"{np.count_nonzero(~sound)} of {len(lines)} lines ended with parameters that are not "
            f"finite or outside the limits of a line, such as {_describe(lines[~sound][0])}; "
            f"check the flux near {start[~sound][0, 0]:.3f} Å{remedy}."
        )


def _without(rms, part):
    """Root mean square of what is left when an independent part is taken out."""
    return float(np.sqrt(max(rms**2 - part**2, 0.0)))


def _describe(line):
    """Parameters of one line in words."""
    return ", ".join(f"{name} {x:.3g}" for name, x in zip(LINE_PARAMETERS, line, strict=True))


def _nearest_pixel(wavelength, center):
    """Pixel nearest to each centre."""
    middle = 0.5 * (wavelength[1:] + wavelength[:-1])
    return np.searchsorted(middle, center)


def _apart(pixel, others, distance):
    """Whether each pixel is at least `distance` pixels from all others."""
    if len(others) == 0:
        return np.ones(len(pixel), dtype=bool)
    others = np.sort(others)
    right = np.searchsorted(others, pixel)
    gap_right = abs(others[np.minimum(right, len(others) - 1)] - pixel)
    gap_left = abs(others[np.maximum(right - 1, 0)] - pixel)
    return np.minimum(gap_left, gap_right) >= distance


def _missing_absorption(wavelength, flux, model, threshold):
    """Pixels, depths and widths (Å) of the lines that the residual shows."""
    residual = model - flux
    noise = measure_noise(residual)
    threshold = max(min(threshold, _LARGEST_RESIDUAL_THRESHOLD), _RESIDUAL_PER_NOISE * noise)
    # Relative to the model: what is missing from a deep line is a larger optical depth.
    share = residual / np.maximum(model, 0.05)
    # Nothing is missing beyond the ends, so that half a line at an end is a peak, too.
    share = np.pad(share, 1, constant_values=min(share.min(), 0.0))
    pixel, _ = find_peaks(share, height=threshold, prominence=0.5 * threshold, distance=3)
    width = peak_widths(share, pixel, rel_height=0.5)[0]
    share, pixel = share[1:-1], pixel - 1
    fwhm = np.maximum(width, 2.0) * np.gradient(wavelength)[pixel]
    return pixel, np.clip(share[pixel], 1e-4, 0.9), fwhm
