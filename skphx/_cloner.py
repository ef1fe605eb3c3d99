"""VoigtCloner: spectra as tables of spectral lines."""

from os import PathLike

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted, check_scalar

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx._spectra import validate_normalised
from skphx._validation import check_wavelength
from skphx.lines import LineArchive, LineTable, assign_lines, match_lines, nearest_spectrum
from skphx.lines._passes import Passes
from skphx.lines.table import LINE_PARAMETERS

_QUALITY = [("row", np.int64), ("n_lines", np.int64), ("rms", np.float64)]


class VoigtCloner(DocumentationLinkMixin, TransformerMixin, BaseEstimator):
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
        Least prominence of a detected line, in units of the continuum. In noisy spectra choose
        several times the noise, or every peak of it becomes a line.
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
        never cloned twice, whatever grid it stands in.
    verbose : int, default=0
        Above 0, a progress bar over the spectra, with the rate and the time left.
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
    archive : path or None, default=None
        Folder in which every finished fit of the spectra given to `fit` is kept, see
        :class:`skphx.lines.LineArchive`. A run that was killed goes on from there, with the
        same result as if it had not been; other spectra or settings are refused. Beside
        `memory`, which may be emptied at any time and serves all grids, it is the durable
        record of one grid: it is asked first, and holds also what came from the memory.

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
    quality_ : structured ndarray of shape (n_spectra,)
        ``row``, ``n_lines`` and ``rms`` (of clone minus flux) of each spectrum, from the last
        of `fit_transform`, `refit` and, with a detected list, `fit`.
    fit_seconds_ : ndarray of shape (n_spectra,)
        Wall time in seconds that each of these fits took, also where a store held it.
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
        archive=None,
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
        self.archive = archive

    @restore_on_failure
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
            If a parameter is out of its range, `wavelength` does not fit the spectra, a
            spectrum is not finite, negative or far from a continuum of 1, or `archive` is
            damaged or belongs to other spectra or settings.
        """
        self._fit(X)
        return self

    @restore_on_failure
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
        if table is None:
            fits = self._fit_grown(X)
            self._keep_quality(fits)
            table = _dense_table(fits)
        return self._to_columns(table)

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
        X = validate_normalised(self, X, reset=False)
        if self.line_list == "grown":
            return _dense_table(self._fit_grown(X, first=True))
        return self._to_table(self._passes(X).clone_each(first=True))

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
        return self.seed_lines_[self._nearest_seeds(validate_normalised(self, X, reset=False))]

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
        ndarray of shape (n_spectra, n_lines, 4)
            Fitted parameters.

        Raises
        ------
        NotFittedError, ValueError, RuntimeError
            As :meth:`transform`.
        """
        check_is_fitted(self)
        X = validate_normalised(self, X, reset=False)
        self._check_lines(X, start=start, prior=prior)
        fits = self._passes(X).fit_each(start, prior, pull=pull, n_epochs=n_epochs)
        self._keep_quality(fits)
        return np.array([fit["lines"] for fit in fits])

    def fit_surfaces(self, X, start, basis, penalty):
        """Fit the lines of all spectra together, each parameter a smooth function along the grid.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.
        start : ndarray of shape (n_spectra, n_lines, 4)
            Parameters to begin with: centre (Å), ln area, ln sigma, ln gamma (Å), finite.
        basis : ndarray of shape (n_spectra, n_terms)
            Functions of the stellar parameters, at the spectra, of which the parameters of
            every line are sums; the first is constant.
        penalty : ndarray of shape (n_terms,)
            How strongly each is held back, see :func:`skphx.lines.joint.fit_window`.

        Returns
        -------
        coefficients : ndarray of shape (n_lines, 4, n_terms)
            Fitted parameters of each line as sums of the functions, smooth along the grid.
        lower, upper : ndarrays of shape (n_lines, 4)
            Bounds between which each parameter is held.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`transform`.
        """
        check_is_fitted(self)
        X = validate_normalised(self, X, reset=False)
        self._check_lines(X, start=start)
        start, basis, penalty = (np.asarray(a, dtype=np.float64) for a in (start, basis, penalty))
        if basis.ndim != 2 or len(basis) != len(X) or penalty.shape != basis.shape[1:]:
            raise ValueError(
                f"basis must have a row for each of the {len(X)} spectra and penalty a number for "
                f"each of its columns, got shapes {basis.shape} and {penalty.shape}."
            )
        if start.shape[1] == 0:
            empty = np.empty((0, len(LINE_PARAMETERS)))
            return np.empty((*empty.shape, basis.shape[1])), empty, empty
        return self._passes(X).fit_together(start, basis, penalty)

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
        return table.render(self.wavelength_, **self.render_settings())

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

    def take_list(self, centers):
        """Take a list of lines that was learned elsewhere, so that its tables can be rendered.

        Parameters
        ----------
        centers : ndarray of shape (n_lines,)
            Wavelength in Å of every line of the list.

        Returns
        -------
        self : VoigtCloner
            Fitted as far as `inverse_transform` needs it; `transform` wants spectra to learn.

        Raises
        ------
        ValueError
            If `wavelength` does not say what the pixels are.
        """
        self._check_parameters()
        self.wavelength_ = check_wavelength(self.wavelength)
        self.n_features_in_ = len(self.wavelength_)
        self.line_centers_ = np.asarray(centers, dtype=np.float64)
        self.n_lines_ = len(self.line_centers_)
        return self

    def render_settings(self):
        """Options with which the lines of this cloner are summed.

        Returns
        -------
        dict
            `profile`, `transmission`, `wing_cut` and `device`, as :meth:`LineTable.render
            <skphx.lines.LineTable.render>` takes them.
        """
        return {**self._render_settings(), "device": self.device}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float64"]
        return tags

    def _nearest_seeds(self, X):
        """Row of the seed that is nearest in flux, of each spectrum."""
        return [nearest_spectrum(flux, self.seed_spectra_) for flux in X]

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
        _check_device(self.device)
        if not isinstance(self.archive, str | PathLike | None):
            raise TypeError(
                f"archive must be the path of a folder or None, got {type(self.archive).__name__}."
            )
        if self.max_lines is not None:
            check_scalar(self.max_lines, "max_lines", int, min_val=0)
        if self.target_rms is not None:
            check_scalar(self.target_rms, "target_rms", (float, int), min_val=0)

    def _check_lines(self, X, **given):
        """Raise unless arrays of lines fit the spectra and the list."""
        expected = (len(X), self.n_lines_, len(LINE_PARAMETERS))
        for name, lines in given.items():
            if np.shape(lines) != expected:
                raise ValueError(
                    f"{name} must hold the four parameters of every line of each spectrum, shape "
                    f"{expected}, got {np.shape(lines)}."
                )

    def _fit(self, X):
        """Learn the list; return the checked spectra, and the lines where all were cloned."""
        self._check_parameters()
        X = validate_normalised(self, X, reset=True)
        self.wavelength_ = check_wavelength(self.wavelength, X.shape[1])
        archive = None
        if self.archive is not None:
            archive = LineArchive.open_for(
                self.archive, self.wavelength_, X, self._archive_settings()
            )
            archive.forget_passes()
        passes = self._passes(X, archive)
        if self.line_list == "grown":
            rows, self.seed_lines_ = passes.grow(self.n_seeds)
            self.seed_spectra_ = X[rows]
            self.line_centers_ = self.seed_lines_[:, :, 0].mean(axis=0)
            self.n_lines_ = len(self.line_centers_)
            return X, None
        fits = passes.clone_each()
        self._keep_quality(fits)
        detected = [fit["pixel"] for fit in fits]
        self.line_pixels_ = match_lines(detected, X.shape[1], tolerance=self.tolerance)
        self.line_centers_ = self.wavelength_[self.line_pixels_]
        self.n_lines_ = len(self.line_pixels_)
        return X, self._to_table(fits)

    def _fit_grown(self, X, *, first=False):
        """Fit the grown list to each spectrum, from the seed that is nearest in flux."""
        # Views of the seeds' lines, no copy a spectrum.
        start = [self.seed_lines_[seed] for seed in self._nearest_seeds(X)]
        return self._passes(X).fit_each(
            start, start, first=first, pull=self.pull, n_epochs=self.n_epochs
        )

    def _passes(self, X, archive=None):
        """Return what runs the fits of spectra, with the archive if it is theirs."""
        return Passes(
            wavelength=self.wavelength_,
            X=X,
            cloning=self._cloning_settings(),
            fitting=self._fitting_settings(),
            rendering=self.render_settings(),
            n_jobs=self.n_jobs,
            memory=self.memory,
            verbose=self.verbose,
            archive=self._find_archive(X) if archive is None else archive,
        )

    def _find_archive(self, X):
        """Find the archive, if the spectra are those that it is made of."""
        if self.archive is None:
            return None
        return LineArchive.find_for(self.archive, self.wavelength_, X, self._archive_settings())

    def _archive_settings(self):
        """All that decides how spectra are cloned."""
        return {
            "line_list": self.line_list,
            "n_seeds": self.n_seeds,
            "pull": self.pull,
            "tolerance": self.tolerance,
            **self._cloning_settings(),
        }

    def _keep_quality(self, fits):
        """Remember how well spectra were fitted; times apart, because they never repeat."""
        rows = [(row, len(fit["lines"]), float(fit["rms"])) for row, fit in enumerate(fits)]
        self.quality_ = np.array(rows, dtype=_QUALITY)
        self.fit_seconds_ = np.array([float(fit["seconds"]) for fit in fits])

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

    def _to_table(self, fits):
        lines = np.concatenate([fit["lines"] for fit in fits])
        identity = [
            assign_lines(fit["pixel"], self.line_pixels_, tolerance=self.tolerance) for fit in fits
        ]
        return LineTable(
            offsets=np.cumsum([0, *(len(fit["lines"]) for fit in fits)]),
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


def _check_device(device):
    """Refuse a device that torch does not know or this machine does not have."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"device must name a torch device of this machine, such as 'cpu', got {device!r}: "
            f"{reason}"
        ) from error


def _dense_table(fits):
    """Table of spectra that all have all lines of the list."""
    return LineTable.from_dense(np.array([fit["lines"] for fit in fits]))
