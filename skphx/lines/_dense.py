"""Flux of arrays of lines in which NaN marks an absent one, and how it changes with them."""

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx.lines._engine.devices import fetch, send
from skphx.lines._render import render_jvp
from skphx.lines._table import LineTable


def render_dense(wavelength, lines, **rendering):
    """Flux of the lines of several spectra.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    lines : ndarray of shape (n_spectra, n_lines, 4)
        Centre (Å), ln area (Å), ln sigma and ln gamma (ln Å), NaN where a line is absent.
    **rendering
        Options of :meth:`skphx.lines.LineTable.render`.

    Returns
    -------
    ndarray of shape (n_spectra, n_pixels)
        Flux over a continuum of 1, dimensionless.
    """
    return LineTable.from_dense(lines).render(wavelength, **rendering)


def render_dense_jvp(wavelength, lines, tangents, *, device="cpu", **options):
    """Flux of the lines of several spectra, and its derivatives.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres, Å.
    lines : ndarray of shape (n_spectra, n_lines, 4)
        As in :func:`render_dense`.
    tangents : ndarray of shape (n_directions, n_spectra, n_lines, 4)
        Derivatives of `lines` along each direction; those of absent lines are not read.
    device : str
        "cpu", which needs no torch, or the torch device on which the lines are summed.
    **options
        Options of :func:`skphx.lines._render.render_jvp`.

    Returns
    -------
    flux : ndarray of shape (n_spectra, n_pixels)
        As from :func:`render_dense`.
    slopes : ndarray of shape (n_directions, n_spectra, n_pixels)
        Derivatives of the flux along each direction.
    """
    table = LineTable.from_dense(lines)
    present = np.isfinite(lines).all(axis=2)
    moves = np.array([tangent[present].T for tangent in tangents])
    arrays = [*(getattr(table, name) for name in LINE_PARAMETERS), moves]
    arrays = [send(array, device) for array in arrays]
    flux, slopes = render_jvp(wavelength, *arrays, offsets=table.offsets, **options)
    return fetch(flux), fetch(slopes)
