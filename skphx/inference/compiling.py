"""Compile an emulator for one instrument: a small table, for millions of spectra."""

import numpy as np

from skphx.flux.emulator import FluxEmulator
from skphx.grids import make_grid
from skphx.inference._emulation import emulate
from skphx.inference.boxes import resolve_boxes
from skphx.observing import LightPath, ObservedSpectrum
from skphx.observing._kernels import SPEED_OF_LIGHT, variance_of_resolution

# Samples emulated at once.
_BLOCK = 64
# Standard deviations of the line-spread function by which the ends are cut.
_REACH = 6.0
# Values of a parameter that a grid gives few or too many nodes of.
_MOST_VALUES = 40
_VALUES_OF_CLOUD = 13


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
):
    """Compile an emulator for one instrument and a box of parameters.

    The emulator is sampled on a lattice finer than its nodes, seen at the instrument's
    resolution on steps of a third of its line-spread function, and compressed to principal
    components. What is left to do for a star, velocity, rotation and pixels, is then done on a
    few thousand samples. Normalised flux is compiled, also of an emulator with a normaliser.

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

    Returns
    -------
    FluxEmulator
        Fitted, with cubic interpolation on the lattice, at the instrument's resolution, on steps
        that suffice for it. Its further attributes ``compile_rms_`` and ``compile_max_`` are root
        mean square and largest difference of flux from the original at the random points.

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
    >>> compiled.compile_rms_ < 1e-3
    True
    """
    grid = emulator.grid_
    box = resolve_boxes(
        bounds, None, 1, grid_bounds=grid.bounds, parameter_names=grid.parameter_names
    )[0]
    axes = [
        _lattice_axis(axis, *limits, n_between)
        for axis, limits in zip(grid.axes, box, strict=True)
    ]
    nodes = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    error = getattr(emulator, "error_", None)
    if wavelength is not None and hasattr(emulator, "select"):
        margin = 1.0 + 20.0 / min(resolution or np.inf, 1e6)
        low, high = wavelength[0] / margin, wavelength[1] * margin
        if error is not None:
            inside = (emulator.wavelength_ >= low) & (emulator.wavelength_ <= high)
            error = error.on_pixels(lambda spectra: spectra[:, inside])
        emulator = emulator.select(wavelength=(low, high))
    see = _Blur(emulator.wavelength_, resolution, wavelength)

    def blurred(points):
        return np.concatenate(
            [
                see(emulate(emulator, points[start : start + _BLOCK]))
                for start in range(0, len(points), _BLOCK)
            ]
        )

    compiled = FluxEmulator.of_nodes(
        make_grid(nodes, parameter_names=grid.parameter_names, interpolation="cubic"),
        blurred(nodes),
        see.wavelength,
        tolerance=tolerance,
        error=None if error is None else error.on_pixels(see),
        medium=getattr(emulator, "medium", None),
        resolution=resolution,
    )
    random = np.random.RandomState(random_state)
    points = box[:, 0] + random.uniform(size=(n_tests, len(box))) * (box[:, 1] - box[:, 0])
    points = compiled.grid_.resolve_outside(points, "clip")
    difference = compiled.predict(points) - blurred(points)
    compiled.compile_rms_ = float(np.sqrt(np.mean(difference**2)))
    compiled.compile_max_ = float(np.abs(difference).max())
    return compiled


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
