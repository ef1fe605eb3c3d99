"""Comparison of several emulators for one star, by evidence or by chi²."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from skphx.inference._result import InferenceResult
from skphx.observing._observed_spectrum import StarLike, as_segments

if TYPE_CHECKING:
    from skphx.inference._estimator import StellarParameterEstimator

CRITERIA = ("evidence", "chi2")


@dataclass(eq=False, repr=False)
class Comparison:
    """One star fitted with several emulators.

    Attributes
    ----------
    name : str
        Name of the chosen emulator.
    result : InferenceResult
        Result with this emulator.
    results : dict of str to InferenceResult
        Results with all emulators, which use the same pixels.
    criterion : {"evidence", "chi2"}
        Criterion of the choice.
    probabilities : dict of str to float
        Posterior probability of each emulator, for equal prior probabilities; NaN without
        errors of the flux.
    """

    name: str
    result: InferenceResult
    results: dict[str, InferenceResult]
    criterion: Literal["evidence", "chi2"]
    probabilities: dict[str, float]

    def __repr__(self):
        return f"<Comparison {self.name!r} of {list(self.results)} by {self.criterion}>"

    def __str__(self):
        lines = [f"chosen by {self.criterion}: {self.name}"]
        for name, result in self.results.items():
            lines.append(
                f"{name:>15}  chi² {result.chi2:.6g} of {result.n_pixels} pixels, ln evidence "
                f"{result.log_evidence:.6g}, probability {self.probabilities[name]:.3g}"
                + (f", flags: {' '.join(result.flags)}" if result.flags else "")
            )
        return "\n".join(lines)


def compare_emulators(
    estimators: "Mapping[str, StellarParameterEstimator]",
    star: StarLike,
    *,
    criterion: Literal["evidence", "chi2"] = "evidence",
    **settings: Any,
) -> Comparison:
    """Fit a star with several emulators, and choose the one that describes it best.

    Parameters
    ----------
    estimators : dict of str to StellarParameterEstimator
        Fitted estimators by name, one for each emulator.
    star : ObservedSpectrum, mapping, or sequence of these
        One star, as `StellarParameterEstimator.infer` takes it.
    criterion : {"evidence", "chi2"}
        Criterion of the choice. Evidence needs errors of the flux, and is lower for a wider
        grid, whose prior is wider.
    **settings
        Passed on to `StellarParameterEstimator.infer`.

    Returns
    -------
    Comparison
        The choice, and all results. Pixels that one of the emulators does not cover are left
        out of all fits, because chi² of different pixels cannot be compared.

    Raises
    ------
    ValueError
        If there is no estimator, the criterion is unknown, or the criterion is evidence and the
        star has no errors of the flux.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {CRITERIA}, got {criterion!r}.")
    if not estimators:
        raise ValueError("estimators must hold one estimator or more, got none.")
    segments = as_segments(star)
    if criterion == "evidence" and any(segment.sigma is None for segment in segments):
        raise ValueError(
            "criterion='evidence' needs sigma or ivar of the flux; give one of them, or use "
            "criterion='chi2'."
        )

    def fit(segments, settings):
        return {
            name: estimator.infer([segments], **settings)[0]
            for name, estimator in estimators.items()
        }

    results = fit(segments, settings)
    used = [np.isfinite(np.concatenate(result.residual)) for result in results.values()]
    if any((one != used[0]).any() for one in used):
        for number, segment in enumerate(segments):
            shared = np.logical_and.reduce(
                [np.isfinite(result.residual[number]) for result in results.values()]
            )
            segments[number] = replace(segment, mask=segment.mask | ~shared)
        results = fit(segments, _without_line_mask(settings))
    evidence = np.array([result.log_evidence for result in results.values()])
    odds = np.exp(evidence - evidence.max())
    probabilities = dict(zip(results, (odds / odds.sum()).tolist(), strict=True))
    if criterion == "evidence":
        name = max(results, key=lambda each: results[each].log_evidence)
    elif all(segment.sigma is not None for segment in segments):
        name = min(results, key=lambda each: results[each].chi2)
    else:
        # Without errors, chi² is the number of degrees of freedom: use the scatter instead.
        name = min(
            results,
            key=lambda each: np.nansum(np.concatenate(results[each].residual) ** 2),
        )
    return Comparison(name, results[name], results, criterion, probabilities)


def _without_line_mask(settings):
    """Return settings of `infer` without a mask of lines, which would move with the velocity."""
    model = settings.get("observation_model")
    if model is None:
        return settings | {"line_mask": None}
    return settings | {"observation_model": replace(model, line_mask=None)}
