"""Observed spectra beside an emulator seen through their instrument: the sum to minimise."""

import numpy as np

from skphx.inference._emulation import emulate, emulate_with_jacobian
from skphx.observing._light_path import EFFECTS

# Effects that enter the model by their squares, see `LightPath`.
SQUARED = ("vsini", "macroturbulence")
# Part of the diagonal that keeps a chunk without any good pixel solvable.
_RIDGE = 1e-13
# Numbers of one block of spectra that are held at once.
_BLOCK_SIZE = 2_000_000


def to_internal(points, n_stellar):
    """Velocities of broadening as their squares; other columns as they are, a copy."""
    internal = np.array(points, dtype=np.float64)
    for name in SQUARED:
        column = n_stellar + EFFECTS.index(name)
        internal[..., column] **= 2
    return internal


def to_natural(points, n_stellar):
    """Inverse of `to_internal`."""
    natural = np.array(points, dtype=np.float64)
    for name in SQUARED:
        column = n_stellar + EFFECTS.index(name)
        natural[..., column] = np.sqrt(np.maximum(natural[..., column], 0.0))
    return natural


class ObservedSpectra:
    """Sums of squares of observed spectra that share pixels and instrument.

    The model of a pixel is ``observed(parameters) · continuum``. The continuum of each chunk is
    a polynomial whose coefficients are solved for at every point and marginalised in the
    derivatives (variable projection), so that no search ever sees them.

    Parameters of a point are the emulator's, then velocity, v sin i², ζ_RT² and resolution.

    Parameters
    ----------
    emulator : estimator
        Fitted.
    path : LightPath
        From its wavelengths to the pixels.
    flux, weights : ndarray of shape (n_spectra, n_pixels)
        Observed flux, and one over its variance; 0 where there is none.
    degree : int or None
        Degree of each chunk's continuum; None holds it at 1.
    free : sequence of str
        Effects to differentiate by.
    priors : ndarray of shape (n_spectra, n_parameters + 4, 2) or None
        Mean and standard deviation in the units of users: km/s, not squares.

    References
    ----------
    Golub & Pereyra (2003), "Separable nonlinear least squares: the variable projection method
    and its applications", Inverse Problems 19, R1; in the approximation of Kaufman.
    """

    def __init__(self, emulator, path, flux, weights, degree, free, priors):
        self.emulator = emulator
        self.path = path
        self.flux = np.where(weights > 0, flux, 0.0)
        self.weights = weights
        self.degree = degree
        self.free = tuple(free)
        self.priors = priors
        self.n_stellar = emulator.grid_.n_parameters
        self.n_parameters = self.n_stellar + len(EFFECTS)
        self.columns = np.concatenate(
            [
                np.arange(self.n_stellar),
                [self.n_stellar + EFFECTS.index(name) for name in self.free],
            ]
        ).astype(int)
        self._bases = [self._basis(where) for where in path.chunk_slices]

    @property
    def block(self):
        """Spectra to evaluate at once."""
        n_curves = 1 + self.n_stellar + len(self.free)
        n_samples = len(self.emulator.wavelength_) + 2 * self.path.n_pixels
        return max(1, _BLOCK_SIZE // (n_curves * n_samples))

    def _basis(self, where):
        """Legendre polynomials over the pixels of a chunk, shape (degree + 1, n_pixels)."""
        if self.degree is None:
            return None
        place = np.linspace(-1.0, 1.0, where.stop - where.start)
        return np.polynomial.legendre.legvander(place, self.degree).T

    def _effects(self, points):
        return to_natural(points, self.n_stellar)[:, self.n_stellar :]

    def spectrum(self, points):
        """Emulated spectra on the pixels, before their continuum, shape (n, n_pixels)."""
        flux = emulate(self.emulator, points[:, : self.n_stellar])
        return self.path.observe_with_derivatives(flux, None, self._effects(points), ())[0]

    def with_continuum(self, spectrum, rows):
        """Models with their best continuum.

        Parameters
        ----------
        spectrum : ndarray of shape (n, n_pixels)
            From `spectrum`.
        rows : ndarray of shape (n,), int
            Observed spectrum of each.

        Returns
        -------
        model, continuum : ndarray of shape (n, n_pixels)
            Flux of the model, and the polynomial in it.
        grams : list of ndarray of shape (n, degree + 1, degree + 1)
            Curvature of the sum of squares by each chunk's coefficients.
        """
        flux, weights = self.flux[rows], self.weights[rows]
        continuum = np.ones_like(spectrum)
        grams = []
        if self.degree is None:
            return spectrum.copy(), continuum, grams
        for where, basis in zip(self.path.chunk_slices, self._bases, strict=True):
            part, weight = spectrum[:, where], weights[:, where]
            gram = _gram(weight * part**2, basis)
            right = (weight * part * flux[:, where]) @ basis.T
            coefficients = np.linalg.solve(gram, right[..., None])[..., 0]
            continuum[:, where] = coefficients @ basis
            grams.append(gram)
        return spectrum * continuum, continuum, grams

    def log_posterior(self, points, rows, *, scale=1.0):
        """Logarithm of the posterior up to a constant, the continuum marginalised.

        Parameters
        ----------
        points : ndarray of shape (n, n_parameters)
            Points with squares.
        rows : ndarray of shape (n,), int
            Observed spectrum of each.
        scale : float
            Variance of the flux in units of the one that the weights say.

        Returns
        -------
        ndarray of shape (n,)
            Logarithm of the density.
        """
        log = np.empty(len(points))
        for start in range(0, len(points), self.block):
            part = slice(start, start + self.block)
            model, _, grams = self.with_continuum(self.spectrum(points[part]), rows[part])
            chi2 = (self.weights[rows[part]] * (model - self.flux[rows[part]]) ** 2).sum(axis=1)
            log[part] = -0.5 * chi2 / scale
            for gram in grams:
                log[part] -= 0.5 * np.linalg.slogdet(gram)[1]
        if self.priors is not None:
            mean, deviation = np.moveaxis(self.priors[rows], 2, 0)
            pulls = (to_natural(points, self.n_stellar) - mean) / deviation
            log -= 0.5 * np.nansum(pulls**2, axis=1)
        return log

    def derivatives(self, points, rows):
        """Models, residuals, and derivatives projected off the continuum.

        Returns
        -------
        model, residual : ndarray of shape (n, n_pixels)
            Model flux, and model minus observed flux.
        jacobian : ndarray of shape (n, n_columns, n_pixels)
            Derivatives of the model by `columns`, without what a change of the continuum could
            do as well.
        """
        flux, flux_jacobian = emulate_with_jacobian(self.emulator, points[:, : self.n_stellar])
        spectrum, jacobian = self.path.observe_with_derivatives(
            flux, flux_jacobian, self._effects(points), self.free
        )
        model, continuum, grams = self.with_continuum(spectrum, rows)
        jacobian *= continuum[:, None]
        weights = self.weights[rows]
        if self.degree is not None:
            for gram, where, basis in zip(grams, self.path.chunk_slices, self._bases, strict=True):
                part = jacobian[:, :, where]
                weighted = (weights[:, where] * spectrum[:, where])[:, None]
                mixed = (part * weighted) @ basis.T
                shares = np.linalg.solve(gram, np.swapaxes(mixed, 1, 2))
                part -= (np.swapaxes(shares, 1, 2) @ basis) * spectrum[:, None, where]
        return model, model - self.flux[rows], jacobian

    def evaluate(self, points, rows):
        """Cost, half gradient and half curvature, as :func:`refine` takes them."""
        n = len(points)
        cost = np.empty(n)
        gradient = np.zeros((n, self.n_parameters))
        curvature = np.zeros((n, self.n_parameters, self.n_parameters))
        for start in range(0, n, self.block):
            part = slice(start, start + self.block)
            _, residual, jacobian = self.derivatives(points[part], rows[part])
            weights = self.weights[rows[part]]
            cost[part] = (weights * residual**2).sum(axis=1)
            weighted = jacobian * weights[:, None]
            gradient[part, self.columns] = (weighted @ residual[..., None])[..., 0]
            inner = weighted @ np.swapaxes(jacobian, 1, 2)
            curvature[part, self.columns[:, None], self.columns] = inner
        return self._add_priors(cost, gradient, curvature, points, rows)

    def _add_priors(self, cost, gradient, curvature, points, rows):
        if self.priors is None:
            return cost, gradient, curvature
        natural = to_natural(points, self.n_stellar)
        slope = np.ones_like(natural)
        for name in SQUARED:
            column = self.n_stellar + EFFECTS.index(name)
            slope[:, column] = 0.5 / np.maximum(natural[:, column], 1e-3)
        extra = np.zeros_like(curvature)
        cost, pull, extra = add_priors(
            cost, np.zeros_like(gradient), extra, natural, self.priors, rows
        )
        gradient += pull * slope
        curvature += extra * slope[:, :, None] * slope[:, None, :]
        return cost, gradient, curvature


def _gram(weights, basis):
    """Weighted products of basis functions, shape (n, q, q)."""
    n_terms = len(basis)
    products = (basis[:, None] * basis).reshape(n_terms**2, -1)
    gram = (weights @ products.T).reshape(-1, n_terms, n_terms)
    trace = np.einsum("nii->n", gram)
    gram += (_RIDGE * trace + np.finfo(float).tiny)[:, None, None] * np.eye(n_terms)
    return gram


def add_priors(cost, gradient, curvature, points, priors, rows):
    """Add Gaussian priors to a sum of squares and its derivatives.

    Parameters
    ----------
    cost, gradient, curvature : ndarray
        As :func:`refine` takes them; changed in place.
    points : ndarray of shape (n, n_parameters)
        Where they were evaluated.
    priors : ndarray of shape (n_spectra, n_parameters, 2) or None
        Mean and standard deviation; NaN where there is none.
    rows : ndarray of shape (n,), int
        Spectrum of each point.

    Returns
    -------
    tuple of ndarray
        The three.
    """
    if priors is not None:
        mean, sd = np.moveaxis(priors[rows], 2, 0)
        known = np.isfinite(mean) & np.isfinite(sd)
        weight = np.where(known, 1.0 / np.where(known, sd, 1.0) ** 2, 0.0)
        away = np.where(known, points - mean, 0.0)
        cost += (weight * away**2).sum(axis=1)
        gradient += weight * away
        diagonal = np.arange(points.shape[1])
        curvature[:, diagonal, diagonal] += weight
    return cost, gradient, curvature
