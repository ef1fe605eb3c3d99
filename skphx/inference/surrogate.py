"""A quick stand-in for an emulator: the spectra of its nodes, interpolated as they are."""

from dataclasses import dataclass, replace

import numpy as np

from skphx.inference._emulation import emulate

# Grids of more numbers than this, a gigabyte, are searched with the emulator itself.
_MOST_NUMBERS = 125_000_000
# Nodes emulated at once.
_BLOCK = 64
# Rms of flux that the components may leave out: a search for where to begin needs no more.
_TOLERANCE = 1e-4


def emulate_nodes(emulator):
    """Emulate the spectra of all nodes.

    Parameters
    ----------
    emulator : estimator
        Fitted.

    Returns
    -------
    ndarray of shape (n_nodes, n_pixels), or None
        Flux; None where it would take more than a gigabyte.
    """
    nodes = emulator.grid_.nodes
    if len(nodes) * len(emulator.wavelength_) > _MOST_NUMBERS:
        return None
    return np.concatenate(
        [
            emulate(emulator, nodes[start : start + _BLOCK])
            for start in range(0, len(nodes), _BLOCK)
        ]
    )


def principal_components(spectra, tolerance):
    """Mean, and as many components as leave no spectrum with a larger rms than a tolerance.

    Parameters
    ----------
    spectra : ndarray of shape (n_spectra, n_pixels)
        Flux.
    tolerance : float
        Largest rms of what any spectrum may lose.

    Returns
    -------
    mean : ndarray of shape (n_pixels,)
        Mean flux.
    components : ndarray of shape (n_components, n_pixels)
        Orthonormal, the most important first.
    """
    mean = spectra.mean(axis=0)
    away = spectra - mean
    if len(away) > away.shape[1]:
        _, vectors = np.linalg.eigh(away.T @ away)
        components = vectors[:, ::-1].T
    else:
        values, vectors = np.linalg.eigh(away @ away.T)
        values, vectors = values[::-1], vectors[:, ::-1]
        kept = values > 1e-14 * max(values[0], np.finfo(float).tiny)
        components = (vectors[:, kept] / np.sqrt(values[kept])).T @ away
    coefficients = away @ components.T
    total = (away**2).sum(axis=1)
    left = total[:, None] - np.cumsum(coefficients**2, axis=1)
    worst = np.sqrt(np.maximum(left, 0.0).max(axis=0, initial=0.0) / away.shape[1])
    enough = np.flatnonzero(worst <= tolerance)
    n_components = len(components) if len(enough) == 0 else enough[0] + 1
    return mean, np.ascontiguousarray(components[:n_components])


@dataclass(frozen=True, eq=False, repr=False)
class NodeSpectra:
    """Spectra of nodes as principal components, interpolated by the emulator's grid.

    It has what inference asks of an emulator, and is exact at the nodes; between them it is off
    by what the emulator gains over interpolated pixels. Searches follow it to where the emulator
    itself needs a few steps only.

    Parameters
    ----------
    wavelength_ : ndarray of shape (n_pixels,)
        Å.
    mean : ndarray of shape (n_pixels,)
        Mean flux.
    components : ndarray of shape (n_components, n_pixels)
        Principal components.
    coefficients : ndarray of shape (n_nodes, n_components)
        Of the nodes.
    grid_ : NodeGrid
        The emulator's.
    medium : {"air", "vacuum"} or None
        Of the wavelengths.
    resolution_ : float or None
        λ/FWHM of the spectra, where the emulator says one.
    """

    wavelength_: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    coefficients: np.ndarray
    grid_: object
    medium: str | None
    resolution_: float | None

    @classmethod
    def of(cls, emulator, spectra):
        """Make the stand-in of an emulator.

        Parameters
        ----------
        emulator : estimator
            Fitted.
        spectra : ndarray of shape (n_nodes, n_pixels)
            From `emulate_nodes`.

        Returns
        -------
        NodeSpectra
            Ready to predict.
        """
        mean, components = principal_components(spectra, _TOLERANCE)
        return cls(
            np.asarray(emulator.wavelength_),
            mean,
            components,
            (spectra - mean) @ components.T,
            emulator.grid_,
            getattr(emulator, "medium", None),
            getattr(emulator, "resolution_", None),
        )

    def predict(self, X):
        """Interpolate spectra.

        Parameters
        ----------
        X : ndarray of shape (n_spectra, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Normalised flux.
        """
        return self.mean + (self.grid_.weights(X) @ self.coefficients) @ self.components

    def jacobian(self, X):
        """Differentiate the spectra by the parameters.

        Parameters
        ----------
        X : ndarray of shape (n_spectra, n_parameters)
            Points within the grid.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels, n_parameters)
            ∂flux/∂parameter.
        """
        slopes = [
            (weights @ self.coefficients) @ self.components
            for weights in self.grid_.weights_jacobian(X)
        ]
        return np.stack(slopes, axis=2)

    def select(self, wavelength):
        """Cut to a range of wavelengths.

        Parameters
        ----------
        wavelength : tuple (low, high)
            Å.

        Returns
        -------
        NodeSpectra
            With the pixels inside.
        """
        inside = (self.wavelength_ >= wavelength[0]) & (self.wavelength_ <= wavelength[1])
        return replace(
            self,
            wavelength_=self.wavelength_[inside],
            mean=self.mean[inside],
            components=self.components[:, inside],
        )
