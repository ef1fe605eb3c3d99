"""PercentileNormalizer: each spectrum divided by a percentile of its pixels."""

from numbers import Real
from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from skphx._domain import check_flux
from skphx._input_spectra import FLOATS, validate_spectra
from skphx._plain import plain_numbers
from skphx._progress import one_task
from skphx._restore import restore_on_failure


class PercentileNormalizer(
    CallbackSupportMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Divide each spectrum by a percentile of its own pixels.

    A high percentile is an estimate of the level of the continuum. In contrast to the maximum, a
    few bright pixels and noise change it little. Each spectrum is scaled separately, so that the
    result does not depend on the other spectra.

    Parameters
    ----------
    percentile : float, default=99
        Percentile of the pixels of a spectrum that is scaled to 1; above 0, at most 100.

    Attributes
    ----------
    scale_ : ndarray of shape (n_spectra,)
        Percentile of each spectrum in `fit`, in the unit of the flux.
    n_features_in_ : int
        Number of pixels in `fit`.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, if X has column names.

    See Also
    --------
    ContinuumNormalizer : Also removes the slope of the continuum.

    Notes
    -----
    `scale` is metadata of inverse_transform, requested by default.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import PercentileNormalizer
    >>> spectra = np.array([[2.0, 4.0, 3.0], [10.0, 20.0, 15.0]])
    >>> normalizer = PercentileNormalizer(percentile=100).fit(spectra)
    >>> normalizer.transform(spectra)
    array([[0.5 , 1.  , 0.75],
           [0.5 , 1.  , 0.75]])
    >>> normalizer.scale_
    array([ 4., 20.])
    >>> normalizer.inverse_transform([[0.5, 1.0, 0.5]], scale=[4.0])
    array([[2., 4., 2.]])
    >>> normalizer.inverse_transform([[0.5, 1.0, 0.5]])
    Traceback (most recent call last):
        ...
    ValueError: inverse_transform got 1 spectra without scale, but fit had 2 spectra...
    """

    __metadata_request__inverse_transform: ClassVar = {"scale": True}

    def __init__(self, percentile: float = 99) -> None:
        self.percentile = percentile

    @restore_on_failure
    @one_task
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Store the scale of each spectrum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.
        y : None
            Ignored.

        Returns
        -------
        self : PercentileNormalizer
            The fitted transformer.

        Raises
        ------
        ValueError
            If X or percentile is not valid, or the percentile of a spectrum is not positive.
        """
        X = self._validate(X, reset=True)
        self.scale_ = self._percentile_of(X)
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.floating]:
        """Divide each spectrum by its own percentile.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux, scaled so that the percentile of each spectrum is 1.

        Raises
        ------
        ValueError
            If X is not valid, or the percentile of a spectrum is not positive.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return X / self._percentile_of(X)[:, np.newaxis].astype(X.dtype)

    def inverse_transform(
        self, X: ArrayLike, *, scale: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Multiply each spectrum by its scale.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux.
        scale : float or array-like of shape (n_spectra,), optional
            Scale of each spectrum, as :meth:`measure_scale` gives it. If it is not given, the
            scales of the spectra in `fit` are used; X must then have as many spectra in the
            same order, or `fit` must have had a single one.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in the unit of the scale.

        Raises
        ------
        ValueError
            If X or scale is not valid, or scale is missing and fit had another number of
            spectra.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        if scale is None:
            if len(self.scale_) not in (1, len(X)):
                raise ValueError(
                    f"inverse_transform got {len(X)} spectra without scale, but fit had "
                    f"{len(self.scale_)} spectra, so their scales cannot be used: pass scale of "
                    f"shape ({len(X)},), the result of measure_scale for the spectra before "
                    f"transform."
                )
            scale = self.scale_
        scale = plain_numbers(scale, "scale")
        factor = np.atleast_1d(np.asarray(scale, dtype=np.float64))
        if factor.shape not in ((1,), (len(X),)):
            raise ValueError(
                f"scale must hold one number per spectrum, shape ({len(X)},), got shape "
                f"{factor.shape}; pass the result of measure_scale for these spectra."
            )
        bad = np.flatnonzero(~(np.isfinite(factor) & (factor > 0)))
        if len(bad):
            raise ValueError(
                f"scale must be positive and finite, but element {bad[0]} is {factor[bad[0]]}; "
                f"pass the result of measure_scale for these spectra."
            )
        return X * factor[:, np.newaxis].astype(X.dtype)

    def measure_scale(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the percentile of each spectrum, by which transform divides.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.

        Returns
        -------
        ndarray of shape (n_spectra,)
            Scale of each spectrum, in the unit of the flux.

        Raises
        ------
        ValueError
            If X is not valid, or the percentile of a spectrum is not positive.
        """
        check_is_fitted(self)
        return self._percentile_of(self._validate(X, reset=False))

    def _validate(self, X: ArrayLike, *, reset: bool) -> NDArray[np.floating]:
        """Check spectra, and return them as a float array."""
        # After fit, a spectrum of one pixel raises the error for a wrong number of pixels.
        least = 2 if reset else 1
        X = validate_spectra(self, X, dtype=FLOATS, ensure_min_features=least, reset=reset)
        check_flux(X)
        return X

    def _percentile_of(self, X: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positive percentile of each spectrum."""
        check_scalar(self.percentile, "percentile", Real, min_val=0, max_val=100,
                     include_boundaries="right")  # fmt: skip
        scale = np.percentile(X, self.percentile, axis=1).astype(np.float64)
        bad = np.flatnonzero(scale <= 0)
        if len(bad):
            raise ValueError(
                f"The percentile of each spectrum must be positive, but that of spectrum {bad[0]} "
                f"at percentile={self.percentile} is {scale[bad[0]]}: most of its pixels are zero "
                f"or negative. Remove the spectrum, or choose a higher percentile."
            )
        return scale

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
