"""Layout of the PHOENIX library of Husser et al. (2013): names, axes and files.

HiRes files have flux on a common axis of 1,569,128 wavelengths, which is in a separate file.
MedRes files have the wavelength axis in their header.
"""

import os
from functools import lru_cache
from pathlib import Path

import numpy as np

from skphx._paths import find_file
from skphx.datasets._layouts import GridLayout

LIBRARY = "PHOENIX-ACES-AGSS-COND-2011"
WAVELENGTH_FILE = f"WAVE_{LIBRARY}.fits"
_URL = "https://phoenix.astro.physik.uni-goettingen.de/data/HiResFITS"
_REFERENCE = "Husser, T.-O. et al. (2013), A&A 553, A6, doi:10.1051/0004-6361/201219058"

AXES = {
    "teff": (*range(2300, 7001, 100), *range(7200, 12001, 200)),
    "logg": tuple(np.arange(0.0, 6.01, 0.5).tolist()),
    "feh": (-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0),
    "alpha": (-0.2, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2),
}


def phoenix_path(parameters):
    """Return the path of a HiRes file below ``HiResFITS``.

    Parameters
    ----------
    parameters : dict
        ``teff`` (K), ``logg``, ``feh`` and ``alpha`` (dex).

    Returns
    -------
    str
        Path with ``/`` between folder and file.

    Examples
    --------
    >>> from skphx.datasets._phoenix_layout import phoenix_path
    >>> phoenix_path({"teff": 5000, "logg": 4.5, "feh": 0.0, "alpha": 0.2})
    'PHOENIX-ACES-AGSS-COND-2011/Z-0.0.Alpha=+0.20/lte05000-4.50-0.0.Alpha=+0.20.PHOENIX-...'
    """
    feh, alpha = parameters["feh"], parameters.get("alpha", 0.0)
    # Solar metallicity is -0.0 in the names of the library.
    composition = f"{feh:+.1f}" if feh else "-0.0"
    if alpha:
        composition += f".Alpha={alpha:+.2f}"
    name = f"lte{parameters['teff']:05.0f}-{parameters['logg']:.2f}{composition}"
    return f"{LIBRARY}/Z{composition}/{name}.{LIBRARY}-HiRes.fits"


def read_phoenix(path):
    """Return wavelength (Å) and flux (erg s⁻¹ cm⁻² cm⁻¹) of a file; flux is memory-mapped.

    Parameters
    ----------
    path : pathlib.Path
        HiRes file with the common wavelengths in its folder or one above, or MedRes file.

    Returns
    -------
    wavelength, flux : ndarray of shape (n_pixels,)
        The stored values.

    Raises
    ------
    ValueError
        If the file is not a PHOENIX file, or has another number of pixels than its wavelengths.
    FileNotFoundError
        If the file with the wavelengths of a HiRes file does not exist.
    """
    from skphx.datasets._fits import mapped_image

    flux, header = mapped_image(path)
    if flux.ndim != 1:
        raise ValueError(f"it holds an array of shape {flux.shape}, not one spectrum")
    wavelength = _common_wavelength(path)
    if wavelength is not None and len(wavelength) == len(flux):
        return wavelength, flux
    if "CRVAL1" in header and "CDELT1" in header:
        pixels = np.arange(len(flux)) + 1.0 - header.get("CRPIX1", 1.0)
        wavelength = header["CRVAL1"] + header["CDELT1"] * pixels
        # MedRes files of constant resolving power have an axis of ln(wavelength / Å), 6 to 11.
        return (np.exp(wavelength) if wavelength[0] < 100.0 else wavelength), flux
    if wavelength is None:
        raise FileNotFoundError(
            f"there is no {WAVELENGTH_FILE} in the folder of {Path(path).name} or above it: it is "
            f"needed for HiRes files; download it from {_URL}."
        )
    raise ValueError(
        f"it has {len(flux)} pixels, but the spectra of the library have {len(wavelength)}: it is "
        f"cut short, or of another library"
    )


def _common_wavelength(path):
    """Wavelengths in Å of all HiRes files, from the folder of `path` or above, or None."""
    for folder in Path(path).absolute().parents[:4]:
        candidate = find_file(folder, WAVELENGTH_FILE)
        if candidate is not None:
            return read_axis(candidate)
    return None


def read_axis(path):
    """Read the common wavelengths in Å, once for all files; raise ValueError if damaged."""
    stat = os.stat(path)
    return _read_axis(str(path), stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4)
def _read_axis(path, _changed, _size):
    """Read the axis; date and size of the file are part of the key of the cache."""
    from skphx.datasets._fits import mapped_image

    wavelength = np.array(mapped_image(path)[0], dtype=np.float64)
    if wavelength.ndim != 1 or not (np.diff(wavelength) > 0).all() or not wavelength[0] > 0:
        raise ValueError(f"the wavelengths in {Path(path).name} are not increasing")
    wavelength.flags.writeable = False
    return wavelength


def phoenix_header(path):
    """Return the parameters in the header of a file: dict, empty if it has none."""
    from skphx.datasets._fits import mapped_image

    header = mapped_image(path)[1]
    keys = {"teff": "PHXTEFF", "logg": "PHXLOGG", "feh": "PHXM_H", "alpha": "PHXALPHA"}
    return {name: float(header[key]) for name, key in keys.items() if key in header}


_COMPOSITION = r"(?P<feh>[-+]\d\.\d)(?:\.Alpha=(?P<alpha>[-+]\d\.\d\d))?"

LAYOUTS = (
    GridLayout(
        name="phoenix",
        title=f"{LIBRARY}, HiRes and MedRes",
        reference=_REFERENCE,
        pattern=rf"lte(?P<teff>\d{{5}})-(?P<logg>\d\.\d\d){_COMPOSITION}\.{LIBRARY}-\w+\.fits",
        defaults={"alpha": 0.0},
        read=read_phoenix,
        header=phoenix_header,
        medium="vacuum",
        axes=AXES,
        path=phoenix_path,
        extra_files=(WAVELENGTH_FILE,),
        check_extra=read_axis,
        url=_URL,
        max_bytes=64 << 20,
    ),
)
