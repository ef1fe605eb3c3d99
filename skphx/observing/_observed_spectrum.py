"""One segment of an observed spectrum: pixels, errors, mask, medium and resolution."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy import sparse

from skphx._domain import check_medium, check_wavelength
from skphx.observing._resampling import pixel_edges


# The constructor takes more types than the fields hold, so it is written by hand.
@dataclass(eq=False, repr=False, init=False)
class ObservedSpectrum:
    """One order, arm or exposure of an observed star, on its own pixels.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,)
        Pixel centres in Å, strictly increasing.
    flux : array-like of shape (n_pixels,)
        Flux per unit of wavelength in any unit; NaN where there is none.
    sigma : array-like of shape (n_pixels,), float or None
        Standard error of the flux, in the unit of the flux. Pixels with NaN, or with a value
        that is not positive, are left out. None means unknown: inference then uses the scatter
        about the model.
    ivar : array-like of shape (n_pixels,) or None
        Inverse variance, in place of `sigma`; pixels with 0 are left out.
    mask : array-like of shape (n_pixels,), bool, or None
        True for pixels to leave out, as in :mod:`numpy.ma`.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths.
    resolution : float or None
        λ/FWHM of a Gaussian line-spread function of constant velocity width.
    line_spread : array or sparse array of shape (n_pixels, n_pixels), or None
        Line-spread matrix by which the mean flux of the pixels is multiplied, after the
        broadening by `resolution`. Each row should add up to one.
    velocity : float
        Known velocity of this segment, km/s, such as the difference in barycentric velocity
        between two exposures. A positive velocity means that its wavelengths are too long.

    Attributes
    ----------
    good : ndarray of shape (n_pixels,), bool
        Pixels with finite flux and a valid error that are not masked.
    edges : ndarray of shape (n_pixels + 1,)
        Pixel edges in Å, half-way between centres.

    Raises
    ------
    ValueError
        If lengths disagree, both `sigma` and `ivar` are given, or a value is out of its range.

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
    resolution: float | None
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
        resolution: float | None = None,
        line_spread: ArrayLike | sparse.sparray | None = None,
        velocity: float = 0.0,
    ) -> None:
        self.flux = np.ma.filled(np.ma.asarray(flux, dtype=np.float64), np.nan)
        if self.flux.ndim != 1 or len(self.flux) < 2:
            raise ValueError(
                f"flux must hold one spectrum of two pixels or more, got shape "
                f"{self.flux.shape}; make one ObservedSpectrum for each order."
            )
        n_pixels = len(self.flux)
        self.wavelength = check_wavelength(wavelength, n_pixels)
        if sigma is not None and ivar is not None:
            raise ValueError("give either sigma or ivar, not both.")
        self.sigma = None if sigma is None else self._per_pixel("sigma", sigma, np.nan)
        if ivar is not None:
            self.sigma = _sigma_of(self._per_pixel("ivar", ivar, 0.0))
        self.ivar = None
        self.mask = np.zeros(n_pixels, dtype=bool)
        if mask is not None:
            self.mask = self._per_pixel("mask", mask, False, dtype=bool)
        self.medium, self.resolution, self.velocity = medium, resolution, velocity
        self._check_scalars()
        self.line_spread = None if line_spread is None else sparse.csr_array(line_spread)
        if self.line_spread is not None and self.line_spread.shape != (n_pixels, n_pixels):
            raise ValueError(
                f"line_spread must have shape ({n_pixels}, {n_pixels}), a row and a column for "
                f"each pixel, got {self.line_spread.shape}."
            )
        self.good = np.isfinite(self.flux) & ~self.mask
        if self.sigma is not None:
            with np.errstate(invalid="ignore"):
                self.good &= np.isfinite(self.sigma) & (self.sigma > 0)

    def _per_pixel(
        self, name: str, values: ArrayLike, filled: float, dtype: DTypeLike = np.float64
    ) -> NDArray[Any]:
        """Return an array with one element for each pixel; masked elements are filled."""
        array: NDArray[Any] = np.ma.filled(np.ma.asarray(values, dtype=dtype), filled)
        if array.ndim == 0:
            array = np.full(len(self.flux), array)
        if array.shape != self.flux.shape:
            raise ValueError(
                f"{name} must have one element for each of the {len(self.flux)} pixels of flux, "
                f"got shape {array.shape}."
            )
        return array

    def _check_scalars(self):
        check_medium(self.medium)
        if self.resolution is not None and not self.resolution > 0:
            raise ValueError(
                f"resolution must be positive, λ/FWHM, got {self.resolution!r}; None is the "
                f"resolution of the model."
            )
        if not abs(self.velocity) < 1e5:
            raise ValueError(f"velocity must be in km/s, got {self.velocity!r}.")

    @property
    def edges(self) -> NDArray[np.float64]:
        """Pixel edges in Å, shape (n_pixels + 1,)."""
        return pixel_edges(self.wavelength)

    def __repr__(self):
        medium = f" in {self.medium}" if self.medium else ""
        errors = "with errors" if self.sigma is not None else "no errors"
        return (
            f"ObservedSpectrum({self.good.sum()} of {len(self.flux)} pixels, "
            f"{self.wavelength[0]:.6g} to {self.wavelength[-1]:.6g} Å{medium}, {errors})"
        )


#: One star: a segment, a mapping with the same names, or a sequence of these.
StarLike: TypeAlias = "ObservedSpectrum | Mapping[str, Any] | Sequence[StarLike]"

_FIELDS = tuple(ObservedSpectrum.__dataclass_fields__)


def _sigma_of(ivar):
    """Return standard errors of inverse variances; infinite where these are not positive."""
    sigma = np.full(len(ivar), np.inf)
    np.divide(1.0, np.sqrt(np.maximum(ivar, 0.0)), out=sigma, where=ivar > 0)
    return sigma


def as_segments(star: StarLike, **defaults: Any) -> list[ObservedSpectrum]:
    """Return one star as a list of segments.

    Parameters
    ----------
    star : ObservedSpectrum, mapping, or sequence of these
        A mapping has the names of `ObservedSpectrum`'s parameters; other names are ignored.
        Its arrays may be two-dimensional, with a row for each order.
    **defaults
        Settings, such as `medium`, for segments that do not have them.

    Returns
    -------
    list of ObservedSpectrum
        One for each order, arm or exposure.

    Raises
    ------
    TypeError
        If `star` is of another type.
    """
    defaults = {name: value for name, value in defaults.items() if value is not None}
    if isinstance(star, ObservedSpectrum):
        missing = {name: v for name, v in defaults.items() if getattr(star, name) is None}
        if not missing:
            return [star]
        return [ObservedSpectrum(**{name: getattr(star, name) for name in _FIELDS} | missing)]
    if hasattr(star, "keys") and "wavelength" in star and "flux" in star:
        table: Any = star
        given = {name: table[name] for name in _FIELDS if name in table}
        given = defaults | {name: value for name, value in given.items() if value is not None}
        if np.ndim(given["flux"]) == 1:
            return [ObservedSpectrum(**given)]
        return [
            ObservedSpectrum(
                **{
                    name: value[order] if np.ndim(value) >= 2 else value
                    for name, value in given.items()
                }
            )
            for order in range(len(given["flux"]))
        ]
    if isinstance(star, list | tuple) and len(star):
        return [segment for part in star for segment in as_segments(part, **defaults)]
    raise TypeError(
        f"an observed star must be an ObservedSpectrum, a mapping with wavelength and flux, or a "
        f"list of these, got {type(star).__name__}."
    )
