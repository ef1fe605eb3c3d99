"""Base class of all emulators: nodes, normalisation, physical flux, points outside, scores."""

import warnings
from abc import abstractmethod

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.callback import CallbackSupportMixin
from sklearn.metrics import r2_score
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, validate_data

from skphx._domain import MEDIA
from skphx._input_parameters import plain_parameters
from skphx._input_spectra import check_finite, plain_flux
from skphx._plain import column_names
from skphx.flux._choice import SMOOTH_KINDS
from skphx.flux._continua import NodeContinua
from skphx.flux._pixels import resampled
from skphx.interpolation import make_grid
from skphx.interpolation._axis import NODES_NEEDED


class SpectralEmulator(CallbackSupportMixin, RegressorMixin, BaseEstimator):
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

    def predict(self, X: ArrayLike, *, absolute: bool = False) -> NDArray[np.float64]:
        """Emulate the spectra at given stellar parameters.

        Parameters
        ----------
        X : array-like or table of shape (n_spectra, n_parameters)
            Stellar parameters; columns of a table are found by their names.
        absolute : bool
            Multiply by the continuum that the normalisers divided out, also interpolated:
            flux in the unit of the spectra given to `fit`.

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
            flux = flux * self.node_continua_.at(
                self.grid_.weights(points), self._column(points, "teff")
            )
        return flux

    def jacobian(self, X: ArrayLike, *, absolute: bool = False) -> NDArray[np.float64]:
        """Differentiate the flux with respect to the stellar parameters.

        Parameters
        ----------
        X : array-like or table of shape (n_spectra, n_parameters)
            Stellar parameters; columns of a table are found by their names.
        absolute : bool
            Differentiate raw flux, as :meth:`predict` gives it.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels, n_parameters)
            ∂flux/∂parameter, per unit of each parameter (per K, per dex). With linear
            interpolation the flux has a kink at every node; there this is the derivative
            towards higher values.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict`.
        """
        points = self._points(X)
        slopes = self._flux_jacobian(points)
        if absolute and self.node_continua_ is not None:
            teff = self._column(points, "teff")
            log_slopes = self.node_continua_.log_slopes(
                self.grid_.weights_jacobian(points), teff, self._number("teff")
            )
            continuum = self.node_continua_.at(self.grid_.weights(points), teff)
            slopes = (slopes + self._flux(points) * log_slopes) * continuum
        return np.moveaxis(slopes, 0, -1)

    def distance(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the distance of points from the nearest node.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters, also outside the grid.

        Returns
        -------
        ndarray of shape (n_spectra,)
            Distance in node spacings: 0 at a node, √n_parameters / 2 in the middle of a cell.
            Larger values are in holes of the grid or outside it.

        Raises
        ------
        NotFittedError, ValueError
            If fit was not called, or the shape is wrong.
        """
        check_is_fitted(self)
        return self.grid_.distance(self._validate_parameters(X))

    def normalize(self, spectra: ArrayLike, parameters: ArrayLike) -> NDArray[np.float64]:
        """Normalise spectra as in fit, to the flux that `predict` returns.

        Parameters
        ----------
        spectra : array-like of shape (n_spectra, n_pixels)
            Spectra as they were given to fit.
        parameters : array-like of shape (n_spectra, n_parameters)
            Their stellar parameters; a normaliser may need Teff.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            The spectra as normalised in fit, on the pixels of `predict`. Without normalisers,
            spectra on these pixels are returned unchanged.

        Raises
        ------
        NotFittedError, ValueError
            If fit was not called, or a normaliser refuses the spectra.
        """
        check_is_fitted(self)
        flux = check_array(plain_flux(spectra, name="spectra"), dtype=np.float64)
        normalizer = self._fitted_normalizer()
        if normalizer is None and flux.shape[1] == len(self.wavelength_):
            return flux
        if flux.shape[1] != self.n_pixels_fit_:
            raise ValueError(
                f"spectra must have the {self.n_pixels_fit_} pixels of the spectra given to fit, "
                f"got {flux.shape[1]}; resample them."
            )
        if normalizer is not None:
            with config_context(enable_metadata_routing=True):
                names = self.grid_.parameter_names
                parameters = np.asarray(plain_parameters(parameters, names, "parameters"))
                flux = normalizer.transform(
                    flux, **self._teff_for(normalizer, "transform", parameters)
                )
        for pixels in self.selected_pixels_ or ():
            flux = resampled(flux, pixels)
        return flux

    def score(self, X: ArrayLike, y: ArrayLike) -> float:
        """Coefficient of determination of the emulated flux.

        Parameters
        ----------
        X : array-like or table of shape (n_spectra, n_parameters)
            Stellar parameters; columns of a table are found by their names.
        y : array-like of shape (n_spectra, n_pixels)
            Spectra, in the form that `fit` takes.

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
        return float(r2_score(self.normalize(y, X), predicted, multioutput="variance_weighted"))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.target_tags.positive_only = True
        # Spectra of one random pixel contain no line.
        tags.regressor_tags.poor_score = True
        return tags

    def _lines(self, points):
        """Return the fitted lines at points, (n_points, n_lines, 4), or None without lines."""
        return None

    @property
    def flux_error_(self) -> NDArray[np.float64] | None:
        """Expected rms error of the flux half-way between nodes, shape (n_pixels,), or None."""
        check_is_fitted(self)
        return None if self.error_ is None else self.error_.rms

    @abstractmethod
    def _fitted_normalizer(self):
        """Return the fitted steps that normalise spectra, or None."""

    def _check_choices(self, **allowed):
        """Raise unless each setting has one of its allowed values."""
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
        """Return nodes and spectra as checked arrays."""
        X, y = plain_parameters(X, self.parameter_names, "X"), plain_flux(y, name="y")
        if isinstance(y, np.ndarray) and y.ndim == 2 and y.dtype.kind == "f":
            # Before scikit-learn's own check, whose message does not name spectrum and pixel.
            for row, flux in enumerate(y):
                check_finite(row, flux, name="y")
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        if y.ndim == 1:
            raise ValueError(
                f"y must hold one spectrum in each row, shape (n_nodes, n_pixels), got shape "
                f"{y.shape}; use y.reshape(-1, 1) if each spectrum is a single pixel."
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
        """Raise if no axis has the nodes that a kind of interpolation chosen by name needs."""
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
        """Fit the steps that normalise, and return the normalised spectra.

        `self.grid_` must be set before. A Pipeline with memory fits copies of its steps and
        keeps these in `normalizer`.
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
        """Keep the continua that the normalisers divided out."""
        self.node_continua_ = None
        if normalizer is None:
            return
        with config_context(enable_metadata_routing=True):
            teff = self._teff_for(normalizer, "transform", parameters).get("teff")
        self.node_continua_ = NodeContinua(self.wavelength_, raw, normalised, teff)

    def _teff_for(self, normalizer, method, parameters):
        """Return keyword arguments with Teff, where a normaliser requests it."""
        is_requested = get_routing_for_object(normalizer).consumes(method, ["teff"])
        teff = self._column(parameters, "teff") if is_requested else None
        return {} if teff is None else {"teff": teff}

    def _number(self, name):
        """Return the column number of a parameter, or None."""
        names = self.grid_.parameter_names
        return names.index(name) if name in names else None

    def _column(self, parameters, name):
        """Return one parameter of all rows, or None where there is no such column."""
        number = self._number(name)
        return None if number is None else parameters[:, number]

    def _points(self, X):
        """Return the points at which to evaluate, all inside the grid."""
        check_is_fitted(self)
        return self.grid_.resolve_outside(self._validate_parameters(X), self.extrapolate)

    def _validate_parameters(self, X):
        """Return parameters as an array, their columns in the order of fit."""
        names = None if self.parameter_names is None else self.grid_.parameter_names
        is_matched = names is not None and column_names(X) is not None
        X = plain_parameters(X, names, "X")
        with warnings.catch_warnings():
            if is_matched:
                # Their names were found here, whether fit had names or not.
                X = np.asarray(X)
                warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return validate_data(self, X, dtype=np.float64, reset=False)

    def _select(self, new, pixels):
        """Bring the attributes that all emulators have to other pixels, in a copy `new`."""
        if self.node_continua_ is not None:
            new.node_continua_ = self.node_continua_.resampled(pixels, new.wavelength_)
        if self.error_ is not None:
            new.error_ = self.error_.on_pixels(lambda spectra: resampled(spectra, pixels))
        before = () if self.selected_pixels_ is None else self.selected_pixels_
        new.selected_pixels_ = (*before, pixels)
        return new
