"""ContinuumNormalizer: each spectrum over a polynomial through its own peaks."""

from itertools import pairwise
from numbers import Integral
from typing import ClassVar

import numpy as np
from numpy.polynomial import legendre
from scipy.signal import find_peaks
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx._spectra import FLOATS, validate_spectra
from skphx._units import check_flux
from skphx._validation import check_wavelength

# The window of 5001 pixels that suits PHOENIX's 338,651 pixels from 8038 to 12849 Å.
_WINDOWS_IN_BAND = 338_651 / 5001

# Fewer pixels in a window leave its maximum to noise and to lines.
_SHORTEST_WINDOW = 5

# Clipping: an anchor this many robust standard deviations below (above) the fit goes. Lines and
# bands push anchors down far more often than anything pushes one up, hence the asymmetry.
_CLIP_BELOW = 1.5
_CLIP_ABOVE = 3.0

# Anchors closer to the fit than this (relative) always stay: rounding is no outlier.
_CLIP_TOLERANCE = 1e-6


class ContinuumNormalizer(
    DocumentationLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Divide each spectrum by a polynomial continuum through its peaks.

    The continuum of a spectrum is a Legendre series of the wavelength scaled to [−1, 1],

    .. math:: C(\lambda) = \sum_{k=0}^{n} c_k P_k(x), \qquad
              x = \frac{2\lambda - \lambda_{\min} - \lambda_{\max}}
                       {\lambda_{\max} - \lambda_{\min}},

    fitted by least squares to anchors, pixels taken to be free of lines. In powers of the
    wavelength in Å the same least squares would lose all digits; in this basis its condition
    number is below 10.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels, None
        for pixel numbers.
    degree : int, default=5
        Degree of the polynomial. A spectrum with fewer than ``2 * degree + 1`` anchors gets a
        lower one, so that peaks determine it well; its higher coefficients are zero.
    distance : int or None
        Spacing of the anchors in pixels. None is 5001 pixels for the 338,651 of PHOENIX between
        8038 and 12849 Å and in proportion for other numbers, about 68 windows a spectrum.
    anchors : {"windows", "peaks"}, default="windows"
        Where the anchors lie. "windows": the highest pixel in each of successive windows of
        `distance` pixels, so that they cover the whole range. "peaks": local maxima at least
        `distance` pixels apart (:func:`scipy.signal.find_peaks`), which leaves a spectrum
        without lines with no anchors: it gets a constant.
    n_iterations : int, default=10
        How often, at most, the fit is repeated without the anchors that lie well below it, in
        a molecular band or the wing of a broad line, or far above it, such as bad pixels.
        0 keeps all anchors.

    Attributes
    ----------
    coefficients_ : ndarray of shape (n_spectra, degree + 1)
        Legendre coefficients of the continua of the spectra that fit saw, in their unit.
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    distance_ : int
        Spacing of the anchors in pixels.
    n_features_in_ : int
        Number of pixels seen during fit.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, where X had names.

    See Also
    --------
    BlackbodyDivider : Removes most of the continuum's shape first.
    PercentileNormalizer : One number a spectrum in place of a polynomial.

    Notes
    -----
    Anchors are maxima, so noise lifts the continuum: by 2.4 standard deviations of a pixel for
    windows of 60 pixels, 3.7 for 5001. Where lines or bands leave no pixel free over a long
    stretch, as in cool stars, the result is a pseudo-continuum.

    `continuum` is metadata of inverse_transform, requested by default.

    ``ContinuumNormalizer(anchors="peaks", distance=5001, n_iterations=0)`` is the recipe of
    Shankar et al. for the 338,651 pixels of PHOENIX. Where a broad line lies at the very edge of
    the range, no peak bounds it and the continuum sinks into its wing.

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
        self, wavelength=None, degree=5, *, distance=None, anchors="windows", n_iterations=10
    ):
        self.wavelength = wavelength
        self.degree = degree
        self.distance = distance
        self.anchors = anchors
        self.n_iterations = n_iterations

    @restore_on_failure
    def fit(self, X, y=None):
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
            If flux, wavelength or a parameter is not valid, or a continuum is not positive.
        """
        self._fit(X)
        return self

    @restore_on_failure
    def fit_transform(self, X, y=None):
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
            As fit does.
        """
        return self._divide(*self._fit(X))

    def transform(self, X):
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
            If the flux is not valid, or a continuum is not positive.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return self._divide(X, self._fit_coefficients(X, self.wavelength_, self.distance_))

    def inverse_transform(self, X, *, continuum=None):
        """Multiply each spectrum by its continuum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux relative to the continuum.
        continuum : array-like of shape (n_spectra, n_pixels) or (n_pixels,), optional
            Continuum of each spectrum, as :meth:`measure_continuum` gives it. Without it the
            continua of the spectra that fit saw serve, if there are as many (in the same
            order) or fit saw a single one.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in the unit of the continuum.

        Raises
        ------
        ValueError
            If flux or continuum is not valid, or continuum is missing and fit saw another
            number of spectra.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        if continuum is None:
            n_fitted = len(self.coefficients_)
            if n_fitted not in (1, len(X)):
                raise ValueError(
                    f"inverse_transform got {len(X)} spectra without continuum, but fit saw "
                    f"{n_fitted} spectra, so theirs cannot serve: pass continuum of shape "
                    f"{X.shape}, as measure_continuum gives it for spectra not yet normalised."
                )
            return self._evaluate(X, self.coefficients_, np.multiply)
        continuum = np.asarray(continuum, dtype=np.float64)
        if continuum.shape not in (X.shape, X.shape[1:]):
            raise ValueError(
                f"continuum must have one row a spectrum, shape {X.shape}, got shape "
                f"{continuum.shape}; pass what measure_continuum gave for these spectra."
            )
        if not (np.isfinite(continuum) & (continuum > 0)).all():
            raise ValueError(
                "continuum must be positive and finite at every pixel, and is not; pass what "
                "measure_continuum gave for these spectra."
            )
        return (X * continuum).astype(X.dtype)

    def measure_continuum(self, X):
        """Continuum of each given spectrum, which transform would divide it by.

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
            If the flux is not valid, or a continuum is not positive.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        coefficients = self._fit_coefficients(X, self.wavelength_, self.distance_)
        return self._evaluate(np.ones_like(X), coefficients, np.multiply)

    def _validate(self, X, *, reset):
        """Spectra as a float array; their sign is checked."""
        # One pixel has no shape. Later calls are told that the number of pixels differs.
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
        # Only a fit that succeeds replaces the attributes of an earlier one.
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
                    f"distance (now {distance} pixels), cut the spectrum's empty or strongly "
                    f"absorbed part off, or divide by a BlackbodyDivider first."
                )
        return coefficients

    def _divide(self, X, coefficients):
        """Spectra over their continua."""
        return self._evaluate(X, coefficients, np.divide)

    def _evaluate(self, X, coefficients, operation):
        """Apply `operation` to spectra and continua, one continuum in memory at a time."""
        # The basis is made anew each time: 20 ms for 338,651 pixels, against 16 MB of state.
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
    """Pixels that stand for the continuum: sorted, at least one."""
    if anchors == "peaks":
        pixels, _ = find_peaks(flux, distance=distance)
    else:
        # Windows of equal width to within a pixel; a short last one would hold lines only.
        n_windows = max(1, round(len(flux) / distance))
        edges = np.linspace(0, len(flux), n_windows + 1).round().astype(int)
        pixels = np.array([start + flux[start:stop].argmax() for start, stop in pairwise(edges)])
    pixels = pixels[flux[pixels] > 0]
    return pixels if len(pixels) else np.array([flux.argmax()])


def _fit_clipped(basis, flux, n_iterations):
    """Coefficients of the least-squares fit to anchors, outliers left out step by step."""
    n_columns = basis.shape[1]
    # Twice as many anchors as coefficients of the slope: two odd ones cannot bend it freely.
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
