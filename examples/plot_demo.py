"""
From a grid of spectra to stellar parameters
============================================

All steps on a generated grid: emulate the flux between the nodes, fit the spectral lines of all
nodes, and infer the parameters of spectra that were not used in the fit, without noise and with
noise. The program prints each step and saves a figure.
"""

import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # The figure goes to a file: no display is needed.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.pipeline import make_pipeline

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    FluxEmulator,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)
from skphx.datasets import make_stellar_grid
from skphx.interpolation import make_grid
from skphx.metrics import flux_rms, parameter_errors

N_HELD_OUT = 30
N_SHOWN = 6
SIGNAL_TO_NOISE = 200
LABELS = ("Teff / K", "log g", "[Fe/H]")
started = time.perf_counter()


def say(text):
    # Flushed, so that text and progress bars appear in the right order.
    print(text, flush=True)


# %%
# 1. The grid
# -----------
# Raw flux at the nodes, and held-out spectra at random points between them. Both come from the
# same list of lines, because they share ``random_state``.
TEFF, LOGG, FEH = np.arange(4500.0, 6001.0, 250.0), np.arange(3.5, 4.6, 0.5), (-0.5, 0.0, 0.5)
STAR = {"wavelength": (8500.0, 8600.0), "n_pixels": 2500, "n_lines": 30, "random_state": 0}
grid = make_stellar_grid(teff=TEFF, logg=LOGG, feh=FEH, **STAR)
wavelength = grid.wavelength

low, high = grid.parameters.min(axis=0), grid.parameters.max(axis=0)
truth = np.random.default_rng(1).uniform(low, high, size=(N_HELD_OUT, 3))
held_out = make_stellar_grid(parameters=truth, **STAR)

say("1. The grid")
say(
    f"   {len(grid.spectra)} raw spectra of {len(wavelength)} pixels, "
    f"{wavelength[0]:.0f}-{wavelength[-1]:.0f} Å ({grid.medium}).\n"
    f"   Nodes: Teff {TEFF[0]:.0f}-{TEFF[-1]:.0f} K every {TEFF[1] - TEFF[0]:.0f} K, "
    f"log g {LOGG[0]}-{LOGG[-1]} every {LOGG[1] - LOGG[0]}, "
    f"[Fe/H] {', '.join(f'{value:+.1f}' for value in FEH)}.\n"
    f"   {N_HELD_OUT} more spectra, at random points between the nodes, are held out. They "
    f"serve as the stars.\n"
)

# %%
# 2. Flux
# -------
# Three steps bring the continuum to 1. Then the flux is interpolated between the nodes. This step
# fits no line.
normalizer = make_pipeline(
    BlackbodyDivider(wavelength=wavelength),
    PercentileNormalizer(percentile=99),
    ContinuumNormalizer(wavelength=wavelength, degree=5),
)
emulator = FluxEmulator(wavelength, normalizer, medium=grid.medium)
clock = time.perf_counter()
emulator.fit(grid.parameters, grid.spectra)
seconds = time.perf_counter() - clock

# For comparison: the spectrum of the nearest node, and cubic splines through the flux of every
# pixel.
normalised = emulator.normalize(held_out.spectra, truth)
emulated = emulator.predict(truth)
node_spectra = emulator.normalize(grid.spectra, grid.parameters)
nearest_node = node_spectra[emulator.grid_.nearest_node(truth)]
splines = make_grid(grid.parameters, interpolation="cubic")
pixels = splines.weights(truth) @ node_spectra
rms = flux_rms(normalised, emulated, per_spectrum=True)
expected = np.sqrt(np.mean(emulator.flux_error_**2))

say("2. Flux")
say(
    f"   FluxEmulator was fitted in {seconds:.1f} s. It interpolates on a curve-of-growth scale.\n"
    f"   Kind of interpolation: {emulator.interpolation_!r}, chosen with left-out nodes.\n"
    f"   Errors of the normalised flux (rms):\n"
    f"      nearest node           {flux_rms(normalised, nearest_node):.4f}\n"
    f"      pixels, cubic splines  {flux_rms(normalised, pixels):.4f}\n"
    f"      FluxEmulator           {rms.mean():.4f} (largest {rms.max():.4f}; its own estimate "
    f"half-way between nodes {expected:.4f})\n"
)

# %%
# 3. Lines
# --------
# A list of lines is fitted to each spectrum. Each line has four numbers: its centre, its area and
# two widths. Each of these numbers is a smooth surface over the grid.
cloner = VoigtCloner(wavelength=wavelength, n_jobs=2, verbose=1)
lines = LineManifoldRegressor(make_pipeline(*(step for _, step in normalizer.steps), cloner))

