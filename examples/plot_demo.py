"""
From a grid of spectra to stellar parameters
============================================

The whole way once, on a generated grid: clone the spectra of the nodes as tables of lines, turn
every line into a manifold over (Teff, log g, [Fe/H]), and infer the parameters of spectra that
the emulator has not seen. Every step says in a sentence what it did; a figure shows it.
"""

import time
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # The figure goes to a file: no display is needed.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline

from skphx import (
    BlackbodyDivider,
    ContinuumNormalizer,
    LineManifoldRegressor,
    PercentileNormalizer,
    StellarParameterEstimator,
    VoigtCloner,
)
from skphx.datasets import make_stellar_grid
from skphx.grids import make_grid
from skphx.metrics import flux_rms, parameter_errors

N_HELD_OUT = 8
SIGNAL_TO_NOISE = 200
LABELS = ("Teff / K", "log g", "[Fe/H]")
started = time.perf_counter()


def say(text):
    # Flushed, so that sentences and progress bars come in the order of events.
    print(text, flush=True)


# %%
# 1. The grid
# -----------
# Raw flux at the nodes, and held-out spectra at random points between them. Both come from the
# same list of lines, because they share ``random_state``.
TEFF, LOGG, FEH = np.arange(4500.0, 6001.0, 250.0), np.arange(3.5, 4.6, 0.5), (-0.5, 0.0, 0.5)
STAR = {"wavelength": (8500.0, 8600.0), "n_pixels": 2500, "n_lines": 30, "random_state": 0}
grid = make_stellar_grid(teff=TEFF, logg=LOGG, feh=FEH, **STAR)

low, high = grid.parameters.min(axis=0), grid.parameters.max(axis=0)
truth = np.random.default_rng(1).uniform(low, high, size=(N_HELD_OUT, 3))
held_out = make_stellar_grid(parameters=truth, **STAR)

say("1. The grid")
say(
    f"   We made {len(grid.spectra)} raw spectra of {len(grid.wavelength)} pixels, "
    f"{grid.wavelength[0]:.0f}-{grid.wavelength[-1]:.0f} Å ({grid.medium}).\n"
    f"   Its nodes: Teff {TEFF[0]:.0f}-{TEFF[-1]:.0f} K every {TEFF[1] - TEFF[0]:.0f} K, "
    f"log g {LOGG[0]}-{LOGG[-1]} every {LOGG[1] - LOGG[0]}, "
    f"[Fe/H] {', '.join(f'{value:+.1f}' for value in FEH)}.\n"
    f"   {N_HELD_OUT} more spectra, at random points between the nodes, are held out: they "
    f"serve as the stars.\n"
)

# %%
# 2. Preprocessing and cloning
# ----------------------------
# Three steps bring the continuum to 1, the last one writes each spectrum as a list of lines.
wavelength = grid.wavelength
pipeline = make_pipeline(
    BlackbodyDivider(wavelength=wavelength),
    PercentileNormalizer(percentile=99),
    ContinuumNormalizer(wavelength=wavelength, degree=5),
    VoigtCloner(wavelength=wavelength, n_jobs=2, verbose=1),
)
emulator = LineManifoldRegressor(pipeline, interpolation="auto")

say("2. Preprocessing, cloning, manifolds")
say(
    "   Each spectrum is divided by the blackbody of its Teff, by its 99th percentile and by a\n"
    "   polynomial continuum. Then its lines are detected, and the centre, strength and two\n"
    "   widths of every line are fitted until the sum of lines, the clone, matches the spectrum.\n"
    "   One list of lines grows at the spectra that differ most and is fitted to every spectrum,\n"
    "   then to all of them together, so that each line changes smoothly from node to node (a\n"
    "   progress bar each)."
)
clock = time.perf_counter()
emulator.fit(grid.parameters, grid.spectra)
n_nodes, n_lines = emulator.present_.shape
everywhere = int(emulator.present_.all(axis=0).sum())
faint = n_lines - everywhere
say(
    f"   Done in {time.perf_counter() - clock:.0f} s: {n_lines} lines"
    + (f", {faint} of which some nodes lack. " if faint else ", the same at every node. ")
    + f"The clones miss the spectra\n   by {np.median(emulator.clone_rms_):.4f} of the continuum "
    "(median rms). Every line now has a manifold: its four numbers\n   at any point between the "
    f"nodes. Flux between them is interpolated as well ({emulator.interpolation_}, the kind\n"
    "   that predicted nodes best that were left out), on a scale on which lines grow evenly.\n"
)

