"""Sum every line of a spectrum: optical depth and flux, differentiable in all parameters."""

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from skphx.lines._engine.arguments import check_lines, check_offsets, check_options, check_pixels
from skphx.lines._engine.devices import fetch, is_tensor, namespace

# Below this many pairs in a spectrum the direct sum is the faster one.
_SMALL = 30_000


def render_flux(
    wavelength: ArrayLike,
    center: ArrayLike,
    log_area: ArrayLike,
    log_sigma: ArrayLike,
    log_gamma: ArrayLike,
    *,
    profile: str = "pseudo-voigt",
    transmission: str = "exponential",
    wing_cut: int | None = None,
    method: str = "auto",
    offsets: ArrayLike | None = None,
) -> Any:
    """Flux of a list of absorption lines over a continuum of 1.

    Parameters
    ----------
    wavelength, center, log_area, log_sigma, log_gamma
        Pixels and lines as in `optical_depth`.
    profile, transmission, wing_cut, method, offsets
        Options as in `optical_depth`.

    Returns
    -------
    ndarray or tensor of shape (n_pixels,), or (n_spectra, n_pixels) with `offsets`
        exp(−optical depth), dimensionless: an array from arrays, a tensor from tensors, as in
        `optical_depth`.

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
        log_area,
        log_sigma,
        log_gamma,
        profile=profile,
        transmission=transmission,
        wing_cut=wing_cut,
        method=method,
        offsets=offsets,
    )
    return namespace(depth).exp(-depth)


def optical_depth(
    wavelength: ArrayLike,
    center: ArrayLike,
    log_area: ArrayLike,
    log_sigma: ArrayLike,
    log_gamma: ArrayLike,
    *,
    profile: str = "pseudo-voigt",
    transmission: str = "exponential",
    wing_cut: int | None = None,
    method: str = "auto",
    offsets: ArrayLike | None = None,
) -> Any:
    """Optical depth −ln(flux) of a list of absorption lines.

    Every line reaches every pixel unless `wing_cut` says otherwise; lines outside the
    pixels' range count as well.

    Parameters
    ----------
    wavelength : array-like or tensor of shape (n_pixels,)
        Pixel centres, Å, strictly increasing, evenly spaced or not.
    center : array-like or tensor of shape (n_lines,)
        Line centres, Å.
    log_area : array-like or tensor of shape (n_lines,)
        Natural logarithm of each line's area a, the integral of its optical depth a V(x), Å.
    log_sigma, log_gamma : array-like or tensor of shape (n_lines,)
        Natural logarithms of the Gaussian standard deviation and the Lorentzian half
        width at half maximum, both in Å.
    profile : {"pseudo-voigt", "voigt", "blase"}
        Shape V of unit area, see `skphx.lines._engine.profile`.
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
        Optical depth. Arrays give an array. If any line parameter is a torch tensor, it is a
        tensor on the same device, which torch differentiates, once on the mesh, with respect
        to all four line parameters. Its precision is that of `log_area`, `log_sigma` and
        `log_gamma`; distances are always computed in float64.

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
    pixels = check_pixels(wavelength)
    lines, dtype = check_lines(center, log_area, log_sigma, log_gamma)
    rows = check_offsets(offsets, len(lines[0]))
    directly, wing_cut = _resolve(method, pixels, rows, wing_cut)
    sums = [
        _sum(directly, pixels, own, (profile, transmission, wing_cut))
        for own in _spectra(lines, rows)
    ]
    if offsets is None:
        return _cast(sums[0], dtype)
    depth = namespace(*lines).stack(sums) if sums else _zeros((0, len(pixels)), lines[0])
    return _cast(depth, dtype)


