"""Checks of what the line engine is given; messages name argument, expected, got, remedy."""

import numpy as np

from skphx._validation import check_wavelength
from skphx.lines.profile import get_profile

TRANSMISSIONS = ("exponential", "product")
METHODS = ("auto", "direct", "mesh")
PARAMETERS = ("center", "log_amplitude", "log_sigma", "log_gamma")

# Where each parameter is cut off, Å and ln Å: farther off the fifth powers of widths and the
# squares of distances leave what floating point can hold, and no flux can tell the difference.
LIMITS = {
    "center": (-1e12, 1e12),
    "log_amplitude": (-1e4, 50.0),
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
    return check_wavelength(wavelength)


def check_lines(center, log_amplitude, log_sigma, log_gamma):
    """Return four float64 tensors of one device, the output's dtype, and its kind."""
    import torch

    given = (center, log_amplitude, log_sigma, log_gamma)
    tensors = [value for value in given if isinstance(value, torch.Tensor)]
    device = tensors[0].device if tensors else torch.device("cpu")
    parameters = []
    for name, value in zip(PARAMETERS, given, strict=True):
        if not isinstance(value, torch.Tensor):
            value = np.asarray(value)
            if value.dtype.kind not in "fiu":
                raise ValueError(f"{name} must hold real numbers, got dtype {value.dtype}.")
            if value.dtype.kind != "f" or value.dtype.itemsize not in (4, 8):
                value = value.astype(np.float64)
            value = torch.tensor(value)
        value = value.to(device)
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
        if not bool(torch.isfinite(value).all()):
            where = int(torch.nonzero(~torch.isfinite(value))[0, 0])
            raise ValueError(
                f"{name} must be finite, but element {where} is {float(value[where])}; leave "
                f"absent lines out, or give them a log_amplitude of -1000."
            )
    single = all(value.dtype == torch.float32 for value in parameters[1:])
    dtype = torch.float32 if single else torch.float64
    parameters = [
        value.to(torch.float64).clamp(*LIMITS[name])
        for name, value in zip(PARAMETERS, parameters, strict=True)
    ]
    return parameters, dtype, not tensors


def check_offsets(offsets, n_lines):
    """Return where each spectrum's lines begin and end."""
    if offsets is None:
        return np.array([0, n_lines])
    if hasattr(offsets, "detach"):
        offsets = offsets.detach().cpu().numpy()
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or len(offsets) < 1 or offsets.dtype.kind not in "iu":
        raise ValueError(
            f"offsets must be a one-dimensional array of whole numbers, (n_spectra + 1,), got "
            f"shape {offsets.shape} and dtype {offsets.dtype}."
        )
    if offsets[0] != 0 or offsets[-1] != n_lines or (np.diff(offsets) < 0).any():
        raise ValueError(
            f"offsets must rise from 0 to the number of lines, {n_lines}, got {offsets}; "
            f"line k of spectrum i is at offsets[i] + k."
        )
    return offsets.astype(np.int64)
