"""Passes over the spectra of a grid: grow a list, clone, fit again, fit together.

What a cloner's settings ask for becomes units of work here, see `skphx.lines._running`, which
sends them through the stores and over the processes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skphx.lines._running import (
    LazyUnits,
    clone_unit,
    fit_unit,
    progress_bar,
    run_units,
    surface_unit,
)
from skphx.lines.archive import LineArchive
from skphx.lines.growing import grow_lines
from skphx.lines.windows import depth_of, make_windows


@dataclass
class Passes:
    """Runs the fits of one set of spectra.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    X : sequence of ndarray of shape (n_pixels,)
        Normalised flux of the spectra.
    cloning, fitting, rendering : dict
        Settings of `clone_spectrum`, `fit_lines` and `optical_depth`, device included.
    n_jobs, memory, verbose
        As in :class:`skphx.VoigtCloner`.
    archive : LineArchive or None
        Durable store of results.
    """

    wavelength: np.ndarray
    X: Any
    cloning: dict
    fitting: dict
    rendering: dict
    n_jobs: int | None = None
    memory: Any = None
    verbose: int = 0
    archive: LineArchive | None = None

    def grow(self, n_seeds):
        """Learn a grown list; each step is a unit of work of its own.

        Parameters
        ----------
        n_seeds : int
            Number of spectra at which it grows.

        Returns
        -------
        rows, seed_lines
            As from :func:`skphx.lines.grow_lines`.
        """
        n_steps = 2 * min(n_seeds, len(self.X)) - 1
        with progress_bar("growing the list", n_steps, verbose=self.verbose) as bar:

            def run_one(function, *unit):
                (fit,) = run_units(
                    function, [unit], memory=self.memory, archive=self.archive, bar=bar
                )
                return fit

            def clone_one(wavelength, flux, *, start=None, **settings):
                fit = run_one(clone_unit, wavelength, flux, start, settings)
                return fit["lines"], fit["pixel"], fit["rms"]

            def fit_one(wavelength, flux, start, **settings):
                fit = run_one(fit_unit, wavelength, flux, start, None, settings)
                return fit["lines"], fit["rms"]

            grown = grow_lines(
                self.wavelength,
                self.X,
                n_seeds=n_seeds,
                clone_one=clone_one,
                fit_one=fit_one,
                **self.cloning,
            )
            # Seeds that add no line need one step only.
            bar.total = bar.n
        return grown

    def clone_each(self, *, first=False):
        """Clone each spectrum by itself.

        Parameters
        ----------
        first : bool
            Leave an archive that shows a pass as it is: transforming the spectra of fit again
            must not undo what `refit` has made smooth.

        Returns
        -------
        list of dict
            Results of `clone_unit`.
        """
        units = LazyUnits(
            len(self.X), lambda row: (self.wavelength, self.X[row], None, self.cloning)
        )
        return self._run(clone_unit, units, first)

    def fit_each(self, start, prior, *, first=False, **settings):
        """Fit given lines to each spectrum.

        Parameters
        ----------
        start, prior : sequences of ndarray of shape (n_lines, 4)
            Lines of each spectrum to begin with, and to be pulled to.
        first : bool
            As in `clone_each`.
        **settings
            In place of those of `fitting`.

        Returns
        -------
        list of dict
            Results of `fit_unit`.
        """
        settings = self.fitting | settings
        units = LazyUnits(
            len(self.X),
            lambda row: (self.wavelength, self.X[row], start[row], prior[row], settings),
        )
        return self._run(fit_unit, units, first)

    def fit_together(self, start, basis, penalty):
        """Fit lines to all spectra together, window by window.

        Parameters
        ----------
        start : ndarray of shape (n_spectra, n_lines, 4)
            Lines to begin with.
        basis : ndarray of shape (n_spectra, n_terms)
            Functions of which their parameters are sums.
        penalty : ndarray of shape (n_terms,)
            How strongly each is held back.

        Returns
        -------
        coefficients : ndarray of shape (n_lines, 4, n_terms)
            Fitted parameters of each line as sums of the functions.
        lower, upper : ndarrays of shape (n_lines, 4)
            Bounds that each parameter keeps.
        """
        lines = start.copy()
        n_lines = lines.shape[1]
        coefficients = np.empty((n_lines, lines.shape[2], basis.shape[1]))
        lower, upper = np.empty(lines.shape[1:]), np.empty(lines.shape[1:])
        windows = make_windows(self.wavelength, lines, basis.shape[1])
        settings = {**self.rendering, "span": float(self.wavelength[-1] - self.wavelength[0])}

        def unit(windows, lines, number):
            window = windows[number]
            wavelength = self.wavelength[window.pixels]
            outside = depth_of(wavelength, lines[:, window.others], **self.rendering)
            flux = np.array([flux[window.pixels] for flux in self.X])
            return wavelength, flux, lines[:, window.lines], outside, basis, penalty, settings

        with progress_bar("smoothing", len(windows), verbose=self.verbose, unit="window") as bar:
            # Every second one first: neighbours must not both mend what is wrong at their border.
            for chosen in (windows[::2], windows[1::2]):
                fits = run_units(
                    surface_unit,
                    LazyUnits(len(chosen), partial(unit, chosen, lines.copy())),
                    n_jobs=self.n_jobs,
                    memory=self.memory,
                    archive=self.archive,
                    bar=bar,
                )
                for window, fit in zip(chosen, fits, strict=True):
                    own = window.lines[window.own]
                    lines[:, own] = fit["lines"][:, window.own]
                    coefficients[own] = fit["coefficients"][window.own]
                    lower[own], upper[own] = fit["lower"][window.own], fit["upper"][window.own]
        return coefficients, lower, upper

    def _run(self, function, units, first):
        """Run one pass in which the units are the nodes of the archive."""
        with progress_bar("cloning", len(units), verbose=self.verbose) as bar:
            return run_units(
                function,
                units,
                n_jobs=self.n_jobs,
                memory=self.memory,
                archive=self.archive,
                nodes=self.archive is not None and not (first and self.archive.has_pass),
                bar=bar,
            )
