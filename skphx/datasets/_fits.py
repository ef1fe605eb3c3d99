"""Open FITS files, and refuse files that are damaged or incomplete."""

import warnings
from pathlib import Path
from threading import Lock

from skphx._paths import MAGIC, explain_damage

# Filters of warnings belong to the process, and files are checked in several threads.
_WARNING_FILTERS = Lock()


def mapped_image(path):
    """Return array and header of the first HDU with data; the array is memory-mapped.

    Parameters
    ----------
    path : path
        FITS file.

    Returns
    -------
    data : ndarray
        Memory-mapped array.
    header : astropy.io.fits.Header
        Header of this HDU, with the keywords of the primary header that it does not have.

    Raises
    ------
    ValueError
        If the file is not a FITS file, is cut short, or holds no image.
    """
    with explain_damage(), open_fits(path) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.header.get("NAXIS", 0) > 0:
                return hdu.data, merged_header(hdus, hdu)
    raise ValueError("the file holds no image")


def merged_header(hdus, hdu):
    """Return the header of an HDU with the keywords of the primary header that it lacks."""
    if hdu is hdus[0]:
        return hdu.header
    header = hdus[0].header.copy()
    header.update(hdu.header)
    return header


def open_fits(path):
    """Open a FITS file, and check that it is not cut short.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    astropy.io.fits.HDUList
        The open file, a context manager.

    Raises
    ------
    ValueError
        If the file is not a FITS file, or is cut short.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(512)
    # Compressed files are read, too.
    if not start.startswith((b"SIMPLE  =", *MAGIC)):
        raise ValueError(f"the file is not a FITS file{_what_else(start)}")
    with _WARNING_FILTERS, warnings.catch_warnings(), explain_damage():
        # Small violations of the FITS standard are common and not a problem.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            hdus = fits.open(path, memmap=True)
            for hdu in hdus:
                where = hdu.fileinfo()
                end = where["datLoc"] + where["datSpan"]
                if start.startswith(b"SIMPLE") and end > path.stat().st_size:
                    hdus.close()
                    raise ValueError(
                        f"the file has {path.stat().st_size} bytes and should have {end} by its "
                        f"headers: it is cut short"
                    )
        except (OSError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"the file is not a readable FITS file ({error})") from error
    return hdus


def _what_else(start):
    """Text that says what a file is that is not a FITS file."""
    text = start.lstrip().lower()
    if not start:
        return " but empty; download it again"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return " but a web page, which a server may send instead of a file; download it again"
    if text.startswith(b"version https://git-lfs"):
        return " but a pointer of Git LFS, in place of the file: fetch it with `git lfs pull`"
    if not start.strip(b"\0"):
        return " but contains only zeros, as after an interrupted download; download it again"
    return f": it begins with {start[:12]!r}"
