"""``skphx evaluate``: errors of the emulator and of interpolated pixels on left-out spectra."""

import argparse

import numpy as np
from numpy.typing import NDArray

from skphx.cli._emulate import make_estimator
from skphx.cli._parser import add_command, add_configuration, add_no_lines
from skphx.cli._reading import read_grid
from skphx.interpolation import make_grid
from skphx.metrics import flux_rms, parameter_errors
from skphx.model_selection import Coarsen, InteriorNodes, LeavePlaneOut

_DESCRIPTION = """\
Leave spectra of a grid out, emulate them, and print the errors, together with those of linear and
cubic interpolation of the pixels of the same normalised spectra.

  skphx evaluate grid.npz
  skphx evaluate grid.npz --split plane --parameter teff --infer

Splits: coarsen trains on every second value of each parameter, in one split; plane leaves out one
interior value of a parameter at a time; interior leaves out single nodes. Lines are fitted in each
split: --memory stores them for further runs, --no-lines fits no lines."""

_SPLITS = ("coarsen", "plane", "interior")


def add_parsers(commands):
    """Add the command to the parser."""
    parser = add_command(
        commands, "evaluate", run, "measure errors on left-out spectra", _DESCRIPTION
    )
    parser.add_argument("grid", metavar="GRID", help="file of skphx fetch, .npz or .h5")
    parser.add_argument(
        "--split",
        choices=_SPLITS,
        default="coarsen",
        help="how spectra are left out (default: coarsen)",
    )
    parser.add_argument("--parameter", help="parameter whose values are left out (default: all)")
    parser.add_argument("--n-splits", type=int, metavar="N", help="largest number of splits")
    parser.add_argument(
        "--infer", action="store_true", help="also infer the parameters of the left-out spectra"
    )
    parser.add_argument(
        "--memory", metavar="FOLDER", help="folder in which fitted lines are stored"
    )
    add_configuration(parser)
    add_no_lines(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the table of errors."""
    grid = read_grid(arguments.grid, arguments.medium)
    settings = {
        "configuration": arguments.configuration or "default",
        "normalized": bool(arguments.normalized),
        "interpolation": arguments.interpolation,
        "lines": not arguments.no_lines,
    }
    table = evaluate(
        grid,
        _splitter(arguments, grid.parameter_names),
        make_estimator(
            grid,
            settings,
            n_jobs=arguments.n_jobs,
            memory=arguments.memory,
            verbose=not arguments.quiet,
        ),
        n_splits=arguments.n_splits,
        infer=arguments.infer,
    )
    print(f"{table['n_spectra']} left-out spectra, mean rms error of the normalised flux:")
    for name, rms in table["flux_rms"].items():
        print(f"  {name:<16} {rms:.5f}")
    if table["parameters"] is not None:
        print("Errors of their inferred parameters:")
        print(table["parameters"])


def evaluate(grid, splitter, estimator, *, n_splits=None, infer=False):
    """Return the errors of an emulator on left-out spectra.

    Parameters
    ----------
    grid : Bunch
        Spectra and parameters.
    splitter : splitter of skphx.model_selection
        Splits into training and left-out spectra.
    estimator : StellarParameterEstimator
        Unfitted estimator, of which the emulator is used, and with `infer` also the search.
    n_splits : int or None
        Largest number of splits.
    infer : bool
        Whether to infer the parameters of the left-out spectra.

    Returns
    -------
    dict
        ``n_spectra``; ``flux_rms``, the mean over the spectra of the rms error of the normalised
        flux, for the emulator and for interpolated pixels; and ``parameters``, a
        Result of :func:`skphx.metrics.parameter_errors`, or None.
    """
    from sklearn.base import clone

    rms: dict[str, list[NDArray[np.float64]]] = {
        "emulator": [],
        "pixels, linear": [],
        "pixels, cubic": [],
    }
    true, found = [], []
    for number, (train, test) in enumerate(splitter.split(grid.parameters)):
        if number == n_splits:
            break
        model = clone(estimator).set_params(emulator__holes="interpolate")
        nodes, points = grid.parameters[train], grid.parameters[test]
        model.fit(grid.spectra[train], nodes)
        emulator = model.emulator_
        truth = emulator.normalize(grid.spectra[test], points)
        rms["emulator"].append(flux_rms(truth, emulator.predict(points), per_spectrum=True))
        pixels = emulator.normalize(grid.spectra[train], nodes)
        for order in ("linear", "cubic"):
            weights = make_grid(
                nodes,
                parameter_names=grid.parameter_names,
                interpolation=order,
                holes="interpolate",
            ).weights(points)
            rms[f"pixels, {order}"].append(flux_rms(truth, weights @ pixels, per_spectrum=True))
        if infer:
            true.append(points)
            found.append(model.predict(grid.spectra[test]))
    values = {name: np.concatenate(parts) for name, parts in rms.items()}
    return {
        "n_spectra": len(values["emulator"]),
        "flux_rms": {name: float(part.mean()) for name, part in values.items()},
        "parameters": parameter_errors(
            np.concatenate(true), np.concatenate(found), grid.parameter_names
        )
        if infer
        else None,
    }


def _splitter(arguments, names):
    if arguments.split == "coarsen":
        return Coarsen(arguments.parameter, parameter_names=names)
    if arguments.split == "plane":
        return LeavePlaneOut(
            arguments.parameter, n_splits=arguments.n_splits, parameter_names=names
        )
    if arguments.parameter is not None:
        raise ValueError("--parameter is only for --split coarsen or plane; leave it out.")
    return InteriorNodes(n_splits=arguments.n_splits, parameter_names=names)
