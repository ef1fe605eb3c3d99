"""Emulate and infer held-out spectra of real grids, beside what a user would write instead.

Prints a table a protocol: flux rms on held-out spectra and mean absolute parameter errors of
the nearest node, of pixels interpolated linearly and by cubic splines, of this package (flux,
and lines alone), and of the paper's configuration. All rows come from the same run; the column
``/cubic`` is each row's flux rms over that of cubic pixels.

Run as ``python benchmarks/bench_grids.py [--data FOLDER] [--n-infer N] [--protocol NAME]``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import sklearn
from baselines import PixelRegressor

from skphx import StellarParameterEstimator, make_stellar_estimator
from skphx.datasets import load_npz_grid
from skphx.metrics import flux_rms, parameter_errors
from skphx.paper import GaussianProcessSearch

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def rvs_coarse(folder):
    """Coarse RVS grid: every second Teff and log g; test on spectra off the grid."""
    grid = load_npz_grid(folder / "atlas9_rvs_grid.npz", medium="air")
    test = load_npz_grid(folder / "atlas9_rvs_offgrid.npz", medium="air")
    teff, logg, _ = grid.parameters.T
    train = (teff % 500 == 0) & (logg % 1 == 0)
    return (
        grid.wavelength,
        grid.spectra[train],
        grid.parameters[train],
        test.spectra,
        (test.parameters),
        True,
    )


def phoenix_hband(folder):
    """PHOENIX H band, raw flux: every second Teff; test on the Teff between."""
    grid = load_npz_grid(folder / "phoenix_hband_grid.npz", medium="vacuum")
    teff = grid.parameters[:, 0]
    train = (teff - teff.min()) % 200 == 0
    inside = ~train & (teff < teff[train].max())
    return (
        grid.wavelength,
        grid.spectra[train],
        grid.parameters[train],
        (grid.spectra[inside]),
        grid.parameters[inside],
        False,
    )


PROTOCOLS = {"rvs": rvs_coarse, "hband": phoenix_hband}


def rows_of(wavelength, normalized, n_jobs):
    """Name and estimator of every row of the table."""
    settings = {"normalized": normalized, "random_state": 0, "n_jobs": n_jobs}
    ours = make_stellar_estimator(wavelength, lines=False, **settings)
    lines = make_stellar_estimator(wavelength, **settings).set_params(emulator__flux=None)
    paper = make_stellar_estimator(wavelength, "paper", **settings)
    normaliser = ours.emulator.normalizer
    # Cubic pixels come first: every row is compared with them.
    for interpolation in ("cubic", "linear", "nearest"):
        yield (
            f"pixels, {interpolation}",
            StellarParameterEstimator(
                PixelRegressor(wavelength, interpolation, normaliser),
                # Least squares cannot start on a staircase: the nearest node is only searched.
                GaussianProcessSearch(n_calls=100)
                if interpolation == "nearest"
                else "gauss-newton",
                random_state=0,
                n_jobs=n_jobs,
            ),
        )
    yield "skphx", ours
    yield "skphx, lines alone", lines
    yield "paper", paper


def run(name, folder, n_infer, n_jobs):
    """Print the table of one protocol, row by row."""
    wavelength, spectra, parameters, test_spectra, test_parameters, normalized = PROTOCOLS[name](
        folder
    )
    chosen = np.linspace(0, len(test_spectra) - 1, min(n_infer, len(test_spectra))).astype(int)
    print(f"\n## {name}: {PROTOCOLS[name].__doc__}")
    print(
        f"Fit on {len(spectra)} nodes; flux rms on {len(test_spectra)} held-out spectra, "
        f"mean absolute parameter errors on {len(chosen)} of them.\n"
    )
    print("| emulator | flux rms | /cubic | Teff/K | log g | [Fe/H] | fit/s | infer/s each |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    cubic = None
    for label, estimator in rows_of(wavelength, normalized, n_jobs):
        start = time.perf_counter()
        estimator.fit(spectra, parameters)
        fit_seconds = time.perf_counter() - start
        emulator = estimator.emulator_
        normalised = emulator.normalize(test_spectra, test_parameters)
        rms = flux_rms(normalised, emulator.predict(test_parameters))
        cubic = rms if cubic is None else cubic
        start = time.perf_counter()
        inferred = estimator.predict(test_spectra[chosen])
        infer_seconds = (time.perf_counter() - start) / len(chosen)
        teff, logg, feh = parameter_errors(test_parameters[chosen], inferred).mean_absolute
        print(
            f"| {label} | {rms:.5f} | {rms / cubic:.2f} | {teff:.1f} | {logg:.3f} "
            f"| {feh:.3f} | {fit_seconds:.1f} | {infer_seconds:.2f} |",
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the npz grids")
    parser.add_argument("--n-infer", type=int, default=16, help="spectra to infer a protocol")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes")
    parser.add_argument("--protocol", choices=[*PROTOCOLS, "all"], default="all")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        raise SystemExit(f"--data: {arguments.data} is not a folder; it must hold the npz grids")
    sklearn.set_config(enable_metadata_routing=True)
    for name in PROTOCOLS if arguments.protocol == "all" else [arguments.protocol]:
        run(name, arguments.data, arguments.n_infer, arguments.n_jobs)


if __name__ == "__main__":
    main()
