"""What the estimators that fit lines share: lines to flux, names of columns, stores, quality."""

from abc import abstractmethod
from collections.abc import Sequence
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, check_scalar

from skphx._domain import LINE_PARAMETERS, check_wavelength
from skphx._input_spectra import validate_normalised
from skphx._plain import plain_numbers
from skphx._progress import fit_task
from skphx._restore import restore_on_failure
from skphx.lines._archive import LineArchive
from skphx.lines._engine.arguments import check_options
from skphx.lines._engine.devices import check_device
from skphx.lines._passes import Passes
from skphx.lines._table import LineTable

_QUALITY = [("row", np.int64), ("n_lines", np.int64), ("rms", np.float64)]


class BaseCloner(CallbackSupportMixin, TransformerMixin, BaseEstimator):
    """Base of transformers from normalised spectra to tables of lines.

    A subclass has the parameters `wavelength`, `prominence`, `profile`, `device`, `n_jobs`,
    `memory`, `archive` and `verbose`, and the methods below that are abstract.
    """

    wavelength: Any
    prominence: float
    profile: str
    device: str
    n_jobs: int | None
    memory: Any
    archive: Any
    verbose: int
    n_lines_: int
    line_centers_: NDArray[np.float64]

    @abstractmethod
    def line_table(self, X: ArrayLike) -> LineTable:
        """Fit the lines of each spectrum and return them as a ragged table."""

    @abstractmethod
    def _learn(self, X: Any, passes: Passes) -> None:
        """Learn the list of lines of checked spectra."""

    @abstractmethod
    def _learn_and_fit(self, X: Any, passes: Passes) -> LineTable:
        """Learn the list, and return the lines of the same spectra."""

    @abstractmethod
    def _fitting_settings(self) -> dict[str, Any]:
        """Return the keywords of the fit of one spectrum's lines."""

    @abstractmethod
    def _archive_settings(self) -> dict[str, Any]:
        """Return all that decides what the fits yield."""

    @restore_on_failure
    @with_callbacks
    def fit(self, X: ArrayLike, y: None = None) -> Self:
        """Learn the list of lines that the spectra have in common.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, continuum about 1, dimensionless.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted cloner.

        Raises
        ------
        ValueError
            If a parameter is out of its range, `wavelength` does not fit the spectra, a
            spectrum is not finite, negative or far from a continuum of 1, or `archive` is
            damaged or belongs to other spectra or settings.
        RuntimeError
            If the parameters of a line diverge.
        """
        with fit_task(self, X, y, n_subtasks=None) as task:
            self._learn(*self._begin_fit(X, task))
        return self

    @restore_on_failure
    @with_callbacks
    def fit_transform(self, X: ArrayLike, y: None = None) -> NDArray[np.float64]:
        """Fit, and transform the same spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, continuum about 1, dimensionless.
        y : None
            Ignored.

        Returns
        -------
        ndarray of shape (n_spectra, 4 * n_lines)
            As :meth:`transform`.

        Raises
        ------
        ValueError, RuntimeError
            As :meth:`fit`.
        """
        with fit_task(self, X, y, n_subtasks=None) as task:
            return self._to_columns(self._learn_and_fit(*self._begin_fit(X, task)))

    def transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Fit the lines of the common list to each spectrum.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.

        Returns
        -------
        ndarray of shape (n_spectra, 4 * n_lines)
            For each line of the list centre (Å), ln area (Å), ln sigma (Å) and ln gamma (Å),
            NaN where the spectrum lacks the line.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the spectra are not finite or do not have the pixels of fit.
        RuntimeError
            If the parameters of a line diverge.
        """
        return self._to_columns(self.line_table(X))

    def inverse_transform(self, X: ArrayLike) -> NDArray[np.float64]:
        """Render the flux of tables of lines.

        Parameters
        ----------
        X : array-like of shape (n_spectra, 4 * n_lines)
            Lines as :meth:`transform` returns them; NaN lines are absent.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the number of columns is not 4 * n_lines, or a number is masked.
        """
        check_is_fitted(self)
        X = plain_numbers(X, "X", remedy="a line that is absent is NaN")
        lines = check_array(
            X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_features=0
        )
        n_columns = len(LINE_PARAMETERS) * self.n_lines_
        if lines.shape[1] != n_columns:
            raise ValueError(
                f"X must have {n_columns} columns, four for each of the {self.n_lines_} lines "
                f"learned at fit, got {lines.shape[1]}; pass what transform returned."
            )
        shape = (len(lines), self.n_lines_, len(LINE_PARAMETERS))
        table = LineTable.from_dense(lines.reshape(shape))
        return table.render(self.wavelength_, **self._rendering())

    def get_feature_names_out(
        self, input_features: ArrayLike | None = None
    ) -> NDArray[np.object_]:
        """Names of the columns that `transform` returns.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str of shape (4 * n_lines,)
            Such as ``line3_8498.020_log_sigma``: number in the list, wavelength in Å, quantity.
        """
        check_is_fitted(self)
        return np.array(
            [
                f"line{number}_{center:.3f}_{quantity}"
                for number, center in enumerate(self.line_centers_)
                for quantity in LINE_PARAMETERS
            ],
            dtype=object,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

    def _take_list(self, centers):
        """Take a list of lines learned elsewhere, centres in Å, as far as rendering needs it."""
        self._check_parameters()
        self.wavelength_ = check_wavelength(self.wavelength)
        self.n_features_in_ = len(self.wavelength_)
        self.line_centers_ = np.asarray(centers, dtype=np.float64)
        self.n_lines_ = len(self.line_centers_)
        return self

    def _rendering(self):
        """Options with which lines are summed, as `LineTable.render` takes them."""
        return {**self._shape(), "device": self.device}

    def _shape(self):
        """Shape of a line, and how lines combine."""
        return {"profile": self.profile, "transmission": "exponential"}

    def _check_parameters(self):
        check_scalar(self.prominence, "prominence", (float, int), min_val=0)
        check_device(self.device)
        check_options(wing_cut=None, method="auto", **self._shape())
        if not isinstance(self.archive, str | PathLike | None):
            raise TypeError(
                f"archive must be the path of a folder or None, got {type(self.archive).__name__}."
            )

    def _validate(self, X):
        """Return spectra for which lines are to be fitted, checked; an estimator is fitted."""
        check_is_fitted(self)
        return validate_normalised(self, X, reset=False)

    def _begin_fit(self, X, task):
        """Check parameters and spectra; return the spectra and what runs their fits."""
        self._check_parameters()
        X = validate_normalised(self, X, reset=True)
        # Of an earlier fit, of other spectra.
        for name in ("quality_", "fit_seconds_"):
            self.__dict__.pop(name, None)
        self.wavelength_ = check_wavelength(self.wavelength, X.shape[1])
        archive = None
        if self.archive is not None:
            archive = LineArchive._open_for(
                self.archive, self.wavelength_, X, self._archive_settings()
            )
            archive._forget_passes()
        return X, self._passes(X, task, archive)

    def _passes(self, X, task=None, archive=None):
        """Return what runs the fits of spectra, with the archive if it is theirs."""
        return Passes(
            wavelength=self.wavelength_,
            X=X,
            fitting=self._fitting_settings(),
            rendering=self._rendering(),
            n_jobs=self.n_jobs,
            memory=self.memory,
            verbose=self.verbose,
            archive=self._find_archive(X) if archive is None else archive,
            task=task,
        )

    def _find_archive(self, X):
        """Find the archive, if the spectra are those that it is made of."""
        if self.archive is None:
            return None
        return LineArchive._find_for(self.archive, self.wavelength_, X, self._archive_settings())

    def _keep_quality(self, fits: Sequence[dict[str, Any]]) -> None:
        """Remember how well spectra were fitted; times apart, because they never repeat."""
        rows = [(row, len(fit["lines"]), float(fit["rms"])) for row, fit in enumerate(fits)]
        self.quality_ = np.array(rows, dtype=_QUALITY)
        self.fit_seconds_ = np.array([float(fit["seconds"]) for fit in fits])

    def _to_columns(self, table):
        dense = table.to_dense(self.n_lines_)
        return dense.reshape(table.n_spectra, len(LINE_PARAMETERS) * self.n_lines_)
