"""Chi² and posterior of observed spectra, with continuum and priors."""

import numpy as np

from skphx._domain import KINEMATIC_PARAMETERS
from skphx.inference._emulation import emulate, emulate_with_jacobian

# Parameters that are fitted by their squares, see `ForwardModel`.
SQUARED = ("vsini", "macroturbulence")
# Part of the diagonal added to normal equations, which keeps a segment without any good pixel
# solvable.
_RIDGE = 1e-13
# Spectra are evaluated in blocks of at most so many numbers.
_BLOCK_SIZE = 2_000_000
# Least velocity, km/s, at which a prior is differentiated with respect to the velocity's square.
_LEAST_VELOCITY = 1e-3


def to_internal(points, n_stellar):
    """Return points with v sin i and macroturbulence replaced by their squares; a copy."""
    internal = np.array(points, dtype=np.float64)
    for column in _squared_columns(n_stellar):
        internal[..., column] **= 2
    return internal


def to_natural(points, n_stellar):
    """Return points with the squares replaced by v sin i and macroturbulence; a copy."""
    natural = np.array(points, dtype=np.float64)
    for column in _squared_columns(n_stellar):
        natural[..., column] = np.sqrt(np.maximum(natural[..., column], 0.0))
    return natural


def _squared_columns(n_stellar):
    return [n_stellar + KINEMATIC_PARAMETERS.index(name) for name in SQUARED]


