"""Stars whose lines differ from those of an emulator by what is known."""

import numpy as np

from skphx import LineManifoldRegressor, VoigtCloner
from skphx.datasets import make_stellar_grid
from skphx.lines import LineTable
from skphx.observing import ForwardModel, ObservedSpectrum

RESOLUTION = 20_000.0
SIGMA = 0.004
PIXELS = np.arange(8503.0, 8537.0, 0.1)
# Teff, log g, [Fe/H] of stars between the nodes.
PARAMETERS = np.array(
    [
        [5150.0, 4.1, -0.4],
        [5400.0, 4.6, -0.1],
        [5700.0, 4.3, -0.3],
        [5850.0, 4.8, -0.2],
        [5300.0, 4.4, -0.25],
        [5600.0, 4.7, -0.05],
        [5250.0, 4.8, -0.15],
        [5800.0, 4.2, -0.45],
    ]
)


def make_line_grid(**settings):
    """Nodes with the lines that were put into them."""
    given = {"teff": (5000, 5500, 6000), "logg": (4.0, 4.5, 5.0), "feh": (-0.5, 0.0)}
    return make_stellar_grid(
        wavelength=(8500.0, 8540.0),
        n_pixels=800,
        n_lines=24,
        random_state=5,
        return_lines=True,
        **given | settings,
    )


def emulator_of(grid, **settings):
    """Emulator that holds exactly the lines of the grid."""
    lines = grid.lines
    center = np.broadcast_to(lines["center"], lines["area"].shape)
    dense = np.stack(
        [center, *(np.log(lines[name]) for name in ("area", "sigma", "gamma"))], axis=2
    )
    cloner = VoigtCloner(wavelength=grid.wavelength)
    given = {"parameter_names": tuple(grid.parameter_names), "interpolation": "linear"}
    return LineManifoldRegressor(cloner, medium="air", **given | settings).fit_table(
        grid.parameters, LineTable.from_dense(dense)
    )


def transmission(emulator, parameters, strength=0.0, width=0.0):
    """Flux of the emulator's lines with changed ln strengths and ln widths."""
    lines = emulator.manifold_.at(np.atleast_2d(parameters)).copy()
    lines[..., 1] += strength
    lines[..., 2:] += np.asarray(width)[..., None]
    return LineTable.from_dense(lines).render(emulator.wavelength_, **emulator._rendering())


def observe(emulator, parameters, strength=0.0, width=0.0, *, velocity=0.0, seed=0, noise=SIGMA):
    """Return stars as `infer` takes them, with noise and a sloping continuum."""
    random = np.random.default_rng(seed)
    flux = transmission(emulator, parameters, strength, width)
    empty = ObservedSpectrum(PIXELS, np.ones(len(PIXELS)), resolution=RESOLUTION)
    forward = ForwardModel(emulator.wavelength_, empty, max_velocity=abs(velocity) + 1.0)
    seen = forward.observe(flux, velocity=np.full(len(flux), velocity))
    seen = seen * (1.0 + 0.003 * (PIXELS - PIXELS.mean()))
    seen = seen + noise * random.normal(size=seen.shape)
    return [
        {"wavelength": PIXELS, "flux": one, "sigma": noise, "resolution": RESOLUTION}
        for one in seen
    ]
