"""PaperCloner: the lines of each spectrum by itself, as in the paper."""

import warnings
from time import perf_counter
from typing import Any

import numpy as np
from joblib import Memory
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_scalar

from skphx._domain import LINE_PARAMETERS
from skphx.lines import LineTable
from skphx.lines._base_cloner import BaseCloner
from skphx.lines._fitting import fit_lines, fit_spectrum
from skphx.paper._adam import fit_adam
from skphx.paper._extra import needed_for
from skphx.paper._matching import assign_lines, match_lines

_OPTIMIZERS = ("adam", "levenberg-marquardt")
# Of spectra of no more pixels nobody expects lines.
_FEW_PIXELS = 100


class PaperCloner(BaseCloner):
    """Write normalised spectra as tables of lines, as in Shankar et al.

    Lines are detected in each spectrum and fitted by Adam; lines of different spectra that were
    detected at the same pixel are the same line, and a spectrum can lack one. The defaults are
    the paper's; :class:`skphx.VoigtCloner` is more accurate in less time.

    Parameters
    ----------
    wavelength : array-like or Quantity of shape (n_pixels,), tuple (start, stop), or None
        Pixel centres in Å, strictly increasing. A tuple stands for evenly spaced pixels, None
        for pixel numbers 1, 2, ....
    prominence : float, default=0.005
        Least prominence of a detected line, in units of the continuum.
    min_distance : int, default=4
        Least number of pixels between two lines of one spectrum.
    edge : float, default=30.0
        Lines closer than this to either end of the spectrum are not detected, in Å.
    tolerance : int, default=0
        Detections of different spectra at most this many pixels from a common centre are the
        same line; 0 is the paper's identity, equality of that pixel.
    optimizer : {"adam", "levenberg-marquardt"}, default="adam"
        How lines are fitted: Adam with amsgrad on the mean squared error, centres free in Å,
        which needs torch; or the fit of :class:`skphx.VoigtCloner`.
    n_epochs : int, default=100
        Steps of the optimizer; Levenberg-Marquardt stops earlier where it has converged.
    learning_rate : float, default=0.05
        Step size of Adam, in the units of the line parameters.
    target_rms : float or None, default=None
        Lines are added where the residual shows missing absorption until its root mean square
        is this small; None fits the detected lines only, as the paper does.
    max_lines : int or None, default=None
        Largest number of lines of a spectrum with `target_rms`.
    profile : {"pseudo-voigt", "voigt", "blase"}, default="pseudo-voigt"
        Shape of a line, see :func:`skphx.lines.render_flux`.
    transmission : {"product", "exponential"}, default="product"
        How lines combine: flux = Π (1 - a V) or flux = exp(-Σ a V).
    wing_cut : int or None, default=6000
        Number of pixels around its centre on which a line is summed; None sums the whole wing.
    device : str, default="cpu"
        torch device on which lines are fitted and rendered.
    n_jobs : int or None, default=None
        Spectra fitted at once, by :class:`joblib.Parallel`.
    memory : str, :class:`joblib.Memory` or None, default=None
        Where fits are cached, as in :class:`skphx.VoigtCloner`.
    archive : path or None, default=None
        Folder in which every finished fit is kept, as in :class:`skphx.VoigtCloner`.
    verbose : int, default=0
        Above 0, a progress bar over the spectra.

    Attributes
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    line_pixels_ : ndarray of shape (n_lines,), int
        Pixel of every line of the common list.
    line_centers_ : ndarray of shape (n_lines,)
        The same in Å.
    n_lines_ : int
        Number of lines in the common list.
    quality_ : structured ndarray of shape (n_spectra,)
        ``row``, ``n_lines`` and ``rms`` (of lines minus flux) of each spectrum, from `fit`.
    fit_seconds_ : ndarray of shape (n_spectra,)
        Wall time in seconds that each of these fits took, also where a store held it.
    n_features_in_ : int
        Number of pixels.

    See Also
    --------
    PaperEmulator : interpolates these lines between the nodes of a grid.
    skphx.VoigtCloner : one list of lines for all spectra.

    Notes
    -----
    A line that `transform` finds in a new spectrum but that is not in the list has no column;
    :meth:`line_table` returns it nevertheless, with identity -1.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference", section 3; what it leaves open is as in its published code.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.paper import PaperCloner
    >>> wavelength = np.linspace(5000.0, 5004.0, 401)
    >>> depth = np.array([[0.3], [0.6]])
    >>> spectra = 1 - depth * np.exp(-0.5 * ((wavelength - 5002.0) / 0.05) ** 2)
    >>> cloner = PaperCloner(wavelength, edge=0.5, optimizer="levenberg-marquardt")
    >>> cloner.fit(spectra).line_pixels_
    array([200])
    """

    def __init__(
        self,
        wavelength: Any = None,
        *,
        prominence: float = 0.005,
        min_distance: int = 4,
        edge: float = 30.0,
        tolerance: int = 0,
        optimizer: str = "adam",
        n_epochs: int = 100,
        learning_rate: float = 0.05,
        target_rms: float | None = None,
        max_lines: int | None = None,
        profile: str = "pseudo-voigt",
        transmission: str = "product",
        wing_cut: int | None = 6000,
        device: str = "cpu",
        n_jobs: int | None = None,
        memory: str | Memory | None = None,
        archive: Any = None,
        verbose: int = 0,
    ) -> None:
        self.wavelength = wavelength
        self.prominence = prominence
        self.min_distance = min_distance
        self.edge = edge
        self.tolerance = tolerance
        self.optimizer = optimizer
        self.n_epochs = n_epochs
        self.learning_rate = learning_rate
        self.target_rms = target_rms
        self.max_lines = max_lines
        self.profile = profile
        self.transmission = transmission
        self.wing_cut = wing_cut
        self.device = device
        self.n_jobs = n_jobs
        self.memory = memory
        self.archive = archive
        self.verbose = verbose

    def line_table(self, X: ArrayLike) -> LineTable:
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
        X = self._validate(X)
        return self._to_table(self._fit_each(self._passes(X), first=True))

    def _learn(self, X, passes):
        # What lines are the same shows when those of all spectra are fitted.
        self._learn_and_fit(X, passes)

    def _learn_and_fit(self, X, passes):
        fits = self._fit_each(passes)
        self._keep_quality(fits)
        pixels = [fit["pixel"] for fit in fits]
        self.line_pixels_ = match_lines(pixels, X.shape[1], tolerance=self.tolerance)
        self.line_centers_ = self.wavelength_[self.line_pixels_]
        self.n_lines_ = len(self.line_pixels_)
        if self.n_lines_ == 0 and X.shape[1] > _FEW_PIXELS:
            warnings.warn(
                f"no line was detected in any spectrum: none is as deep as prominence="
                f"{self.prominence} and at least edge={self.edge} Å from the ends of "
                f"{self.wavelength_[0]:.6g} to {self.wavelength_[-1]:.6g} Å. All spectra are "
                f"taken for flat; lower edge, or give more of the spectrum.",
                UserWarning,
                stacklevel=2,
            )
        table = self._to_table(fits)
        if passes.archive is not None:
            passes.archive._put_identities([one.identity for one in table])
        return table

    def _fit_each(self, passes, *, first=False):
        settings = {
            "prominence": self.prominence,
            "distance": self.min_distance,
            "edge": self.edge,
            "target_rms": self.target_rms,
            "max_lines": self.max_lines,
            "optimizer": self.optimizer,
            **passes.fitting,
        }
        return passes.run(
            detected_unit,
            lambda row: (passes.wavelength, passes.X[row], settings),
            first=first,
        )

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

    def _check_parameters(self):
        super()._check_parameters()
        if self.optimizer not in _OPTIMIZERS:
            raise ValueError(
                f"optimizer must be one of {list(_OPTIMIZERS)}, got {self.optimizer!r}."
            )
        if self.optimizer == "adam":
            with needed_for("optimizer='adam'"):
                import torch  # noqa: F401
        check_scalar(self.min_distance, "min_distance", int, min_val=1)
        check_scalar(self.edge, "edge", (float, int), min_val=0)
        check_scalar(self.tolerance, "tolerance", int, min_val=0)
        check_scalar(self.n_epochs, "n_epochs", int, min_val=0)
        check_scalar(
            self.learning_rate,
            "learning_rate",
            (float, int),
            min_val=0,
            include_boundaries="neither",
        )
        if self.wing_cut is not None:
            check_scalar(self.wing_cut, "wing_cut", int, min_val=2)
        if self.target_rms is not None:
            check_scalar(self.target_rms, "target_rms", (float, int), min_val=0)
        if self.max_lines is not None:
            check_scalar(self.max_lines, "max_lines", int, min_val=0)

    def _rendering(self):
        return {**super()._rendering(), "wing_cut": self.wing_cut}

    def _shape(self):
        return {"profile": self.profile, "transmission": self.transmission}

    def _fitting_settings(self):
        if self.optimizer == "adam":
            steps = {"n_epochs": self.n_epochs, "learning_rate": self.learning_rate}
        else:
            steps = {"max_iter": self.n_epochs}
        return steps | self._rendering()

    def _archive_settings(self):
        own = self.get_params(deep=False)
        # These decide where and when spectra are fitted, not what comes out.
        for name in ("wavelength", "n_jobs", "memory", "archive", "verbose"):
            del own[name]
        return own


def detected_unit(wavelength, flux, settings):
    """Fit the lines detected in one spectrum; return lines, pixel, identity, rms and seconds.

    No line is one of a common list yet: identities are -1.
    """
    begin = perf_counter()
    settings = dict(settings)
    fit = fit_adam if settings.pop("optimizer") == "adam" else fit_lines
    lines, pixel, rms = fit_spectrum(wavelength, flux, fit=fit, **settings)
    return {
        "lines": lines,
        "pixel": pixel,
        "identity": np.full(len(lines), -1),
        "rms": rms,
        "seconds": perf_counter() - begin,
    }
