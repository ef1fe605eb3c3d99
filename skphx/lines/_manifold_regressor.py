"""LineManifoldRegressor: every spectral line of a grid at any stellar parameters."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_scalar

from skphx.flux._emulator import FluxEmulator
from skphx.lines._base_emulator import LineEmulator
from skphx.lines._cloner import VoigtCloner
from skphx.lines._node_lines import NodeLines
from skphx.lines._smoothing import fit_lines_of_nodes


class LineManifoldRegressor(LineEmulator):
    """Emulate spectra at any stellar parameters, with every line along the grid.

    The spectrum of every node is written as a table of lines; each line's four parameters over
    the grid are its manifold. Flux comes from a :class:`FluxEmulator` of the same spectra, which
    is more accurate than any sum of lines, or from the lines alone.

    Parameters
    ----------
    cloner : VoigtCloner or Pipeline that ends in one
        Turns spectra into lines; a copy of it is fitted. Steps of a Pipeline before
        the last normalise the spectra; `teff` is routed to those that ask for it.
    interpolation : {"linear", "hermite", "cubic", "radial", "auto"}, default="auto"
        How line parameters run between nodes where they are no smooth surfaces, see
        :func:`skphx.interpolation.make_grid`: with ``smoothness=0``, and in :meth:`fit_table`.
        ``"auto"`` is the kind with which flux is interpolated best.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name a column of `X`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is what is routed to the cloner.
    flux : FluxEmulator, "auto" or None, default="auto"
        What flux is emulated by; ``"auto"`` is ``FluxEmulator()``. It is cloned, and gets
        wavelengths, names, holes and medium from here and normalised spectra from the cloner.
        None sums the lines.
    smoothness : float, default=0.01
        How smooth the parameters of lines are along the grid. All nodes are fitted together,
        with one surface for each parameter of each line, whose curvature costs this much: a flux
        error of this size in one pixel weighs as much as a factor e in a width. 0 leaves every
        node's lines as fitted by itself.
    n_passes : int, default=1
        Number of block-coordinate passes over the windows of wavelength in which the surfaces
        are fitted: every second window first, then those between, with the new lines of their
        neighbours.
    holes : {"error", "interpolate"}, default="error"
        What to do with nodes that are not a full product of values: raise, or interpolate
        across the missing ones.
    extrapolate : {"error", "clip", "nearest"}, default="error"
        What `predict` does outside the nodes: raise, move to the edge, or to the nearest node.
    medium : {"air", "vacuum"} or None, default=None
        Whether the wavelengths are in air or in vacuum. Wavelengths of observed spectra are
        converted to this medium. None means unknown.

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
        Centre (Å), ln area, ln sigma and ln gamma (Å) of every line at every node. Made when
        asked for.
    present_ : ndarray of shape (n_nodes, n_lines), bool
        Whether the node has the line: True everywhere. Made when asked for.
    line_rms_ : ndarray of shape (n_nodes,)
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
    skphx.paper.PaperEmulator : sums of lines, some of which some nodes lack, as in the paper.
    VoigtCloner : makes the tables of lines.
    StellarParameterEstimator : inverts this emulator.

    Notes
    -----
    `predict` returns flux as the cloner sees it, after the steps that normalise it;
    :meth:`normalize` brings other spectra there, and `score` compares there.

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
    >>> cloner = VoigtCloner(wavelength=grid.wavelength, max_iter=10)
    >>> emulator = LineManifoldRegressor(cloner).fit(grid.parameters, spectra)
    >>> emulator.predict([[5500, 4.5, 0.0]]).shape
    (1, 500)
    >>> emulator.predict_lines([[5500, 4.5, 0.0]]).shape[1] == 4 * emulator.cloner_.n_lines_
    True
    """

    def __init__(
        self,
        cloner: Any,
        interpolation: str = "auto",
        *,
        parameter_names: Sequence[str] | None = ("teff", "logg", "feh"),
        flux: FluxEmulator | str | None = "auto",
        smoothness: float = 0.01,
        n_passes: int = 1,
        holes: str = "error",
        extrapolate: str = "error",
        medium: str | None = None,
    ) -> None:
        self.cloner = cloner
        self.interpolation = interpolation
        self.parameter_names = parameter_names
        self.flux = flux
        self.smoothness = smoothness
        self.n_passes = n_passes
        self.holes = holes
        self.extrapolate = extrapolate
        self.medium = medium

    def _check_parameters(self):
        self._check_choices()
        check_scalar(self.smoothness, "smoothness", Real, min_val=0)
        check_scalar(self.n_passes, "n_passes", Integral, min_val=1)
        is_known = self.flux is None or isinstance(self.flux, FluxEmulator)
        if not is_known and not (isinstance(self.flux, str) and self.flux == "auto"):
            raise TypeError(
                f"flux must be a FluxEmulator, 'auto' or None, got {self.flux!r}; None sums the "
                f"lines."
            )

    def _check_cloner(self, line_cloner):
        if not isinstance(line_cloner, VoigtCloner):
            raise TypeError(
                f"cloner must be a VoigtCloner or a Pipeline that ends in one, got "
                f"{type(line_cloner).__name__}; add skphx.VoigtCloner() as the last step, or take "
                f"skphx.paper.PaperEmulator for lines that some nodes lack."
            )

    def _fit_flux(self, parameters, normalised, task):
        """Fit the emulator of the flux, and settle how lines run between nodes."""
        if self.flux is None:
            super()._fit_flux(parameters, normalised, task)
            return
        flux = FluxEmulator() if self.flux == "auto" else clone(self.flux)
        self.flux_ = flux.set_params(
            wavelength=self.wavelength_,
            normalizer=None,
            parameter_names=self.parameter_names,
            holes=self.holes,
            extrapolate=self.extrapolate,
            medium=self.medium,
        )
        with task.hand_to("fit-flux", self.flux_):
            self.flux_.fit(parameters, normalised)
        self.resolution_ = self.flux_.resolution_
        self.interpolation_ = self.interpolation
        if self.interpolation == "auto":
            self.interpolation_ = self.flux_.interpolation_

    def _lines_of_nodes(self, line_cloner, normalised, parameters, task):
        manifold = fit_lines_of_nodes(
            line_cloner,
            normalised,
            parameters,
            smoothness=self.smoothness,
            n_passes=self.n_passes,
            task=task,
        )
        return manifold.on(self.grid_) if isinstance(manifold, NodeLines) else manifold

    def _lines_of_table(self, table, parameters):
        _, number = np.unique(table.identity, return_inverse=True)
        n_lines = number.max(initial=-1) + 1
        lines = replace(table, identity=number).to_dense(n_lines)
        if table.n_lines != lines.shape[0] * n_lines or not np.isfinite(lines).all():
            raise ValueError(
                "table must hold every line once at every node; skphx.paper.PaperEmulator takes "
                "lines that some nodes lack."
            )
        return NodeLines(lines, dtype=np.float32).on(self.grid_)
