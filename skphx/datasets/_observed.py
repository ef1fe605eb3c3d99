"""Observed spectra from files: load_spectrum."""

from pathlib import Path

import numpy as np
from scipy import constants
from sklearn.utils import Bunch

from skphx._validation import check_wavelength
from skphx.datasets._observed_readers import NoSpectrumError, read_spectrum
from skphx.datasets._stellar_grid import check_medium

_SPEED_OF_LIGHT = constants.c / 1e3  # km/s

_DESCR = """Observed spectrum from {name}

{format}; {object}{n_chunks}{n_good} of {n_pixels} pixels usable, {low:.6g} to {high:.6g} Å
({medium}), wavelengths {frame}.
Unit of the flux: {unit}.
"""
_FRAMES = {
    "star": "at rest with the star",
    "barycentre": "at rest with the barycentre of the solar system",
    "observatory": "as measured at the observatory",
    None: "in a frame that the file does not tell",
}


def load_spectrum(
    path,
    *,
    medium=None,
    wavelength_unit=None,
    resolution=None,
    sky_factor=0.0,
    barycentric=False,
):
    r"""Load an observed spectrum, whatever file it comes in.

    ====================  ==============================================================
    file                  how it is known
    ====================  ==============================================================
    HPF, reduced (FITS)   extensions "Sci Flux" and "Sci Wavl", and "Sci Variance" or
                          "Sci Error"; an order is a chunk
    Gaia RVS (CSV)        columns "source_id", "flux_error" and "combined_transits"
    FITS table            columns named as wavelengths, flux and errors usually are;
                          also one row of arrays, as ESO delivers, or a row an order
    FITS image            one row of pixels with a wavelength axis in the header, linear
                          or logarithmic; errors and masks in extensions
    text                  anything that astropy reads as a table: wavelength, flux, error
    ====================  ==============================================================

    Parameters
    ----------
    path : path
        The file.
    medium : {"air", "vacuum"} or None
        What the wavelengths hold for; needed where the file does not say, and an error where it
        says otherwise.
    wavelength_unit : str, astropy unit, or None
        Needed where the file does not say, such as ``"nm"`` or ``"Angstrom"``.
    resolution : float or None
        λ/FWHM of the instrument; None is the known one of HPF and Gaia RVS, else unknown.
    sky_factor : float
        Times which the flux of HPF's sky fibre is subtracted; 0 leaves the sky in. The two
        fibres differ by some per cent in what they let through.
    barycentric : bool
        Whether to bring wavelengths measured at an observatory to the barycentre of the solar
        system, by what the file says of place and time. By default they are left as they are.

    Returns
    -------
    Bunch
        With `wavelength` in Å, `flux`, `sigma` (None where the file has none) and `mask` (True
        for pixels to leave out), all of shape (n_pixels,), or (n_orders, n_pixels) where the
        file has several orders; `medium`; `resolution`; `frame`, "star", "barycentre",
        "observatory" or None; `barycentric_velocity`, the velocity in km/s to be added to one
        measured at the observatory, or None; `units` of wavelength and flux; `facts`, a dict
        with ``object``, ``instrument``, ``date``, ``exposure`` (s) where they are known;
        `header`, a dict of the primary FITS header; and `DESCR`. It is what
        :class:`skphx.StellarParameterEstimator` takes as an observed star.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is no spectrum that is understood, does not say what is needed, or says
        otherwise than an argument.

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
    path = Path(path)
    if medium is not None:
        check_medium(medium)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}: check the path.")
    try:
        raw = read_spectrum(path, wavelength_unit, sky_factor)
    except NoSpectrumError as error:
        raise ValueError(f"{path.name} {error}") from error
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        raise ValueError(f"{path.name} cannot be read as a spectrum: {error}") from error
    star = _clean(raw, path.name)
    star.medium = _agreed(path.name, star.medium, medium)
    star.resolution = resolution if resolution is not None else star.resolution
    if barycentric:
        _to_barycentre(star, path.name)
    good = ~star.mask
    star.DESCR = _DESCR.format(
        name=path.name,
        format=star.facts["format"],
        object=f"{star.facts['object']}; " if star.facts.get("object") else "",
        n_chunks=f"{len(star.flux)} orders; " if star.flux.ndim == 2 else "",
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
    """Pixels in order, as float64, with a mask of those that hold nothing."""
    wavelength = np.array(raw.pop("wavelength"), dtype=np.float64)
    flux = np.array(raw.pop("flux"), dtype=np.float64)
    sigma, mask = raw.pop("sigma", None), raw.pop("mask", None)
    if wavelength.shape != flux.shape or flux.ndim not in (1, 2) or flux.shape[-1] < 2:
        raise ValueError(
            f"{name} has wavelengths of shape {wavelength.shape} and flux of shape {flux.shape}; "
            f"a spectrum has as many of both, two pixels or more."
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
    for chunk in np.atleast_2d(arrays[0]):
        check_wavelength(chunk, name=f"wavelength of {name}")
    star = Bunch(wavelength=arrays[0], flux=arrays[1], mask=arrays[2])
    star.sigma = arrays[3] if sigma is not None else None
    if mask.all():
        raise ValueError(f"{name} has no usable pixel: none has both a flux and an error.")
    star.update({"resolution": None, "frame": None, "barycentric_velocity": None, **raw})
    return star


def _agreed(name, stated, given):
    """Medium that the file and the argument agree on."""
    if stated is None and given is None:
        raise ValueError(
            f"{name} does not say whether its wavelengths hold for air or vacuum: pass "
            f"medium='air' or medium='vacuum'."
        )
    if None not in (stated, given) and stated != given:
        raise ValueError(
            f"medium={given!r} was given, but {name} says {stated!r}: leave medium out; "
            f"skphx.observing converts wavelengths."
        )
    return stated or given


def _to_barycentre(star, name):
    """Shift wavelengths from the observatory to the barycentre."""
    if star.frame in ("star", "barycentre"):
        raise ValueError(
            f"wavelengths of {name} are {_FRAMES[star.frame]} already; leave barycentric False."
        )
    if star.barycentric_velocity is None:
        raise ValueError(
            f"{name} does not say where and when it was observed; compute the velocity with "
            f"skphx.datasets.barycentric_velocity, and multiply wavelength by 1 + velocity/c."
        )
    star.wavelength = star.wavelength * (1.0 + star.barycentric_velocity / _SPEED_OF_LIGHT)
    star.frame = "barycentre"
