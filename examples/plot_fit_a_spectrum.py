"""
A line fit of one spectrum
==========================

A list of pseudo-Voigt lines is fitted to one spectrum. The paper calls the result a clone. The sum
of the lines is compared with the spectrum, and the lines are shown as a table.
"""

import matplotlib.pyplot as plt

from skphx import VoigtCloner
from skphx.datasets import make_stellar_grid
from skphx.inspection import ResidualDisplay

# %%
# A generated spectrum of a star like the Sun, with noise of half a per cent, divided by its
# continuum. Real spectra have to be normalised first, for example by
# :class:`~skphx.ContinuumNormalizer`.
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
# ``fit`` finds the lines. ``transform`` fits four numbers for each line: its centre, and the
# logarithms of its area and of its two widths. Noise can look like lines. Therefore ``prominence``
# sets the smallest depth of a line, and lines are added only until the fit residual is as small
# as the noise.
cloner = VoigtCloner(star.wavelength, prominence=0.03, target_rms=0.005)
table = cloner.fit_transform(spectra)
print(f"{cloner.n_lines_} lines: {table.shape[1]} numbers for {spectra.shape[1]} pixels")

ResidualDisplay.from_estimator(cloner, spectra).plot()
plt.show()

# %%
# The lines as a table: depths in units of the continuum, widths in Å.
lines = cloner.line_table(spectra).to_pandas()
print(lines[["center", "depth", "equivalent_width", "fwhm"]].head(10).round(3).to_string())
