"""An emulator of the paper's size: bytes on disk, seconds to open, milliseconds a spectrum.

Generates 1,314 nodes with 128,723 lines of which a node has about 9,200, as many as the paper's
grid, saves the emulator, opens it memory-mapped in a new process, and renders 338,651 pixels.
Growth with the number of nodes is measured on a grid of a quarter of them in the same run.

Run as ``python benchmarks/bench_size.py``.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import joblib
import numpy as np

from skphx.lines import LineTable
from skphx.paper import PaperCloner, PaperEmulator

TEFF = np.concatenate([np.arange(2300.0, 7001.0, 100.0), np.arange(7200.0, 12001.0, 200.0)])
LOGG = np.arange(2.0, 6.01, 0.5)
FEH = np.array([-0.5, 0.0])
N_LINES, LINES_A_NODE = 128_723, 9_200
# PHOENIX's pixels: 0.01 Å below 10,000 Å, 0.02 Å above.
WAVELENGTH = np.concatenate([np.arange(8038.0, 10000.0, 0.01), np.arange(10000.0, 12849.0, 0.02)])
# Paper's figure, and what is asked for here.
GOALS = (
    ("on disk, MB", "disk_mb", "13,200", 400),
    ("opening, s", "open_s", "", 1.0),
    ("first spectrum, opened cold, ms", "cold_ms", "15,000", None),
    ("one spectrum, ms", "one_ms", "15,000", 150),
    ("each of 32, ms", "batch_ms", "1,000", 60),
    ("peak memory, MB", "peak_mb", "", 2000),
)


def make_emulator(teff, rng):
    """Emulator of lines that are each seen in a part of the grid."""
    parameters = np.array(list(product(teff, LOGG, FEH)))
    center = np.sort(rng.uniform(WAVELENGTH[0], WAVELENGTH[-1], N_LINES))
    warmth = rng.uniform(0.0, 1.0, N_LINES)
    reach = LINES_A_NODE / N_LINES
    strength = rng.normal(-4.5, 1.2, N_LINES)
    place = np.searchsorted(teff, parameters[:, 0]) / (len(teff) - 1.0)
    tables = []
    for (_, logg, feh), at in zip(parameters, place, strict=True):
        # On a circle, so that nodes at the ends have as many lines as those in the middle.
        away = np.abs((warmth - at + 0.5) % 1.0 - 0.5)
        identity = np.flatnonzero(away < 0.5 * reach)
        n = len(identity)
        tables.append(
            LineTable(
                offsets=[0, n],
                identity=identity,
                center=center[identity] + 0.001 * (logg - 4.0),
                log_area=strength[identity] + 0.8 * feh - 20.0 * away[identity],
                log_sigma=np.full(n, -3.0),
                log_gamma=np.full(n, -3.5) + 0.1 * (logg - 4.0),
            )
        )
    # Whole wings, which take longer than the paper's.
    cloner = PaperCloner(WAVELENGTH, transmission="exponential", wing_cut=None)
    emulator = PaperEmulator(cloner, missing="fade")
    return emulator.fit_table(parameters, LineTable.concatenate(tables))


def render(path):
    """Measure in a new process; print JSON."""
    start = time.perf_counter()
    emulator = joblib.load(path, mmap_mode="r")
    opened = time.perf_counter() - start
    rng = np.random.default_rng(1)
    low, high = emulator.grid_.bounds.T
    points = rng.uniform(low, high, (64, 3))

    def seconds(rows):
        begin = time.perf_counter()
        flux = emulator.predict(points[rows])
        assert np.isfinite(flux).all()
        return time.perf_counter() - begin

    cold = seconds(slice(0, 1))
    one = np.median([seconds(slice(k, k + 1)) for k in range(1, 12)])
    batch = min(seconds(slice(0, 32)), seconds(slice(32, 64))) / 32
    print(
        json.dumps(
            {
                "disk_mb": Path(path).stat().st_size / 1e6,
                "open_s": opened,
                "cold_ms": 1e3 * cold,
                "one_ms": 1e3 * one,
                "batch_ms": 1e3 * batch,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "n_nodes": len(emulator.grid_.nodes),
                "n_instances": int(emulator.manifold_.n_instances),
            }
        )
    )


def measure(teff):
    """Save an emulator and measure it in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "emulator.joblib"
        joblib.dump(make_emulator(teff, np.random.default_rng(0)), path)
        command = [sys.executable, __file__, "--render", str(path)]
        found = subprocess.run(command, capture_output=True, text=True, check=True)
        return json.loads(found.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--render", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.render:
        render(arguments.render)
        return
    whole, quarter = measure(TEFF), measure(TEFF[::4])
    print(
        f"{whole['n_nodes']:,} nodes, {N_LINES:,} lines, {whole['n_instances']:,} line instances, "
        f"{len(WAVELENGTH):,} pixels, linear interpolation\n"
    )
    print("| what | measured | aim | paper | over a quarter of the nodes |")
    print("| --- | --- | --- | --- | --- |")
    for title, key, paper, goal in GOALS:
        asked = "" if goal is None else f"{goal:g}"
        ratio = whole[key] / quarter[key]
        print(f"| {title} | {whole[key]:,.4g} | {asked} | {paper} | {ratio:.2f}× |")


if __name__ == "__main__":
    main()
