"""Fit lines to single real spectra: rms and seconds, ours beside the paper's, in one run.

Ours is `fit_spectrum` with its defaults: Levenberg-Marquardt, lines added from the residual
until ``--target-rms``. The paper's is Adam for 100 epochs on the lines of prominence 0.005, the
product of lines, wings cut to 6000 pixels, no refinement; it runs on our engine, and on fewer
spectra where it is slow. Numbers are medians over the spectra; CPU seconds add up the threads,
and on a busy machine they tell more than wall seconds do.

Run as ``python benchmarks/bench_line_fits.py [--data FOLDER] [--target-rms RMS] [--only NAME]``.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import sklearn

from skphx import make_stellar_estimator
from skphx.datasets import load_npz_grid
from skphx.lines import fit_spectrum
from skphx.paper._adam import fit_adam

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PAPER = {
    "fit": fit_adam,
    "n_epochs": 100,
    "learning_rate": 0.05,
    "prominence": 0.005,
    "transmission": "product",
    "wing_cut": 6000,
    "target_rms": None,
}


def spread(spectra, n_chosen):
    """Spectra spread evenly over a grid."""
    n_chosen = len(spectra) if n_chosen is None else min(n_chosen, len(spectra))
    return spectra[np.linspace(0, len(spectra) - 1, n_chosen).astype(int)]


def rvs(folder):
    grid = load_npz_grid(folder / "atlas9_rvs_grid.npz", medium="air")
    return grid.wavelength, spread(grid.spectra, 20)


def hband(folder):
    grid = load_npz_grid(folder / "phoenix_hband_grid.npz", medium="vacuum")
    normaliser = make_stellar_estimator(grid.wavelength, lines=False).emulator.normalizer
    flux = normaliser.fit_transform(grid.spectra, teff=grid.parameters[:, 0])
    return grid.wavelength, spread(flux, 20)


def native(folder):
    with np.load(folder / "phoenix_T4100_g2.5_native.npz") as file:
        flux, blase = file["flux"].astype(float), file["blase_flux"].astype(float)
        wavelength = file["wavelength"].astype(float)
    inside = (wavelength > 8068) & (wavelength < 9150)
    rms = np.sqrt(np.mean((blase - flux)[inside] ** 2))
    print(
        f"| phoenix_T4100_g2.5_native | blase's own, 8068-9150 Å | 1 | {inside.sum()} | "
        f"| {rms:.5f} | {rms:.5f} | | | |"
    )
    return wavelength, flux[None]


def hpf(folder):
    grid = load_npz_grid(folder / "atlas9_hpf_grid.npz", medium="air")
    return grid.wavelength, spread(grid.spectra, 3)


# Title, reader, rms and seconds to reach, spectra that the paper's settings are measured on.
SUBJECTS = {
    "rvs": ("atlas9_rvs_grid", rvs, 0.0015, 4, 5),
    "hband": ("phoenix_hband_grid, preprocessed", hband, 0.002, 3, 20),
    "native": ("phoenix_T4100_g2.5_native", native, 0.0015, 40, 1),
    "hpf": ("atlas9_hpf_grid", hpf, 0.002, 60, 1),
}


def measure(wavelength, spectra, settings):
    """Lines, rms, wall and CPU seconds of the fit of each spectrum."""
    rows = []
    for flux in spectra:
        wall, cpu = time.perf_counter(), time.process_time()
        lines, _, rms = fit_spectrum(wavelength, flux, **settings)
        rows.append((len(lines), rms, time.perf_counter() - wall, time.process_time() - cpu))
    return np.array(rows)


def warm_up():
    """Compile the kernels."""
    wavelength = np.linspace(8500.0, 8510.0, 2001)
    flux = 1 - 0.5 * np.exp(-0.5 * ((wavelength - 8505.0) / 0.1) ** 2)
    fit_spectrum(wavelength, flux, target_rms=1e-4, max_iter=2)
    fit_spectrum(wavelength, flux, **PAPER | {"n_epochs": 2})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the npz grids")
    parser.add_argument("--target-rms", type=float, help="instead of the rms to reach")
    parser.add_argument("--only", choices=SUBJECTS, nargs="+", default=list(SUBJECTS))
    parser.add_argument("--n-spectra", type=int, help="at most so many of each, ours")
    parser.add_argument(
        "--n-paper", type=int, help="at most so many of each, the paper's; 0: none"
    )
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        raise SystemExit(f"--data: {arguments.data} is not a folder; it must hold the npz grids")
    sklearn.set_config(enable_metadata_routing=True)
    warm_up()
    print("| spectra | settings | n | pixels | lines | rms | worst | s each | CPU s | reach |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in arguments.only:
        title, read, rms_to_reach, seconds_to_reach, n_paper = SUBJECTS[name]
        wavelength, spectra = read(arguments.data)
        if arguments.n_paper is not None:
            n_paper = min(n_paper, arguments.n_paper)
        target = arguments.target_rms or rms_to_reach
        runs = [
            (
                f"ours, target {target}",
                {"target_rms": target},
                spread(spectra, arguments.n_spectra),
            ),
            ("paper's, our engine", PAPER, spread(spectra, n_paper)),
        ]
        for label, settings, chosen in runs:
            if len(chosen) == 0:
                continue
            rows = measure(wavelength, chosen, settings)
            n_lines, rms, wall, cpu = np.median(rows, axis=0)
            print(
                f"| {title} | {label} | {len(chosen)} | {len(wavelength)} | {n_lines:.0f} "
                f"| {rms:.5f} | {rows[:, 1].max():.5f} | {wall:.1f} | {cpu:.1f} "
                f"| {rms_to_reach}, {seconds_to_reach} s |",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    print(f"\npeak memory {peak:.2f} GiB, all spectra included")


if __name__ == "__main__":
    main()
