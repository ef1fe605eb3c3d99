"""Grids of stellar spectra, and observed spectra: generated, from files, from servers.

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

Grids of files have also ``missing``, the nodes of the full product that are not there,
``constants``, the parameters that are the same for all, and ``provenance``, a dict of what the
grid was made of.
"""

from skphx._files import LocalFileError
from skphx.datasets._barycentre import barycentric_velocity
from skphx.datasets._cache import get_data_home
from skphx.datasets._download import DownloadError
from skphx.datasets._grid_arrays import grid_from_arrays
from skphx.datasets._hdf5 import load_hdf5_grid, save_hdf5_grid
from skphx.datasets._layouts import GridLayout, list_grids, register_grid
from skphx.datasets._libraries import fetch_grid, load_grid
from skphx.datasets._npz import load_npz_grid, save_npz_grid
from skphx.datasets._observed import load_spectrum
from skphx.datasets._phoenix import fetch_phoenix, load_phoenix
from skphx.datasets._selection import MissingNodesWarning
from skphx.datasets._stellar_grid import make_stellar_grid
from skphx.datasets._tables import load_table_grid

__all__ = [
    "DownloadError",
    "GridLayout",
    "LocalFileError",
    "MissingNodesWarning",
    "barycentric_velocity",
    "fetch_grid",
    "fetch_phoenix",
    "get_data_home",
    "grid_from_arrays",
    "list_grids",
    "load_grid",
    "load_hdf5_grid",
    "load_npz_grid",
    "load_phoenix",
    "load_spectrum",
    "load_table_grid",
    "make_stellar_grid",
    "register_grid",
    "save_hdf5_grid",
    "save_npz_grid",
]
