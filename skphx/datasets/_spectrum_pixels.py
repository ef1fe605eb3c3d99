"""Pixels of a spectrum in order: padding filled, bad pixels masked, orders of one length."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from skphx._flux_units import factor_at, is_logarithmic, unit_per_wavelength
from skphx.datasets._spectrum_request import NoSpectrumError
from skphx.datasets._spectrum_units import parse_flux, parse_plain

# Orders that follow one another in one column are at least as long.
_SHORTEST_ORDER = 20


@dataclass
class Row:
    """One spectrum or order.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Wavelengths in Å; NaN is padding.
    flux : ndarray of shape (n_pixels,)
        Flux; NaN where there is none.
    sigma : ndarray of shape (n_pixels,) or None
        Standard errors.
    mask : ndarray of shape (n_pixels,), bool
        True for bad pixels.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray | None
    mask: np.ndarray

    def take(self, which):
        """Return the row with these pixels."""
        sigma = None if self.sigma is None else self.sigma[which]
        return Row(self.wavelength[which], self.flux[which], sigma, self.mask[which])


def tidy(rows, request):
    """Return arrays of one shape, of rows with wavelengths in increasing order.

    Parameters
    ----------
    rows : list of Row
        Orders, or the one spectrum.
    request : Request
        Warnings go to its notes.

    Returns
    -------
    wavelength, flux : ndarray of shape (n_pixels,) or (n_orders, n_pixels)
        Wavelengths in Å, strictly increasing in each row, and flux.
    sigma : ndarray or None
        Standard errors, if the file has any.
    mask : ndarray, bool
        True for pixels without wavelength, flux or error, and for those that the file marks.

    Raises
    ------
    NoSpectrumError
        If no pixel is good.
    """
    rows = _without_empty_errors(rows, request)
    for row in rows:
        row.mask = row.mask | ~np.isfinite(row.flux)
        if row.sigma is not None:
            with np.errstate(invalid="ignore"):
                row.mask = row.mask | ~(np.isfinite(row.sigma) & (row.sigma > 0))
    with_axis = [row for row in rows if np.isfinite(row.wavelength).any()]
    if len(with_axis) < len(rows):
        request.notes.append(
            f"has {len(rows) - len(with_axis)} of {len(rows)} orders without wavelengths, which "
            f"are left out."
        )
    if with_axis and all(_is_one_wavelength(row) for row in with_axis):
        raise NoSpectrumError(
            "has the same wavelength at all pixels: pass wavelength= with another array, or "
            "repair the header."
        )
    rows = [_in_order(row, request) for row in with_axis]
    if not rows or all(row.mask.all() for row in rows):
        raise NoSpectrumError(
            "has no usable pixel: none has wavelength, flux and error, and is not masked. If the "
            "mask is inverted, pass mask_good."
        )
    length = max(2, max(len(row.flux) for row in rows))
    rows = [_padded(row, length) for row in rows]
    stacked = [
        np.array([getattr(row, name) for row in rows]) for name in ("wavelength", "flux", "mask")
    ]
    sigma = None if rows[0].sigma is None else np.array([row.sigma for row in rows])
    if len(rows) == 1:
        stacked, sigma = [array[0] for array in stacked], None if sigma is None else sigma[0]
    return stacked[0], stacked[1], sigma, stacked[2]


def _is_one_wavelength(row):
    known = row.wavelength[np.isfinite(row.wavelength)]
    return len(known) > 1 and np.ptp(known) == 0


def _without_empty_errors(rows, request):
    """Errors that are nowhere positive are none: many pipelines fill the column they must have."""
    given = [row.sigma is not None for row in rows]
    if not any(given):
        return rows
    missing = None
    if not all(given):
        missing = f"has errors in {sum(given)} of {len(rows)} parts only"
    else:
        with np.errstate(invalid="ignore"):
            if not any((np.isfinite(row.sigma) & (row.sigma > 0)).any() for row in rows):
                missing = "has an array of errors in which none is positive"
    if missing is None:
        return rows
    request.notes.append(f"{missing}: sigma is None, errors are unknown.")
    return [Row(row.wavelength, row.flux, None, row.mask) for row in rows]


def split_orders(row):
    """Split at the jumps of wavelength between long monotonic parts.

    Parameters
    ----------
    row : Row
        One spectrum, or several one after the other.

    Returns
    -------
    list of Row
        The parts; the one row where wavelengths are only out of order.
    """
    known = np.flatnonzero(np.isfinite(row.wavelength))
    steps = np.diff(row.wavelength[known])
    if len(steps) == 0:
        return [row]
    forward = np.sign(np.median(steps))
    jumps = np.flatnonzero(steps * forward < 0)
    if not len(jumps) or len(known) / (len(jumps) + 1) < _SHORTEST_ORDER:
        return [row]
    edges = [0, *(known[jumps] + 1), len(row.flux)]
    if min(np.diff(edges)) < _SHORTEST_ORDER // 2:
        return [row]
    return [row.take(slice(*pair)) for pair in pairwise(edges)]


def _in_order(row, request):
    """Sort pixels by wavelength, fill the padding, mask repeated wavelengths."""
    known = np.isfinite(row.wavelength)
    steps = np.diff(row.wavelength[known])
    if (steps < 0).all():
        row = row.take(slice(None, None, -1))
    elif not (steps > 0).all():
        # Of pixels with one wavelength the good one comes first, and those without it last.
        row = row.take(np.lexsort((row.mask, np.where(known, row.wavelength, np.inf))))
    wavelength = row.wavelength.copy()
    known = np.flatnonzero(np.isfinite(wavelength))
    repeated = known[1:][np.diff(wavelength[known]) <= 0]
    if len(repeated):
        request.notes.append(
            f"has {len(repeated)} pixels with the wavelength of another one; they are masked."
        )
        wavelength[repeated] = np.nan
    unknown = ~np.isfinite(wavelength)
    return Row(filled(wavelength), row.flux, row.sigma, row.mask | unknown)


