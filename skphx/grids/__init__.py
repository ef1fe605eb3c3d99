"""Interpolation over the nodes of a parameter grid, as a linear operator on node values.

A grid turns points in parameter space into a sparse matrix of weights on the nodes, so that
one matrix product interpolates any number of quantities: the coefficients of all spectra, all
lines.

>>> import numpy as np
>>> from skphx.grids import make_grid
>>> parameters = [[5000, 4.0], [5000, 5.0], [6000, 4.0], [6000, 5.0]]
>>> grid = make_grid(parameters, parameter_names=("teff", "logg"))
>>> values_at_nodes = np.array([1.0, 3.0, 2.0, 4.0])
>>> grid.weights([[5500, 4.5]]) @ values_at_nodes
array([2.5])
"""

from skphx.grids._base import NodeGrid
from skphx.grids._doctor import diagnose_grid
from skphx.grids._filled import FilledGrid
from skphx.grids._findings import Finding, GridReport
from skphx.grids._make import make_grid
from skphx.grids._nodes import check_nodes, lattice_of
from skphx.grids._rectilinear import RectilinearGrid
from skphx.grids._scattered import ScatteredGrid
from skphx.grids._surface import PolynomialSurface, smooth_surface

__all__ = [
    "FilledGrid",
    "Finding",
    "GridReport",
    "NodeGrid",
    "PolynomialSurface",
    "RectilinearGrid",
    "ScatteredGrid",
    "check_nodes",
    "diagnose_grid",
    "lattice_of",
    "make_grid",
    "smooth_surface",
]
