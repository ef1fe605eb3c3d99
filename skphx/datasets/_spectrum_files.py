"""load_spectrum: load observed spectra from files."""

import os
import warnings
from typing import TYPE_CHECKING, Literal

import numpy as np
from sklearn.utils import Bunch

from skphx._domain import SPEED_OF_LIGHT, check_file, check_medium, check_wavelength
from skphx._plain import short_reason
from skphx.datasets._medium import Medium, agreed_medium
from skphx.datasets._spectrum_pixels import tidy
from skphx.datasets._spectrum_readers import read_spectrum
from skphx.datasets._spectrum_request import NoSpectrumError, Request

if TYPE_CHECKING:
    from astropy.units import UnitBase

_DESCR = """Observed spectrum from {name}

{format}; {object}{n_segments}{n_good} of {n_pixels} pixels usable, {low:.6g} to {high:.6g} Å
({medium}), wavelengths {frame}.
Unit of the flux: {unit}.
"""
_FRAMES = {
    "star": "in the rest frame of the star",
    "barycentre": "in the frame of the barycentre of the solar system",
    "observatory": "in the frame of the observatory",
    None: "in an unknown frame",
}


def load_spectrum(
    path: str | os.PathLike[str],
    *,
    medium: Medium | None = None,
    wavelength_unit: "str | UnitBase | None" = None,
    resolution: float | None = None,
    sky_factor: float = 0.0,
    barycentric: bool = False,
    wavelength: str | int | None = None,
    flux: str | int | None = None,
    sigma: str | int | None = None,
    variance: str | int | None = None,
    ivar: str | int | None = None,
    mask: str | int | None = None,
    mask_good: Literal[0, 1] | None = None,
    hdu: str | int | None = None,
    row: int | None = None,
    format: str | None = None,
) -> Bunch:
    r"""Load an observed spectrum from a file.

    Nothing is guessed. An array is the flux, an error or a mask because the format, its name or
    an argument says so. What the file holds beside them is named in a warning, and several
    spectra of which none is chosen are an error that lists them.

    ====================  ==============================================================
    type                  content
    ====================  ==============================================================
    text, ECSV, VOTable   a table that astropy can read, with usual names of columns; two
                          columns without names are wavelength and flux
    FITS table            columns with usual names: a row a pixel, one row of arrays, or a
                          row an order; several tables are the arms of one spectrum
    FITS image            pixels with a linear or logarithmic axis in the header, or
                          extensions with usual names; each row is an order
    Gaia RVS              as from the archive: CSV, ECSV, VOTable or FITS
    HPF, reduced (FITS)   extensions "Sci Flux" and "Sci Wavl", and "Sci Variance" or
                          "Sci Error"
    read by specutils     APOGEE, DESI, SDSS-I/II, SDSS-V visits, IRAF multispec, and with
                          `format` all others that specutils knows
    ====================  ==============================================================

    Files may be compressed (gzip, bzip2, xz). The pages of the documentation list the names.

    Parameters
    ----------
    path : path
        The file.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; needed if the file does not state it. Of two columns in air
        and in vacuum it chooses one.
    wavelength_unit : str, astropy unit, or None
        Unit of the wavelengths, such as ``"nm"``, ``"Angstrom"`` or ``"log10(Angstrom)"``;
        needed if the file does not state it.
    resolution : float or None
        λ/FWHM of the instrument; None is that of the instrument for HPF and Gaia RVS, that of
        the header for science products of ESO, and unknown for other files.
    sky_factor : float
        Factor by which the flux of the sky fibre of HPF is multiplied before it is subtracted;
        0 does not subtract it. The throughput of the two fibres differs by a few per cent.
    barycentric : bool
        Whether to convert wavelengths measured at an observatory to the barycentre of the solar
        system, with the position and time in the file.
    wavelength, flux, sigma, variance, ivar, mask : str, int or None
        Column of a table, or extension of a FITS file with images, by its name or its number
        from 0. None is the one with a usual name. Give one of `sigma` (standard errors),
        `variance` and `ivar` (inverse variances).
    mask_good : {0, 1} or None
        Value of good pixels in the mask; needed for a column that is only called "mask" in files
        of an unknown pipeline.
    hdu : str, int or None
        Name or number of the HDU of a FITS file, or number of the table of a VOTable, that holds
        the flux.
    row : int or None
        Number of the spectrum, from 0, where there are several: row of arrays, row of an image,
        or star.
    format : str or None
        Name of a format of specutils, to read the file with it.

    Returns
    -------
    Bunch
        Observed star for :class:`skphx.StellarParameterEstimator`, with `wavelength` in Å,
        `flux`, `sigma` (None if the file has none) and `mask` (True for pixels to ignore), all
        of shape (n_pixels,), or (n_orders, n_pixels) for several orders; `medium`;
        `resolution`; `frame`, which is "star", "barycentre", "observatory" or None;
        `barycentric_velocity`, the velocity in km/s to be added to one measured at the
        observatory, or None; `units` of wavelength and flux; `facts`, a dict with ``object``,
        ``instrument``, ``date`` and ``exposure`` (s) if they are known; `header`, a dict of the
        FITS header; and `DESCR`. Wavelengths increase in each row. Pixels without wavelength,
        flux or error are masked; missing wavelengths are interpolated.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If it is not known which arrays are the spectrum, or which of several is wanted; if a
        medium or unit is missing; if most wavelengths, or the end of their axis, are below 500 Å
        or above 60 µm, or all are below 912 Å and `wavelength_unit` is not given; if no pixel is
        good. The message names the argument to give.

    Warns
    -----
    UserWarning
        If `medium`, `wavelength_unit` or `resolution` differs from what the file states: the
        argument is used. If arrays of the file are not used, or pixels are masked because their
        wavelengths are repeated, or are none of a star.

    Examples
    --------
    >>> import os, tempfile
    >>> from skphx.datasets import load_spectrum
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "star.txt")
    ...     with open(path, "w") as file:
    ...         _ = file.write("wavelength flux error\n850.1 0.98 0.01\n850.2 0.71 0.01\n")
    ...     star = load_spectrum(path, medium="air", wavelength_unit="nm")
    ...     load_spectrum(path, medium="air")
    Traceback (most recent call last):
        ...
    ValueError: star.txt does not say the unit of its wavelengths: pass wavelength_unit...
    >>> star.wavelength, star.sigma
    (array([8501., 8502.]), array([0.01, 0.01]))
    """
    check_medium(medium)
    request = Request(
        medium=medium,
        wavelength_unit=wavelength_unit,
        resolution=resolution,
        sky_factor=sky_factor,
        format=format,
        hdu=hdu,
        row=row,
        wavelength=wavelength,
        flux=flux,
        sigma=sigma,
        variance=variance,
        ivar=ivar,
        mask=mask,
        mask_good=mask_good,
    )
    request.check()
    path = check_file(path)
    try:
        raw = _read_quietly(path, request)
        star = _as_star(raw, request)
    except NoSpectrumError as error:
        raise ValueError(f"{path.name} {error}") from error
    except Exception as error:  # astropy and specutils raise many types for damaged files
        raise ValueError(
            f"{path.name} cannot be read as a spectrum: {_reason(error)} If the file is damaged, "
            f"copy it again; otherwise save wavelength and flux in a table."
        ) from error
    star.medium = agreed_medium(path.name, star.medium, medium)
    for note in _notes(star, request):
        warnings.warn(f"{path.name} {note}", UserWarning, stacklevel=2)
    star.resolution = resolution if resolution is not None else star.resolution
    if barycentric:
        _to_barycentre(star, path.name)
    star.DESCR = _described(star, path.name)
    return star


