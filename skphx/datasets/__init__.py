"""Grids of stellar spectra and observed spectra: generated, from files, or from servers.

Functions that load or make a grid return a :class:`sklearn.utils.Bunch` with these entries:

``spectra`` : ndarray of shape (n_spectra, n_pixels)
    Flux.
``parameters`` : ndarray of shape (n_spectra, n_parameters)
    Stellar parameters of each spectrum, columns named by ``parameter_names``.
``parameter_names`` : tuple of str
    "teff" (K), "logg" (dex(cm s⁻²)), "feh" (dex), and further parameters of the grid.
``wavelength`` : ndarray of shape (n_pixels,)
    Pixel centres in Å, float64, strictly increasing.
``medium`` : {"air", "vacuum"}
    Medium of the wavelengths.
``units`` : dict
    Units of wavelength, spectra and each parameter, in the notation of astropy.
``DESCR`` : str
    Description of the grid and its source.

Grids from files also have ``missing``, the nodes of the full product without a spectrum,
``constants``, a dict of the parameters with the same value for all spectra, and ``provenance``, a
dict that describes the source of the grid.
"""

from skphx._atomic_write import LocalFileError
from skphx.datasets._barycentre import barycentric_velocity
from skphx.datasets._cache import get_data_home
from skphx.datasets._download import DownloadError
from skphx.datasets._from_arrays import grid_from_arrays
from skphx.datasets._hdf5 import load_hdf5_grid, save_hdf5_grid
from skphx.datasets._layouts import GridLayout, list_grids, register_grid
from skphx.datasets._libraries import fetch_grid, load_grid
from skphx.datasets._npz import load_npz_grid, save_npz_grid
from skphx.datasets._phoenix import fetch_phoenix, load_phoenix
from skphx.datasets._selection import MissingNodesWarning
from skphx.datasets._spectrum_files import load_spectrum
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
