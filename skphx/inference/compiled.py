"""An emulator compiled for one instrument: a small table, for millions of spectra."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from skphx._validation import check_wavelength
from skphx.grids import make_grid
from skphx.inference._emulation import emulate
from skphx.inference.emulator_error import emulator_error
from skphx.inference.surrogate import principal_components
from skphx.observing import LightPath, ObservedSpectrum
from skphx.observing._kernels import SPEED_OF_LIGHT, variance_of_resolution

# Samples emulated at once.
_BLOCK = 64
# Standard deviations of the line-spread function by which the ends are cut.
_REACH = 6.0
# Values of a parameter that a grid gives few or too many nodes of.
_MOST_VALUES = 40
_VALUES_OF_CLOUD = 13


class CompiledEmulator(RegressorMixin, BaseEstimator):
    """Spectra as few principal components, whose coefficients are interpolated.

    Made by :func:`compile_emulator`. It is an emulator like any other, with fewer pixels, at the
    resolution of an instrument, and faster.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Samples in Å.
    mean : ndarray of shape (n_pixels,)
        Mean flux.
    components : ndarray of shape (n_components, n_pixels)
        Principal components of the flux.
    nodes : ndarray of shape (n_nodes, n_parameters)
        Where the coefficients are known.
    coefficients : ndarray of shape (n_nodes, n_components)
        Of the components.
    parameter_names : tuple of str
        Columns of `nodes`.
    medium : {"air", "vacuum"} or None
        Of the wavelengths.
    resolution : float or None
        λ/FWHM that the spectra have; None is the model's own.
    error : EmulatorError or None
        Of the original emulator, seen at the resolution.
    compile_rms : float or None
        Rms difference of flux from the original, measured at random points.
    compile_max : float or None
        Largest such difference.

    Attributes
    ----------
    grid_ : RectilinearGrid or other
        The nodes, interpolated by cubics.
    wavelength_ : ndarray of shape (n_pixels,)
        As given, in Å.
    error_ : EmulatorError or None
        As given.
    resolution_ : float or None
        As given.
    """

    def __init__(
        self,
        wavelength,
        mean,
        components,
        nodes,
        coefficients,
        parameter_names=None,
        *,
        medium=None,
        resolution=None,
        error=None,
        compile_rms=None,
        compile_max=None,
    ):
        self.wavelength = wavelength
        self.mean = mean
        self.components = components
        self.nodes = nodes
        self.coefficients = coefficients
        self.parameter_names = parameter_names
        self.medium = medium
        self.resolution = resolution
        self.error = error
        self.compile_rms = compile_rms
        self.compile_max = compile_max

    def fit(self, X=None, y=None):
        """Lay the grid over the nodes; nothing is learned from X and y.

        Parameters
        ----------
        X, y : None
            Ignored.

        Returns
        -------
        self : CompiledEmulator
            Ready to predict.
        """
        self.wavelength_ = check_wavelength(self.wavelength, len(self.mean))
        self.grid_ = make_grid(
            self.nodes, parameter_names=self.parameter_names, interpolation="cubic"
        )
        self.error_ = self.error
        self.resolution_ = self.resolution
        self.n_features_in_ = self.grid_.n_parameters
        return self

    def _points(self, X):
        check_is_fitted(self)
        return self.grid_.resolve_outside(validate_data(self, X, dtype=np.float64, reset=False))

    def predict(self, X):
        """Emulate spectra.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters within the box.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            Normalised flux at `resolution`.

        Raises
        ------
        ValueError
            If a point lies outside the box.
        """
        weights = self.grid_.weights(self._points(X))
        return self.mean + (weights @ self.coefficients) @ self.components

    def jacobian(self, X):
        """Differentiate the spectra by the parameters.

        Parameters
        ----------
        X : array-like of shape (n_spectra, n_parameters)
            Stellar parameters within the box.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels, n_parameters)
            ∂flux/∂parameter.

        Raises
        ------
        ValueError
            If a point lies outside the box.
        """
        slopes = [
            (weights @ self.coefficients) @ self.components
            for weights in self.grid_.weights_jacobian(self._points(X))
        ]
        return np.stack(slopes, axis=2)

    def normalize(self, spectra, parameters):
        """Return spectra as they are: compiled emulators take normalised ones.

        Parameters
        ----------
        spectra : array-like of shape (n_spectra, n_pixels)
            Normalised flux.
        parameters : array-like of shape (n_spectra, n_parameters)
            Not looked at.

        Returns
        -------
        ndarray of shape (n_spectra, n_pixels)
            The spectra.
        """
        return np.asarray(spectra)


def compile_emulator(
    emulator,
    *,
    resolution=None,
    wavelength=None,
    bounds=None,
    n_between=1,
    tolerance=1e-4,
    n_tests=64,
    random_state=0,
    error=None,
):
    """Compile an emulator for one instrument and a box of parameters.

    The emulator is sampled on a lattice finer than its nodes, seen at the instrument's
    resolution on steps of a third of its line-spread function, and compressed to principal
    components. What is left to do for a star, velocity, rotation and pixels, is then done on a
    few thousand samples.

    Parameters
    ----------
    emulator : estimator
        Fitted.
    resolution : float or None
        λ/FWHM of the instrument's Gaussian line-spread function; None keeps the model's.
    wavelength : tuple (low, high) or None
        Range in Å, in the emulator's medium, that spectra need: their pixels, and on either
        side room for velocity and rotation. None is all of it.
    bounds : array-like of shape (n_parameters, 2) or None
        Box of parameters; NaN and None are the grid's ends.
    n_between : int
        Points of the lattice between two nodes of the grid on each axis.
    tolerance : float
        Rms of flux that the components may leave out, at the worst point of the lattice.
    n_tests : int
        Random points at which the error is measured.
    random_state : int
        Seed of these points.
    error : EmulatorError or None
        How the emulator errs; None finds it out.

    Returns
    -------
    CompiledEmulator
        Fitted; ``compile_rms`` and ``compile_max`` state its error.

    Raises
    ------
    ValueError
        If the box or the range lies outside the emulator's.

    Examples
    --------
    >>> from skphx import LineManifoldRegressor, VoigtCloner
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.inference import compile_emulator
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10)
    >>> spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    >>> emulator = LineManifoldRegressor(VoigtCloner(wavelength=grid.wavelength, n_epochs=10))
    >>> compiled = compile_emulator(emulator.fit(grid.parameters, spectra))
    >>> compiled.compile_rms < 1e-3
    True
    """
    from skphx.inference.boxes import resolve_boxes

    grid = emulator.grid_
    box = resolve_boxes(
        bounds, None, 1, grid_bounds=grid.bounds, parameter_names=grid.parameter_names
    )[0]
    axes = [
        _lattice_axis(axis, *limits, n_between)
        for axis, limits in zip(grid.axes, box, strict=True)
    ]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    if error is None:
        error = emulator_error(emulator)
    if wavelength is not None and hasattr(emulator, "select"):
        margin = 1.0 + 20.0 / min(resolution or np.inf, 1e6)
        low, high = wavelength[0] / margin, wavelength[1] * margin
        if error is not None:
            inside = (emulator.wavelength_ >= low) & (emulator.wavelength_ <= high)
            error = error.with_spectra(error.spectra[:, inside])
        emulator = emulator.select(wavelength=(low, high))
    see = _Blur(emulator.wavelength_, resolution, wavelength)

    def blurred(points):
        return np.concatenate(
            [
                see(emulate(emulator, points[start : start + _BLOCK]))
                for start in range(0, len(points), _BLOCK)
            ]
        )

    spectra = blurred(nodes)
    mean, components = principal_components(spectra, tolerance)
    coefficients = (spectra - mean) @ components.T
    compiled = CompiledEmulator(
        see.wavelength,
        mean,
        components,
        nodes,
        coefficients,
        grid.parameter_names,
        medium=getattr(emulator, "medium", None),
        resolution=resolution,
        error=None if error is None else error.with_spectra(see(error.spectra)),
    ).fit()
    random = np.random.RandomState(random_state)
    points = box[:, 0] + random.uniform(size=(n_tests, len(box))) * (box[:, 1] - box[:, 0])
    points = compiled.grid_.resolve_outside(points, "clip")
    difference = compiled.predict(points) - blurred(points)
    return compiled.set_params(
        compile_rms=float(np.sqrt(np.mean(difference**2))),
        compile_max=float(np.abs(difference).max()),
    ).fit()


class _Blur:
    """Spectra at a resolution, on the steps that it needs."""

    def __init__(self, wavelength, resolution, limits):
        low, high = (wavelength[0], wavelength[-1]) if limits is None else limits
        if low < wavelength[0] or high > wavelength[-1] or not low < high:
            raise ValueError(
                f"wavelength must be a range (low, high) within the emulator's "
                f"{wavelength[0]:.6g} to {wavelength[-1]:.6g} Å, got {limits}."
            )
        self._path = None
        if resolution is None:
            self._inside = (wavelength >= low) & (wavelength <= high)
            self.wavelength = wavelength[self._inside]
            return
        reach = _REACH * np.sqrt(variance_of_resolution(resolution)) / SPEED_OF_LIGHT
        low = max(low, wavelength[0] * (1 + reach))
        high = min(high, wavelength[-1] * (1 - reach))
        # Its pixels are only there to say which part of the model is wanted.
        pixels = np.linspace(low, high, 1000)
        self._path = LightPath(
            wavelength, ObservedSpectrum(pixels, np.ones(1000), resolution=resolution)
        )
        nodes = self._path.samples(np.ones((1, len(wavelength))))[0]
        self._inside = (nodes >= low) & (nodes <= high)
        self.wavelength = nodes[self._inside]

    def __call__(self, flux):
        if self._path is None:
            return flux[:, self._inside]
        return self._path.samples(flux)[1][:, self._inside]


def _lattice_axis(axis, low, high, n_between):
    """Values of one parameter in a box: the nodes in it, its ends, and points between."""
    if high == low:
        return np.array([low])
    inside = axis[(axis > low) & (axis < high)]
    if len(inside) > _MOST_VALUES:
        inside = np.linspace(low, high, _VALUES_OF_CLOUD)[1:-1]
    values = np.concatenate([[low], inside, [high]])
    parts = np.linspace(0.0, 1.0, n_between + 1, endpoint=False)
    between = values[:-1, None] + np.diff(values)[:, None] * parts
    return np.append(between.ravel(), high)
