"""From an observed spectrum to stellar parameters: boxes, global search, refinement."""

from skphx.inference.boxes import boxes_around, priors_around, resolve_boxes, resolve_priors
from skphx.inference.nearest import NearestSpectra
from skphx.inference.refinement import Refinement, refine
from skphx.inference.search import draw_points, gp_search

__all__ = [
    "NearestSpectra",
    "Refinement",
    "boxes_around",
    "draw_points",
    "gp_search",
    "priors_around",
    "refine",
    "resolve_boxes",
    "resolve_priors",
]
