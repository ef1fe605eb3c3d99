"""Covariance of parameters: of the spectrum alone, and together with Gaussian priors."""

import numpy as np

from skphx.inference._emulator_covariance import emulator_covariance

# Inverse variance of a uniform distribution of width 1.
UNIFORM_CURVATURE = 12.0


def curvature_of_chi2(likelihood, rows, jacobian):
    """Return half the second derivatives of chi² without priors, shape (n, n_columns, n_columns).

    Parameters
    ----------
    likelihood : Likelihood
        The spectra.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    jacobian : ndarray of shape (n, n_columns, n_pixels)
        Derivatives, marginalised over the continuum.

    Returns
    -------
    ndarray of shape (n, n_columns, n_columns)
        In the approximation of Gauss and Newton.
    """
    return likelihood.weighted(jacobian, rows) @ np.swapaxes(jacobian, 1, 2)


def inverted(curvature, widths, scales):
    """Return the inverse curvature of free parameters, 0 elsewhere, and where it is singular.

    Parameters
    ----------
    curvature : ndarray of shape (n, n_columns, n_columns)
        Half the second derivatives of chi².
    widths : ndarray of shape (n, n_columns)
        Widths of the search box; 0 for parameters that are held.
    scales : ndarray of shape (n,)
        Factors of the variances of the flux.

    Returns
    -------
    inverse : ndarray of shape (n, n_columns, n_columns)
        A combination of parameters that the spectrum does not determine has the variance of the
        box.
    degenerate : ndarray of shape (n,), bool
        Whether there is such a combination.
    """
    inverse = np.zeros_like(curvature)
    degenerate = np.zeros(len(curvature), dtype=bool)
    for place, matrix in enumerate(curvature):
        varied = np.flatnonzero(widths[place] > 0)
        if len(varied) == 0:
            continue
        # In units of the box, eigenvalues are comparable.
        unit = widths[place, varied]
        scaled = matrix[np.ix_(varied, varied)] * np.outer(unit, unit)
        values, vectors = np.linalg.eigh(scaled)
        degenerate[place] = values[0] < UNIFORM_CURVATURE
        values = np.maximum(values / scales[place], UNIFORM_CURVATURE)
        part = (vectors / values) @ vectors.T
        inverse[place][np.ix_(varied, varied)] = part * np.outer(unit, unit)
    return inverse, degenerate


def with_priors(covariance, emulator_part, priors):
    """Return the covariance of a Gaussian estimate after Gaussian priors.

    With the gain :math:`G = C (C + P)^{-1}`, where C is the covariance of the spectrum alone and
    P that of the priors, the covariance is :math:`C - G C`; no variance of it exceeds that of the
    prior.

    Parameters
    ----------
    covariance, emulator_part : ndarray of shape (n_columns, n_columns)
        Covariance of the spectrum alone, and the part of it that is due to the emulator.
    priors : ndarray of shape (n_columns, 2)
        Mean and standard deviation; NaN where there is no prior.

    Returns
    -------
    covariance, emulator_part : ndarray of shape (n_columns, n_columns)
        The same with priors.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.inference._covariance import with_priors
    >>> alone = np.array([[4.0, 3.0], [3.0, 4.0]])
    >>> priors = np.array([[0.0, 2.0], [np.nan, np.nan]])
    >>> with_priors(alone, 0.5 * alone, priors)[0]
    array([[2.   , 1.5  ],
           [1.5  , 2.875]])
    """
    known = np.flatnonzero(np.isfinite(priors).all(axis=1) & (np.diag(covariance) > 0))
    if len(known) == 0:
        return covariance, emulator_part
    total = covariance[np.ix_(known, known)] + np.diag(priors[known, 1] ** 2)
    gain = np.zeros_like(covariance)
    gain[:, known] = np.linalg.solve(total, covariance[known]).T
    kept = np.eye(len(covariance)) - gain
    after = kept @ covariance
    return 0.5 * (after + after.T), kept @ emulator_part @ kept.T


def excess_of_emulator(likelihood, rows, points, widths, scales, error):
    """Return by which factor the emulator's error increases the variances that priors meet.

    Parameters
    ----------
    likelihood : Likelihood
        The spectra, with priors.
    rows : ndarray of shape (n,), int
        Numbers of the spectra.
    points : ndarray of shape (n, n_parameters)
        Best points without priors, with squares.
    widths : ndarray of shape (n, n_columns)
        Widths of the search box.
    scales : ndarray of shape (n,)
        Factors of the variances of the flux.
    error : InterpolationError or None
        Interpolation-error model.

    Returns
    -------
    ndarray of shape (n,)
        The largest such factor of a parameter with a prior; 1 without an error model.
    """
    factors = np.ones(len(rows))
    if error is None:
        return factors
    for start in range(0, len(rows), likelihood.block):
        part = slice(start, start + likelihood.block)
        block = rows[part]
        _, continuum, _ = likelihood.with_continuum(likelihood.spectrum(points[part]), block)
        _, _, jacobian = likelihood.derivatives(points[part], block)
        curvature = curvature_of_chi2(likelihood, block, jacobian)
        inverse, _ = inverted(curvature, widths[part], scales[part])
        added = emulator_covariance(
            likelihood, error, points[part], block, inverse / scales[part, None, None], jacobian,
            continuum,
        )  # fmt: skip
        for place, row in enumerate(block):
            variance = np.diag(inverse[place])
            used = np.isfinite(likelihood.priors[row, likelihood.columns]).all(axis=1)
            used &= variance > 0
            if used.any():
                ratio = np.diag(added[place])[used] / variance[used]
                factors[start + place] = 1.0 + ratio.max()
    return factors
