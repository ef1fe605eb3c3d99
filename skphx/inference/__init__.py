"""From an observed spectrum to stellar parameters: boxes, global search, refinement."""

from skphx.inference.boxes import boxes_around, resolve_boxes
from skphx.inference.refinement import refine
from skphx.inference.search import draw_points, gp_search

__all__ = ["boxes_around", "draw_points", "gp_search", "refine", "resolve_boxes"]
