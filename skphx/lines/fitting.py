"""Clone one spectrum: detect its lines, fit them, and add what the residual shows.

A fitter is a function ``(wavelength, flux, start, **settings) -> (lines, rms)``; the public
name of each stands in `FITTERS`. Only this module knows them all.
"""

import numpy as np
from scipy.signal import find_peaks, peak_widths

from skphx.lines._arguments import LIMITS
from skphx.lines.detection import away_from_ends, detect_lines, guess_line_parameters
from skphx.lines.emission import measure_noise, unreachable_squares
from skphx.lines.least_squares import fit_levenberg_marquardt
from skphx.lines.matching import set_apart
from skphx.lines.render import optical_depth
from skphx.lines.table import LINE_PARAMETERS, LineTable

_RENDER_OPTIONS = ("profile", "transmission", "wing_cut", "device")
# Lines are added where the residual exceeds this many times its own rms (or the target) and
# at least this flux; the multiple is lowered when a round gains little, down to the last.
_FIRST_MULTIPLE, _LOWER, _LAST_MULTIPLE = 2.0, 0.7, 0.9
_LARGEST_RESIDUAL_THRESHOLD = 0.01
# ... and this many times the noise, so that noise is not cloned.
_RESIDUAL_PER_NOISE = 4.0
_MAX_ROUNDS = 12
# A round that lowers the rms by less than this part gains little.
_LITTLE_GAIN = 0.15


