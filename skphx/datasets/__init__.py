"""Grids of stellar spectra: generated ones, and ones kept in ``.npz`` files.

Every function that gives a grid returns a :class:`sklearn.utils.Bunch` with the same entries:

``spectra`` : ndarray of shape (n_spectra, n_pixels)
    Flux.
``parameters`` : ndarray of shape (n_spectra, n_parameters)
    Stellar parameters of each spectrum, columns named by ``parameter_names``.
``parameter_names`` : tuple of str
    "teff" (K), "logg" (dex(cm s⁻²)), "feh" (dex), and others where there are some.
``wavelength`` : ndarray of shape (n_pixels,)
    Pixel centres in Å, float64, strictly increasing.
``medium`` : {"air", "vacuum"}
    Medium that the wavelengths hold for.
``units`` : dict
    Units of wavelength, spectra and each parameter, as astropy writes them.
``DESCR`` : str
    What the grid is and where it comes from.
"""

from skphx.datasets._npz import load_npz_grid, save_npz_grid
from skphx.datasets._stellar_grid import make_stellar_grid

__all__ = ["load_npz_grid", "make_stellar_grid", "save_npz_grid"]
