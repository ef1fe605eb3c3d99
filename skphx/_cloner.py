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
    match_lines,
)
from skphx.lines.table import LINE_PARAMETERS


class VoigtCloner(TransformerMixin, BaseEstimator):
    """Clone normalised spectra as tables of pseudo-Voigt lines.

    `fit` detects the lines of every spectrum and learns one list of lines for all of them;
    `transform` fits the four parameters of each line to each spectrum; `inverse_transform`
    renders the flux that the lines stand for. A line is its centre, the ln of its area, and
    the ln of its Gaussian and Lorentzian widths, all in Å.

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
    target_rms : float or None, default=0.001
        Lines are added where the residual shows missing absorption until the root mean square
        of clone minus flux is this small, or nothing is left to add; None fits the detected
        lines only, as the paper does.
    max_lines : int or None, default=None
        Largest number of lines to which a spectrum's clone may grow.
    tolerance : int, default=2
        Detections of different spectra at most this many pixels from a common centre are the
        same line; 0 is the paper's identity, equality of the detected pixel.
    min_distance : int, default=4
        Least number of pixels between two lines of one spectrum.
    edge : float, default=0.0
        Lines closer than this to either end of the spectrum are not detected, in Å.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    line_pixels_ : ndarray of shape (n_lines,), int
        Pixel of every line of the common list.
    line_centers_ : ndarray of shape (n_lines,)
        Wavelength of these pixels in Å.
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
    A line that `transform` finds in a new spectrum but that is not in the list learned at fit
    has no column; :meth:`line_table` returns it nevertheless, with identity -1.

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
        target_rms=0.001,
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
        X = self._start_fit(X)
        self._learn_lines(self._clone(X))
        return self

    def fit_transform(self, X, y=None):
        """Fit, and transform the same spectra, which are cloned only once.

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
        X = self._start_fit(X)
        clones = self._clone(X)
        self._learn_lines(clones)
        return self._to_columns(self._to_table(clones))

    def transform(self, X):
        """Fit the lines of each spectrum and put them into the columns of the common list.

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
        return self._to_table(self._clone(self._check_spectra(X, reset=False)))

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
        X = check_array(
            X, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_features=0
        )
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

    def _start_fit(self, X):
        self._check_parameters()
        X = self._check_spectra(X, reset=True)
        self.wavelength_ = check_wavelength(self.wavelength, X.shape[1])
        return X

    def _clone(self, X):
        """Lines and detected pixels of each spectrum, from the cache where they are known."""
        clone_one = check_memory(self.memory).cache(clone_spectrum)
        settings = {
            "prominence": self.prominence,
            "distance": self.min_distance,
            "edge": self.edge,
            "target_rms": self.target_rms,
            "max_lines": self.max_lines,
            "optimizer": self.optimizer,
            "n_epochs": self.n_epochs,
            "learning_rate": self.learning_rate,
            "device": self.device,
            **self._render_settings(),
        }
        clones = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(clone_one)(self.wavelength_, flux, **settings) for flux in X
        )
        progress = tqdm(
            clones, total=len(X), desc="cloning", unit="spectrum", disable=not self.verbose
        )
        return [(lines, detected) for lines, detected, _ in progress]

    def _learn_lines(self, clones):
        detected = [pixels for _, pixels in clones]
        self.line_pixels_ = match_lines(
            detected, len(self.wavelength_), tolerance=self.tolerance
        )
        self.line_centers_ = self.wavelength_[self.line_pixels_]
        self.n_lines_ = len(self.line_pixels_)

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
