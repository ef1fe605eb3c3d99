"""Which reader is for which file."""

from pathlib import Path

from skphx._paths import whole_file
from skphx.datasets._fits import _what_else
from skphx.datasets._spectrum_fits import open_content, read_fits
from skphx.datasets._spectrum_hpf import is_hpf, read_hpf
from skphx.datasets._spectrum_request import NoSpectrumError, UnknownLayoutError
from skphx.datasets._spectrum_specutils import format_of, other_format, read_as
from skphx.datasets._spectrum_text import decoded, read_text


def read_spectrum(path, request):
    """Return the spectrum of a file.

    Parameters
    ----------
    path : pathlib.Path
        The file, which may be compressed.
    request : Request
        What the user says; readers leave warnings in it.

    Returns
    -------
    dict
        ``rows``, a list of Row; ``medium``, ``frame``, ``resolution``, ``unit`` of the flux,
        ``facts`` and ``header``, as far as they are known.

    Raises
    ------
    NoSpectrumError
        If the file cannot be used.
    """
    content = _content(path)
    if request.format is not None:
        return read_as(request.format, content, path, request)
    if not content.startswith(b"SIMPLE  ="):
        if content.startswith(b"PK\x03\x04") and path.suffix.lower() == ".npz":
            raise NoSpectrumError(
                "holds arrays of numpy: pass np.load of the file to infer, with arrays named "
                "wavelength (Å), flux, sigma and mask, or write them as a table, .csv or .ecsv."
            )
        if content.startswith(b"PK\x03\x04"):
            raise NoSpectrumError("is an archive (zip): unpack it first.")
        is_pointer = content.startswith(b"version https://git-lfs")
        if is_pointer or not content.strip(b"\0 \r\n"):
            raise NoSpectrumError(f"is neither FITS nor a text table{_what_else(content[:512])}.")
        _no_sky(request)
        return read_text(decoded(content), request)
    with open_content(content, request) as hdus:
        if is_hpf(hdus) and not request.names_arrays:
            return read_hpf(hdus, request)
        _no_sky(request)
        if not request.names_arrays and (known := format_of(hdus)):
            return read_as(known, hdus, path, request)
        try:
            return read_fits(hdus, request)
        except UnknownLayoutError as error:
            if request.names_arrays:
                raise
            if label := other_format(path):
                return read_as(label, content, path, request)
            raise UnknownLayoutError(
                f"{error} If specutils knows the format, pass format= with its name."
            ) from error


def _no_sky(request):
    if request.sky_factor:
        raise NoSpectrumError("has no sky fibre; leave sky_factor 0.")


def _content(path):
    """Bytes of a file, without its compression."""
    try:
        stored = whole_file(path)
    except ValueError as error:
        raise NoSpectrumError(
            "is compressed with gzip, bzip2 or xz, and damaged or cut short: copy it again."
        ) from error
    return stored.read_bytes() if isinstance(stored, Path) else stored.getvalue()
