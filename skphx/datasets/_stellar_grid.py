"""make_stellar_grid: generate a grid of stellar spectra."""

from itertools import product
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import voigt_profile
from sklearn.utils import Bunch, check_random_state, check_scalar

from skphx._domain import (
    FLUX_UNIT,
    PARAMETER_UNITS,
    STELLAR_PARAMETERS,
    blackbody_flux,
    check_medium,
    check_wavelength,
)
from skphx._input_parameters import parameter_value, plain_parameters
from skphx.datasets._line_physics import (
    SPECIES,
    gaussian_sigma,
    log_strength,
    lorentzian_gamma,
)
from skphx.datasets._medium import Medium

# Species of the lines; the sequence is repeated every 20 lines.
_MIXTURE = (
    *("neutral metal", "molecule", "ionised metal", "neutral metal", "strong ionised"),
    *("neutral metal", "molecule", "neutral metal", "hydrogen", "ionised metal"),
    *("neutral metal", "molecule", "neutral metal", "ionised metal", "strong neutral"),
    *("neutral metal", "molecule", "neutral metal", "molecule", "neutral metal"),
)

# Smallest mean distance of broad lines in Å: with more of them there would be no continuum.
_BROAD_SPACING = {"hydrogen": 90.0, "strong neutral": 60.0, "strong ionised": 60.0}

# Teff, log g and [Fe/H] of a star whose lines have a wider Gaussian part than those of any grid.
_WIDEST_STAR = np.array([[12000.0], [1.0], [0.0]])

# One line in six has a close neighbour.
_BLENDED_FRACTION = 1.0 / 6.0

_DESCR = """Generated grid of stellar spectra
=================================

{n_spectra} spectra of {n_pixels} pixels, {low:.6g} to {high:.6g} Å ({medium}), {n_lines} lines.

Each spectrum is pi B_lambda(Teff) times a smooth slope of the continuum times exp(-tau). The
optical depth tau is a sum of Voigt profiles: lines of neutral and ionised metals, hydrogen and
molecules. Strengths follow excitation and ionisation (Boltzmann and Saha), the electron
pressure and the abundance; widths follow temperature, turbulence and pressure. Everything is
smooth in Teff, log g and [Fe/H]. The grid is for tests: the lines are random, and do not
correspond to real elements.

Flux is in erg s-1 cm-2 cm-1, as in PHOENIX.
"""