# %%
# 3. Emulated spectra
# -------------------
# The emulator gives a spectrum at any point of the grid: from its lines alone, or, as here, with
# what lines miss. Without it one would take the spectrum of the nearest node, or interpolate the
# flux of every pixel by cubic splines.
normalised = emulator.normalize(held_out.spectra, truth)
emulated = emulator.predict(truth)
node_spectra = emulator.normalize(grid.spectra, grid.parameters)
nearest_node = node_spectra[emulator.grid_.nearest_node(truth)]
splines = make_grid(grid.parameters, interpolation="cubic")
pixels = splines.weights(truth) @ node_spectra
lines_alone = emulator.cloner_[-1].inverse_transform(emulator.predict_lines(truth))
rms = flux_rms(normalised, emulated, per_spectrum=True)

say("3. Emulated spectra")
say(
    f"   At the parameters of the held-out spectra the emulator is off by {rms.mean():.4f} of\n"
    f"   the continuum (mean rms; worst {rms.max():.4f}), the spectra of the nearest nodes by "
    f"{flux_rms(normalised, nearest_node):.4f},\n"
    f"   cubic splines through pixels by {flux_rms(normalised, pixels):.4f}, and the emulator's "
    f"lines alone by {flux_rms(normalised, lines_alone):.4f}.\n"
)

# %%
# 4. Inference
# ------------
# For each held-out spectrum: 100 random points of the grid, then least squares from the best.
# The emulator is fitted already, so it comes frozen.
estimator = StellarParameterEstimator(
    FrozenEstimator(emulator), n_calls=100, n_initial_points=100, random_state=0, verbose=1
).fit(grid.spectra, grid.parameters)

say("4. Inference")
say(
    "   Now the parameters of the held-out spectra are forgotten. For each one the emulator is\n"
    "   evaluated at 100 random points, and least squares runs from the best of them to the\n"
    "   parameters whose emulated spectrum is nearest to it."
)
inferred = estimator.predict(held_out.spectra)
errors = parameter_errors(truth, inferred, grid.parameter_names)

say("\n                 true                      inferred")
say("     Teff/K   log g  [Fe/H]      Teff/K   log g  [Fe/H]")
for true, found in zip(truth, inferred, strict=True):
    say("   " + "    ".join(f"{row[0]:8.0f}{row[1]:8.2f}{row[2]:+8.2f}" for row in (true, found)))
mean = errors.mean_absolute
say(
    f"\n   Mean error: {mean[0]:.1f} K, {mean[1]:.3f} in log g, {mean[2]:.3f} in [Fe/H], "
    f"from nodes {TEFF[1] - TEFF[0]:.0f} K, {LOGG[1] - LOGG[0]} and {FEH[1] - FEH[0]} apart."
)

