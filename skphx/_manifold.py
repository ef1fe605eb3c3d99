"""LineManifoldRegressor: a spectrum at any stellar parameters, from lines cloned at nodes."""

import numpy as np
from scipy import sparse
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.metrics import r2_score
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data

from skphx._restore import restore_on_failure
from skphx.grids import make_grid, smooth_along_grid
from skphx.lines import pull_scale
from skphx.lines.table import LINE_PARAMETERS

LOG_AMPLITUDE = LINE_PARAMETERS.index("log_amplitude")
# The paper's two numbers: ln a written where a line is missing, and the ln a below which an
# interpolated line is dropped.
MISSING_LOG_AMPLITUDE = -1000.0
DROPPED_LOG_AMPLITUDE = -100.0


class LineManifoldRegressor(RegressorMixin, BaseEstimator):
    """Emulate spectra at any stellar parameters by interpolating their lines.

    Every node of a grid of spectra is cloned as a table of lines; each line's four parameters
    are interpolated between the nodes: its manifold. All manifolds share one set of weights
    on the nodes, so that one matrix product evaluates all lines.

    Parameters
    ----------
    cloner : VoigtCloner or Pipeline that ends in one
        Turns spectra into lines; it is cloned before it is fitted. Steps of a Pipeline before
        the last normalise the spectra; `teff` is routed to those that ask for it.
    interpolation : {"linear", "hermite", "cubic"}, default="linear"
        How line parameters run between nodes.
    missing : {"fade", "drop"}, default="fade"
        What a line does towards a node that lacks it. ``"fade"``: its area goes to zero
        continuously and its shape comes from the nodes that have it. ``"drop"``: the paper's
        rule, ln a = -1000 at the node and no line below -100, so that the line vanishes at
        once.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name a column of `parameters`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is what is routed to the cloner.
    smoothness : float, default=0.1
        With a cloner that grows its list of lines, how strongly the lines of each node are
        pulled to a smooth surface through those of all nodes: a flux error of this size in one
        pixel weighs as much as a factor e in a width. 0 leaves every node's lines as cloned.
    n_sweeps : int, default=4
        How often the surfaces are renewed and all nodes fitted again.
    residual : bool, default=True
        Keep what the clones leave of the spectra at the nodes, interpolate it alike, and add
        it. False is the paper's emulator of lines alone.
    holes : {"error", "interpolate"}, default="error"
        What to do with nodes that are not a full product of values: raise, or interpolate
        across the missing ones.
    extrapolate : {"error", "clip", "nearest"}, default="error"
        What `predict` does outside the nodes: raise, move to the edge, or to the nearest node.

    Attributes
    ----------
    cloner_ : VoigtCloner or Pipeline
        The fitted cloner.
    grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The nodes, and how to interpolate between them.
    presence_grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The same nodes, interpolated linearly, for where lines fade.
    lines_ : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å) of every line at every node; where
        `present_` is False, continued from the nearest nodes that have the line (with
        ``missing="drop"``, ln a = -1000 there).
    present_ : ndarray of shape (n_nodes, n_lines), bool
        Whether the line was found at the node.
    residual_ : ndarray of shape (n_nodes, n_pixels) or None
        Normalised flux minus clone at the nodes.
    clone_rms_ : ndarray of shape (n_nodes,)
        Root mean square of `residual_`, or of what it would be.
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
    """

    def __init__(
        self,
        cloner,
        interpolation="linear",
        missing="fade",
        parameter_names=("teff", "logg", "feh"),
        *,
        smoothness=0.1,
        n_sweeps=4,
        residual=True,
        holes="error",
        extrapolate="error",
    ):
        self.cloner = cloner
        self.interpolation = interpolation
        self.missing = missing
        self.parameter_names = parameter_names
        self.smoothness = smoothness
        self.n_sweeps = n_sweeps
        self.residual = residual
        self.holes = holes
        self.extrapolate = extrapolate

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
            If a parameter of the constructor is unknown; nodes are repeated, missing or do not
            fit `parameter_names`; or the cloner refuses the spectra.
        TypeError
            If `cloner` is not a VoigtCloner or a Pipeline that ends in one.
        """
        if self.missing not in ("fade", "drop"):
            raise ValueError(f"missing must be 'fade' or 'drop', got {self.missing!r}.")
        if self.extrapolate not in ("error", "clip", "nearest"):
            raise ValueError(
                f"extrapolate must be 'error', 'clip' or 'nearest', got {self.extrapolate!r}."
            )
        check_scalar(self.smoothness, "smoothness", (float, int), min_val=0)
        check_scalar(self.n_sweeps, "n_sweeps", int, min_val=1)
        X, y = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True, ensure_min_samples=1
        )
        if y.ndim == 1:
            raise ValueError(
                f"y must hold one spectrum a row, shape (n_nodes, n_pixels), got shape {y.shape}; "
                f"use y.reshape(-1, 1) if each spectrum is a single pixel."
            )
        self.grid_ = make_grid(
            X,
            parameter_names=self.parameter_names,
            interpolation=self.interpolation,
            holes=self.holes,
        )
        # Presence is interpolated linearly in either case: a cubic would overshoot 0 and 1.
        self.presence_grid_ = make_grid(
            X, parameter_names=self.parameter_names, interpolation="linear", holes=self.holes
        )
        self.cloner_ = clone(self.cloner)
        normalised = self._fit_normalisers(y, X)
        voigt_cloner = self._line_cloner()
        lines = self._clone_nodes(voigt_cloner, normalised, X)
        residual = normalised - voigt_cloner.inverse_transform(lines.reshape(len(X), -1))
        self.present_ = np.isfinite(lines).all(axis=2)
        self.lines_ = _continue_to_missing_nodes(lines, self.present_, self.grid_.edges())
        if self.missing == "drop":
            self.lines_[~self.present_, LOG_AMPLITUDE] = MISSING_LOG_AMPLITUDE
        self.clone_rms_ = np.sqrt(np.mean(residual**2, axis=1))
        self.residual_ = residual if self.residual else None
        self.wavelength_ = voigt_cloner.wavelength_
        return self

    def predict_lines(self, X):
        """Interpolate the lines, one step before the flux.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_spectra, 4 * n_lines)
            For each line centre (Å), ln area, ln sigma and ln gamma (Å), NaN where it is
            absent: the columns of ``VoigtCloner.transform``.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If a point lies outside the grid and `extrapolate` is "error".
        """
        return self._interpolate_lines(self._points(X))

    def predict(self, X):
        """Emulate the normalised spectra at given stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict_lines`.
        """
        points = self._points(X)
        flux = self._line_cloner().inverse_transform(self._interpolate_lines(points))
        if self.residual_ is not None:
            flux += self.grid_.weights(points) @ self.residual_
        return flux

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
            The spectra after all steps of the cloner but the last; unchanged where the cloner
            has one step.

        Raises
        ------
        NotFittedError, ValueError
            If fit was not called, or a step refuses the spectra.
        """
        check_is_fitted(self)
        spectra = check_array(spectra, dtype=np.float64)
        if not isinstance(self.cloner_, Pipeline) or len(self.cloner_) == 1:
            return spectra
        with config_context(enable_metadata_routing=True):
            normalisers = self.cloner_[:-1]
            return normalisers.transform(
                spectra, **self._teff_for(normalisers, "transform", np.asarray(parameters))
            )

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

    def _line_cloner(self):
        """Last step of the fitted cloner."""
        return self.cloner_[-1] if isinstance(self.cloner_, Pipeline) else self.cloner_

    def _clone_nodes(self, voigt_cloner, spectra, parameters):
        """Lines of all nodes, shape (n_nodes, n_lines, 4), NaN where a node lacks a line."""
        if voigt_cloner.line_list == "detected" or self.smoothness == 0:
            lines = voigt_cloner.fit_transform(spectra)
            return lines.reshape(len(spectra), voigt_cloner.n_lines_, len(LINE_PARAMETERS))
        voigt_cloner.fit(spectra)
        return smooth_along_grid(
            lambda start, prior: voigt_cloner.refit(spectra, start, prior, pull=self.smoothness),
            parameters,
            voigt_cloner.nearest_seed_lines(spectra),
            scale=pull_scale(voigt_cloner.wavelength_, voigt_cloner.line_centers_),
            pull=self.smoothness,
            n_sweeps=self.n_sweeps,
        )

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
        if not asked or "teff" not in self.grid_.parameter_names:
            return {}
        return {"teff": parameters[:, self.grid_.parameter_names.index("teff")]}

    def _points(self, X):
        """Points inside the grid at which to evaluate."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        return self.grid_.resolve_outside(X, self.extrapolate)

    def _interpolate_lines(self, points):
        n_lines, n_quantities = self.lines_.shape[1:]
        lines = _weighted(self.grid_.weights(points), self.lines_)
        if self.missing == "drop":
            absent = lines[..., LOG_AMPLITUDE] < DROPPED_LOG_AMPLITUDE
        else:
            # The area fades with the part of each point that nodes with the line cover.
            covered = self.presence_grid_.weights(points) @ self.present_.astype(np.float64)
            absent = covered <= 0.0
            lines[..., LOG_AMPLITUDE] += np.log(np.where(absent, 1.0, covered))
        lines[absent] = np.nan
        return lines.reshape(len(points), n_lines * n_quantities)


def _weighted(weights, at_nodes):
    """Weighted sums over nodes of an array of shape (n_nodes, ...)."""
    sums = weights @ at_nodes.reshape(len(at_nodes), -1)
    return sums.reshape(weights.shape[0], *at_nodes.shape[1:])


def _continue_to_missing_nodes(lines, present, edges):
    """Give absent lines the mean parameters of neighbouring nodes, outwards step by step."""
    n_nodes = len(lines)
    filled = np.where(present[..., None], lines, 0.0)
    known = present.copy()
    rows = np.concatenate([edges[:, 0], edges[:, 1]])
    columns = np.concatenate([edges[:, 1], edges[:, 0]])
    adjacent = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n_nodes, n_nodes))
    while not known.all():
        n_known = adjacent @ known.astype(np.float64)
        reached = ~known & (n_known > 0)
        if not reached.any():
            break
        means = _weighted(adjacent, filled) / np.maximum(n_known, 1.0)[..., None]
        filled[reached] = means[reached]
        known |= reached
    return filled