say("3. Lines")
say("   One list of lines is fitted to all nodes (with a progress bar for each pass).")
clock = time.perf_counter()
lines.fit(grid.parameters, grid.spectra)
seconds = time.perf_counter() - clock
n_nodes, n_lines = lines.present_.shape
voigt_cloner = lines.cloner_[-1]
sum_of_lines = voigt_cloner.inverse_transform(lines.predict_lines(truth))
difference = abs(lines.predict(truth) - emulated).max()
say(
    f"   {n_lines} lines in {seconds:.0f} s. Their sum differs from the spectra of the nodes by "
    f"{np.median(lines.line_rms_):.4f} (median rms),\n"
    f"   from the held-out spectra by {flux_rms(normalised, sum_of_lines):.4f}.\n"
    f"   Lines serve for line tables, names and pictures. The flux does not depend on them: the\n"
    f"   flux of this emulator differs from that of FluxEmulator by at most {difference:g}.\n"
)

# %%
# 4. Inference
# ------------
# For each held-out spectrum: spectra at 100 random points of the grid, then Gauss-Newton steps
# from the best points. A cubic polynomial multiplies the model and is fitted with the parameters.
# The emulator is fitted already.
estimator = StellarParameterEstimator.from_emulator(emulator, random_state=0)
inferred = estimator.predict(held_out.spectra)
noisy = make_stellar_grid(parameters=truth, noise=1.0 / SIGNAL_TO_NOISE, **STAR)
inferred_noisy = estimator.predict(noisy.spectra)

say("4. Inference")
say(
    f"   The parameters of the held-out spectra are searched over the whole grid. The first "
    f"{N_SHOWN}:\n"
)
say("                 true                 inferred, no noise")
say("     Teff/K   log g  [Fe/H]      Teff/K   log g  [Fe/H]")
for true, found in zip(truth[:N_SHOWN], inferred[:N_SHOWN], strict=True):
    say("   " + "    ".join(f"{row[0]:8.0f}{row[1]:8.2f}{row[2]:+8.2f}" for row in (true, found)))
for found, what in (
    (inferred, "without noise"),
    (inferred_noisy, f"with noise, S/N {SIGNAL_TO_NOISE} a pixel"),
):
    errors = parameter_errors(truth, found, grid.parameter_names)
    say(f"\n   All {N_HELD_OUT}, {what}:")
    for name, sign in (("mean_absolute", ""), ("bias", "+"), ("scatter", "")):
        teff, logg, feh = getattr(errors, name)
        label = {"mean_absolute": "mean error"}.get(name, name)
        say(
            f"      {label:<10} {teff:{sign}6.1f} K   {logg:{sign}7.4f} in log g   "
            f"{feh:{sign}7.4f} in [Fe/H]"
        )
shift = inferred_noisy - inferred
mean, uncertain = shift.mean(axis=0), shift.std(axis=0, ddof=1) / np.sqrt(N_HELD_OUT)
say(
    f"\n   The noise shifts the parameters by {mean[0]:+.1f} ± {uncertain[0]:.1f} K, "
    f"{mean[1]:+.4f} ± {uncertain[1]:.4f} and {mean[2]:+.4f} ± {uncertain[2]:.4f}\n"
    "   on average. Noise adds scatter, but does not bias the continuum, which is fitted with\n"
    "   the parameters."
)

# %%
# 5. The figure
# -------------
figure = plt.figure(figsize=(15, 10.5), layout="constrained")
panels = figure.subfigures(2, 2, wspace=0.03, hspace=0.03, width_ratios=(1.05, 1))


def describe(parameters):
    teff, logg, feh = parameters
    return f"{teff:.0f} K, log g {logg:.2f}, [Fe/H] {feh:+.2f}"


def plot_spectra(panel, title, observed, *others):
    """Upper panel: the spectra. Lower panel: the first minus each of the others."""
    panel.suptitle(title, fontsize="medium", fontweight="bold")
    top, bottom = panel.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    label, flux = observed
    top.plot(wavelength, flux, label=label, color="black", linewidth=1.8)
    for label, other, style in others:
        top.plot(wavelength, other, label=label, **style)
        bottom.plot(wavelength, flux - other, **style)
    bottom.axhline(0.0, color="0.7", linewidth=0.8, zorder=0)
    bottom.set(xlim=wavelength[[0, -1]], ylabel="residual")
    bottom.set_xlabel(f"wavelength / Å ({grid.medium})")
    top.set_ylabel("normalised flux")
    top.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize="small")


OURS = {"color": "tab:orange", "linewidth": 1.0}
NEAREST = {"color": "tab:blue", "linewidth": 0.8, "linestyle": "--"}

