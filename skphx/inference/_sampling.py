"""Samples of the posterior, with emcee; the only module that imports emcee."""

from dataclasses import dataclass, replace

import numpy as np

from skphx.inference._likelihood import to_internal, to_natural

# Steps before the first sample. They are few because walkers start in the Gaussian
# approximation of the posterior.
_BURN_IN = 100
_FEWEST_WALKERS = 24
# Steps between samples of one walker.
_THIN = 5


@dataclass(frozen=True)
class PosteriorSampler:
    """Sample the posterior of a fitted star with an affine-invariant ensemble of walkers.

    The prior is uniform in the box, in km/s for velocities, times the Gaussian priors. The
    posterior is marginalised over the continuum. A Gaussian error of the emulator is added to
    the samples.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    random_state : int
        Seed of the random numbers.

    References
    ----------
    Foreman-Mackey et al. (2013), PASP 125, 306; Goodman & Weare (2010).
    """

    n_samples: int
    random_state: int = 0

    def __call__(self, likelihood, row, box, result, scale):
        """Return a result with samples.

        Parameters
        ----------
        likelihood : Likelihood
            The fitted spectra.
        row : int
            Number of the star's spectrum.
        box : ndarray of shape (n_parameters, 2)
            Search box, with squares.
        result : InferenceResult
            Result of the minimisation.
        scale : float
            Factor of the variances of the flux that its errors have.

        Returns
        -------
        InferenceResult
            A copy with `samples`.

        Raises
        ------
        ImportError
            If emcee is not installed.
        """
        try:
            import emcee
        except ImportError as error:
            raise ImportError(
                "n_samples > 0 needs emcee, which is not installed; install it with "
                "pip install 'skphx[sample]', or use n_samples=0 for Gaussian errors."
            ) from error
        natural_box = to_natural(box.T, likelihood.n_stellar).T[likelihood.columns]
        varied = np.flatnonzero(natural_box[:, 1] > natural_box[:, 0])
        samples = np.tile(result.parameters, (self.n_samples, 1))
        if len(varied) == 0:
            return replace(result, samples=samples)
        low, high = natural_box[varied].T
        random = np.random.RandomState(self.random_state)

        def log_probability(values):
            inside = ((values >= low) & (values <= high)).all(axis=1)
            log = np.full(len(values), -np.inf)
            if inside.any():
                points = _points(likelihood, box, result.parameters, varied, values[inside])
                rows = np.full(inside.sum(), row)
                log[inside] = likelihood.log_posterior(points, rows, scale=scale)
            return log

        n_walkers = max(_FEWEST_WALKERS, 2 * len(varied) + 2)
        deviations = np.minimum(result.errors[varied], 0.2 * (high - low))
        offsets = random.normal(size=(n_walkers, len(varied))) * deviations
        start = result.parameters[varied] + offsets
        # Starts outside the box are reflected at its bounds, so that all starts are different.
        start = low + np.abs(start - low)
        start = np.clip(high - np.abs(high - start), low, high)
        sampler = emcee.EnsembleSampler(n_walkers, len(varied), log_probability, vectorize=True)
        n_kept = -(-self.n_samples // n_walkers)
        state = emcee.State(start, random_state=random.get_state())
        sampler.run_mcmc(
            state, _BURN_IN + n_kept * _THIN, skip_initial_state_check=True, progress=False
        )
        chain = sampler.get_chain(discard=_BURN_IN, thin=_THIN, flat=True)[-self.n_samples :]
        emulator_errors = (
            random.multivariate_normal(
                np.zeros(len(varied)),
                result.emulator_covariance[np.ix_(varied, varied)],
                size=self.n_samples,
                # Some eigenvalues are 0 up to rounding.
                check_valid="ignore",
            )
            if result.emulator_covariance.any()
            else 0.0
        )
        samples[:, varied] = np.clip(chain + emulator_errors, low, high)
        return replace(result, samples=samples)


def _points(likelihood, box, parameters, varied, values):
    """Return complete points, with squares, for values of the varied parameters."""
    natural = to_natural(box.T, likelihood.n_stellar)[0]
    natural[likelihood.columns] = parameters
    points = np.tile(natural, (len(values), 1))
    points[:, likelihood.columns[varied]] = values
    return to_internal(points, likelihood.n_stellar)
