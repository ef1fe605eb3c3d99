"""PaperEmulator: flux as the sum of lines, each interpolated over the grid, as in the paper."""

from typing import Any

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.lines import LineTable
from skphx.lines._base_cloner import BaseCloner
from skphx.lines._base_emulator import LineEmulator
from skphx.paper._ragged_lines import RaggedLines


class PaperEmulator(LineEmulator):
    """Emulate spectra as sums of lines, as Shankar et al. do.

    Each node's lines are fitted by themselves, and the four parameters of each line are
    interpolated between the nodes that have it. The defaults are the paper's;
    :class:`skphx.LineManifoldRegressor` is more accurate.

    Parameters
    ----------
    cloner : PaperCloner or Pipeline that ends in one
        Turns spectra into lines; a copy of it is fitted. Steps of a Pipeline before
        the last normalise the spectra; `teff` is routed to those that ask for it.
    interpolation : {"linear", "hermite", "cubic", "radial", "auto"}, default="linear"
        How line parameters run between nodes, see :func:`skphx.interpolation.make_grid`.
        ``"auto"`` is the kind with which spectra of left-out nodes are interpolated best.
    missing : {"drop", "fade"}, default="drop"
        What a line does towards a node that lacks it. ``"drop"``: the paper's rule, ln a = -1000
        at the node and no line below -100, so that the line vanishes at once. ``"fade"``: its
        area goes to zero continuously and its shape comes from the nodes that have it.
    parameter_names : sequence of str or None, default=("teff", "logg", "feh")
        One name a column of `X`; None stands for x0, x1, .... The column ``"teff"``,
        in K, is what is routed to the cloner.
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
    cloner_ : PaperCloner or Pipeline
        The fitted cloner.
    grid_ : RectilinearGrid, FilledGrid or ScatteredGrid
        The nodes, and how to interpolate between them.
    interpolation_ : str
        Kind of the interpolation; chosen with ``interpolation="auto"``.
    manifold_ : RaggedLines
        The lines of the nodes.
    lines_ : ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area, ln sigma and ln gamma (Å) of every line at every node; NaN where
        the node lacks the line. Made when asked for.
    present_ : ndarray of shape (n_nodes, n_lines), bool
        Whether the line was found at the node. Made when asked for.
    line_rms_ : ndarray of shape (n_nodes,)
        Root mean square of flux minus the sum of lines at the nodes.
    error_ : InterpolationError or None
        How the emulator errs between its nodes and at them; None where no axis has three values.
    flux_error_ : ndarray of shape (n_pixels,) or None
        Root mean square error of the flux to expect half-way between nodes.
    node_continua_ : NodeContinua or None
        What the normalisers took away at the nodes; None without normalisers.
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    n_features_in_ : int
        Number of parameters.

    See Also
    --------
    PaperCloner : makes the tables of lines.
    skphx.LineManifoldRegressor : lines as surfaces over the grid, beside accurate flux.

    Notes
    -----
    `predict` returns flux as the cloner sees it, after the steps that normalise it;
    :meth:`normalize` brings other spectra there, and `score` compares there.

    With ``missing="drop"`` only ln a carries the paper's -1000; the published code wrote it
    into all four parameters, which moves a line by 11 Å within 0.1 K of a node.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference", section 3.

    Examples
    --------
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.paper import PaperCloner, PaperEmulator
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10)
    >>> spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    >>> cloner = PaperCloner(grid.wavelength, optimizer="levenberg-marquardt", n_epochs=10)
    >>> emulator = PaperEmulator(cloner).fit(grid.parameters, spectra)
    >>> emulator.predict([[5500, 4.5, 0.0]]).shape
    (1, 500)
    """

    # Flux is the sum of lines.
    flux = None

    def __init__(
        self,
        cloner: Any,
        interpolation: str = "linear",
        *,
        missing: str = "drop",
        parameter_names: Any = ("teff", "logg", "feh"),
        holes: str = "error",
        extrapolate: str = "error",
        medium: str | None = None,
    ) -> None:
        self.cloner = cloner
        self.interpolation = interpolation
        self.missing = missing
        self.parameter_names = parameter_names
        self.holes = holes
        self.extrapolate = extrapolate
        self.medium = medium

    def _check_parameters(self):
        self._check_choices(missing=("drop", "fade"))

    def _check_cloner(self, line_cloner):
        if not isinstance(line_cloner, BaseCloner):
            raise TypeError(
                f"cloner must be a PaperCloner or a Pipeline that ends in one, got "
                f"{type(line_cloner).__name__}; add skphx.paper.PaperCloner() as the last step."
            )

    def _lines_of_nodes(self, line_cloner, normalised, parameters, task):
        with task.hand_to("fit-cloner", line_cloner):
            lines = line_cloner.fit_transform(normalised)
        lines = lines.reshape(len(normalised), line_cloner.n_lines_, len(LINE_PARAMETERS))
        return self._on_grids(
            RaggedLines(LineTable.from_dense(lines), lines.shape[1], missing=self.missing),
            parameters,
        )

    def _lines_of_table(self, table, parameters):
        lines = RaggedLines(table, missing=self.missing, dtype=np.float32)
        return self._on_grids(lines, parameters)

    def _on_grids(self, lines, parameters):
        return lines.on(self.grid_, self._make_grid(parameters, "linear"))
