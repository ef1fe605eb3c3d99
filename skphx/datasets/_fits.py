"""FITS files read safely: whole or refused, and only as much of them as is needed."""

import warnings
from pathlib import Path


def mapped_image(path):
    """Array and header of the first HDU with data, the array mapped and not read.

    Parameters
    ----------
    path : path
        FITS file.

    Returns
    -------
    data : ndarray
        Mapped to the file.
    header : astropy.io.fits.Header
        Of that HDU, with what the primary header says where it says nothing.

    Raises
    ------
    ValueError
        If it is no FITS file, cut short, or holds no image.
    """
    with open_fits(path) as hdus:
        for hdu in hdus:
            if hdu.is_image and hdu.header.get("NAXIS", 0) > 0:
                header = hdu.header
                if hdu is not hdus[0]:
                    header = hdus[0].header.copy()
                    header.update(hdu.header)
                return hdu.data, header
    raise ValueError("it holds no image")


def open_fits(path):
    """Open a FITS file whose length is what its headers say.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    astropy.io.fits.HDUList
        A context manager.

    Raises
    ------
    ValueError
        If it is no FITS file, or cut short.
    """
    from astropy.io import fits
    from astropy.utils.exceptions import AstropyWarning

    path = Path(path)
    with open(path, "rb") as file:
        start = file.read(512)
    # gzip is read as well: observatories deliver .fits.gz.
    if not start.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        raise ValueError(f"it is no FITS file{_what_else(start)}")
    with warnings.catch_warnings():
        # Headers that break the standard in small ways are common and do no harm; what does
        # harm is checked below.
        warnings.simplefilter("ignore", AstropyWarning)
        try:
            hdus = fits.open(path, memmap=True)
            for hdu in hdus:
                where = hdu.fileinfo()
                end = where["datLoc"] + where["datSpan"]
                if start.startswith(b"SIMPLE") and end > path.stat().st_size:
                    hdus.close()
                    raise ValueError(
                        f"it has {path.stat().st_size} bytes and its headers announce {end}: it "
                        f"is cut short"
                    )
        except (OSError, EOFError, TypeError, KeyError, IndexError) as error:
            raise ValueError(f"it is no readable FITS file ({error})") from error
    return hdus


def _what_else(start):
    """Say what a file is that should be FITS."""
    text = start.lstrip().lower()
    if not start:
        return " but empty"
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return " but a web page, such as a server sends in place of a file"
    if not start.strip(b"\0"):
        return " but zeros, as an interrupted download leaves them"
    return f": it begins with {start[:12]!r}"
