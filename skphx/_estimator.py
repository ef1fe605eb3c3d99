"""StellarParameterEstimator: the parameters whose emulated spectrum is nearest to the observed."""

import warnings

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data
from tqdm import tqdm

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx.inference import (
    NearestSpectra,
    Observing,
    PosteriorSampler,
    compile_emulator,
    draw_points,
    emulator_error,
    gp_search,
    infer_stars,
    resolve_boxes,
    resolve_observed_priors,
    resolve_priors,
)
from skphx.inference._emulation import emulate
from skphx.inference.surrogate import NodeSpectra, emulate_nodes

# Templates of a long spectrum take long: no more samples than this are emulated for them, and
# no fewer templates than this.
_MOST_SAMPLES = 2_500_000
_FEWEST_TEMPLATES = 24
# A step is taken if it lowers the sum of squares by more than this part: 1e-6 is a thousandth of
# the error that residuals of this size leave in the parameters.
_THERE = 1e-6
_NEAR = 1e-3

# Refinements that take their steps together.
_BLOCK = 32


class StellarParameterEstimator(DocumentationLinkMixin, RegressorMixin, BaseEstimator):
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
    error_ : EmulatorError or None
        How the emulator errs between its nodes, see :func:`skphx.inference.emulator_error`;
        None where it states no error.
    surrogate_ : NodeSpectra or None
        The emulator's nodes, interpolated as they are: searches follow it to where the
        emulator itself needs a few steps only. None where its spectra take over a gigabyte.
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

    # What is known of each spectrum travels through Pipelines and searches as metadata.
    __metadata_request__predict = {  # noqa: RUF012
        "bounds": True,
        "priors": True,
        "sigma": True,
    }

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
        self._check_settings()
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
        self._emulate_nodes()
        return self

    def predict(self, X, bounds=None, priors=None, sigma=None):
        """Infer the stellar parameters of spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra on the pixels of fit, in the state of the spectra given there.
        bounds : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), optional
            Search box of all spectra or of each, cut to the grid; NaN is the constructor's.
        priors : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), optional
            Mean and standard deviation of a Gaussian prior on each parameter, NaN for none; they
            need `sigma`.
        sigma : float or array-like of shape (n_spectra,) or (n_spectra, n_pixels), optional
            Standard errors of the flux, in the unit of `X`, by which pixels are weighed.

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
            If the spectra do not have the pixels of fit, a box is empty, a shape is wrong, or
            priors come without `sigma`.

        Warns
        -----
        RuntimeWarning
            If the Gaussian process cannot run; the refinement goes on without it.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        boxes = self._boxes(bounds, len(X))
        sigma = _check_sigma(sigma, X.shape)
        priors = resolve_priors(priors, len(X), self.emulator_.grid_.parameter_names)
        if priors is not None and sigma is None:
            raise ValueError(
                "priors need sigma, the standard errors of the flux, to weigh them against the "
                "spectra; pass sigma to predict."
            )
        random = check_random_state(self.random_state)
        problem = NearestSpectra(self.emulator_, X, sigma, priors)
        # The paper's search is one of evaluations of the emulator: nothing stands in for it.
        quick = problem
        if self.refine and self.surrogate_ is not None:
            quick = NearestSpectra(self.surrogate_, X, sigma, priors, normalizer=self.emulator_)
        shared = None
        if (boxes == boxes[0]).all():
            points = self._inside(draw_points(boxes[0], self.n_initial_points, random))
            shared = points, emulate(quick.emulator, points)
        seeds = random.randint(np.iinfo(np.int32).max, size=len(X))
        searched = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(self._search_one)(quick, row, boxes[row], seeds[row], shared)
            for row in range(len(X))
        )
        progress = tqdm(
            searched, total=len(X), desc="inferring", unit="spectrum", disable=not self.verbose
        )
        starts = np.array(list(progress))
        if not self.refine:
            return self._inside(starts[:, 0])
        # What was compared is the emulator at the edge of its nodes, not the point beyond.
        if quick is not problem:
            starts = self._refine(quick, boxes, starts, _NEAR)[:, None]
        ends = self._refine(problem, boxes, starts, _THERE)
        return self._inside(ends)

    def infer(
        self,
        stars,
        *,
        velocity=0.0,
        vsini=0.0,
        macroturbulence=0.0,
        resolution=None,
        medium=None,
        continuum_degree=2,
        limb_darkening=0.6,
        bounds=None,
        priors=None,
        n_samples=0,
    ):
        """Infer parameters of observed stars on their own pixels, with errors and flags.

        Parameters
        ----------
        stars : ObservedSpectrum or mapping, or list of stars
            One star: an :class:`~skphx.observing.ObservedSpectrum`, or a mapping with
            `wavelength` and `flux` and, where known, `sigma` or `ivar`, `mask`, `medium`,
            `resolution`, `line_spread`; two-dimensional arrays have a row an order. A list holds
            stars; a star of several chunks, orders or exposures, is a list of these.
        velocity, vsini, macroturbulence : float or tuple (low, high)
            Radial velocity, v sin i and radial-tangential macroturbulence in km/s: a number is
            held, a range is fitted within.
        resolution : float, tuple (low, high) or None
            λ/FWHM of chunks that do not say theirs; a range is fitted, one value for all chunks.
        medium : {"air", "vacuum"} or None
            Medium of chunks that do not say theirs. They are converted to the emulator's.
        continuum_degree : int or None
            Degree of the polynomial of each chunk that multiplies the model, and is marginalised;
            None for flux whose continuum is 1.
        limb_darkening : float
            Linear coefficient of the rotation.
        bounds : array-like of shape (n_parameters, 2) or (n_stars, n_parameters, 2), optional
            Search box of the stellar parameters; NaN is the constructor's.
        priors : dict or array-like, optional
            Gaussian priors: ``{"teff": (mean, standard deviation), "velocity": ...}``, numbers or
            arrays of shape (n_stars,); or an array as `predict` takes.
        n_samples : int
            Draws from the posterior of each star to make with emcee.

        Returns
        -------
        InferenceResult, or list of InferenceResult
            One for each star; a list where `stars` is a list.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If a star has too few good pixels, the model does not cover them, media cannot be told
            apart, or a setting is out of its range.
        ImportError
            If `n_samples` is above 0 and emcee is not installed.

        Notes
        -----
        The search starts from `n_initial_points` points of the grid, seen through the same
        instrument at all velocities, and follows the `n_starts` best ones to the bottom. It never
        needs scikit-optimize. Where no errors are given, the scatter of the residuals stands for
        them.

        Examples
        --------
        >>> import numpy as np
        >>> from skphx import LineManifoldRegressor, StellarParameterEstimator, VoigtCloner
        >>> from skphx.datasets import make_stellar_grid
        >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=1500,
        ...                          wavelength=(8500.0, 8530.0), n_lines=10, return_lines=True)
        >>> spectra = grid.spectra / grid.continuum
        >>> emulator = LineManifoldRegressor(VoigtCloner(wavelength=grid.wavelength))
        >>> estimator = StellarParameterEstimator(emulator, random_state=0)
        >>> estimator = estimator.fit(spectra, grid.parameters)
        >>> star = {"wavelength": grid.wavelength, "flux": 7.0 * spectra[1], "sigma": 0.01}
        >>> result = estimator.infer(star, velocity=(-20.0, 20.0), continuum_degree=1)
        >>> result.parameter_names
        ('teff', 'logg', 'feh', 'velocity')
        >>> bool(abs(result.parameters[0] - 5000.0) < 100.0)
        True
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", int, min_val=0)
        observing = Observing(
            velocity=velocity,
            vsini=vsini,
            macroturbulence=macroturbulence,
            resolution=resolution,
            medium=medium,
            continuum_degree=continuum_degree,
            limb_darkening=limb_darkening,
        )
        alone = not isinstance(stars, list | tuple)
        stars = [stars] if alone else list(stars)
        if len(stars) == 0:
            return []
        boxes = self._boxes(bounds, len(stars))
        random = check_random_state(self.random_state)
        whole = np.stack([boxes[..., 0].min(axis=0), boxes[..., 1].max(axis=0)], axis=1)
        n_pixels = len(self.emulator_.wavelength_)
        n_points = min(self.n_initial_points, max(_FEWEST_TEMPLATES, _MOST_SAMPLES // n_pixels))
        templates = self._inside(draw_points(whole, n_points, random))
        finish = None
        if n_samples:
            finish = PosteriorSampler(n_samples, random.randint(np.iinfo(np.int32).max))
        results = infer_stars(
            self.emulator_,
            stars,
            observing,
            boxes,
            resolve_observed_priors(priors, len(stars), self.emulator_.grid_.parameter_names),
            templates,
            n_starts=self.n_starts,
            n_jobs=self.n_jobs,
            error=self.error_,
            surrogate=self.surrogate_,
            finish=finish,
        )
        return results[0] if alone else results

    @classmethod
    def from_emulator(cls, emulator, **settings):
        """Make an estimator of an emulator that is fitted already.

        Parameters
        ----------
        emulator : LineManifoldRegressor or CompiledEmulator
            Fitted; it is taken as it is.
        **settings
            Other parameters of the constructor.

        Returns
        -------
        StellarParameterEstimator
            Ready to predict and to infer.

        Raises
        ------
        NotFittedError
            If `emulator` is not fitted.
        ValueError
            If a setting is out of its range.
        """
        check_is_fitted(emulator)
        if not isinstance(emulator, FrozenEstimator):
            emulator = FrozenEstimator(emulator)
        estimator = cls(emulator, **settings)
        estimator._check_settings()
        estimator.emulator_ = emulator
        estimator.n_features_in_ = len(emulator.wavelength_)
        estimator._boxes(None, 1)
        estimator._emulate_nodes()
        return estimator

    def compile(self, **settings):
        """Compile the emulator for one instrument, for surveys.

        Parameters
        ----------
        **settings
            As :func:`skphx.inference.compile_emulator`: `resolution`, `wavelength`, `bounds`, ....

        Returns
        -------
        StellarParameterEstimator
            The same estimator with a compiled emulator, which says its error in
            ``emulator_.compile_rms``.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If a setting is out of its range.
        """
        check_is_fitted(self)
        compiled = compile_emulator(self.emulator_, error=self.error_, **settings)
        others = self.get_params(deep=False)
        del others["emulator"]
        return self.from_emulator(compiled, **others)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.input_tags.positive_only = True
        # Spectra of random pixels hold no line to learn from.
        tags.regressor_tags.poor_score = True
        return tags

    def _check_settings(self):
        check_scalar(self.n_initial_points, "n_initial_points", int, min_val=1)
        check_scalar(self.n_calls, "n_calls", int, min_val=self.n_initial_points)
        check_scalar(self.n_starts, "n_starts", int, min_val=1)

    def _emulate_nodes(self):
        """Learn from the nodes' spectra how the emulator errs, and what can stand in for it."""
        spectra = emulate_nodes(self.emulator_)
        self.error_ = emulator_error(self.emulator_, spectra)
        self.surrogate_ = None if spectra is None else NodeSpectra.of(self.emulator_, spectra)

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

    def _search_one(self, problem, row, box, seed, shared):
        """Best points of one spectrum; `shared` holds points evaluated for all spectra."""
        if shared is None:
            points = draw_points(box, self.n_initial_points, check_random_state(seed))
            points, emulated = self._inside(points), None
        else:
            points, emulated = shared
        n_pixels = problem.spectra.shape[1]

        def loss(points, emulated=None):
            return np.sqrt(problem.cost(row, points, emulated) / n_pixels)

        losses = loss(points, emulated)
        n_guided = self.n_calls - self.n_initial_points
        try:
            points, losses = gp_search(
                lambda point: loss(self._inside(point[None]))[0],
                box,
                points,
                losses,
                n_calls=n_guided,
                random_state=seed,
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
        best = np.argsort(losses, kind="stable")[: self.n_starts]
        # Where there are fewer points than starts, the best one stands for the others.
        return points[np.resize(best, self.n_starts)]

    def _refine(self, problem, boxes, starts, tolerance):
        """Lowest end of all starts of each spectrum."""
        n_spectra, n_starts, n_parameters = starts.shape
        rows = np.repeat(np.arange(n_spectra), n_starts)
        # Blocks of one size, so that rounding does not depend on the number of processes.
        edges = np.arange(_BLOCK, len(rows), _BLOCK)
        ends = Parallel(n_jobs=self.n_jobs)(
            delayed(problem.refine)(
                boxes[block], starts.reshape(-1, n_parameters)[at], block, tolerance
            )
            for at in np.split(np.arange(len(rows)), edges)
            for block in [rows[at]]
        )
        points, cost, _ = (np.concatenate(part) for part in zip(*ends, strict=True))
        best = cost.reshape(n_spectra, n_starts).argmin(axis=1)
        return points.reshape(n_spectra, n_starts, n_parameters)[np.arange(n_spectra), best]


def _check_sigma(sigma, shape):
    """Return standard errors as an array of the shape of the spectra, or None."""
    if sigma is None:
        return None
    sigma = np.asarray(sigma, dtype=np.float64)
    if sigma.shape == shape[:1]:
        sigma = sigma[:, None]
    if sigma.shape not in (shape, (shape[0], 1), ()):
        raise ValueError(
            f"sigma must have shape {shape} or {shape[:1]}, a standard error a pixel or a "
            f"spectrum, got shape {sigma.shape}."
        )
    if not (np.isfinite(sigma) & (sigma > 0)).all():
        raise ValueError(
            "sigma must be positive and finite; give a pixel to leave out a large error, or use "
            "infer, which takes masks."
        )
    return np.broadcast_to(sigma, shape)
