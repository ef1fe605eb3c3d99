"""How accurate, how calibrated and how fast inference is, beside the paper and pixel splines.

Prints a table a protocol; all rows of a table come from one run, and the baseline, cubic splines
through the grid's pixels, is inverted by the same code:

nodes      the paper's test: nodes of the grid, noise-free, Teff within 500 K of the truth
held-out   off-grid spectra from every second node, noise-free, over the whole grid
raw        `predict` beside `infer`: noisy raw spectra on the grid's pixels times a cubic continuum
noise      off-grid spectra seen by a spectrograph: noise, velocity, rotation, continuum; beside
           the Cramér-Rao bound
time       seconds a spectrum, spectra a second, `gp_minimize` alone, survey mode
stars      three stars of Gaia's RVS, beside the literature

Run as ``python benchmarks/evaluate.py [PROTOCOL ...] [--data FOLDER]``.
"""

import argparse
import time
from functools import partial
from pathlib import Path

import numpy as np
import sklearn
from baselines import PixelRegressor
from observed_draws import draw_observed
from scipy.stats import norm

from skphx import StellarParameterEstimator, make_stellar_estimator
from skphx.datasets import load_npz_grid, make_stellar_grid
from skphx.inference import ObservationModel, boxes_around
from skphx.inference._bounds_and_priors import draw_points
from skphx.inference._likelihood import Likelihood, to_internal
from skphx.metrics import parameter_errors
from skphx.paper._search import minimize_guided

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
PAPER = "| the paper | 185 | 0.19 | 0.12 | | |"
# Mean absolute value of a Gaussian of unit deviation.
OF_GAUSSIAN = np.sqrt(2.0 / np.pi)
CALCIUM = (8498.02, 8542.09, 8662.14)  # Å in air
LITERATURE = {
    "Kepler-93": "5669 K, 4.47, −0.18",
    "KOI-001": "5850 K, 4.43, −0.15",
    "HD176650": "–",
}


class Bench:
    """Data, emulators made when first asked for, and settings of the run."""

    def __init__(self, arguments):
        self.folder = arguments.data
        self.n_draws = arguments.n_draws
        self.n_jobs = arguments.n_jobs
        self.names = arguments.emulators
        self._made = {}

    def grid(self, name):
        medium = "vacuum" if "phoenix" in name else "air"
        return load_npz_grid(self.folder / f"{name}.npz", medium=medium)

    def emulator(self, name, grid, rows=slice(None), *, key, normalized=True):
        """Fitted emulator `name` of some nodes of a grid."""
        if (name, key) in self._made:
            return self._made[name, key]
        ours = make_stellar_estimator(grid, lines=False, normalized=normalized).emulator
        parameters, spectra = grid.parameters[rows], grid.spectra[rows]
        start = time.perf_counter()
        if name == "skphx":
            emulator = ours.fit(parameters, spectra)
        else:
            emulator = PixelRegressor(grid.wavelength, "cubic", ours.normalizer)
            emulator = emulator.fit(parameters, spectra)
            emulator.medium = grid.medium
        print(f"<!-- {name}, {key}: fitted in {time.perf_counter() - start:.0f} s -->", flush=True)
        self._made[name, key] = emulator
        return emulator

    def estimator(self, emulator, **settings):
        settings = {"random_state": 0, "n_jobs": self.n_jobs, **settings}
        return StellarParameterEstimator.from_emulator(emulator, **settings)


def coarse_rows(grid):
    teff, logg, _ = grid.parameters.T
    return (teff % 500 == 0) & (logg % 1 == 0)


def label_of(name):
    return "pixels, cubic" if name == "pixels" else name


