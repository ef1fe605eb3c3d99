"""From an observed spectrum to stellar parameters, their errors, and what to think of them.

:class:`~skphx.StellarParameterEstimator` puts these together: boxes and priors, templates and
guided search for where to begin, Gauss-Newton refinement, conclusions, and an emulator compiled
for surveys.
"""

from skphx.inference.boxes import (
    boxes_around,
    priors_around,
    resolve_boxes,
    resolve_observed_priors,
    resolve_priors,
)
from skphx.inference.comparison import Comparison, compare_emulators
from skphx.inference.compiled import CompiledEmulator, compile_emulator
from skphx.inference.emulator_error import EmulatorError, emulator_error
from skphx.inference.nearest import NearestSpectra
from skphx.inference.refinement import Refinement, refine
from skphx.inference.result import FLAGS, InferenceResult
from skphx.inference.sampling import PosteriorSampler
from skphx.inference.search import draw_points, gp_search
from skphx.inference.stars import Observing, infer_stars
from skphx.inference.surrogate import NodeSpectra, emulate_nodes

__all__ = [
    "FLAGS",
    "Comparison",
    "CompiledEmulator",
    "EmulatorError",
    "InferenceResult",
    "NearestSpectra",
    "NodeSpectra",
    "Observing",
    "PosteriorSampler",
    "Refinement",
    "boxes_around",
    "compare_emulators",
    "compile_emulator",
    "draw_points",
    "emulate_nodes",
    "emulator_error",
    "gp_search",
    "infer_stars",
    "priors_around",
    "refine",
    "resolve_boxes",
    "resolve_observed_priors",
    "resolve_priors",
]
