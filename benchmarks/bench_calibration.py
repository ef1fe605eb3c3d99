"""Calibrate lines on stars with known parameters, and infer stars that were not used.

Prints a table a protocol; all rows of a table come from one run, and the baseline is the same
emulator without calibration:

null      spectra of the grid's own nodes to 6600 K: nothing is to be learnt
planted   5 % of the lines off by 50 % in strength, Ca II wings wider by 1.4
sme       spectra of another code (PySME): 8 references, the others up to 6600 K inferred
stars     the Sun, WASP-14, Kepler-93 and TrES-2, each left out in turn, 364 nodes
stars5    the same with the grid of five parameters, priors on vmic and alpha

Run as ``python benchmarks/bench_calibration.py [PROTOCOL ...] [--data FOLDER] [--lines FILE]``.
"""

import argparse
import time
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np

from skphx import FluxEmulator, LineManifoldRegressor, StellarParameterEstimator, VoigtCloner
from skphx.calibration import CalibratedEmulator, LineCalibrator
from skphx.calibration._corrections import Coordinates, LineCorrections
from skphx.calibration._features import group_lines
from skphx.datasets import load_npz_grid
from skphx.inference import LineMask, ObservationModel
from skphx.observing import ForwardModel
from skphx.species import read_vald
from skphx.species._line_names import strongest_lines

DEFAULT_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
RESOLUTION, SIGNAL_TO_NOISE = 20_000, 200
SPECTROGRAPH = ObservationModel(velocity=(-60, 60), vsini=(0, 20))
TELESCOPES = ObservationModel(velocity=(-300, 300), vsini=(0, 40))
HOTTEST = 6600.0
# Two sets of eight of the PySME spectra, spread over Teff, log g and [Fe/H].
SME_REFERENCES = ((0, 3, 5, 9, 11, 14, 16, 19), (1, 2, 6, 8, 12, 15, 17, 18))
# Teff (K), log g, [Fe/H] of the literature and their errors; spectra of one star together.
STARS = {
    "Sun": ((5772, 4.438, 0.0), (10, 0.005, 0.02)),
    "WASP-14 (2009)": ((6462, 4.29, -0.13), (75, 0.03, 0.08)),
    "WASP-14 (2010)": ((6462, 4.29, -0.13), (75, 0.03, 0.08)),
    "Kepler-93": ((5669, 4.47, -0.18), (75, 0.01, 0.08)),
    "TrES-2": ((5850, 4.426, -0.15), (50, 0.02, 0.08)),
}
GROUPS = (0, 1, 1, 2, 3)
VMIC, ALPHA = (1.2, 0.3), (0.05, 0.1)


class Bench:
    """Data and emulators of a run."""

    def __init__(self, arguments):
        self.folder, self.n_jobs = arguments.data, arguments.n_jobs
        self.line_list = read_vald(self.folder / "vald_rvs.txt.gz")
        self._lines_file, self._lines = arguments.lines, None

    def grid(self, name):
        return load_npz_grid(self.folder / f"{name}.npz", medium="air")

    def emulator(self, name="atlas9_rvs_grid"):
        grid = self.grid(name)
        emulator = FluxEmulator(
            grid.wavelength, medium="air", parameter_names=grid.parameter_names
        )
        return emulator.fit(grid.parameters, grid.spectra)

    @property
    def lines(self):
        """Lines fitted to 112 nodes of the RVS grid, which takes some minutes."""
        if self._lines is None and self._lines_file is not None and self._lines_file.exists():
            self._lines = joblib.load(self._lines_file)
        if self._lines is None:
            grid = self.grid("atlas9_rvs_grid")
            teff, logg, _ = grid.parameters.T
            rows = (teff % 500 == 0) & (logg % 1 == 0)
            start = time.perf_counter()
            cloner = VoigtCloner(grid.wavelength, n_jobs=self.n_jobs)
            lines = LineManifoldRegressor(cloner, medium="air")
            self._lines = lines.fit(grid.parameters[rows], grid.spectra[rows])
            print(f"<!-- lines fitted in {time.perf_counter() - start:.0f} s -->", flush=True)
            if self._lines_file is not None:
                joblib.dump(self._lines, self._lines_file)
        return self._lines

    def calibrator(self, emulator, observation_model):
        return LineCalibrator(
            emulator, self.line_list, lines=self.lines, observation_model=observation_model
        )

    def infer(self, emulator, stars, observation_model, **settings):
        estimator = StellarParameterEstimator.from_emulator(
            emulator, random_state=0, n_jobs=self.n_jobs, observation_model=observation_model
        )
        return estimator.infer(stars, **settings)


