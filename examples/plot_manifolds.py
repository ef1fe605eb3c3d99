"""
Lines over a grid: manifolds
============================

What the paper's figures 2 to 8 show, for a grid of one's own: how many lines each node has, how
one line varies over the grid, what an emulator makes of a line between two nodes, and how long
a spectrum takes.
"""

import matplotlib.pyplot as plt
import numpy as np

from skphx import LineManifoldRegressor, VoigtCloner
from skphx.datasets import make_stellar_grid
from skphx.inspection import (
    BetweenNodesDisplay,
    LineCountDisplay,
    ManifoldDisplay,
    RenderTimeDisplay,
)

grid = make_stellar_grid(
    teff=np.arange(4400.0, 6801.0, 400.0),
    logg=np.arange(3.0, 5.1, 0.5),
    feh=(0.0,),
    wavelength=(8490.0, 8530.0),
    n_pixels=1000,
    n_lines=20,
    random_state=0,
    return_lines=True,
)
spectra = grid.spectra / grid.continuum

# %%
# Lines per node
# --------------
# As in the paper, the lines of every node are fitted by themselves, and lines are the same where
# they were detected at the same place. Then nodes differ in how many lines they have.
detected = LineManifoldRegressor(VoigtCloner(grid.wavelength, line_list="detected"))
detected.fit(grid.parameters, spectra)
LineCountDisplay.from_estimator(detected).plot()
plt.show()

# %%
# The manifold of a line
# ----------------------
# Nodes that lack the line are grey.
presence = detected.present_.mean(axis=0)
line = int(np.argmin(abs(presence - 0.7)))
ManifoldDisplay.from_estimator(detected, line).plot()
plt.show()

# %%
# By default skphx grows one list of lines for the whole grid and fits a smooth surface to each
# parameter of each line, through all nodes (white dots) together.
emulator = LineManifoldRegressor(VoigtCloner(grid.wavelength), medium=grid.medium)
emulator.fit(grid.parameters, spectra)
strongest = float(grid.lines.center[np.argmax(grid.lines.area.mean(axis=0))])
ManifoldDisplay.from_estimator(emulator, strongest, n_points=100).plot()
plt.show()

# %%
# Along one parameter a manifold is a curve.
ManifoldDisplay.from_estimator(
    emulator, strongest, y=None, at={"logg": 4.5}, n_points=100,
    quantities=("log_amplitude", "log_gamma", "center"),
).plot()  # fmt: skip
plt.show()

# %%
# Between two nodes
# -----------------
# The Sun is between nodes. Its lines come from the surfaces, its flux from the spectra of the
# nodes.
window = (strongest - 1.5, strongest + 1.5)
BetweenNodesDisplay.from_estimator(emulator, (5772.0, 4.44, 0.0), window=window).plot()
plt.show()

# %%
# Time for each spectrum
# ----------------------
# One call for many spectra is faster than many calls for one.
RenderTimeDisplay.from_estimator(emulator, batch_sizes=(1, 2, 4, 8, 16, 32)).plot()
plt.show()
