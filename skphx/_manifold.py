"""LineManifoldRegressor: every spectral line of a grid at any stellar parameters."""

import copy
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data

from skphx._restore import restore_on_failure
from skphx._validation import check_wavelength
from skphx.flux.base import SpectralEmulator
from skphx.flux.choice import choose_interpolation, kinds_to_try
from skphx.flux.emulator import FluxEmulator
from skphx.flux.error import InterpolationError
from skphx.flux.pixels import find_pixels
from skphx.lines.dense import render_dense, render_dense_jvp
from skphx.lines.node_lines import NodeLines
from skphx.lines.reach import lines_that_matter
from skphx.lines.smoothing import fit_lines_of_nodes

# Nodes whose lines are rendered together.
_NODES_AT_ONCE = 64


class LineManifoldRegressor(SpectralEmulator):
    """Emulate spectra at any stellar parameters, with every line along the grid.

    The spectrum of every node is written as a table of lines; each line's four parameters over
    the grid are its manifold. Flux comes from a :class:`FluxEmulator` of the same spectra, which
    is more accurate than any sum of lines, or, as in the paper, from the lines alone.

    Parameters
    ----------
    cloner : VoigtCloner or Pipeline that ends in one
        Turns spectra into lines; it is cloned before it is fitted. Steps of a Pipeline before
        the last normalise the spectra; `teff` is routed to those that ask for it.
    interpolation : {"linear", "hermite", "cubic", "radial", "auto"}, default="auto"
        How line parameters run between nodes where they are no smooth surfaces, see
        :func:`skphx.grids.make_grid`: with a detected list, without `smoothness`, and in
        :meth:`fit_lines`. ``"auto"`` is the kind with which flux is interpolated best.
    missing : {"fade", "drop"}, default="fade"
        What a line does towards a node that lacks it. ``"fade"``: its area goes to zero
        continuously and its shape comes from the nodes that have it. ``"drop"``: the paper's
        rule, ln a = -1000 at the node and no line below -100, so that the line vanishes at
        once.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name a column of `X`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is what is routed to the cloner.
    flux : FluxEmulator, "auto" or None, default="auto"
        What flux is emulated by; ``"auto"`` is ``FluxEmulator()``. It is cloned, and gets
        wavelengths, names, holes and medium from here and normalised spectra from the cloner.
        None sums the lines, the paper's emulator.
    smoothness : float, default=0.01
        With a cloner that grows its list of lines, how smooth their parameters are along the
        grid. All nodes are fitted together with one surface for each parameter of each line,
        whose curvature costs this much: a flux error of this size in one pixel weighs as much
        as a factor e in a width. 0 leaves every node's lines as fitted by itself.
    n_sweeps : int, default=1
        Number of block-coordinate passes over the windows of wavelength in which the surfaces
        are fitted: every second window first, then those between, which know what their
        neighbours became.
    holes : {"error", "interpolate"}, default="error"
        What to do with nodes that are not a full product of values: raise, or interpolate
        across the missing ones.
    extrapolate : {"error", "clip", "nearest"}, default="error"
        What `predict` does outside the nodes: raise, move to the edge, or to the nearest node.
    medium : {"air", "vacuum"} or None, default=None
        Whether the wavelengths are in air or in vacuum. Observed spectra are brought to it;
        None leaves that open.

    Attributes
    ----------
    cloner_ : VoigtCloner or Pipeline
        The fitted cloner.
    flux_ : FluxEmulator or None
        The fitted emulator of the flux.
    grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The nodes, and how to interpolate between them.
    interpolation_ : str
        Kind of the interpolation; chosen with ``interpolation="auto"``.
    manifold_ : LineSurfaces or NodeLines
        The lines along the grid: coefficients of their surfaces where they were fitted as such,
        else a table of the nodes.
    lines_ : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å) of every line at every node; NaN where
        the node lacks the line. Made when asked for.
    present_ : ndarray of shape (n_nodes, n_lines), bool
        Whether the line was found at the node. Made when asked for.
    clone_rms_ : ndarray of shape (n_nodes,)
        Root mean square of flux minus the sum of lines at the nodes.
    error_ : InterpolationError or None
        How the emulator errs between its nodes, and, without `flux`, at them; None where no
        axis has three values.
    flux_error_ : ndarray of shape (n_pixels,) or None
        Root mean square error of the flux to expect half-way between nodes.
    node_continua_ : NodeContinua or None
        What the normalisers took away at the nodes; None without normalisers.
    resolution_ : float or None
        λ/FWHM that the spectra have, of `flux`; None is the models' own.
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    n_features_in_ : int
        Number of parameters.

    See Also
    --------
    FluxEmulator : flux alone, in seconds.
    VoigtCloner : makes the tables of lines.
    StellarParameterEstimator : inverts this emulator.

    Notes
    -----
    `predict` returns flux as the cloner sees it, after the steps that normalise it;
    :meth:`normalize` brings other spectra there, and `score` compares there.

    With ``missing="drop"`` only ln a carries the paper's sentinel; the published code wrote it
    into all four parameters, which moves a line by 11 Å within 0.1 K of a node.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference", section 3.

    Examples
    --------
    >>> from skphx import LineManifoldRegressor, VoigtCloner
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10)
    >>> spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    >>> cloner = VoigtCloner(wavelength=grid.wavelength, n_epochs=10)
    >>> emulator = LineManifoldRegressor(cloner).fit(grid.parameters, spectra)
    >>> emulator.predict([[5500, 4.5, 0.0]]).shape
    (1, 500)
    >>> emulator.predict_lines([[5500, 4.5, 0.0]]).shape[1] == 4 * emulator.cloner_.n_lines_
    True
    """

    def __init__(
        self,
        cloner,
        interpolation="auto",
        missing="fade",
        parameter_names=("teff", "logg", "feh"),
        *,
        flux="auto",
        smoothness=0.01,
        n_sweeps=1,
        holes="error",
        extrapolate="error",
        medium=None,
    ):
        self.cloner = cloner
        self.interpolation = interpolation
        self.missing = missing
        self.parameter_names = parameter_names
        self.flux = flux
        self.smoothness = smoothness
        self.n_sweeps = n_sweeps
        self.holes = holes
        self.extrapolate = extrapolate
        self.medium = medium

    @restore_on_failure
    def fit(self, X, y):
        """Fit the lines of all nodes, and learn their flux.

        Parameters
        ----------
        X : array-like of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes, columns as `parameter_names`.
        y : array-like of shape (n_nodes, n_pixels)
            Their spectra, as the cloner takes them.

        Returns
        -------
        self : LineManifoldRegressor
            The fitted emulator.

        Raises
        ------
        ValueError
            If a parameter of the constructor is unknown; nodes are repeated, missing, fewer
            than the interpolation needs or do not fit `parameter_names`; or the cloner
            refuses the spectra.
        TypeError
            If `cloner` is not a VoigtCloner or a Pipeline that ends in one, or `flux` is not
            a FluxEmulator.
        """
        self._check_parameters()
        X, y = self._validate_nodes(X, y)
        self.grid_ = self._make_grid(X, "linear")
        self._check_order(self.grid_)
        self.cloner_ = clone(self.cloner)
        line_cloner = self._line_cloner()
        if not hasattr(line_cloner, "line_table"):
            raise TypeError(
                f"cloner must be a VoigtCloner or a Pipeline that ends in one, got "
                f"{type(line_cloner).__name__}, which has no line_table method; "
                f"add skphx.VoigtCloner() as the last step."
            )
        normalizer = self._fitted_normalizer()
        normalised = self._fit_normalizer(normalizer, y, X)
        if normalizer is not None:
            # A Pipeline with memory fits copies of its steps: take them over.
            self.cloner_.steps[:-1] = normalizer.steps
        self.wavelength_ = check_wavelength(line_cloner.wavelength, normalised.shape[1])
        self._fit_flux(X, normalised)
        presence_grid, self.grid_ = self.grid_, self._make_grid(X, self.interpolation_)
        self.manifold_ = fit_lines_of_nodes(
            line_cloner,
            normalised,
            X,
            smoothness=self.smoothness,
            n_sweeps=self.n_sweeps,
            missing=self.missing,
        )
        if isinstance(self.manifold_, NodeLines):
            self.manifold_.on(self.grid_, presence_grid)
        self._measure_lines(normalised)
        self._keep_continua(normalizer, X, y, normalised)
        return self

    @restore_on_failure
    def fit_lines(self, X, table):
        """Take lines that were fitted before, in place of spectra.

        This is how published clones become an emulator, such as an archive of state
        dictionaries (:meth:`skphx.lines.LineTable.from_state_dict`). Flux is the sum of the
        lines, for there are no spectra.

        Parameters
        ----------
        X : array-like of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes, columns as `parameter_names`.
        table : LineTable
            Lines of each node, in the same order; lines of equal `identity` are the same line,
            and the emulator's list has the identities in their order. Values are kept in single
            precision, centres to 1e-8 Å.

        Returns
        -------
        self : LineManifoldRegressor
            The fitted emulator.

        Raises
        ------
        ValueError
            If the numbers of nodes differ, a node has two lines of one identity, the cloner has
            no wavelengths or is a Pipeline, `interpolation` is "auto" or `flux` a FluxEmulator,
            which need spectra.
        """
        self._check_parameters()
        if self.interpolation == "auto":
            raise ValueError(
                "interpolation='auto' leaves spectra out to choose, and fit_lines has none; "
                "name a kind."
            )
        if self.flux not in (None, "auto"):
            raise ValueError("flux needs spectra to learn, and fit_lines has none; set flux=None.")
        X = validate_data(self, X, dtype=np.float64)
        if table.n_spectra != len(X):
            raise ValueError(
                f"table holds the lines of {table.n_spectra} nodes but X has {len(X)} rows; "
                f"give one row of parameters a node."
            )
        presence_grid = self._make_grid(X, "linear")
        self._check_order(presence_grid)
        self.grid_ = self._make_grid(X, self.interpolation)
        self.interpolation_ = self.interpolation
        self.cloner_ = clone(self.cloner)
        if isinstance(self.cloner_, Pipeline):
            raise ValueError(
                "cloner must be a VoigtCloner alone: lines are of normalised spectra already; "
                "give LineManifoldRegressor the last step of the Pipeline."
            )
        self.manifold_ = NodeLines.from_table(table, missing=self.missing)
        self.manifold_.on(self.grid_, presence_grid)
        self.cloner_.take_list(self.manifold_.centers)
        self.wavelength_ = self.cloner_.wavelength_
        self.n_pixels_fit_ = len(self.wavelength_)
        self.clone_rms_ = np.full(len(X), np.nan)
        self.flux_ = self.error_ = self.node_continua_ = self.selected_pixels_ = None
        self.resolution_ = None
        return self

    @property
    def lines_(self):
        """Lines of all nodes, NaN where absent."""
        check_is_fitted(self)
        return self.manifold_.to_dense()

    @property
    def present_(self):
        """Whether each node has each line."""
        check_is_fitted(self)
        return self.manifold_.present

    def predict_lines(self, X):
        """Lines at given stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_spectra, 4 * n_lines)
            For each line centre (Å), ln area (Å), ln sigma (Å) and ln gamma (Å), NaN where it
            is absent: the columns of ``VoigtCloner.transform``.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict`.
        """
        points = self._points(X)
        return self.manifold_.at(points).reshape(len(points), -1)

    def lines_jacobian(self, X):
        """Differentiate every line with respect to the stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_spectra, n_lines, 4, n_parameters)
            Derivatives of centre (Å), ln area, ln sigma and ln gamma, per unit of each
            parameter; 0 for a line that is absent.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict`.
        """
        return np.moveaxis(self.manifold_.tangents_at(self._points(X)), 0, -1)

    def select(self, *, wavelength):
        """Cut the emulator to part of the wavelengths, or move it to other pixels.

        Only the lines that matter there are kept, so that it takes less time and memory: those
        left out have together an optical depth below 1e-4 at every node.

        Parameters
        ----------
        wavelength : tuple (start, stop) or array-like of shape (n_new,)
            Range of which the pixels are kept, Å, or new pixel centres within the old range.

        Returns
        -------
        LineManifoldRegressor
            A fitted emulator; this one stays as it is. Nodes and parameters are shared.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If no pixel is within the range, or a new pixel is outside the old range.

        Notes
        -----
        Flux is selected as :meth:`FluxEmulator.select` does; lines are evaluated at the new
        pixels. A `wing_cut` of the cloner counts the pixels that there are: it cuts wings
        elsewhere on other pixels, and near the ends of a range. :meth:`normalize` of an emulator
        with normalisers still takes spectra on the pixels of fit, because a continuum depends on
        all of them.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        pixels, new.wavelength_ = find_pixels(wavelength, self.wavelength_)
        kept = lines_that_matter(self.manifold_, new.wavelength_)
        new.manifold_ = self.manifold_.selected(kept)
        if self.flux_ is not None:
            new.flux_ = self.flux_.select(wavelength=wavelength)
        return self._select(new, pixels)

    def _check_parameters(self):
        self._check_choices(missing=("fade", "drop"))
        check_scalar(self.smoothness, "smoothness", Real, min_val=0)
        check_scalar(self.n_sweeps, "n_sweeps", Integral, min_val=1)
        is_known = self.flux is None or isinstance(self.flux, FluxEmulator)
        if not is_known and not (isinstance(self.flux, str) and self.flux == "auto"):
            raise TypeError(
                f"flux must be a FluxEmulator, 'auto' or None, got {self.flux!r}; None sums the "
                f"lines."
            )

    def _line_cloner(self):
        """Last step of the fitted cloner."""
        return self.cloner_[-1] if isinstance(self.cloner_, Pipeline) else self.cloner_

    def _fitted_normalizer(self):
        """All steps of the cloner but the last, or None."""
        is_chain = isinstance(self.cloner_, Pipeline) and len(self.cloner_) > 1
        return self.cloner_[:-1] if is_chain else None

    def _fit_flux(self, parameters, normalised):
        """Fit the emulator of the flux, and settle how lines run between nodes."""
        self.flux_ = self.resolution_ = None
        if self.flux is not None:
            flux = FluxEmulator() if self.flux == "auto" else clone(self.flux)
            self.flux_ = flux.set_params(
                wavelength=self.wavelength_,
                normalizer=None,
                parameter_names=self.parameter_names,
                holes=self.holes,
                extrapolate=self.extrapolate,
                medium=self.medium,
            ).fit(parameters, normalised)
            self.resolution_ = self.flux_.resolution_
        self.interpolation_ = self.interpolation
        if self.interpolation == "auto" and self.flux_ is not None:
            self.interpolation_ = self.flux_.interpolation_
        elif self.interpolation == "auto":
            self.interpolation_ = choose_interpolation(
                parameters,
                normalised,
                interpolations=kinds_to_try("auto", len(parameters)),
                saturations=(np.inf,),
            ).interpolation

    def _measure_lines(self, normalised):
        """Measure what the lines miss at the nodes: without `flux` the emulator's error."""
        nodes = self.grid_.nodes
        self.clone_rms_ = np.empty(len(normalised))
        missed = np.empty(normalised.shape) if self.flux_ is None else None
        # A few spectra at once: sums of lines of a large grid take much room.
        for first in range(0, len(normalised), _NODES_AT_ONCE):
            rows = slice(first, first + _NODES_AT_ONCE)
            difference = self._sum_of_lines(nodes[rows]) - normalised[rows]
            self.clone_rms_[rows] = np.sqrt((difference**2).mean(axis=1))
            if missed is not None:
                missed[rows] = difference
        if self.flux_ is not None:
            self.error_ = self.flux_.error_
            return
        estimated = InterpolationError.estimate(self.grid_, normalised)
        self.error_ = None
        if estimated is not None:
            self.error_ = InterpolationError.with_missed(estimated, missed, self.grid_.axes)

    def _sum_of_lines(self, points):
        """Flux of the lines alone, shape (n_points, n_pixels)."""
        return render_dense(self.wavelength_, self.manifold_.at(points), **self._rendering())

    def _flux(self, points):
        return self._sum_of_lines(points) if self.flux_ is None else self.flux_._flux(points)

    def _flux_jacobian(self, points):
        if self.flux_ is not None:
            return self.flux_._flux_jacobian(points)
        lines, tangents = self.manifold_.at(points), self.manifold_.tangents_at(points)
        return render_dense_jvp(self.wavelength_, lines, tangents, **self._rendering())[1]

    def _rendering(self):
        """Options with which lines are summed."""
        return self._line_cloner().render_settings()
