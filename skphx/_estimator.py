"""StellarParameterEstimator: the parameters whose emulated spectrum is nearest to the observed."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data
from tqdm import tqdm

from skphx._doc_link import DocumentationLinkMixin
from skphx._restore import restore_on_failure
from skphx._units import check_flux
from skphx.inference import (
    ObservationModel,
    PosteriorSampler,
    compile_emulator,
    draw_points,
    infer_stars,
    resolve_boxes,
    resolve_observed_priors,
    resolve_priors,
)
from skphx.inference._emulation import make_surrogate
from skphx.inference.search import GuidedSearch
from skphx.inference.solving import predict_parameters

_SEARCHES = ("gauss-newton", "gp_minimize")
# Templates of a long spectrum take long: no more samples than this are emulated for them, and
# no fewer templates than this.
_MOST_SAMPLES = 2_500_000
_FEWEST_TEMPLATES = 24


class StellarParameterEstimator(DocumentationLinkMixin, RegressorMixin, BaseEstimator):
    """Infer the stellar parameters whose emulated spectrum is nearest to an observed one.

    Emulated spectra from all over the search box are compared with each spectrum, and
    Gauss-Newton steps follow the best of them to the least sum of squares. A polynomial
    multiplies the model, so that neither scale nor slow shape of the continuum matters.
    :meth:`predict` takes spectra on the grid's pixels, :meth:`infer` observed stars on their
    own, in motion, with errors and flags.

    Parameters
    ----------
    emulator : FluxEmulator or LineManifoldRegressor
        The emulator to invert; it is cloned and fitted, or taken as it is where it comes as
        ``FrozenEstimator(emulator)``.
    search : {"gauss-newton", "gp_minimize"}, default="gauss-newton"
        How `predict` searches. ``"gp_minimize"`` is the paper's: evaluations at random points,
        then some guided by scikit-optimize's ``gp_minimize``, of the root mean square over all
        pixels of spectra that are normalised as the grid's were.
    continuum_degree : int or None, default=3
        Degree of the polynomial that multiplies the model and is marginalised; None is no
        polynomial, not even a factor: for spectra in the unit of the grid's.
    bounds : array-like of shape (n_parameters, 2) or None, default=None
        Search box; NaN or None is the whole grid. `predict` takes one for each spectrum.
    random_state : int, RandomState instance or None, default=None
        Seed of the points from which searches begin; an int makes results repeatable.
    n_initial_points : int, default=100
        Points of the box at which spectra are emulated to find where to begin, fewer of spectra
        beyond 25,000 pixels, at least 24; with ``search="gp_minimize"`` the random evaluations,
        shared by all spectra that have the same box.
    n_starts : int, default=2
        Number of best points from which to minimise; the best end is kept.
    n_calls : int, default=120
        With ``search="gp_minimize"``, evaluations in total; those beyond `n_initial_points` are
        guided.
    n_jobs : int or None, default=None
        Spectra searched at once.
    verbose : int, default=0
        Above 0, a progress bar over the spectra of ``search="gp_minimize"``.

    Attributes
    ----------
    emulator_ : FluxEmulator, LineManifoldRegressor or FrozenEstimator
        The fitted emulator.
    error_ : InterpolationError or None
        How the emulator errs between its nodes; None where it states no error.
    surrogate_ : FluxEmulator or None
        Low-rank surrogate of the emulator: searches follow it to where the emulator itself needs
        a few steps only. None where its nodes' spectra take over a gigabyte, and with
        ``search="gp_minimize"``.
    n_features_in_ : int
        Number of pixels.

    See Also
    --------
    FluxEmulator : emulates flux.
    LineManifoldRegressor : emulates flux and lines.
    skphx.inference.boxes_around : search boxes around a prior.

    Notes
    -----
    Where the emulator normalises, `predict` compares spectra with its raw flux, as they were
    given to `fit`, and `infer` with its normalised flux; both times the polynomial. Noise cannot
    bias a continuum that is fitted with everything else.

    References
    ----------
    Shankar, Gully-Santiago & Morley, "Using Hybrid Machine Learning for Fundamental Stellar
    Parameter Inference", section 4.2, for ``search="gp_minimize"``; Golub & Pereyra (2003),
    Inverse Problems 19, R1, for the elimination of the polynomial.

    Examples
    --------
    >>> from skphx import FluxEmulator, StellarParameterEstimator
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10)
    >>> spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    >>> estimator = StellarParameterEstimator(FluxEmulator(grid.wavelength), random_state=0)
    >>> inferred = estimator.fit(spectra, grid.parameters).predict(7.0 * spectra[:1])
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
        search="gauss-newton",
        *,
        continuum_degree=3,
        bounds=None,
        random_state=None,
        n_initial_points=100,
        n_starts=2,
        n_calls=120,
        n_jobs=None,
        verbose=0,
    ):
        self.emulator = emulator
        self.search = search
        self.continuum_degree = continuum_degree
        self.bounds = bounds
        self.random_state = random_state
        self.n_initial_points = n_initial_points
        self.n_starts = n_starts
        self.n_calls = n_calls
        self.n_jobs = n_jobs
        self.verbose = verbose

    @restore_on_failure
    def fit(self, X, y):
        """Fit the emulator to spectra of known parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra of the grid's nodes, raw or normalised, as the emulator takes them.
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
        self._prepare()
        return self

    def predict(self, X, bounds=None, priors=None, sigma=None):
        """Infer the stellar parameters of spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra on the pixels of fit, normalised or raw as the spectra given there, at rest;
            up to a polynomial of `continuum_degree`.
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
            If the spectra do not have the pixels of fit, one is zero everywhere or mostly
            negative, a box is empty, a shape is wrong, priors come without `sigma`, or either
            comes with ``search="gp_minimize"``.
        ImportError
            With ``search="gp_minimize"``, if scikit-optimize is not installed.
        """
        check_is_fitted(self)
        X = validate_data(self, X, dtype=np.float64, reset=False)
        check_flux(X)
        boxes = self._boxes(bounds, len(X))
        sigma = _check_sigma(sigma, X.shape)
        priors = resolve_priors(priors, len(X), self.emulator_.grid_.parameter_names)
        random = check_random_state(self.random_state)
        if self.search == "gp_minimize":
            if sigma is not None or priors is not None:
                raise ValueError(
                    "search='gp_minimize' weighs all pixels alike, as the paper does, and takes "
                    "neither sigma nor priors; leave them out, or set search='gauss-newton'."
                )
            return self._search_as_the_paper(X, boxes, random)
        if priors is not None and sigma is None:
            raise ValueError(
                "priors need sigma, the standard errors of the flux, to weigh them against the "
                "spectra; pass sigma to predict."
            )
        points = predict_parameters(
            self.emulator_,
            X,
            sigma,
            boxes,
            priors,
            self._templates(boxes, random),
            self.continuum_degree,
            n_starts=self.n_starts,
            n_jobs=self.n_jobs,
            error=self.error_,
            surrogate=self.surrogate_,
        )
        # What was compared is the emulator at the edge of its nodes, not the point beyond.
        return self._inside(points)

    def infer(
        self,
        stars,
        *,
        velocity=0.0,
        vsini=0.0,
        macroturbulence=0.0,
        resolution=None,
        medium=None,
        continuum_degree="default",
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
        continuum_degree : int, None or "default"
            Degree of the polynomial of each chunk that multiplies the model, and is marginalised;
            None for flux whose continuum is 1; ``"default"`` is the estimator's.
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
        Spectra at `n_initial_points` points of the grid, seen through the same instrument at all
        velocities, say where to begin; Gauss-Newton steps follow the `n_starts` best ones. Where
        no errors are given, the scatter of the residuals stands for them.

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
        if isinstance(continuum_degree, str) and continuum_degree == "default":
            continuum_degree = self.continuum_degree
        observing = ObservationModel(
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
        templates = self._templates(boxes, random)
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
        emulator : FluxEmulator or LineManifoldRegressor
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
        estimator._prepare()
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
            ``emulator_.compile_rms_``.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If a setting is out of its range.
        """
        check_is_fitted(self)
        compiled = compile_emulator(self.emulator_, **settings)
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
        if self.search not in _SEARCHES:
            raise ValueError(
                f"search must be {_SEARCHES[0]!r} or {_SEARCHES[1]!r}, got {self.search!r}."
            )
        if self.continuum_degree is not None:
            check_scalar(self.continuum_degree, "continuum_degree", Integral, min_val=0)
        check_scalar(self.n_initial_points, "n_initial_points", Integral, min_val=1)
        check_scalar(self.n_starts, "n_starts", Integral, min_val=1)
        least = self.n_initial_points if self.search == "gp_minimize" else 1
        check_scalar(self.n_calls, "n_calls", Integral, min_val=least)

    def _prepare(self):
        """Learn how the emulator errs, and what searches can follow in its place."""
        self.error_ = getattr(self.emulator_, "error_", None)
        self.surrogate_ = None
        if self.search == "gauss-newton":
            self.surrogate_ = make_surrogate(self.emulator_)

    def _templates(self, boxes, random):
        """Points of all boxes together from which searches begin."""
        whole = np.stack([boxes[..., 0].min(axis=0), boxes[..., 1].max(axis=0)], axis=1)
        n_pixels = len(self.emulator_.wavelength_)
        n_points = min(self.n_initial_points, max(_FEWEST_TEMPLATES, _MOST_SAMPLES // n_pixels))
        return self._inside(draw_points(whole, n_points, random))

    def _search_as_the_paper(self, X, boxes, random):
        """Best points that were evaluated, guided by a Gaussian process."""
        guided = GuidedSearch(self.emulator_, X, self.n_calls, self.n_initial_points)
        shared = None
        if (boxes == boxes[0]).all():
            shared = guided.shared_points(boxes[0], random)
        seeds = random.randint(np.iinfo(np.int32).max, size=len(X))
        found = Parallel(n_jobs=self.n_jobs, return_as="generator")(
            delayed(guided.search)(row, boxes[row], seeds[row], shared) for row in range(len(X))
        )
        progress = tqdm(
            found, total=len(X), desc="inferring", unit="spectrum", disable=not self.verbose
        )
        return np.array(list(progress))

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
            f"spectrum, or be a number, got shape {sigma.shape}; errors of the pixels of one "
            f"spectrum are sigma.reshape(1, -1)."
        )
    if not (np.isfinite(sigma) & (sigma > 0)).all():
        raise ValueError(
            "sigma must be positive and finite; give a pixel to leave out a large error, or use "
            "infer, which takes masks."
        )
    return np.broadcast_to(sigma, shape)
