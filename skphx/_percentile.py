"""PercentileNormalizer: each spectrum over its own percentile."""

from numbers import Real
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx._spectra import FLOATS, validate_spectra
from skphx._units import check_flux


class PercentileNormalizer(
    DocumentationLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    """Divide each spectrum by a percentile of its own pixels.

    A high percentile stands for the level of the continuum: unlike the maximum it is moved
    neither by a few bright pixels nor by noise. Every spectrum is scaled on its own, so that
    its result does not depend on the other spectra.

    Parameters
    ----------
    percentile : float, default=99
        Percentile of a spectrum's pixels that becomes 1, above 0 and at most 100.

    Attributes
    ----------
    scale_ : ndarray of shape (n_spectra,)
        The percentile of each spectrum that fit saw, in the spectra's unit.
    n_features_in_ : int
        Number of pixels seen during fit.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, where X had names.

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
    ValueError: inverse_transform got 1 spectra without scale, but fit saw 2 spectra...
    """

    __metadata_request__inverse_transform: ClassVar = {"scale": True}

    def __init__(self, percentile=99):
        self.percentile = percentile

    @restore_on_failure
    def fit(self, X, y=None):
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
            If flux or percentile is not valid, or a spectrum's percentile is not positive.
        """
        X = self._validate(X, reset=True)
        self.scale_ = self._percentile_of(X)
        return self

    def transform(self, X):
        """Divide each spectrum by its own percentile.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in any unit.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux whose percentile is 1 in each spectrum.

        Raises
        ------
        ValueError
            If the flux is not valid, or a spectrum's percentile is not positive.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return X / self._percentile_of(X)[:, np.newaxis].astype(X.dtype)

    def inverse_transform(self, X, *, scale=None):
        """Multiply each spectrum by its scale.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux.
        scale : float or array-like of shape (n_spectra,), optional
            Scale of each spectrum, as :meth:`measure_scale` gives it. Without it the scales
            of the spectra that fit saw serve, if there are as many (in the same order) or
            fit saw a single one.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in the unit of the scale.

        Raises
        ------
        ValueError
            If the flux or scale is not valid, or scale is missing and fit saw another number
            of spectra.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        if scale is None:
            if len(self.scale_) not in (1, len(X)):
                raise ValueError(
                    f"inverse_transform got {len(X)} spectra without scale, but fit saw "
                    f"{len(self.scale_)} spectra, so theirs cannot serve: pass scale of shape "
                    f"({len(X)},), as measure_scale gives it for spectra not yet normalised."
                )
            scale = self.scale_
        scale = np.atleast_1d(np.asarray(scale, dtype=np.float64))
        if scale.shape not in ((1,), (len(X),)):
            raise ValueError(
                f"scale must hold one number a spectrum, shape ({len(X)},), got shape "
                f"{scale.shape}; pass what measure_scale gave for these spectra."
            )
        bad = np.flatnonzero(~(np.isfinite(scale) & (scale > 0)))
        if len(bad):
            raise ValueError(
                f"scale must be positive and finite, but element {bad[0]} is {scale[bad[0]]}; "
                f"pass what measure_scale gave for these spectra."
            )
        return X * scale[:, np.newaxis].astype(X.dtype)

    def measure_scale(self, X):
        """Percentile of each given spectrum, which transform would divide it by.

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
            If the flux is not valid, or a spectrum's percentile is not positive.
        """
        check_is_fitted(self)
        return self._percentile_of(self._validate(X, reset=False))

    def _validate(self, X, *, reset):
        """Spectra as a float array; their sign and size are checked."""
        # One pixel has no shape. Later calls are told that the number of pixels differs.
        least = 2 if reset else 1
        X = validate_spectra(self, X, dtype=FLOATS, ensure_min_features=least, reset=reset)
        check_flux(X)
        return X

    def _percentile_of(self, X):
        """Positive percentile of each spectrum."""
        check_scalar(self.percentile, "percentile", Real, min_val=0, max_val=100,
                     include_boundaries="right")  # fmt: skip
        scale = np.percentile(X, self.percentile, axis=1).astype(np.float64)
        bad = np.flatnonzero(scale <= 0)
        if len(bad):
            raise ValueError(
                f"Each spectrum's percentile must be positive, but that of spectrum {bad[0]} at "
                f"percentile={self.percentile} is {scale[bad[0]]}: most of its pixels are zero "
                f"or negative. Remove the spectrum, or choose a higher percentile."
            )
        return scale

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
