"""One list of lines for many spectra, grown at the few that differ most."""

import numpy as np

from skphx.lines.fitting import clone_spectrum, fit_lines

# ln of the factor by which a line is fainter where it was not seen before.
_FAINTER = 3.0


def grow_lines(
    wavelength, spectra, *, n_seeds=9, clone_one=clone_spectrum, fit_one=fit_lines, **cloning
):
    """Learn one list of lines that serves all spectra.

    The richest spectrum is cloned first; then, one by one, spectra that differ most from those
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
    clone_one, fit_one : callable
        What clones and what fits one spectrum: :func:`clone_spectrum` and :func:`fit_lines`,
        or functions with their signatures that know some answers already.
    **cloning
        Keywords of :func:`clone_spectrum`.

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
        As :func:`clone_spectrum`.
    """
    rows = most_different(spectra, n_seeds)
    # For every line the parameters with which it was first seen, and those at each seed.
    first_seen = np.empty((0, 4))
    fitted = []
    for row in rows:
        start = None
        if fitted:
            nearest = nearest_spectrum(spectra[row], spectra[rows[: len(fitted)]])
            start = _extended(fitted[nearest], first_seen)
        lines, _, _ = clone_one(wavelength, spectra[row], start=start, **cloning)
        first_seen = np.concatenate([first_seen, lines[len(first_seen) :]])
        fitted.append(lines)
    order = np.argsort(first_seen[:, 0], kind="stable")
    fitting = {name: value for name, value in cloning.items() if name not in _NOT_FITTING}
    complete = []
    for row, lines in zip(rows, fitted, strict=True):
        start = _extended(lines, first_seen)
        if len(lines) < len(first_seen):
            start, _ = fit_one(wavelength, spectra[row], start, **fitting)
        complete.append(start[order])
    return rows, np.array(complete)


_NOT_FITTING = ("prominence", "distance", "edge", "target_rms", "max_lines")


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