class Likelihood:
    """Chi² and posterior of observed spectra that share pixels and instrument.

    The model of a pixel is ``observed(parameters) · continuum``. The continuum of each segment is
    a polynomial. Its coefficients are solved for at every point, and marginalised in the
    derivatives (variable projection), so they are not parameters of the minimisation.

    The parameters of a point are those of the emulator, then velocity, v sin i², ζ_RT² and
    resolution.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.
    forward : ForwardModel or ModelPixels
        Forward model from the emulator's wavelengths to the pixels.
    flux, weights : ndarray of shape (n_spectra, n_pixels)
        Observed flux, and inverse variance; 0 for pixels that are left out.
    degree : int or None
        Degree of each segment's continuum; None holds the continuum at 1.
    free : sequence of str
        Free kinematic and instrumental parameters.
    priors : ndarray of shape (n_spectra, n_parameters + 4, 2) or None
        Mean and standard deviation of the Gaussian priors, in km/s and not in squares.

    Attributes
    ----------
    columns : ndarray of shape (n_columns,), int
        Columns of the parameters that are free, in a point.
    bases : list of ndarray of shape (degree + 1, n_segment_pixels)
        Legendre polynomials on the pixels of each segment; empty if `degree` is None.

    References
    ----------
    Golub & Pereyra (2003), "Separable nonlinear least squares: the variable projection method
    and its applications", Inverse Problems 19, R1; in the approximation of Kaufman.
    """

    def __init__(self, emulator, forward, flux, weights, degree, free, priors):
        self.emulator = emulator
        self.forward = forward
        self.flux = np.where(weights > 0, flux, 0.0)
        self.weights = weights
        self.degree = degree
        self.free = tuple(free)
        self.priors = priors
        self.n_stellar = emulator.grid_.n_parameters
        self.n_parameters = self.n_stellar + len(KINEMATIC_PARAMETERS)
        kinematic = [self.n_stellar + KINEMATIC_PARAMETERS.index(name) for name in self.free]
        self.columns = np.array([*range(self.n_stellar), *kinematic], dtype=int)
        self.bases = []
        if degree is not None:
            for where in forward.segment_slices:
                x = np.linspace(-1.0, 1.0, where.stop - where.start)
                self.bases.append(np.polynomial.legendre.legvander(x, degree).T)

    @property
    def names(self):
        """Names of the free parameters: stellar ones, then kinematic and instrumental ones."""
        return (*self.emulator.grid_.parameter_names, *self.free)

    @property
    def block(self):
        """Number of spectra to evaluate at once."""
        n_curves = 1 + self.n_stellar + len(self.free)
        n_samples = len(self.emulator.wavelength_) + 2 * self.forward.n_pixels
        return max(1, _BLOCK_SIZE // (n_curves * n_samples))

    def kinematics(self, points):
        """Return velocity, v sin i, macroturbulence (km/s) and resolution, shape (n, 4)."""
        return to_natural(points, self.n_stellar)[:, self.n_stellar :]

    def spectrum(self, points):
        """Return model spectra on the pixels, without continuum, shape (n, n_pixels)."""
        flux = emulate(self.emulator, points[:, : self.n_stellar])
        return self.forward.observe_with_derivatives(flux, None, self.kinematics(points), ())[0]

    def with_continuum(self, spectrum, rows):
        """Return models with their best continuum.

        Parameters
        ----------
        spectrum : ndarray of shape (n, n_pixels)
            From `spectrum`.
        rows : ndarray of shape (n,), int
            Observed spectrum of each model.

        Returns
        -------
        model, continuum : ndarray of shape (n, n_pixels)
            Flux of the model, and the polynomial in it.
        grams : list of ndarray of shape (n, degree + 1, degree + 1)
            Half the second derivatives of chi² with respect to the coefficients of each segment.
        """
        flux, weights = self.flux[rows], self.weights[rows]
        continuum = np.ones_like(spectrum)
        grams: list[np.ndarray] = []
        if self.degree is None:
            return spectrum.copy(), continuum, grams
        for where, basis in zip(self.forward.segment_slices, self.bases, strict=True):
            part, weight = spectrum[:, where], weights[:, where]
            gram = weighted_gram(weight * part**2, basis)
            right = (weight * part * flux[:, where]) @ basis.T
            coefficients = np.linalg.solve(gram, right[..., None])[..., 0]
            continuum[:, where] = coefficients @ basis
            grams.append(gram)
        return spectrum * continuum, continuum, grams

    def chi2(self, residual, rows):
        """Return chi² of residuals.

        Parameters
        ----------
        residual : ndarray of shape (n, n_pixels)
            Model minus observed flux, or the opposite.
        rows : ndarray of shape (n,), int
            Observed spectrum of each.

        Returns
        -------
        ndarray of shape (n,)
            Sums of squares in units of the errors.
        """
        return (self.weights[rows] * residual**2).sum(axis=1)

    def whitened(self, values, rows):
        """Return vectors in units of the errors: residuals become independent numbers.

        Parameters
        ----------
        values : ndarray of shape (n, n_pixels) or (n, n_vectors, n_pixels)
            Vectors on the pixels.
        rows : ndarray of shape (n,), int
            Observed spectrum of each.

        Returns
        -------
        ndarray of the shape of `values`
            The vectors divided by the errors of the pixels; 0 for pixels that are left out.
        """
        return values * _for_vectors(np.sqrt(self.weights[rows]), values)

    def weighted(self, values, rows):
        """Return vectors multiplied by the inverse covariance of the pixels.

        Parameters
        ----------
        values, rows
            As in `whitened`.

        Returns
        -------
        ndarray of the shape of `values`
            The vectors divided by the variances of the pixels; 0 for pixels that are left out.
        """
        return values * _for_vectors(self.weights[rows], values)

    def log_normalisation(self, row):
        """Return the logarithm of the determinant of 2π times the covariance of the pixels.

        Parameters
        ----------
        row : int
            Number of a spectrum.

        Returns
        -------
        float
            Natural logarithm; pixels that are left out do not count.
        """
        weights = self.weights[row]
        return np.log(2.0 * np.pi * (1.0 / weights[weights > 0])).sum()

    def log_posterior(self, points, rows, *, scale=1.0):
        """Return the logarithm of the posterior up to a constant, marginalised over continua.

        Parameters
        ----------
        points : ndarray of shape (n, n_parameters)
            Points with squares.
        rows : ndarray of shape (n,), int
            Observed spectrum of each point.
        scale : float
            Factor of the variances of the flux.

        Returns
        -------
        ndarray of shape (n,)
            Logarithm of the density.
        """
        log = np.empty(len(points))
        for start in range(0, len(points), self.block):
            part = slice(start, start + self.block)
            model, _, grams = self.with_continuum(self.spectrum(points[part]), rows[part])
            log[part] = -0.5 * self.chi2(model - self.flux[rows[part]], rows[part]) / scale
            for gram in grams:
                log[part] -= 0.5 * np.linalg.slogdet(gram)[1]
        return log - 0.5 * self.prior_chi2(points, rows)

    def derivatives(self, points, rows):
        """Return models, residuals, and derivatives marginalised over continua.

        Parameters
        ----------
        points : ndarray of shape (n, n_parameters)
            Points with squares.
        rows : ndarray of shape (n,), int
            Observed spectrum of each point.

        Returns
        -------
        model, residual : ndarray of shape (n, n_pixels)
            Model flux, and model minus observed flux.
        jacobian : ndarray of shape (n, n_columns, n_pixels)
            Derivatives of the model with respect to `columns`, without the part that a change
            of the continuum can compensate.
        """
        flux, flux_jacobian = emulate_with_jacobian(self.emulator, points[:, : self.n_stellar])
        spectrum, jacobian = self.forward.observe_with_derivatives(
            flux, flux_jacobian, self.kinematics(points), self.free
        )
        model, continuum, grams = self.with_continuum(spectrum, rows)
        jacobian *= continuum[:, None]
        weights = self.weights[rows]
        if self.degree is not None:
            slices = self.forward.segment_slices
            for gram, where, basis in zip(grams, slices, self.bases, strict=True):
                part = jacobian[:, :, where]
                weighted = (weights[:, where] * spectrum[:, where])[:, None]
                mixed = (part * weighted) @ basis.T
                coefficients = np.linalg.solve(gram, np.swapaxes(mixed, 1, 2))
                part -= (np.swapaxes(coefficients, 1, 2) @ basis) * spectrum[:, None, where]
        return model, model - self.flux[rows], jacobian

    def evaluate(self, points, rows):
        """Return chi² without priors, half its gradient and half its second derivatives.

        They are what :func:`~skphx.inference._gauss_newton.gauss_newton` takes.
        """
        n = len(points)
        cost = np.empty(n)
        gradient = np.zeros((n, self.n_parameters))
        curvature = np.zeros((n, self.n_parameters, self.n_parameters))
        for start in range(0, n, self.block):
            part = slice(start, start + self.block)
            _, residual, jacobian = self.derivatives(points[part], rows[part])
            cost[part] = self.chi2(residual, rows[part])
            weighted = self.weighted(jacobian, rows[part])
            gradient[part, self.columns] = (weighted @ residual[..., None])[..., 0]
            inner = weighted @ np.swapaxes(jacobian, 1, 2)
            curvature[part, self.columns[:, None], self.columns] = inner
        return cost, gradient, curvature

    def evaluate_with_priors(self, points, rows, scales):
        """Return chi² with priors, as `evaluate` returns it without.

        Parameters
        ----------
        points : ndarray of shape (n, n_parameters)
            Points with squares.
        rows : ndarray of shape (n,), int
            Observed spectrum of each point.
        scales : ndarray of shape (n,)
            Factors of the variances of the flux; those of the priors stay as they are.

        Returns
        -------
        cost : ndarray of shape (n,)
            Chi² divided by the factors, plus that of the priors.
        gradient, curvature : ndarray of shape (n, n_parameters), (n, n_parameters, n_parameters)
            Half its derivatives.
        """
        cost, gradient, curvature = self.evaluate(points, rows)
        cost /= scales
        gradient /= scales[:, None]
        curvature /= scales[:, None, None]
        slopes, weights, offsets = self._prior_terms(points, rows)
        cost += (weights * offsets**2).sum(axis=1)
        gradient += weights * offsets * slopes
        return cost, gradient, curvature + self._diagonal(weights * slopes**2)

    def prior_chi2(self, points, rows):
        """Return the sum of squares of the Gaussian priors, in their deviations, shape (n,)."""
        if self.priors is None:
            return np.zeros(len(points))
        mean, deviation = np.moveaxis(self.priors[rows], 2, 0)
        offsets = (to_natural(points, self.n_stellar) - mean) / deviation
        return np.nansum(offsets**2, axis=1)

    def prior_curvature(self, points, rows):
        """Return half the second derivatives of the priors, (n, n_columns, n_columns)."""
        if self.priors is None:
            return np.zeros((len(points), len(self.columns), len(self.columns)))
        slopes, weights, _ = self._prior_terms(points, rows)
        return self._diagonal(weights * slopes**2)[:, self.columns[:, None], self.columns]

    def _prior_terms(self, points, rows):
        """Return slopes, inverse variances and offsets of the priors, (n, n_parameters) each.

        The slopes are derivatives of the parameters, as the priors have them, with respect to
        those of the points.
        """
        natural = to_natural(points, self.n_stellar)
        slopes = np.ones_like(natural)
        for column in _squared_columns(self.n_stellar):
            slopes[:, column] = 0.5 / np.maximum(natural[:, column], _LEAST_VELOCITY)
        mean, deviation = np.moveaxis(self.priors[rows], 2, 0)
        known = np.isfinite(mean) & np.isfinite(deviation)
        weights = np.where(known, 1.0 / np.where(known, deviation, 1.0) ** 2, 0.0)
        return slopes, weights, np.where(known, natural - mean, 0.0)

    def _diagonal(self, values):
        """Return diagonal matrices, (n, n_parameters, n_parameters)."""
        return values[:, :, None] * np.eye(self.n_parameters)


def _for_vectors(weights, values):
    """Return weights of shape (n, n_pixels) so that they multiply one or several vectors."""
    return weights if values.ndim == 2 else weights[:, None]


def ridge(trace):
    """Return what is added to the diagonal of normal equations of this trace."""
    return _RIDGE * trace + np.finfo(float).tiny


def weighted_gram(weights, basis):
    """Return weighted products of basis functions, slightly regularised, shape (n, q, q)."""
    n_terms = len(basis)
    products = (basis[:, None] * basis).reshape(n_terms**2, -1)
    gram = (weights @ products.T).reshape(-1, n_terms, n_terms)
    trace = np.einsum("nii->n", gram)
    gram += ridge(trace)[:, None, None] * np.eye(n_terms)
    return gram
