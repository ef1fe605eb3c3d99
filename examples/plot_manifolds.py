"""
Lines over a grid: manifolds
============================

The paper's figures 2 to 8 for your own grid: how many lines each node has, how one line varies
over the grid, how lines and flux change between two nodes, and how long one spectrum takes.
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
from skphx.paper import PaperCloner, PaperEmulator

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
# In the paper the lines of every node are fitted separately, and lines of different nodes are the
# same line if they were detected at the same pixel. Then the number of lines differs from node to
# node. Here lines may be two pixels apart, and also near the ends of this short range.
cloner = PaperCloner(grid.wavelength, edge=0, tolerance=2, optimizer="levenberg-marquardt")
detected = PaperEmulator(cloner).fit(grid.parameters, spectra)
LineCountDisplay.from_estimator(detected).plot()
plt.show()

# %%
# The manifold of a line
# ----------------------
# Nodes without the line are grey.
presence = detected.present_.mean(axis=0)
line = int(np.argmin(abs(presence - 0.7)))
ManifoldDisplay.from_estimator(detected, line).plot()
plt.show()

# %%
# By default skphx makes one list of lines for the whole grid and fits a smooth surface for each
# parameter of each line, to all nodes (white dots) together.
emulator = LineManifoldRegressor(VoigtCloner(grid.wavelength), medium=grid.medium)
emulator.fit(grid.parameters, spectra)
strongest = float(grid.lines.center[np.argmax(grid.lines.area.mean(axis=0))])
ManifoldDisplay.from_estimator(emulator, strongest, n_points=100).plot()
plt.show()

# %%
# As a function of one parameter, a manifold is a curve.
ManifoldDisplay.from_estimator(
    emulator, strongest, y=None, at={"logg": 4.5}, n_points=100,
    quantities=("log_area", "log_gamma", "center"),
).plot()  # fmt: skip
plt.show()

# %%
# Between two nodes
# -----------------
# The Sun is between nodes. Its lines come from the surfaces; its flux is interpolated between the
# spectra of the nodes.
window = (strongest - 1.5, strongest + 1.5)
BetweenNodesDisplay.from_estimator(emulator, (5772.0, 4.44, 0.0), window=window).plot()
plt.show()

# %%
# Time for each spectrum
# ----------------------
# One call for many spectra is faster than many calls for one.
RenderTimeDisplay.from_estimator(emulator, batch_sizes=(1, 2, 4, 8, 16, 32)).plot()
plt.show()