# Real spectra have noise, and the anchors of the continuum are maxima, so noise lifts it.
say(f"   The same stars once more, with noise (S/N {SIGNAL_TO_NOISE} a pixel):")
noisy = make_stellar_grid(parameters=truth, noise=1.0 / SIGNAL_TO_NOISE, **STAR)
inferred_noisy = estimator.predict(noisy.spectra)
mean, bias, _ = (
    getattr(parameter_errors(truth, inferred_noisy), name)
    for name in ("mean_absolute", "bias", "scatter")
)
say(
    f"   Mean error: {mean[0]:.1f} K, {mean[1]:.3f}, {mean[2]:.3f}; bias {bias[0]:+.1f} K, "
    f"{bias[1]:+.3f}, {bias[2]:+.3f}.\n"
    "   Noise lifts the highest pixels, through which the continuum is drawn, so that lines look "
    "deeper."
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
    """Spectra above; below, the first minus each of the others."""
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

# (a) The node whose clone is of median quality: neither the best nor the worst.
node = np.argsort(emulator.clone_rms_)[n_nodes // 2]
spectrum = node_spectra[node]
voigt_cloner = emulator.cloner_[-1]
clone_table = np.where(emulator.present_[node, :, None], emulator.lines_[node], np.nan)
clone = voigt_cloner.inverse_transform(clone_table.reshape(1, -1))[0]
plot_spectra(
    panels[0, 0],
    f"(a) Cloning: {describe(grid.parameters[node])}",
    ("spectrum of a node", spectrum),
    (f"its clone, {emulator.present_[node].sum()} lines", clone, OURS),
)

# (b) Of the lines on every node, or nearly, the one whose strength varies most.
widespread = emulator.present_.mean(axis=0) >= 0.95
log_area = np.where(emulator.present_, emulator.lines_[:, :, 1], np.nan)
spread = np.nanmax(log_area, axis=0) - np.nanmin(log_area, axis=0)
line = np.argmax(np.where(widespread, spread, -1.0))
solar = grid.parameters[:, 2] == 0.0
at_nodes = log_area[solar, line].reshape(len(TEFF), len(LOGG)).T
fine_teff, fine_logg = np.linspace(TEFF[0], TEFF[-1], 121), np.linspace(LOGG[0], LOGG[-1], 61)
fine = np.stack(np.meshgrid(fine_teff, fine_logg, [0.0], indexing="ij"), axis=-1).reshape(-1, 3)
supersampled = emulator.predict_lines(fine).reshape(len(fine), n_lines, 4)[:, line, 1]
supersampled = supersampled.reshape(len(fine_teff), len(fine_logg)).T

panel = panels[0, 1]
panel.suptitle(
    f"(b) Manifold of the line at {voigt_cloner.line_centers_[line]:.1f} Å, [Fe/H] = 0",
    fontsize="medium",
    fontweight="bold",
)
axes = panel.subplots(1, 2, sharey=True)
limits = {"vmin": np.nanmin(at_nodes), "vmax": np.nanmax(at_nodes), "cmap": "viridis"}
# Node values as tiles centred on the nodes; a node without the line would stay grey.
image = axes[0].pcolormesh(TEFF, LOGG, at_nodes, shading="nearest", **limits)
axes[0].set_facecolor("0.8")
axes[0].set_title("fitted at the nodes", fontsize="small")
axes[1].pcolormesh(fine_teff, fine_logg, supersampled, shading="nearest", **limits)
axes[1].set_title("interpolated (dots: nodes)", fontsize="small")
axes[0].set_ylabel("log g")
for ax in axes:
    ax.plot(*grid.parameters[solar, :2].T, "o", color="white", markersize=3, clip_on=False)
    # Tiles reach half a step beyond the nodes; both panels end at the grid's edge.
    ax.set(xlabel="Teff / K", xticks=TEFF[::2], xlim=TEFF[[0, -1]], ylim=LOGG[[0, -1]])
panel.colorbar(image, ax=axes, label="ln a, a = area of the line / Å")

# (c) The held-out spectrum emulated with median quality.
star = np.argsort(rms)[N_HELD_OUT // 2]
plot_spectra(
    panels[1, 0],
    f"(c) Emulation: {describe(truth[star])}",
    ("held-out spectrum", normalised[star]),
    ("nearest node", nearest_node[star], NEAREST),
    ("emulated", emulated[star], OURS),
)

# (d) One small plot a parameter.
panel = panels[1, 1]
panel.suptitle("(d) Inference of held-out spectra", fontsize="medium", fontweight="bold")
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
