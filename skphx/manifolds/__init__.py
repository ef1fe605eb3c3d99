"""What happens between the nodes of a grid: to lines, to what lines do not say, to continua."""

from skphx.manifolds.continuum import NodeContinua
from skphx.manifolds.growth import from_growth, growth_slope, to_growth
from skphx.manifolds.held_out import HeldOut, choose_interpolation
from skphx.manifolds.node_lines import NodeLines
from skphx.manifolds.residual import NodeResiduals

__all__ = [
    "HeldOut",
    "NodeContinua",
    "NodeLines",
    "NodeResiduals",
    "choose_interpolation",
    "from_growth",
    "growth_slope",
    "to_growth",
]
