"""FluxEmulator: accurate flux at any stellar parameters, from the spectra of a grid's nodes."""

import copy
from collections.abc import Sequence
from numbers import Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.callback import with_callbacks
from sklearn.utils.validation import check_is_fitted, check_scalar

from skphx._domain import check_wavelength
from skphx._input_spectra import check_level
from skphx._progress import fit_task
from skphx._restore import restore_on_failure
from skphx.flux._base import SpectralEmulator
from skphx.flux._choice import SATURATIONS, choose_interpolation, kinds_to_try
from skphx.flux._error import InterpolationError
from skphx.flux._low_rank import LowRank
from skphx.flux._pixels import find_pixels
from skphx.flux._scale import from_growth, growth_slope, to_growth
from skphx.interpolation import NodeGrid

# tolerance="auto" is this part of the rms error between nodes, within these limits.
_PART_OF_ERROR, _LEAST_TOLERANCE, _LARGEST_TOLERANCE = 0.02, 1e-7, 1e-4


class FluxEmulator(SpectralEmulator):
    r"""Emulate spectra at any stellar parameters by interpolating the flux of a grid.

    .. math:: z(p) = \bar z + \sum_n w_n(p) \sum_k c_{nk} \, s_k, \qquad F(p) = F(z(p))

    where z is the flux on the curve-of-growth scale, :math:`s_k` are a few components of the
    nodes' spectra, :math:`c_{nk}` their coefficients, and :math:`w_n` the weights of the nodes
    at the point p. The interpolation is chosen by leaving nodes out. No line is fitted, so a
    grid of a hundred spectra takes seconds.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels, None
        for pixel numbers 1, 2, ....
    normalizer : transformer, Pipeline or None, default=None
        Brings raw spectra to a continuum of 1. It is cloned before it is fitted, and `teff` is
        routed to the steps that request it. None is for spectra that are normalised already.
    interpolation : {"linear", "hermite", "cubic", "radial", "auto"}, default="auto"
        How z is interpolated between nodes, see :func:`skphx.interpolation.make_grid`.
        ``"auto"`` leaves planes of nodes out and takes, among the three smooth kinds, the most
        local one that predicts these nodes nearly as well as the best. Beyond 2000 nodes
        ``"radial"`` is not tried, because it has a weight for every node. A kind needs 3 values
        along an axis, ``"cubic"`` 4; on a shorter axis its order is lowered. If no axis is long
        enough for a kind chosen by name, `fit` raises an error.
    saturation : float or "auto", default="auto"
        Depth at which lines saturate on the curve-of-growth scale, see
        :mod:`skphx.flux._scale`; with ``inf`` the flux itself is interpolated. ``"auto"``
        leaves planes of nodes out and takes the smallest depth that predicts them nearly as
        well as the best.
    tolerance : float or "auto", default="auto"
        Largest rms error of the flux at any node from the low-rank approximation; 0 keeps all
        spectra. ``"auto"`` is 2 % of the emulator's own rms error between nodes, but at least
        1e-7 and at most 1e-4.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name for each column of `X`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is routed to the normaliser.
    holes : {"error", "interpolate"}, default="error"
        What to do if nodes of the rectangular grid are missing: raise an error, or
        interpolate across the missing nodes.
    extrapolate : {"error", "clip", "nearest"}, default="error"
        What `predict` does outside the nodes: raise an error, move the point to the edge, or
        to the nearest node.
    medium : {"air", "vacuum"} or None, default=None
        Whether the wavelengths are in air or in vacuum. Wavelengths of observed spectra are
        converted to this medium. None means unknown.
    resolution : float or None, default=None
        Resolution λ/FWHM of the spectra; None means that the models are not broadened.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    normalizer_ : transformer or None
        The fitted normaliser.
    grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The nodes, and the interpolation between them.
    interpolation_ : str
        Kind of the interpolation, chosen if ``interpolation="auto"``.
    saturation_ : float
        Saturation depth, chosen if ``saturation="auto"``.
    held_out_errors_ : ndarray of shape (n_interpolations, n_saturations)
        Mean rms error of the flux of left-out nodes, by which the choice is made. Rows are the
        kinds tried, in the order Hermite, cubic, radial; columns the saturation depths tried,
        increasing. NaN if the grid has no node to leave out.
    low_rank_ : LowRank
        Mean, components and coefficients of z at the nodes.
    error_ : InterpolationError or None
        Interpolation-error model; None if no axis has three values.
    flux_error_ : ndarray of shape (n_pixels,) or None
        Expected rms error of the flux half-way between nodes; None as `error_`.
    node_continua_ : NodeContinua or None
        Continua that the normaliser divided out at the nodes; None without a normaliser.
    resolution_ : float or None
        The `resolution` given.
    n_features_in_ : int
        Number of parameters.

    See Also
    --------
    LineManifoldRegressor : fits every line along the grid, and takes its flux from this class.
    StellarParameterEstimator : infers stellar parameters with either emulator.

    Notes
    -----
    On all grids tried, interpolation on the curve-of-growth scale is more accurate than
    interpolation of flux, most of all where lines strengthen with abundance. The results page
    of the documentation has the errors for several grids.

    Examples
    --------
    >>> from skphx import FluxEmulator
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(5000, 5500, 6000), logg=(4.0, 5.0), feh=(0.0,),
    ...                          n_pixels=500, return_lines=True)
    >>> spectra = grid.spectra / grid.continuum
    >>> emulator = FluxEmulator(grid.wavelength, medium=grid.medium)
    >>> emulator = emulator.fit(grid.parameters, spectra)
    >>> emulator.predict([[5750, 4.5, 0.0]]).shape
    (1, 500)
    >>> emulator.predict([[5750, 4.5, 0.5]])
    Traceback (most recent call last):
        ...
    ValueError: points must lie inside the grid, but row 0 has feh=0.5, outside [0, 0]; ...
    """

    def __init__(
        self,
        wavelength: ArrayLike | None = None,
        normalizer: BaseEstimator | None = None,
        *,
        interpolation: Literal["linear", "hermite", "cubic", "radial", "auto"] = "auto",
        saturation: float | Literal["auto"] = "auto",
        tolerance: float | Literal["auto"] = "auto",
        parameter_names: Sequence[str] | None = ("teff", "logg", "feh"),
        holes: Literal["error", "interpolate"] = "error",
        extrapolate: Literal["error", "clip", "nearest"] = "error",
        medium: Literal["air", "vacuum"] | None = None,
        resolution: float | None = None,
    ) -> None:
        self.wavelength = wavelength
        self.normalizer = normalizer
        self.interpolation = interpolation
        self.saturation = saturation
        self.tolerance = tolerance
        self.parameter_names = parameter_names
        self.holes = holes
        self.extrapolate = extrapolate
        self.medium = medium
        self.resolution = resolution

    @restore_on_failure
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the emulator to the spectra of all nodes.

        Parameters
        ----------
        X : array-like or table of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes, columns as `parameter_names`. The columns of a
            DataFrame, a Table of astropy or a structured array are found by their names.
        y : array-like of shape (n_nodes, n_pixels)
            Their spectra: raw flux as the normaliser takes it, or normalised.

        Returns
        -------
        self : FluxEmulator
            The fitted emulator.

        Raises
        ------
        ValueError
            If a parameter of the constructor is unknown; nodes are repeated, missing, fewer
            than the interpolation needs or do not fit `parameter_names`; or spectra are masked,
            not finite, negative or, without a normaliser, far from a continuum of 1.
        """
        with fit_task(self, X, y):
            self._fit(X, y)
        return self

    def _fit(self, X, y):
        self._check_parameters()
        X, y = self._validate_nodes(X, y)
        self.wavelength_ = check_wavelength(self.wavelength, y.shape[1])
        self.grid_ = self._make_grid(X, "linear")
        self._check_order(self.grid_)
        self.normalizer_ = None if self.normalizer is None else clone(self.normalizer)
        normalised = self._fit_normalizer(self.normalizer_, y, X)
        if self.normalizer_ is None:
            check_level(normalised, name="y")
        choice = choose_interpolation(
            X,
            normalised,
            interpolations=kinds_to_try(self.interpolation, len(X)),
            saturations=SATURATIONS if self.saturation == "auto" else (float(self.saturation),),
        )
        self.interpolation_, self.saturation_ = choice.interpolation, choice.saturation
        self.held_out_errors_ = choice.errors
        self.grid_ = self._make_grid(X, self.interpolation_)
        self.error_ = InterpolationError.estimate(
            self.grid_, normalised, saturation=self.saturation_
        )
        self._keep(normalised)
        self._keep_continua(self.normalizer_, X, y, normalised)

    @classmethod
    def _of_nodes(
        cls,
        grid: NodeGrid,
        flux: NDArray[np.float64],
        wavelength: ArrayLike,
        *,
        tolerance: float,
        error: InterpolationError | None = None,
        **settings: Any,
    ) -> Self:
        """Make an emulator of normalised spectra whose grid and error model are known.

        Flux itself is interpolated, with the kind of the grid; no nodes are left out.

        Parameters
        ----------
        grid : NodeGrid
            Nodes and kind of interpolation.
        flux : ndarray of shape (n_nodes, n_pixels)
            Normalised flux at the nodes.
        wavelength : array-like of shape (n_pixels,)
            Pixel centres, Å.
        tolerance : float
            Largest rms error of the flux at any node from the low-rank approximation.
        error : InterpolationError or None
            Interpolation-error model on these pixels.
        **settings
            Other parameters of the constructor, such as `medium` and `resolution`.

        Returns
        -------
        FluxEmulator
            The fitted emulator.
        """
        settings |= {
            "interpolation": grid.interpolation,
            "saturation": np.inf,
            "tolerance": tolerance,
            "parameter_names": grid.parameter_names,
        }
        new = cls(wavelength, **settings)
        new.wavelength_ = check_wavelength(wavelength, flux.shape[1])
        new.grid_, new.error_ = grid, error
        new.interpolation_, new.saturation_ = grid.interpolation, np.inf
        new.held_out_errors_ = np.full((1, 1), np.nan)
        new.n_features_in_, new.n_pixels_fit_ = grid.n_parameters, flux.shape[1]
        new.normalizer_ = new.node_continua_ = new.selected_pixels_ = None
        new._keep(flux)
        return new

    def select(self, *, wavelength: ArrayLike) -> Self:
        """Cut the emulator to part of the wavelengths, or resample it to other pixels.

        Parameters
        ----------
        wavelength : tuple (start, stop) or array-like of shape (n_new,)
            Range to keep, Å; or new pixel centres within the old range, Å.

        Returns
        -------
        FluxEmulator
            A fitted emulator, which shares nodes and parameters with this one. This one is
            not changed.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If no pixel is within the range, or a new pixel is outside the old range.

        Notes
        -----
        Between old pixels z is interpolated linearly. With a normaliser, :meth:`normalize`
        still takes spectra on the pixels of fit, because the continuum depends on all of them.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        pixels, new.wavelength_ = find_pixels(wavelength, self.wavelength_)
        new.low_rank_ = self.low_rank_.resampled(pixels)
        return self._select(new, pixels)

    def _coarser(self, tolerance: float) -> Self:
        """Return a copy that is faster and less accurate.

        Parameters
        ----------
        tolerance : float
            Largest rms error of the flux at any node from the low-rank approximation.

        Returns
        -------
        FluxEmulator
            A fitted emulator of the same nodes. This one is not changed.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        z = self.low_rank_.values()
        new.low_rank_ = LowRank.fit(z, tolerance, growth_slope(z, self.saturation_))
        return new

    def _keep(self, flux):
        """Keep a low-rank approximation of the nodes' spectra."""
        tolerance = self.tolerance
        if tolerance == "auto":
            error = 0.0 if self.error_ is None else np.sqrt(np.mean(self.error_.rms**2))
            tolerance = np.clip(_PART_OF_ERROR * error, _LEAST_TOLERANCE, _LARGEST_TOLERANCE)
        z = to_growth(flux, self.saturation_)
        self.low_rank_ = LowRank.fit(z, tolerance, growth_slope(z, self.saturation_))
        self.resolution_ = self.resolution

    def _flux(self, points):
        return from_growth(self.low_rank_.at(self.grid_.weights(points)), self.saturation_)

    def _flux_jacobian(self, points):
        slope = growth_slope(self.low_rank_.at(self.grid_.weights(points)), self.saturation_)
        return np.array(
            [slope * self.low_rank_.change(one) for one in self.grid_.weights_jacobian(points)]
        )

    def _fitted_normalizer(self):
        return self.normalizer_

    def _check_parameters(self):
        self._check_choices()
        for name, what, bounds in (
            ("saturation", "positive depth", {"min_val": 0, "include_boundaries": "neither"}),
            ("tolerance", "number from 0", {"min_val": 0}),
        ):
            value = getattr(self, name)
            if not isinstance(value, str):
                check_scalar(value, name, Real, **bounds)
            elif value != "auto":
                raise ValueError(f"{name} must be a {what} or 'auto', got {value!r}.")
        if self.resolution is not None:
            check_scalar(
                self.resolution,
                "resolution",
                Real,
                min_val=0,
                include_boundaries="neither",
            )
