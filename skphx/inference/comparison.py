"""Which of several emulators describes a star: by evidence or by chi²."""

from dataclasses import dataclass, replace

import numpy as np

from skphx.observing._spectrum import as_chunks

CRITERIA = ("evidence", "chi2")


@dataclass(eq=False, repr=False)
class Comparison:
    """One star fitted with several emulators.

    Attributes
    ----------
    name : str
        Name of the one chosen.
    result : InferenceResult
        Its result.
    results : dict of str to InferenceResult
        All results, the same pixels used in each.
    criterion : {"evidence", "chi2"}
        What it was chosen by.
    probabilities : dict of str to float
        Posterior probability of each emulator, all being equally probable before; NaN without
        errors of the flux.
    """

    name: str
    result: object
    results: dict
    criterion: str
    probabilities: dict

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


def compare_emulators(estimators, star, *, criterion="evidence", **settings):
    """Fit a star with several emulators and say which describes it best.

    Parameters
    ----------
    estimators : dict of str to StellarParameterEstimator
        Fitted estimators, one a grid.
    star : ObservedSpectrum, mapping, or sequence of these
        One star, as `StellarParameterEstimator.infer` takes it.
    criterion : {"evidence", "chi2"}
        What decides. Evidence needs errors of the flux, and punishes a wider grid for what it
        might have explained.
    **settings
        As `StellarParameterEstimator.infer`.

    Returns
    -------
    Comparison
        The choice, and all results. Pixels that one of the emulators does not cover are left
        out of all fits, since sums over different pixels cannot be compared.

    Raises
    ------
    ValueError
        If there is no estimator, the criterion is unknown, or evidence is asked for without
        errors of the flux.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {CRITERIA}, got {criterion!r}.")
    if not estimators:
        raise ValueError("estimators must hold one estimator or more, got none.")
    chunks = as_chunks(star)
    if criterion == "evidence" and any(chunk.sigma is None for chunk in chunks):
        raise ValueError(
            "criterion='evidence' needs sigma or ivar of the flux; give it, or choose by "
            "criterion='chi2'."
        )

    def fit(chunks):
        return {
            name: estimator.infer([chunks], **settings)[0]
            for name, estimator in estimators.items()
        }

    results = fit(chunks)
    if len({result.n_pixels for result in results.values()}) > 1:
        for number, chunk in enumerate(chunks):
            shared = np.logical_and.reduce(
                [np.isfinite(result.residual[number]) for result in results.values()]
            )
            chunks[number] = replace(chunk, mask=chunk.mask | ~shared)
        results = fit(chunks)
    evidence = np.array([result.log_evidence for result in results.values()])
    odds = np.exp(evidence - evidence.max())
    probabilities = dict(zip(results, (odds / odds.sum()).tolist(), strict=True))
    if criterion == "evidence":
        name = max(results, key=lambda each: results[each].log_evidence)
    elif all(chunk.sigma is not None for chunk in chunks):
        name = min(results, key=lambda each: results[each].chi2)
    else:
        # Without errors chi² is what it should be for every emulator: compare the scatter.
        name = min(
            results,
            key=lambda each: np.nansum(np.concatenate(results[each].residual) ** 2),
        )
    return Comparison(name, results[name], results, criterion, probabilities)
