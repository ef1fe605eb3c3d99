"""Interpolation between the nodes of a parameter grid, as a linear operator on node values.

A grid gives a sparse matrix of the weights of the nodes at points in parameter space. One matrix
product then interpolates any number of quantities, such as the coefficients of all spectra or the
parameters of all lines.

>>> import numpy as np
>>> from skphx.interpolation import make_grid
>>> parameters = [[5000, 4.0], [5000, 5.0], [6000, 4.0], [6000, 5.0]]
>>> grid = make_grid(parameters, parameter_names=("teff", "logg"))
>>> values_at_nodes = np.array([1.0, 3.0, 2.0, 4.0])
>>> grid.weights([[5500, 4.5]]) @ values_at_nodes
array([2.5])
"""

from skphx.interpolation._base import NodeGrid
from skphx.interpolation._make import make_grid

__all__ = ["NodeGrid", "make_grid"]
