"""From an observed spectrum to stellar parameters, their errors, and what to think of them.

:class:`~skphx.StellarParameterEstimator` puts these together: boxes and priors, templates for
where to begin, minimisation, conclusions, and emulators compiled for surveys.
"""

from skphx.inference.boxes import (
    boxes_around,
    priors_around,
    resolve_boxes,
    resolve_observed_priors,
    resolve_priors,
)
from skphx.inference.comparison import Comparison, compare_emulators
from skphx.inference.compiling import compile_emulator
from skphx.inference.observation_model import ObservationModel
from skphx.inference.refinement import Refinement, refine
from skphx.inference.result import FLAGS, InferenceResult
from skphx.inference.sampling import PosteriorSampler
from skphx.inference.search import draw_points, gp_search
from skphx.inference.stars import infer_stars

__all__ = [
    "FLAGS",
    "Comparison",
    "InferenceResult",
    "ObservationModel",
    "PosteriorSampler",
    "Refinement",
    "boxes_around",
    "compare_emulators",
    "compile_emulator",
    "draw_points",
    "gp_search",
    "infer_stars",
    "priors_around",
    "refine",
    "resolve_boxes",
    "resolve_observed_priors",
    "resolve_priors",
]
