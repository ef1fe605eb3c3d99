"""Fit the lines of all nodes of a grid: each by itself, then together as smooth surfaces."""

from skphx.grids import smooth_surface
from skphx.lines.node_lines import NodeLines
from skphx.lines.surfaces import LineSurfaces
from skphx.lines.table import LINE_PARAMETERS

# Steps of each node's fit alone, from the lines of the nearest seed.
_N_EPOCHS_ALONE = 10


def fit_lines_of_nodes(cloner, spectra, parameters, *, smoothness, n_sweeps, missing):
    """Fit the lines of all nodes with one list of lines.

    With a list that grows, each node is first fitted alone, a few steps from the lines of the
    nearest seed: that says where a line is and how strong. Then all are fitted together, every
    parameter of every line a surface over the grid.

    Parameters
    ----------
    cloner : VoigtCloner
        It learns the list.
    spectra : ndarray of shape (n_nodes, n_pixels)
        Normalised flux, dimensionless.
    parameters : ndarray of shape (n_nodes, n_parameters)
        The nodes.
    smoothness : float
        Cost of a surface's curvature; with 0, or a detected list, whose lines may be absent,
        every node stays as it is fitted alone.
    n_sweeps : int
        How often the surfaces are fitted.
    missing : {"fade", "drop"}
        What a line does towards a node that lacks it, see :class:`NodeLines`.

    Returns
    -------
    LineSurfaces or NodeLines
        Coefficients of the surfaces; a table of the nodes where lines are not surfaces.
    """
    if cloner.line_list == "detected" or smoothness == 0:
        lines = cloner.fit_transform(spectra)
        lines = lines.reshape(len(spectra), cloner.n_lines_, len(LINE_PARAMETERS))
        return NodeLines(lines, missing=missing)
    cloner.fit(spectra)
    start = cloner.nearest_seed_lines(spectra)
    lines = cloner.refit(spectra, start, start, pull=cloner.pull, n_epochs=_N_EPOCHS_ALONE)
    surface = smooth_surface(parameters)
    basis, penalty = surface.basis(parameters), smoothness * surface.curvature()
    for _ in range(n_sweeps):
        coefficients, lower, upper = cloner.fit_surfaces(spectra, lines, basis, penalty)
        surfaces = LineSurfaces(surface, coefficients, lower, upper, parameters)
        lines = surfaces.to_dense()
    # No step: the archive and the quality table show what came out.
    cloner.refit(spectra, lines, lines, pull=smoothness, n_epochs=0)
    return surfaces
