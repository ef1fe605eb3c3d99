"""
Stellar parameters and their errors
===================================

Generated spectra at random points between the nodes are used as observed stars. Their parameters
are inferred and compared with the true ones.
"""

import matplotlib.pyplot as plt
import numpy as np

from skphx import FluxEmulator, StellarParameterEstimator
from skphx.datasets import make_stellar_grid
from skphx.inspection import ParameterErrorDisplay, PosteriorDisplay, ResidualDisplay

SIGNAL_TO_NOISE = 100
star = {
    "wavelength": (8490.0, 8530.0),
    "n_pixels": 1000,
    "n_lines": 20,
    "random_state": 0,
    "return_lines": True,
}
grid = make_stellar_grid(
    teff=np.arange(4500.0, 6501.0, 500.0), logg=(3.5, 4.0, 4.5, 5.0), feh=(-0.5, 0.0, 0.5), **star
)
nodes = grid.spectra / grid.continuum
emulator = FluxEmulator(grid.wavelength, medium=grid.medium).fit(grid.parameters, nodes)

# %%
# Observed stars
# --------------
# With noise, errors of the flux, and an unknown velocity. Their resolution is that of the grid, so
# that no resolution is given. The emulator is fitted already.
low, high = emulator.grid_.bounds.T
truth = np.random.default_rng(0).uniform(low, high, size=(12, 3))
velocity = np.random.default_rng(1).uniform(-30.0, 30.0, size=12)
noisy = make_stellar_grid(parameters=truth, noise=1.0 / SIGNAL_TO_NOISE, **star)
stars = [
    {
        "wavelength": grid.wavelength * (1.0 + shift / 299_792.458),
        "flux": flux / continuum,
        "sigma": 1.0 / SIGNAL_TO_NOISE,
        "medium": "vacuum",
    }
    for flux, continuum, shift in zip(noisy.spectra, noisy.continuum, velocity, strict=True)
]
estimator = StellarParameterEstimator.from_emulator(emulator, random_state=0)
results = estimator.infer(stars, velocity=(-50.0, 50.0))
print(results)

# %%
# True and inferred parameters
# ----------------------------
# With error bars of one standard error.
display = ParameterErrorDisplay.from_predictions(
    np.column_stack([truth, velocity]),
    results.parameters,
    results.parameter_names,
    y_err=results.errors,
).plot()
print(display.errors)
plt.show()

# %%
# The first star and its model
# ----------------------------
ResidualDisplay.from_result(results[0], stars[0]["wavelength"]).plot()
plt.show()

# %%
# Errors and correlations
# -----------------------
# Correlated parameters have similar effects on the spectrum. The true values are orange.
PosteriorDisplay.from_result(results[0], truth=[*truth[0], velocity[0]]).plot()
plt.show()