# (a) The held-out spectrum whose error is the median.
star = np.argsort(rms)[N_HELD_OUT // 2]
plot_spectra(
    panels[0, 0],
    f"(a) Emulated flux: {describe(truth[star])}",
    ("held-out spectrum", normalised[star]),
    ("nearest node", nearest_node[star], NEAREST),
    ("FluxEmulator", emulated[star], OURS),
)

# (c) The node whose line fit has the median rms.
node = np.argsort(lines.line_rms_)[n_nodes // 2]
fitted = voigt_cloner.inverse_transform(lines.predict_lines(grid.parameters[[node]]))[0]
plot_spectra(
    panels[1, 0],
    f"(c) Line fit of a node: {describe(grid.parameters[node])}",
    ("spectrum of a node", node_spectra[node]),
    (f"sum of its {lines.present_[node].sum()} lines", fitted, OURS),
)

# (d) Of the lines that at least 95 % of the nodes have, the one whose strength varies most.
widespread = lines.present_.mean(axis=0) >= 0.95
log_area = np.where(lines.present_, lines.lines_[:, :, 1], np.nan)
spread = np.nanmax(log_area, axis=0) - np.nanmin(log_area, axis=0)
line = np.argmax(np.where(widespread, spread, -1.0))
solar = grid.parameters[:, 2] == 0.0
at_nodes = log_area[solar, line].reshape(len(TEFF), len(LOGG)).T
fine_teff, fine_logg = np.linspace(TEFF[0], TEFF[-1], 121), np.linspace(LOGG[0], LOGG[-1], 61)
fine = np.stack(np.meshgrid(fine_teff, fine_logg, [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
supersampled = lines.predict_lines(fine).reshape(len(fine), n_lines, 4)[:, line, 1]
supersampled = supersampled.reshape(len(fine_teff), len(fine_logg)).T

panel = panels[1, 1]
panel.suptitle(
    f"(d) Manifold of the line at {voigt_cloner.line_centers_[line]:.1f} Å, [Fe/H] = 0",
    fontsize="medium",
    fontweight="bold",
)
axes = panel.subplots(1, 2, sharey=True)
limits = {"vmin": np.nanmin(at_nodes), "vmax": np.nanmax(at_nodes), "cmap": "viridis"}
# Tiles centred on the nodes; a node without the line would be grey.
image = axes[0].pcolormesh(TEFF, LOGG, at_nodes, shading="nearest", **limits)
axes[0].set_facecolor("0.8")
axes[0].set_title("fitted at the nodes", fontsize="small")
axes[1].pcolormesh(fine_teff, fine_logg, supersampled, shading="nearest", **limits)
axes[1].set_title("smooth surface (dots: nodes)", fontsize="small")
axes[0].set_ylabel("log g")
for ax in axes:
    ax.plot(*grid.parameters[solar, :2].T, "o", color="white", markersize=3, clip_on=False)
    # Tiles extend half a step beyond the nodes; both panels end at the edge of the grid.
    ax.set(xlabel="Teff / K", xticks=TEFF[::2], xlim=TEFF[[0, -1]], ylim=LOGG[[0, -1]])
panel.colorbar(image, ax=axes, label="ln a, a = area of the line / Å")

# (b) One small plot for each parameter.
panel = panels[0, 1]
panel.suptitle("(b) Inference of held-out spectra", fontsize="medium", fontweight="bold")
axes = panel.subplots(2, 3, sharex="col", height_ratios=(2, 1))
for column, label in enumerate(LABELS):
    top, bottom = axes[:, column]
    ends = low[column], high[column]
    top.plot(ends, ends, color="0.7", linewidth=0.8)
    bottom.axhline(0.0, color="0.7", linewidth=0.8)
    for found, name, style in (
        (inferred, "no noise", {"color": "black"}),
        (inferred_noisy, f"S/N {SIGNAL_TO_NOISE}", {"color": "tab:orange", "fillstyle": "none"}),
    ):
        x, y = truth[:, column], found[:, column]
        top.plot(x, y, "o", markersize=5, label=name, **style)
        bottom.plot(x, y - x, "o", markersize=5, **style)
    top.set_title(label, fontsize="small")
    bottom.set_xlabel("true")
axes[0, 0].legend(fontsize="small")
axes[0, 0].set_ylabel("inferred")
axes[1, 0].set_ylabel("inferred − true")

folder = Path("demo_output")
folder.mkdir(exist_ok=True)
path = folder / "demo.png"
figure.savefig(path, dpi=120)
say(f"\n5. The figure is in {path.resolve()}")
say(f"   The whole demo took {time.perf_counter() - started:.0f} s.")
