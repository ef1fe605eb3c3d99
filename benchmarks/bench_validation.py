"""Count what the grid validation finds of planted and of real faults, and its false positives.

    python benchmarks/bench_validation.py

Prints the tables of docs/grids.md.
"""

from pathlib import Path
from time import perf_counter

import numpy as np

from skphx.datasets import load_npz_grid
from skphx.validation import diagnose_grid

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
# File, medium, and how many of each fault are planted at once.
GRIDS = {
    "PHOENIX H band, absolute flux": ("phoenix_hband_grid", "vacuum", 3),
    "ATLAS9, Gaia's RVS": ("atlas9_rvs_grid", "air", 3),
    "PHOENIX 3000-4300 K": ("phoenix_3000_4300K", "air", 1),
    "ATLAS9, HPF": ("atlas9_hpf_grid", "air", 1),
}
# Grids without faults, or with real ones, as they are.
REAL = (
    "atlas9_rvs_defects",
    "atlas9_rvs_grid",
    "atlas9_hpf_grid",
    "phoenix_hband_grid",
    "phoenix_3000_4300K",
    "atlas9_rvs_5d",
    "atlas9_rvs_5d_vmic15",
    "atlas9_rvs_wide",
)
N_PIXELS = 2000
N_DRAWS = 5


def plant(parameters, spectra, rng, n_each):
    """Spectra with faults at random nodes, and what was planted where."""
    spectra, truth, labels = spectra.copy(), {}, {}
    n_nodes, n_pixels = spectra.shape
    rows = rng.permutation(n_nodes)
    sound = rows[9 * n_each :]
    chosen = iter(rows[: 9 * n_each])
    for _ in range(n_each):
        empty, broken, cut, filled, copied, scaled, noisy, one, other = (
            next(chosen) for _ in range(9)
        )
        spectra[empty] = 0.0
        spectra[broken, n_pixels // 3] = np.nan
        spectra[cut, -n_pixels // 8 :] = 0.0
        spectra[filled, : n_pixels // 10] = spectra[filled, n_pixels // 10]
        spectra[copied] = 1.7 * spectra[rng.choice(sound)]
        spectra[scaled] *= np.pi
        part = slice(n_pixels // 20, n_pixels // 10)
        spectra[noisy, part] *= rng.uniform(0.5, 1.5, spectra[noisy, part].shape)
        spectra[[one, other]] = spectra[[other, one]]
        labels[one], labels[other] = tuple(parameters[other]), tuple(parameters[one])
        truth |= {
            empty: "zero",
            broken: "not_finite",
            cut: "truncated",
            filled: "truncated",
            copied: "duplicate_spectrum",
            scaled: "level",
            noisy: "outlying",
            one: "mislabelled",
            other: "mislabelled",
        }
    return spectra, truth, labels


def print_planted():
    """Print the table of faults that are planted in real grids."""
    columns = ["grid", "false positives, clean", "planted", "found", "kind correct", "labels"]
    print(f"| {' | '.join(columns)} | false positives |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (file, medium, n_each) in GRIDS.items():
        grid = load_npz_grid(DATA / f"{file}.npz", medium=medium)
        spectra = grid.spectra[:, :: max(1, grid.spectra.shape[1] // N_PIXELS)]
        false_positives = len(diagnose_grid(grid.parameters, spectra).findings)
        planted = found = named = relabelled = good_excluded = 0
        for seed in range(N_DRAWS):
            rng = np.random.default_rng(seed)
            faulty, truth, labels = plant(grid.parameters, spectra, rng, n_each)
            report = diagnose_grid(grid.parameters, faulty)
            kinds = {one.row: one.kind for one in report.findings if one.exclude}
            planted += len(truth)
            found += sum(not report.good[row] for row in truth)
            named += sum(kinds.get(row) == kind for row, kind in truth.items())
            good_excluded += sum(row not in truth for row in report.excluded)
            given = {one.row: one.label for one in report.findings}
            relabelled += sum(given.get(row) == label for row, label in labels.items())
        n_labels = 2 * n_each * N_DRAWS
        print(
            f"| {name}, {len(spectra)} nodes | {false_positives} | {planted} | {found} | "
            f"{named} | "
            f"{relabelled} of {n_labels} | {good_excluded} |"
        )


def row_of(nodes):
    """Row of each node."""
    return {tuple(node): row for row, node in enumerate(nodes.tolist())}


def print_real():
    """Print the table of grids as they are, all pixels, with the truth where it is known."""
    print("| grid as it is | spectra | pixels | defective | found | false positives | ms each |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    repaired = load_npz_grid(DATA / "atlas9_rvs_wide.npz", medium="air")
    for file in REAL:
        grid = load_npz_grid(DATA / f"{file}.npz", medium="air")
        defective = np.zeros(len(grid.spectra), dtype=bool)
        if file == "atlas9_rvs_defects":
            rows = row_of(repaired.parameters)
            same = [rows[tuple(node)] for node in grid.parameters.tolist()]
            defective = (grid.spectra != repaired.spectra[same]).any(axis=1)
        started = perf_counter()
        report = diagnose_grid(grid.parameters, grid.spectra, wavelength=grid.wavelength)
        each = 1e3 * (perf_counter() - started) / len(grid.spectra)
        reported = np.zeros(len(grid.spectra), dtype=bool)
        reported[[one.row for one in report.findings if one.row is not None]] = True
        print(
            f"| {file} | {len(grid.spectra)} | {len(grid.wavelength)} | {defective.sum()} | "
            f"{(reported & defective).sum()} | {(reported & ~defective).sum()} | {each:.0f} |"
        )


def main():
    started = perf_counter()
    print_real()
    print()
    print_planted()
    print(f"\n{perf_counter() - started:.0f} s in all, reading included.")


if __name__ == "__main__":
    main()
