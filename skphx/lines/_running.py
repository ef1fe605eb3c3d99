"""Run fits of single spectra through the stores and over the processes: one place for all.

A unit of work is one fit of one spectrum: a function here, and its arguments (arrays, None, and
last a dictionary of settings). What a unit returns depends on its arguments alone, not on other
units, their order, or the process, so that a stored answer is as good as a new one.
"""

import importlib
from collections.abc import Sequence
from os import PathLike
from time import perf_counter
from typing import Any

import numpy as np
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_memory

from skphx._paths import as_path
from skphx.lines._dense import render_dense
from skphx.lines._fitting import fit_lines, fit_spectrum
from skphx.lines._joint import fit_window


class LazyUnits(Sequence):
    """Units of work that are put together when they are asked for, spectra read only then.

    Parameters
    ----------
    n_units : int
        How many.
    make : callable
        ``make(number)`` returns the arguments of that unit.
    """

    def __init__(self, n_units, make):
        self._n_units, self._make = n_units, make

    def __len__(self):
        """Return the number of units."""
        return self._n_units

    def __getitem__(self, number):
        """Put one unit together."""
        if not 0 <= number < self._n_units:
            raise IndexError(f"unit {number} of {self._n_units} does not exist.")
        return self._make(number)


def spectrum_unit(wavelength, flux, start, settings):
    """Find the lines of one spectrum, see `fit_spectrum`; return lines, pixel, rms, seconds."""
    begin = perf_counter()
    lines, pixel, rms = fit_spectrum(wavelength, flux, start=start, **settings)
    return {"lines": lines, "pixel": pixel, "rms": rms, "seconds": perf_counter() - begin}


def fit_unit(wavelength, flux, start, settings):
    """Fit given lines, see `fit_lines`; return lines, rms and seconds."""
    begin = perf_counter()
    lines, rms = fit_lines(wavelength, flux, start, **settings)
    return {"lines": lines, "rms": rms, "seconds": perf_counter() - begin}


def measure_unit(wavelength, flux, lines, rendering):
    """Compare given lines with a spectrum; return lines, rms and seconds."""
    begin = perf_counter()
    model = render_dense(wavelength, lines[None], **rendering)[0]
    rms = float(np.sqrt(np.mean((model - flux) ** 2)))
    return {"lines": lines, "rms": rms, "seconds": perf_counter() - begin}


def surface_unit(wavelength, flux, start, outside, basis, penalty, settings):
    """Fit one window of all spectra together, see `fit_window`.

    Return coefficients, bounds, rms and seconds, and the lines of all spectra.
    """
    begin = perf_counter()
    coefficients, lower, upper, rms = fit_window(
        wavelength, flux, start, outside, basis, penalty, **settings
    )
    lines = np.clip(np.tensordot(basis, coefficients, axes=(1, 2)), lower, upper)
    return {
        "lines": lines,
        "coefficients": coefficients,
        "lower": lower,
        "upper": upper,
        "rms": rms,
        "seconds": perf_counter() - begin,
    }


def run_units(
    function, units, *, n_jobs=None, memory=None, archive=None, nodes=False, progress=None
):
    """Return what units of work yield, from the stores where they are known.

    The archive is asked first, here, and is written to as soon as each result arrives; what it
    lacks goes to the processes, where the memory is asked before the fit is run.

    Parameters
    ----------
    function : callable
        One of the units above, or another of the kind.
    units : sequence of tuple
        Arguments of each unit.
    n_jobs : int or None
        Units computed at once, by :class:`joblib.Parallel` and the backend in force.
    memory : path, :class:`joblib.Memory` or None
        Cache of results.
    archive : LineArchive or None
        Durable store of results.
    nodes : bool
        Whether the units are the nodes of the archive, in their order: then they become what it
        shows as its table.
    progress : Progress or None
        Moved by one for each unit.

    Returns
    -------
    list of dict
        Results in the order of the units.
    """
    results: list[Any] = [None] * len(units)
    keys: list[str] = []
    if archive is not None:
        keys = [archive._key(function.__name__, unit) for unit in units]
        if nodes:
            archive._begin_pass(keys)
        results = [archive._get(key) for key in keys]
    missing = [number for number, result in enumerate(results) if result is None]
    if progress is not None:
        progress.skip(len(units) - len(missing))
    if isinstance(memory, str | PathLike):
        memory = str(as_path(memory))
    compute = check_memory(memory).cache(function)
    # Unordered: a slow spectrum must not hold back from the disk those that are done. Arrays go
    # to the processes as they are: mapped, every spectrum would stay in shared memory to the end.
    computed = Parallel(n_jobs=n_jobs, return_as="generator_unordered", max_nbytes=None)(
        delayed(_numbered)(number, compute, units[number]) for number in missing
    )
    for number, result in computed:
        if archive is not None:
            archive._put(keys[number], result)
        results[number] = result
        if progress is not None:
            progress.update()
    return results


def _numbered(number, compute, unit):
    """Compute one unit; result and error both tell its place."""
    # A worker whose first answers come from the memory would import these later. joblib would take
    # their memory for a leak and restart the worker, with a warning.
    importlib.import_module("skphx.lines._engine.kernels_cpu")
    try:
        return number, compute(*unit)
    except Exception as error:
        error.add_note(f"This happened in spectrum {number} of those fitted together.")
        raise
