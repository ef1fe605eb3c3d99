"""BlackbodyDivider: absolute flux over the blackbody of the star's effective temperature."""

from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx._spectra import FLOATS, validate_spectra
from skphx._units import blackbody_flux, check_flux
from skphx._validation import check_teff, check_wavelength


class BlackbodyDivider(
    DocumentationLinkMixin, OneToOneFeatureMixin, TransformerMixin, BaseEstimator
):
    r"""Divide each spectrum by the blackbody of its effective temperature.

    The flux of a star changes by orders of magnitude with Teff, nearly as
    :math:`\pi B_\lambda(T_{\rm eff})` does. Its quotient by that blackbody is dimensionless,
    near 1, and smooth enough in the parameters that what remains are lines and a gentle slope.

    The blackbody's unit is PHOENIX's, erg s⁻¹ cm⁻² cm⁻¹. Flux in another unit gives a quotient
    that is off by a constant factor, which a :class:`PercentileNormalizer` or a
    :class:`ContinuumNormalizer` behind this step removes.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), or tuple (start, stop)
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels.
        It has no usable default: pixel numbers have no blackbody.
    teff : float or None
        Effective temperature in K of every spectrum that comes without one of its own.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    teff_given_ : bool
        Whether fit was given `teff` as metadata; then every later call must be, too.
    n_features_in_ : int
        Number of pixels seen during fit.
    feature_names_in_ : ndarray of shape (n_pixels,)
        Names of the pixels, where X had names.

    See Also
    --------
    PercentileNormalizer : Divides each spectrum by its own percentile.
    ContinuumNormalizer : Divides each spectrum by a polynomial through its peaks.

    Notes
    -----
    `teff` of each spectrum is metadata of fit, transform and inverse_transform, requested by
    default. With ``sklearn.set_config(enable_metadata_routing=True)`` a Pipeline passes it on:
    ``pipeline.fit_transform(spectra, teff=teff)``. Nothing of it is kept, because a fitted
    transformer may meet any number of other spectra; so transform after a fit with `teff`
    raises when it is given none, rather than fall back on the constructor's.

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

    def __init__(self, wavelength=None, teff=None):
        self.wavelength = wavelength
        self.teff = teff

    @restore_on_failure
    def fit(self, X, y=None, *, teff=None):
        """Check wavelengths, spectra and temperatures; nothing else is learned.

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
            If flux, wavelength or teff is missing or not valid.
        """
        X = validate_spectra(self, X, dtype=FLOATS, reset=True)
        if self.wavelength is None:
            raise ValueError(
                "BlackbodyDivider needs wavelength, the pixels' wavelengths in Å, got None: "
                "pass BlackbodyDivider(wavelength=...), an array or a tuple (start, stop)."
            )
        wavelength = check_wavelength(self.wavelength, X.shape[1])
        check_flux(X, allow_zero=True)
        # A refit must not be told by the last fit whether teff is needed.
        self._resolve_teff(teff, len(X), "fit", needed=False)
        self.wavelength_ = wavelength
        self.teff_given_ = teff is not None
        return self

    @restore_on_failure
    def fit_transform(self, X, y=None, *, teff=None):
        """Fit, then divide the same spectra, with `teff` passed to both.

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
            Flux in units of the blackbody's.

        Raises
        ------
        ValueError
            As fit and transform do.
        """
        return self.fit(X, y, teff=teff).transform(X, teff=teff)

    def transform(self, X, *, teff=None):
        """Divide spectra by their blackbodies.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Absolute flux, ideally in erg s⁻¹ cm⁻² cm⁻¹.
        teff : float or array-like of shape (n_spectra,), optional
            Effective temperature in K of each spectrum; needed if fit was given it.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in units of the blackbody's.

        Raises
        ------
        ValueError
            If flux or teff is missing or not valid, or the blackbody vanishes at a pixel.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        check_flux(X, allow_zero=True)
        teff = self._resolve_teff(teff, len(X), "transform", needed=self.teff_given_)
        result = np.empty_like(X)
        for i, temperature in enumerate(teff):  # one blackbody in memory at a time
            blackbody = blackbody_flux(self.wavelength_, temperature)
            if not blackbody.all():
                where = self.wavelength_[blackbody == 0][0]
                raise ValueError(
                    f"The blackbody of teff={temperature} K vanishes at {where} Å, so spectrum "
                    f"{i} cannot be divided by it; check that teff is in K and wavelength in Å."
                )
            result[i] = X[i] / blackbody
        return result

    def inverse_transform(self, X, *, teff=None):
        """Multiply spectra by their blackbodies.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Flux in units of the blackbody's.
        teff : float or array-like of shape (n_spectra,), optional
            Effective temperature in K of each spectrum; needed if fit was given it.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Flux in erg s⁻¹ cm⁻² cm⁻¹, or in the unit that the transformed spectra had.

        Raises
        ------
        ValueError
            If flux or teff is missing or not valid.
        """
        check_is_fitted(self)
        X = validate_spectra(self, X, dtype=FLOATS, reset=False)
        teff = self._resolve_teff(teff, len(X), "inverse_transform", needed=self.teff_given_)
        result = np.empty_like(X)
        for i, temperature in enumerate(teff):
            result[i] = X[i] * blackbody_flux(self.wavelength_, temperature)
        return result

    def _resolve_teff(self, teff, n_spectra, method, *, needed):
        """Temperatures of the call's spectra: the metadata's, else the constructor's."""
        if teff is not None:
            return check_teff(teff, n_spectra)
        if needed:
            raise ValueError(
                f"BlackbodyDivider was fitted with teff, so {method} needs it too, one effective "
                f"temperature in K a spectrum, got None: pass {method}(X, teff=...), through a "
                f"Pipeline with sklearn.set_config(enable_metadata_routing=True)."
            )
        if self.teff is None:
            raise ValueError(
                f"BlackbodyDivider needs teff, in K, in {method}, got None: pass "
                f"{method}(X, teff=...) with one value a spectrum, or BlackbodyDivider(teff=...) "
                f"for one that all share."
            )
        if np.ndim(self.teff) != 0:
            raise ValueError(
                f"BlackbodyDivider(teff=...) must be one number in K that all spectra share, got "
                f"shape {np.shape(self.teff)}; pass values of each spectrum as fit(X, teff=...)."
            )
        return check_teff(self.teff, n_spectra)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
