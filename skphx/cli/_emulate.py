"""``skphx clone`` and ``skphx build``: a grid into lines, and lines into a model."""

import json
from pathlib import Path

import numpy as np
from sklearn.pipeline import Pipeline

from skphx._configurations import make_stellar_estimator
from skphx._files import inside, write_atomically
from skphx._model_files import save_model
from skphx.cli._grid_files import read_grid
from skphx.cli._parser import add_command, add_configuration, add_no_lines
from skphx.datasets._selection import missing_nodes
from skphx.lines import LineArchive

# Beside the archive's own manifest: which grid, and which settings of this command.
PROVENANCE_FILE = "provenance.json"

_CLONE = """\
Write every spectrum of a grid as spectral lines, into an archive.

  skphx clone grid.npz grid.lines --n-jobs 8

This is what takes hours for large grids. Every finished fit is in the archive at once: a run that
was stopped goes on where it was when you repeat it, with the same result.

Next: skphx build."""

_BUILD = """\
Make a model of a grid: its lines at any stellar parameters, and the search for those of a star.

  skphx build grid.npz model.skops --archive grid.lines

With the archive of skphx clone this takes little time; without one lines are fitted here, and with
--no-lines not at all: parameters of stars do not depend on them. Model files hold arrays and plain
values only: to load one runs no code.

Next: skphx infer."""


def add_parsers(commands):
    """Add the commands to the parser."""
    parser = add_command(
        commands, "clone", run_clone, "write the spectra of a grid as lines", _CLONE
    )
    parser.add_argument("grid", metavar="GRID", help="file of skphx fetch, .npz or .h5")
    parser.add_argument(
        "archive", metavar="ARCHIVE", help="folder of the lines, made or continued"
    )
    add_configuration(parser)
    parser = add_command(commands, "build", run_build, "make a model of a cloned grid", _BUILD)
    parser.add_argument("grid", metavar="GRID", help="file of skphx fetch, .npz or .h5")
    parser.add_argument("model", metavar="MODEL", help="file to write, .skops")
    parser.add_argument("--archive", metavar="ARCHIVE", help="folder of skphx clone")
    add_configuration(parser)
    add_no_lines(parser)
    parser.add_argument(
        "--random-state", type=int, default=0, metavar="N", help="seed of the search (0)"
    )


def run_clone(arguments):
    """Clone, and say how well."""
    grid, estimator, settings = _prepare(arguments)
    emulator = estimator.emulator
    emulator.fit(grid.parameters, grid.spectra)
    # Not before: the fit refuses an archive of another grid.
    _write_provenance(arguments, grid, settings)
    rms = emulator.clone_rms_
    print(f"{len(rms)} spectra as {emulator.present_.shape[1]} lines in {arguments.archive}.")
    print(f"Lines minus spectrum, rms: median {np.median(rms):.5f}, worst {rms.max():.5f} at")
    worst = grid.parameters[rms.argmax()]
    print("  " + _words(grid.parameter_names, worst))


def run_build(arguments):
    """Build a model and save it."""
    if Path(arguments.model).suffix != ".skops":
        raise ValueError(f"{arguments.model} must end in .skops; give such a name.")
    grid, estimator, settings = _prepare(arguments)
    estimator.set_params(random_state=arguments.random_state)
    estimator.fit(grid.spectra, grid.parameters)
    made_of = {
        **describe_grid(grid, arguments.grid),
        "command": settings,
        "archive": arguments.archive and str(Path(arguments.archive).absolute()),
    }
    save_model(arguments.model, estimator, provenance=made_of)
    emulator = estimator.emulator_
    print(f"Model of {len(grid.spectra)} spectra saved to {arguments.model}.")
    if emulator.flux_error_ is not None:
        rms = np.sqrt(np.mean(emulator.flux_error_**2))
        print(f"Error of the flux between nodes, estimated: {rms:.5f} rms.")
    if settings["lines"]:
        rms = emulator.clone_rms_
        print(f"Lines minus spectrum, rms: median {np.median(rms):.5f}, worst {rms.max():.5f}.")


def make_estimator(grid, settings, *, n_jobs=None, memory=None, verbose=0):
    """Chain for a grid, unfitted: StellarParameterEstimator.

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
    """Say what a grid is, for the provenance of what is made of it: dict."""
    from skphx.datasets._download import sha256_of

    return {
        "grid": grid.provenance,
        "grid_file": str(Path(path).absolute()),
        "grid_sha256": sha256_of(path),
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
    """Read what `skphx clone` wrote beside the manifest: dict, None where it wrote nothing."""
    path = Path(archive) / PROVENANCE_FILE
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}); run skphx clone again.") from error


def _prepare(arguments):
    """Grid, unfitted estimator, and the settings that were chosen."""
    grid = read_grid(arguments.grid)
    before = (read_archive_provenance(arguments.archive) if arguments.archive else None) or {}
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
            "--archive holds lines, and --no-lines leaves them out; drop one of them."
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
    """Say which grid an archive is of."""
    folder = LineArchive(arguments.archive).path
    content = {**describe_grid(grid, arguments.grid), "command": settings}
    text = json.dumps(content, indent=1, default=str).encode()
    write_atomically(inside(folder, PROVENANCE_FILE), lambda file: file.write(text))


def _words(names, values):
    return ", ".join(f"{name}={value:g}" for name, value in zip(names, values, strict=True))
