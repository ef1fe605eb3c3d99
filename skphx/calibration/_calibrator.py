"""LineCalibrator: learn from stars with known parameters what is wrong with each line."""

import copy
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_scalar

from skphx._domain import FWHM_PER_SIGMA
from skphx._restore import restore_on_failure
from skphx.calibration._assembling import corrected, model_error, table_of
from skphx.calibration._corrections import Coordinates, LineCorrections
from skphx.calibration._design import Design
from skphx.calibration._emulator import CalibratedEmulator
from skphx.calibration._features import OwnLines, group_lines
from skphx.calibration._learning import Learning, LeftOut, ModelVariances, Solution
from skphx.calibration._missing_lines import find_missing_lines
from skphx.calibration._prior import LearntPrior
from skphx.calibration._reference_sample import (
    check_emulators,
    check_families,
    check_values,
    reference_sample,
    warn_of_limits,
)
from skphx.inference._estimator import PriorsLike, StellarParameterEstimator
from skphx.inference._observation_model import ObservationModel, check_observation_model
from skphx.inference._result import InferenceResult, stack_results
from skphx.inference._star_list import StarsLike, list_stars
from skphx.lines._engine.profile import total_fwhm
from skphx.species import LineList
from skphx.species._line_names import strongest_lines

# A line has corrections of its own if a change of its strength by 30 % is seen with at least
# this signal-to-noise ratio in one star; of its width as well, if a change by 20 % is.
_LEAST_SIGNAL, _CHANGE, _WIDTH_CHANGE = 1.0, 0.3, 0.2
# Slopes are used if the stars that are left out are so much more probable with them.
_LEAST_GAIN = 5.0
# Parts of a step that are tried.
_STEPS = (1.0, 0.5, 0.25, 0.125, 0.0625)
# Rounds of learning by leaving stars out.
_ROUNDS = 3
# Fewest stars from which slopes, and prior widths, are learnt.
_FEWEST_FOR_SLOPES, _FEWEST_TO_LEAVE_OUT = 4, 2


