"""What normalisers took away, interpolated so that an emulator gives back physical flux."""

import numpy as np

from skphx._units import blackbody_flux, blackbody_log_slope
from skphx.flux.low_rank import LowRank

# Where no flux is left, the ratio is rounding: the continuum is that of the pixels beside it.
# Where nothing is brighter, it is that of the brightest pixels.
_LEAST_FLUX, _BRIGHTEST = 0.01, 0.9
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
    log_factor : LowRank
        ln of raw over normalised flux and blackbody.
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
        self.log_factor = LowRank.fit(log_factor, _TOLERANCE)

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
        factor = np.exp(self.log_factor.at(weights))
        if self.has_blackbody:
            factor *= np.array([blackbody_flux(self.wavelength, one) for one in teff])
        return factor

    def log_slopes(self, weights_jacobian, teff=None, teff_column=None):
        """Differentiate the logarithm of the factors with respect to the parameters.

        Parameters
        ----------
        weights_jacobian : list of csr_array of shape (n_points, n_nodes)
            Derivatives of the weights with respect to each parameter.
        teff : ndarray of shape (n_points,) or None
            Effective temperatures in K of the points.
        teff_column : int or None
            Which of the parameters Teff is.

        Returns
        -------
        ndarray of shape (n_parameters, n_points, n_pixels)
            Derivatives of ln factor, per unit of each parameter.
        """
        slopes = np.array([self.log_factor.change(weights) for weights in weights_jacobian])
        if self.has_blackbody:
            slopes[teff_column] += blackbody_log_slope(self.wavelength, teff[:, None])
        return slopes

    def resampled(self, pixels, wavelength):
        """Give the same continua on other pixels, see `LowRank.resampled`."""
        new = NodeContinua.__new__(NodeContinua)
        new.wavelength, new.has_blackbody = wavelength, self.has_blackbody
        new.log_factor = self.log_factor.resampled(pixels)
        return new
