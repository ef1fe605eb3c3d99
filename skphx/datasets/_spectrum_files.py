"""load_spectrum: load observed spectra from files."""

import os
from typing import TYPE_CHECKING

import numpy as np
from sklearn.utils import Bunch

from skphx._domain import SPEED_OF_LIGHT, check_file, check_medium, check_wavelength
from skphx.datasets._medium import Medium, agreed_medium
from skphx.datasets._spectrum_readers import NoSpectrumError, read_spectrum

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
) -> Bunch:
    r"""Load an observed spectrum from a file of one of these types.

    ====================  ==============================================================
    type                  content
    ====================  ==============================================================
    HPF, reduced (FITS)   extensions "Sci Flux" and "Sci Wavl", and "Sci Variance" or
                          "Sci Error"; an order is a segment
    Gaia RVS (CSV)        columns "source_id", "flux_error" and "combined_transits"
    FITS table            columns with usual names of wavelength, flux and error; also
                          one row of arrays, as from ESO, or one row per order
    FITS image            one row of pixels with a wavelength axis in the header, linear
                          or logarithmic; errors and masks in extensions
    text                  a table that astropy can read: wavelength, flux, error
    ====================  ==============================================================

    Parameters
    ----------
    path : path
        The file.
    medium : {"air", "vacuum"} or None
        Medium of the wavelengths; needed if the file does not state it, and an error if the file
        states another one.
    wavelength_unit : str, astropy unit, or None
        Unit of the wavelengths, such as ``"nm"`` or ``"Angstrom"``; needed if the file does not
        state it.
    resolution : float or None
        λ/FWHM of the instrument; None is that of the instrument for HPF and Gaia RVS, and
        unknown for other files.
    sky_factor : float
        Factor by which the flux of the sky fibre of HPF is multiplied before it is subtracted;
        0 does not subtract it. The throughput of the two fibres differs by a few per cent.
    barycentric : bool
        Whether to convert wavelengths measured at an observatory to the barycentre of the solar
        system, with the position and time in the file.

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
        FITS header; and `DESCR`.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a spectrum of one of these types, a medium or unit is missing, or an
        argument differs from what the file states.

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
    path = check_file(path)
    try:
        raw = read_spectrum(path, wavelength_unit, sky_factor)
    except NoSpectrumError as error:
        raise ValueError(f"{path.name} {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as a spectrum: {error}") from error
    star = _clean(raw, path.name)
    star.medium = agreed_medium(path.name, star.medium, medium)
    star.resolution = resolution if resolution is not None else star.resolution
    if barycentric:
        _to_barycentre(star, path.name)
    good = ~star.mask
    star.DESCR = _DESCR.format(
        name=path.name,
        format=star.facts["format"],
        object=f"{star.facts['object']}; " if star.facts.get("object") else "",
        n_segments=f"{len(star.flux)} orders; " if star.flux.ndim == 2 else "",
        n_good=good.sum(),
        n_pixels=good.size,
        low=star.wavelength.min(),
        high=star.wavelength.max(),
        medium=star.medium,
        frame=_FRAMES[star.frame],
        unit=star.units["flux"] or "not given",
    )
    return star


def _clean(raw, name):
    """Sort pixels, convert to float64, and mask pixels without flux or error."""
    wavelength = np.array(raw.pop("wavelength"), dtype=np.float64)
    flux = np.array(raw.pop("flux"), dtype=np.float64)
    sigma, mask = raw.pop("sigma", None), raw.pop("mask", None)
    if wavelength.shape != flux.shape or flux.ndim not in (1, 2) or flux.shape[-1] < 2:
        raise ValueError(
            f"{name} has wavelengths of shape {wavelength.shape} and flux of shape {flux.shape}; "
            f"both must have the same shape, with two pixels or more."
        )
    mask = np.zeros(flux.shape, dtype=bool) if mask is None else np.array(mask) != 0
    mask |= ~np.isfinite(flux)
    if sigma is not None:
        sigma = np.array(sigma, dtype=np.float64)
        mask |= ~(np.isfinite(sigma) & (sigma > 0))
    arrays = [wavelength, flux, mask] + ([] if sigma is None else [sigma])
    if not (np.diff(wavelength) > 0).all():
        order = np.argsort(wavelength, axis=-1, kind="stable")
        arrays = [np.take_along_axis(array, order, axis=-1) for array in arrays]
    for segment in np.atleast_2d(arrays[0]):
        check_wavelength(segment, name=f"wavelength of {name}")
    star = Bunch(wavelength=arrays[0], flux=arrays[1], mask=arrays[2])
    star.sigma = arrays[3] if sigma is not None else None
    if mask.all():
        raise ValueError(f"{name} has no usable pixel: none has both a flux and an error.")
    star.update({"resolution": None, "frame": None, "barycentric_velocity": None, **raw})
    return star


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
