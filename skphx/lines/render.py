"""Sum every line of a spectrum: optical depth and flux, differentiable in all parameters."""

import warnings
from itertools import pairwise

import numpy as np

from skphx.lines._arguments import check_lines, check_offsets, check_options, check_pixels
from skphx.lines.profile import get_profile

# A single line of a product takes away at most this share of the light.
MAX_DEPTH = 1.0 - 1e-9

# The direct sum holds about this many (line, pixel) pairs at once.
_CHUNK = 1 << 20

# Below this many pairs in a spectrum the direct sum is the faster one.
_SMALL = 30_000


def render_flux(
    wavelength,
    center,
    log_amplitude,
    log_sigma,
    log_gamma,
    *,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    method="auto",
    offsets=None,
):
    """Flux of a list of absorption lines over a continuum of 1.

    Parameters
    ----------
    wavelength, center, log_amplitude, log_sigma, log_gamma
        Pixels and lines as in `optical_depth`.
    profile, transmission, wing_cut, method, offsets
        Options as in `optical_depth`.

    Returns
    -------
    ndarray or tensor of shape (n_pixels,), or (n_spectra, n_pixels) with `offsets`
        exp(−optical depth), dimensionless.

    Examples
    --------
    One line of an equivalent width of 0.1 Å at 5001 Å.

    >>> import numpy as np
    >>> from skphx.lines import render_flux
    >>> flux = render_flux([5000.0, 5001.0, 5002.0], [5001.0], np.log([0.1]), [-2.0], [-3.0])
    >>> bool(flux[1] < flux[0] < 1.0)
    True
    """
    depth = optical_depth(
        wavelength,
        center,
        log_amplitude,
        log_sigma,
        log_gamma,
        profile=profile,
        transmission=transmission,
        wing_cut=wing_cut,
        method=method,
        offsets=offsets,
    )
    return np.exp(-depth) if isinstance(depth, np.ndarray) else (-depth).exp()


def optical_depth(
    wavelength,
    center,
    log_amplitude,
    log_sigma,
    log_gamma,
    *,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    method="auto",
    offsets=None,
):
    """Optical depth −ln(flux) of a list of absorption lines.

    Every line reaches every pixel unless `wing_cut` says otherwise; lines outside the
    pixels' range count as well.

    Parameters
    ----------
    wavelength : array-like or tensor of shape (n_pixels,)
        Pixel centres, Å, strictly increasing, evenly spaced or not.
    center : array-like or tensor of shape (n_lines,)
        Line centres, Å.
    log_amplitude : array-like or tensor of shape (n_lines,)
        Natural logarithm of each line's amplitude a: the area of a V(x), Å.
    log_sigma, log_gamma : array-like or tensor of shape (n_lines,)
        Natural logarithms of the Gaussian standard deviation and the Lorentzian half
        width at half maximum, both in Å.
    profile : {"pseudo-voigt", "voigt", "blase"}
        Shape V of unit area, see `skphx.lines.profile`.
    transmission : {"exponential", "product"}
        How lines combine. "exponential" adds optical depths, exp(−sum a V); "product"
        multiplies transmissions 1 − a V, each kept at or above 1e-9.
    wing_cut : int or None
        Number of pixels, in total, that each line reaches, half on each side of its
        centre; None for all. The pixels are those that blase takes, also near the ends.
    method : {"auto", "direct", "mesh"}
        "direct" adds every line at every pixel. "mesh" adds the smooth wings on coarse
        meshes: the same sum to below 1e-6 of its maximum, at a cost that grows
        with lines plus pixels and not with their product. "auto" picks the cheaper.
    offsets : array-like of shape (n_spectra + 1,) or None
        Several spectra in one call: lines ``offsets[k]:offsets[k + 1]`` are spectrum k's.

    Returns
    -------
    ndarray or tensor of shape (n_pixels,), or (n_spectra, n_pixels) with `offsets`
        Optical depth. A tensor if any line parameter is one, on its device, with
        gradients to all four line parameters. Its precision is that of `log_amplitude`,
        `log_sigma` and `log_gamma`; distances are always computed in float64.

    Raises
    ------
    ValueError
        If a shape, a name or an option is wrong.

    References
    ----------
    Gully-Santiago & Morley 2022, ApJ 941, 200.

    Examples
    --------
    >>> import numpy as np
    >>> from skphx.lines import optical_depth
    >>> wavelength = np.arange(5000.0, 5010.0, 0.01)
    >>> tau = optical_depth(wavelength, [5005.0], [np.log(0.1)], [-2.5], [-4.0])
    >>> round(float(tau.sum() * 0.01), 3)
    0.1
    >>> optical_depth(wavelength, [5005.0], [-1.0], [-2.5], [-4.0], profile="gauss")
    Traceback (most recent call last):
        ...
    ValueError: profile must be one of ('pseudo-voigt', 'voigt', 'blase'), got 'gauss'; ...
    """
    check_options(profile, transmission, wing_cut, method)
    wavelength = check_pixels(wavelength)
    parameters, dtype, from_numpy = check_lines(center, log_amplitude, log_sigma, log_gamma)
    rows = check_offsets(offsets, len(parameters[0]))
    if method == "auto":
        method = _choose_method(wavelength, rows, wing_cut)
    if method == "direct":
        depth = _direct(wavelength, parameters, rows, profile, transmission, wing_cut)
    else:
        depth = _fast(wavelength, parameters, rows, profile, transmission, wing_cut)
    if offsets is None:
        depth = depth[0]
    depth = depth.to(dtype)
    return depth.numpy() if from_numpy else depth


