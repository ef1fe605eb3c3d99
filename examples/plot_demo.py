"""
From a grid of spectra to stellar parameters
============================================

The whole way once, on a generated grid: clone the spectra of the nodes as tables of lines, turn
every line into a manifold over (Teff, log g, [Fe/H]), and infer the parameters of spectra that
the emulator has not seen.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from skphx import make_stellar_estimator
from skphx.datasets import make_stellar_grid
from skphx.metrics import flux_rms, parameter_errors

# %%
# A grid of raw flux at its nodes, and spectra between the nodes for the test. Both come from
# the same list of lines, because they share ``random_state``.
grid = make_stellar_grid(random_state=0)
rng = np.random.default_rng(1)
low, high = grid.parameters.min(axis=0), grid.parameters.max(axis=0)
truth = np.column_stack([rng.uniform(a, b, size=6) for a, b in zip(low, high, strict=True)])
held_out = make_stellar_grid(parameters=truth, random_state=0)
print(f"grid: {len(grid.spectra)} spectra of {len(grid.wavelength)} pixels, "
      f"{grid.wavelength[0]:.0f}-{grid.wavelength[-1]:.0f} Å ({grid.medium})")

# %%
# One estimator holds everything: blackbody, percentile and continuum normalisation, the cloner,
# the manifolds and the search.
estimator = make_stellar_estimator(grid.wavelength, random_state=0, n_jobs=2, verbose=1)
estimator.fit(grid.spectra, grid.parameters)
emulator = estimator.emulator_
print(f"clones: {emulator.lines_.shape[1]} lines, median rms {np.median(emulator.clone_rms_):.4f}")

# %%
# The emulated spectra of the held-out parameters, and the parameters inferred from the flux.
normalised = emulator.normalize(held_out.spectra, truth)
emulated = emulator.predict(truth)
inferred = estimator.predict(held_out.spectra)
print(f"emulator on held-out spectra: rms {flux_rms(normalised, emulated).mean():.4f}\n")
print("             true                        inferred")
print("   Teff/K  log g  [Fe/H]        Teff/K  log g  [Fe/H]")
for true, found in zip(truth, inferred, strict=True):
    print(f"   {true[0]:6.0f}  {true[1]:5.2f}  {true[2]:6.2f}        "
          f"{found[0]:6.0f}  {found[1]:5.2f}  {found[2]:6.2f}")
