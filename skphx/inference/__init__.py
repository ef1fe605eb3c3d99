"""Stellar parameters of observed spectra, with errors and flags.

:class:`~skphx.StellarParameterEstimator` combines these modules:

=========================================  ==================================================
what                                       where
=========================================  ==================================================
the estimator                              ``_estimator.py``
`predict`: spectra on the grid's pixels    ``_predict.py``
`infer`: observed stars                    ``_infer.py``
pixels near lines of chosen species        ``_outside_lines.py``
one star or a list of stars                ``_star_list.py``
settings of the forward model              ``_observation_model.py``
bounds and priors                          ``_bounds_and_priors.py``
flux and derivatives of any emulator       ``_emulation.py``
low-rank surrogate of an emulator          ``_surrogate.py``
weights of the pixels                      ``_pixel_weights.py``
chi² and posterior of observed spectra     ``_likelihood.py``
starting points                            ``_starting_points.py``
minimisation                               ``_minimisation.py``, ``_gauss_newton.py``
errors, flags and evidence                 ``_errors_and_flags.py``
residuals beside independent noise         ``_misfit.py``
covariance, alone and with priors          ``_covariance.py``
the emulator's part of the errors          ``_emulator_covariance.py``
samples of the posterior                   ``_sampling.py``
results                                    ``_result.py``
comparison of emulators                    ``_comparison.py``
emulators compiled for an instrument       ``_compiling.py``
=========================================  ==================================================
"""

from skphx.inference._bounds_and_priors import boxes_around, priors_around
from skphx.inference._comparison import compare_emulators
from skphx.inference._observation_model import ObservationModel
from skphx.inference._result import FLAGS, InferenceResult
from skphx.observing._line_mask import LineMask

__all__ = [
    "FLAGS",
    "InferenceResult",
    "LineMask",
    "ObservationModel",
    "boxes_around",
    "compare_emulators",
    "priors_around",
]
