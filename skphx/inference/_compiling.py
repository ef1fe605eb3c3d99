"""Compile an emulator for one instrument, for surveys of many spectra."""

import numpy as np

from skphx._domain import SPEED_OF_LIGHT
from skphx.flux._emulator import FluxEmulator
from skphx.inference._bounds_and_priors import draw_points, resolve_boxes
from skphx.inference._emulation import emulate
from skphx.interpolation import make_grid
from skphx.observing import ForwardModel, ObservedSpectrum
from skphx.observing._kernels import variance_of_resolution

# Points emulated at once.
_BLOCK = 64
# The ends of the wavelengths are cut by so many standard deviations of the line-spread function.
_REACH = 6.0
# If a parameter has more values than the first number, as in scattered grids, the lattice has the
# second number of values.
_MOST_VALUES = 40
_VALUES_OF_SCATTERED = 13


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

    See :meth:`skphx.StellarParameterEstimator.compile`.

    Parameters
    ----------
    emulator : estimator
        Fitted emulator.
    resolution, wavelength, bounds, n_between, tolerance, n_tests, random_state
        As in :meth:`skphx.StellarParameterEstimator.compile`.

    Returns
    -------
    FluxEmulator
        Fitted, with cubic interpolation on the lattice, at the instrument's resolution. Its
        attributes ``compile_rms_`` and ``compile_max_`` are the rms and the largest difference
        of its flux from that of `emulator` at the random points.

    Raises
    ------
    ValueError
        If the bounds or the wavelengths are outside those of the emulator.

    Examples
    --------
    >>> from skphx import LineManifoldRegressor, VoigtCloner
    >>> from skphx.datasets import make_stellar_grid
    >>> from skphx.inference._compiling import compile_emulator
    >>> grid = make_stellar_grid(teff=(5000, 6000), logg=(4.0, 5.0), feh=(0.0,), n_pixels=500,
    ...                          n_lines=10)
    >>> spectra = grid.spectra / grid.spectra.max(axis=1, keepdims=True)
    >>> emulator = LineManifoldRegressor(VoigtCloner(wavelength=grid.wavelength, max_iter=10))
    >>> compiled = compile_emulator(emulator.fit(grid.parameters, spectra))
    >>> compiled.compile_rms_ < 1e-3
    True
    """
    grid = emulator.grid_
    box = resolve_boxes(
        bounds, None, 1, grid_bounds=grid.bounds, parameter_names=grid.parameter_names
    )[0]
    axes = [
        _lattice_axis(axis, low, high, n_between)
        for axis, (low, high) in zip(grid.axes, box, strict=True)
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
    blur = _Blur(emulator.wavelength_, resolution, wavelength)

    def blurred(points):
        return np.concatenate(
            [
                blur(emulate(emulator, points[start : start + _BLOCK]))
                for start in range(0, len(points), _BLOCK)
            ]
        )

    compiled = FluxEmulator._of_nodes(
        make_grid(nodes, parameter_names=grid.parameter_names, interpolation="cubic"),
        blurred(nodes),
        blur.wavelength,
        tolerance=tolerance,
        error=None if error is None else error.on_pixels(blur),
        medium=getattr(emulator, "medium", None),
        resolution=resolution,
    )
    random = np.random.RandomState(random_state)
    points = compiled.grid_.resolve_outside(draw_points(box, n_tests, random), "clip")
    difference = compiled.predict(points) - blurred(points)
    compiled.compile_rms_ = float(np.sqrt(np.mean(difference**2)))
    compiled.compile_max_ = float(np.abs(difference).max())
    return compiled


class _Blur:
    """Spectra at a resolution, sampled as finely as this resolution needs."""

    def __init__(self, wavelength, resolution, limits):
        low, high = (wavelength[0], wavelength[-1]) if limits is None else limits
        if low < wavelength[0] or high > wavelength[-1] or not low < high:
            raise ValueError(
                f"wavelength must be a range (low, high) within the emulator's "
                f"{wavelength[0]:.6g} to {wavelength[-1]:.6g} Å, got {limits}."
            )
        self._forward = None
        if resolution is None:
            self._inside = (wavelength >= low) & (wavelength <= high)
            self.wavelength = wavelength[self._inside]
            return
        reach = _REACH * np.sqrt(variance_of_resolution(resolution)) / SPEED_OF_LIGHT
        low = max(low, wavelength[0] * (1 + reach))
        high = min(high, wavelength[-1] * (1 - reach))
        # These pixels only define the range of wavelengths.
        pixels = np.linspace(low, high, 1000)
        self._forward = ForwardModel(
            wavelength, ObservedSpectrum(pixels, np.ones(1000), resolution=resolution)
        )
        samples, _ = self._forward.samples(np.ones((1, len(wavelength))))
        self._inside = (samples >= low) & (samples <= high)
        self.wavelength = samples[self._inside]

    def __call__(self, flux):
        if self._forward is None:
            return flux[:, self._inside]
        return self._forward.samples(flux)[1][:, self._inside]


def _lattice_axis(axis, low, high, n_between):
    """Return the values of one parameter: nodes inside the box, its ends, and points between."""
    if high == low:
        return np.array([low])
    inside = axis[(axis > low) & (axis < high)]
    if len(inside) > _MOST_VALUES:
        inside = np.linspace(low, high, _VALUES_OF_SCATTERED)[1:-1]
    values = np.concatenate([[low], inside, [high]])
    parts = np.linspace(0.0, 1.0, n_between + 1, endpoint=False)
    between = values[:-1, None] + np.diff(values)[:, None] * parts
    return np.append(between.ravel(), high)