def make_stellar_grid(
    *,
    teff: ArrayLike = (4000.0, 4500.0, 5000.0, 5500.0, 6000.0),
    logg: ArrayLike = (3.5, 4.0, 4.5),
    feh: ArrayLike = (-0.5, 0.0, 0.5),
    parameters: ArrayLike | None = None,
    wavelength: ArrayLike = (8450.0, 8650.0),
    n_pixels: int = 4000,
    n_lines: int = 60,
    broadening: float = 4.0,
    noise: float = 0.0,
    medium: Medium = "vacuum",
    random_state: int | np.random.RandomState | None = 0,
    return_lines: bool = False,
) -> Bunch:
    r"""Generate a grid of spectra that are similar to those of stars.

    .. math:: F_\lambda = \pi B_\lambda(T_{\rm eff}) \, s(\lambda, T_{\rm eff}) \,
              \exp\Big(-\sum_i a_i V(\lambda - \lambda_i; \sigma_i, \gamma_i)\Big)

    with the slope :math:`s` of the continuum, and for each line an area :math:`a_i` and a Voigt
    profile :math:`V` of unit area, which change smoothly with Teff, log g and [Fe/H]. Lines of
    neutral metals become weaker with Teff, those of ions stronger, and weaker with log g. Hot
    stars have no molecules, and broad hydrogen lines. Strong lines saturate, and some lines are
    blended.

    Parameters
    ----------
    teff, logg, feh : array-like
        Values of the grid in K, dex(cm s⁻²) and dex. The grid is their product, in which Teff
        changes most slowly. Teff should be from 2300 to 12000 K.
    parameters : array-like of shape (n_spectra, 3) or None
        Teff, log g and [Fe/H] of each spectrum, instead of the product of values: for test
        spectra between the nodes.
    wavelength : tuple (start, stop) or array-like or Quantity of shape (n_pixels,)
        Pixel centres in Å.
    n_pixels : int
        Number of pixels if `wavelength` is a tuple; else not used.
    n_lines : int
        Number of lines in the range; 0 gives spectra without lines.
    broadening : float
        Standard deviation in km/s of a Gaussian for macroturbulence, rotation and instrument;
        4 is a resolving power of about 32,000.
    noise : float
        Standard deviation of white noise, relative to the continuum: 0.01 is S/N = 100.
    medium : {"vacuum", "air"}
        Medium of the wavelengths, also of the line centres.
    random_state : int, RandomState instance or None
        Seed of line list and noise. The lines depend only on the seed, the wavelength range and
        `n_lines`, not on parameters, pixels and noise.
    return_lines : bool
        Whether to add the true lines and continua.

    Returns
    -------
    Bunch
        Grid with `spectra` of shape (n_spectra, n_pixels) in erg s⁻¹ cm⁻² cm⁻¹, `parameters` of
        shape (n_spectra, 3), `parameter_names`, `wavelength` of shape (n_pixels,) in Å,
        `medium`, `units` and `DESCR`. With ``return_lines=True`` also `continuum`
        of shape (n_spectra, n_pixels), the flux without lines, and `lines`, a Bunch with
        `center` (Å), `species` and `excitation` (eV) of shape (n_lines,), sorted by centre,
        and `area`, `sigma`, `gamma` (Å) of shape (n_spectra, n_lines).

    Raises
    ------
    ValueError
        If an argument is not valid.

    References
    ----------
    Gray, D. F. (2005), The Observation and Analysis of Stellar Photospheres, 3rd edition,
    chapters 8, 9, 11 and 13.

    Examples
    --------
    >>> from skphx.datasets import make_stellar_grid
    >>> grid = make_stellar_grid(teff=(4000, 5000, 6000), logg=(4.0, 4.5), feh=(-0.5, 0.0))
    >>> grid.spectra.shape, grid.parameters.shape
    ((12, 4000), (12, 3))
    >>> held_out = make_stellar_grid(parameters=[[4700, 4.2, -0.3]], noise=0.01)
    >>> held_out.spectra.shape
    (1, 4000)
    """
    parameters = _check_parameters(parameters, teff, logg, feh)
    n_expected = None
    if isinstance(wavelength, tuple) and len(wavelength) == 2:
        n_expected = check_scalar(n_pixels, "n_pixels", Integral, min_val=2)
    elif wavelength is None:
        raise ValueError("wavelength must be (start, stop) or the pixel centres in Å, got None.")
    wavelength = check_wavelength(wavelength, n_expected)
    if len(wavelength) < 2:
        raise ValueError(f"wavelength must have at least 2 pixels, got {len(wavelength)}.")
    check_scalar(n_lines, "n_lines", Integral, min_val=0)
    check_scalar(broadening, "broadening", Real, min_val=0)
    check_scalar(noise, "noise", Real, min_val=0)
    check_medium(medium, required=True)
    # Two seeds, so that the lines do not depend on noise and number of spectra.
    line_seed, noise_seed = check_random_state(random_state).randint(2**31 - 1, size=2)

    lines = _draw_lines(wavelength[0], wavelength[-1], n_lines, np.random.RandomState(line_seed))
    lines.update(_line_shapes(lines, parameters, broadening))
    continuum = _continuum(wavelength, parameters)
    spectra = continuum * np.exp(-_optical_depth(wavelength, lines))
    if noise > 0:
        deviates = np.random.RandomState(noise_seed).standard_normal(spectra.shape)
        spectra += noise * continuum * deviates
    grid = Bunch(
        spectra=spectra,
        parameters=parameters,
        parameter_names=tuple(PARAMETER_UNITS),
        wavelength=wavelength,
        medium=medium,
        units={"wavelength": "Angstrom", "spectra": FLUX_UNIT, **PARAMETER_UNITS},
        DESCR=_DESCR.format(
            n_spectra=len(spectra),
            n_pixels=len(wavelength),
            low=wavelength[0],
            high=wavelength[-1],
            medium=medium,
            n_lines=n_lines,
        ),
    )
    if return_lines:
        grid.update(lines=lines, continuum=continuum)
    return grid


def _check_parameters(parameters, teff, logg, feh):
    """Parameters (n_spectra, 3): the given ones, or the product of the values."""
    if parameters is None:
        nodes = []
        for name, values in zip(STELLAR_PARAMETERS, (teff, logg, feh), strict=True):
            values = np.asarray(parameter_value(values, name), dtype=np.float64)
            values = np.atleast_1d(values)
            if values.ndim != 1 or not len(values):
                raise ValueError(
                    f"{name} must be the values of the grid, one-dimensional and not empty, got "
                    f"shape {values.shape}."
                )
            if len(np.unique(values)) != len(values):
                raise ValueError(f"{name} must hold each value once, got {values.tolist()}.")
            nodes.append(values)
        parameters = list(product(*nodes))
    parameters = plain_parameters(parameters, STELLAR_PARAMETERS, "parameters")
    parameters = np.array(parameters, dtype=np.float64)
    if parameters.ndim != 2 or parameters.shape[1] != 3 or not len(parameters):
        raise ValueError(
            f"parameters must have a row (teff, logg, feh) for each spectrum, shape "
            f"(n_spectra, 3), got shape {parameters.shape}."
        )
    if not np.isfinite(parameters).all():
        raise ValueError("parameters must be finite, got NaN or infinity; remove these rows.")
    if (parameters[:, 0] <= 0).any():
        raise ValueError(f"teff must be positive, in K, got {parameters[:, 0].min()}.")
    return parameters


