"""What inference returns for one star: parameters, their errors, the fit, and warnings."""

from dataclasses import dataclass, field

import numpy as np

# Every flag, and what it means to a user.
FLAGS = {
    "at_bound": "a parameter ended at a bound: the star may lie beyond it; widen the bound, or "
    "take the value as a limit",
    "bad_fit": "the model does not describe the spectrum: chi² is too high, or, without errors, "
    "most of the spectrum stays unexplained; errors are widened, and the answer may be wrong",
    "featureless": "the spectrum is described as well by its continuum alone: it says nothing "
    "about the star; errors are those of the search box",
    "outside_grid": "the nearest model lies at the edge of the grid's nodes; the star may lie "
    "outside it",
    "not_converged": "the search ran out of evaluations; start it nearer, or free fewer effects",
    "degenerate": "some combination of parameters is not determined by the spectrum; hold one, "
    "or give a prior",
    "uncovered": "more than a tenth of the good pixels lie beyond the model's wavelengths and "
    "were left out",
}


@dataclass(eq=False, repr=False)
class InferenceResult:
    """Parameters of one observed star.

    Attributes
    ----------
    parameter_names : tuple of str
        The emulator's parameters, then the effects that were free.
    parameters : ndarray of shape (n_parameters,)
        Best values; velocities in km/s.
    covariance : ndarray of shape (n_parameters, n_parameters)
        Of the posterior near its maximum: pixel noise, marginalised over the continuum, plus
        the emulator's own error, widened by chi² where the fit is bad. 0 for what was held.
    emulator_covariance : ndarray of shape (n_parameters, n_parameters)
        The emulator's part of it.
    chi2 : float
        Sum of squared residuals over their errors, without priors.
    n_pixels : int
        Pixels used.
    n_free : int
        Parameters fitted to them, coefficients of the continuum included.
    model : list of ndarray of shape (n_chunk_pixels,)
        Flux of the model, chunk by chunk.
    residual : list of ndarray of shape (n_chunk_pixels,)
        Observed flux minus model; NaN where a pixel was not used.
    continuum : list of ndarray of shape (n_chunk_pixels,)
        The polynomial that is in the model.
    flags : tuple of str
        Names in :data:`skphx.inference.FLAGS`, empty where all is well.
    at_bound : tuple of str
        Parameters that ended at a bound.
    n_evaluations : int
        Spectra emulated for this star alone.
    n_shared_evaluations : int
        Spectra emulated for all stars that were inferred with it.
    sigma_known : bool
        Whether the spectrum came with errors; if not, the scatter stands for them and
        `chi2` is the number of degrees of freedom.
    log_evidence : float
        Natural logarithm of the evidence in Laplace's approximation, up to a constant of the
        data; NaN without errors. Compare it between emulators of one star.
    samples : ndarray of shape (n_samples, n_parameters) or None
        Draws from the posterior, where they were asked for.
    """

    parameter_names: tuple
    parameters: np.ndarray
    covariance: np.ndarray
    emulator_covariance: np.ndarray
    chi2: float
    n_pixels: int
    n_free: int
    model: list
    residual: list
    continuum: list
    flags: tuple
    at_bound: tuple
    n_evaluations: int
    n_shared_evaluations: int
    sigma_known: bool
    log_evidence: float
    samples: np.ndarray | None = field(default=None)

    @property
    def errors(self):
        """Standard errors of `parameters`, shape (n_parameters,)."""
        return np.sqrt(np.diag(self.covariance))

    @property
    def reduced_chi2(self):
        """`chi2` over its degrees of freedom."""
        return self.chi2 / max(self.n_pixels - self.n_free, 1)

    @property
    def ok(self):
        """Whether no flag is set."""
        return not self.flags

    def as_dict(self):
        """Return values and errors by name, for a row of a table.

        Returns
        -------
        dict
            ``{"teff": ..., "teff_error": ..., ..., "reduced_chi2": ..., "flags": "..."}``.
        """
        row = {}
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
