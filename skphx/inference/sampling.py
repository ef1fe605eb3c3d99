"""Draws from a posterior that is not Gaussian, with emcee, and what users need to ask for them.

This is the only file that imports emcee.
"""

from dataclasses import dataclass, replace

import numpy as np

from skphx.inference.observed import to_internal, to_natural

# Walkers start in the Gaussian approximation, so that few steps are needed to forget it.
_BURN_IN = 100
_FEWEST_WALKERS = 24
# Steps between draws of one walker that are kept.
_THIN = 5


@dataclass(frozen=True)
class PosteriorSampler:
    """Draw from the posterior of a fitted star by an affine-invariant ensemble of walkers.

    Priors are uniform in the boxes, in km/s for velocities, times the Gaussian ones. The
    continuum is marginalised; the emulator's error is added to the draws as a Gaussian.

    Parameters
    ----------
    n_samples : int
        Draws to return.
    random_state : int
        Seed.

    References
    ----------
    Foreman-Mackey et al. (2013), PASP 125, 306; Goodman & Weare (2010).
    """

    n_samples: int
    random_state: int = 0

    def __call__(self, problem, row, box, result):
        """Return a result with its samples.

        Parameters
        ----------
        problem : ObservedSpectra
            Holds the star.
        row : int
            Which of its spectra.
        box : ndarray of shape (n_parameters, 2)
            Search box, with squares.
        result : InferenceResult
            Where to begin.

        Returns
        -------
        InferenceResult
            With `samples`; a copy.

        Raises
        ------
        ImportError
            If emcee is not installed.
        """
        try:
            import emcee
        except ImportError as error:
            raise ImportError(
                "n_samples > 0 draws with emcee, which is not installed; install it with "
                "pip install 'skphx[sample]', or leave n_samples at 0 for Gaussian errors."
            ) from error
        natural_box = to_natural(box.T, problem.n_stellar).T[problem.columns]
        varied = np.flatnonzero(natural_box[:, 1] > natural_box[:, 0])
        samples = np.tile(result.parameters, (self.n_samples, 1))
        if len(varied) == 0:
            return replace(result, samples=samples)
        low, high = natural_box[varied].T
        random = np.random.RandomState(self.random_state)
        scale = (
            max(result.reduced_chi2, 1.0)
            if result.sigma_known
            else self._scatter(problem, row, result)
        )

        def log_probability(values):
            inside = ((values >= low) & (values <= high)).all(axis=1)
            log = np.full(len(values), -np.inf)
            if inside.any():
                points = self._points(problem, box, result.parameters, varied, values[inside])
                log[inside] = problem.log_posterior(
                    points, np.full(inside.sum(), row), scale=scale
                )
            return log

        n_walkers = max(_FEWEST_WALKERS, 2 * len(varied) + 2)
        deviations = np.minimum(result.errors[varied], 0.2 * (high - low))
        start = result.parameters[varied] + random.normal(size=(n_walkers, len(varied))) * (
            deviations
        )
        # Reflected at the bounds, so that no two walkers begin at the same place.
        start = low + np.abs(start - low)
        start = np.clip(high - np.abs(high - start), low, high)
        sampler = emcee.EnsembleSampler(n_walkers, len(varied), log_probability, vectorize=True)
        n_kept = -(-self.n_samples // n_walkers)
        state = emcee.State(start, random_state=random.get_state())
        sampler.run_mcmc(
            state, _BURN_IN + n_kept * _THIN, skip_initial_state_check=True, progress=False
        )
        chain = sampler.get_chain(discard=_BURN_IN, thin=_THIN, flat=True)[-self.n_samples :]
        moved = (
            random.multivariate_normal(
                np.zeros(len(varied)),
                result.emulator_covariance[np.ix_(varied, varied)],
                size=self.n_samples,
                # Flat directions have eigenvalues of zero, up to rounding.
                check_valid="ignore",
            )
            if result.emulator_covariance.any()
            else 0.0
        )
        samples[:, varied] = np.clip(chain + moved, low, high)
        return replace(result, samples=samples)

    @staticmethod
    def _points(problem, box, parameters, varied, values):
        """Full points with squares from values of what varies."""
        natural = to_natural(box.T, problem.n_stellar)[0]
        natural[problem.columns] = parameters
        points = np.tile(natural, (len(values), 1))
        points[:, problem.columns[varied]] = values
        return to_internal(points, problem.n_stellar)

    @staticmethod
    def _scatter(problem, row, result):
        """Variance of the residuals in units of the error that stood for an unknown one."""
        residual = np.concatenate(result.residual)
        chi2 = np.nansum(problem.weights[row] * residual**2)
        return chi2 / max(result.n_pixels - result.n_free, 1)
