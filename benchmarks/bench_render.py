"""Measure the line engine against plain sums: ``python benchmarks/bench_render.py``.

Both sides of every ratio run in this one process, on two threads, after a warm-up that
compiles the kernels. The real line list is read from ``../shared/data``; without it the
random lines alone are measured.
"""

import argparse
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import torch

from skphx.lines import optical_depth, render_flux
from skphx.lines._engine import autograd
from skphx.lines._engine.plan import window_starts
from skphx.lines._render import render_jvp
from skphx.paper import read_state_dicts

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
THREADS = 2
N_LINES = 20_000


def phoenix_pixels(n_pixels=338_651):
    """PHOENIX's two steps, 0.01 Å below 10,000 Å and 0.02 Å above, 8038 to 12849 Å."""
    blue = np.arange(8038.0, 10000.0, 0.01)
    red = np.arange(10000.0, 12849.005, 0.02)
    pixels = np.concatenate([blue, red])
    if n_pixels != len(pixels):
        # The same steps' pattern, finer or coarser.
        at = np.linspace(0.0, len(pixels) - 1.0, n_pixels)
        pixels = np.interp(at, np.arange(len(pixels)), pixels)
    return pixels


def random_lines(n_lines, seed=0):
    """Lines with the widths and strengths of a cool star's spectrum."""
    rng = np.random.default_rng(seed)
    return [
        rng.uniform(8038.0, 12849.0, n_lines),
        rng.normal(-5.0, 1.0, n_lines),
        rng.normal(-3.2, 0.3, n_lines),
        rng.normal(-3.2, 0.5, n_lines),
    ]


def real_lines():
    """Lines of the clone of 4700 K that blase trained, or None where the file is absent."""
    path = SHARED / "blase_T4700g4p5.pt"
    if not path.exists():
        return None
    table = read_state_dicts(path)
    return [table.center, table.log_area, table.log_sigma, table.log_gamma]


def plain_torch(wavelength, lines, wing_cut, chunk=256):
    """Windowed sum in plain torch, as one would write it: gather, evaluate, scatter.

    Chunks of lines that stay in the cache are twice as fast here as all lines at once.
    """
    pixels = torch.as_tensor(wavelength)
    start = torch.as_tensor(window_starts(wavelength, lines[0].numpy(), wing_cut))
    steps = torch.arange(wing_cut)
    depth = torch.zeros_like(pixels)
    for first in range(0, len(start), chunk):
        part = slice(first, first + chunk)
        center, log_area, log_sigma, log_gamma = (v[part, None] for v in lines)
        sigma, gamma = log_sigma.exp(), log_gamma.exp()
        gauss, lorentz = 2.0 * math.sqrt(2.0 * math.log(2.0)) * sigma, 2.0 * gamma
        fwhm = (
            gauss**5
            + 2.69269 * gauss**4 * lorentz
            + 2.42843 * gauss**3 * lorentz**2
            + 4.47163 * gauss**2 * lorentz**3
            + 0.07842 * gauss * lorentz**4
            + lorentz**5
        ) ** 0.2
        ratio = lorentz / fwhm
        eta = 1.36603 * ratio - 0.47719 * ratio**2 + 0.11116 * ratio**3
        half, sigma = 0.5 * fwhm, fwhm / (2.0 * math.sqrt(2.0 * math.log(2.0)))
        index = start[part, None] + steps
        x = pixels[index] - center
        value = eta * half / math.pi / (x * x + half * half)
        value = value + (1.0 - eta) / (math.sqrt(2.0 * math.pi) * sigma) * torch.exp(
            -0.5 * (x / sigma) ** 2
        )
        depth.index_add_(0, index.reshape(-1), (log_area.exp() * value).reshape(-1))
    return depth


def compare(functions, repeat=15):
    """Time functions in turn, so that whatever else the machine does hits all alike.

    Returns the best and the median time of each, in seconds, after one call not counted.
    """
    times = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeat):
        for name, function in functions.items():
            begin = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - begin)
    return {name: (min(each), statistics.median(each)) for name, each in times.items()}


def set_threads():
    """Let torch's operations and the compiled kernels have as many threads."""
    torch.set_num_threads(THREADS)
    numba.set_num_threads(min(THREADS, numba.config.NUMBA_NUM_THREADS))