class LineCalibrator(BaseEstimator):
    """Correct the lines of an emulator by stars whose parameters are known.

    Models of stars have wrong lines: oscillator strengths, damping, profiles of hydrogen. The
    calibrator observes the models as the stars were observed, with their velocity, rotation and
    continuum fitted, and finds one correction for each line that makes them agree for all stars:
    of its strength, of its width, and, where leaving stars out asks for it, of the change of its
    strength with Teff. Strong lines also get wings. What stars do not share remains as an error
    of the models, by line, which :meth:`StellarParameterEstimator.infer` takes into account.

    Parameters
    ----------
    emulator : FluxEmulator or LineManifoldRegressor
        Fitted emulator to correct; it is not changed. A FrozenEstimator of it survives cloning.
    line_list : LineList or None, default=None
        Known transitions, such as from :func:`skphx.species.read_vald`. With it, lines of one
        species share prior widths, and corrections have names; without it, lines of similar
        depth share them.
    lines : LineManifoldRegressor or None, default=None
        Fitted emulator whose lines are corrected, if `emulator` has none. Its grid may have fewer
        nodes and fewer parameters than that of `emulator`. None takes `emulator`.
    slopes : bool or "auto", default="auto"
        Whether strengths may change with 5040 K/Teff. ``"auto"`` tries both and keeps slopes if
        stars that are left out are better predicted with them.
    observation_model : ObservationModel or None, default=None
        Settings of the forward model: ranges of velocity and rotation, resolution, continuum,
        lines to leave out. None is that of stars at rest.
    continuum_degree : int or None, default=3
        Degree of the continuum of each segment, if `observation_model` has ``"default"``.
    max_lines : int, default=800
        Largest number of lines with corrections of their own: those that the stars show best.
        The others have those of their species or depth.
    add_lines : int, default=0
        Largest number of lines to add that stars show and the models lack, found in the residuals
        of the first iteration. At least two stars must show them; their strength is the same for
        all stars.
    n_iterations : int, default=2
        Number of times that lines, velocities and continua are linearised and solved.

    Attributes
    ----------
    emulator_ : CalibratedEmulator
        The corrected emulator.
    corrections_ : LineCorrections
        The corrections; ``corrections_.to_pandas()`` has a row for each line.
    model_error_ : LineModelError
        What the corrections leave: by line, species, wings and cores of strong lines, and length
        of correlation.
    uses_slopes_ : bool
        Whether strengths change with 5040 K/Teff.
    scale_ : float
        Factor of the variances of the models, from the stars left out.
    kinematics_ : ndarray of shape (n_spectra, 4)
        Velocity, v sin i and macroturbulence (km/s), and resolution of each star, as fitted.
    left_out_shift_, left_out_error_ : ndarray of shape (n_spectra, n_parameters)
        Difference between the parameters that would be inferred with the other stars' corrections
        and the reference values, to first order, and its standard error before scaling; NaN with
        fewer than two stars. :meth:`infer_left_out` has the differences without approximation.
    star_names_ : list of str
        Names of the stars, or their numbers.

    See Also
    --------
    skphx.StellarParameterEstimator.infer : Parameters of stars from the corrected emulator.
    skphx.inspection.CalibrationDisplay : Pictures.

    Notes
    -----
    All corrections are solved for together, as ridge regression with Gaussian priors: of each
    line, common to the lines of a species, and of wings. The widths of the priors are learnt from
    the corrections, and a line that needs much more than others gets a wider one (Student's t
    distribution). The variances of the models' errors are learnt by leaving stars out: a
    variance grows if the squares of what is left exceed their expectation. Two or more spectra of
    one star must have the same entry of `groups`.

    References
    ----------
    Boeche & Grebel (2016), A&A 587, A2, who tune oscillator strengths on a few stars; Czekala et
    al. (2015), ApJ 812, 128, for the covariance of what models leave.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx import LineManifoldRegressor, VoigtCloner
    >>> from skphx.calibration import LineCalibrator
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=1000,
    ...                          wavelength=(8500.0, 8520.0), n_lines=10, return_lines=True)
    >>> spectra = grid.spectra / grid.continuum
    >>> emulator = LineManifoldRegressor(VoigtCloner(wavelength=grid.wavelength))
    >>> emulator = emulator.fit(grid.parameters, spectra)
    >>> stars = [{"wavelength": grid.wavelength, "flux": flux**1.1, "sigma": 0.005}
    ...          for flux in spectra]
    >>> calibrator = LineCalibrator(emulator).fit(stars, grid.parameters)
    >>> deepest = calibrator.corrections_.to_pandas().nlargest(1, "depth")
    >>> bool(abs(deepest["strength"].iloc[0] - np.log(1.1)) < 0.05)
    True
    """

    def __init__(
        self,
        emulator: Any,
        line_list: LineList | None = None,
        *,
        lines: Any = None,
        slopes: bool | Literal["auto"] = "auto",
        observation_model: ObservationModel | None = None,
        continuum_degree: int | None = 3,
        max_lines: int = 800,
        add_lines: int = 0,
        n_iterations: int = 2,
    ) -> None:
        self.emulator = emulator
        self.line_list = line_list
        self.lines = lines
        self.slopes = slopes
        self.observation_model = observation_model
        self.continuum_degree = continuum_degree
        self.max_lines = max_lines
        self.add_lines = add_lines
        self.n_iterations = n_iterations

    @restore_on_failure
    def fit(
        self,
        stars: StarsLike,
        parameters: ArrayLike,
        parameter_errors: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
    ) -> Self:
        """Learn the corrections.

        Parameters
        ----------
        stars : list of stars
            Observed stars, as :meth:`StellarParameterEstimator.infer` takes them.
        parameters : array-like or table of shape (n_stars, n_parameters)
            Their stellar parameters, columns as ``emulator.parameter_names``.
        parameter_errors : array-like of shape (n_stars, n_parameters) or (n_parameters,), optional
            Standard errors of the parameters, within which they are free. None holds them.
        groups : array-like of shape (n_stars,), optional
            Equal values for spectra of the same star, which are left out together.

        Returns
        -------
        self : LineCalibrator
            The fitted calibrator.

        Raises
        ------
        NotFittedError
            If the emulator is not fitted.
        TypeError
            If there are no lines to correct, or a star or a setting is of another type.
        ValueError
            If a setting is out of its range, a star is refused as by `infer`, parameters are not
            finite, outside the grid or not one row for each star, or the stars show no line.

        Warns
        -----
        UserWarning
            If a fitted velocity, broadening or resolution is at the limit of its range.
        """
        self._check_settings()
        emulator, lines = self._emulators()
        sample = reference_sample(
            emulator, self._model(), stars, parameters, parameter_errors, groups
        )
        names = emulator.grid_.parameter_names
        columns = tuple(names.index(name) for name in lines.grid_.parameter_names)
        own = np.clip(sample.parameters[:, list(columns)], *lines.grid_.bounds.T)
        strongest = strongest_lines(lines.manifold_.at(own))
        line_groups = group_lines(strongest, self.line_list, emulator.medium)
        coordinates = Coordinates.of_stars(sample.parameters, names)
        corrections = LineCorrections.none(lines, columns, coordinates, line_groups)
        current = emulator
        found: _Found | None = None
        for iteration in range(self.n_iterations):
            for star in sample.stars:
                star.fit(current)
            if found is None:
                own, equations = self._own_lines(sample.stars, corrections, line_groups)
            else:
                equations = [
                    star.equations(corrections, line_groups, own) for star in sample.stars
                ]
            is_last = iteration == self.n_iterations - 1
            found = self._best(sample, equations, corrections, line_groups, own, found, is_last)
            corrections = self._damped(sample, emulator, corrections, line_groups, own, found)
            if iteration == 0 and self.add_lines and not is_last:
                missing = find_missing_lines(
                    sample.stars,
                    found.learning.equations,
                    found.residuals,
                    line_groups,
                    most=self.add_lines,
                    sigma=_typical_sigma(strongest),
                )
                added = np.column_stack([missing, np.zeros(len(missing))])
                corrections = replace(corrections, added=added)
            current = CalibratedEmulator._of_fitted(emulator, corrections)
        warn_of_limits(sample, self._model())
        self._keep(sample, corrections, line_groups, own, found, emulator, names, strongest)
        return self

    def _best(self, sample, equations, corrections, line_groups, own, before, is_last):
        """Solve for the corrections, with slopes or without."""
        n_stars = len(np.unique(sample.families))
        learns = is_last and n_stars >= _FEWEST_TO_LEAVE_OUT
        choices = [self.slopes != "auto" and bool(self.slopes)]
        if self.slopes == "auto" and is_last and n_stars >= _FEWEST_FOR_SLOPES:
            choices = [False, True]
        at, _ = corrections.coordinates.at(sample.parameters)
        best: _Found | None = None
        for with_slopes in choices:
            design = Design(line_groups, own, with_slopes, len(corrections.added))
            rows = [design.columns(one, x) for one, x in zip(equations, at, strict=True)]
            start = np.zeros(len(design.label))
            if before is not None:
                for _, place, old in design.parts_of(before.design):
                    start[place] = before.values[old]
            targets = [one.residual + start @ r for one, r in zip(equations, rows, strict=True)]
            learning = Learning(design, equations, rows, targets, sample.families)
            if best is None:
                learning.weigh(ModelVariances.start(equations[0]))
                prior, n_rounds = LearntPrior(design), _ROUNDS
            else:
                learning.weigh(best.variances)
                prior, n_rounds = LearntPrior(design, prior), 0
            if learns:
                solution, left_out = learning.learn(prior, n_rounds)
            else:
                solution, left_out = learning.solve(prior.variance), None
            values = design.limited(solution.values)
            left = [one - values @ r for one, r in zip(targets, rows, strict=True)]
            found = _Found(design, solution, learning, left_out, start, values, left)
            if best is None or found.log_density > best.log_density + _LEAST_GAIN:
                best = found
        return best

    @staticmethod
    def _damped(sample, emulator, corrections, groups, own, found):
        """Return the corrections of a step that lowers the cost; a full one, if it does.

        Lines are not linear in their corrections, and a full step may go too far.
        """
        learning, prior = found.learning, found.solution.prior
        cost = learning.cost(found.start, prior, [one.residual for one in learning.equations])
        for part in _STEPS:
            values = found.start + part * (found.values - found.start)
            new = corrected(corrections, found.design, own, groups, values)
            used = CalibratedEmulator._of_fitted(emulator, new)
            residuals = [star.residual(used) for star in sample.stars]
            if learning.cost(values, prior, residuals) < cost:
                found.values, found.residuals = values, residuals
                return new
        found.values = found.start
        return corrected(corrections, found.design, own, groups, found.start)

    def _keep(self, sample, corrections, groups, own, found, emulator, names, strongest):
        """Keep what was learnt."""
        left_out = found.left_out
        self.scale_ = 1.0 if left_out is None else left_out.scale
        table = table_of(corrections, groups, own, found, strongest)
        self.corrections_ = replace(corrections, table=table)
        self.model_error_ = model_error(self.corrections_, groups, own, found, self.scale_)
        self.uses_slopes_ = found.design.with_slopes
        self.kinematics_ = np.concatenate([star.kinematics for star in sample.stars])
        self.star_names_ = sample.names
        missing = np.full(sample.parameters.shape, np.nan)
        self.left_out_shift_ = missing if left_out is None else left_out.shifts
        self.left_out_error_ = missing if left_out is None else left_out.errors
        provenance = {
            "stars": sample.names,
            "parameter_names": list(names),
            "parameters": sample.parameters.tolist(),
            "parameter_errors": sample.errors.tolist(),
        }
        self.emulator_ = CalibratedEmulator._of_fitted(
            emulator, self.corrections_, model_error=self.model_error_, provenance=provenance
        )

    def infer_left_out(
        self,
        stars: StarsLike,
        parameters: ArrayLike,
        parameter_errors: ArrayLike | None = None,
        *,
        groups: ArrayLike | None = None,
        priors: PriorsLike | None = None,
        **settings: Any,
    ) -> InferenceResult:
        """Infer each star with corrections learnt from the others.

        Parameters
        ----------
        stars, parameters, parameter_errors, groups
            As in :meth:`fit`.
        priors : dict or array-like, optional
            Priors, as `infer` takes them for several stars.
        **settings
            Other parameters of :class:`~skphx.StellarParameterEstimator`, such as `n_jobs`.

        Returns
        -------
        InferenceResult
            Of all stars, in their order. This calibrator is not changed.

        Raises
        ------
        ValueError
            As in :meth:`fit`, or if there are fewer than two stars.
        """
        star_list, names, _ = list_stars(stars)
        emulator, _ = self._emulators()
        values, errors = check_values(emulator.grid_, len(star_list), parameters, parameter_errors)
        families = check_families(groups, len(star_list))
        if len(np.unique(families)) < 2:
            raise ValueError(
                "infer_left_out needs two or more stars, so that one can be left out; "
                "spectra with equal entries of groups are one star."
            )
        results: dict[int, InferenceResult] = {}
        for family in np.unique(families):
            rest, out = np.flatnonzero(families != family), np.flatnonzero(families == family)
            calibrator = copy.copy(self).fit(
                [star_list[star] for star in rest],
                values[rest],
                errors[rest],
                groups=families[rest],
            )
            estimator = StellarParameterEstimator.from_emulator(
                calibrator.emulator_,
                observation_model=self._model(),
                **{"random_state": 0, **settings},
            )
            for star in out:
                found = estimator.infer([star_list[star]], priors=_priors_of(priors, star))
                results[int(star)] = replace(found[0], name=names[star])
        return stack_results([results[star] for star in range(len(star_list))])

    def _check_settings(self):
        check_scalar(self.max_lines, "max_lines", Integral, min_val=1)
        check_scalar(self.add_lines, "add_lines", Integral, min_val=0)
        check_scalar(self.n_iterations, "n_iterations", Integral, min_val=1)
        if self.continuum_degree is not None:
            check_scalar(self.continuum_degree, "continuum_degree", Integral, min_val=0)
        if self.slopes not in (True, False, "auto"):
            raise ValueError(f"slopes must be True, False or 'auto', got {self.slopes!r}.")
        if self.line_list is not None and not isinstance(self.line_list, LineList):
            raise TypeError(
                f"line_list must be a LineList, such as from skphx.species.read_vald, or None, "
                f"got {type(self.line_list).__name__}."
            )
        check_observation_model(self.observation_model)

    def _emulators(self):
        """Return the emulator to correct, and the one with the lines."""
        return check_emulators(self.emulator, self.lines, needs_medium=self.line_list is not None)

    def _model(self):
        """Return the settings of the forward model."""
        model = ObservationModel() if self.observation_model is None else self.observation_model
        if model.continuum_degree == "default":
            model = replace(model, continuum_degree=self.continuum_degree)
        return model

    def _own_lines(self, references, corrections, groups):
        """Return the lines that have corrections of their own, and the equations with them."""
        signal = np.max([star.strength_signal(corrections) for star in references], axis=0)
        active = np.flatnonzero(signal * _CHANGE > _LEAST_SIGNAL)
        if len(active) == 0:
            raise ValueError(
                "the stars show no line well enough to correct it; give spectra of higher "
                "signal-to-noise ratio, or check their wavelengths and errors."
            )
        if len(active) > self.max_lines:
            order = np.argsort(-signal[active], kind="stable")
            active = np.sort(active[order[: self.max_lines]])
        candidates, n_active = OwnLines(active, active), len(active)
        equations = [star.equations(corrections, groups, candidates) for star in references]
        signal = np.max(
            [np.linalg.norm(one.lines[n_active:] / one.sigma, axis=1) for one in equations], axis=0
        )
        has_width = signal * _WIDTH_CHANGE > _LEAST_SIGNAL
        kept = np.concatenate([np.ones(n_active, dtype=bool), has_width])
        equations = [replace(one, lines=one.lines[kept]) for one in equations]
        return OwnLines(active, active[has_width]), equations


@dataclass(eq=False)
class _Found:
    """Corrections of one design, what they leave, and their limited values."""

    design: Design
    solution: Solution
    learning: Learning
    left_out: LeftOut | None
    start: NDArray[np.float64]
    values: NDArray[np.float64]
    residuals: list[NDArray[np.float64]]

    @property
    def variances(self) -> ModelVariances:
        """Variances of what stars do not share."""
        return self.learning.variances

    @property
    def log_density(self) -> float:
        """Logarithm of the density of the stars left out."""
        return -np.inf if self.left_out is None else self.left_out.log_density


def _typical_sigma(lines):
    """Return the standard deviation of a typical line, Å: of the median full width."""
    fwhm = total_fwhm(np.exp(lines[:, 2]), np.exp(lines[:, 3]))
    return float(np.median(fwhm)) / FWHM_PER_SIGMA


def _priors_of(priors, star):
    """Return the priors of one star."""
    if not isinstance(priors, dict):
        return priors if priors is None or np.ndim(priors) < 3 else np.asarray(priors)[[star]]
    return {
        name: tuple(np.ravel(value)[star] if np.ndim(value) else value for value in pair)
        for name, pair in priors.items()
    }
