"""StellarParameterEstimator: the parameters whose emulated spectrum is nearest to the observed."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data
from tqdm import tqdm

from skphx._restore import restore_on_failure
from skphx.inference import draw_points, gp_search, refine, resolve_boxes


class StellarParameterEstimator(RegressorMixin, BaseEstimator):
    """Infer stellar parameters by searching for the nearest emulated spectrum.

    For each spectrum the root mean square of emulated minus observed flux is evaluated at
    random points of its search box; a Gaussian process guides further evaluations; least
    squares then follows the emulator from the best points to the bottom.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        The emulator to invert; it is cloned and fitted, or taken as it is where it comes as
        ``FrozenEstimator(emulator)``.
    n_calls : int, default=120
        Evaluations of the search in total; those beyond `n_initial_points` are guided by
        scikit-optimize's ``gp_minimize``.
    n_initial_points : int, default=100
        Random evaluations, shared by all spectra that have the same search box.
    bounds : array-like of shape (n_parameters, 2) or None, default=None
        Search box; NaN or None is the whole grid. `predict` takes one for each spectrum.
    random_state : int, RandomState instance or None, default=None
        Seed of the random points; an int makes `predict` repeatable.
    refine : bool, default=True
        Whether to end with least squares; False is the paper's search alone.
    n_starts : int, default=2
        Number of best points from which to refine; the best end is kept.
    n_jobs : int or None, default=None
        Spectra searched at once.
    verbose : int, default=0
        Above 0, a progress bar over the spectra.

    Attributes
    ----------
    emulator_ : LineManifoldRegressor or FrozenEstimator
        The fitted emulator.
    n_features_in_ : int
        Number of pixels.

    See Also
    --------
    LineManifoldRegressor : the emulator.
    skphx.inference.boxes_around : search boxes around a prior.

    Notes
    -----
    Where the emulator's cloner starts with steps that need Teff, an observed spectrum is
    normalised with the Teff of the point it is compared with.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference", section 4.2.

    Examples
    --------
    >>> from skphx import LineManifoldRegressor, StellarParameterEstimator, VoigtCloner
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10)
    >>> spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    >>> emulator = LineManifoldRegressor(VoigtCloner(wavelength=grid.wavelength, n_epochs=10))
    >>> estimator = StellarParameterEstimator(
    ...     emulator, n_calls=20, n_initial_points=20, random_state=0
    ... )
    >>> inferred = estimator.fit(spectra, grid.parameters).predict(spectra[:1])
    >>> bool(abs(inferred - [[5000.0, 4.0, 0.0]]).max() < 1.0)
    True
    """

    # A box a spectrum travels through Pipelines and searches as metadata.
    __metadata_request__predict = {"bounds": True}  # noqa: RUF012

    def __init__(
        self,
        emulator,
        n_calls=120,
        n_initial_points=100,
        bounds=None,
        random_state=None,
        *,
        refine=True,
        n_starts=2,
        n_jobs=None,
        verbose=0,
    ):
        self.emulator = emulator
        self.n_calls = n_calls
        self.n_initial_points = n_initial_points
        self.bounds = bounds
        self.random_state = random_state
        self.refine = refine
        self.n_starts = n_starts
        self.n_jobs = n_jobs
        self.verbose = verbose

    @restore_on_failure
    def fit(self, X, y):
        """Fit the emulator to spectra of known parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra of the grid's nodes, as the emulator's cloner takes them.
        y : array-like of shape (n_spectra, n_parameters)
            Their stellar parameters.

        Returns
        -------
        self : StellarParameterEstimator
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter of the constructor is out of its range, or the emulator refuses the
            spectra or the nodes.
        """
        check_scalar(self.n_initial_points, "n_initial_points", int, min_val=1)
        check_scalar(self.n_calls, "n_calls", int, min_val=self.n_initial_points)
        check_scalar(self.n_starts, "n_starts", int, min_val=1)
        X, y = validate_data(self, X, y, dtype=np.float64, multi_output=True, y_numeric=True)
        if y.ndim == 1:
            raise ValueError(
                f"y must hold the parameters of one spectrum a row, shape (n_spectra, "
                f"n_parameters), got shape {y.shape}; use y.reshape(-1, 1) for one parameter."
            )
        self.emulator_ = clone(self.emulator).fit(y, X)
        n_pixels = len(self.emulator_.wavelength_)
        if n_pixels != X.shape[1]:
            raise ValueError(
                f"X must have the {n_pixels} pixels of the fitted emulator, got {X.shape[1]}; "
                f"resample the spectra to emulator.wavelength_."
            )
        self._boxes(None, 1)
        return self

    def predict(self, X, bounds=None):
        """Infer the stellar parameters of spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra on the pixels of fit, in the state of the spectra given there.
        bounds : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), optional
            Search box of all spectra or of each, cut to the grid; NaN is the constructor's.

        Returns
        -------
        ndarray of shape (n_spectra, n_parameters)
            Stellar parameters in the order of ``emulator.parameter_names``; where a box reaches
            beyond the nodes of a ragged grid, the nearest point between nodes.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the spectra do not have the pixels of fit, or a box is empty.

        Warns
        -----
        RuntimeWarning
            If the Gaussian process cannot run; the refinement goes on without it.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        boxes = self._boxes(bounds, len(X))
        random = check_random_state(self.random_state)
        shared = None
        if (boxes == boxes[0]).all():
            points = self._inside(draw_points(boxes[0], self.n_initial_points, random))
            shared = points, self._emulate(points)
        seeds = random.randint(np.iinfo(np.int32).max, size=len(X))
        found = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(self._infer_one)(spectrum, box, seed, shared)
            for spectrum, box, seed in zip(X, boxes, seeds, strict=True)
        )
        progress = tqdm(
            found, total=len(X), desc="inferring", unit="spectrum", disable=not self.verbose
        )
        # What was compared is the emulator at the edge of its nodes, not the point beyond.
        return self._inside(np.array(list(progress)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.input_tags.positive_only = True
        # Spectra of random pixels hold no line to learn from.
        tags.regressor_tags.poor_score = True
        return tags

    def _boxes(self, bounds, n_spectra):
        grid = self.emulator_.grid_
        return resolve_boxes(
            bounds,
            self.bounds,
            n_spectra,
            grid_bounds=grid.bounds,
            parameter_names=grid.parameter_names,
        )

    def _inside(self, points):
        # A box has corners where a ragged grid has no nodes: its edge stands for them.
        return self.emulator_.grid_.resolve_outside(points, "clip")

    def _emulate(self, points):
        with warnings.catch_warnings():
            # A frozen emulator may have been fitted on a table whose columns had names.
            warnings.filterwarnings("ignore", message="X does not have valid feature names")
            return self.emulator_.predict(points)

    def _infer_one(self, spectrum, box, seed, shared):
        """Parameters of one spectrum; `shared` holds points evaluated for all spectra."""

        def residuals(points, emulated=None):
            points = self._inside(points)
            observed = self.emulator_.normalize(np.tile(spectrum, (len(points), 1)), points)
            return (self._emulate(points) if emulated is None else emulated) - observed

        def rms(point):
            return np.sqrt(np.mean(residuals(point[None]) ** 2))

        if shared is None:
            points, emulated = (
                draw_points(box, self.n_initial_points, check_random_state(seed)),
                None,
            )
        else:
            points, emulated = shared
        losses = np.sqrt(np.mean(residuals(points, emulated) ** 2, axis=1))
        n_guided = self.n_calls - self.n_initial_points
        try:
            points, losses = gp_search(
                rms, box, points, losses, n_calls=n_guided, random_state=seed
            )
        except Exception as error:
            if not self.refine:
                raise
            # scikit-optimize is no longer maintained: a failure of it must not end the search.
            warnings.warn(
                f"gp_minimize failed ({type(error).__name__}: {error}); refining from the "
                f"{len(points)} random points without it. Install scikit-optimize, or set "
                f"n_calls=n_initial_points to search without it.",
                RuntimeWarning,
                stacklevel=2,
            )
        order = np.argsort(losses)
        if not self.refine:
            return points[order[0]]
        ends = [refine(residuals, box, points[start]) for start in order[: self.n_starts]]
        return min(ends, key=lambda end: end[1])[0]