def forward(wavelength, lines, **options):
    return lambda: optical_depth(wavelength, *lines, **options)


def forward_and_gradient(wavelength, lines, **options):
    leaves = [value.clone().requires_grad_() for value in lines]
    weight = torch.ones(len(wavelength), dtype=torch.float64)

    def run():
        return torch.autograd.grad(optical_depth(wavelength, *leaves, **options), leaves, weight)

    return run


def direct_on_some_pixels(wavelength, lines, transmission, every):
    """Plain sum without any cut, on every so-many-th pixel."""
    return optical_depth(wavelength[::every], *lines, transmission=transmission, method="direct")


def memory_of_a_gradient(kind):
    """Print by how many MB a forward and a gradient raise the resident memory at its peak."""
    set_threads()
    wavelength = phoenix_pixels()
    lines = real_lines() if kind == "real" else random_lines(N_LINES)
    lines = [torch.tensor(value) for value in lines]
    # Load the compiled kernels on a small case of the same kind.
    forward_and_gradient(wavelength[::100], [v[:500] for v in lines], method="mesh")()
    # Linux: forget the peak so far, which the compiler may have set.
    Path("/proc/self/clear_refs").write_text("5")
    before = _resident("VmRSS")
    forward_and_gradient(wavelength, lines, method="mesh")()
    print((_resident("VmHWM") - before) / 1024.0)


def _resident(entry):
    """Resident memory now, or at its peak, in kB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(entry + ":")[2].split()[0])


def measured_memory(kind):
    """Run `memory_of_a_gradient` in a process of its own, in MB."""
    command = [sys.executable, __file__, "--memory-of", kind]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


class Report:
    """Rows of what was reached against what was wanted."""

    def __init__(self):
        self.rows = []

    def add(self, what, measured, wanted, met=None):
        """Add a row, with a verdict if there is one."""
        verdict = "" if met is None else ("met" if met else "NOT MET")
        self.rows.append((what, measured, wanted, verdict))

    def print(self):
        """Print all rows as one table."""
        widths = [max(len(row[k]) for row in self.rows) for k in range(4)]
        for row in self.rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)))


def measure_case(report, name, wavelength, lines, kind, every):
    """All figures of one list of lines."""
    for transmission in ("exponential", "product"):
        mesh = optical_depth(wavelength, *lines, transmission=transmission, method="mesh")
        direct = direct_on_some_pixels(wavelength, lines, transmission, every)
        error = float((mesh[::every] - direct).abs().max() / direct.max())
        what = f"{name}: mesh against direct, no cut, {transmission}"
        report.add(what, f"{error:.1e}", "1e-6", error <= 1e-6)
    times = compare(
        {
            "plain": lambda: plain_torch(wavelength, lines, 6000),
            "ours": forward(wavelength, lines, method="mesh"),
        },
        repeat=3,
    )
    plain = times["plain"]
    times = compare(
        {
            "ours": forward(wavelength, lines, method="mesh"),
            "both": forward_and_gradient(wavelength, lines, method="mesh"),
        },
        repeat=25,
    )
    ours, both = times["ours"], times["both"]
    report.add(f"{name}: forward, ms (best, median)", f"{_ms(ours)}", "40", ours[0] <= 0.04)
    report.add(f"{name}: plain torch at 6000 px, ms (best, median)", _ms(plain), "")
    speed = plain[0] / ours[0]
    report.add(f"{name}: speed-up over plain torch", f"{speed:.0f}x", "20x", speed >= 20)
    report.add(f"{name}: forward and gradient, ms (best, median)", _ms(both), "")
    ratio = both[0] / ours[0]
    report.add(f"{name}: forward and gradient over forward", f"{ratio:.2f}x", "4x", ratio <= 4)
    memory = measured_memory(kind)
    report.add(f"{name}: extra memory of both, MB", f"{memory:.0f}", "300", memory <= 300)


def _ms(times):
    return ", ".join(f"{1e3 * value:.1f}" for value in times)


def measure_growth(report):
    """Doubling lines at fixed pixels, and pixels at fixed lines."""
    tensors = [torch.tensor(value) for value in random_lines(2 * N_LINES)]
    wavelength = phoenix_pixels()
    finer = phoenix_pixels(2 * len(wavelength))
    half = [value[:N_LINES] for value in tensors]
    for name, run in (("forward", forward), ("gradient", forward_and_gradient)):
        times = compare(
            {
                "base": run(wavelength, half, method="mesh"),
                "lines": run(wavelength, tensors, method="mesh"),
                "pixels": run(finer, half, method="mesh"),
            }
        )
        for what in ("lines", "pixels"):
            growth = times[what][0] / times["base"][0]
            report.add(f"{name}: twice the {what}", f"{growth:.2f}x", "2.2x", growth <= 2.2)


def with_path(run, compiled):
    """Run on the compiled kernels or on torch's operations."""

    def chosen():
        autograd.COMPILED = compiled
        run()
        autograd.COMPILED = True

    return chosen


