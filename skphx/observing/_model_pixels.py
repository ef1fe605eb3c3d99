"""Spectra on the model's own pixels: nothing happens to the light on its way."""

import numpy as np


class ModelPixels:
    """The forward model of spectra that are given as the grid's are.

    It has what inference asks of a :class:`~skphx.observing.LightPath`: the grid's spectra are
    already what a pixel holds, at rest and at their own resolution, so that the operator is the
    identity.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres of model and spectra in Å.

    Attributes
    ----------
    n_pixels : int
        Number of pixels.
    chunk_slices : list of slice
        One, of all pixels.
    centres : list of ndarray of shape (n_pixels,)
        One, of all pixel centres in Å.
    covered : ndarray of shape (n_pixels,), bool
        All True.
    line_width : float
        0: no line-spread function is known.
    """

    line_width = 0.0

    def __init__(self, wavelength):
        self.n_pixels = len(wavelength)
        self.chunk_slices = [slice(0, self.n_pixels)]
        self.centres = [wavelength]
        self.covered = np.ones(self.n_pixels, dtype=bool)

    def observe_with_derivatives(self, flux, flux_jacobian, effects, by):
        """Return spectra and derivatives as they are, pixels last.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_pixels)
            Model flux.
        flux_jacobian : ndarray of shape (n_spectra, n_pixels, n_parameters), or None
            Its derivatives by stellar parameters.
        effects : ndarray of shape (n_spectra, 4)
            Velocity, v sin i, macroturbulence and resolution, which are not looked at.
        by : sequence of str
            Empty: there is no effect to differentiate by.

        Returns
        -------
        observed : ndarray of shape (n_spectra, n_pixels)
            The flux.
        jacobian : ndarray of shape (n_spectra, n_parameters, n_pixels), or None
            Its derivatives.
        """
        jacobian = None if flux_jacobian is None else np.moveaxis(flux_jacobian, 2, 1).copy()
        return flux, jacobian