def observe(
    wavelength,
    spectra,
    random,
    *,
    signal_to_noise=SIGNAL_TO_NOISE,
    resolution=RESOLUTION,
    step=0.1,
):
    """Observe model spectra: velocity, rotation, a slope of the continuum, and noise."""
    pixels = np.arange(wavelength[0] + 3.0, wavelength[-1] - 3.0, step)
    template = {"wavelength": pixels, "flux": np.ones_like(pixels), "resolution": resolution}
    forward = ForwardModel(wavelength, template, max_velocity=35.0, max_broadening=20.0)
    x = np.linspace(-1.0, 1.0, len(pixels))
    stars = []
    for flux in spectra:
        velocity, vsini = random.uniform(-30.0, 30.0), random.uniform(2.0, 8.0)
        seen = forward.observe(flux[None], velocity=[velocity], vsini=[vsini])[0]
        first, second = random.normal(0.0, 0.02, 2)
        noise = random.normal(0.0, 1.0 / signal_to_noise, len(pixels))
        seen = seen * (1.0 + first * x + second * x**2) + noise
        stars.append(
            {
                "wavelength": pixels,
                "flux": seen,
                "sigma": 1.0 / signal_to_noise,
                "mask": ~forward.covered,
                "medium": "air",
                "resolution": float(resolution),
            }
        )
    return stars


def errors_of(results, truth):
    """Return differences from the truth, and these in standard errors, (n_stars, 3) each."""
    difference = results.parameters[:, :3] - truth[:, :3]
    return difference, difference / results.errors[:, :3]


def cells(difference, scaled=None):
    """Format mean absolute errors, and the part within the 68 % intervals."""
    teff, logg, feh = np.abs(difference).mean(axis=0)
    text = f"{teff:.0f} K, {logg:.3f}, {feh:.3f}"
    if scaled is None:
        return text
    inside = ", ".join(f"{100 * part:.0f} %" for part in (np.abs(scaled) < 1.0).mean(axis=0))
    return f"{text} | {inside}"


def references_and_others(grid, rows, random, emulator=None):
    """Return 8 reference stars and 20 others, of some spectra of a grid or from an emulator."""
    chosen = random.permutation(rows)[:28]
    truth = grid.parameters[chosen]
    spectra = grid.spectra[chosen] if emulator is None else emulator.predict(truth)
    stars = observe(grid.wavelength, spectra, random)
    return (stars[:8], truth[:8]), (stars[8:], truth[8:])


def null(bench):
    """Print what is learnt where nothing is wrong."""
    emulator = bench.emulator()
    random, grid = np.random.default_rng(0), bench.grid("atlas9_rvs_grid")
    cool = np.flatnonzero(grid.parameters[:, 0] <= HOTTEST)
    references, others = references_and_others(grid, cool, random)
    calibrator = bench.calibrator(emulator, SPECTROGRAPH).fit(*references)
    table = calibrator.corrections_.to_pandas()
    pulls = calibrator.corrections_.pulls
    before = bench.infer(emulator, others[0], SPECTROGRAPH)
    after = bench.infer(calibrator.emulator_, others[0], SPECTROGRAPH)
    moved = (after.parameters - before.parameters)[:, :3] / before.errors[:, :3]
    print("\n## Null: spectra of the grid's own nodes\n")
    print("| quantity | measured | asked |\n| --- | --- | --- |")
    print(f"| mean square of the pulls | {np.mean(pulls**2):.2f} | 0.8–1.2 |")
    print(f"| rms correction of ln strength | {table['strength'].std():.4f} | |")
    print(
        f"| rms change of others' parameters, σ | "
        f"{', '.join(f'{x:.2f}' for x in np.sqrt(np.mean(moved**2, axis=0)))} | < 0.3 |"
    )
    print(f"| errors before | {cells(*errors_of(before, others[1]))} | |")
    print(f"| errors after | {cells(*errors_of(after, others[1]))} | |", flush=True)


