"""
Names of lines
==============

A fitted line has a wavelength but no name. A line list of VALD gives the name of the atom or ion.
This program writes a list in VALD's format; use your own list in its place.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from skphx import LineManifoldRegressor, VoigtCloner
from skphx.inspection import LineTableDisplay, SensitivityDisplay
from skphx.lines import LineTable
from skphx.species import identify_lines, read_vald

VALD = """\
 8490.00000, 8520.00000, 6, 4321, 1.0 Wavelength region, lines selected, lines processed, Vmicro
                                                 Lande     Damping parameters     Central
Spec Ion  WL_air(A)  Excit(eV) Vmic log gf*  Rad.   Stark  Waals  factor  depth  Reference
'Fe 1',   8495.2500, 4.5000, 1.0, -1.200, 8.210, -5.700, -7.676, 1.070, 0.300, 'generated'
'Ca 2',   8498.0230, 1.6924, 1.0, -1.416, 8.210, -5.700, -7.676, 1.070, 0.850, 'generated'
'Ti 1',   8498.0700, 3.1000, 1.0, -2.500, 8.210, -5.700, -7.676, 1.070, 0.010, 'generated'
'Si 1',   8502.2210, 5.8710, 1.0, -1.100, 8.210, -5.700, -7.676, 1.070, 0.250, 'generated'
'Fe 1',   8514.0720, 2.1980, 1.0, -2.230, 8.210, -5.700, -7.676, 1.070, 0.500, 'generated'
'Fe 2',   8516.4000, 6.2000, 1.0, -2.900, 8.210, -5.700, -7.676, 1.070, 0.090, 'generated'
"""

# %%
# Read the list. Its header states that wavelengths are in air. The list has depths, because it was
# extracted for a star.
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "vald.txt"
    path.write_text(VALD)
    line_list = read_vald(path)
print(line_list)

# %%
# A small grid of spectra with these lines. All lines become weaker with temperature, except that
# of ionised iron.
wavelength = np.arange(8490.0, 8520.0, 0.04)
teff = np.array([5000.0, 5500.0, 6000.0])
center = line_list.wavelength
cooler = np.where(line_list.species == "Fe II", 0.3, -0.3 - 0.05 * line_list.excitation)
log_area = np.log(0.4 * line_list.depth) + cooler * (teff[:, None] - 5500.0) / 500.0
shape = np.full_like(log_area, np.log(0.08))
lines = np.stack([np.broadcast_to(center, shape.shape), log_area, shape, shape - 0.7], -1)
spectra = LineTable.from_dense(lines).render(wavelength)
emulator = LineManifoldRegressor(VoigtCloner(wavelength), parameter_names=("teff",))
emulator.fit(teff[:, None], spectra)

# %%
# Each fitted line gets the name of the deepest transition within 0.05 Å: here calcium, not the
# weak titanium line next to it.
found = identify_lines(emulator.cloner_.line_centers_, line_list, medium="air")
print(found.to_pandas().round(3).to_string())

# %%
# Tables and pictures show the names.
LineTableDisplay.from_estimator(emulator, [5772.0], names=found.species).plot()
plt.show()

# %%
# Lines that are most sensitive to temperature:
SensitivityDisplay.from_estimator(emulator, [5772.0], names=found.species).plot(n_labels=5)
plt.show()
