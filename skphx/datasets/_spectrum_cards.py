"""Headers of FITS files with cards that cannot be read, and tables with a name twice or none."""

import re

from skphx.datasets._spectrum_request import NoSpectrumError

# Cards without which data cannot be understood.
_NEEDED = re.compile(
    r"(SIMPLE|XTENSION|BITPIX|NAXIS|PCOUNT|GCOUNT|TFIELDS|TFORM|TTYPE|TUNIT|TSCAL|TZERO|TNULL|TDIM|"
    r"BSCALE|BZERO|BLANK|BUNIT|CTYPE|CUNIT|CRVAL|CRPIX|CDELT|CD1_|COEFF|DC-FLAG)\d*"
)
# Four digits or more, where FITS allows 999 axes and columns.
_TOO_MANY = re.compile(rb"(?:NAXIS   |TFIELDS )= *\d{4,}")
# What follows a name that the table has already.
_AGAIN = " (again)"


def check_numbers(content):
    """Raise NoSpectrumError if a header has so many axes or columns that astropy would hang.

    Parameters
    ----------
    content : bytes
        A FITS file.
    """
    for found in _TOO_MANY.finditer(content):
        if found.start() % 80 == 0:
            raise NoSpectrumError(
                f"has {found[0].decode()} in a header, and FITS allows 999: it is damaged; copy "
                f"it again."
            )


def check_structure(hdu, number):
    """Drop cards that cannot be read, and name columns apart, so that astropy can read the table.

    Parameters
    ----------
    hdu : HDU of astropy
        The HDU; its header is changed.
    number : int
        Its number, for the message.

    Raises
    ------
    NoSpectrumError
        If a card cannot be read without which the data cannot be understood.
    """
    from astropy.io.fits.verify import VerifyError

    # Of the class: data are read when they are asked for.
    if not all(hasattr(type(hdu), name) for name in ("fileinfo", "is_image", "data")):
        raise NoSpectrumError(f"is damaged: HDU {number} cannot be read. Copy it again.")
    for card in list(hdu.header.cards):
        try:
            _ = card.value, card.comment
        except (VerifyError, ValueError):
            if _NEEDED.fullmatch(card.keyword):
                raise NoSpectrumError(
                    f"has a card {card.keyword} in HDU {number} that cannot be read: repair the "
                    f"header, or copy the file again."
                ) from None
            hdu.header.remove(card.keyword, ignore_missing=True, remove_all=True)
    if str(hdu.header.get("XTENSION", "")).strip() in ("BINTABLE", "TABLE"):
        _name_apart(hdu.header)


def _name_apart(header):
    """Give each column a name of its own: astropy reads no table in which one appears twice."""
    taken: set[str] = set()
    for i in range(1, int(header.get("TFIELDS", 0)) + 1):
        name = str(header.get(f"TTYPE{i}", "")).strip() or f"column {i - 1}"
        while name.lower() in taken:
            name += _AGAIN
        taken.add(name.lower())
        if header.get(f"TTYPE{i}") != name:
            header[f"TTYPE{i}"] = name


def original_name(name):
    """Return the name of a column as it is in the file."""
    while name.endswith(_AGAIN):
        name = name.removesuffix(_AGAIN)
    return name
