"""``skphx fit-lines`` and ``skphx build``: fit the lines of a grid, and build a model."""

import argparse
import json

import numpy as np
from sklearn.pipeline import Pipeline

from skphx._atomic_write import inside, write_atomically
from skphx._configurations import make_stellar_estimator
from skphx._paths import as_path
from skphx._persistence import save_model
from skphx.cli._parser import add_command, add_configuration, add_no_lines
from skphx.cli._reading import read_grid
from skphx.datasets._selection import missing_nodes
from skphx.interpolation._nodes import format_node
from skphx.lines import LineArchive

# File in the folder of an archive, with the grid and the settings of the command.
PROVENANCE_FILE = "provenance.json"

_FIT_LINES = """\
Fit the lines of all spectra of a grid, and store them in an archive.

  skphx fit-lines grid.npz grid.lines --n-jobs 8

This takes hours for large grids. Each fit is stored when it is finished. To continue a run that
was stopped, repeat the command: the result is the same as without the interruption.
The fitted line list of a spectrum is called its clone in the paper.

Next: skphx build."""

_BUILD = """\
Build a model of a grid for skphx infer: an emulator of its spectra and lines at any stellar
parameters.

  skphx build grid.npz model.skops --archive grid.lines

With an archive of skphx fit-lines this takes little time. Without an archive the lines are fitted
by this command. With --no-lines there are no lines; inferred parameters do not depend on them.
Model files contain only arrays and plain values, and loading them runs no code.

Next: skphx infer."""


def add_parsers(commands):
    """Add the commands to the parser."""
    parser = add_command(
        commands, "fit-lines", run_fit_lines, "fit the lines of a grid", _FIT_LINES
    )
    parser.add_argument("grid", metavar="GRID", help="file of skphx fetch, .npz or .h5")
    parser.add_argument(
        "archive", metavar="ARCHIVE", help="folder of the lines, new or to be continued"
    )
    add_configuration(parser)
    parser = add_command(commands, "build", run_build, "build a model of a grid", _BUILD)
    parser.add_argument("grid", metavar="GRID", help="file of skphx fetch, .npz or .h5")
    parser.add_argument("model", metavar="MODEL", help="file to write, .skops")
    parser.add_argument("--archive", metavar="ARCHIVE", help="folder of skphx fit-lines")
    add_configuration(parser)
    add_no_lines(parser)
    parser.add_argument(
        "--random-state", type=int, default=0, metavar="N", help="seed of the search (0)"
    )


def run_fit_lines(arguments: argparse.Namespace) -> None:
    """Fit the lines, and print the fit residuals."""
    grid, estimator, settings = _prepare(arguments)
    emulator = estimator.emulator
    emulator.fit(grid.parameters, grid.spectra)
    # After the fit, which raises an error for an archive of another grid.
    _write_provenance(arguments, grid, settings)
    rms = emulator.line_rms_
    print(
        f"{len(rms)} spectra fitted with {emulator.present_.shape[1]} lines in "
        f"{arguments.archive}."
    )
    worst = format_node(grid.parameters[rms.argmax()], grid.parameter_names)
    print(f"Fit residual, rms: median {np.median(rms):.5f}, largest {rms.max():.5f}")
    print(f"  at {worst}")


def run_build(arguments: argparse.Namespace) -> None:
    """Build a model and save it."""
    if as_path(arguments.model).suffix != ".skops":
        raise ValueError(f"{arguments.model} must end in .skops; rename the file.")
    grid, estimator, settings = _prepare(arguments)
    estimator.set_params(random_state=arguments.random_state)
    estimator.fit(grid.spectra, grid.parameters)
    made_of = {
        **describe_grid(grid, arguments.grid),
        "command": settings,
        "archive": arguments.archive and str(as_path(arguments.archive).absolute()),
    }
    save_model(arguments.model, estimator, provenance=made_of)
    emulator = estimator.emulator_
    print(f"Model of {len(grid.spectra)} spectra saved to {arguments.model}.")
    if emulator.flux_error_ is not None:
        rms = np.sqrt(np.mean(emulator.flux_error_**2))
        print(f"Estimated interpolation error of the flux: {rms:.5f} rms.")
    if settings["lines"]:
        rms = emulator.line_rms_
        print(f"Fit residual, rms: median {np.median(rms):.5f}, largest {rms.max():.5f}.")


def make_estimator(grid, settings, *, n_jobs=None, memory=None, verbose=0):
    """Make an unfitted StellarParameterEstimator for a grid.

    Parameters
    ----------
    grid : Bunch
        The grid.
    settings : dict
        ``configuration``, ``normalized``, ``interpolation`` and, optionally, ``lines``.
    n_jobs, memory, verbose
        As for :func:`skphx.make_stellar_estimator`.
    """
    estimator = make_stellar_estimator(
        grid,
        settings["configuration"],
        lines=settings.get("lines", True),
        normalized=settings["normalized"],
        random_state=0,
        n_jobs=n_jobs,
        memory=memory,
        verbose=verbose,
    )
    if settings["interpolation"] is not None:
        estimator.emulator.set_params(interpolation=settings["interpolation"])
    if len(missing_nodes(grid.parameters)):
        estimator.emulator.set_params(holes="interpolate")
    return estimator


def describe_grid(grid, path):
    """Return the provenance of models and archives of a grid: dict."""
    from skphx.datasets._download import sha256_of

    return {
        "grid": grid.provenance,
        "grid_file": str(as_path(path).absolute()),
        "grid_sha256": sha256_of(as_path(path)),
        "medium": grid.medium,
        "flux_unit": grid.units["spectra"],
        "parameters": {
            name: sorted(set(column.tolist()))
            for name, column in zip(grid.parameter_names, grid.parameters.T, strict=True)
        },
        "n_spectra": len(grid.spectra),
        "n_missing": len(missing_nodes(grid.parameters)),
    }


def read_archive_provenance(archive):
    """Read the provenance that `skphx fit-lines` has written: dict, None if there is none."""
    path = as_path(archive) / PROVENANCE_FILE
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); run skphx fit-lines again.") from error


def _prepare(arguments):
    """Grid, unfitted estimator, and settings: options, else those of the archive."""
    before = (read_archive_provenance(arguments.archive) if arguments.archive else None) or {}
    grid = read_grid(arguments.grid, arguments.medium or before.get("medium"))
    before = before.get("command", {})
    settings = {
        "configuration": arguments.configuration or before.get("configuration", "default"),
        "normalized": bool(
            before.get("normalized", False)
            if arguments.normalized is None
            else arguments.normalized
        ),
        "interpolation": arguments.interpolation or before.get("interpolation"),
        "lines": not getattr(arguments, "no_lines", False),
    }
    if arguments.archive and not settings["lines"]:
        raise ValueError(
            "give either --archive or --no-lines, not both: an archive contains lines."
        )
    estimator = make_estimator(
        grid, settings, n_jobs=arguments.n_jobs, verbose=not arguments.quiet
    )
    if settings["lines"]:
        cloner = estimator.emulator.cloner
        if isinstance(cloner, Pipeline):
            cloner = cloner[-1]
        cloner.set_params(archive=arguments.archive)
    return grid, estimator, settings


def _write_provenance(arguments, grid, settings):
    """Write the grid and the settings of an archive into its folder."""
    folder = LineArchive(arguments.archive).path
    content = {**describe_grid(grid, arguments.grid), "command": settings}
    text = json.dumps(content, indent=1, default=str).encode()
    write_atomically(inside(folder, PROVENANCE_FILE), lambda file: file.write(text))