def render_jvp(
    wavelength,
    center,
    log_amplitude,
    log_sigma,
    log_gamma,
    tangents,
    *,
    profile="pseudo-voigt",
    transmission="exponential",
    wing_cut=None,
    method="auto",
    offsets=None,
):
    """Flux, and how it changes as all lines move along given directions.

    A Jacobian with respect to a handful of parameters of which all lines are functions,
    such as effective temperature or velocity, costs about two renderings a parameter.
    Tensors that carry forward-mode tangents (`torch.autograd.forward_ad`) may be given to
    `optical_depth` and `render_flux` just as well.

    Parameters
    ----------
    wavelength, center, log_amplitude, log_sigma, log_gamma
        Pixels and lines as in `optical_depth`.
    tangents : array-like or tensor of shape (n_directions, 4, n_lines)
        Derivatives of center (Å), log_amplitude, log_sigma and log_gamma, in this order,
        along each direction.
    profile, transmission, wing_cut, method, offsets
        Options as in `optical_depth`.

    Returns
    -------
    flux : ndarray or tensor of shape (n_pixels,), or (n_spectra, n_pixels) with `offsets`
        As from `render_flux`.
    derivative : ndarray or tensor of shape (n_directions, ...)
        Derivative of the flux along each direction.

    Raises
    ------
    ValueError
        If `tangents` has another shape, or as in `optical_depth`.

    Examples
    --------
    How flux answers a shift of its one line by 1 Å, and a line twice as strong.

    >>> import numpy as np
    >>> from skphx.lines import render_jvp
    >>> tangents = np.zeros((2, 4, 1))
    >>> tangents[0, 0], tangents[1, 1] = 1.0, np.log(2.0)
    >>> flux, slope = render_jvp([4999.9, 5000.0, 5000.1], [5000.0], [-2.0], [-2.5], [-3.0],
    ...                          tangents)
    >>> bool(slope[0, 0] > 0 > slope[0, 2]), bool((slope[1] < 0).all())
    (True, True)
    """
    import torch
    from torch.autograd import forward_ad

    lines, dtype, from_numpy = check_lines(center, log_amplitude, log_sigma, log_gamma)
    if not isinstance(tangents, torch.Tensor):
        tangents = torch.as_tensor(np.asarray(tangents, dtype=np.float64))
    tangents = tangents.detach().to(lines[0].detach())
    if tangents.ndim != 3 or tangents.shape[1:] != (4, len(lines[0])):
        raise ValueError(
            f"tangents must have shape (n_directions, 4, {len(lines[0])}), the changes of "
            f"center, log_amplitude, log_sigma and log_gamma of every line, got "
            f"{tuple(tangents.shape)}."
        )
    options = {
        "profile": profile,
        "transmission": transmission,
        "wing_cut": wing_cut,
        "method": method,
        "offsets": offsets,
    }
    lines = [value.detach() for value in lines]
    derivatives = []
    flux = None
    with warnings.catch_warnings():
        # torch loads its own scripted formulas when the first dual tensor is made.
        warnings.filterwarnings("ignore", "`torch.jit.script", DeprecationWarning)
        for tangent in tangents:
            with forward_ad.dual_level():
                moving = [
                    forward_ad.make_dual(value, change)
                    for value, change in zip(lines, tangent, strict=True)
                ]
                flux, change = forward_ad.unpack_dual(render_flux(wavelength, *moving, **options))
            derivatives.append(torch.zeros_like(flux) if change is None else change)
        if flux is None:
            flux = render_flux(wavelength, *lines, **options)
    derivative = torch.stack(derivatives) if derivatives else flux.new_zeros((0, *flux.shape))
    flux, derivative = flux.to(dtype), derivative.to(dtype)
    return (flux.numpy(), derivative.numpy()) if from_numpy else (flux, derivative)


