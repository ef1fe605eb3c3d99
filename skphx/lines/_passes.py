"""Passes over the spectra of a grid: grow a list, fit each, measure each, fit together.

What an estimator's settings ask for becomes units of work here, see `skphx.lines._running`,
which sends them through the stores and over the processes.
"""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from skphx._domain import LINE_PARAMETERS
from skphx._progress import Progress, Task
from skphx.lines._archive import LineArchive
from skphx.lines._growing import grow_lines
from skphx.lines._running import (
    LazyUnits,
    fit_unit,
    measure_unit,
    run_units,
    spectrum_unit,
    surface_unit,
)
from skphx.lines._windows import depth_of, make_windows


@dataclass
class Passes:
    """Runs the fits of one set of spectra.

    Parameters
    ----------
    wavelength : ndarray of shape (n_pixels,)
        Pixel centres in Å.
    X : sequence of ndarray of shape (n_pixels,)
        Normalised flux of the spectra.
    fitting, rendering : dict
        Settings of `fit_lines` and of `optical_depth`, device included.
    n_jobs, memory, verbose
        As in :class:`skphx.VoigtCloner`.
    archive : LineArchive or None
        Durable store of results.
    task : Task or None
        The fit of which the passes are parts, for scikit-learn's callbacks.
    """

    wavelength: np.ndarray
    X: Any
    fitting: dict
    rendering: dict
    n_jobs: int | None = None
    memory: Any = None
    verbose: int = 0
    archive: LineArchive | None = None
    task: Task | None = None

    def grow(self, n_seeds, **finding):
        """Learn a grown list; each step is a unit of work of its own.

        Parameters
        ----------
        n_seeds : int
            Number of spectra at which it grows.
        **finding
            `prominence`, `target_rms` and `max_lines`, see `grow_lines`.

        Returns
        -------
        rows, seed_lines
            As from :func:`skphx.lines._growing.grow_lines`.
        """
        n_steps = 2 * min(n_seeds, len(self.X)) - 1
        with self._progress("growing the list", n_steps) as progress:

            def run_one(function, *unit):
                (fit,) = run_units(
                    function, [unit], memory=self.memory, archive=self.archive, progress=progress
                )
                return fit

            def fit_spectrum(wavelength, flux, *, start=None, **settings):
                fit = run_one(spectrum_unit, wavelength, flux, start, settings)
                return fit["lines"], fit["pixel"], fit["rms"]

            def fit_lines(wavelength, flux, start, **settings):
                fit = run_one(fit_unit, wavelength, flux, start, settings)
                return fit["lines"], fit["rms"]

            grown = grow_lines(
                self.wavelength,
                self.X,
                n_seeds=n_seeds,
                fit_spectrum=fit_spectrum,
                fit_lines=fit_lines,
                **finding,
                **self.fitting,
            )
            # Seeds that add no line need one step only.
            progress.finish()
        return grown

    def fit_each(self, start, *, first=False, **settings):
        """Fit given lines to each spectrum.

        Parameters
        ----------
        start : sequence of ndarray of shape (n_lines, 4)
            Lines of each spectrum to begin with, to which they are held.
        first : bool
            As in `run`.
        **settings
            Beside those of `fitting`, or in place of them.

        Returns
        -------
        list of dict
            Results of `fit_unit`.
        """
        settings = self.fitting | settings
        return self.run(
            fit_unit, lambda row: (self.wavelength, self.X[row], start[row], settings), first=first
        )

    def measure_each(self, lines):
        """Compare given lines with each spectrum.

        Parameters
        ----------
        lines : sequence of ndarray of shape (n_lines, 4)
            Lines of each spectrum.

        Returns
        -------
        list of dict
            Results of `measure_unit`.
        """
        return self.run(
            measure_unit, lambda row: (self.wavelength, self.X[row], lines[row], self.rendering)
        )

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

        Raises
        ------
        ValueError
            If the shapes do not belong together.
        """
        lines, basis, penalty = (
            np.array(values, dtype=np.float64) for values in (start, basis, penalty)
        )
        n_lines = lines.shape[1]
        if lines.shape != (len(self.X), n_lines, len(LINE_PARAMETERS)):
            raise ValueError(
                f"start must hold the four parameters of every line of each of the {len(self.X)} "
                f"spectra, got shape {lines.shape}."
            )
        if basis.ndim != 2 or len(basis) != len(self.X) or penalty.shape != basis.shape[1:]:
            raise ValueError(
                f"basis must have a row for each of the {len(self.X)} spectra and penalty a "
                f"number for each of its columns, got shapes {basis.shape} and {penalty.shape}."
            )
        coefficients = np.empty((n_lines, lines.shape[2], basis.shape[1]))
        lower, upper = np.empty(lines.shape[1:]), np.empty(lines.shape[1:])
        if n_lines == 0:
            return coefficients, lower, upper
        windows = make_windows(self.wavelength, lines, basis.shape[1])
        settings = {**self.rendering, "span": float(self.wavelength[-1] - self.wavelength[0])}

        def unit(windows, lines, number):
            window = windows[number]
            wavelength = self.wavelength[window.pixels]
            outside = depth_of(wavelength, lines[:, window.others], **self.rendering)
            flux = np.array([flux[window.pixels] for flux in self.X])
            return wavelength, flux, lines[:, window.lines], outside, basis, penalty, settings

        with self._progress("fitting surfaces", len(windows), unit="window") as progress:
            # Every second one first: no two neighbours correct the same border at once.
            for chosen in (windows[::2], windows[1::2]):
                fits = run_units(
                    surface_unit,
                    LazyUnits(len(chosen), partial(unit, chosen, lines.copy())),
                    n_jobs=self.n_jobs,
                    memory=self.memory,
                    archive=self.archive,
                    progress=progress,
                )
                for window, fit in zip(chosen, fits, strict=True):
                    own = window.lines[window.own]
                    lines[:, own] = fit["lines"][:, window.own]
                    coefficients[own] = fit["coefficients"][window.own]
                    lower[own], upper[own] = fit["lower"][window.own], fit["upper"][window.own]
        return coefficients, lower, upper

    def run(self, function, unit, *, first=False):
        """Run one pass in which the units are the nodes of the archive.

        Parameters
        ----------
        function : callable
            What fits one spectrum, see `skphx.lines._running`.
        unit : callable
            ``unit(row)`` gives its arguments for that spectrum.
        first : bool
            Leave an archive that shows a pass as it is: transforming the spectra of fit again
            must not undo lines that were made smooth.

        Returns
        -------
        list of dict
            Results of `function`.
        """
        n_spectra = len(self.X)
        with self._progress("fitting lines", n_spectra) as progress:
            return run_units(
                function,
                LazyUnits(n_spectra, unit),
                n_jobs=self.n_jobs,
                memory=self.memory,
                archive=self.archive,
                nodes=self.archive is not None and not (first and self.archive.has_pass),
                progress=progress,
            )

    def _progress(self, description, total, **unit):
        return Progress(description, total, verbose=self.verbose, task=self.task, **unit)
