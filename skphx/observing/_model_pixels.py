"""Forward model of spectra on the grid's own pixels: the identity."""

import numpy as np


class ModelPixels:
    """Forward model of spectra on the grid's pixels, at rest and at the grid's resolution.

    The operator is the identity. The class has the attributes and the methods of
    :class:`~skphx.observing.ForwardModel` that inference uses.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres of model and spectra in Å.

    Attributes
    ----------
    n_pixels : int
        Number of pixels.
    segment_slices : list of slice
        One slice with all pixels.
    """

    def __init__(self, wavelength):
        self.n_pixels = len(wavelength)
        self.segment_slices = [slice(0, self.n_pixels)]

    def observe_with_derivatives(self, flux, flux_jacobian, kinematics, by):
        """Return spectra and derivatives as they are, pixels last.

        Parameters
        ----------
        flux : ndarray of shape (n_spectra, n_pixels)
            Model flux.
        flux_jacobian : ndarray of shape (n_spectra, n_pixels, n_parameters), or None
            Its derivatives with respect to the stellar parameters.
        kinematics : ndarray of shape (n_spectra, 4)
            Kinematic and instrumental parameters; not used.
        by : sequence of str
            Empty: no such parameter is free.

        Returns
        -------
        observed : ndarray of shape (n_spectra, n_pixels)
            The flux.
        jacobian : ndarray of shape (n_spectra, n_parameters, n_pixels), or None
            Its derivatives.
        """
        jacobian = None if flux_jacobian is None else np.moveaxis(flux_jacobian, 2, 1).copy()
        return flux, jacobian
