"""
A spectrum as a list of lines
=============================

A list of pseudo-Voigt lines is fitted to one spectrum, so that their sum looks like it; the paper
calls this a clone. The sum is compared with the spectrum, and the lines are shown as a table.
"""

import matplotlib.pyplot as plt

from skphx import VoigtCloner
from skphx.datasets import make_stellar_grid
from skphx.inspection import ResidualDisplay

# %%
# A generated star like the Sun, with noise of half a percent, divided by its continuum. Real
# spectra come raw: :class:`~skphx.ContinuumNormalizer` and its companions bring them here.
star = make_stellar_grid(
    parameters=[[5772, 4.44, 0.0]],
    wavelength=(8480.0, 8560.0),
    n_pixels=2000,
    n_lines=40,
    noise=0.005,
    random_state=4,
    return_lines=True,
)
spectra = star.spectra / star.continuum

# %%
# ``fit`` finds the lines, ``transform`` fits four numbers a line: its centre and the logarithms
# of its area and two widths. Noise makes dips, too: the prominence is the least depth that
# counts as a line, and lines are added until the fit residual is as small as the noise.
cloner = VoigtCloner(star.wavelength, prominence=0.03, target_rms=0.005)
table = cloner.fit_transform(spectra)
print(f"{cloner.n_lines_} lines, {table.shape[1]} numbers in place of {spectra.shape[1]}")

ResidualDisplay.from_estimator(cloner, spectra).plot()
plt.show()

# %%
# The lines as a table: depths in units of the continuum, widths in Å.
lines = cloner.line_table(spectra).to_pandas()
print(lines[["center", "depth", "equivalent_width", "fwhm"]].head(10).round(3).to_string())
