"""ContinuumNormalizer: each spectrum divided by a polynomial continuum."""

from itertools import pairwise
from numbers import Integral
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import ArrayLike, NDArray
from scipy.signal import find_peaks
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from skphx._domain import check_flux, check_wavelength
from skphx._input_spectra import FLOATS, validate_spectra
from skphx._plain import plain_numbers
from skphx._progress import one_task
from skphx._restore import restore_on_failure

# Number of windows in PHOENIX spectra from 8038 to 12849 Å: 338,651 pixels, 5001 per window.
_WINDOWS_IN_BAND = 338_651 / 5001

# With fewer pixels, the maximum of a window is given by noise and lines.
_SHORTEST_WINDOW = 5

# Anchors are clipped if they are this many robust standard deviations below (above) the fit. The
# limits differ because lines and bands make anchors too low more often than anything makes them
# too high.
_CLIP_BELOW = 1.5
_CLIP_ABOVE = 3.0

# Anchors with a smaller relative distance to the fit are never clipped: rounding errors.
_CLIP_TOLERANCE = 1e-6


class ContinuumNormalizer(
    CallbackSupportMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Divide each spectrum by a polynomial continuum.

    The continuum of a spectrum is a Legendre series of the wavelength scaled to [−1, 1],

    .. math:: C(\lambda) = \sum_{k=0}^{n} c_k P_k(x), \qquad
              x = \frac{2\lambda - \lambda_{\min} - \lambda_{\max}}
                       {\lambda_{\max} - \lambda_{\min}},

    fitted by least squares to anchors, which are pixels assumed to be free of lines. In this basis
    the condition number of the least-squares problem is below 10; in powers of the wavelength in Å
    the problem could not be solved in double precision.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple means evenly spaced pixels, None pixel
        numbers.
    degree : int, default=5
        Degree of the polynomial. For a spectrum with fewer than ``2 * degree + 1`` anchors the
        degree is lower, and its higher coefficients are zero.
    distance : int or None
        Spacing of the anchors in pixels. None is about 1/68 of the number of pixels: 5001 for
        the 338,651 pixels of PHOENIX between 8038 and 12849 Å.
    anchors : {"windows", "peaks"}, default="windows"
        How the anchors are found. "windows": the highest pixel in each window of `distance`
        pixels, so that anchors cover the whole range. "peaks": local maxima at least
        `distance` pixels apart (:func:`scipy.signal.find_peaks`). A spectrum without lines has
        no peaks; its continuum is then a constant.
    n_iterations : int, default=10
        Largest number of repetitions of the fit without outlying anchors: those far below the
        fit, in a molecular band or the wing of a broad line, and those far above it, such as
        bad pixels. 0 uses all anchors.

    Attributes
    ----------
    coefficients_ : ndarray of shape (n_spectra, degree + 1)
        Legendre coefficients of the continua of the spectra in `fit`, in the unit of the flux.
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    distance_ : int
        Spacing of the anchors in pixels.
    n_features_in_ : int
        Number of pixels in `fit`.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, if X has column names.

    See Also
    --------
    BlackbodyDivider : Removes most of the shape of the continuum.
    PercentileNormalizer : Divides by one number per spectrum instead of a polynomial.

    Notes
    -----
    Anchors are maxima, so noise makes the continuum too high: by 2.4 standard deviations of a
    pixel for windows of 60 pixels, and by 3.7 for 5001. If lines or bands cover all pixels over a
    long range, as in cool stars, the result is a pseudo-continuum.

    `continuum` is metadata of inverse_transform, requested by default.

    ``ContinuumNormalizer(anchors="peaks", distance=5001, n_iterations=0)`` is the method of
    Shankar et al. for the 338,651 pixels of PHOENIX. If a broad line is at the end of the range,
    there is no peak on one side of it, and the continuum is too low in its wing.

    References
    ----------
    Shankar, S., Gully-Santiago, M. & Morley, C. V., "Using Hybrid Machine Learning for
    Fundamental Stellar Parameter Inference", section 2.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import ContinuumNormalizer
    >>> wavelength = np.linspace(5000.0, 5100.0, 2000)
    >>> slope = 3.0 + (wavelength - 5000.0) / 100.0
    >>> line = 1.0 - 0.5 * np.exp(-0.5 * ((wavelength - 5050.0) / 0.2) ** 2)
    >>> normalizer = ContinuumNormalizer(wavelength)
    >>> flux = normalizer.fit_transform([slope * line])
    >>> np.allclose(flux, line)
    True
    >>> np.allclose(normalizer.inverse_transform(flux), slope * line)
    True
    """

    __metadata_request__inverse_transform: ClassVar = {"continuum": True}

    def __init__(
        self,
        wavelength: ArrayLike | None = None,
        degree: int = 5,
        *,
        distance: int | None = None,
        anchors: Literal["windows", "peaks"] = "windows",
        n_iterations: int = 10,
    ) -> None:
        self.wavelength = wavelength
        self.degree = degree
        self.distance = distance
        self.anchors = anchors
        self.n_iterations = n_iterations

    @restore_on_failure
    @one_task
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Fit and store the continuum of each spectrum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.
        y : None
            Ignored.

        Returns
        -------
        self : ContinuumNormalizer
            The fitted transformer.

        Raises
        ------
        ValueError
            If X, wavelength or a parameter is not valid, or a continuum is not positive.
        """
        self._fit(X)
        return self

    @restore_on_failure
    @one_task
    def fit_transform(self, X: ArrayLike, y: None = None) -> NDArray[np.floating]:
        """Fit the continuum of each spectrum and divide by it.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux relative to the continuum.

        Raises
        ------
        ValueError
            As for fit.
        """
        return self._divide(*self._fit(X))

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Divide each spectrum by its own continuum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux relative to the continuum.

        Raises
        ------
        ValueError
            If X is not valid, or a continuum is not positive.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return self._divide(X, self._fit_coefficients(X, self.wavelength_, self.distance_))

    def inverse_transform(
        self, X: ArrayLike, *, continuum: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Multiply each spectrum by its continuum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux relative to the continuum.
        continuum : array-like of shape (n_spectra, n_pixels) or (n_pixels,), optional
            Continuum of each spectrum, as :meth:`measure_continuum` gives it. If it is not
            given, the continua of the spectra in `fit` are used; X must then have as many
            spectra in the same order, or `fit` must have had a single one.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in the unit of the continuum.

        Raises
        ------
        ValueError
            If X or continuum is not valid, or continuum is missing and fit had another number
            of spectra.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        if continuum is None:
            n_fitted = len(self.coefficients_)
            if n_fitted not in (1, len(X)):
                raise ValueError(
                    f"inverse_transform got {len(X)} spectra without continuum, but fit had "
                    f"{n_fitted} spectra, so their continua cannot be used: pass continuum of "
                    f"shape {X.shape}, the result of measure_continuum for the spectra before "
                    f"transform."
                )
            return self._evaluate(X, self.coefficients_, np.multiply)
        factor = np.asarray(plain_numbers(continuum, "continuum"), dtype=np.float64)
        if factor.shape not in (X.shape, X.shape[1:]):
            raise ValueError(
                f"continuum must have one row per spectrum, shape {X.shape}, got shape "
                f"{factor.shape}; pass the result of measure_continuum for these spectra."
            )
        if not (np.isfinite(factor) & (factor > 0)).all():
            raise ValueError(
                "continuum must be positive and finite at every pixel, and is not; pass the "
                "result of measure_continuum for these spectra."
            )
        return (X * factor).astype(X.dtype)

    def measure_continuum(self, X: ArrayLike) -> NDArray[np.floating]:
        """Return the continuum of each spectrum, by which transform divides.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Continuum in the unit of the flux.

        Raises
        ------
        ValueError
            If X is not valid, or a continuum is not positive.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        coefficients = self._fit_coefficients(X, self.wavelength_, self.distance_)
        return self._evaluate(np.ones_like(X), coefficients, np.multiply)

    def _validate(self, X: ArrayLike, *, reset: bool) -> NDArray[np.floating]:
        """Check spectra, and return them as a float array."""
        # After fit, a spectrum of one pixel raises the error for a wrong number of pixels.
        least = 2 if reset else 1
        X = validate_spectra(self, X, dtype=FLOATS, ensure_min_features=least, reset=reset)
        check_flux(X)
        return X

    def _fit(self, X):
        """Validate, fit and store; return the spectra and their coefficients."""
        check_scalar(self.degree, "degree", Integral, min_val=0)
        check_scalar(self.n_iterations, "n_iterations", Integral, min_val=0)
        if self.anchors not in ("windows", "peaks"):
            raise ValueError(
                f"anchors must be 'windows' or 'peaks', got {self.anchors!r}; choose one of them."
            )
        X = self._validate(X, reset=True)
        wavelength = check_wavelength(self.wavelength, X.shape[1])
        if self.distance is None:
            distance = max(_SHORTEST_WINDOW, round(X.shape[1] / _WINDOWS_IN_BAND))
        else:
            distance = check_scalar(self.distance, "distance", Integral, min_val=1)
        # Set the attributes last: a fit that fails must not change them.
        coefficients = self._fit_coefficients(X, wavelength, distance)
        self.wavelength_ = wavelength
        self.distance_ = int(distance)
        self.coefficients_ = coefficients
        return X, coefficients

    def _fit_coefficients(self, X, wavelength, distance):
        """Legendre coefficients (n_spectra, degree + 1) of positive continua."""
        basis = _basis(wavelength, self.degree)
        coefficients = np.zeros((len(X), self.degree + 1))
        for i, flux in enumerate(X):
            pixels = _find_anchors(flux, distance, self.anchors)
            coefficients[i] = _fit_clipped(
                basis[pixels], flux[pixels].astype(np.float64), self.n_iterations
            )
            continuum = basis @ coefficients[i]
            lowest = continuum.argmin()
            if continuum[lowest] <= 0:
                raise ValueError(
                    f"The continuum of spectrum {i} is not positive: it falls to "
                    f"{continuum[lowest]:.4g} at {wavelength[lowest]:.6g} Å, from "
                    f"{len(pixels)} anchors. Lower degree (now {self.degree}), shorten "
                    f"distance (now {distance} pixels), cut off pixels without flux or with "
                    f"strong absorption, or use a BlackbodyDivider first."
                )
        return coefficients

    def _divide(self, X, coefficients):
        """Divide spectra by their continua."""
        return self._evaluate(X, coefficients, np.divide)

    def _evaluate(self, X, coefficients, operation):
        """Apply `operation` to spectra and continua, with one continuum in memory at a time."""
        # The basis is not stored: computing it takes 20 ms for 338,651 pixels, and it needs 16 MB.
        basis = _basis(self.wavelength_, coefficients.shape[1] - 1)
        result = np.empty_like(X)
        one = len(coefficients) == 1
        for i, flux in enumerate(X):
            result[i] = operation(flux, basis @ coefficients[0 if one else i])
        return result

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _basis(wavelength, degree):
    """Legendre polynomials (n_pixels, degree + 1) of the wavelength scaled to [-1, 1]."""
    low, high = wavelength[0], wavelength[-1]
    return legendre.legvander((2.0 * wavelength - low - high) / (high - low), degree)


def _find_anchors(flux, distance, anchors):
    """Pixels of the continuum: sorted, at least one."""
    if anchors == "peaks":
        pixels, _ = find_peaks(flux, distance=distance)
    else:
        # Windows of equal width, because a short last window could contain only a line.
        n_windows = max(1, round(len(flux) / distance))
        edges = np.linspace(0, len(flux), n_windows + 1).round().astype(int)
        pixels = np.array([start + flux[start:stop].argmax() for start, stop in pairwise(edges)])
    pixels = pixels[flux[pixels] > 0]
    return pixels if len(pixels) else np.array([flux.argmax()])


def _fit_clipped(basis, flux, n_iterations):
    """Coefficients of the least-squares fit to the anchors, with iterative clipping."""
    n_columns = basis.shape[1]
    # At least two anchors per coefficient after the first, so that a few outliers do not
    # determine the polynomial.
    n_used = min(n_columns, (len(flux) - 1) // 2 + 1)
    coefficients = np.zeros(n_columns)
    keep = np.ones(len(flux), dtype=bool)
    for iteration in range(n_iterations + 1):
        solution, *_ = np.linalg.lstsq(basis[keep, :n_used], flux[keep])
        coefficients[:n_used] = solution
        if iteration == n_iterations:
            break
        model = basis @ coefficients
        residual = flux - model
        spread = 1.4826 * np.median(np.abs(residual[keep]))
        tolerance = _CLIP_TOLERANCE * np.median(flux)
        clipped = keep.copy()
        clipped &= residual > -_CLIP_BELOW * spread - tolerance
        clipped &= residual < _CLIP_ABOVE * spread + tolerance
        if clipped.sum() < 2 * n_used - 1 or (clipped == keep).all():
            break
        keep = clipped
    return coefficients
