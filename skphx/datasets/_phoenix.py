"""The PHOENIX library: fetch_phoenix and load_phoenix."""

import numpy as np

from skphx.datasets._libraries import fetch_grid, load_grid


def fetch_phoenix(
    teff=(2300.0, 12000.0),
    logg=(2.0, 6.0),
    feh=(-0.5, 0.0),
    alpha=0.0,
    wavelength=(8038.0, 12849.0),
    *,
    data_home=None,
    mirror=None,
    n_jobs=4,
    download_if_missing=True,
    on_missing="warn",
    n_retries=5,
    delay=1.0,
    dtype=np.float64,
    verbose=0,
):
    """Download PHOENIX spectra of high resolution, and load them.

    The default is the grid of the paper: 1,314 spectra between 8038 and 12849 Å, some 8 GB to
    download and 3.6 GB in memory (half of it with ``dtype=numpy.float32``).

    Parameters
    ----------
    teff : float, tuple (low, high) or list of float
        Effective temperature in K: one node, all from low to high, or just these. The library
        has 2300 to 7000 by 100 and 7200 to 12000 by 200.
    logg : float, tuple (low, high) or list of float
        Surface gravity in dex(cm s⁻²): 0 to 6 by 0.5.
    feh : float, tuple (low, high) or list of float
        [Fe/H] in dex: -4, -3, and -2 to 1 by 0.5.
    alpha : float, tuple (low, high) or list of float
        [α/Fe] in dex: -0.2 to 1.2 by 0.2; a column of `parameters` where it varies.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        Keep the pixels from low to high in Å, both included; or interpolate linearly to these
        pixels; or keep all, 500 to 55000 Å in vacuum, 1,569,128 pixels.
    data_home : path or None
        Folder of all downloads; None is ``$SKPHX_DATA``, or else ``~/skphx_data``.
    mirror : str, sequence of str, or None
        Address, or several to be tried in turn, of a folder ``HiResFITS``; None is the
        library's own.
    n_jobs : int
        Files downloaded at once.
    download_if_missing : bool
        False uses only what is there, and raises where a file is not.
    on_missing : {"warn", "raise", "ignore"}
        What to do where the server has no file of a node: the library has holes.
    n_retries : int
        Further attempts for a file that fails.
    delay : float
        Seconds before the first of them; doubled for each further one.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Above 0, progress with bytes and time left.

    Returns
    -------
    Bunch
        With `spectra` of shape (n_spectra, n_pixels) in erg s⁻¹ cm⁻² cm⁻¹, `parameters` of
        shape (n_spectra, 3), or 4 where alpha varies, `parameter_names`, `wavelength` of shape
        (n_pixels,) in Å, `medium`, `units`, `missing`, `constants`, `provenance` and `DESCR`.

    Raises
    ------
    DownloadError
        If files could not be had, after everything else has been downloaded: call it again,
        and only those are asked for.
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
    load_phoenix : files that are on disk already, also of medium resolution.
    fetch_grid : other libraries.

    References
    ----------
    Husser, T.-O., Wende-von Berg, S., Dreizler, S. et al. (2013), A&A 553, A6,
    doi:10.1051/0004-6361/201219058.

    Examples
    --------
    >>> from skphx.datasets import fetch_phoenix
    >>> fetch_phoenix(teff=[5050])  # asks no server: the node does not exist
    Traceback (most recent call last):
        ...
    ValueError: teff=5050 is no node of the library; the nearest are 5000 and 5100.
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
    folder,
    *,
    teff=None,
    logg=None,
    feh=None,
    alpha=0.0,
    wavelength=None,
    on_missing="warn",
    dtype=np.float64,
    verbose=0,
):
    """Load PHOENIX spectra from files on disk, of high (HiRes) or medium resolution (MedRes).

    Parameters
    ----------
    folder : path
        Where the files are, at any depth. HiRes files need
        ``WAVE_PHOENIX-ACES-AGSS-COND-2011.fits`` in their folder or one above. MedRes archives
        (``...R10000FITS_Z-0.0.zip``, ``...A1FITS...``) must be unpacked, each resolution in a
        folder of its own.
    teff, logg, feh, alpha : float, tuple (low, high), list of float, or None
        One value, all from low to high, just these, or all that are there; in K, dex(cm s⁻²),
        dex and dex. alpha is a column of `parameters` where it varies.
    wavelength : tuple (low, high), array-like of shape (n_pixels,), or None
        Keep the pixels from low to high in Å, both included; or interpolate linearly to these
        pixels; or keep all.
    on_missing : {"warn", "raise", "ignore"}
        What to do where nodes of the full product of the parameters' values have no file.
    dtype : {numpy.float64, numpy.float32}
        Type of the flux.
    verbose : int
        Above 0, a progress bar over the files.

    Returns
    -------
    Bunch
        As :func:`fetch_phoenix`.

    Raises
    ------
    FileNotFoundError
        If there are no such files.
    ValueError
        If files are damaged, zero, or under a wrong name, each named with its fault.

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
    FileNotFoundError: folder no-such-folder does not exist; give the one of the files.
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