def nodes(bench):
    """Print the paper's test: at least 54 nodes, noise-free, Teff ± 500 K around the truth."""
    for key, name, normalized in (
        ("RVS", "atlas9_rvs_grid", True),
        ("PHOENIX H band", "phoenix_hband_grid", False),
    ):
        grid = bench.grid(name)
        chosen = np.linspace(0, len(grid.parameters) - 1, 54).round().astype(int)
        truth = grid.parameters[chosen]
        print(f"\n## Nodes of the {key} grid, 54 of {len(grid.parameters)}, Teff ± 500 K\n")
        print("| emulator | Teff/K | log g | [Fe/H] | s each | flux rms there |")
        print(f"| --- | --- | --- | --- | --- | --- |\n{PAPER}")
        for emulator_name in bench.names:
            emulator = bench.emulator(emulator_name, grid, key=name, normalized=normalized)
            estimator = bench.estimator(emulator)
            start = time.perf_counter()
            found = estimator.predict(
                grid.spectra[chosen], bounds=boxes_around(truth, {"teff": 500.0})
            )
            seconds = (time.perf_counter() - start) / len(chosen)
            errors = parameter_errors(truth, found).mean_absolute
            normalised = emulator.normalize(grid.spectra[chosen], truth)
            rms = np.sqrt(np.mean((emulator.predict(truth) - normalised) ** 2))
            print(
                f"| {label_of(emulator_name)} | {errors[0]:.2f} | {errors[1]:.4f} | "
                f"{errors[2]:.4f} | {seconds:.2f} | {rms:.1e} |",
                flush=True,
            )


def held_out(bench):
    """Print errors on off-grid spectra, from every second node, over the whole grid."""
    grid, test = bench.grid("atlas9_rvs_grid"), bench.grid("atlas9_rvs_offgrid")
    print("\n## Held-out RVS spectra, coarse grid of 112 nodes, noise-free\n")
    print("| emulator | Teff/K | log g | [Fe/H] | over pixels | s each |")
    print("| --- | --- | --- | --- | --- | --- |")
    baseline = None
    for name in bench.names:
        emulator = bench.emulator(name, grid, coarse_rows(grid), key="coarse")
        start = time.perf_counter()
        found = bench.estimator(emulator).predict(test.spectra)
        seconds = (time.perf_counter() - start) / len(found)
        errors = parameter_errors(test.parameters, found).mean_absolute
        baseline = errors if baseline is None else baseline
        ratios = ", ".join(f"{ratio:.2f}" for ratio in errors / baseline)
        print(
            f"| {label_of(name)} | {errors[0]:.2f} | {errors[1]:.4f} | {errors[2]:.4f} | "
            f"{ratios} | {seconds:.2f} |",
            flush=True,
        )


