"""VoigtCloner: spectra as tables of spectral lines."""

from typing import Any

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_scalar

from skphx.lines._base_cloner import BaseCloner
from skphx.lines._growing import nearest_spectrum
from skphx.lines._table import LineTable


class VoigtCloner(BaseCloner):
    """Write normalised spectra as tables of pseudo-Voigt lines.

    `fit` learns one list of lines for all spectra; `transform` fits the four parameters of
    each line to each spectrum; `inverse_transform` renders the flux that the lines stand for.
    A line is its centre, the ln of its area, and the ln of its Gaussian and Lorentzian widths,
    all in Å. The paper calls such a table the clone of its spectrum.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels, None
        for pixel numbers 1, 2, ....
    prominence : float, default=0.005
        Least prominence of a detected line, in units of the continuum. In noisy spectra choose
        several times the noise, or every peak of it becomes a line.
    target_rms : float or None, default=0.002
        Lines are added where the residual shows missing absorption until the root mean square
        of lines minus flux is this small, or nothing is left to add; None fits the detected
        lines only.
    max_lines : int or None, default=None
        Largest number of lines to which the list may grow at one spectrum.
    n_seeds : int, default=9
        Number of spectra at which the list is grown: those that differ most, each starting from
        the lines of the nearest one before. Every spectrum is then fitted with the whole list,
        where a line can fade to nothing.
    regularization : float, default=0.01
        How strongly a spectrum's lines are held to those that they start from: a flux error of
        this size in one pixel weighs as much as a factor e in a width.
    max_iter : int, default=100
        Largest number of Levenberg-Marquardt steps of a fit.
    profile : {"pseudo-voigt", "voigt", "blase"}, default="pseudo-voigt"
        Shape of a line, see :func:`skphx.lines.render_flux`.
    device : str, default="cpu"
        Where lines are summed: the CPU, or a device of torch, such as "cuda".
    n_jobs : int or None, default=None
        Spectra fitted at once, by :class:`joblib.Parallel`.
    memory : str, :class:`joblib.Memory` or None, default=None
        Where fits are cached, so that the same spectrum with the same settings is never fitted
        twice, whatever grid it stands in.
    archive : path or None, default=None
        Folder in which every finished fit of the spectra given to `fit` is kept, see
        :class:`skphx.lines.LineArchive`. A run that was killed goes on from there, with the
        same result as if it had not been; other spectra or settings are refused. Beside
        `memory`, which may be emptied at any time and serves all grids, it is the durable
        record of one grid: it is asked first, and holds also what came from the memory.
    verbose : int, default=0
        Above 0, a progress bar over the spectra, with the rate and the time left.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    line_centers_ : ndarray of shape (n_lines,)
        Wavelength in Å of every line of the common list.
    n_lines_ : int
        Number of lines in the common list.
    seed_spectra_ : ndarray of shape (n_seeds, n_pixels)
        Spectra at which the list was grown.
    seed_lines_ : ndarray of shape (n_seeds, n_lines, 4)
        Parameters of the lines there: centre (Å), ln area, ln sigma, ln gamma (Å).
    quality_ : structured ndarray of shape (n_spectra,)
        ``row``, ``n_lines`` and ``rms`` (of lines minus flux) of each spectrum, from the last
        `fit_transform`.
    fit_seconds_ : ndarray of shape (n_spectra,)
        Wall time in seconds that each of these fits took, also where a store held it.
    n_features_in_ : int
        Number of pixels.

    See Also
    --------
    LineManifoldRegressor : fits the lines of a grid as functions of the stellar parameters.
    skphx.paper.PaperCloner : lines of each spectrum by itself, as in the paper.
    skphx.lines.render_flux : the sum over lines that both directions use.

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
        wavelength: Any = None,
        *,
        prominence: float = 0.005,
        target_rms: float | None = 0.002,
        max_lines: int | None = None,
        n_seeds: int = 9,
        regularization: float = 0.01,
        max_iter: int = 100,
        profile: str = "pseudo-voigt",
        device: str = "cpu",
        n_jobs: int | None = None,
        memory: str | Memory | None = None,
        archive: Any = None,
        verbose: int = 0,
    ) -> None:
        self.wavelength = wavelength
        self.prominence = prominence
        self.target_rms = target_rms
        self.max_lines = max_lines
        self.n_seeds = n_seeds
        self.regularization = regularization
        self.max_iter = max_iter
        self.profile = profile
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.archive = archive
        self.verbose = verbose

    def line_table(self, X: ArrayLike) -> LineTable:
        """Fit the lines of each spectrum and return all of them as a table.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Normalised flux, dimensionless.

        Returns
        -------
        LineTable
            Lines of all spectra; `identity` is the index in the common list.

        Raises
        ------
        NotFittedError, ValueError, RuntimeError
            As :meth:`transform`.
        """
        X = self._validate(X)
        return _table_of(self._fit_each(X, self._passes(X), first=True))

    def _learn(self, X, passes):
        rows, self.seed_lines_ = passes.grow(
            self.n_seeds,
            prominence=self.prominence,
            target_rms=self.target_rms,
            max_lines=self.max_lines,
        )
        self.seed_spectra_ = X[rows]
        self.line_centers_ = self.seed_lines_[:, :, 0].mean(axis=0)
        self.n_lines_ = len(self.line_centers_)

    def _learn_and_fit(self, X, passes):
        self._learn(X, passes)
        fits = self._fit_each(X, passes)
        self._keep_quality(fits)
        return _table_of(fits)

    def _fit_each(self, X, passes, *, first=False, **settings):
        """Fit the list to each spectrum, from the lines of the seed that is nearest in flux."""
        # Views of the seeds' lines, no copy a spectrum.
        start = [self.seed_lines_[nearest_spectrum(flux, self.seed_spectra_)] for flux in X]
        return passes.fit_each(start, first=first, regularization=self.regularization, **settings)

    def _check_parameters(self):
        super()._check_parameters()
        check_scalar(self.n_seeds, "n_seeds", int, min_val=1)
        check_scalar(self.regularization, "regularization", (float, int), min_val=0)
        check_scalar(self.max_iter, "max_iter", int, min_val=0)
        if self.max_lines is not None:
            check_scalar(self.max_lines, "max_lines", int, min_val=0)
        if self.target_rms is not None:
            check_scalar(self.target_rms, "target_rms", (float, int), min_val=0)

    def _fitting_settings(self):
        return {"max_iter": self.max_iter, **self._rendering()}

    def _archive_settings(self):
        return {
            "n_seeds": self.n_seeds,
            "regularization": self.regularization,
            "prominence": self.prominence,
            "target_rms": self.target_rms,
            "max_lines": self.max_lines,
            **self._fitting_settings(),
        }


def _table_of(fits):
    """Table of spectra that all have all lines of the list."""
    return LineTable.from_dense(np.array([fit["lines"] for fit in fits]))
