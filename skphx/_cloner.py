"""VoigtCloner: spectra as tables of spectral lines."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import (
    check_is_fitted,
    check_memory,
    check_scalar,
    validate_data,
)
from tqdm import tqdm

from skphx._validation import check_wavelength
from skphx.lines import (
    LineTable,
    assign_lines,
    clone_spectrum,
    fit_lines,
    grow_lines,
    line_information,
    match_lines,
    nearest_spectrum,
)
from skphx.lines.table import LINE_PARAMETERS


class VoigtCloner(TransformerMixin, BaseEstimator):
    """Clone normalised spectra as tables of pseudo-Voigt lines.

    `fit` learns one list of lines for all spectra; `transform` fits the four parameters of
    each line to each spectrum; `inverse_transform` renders the flux that the lines stand for.
    A line is its centre, the ln of its area, and the ln of its Gaussian and Lorentzian widths,
    all in Å.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels, None
        for pixel numbers 1, 2, ....
    prominence : float, default=0.005
        Least prominence of a detected line, in units of the continuum.
    wing_cut : int or None, default=None
        Number of pixels around its centre on which a line is summed; None sums the whole wing.
    optimizer : {"levenberg-marquardt", "adam"}, default="levenberg-marquardt"
        How lines are fitted: second-order least squares, or the paper's Adam with amsgrad on
        the mean squared error, centres free in Å.
    n_epochs : int, default=100
        Steps of the optimizer; Levenberg-Marquardt stops earlier where it has converged.
    learning_rate : float, default=0.05
        Step size of Adam, in the units of the line parameters.
    profile : {"pseudo-voigt", "voigt", "blase"}, default="pseudo-voigt"
        Shape of a line, see :func:`skphx.lines.render_flux`.
    transmission : {"exponential", "product"}, default="exponential"
        How lines combine: flux = exp(-Σ a V) or flux = Π (1 - a V).
    device : str, default="cpu"
        torch device on which lines are fitted and rendered.
    n_jobs : int or None, default=None
        Spectra fitted at once, by :class:`joblib.Parallel`.
    memory : str, :class:`joblib.Memory` or None, default=None
        Where fitted clones are cached, so that the same spectrum with the same settings is
        never cloned twice.
    verbose : int, default=0
        Above 0, a progress bar over the spectra.
    line_list : {"grown", "detected"}, default="grown"
        How the spectra get one list of lines. ``"grown"``: the list grows at the few spectra
        that differ most, each starting from the lines of the nearest one, and every spectrum
        is fitted with the whole list, where a line can fade to nothing. ``"detected"``: every
        spectrum is cloned by itself and lines of different spectra are matched by the pixel
        at which they were detected; a line can be absent.
    n_seeds : int, default=9
        Number of spectra at which a list is grown.
    pull : float, default=0.01
        With a grown list, how strongly a spectrum's lines are pulled to those that they start
        from: a flux error of this size in one pixel weighs as much as a factor e in a width.
    target_rms : float or None, default=0.002
        Lines are added where the residual shows missing absorption until the root mean square
        of clone minus flux is this small, or nothing is left to add; None fits the detected
        lines only, as the paper does.
    max_lines : int or None, default=None
        Largest number of lines to which a spectrum's clone may grow.
    tolerance : int, default=2
        Detections of different spectra at most this many pixels from a common centre are the
        same line in a detected list; 0 is the paper's identity, equality of that pixel.
    min_distance : int, default=4
        Least number of pixels between two lines of one spectrum.
    edge : float, default=0.0
        Lines closer than this to either end of the spectrum are not detected, in Å.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    line_centers_ : ndarray of shape (n_lines,)
        Wavelength in Å of every line of the common list.
    line_pixels_ : ndarray of shape (n_lines,), int
        The same in pixels, of a detected list.
    seed_spectra_ : ndarray of shape (n_seeds, n_pixels)
        Spectra at which a grown list was learned.
    seed_lines_ : ndarray of shape (n_seeds, n_lines, 4)
        Parameters of the lines there: centre (Å), ln area, ln sigma, ln gamma (Å).
    n_lines_ : int
        Number of lines in the common list.
    n_features_in_ : int
        Number of pixels.

    See Also
    --------
    LineManifoldRegressor : interpolates the cloned lines between spectra.
    skphx.lines.render_flux : the sum over lines that both directions use.

    Notes
    -----
    With a detected list, a line that `transform` finds in a new spectrum but that is not in
    the list has no column; :meth:`line_table` returns it nevertheless, with identity -1.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference"; Gully-Santiago & Morley (2022), ApJ 941, 200.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import VoigtCloner
    >>> wavelength = np.linspace(5000.0, 5004.0, 401)
    >>> depth = np.array([[0.3], [0.6]])
    >>> spectra = 1 - depth * np.exp(-0.5 * ((wavelength - 5002.0) / 0.05) ** 2)
    >>> cloner = VoigtCloner(wavelength=wavelength).fit(spectra)
    >>> cloner.line_centers_
    array([5002.])
    >>> lines = cloner.transform(spectra)
    >>> lines.shape
    (2, 4)
    >>> bool(abs(cloner.inverse_transform(lines) - spectra).max() < 0.02)
    True
    """

    def __init__(
        self,
        wavelength=None,
        prominence=0.005,
        wing_cut=None,
        optimizer="levenberg-marquardt",
        n_epochs=100,
        learning_rate=0.05,
        profile="pseudo-voigt",
        transmission="exponential",
        device="cpu",
        n_jobs=None,
        memory=None,
        verbose=0,
        *,
        line_list="grown",
        n_seeds=9,
        pull=0.01,
        target_rms=0.002,
        max_lines=None,
        tolerance=2,
        min_distance=4,
        edge=0.0,
    ):
        self.wavelength = wavelength
        self.prominence = prominence
        self.wing_cut = wing_cut
        self.optimizer = optimizer
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.profile = profile
        self.transmission = transmission
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose
        self.line_list = line_list
        self.n_seeds = n_seeds
        self.pull = pull
        self.target_rms = target_rms
        self.max_lines = max_lines
        self.tolerance = tolerance
        self.min_distance = min_distance
        self.edge = edge

    def fit(self, X, y=None):
        """Learn the list of lines that the spectra have in common.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, continuum about 1, dimensionless.
        y : None
            Ignored.

        Returns
        -------
        self : VoigtCloner
            The fitted cloner.

        Raises
        ------
        ValueError
            If a parameter is out of its range, `wavelength` does not fit the spectra, or a
            spectrum is not finite or nowhere positive.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
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
            As :meth:`fit` and :meth:`transform`.
        """
        X, table = self._fit(X)
        # A detected list is learned from clones of all spectra: they are not made twice.
        return self._to_columns(self._fit_grown(X) if table is None else table)

    def transform(self, X):
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
            If the parameters of a line run off to infinity.
        """
        return self._to_columns(self.line_table(X))

    def line_table(self, X):
        """Fit the lines of each spectrum and return all of them as a ragged table.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.

        Returns
        -------
        LineTable
            Lines of all spectra; `identity` is the index in the common list, or -1.

        Raises
        ------
        NotFittedError, ValueError, RuntimeError
            As :meth:`transform`.
        """
        check_is_fitted(self)
        X = self._check_spectra(X, reset=False)
        if self.line_list == "grown":
            return self._fit_grown(X)
        return self._to_table(self._clone_each(X))

    def nearest_seed_lines(self, X):
        """Lines of the seed whose flux is nearest to each spectrum, from which fits start.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.

        Returns
        -------
        ndarray of shape (n_spectra, n_lines, 4)
            Centre (Å), ln area, ln sigma and ln gamma (Å).

        Raises
        ------
        NotFittedError
            If `fit` was not called, or learned a detected list, which has no seeds.
        """
        check_is_fitted(self, "seed_lines_")
        X = self._check_spectra(X, reset=False)
        return self.seed_lines_[[nearest_spectrum(flux, self.seed_spectra_) for flux in X]]

    def refit(self, X, start, prior, *, pull, n_epochs=5):
        """Fit the lines of the common list again, pulled to given parameters.

        This is how lines become smooth along a grid: the prior of each spectrum comes from
        its neighbours.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.
        start, prior : ndarrays of shape (n_spectra, n_lines, 4)
            Parameters to begin with, and to be pulled to: centre (Å), ln area, ln sigma,
            ln gamma (Å), finite.
        pull : float
            Strength of the pull, as the parameter `pull`.
        n_epochs : int
            Largest number of steps.

        Returns
        -------
        lines : ndarray of shape (n_spectra, n_lines, 4)
            Fitted parameters.
        information : ndarray of shape (n_spectra, n_lines, 4)
            What the flux says about each, see :func:`skphx.lines.line_information`.

        Raises
        ------
        NotFittedError, ValueError, RuntimeError
            As :meth:`transform`.
        """
        check_is_fitted(self)
        X = self._check_spectra(X, reset=False)
        fitting = self._fitting_settings() | {"pull": pull, "n_epochs": n_epochs}
        refit_one = check_memory(self.memory).cache(_refit_spectrum)
        fitted = self._parallel(
            (
                delayed(refit_one)(self.wavelength_, *arrays, fitting)
                for arrays in zip(X, start, prior, strict=True)
            ),
            len(X),
        )
        lines, information = zip(*fitted, strict=True)
        return np.array(lines), np.array(information)

    def inverse_transform(self, X):
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
            If the number of columns is not 4 * n_lines.
        """
        check_is_fitted(self)
        X = check_array(X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_features=0)
        n_columns = len(LINE_PARAMETERS) * self.n_lines_
        if X.shape[1] != n_columns:
            raise ValueError(
                f"X must have {n_columns} columns, four for each of the {self.n_lines_} lines "
                f"learned at fit, got {X.shape[1]}; pass what transform returned."
            )
        table = LineTable.from_dense(X.reshape(len(X), self.n_lines_, len(LINE_PARAMETERS)))
        return table.render(self.wavelength_, device=self.device, **self._render_settings())

    def get_feature_names_out(self, input_features=None):
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
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

    def _check_parameters(self):
        check_scalar(self.prominence, "prominence", (float, int), min_val=0)
        check_scalar(self.n_epochs, "n_epochs", int, min_val=0)
        check_scalar(
            self.learning_rate,
            "learning_rate",
            (float, int),
            min_val=0,
            include_boundaries="neither",
        )
        if self.line_list not in ("grown", "detected"):
            raise ValueError(f"line_list must be 'grown' or 'detected', got {self.line_list!r}.")
        check_scalar(self.n_seeds, "n_seeds", int, min_val=1)
        check_scalar(self.pull, "pull", (float, int), min_val=0)
        check_scalar(self.tolerance, "tolerance", int, min_val=0)
        check_scalar(self.min_distance, "min_distance", int, min_val=1)
        check_scalar(self.edge, "edge", (float, int), min_val=0)
        if self.wing_cut is not None:
            check_scalar(self.wing_cut, "wing_cut", int, min_val=2)
        if self.max_lines is not None:
            check_scalar(self.max_lines, "max_lines", int, min_val=0)
        if self.target_rms is not None:
            check_scalar(self.target_rms, "target_rms", (float, int), min_val=0)

    def _check_spectra(self, X, *, reset):
        X = validate_data(self, X, dtype=np.float64, reset=reset)
        # A single pixel holds no line, whatever its level.
        dark = (X <= 0).all(axis=1) & (X.shape[1] > 1)
        if dark.any():
            raise ValueError(
                f"X must hold normalised flux with a continuum about 1, but spectrum "
                f"{int(np.flatnonzero(dark)[0])} is nowhere positive; leave it out or "
                f"normalise it first."
            )
        return X

    def _fit(self, X):
        """Learn the list; return the checked spectra, and the lines where all were cloned."""
        self._check_parameters()
        X = self._check_spectra(X, reset=True)
        self.wavelength_ = check_wavelength(self.wavelength, X.shape[1])
        if self.line_list == "grown":
            grow = check_memory(self.memory).cache(grow_lines)
            rows, self.seed_lines_ = grow(
                self.wavelength_, X, n_seeds=self.n_seeds, **self._cloning_settings()
            )
            self.seed_spectra_ = X[rows]
            self.line_centers_ = self.seed_lines_[:, :, 0].mean(axis=0)
            self.n_lines_ = len(self.line_centers_)
            return X, None
        clones = self._clone_each(X)
        detected = [pixel for _, pixel in clones]
        self.line_pixels_ = match_lines(detected, X.shape[1], tolerance=self.tolerance)
        self.line_centers_ = self.wavelength_[self.line_pixels_]
        self.n_lines_ = len(self.line_pixels_)
        return X, self._to_table(clones)

    def _clone_each(self, X):
        """Lines and detected pixels of each spectrum by itself."""
        clone_one = check_memory(self.memory).cache(clone_spectrum)
        settings = self._cloning_settings()
        clones = self._parallel(
            (delayed(clone_one)(self.wavelength_, flux, **settings) for flux in X), len(X)
        )
        return [(lines, pixel) for lines, pixel, _ in clones]

    def _fit_grown(self, X):
        """Fit the grown list to each spectrum, from the seed that is nearest in flux."""
        start = self.nearest_seed_lines(X)
        lines, _ = self.refit(X, start, start, pull=self.pull, n_epochs=self.n_epochs)
        return LineTable.from_dense(lines)

    def _parallel(self, jobs, n_jobs_total):
        results = Parallel(n_jobs=self.n_jobs, return_as="generator")(jobs)
        return list(
            tqdm(
                results,
                total=n_jobs_total,
                desc="cloning",
                unit="spectrum",
                disable=not self.verbose,
            )
        )

    def _cloning_settings(self):
        return {
            "prominence": self.prominence,
            "distance": self.min_distance,
            "edge": self.edge,
            "target_rms": self.target_rms,
            "max_lines": self.max_lines,
            **self._fitting_settings(),
        }

    def _fitting_settings(self):
        return {
            "optimizer": self.optimizer,
            "n_epochs": self.n_epochs,
            "learning_rate": self.learning_rate,
            "device": self.device,
            **self._render_settings(),
        }

    def _to_table(self, clones):
        lines = np.concatenate([lines for lines, _ in clones])
        identity = [
            assign_lines(detected, self.line_pixels_, tolerance=self.tolerance)
            for _, detected in clones
        ]
        return LineTable(
            offsets=np.cumsum([0, *(len(lines) for lines, _ in clones)]),
            identity=np.concatenate(identity),
            **{name: lines[:, k] for k, name in enumerate(LINE_PARAMETERS)},
        )

    def _to_columns(self, table):
        dense = table.to_dense(self.n_lines_)
        return dense.reshape(table.n_spectra, len(LINE_PARAMETERS) * self.n_lines_)

    def _render_settings(self):
        return {
            "profile": self.profile,
            "transmission": self.transmission,
            "wing_cut": self.wing_cut,
        }


def _refit_spectrum(wavelength, flux, start, prior, fitting):
    """Lines of one spectrum and what its flux says about them: the unit that is cached."""
    lines, _ = fit_lines(wavelength, flux, start, prior=prior, **fitting)
    rendering = {name: fitting[name] for name in ("profile", "transmission", "wing_cut", "device")}
    return lines, line_information(wavelength, lines, **rendering)