def raw(bench):
    """Print errors of `predict` and of `infer` on raw noisy spectra times a cubic continuum."""
    print("\n## predict and infer on raw spectra, times a continuum of degree 3, noisy\n")
    print(
        "| spectra | emulator | S/N | predict | infer | predict over infer | bias over scatter |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    coarse, test = bench.grid("atlas9_rvs_grid"), bench.grid("atlas9_rvs_offgrid")
    rows = coarse_rows(coarse)
    settings = {"wavelength": (8450.0, 8650.0), "n_pixels": 4000, "n_lines": 60}
    generated = make_stellar_grid(
        teff=np.arange(4500.0, 6001.0, 250.0), feh=(-0.5, 0.0, 0.5), **settings
    )
    random = np.random.default_rng(1)
    low, high = generated.parameters.min(axis=0), generated.parameters.max(axis=0)
    stars = make_stellar_grid(parameters=random.uniform(low, high, (48, 3)), **settings)
    for title, grid, nodes, truth, normalized in (
        ("ATLAS9, normalised", coarse, rows, test, True),
        ("ATLAS9, through the normalisers", coarse, rows, test, False),
        ("generated, raw", generated, slice(None), stars, False),
    ):
        for name in bench.names:
            emulator = bench.emulator(name, grid, nodes, key=title, normalized=normalized)
            estimator = bench.estimator(emulator)
            for snr in (50, 100, 200, 1000):
                flux, sigma = _with_continuum(truth.spectra, snr)
                observed = [
                    {"wavelength": grid.wavelength, "flux": one, "sigma": error,
                     "medium": grid.medium}
                    for one, error in zip(flux, sigma, strict=True)
                ]  # fmt: skip
                inferred = estimator.infer(observed, continuum_degree=3)
                ours, theirs = (
                    parameter_errors(truth.parameters, found)
                    for found in (
                        estimator.predict(flux),
                        inferred.parameters,
                    )
                )
                ratios = ours.mean_absolute / theirs.mean_absolute
                bias = np.abs(ours.bias) / ours.scatter
                cells = [
                    ", ".join(
                        f"{value:.{digits}f}"
                        for value, digits in zip(values, (1, 3, 4), strict=True)
                    )
                    for values in (ours.mean_absolute, theirs.mean_absolute)
                ]
                print(
                    f"| {title} | {label_of(name)} | {snr} | {cells[0]} | {cells[1]} | "
                    f"{', '.join(f'{ratio:.2f}' for ratio in ratios)} | "
                    f"{', '.join(f'{part:.2f}' for part in bias)} |",
                    flush=True,
                )


def _with_continuum(spectra, snr):
    """Spectra times cubics of their own, with noise, and its standard deviation at each pixel."""
    random = np.random.default_rng(snr)
    place = np.linspace(-1.0, 1.0, spectra.shape[1])
    terms = random.uniform(-0.1, 0.1, (len(spectra), 3)) @ [place, place**2, place**3]
    flux = spectra * (1.0 + terms)
    level = np.percentile(flux, 99, axis=1, keepdims=True)
    sigma = np.broadcast_to(level / snr, flux.shape)
    return flux + random.normal(size=flux.shape) * sigma, sigma


def bound_at(emulator, stars, truth, settings):
    """Cramér-Rao bounds of stars on one set of pixels, at the truth, shape (n_stars, 5)."""
    observing = ObservationModel(**settings)
    segments = [observing.segments_of(star, emulator.medium) for star in stars]
    forward = observing.forward_model_to(segments[0], emulator)
    flux = np.array([star[0].flux for star in segments])
    weights = np.where(
        forward.covered, np.array([star[0].sigma for star in segments]) ** -2.0, 0.0
    )
    problem = Likelihood(emulator, forward, flux, weights, 2, observing.free, None)
    points = np.concatenate([truth, np.zeros((len(truth), 2))], axis=1)
    # The width of a slowly rotating star is no less known than that of one of 1 km/s.
    points[:, 4] = np.maximum(points[:, 4], 1.0)
    curvature = problem.evaluate(to_internal(points, 3), np.arange(len(stars)))[2]
    inverse = np.linalg.inv(curvature[:, problem.columns[:, None], problem.columns])
    errors = np.sqrt(np.diagonal(inverse, axis1=1, axis2=2))
    errors[:, 4] /= 2.0 * points[:, 4]
    return errors


def noise(bench):
    """Print errors and coverage on noisy, moving, rotating spectra beside the bound."""
    grid, test = bench.grid("atlas9_rvs_grid"), bench.grid("atlas9_rvs_offgrid")
    settings = {"velocity": (-60.0, 60.0), "vsini": (0.0, 40.0), "continuum_degree": 2}
    print(
        f"\n## Off-grid RVS spectra through a spectrograph, {bench.n_draws} draws a row\n"
        "\nVelocity ± 50 km/s, v sin i to 20 km/s, quadratic continuum, all free.\n"
    )
    print(
        "| emulator | R | S/N | Teff/K | log g | [Fe/H] | bound | over bound | in 68 % | in 95 % "
        "| chi²/n | flagged |"
    )
    print("|" + " --- |" * 12)
    for resolution, step in ((11_500, 0.1), (50_000, 0.05)):
        for snr in (100, 10, 30, 300):
            stars, truth = draw_observed(
                grid.wavelength, test.spectra, test.parameters, bench.n_draws,
                resolution=resolution, step=step, snr=snr, medium="air", random_state=snr,
            )  # fmt: skip
            for name in bench.names:
                emulator = bench.emulator(name, grid, key="atlas9_rvs_grid")
                results = bench.estimator(emulator).infer(stars, **settings)
                away, errors = np.abs(results.parameters - truth), results.errors
                bound = OF_GAUSSIAN * bound_at(emulator, stars, truth, settings)
                mean, least = away.mean(axis=0)[:3], bound.mean(axis=0)[:3]
                inside = [
                    ", ".join(f"{part:.1%}" for part in (away < width * errors).mean(axis=0)[:3])
                    for width in (norm.ppf(0.84), norm.ppf(0.975))
                ]
                flagged = np.mean(~results.ok)
                print(
                    f"| {label_of(name)} | {resolution} | {snr} | {mean[0]:.2f} | {mean[1]:.4f} | "
                    f"{mean[2]:.4f} | {least[0]:.2f}, {least[1]:.4f}, {least[2]:.4f} | "
                    f"{', '.join(f'{ratio:.2f}' for ratio in mean / least)} | {inside[0]} | "
                    f"{inside[1]} | {results.reduced_chi2.mean():.3f} | "
                    f"{flagged:.1%} |",
                    flush=True,
                )


def timing(bench):
    """Print seconds of everything, best of a few."""
    grid, test = bench.grid("atlas9_rvs_grid"), bench.grid("atlas9_rvs_offgrid")
    print("\n## Time\n\n| what | emulator | measured | aim |\n| --- | --- | --- | --- |")

    def row(what, name, value, asked):
        print(f"| {what} | {label_of(name)} | {value} | {asked} |", flush=True)

    settings = {"velocity": (-60.0, 60.0), "vsini": (0.0, 40.0), "continuum_degree": 2}
    stars, _ = draw_observed(
        grid.wavelength, test.spectra, test.parameters, 240,
        resolution=11_500, step=0.1, snr=100, medium="air", random_state=0,
    )  # fmt: skip
    for name in bench.names:
        emulator = bench.emulator(name, grid, key="atlas9_rvs_grid")
        estimator = bench.estimator(emulator)
        seconds = _best(partial(estimator.predict, test.spectra[:1]))
        row("one spectrum of 13,001 px", name, f"{seconds:.2f} s", "≤ 2 s")
        seconds = _best(partial(estimator.predict, test.spectra[:32]))
        row("32 spectra of 13,001 px at once", name, f"{32 / seconds:.1f}/s", "≥ 3/s")
        seconds = _best(partial(estimator.infer, stars[:1], **settings))
        row("one observed star of 2,320 px, full path", name, f"{seconds:.2f} s", "–")
        start = time.perf_counter()
        survey = estimator.compile(resolution=11_500)
        compile_seconds = time.perf_counter() - start
        compiled = survey.emulator_
        row(
            "compile for Gaia's RVS", name,
            f"{compile_seconds:.0f} s, {len(compiled.low_rank_.components)} components, flux rms "
            f"{compiled.compile_rms_:.1e}, largest {compiled.compile_max_:.1e}", "–",
        )  # fmt: skip
        seconds = _best(partial(survey.infer, stars, **settings))
        row("survey mode, 2,320 px", name, f"{len(stars) / seconds:.0f}/s", "≥ 50/s")
        full, fast = (each.infer(stars[:96], **settings) for each in (estimator, survey))
        apart = np.abs(full.parameters - fast.parameters) / full.errors
        row("survey against full path, largest of 96", name,
            f"{np.max(apart):.3f} σ", "≤ 0.1 σ")  # fmt: skip
    wide = bench.grid("atlas9_hpf_grid")
    for name in bench.names:
        emulator = bench.emulator(name, wide, key="atlas9_hpf_grid")
        estimator = bench.estimator(emulator)
        seconds = _best(partial(estimator.predict, wide.spectra[13:14]), 1)
        row("one spectrum of 240,551 px", name, f"{seconds:.1f} s", "≤ 10 s (7.5 min)")
        star = {"wavelength": wide.wavelength[2000:-2000], "flux": wide.spectra[13, 2000:-2000],
                "sigma": 0.01, "medium": "air"}  # fmt: skip
        seconds = _best(partial(estimator.infer, star, **settings), 1)
        row("the same observed, velocity and v sin i free", name, f"{seconds:.1f} s", "–")
    seconds = _best(_guided_search, 1)
    row("gp_minimize alone, 100 + 20 evaluations", "–", f"{seconds:.1f} s", "≤ 15 s (200–450 s)")


def _best(call, n_times=3):
    seconds = []
    for _ in range(n_times):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _guided_search():
    """Search a loss that costs nothing: what is left is gp_minimize's own time."""
    box = np.array([[4500.0, 7500.0], [2.0, 5.0], [-1.0, 0.5]])
    middle, width = box.mean(axis=1), np.ptp(box, axis=1)

    def loss(point):
        return float(np.sqrt(0.01 + (((point - middle) / width) ** 2).sum()))

    points = draw_points(box, 100, np.random.RandomState(0))
    losses = np.array([loss(point) for point in points])
    minimize_guided(loss, box, points, losses, n_calls=20, random_state=0)


def read_gaia(path):
    """One RVS spectrum as a mapping: nm in vacuum to Å."""
    table = np.genfromtxt(path, delimiter=",", names=True)
    return {
        "wavelength": 10.0 * table["wavelength"],
        "flux": table["flux"],
        "sigma": table["flux_error"],
        "medium": "vacuum",
        "resolution": 11_500,
    }


def stars(bench):
    """Print parameters of real stars; the models' errors, not the emulator's, decide here."""
    grid = bench.grid("atlas9_rvs_grid")
    print("\n## Real stars: Gaia RVS, 3 Å around each Ca II core masked\n")
    print("| star | emulator | Teff/K | log g | [Fe/H] | v sin i | chi²/n | flags | literature |")
    print("|" + " --- |" * 9)
    for path in sorted((bench.folder / "observed").glob("gaia_rvs_*.csv")):
        star = read_gaia(path)
        label = path.stem.removeprefix("gaia_rvs_")
        for name in bench.names:
            emulator = bench.emulator(name, grid, key="atlas9_rvs_grid")
            # The cores are masked where the star moves them; first at rest, then as found.
            result, velocity = None, 0.0
            for _ in range(2):
                cores = np.array(CALCIUM) * 1.000275 * (1.0 + velocity / 299792.458)
                near = np.abs(star["wavelength"][:, None] - cores).min(axis=1) < 3.0
                result = bench.estimator(emulator).infer(
                    {**star, "mask": near},
                    velocity=(-150.0, 150.0),
                    vsini=(0.0, 40.0),
                    continuum_degree=2,
                )
                velocity = result.parameters[3]
            teff, logg, feh, _, vsini = zip(result.parameters, result.errors, strict=True)
            print(
                f"| {label} | {label_of(name)} | {teff[0]:.0f} ± {teff[1]:.0f} | {logg[0]:.2f} ± "
                f"{logg[1]:.2f} | {feh[0]:.2f} ± {feh[1]:.2f} | {vsini[0]:.1f} | "
                f"{result.reduced_chi2:.1f} | {' '.join(result.flags)} "
                f"{' '.join(result.at_bound)} | {LITERATURE.get(label, '–')} |",
                flush=True,
            )


PROTOCOLS = {
    "nodes": nodes,
    "held-out": held_out,
    "raw": raw,
    "noise": noise,
    "time": timing,
    "stars": stars,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help=", ".join(PROTOCOLS))
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the npz grids")
    parser.add_argument("--n-draws", type=int, default=240, help="noisy spectra a row")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--emulators", nargs="+", default=["pixels", "skphx"], choices=["pixels", "skphx"]
    )
    arguments = parser.parse_args()
    unknown = set(arguments.protocols) - set(PROTOCOLS)
    if unknown:
        parser.error(f"unknown protocols {sorted(unknown)}; known are {', '.join(PROTOCOLS)}")
    if not arguments.data.is_dir():
        raise SystemExit(f"--data: {arguments.data} is not a folder; it must hold the npz grids")
    sklearn.set_config(enable_metadata_routing=True)
    bench = Bench(arguments)
    for name in arguments.protocols or PROTOCOLS:
        PROTOCOLS[name](bench)


if __name__ == "__main__":
    main()