def filled(wavelength):
    """Return strictly increasing wavelengths, with those that are missing in between and beyond.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Wavelengths in Å, increasing; NaN where there is none.

    Returns
    -------
    ndarray of shape (n_pixels,)
        The same with interpolated values for NaN; at the ends, the last step goes on as a factor.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.datasets._spectrum_pixels import filled
    >>> filled(np.array([np.nan, 5000.0, np.nan, 5002.0])).round(3)
    array([4999., 5000., 5001., 5002.])
    """
    known = np.flatnonzero(np.isfinite(wavelength))
    if len(known) == len(wavelength):
        return wavelength
    logarithm = np.log(wavelength[known])
    if len(known) == 1:
        step = np.array([1e-5])
        known = np.array([known[0], known[0] + 1])
        logarithm = np.array([logarithm[0], logarithm[0] + step[0]])
    step = np.diff(logarithm) / np.diff(known)
    index = np.arange(len(wavelength))
    values = np.exp(np.interp(index, known, logarithm))
    before, after = index < known[0], index > known[-1]
    values[before] = np.exp(logarithm[0] + step[0] * (index[before] - known[0]))
    values[after] = np.exp(logarithm[-1] + step[-1] * (index[after] - known[-1]))
    good = np.isfinite(wavelength)
    values[good] = wavelength[good]
    return values


def _padded(row, length):
    """Row with masked pixels at its end."""
    missing = length - len(row.flux)
    if not missing:
        return row
    nan = np.full(missing, np.nan)
    return Row(
        filled(np.concatenate([row.wavelength, nan])),
        np.concatenate([row.flux, nan]),
        None if row.sigma is None else np.concatenate([row.sigma, nan]),
        np.concatenate([row.mask, np.ones(missing, dtype=bool)]),
    )


def standard_error(values, role, flux=None):
    """Return standard errors from errors, variances or inverse variances; NaN where there is none.

    Parameters
    ----------
    values : ndarray
        The array.
    role : {"sigma", "variance", "ivar", "relative"}
        What it holds.
    flux : ndarray or None
        Flux, for relative errors.

    Returns
    -------
    ndarray, float64
        Standard errors.
    """
    values = np.array(values, dtype=np.float64)
    if role == "sigma":
        return values
    if role == "relative":
        return values * np.abs(flux)
    if role == "variance":
        with np.errstate(invalid="ignore"):
            return np.sqrt(np.where(values >= 0, values, np.nan))
    sigma = np.full(values.shape, np.nan)
    np.divide(1.0, np.sqrt(np.abs(values)), out=sigma, where=values > 0)
    return sigma


def in_one_unit(wavelength, flux, sigma, flux_unit, error_unit, role, request):
    """Return flux per unit of wavelength, its errors in the same unit, and the unit.

    Parameters
    ----------
    wavelength, flux : ndarray
        Wavelengths in Å, and flux.
    sigma : ndarray or None
        Standard errors, in the unit of the flux or in their own.
    flux_unit, error_unit : str, astropy unit or None
        Units in the file; that of variances and inverse variances is of their kind.
    role : {"sigma", "variance", "ivar", "relative"}
        What the errors were.
    request : Request
        Warnings go to its notes.

    Returns
    -------
    flux, sigma : ndarray, ndarray or None
        Flux F_λ and errors.
    unit : str or None
        Unit of both.

    Raises
    ------
    NoSpectrumError
        If the flux is a magnitude or a logarithm.
    """
    from astropy import units

    unit = parse_flux(flux_unit)
    text = None if flux_unit is None else str(flux_unit)
    if unit is not None and is_logarithmic(unit):
        raise NoSpectrumError(
            f"has flux in {text}, which is a logarithm: convert it to flux per unit of wavelength."
        )
    if sigma is not None and role != "relative":
        factor = _factor(error_unit, unit, text, role, flux, request)
        sigma = None if factor is None else sigma * factor
    if unit is None:
        return flux, sigma, text
    try:
        target = unit_per_wavelength(unit, "the flux")
    except ValueError:  # no flux that is known: its numbers stay as they are
        target = None
    if target is None or target == units.dimensionless_unscaled:
        # Other programs would not read all texts that are read here, and take A for the ampere.
        return flux, sigma, text if parse_plain(text) == unit else unit.to_string()
    factor = factor_at(wavelength, unit, target)
    return flux * factor, None if sigma is None else sigma * factor, target.to_string()


def _factor(error_unit, unit, text, role, flux, request):
    """Factor from errors in their own unit to the unit of the flux; None if it is not known."""
    from astropy import units

    if error_unit is None or str(error_unit).strip() in ("", text):
        return 1.0
    known = parse_flux(error_unit)
    power = {"sigma": 1, "variance": 2, "ivar": -2}[role]
    if known is not None and unit is not None:
        if known.is_equivalent(unit**power):
            return (known ** (1.0 / power)).to(unit)
        if known.is_equivalent(unit):  # as written by those who copy the unit of the flux
            return 1.0
    if known is not None and role == "sigma" and known == units.percent:
        return known.to(units.dimensionless_unscaled) * np.abs(flux)
    said = f"has flux in {text or 'no unit'} and errors in {error_unit}, which cannot be converted"
    if getattr(request, role) is not None:
        request.notes.append(f"{said}; errors are taken to be in the unit of the flux.")
        return 1.0
    request.notes.append(
        f"{said}; errors are left out: name them, such as {role}=, to take them to be in the unit "
        f"of the flux."
    )
    return None