def _read_quietly(path, request):
    """Read a file; small violations of the standards of files are common and not a problem."""
    from astropy.utils.exceptions import AstropyWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        return read_spectrum(path, request)


def _reason(error):
    """Return the message of an exception as one short sentence, with its type if it needs one."""
    text = short_reason(error)
    if not isinstance(error, ValueError):
        text = f"{type(error).__name__} {text}"
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _as_star(raw, request):
    """Arrays of one shape, and what is known about them."""
    wavelength, flux, sigma, mask = tidy(raw["rows"], request)
    for segment in np.atleast_2d(wavelength):
        check_wavelength(segment)
    return Bunch(
        wavelength=wavelength,
        flux=flux,
        sigma=sigma,
        mask=mask,
        medium=raw["medium"],
        resolution=raw.get("resolution"),
        frame=raw.get("frame"),
        barycentric_velocity=raw.get("barycentric_velocity"),
        units={"wavelength": "Angstrom", "flux": raw["unit"]},
        facts=raw["facts"],
        header=raw["header"],
    )


def _notes(star, request):
    """Warnings, each continuing after the name of the file."""
    yield from request.notes
    stated = star.header.get("SPEC_RES")
    given = request.resolution
    if (
        None not in (given, stated)
        and stated == star.resolution
        and abs(given / stated - 1) > 0.01
    ):
        yield f"says that its resolution is {stated:g}; resolution={given:g} is used."
    if request.unused:
        shown = request.unused[:12] + ["..."] * (len(request.unused) > 12)
        yield (
            f"also holds {', '.join(shown)}, which {'is' if len(shown) == 1 else 'are'} not used; "
            f"choose other arrays with flux=, sigma=, mask=, hdu= or row=."
        )


def _described(star, name):
    """Text about the star."""
    good = ~star.mask
    return _DESCR.format(
        name=name,
        format=star.facts["format"],
        object=f"{star.facts['object']}; " if star.facts.get("object") else "",
        n_segments=f"{len(star.flux)} orders; " if star.flux.ndim == 2 else "",
        n_good=good.sum(),
        n_pixels=good.size,
        low=star.wavelength[good].min(),
        high=star.wavelength[good].max(),
        medium=star.medium,
        frame=_FRAMES[star.frame],
        unit=star.units["flux"] or "not given",
    )


def _to_barycentre(star, name):
    """Convert wavelengths from the observatory to the barycentre."""
    if star.frame in ("star", "barycentre"):
        raise ValueError(
            f"wavelengths of {name} are already {_FRAMES[star.frame]}; use barycentric=False."
        )
    if star.barycentric_velocity is None:
        raise ValueError(
            f"{name} does not say where and when it was observed; compute the velocity with "
            f"skphx.datasets.barycentric_velocity, and multiply wavelength by 1 + velocity/c."
        )
    star.wavelength = star.wavelength * (1.0 + star.barycentric_velocity / SPEED_OF_LIGHT)
    star.frame = "barycentre"
