"""Result of inference for one star: parameters, errors, the fit, and flags."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Meaning of each flag, and what to do.
FLAGS: dict[str, str] = {
    "at_bound": "a parameter is at a bound, and the true value may be beyond it; widen the bound, "
    "or use the value as a limit",
    "bad_fit": "the model does not describe the spectrum: chi² is too high, or, without errors, "
    "residuals are larger in the lines than between them, or most of the spectrum stays "
    "unexplained; the parameters may be wrong by more than their errors",
    "featureless": "the continuum alone describes the spectrum as well, so the parameters are not "
    "determined; errors are those of the search box",
    "outside_grid": "the best model is at an edge of the grid, and models beyond it would describe "
    "the spectrum better; use a grid that goes further",
    "not_converged": "the minimisation reached its largest number of evaluations; narrow the "
    "bounds, or fit fewer parameters",
    "degenerate": "the spectrum does not determine some combination of parameters; hold one of "
    "them, or give a prior",
    "uncovered": "more than a tenth of the good pixels are outside the model's wavelengths and "
    "were left out",
}


@dataclass(eq=False, repr=False)
class InferenceResult:
    """Parameters of one observed star.

    Attributes
    ----------
    parameter_names : tuple of str
        Stellar parameters, then the kinematic and instrumental parameters that were free.
    parameters : ndarray of shape (n_parameters,)
        Best values; velocities in km/s.
    covariance : ndarray of shape (n_parameters, n_parameters)
        Covariance of the posterior at its maximum: pixel noise, marginalised over the
        continuum, plus the emulator's own error. It is increased where chi² is too high, and 0
        for parameters that were held.
    emulator_covariance : ndarray of shape (n_parameters, n_parameters)
        The part of `covariance` that is due to the emulator's own error.
    chi2 : float
        Sum of squared residuals divided by their variances, without priors.
    n_pixels : int
        Number of pixels used.
    n_free : int
        Number of fitted parameters, coefficients of the continuum included.
    model : list of ndarray of shape (n_segment_pixels,)
        Flux of the model, for each segment.
    residual : list of ndarray of shape (n_segment_pixels,)
        Observed flux minus model, for each segment; NaN for pixels not used.
    continuum : list of ndarray of shape (n_segment_pixels,)
        The polynomial by which the model is multiplied, for each segment.
    flags : tuple of str
        Names in :data:`skphx.inference.FLAGS`; empty if there is no problem.
    at_bound : tuple of str
        Parameters at a bound.
    n_evaluations : int
        Number of spectra emulated for this star alone.
    n_shared_evaluations : int
        Number of spectra emulated for all stars of the call together.
    sigma_known : bool
        Whether the spectrum has errors. If not, they are estimated from the scatter, and `chi2`
        is the number of degrees of freedom.
    log_evidence : float
        Natural logarithm of the evidence in Laplace's approximation, up to a constant of the
        data; NaN without errors. Compare it between emulators of one star.
    samples : ndarray of shape (n_samples, n_parameters) or None
        Samples of the posterior; None if ``n_samples=0``.
    """

    parameter_names: tuple[str, ...]
    parameters: NDArray[np.float64]
    covariance: NDArray[np.float64]
    emulator_covariance: NDArray[np.float64]
    chi2: float
    n_pixels: int
    n_free: int
    model: list[NDArray[np.float64]]
    residual: list[NDArray[np.float64]]
    continuum: list[NDArray[np.float64]]
    flags: tuple[str, ...]
    at_bound: tuple[str, ...]
    n_evaluations: int
    n_shared_evaluations: int
    sigma_known: bool
    log_evidence: float
    samples: NDArray[np.float64] | None = None

    @property
    def errors(self) -> NDArray[np.float64]:
        """Standard errors of `parameters`, shape (n_parameters,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def reduced_chi2(self) -> float:
        """`chi2` divided by the number of degrees of freedom."""
        return self.chi2 / max(self.n_pixels - self.n_free, 1)

    @property
    def ok(self) -> bool:
        """Whether no flag is set."""
        return not self.flags

    def as_dict(self) -> dict[str, float | str]:
        """Return values and errors by name, as a row of a table.

        Returns
        -------
        dict
            ``{"teff": ..., "teff_error": ..., ..., "reduced_chi2": ..., "flags": "..."}``.
        """
        row: dict[str, float | str] = {}
        for name, value, error in zip(
            self.parameter_names, self.parameters, self.errors, strict=True
        ):
            row[name] = float(value)
            row[f"{name}_error"] = float(error)
        row["reduced_chi2"] = float(self.reduced_chi2)
        row["flags"] = " ".join(self.flags)
        return row

    def __repr__(self):
        names = ", ".join(
            f"{name}={value:.5g} ± {error:.2g}"
            for name, value, error in zip(
                self.parameter_names, self.parameters, self.errors, strict=True
            )
        )
        flags = f", flags: {' '.join(self.flags)}" if self.flags else ""
        return f"<InferenceResult {names}; chi²/n {self.reduced_chi2:.3g}{flags}>"

    def __str__(self):
        lines = [
            f"{name:>15} {value:12.5g} ± {error:.3g}"
            for name, value, error in zip(
                self.parameter_names, self.parameters, self.errors, strict=True
            )
        ]
        known = "" if self.sigma_known else " (errors from the scatter)"
        lines.append(
            f"{'chi²/n':>15} {self.reduced_chi2:12.5g}   {self.n_pixels} pixels, {self.n_free} "
            f"fitted{known}"
        )
        for flag in self.flags:
            where = f" ({', '.join(self.at_bound)})" if flag == "at_bound" else ""
            lines.append(f"{flag:>15}{where}: {FLAGS[flag]}")
        return "\n".join(lines)
