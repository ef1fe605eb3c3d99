"""fetch_phoenix and load_phoenix: the PHOENIX library."""

import os
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sklearn.utils import Bunch

from skphx.datasets._libraries import fetch_grid, load_grid
from skphx.datasets._selection import AxisValues


def fetch_phoenix(
    teff: AxisValues = (2300.0, 12000.0),
    logg: AxisValues = (2.0, 6.0),
    feh: AxisValues = (-0.5, 0.0),
    alpha: AxisValues = 0.0,
    wavelength: ArrayLike | None = (8038.0, 12849.0),
    *,
    data_home: str | os.PathLike[str] | None = None,
    mirror: str | Sequence[str] | None = None,
    n_jobs: int = 4,
    download_if_missing: bool = True,
    on_missing: Literal["warn", "raise", "ignore"] = "warn",
    n_retries: int = 5,
    delay: float = 1.0,
    dtype: DTypeLike = np.float64,
    verbose: int = 0,
) -> Bunch:
    """Download PHOENIX spectra of high resolution, and load them.

    The default is the grid of the paper: 1,314 spectra between 8038 and 12849 Å, about 8 GB to
    download and 3.6 GB in memory (half of that with ``dtype=numpy.float32``).

    Parameters
    ----------
    teff : float, tuple (low, high) or list of float
        Effective temperature in K: one value, all values from low to high, or a list of values.
        The library has 2300 to 7000 in steps of 100, and 7200 to 12000 in steps of 200.
    logg : float, tuple (low, high) or list of float
        Surface gravity in dex(cm s⁻²): 0 to 6 in steps of 0.5.
    feh : float, tuple (low, high) or list of float
        [Fe/H] in dex: -4, -3, and -2 to 1 in steps of 0.5.
    alpha : float, tuple (low, high) or list of float
        [α/Fe] in dex: -0.2 to 1.2 in steps of 0.2; a column of `parameters` if it varies.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        A tuple is a range in Å, both ends included. An array is the pixel centres in Å to which
        all spectra are interpolated linearly. None keeps all pixels: 500 to 55000 Å in vacuum,
        1,569,128 pixels.
    data_home : path or None
        Folder of all downloads; None is that of :func:`get_data_home`.
    mirror : str, sequence of str, or None
        URL of a folder ``HiResFITS``, or several URLs that are tried in this order; None is
        that of the library.
    n_jobs : int
        Number of parallel downloads.
    download_if_missing : bool
        Whether to download files. If False, a missing file is an error.
    on_missing : {"warn", "raise", "ignore"}
        What to do if the server has no file for a node: the library is not complete.
    n_retries : int
        Number of further attempts after a failed download of a file.
    delay : float
        Delay in seconds before the first retry; doubled before each further one.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Whether to show a progress bar with bytes and remaining time (above 0).

    Returns
    -------
    Bunch
        Grid with `spectra` of shape (n_spectra, n_pixels) in erg s⁻¹ cm⁻² cm⁻¹, `parameters` of
        shape (n_spectra, 3), or 4 if alpha varies, `parameter_names`, `wavelength` of shape
        (n_pixels,) in Å, `medium`, `units`, `missing`, `constants`, `provenance` and `DESCR`.

    Raises
    ------
    DownloadError
        If downloads fail, after all other files have been downloaded. Repeat the call to
        download only the missing files.
    LocalFileError
        If files could not be written: disk full, no permission.
    ValueError
        If an argument is not valid, or the server has none of the nodes.

    Warns
    -----
    MissingNodesWarning
        If the server lacks nodes and `on_missing` is "warn".

    See Also
    --------
    load_phoenix : Loads files on the disk, also of medium resolution.
    fetch_grid : Downloads other libraries.

    References
    ----------
    Husser, T.-O., Wende-von Berg, S., Dreizler, S. et al. (2013), A&A 553, A6,
    doi:10.1051/0004-6361/201219058.

    Examples
    --------
    >>> from skphx.datasets import fetch_phoenix
    >>> fetch_phoenix(teff=[5050])  # raises before any download
    Traceback (most recent call last):
        ...
    ValueError: teff=5050 is not a grid node; nearest: 5000, 5100.
    """
    return fetch_grid(
        "phoenix",
        teff=teff,
        logg=logg,
        feh=feh,
        alpha=alpha,
        wavelength=wavelength,
        data_home=data_home,
        mirror=mirror,
        n_jobs=n_jobs,
        download_if_missing=download_if_missing,
        on_missing=on_missing,
        n_retries=n_retries,
        delay=delay,
        dtype=dtype,
        verbose=verbose,
    )


def load_phoenix(
    folder: str | os.PathLike[str],
    *,
    teff: AxisValues = None,
    logg: AxisValues = None,
    feh: AxisValues = None,
    alpha: AxisValues = 0.0,
    wavelength: ArrayLike | None = None,
    on_missing: Literal["warn", "raise", "ignore"] = "warn",
    dtype: DTypeLike = np.float64,
    verbose: int = 0,
) -> Bunch:
    """Load PHOENIX spectra of high (HiRes) or medium resolution (MedRes) from files on the disk.

    Parameters
    ----------
    folder : path
        Folder of the files, which may be in subfolders and compressed with gzip, bzip2 or xz.
        HiRes files need ``WAVE_PHOENIX-ACES-AGSS-COND-2011.fits`` in their folder or one above.
        MedRes archives (``...R10000FITS_Z-0.0.zip``, ``...A1FITS...``) must be unpacked, each
        resolution in a separate folder.
    teff, logg, feh, alpha : float, tuple (low, high), list of float, or None
        One value, all values from low to high, a list of values, or all values; in K,
        dex(cm s⁻²), dex and dex. alpha is a column of `parameters` if it varies.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        A tuple is a range in Å, both ends included. An array is the pixel centres in Å to which
        all spectra are interpolated linearly. None keeps all pixels.
    on_missing : {"warn", "raise", "ignore"}
        What to do if there is no file for a node of the full product of the parameter values.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Whether to show a progress bar over the files (above 0).

    Returns
    -------
    Bunch
        The grid, as for :func:`fetch_phoenix`.

    Raises
    ------
    FileNotFoundError
        If there are no PHOENIX files.
    ValueError
        If files are damaged, zero, or have a wrong name; the message lists them.

    Warns
    -----
    MissingNodesWarning
        If nodes are missing and `on_missing` is "warn".

    Examples
    --------
    >>> from skphx.datasets import load_phoenix
    >>> load_phoenix("no-such-folder")
    Traceback (most recent call last):
        ...
    FileNotFoundError: folder no-such-folder does not exist; give the folder of the files.
    """
    return load_grid(
        "phoenix",
        folder,
        wavelength=wavelength,
        on_missing=on_missing,
        dtype=dtype,
        verbose=verbose,
        teff=teff,
        logg=logg,
        feh=feh,
        alpha=alpha,
    )
