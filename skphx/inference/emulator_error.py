"""The emulator's own error: how it looks, and what it does to parameters."""

import numpy as np

from skphx.grids import make_grid
from skphx.inference._emulation import emulate
from skphx.inference.observed import to_natural
from skphx.manifolds.held_out import plane_splits
from skphx.observing import _kernels as kernels

# Without spectra of its errors: errors of the pixels of one line agree.
_CORRELATED = 10.0  # km/s
# Numbers kept of the errors' spectra, and the most and fewest of these.
_MOST_NUMBERS = 2_000_000
_MOST_SPECTRA = 32
_FEWEST_SPECTRA = 4
# Nodes emulated at once.
_BLOCK = 64


def emulator_error_spectra(emulator):
    """Spectra of the errors that an emulator makes between its nodes.

    Planes of nodes are left out and interpolated from the others: that tells how errors look,
    which pixels err together. How large they are between nodes, where gaps are half as wide, is
    what the emulator's ``flux_error_`` says.

    Parameters
    ----------
    emulator : estimator
        Fitted; where it has ``error_spectra_``, these are taken.

    Returns
    -------
    ndarray of shape (n_errors, n_pixels), or None
        The covariance of errors of pixels is the mean of the outer products of the rows. None
        where the emulator states no error, or has no nodes to leave out.
    """
    known = getattr(emulator, "error_spectra_", None)
    rms = getattr(emulator, "flux_error_", None)
    if known is not None or rms is None:
        return known
    nodes = emulator.grid_.nodes
    splits = [split for split in plane_splits(nodes) if split.gap == 2]
    if not splits:
        return None
    flux = np.concatenate(
        [
            emulate(emulator, nodes[start : start + _BLOCK])
            for start in range(0, len(nodes), _BLOCK)
        ]
    )
    errors, axes = [], []
    for split in splits:
        train = nodes[split.train]
        grid = make_grid(train, interpolation=emulator.grid_.interpolation, holes="interpolate")
        inside = grid.contains(nodes[split.test])
        if inside.any():
            test = split.test[inside]
            errors.append(grid.weights(nodes[test]) @ flux[split.train] - flux[test])
            axes.append(np.full(len(test), split.axis))
    if not errors:
        return None
    errors, axes = np.concatenate(errors), np.concatenate(axes)
    # Each axis adds the mean of its own left-out nodes, as it does to `flux_error_`.
    for axis in np.unique(axes):
        errors[axes == axis] /= np.sqrt((axes == axis).sum())
    size = np.sqrt((errors**2).sum(axis=0).mean())
    if size > 0:
        errors *= np.sqrt(np.mean(rms**2)) / size
    n_kept = int(np.clip(_MOST_NUMBERS // flux.shape[1], _FEWEST_SPECTRA, _MOST_SPECTRA))
    _, vectors = np.linalg.eigh(errors @ errors.T)
    kept = vectors[:, ::-1][:, :n_kept].T @ errors
    return kept * np.sqrt(len(kept))


def emulator_noise(emulator, path, effects):
    """Rms error of the emulator in every pixel, as seen through the path.

    Parameters
    ----------
    emulator : estimator
        With ``flux_error_`` of shape (n_samples,), or without.
    path : LightPath
        The way to the pixels.
    effects : ndarray of shape (1, 4)
        Typical effects.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Part of the continuum; 0 where the emulator states none.
    """
    error = getattr(emulator, "flux_error_", None)
    if error is None:
        return np.zeros(path.n_pixels)
    return np.abs(path.observe_with_derivatives(error[None], None, effects, ())[0][0])


def emulator_covariance(problem, points, rows, inverse, jacobian, continuum, error_spectra):
    """Covariance that the emulator's own error brings to the parameters.

    An error e of the emulated spectrum moves the solution by (JᵀWJ)⁻¹ JᵀW e: the errors known
    from left-out nodes, or else those of ``flux_error_`` with pixels of one line in step, are
    pushed through that.

    Parameters
    ----------
    problem : ObservedSpectra
        The fitted spectra.
    points : ndarray of shape (n, n_parameters)
        Solutions.
    rows : ndarray of shape (n,), int
        Their spectra.
    inverse : ndarray of shape (n, n_columns, n_columns)
        Inverse curvature by the problem's columns.
    jacobian : ndarray of shape (n, n_columns, n_pixels)
        Derivatives, projected off the continuum.
    continuum : ndarray of shape (n, n_pixels)
        The polynomial in the models.
    error_spectra : ndarray of shape (n_errors, n_samples), or None
        From `emulator_error_spectra`, on the emulator's wavelengths.

    Returns
    -------
    ndarray of shape (n, n_columns, n_columns)
        0 where the emulator states no error.
    """
    emulator = problem.emulator
    rms = getattr(emulator, "flux_error_", None)
    if rms is None:
        return np.zeros_like(inverse)
    vectors = jacobian * (problem.weights[rows] * continuum)[:, None]
    effects = to_natural(points, problem.n_stellar)[:, problem.n_stellar :]
    pulls = inverse @ problem.path.adjoint(vectors, effects)
    if error_spectra is not None:
        moved = pulls @ error_spectra.T / np.sqrt(len(error_spectra))
    else:
        logs = kernels.SPEED_OF_LIGHT * np.log(emulator.wavelength_)
        block = np.floor((logs - logs[0]) / _CORRELATED).astype(int)
        first = np.flatnonzero(np.diff(block, prepend=-1))
        moved = np.add.reduceat(pulls * rms, first, axis=2)
    return moved @ np.swapaxes(moved, 1, 2)
