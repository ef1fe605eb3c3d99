"""What normalisers took away, interpolated so that an emulator gives back physical flux."""

import numpy as np

from skphx._units import blackbody_flux
from skphx.manifolds.pixels import resampled
from skphx.manifolds.residual import NodeResiduals

# The continuum of a deep line is that of the pixels beside it: their ratio means nothing there.
# Where nothing is brighter, it is that of the brightest pixels.
_LEAST_FLUX, _BRIGHTEST = 0.3, 0.9
# Root mean square of ln continuum that its low rank may lose.
_TOLERANCE = 1e-7


class NodeContinua:
    """Factors between normalised and raw flux at the nodes.

    Between nodes the logarithm of the factor over the blackbody of the node's Teff runs
    smoothly, where the factor itself spans orders of magnitude.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    raw, normalised : ndarrays of shape (n_nodes, n_pixels)
        Spectra before and after the normalisers.
    teff : ndarray of shape (n_nodes,) or None
        Effective temperatures in K; None leaves the blackbody out.

    Attributes
    ----------
    log_mean : ndarray of shape (n_pixels,)
        ln of raw over normalised flux and blackbody, mean of the nodes.
    log_factor : NodeResiduals
        What each node has beside it.
    has_blackbody : bool
        Whether `at` needs Teff.

    Raises
    ------
    ValueError
        If a spectrum has no pixel that is positive before and after.
    """

    def __init__(self, wavelength, raw, normalised, teff=None):
        self.wavelength, self.has_blackbody = wavelength, teff is not None
        log_factor = np.empty_like(normalised)
        pixel = np.arange(len(wavelength))
        for row in range(len(raw)):
            positive = raw[row] > 0
            brightest = normalised[row].max(where=positive, initial=0.0)
            usable = positive & (normalised[row] > min(_LEAST_FLUX, _BRIGHTEST * brightest))
            if not usable.any():
                raise ValueError(
                    f"spectrum {row} of y has no pixel that is positive before and after it is "
                    f"normalised, so that its continuum is unknown; exclude this node, see "
                    f"skphx.grids.diagnose_grid."
                )
            ratio = np.log(raw[row, usable] / normalised[row, usable])
            if teff is not None:
                ratio -= np.log(blackbody_flux(wavelength[usable], teff[row]))
            log_factor[row] = np.interp(pixel, pixel[usable], ratio)
        # A low rank is found to a part of the largest value: without the mean these are small.
        self.log_mean = log_factor.mean(axis=0)
        log_factor -= self.log_mean
        self.log_factor = NodeResiduals(log_factor, _TOLERANCE)

    def at(self, weights, teff=None):
        """Factors at points between the nodes.

        Parameters
        ----------
        weights : csr_array of shape (n_points, n_nodes)
            Weights of the nodes at the points, which add up to one.
        teff : ndarray of shape (n_points,) or None
            Effective temperatures in K of the points.

        Returns
        -------
        ndarray of shape (n_points, n_pixels)
            Raw over normalised flux, in the unit of the raw flux.
        """
        factor = np.exp(self.log_mean + self.log_factor.at(weights))
        if self.has_blackbody:
            factor *= np.array([blackbody_flux(self.wavelength, one) for one in teff])
        return factor

    def resampled(self, pixels, wavelength):
        """Give the same continua on other pixels, see `NodeResiduals.resampled`."""
        new = NodeContinua.__new__(NodeContinua)
        new.wavelength, new.has_blackbody = wavelength, self.has_blackbody
        new.log_mean = resampled(self.log_mean, pixels)
        new.log_factor = self.log_factor.resampled(pixels)
        return new
