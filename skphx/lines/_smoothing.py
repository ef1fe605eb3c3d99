"""Fit the lines of all nodes of a grid: each by itself, then together as smooth surfaces."""

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.interpolation._surface import smooth_surface
from skphx.lines._node_lines import NodeLines
from skphx.lines._surfaces import LineSurfaces

# Steps of each node's fit alone, from the lines of the nearest seed.
_N_ITER_ALONE = 10


def fit_lines_of_nodes(cloner, spectra, parameters, *, smoothness, n_passes, task):
    """Fit the lines of all nodes with one list of lines.

    Each node is first fitted alone, a few steps from the lines of the nearest seed: that says
    where a line is and how strong. Then all are fitted together, every parameter of every line
    a surface over the grid.

    Parameters
    ----------
    cloner : VoigtCloner
        It learns the list.
    spectra : ndarray of shape (n_nodes, n_pixels)
        Normalised flux, dimensionless.
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    smoothness : float
        Cost of a surface's curvature; with 0 every node stays as it is fitted alone.
    n_passes : int
        How often the surfaces are fitted.
    task : Task
        The fit of which this is a part, for scikit-learn's callbacks.

    Returns
    -------
    LineSurfaces or NodeLines
        Coefficients of the surfaces; with `smoothness` 0 a table of the nodes.
    """
    if smoothness == 0:
        with task.hand_to("fit-cloner", cloner):
            lines = cloner.fit_transform(spectra)
        return NodeLines(lines.reshape(len(spectra), cloner.n_lines_, len(LINE_PARAMETERS)))
    with task.hand_to("fit-cloner", cloner):
        cloner.fit(spectra)
    passes = cloner._passes(spectra, task)
    fits = cloner._fit_each(spectra, passes, max_iter=_N_ITER_ALONE)
    lines = np.array([fit["lines"] for fit in fits])
    surface = smooth_surface(parameters)
    basis, penalty = surface.basis(parameters), smoothness * surface.curvature()
    for _ in range(n_passes):
        coefficients, lower, upper = passes.fit_together(lines, basis, penalty)
        surfaces = LineSurfaces(surface, coefficients, lower, upper, parameters)
        lines = surfaces.to_dense()
    # The quality table and the archive show the surfaces.
    cloner._keep_quality(passes.measure_each(lines))
    return surfaces
