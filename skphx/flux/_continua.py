"""Continua that normalisers divided out, interpolated to give back physical flux."""

import numpy as np

from skphx._domain import blackbody_flux, blackbody_log_slope
from skphx.flux._low_rank import LowRank

# Pixels of lower normalised flux than this are not used, since the ratio of raw to normalised
# flux is mostly rounding there. If no pixel is that bright, those above this part of the
# brightest one are used.
_LEAST_FLUX, _BRIGHTEST = 0.01, 0.9
# Largest rms error of ln(continuum) from the low-rank approximation.
_TOLERANCE = 1e-7


class NodeContinua:
    """Continua of the nodes: raw flux divided by normalised flux.

    The continuum spans orders of magnitude between nodes. Its ratio to the blackbody of the
    node's Teff varies slowly, so the logarithm of this ratio is interpolated.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    raw, normalised : ndarrays of shape (n_nodes, n_pixels)
        Spectra before and after the normalisers.
    teff : ndarray of shape (n_nodes,) or None
        Effective temperatures in K; None interpolates the continuum without the blackbody.

    Attributes
    ----------
    log_factor : LowRank
        ln of raw flux / (normalised flux × blackbody).
    has_blackbody : bool
        Whether `at` needs Teff.

    Raises
    ------
    ValueError
        If a spectrum has no pixel that is positive before and after normalising.
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
                    f"normalised, so its continuum is unknown; exclude this node, see "
                    f"skphx.validation.diagnose_grid."
                )
            ratio = np.log(raw[row, usable] / normalised[row, usable])
            if teff is not None:
                ratio -= np.log(blackbody_flux(wavelength[usable], teff[row]))
            log_factor[row] = np.interp(pixel, pixel[usable], ratio)
        self.log_factor = LowRank.fit(log_factor, _TOLERANCE)

    def at(self, weights, teff=None):
        """Return the continua at points between the nodes.

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
        continuum = np.exp(self.log_factor.at(weights))
        if self.has_blackbody:
            continuum *= np.array([blackbody_flux(self.wavelength, one) for one in teff])
        return continuum

    def log_slopes(self, weights_jacobian, teff=None, teff_column=None):
        """Differentiate the logarithm of the continua with respect to the parameters.

        Parameters
        ----------
        weights_jacobian : list of csr_array of shape (n_points, n_nodes)
            Derivatives of the weights with respect to each parameter.
        teff : ndarray of shape (n_points,) or None
            Effective temperatures in K of the points.
        teff_column : int or None
            Column of Teff among the parameters.

        Returns
        -------
        ndarray of shape (n_parameters, n_points, n_pixels)
            Derivatives of ln(continuum), per unit of each parameter.
        """
        slopes = np.array([self.log_factor.change(weights) for weights in weights_jacobian])
        if self.has_blackbody:
            slopes[teff_column] += blackbody_log_slope(self.wavelength, teff[:, None])
        return slopes

    def resampled(self, pixels, wavelength):
        """Return the same continua on other pixels, see `LowRank.resampled`."""
        new = NodeContinua.__new__(NodeContinua)
        new.wavelength, new.has_blackbody = wavelength, self.has_blackbody
        new.log_factor = self.log_factor.resampled(pixels)
        return new
