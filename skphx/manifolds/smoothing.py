"""Lines of all nodes that run smoothly along the grid."""

from skphx.grids import smooth_surface
from skphx.lines.table import LINE_PARAMETERS

# Steps of each node's fit alone, from the lines of the nearest seed.
_N_EPOCHS_ALONE = 10


def clone_nodes(cloner, spectra, parameters, *, smoothness, n_sweeps):
    """Clone the spectra of all nodes with one list of lines.

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
        every node stays as it is cloned alone.
    n_sweeps : int
        How often the surfaces are fitted.

    Returns
    -------
    ndarray of shape (n_nodes, n_lines, 4)
        Centre (Å), ln area (Å), ln sigma and ln gamma (ln Å), NaN where a node lacks a line.
    """
    if cloner.line_list == "detected" or smoothness == 0:
        lines = cloner.fit_transform(spectra)
        return lines.reshape(len(spectra), cloner.n_lines_, len(LINE_PARAMETERS))
    cloner.fit(spectra)
    start = cloner.nearest_seed_lines(spectra)
    lines = cloner.refit(spectra, start, start, pull=cloner.pull, n_epochs=_N_EPOCHS_ALONE)
    surface = smooth_surface(parameters)
    basis, penalty = surface.basis(parameters), smoothness * surface.curvature()
    for _ in range(n_sweeps):
        lines = cloner.fit_surfaces(spectra, lines, basis, penalty)
    # No step: the archive and the quality table show what came out.
    return cloner.refit(spectra, lines, lines, pull=smoothness, n_epochs=0)