def _draw_lines(low, high, n_lines, random):
    """Line list sorted by centre: the properties that do not depend on the star."""
    kinds = []
    counts = dict.fromkeys(_BROAD_SPACING, 0)
    for i in range(n_lines):
        kind = _MIXTURE[i % len(_MIXTURE)]
        if kind in counts:
            if counts[kind] >= max(1, (high - low) / _BROAD_SPACING[kind]):
                kind = "neutral metal"
            else:
                counts[kind] += 1
        kinds.append(kind)
    center = random.uniform(low, high, n_lines)
    # A line at a distance of 3 to 18 km/s (1 to 6 parts in 100,000) is within one or two widths.
    n_blended = int(_BLENDED_FRACTION * n_lines)
    if n_blended:
        chosen = random.permutation(n_lines)
        first, second = chosen[:n_blended], chosen[n_blended : 2 * n_blended]
        offset = random.uniform(1e-5, 6e-5, n_blended) * random.choice([-1.0, 1.0], n_blended)
        center[second] = np.clip(center[first] * (1.0 + offset), low, high)
    # The same number of draws for each line, so that lines do not depend on the species of others.
    unit = random.uniform(size=(3, n_lines))
    excitation, depth, scatter = np.empty((3, n_lines))
    for name, species in SPECIES.items():
        rows = np.flatnonzero([kind == name for kind in kinds])
        excitation[rows] = np.interp(unit[0, rows], [0, 1], species.excitation)
        depth[rows] = np.interp(unit[1, rows], [0, 1], species.log_strength)
        scatter[rows] = 0.0 if species.stage == "hydrogen" else unit[2, rows] * 0.6 - 0.3
    order = np.argsort(center, kind="stable")
    return Bunch(
        center=center[order],
        species=np.array(kinds, dtype="<U14")[order],
        excitation=excitation[order],
        reference_depth=depth[order],
        scatter=scatter[order],
    )


def _line_shapes(lines, parameters, broadening):
    """Area, sigma and gamma (n_spectra, n_lines) in Å."""
    area, sigma, gamma = np.zeros((3, len(parameters), len(lines.center)))
    reach = np.zeros(len(lines.center))
    for name, species in SPECIES.items():
        rows = np.flatnonzero(lines.species == name)
        center, scatter = lines.center[rows], lines.scatter[rows]
        reference = np.array([species.reference]).T

        def strength_and_shape(teff, logg, feh, rows=rows, species=species,
                               center=center, scatter=scatter):  # fmt: skip
            return (
                log_strength(species, lines.excitation[rows], teff, logg, feh),
                gaussian_sigma(species, center, teff, logg, broadening),
                lorentzian_gamma(species, center, scatter, teff, logg, feh),
            )

        strength, sigma[:, rows], gamma[:, rows] = strength_and_shape(*parameters.T)
        # The same for all sets of spectra, so that a spectrum does not depend on the others.
        reach[rows] = 60.0 * strength_and_shape(*_WIDEST_STAR)[1][0]
        at_reference = strength_and_shape(*reference)
        # The area for which the reference star has the drawn optical depth at line centre.
        area_there = 10.0 ** lines.reference_depth[rows] / voigt_profile(0.0, *at_reference[1:])
        area[:, rows] = area_there * 10.0 ** (strength - at_reference[0])
    return {"area": area, "sigma": sigma, "gamma": gamma, "reach": reach}


def _continuum(wavelength, parameters):
    """Flux without lines (n_spectra, n_pixels)."""
    teff = parameters[:, :1]
    middle = 0.5 * (wavelength[0] + wavelength[-1])
    u = wavelength / middle - 1.0
    warmth = np.tanh((teff - 5500.0) / 2000.0)
    slope = np.exp(1.2 * warmth * u - (0.5 - 0.8 * warmth) * u**2 + 1.5 * warmth * u**3)
    return blackbody_flux(wavelength, teff) * slope * (0.96 + 0.03 * warmth)


def _optical_depth(wavelength, lines):
    """Sum of all lines' area times Voigt profile (n_spectra, n_pixels)."""
    depth = np.zeros((len(lines.area), len(wavelength)))
    for i, center in enumerate(lines.center):
        offset = wavelength - center
        sigma, gamma = lines.sigma[:, i, np.newaxis], lines.gamma[:, i, np.newaxis]
        # Exact within the reach of 60 sigma. Beyond it two terms of the expansion in sigma are
        # precise to 1e-6 of the weak wing, and ten times faster.
        start, stop = np.searchsorted(offset, [-lines.reach[i], lines.reach[i]])
        profile = np.empty_like(depth)
        profile[:, start:stop] = voigt_profile(offset[start:stop], sigma, gamma)
        for far in (slice(start), slice(stop, None)):
            square = offset[far] ** 2
            total = square + gamma**2
            profile[:, far] = gamma / np.pi / total
            profile[:, far] *= 1.0 + sigma**2 * (3.0 * square - gamma**2) / total**2
        depth += lines.area[:, i, np.newaxis] * profile
    return depth
