"""What emulators made of lines share: lines at any point of the grid, and their sum."""

import copy
from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import clone
from sklearn.callback import with_callbacks
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from skphx._domain import check_wavelength
from skphx._input_parameters import plain_parameters
from skphx._progress import fit_task
from skphx._restore import restore_on_failure
from skphx.flux._base import SpectralEmulator
from skphx.flux._choice import choose_interpolation, kinds_to_try
from skphx.flux._error import InterpolationError
from skphx.flux._pixels import find_pixels
from skphx.lines._dense import render_dense, render_dense_jvp
from skphx.lines._reach import lines_that_matter
from skphx.lines._table import LineTable

# Nodes whose lines are rendered together.
_NODES_AT_ONCE = 64


class LineEmulator(SpectralEmulator):
    """Base of emulators that hold every line along the grid.

    Beside what :class:`SpectralEmulator` asks for, a subclass has the parameters `cloner` and
    `flux`, and the methods below that are abstract.
    """

    cloner: Any
    flux: Any
    interpolation: str
    flux_: Any
    manifold_: Any

    @abstractmethod
    def _check_parameters(self):
        """Raise where a setting is out of its range."""

    @abstractmethod
    def _check_cloner(self, line_cloner):
        """Raise unless the last step of the cloner fits lines as this emulator needs them."""

    @abstractmethod
    def _lines_of_nodes(self, line_cloner, normalised, parameters, task):
        """Fit the lines of all nodes; return them as an object that gives lines at points."""

    @abstractmethod
    def _lines_of_table(self, table, parameters):
        """Make the same of lines that were fitted before."""

    def _fit_flux(self, parameters, normalised, task):
        """Fit what emulates the flux, and settle how lines run between nodes.

        Here flux is the sum of lines, and lines run as spectra do best.
        """
        self.flux_ = self.resolution_ = None
        self.interpolation_ = self.interpolation
        if self.interpolation == "auto":
            self.interpolation_ = choose_interpolation(
                parameters,
                normalised,
                interpolations=kinds_to_try("auto", len(parameters)),
                saturations=(np.inf,),
            ).interpolation

    @restore_on_failure
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the lines of all nodes, and learn their flux.

        Parameters
        ----------
        X : array-like or table of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes, columns as `parameter_names`. The columns of a
            DataFrame, a Table of astropy or a structured array are found by their names.
        y : array-like of shape (n_nodes, n_pixels)
            Their spectra, as the cloner takes them.

        Returns
        -------
        self
            The fitted emulator.

        Raises
        ------
        ValueError
            If a parameter of the constructor is unknown; nodes are repeated, missing, fewer
            than the interpolation needs or do not fit `parameter_names`; or the cloner
            refuses the spectra.
        TypeError
            If `cloner` does not end in an estimator that fits such lines.
        """
        with fit_task(self, X, y, n_subtasks=None) as task:
            self._check_parameters()
            X, y = self._validate_nodes(X, y)
            self.grid_ = self._make_grid(X, "linear")
            self._check_order(self.grid_)
            self.cloner_ = clone(self.cloner)
            line_cloner = self._line_cloner()
            self._check_cloner(line_cloner)
            normalizer = self._fitted_normalizer()
            normalised = self._fit_normalizer(normalizer, y, X)
            if normalizer is not None:
                # A Pipeline with memory fits copies of its steps: take them over.
                self.cloner_.steps[:-1] = normalizer.steps
            self.wavelength_ = check_wavelength(line_cloner.wavelength, normalised.shape[1])
            self._fit_flux(X, normalised, task)
            self.grid_ = self._make_grid(X, self.interpolation_)
            self.manifold_ = self._lines_of_nodes(line_cloner, normalised, X, task)
            self._measure_lines(normalised)
            self._keep_continua(normalizer, X, y, normalised)
        return self

    @restore_on_failure
    def fit_table(self, X: ArrayLike, table: LineTable) -> Self:
        """Take lines that were fitted before, in place of spectra.

        Flux is the sum of the lines, for there are no spectra.

        Parameters
        ----------
        X : array-like or table of shape (n_nodes, n_parameters)
            Stellar parameters of the nodes, columns as `parameter_names`. The columns of a
            DataFrame, a Table of astropy or a structured array are found by their names.
        table : LineTable
            Lines of each node, in the same order; lines of equal `identity` are the same line,
            and the emulator's list has the identities in their order. Values are kept in single
            precision, centres to 1e-8 Å.

        Returns
        -------
        self
            The fitted emulator.

        Raises
        ------
        ValueError
            If the numbers of nodes differ, a node has two lines of one identity or lacks one
            that it must have, the cloner has no wavelengths or is a Pipeline, or
            `interpolation` is "auto" or `flux` a FluxEmulator, which need spectra.
        """
        self._check_parameters()
        if self.interpolation == "auto":
            raise ValueError(
                "interpolation='auto' leaves spectra out to choose, and fit_table has none; "
                "name a kind."
            )
        if self.flux not in (None, "auto"):
            raise ValueError("flux needs spectra to learn, and fit_table has none; set flux=None.")
        X = plain_parameters(X, self.parameter_names, "X")
        nodes = validate_data(self, X, dtype=np.float64)
        if table.n_spectra != len(nodes):
            raise ValueError(
                f"table holds the lines of {table.n_spectra} nodes but X has {len(nodes)} rows; "
                f"give one row of parameters a node."
            )
        self._check_order(self._make_grid(nodes, "linear"))
        self.grid_ = self._make_grid(nodes, self.interpolation)
        self.interpolation_ = self.interpolation
        self.cloner_ = clone(self.cloner)
        if isinstance(self.cloner_, Pipeline):
            raise ValueError(
                "cloner must not be a Pipeline: fitted lines need no normaliser; give the last "
                "step of the Pipeline."
            )
        self.manifold_ = self._lines_of_table(table, nodes)
        self.cloner_._take_list(self.manifold_.centers)
        self.wavelength_ = self.cloner_.wavelength_
        self.n_pixels_fit_ = len(self.wavelength_)
        self.line_rms_ = np.full(len(nodes), np.nan)
        self.flux_ = self.error_ = self.node_continua_ = self.selected_pixels_ = None
        self.resolution_ = None
        return self

    @property
    def lines_(self) -> NDArray[np.float64]:
        """Lines of all nodes, NaN where absent."""
        check_is_fitted(self)
        return self.manifold_.to_dense()

    @property
    def present_(self) -> NDArray[np.bool_]:
        """Whether each node has each line."""
        check_is_fitted(self)
        return self.manifold_.present

    def predict_lines(self, X: ArrayLike) -> NDArray[np.float64]:
        """Lines at given stellar parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters.

        Returns
        -------
        ndarray of shape (n_spectra, 4 * n_lines)
            For each line centre (Å), ln area (Å), ln sigma (Å) and ln gamma (Å), NaN where it
            is absent: the columns of the cloner's ``transform``.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict`.
        """
        points = self._points(X)
        return self.manifold_.at(points).reshape(len(points), -1)

    def lines_jacobian(self, X: ArrayLike) -> NDArray[np.float64]:
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

    def _lines(self, points):
        return self.manifold_.at(points)

    def select(self, *, wavelength: ArrayLike) -> Self:
        """Cut the emulator to part of the wavelengths, or move it to other pixels.

        Only the lines that matter there are kept, so that it takes less time and memory: those
        left out have together an optical depth below 1e-4 at every node.

        Parameters
        ----------
        wavelength : tuple (start, stop) or array-like of shape (n_new,)
            Range of which the pixels are kept, Å, or new pixel centres within the old range.

        Returns
        -------
        emulator
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
        pixels. The paper's `wing_cut` counts the pixels that there are: it cuts wings elsewhere
        on other pixels, and near the ends of a range. :meth:`normalize` of an emulator with
        normalisers still takes spectra on the pixels of fit, because a continuum depends on all
        of them.
        """
        check_is_fitted(self)
        new = copy.copy(self)
        pixels, new.wavelength_ = find_pixels(wavelength, self.wavelength_)
        kept = lines_that_matter(self.manifold_, new.wavelength_)
        new.manifold_ = self.manifold_.selected(kept)
        if self.flux_ is not None:
            new.flux_ = self.flux_.select(wavelength=wavelength)
        return self._select(new, pixels)

    def _line_cloner(self):
        """Last step of the fitted cloner."""
        return self.cloner_[-1] if isinstance(self.cloner_, Pipeline) else self.cloner_

    def _fitted_normalizer(self):
        """All steps of the cloner but the last, or None."""
        is_chain = isinstance(self.cloner_, Pipeline) and len(self.cloner_) > 1
        return self.cloner_[:-1] if is_chain else None

    def _measure_lines(self, normalised):
        """Measure what the lines miss at the nodes: without `flux` the emulator's error."""
        nodes = self.grid_.nodes
        self.line_rms_ = np.empty(len(normalised))
        missed = np.empty(normalised.shape) if self.flux_ is None else None
        # A few spectra at once: sums of lines of a large grid take much room.
        for first in range(0, len(normalised), _NODES_AT_ONCE):
            rows = slice(first, first + _NODES_AT_ONCE)
            difference = self._sum_of_lines(nodes[rows]) - normalised[rows]
            self.line_rms_[rows] = np.sqrt((difference**2).mean(axis=1))
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
        return self._line_cloner()._rendering()
