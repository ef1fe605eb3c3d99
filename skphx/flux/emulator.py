"""FluxEmulator: accurate flux at any stellar parameters, from the spectra of a grid's nodes."""

import copy
from numbers import Real

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted, check_scalar

from skphx._restore import restore_on_failure
from skphx._spectra import check_level
from skphx._validation import check_wavelength
from skphx.flux.base import SpectralEmulator
from skphx.flux.choice import SATURATIONS, choose_interpolation, kinds_to_try
from skphx.flux.error import InterpolationError
from skphx.flux.low_rank import LowRank
from skphx.flux.pixels import find_pixels
from skphx.flux.scale import from_growth, growth_slope, to_growth

# What components may lose by tolerance="auto", in parts of the error between nodes; and its ends.
_LOSS, _LEAST_TOLERANCE, _LARGEST_TOLERANCE = 0.02, 1e-7, 1e-4


class FluxEmulator(SpectralEmulator):
    r"""Emulate spectra at any stellar parameters by interpolating the flux of a grid.

    .. math:: z(p) = \bar z + \sum_n w_n(p) \sum_k c_{nk} \, s_k, \qquad F(p) = F(z(p))

    with z the curve-of-growth scale, :math:`s_k` few components of the nodes' spectra,
    :math:`c_{nk}` their coefficients, and :math:`w_n` the weights of the nodes at the point p.
    How to interpolate is chosen by leaving nodes out. No line is fitted: a grid of a hundred
    spectra takes seconds.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels, None
        for pixel numbers 1, 2, ....
    normalizer : transformer, Pipeline or None, default=None
        Brings raw spectra to a continuum of 1; it is cloned before it is fitted, and `teff` is
        routed to the steps that ask for it. None is for spectra that are normalised already.
    interpolation : {"linear", "hermite", "cubic", "radial", "auto"}, default="auto"
        How z runs between nodes, see :func:`skphx.grids.make_grid`. ``"auto"`` leaves planes
        of nodes out and takes, among the three smooth kinds, the most local one that predicts
        them nearly as well as the best; beyond 2000 nodes the radial kind, for which every node
        counts, is not tried. Along an axis of fewer values than a kind needs (3, for cubic 4) its
        order is lowered; a kind asked for by name is refused where no axis has enough.
    saturation : float or "auto", default="auto"
        Depth at which lines saturate on the curve-of-growth scale, see
        :mod:`skphx.flux.scale`; ``inf`` is plain flux. ``"auto"`` leaves planes of nodes out
        and takes the smallest one that predicts them nearly as well as the best.
    tolerance : float or "auto", default="auto"
        Largest root mean square of flux that the components may lose at any node; 0 keeps all
        spectra. ``"auto"`` is 2 % of the emulator's own error between nodes, between 1e-7 and
        1e-4.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name a column of `X`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is what is routed to the normaliser.
    holes : {"error", "interpolate"}, default="error"
        What to do with nodes that are not a full product of values: raise, or interpolate
        across the missing ones.
    extrapolate : {"error", "clip", "nearest"}, default="error"
        What `predict` does outside the nodes: raise, move to the edge, or to the nearest node.
    medium : {"air", "vacuum"} or None, default=None
        Whether the wavelengths are in air or in vacuum. Observed spectra are brought to it;
        None leaves that open.
    resolution : float or None, default=None
        λ/FWHM that the spectra have; None is the models' own, not broadened.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    normalizer_ : transformer or None
        The fitted normaliser.
    grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The nodes, and how to interpolate between them.
    interpolation_ : str
        Kind of the interpolation; chosen with ``interpolation="auto"``.
    saturation_ : float
        Saturation depth; chosen with ``saturation="auto"``.
    held_out_errors_ : ndarray of shape (n_interpolations, n_saturations)
        What the choice rests on: mean flux rms of nodes left out, for the kinds tried, in the
        order Hermite, cubic, radial, and the saturation depths tried, increasing. NaN where the
        grid has no node to leave out.
    low_rank_ : LowRank
        Mean, components and coefficients of the nodes, of z.
    error_ : InterpolationError or None
        How the emulator errs between its nodes; None where no axis has three values.
    flux_error_ : ndarray of shape (n_pixels,) or None
        Root mean square error of the flux to expect half-way between nodes.
    node_continua_ : NodeContinua or None
        What the normaliser took away at the nodes; None without one.
    resolution_ : float or None
        As given.
    n_features_in_ : int
        Number of parameters.

    See Also
    --------
    LineManifoldRegressor : every line along the grid, with this emulator for its flux.
    StellarParameterEstimator : inverts either.

    Notes
    -----
    Interpolating on the curve-of-growth scale beats interpolating flux on all grids tried, most
    where lines strengthen with abundance. Errors of several grids are in the documentation's
    results.

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
        wavelength=None,
        normalizer=None,
        *,
        interpolation="auto",
        saturation="auto",
        tolerance="auto",
        parameter_names=("teff", "logg", "feh"),
        holes="error",
        extrapolate="error",
        medium=None,
        resolution=None,
    ):
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
    def fit(self, X, y):
        """Learn the spectra of all nodes.

        Parameters
        ----------
        X : array-like of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes, columns as `parameter_names`.
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
            than the interpolation needs or do not fit `parameter_names`; or spectra are not
            finite, negative or, without a normaliser, far from a continuum of 1.
        """
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
        return self

    @classmethod
    def of_nodes(cls, grid, flux, wavelength, *, tolerance, error=None, **settings):
        """Make an emulator of normalised spectra whose grid and error are known.

        Nothing is left out or chosen: plain flux is interpolated as the grid says.

        Parameters
        ----------
        grid : NodeGrid
            Nodes and kind of interpolation.
        flux : ndarray of shape (n_nodes, n_pixels)
            Normalised flux at the nodes.
        wavelength : ndarray of shape (n_pixels,)
            Pixel centres, Å.
        tolerance : float
            Largest root mean square of flux that the components may lose at any node.
        error : InterpolationError or None
            On these pixels.
        **settings
            Other parameters of the constructor, such as `medium` and `resolution`.

        Returns
        -------
        FluxEmulator
            The fitted emulator.
        """
        new = cls(
            wavelength,
            interpolation=grid.interpolation,
            saturation=np.inf,
            tolerance=tolerance,
            parameter_names=grid.parameter_names,
            **settings,
        )
        new.wavelength_ = check_wavelength(wavelength, flux.shape[1])
        new.grid_, new.error_ = grid, error
        new.interpolation_, new.saturation_ = grid.interpolation, np.inf
        new.held_out_errors_ = np.full((1, 1), np.nan)
        new.n_features_in_, new.n_pixels_fit_ = grid.n_parameters, flux.shape[1]
        new.normalizer_ = new.node_continua_ = new.selected_pixels_ = None
        new._keep(flux)
        return new

    def select(self, *, wavelength):
        """Cut the emulator to part of the wavelengths, or move it to other pixels.

        Parameters
        ----------
        wavelength : tuple (start, stop) or array-like of shape (n_new,)
            Range of which the pixels are kept, Å, or new pixel centres within the old range.

        Returns
        -------
        FluxEmulator
            A fitted emulator; this one stays as it is. Nodes and parameters are shared.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If no pixel is within the range, or a new pixel is outside the old range.

        Notes
        -----
        Between old pixels z is interpolated linearly. :meth:`normalize` of an emulator with a
        normaliser still takes spectra on the pixels of fit, because a continuum depends on all
        of them.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        pixels, new.wavelength_ = find_pixels(wavelength, self.wavelength_)
        new.low_rank_ = self.low_rank_.resampled(pixels)
        return self._select(new, pixels)

    def coarser(self, tolerance):
        """Return a copy that is faster and less exact.

        Parameters
        ----------
        tolerance : float
            Largest root mean square of flux that its components may lose at any node.

        Returns
        -------
        FluxEmulator
            A fitted emulator of the same nodes; this one stays as it is.

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
        """Hold the nodes' spectra as few components."""
        tolerance = self.tolerance
        if tolerance == "auto":
            error = 0.0 if self.error_ is None else np.sqrt(np.mean(self.error_.rms**2))
            tolerance = np.clip(_LOSS * error, _LEAST_TOLERANCE, _LARGEST_TOLERANCE)
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
