"""Flux between the nodes: what the lines say, and what the nodes' spectra say beyond them."""

from skphx.manifolds.growth import from_growth, growth_slope, to_growth


def residual_of(flux, clone, line_share, softening):
    """Take from flux what lines contribute to it, on the scale of growth.

    Parameters
    ----------
    flux, clone : ndarrays of one shape
        Normalised flux, and that of its lines.
    line_share : float
        How far the flux between nodes follows the lines, 0 to 1.
    softening : float
        Softening of the scale, see :func:`skphx.manifolds.to_growth`.

    Returns
    -------
    ndarray of that shape
        What is interpolated beside the lines, dimensionless.
    """
    z = to_growth(flux, softening)
    if line_share > 0:
        z -= line_share * to_growth(clone, softening)
    return z


def compose(residual, clone, line_share, softening):
    """Give lines and residual back as flux; undoes :func:`residual_of`.

    Parameters
    ----------
    residual : ndarray
        On the scale of growth.
    clone : ndarray of that shape or None
        Flux of the lines; None where `line_share` is 0.
    line_share, softening : float
        As in :func:`residual_of`.

    Returns
    -------
    ndarray of that shape
        Normalised flux.
    """
    if line_share > 0:
        residual = residual + line_share * to_growth(clone, softening)
    return from_growth(residual, softening)


def compose_slopes(residual, residual_slopes, clone, clone_slopes, line_share, softening):
    """Differentiate :func:`compose`.

    Parameters
    ----------
    residual : ndarray of shape (n_points, n_pixels)
        On the scale of growth.
    residual_slopes : ndarray of shape (n_parameters, n_points, n_pixels)
        Its derivatives.
    clone, clone_slopes : ndarrays of these two shapes, or None
        Flux of the lines, and its derivatives; None where `line_share` is 0.
    line_share, softening : float
        As in :func:`residual_of`.

    Returns
    -------
    ndarray of shape (n_parameters, n_points, n_pixels)
        Derivatives of the flux.
    """
    z, slopes = residual, residual_slopes
    if line_share > 0:
        of_lines = to_growth(clone, softening)
        z = z + line_share * of_lines
        slopes = slopes + line_share * clone_slopes / growth_slope(of_lines, softening)
    return slopes * growth_slope(z, softening)
