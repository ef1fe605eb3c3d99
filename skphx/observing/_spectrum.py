"""One chunk of an observed spectrum: pixels, errors, mask, medium and resolution."""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from skphx._validation import check_wavelength
from skphx.observing._medium import MEDIA


@dataclass(eq=False, repr=False)
class ObservedSpectrum:
    """One order, arm or exposure of an observed star, on its own pixels.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,)
        Pixel centres in Å, strictly increasing.
    flux : array-like of shape (n_pixels,)
        Flux per unit of wavelength in any unit; NaN where there is none.
    sigma : array-like of shape (n_pixels,), float or None
        Standard error of the flux in its unit; NaN or not positive leaves a pixel out. None
        is unknown: the scatter about the model is then used in its place.
    ivar : array-like of shape (n_pixels,) or None
        Inverse variance in place of `sigma`; 0 leaves a pixel out.
    mask : array-like of shape (n_pixels,), bool, or None
        True for pixels to leave out, as in :mod:`numpy.ma`.
    medium : {"air", "vacuum"} or None
        What the wavelengths hold for.
    resolution : float or None
        λ/FWHM of a Gaussian line-spread function of constant velocity width.
    line_spread : array or sparse array of shape (n_pixels, n_pixels), or None
        Line-spread matrix that takes the mean flux of the pixels to what they record, after
        the broadening by `resolution`. Rows should add up to one.
    velocity : float
        Known velocity in km/s by which this chunk's wavelengths are too long, such as one
        exposure's barycentric velocity with respect to another's.

    Attributes
    ----------
    good : ndarray of shape (n_pixels,), bool
        Pixels that have a flux, an error and no mask.
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
    ValueError: sigma and ivar are two names of one thing; give one of them.
    """

    wavelength: np.ndarray
    flux: np.ndarray
    sigma: np.ndarray | None = None
    ivar: np.ndarray | None = None
    mask: np.ndarray | None = None
    medium: str | None = None
    resolution: float | None = None
    line_spread: object = None
    velocity: float = 0.0

    def __post_init__(self):
        flux = np.ma.filled(np.ma.asarray(self.flux, dtype=np.float64), np.nan)
        if flux.ndim != 1 or len(flux) < 2:
            raise ValueError(
                f"flux must hold one spectrum of two pixels or more, got shape {flux.shape}; "
                f"make one ObservedSpectrum an order."
            )
        self.flux = flux
        self.wavelength = check_wavelength(self.wavelength, len(flux))
        self.sigma = self._errors(len(flux))
        self.ivar = None
        self.mask = self._per_pixel("mask", self.mask, bool, False)
        self._check_scalars()
        if self.line_spread is not None:
            self.line_spread = sparse.csr_array(self.line_spread)
            if self.line_spread.shape != (len(flux), len(flux)):
                raise ValueError(
                    f"line_spread must have shape ({len(flux)}, {len(flux)}), a row and a "
                    f"column a pixel, got {self.line_spread.shape}."
                )
        self.good = np.isfinite(flux) & ~self.mask
        if self.sigma is not None:
            with np.errstate(invalid="ignore"):
                self.good &= np.isfinite(self.sigma) & (self.sigma > 0)

    def _errors(self, n_pixels):
        """Return standard errors, from `sigma` or `ivar`."""
        if self.sigma is not None and self.ivar is not None:
            raise ValueError("sigma and ivar are two names of one thing; give one of them.")
        if self.ivar is not None:
            ivar = self._per_pixel("ivar", self.ivar, np.float64, 0.0)
            sigma = np.full(n_pixels, np.inf)
            np.divide(1.0, np.sqrt(np.maximum(ivar, 0.0)), out=sigma, where=ivar > 0)
            return sigma
        if self.sigma is None:
            return None
        return self._per_pixel("sigma", self.sigma, np.float64, np.nan)

    def _per_pixel(self, name, values, dtype, filled):
        if values is None:
            return np.full(len(self.flux), filled, dtype=dtype)
        values = np.ma.filled(np.ma.asarray(values, dtype=dtype), filled)
        if values.ndim == 0:
            values = np.full(len(self.flux), values)
        if values.shape != self.flux.shape:
            raise ValueError(
                f"{name} must have one element for each of the {len(self.flux)} pixels of flux, "
                f"got shape {values.shape}."
            )
        return values

    def _check_scalars(self):
        if self.medium not in (*MEDIA, None):
            raise ValueError(f"medium must be 'air', 'vacuum' or None, got {self.medium!r}.")
        if self.resolution is not None and not self.resolution > 0:
            raise ValueError(
                f"resolution must be positive, λ over FWHM, got {self.resolution!r}; None is "
                f"the model's own."
            )
        if not abs(self.velocity) < 1e5:
            raise ValueError(f"velocity must be in km/s, got {self.velocity!r}.")

    @property
    def edges(self):
        """Pixel edges in Å, shape (n_pixels + 1,)."""
        from skphx.observing._resampling import pixel_edges

        return pixel_edges(self.wavelength)

    def __repr__(self):
        medium = f" in {self.medium}" if self.medium else ""
        errors = "with errors" if self.sigma is not None else "no errors"
        return (
            f"ObservedSpectrum({self.good.sum()} of {len(self.flux)} pixels, "
            f"{self.wavelength[0]:.6g} to {self.wavelength[-1]:.6g} Å{medium}, {errors})"
        )


_FIELDS = tuple(ObservedSpectrum.__dataclass_fields__)


def as_chunks(star, **defaults):
    """One star as a list of chunks.

    Parameters
    ----------
    star : ObservedSpectrum, mapping, or sequence of these
        A mapping has the names of `ObservedSpectrum`'s parameters; others are left aside. Its
        arrays may be two-dimensional, a row an order.
    **defaults
        Settings such as `medium` where a chunk says nothing.

    Returns
    -------
    list of ObservedSpectrum
        One an order or exposure.

    Raises
    ------
    TypeError
        If `star` is something else.
    """
    defaults = {name: value for name, value in defaults.items() if value is not None}
    if isinstance(star, ObservedSpectrum):
        missing = {name: v for name, v in defaults.items() if getattr(star, name) is None}
        if not missing:
            return [star]
        return [ObservedSpectrum(**{name: getattr(star, name) for name in _FIELDS} | missing)]
    if hasattr(star, "keys") and "wavelength" in star and "flux" in star:
        given = {name: star[name] for name in _FIELDS if name in star and star[name] is not None}
        given = defaults | given
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
        return [chunk for part in star for chunk in as_chunks(part, **defaults)]
    raise TypeError(
        f"an observed star must be an ObservedSpectrum, a mapping with wavelength and flux, or a "
        f"list of these, got {type(star).__name__}."
    )