def clone_spectrum(
    wavelength,
    flux,
    *,
    start=None,
    prominence=0.005,
    distance=4,
    edge=0.0,
    target_rms=None,
    max_lines=None,
    **fitting,
):
    """Clone one spectrum as a list of lines.

    Lines are detected and fitted together; then, until the clone is as good as asked for,
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
        Root mean square of clone minus flux at which no more lines are added; None adds none.
    max_lines : int or None
        Number of lines at which no more are added.
    **fitting
        See :func:`fit_lines`.

    Returns
    -------
    lines : ndarray of shape (n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å): the lines of `start` or the detected
        ones in their order, then those added.
    pixel : ndarray of shape (n_lines,), int
        Pixel at which each line was detected, or at which `start` puts it; where an earlier
        line has that pixel, the nearest free one, for pixels tell lines apart.
    rms : float
        Root mean square of clone minus flux.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`fit_lines`.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines import clone_spectrum
    >>> wavelength = np.linspace(5000.0, 5004.0, 401)
    >>> flux = 1 - 0.5 * np.exp(-0.5 * ((wavelength - 5002.0) / 0.05) ** 2)
    >>> lines, pixel, rms = clone_spectrum(wavelength, flux)
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
    lines, rms = fit_lines(wavelength, flux, start, **fitting)
    # Where each line was first put: later rounds bind it to that place, or it would drift.
    first = start
    # Emission stays in the residual: where it alone exceeds the target, the target is of the rest.
    emission = np.sqrt(unreachable_squares(flux) / len(flux))
    goal = target_rms
    if target_rms is not None and emission > target_rms:
        goal = np.hypot(target_rms, emission)
    multiple = _FIRST_MULTIPLE
    for _ in range(_MAX_ROUNDS if target_rms is not None else 0):
        room = np.inf if max_lines is None else max_lines - len(lines)
        if rms <= goal or room <= 0 or multiple < _LAST_MULTIPLE:
            break
        clone = LineTable.from_dense(lines[None]).render(wavelength, **rendering)[0]
        left = _without(rms, emission)
        threshold = multiple * max(left, target_rms)
        added, depth, fwhm = _missing_absorption(wavelength, flux, clone, threshold)
        # The deepest ones first, where there is not room for all; and none where a line is.
        new = _apart(added, _nearest_pixel(wavelength, lines[:, 0]), 1)
        new &= away_from_ends(wavelength, added, edge)
        new &= np.argsort(np.argsort(np.where(new, -depth, 0.0))) < room
        guessed = guess(added[new], depth[new], fwhm[new])
        prior = np.concatenate([first, guessed])
        more, more_rms = fit_lines(
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
    optimizer="levenberg-marquardt",
    n_epochs=100,
    learning_rate=0.05,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    device="cpu",
    prior=None,
    pull=1e-3,
):
    """Fit all lines of one spectrum together.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    flux : ndarray of shape (n_pixels,)
        Normalised flux, dimensionless.
    start : ndarray of shape (n_lines, 4)
        First values of centre (Å), ln area (Å), ln sigma and ln gamma (Å).
    optimizer : {"levenberg-marquardt", "adam"}
        Second-order least squares, or the paper's Adam with amsgrad.
    n_epochs : int
        Steps of the optimizer; Levenberg-Marquardt stops earlier where it has converged.
    learning_rate : float
        Step size of Adam, in the units of the parameters.
    profile, transmission, wing_cut
        See :func:`skphx.lines.render_flux`.
    device : str
        torch device on which lines are summed and differentiated.
    prior : ndarray of shape (n_lines, 4) or None
        Parameters to which Levenberg-Marquardt pulls the lines; None is `start`.
    pull : float
        Strength of that pull, see :func:`fit_levenberg_marquardt`.

    Returns
    -------
    lines : ndarray of shape (n_lines, 4)
        Fitted parameters, as `start`.
    rms : float
        Root mean square of clone minus flux over the pixels.

    Raises
    ------
    ValueError
        If `optimizer` is unknown.
    RuntimeError
        If the fit ends in parameters that are not finite or that no line can have.
    """
    if optimizer not in FITTERS:
        raise ValueError(f"optimizer must be one of {sorted(FITTERS)}, got {optimizer!r}.")
    if len(start) == 0:
        return start, float(np.sqrt(np.mean((1.0 - flux) ** 2)))
    settings = {
        "n_epochs": n_epochs,
        "profile": profile,
        "transmission": transmission,
        "wing_cut": wing_cut,
        "device": device,
    }
    if optimizer == "adam":
        settings["learning_rate"] = learning_rate
    else:
        settings.update(prior=prior, pull=pull)
    lines, rms = FITTERS[optimizer](wavelength, flux, start, **settings)
    lowest, highest = np.array([LIMITS[name] for name in LINE_PARAMETERS]).T
    sound = ((lines >= lowest) & (lines <= highest)).all(axis=1)
    if not sound.all():
        raise RuntimeError(
            f"{np.count_nonzero(~sound)} of {len(lines)} lines ended with parameters that are "
            f"not finite or no line's, such as {_describe(lines[~sound][0])}; check the flux near "
            f"{start[~sound][0, 0]:.3f} Å, or with optimizer='adam' lower learning_rate (now "
            f"{learning_rate})."
        )
    return lines, rms


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


def _missing_absorption(wavelength, flux, clone, threshold):
    """Pixels, depths and widths (Å) of the lines that the residual shows."""
    residual = clone - flux
    noise = measure_noise(residual)
    threshold = max(min(threshold, _LARGEST_RESIDUAL_THRESHOLD), _RESIDUAL_PER_NOISE * noise)
    # Relative to the clone: what is missing from a deep line is a larger optical depth.
    share = residual / np.maximum(clone, 0.05)
    # Nothing is missing beyond the ends, so that half a line at an end is a peak, too.
    share = np.pad(share, 1, constant_values=min(share.min(), 0.0))
    pixel, _ = find_peaks(share, height=threshold, prominence=0.5 * threshold, distance=3)
    width = peak_widths(share, pixel, rel_height=0.5)[0]
    share, pixel = share[1:-1], pixel - 1
    fwhm = np.maximum(width, 2.0) * np.gradient(wavelength)[pixel]
    return pixel, np.clip(share[pixel], 1e-4, 0.9), fwhm


def _fit_adam(
    wavelength, flux, start, *, n_epochs, learning_rate, profile, transmission, wing_cut, device
):
    """Fit as the paper does: Adam with amsgrad on the mean squared error, centres free in Å."""
    import torch

    flux, start = (
        torch.as_tensor(array, dtype=torch.float64, device=device) for array in (flux, start)
    )
    parameters = [start[:, k].clone().requires_grad_() for k in range(len(LINE_PARAMETERS))]

    def mean_squared_error():
        depth = optical_depth(
            wavelength,
            *parameters,
            profile=profile,
            transmission=transmission,
            wing_cut=wing_cut,
        )
        return torch.mean((torch.exp(-depth) - flux) ** 2)

    adam = torch.optim.Adam(parameters, lr=learning_rate, amsgrad=True)
    for _ in range(n_epochs):
        adam.zero_grad()
        mean_squared_error().backward()
        adam.step()
        if not all(bool(torch.isfinite(column).all()) for column in parameters):
            # No flux can be rendered any more; what became of the lines is told by the caller.
            return torch.stack(parameters, dim=1).detach().cpu().numpy(), np.nan
    with torch.no_grad():
        rms = float(torch.sqrt(mean_squared_error()))
        return torch.stack(parameters, dim=1).cpu().numpy(), rms


FITTERS = {"adam": _fit_adam, "levenberg-marquardt": fit_levenberg_marquardt}
