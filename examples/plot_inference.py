"""
Stellar parameters, and how sure they are
=========================================

Spectra at random points between the nodes stand for observed stars: their parameters are inferred
and compared with the true ones.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator

from skphx import LineManifoldRegressor, StellarParameterEstimator, VoigtCloner
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
emulator = LineManifoldRegressor(VoigtCloner(grid.wavelength), interpolation="cubic")
emulator.fit(grid.parameters, nodes)

# %%
# True against inferred
# ---------------------
# The emulator is fitted already, so it comes frozen.
low, high = emulator.grid_.bounds.T
truth = np.random.default_rng(0).uniform(low, high, size=(12, 3))
stars = make_stellar_grid(parameters=truth, noise=1.0 / SIGNAL_TO_NOISE, **star)
spectra = stars.spectra / stars.continuum
estimator = StellarParameterEstimator(
    FrozenEstimator(emulator), n_calls=60, n_initial_points=60, random_state=0
)
estimator.fit(nodes, grid.parameters)
inferred = estimator.predict(spectra)
display = ParameterErrorDisplay.from_predictions(truth, inferred, grid.parameter_names).plot()
print(display.errors)
plt.show()

# %%
# The best emulated spectrum of the first star.
ResidualDisplay.from_predictions(
    grid.wavelength, spectra[0], emulator.predict(inferred[:1])[0], predicted_label="best"
).plot()
plt.show()

# %%
# How sure
# --------
# Near the best point the emulator is all but linear, so that its derivatives and the noise give
# the covariance of the parameters. What correlates has the same effect on the spectrum.
jacobian = emulator.jacobian(inferred[:1])[0]
covariance = np.linalg.inv(jacobian.T @ jacobian) / SIGNAL_TO_NOISE**2
PosteriorDisplay.from_gaussian(
    inferred[0], covariance, grid.parameter_names, truth=truth[0]
).plot()
plt.show()
