"""Checks of what the line engine is given; messages name argument, expected, got, remedy."""

from typing import Any

import numpy as np

from skphx._domain import LINE_PARAMETERS, check_wavelength
from skphx.lines._engine.devices import fetch, is_tensor, namespace
from skphx.lines._engine.profile import get_profile

TRANSMISSIONS = ("exponential", "product")
METHODS = ("auto", "direct", "mesh")

# Where each parameter is cut off, Å and ln Å: farther off the fifth powers of widths and the
# squares of distances leave what floating point can hold, and no flux can tell the difference.
LIMITS = {
    "center": (-1e12, 1e12),
    "log_area": (-1e4, 50.0),
    "log_sigma": (-50.0, 50.0),
    "log_gamma": (-50.0, 50.0),
}


def check_options(profile, transmission, wing_cut, method):
    """Refuse unknown names and impossible cuts."""
    get_profile(profile)
    for name, value, choices in (
        ("transmission", transmission, TRANSMISSIONS),
        ("method", method, METHODS),
    ):
        if value not in choices:
            raise ValueError(f"{name} must be one of {choices}, got {value!r}; choose one.")
    if wing_cut is not None:
        if int(wing_cut) != wing_cut or wing_cut < 2:
            raise ValueError(
                f"wing_cut must be a whole number of pixels, at least 2, or None for no cut, "
                f"got {wing_cut!r}."
            )
        if method == "mesh":
            raise ValueError(
                "wing_cut and method='mesh' exclude each other: the mesh sums whole lines; "
                "use method='direct' or 'auto', or wing_cut=None."
            )


def check_pixels(wavelength):
    """Return the pixels as a checked float64 array; tensors come to the host."""
    if hasattr(wavelength, "detach"):
        if wavelength.requires_grad:
            raise ValueError(
                "wavelength must not require a gradient: lines move, pixels stay; shift "
                "center instead, for instance center * (1 + velocity / c)."
            )
        wavelength = wavelength.detach().cpu().numpy()
    # Kernels are compiled for arrays without gaps that may be written to.
    return np.require(check_wavelength(wavelength), requirements=["C", "W"])


def check_lines(center, log_area, log_sigma, log_gamma):
    """Return the four parameters in float64, and the dtype of the output.

    They are arrays, or tensors of one device if any of those given is a tensor.
    """
    given = (center, log_area, log_sigma, log_gamma)
    tensor: Any = next((value for value in given if is_tensor(value)), None)
    parameters: list[Any] = []
    for name, value in zip(LINE_PARAMETERS, given, strict=True):
        if is_tensor(value):
            value = value.to(tensor.device)
        else:
            value = _check_real(name, value)
            if tensor is not None:
                value = namespace(tensor).tensor(value, device=tensor.device)
        if value.ndim != 1:
            raise ValueError(
                f"{name} must be one-dimensional, (n_lines,), got shape {tuple(value.shape)}; "
                f"join several spectra's lines and pass offsets."
            )
        if parameters and value.shape != parameters[0].shape:
            raise ValueError(
                f"{name} must have shape ({len(parameters[0])},) as center has, got "
                f"{tuple(value.shape)}; give all four parameters of every line."
            )
        parameters.append(value)
        finite = namespace(value).isfinite(value)
        if not bool(finite.all()):
            where = int(fetch(finite).argmin())
            raise ValueError(
                f"{name} must be finite, but element {where} is {float(value[where])}; leave "
                f"absent lines out, or give them a log_area of -1000."
            )
    xp = namespace(tensor)
    single = all(value.dtype == xp.float32 for value in parameters[1:])
    dtype = xp.float32 if single else xp.float64
    limits = [LIMITS[name] for name in LINE_PARAMETERS]
    if tensor is None:
        parameters = [
            np.clip(value, *ends, dtype=np.float64)
            for value, ends in zip(parameters, limits, strict=True)
        ]
    else:
        parameters = [
            value.to(xp.float64).clamp(*ends)
            for value, ends in zip(parameters, limits, strict=True)
        ]
    return parameters, dtype


def _check_real(name, value):
    """Return an array of float32 or float64 in this machine's order of bytes."""
    value = np.asarray(value)
    if value.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got dtype {value.dtype}.")
    single = value.dtype.kind == "f" and value.dtype.itemsize == 4
    return value.astype(np.float32 if single else np.float64, copy=False)


def check_offsets(offsets, n_lines):
    """Return where each spectrum's lines begin and end."""
    if offsets is None:
        return np.array([0, n_lines])
    return rising_offsets(fetch(offsets), n_lines)


def rising_offsets(offsets, n_lines):
    """Return offsets as int64, rising from 0 to the number of lines."""
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or len(offsets) < 1 or offsets.dtype.kind not in "iu":
        raise ValueError(
            f"offsets must be a one-dimensional array of whole numbers, (n_spectra + 1,), got "
            f"shape {offsets.shape} and dtype {offsets.dtype}."
        )
    if offsets[0] != 0 or offsets[-1] != n_lines or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"offsets must rise from 0 to the number of lines, {n_lines}, got {offsets}; "
            f"spectrum k owns lines offsets[k] to offsets[k + 1]."
        )
    return offsets.astype(np.int64, copy=False)
