"""StellarParameterEstimator: infer stellar parameters with the help of an emulator."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from numbers import Integral
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.frozen import FrozenEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, check_scalar, validate_data

from skphx._domain import check_flux
from skphx._input_parameters import plain_parameters
from skphx._input_spectra import plain_flux
from skphx._plain import plain_numbers
from skphx._progress import fit_task
from skphx._restore import restore_on_failure
from skphx.flux._base import SpectralEmulator
from skphx.inference._bounds_and_priors import (
    completed,
    resolve_boxes,
    resolve_observed_priors,
    resolve_priors,
    warn_of_cut,
    with_usual_abundances,
)
from skphx.inference._compiling import compile_emulator
from skphx.inference._observation_model import ObservationModel, check_observation_model
from skphx.inference._outside_lines import infer_outside_lines
from skphx.inference._pixel_weights import check_sigma
from skphx.inference._predict import Search, predict_parameters
from skphx.inference._result import InferenceResult, stack_results
from skphx.inference._sampling import PosteriorSampler
from skphx.inference._star_list import StarsLike, list_stars
from skphx.inference._starting_points import draw_templates
from skphx.inference._surrogate import make_surrogate
from skphx.observing._line_mask import LineMask
from skphx.species._abundances import AbundanceGrid, symbols_of
from skphx.species._named import NamedEmulator

#: Search boxes, as an array or by parameter name.
Bounds: TypeAlias = ArrayLike | Mapping[str, tuple[ArrayLike | None, ArrayLike | None]]
#: Gaussian priors, as an array or by parameter name.
PriorsLike: TypeAlias = ArrayLike | Mapping[str, tuple[ArrayLike, ArrayLike]]


class StellarParameterEstimator(CallbackSupportMixin, RegressorMixin, BaseEstimator):
    """Infer stellar parameters by fitting emulated spectra to observed ones.

    Each spectrum is compared with emulated spectra at random points of the search box. From the
    best of these points, chi² is minimised by Gauss-Newton steps. A polynomial multiplies the
    model, so scale and slow shape of the continuum have no influence. :meth:`predict` takes
    spectra on the grid's pixels. :meth:`infer` takes observed stars on their own pixels, fits
    their velocity and broadening, and returns errors and flags.

    Parameters
    ----------
    emulator : FluxEmulator or LineManifoldRegressor
        The emulator. It is cloned and fitted; ``FrozenEstimator(emulator)`` is used as it is.
    search : "gauss-newton" or GaussianProcessSearch, default="gauss-newton"
        Search method of `predict`; :class:`skphx.paper.GaussianProcessSearch` is that of the
        paper.
    continuum_degree : int or None, default=3
        Degree of the polynomial that multiplies the model and is marginalised. None is no
        polynomial, not even a constant factor, for spectra in the unit of the grid.
    bounds : array-like of shape (n_parameters, 2), mapping or None, default=None
        Search box: an array, or ``{"teff": (low, high)}``; NaN or None is the whole grid. Bounds
        beyond the grid are cut to it, with a warning in `fit`. `predict` and `infer` also take a
        box for each spectrum.
    random_state : int, RandomState instance or None, default=None
        Seed of the initial points; with an int, results are repeatable.
    n_initial_points : int, default=100
        Number of random points at which spectra are emulated to find starting points. Spectra
        of more than 25,000 pixels have fewer, but at least 24.
    n_starts : int, default=2
        Number of starting points of the minimisation: the best of the initial points. The
        lowest minimum is kept.
    n_jobs : int or None, default=None
        Number of processes.
    observation_model : ObservationModel or None, default=None
        Settings of `infer` that are kept with the model: velocity, rotation, resolution and
        others. Keywords of `infer` replace single ones. None is that of a star at rest.

    Attributes
    ----------
    emulator_ : FluxEmulator, LineManifoldRegressor or FrozenEstimator
        The fitted emulator.
    error_ : InterpolationError or None
        Interpolation-error model of the emulator; None if it has none.
    surrogate_ : FluxEmulator or None
        Low-rank surrogate of the emulator, used for all but the last steps of the minimisation.
        None if the spectra of the nodes would take more than a gigabyte, or if `search` is
        another one.
    n_features_in_ : int
        Number of pixels.

    See Also
    --------
    FluxEmulator : emulates flux.
    LineManifoldRegressor : emulates flux and lines.
    skphx.inference.boxes_around : search boxes around known values.

    Notes
    -----
    If the emulator has a normaliser, `predict` compares spectra with raw flux, as they were
    given to `fit`, and `infer` compares them with normalised flux. Both multiply the model by
    the polynomial. Observed spectra are never normalised, because noise would bias their
    continuum.

    References
    ----------
    Golub & Pereyra (2003), Inverse Problems 19, R1, for the elimination of the polynomial.

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

    # Arguments with values for each spectrum are routed through Pipelines and searches.
    __metadata_request__predict = {  # noqa: RUF012
        "bounds": True,
        "priors": True,
        "sigma": True,
    }

    def __init__(
        self,
        emulator: SpectralEmulator | FrozenEstimator,
        search: Literal["gauss-newton"] | Search = "gauss-newton",
        *,
        continuum_degree: int | None = 3,
        bounds: Bounds | None = None,
        random_state: int | np.random.RandomState | None = None,
        n_initial_points: int = 100,
        n_starts: int = 2,
        n_jobs: int | None = None,
        observation_model: ObservationModel | None = None,
    ) -> None:
        self.emulator = emulator
        self.search = search
        self.continuum_degree = continuum_degree
        self.bounds = bounds
        self.random_state = random_state
        self.n_initial_points = n_initial_points
        self.n_starts = n_starts
        self.n_jobs = n_jobs
        self.observation_model = observation_model

    @restore_on_failure
    @with_callbacks
    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit the emulator to spectra of known parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra of the grid's nodes, raw or normalised as the emulator needs them.
        y : array-like or table of shape (n_spectra, n_parameters)
            Their stellar parameters, columns as ``emulator.parameter_names``. The columns of a
            DataFrame, a Table of astropy or a structured array are found by their names.

        Returns
        -------
        self : StellarParameterEstimator
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter of the constructor is out of its range, a pixel or parameter is
            masked, a unit would be lost, the columns of `y` have other names, or the emulator
            refuses the spectra or the nodes.
        TypeError
            If `observation_model` is not an ObservationModel.

        Warns
        -----
        UserWarning
            If bounds of the constructor go beyond the grid.
        """
        self._check_settings()
        X = plain_flux(X)
        y = plain_parameters(y, getattr(self.emulator, "parameter_names", None), "y")
        spectra, parameters = validate_data(
            self, X, y, dtype=np.float64, multi_output=True, y_numeric=True
        )
        if parameters.ndim == 1:
            raise ValueError(
                f"y must hold the parameters of one spectrum in each row, shape (n_spectra, "
                f"n_parameters), got shape {parameters.shape}; use y.reshape(-1, 1) for one "
                f"parameter."
            )
        emulator = clone(self.emulator)
        with (
            fit_task(self, spectra, parameters, n_subtasks=1) as task,
            task.hand_to("fit-emulator", emulator),
        ):
            emulator.fit(parameters, spectra)
        n_pixels = len(emulator.wavelength_)
        if n_pixels != spectra.shape[1]:
            raise ValueError(
                f"X must have the {n_pixels} pixels of the fitted emulator, got "
                f"{spectra.shape[1]}; resample the spectra to emulator.wavelength_."
            )
        self._set_emulator(emulator)
        self._warn_of_bounds(self.bounds)
        return self

    def predict(
        self,
        X: ArrayLike,
        bounds: Bounds | None = None,
        priors: PriorsLike | None = None,
        sigma: ArrayLike | None = None,
    ) -> NDArray[np.float64]:
        """Infer the stellar parameters of spectra.

        Errors of the model's lines that a calibration measures are not used here; see
        :meth:`infer`.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra at rest, on the pixels of fit, normalised or raw like the spectra of fit. They
            may differ from models by a polynomial of `continuum_degree`.
        bounds : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), optional
            Search box of all spectra or of each, or a mapping ``{"teff": (low, high)}`` with
            numbers or arrays of shape (n_spectra,). It is cut to the grid; NaN and None mean the
            constructor's.
        priors : array-like of shape (n_parameters, 2) or (n_spectra, n_parameters, 2), optional
            Mean and standard deviation of a Gaussian prior on each parameter, NaN for none, or a
            mapping ``{"teff": (mean, standard deviation)}``. Priors need `sigma`.
        sigma : float or array-like of shape (n_spectra,) or (n_spectra, n_pixels), optional
            Standard errors of the flux, in the unit of `X`.

        Returns
        -------
        ndarray of shape (n_spectra, n_parameters)
            Stellar parameters in the order of ``emulator.parameter_names``. If a box extends
            beyond the nodes of a ragged grid, points outside are moved onto its edge.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the spectra do not have the pixels of fit, a spectrum is zero everywhere or mostly
            negative, an element is masked or has a unit, a box is empty, a shape is wrong,
            priors are given without `sigma`, or either is given and `search` is not
            "gauss-newton".
        ImportError
            If scikit-optimize is not installed and `search` needs it.

        Warns
        -----
        UserWarning
            If `bounds` go beyond the grid; not for those of
            :func:`~skphx.inference.boxes_around`, nor for infinite ones.
        """
        check_is_fitted(self)
        spectra = validate_data(self, plain_flux(X), dtype=np.float64, reset=False)
        check_flux(spectra)
        sigma = plain_numbers(sigma, "sigma", remedy="give these pixels a large error")
        grid = self.emulator_.grid_
        boxes = self._boxes(bounds, len(spectra))
        errors = check_sigma(sigma, spectra.shape)
        resolved_priors = resolve_priors(priors, len(spectra), grid.parameter_names)
        random = check_random_state(self.random_state)
        if not isinstance(self.search, str):
            if errors is not None or resolved_priors is not None:
                raise ValueError(
                    f"search={self.search!r} gives all pixels the same weight and takes neither "
                    f"sigma nor priors; leave them out, or set search='gauss-newton'."
                )
            return self.search.search(
                self.emulator_, spectra, boxes, random_state=random, n_jobs=self.n_jobs
            )
        if resolved_priors is not None and errors is None:
            raise ValueError(
                "priors need sigma, the standard errors of the flux; without it their weight "
                "relative to the spectra is unknown. Pass sigma to predict."
            )
        points = predict_parameters(
            self.emulator_,
            spectra,
            errors,
            boxes,
            resolved_priors,
            self._templates(boxes, random),
            self.continuum_degree,
            n_starts=self.n_starts,
            n_jobs=self.n_jobs,
            error=self.error_,
            surrogate=self.surrogate_,
        )
        # The flux of a point outside the nodes was that at the edge.
        return grid.resolve_outside(points, "clip")

    def set_params(self, **params: Any) -> Self:
        """Set parameters of this estimator.

        Parameters
        ----------
        **params : dict
            Parameters by name, as in scikit-learn. ``observation_model__velocity=(-30, 30)``
            replaces one setting of the ObservationModel, or of a new one if there is none.

        Returns
        -------
        self : StellarParameterEstimator
            The estimator.

        Raises
        ------
        ValueError
            If a name is unknown, or a setting of the ObservationModel is out of its range.
        """
        prefix = "observation_model__"
        settings = {name: params.pop(name) for name in list(params) if name.startswith(prefix)}
        if settings:
            kept = params.get("observation_model", self.observation_model)
            settings = {name.removeprefix(prefix): value for name, value in settings.items()}
            known = [field.name for field in fields(ObservationModel)]
            unknown = [name for name in settings if name not in known]
            if unknown:
                raise ValueError(
                    f"{unknown[0]!r} is not a setting of ObservationModel, which has "
                    f"{', '.join(known)}."
                )
            check_observation_model(kept)
            params["observation_model"] = replace(kept or ObservationModel(), **settings)
        return super().set_params(**params)

    def score(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Coefficient of determination of the inferred parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_pixels)
            Spectra, as `predict` takes them.
        y : array-like or table of shape (n_spectra, n_parameters)
            Their true parameters; columns of a table are found by their names.
        sample_weight : array-like of shape (n_spectra,), optional
            Weights of the spectra.

        Returns
        -------
        float
            Mean of R² over the parameters; 1 is perfect.

        Raises
        ------
        NotFittedError, ValueError
            As :meth:`predict`, or if the columns of `y` have other names.
        """
        check_is_fitted(self)
        emulator = self.emulator_
        y = plain_parameters(y, getattr(emulator, "parameter_names", None), "y")
        return super().score(X, y, sample_weight)

    def infer(
        self,
        stars: StarsLike,
        *,
        observation_model: ObservationModel | None = None,
        velocity: float | tuple[float, float] | Literal["default"] = "default",
        vsini: float | tuple[float, float] | Literal["default"] = "default",
        macroturbulence: float | tuple[float, float] | Literal["default"] = "default",
        resolution: float
        | tuple[float, float]
        | Callable[[NDArray[np.float64]], ArrayLike]
        | Literal["default"]
        | None = "default",
        medium: Literal["air", "vacuum", "default"] | None = "default",
        continuum_degree: int | Literal["default"] | None = "default",
        limb_darkening: float | Literal["default"] = "default",
        line_mask: LineMask | Literal["default"] | None = "default",
        bounds: Bounds | None = None,
        priors: PriorsLike | None = None,
        n_samples: int = 0,
        model_error: bool | Literal["default"] = "default",
        abundances: Sequence[str] = (),
    ) -> InferenceResult:
        """Infer parameters of observed stars on their own pixels, with errors and flags.

        Parameters
        ----------
        stars : ObservedSpectrum, mapping, table or spectrum of specutils, or list of stars
            One star is an :class:`~skphx.observing.ObservedSpectrum`, or a mapping or table with
            `wavelength` and `flux` and, if known, `sigma` or `ivar`, `mask`, `medium`,
            `resolution`, `line_spread`; units are converted, and other names are errors.
            Two-dimensional arrays, and lists of arrays, have a row for each order. A list
            is a list of stars, and so are tuples, iterators, and arrays of objects. Within it, a
            star of several segments (orders, arms or exposures) is a list of segments:
            ``[[blue, red]]`` is one star. A mapping of names to stars is a list with names.
        observation_model : ObservationModel or None
            All settings below, from `velocity` to `line_mask`, in one object, in place of
            those kept with the model. None is the `observation_model` of the constructor.
        velocity, vsini, macroturbulence : float, tuple (low, high), Quantity or "default"
            Radial velocity, v sin i and radial-tangential macroturbulence in km/s. A number is
            held, a parameter with a range is fitted within the range. As for the other keywords,
            ``"default"`` is the value kept with the model, which is 0 if none is kept; any other
            value replaces it.
        resolution : float, function, tuple (low, high), None or "default"
            λ/FWHM. A number, or a function of the wavelengths in Å, is for segments that have no
            resolution of their own; a range is fitted, one value for all segments. None, if no
            value is kept.
        medium : {"air", "vacuum", "default"} or None
            Medium of segments that have none of their own. Their wavelengths are converted to
            the emulator's medium. None, if no value is kept.
        continuum_degree : int, None or "default"
            Degree of the polynomial of each segment that multiplies the model and is
            marginalised. None is for flux whose continuum is 1. The `continuum_degree` of the
            constructor, if no value is kept.
        limb_darkening : float or "default"
            Linear limb-darkening coefficient, for the rotation; 0.6, if no value is kept.
        line_mask : LineMask, None or "default"
            Pixels near lines of some species are left out, at the velocity of each star. None
            leaves none out, as if no value is kept.
        bounds : array-like of shape (n_parameters, 2) or (n_stars, n_parameters, 2), optional
            Search box of the stellar parameters, or a mapping ``{"teff": (low, high)}`` with
            numbers or arrays of shape (n_stars,). It is cut to the grid; NaN and None mean the
            constructor's.
        priors : dict or array-like, optional
            Gaussian priors: ``{"teff": (mean, standard deviation), "velocity": ...}``, with
            numbers or arrays of shape (n_stars,); or an array as in `predict`.
        n_samples : int
            Number of samples of the posterior of each star to draw with emcee.
        model_error : bool or "default"
            Whether the errors of the model's lines, which a calibration measures, are part of
            the errors of the pixels. ``"default"``: where the emulator has them, as
            ``emulator_.model_error_``. False ignores them.
        abundances : sequence of str
            Elements whose abundances are fitted too, such as ``("Ca", "Ti")``, for an emulator
            of :func:`skphx.species.name_lines`. [X/Fe] follow the stellar parameters in the
            results, as ``ca_fe``, ``ti_fe``. They are between ±0.6 dex and have a Gaussian
            prior of 0 ± 0.3 dex, unless `bounds` and `priors` by these names say otherwise;
            ``priors={"ca_fe": (None, None)}`` is no prior. Arrays of `bounds` and `priors` are
            for the parameters of the grid, or for these and the abundances.

        Returns
        -------
        InferenceResult
            Of one star if `stars` is one star. Of a list of stars, also of one or none, its
            arrays have an element for each star. Both can be iterated over and indexed.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        TypeError
            If `observation_model` is not an ObservationModel, `line_mask` is not a LineMask,
            `abundances` is no sequence of strings, or a star is of another type.
        ValueError
            If a list of stars looks like the segments of one star: two of its spectra hardly
            overlap in wavelength, and none is a list. If a star has too few good pixels, the
            model does not cover them, only one medium is known, a setting is out of its range,
            both an `observation_model` and a keyword that it contains are given, or a species
            of `line_mask` has no line within the model's wavelengths. If `model_error` is True
            and the emulator has none, or it is another value. If `abundances` are given and the
            lines of the emulator have no names, or an element is unknown, repeated, hydrogen,
            helium, iron, or a parameter of the grid.
        ImportError
            If `n_samples` is above 0 and emcee is not installed.

        Warns
        -----
        UserWarning
            If `bounds` go beyond the grid; not for those of
            :func:`~skphx.inference.boxes_around`, nor for infinite ones.

        Notes
        -----
        Spectra are emulated at `n_initial_points` points of the grid and compared with the star
        at all velocities. The `n_starts` best of them are the starting points of the
        minimisation. If no errors are given, they are estimated from the scatter of the
        residuals. Pixels beyond the wavelengths of the model are left out.

        With a `line_mask` and a range of velocities, stars are fitted twice. The first fit gives
        the velocity. It leaves out the pixels that the lines reach at any velocity of the range,
        if at least half of the pixels remain, and none otherwise. In the second, the mask is at
        the velocity of the first.

        Errors of the model are shared by pixels: all those of a line, or of the lines of a
        species. Chi², flags, errors, evidence and samples use the covariance of the pixels at the
        star's own parameters, broadening and continuum, which is held fixed while the parameters
        change. Stars without errors of their own then have the noise that neighbouring pixels do
        not share. `predict` has no model error.

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
        >>> estimator.infer([star, star]).parameters.shape
        (2, 3)
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", int, min_val=0)
        if isinstance(n_samples, bool):
            raise TypeError(f"n_samples must be a number of samples, not {n_samples}.")
        used_model = self._combine(
            observation_model,
            velocity=velocity,
            vsini=vsini,
            macroturbulence=macroturbulence,
            resolution=resolution,
            medium=medium,
            continuum_degree=continuum_degree,
            limb_darkening=limb_darkening,
            line_mask=line_mask,
        )
        star_list, star_names, several = list_stars(stars)
        emulator, surrogate = self._with_abundances(abundances)
        grid = emulator.grid_
        names = grid.parameter_names
        if len(star_list) == 0:
            return stack_results([], (*names, *used_model.free))
        boxes = self._boxes(bounds, len(star_list), grid)
        random = check_random_state(self.random_state)
        templates = self._templates(boxes, random, emulator)
        sampler = None
        if n_samples:
            sampler = PosteriorSampler(n_samples, random.randint(np.iinfo(np.int32).max))
        results = infer_outside_lines(
            emulator,
            star_list,
            used_model,
            boxes,
            self._observed_priors(priors, len(star_list), grid),
            templates,
            n_starts=self.n_starts,
            n_jobs=self.n_jobs,
            error=self.error_,
            surrogate=surrogate,
            sampler=sampler,
            model_error=self._model_error(model_error, emulator),
            continuum_degree=self.continuum_degree,
        )
        results = [
            replace(result, name=name) for result, name in zip(results, star_names, strict=True)
        ]
        return stack_results(results) if several else results[0]

    @classmethod
    def from_emulator(cls, emulator: SpectralEmulator | FrozenEstimator, **settings: Any) -> Self:
        """Make an estimator of a fitted emulator.

        Parameters
        ----------
        emulator : FluxEmulator or LineManifoldRegressor
            Fitted emulator; it is not copied.
        **settings
            Other parameters of the constructor.

        Returns
        -------
        StellarParameterEstimator
            A fitted estimator.

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
        estimator._take_emulator(emulator)
        estimator._warn_of_bounds(estimator.bounds)
        return estimator

    def compile(
        self,
        *,
        resolution: float | None = None,
        wavelength: tuple[float, float] | None = None,
        bounds: Bounds | None = None,
        n_between: int = 1,
        tolerance: float = 1e-4,
        n_tests: int = 64,
        random_state: int = 0,
    ) -> Self:
        """Compile the emulator for one instrument, for surveys.

        Spectra are emulated on a lattice finer than the nodes, broadened to the instrument's
        resolution, sampled at a third of the standard deviation of the line-spread function, and
        compressed to principal components. For each star, velocity, rotation and pixels are then
        computed from a few thousand samples. The compiled flux is normalised, also if the
        emulator has a normaliser. It has no errors of lines (`model_error_`), and `infer` of the
        compiled estimator does not use them. If the lines have names, those of the compiled
        emulator have, too.

        Parameters
        ----------
        resolution : float or None
            λ/FWHM of the instrument's Gaussian line-spread function; None keeps that of the
            model.
        wavelength : tuple (low, high) or None
            Range in Å, in the emulator's medium: that of the observed pixels, with margins for
            velocity and rotation. None is the whole range of the emulator.
        bounds : array-like of shape (n_parameters, 2), mapping or None
            Box of parameters, an array or ``{"teff": (low, high)}``; NaN and None are the limits
            of the grid.
        n_between : int
            Number of lattice points between two nodes of the grid on each axis.
        tolerance : float
            Largest rms error of the flux at any lattice point from the compression.
        n_tests : int
            Number of random points at which the error is measured.
        random_state : int
            Seed of these points.

        Returns
        -------
        StellarParameterEstimator
            The same estimator with a compiled :class:`FluxEmulator`. Its attributes
            ``emulator_.compile_rms_`` and ``emulator_.compile_max_`` are the rms and the largest
            difference of its flux from the original at the random points.

        Raises
        ------
        NotFittedError
            If `fit` was not called.
        ValueError
            If the bounds or the wavelengths are outside those of the emulator.
        """
        check_is_fitted(self)
        compiled = compile_emulator(
            self.emulator_,
            resolution=resolution,
            wavelength=wavelength,
            bounds=bounds,
            n_between=n_between,
            tolerance=tolerance,
            n_tests=n_tests,
            random_state=random_state,
        )
        inner = getattr(self.emulator_, "estimator", self.emulator_)  # of a FrozenEstimator
        if isinstance(inner, NamedEmulator):
            named = inner.renamed(compiled)
            named.compile_rms_ = compiled.compile_rms_
            named.compile_max_ = compiled.compile_max_
            compiled = named
        self._warn_of_bounds(bounds)
        settings = {**self.get_params(deep=False), "emulator": FrozenEstimator(compiled)}
        survey = type(self)(**settings)
        # The box of the compiled emulator may cut the constructor's, without a warning.
        survey._take_emulator(survey.emulator)
        return survey

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        tags.input_tags.positive_only = True
        # Spectra of random pixels contain no line.
        tags.regressor_tags.poor_score = True
        return tags

    def _check_settings(self):
        """Raise if a parameter of the constructor is out of its range."""
        if not isinstance(self.search, str | type) and hasattr(self.search, "check_settings"):
            self.search.check_settings()
        elif self.search != "gauss-newton":
            raise ValueError(
                f"search must be 'gauss-newton' or an object such as "
                f"skphx.paper.GaussianProcessSearch(), got {self.search!r}."
            )
        if self.continuum_degree is not None:
            check_scalar(self.continuum_degree, "continuum_degree", Integral, min_val=0)
        check_scalar(self.n_initial_points, "n_initial_points", Integral, min_val=1)
        check_scalar(self.n_starts, "n_starts", Integral, min_val=1)
        check_observation_model(self.observation_model)

    def _take_emulator(self, emulator):
        """Use a fitted emulator as `fit` does."""
        self._check_settings()
        self.n_features_in_ = len(emulator.wavelength_)
        self._set_emulator(emulator)

    def _set_emulator(self, emulator):
        """Keep a fitted emulator, its error model and its surrogate; check the bounds."""
        self.emulator_ = emulator
        self._boxes(None, 1)
        self.error_ = getattr(emulator, "error_", None)
        self.surrogate_ = None
        if self.search == "gauss-newton":
            self.surrogate_ = make_surrogate(emulator)

    def _model_error(self, model_error, emulator):
        """Return the errors of the emulator's lines that a call of `infer` uses, or None."""
        is_default = isinstance(model_error, str) and model_error == "default"
        if not (is_default or isinstance(model_error, bool | np.bool_)):
            raise ValueError(
                f"model_error must be 'default', True or False, got {model_error!r}; the errors "
                f"themselves belong to the emulator, as its attribute model_error_."
            )
        if not model_error:
            return None
        found = getattr(emulator, "model_error_", None)
        if found is None and not is_default:
            raise ValueError(
                "model_error=True needs an emulator with the errors of its lines, the attribute "
                "model_error_, and this one has none; calibrate it with "
                "skphx.calibration.LineCalibrator, or leave model_error out."
            )
        return found

    def _with_abundances(self, elements):
        """Return the emulator and its surrogate with abundances of elements as parameters."""
        inner = getattr(self.emulator_, "estimator", self.emulator_)  # of a FrozenEstimator
        elements = symbols_of(elements)
        if elements:
            if not isinstance(inner, NamedEmulator):
                raise ValueError(
                    "abundances need an emulator whose lines have names, and no abundances among "
                    "its parameters; name them with skphx.species.name_lines(emulator, "
                    "line_list), and make an estimator of the result with "
                    "StellarParameterEstimator.from_emulator."
                )
            emulator = inner.with_abundances(elements)
            surrogate = None if self.surrogate_ is None else emulator.over(self.surrogate_)
            return emulator, surrogate
        return self.emulator_, self.surrogate_

    def _observed_priors(self, priors, n_stars, grid):
        """Return the priors of a call of `infer`, with those of abundances, or None."""
        given = completed(priors, self.emulator_.grid_, grid)
        resolved = resolve_observed_priors(given, n_stars, grid.parameter_names)
        if not isinstance(grid, AbundanceGrid):
            return resolved
        return with_usual_abundances(resolved, priors, n_stars, grid)

    def _templates(self, boxes, random, emulator=None):
        """Return the initial points for some search boxes."""
        emulator = self.emulator_ if emulator is None else emulator
        n_pixels = len(emulator.wavelength_)
        return draw_templates(emulator.grid_, boxes, self.n_initial_points, n_pixels, random)

    def _boxes(self, bounds, n_spectra, grid=None):
        """Return one search box for each spectrum; warn if those of the call are cut."""
        own = self.emulator_.grid_
        grid = own if grid is None else grid
        limits = {"grid_bounds": grid.bounds, "parameter_names": grid.parameter_names}
        bounds = completed(bounds, own, grid)
        default = completed(self.bounds, own, grid)
        boxes = resolve_boxes(bounds, default, n_spectra, **limits)
        warn_of_cut(bounds, n_spectra, **limits)
        return boxes

    def _warn_of_bounds(self, bounds):
        """Warn if bounds for all spectra are cut."""
        grid = self.emulator_.grid_
        warn_of_cut(bounds, 1, grid_bounds=grid.bounds, parameter_names=grid.parameter_names)

    def _combine(self, observation_model, **keywords):
        """Return the settings of a call: an object, or the kept ones with keywords in them."""
        check_observation_model(observation_model)
        given = {
            name: value
            for name, value in keywords.items()
            if not (isinstance(value, str) and value == "default")
        }
        if observation_model is None:
            kept = ObservationModel() if self.observation_model is None else self.observation_model
            check_observation_model(kept)
            return replace(kept, **given)
        if given:
            raise ValueError(
                f"give either observation_model or {', '.join(given)}, not both; put "
                f"{', '.join(given)} into the ObservationModel, or leave observation_model out."
            )
        return observation_model
