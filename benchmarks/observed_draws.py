"""Observed spectra for tests of inference, made by plain sums: no code of the package in them."""

import numpy as np
from scipy.interpolate import CubicSpline

SPEED_OF_LIGHT = 299792.458  # km/s
LIMB_DARKENING = 0.6
_STEP = 0.25  # km/s


def observe_directly(wavelength, flux, pixels, *, velocity, vsini, resolution):
    """Rotate, blur, move and bin a spectrum by direct convolution in velocity.

    Parameters
    ----------
    wavelength, flux : ndarray of shape (n_samples,)
        Model at rest, Å and continuum 1.
    pixels : ndarray of shape (n_pixels,)
        Evenly spaced pixel centres, Å.
    velocity, vsini : float
        km/s.
    resolution : float
        λ/FWHM.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Mean flux of the pixels.
    """
    logs = np.arange(np.log(wavelength[0]), np.log(wavelength[-1]), _STEP / SPEED_OF_LIGHT)
    depth = CubicSpline(wavelength, 1.0 - flux)(np.exp(logs))
    if vsini > _STEP:
        reach = np.arange(-np.ceil(vsini / _STEP), np.ceil(vsini / _STEP) + 1) * _STEP
        # The kernel's mean over each step, by its integral: slow rotation is a few steps wide.
        edges = np.clip(np.append(reach - _STEP / 2, reach[-1] + _STEP / 2) / vsini, -1, 1)
        half_disc = edges * np.sqrt(1 - edges**2) + np.arcsin(edges)
        parabola = edges - edges**3 / 3
        integral = (1 - LIMB_DARKENING) * half_disc + np.pi / 2 * LIMB_DARKENING * parabola
        depth = _convolve(depth, np.diff(integral))
    sigma = SPEED_OF_LIGHT / resolution / np.sqrt(8 * np.log(2))
    reach = np.arange(-np.ceil(6 * sigma / _STEP), np.ceil(6 * sigma / _STEP) + 1) * _STEP
    depth = _convolve(depth, np.exp(-0.5 * (reach / sigma) ** 2))
    beta = velocity / SPEED_OF_LIGHT
    moved = np.exp(logs) * np.sqrt((1 + beta) / (1 - beta))
    step = pixels[1] - pixels[0]
    edges = np.append(pixels - step / 2, pixels[-1] + step / 2)
    return 1.0 - np.diff(CubicSpline(moved, depth).antiderivative()(edges)) / step


def _convolve(depth, kernel):
    return np.convolve(depth, kernel / kernel.sum(), "same")


def draw_observed(
    wavelength, spectra, parameters, n_draws, *, resolution, step, snr, medium, random_state
):
    """Draw noisy observations of model spectra.

    Parameters
    ----------
    wavelength : ndarray of shape (n_samples,)
        Of the models, Å.
    spectra, parameters : ndarray of shape (n_spectra, ...)
        Models; each is drawn about equally often.
    n_draws : int
        Observations.
    resolution, step, snr : float
        λ/FWHM, width of a pixel in Å, and continuum over noise of a pixel.
    medium : str
        Of the wavelengths.
    random_state : int
        Seed.

    Returns
    -------
    stars : list of dict
        As `StellarParameterEstimator.infer` takes them.
    truth : ndarray of shape (n_draws, n_parameters + 2)
        Parameters, velocity and v sin i.
    """
    random = np.random.default_rng(random_state)
    # 232 Å, so that 0.1 Å make 2,320 pixels, and 60 km/s have room on either side.
    pixels = np.arange(wavelength[0] + 14.0, wavelength[0] + 246.0 - step / 2, step)
    place = np.linspace(-1.0, 1.0, len(pixels))
    stars, truth = [], []
    for draw in range(n_draws):
        row = draw % len(spectra)
        velocity, vsini = random.uniform(-50.0, 50.0), random.uniform(0.0, 20.0)
        flux = observe_directly(
            wavelength, spectra[row], pixels, velocity=velocity, vsini=vsini, resolution=resolution
        )
        continuum = 1.0 + random.uniform(-0.1, 0.1) * place
        continuum += random.uniform(-0.05, 0.05) * place**2
        noise = random.normal(size=len(pixels)) / snr
        stars.append(
            {
                "wavelength": pixels,
                "flux": flux * continuum + noise,
                "sigma": np.full(len(pixels), 1.0 / snr),
                "medium": medium,
                "resolution": resolution,
            }
        )
        truth.append([*parameters[row], velocity, vsini])
    return stars, np.array(truth)