def _choose_method(wavelength, offsets, wing_cut):
    """Small sums are done before a mesh is made."""
    pairs = int(np.diff(offsets).max(initial=0)) * len(wavelength)
    if len(wavelength) < 2 or pairs < _SMALL:
        return "direct"
    if wing_cut is not None:
        return "windows"
    return "mesh"


def _fast(wavelength, parameters, offsets, profile, transmission, wing_cut):
    """Sum by windows or by the mesh, one spectrum after the other."""
    import torch

    from skphx.lines._mesh import sum_lines, sum_windows

    if len(wavelength) < 2:
        raise ValueError(
            f"method='mesh' needs at least two pixels, got {len(wavelength)}; use 'direct'."
        )
    windows = wing_cut is not None and wing_cut < len(wavelength)
    rows = []
    for begin, end in pairwise(offsets.tolist()):
        lines = [value[begin:end] for value in parameters]
        if windows:
            rows.append(sum_windows(wavelength, *lines, profile, transmission, int(wing_cut)))
        else:
            rows.append(sum_lines(wavelength, *lines, profile, transmission))
    if not rows:
        return parameters[0].new_zeros((0, len(wavelength)))
    return torch.stack(rows)


def _direct(wavelength, parameters, offsets, profile, transmission, wing_cut):
    """Plain sum of all lines at all pixels: the reference of everything else."""
    import torch
    from torch.utils.checkpoint import checkpoint

    pixels = torch.as_tensor(wavelength, device=parameters[0].device)
    window = None
    if wing_cut is not None and wing_cut < len(wavelength):
        from skphx.lines._plan import window_starts

        start = window_starts(wavelength, parameters[0].detach().cpu().numpy(), int(wing_cut))
        steps = np.arange(int(wing_cut))
        steps[-1] += 1
        window = torch.as_tensor(start[:, None] + steps[None, :], device=pixels.device)

    def partial_sum(center, log_amplitude, log_sigma, log_gamma, index):
        at = pixels if index is None else pixels[index]
        depth = _line_depth(
            at - center[:, None],
            log_amplitude.exp()[:, None],
            log_sigma.exp()[:, None],
            log_gamma.exp()[:, None],
            profile,
            transmission,
        )
        if index is None:
            return depth.sum(0)
        return torch.zeros_like(pixels).index_add(0, index.reshape(-1), depth.reshape(-1))

    chunk = max(1, _CHUNK // max(1, len(wavelength) if window is None else int(wing_cut)))
    rows = []
    for begin, end in pairwise(offsets.tolist()):
        total = torch.zeros_like(pixels)
        for first in range(begin, end, chunk):
            part = slice(first, min(first + chunk, end))
            index = None if window is None else window[part]
            # Recomputing each chunk backwards keeps one chunk in memory, not all.
            total = total + checkpoint(
                partial_sum, *(value[part] for value in parameters), index, use_reentrant=False
            )
        rows.append(total)
    return torch.stack(rows) if rows else pixels.new_zeros((0, len(wavelength)))


def _line_depth(x, amplitude, sigma, gamma, profile, transmission):
    """Optical depth of single lines at distances x."""
    absorbed = amplitude * get_profile(profile)(x, sigma, gamma)
    if transmission == "exponential":
        return absorbed
    return -(-absorbed.clamp(0.0, MAX_DEPTH)).log1p()