def measure_arrays(report, wavelength, lines):
    """Sum NumPy arrays, which needs no torch, and differentiate along directions."""
    arrays = [value.numpy() for value in lines]
    tangents = np.random.default_rng(1).normal(size=(3, 4, len(arrays[0])))
    times = compare(
        {
            "flux": forward(wavelength, arrays, method="mesh"),
            "slopes": lambda: render_jvp(wavelength, *arrays, tangents, method="mesh"),
        },
        repeat=6,
    )
    for name, what in (("flux", "forward"), ("slopes", "flux and three directions")):
        report.add(f"arrays: {what}, ms (best, median)", _ms(times[name]), "")
    ratio = times["slopes"][0] / times["flux"][0]
    report.add("arrays: three directions over forward", f"{ratio:.2f}x", "")


def measure_paths(report, wavelength, lines):
    """Compiled kernels against torch's operations, and the other profiles."""
    for name, run in (("forward", forward), ("gradient", forward_and_gradient)):
        call = run(wavelength, lines, method="mesh")
        times = compare(
            {"compiled": with_path(call, True), "torch": with_path(call, False)}, repeat=4
        )
        ratio = times["torch"][0] / times["compiled"][0]
        report.add(f"{name}: compiled over torch path", f"{ratio:.1f}x", "2x", ratio >= 2)
    for profile in ("blase", "voigt"):
        for transmission in ("exponential", "product"):
            options = {"method": "mesh", "profile": profile, "transmission": transmission}
            times = compare(
                {
                    "forward": forward(wavelength, lines, **options),
                    "both": forward_and_gradient(wavelength, lines, **options),
                },
                repeat=6,
            )
            what = f"{profile}, {transmission}: forward, and with gradient, ms (best)"
            best = f"{1e3 * times['forward'][0]:.1f}, {1e3 * times['both'][0]:.1f}"
            report.add(what, best, "")


def measure_blase(report):
    """Compare with the spectra that blase itself renders from the same lines."""
    with np.load(SHARED / "blase_T4700g4p5_flux.npz") as file:
        wavelength = file["wavelength"]
        expected = {cut: file[f"flux_wing{cut}"] for cut in (1000, 6000)}
    options = {"profile": "blase", "transmission": "product"}
    for cut, flux in expected.items():
        ours = render_flux(wavelength, *real_lines(), wing_cut=cut, **options)
        error = float(np.abs(ours - flux).max())
        what = f"blase's own flux, wings of {cut} px"
        report.add(what, f"{error:.1e}", "1e-6", error <= 1e-6)
        times = compare(
            {"ours": lambda cut=cut: render_flux(wavelength, *real_lines(), wing_cut=cut)},
            repeat=5,
        )
        report.add(f"windows of {cut} px: forward, ms (best, median)", _ms(times["ours"]), "")


def main():
    set_threads()
    wavelength = phoenix_pixels()
    report = Report()
    report.add("what", "measured", "wanted")
    real = real_lines()
    random = [torch.tensor(value) for value in random_lines(N_LINES)]
    if real is not None:
        lines = [torch.tensor(value) for value in real]
        measure_case(report, f"real {len(real[0]):,} lines", wavelength, lines, "real", 97)
    measure_case(report, f"random {N_LINES:,} lines", wavelength, random, "random", 199)
    measure_growth(report)
    measure_arrays(report, wavelength, random if real is None else lines)
    measure_paths(report, wavelength, random if real is None else lines)
    if real is not None:
        measure_blase(report)
    report.print()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--memory-of", choices=("real", "random"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory_of:
        memory_of_a_gradient(arguments.memory_of)
    else:
        main()
