"""Infer abundances of elements with a grid that has scaled-solar abundances only.

The spectra are MOOG's, with six elements changed by up to 0.3 dex (`atlas9_rvs_abundances.npz`);
the emulators know scaled-solar spectra of the same code, and a line list. Prints

derivatives  ∂flux/∂[X/Fe] of four stars: correlation and slope of the true on the predicted one
abundances   mean errors of [X/Fe], stellar parameters, velocity, rotation and continuum free;
             beside the Cramér-Rao bound of the same spectra from MOOG's derivatives, and beside
             the scatter of the abundances themselves, which is the error of [X/Fe] = 0

Run as ``python benchmarks/bench_abundances.py [--data FOLDER] [--lines FILE]``.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from bench_calibration import DEFAULT_DATA, SPECTROGRAPH, Bench, observe

from skphx.inference._emulation import emulate_with_jacobian
from skphx.observing import ForwardModel
from skphx.species import name_lines

ELEMENTS = ("Ca", "Si", "Ti", "Mg", "Ni", "Cr")
CHANGED = (*ELEMENTS, "Fe")
NAMES = ("Teff", "log g", "[Fe/H]", *(f"[{one}/Fe]" for one in ELEMENTS))
INSTRUMENTS = ((20_000, 200), (11_500, 100))
COOL = 5500.0
PIXELS_PER_FWHM = 3.0
DEGREE = 3
# Mean absolute value of a standard Gaussian.
MEAN_ABSOLUTE = np.sqrt(2.0 / np.pi)


class MoogDerivatives:
    """∂flux/∂[X/Fe] of four stars, from spectra in which one element is changed by ±0.2 dex."""

    def __init__(self, data):
        self.wavelength = data["wavelength"]
        flux, element, delta = data["one_flux"] / 1e6, data["one_element"], data["one_delta"]
        self.stars = np.flatnonzero(element == "")
        parameters = ("one_teff", "one_logg", "one_feh")
        self.parameters = np.column_stack([data[name][self.stars] for name in parameters])
        self.slopes = {}
        for one in CHANGED:
            high, low = (flux[(element == one) & (np.sign(delta) == sign)] for sign in (1, -1))
            self.slopes[one] = (high - low) / 0.4

    def at(self, point, emulator):
        """Return the derivatives of all elements in another star.

        They are interpolated in Teff between the four stars, and scaled by how much stronger or
        weaker the emulator says the same interpolation is than the derivatives of the star.
        """
        order = np.argsort(self.parameters[:, 0])
        known = self.parameters[order, 0]
        place = np.clip(np.searchsorted(known, point[0]) - 1, 0, len(known) - 2)
        part = np.clip((point[0] - known[place]) / (known[place + 1] - known[place]), 0.0, 1.0)
        pair, weights = order[place : place + 2], np.array([1.0 - part, part])
        stars = np.array([*self.parameters[pair], point])
        solar = np.column_stack([stars, np.zeros((3, len(ELEMENTS)))])
        own = emulator.jacobian(solar)[:, :, 3:]
        scale = np.linalg.norm(own[2], axis=0) / np.linalg.norm(
            np.tensordot(weights, own[:2], 1), axis=0
        )
        return np.stack(
            [
                factor * weights @ self.slopes[one][pair]
                for factor, one in zip(scale, ELEMENTS, strict=True)
            ]
        )


def print_derivatives(named, moog):
    """Print correlation and slope of true against predicted derivatives."""
    emulator = named.with_abundances(ELEMENTS)
    print("\n| star | " + " | ".join(ELEMENTS) + " |\n| --- |" + " --- |" * len(ELEMENTS))
    for row, star in enumerate(moog.parameters):
        cells = []
        for column, element in enumerate(ELEMENTS):
            changed = np.zeros((2, len(ELEMENTS)))
            changed[:, column] = 0.2, -0.2
            high, low = emulator.predict(np.column_stack([np.tile(star, (2, 1)), changed]))
            predicted, true = (high - low) / 0.4, moog.slopes[element][row]
            correlation = np.corrcoef(predicted, true)[0, 1]
            slope = predicted @ true / (predicted @ predicted)
            cells.append(f"{correlation:.3f}, {slope:.2f}")
        text = f"{star[0]:.0f} K, {star[1]:.1f}, {star[2]:+.1f}"
        print(f"| {text} | " + " | ".join(cells) + " |")


def bounds_of(named, moog, truth, star, signal_to_noise):
    """Return the Cramér-Rao bounds of the parameters of each star, (n_stars, 9)."""
    pixels = star["wavelength"]
    template = {"wavelength": pixels, "flux": np.ones_like(pixels)}
    forward = ForwardModel(
        named.wavelength_,
        {**template, "resolution": star["resolution"]},
        max_velocity=5.0,
        max_broadening=20.0,
    )
    polynomials = np.polynomial.legendre.legvander(np.linspace(-1, 1, len(pixels)), DEGREE)
    kinematics = np.array([[0.0, 5.0, 0.0, 0.0]])
    bounds = np.empty((len(truth), len(NAMES)))
    emulator = named.with_abundances(ELEMENTS)
    for row, point in enumerate(truth):
        flux, jacobian = emulate_with_jacobian(named, point[None, :3])
        slopes = np.concatenate([jacobian[0].T, moog.at(point[:3], emulator)])
        spectrum, observed = forward.observe_with_derivatives(
            flux, slopes.T[None], kinematics, ("velocity", "vsini")
        )
        columns = np.concatenate([observed[0], polynomials.T * spectrum[0]])
        columns = columns[:, forward.covered] * signal_to_noise
        # Parameters in units of their usual errors, for a well-conditioned inverse.
        scale = 1.0 / np.sqrt((columns**2).sum(axis=1))
        information = (columns * scale[:, None]) @ (columns * scale[:, None]).T
        covariance = np.linalg.pinv(information) * np.outer(scale, scale)
        bounds[row] = np.sqrt(np.diag(covariance))[: len(NAMES)]
    return bounds


def print_abundances(bench, named, moog, data, resolution, signal_to_noise, n_noise):
    """Infer all spectra at one resolution and S/N, and print the errors."""
    keys = ("teff", "logg", "feh", *(f"x_{one.lower()}" for one in ELEMENTS))
    truth = np.column_stack([data[key] for key in keys])
    spectra, random = data["flux_1e4"] / 1e4, np.random.default_rng(resolution)
    step = data["wavelength"].mean() / resolution / PIXELS_PER_FWHM
    stars = [
        star
        for _ in range(n_noise)
        for star in observe(
            data["wavelength"],
            spectra,
            random,
            signal_to_noise=signal_to_noise,
            resolution=resolution,
            step=step,
        )
    ]
    start = time.perf_counter()
    results = bench.infer(named, stars, SPECTROGRAPH, abundances=ELEMENTS)
    seconds = (time.perf_counter() - start) / len(stars)
    bounds = np.tile(bounds_of(named, moog, truth, stars[0], signal_to_noise), (n_noise, 1))
    truth = np.tile(truth, (n_noise, 1))
    error = np.abs(results.parameters[:, : len(NAMES)] - truth)
    inside = error < results.errors[:, : len(NAMES)]
    found, cool = np.isfinite(error), truth[:, 0] < COOL
    print(
        f"\n{len(stars)} spectra, R = {resolution}, S/N {signal_to_noise} per {step:.2f} Å, "
        f"{seconds:.1f} s a star; median chi²/n {np.median(results.reduced_chi2):.2f}\n"
    )
    print(
        "| parameter | mean error | below 5500 K | of the bound | ratio | of [X/Fe] = 0 "
        "| in 68 % interval | determined |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    for column, name in enumerate(NAMES):
        form = "{:.0f}" if column == 0 else "{:.3f}"
        used = found[:, column]
        mean = error[used, column].mean()
        bound = MEAN_ABSOLUTE * bounds[used, column].mean()
        spread = form.format(np.abs(truth[used, column]).mean()) if column > 2 else ""
        cells = [
            form.format(mean),
            form.format(error[used & cool, column].mean()),
            form.format(bound),
            f"{mean / bound:.2f}",
            spread,
            f"{100 * inside[used, column].mean():.0f} %",
            f"{used.sum()} of {len(stars)}",
        ]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=DEFAULT_DATA)
    parser.add_argument("--lines", type=Path, help="file in which fitted lines are kept")
    parser.add_argument("--n-jobs", type=int, default=1)
    parser.add_argument("--n-noise", type=int, default=2, help="noise realisations of each star")
    arguments = parser.parse_args()
    bench = Bench(arguments)
    data = dict(np.load(arguments.data / "atlas9_rvs_abundances.npz"))
    moog = MoogDerivatives(data)
    for title, emulator in (
        ("Lines and flux of 112 nodes", bench.lines),
        ("Flux of 364 nodes", bench.emulator()),
    ):
        start = time.perf_counter()
        named = name_lines(emulator, bench.line_list, n_jobs=arguments.n_jobs)
        print(f"\n## {title}\n\nNamed in {time.perf_counter() - start:.0f} s.")
        print_derivatives(named, moog)
        for resolution, signal_to_noise in INSTRUMENTS:
            print_abundances(
                bench, named, moog, data, resolution, signal_to_noise, arguments.n_noise
            )


if __name__ == "__main__":
    main()
