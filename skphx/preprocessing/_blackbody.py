"""BlackbodyDivider: absolute flux divided by the blackbody of the effective temperature."""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.utils.validation import check_is_fitted

from skphx._domain import blackbody_flux, check_flux, check_teff, check_wavelength
from skphx._input_spectra import FLOATS, validate_spectra
from skphx._progress import one_task
from skphx._restore import restore_on_failure


class BlackbodyDivider(
    CallbackSupportMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Divide each spectrum by the blackbody of its effective temperature.

    The flux of a star changes with Teff by orders of magnitude, approximately like
    :math:`\pi B_\lambda(T_{\rm eff})`. The flux divided by this blackbody is dimensionless and
    near 1; apart from the lines and the slope of the continuum it changes little with the
    parameters.

    The blackbody has the unit of PHOENIX, erg s⁻¹ cm⁻² cm⁻¹. For flux in another unit the quotient
    is wrong by a constant factor, which a :class:`PercentileNormalizer` or
    :class:`ContinuumNormalizer` after this step removes.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), or tuple (start, stop)
        Pixel centres in Å, strictly increasing. A tuple means evenly spaced pixels. It must be
        given: the default, None, raises an error in `fit`.
    teff : float or None
        Effective temperature in K of all spectra, if `teff` is not passed to the methods.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    teff_given_ : bool
        Whether `teff` was passed to `fit`; if so, all later calls need it, too.
    n_features_in_ : int
        Number of pixels in `fit`.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, if X has column names.

    See Also
    --------
    PercentileNormalizer : Divides each spectrum by its own percentile.
    ContinuumNormalizer : Divides each spectrum by a polynomial continuum.

    Notes
    -----
    `teff` of each spectrum is metadata of fit, transform and inverse_transform, requested by
    default. With ``sklearn.set_config(enable_metadata_routing=True)`` a Pipeline passes it on:
    ``pipeline.fit_transform(spectra, teff=teff)``. It is not stored, because transform may get
    other spectra than fit. If `teff` was passed to fit, transform raises an error without it, and
    does not use the value of the constructor.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import BlackbodyDivider
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(4000, 6000), logg=(4.5,), feh=(0.0,))
    >>> teff = grid.parameters[:, 0]
    >>> divider = BlackbodyDivider(wavelength=grid.wavelength).fit(grid.spectra, teff=teff)
    >>> quotient = divider.transform(grid.spectra, teff=teff)
    >>> bool((grid.spectra.max() > 1e13) & (quotient.max() < 1.2))
    True
    >>> np.allclose(divider.inverse_transform(quotient, teff=teff), grid.spectra)
    True
    >>> divider.transform(grid.spectra)
    Traceback (most recent call last):
        ...
    ValueError: BlackbodyDivider was fitted with teff, so transform needs it too...
    """

    __metadata_request__fit: ClassVar = {"teff": True}
    __metadata_request__transform: ClassVar = {"teff": True}
    __metadata_request__inverse_transform: ClassVar = {"teff": True}

    def __init__(self, wavelength: ArrayLike | None = None, teff: float | None = None) -> None:
        self.wavelength = wavelength
        self.teff = teff

    @restore_on_failure
    @one_task
    def fit(self, X: ArrayLike, y: None = None, *, teff: ArrayLike | None = None) -> Self:
        """Check wavelengths, spectra and temperatures.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Absolute flux.
        y : None
            Ignored.
        teff : float or array-like of shape (n_spectra,), optional
            Effective temperature in K of each spectrum.

        Returns
        -------
        self : BlackbodyDivider
            The fitted transformer.

        Raises
        ------
        ValueError
            If X, wavelength or teff is missing or not valid.
        """
        X = validate_spectra(self, X, dtype=FLOATS, reset=True)
        if self.wavelength is None:
            raise ValueError(
                "BlackbodyDivider needs wavelength, the pixel centres in Å, got None: pass "
                "BlackbodyDivider(wavelength=...), an array or a tuple (start, stop)."
            )
        wavelength = check_wavelength(self.wavelength, X.shape[1])
        check_flux(X, allow_zero=True)
        # needed=False: whether teff was passed to an earlier fit does not matter.
        self._resolve_teff(teff, len(X), "fit", needed=False)
        self.wavelength_ = wavelength
        self.teff_given_ = teff is not None
        return self

    @restore_on_failure
    @one_task
    def fit_transform(
        self, X: ArrayLike, y: None = None, *, teff: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Fit, and divide the same spectra by their blackbodies.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Absolute flux.
        y : None
            Ignored.
        teff : float or array-like of shape (n_spectra,), optional
            Effective temperature in K of each spectrum.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in units of the blackbody flux.

        Raises
        ------
        ValueError
            As for fit and transform.
        """
        return self.fit(X, y, teff=teff).transform(X, teff=teff)

    def transform(self, X: ArrayLike, *, teff: ArrayLike | None = None) -> NDArray[np.floating]:
        """Divide spectra by their blackbodies.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Absolute flux, preferably in erg s⁻¹ cm⁻² cm⁻¹.
        teff : float or array-like of shape (n_spectra,), optional
            Effective temperature in K of each spectrum; needed if fit was given it.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in units of the blackbody flux.

        Raises
        ------
        ValueError
            If X or teff is missing or not valid, or the blackbody is zero at a pixel.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        check_flux(X, allow_zero=True)
        temperatures = self._resolve_teff(teff, len(X), "transform", needed=self.teff_given_)
        result = np.empty_like(X)
        for i, temperature in enumerate(temperatures):  # one blackbody in memory at a time
            blackbody = blackbody_flux(self.wavelength_, temperature)
            if not blackbody.all():
                where = self.wavelength_[blackbody == 0][0]
                raise ValueError(
                    f"The blackbody of teff={temperature} K is zero at {where} Å, so spectrum {i} "
                    f"cannot be divided by it; check that teff is in K and wavelength in Å."
                )
            result[i] = X[i] / blackbody
        return result

    def inverse_transform(
        self, X: ArrayLike, *, teff: ArrayLike | None = None
    ) -> NDArray[np.floating]:
        """Multiply spectra by their blackbodies.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in units of the blackbody flux.
        teff : float or array-like of shape (n_spectra,), optional
            Effective temperature in K of each spectrum; needed if fit was given it.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in erg s⁻¹ cm⁻² cm⁻¹, or in the unit of the spectra before transform.

        Raises
        ------
        ValueError
            If X or teff is missing or not valid.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        temperatures = self._resolve_teff(
            teff, len(X), "inverse_transform", needed=self.teff_given_
        )
        result = np.empty_like(X)
        for i, temperature in enumerate(temperatures):
            result[i] = X[i] * blackbody_flux(self.wavelength_, temperature)
        return result

    def _resolve_teff(self, teff, n_spectra, method, *, needed):
        """Temperatures of the spectra, passed to the method or to the constructor."""
        if teff is not None:
            return check_teff(teff, n_spectra)
        if needed:
            raise ValueError(
                f"BlackbodyDivider was fitted with teff, so {method} needs it too, one effective "
                f"temperature in K per spectrum, got None: pass {method}(X, teff=...); a Pipeline "
                f"passes it on with sklearn.set_config(enable_metadata_routing=True)."
            )
        if self.teff is None:
            raise ValueError(
                f"BlackbodyDivider needs teff, in K, in {method}, got None: pass "
                f"{method}(X, teff=...) with one value per spectrum, or "
                f"BlackbodyDivider(teff=...) with one value for all spectra."
            )
        if np.ndim(self.teff) != 0:
            raise ValueError(
                f"BlackbodyDivider(teff=...) must be one number in K for all spectra, got shape "
                f"{np.shape(self.teff)}; pass one value per spectrum as fit(X, teff=...)."
            )
        return check_teff(self.teff, n_spectra)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
