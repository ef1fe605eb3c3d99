"""Emulated flux at held-out points beside interpolated pixels, on four tests of real grids.

Every emulator is fitted on the same nodes and compared on the same spectra that it has not seen,
in one run: pixels interpolated linearly and by cubic splines; FluxEmulator; the lines alone of
LineManifoldRegressor; and the paper's configuration (every node fitted by itself, lines identified
by their detected pixel, -1000 where one is missing, linear). Numbers are the flux rms, mean over
spectra.

Run as ``python benchmarks/bench_emulator.py [TEST ...] [--data FOLDER] [--figure FILE]``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from baselines import PixelRegressor
from sklearn.pipeline import make_pipeline

from skphx import FluxEmulator, LineManifoldRegressor, PercentileNormalizer, VoigtCloner
from skphx.datasets import load_npz_grid
from skphx.metrics import flux_rms
from skphx.paper import PaperCloner, PaperEmulator

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def rvs(folder):
    grid = load_npz_grid(folder / "atlas9_rvs_grid.npz", medium="air")
    test = load_npz_grid(folder / "atlas9_rvs_offgrid.npz", medium="air")
    teff, logg, _ = grid.parameters.T
    train = (teff % 500 == 0) & (logg % 1 == 0)
    return (
        (grid.wavelength, grid.parameters[train], grid.spectra[train]),
        (test.parameters, test.spectra),
    )


def every_second_teff(name, medium):
    def split(folder):
        grid = load_npz_grid(folder / name, medium=medium)
        teff = grid.parameters[:, 0]
        train = (teff - teff.min()) % 200 == 0
        test = ~train & (teff < teff[train].max())
        return (
            (grid.wavelength, grid.parameters[train], grid.spectra[train]),
            (grid.parameters[test], grid.spectra[test]),
        )

    return split


def middle_feh(folder):
    grid = load_npz_grid(folder / "phoenix_hband_grid.npz", medium="vacuum")
    train = grid.parameters[:, 2] != 0
    return (
        (grid.wavelength, grid.parameters[train], grid.spectra[train]),
        (grid.parameters[~train], grid.spectra[~train]),
    )


# Title, split, whether to divide by the 99th percentile, and the flux rms to reach, as a number
# or as a part of cubic pixels.
TESTS = {
    "rvs": ("coarse RVS, off-grid spectra", rvs, False, "0.85 × cubic"),
    "hband": (
        "PHOENIX H band, every second Teff",
        every_second_teff("phoenix_hband_grid.npz", "vacuum"),
        True,
        "0.0019",
    ),
    "cool": (
        "PHOENIX 3000–4300 K, every second Teff",
        every_second_teff("phoenix_3000_4300K.npz", "air"),
        False,
        "0.0029",
    ),
    "feh": ("H band, middle [Fe/H] from the outer two", middle_feh, True, "0.0058"),
}


def emulators(wavelength, is_raw, n_jobs, verbose):
    """Name and unfitted emulator of every row."""

    def lines(make_cloner):
        cloner = make_cloner(wavelength, n_jobs=n_jobs, verbose=verbose)
        return make_pipeline(PercentileNormalizer(), cloner) if is_raw else cloner

    normaliser = make_pipeline(PercentileNormalizer()) if is_raw else None
    # Cubic pixels come first: every row is compared with them.
    yield "pixels, cubic", PixelRegressor(wavelength, "cubic", normaliser)
    yield "pixels, linear", PixelRegressor(wavelength, "linear", normaliser)
    yield "skphx", FluxEmulator(wavelength, PercentileNormalizer() if is_raw else None)
    yield "skphx, lines alone", LineManifoldRegressor(lines(VoigtCloner), flux=None)
    yield "the paper's", PaperEmulator(lines(PaperCloner))


def measure(name, folder, n_jobs, verbose):
    """Flux rms of each spectrum for every row, and the test parameters."""
    _, split, is_raw, goal = TESTS[name]
    (wavelength, nodes, spectra), (points, truth) = split(folder)
    found = {}
    print(f"\n## {TESTS[name][0]}: {len(nodes)} nodes, {len(points)} spectra, to reach {goal}\n")
    print("| emulator | flux rms | /cubic | median | worst | fit/s | how |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for title, emulator in emulators(wavelength, is_raw, n_jobs, verbose):
        start = time.perf_counter()
        if isinstance(emulator, PixelRegressor) and is_raw:
            normaliser = emulator.normaliser.fit(spectra)
            emulator.set_params(normaliser=None)
            truth_seen = normaliser.transform(truth)
            emulator.fit(nodes, normaliser.transform(spectra))
        else:
            emulator.fit(nodes, spectra)
            truth_seen = emulator.normalize(truth, points)
        seconds = time.perf_counter() - start
        rms = flux_rms(truth_seen, emulator.predict(points), per_spectrum=True)
        found[title] = rms
        cubic = found["pixels, cubic"].mean()
        print(
            f"| {title} | {rms.mean():.5f} | {rms.mean() / cubic:.2f} | {np.median(rms):.5f} "
            f"| {rms.max():.5f} | {seconds:.0f} | {describe(emulator)} |",
            flush=True,
        )
    return found, points


def describe(emulator):
    """Say what the emulator chose by leaving nodes out, and how well its lines fit the nodes."""
    if isinstance(emulator, PixelRegressor):
        return ""
    if isinstance(emulator, FluxEmulator):
        coefficients = emulator.low_rank_.coefficients
        rank = len(emulator.grid_.nodes) if coefficients is None else coefficients.shape[1]
        return (
            f"{emulator.interpolation_}, saturation {emulator.saturation_:g}, {rank} components, "
            f"stated error {np.sqrt(np.mean(emulator.flux_error_**2)):.5f}"
        )
    return f"{emulator.manifold_.n_lines} lines, rms at the nodes {emulator.line_rms_.mean():.4f}"


def draw(results, path):
    """One panel a test: the rms of each held-out spectrum along Teff, row by row."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, panels = plt.subplots(
        len(results), 1, figsize=(7.5, 2.5 * len(results)), constrained_layout=True, squeeze=False
    )
    styles = {
        "pixels, linear": ("0.7", "o"),
        "pixels, cubic": ("0.35", "s"),
        "skphx, lines alone": ("tab:orange", "v"),
        "the paper's": ("tab:red", "x"),
        "skphx": ("tab:blue", "D"),
    }
    for panel, (name, (found, points)) in zip(panels[:, 0], results.items(), strict=True):
        for title, (color, marker) in styles.items():
            rms = found[title]
            panel.plot(points[:, 0], rms, marker, color=color, ms=3, alpha=0.35, mew=0.8)
            label = f"{title}: mean {rms.mean():.5f}"
            panel.axhline(rms.mean(), color=color, lw=1.4, label=label)
        panel.set(yscale="log", ylabel="flux rms", title=TESTS[name][0])
        panel.legend(fontsize=7, ncols=2, loc="upper center")
        low, high = panel.get_ylim()
        panel.set_ylim(low, high * 30)
    panels[-1, 0].set_xlabel("Teff of the held-out spectrum (K)")
    figure.savefig(path, dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="*", metavar="TEST", help=f"among {', '.join(TESTS)}")
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the npz grids")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes")
    parser.add_argument("--figure", type=Path, help="where to save a figure of the table")
    parser.add_argument("--verbose", type=int, default=0, help="1 for progress bars")
    arguments = parser.parse_args()
    unknown = set(arguments.tests) - set(TESTS)
    if unknown:
        raise SystemExit(f"TEST must be among {', '.join(TESTS)}, got {', '.join(unknown)}")
    if not arguments.data.is_dir():
        raise SystemExit(f"--data: {arguments.data} is not a folder; it must hold the npz grids")
    results = {
        name: measure(name, arguments.data, arguments.n_jobs, arguments.verbose)
        for name in arguments.tests or TESTS
    }
    if arguments.figure is not None:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
