"""One list of lines for many spectra, grown at the few that differ most."""

import numpy as np

from skphx.lines._fitting import fit_lines, fit_spectrum

# ln of the factor by which a line is fainter where it was not seen before.
_FAINTER = 3.0


def grow_lines(
    wavelength,
    spectra,
    *,
    n_seeds=9,
    prominence=0.005,
    target_rms=None,
    max_lines=None,
    fit_spectrum=fit_spectrum,
    fit_lines=fit_lines,
    **fitting,
):
    """Learn one list of lines that serves all spectra.

    The richest spectrum is fitted first; then, one by one, spectra that differ most from those
    done start from the lines of the nearest one and add what is missing. In the end every
    seed is fitted with the whole list.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    spectra : ndarray of shape (n_spectra, n_pixels)
        Normalised flux, dimensionless.
    n_seeds : int
        Number of spectra at which the list grows.
    prominence, target_rms, max_lines
        See :func:`fit_spectrum`.
    fit_spectrum, fit_lines : callable
        What finds the lines of a spectrum and what fits given ones, or functions with the same
        signatures that know some answers already.
    **fitting
        Keywords of :func:`fit_lines`.

    Returns
    -------
    rows : ndarray of shape (n_seeds,), int
        Rows of the seeds, in the order in which they were taken.
    lines : ndarray of shape (n_seeds, n_lines, 4)
        Parameters of every line at every seed, sorted by the centre at which it was first
        seen.

    Raises
    ------
    ValueError, RuntimeError
        As :func:`fit_spectrum`.
    """
    rows = most_different(spectra, n_seeds)
    # For every line the parameters with which it was first seen, and those at each seed.
    first_seen = np.empty((0, 4))
    fitted: list[np.ndarray] = []
    for row in rows:
        start = None
        if fitted:
            nearest = nearest_spectrum(spectra[row], spectra[rows[: len(fitted)]])
            start = _extended(fitted[nearest], first_seen)
        lines, _, _ = fit_spectrum(
            wavelength,
            spectra[row],
            start=start,
            prominence=prominence,
            target_rms=target_rms,
            max_lines=max_lines,
            **fitting,
        )
        first_seen = np.concatenate([first_seen, lines[len(first_seen) :]])
        fitted.append(lines)
    order = np.argsort(first_seen[:, 0], kind="stable")
    complete = []
    for row, lines in zip(rows, fitted, strict=True):
        start = _extended(lines, first_seen)
        if len(lines) < len(first_seen):
            start, _ = fit_lines(wavelength, spectra[row], start, **fitting)
        complete.append(start[order])
    return rows, np.array(complete)


def most_different(spectra, n_chosen):
    """Choose spectra that represent all: the deepest, then always the one farthest from them.

    Parameters
    ----------
    spectra : ndarray of shape (n_spectra, n_pixels)
        Normalised flux.
    n_chosen : int
        Number of rows to choose, cut to the number of different spectra.

    Returns
    -------
    ndarray of int
        Rows, in the order chosen.

    References
    ----------
    Gonzalez (1985), Theoretical Computer Science 38, 293: farthest-first traversal.
    """
    # One by one: a grid may lie in a file and be larger than memory.
    chosen = [int(np.argmin([flux.mean() for flux in spectra]))]
    distance = _distance(spectra, spectra[chosen[0]])
    while len(chosen) < n_chosen and distance.max() > 0:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, _distance(spectra, spectra[chosen[-1]]))
    return np.array(chosen)


def nearest_spectrum(flux, spectra):
    """Row of the spectrum that is nearest to a given one.

    Parameters
    ----------
    flux : ndarray of shape (n_pixels,)
        Normalised flux.
    spectra : ndarray of shape (n_spectra, n_pixels)
        Normalised flux on the same pixels.

    Returns
    -------
    int
        Row of the smallest mean squared difference.
    """
    return int(np.argmin(_distance(spectra, flux)))


def _distance(spectra, flux):
    """Mean squared difference of each spectrum from `flux`, read one by one."""
    return np.array([np.mean((spectrum - flux) ** 2) for spectrum in spectra])


def _extended(lines, first_seen):
    """Lines of one spectrum, and the list's others fainter than where they were first seen."""
    others = first_seen[len(lines) :].copy()
    others[:, 1] -= _FAINTER
    return np.concatenate([lines, others])