def planted(bench):
    """Print what is found of planted errors of lines."""
    random = np.random.default_rng(1)
    emulator, lines = bench.emulator(), bench.lines
    test = bench.grid("atlas9_rvs_offgrid")
    at_stars = lines.manifold_.at(test.parameters)
    groups = group_lines(strongest_lines(at_stars), bench.line_list, "air")
    names = emulator.grid_.parameter_names
    none = LineCorrections.none(
        lines, (0, 1, 2), Coordinates.of_stars(test.parameters, names), groups
    )
    n_lines = len(none)
    strength, width = np.zeros(n_lines), np.zeros(n_lines)
    chosen = random.choice(n_lines, n_lines // 20, replace=False)
    strength[chosen] = np.log(random.choice([0.5, 1.5], len(chosen)))
    wide = strongest_lines(at_stars)[:, 3] > np.log(0.3)
    width[(groups.species == "Ca II") & wide] = np.log(1.4)
    wrong = CalibratedEmulator._of_fitted(emulator, replace(none, strength=strength, width=width))
    every = np.arange(len(test.parameters))
    references, others = references_and_others(test, every, random, wrong)
    calibrator = bench.calibrator(emulator, SPECTROGRAPH).fit(*references)
    table = calibrator.corrections_.to_pandas()
    deep = chosen[table["depth"].to_numpy()[chosen] > 0.05]
    found = table["strength"].to_numpy()[deep]
    error = table["strength_error"].to_numpy()[deep]
    is_found = (np.sign(found) == np.sign(strength[deep])) & (np.abs(found) > 3.0 * error)
    rows = {
        "right models": bench.infer(wrong, others[0], SPECTROGRAPH),
        "wrong models": bench.infer(emulator, others[0], SPECTROGRAPH),
        "calibrated": bench.infer(calibrator.emulator_, others[0], SPECTROGRAPH),
    }
    print("\n## Planted: 5 % of the lines off by 50 % in strength, Ca II wings × 1.4\n")
    print(f"{len(deep)} planted lines are deeper than 0.05; {is_found.sum()} found ", end="")
    print(f"({100 * is_found.mean():.0f} %, asked 90 %): right sign, 3 standard errors.\n")
    print("| models | errors | in 68 % | over right models |\n| --- | --- | --- | --- |")
    least = np.abs(errors_of(rows["right models"], others[1])[0]).mean(axis=0)
    for name, results in rows.items():
        difference, scaled = errors_of(results, others[1])
        ratio = np.abs(difference).mean(axis=0) / least
        listed = ", ".join(f"{one:.2f}" for one in ratio)
        print(f"| {name} | {cells(difference, scaled)} | {listed} |", flush=True)


def sme(bench):
    """Print errors for spectra of another code."""
    with np.load(bench.folder / "sme_rvs_reference.npz") as file:
        truth = np.stack([file["teff"], file["logg"], file["feh"]], axis=1)
        stars = observe(file["wavelength"], file["flux_1e4"] / 1e4, np.random.default_rng(0))
    emulator = bench.emulator()
    print("\n## Another code: 8 PySME spectra as references, others to 6600 K inferred\n")
    print("| references | emulator | errors | in 68 % | chi²/n | fit/s | infer/s each |")
    print("|" + " --- |" * 7)
    for number, references in enumerate(SME_REFERENCES, start=1):
        tested = [
            star
            for star in range(len(stars))
            if star not in references and truth[star, 0] <= HOTTEST
        ]
        start = time.perf_counter()
        calibrator = bench.calibrator(emulator, SPECTROGRAPH)
        calibrator.fit([stars[star] for star in references], truth[list(references)])
        seconds = time.perf_counter() - start
        for label, used, settings in (
            ("uncalibrated", emulator, {}),
            ("calibrated, no model error", calibrator.emulator_, {"model_error": False}),
            ("calibrated", calibrator.emulator_, {}),
        ):
            start = time.perf_counter()
            results = bench.infer(used, [stars[star] for star in tested], SPECTROGRAPH, **settings)
            each = (time.perf_counter() - start) / len(tested)
            print(
                f"| {number} | {label} | {cells(*errors_of(results, truth[tested]))} | "
                f"{np.mean(results.reduced_chi2):.2f} | {seconds:.0f} | {each:.1f} |",
                flush=True,
            )


def real_spectra(folder):
    """Return the spectra of `STARS`, in their order, each a list of segments."""

    def load(name):
        with np.load(folder / "stars" / f"{name}.npz") as file:
            kept = ("wavelength", "flux", "sigma", "medium", "resolution")
            star = {key: file[key] for key in kept if key in file}
        return {**star, "medium": str(star["medium"]), "resolution": float(star["resolution"])}

    sun = load("Sun_SAO2010")
    inside = (sun["wavelength"] > 8446) & (sun["wavelength"] < 8716)
    sun |= {key: sun[key][inside] for key in ("wavelength", "flux")}
    wasp = [
        [load(f"WASP14-{night}_TRES_order{order}") for order in (48, 49)]
        for night in ("2009-06-14", "2010-04-24")
    ]
    return [[sun], *wasp, [load("gaia_rvs_Kepler-93")], [load("gaia_rvs_KOI-001")]]


def stars(bench, name="atlas9_rvs_grid", more=(), priors=None):
    """Print errors of real stars, each inferred with corrections learnt from the others."""
    emulator = bench.emulator(name)
    spectra = real_spectra(bench.folder)
    truth = np.array([values + tuple(mean for mean, _ in more) for values, _ in STARS.values()])
    errors = np.array([own + tuple(width for _, width in more) for _, own in STARS.values()])
    print(f"\n## Real stars, each left out in turn, {name}\n")
    print("| star | emulator | Teff/K | log g | [Fe/H] | chi²/n | flags |\n|" + " --- |" * 7)
    before = bench.infer(
        emulator,
        spectra,
        TELESCOPES,
        priors=priors,
    )
    found = [("uncalibrated", before)]
    start = time.perf_counter()
    mask = LineMask(bench.line_list, {"Ca II": 3.0}, min_depth=0.5)
    for label, model in (
        ("calibrated", TELESCOPES),
        ("calibrated, Ca II masked", replace(TELESCOPES, line_mask=mask)),
    ):
        results = bench.calibrator(emulator, model).infer_left_out(
            spectra,
            truth,
            errors,
            groups=GROUPS,
            priors=priors,
            n_jobs=bench.n_jobs,
        )
        found.append((label, results))
    seconds = time.perf_counter() - start
    for label, results in found:
        difference, scaled = errors_of(results, truth)
        for star, row in zip(STARS, range(len(truth)), strict=True):
            shown = " | ".join(
                f"{value:+.{digits}f} ± {error:.{digits}f}"
                for value, error, digits in zip(
                    difference[row], results.errors[row], (0, 2, 2), strict=False
                )
            )
            flags = " ".join(results.flags[row])
            print(f"| {star} | {label} | {shown} | {results.reduced_chi2[row]:.2f} | {flags} |")
        size = np.abs(difference)
        by_star = np.array([size[np.equal(GROUPS, one)].mean(axis=0) for one in range(4)])
        inside = (np.abs(scaled) < 1.0).mean(axis=0)
        print(f"| **mean of 4 stars** | {label} | {cells(by_star)} ||| | in 68 %: {inside} |")
        print(f"| **without TrES-2** | {label} | {cells(by_star[:3])} ||| | |", flush=True)
    print(f"\neight calibrations and ten stars: {seconds:.0f} s", flush=True)


def stars5(bench):
    """Print the same with free microturbulence and alpha elements."""
    stars(bench, "atlas9_rvs_5d", (VMIC, ALPHA), {"vmic": VMIC, "alpha": ALPHA})


PROTOCOLS = {"null": null, "planted": planted, "sme": sme, "stars": stars, "stars5": stars5}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("protocols", nargs="*", metavar="PROTOCOL", help=", ".join(PROTOCOLS))
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA, help="folder of the npz grids")
    parser.add_argument("--lines", type=Path, help="file in which the fitted lines are kept")
    parser.add_argument("--n-jobs", type=int, default=2, help="processes")
    arguments = parser.parse_args()
    unknown = set(arguments.protocols) - set(PROTOCOLS)
    if unknown:
        parser.error(f"unknown protocols {sorted(unknown)}; known are {', '.join(PROTOCOLS)}")
    if not arguments.data.is_dir():
        raise SystemExit(f"--data: {arguments.data} is not a folder; it must hold the npz grids")
    bench = Bench(arguments)
    for name in arguments.protocols or PROTOCOLS:
        PROTOCOLS[name](bench)


if __name__ == "__main__":
    main()
