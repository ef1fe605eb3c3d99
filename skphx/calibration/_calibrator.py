"""LineCalibrator: learn from stars with known parameters what is wrong with each line."""

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted, check_scalar

from skphx._input_parameters import plain_parameters
from skphx._restore import restore_on_failure
from skphx.calibration._corrections import Coordinates, LineCorrections
from skphx.calibration._emulator import CalibratedEmulator
from skphx.calibration._features import group_lines, strongest_lines
from skphx.calibration._learning import Design, Learning, ModelVariances
from skphx.calibration._model_error import LineModelError
from skphx.calibration._reference_star import ReferenceStar
from skphx.inference._observation_model import ObservationModel, check_observation_model
from skphx.inference._star_list import list_stars, naming_star
from skphx.lines._base_emulator import LineEmulator

# A line has corrections of its own if a change of its strength by the prior width is seen with
# at least this signal-to-noise ratio in one star.
_LEAST_SIGNAL, _PRIOR = 1.0, 0.3
# Largest absolute correction of ln width.
_MOST_WIDTH = 1.5


class LineCalibrator(BaseEstimator):
    def __init__(
        self,
        emulator: Any,
        line_list: Any = None,
        *,
        lines: Any = None,
        slopes: bool | Literal["auto"] = "auto",
        observation_model: ObservationModel | None = None,
        continuum_degree: int | None = 3,
        max_lines: int = 800,
        n_iterations: int = 2,
        n_rounds: int = 2,
    ) -> None:
        self.emulator = emulator
        self.line_list = line_list
        self.lines = lines
        self.slopes = slopes
        self.observation_model = observation_model
        self.continuum_degree = continuum_degree
        self.max_lines = max_lines
        self.n_iterations = n_iterations
        self.n_rounds = n_rounds

    @restore_on_failure
    def fit(self, stars, parameters, parameter_errors=None, *, groups=None) -> Self:
        emulator, lines = self._emulators()
        names = emulator.grid_.parameter_names
        star_list, star_names, _ = list_stars(stars)
        values = np.asarray(plain_parameters(parameters, names, "parameters"), dtype=np.float64)
        errors = np.zeros_like(values)
        if parameter_errors is not None:
            errors[:] = np.asarray(parameter_errors, dtype=np.float64)
        families = np.arange(len(star_list)) if groups is None else np.unique(groups, return_inverse=True)[1]
        model = self.observation_model or ObservationModel()
        if model.continuum_degree == "default":
            model = replace(model, continuum_degree=self.continuum_degree)
        references = []
        for number, star in enumerate(star_list):
            with naming_star(number):
                segments = model.segments_of(star, emulator.medium)
                references.append(ReferenceStar(emulator, segments, model, values[number], errors[number]))
        coordinates = Coordinates.of_stars(values, names)
        columns = tuple(names.index(name) for name in lines.grid_.parameter_names)
        own = np.clip(values[:, list(columns)], *lines.grid_.bounds.T)
        line_groups = group_lines(strongest_lines(lines.manifold_.at(own)), self.line_list, emulator.medium)
        corrections = LineCorrections.none(lines, columns, coordinates, line_groups)
        active, left_out = None, None
        for iteration in range(self.n_iterations):
            current = emulator if iteration == 0 else CalibratedEmulator.of_fitted(emulator, corrections)
            for star in references:
                star.fit(current)
            if active is None:
                active = self._active(references, corrections)
                design = Design(line_groups, active, self.slopes is not False)
                variances = ModelVariances.start(
                    len(active), len(line_groups.names), 3 * len(line_groups.feature_center)
                )
                prior = design.start_variance
                present = np.zeros(len(prior))
            equations = [star.equations(corrections, line_groups, active) for star in references]
            at, _ = coordinates.at(values)
            columns_of = [design.columns(one, x) for one, x in zip(equations, at, strict=True)]
            targets = [
                one.residual + present @ rows for one, rows in zip(equations, columns_of, strict=True)
            ]
            learning = Learning(design, equations, columns_of, targets, families)
            learning.weigh(variances)
            solution = learning.solve(prior)
            if iteration == self.n_iterations - 1:
                for _ in range(self.n_rounds):
                    prior = learning.learnt_prior(solution)
                    left_out = learning.leave_stars_out(prior)
                    variances = left_out.variances
                    learning.weigh(variances)
                    solution = learning.solve(prior)
            present = self._limited(solution.values, design)
            corrections = self._corrected(corrections, design, active, line_groups, present)
        self.learning_, self.solution_, self.design_, self.variances_ = learning, solution, design, variances
        self.active_, self.groups_ = active, line_groups
        self.left_out_ = left_out
        self.corrections_ = corrections
        self.model_error_ = self._model_error(corrections, line_groups, active, design, solution, variances)
        self.emulator_ = CalibratedEmulator.of_fitted(emulator, corrections, model_error=self.model_error_)
        self.kinematics_ = np.concatenate([star.kinematics for star in references])
        return self

    def _emulators(self):
        emulator = self.emulator.estimator if isinstance(self.emulator, FrozenEstimator) else self.emulator
        lines = self.lines if self.lines is not None else emulator
        lines = lines.estimator if isinstance(lines, FrozenEstimator) else lines
        check_is_fitted(emulator)
        check_is_fitted(lines)
        if not isinstance(lines, LineEmulator):
            raise TypeError("lines")
        return emulator, lines

    def _active(self, references, corrections):
        signal = np.max([star.strength_signal(corrections) for star in references], axis=0) * _PRIOR
        active = np.flatnonzero(signal > _LEAST_SIGNAL)
        if len(active) > self.max_lines:
            active = np.sort(active[np.argsort(-signal[active], kind="stable")[: self.max_lines]])
        return active

    @staticmethod
    def _limited(values, design):
        values = values.copy()
        for name in ("width", "group width"):
            values[design.parts[name]] = np.clip(values[design.parts[name]], -_MOST_WIDTH, _MOST_WIDTH)
        return values

    @staticmethod
    def _corrected(corrections, design, active, groups, values):
        parts = design.parts
        strength = values[parts["group strength"]][groups.number]
        width = values[parts["group width"]][groups.number]
        slope = np.zeros_like(strength)
        strength[active] += values[parts["strength"]]
        width[active] += values[parts["width"]]
        if design.with_slopes:
            slope[active] += values[parts["slope"]]
        wings = values[parts["wings"]].reshape(3, -1, 3).transpose(1, 2, 0)
        return replace(corrections, strength=strength, width=width, slope=slope, wings=wings)

    @staticmethod
    def _model_error(corrections, groups, active, design, solution, variances):
        parts, n_lines = design.parts, len(corrections)
        lines = np.zeros((2, n_lines))
        n_active = len(active)
        for k, name in enumerate(("strength", "width")):
            lines[k, active] = variances.lines[k * n_active : (k + 1) * n_active]
            lines[k, active] += solution.conditional[parts[name]]
        n_groups = len(groups.names)
        common = variances.groups.reshape(2, n_groups).copy()
        common[0] += solution.conditional[parts["group strength"]]
        common[1] += solution.conditional[parts["group width"]]
        n_wings = len(variances.wings)
        wings = variances.wings + solution.conditional[parts["wings"]][:n_wings]
        return LineModelError(
            corrections,
            groups,
            np.sqrt(lines),
            np.sqrt(common),
            np.sqrt(wings).reshape(-1, 3),
            variances.kernels,
        )
