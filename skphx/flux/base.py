"""What emulators share: nodes, normalisation, physical flux, points outside, scores."""

from abc import abstractmethod

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, validate_data

from skphx._doc_link import DocumentationLinkMixin
from skphx._spectra import check_finite
from skphx.flux.choice import SMOOTH_KINDS
from skphx.flux.continua import NodeContinua
from skphx.flux.pixels import resampled
from skphx.grids import make_grid
from skphx.grids._axis import NODES_NEEDED

MEDIA = ("air", "vacuum")


class SpectralEmulator(DocumentationLinkMixin, RegressorMixin, BaseEstimator):
    """Base of regressors from stellar parameters to spectra.

    A subclass has the parameters `interpolation`, `parameter_names`, `holes`, `extrapolate` and
    `medium`, and the methods `_flux(points)` and `_flux_jacobian(points)`, shapes (n_points,
    n_pixels) and (n_parameters, n_points, n_pixels), and `_fitted_normalizer()`.
    """

    @abstractmethod
    def _flux(self, points):
        """Emulate normalised flux at points within the grid."""

    @abstractmethod
    def _flux_jacobian(self, points):
        """Differentiate normalised flux with respect to each parameter."""

    def predict(self, X, *, absolute=False):
        """Emulate the spectra at given stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.
        absolute : bool
            Give back what the normalisers took away, interpolated as well: flux in the unit
            of the spectra given to `fit`.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless; with `absolute` raw flux.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If a point lies outside the grid and `extrapolate` is "error".
        """
        points = self._points(X)
        flux = self._flux(points)
        if absolute and self.node_continua_ is not None:
            flux = flux * self._continuum(points)
        return flux

    def jacobian(self, X, *, absolute=False):
        """Differentiate the flux with respect to the stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.
        absolute : bool
            Differentiate raw flux, as :meth:`predict` gives it.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels, n_parameters)
            ∂flux/∂parameter, per unit of each parameter (per K, per dex). At a node of linear
            interpolation, where the flux has a kink, the derivative towards higher values.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict`.
        """
        points = self._points(X)
        slopes = self._flux_jacobian(points)
        if absolute and self.node_continua_ is not None:
            log_slopes = self.node_continua_.log_slopes(
                self.grid_.weights_jacobian(points),
                self._column(points, "teff"),
                self._number("teff"),
            )
            slopes = (slopes + self._flux(points) * log_slopes) * self._continuum(points)
        return np.moveaxis(slopes, 0, -1)

    def distance(self, X):
        """How far points are from the nearest node.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters, also outside the grid.

        Returns
        -------
        ndarray of shape (n_spectra,)
            Distance in node spacings: 0 at a node, √n_parameters / 2 in the middle of a cell;
            more than that is a hole or outside.

        Raises
        ------
        NotFittedError, ValueError
            If fit was not called, or the shape is wrong.
        """
        check_is_fitted(self)
        return self.grid_.distance(validate_data(self, X, dtype=np.float64, reset=False))

    def normalize(self, spectra, parameters):
        """Bring spectra to the flux that `predict` returns.

        Parameters
        ----------
        spectra : array-like of shape (n_spectra, n_pixels)
            Spectra as they were given to fit.
        parameters : array-like of shape (n_spectra, n_parameters)
            Their stellar parameters, of which a normaliser may need Teff.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            The spectra as normalised in fit, on the pixels of `predict`; unchanged where there
            are no normalisers and they are on these pixels already.

        Raises
        ------
        NotFittedError, ValueError
            If fit was not called, or a step refuses the spectra.
        """
        check_is_fitted(self)
        spectra = check_array(spectra, dtype=np.float64)
        normalizer = self._fitted_normalizer()
        if normalizer is None and spectra.shape[1] == len(self.wavelength_):
            return spectra
        if spectra.shape[1] != self.n_pixels_fit_:
            raise ValueError(
                f"spectra must have the {self.n_pixels_fit_} pixels of the spectra given to fit, "
                f"got {spectra.shape[1]}; resample them."
            )
        if normalizer is not None:
            with config_context(enable_metadata_routing=True):
                spectra = normalizer.transform(
                    spectra, **self._teff_for(normalizer, "transform", np.asarray(parameters))
                )
        for pixels in self.selected_pixels_ or ():
            spectra = resampled(spectra, pixels)
        return spectra

    def score(self, X, y):
        """Coefficient of determination of the emulated flux.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.
        y : array-like of shape (n_spectra, n_pixels)
            Spectra, as they are given to fit.

        Returns
        -------
        float
            R² over all pixels of the normalised flux, each weighted with its variance; 1 is
            perfect.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict` and :meth:`normalize`.
        """
        predicted = self.predict(X)
        return r2_score(self.normalize(y, X), predicted, multioutput="variance_weighted")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.target_tags.positive_only = True
        # On spectra of one random pixel there is no line to learn.
        tags.regressor_tags.poor_score = True
        return tags

    @property
    def flux_error_(self):
        """Error of the flux to expect between nodes, shape (n_pixels,), or None."""
        check_is_fitted(self)
        return None if self.error_ is None else self.error_.rms

    @abstractmethod
    def _fitted_normalizer(self):
        """Fitted steps that normalise spectra, or None."""

    def _check_choices(self, **allowed):
        """Raise unless settings have one of the values that they may have."""
        for name, values in {
            "interpolation": ("linear", *SMOOTH_KINDS, "auto"),
            "extrapolate": ("error", "clip", "nearest"),
            "medium": (*MEDIA, None),
            **allowed,
        }.items():
            if getattr(self, name) not in values:
                listed = ", ".join(map(repr, values[:-1]))
                raise ValueError(
                    f"{name} must be {listed} or {values[-1]!r}, got {getattr(self, name)!r}."
                )

    def _validate_nodes(self, X, y):
        """Nodes and spectra as arrays."""
        if isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype.kind == "f":
            # Earlier than scikit-learn, which does not say where.
            for row, flux in enumerate(y):
                check_finite(row, flux, name="y")
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        if y.ndim == 1:
            raise ValueError(
                f"y must hold one spectrum a row, shape (n_nodes, n_pixels), got shape {y.shape}; "
                f"use y.reshape(-1, 1) if each spectrum is a single pixel."
            )
        return X, y

    def _make_grid(self, parameters, interpolation):
        return make_grid(
            parameters,
            parameter_names=self.parameter_names,
            interpolation=interpolation,
            holes=self.holes,
        )

    def _check_order(self, grid):
        """Raise if an order asked for by name would be lowered along every axis."""
        needed = NODES_NEEDED.get(self.interpolation, 1)
        longest = max(len(axis) for axis in grid.axes)
        if 1 < longest < needed:
            found = ", ".join(
                f"{len(axis)} of {name}"
                for axis, name in zip(grid.axes, grid.parameter_names, strict=True)
            )
            raise ValueError(
                f"interpolation={self.interpolation!r} needs at least {needed} values of one "
                f"parameter, got {found}; supply more nodes, or choose 'linear' or 'auto'."
            )

    def _fit_normalizer(self, normalizer, spectra, parameters):
        """Fit the steps that normalise, and return what they make of the spectra.

        `self.grid_` must be known; a Pipeline with memory fits copies of its steps, which stay
        in `normalizer`.
        """
        self.n_pixels_fit_ = spectra.shape[1]
        self.selected_pixels_ = None
        if normalizer is None:
            return spectra
        with config_context(enable_metadata_routing=True):
            return normalizer.fit_transform(
                spectra, **self._teff_for(normalizer, "fit_transform", parameters)
            )

    def _keep_continua(self, normalizer, parameters, raw, normalised):
        """Remember what the normalisers took away."""
        self.node_continua_ = None
        if normalizer is None:
            return
        with config_context(enable_metadata_routing=True):
            teff = self._teff_for(normalizer, "transform", parameters).get("teff")
        self.node_continua_ = NodeContinua(self.wavelength_, raw, normalised, teff)

    def _continuum(self, points):
        """Interpolate what the normalisers take away, shape (n_points, n_pixels)."""
        return self.node_continua_.at(self.grid_.weights(points), self._column(points, "teff"))

    def _teff_for(self, normalizer, method, parameters):
        """Keyword arguments with Teff, where a normaliser asks for it."""
        asked = get_routing_for_object(normalizer).consumes(method, ["teff"])
        teff = self._column(parameters, "teff") if asked else None
        return {} if teff is None else {"teff": teff}

    def _number(self, name):
        """Which column a parameter is, or None."""
        names = self.grid_.parameter_names
        return names.index(name) if name in names else None

    def _column(self, parameters, name):
        """One parameter of all rows, or None where it has no column."""
        number = self._number(name)
        return None if number is None else parameters[:, number]

    def _points(self, X):
        """Points inside the grid at which to evaluate."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.grid_.resolve_outside(X, self.extrapolate)

    def _select(self, new, pixels):
        """Move what all emulators hold to other pixels, in a copy."""
        if self.node_continua_ is not None:
            new.node_continua_ = self.node_continua_.resampled(pixels, new.wavelength_)
        if self.error_ is not None:
            new.error_ = self.error_.on_pixels(lambda spectra: resampled(spectra, pixels))
        before = () if self.selected_pixels_ is None else self.selected_pixels_
        new.selected_pixels_ = (*before, pixels)
        return new
