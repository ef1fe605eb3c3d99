"""
Errors of an emulator, and sensitive lines
==========================================

The errors of an emulator are measured on spectra that were not used in the fit. Then its
derivatives show how every pixel and every line changes with temperature. Lines are fitted here
because the pictures show them; the flux does not depend on them.
"""

import matplotlib.pyplot as plt
import numpy as np

from skphx import LineManifoldRegressor, VoigtCloner
from skphx.datasets import make_stellar_grid
from skphx.inspection import (
    EmulatorErrorDisplay,
    LineTableDisplay,
    ResidualDisplay,
    SensitivityDisplay,
)

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
emulator = LineManifoldRegressor(VoigtCloner(grid.wavelength), medium=grid.medium)
emulator.fit(grid.parameters, grid.spectra / grid.continuum)

# %%
# Errors over the grid
# --------------------
# Sixty spectra at random points between the nodes. Crosses are the nodes.
low, high = emulator.grid_.bounds.T
truth = np.random.default_rng(0).uniform(low, high, size=(60, 3))
held_out = make_stellar_grid(parameters=truth, **star)
spectra = held_out.spectra / held_out.continuum
errors = EmulatorErrorDisplay.from_estimator(emulator, truth, spectra).plot()
print(f"median rms {np.median(errors.rms):.5f}, largest {errors.rms.max():.5f}")
plt.show()

# %%
# The spectrum with the largest error
# -----------------------------------
worst = int(np.argmax(errors.rms))
ResidualDisplay.from_estimator(emulator, truth, spectra, row=worst).plot()
plt.show()

# %%
# Sensitivity to temperature
# --------------------------
# The derivative of the flux, and the change of the strength of each line. The lines that change
# most contain most of the information about temperature.
sun = (5772.0, 4.44, 0.0)
SensitivityDisplay.from_estimator(emulator, sun, parameter="teff").plot()
plt.show()

# %%
# The same for gravity: pressure broadens the wings of strong lines.
SensitivityDisplay.from_estimator(emulator, sun, parameter="logg").plot(n_labels=4)
plt.show()

# %%
# The strongest lines
# -------------------
LineTableDisplay.from_estimator(emulator, sun, n_lines=6).plot()
plt.show()
