"""One segment of an observed spectrum: pixels, errors, mask, medium and resolution."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from skphx._domain import check_medium, check_wavelength
from skphx._plain import float_array
from skphx.observing._containers import (
    FIELDS,
    SpectrumObject,
    TableObject,
    fields_of,
    orders_of,
    shared_value,
)
from skphx.observing._pixel_order import (
    NoWavelengthsError,
    complete_wavelengths,
    is_descending,
)
from skphx.observing._resampling import pixel_edges
from skphx.observing._units import (
    flux_per_wavelength,
    plain_number,
    speed_in_km_per_s,
    wavelength_in_angstrom,
)
from skphx.observing._values import Values, errors_of_ivar, mask_of, values_of

#: λ/FWHM: a number, a function of the wavelength in Å, or one number for each pixel.
ResolutionLike: TypeAlias = float | Callable[[NDArray[np.float64]], ArrayLike] | ArrayLike


# The constructor takes more types than the fields hold, so it is written by hand.
@dataclass(eq=False, repr=False, init=False)
class ObservedSpectrum:
    """One order, arm or exposure of an observed star, on its own pixels.

    Numbers may be arrays, masked arrays, Quantities of astropy, or columns of a table: masked
    pixels are left out, and units are converted.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,)
        Pixel centres in Å, increasing or decreasing; or lengths, frequencies, wavenumbers or
        energies, with their unit. Pixels whose wavelength is masked, NaN, 0 or negative are left
        out; so are pixels without flux whose wavelength is out of order, as in padded orders.
    flux : array-like, Quantity or NDData of shape (n_pixels,)
        Flux per unit of wavelength in any unit, which is kept, or counts; NaN where there is
        none. Flux per unit of frequency (Jy) and photons, with their unit, are converted to
        erg s⁻¹ cm⁻² Å⁻¹. An NDData may bring its own mask and uncertainty.
    sigma : array-like or Quantity of shape (n_pixels,), float, uncertainty of NDData, or None
        Standard error of the flux, in the unit of the flux. Pixels with NaN, or with a value
        that is not positive, are left out. None means unknown: inference then uses the scatter
        about the model.
    ivar : array-like or Quantity of shape (n_pixels,) or None
        Inverse variance, in place of `sigma`; pixels with 0 are left out.
    mask : array-like of shape (n_pixels,), bool, or None
        True, or not 0, for pixels to leave out, as in :mod:`numpy.ma`.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths. Frequencies become λ = c/ν, which is a wavelength in vacuum
        unless they were computed from wavelengths in air.
    resolution : float, function, array-like of shape (n_pixels,), or None
        λ/FWHM of a Gaussian line-spread function. A number is a constant velocity width. A
        function gets the wavelengths in Å, shape (n_pixels,), and returns one value for each.
    line_spread : array or sparse array of shape (n_pixels, n_pixels), or None
        Line-spread matrix by which the mean flux of the pixels is multiplied, after the
        broadening by `resolution`. Each row should add up to one.
    velocity : float or Quantity
        Known velocity of this segment, km/s, such as the difference in barycentric velocity
        between two exposures. A positive velocity means that its wavelengths are too long.

    Attributes
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å, strictly increasing. If those given decrease, all arrays are in
        reversed order. Pixels without a usable wavelength have one between their neighbours, and
        are masked.
    resolution : float, ndarray of shape (n_pixels,), or None
        λ/FWHM; a number also if all pixels have the same.
    good : ndarray of shape (n_pixels,), bool
        Pixels with finite flux and a valid error that are not masked.
    edges : ndarray of shape (n_pixels + 1,)
        Pixel edges in Å, half-way between centres.
    layout : tuple
        Hashable; equal for segments that can share a forward model.

    Raises
    ------
    ValueError
        If lengths disagree, both `sigma` and `ivar` are given, units do not fit together, the
        wavelengths of good pixels are not in order, or a value is out of its range.

    Examples
    --------
    >>> from skphx.observing import ObservedSpectrum
    >>> ObservedSpectrum([5000.0, 5000.1, 5000.2], [1.0, float("nan"), 0.9], medium="air")
    ObservedSpectrum(2 of 3 pixels, 5000 to 5000.2 Å in air, no errors)
    >>> ObservedSpectrum([5000.0, 5000.1], [1.0, 0.9], sigma=0.1, ivar=[100.0, 100.0])
    Traceback (most recent call last):
        ...
    ValueError: give either sigma or ivar, not both.
    """

    wavelength: NDArray[np.float64]
    flux: NDArray[np.float64]
    sigma: NDArray[np.float64] | None
    ivar: None
    mask: NDArray[np.bool_]
    medium: Literal["air", "vacuum"] | None
    resolution: float | NDArray[np.float64] | None
    line_spread: sparse.csr_array | None
    velocity: float

    def __init__(
        self,
        wavelength: ArrayLike,
        flux: ArrayLike,
        sigma: ArrayLike | None = None,
        ivar: ArrayLike | None = None,
        mask: ArrayLike | None = None,
        medium: Literal["air", "vacuum"] | None = None,
        resolution: ResolutionLike | None = None,
        line_spread: ArrayLike | sparse.sparray | None = None,
        velocity: float = 0.0,
    ) -> None:
        bright = values_of("flux", flux)
        if bright.ndim != 1 or len(bright) < 2:
            short = bright.ndim == 1
            raise (NoWavelengthsError if short else ValueError)(
                f"flux must hold one spectrum of two pixels or more, got shape "
                f"{bright.data.shape}; make one ObservedSpectrum for each order."
            )
        n_pixels = len(bright)
        if sigma is not None and ivar is not None:
            raise ValueError("give either sigma or ivar, not both.")
        errors = _errors_of(flux, sigma, ivar, n_pixels)
        at = _wavelength_of(wavelength, n_pixels)
        self.flux, self.sigma = flux_per_wavelength(bright, errors, at)
        self.ivar = None
        self.mask = np.zeros(n_pixels, dtype=bool)
        if mask is not None:
            self.mask |= _per_pixel("mask", mask_of("mask", mask), n_pixels)
        # As written in files, wavelengths may also be in decreasing order.
        in_order = slice(None, None, -1 if is_descending(at, self._good_flux()) else 1)
        self.flux, self.mask, at = self.flux[in_order], self.mask[in_order], at[in_order]
        if self.sigma is not None:
            self.sigma = self.sigma[in_order]
        self.wavelength, known = complete_wavelengths(at, self._good_flux())
        self.mask |= ~known
        self.good = self._good_flux()
        self.medium = shared_value("medium", medium)
        check_medium(self.medium)
        self.velocity = shared_value("velocity", speed_in_km_per_s("velocity", velocity))
        if not isinstance(self.velocity, Real) or not abs(self.velocity) < 1e5:
            raise ValueError(f"velocity must be in km/s, got {self.velocity!r}.")
        self.resolution = self._resolution_of(resolution, in_order)
        self.line_spread = None
        if line_spread is None:
            return
        self.line_spread = _line_spread_of(line_spread, n_pixels)
        if in_order.step == -1:
            self.line_spread = self.line_spread[::-1][:, ::-1]

    def _good_flux(self):
        """Return which pixels have finite flux, a valid error, and no mask."""
        good = np.isfinite(self.flux) & ~self.mask
        if self.sigma is not None:
            with np.errstate(invalid="ignore"):
                good &= np.isfinite(self.sigma) & (self.sigma > 0)
        return good

    def _resolution_of(self, given, in_order):
        """Return the resolution as a number, or as one number for each pixel."""
        if given is None:
            return None
        if callable(given):
            given = given(self.wavelength.copy())
            in_order = slice(None)
        values = values_of("resolution", plain_number("resolution", given))
        resolution = np.where(values.mask, np.nan, values.data)
        if resolution.ndim and resolution.shape != self.flux.shape:
            raise ValueError(
                f"resolution must be one number, a function of wavelength, or one number for each "
                f"of the {len(self.flux)} pixels, got shape {resolution.shape}; a range to fit is "
                f"infer(..., resolution=(low, high))."
            )
        with np.errstate(invalid="ignore"):
            valid = np.isfinite(resolution) & (resolution > 0)
        if resolution.ndim == 0:
            if not valid:
                raise ValueError(
                    f"resolution must be positive, λ/FWHM, got {given!r}; None is the resolution "
                    f"of the model."
                )
            return float(resolution)
        resolution, valid = resolution[in_order], valid[in_order]
        wrong = np.flatnonzero(self.good & ~valid)
        if len(wrong) or not valid.any():
            where = wrong[0] if len(wrong) else 0
            raise ValueError(
                f"resolution must be positive, λ/FWHM, at all good pixels, but it is "
                f"{resolution[where]} at {self.wavelength[where]:.6g} Å; mask this pixel, or give "
                f"its resolution."
            )
        if not valid.all():
            resolution = np.interp(self.wavelength, self.wavelength[valid], resolution[valid])
        return float(resolution[0]) if np.ptp(resolution) == 0 else resolution

    @property
    def edges(self) -> NDArray[np.float64]:
        """Pixel edges in Å, shape (n_pixels + 1,)."""
        return pixel_edges(self.wavelength)

    @property
    def layout(self) -> tuple[Any, ...]:
        """Hashable; equal for segments that can share a forward model."""
        spread = self.line_spread
        return (
            self.wavelength.tobytes(),
            self.resolution.tobytes()
            if isinstance(self.resolution, np.ndarray)
            else self.resolution,
            self.velocity,
            None
            if spread is None
            else tuple(part.tobytes() for part in (spread.data, spread.indices, spread.indptr)),
        )

    def part(self, window: slice) -> "ObservedSpectrum":
        """Return some neighbouring pixels as a segment of its own.

        Parameters
        ----------
        window : slice
            The pixels, two or more, without steps.

        Returns
        -------
        ObservedSpectrum
            A segment with these pixels.
        """
        spread, resolution = self.line_spread, self.resolution
        return replace(
            self,
            wavelength=self.wavelength[window],
            flux=self.flux[window],
            sigma=None if self.sigma is None else self.sigma[window],
            mask=self.mask[window],
            resolution=resolution[window] if isinstance(resolution, np.ndarray) else resolution,
            line_spread=None if spread is None else spread[window][:, window],
        )

    def __repr__(self):
        medium = f" in {self.medium}" if self.medium else ""
        errors = "with errors" if self.sigma is not None else "no errors"
        return (
            f"ObservedSpectrum({self.good.sum()} of {len(self.flux)} pixels, "
            f"{self.wavelength[0]:.6g} to {self.wavelength[-1]:.6g} Å{medium}, {errors})"
        )


#: One star: a segment, a mapping or table with the same names, a spectrum object, or a sequence of
#: these.
StarLike: TypeAlias = (
    "ObservedSpectrum | Mapping[str, Any] | SpectrumObject | TableObject | np.ndarray | np.void"
    " | Sequence[StarLike]"
)


def _line_spread_of(given, n_pixels):
    """Return a line-spread matrix as a sparse array."""
    if not sparse.issparse(given):
        given = float_array(given, "line_spread")
    if given.shape != (n_pixels, n_pixels):
        raise ValueError(
            f"line_spread must have shape ({n_pixels}, {n_pixels}), a row and a column for each "
            f"pixel, got {given.shape}."
        )
    matrix = sparse.csr_array(given)
    if matrix.dtype.kind not in "fiub" or not np.isfinite(matrix.data).all():
        raise ValueError("line_spread must hold finite numbers; each row should add up to one.")
    return matrix


def _per_pixel(name, array, n_pixels):
    """Return an array with one element for each pixel; a number is repeated."""
    if np.ndim(array) == 0:
        array = np.full(n_pixels, array)
    if array.shape != (n_pixels,):
        raise ValueError(
            f"{name} must have one element for each of the {n_pixels} pixels of flux, got shape "
            f"{array.shape}."
        )
    return array


def _errors_of(flux, sigma, ivar, n_pixels):
    """Return the standard errors, of any of the three that may hold them, or None."""
    if sigma is None and ivar is None:
        sigma = getattr(flux, "uncertainty", None)
        if sigma is None:
            return None
    elif getattr(flux, "uncertainty", None) is not None:
        raise ValueError(
            "flux has its own uncertainty; give neither sigma nor ivar, or give flux.data alone."
        )
    name, given = ("sigma", sigma) if ivar is None else ("ivar", ivar)
    values = values_of(name, given)
    if name == "ivar" and not hasattr(given, "uncertainty_type"):
        values = errors_of_ivar(values)
    return Values(
        _per_pixel(name, values.data, n_pixels),
        _per_pixel(name, values.mask, n_pixels),
        values.unit,
    )


def _wavelength_of(given, n_pixels):
    """Return the wavelengths in Å, NaN where there is none."""
    if given is None or (isinstance(given, tuple) and len(given) == 2 < n_pixels):
        if given is None:
            raise ValueError("wavelength must be given: pass the wavelengths of the pixels in Å.")
        return check_wavelength(given, n_pixels)
    values = values_of("wavelength", given)
    if values.ndim != 1:
        raise ValueError(
            f"wavelength must be a one-dimensional array of numbers in Å, got shape "
            f"{values.data.shape}."
        )
    if len(values) != n_pixels:
        raise ValueError(
            f"wavelength has {len(values)} elements but the spectra have {n_pixels} pixels; pass "
            f"one wavelength for each pixel of the flux."
        )
    return wavelength_in_angstrom(values, given)


def as_segments(star: StarLike, **defaults: Any) -> list[ObservedSpectrum]:
    """Return one star as a list of segments.

    Parameters
    ----------
    star : ObservedSpectrum, mapping, table, spectrum object, or sequence of these
        A mapping, a table of astropy or pandas, one of its rows or a structured array has the
        names of `ObservedSpectrum`'s parameters. Other names are an error, because they may be
        the errors or the mask under another name; those of the descriptions in the Bunch of
        :func:`skphx.datasets.load_spectrum` are ignored, and its `units` are used. Arrays may be
        two-dimensional, with a row for each order; orders of different length are lists of
        arrays. `medium`, `resolution`, `velocity`, `sigma` and `ivar` may then have one value for
        each order. Objects with `spectral_axis` and `flux`, such as those of specutils, may have
        `uncertainty` and `mask`; one with a row for each order is a star of several segments.
    **defaults
        Settings, such as `medium`, for segments that do not have them.

    Returns
    -------
    list of ObservedSpectrum
        One for each order, arm or exposure. Orders in which fewer than two pixels have a
        wavelength are left out if there are others.

    Raises
    ------
    TypeError
        If `star` is of another type.
    ValueError
        If a name is not known, or a segment is not valid.
    """
    defaults = {name: value for name, value in defaults.items() if value is not None}
    segments: list[ObservedSpectrum] = []
    empty: NoWavelengthsError | None = None
    for part in _parts_of(star):
        try:
            segments.append(_segment_of(part, defaults))
        except NoWavelengthsError as error:
            empty = error
    if empty is not None and not segments:
        raise empty
    return segments


def _parts_of(star):
    """Return the segments of a star, and the fields of those that are yet to be made."""
    if isinstance(star, ObservedSpectrum):
        return [star]
    if isinstance(star, list | tuple) and len(star):
        return [segment for part in star for segment in _parts_of(part)]
    return orders_of(fields_of(star))


def _segment_of(part, defaults):
    """Make a segment of its fields, and of the settings for fields that it does not have."""
    if not isinstance(part, ObservedSpectrum):
        return ObservedSpectrum(**(defaults | part))
    missing = {name: value for name, value in defaults.items() if getattr(part, name) is None}
    if not missing:
        return part
    return ObservedSpectrum(**{name: getattr(part, name) for name in FIELDS} | missing)
