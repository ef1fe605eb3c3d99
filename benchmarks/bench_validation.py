"""Plant faults in real grids and count what the grid validation finds.

    python benchmarks/bench_validation.py

Prints the table of docs/grids.md.
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


def main():
    columns = ["grid", "false positives, clean", "planted", "found", "kind correct", "labels"]
    print(f"| {' | '.join(columns)} | false positives |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    started = perf_counter()
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
    print(f"\n{perf_counter() - started:.0f} s in all, reading included.")


if __name__ == "__main__":
    main()