def render_jvp(
    wavelength,
    center,
    log_area,
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
    such as effective temperature or velocity, costs about one rendering and one more for each
    parameter. It needs no torch. Tensors that carry forward-mode tangents
    (`torch.autograd.forward_ad`) may be given to `optical_depth` and `render_flux` just as
    well.

    Parameters
    ----------
    wavelength, center, log_area, log_sigma, log_gamma
        Pixels and lines as in `optical_depth`.
    tangents : array-like or tensor of shape (n_directions, 4, n_lines)
        Derivatives of center (Å), log_area, log_sigma and log_gamma, in this order,
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
    >>> from skphx.lines._render import render_jvp
    >>> tangents = np.zeros((2, 4, 1))
    >>> tangents[0, 0], tangents[1, 1] = 1.0, np.log(2.0)
    >>> flux, slope = render_jvp([4999.9, 5000.0, 5000.1], [5000.0], [-2.0], [-2.5], [-3.0],
    ...                          tangents)
    >>> bool(slope[0, 0] > 0 > slope[0, 2]), bool((slope[1] < 0).all())
    (True, True)
    """
    check_options(profile, transmission, wing_cut, method)
    wavelength = check_pixels(wavelength)
    lines, dtype = check_lines(center, log_area, log_sigma, log_gamma)
    tangents = _check_tangents(tangents, lines)
    rows = check_offsets(offsets, len(lines[0]))
    directly, wing_cut = _resolve(method, wavelength, rows, wing_cut)
    given_tensors = is_tensor(lines[0])
    if given_tensors:
        from skphx.lines._engine.autograd import unwrap, wrap

        lines, tangents = [unwrap(value) for value in lines], unwrap(tangents)
    shape = len(rows) - 1, len(wavelength)
    depth, change = _zeros(shape, lines[0]), _zeros((len(tangents), *shape), lines[0])
    for row, (own, moves) in enumerate(
        zip(_spectra(lines, rows), _spectra(tangents, rows), strict=True)
    ):
        total = _make_sum(directly, wavelength, own, (profile, transmission, wing_cut))
        depth[row] = total.forward()
        for direction, changes in enumerate(moves):
            change[direction, row] = total.tangent(changes)
    if given_tensors:
        depth, change = wrap(depth), wrap(change)
    flux = namespace(depth).exp(-depth)
    derivative = -flux * change
    if offsets is None:
        flux, derivative = flux[0], derivative[:, 0]
    return _cast(flux, dtype), _cast(derivative, dtype)


def _check_tangents(tangents, lines):
    """Return the directions as what the lines are, in float64."""
    if is_tensor(lines[0]):
        if not is_tensor(tangents):
            tangents = namespace(*lines).tensor(np.asarray(tangents, dtype=np.float64))
        tangents = tangents.detach().to(lines[0].detach())
    else:
        tangents = np.asarray(fetch(tangents), dtype=np.float64)
    if tangents.ndim != 3 or tangents.shape[1:] != (4, len(lines[0])):
        raise ValueError(
            f"tangents must have shape (n_directions, 4, {len(lines[0])}), the changes of "
            f"center, log_area, log_sigma and log_gamma of every line, got "
            f"{tuple(tangents.shape)}."
        )
    return tangents


def _spectra(values, rows):
    """Yield the lines of each spectrum: parts of the last axis."""
    for begin, end in pairwise(rows.tolist()):
        yield [value[..., begin:end] for value in values]


def _resolve(method, wavelength, rows, wing_cut):
    """Return whether to sum directly, and the cut; small sums are done before a mesh is made."""
    if wing_cut is not None:
        wing_cut = int(wing_cut) if wing_cut < len(wavelength) else None
    if method == "auto":
        pairs = int(np.diff(rows).max(initial=0)) * len(wavelength)
        method = "direct" if len(wavelength) < 2 or pairs < _SMALL else "mesh"
    if method == "mesh" and len(wavelength) < 2:
        raise ValueError(
            f"method='mesh' needs at least two pixels, got {len(wavelength)}; use 'direct'."
        )
    return method == "direct", wing_cut


def _sum(directly, wavelength, lines, options):
    """Optical depth of one spectrum, in torch's graph if the lines are."""
    if not is_tensor(lines[0]):
        return _make_sum(directly, wavelength, lines, options).forward()
    from skphx.lines._engine import autograd

    function = autograd.sum_directly if directly else autograd.sum_lines
    return function(wavelength, lines, options)


def _make_sum(directly, wavelength, lines, options):
    """Return what sums the lines of one spectrum: arrays, or tensors outside any graph."""
    if not directly:
        from skphx.lines._engine.mesh import LineSum

        return LineSum(wavelength, lines, *options)
    if is_tensor(lines[0]):
        from skphx.lines._engine.autograd import TensorDirectSum

        return TensorDirectSum(wavelength, lines, *options)
    from skphx.lines._engine.direct import DirectSum

    return DirectSum(wavelength, lines, *options)


def _zeros(shape, like):
    """Return zeros as an array, or as a tensor beside one."""
    return like.new_zeros(shape) if is_tensor(like) else np.zeros(shape)


def _cast(values, dtype):
    """Return values in another precision."""
    return values.to(dtype) if is_tensor(values) else values.astype(dtype, copy=False)
