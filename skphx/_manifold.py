"""LineManifoldRegressor: a spectrum at any stellar parameters, from lines cloned at nodes."""

import copy

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx._spectra import check_finite
from skphx.grids import make_grid
from skphx.grids._axis import NODES_NEEDED
from skphx.lines.dense import render_dense, render_dense_jvp
from skphx.manifolds import NodeContinua, NodeLines, NodeResiduals, choose_interpolation
from skphx.manifolds.composition import compose, compose_slopes, residual_of
from skphx.manifolds.held_out import SMOOTH_KINDS, SOFTENINGS, flux_error_between_nodes
from skphx.manifolds.pixels import find_pixels, lines_that_matter, resampled
from skphx.manifolds.smoothing import clone_nodes

MEDIA = ("air", "vacuum")
# Every node counts in a radial weight: beyond this many nodes that is slow.
_MOST_RADIAL_NODES = 2000
# Nodes whose clones are rendered together.
_NODES_AT_ONCE = 64


class LineManifoldRegressor(DocumentationLinkMixin, RegressorMixin, BaseEstimator):
    """Emulate spectra at any stellar parameters by interpolating their lines.

    Every node of a grid of spectra is cloned as a table of lines; each line's four parameters
    are interpolated between the nodes: its manifold. All manifolds share one set of weights
    on the nodes, so that one matrix product evaluates all lines.

    Parameters
    ----------
    cloner : VoigtCloner or Pipeline that ends in one
        Turns spectra into lines; it is cloned before it is fitted. Steps of a Pipeline before
        the last normalise the spectra; `teff` is routed to those that ask for it.
    interpolation : {"linear", "hermite", "cubic", "radial", "auto"}, default="linear"
        How line parameters, and the residual, run between nodes, see
        :func:`skphx.grids.make_grid`. ``"auto"`` leaves planes of nodes out and takes, among
        the three smooth kinds, the most local one that predicts them nearly as well as the
        best; beyond 2000 nodes the radial kind, for which every node counts, is not tried.
        Along an axis of fewer values than a kind needs (3, for cubic 4) its order is lowered;
        a kind asked for by name is refused where no axis has enough.
    missing : {"fade", "drop"}, default="fade"
        What a line does towards a node that lacks it. ``"fade"``: its area goes to zero
        continuously and its shape comes from the nodes that have it. ``"drop"``: the paper's
        rule, ln a = -1000 at the node and no line below -100, so that the line vanishes at
        once.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name a column of `parameters`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is what is routed to the cloner.
    smoothness : float, default=0.01
        With a cloner that grows its list of lines, how smooth their parameters are along the
        grid. All nodes are fitted together with one surface for each parameter of each line,
        whose curvature costs this much: a flux error of this size in one pixel weighs as much
        as a factor e in a width. 0 leaves every node's lines as cloned by itself.
    n_sweeps : int, default=1
        How often the windows of wavelength in which the surfaces are fitted are gone through:
        every second one first, then those between, which know what their neighbours became.
    residual : bool, default=True
        Keep what the clones leave of the spectra at the nodes, interpolate it alike, and add
        it, so that the emulator is exact at the nodes. False is the paper's emulator of lines
        alone.
    softening : float or "auto", default="auto"
        Where the residual is taken and added: on a scale that is linear in depth below this
        depth and runs with its root above, see :mod:`skphx.manifolds.growth`; ``inf`` is
        plain flux. ``"auto"`` leaves planes of nodes out and takes the smallest one that
        predicts them nearly as well as the best.
    line_share : float or "auto", default="auto"
        With the residual, how far the flux between nodes follows the course of the lines: at
        0 it comes from the spectra of the nodes alone, and lines only say what it consists
        of; at 1 it is the interpolated lines and the interpolated rest. ``"auto"`` is 0.5 for
        linear interpolation, in which lines bend what would be straight, and 0 for the smoother
        kinds, which on real grids follow lines more closely than fitted lines do themselves.
    residual_tolerance : float, default=1e-6
        The residual is kept at a low rank where that needs less than half the nodes and no
        node's rms changes by more than this.
    holes : {"error", "interpolate"}, default="error"
        What to do with nodes that are not a full product of values: raise, or interpolate
        across the missing ones.
    extrapolate : {"error", "clip", "nearest"}, default="error"
        What `predict` does outside the nodes: raise, move to the edge, or to the nearest node.
    medium : {"air", "vacuum"} or None, default=None
        Medium of the wavelengths; it is not used here, but whoever compares the emulator with
        an observed spectrum can check it. None says nothing.

    Attributes
    ----------
    cloner_ : VoigtCloner or Pipeline
        The fitted cloner.
    grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The nodes, and how to interpolate between them.
    presence_grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The same nodes, interpolated linearly, for where lines fade.
    interpolation_ : str
        Kind of the interpolation; chosen with ``interpolation="auto"``.
    softening_ : float
        Softening of the scale of growth; chosen with ``softening="auto"``.
    line_share_ : float
        Share of the lines in the course of the flux between nodes; 1 without the residual.
    held_out_errors_ : ndarray of shape (n_interpolations, n_softenings)
        What the choice rests on: mean flux rms of nodes left out, for the kinds tried, in the
        order Hermite, cubic, radial, and the softenings tried, increasing. NaN where the grid
        has no node to leave out.
    node_lines_ : NodeLines
        Lines at the nodes, as `predict_lines` uses them.
    lines_ : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å) of every line at every node; NaN where
        the node lacks the line. Made when asked for.
    present_ : ndarray of shape (n_nodes, n_lines), bool
        Whether the line was found at the node. Made when asked for.
    node_residuals_ : NodeResiduals or None
        What the clones miss at the nodes, on the scale of growth.
    clone_rms_ : ndarray of shape (n_nodes,)
        Root mean square of flux minus clone: the error at the nodes of lines alone.
    flux_error_ : ndarray of shape (n_pixels,) or None
        Error of the flux to expect between nodes, as root mean square, estimated by leaving
        planes of nodes out; None where no axis has three values.
    node_continua_ : NodeContinua or None
        What the normalisers took away at the nodes; None without normalisers.
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    n_features_in_ : int
        Number of parameters.

    See Also
    --------
    VoigtCloner : makes the tables of lines.
    StellarParameterEstimator : inverts this emulator.

    Notes
    -----
    `predict` returns flux as the cloner sees it, after the steps that normalise it;
    :meth:`normalize` brings other spectra there, and `score` compares there.

    The residual is flux minus `line_share` times clone, on a scale on which lines grow evenly
    with their strength. Interpolating on that scale beats interpolating flux on all grids
    tried, most where lines grow with abundance. At ``line_share=0`` no line is summed to
    predict a spectrum; they are where lines are asked for: :meth:`predict_lines`, and
    everything with ``residual=False``.

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
    >>> emulator.jacobian([[5500, 4.5, 0.0]]).shape
    (1, 500, 3)
    """

    def __init__(
        self,
        cloner,
        interpolation="linear",
        missing="fade",
        parameter_names=("teff", "logg", "feh"),
        *,
        smoothness=0.01,
        n_sweeps=1,
        residual=True,
        softening="auto",
        line_share="auto",
        residual_tolerance=1e-6,
        holes="error",
        extrapolate="error",
        medium=None,
    ):
        self.cloner = cloner
        self.interpolation = interpolation
        self.missing = missing
        self.parameter_names = parameter_names
        self.smoothness = smoothness
        self.n_sweeps = n_sweeps
        self.residual = residual
        self.softening = softening
        self.line_share = line_share
        self.residual_tolerance = residual_tolerance
        self.holes = holes
        self.extrapolate = extrapolate
        self.medium = medium

    @restore_on_failure
    def fit(self, X, y):
        """Clone the spectra of all nodes.

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
            If `cloner` is not a VoigtCloner or a Pipeline that ends in one.
        """
        self._check_parameters()
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
        # Presence is interpolated linearly in any case: a cubic would overshoot 0 and 1.
        self.presence_grid_ = self._make_grid(X, "linear")
        self._check_order(self.presence_grid_.axes)
        self.cloner_ = clone(self.cloner)
        normalised = self._fit_normalisers(y, X)
        self._choose(X, normalised)
        self.grid_ = self._make_grid(X, self.interpolation_)
        voigt_cloner = self._line_cloner()
        lines = clone_nodes(
            voigt_cloner, normalised, X, smoothness=self.smoothness, n_sweeps=self.n_sweeps
        )
        self.wavelength_ = voigt_cloner.wavelength_
        self.node_lines_ = NodeLines(lines, missing=self.missing)
        self._keep_residual(normalised, lines)
        self._keep_continua(X, y, normalised)
        self.selected_pixels_ = None
        return self

    @restore_on_failure
    def fit_lines(self, X, table):
        """Take lines that were cloned before, in place of spectra.

        This is how published clones become an emulator, such as an archive of state
        dictionaries (:meth:`skphx.lines.LineTable.from_state_dict`). There is no residual and
        no continuum, for there are no spectra.

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
            no wavelengths or is a Pipeline, or `interpolation` is "auto", which needs spectra.
        """
        self._check_parameters()
        if self.interpolation == "auto":
            raise ValueError(
                "interpolation='auto' leaves spectra out to choose, and fit_lines has none; "
                "name a kind."
            )
        X = validate_data(self, X, dtype=np.float64)
        if table.n_spectra != len(X):
            raise ValueError(
                f"table holds the lines of {table.n_spectra} nodes but X has {len(X)} rows; "
                f"give one row of parameters a node."
            )
        self.presence_grid_ = self._make_grid(X, "linear")
        self._check_order(self.presence_grid_.axes)
        self.grid_ = self._make_grid(X, self.interpolation)
        self.interpolation_, self.softening_ = self.interpolation, np.inf
        self.line_share_ = 1.0
        self.cloner_ = clone(self.cloner)
        if isinstance(self.cloner_, Pipeline):
            raise ValueError(
                "cloner must be a VoigtCloner alone: lines are of normalised spectra already; "
                "give LineManifoldRegressor the last step of the Pipeline."
            )
        self.node_lines_ = NodeLines.from_table(table, missing=self.missing)
        self.cloner_.take_list(self.node_lines_.centers)
        self.wavelength_ = self.cloner_.wavelength_
        self.held_out_errors_ = np.full((1, 1), np.nan)
        self.clone_rms_ = np.full(len(X), np.nan)
        self.node_residuals_ = self.node_continua_ = None
        self.flux_error_ = self.selected_pixels_ = None
        return self

    @property
    def lines_(self):
        """Lines of all nodes, NaN where absent."""
        check_is_fitted(self)
        return self.node_lines_.to_dense()

    @property
    def present_(self):
        """Whether each node has each line."""
        check_is_fitted(self)
        return self.node_lines_.present

    def predict_lines(self, X):
        """Interpolate the lines, one step before the flux.

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
        NotFittedError
            If `fit` was not called.
        ValueError
            If a point lies outside the grid and `extrapolate` is "error".
        """
        points = self._points(X)
        return self._lines(points, self.grid_.weights(points)).reshape(len(points), -1)

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
        NotFittedError, ValueError
            As :meth:`predict_lines`.
        """
        points = self._points(X)
        weights = self.grid_.weights(points)
        flux = None
        if self.line_share_ > 0:
            lines = self._lines(points, weights)
            flux = render_dense(self.wavelength_, lines, **self._rendering())
        if self.node_residuals_ is not None:
            residual = self.node_residuals_.at(weights)
            flux = compose(residual, flux, self.line_share_, self.softening_)
        if absolute and self.node_continua_ is not None:
            flux *= self.node_continua_.at(weights, self._column(points, "teff"))
        return flux

    def jacobian(self, X):
        """Differentiate the normalised flux with respect to the stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels, n_parameters)
            ∂flux/∂parameter, per unit of each parameter (per K, per dex). At a node of linear
            interpolation, where the flux has a kink, the derivative towards higher values.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict_lines`.
        """
        return np.moveaxis(self._flux_jacobian(self._points(X)), 0, -1)

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
            As :meth:`predict_lines`.
        """
        return np.moveaxis(self._lines_and_tangents(self._points(X))[1], 0, -1)

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
        Between old pixels the residual is interpolated linearly; lines are evaluated at the
        new ones. A `wing_cut` of the cloner counts the pixels that there are: it cuts wings
        elsewhere on other pixels, and near the ends of a range. :meth:`normalize` of an emulator
        with normalisers still takes spectra on the pixels of fit, because a continuum depends on
        all of them.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        pixels, new.wavelength_ = find_pixels(wavelength, self.wavelength_)
        kept = lines_that_matter(self.node_lines_, new.wavelength_)
        new.node_lines_ = self.node_lines_.selected(kept)
        if self.node_residuals_ is not None:
            new.node_residuals_ = self.node_residuals_.resampled(pixels)
        if self.node_continua_ is not None:
            new.node_continua_ = self.node_continua_.resampled(pixels, new.wavelength_)
        if self.flux_error_ is not None:
            new.flux_error_ = resampled(self.flux_error_, pixels)
        before = () if self.selected_pixels_ is None else self.selected_pixels_
        new.selected_pixels_ = (*before, pixels)
        return new

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
            The spectra after all steps of the cloner but the last, on the pixels of `predict`;
            unchanged where the cloner has one step and they are on these pixels already.

        Raises
        ------
        NotFittedError, ValueError
            If fit was not called, or a step refuses the spectra.
        """
        check_is_fitted(self)
        spectra = check_array(spectra, dtype=np.float64)
        has_normalisers = isinstance(self.cloner_, Pipeline) and len(self.cloner_) > 1
        if not has_normalisers and spectra.shape[1] == len(self.wavelength_):
            return spectra
        n_pixels = self._line_cloner().n_features_in_
        if spectra.shape[1] != n_pixels:
            raise ValueError(
                f"spectra must have the {n_pixels} pixels of the spectra given to fit, got "
                f"{spectra.shape[1]}; resample them."
            )
        if has_normalisers:
            with config_context(enable_metadata_routing=True):
                normalisers = self.cloner_[:-1]
                spectra = normalisers.transform(
                    spectra, **self._teff_for(normalisers, "transform", np.asarray(parameters))
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

    def _check_parameters(self):
        for name, allowed in (
            ("interpolation", ("linear", *SMOOTH_KINDS, "auto")),
            ("missing", ("fade", "drop")),
            ("extrapolate", ("error", "clip", "nearest")),
            ("medium", (*MEDIA, None)),
        ):
            if getattr(self, name) not in allowed:
                listed = ", ".join(map(repr, allowed[:-1]))
                raise ValueError(
                    f"{name} must be {listed} or {allowed[-1]!r}, got {getattr(self, name)!r}."
                )
        check_scalar(self.smoothness, "smoothness", (float, int), min_val=0)
        check_scalar(self.n_sweeps, "n_sweeps", int, min_val=1)
        check_scalar(self.residual_tolerance, "residual_tolerance", (float, int), min_val=0)
        for name, what, bounds in (
            ("softening", "positive depth", {"min_val": 0, "include_boundaries": "neither"}),
            ("line_share", "number from 0 to 1", {"min_val": 0, "max_val": 1}),
        ):
            value = getattr(self, name)
            if not isinstance(value, str):
                check_scalar(value, name, (float, int), **bounds)
            elif value != "auto":
                raise ValueError(f"{name} must be a {what} or 'auto', got {value!r}.")

    def _make_grid(self, parameters, interpolation):
        return make_grid(
            parameters,
            parameter_names=self.parameter_names,
            interpolation=interpolation,
            holes=self.holes,
        )

    def _check_order(self, axes):
        """Raise if an order asked for by name would be lowered along every axis."""
        needed = NODES_NEEDED.get(self.interpolation, 1)
        longest = max(len(axis) for axis in axes)
        if 1 < longest < needed:
            names = self.presence_grid_.parameter_names
            found = ", ".join(f"{len(a)} of {n}" for a, n in zip(axes, names, strict=True))
            raise ValueError(
                f"interpolation={self.interpolation!r} needs at least {needed} values of one "
                f"parameter, got {found}; supply more nodes, or choose 'linear' or 'auto'."
            )

    def _line_cloner(self):
        """Last step of the fitted cloner."""
        return self.cloner_[-1] if isinstance(self.cloner_, Pipeline) else self.cloner_

    def _choose(self, parameters, normalised):
        """Settle how to interpolate, by leaving nodes out where that is asked for."""
        kinds = (self.interpolation,)
        if self.interpolation == "auto":
            kinds = SMOOTH_KINDS if len(parameters) <= _MOST_RADIAL_NODES else SMOOTH_KINDS[:-1]
        softenings = SOFTENINGS if self.softening == "auto" else (float(self.softening),)
        if not self.residual:
            softenings = (np.inf,)
        choice = choose_interpolation(
            parameters, normalised, interpolations=kinds, softenings=softenings
        )
        self.interpolation_, self.softening_ = choice.interpolation, choice.softening
        self.held_out_errors_ = choice.errors
        self.line_share_ = self.line_share
        if not self.residual:
            self.line_share_ = 1.0
        elif self.line_share == "auto":
            self.line_share_ = 0.5 if choice.interpolation == "linear" else 0.0
        self.flux_error_ = flux_error_between_nodes(
            parameters, normalised, interpolation=choice.interpolation, softening=choice.softening
        )

    def _keep_residual(self, normalised, lines):
        """Remember what the clones miss, and how much that is."""
        self.clone_rms_ = np.empty(len(normalised))
        residual = np.empty(normalised.shape) if self.residual else None
        missed_squares = np.zeros(normalised.shape[1])
        # A few spectra at once: of a large grid there is no room for clones and residuals both.
        for first in range(0, len(normalised), _NODES_AT_ONCE):
            rows = slice(first, first + _NODES_AT_ONCE)
            flux = normalised[rows]
            clones = render_dense(self.wavelength_, lines[rows], **self._rendering())
            squares = (flux - clones) ** 2
            self.clone_rms_[rows] = np.sqrt(squares.mean(axis=1))
            missed_squares += squares.sum(axis=0)
            if self.residual:
                residual[rows] = residual_of(flux, clones, self.line_share_, self.softening_)
        self.node_residuals_ = None
        if self.residual:
            self.node_residuals_ = NodeResiduals(residual, self.residual_tolerance)
        elif self.flux_error_ is not None:
            # Without it the emulator misses this at the nodes already.
            self.flux_error_ = np.sqrt(self.flux_error_**2 + missed_squares / len(normalised))

    def _keep_continua(self, parameters, raw, normalised):
        """Remember what the normalisers took away."""
        self.node_continua_ = None
        if normalised is raw:
            return
        with config_context(enable_metadata_routing=True):
            teff = self._teff_for(self.cloner_[:-1], "transform", parameters).get("teff")
        self.node_continua_ = NodeContinua(self.wavelength_, raw, normalised, teff)

    def _fit_normalisers(self, spectra, parameters):
        """Fit all steps but the last, and return what the last one sees."""
        if not hasattr(self._line_cloner(), "line_table"):
            raise TypeError(
                f"cloner must be a VoigtCloner or a Pipeline that ends in one, got "
                f"{type(self._line_cloner()).__name__}, which has no line_table method; "
                f"add skphx.VoigtCloner() as the last step."
            )
        if not isinstance(self.cloner_, Pipeline) or len(self.cloner_) == 1:
            return spectra
        with config_context(enable_metadata_routing=True):
            normalisers = self.cloner_[:-1]
            normalised = normalisers.fit_transform(
                spectra, **self._teff_for(normalisers, "fit_transform", parameters)
            )
        # A Pipeline with memory fits copies of its steps: take them over.
        self.cloner_.steps[:-1] = normalisers.steps
        return normalised

    def _teff_for(self, normalisers, method, parameters):
        """Keyword arguments with Teff, where a normaliser asks for it."""
        asked = get_routing_for_object(normalisers).consumes(method, ["teff"])
        teff = self._column(parameters, "teff") if asked else None
        return {} if teff is None else {"teff": teff}

    def _column(self, parameters, name):
        """One parameter of all rows, or None where it has no column."""
        names = self.presence_grid_.parameter_names
        return parameters[:, names.index(name)] if name in names else None

    def _points(self, X):
        """Points inside the grid at which to evaluate."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.grid_.resolve_outside(X, self.extrapolate)

    def _lines(self, points, weights):
        """Lines at points of which the weights are known."""
        is_linear = self.interpolation_ == "linear"
        presence = weights if is_linear else self.presence_grid_.weights(points)
        return self.node_lines_.at(weights, presence)[0]

    def _lines_and_tangents(self, points):
        """Lines at points, and their derivatives with respect to each parameter."""
        return self.node_lines_.at(
            self.grid_.weights(points),
            self.presence_grid_.weights(points),
            self.grid_.weights_jacobian(points),
            self.presence_grid_.weights_jacobian(points),
        )

    def _flux_jacobian(self, points):
        """Differentiate normalised flux, shape (n_parameters, n_points, n_pixels)."""
        clone = clone_slopes = None
        if self.line_share_ > 0:
            clone, clone_slopes = render_dense_jvp(
                self.wavelength_, *self._lines_and_tangents(points), **self._rendering()
            )
        if self.node_residuals_ is None:
            return clone_slopes
        residual = self.node_residuals_.at(self.grid_.weights(points))
        slopes = np.array(
            [self.node_residuals_.at(change) for change in self.grid_.weights_jacobian(points)]
        )
        return compose_slopes(
            residual, slopes, clone, clone_slopes, self.line_share_, self.softening_
        )

    def _rendering(self):
        """Options with which lines are summed."""
        return self._line_cloner().render_settings()
