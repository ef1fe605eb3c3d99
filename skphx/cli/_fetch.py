"""``skphx fetch`` and ``skphx grids``: store spectra of a library in one file."""

import argparse

from skphx._domain import MEDIA, STELLAR_PARAMETERS
from skphx.cli._parser import add_command, axis_values, named_axis, wavelength_range
from skphx.cli._reading import check_output, write_grid
from skphx.datasets import fetch_grid, fetch_phoenix, list_grids, load_grid

_DESCRIPTION = """\
Download spectra of a library, and store a range of their wavelengths in one file.

  skphx fetch grid.npz --teff 5000:6000 --logg 4:5 --feh -0.5:0 --wavelength 8450:8710
  skphx fetch grid.npz --library bt-settl --from FOLDER --medium vacuum --teff 3000:4000

Without ranges the result is the grid of the paper: 1,314 PHOENIX spectra from 8038 to 12849 Å,
8 GB to download. Files that were already downloaded are checked and used: after an error, repeat
the command to continue. VALUES are one value (4500), a range (4000:5000) or a list (4000,4500).

Next: skphx build, or skphx fit-lines for large grids."""

# Parameters with an option of their own.
_NAMED = (*STELLAR_PARAMETERS, "alpha")


def add_parsers(commands):
    """Add the commands to the parser."""
    parser = add_command(
        commands, "fetch", run_fetch, "download spectra of a library, or load its files",
        _DESCRIPTION,
    )  # fmt: skip
    parser.add_argument("output", metavar="GRID", help="file to write, .npz or .h5")
    parser.add_argument(
        "--library", default="phoenix", help="name of skphx grids (default: phoenix)"
    )
    parser.add_argument(
        "--from",
        dest="folder",
        metavar="FOLDER",
        help="folder of the files, which are then not downloaded",
    )
    for name in _NAMED:
        unit = "K" if name == "teff" else "dex"
        parser.add_argument(f"--{name}", type=axis_values, metavar="VALUES", help=f"in {unit}")
    parser.add_argument(
        "--select",
        type=named_axis,
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="values of another parameter; may be repeated",
    )
    parser.add_argument("--wavelength", type=wavelength_range, metavar="LOW:HIGH", help="in Å")
    parser.add_argument("--medium", choices=MEDIA, help="medium, if the library does not state it")
    parser.add_argument(
        "--data-home", metavar="FOLDER", help="of downloads (default: $SKPHX_DATA or ~/skphx_data)"
    )
    parser.add_argument(
        "--mirror",
        action="append",
        metavar="URL",
        help="server; may be repeated, tried in this order",
    )
    parser.add_argument(
        "--n-jobs", type=int, default=4, metavar="N", help="parallel downloads (4)"
    )
    parser.add_argument("--retries", type=int, default=5, metavar="N", help="retries per file (5)")
    parser.add_argument("--offline", action="store_true", help="do not download anything")
    parser.add_argument(
        "--on-missing",
        choices=("warn", "raise", "ignore"),
        default="warn",
        help="what to do if nodes are missing (warn)",
    )
    add_command(
        commands, "grids", run_grids, "list the libraries",
        "List the names of libraries for skphx fetch --library.",
    )  # fmt: skip


def run_fetch(arguments: argparse.Namespace) -> None:
    """Fetch or load a grid, and save it."""
    check_output(arguments.output)
    ranges = {name: getattr(arguments, name) for name in _NAMED}
    ranges = {name: values for name, values in ranges.items() if values is not None}
    ranges |= dict(arguments.select)
    settings = {"on_missing": arguments.on_missing, "verbose": not arguments.quiet, **ranges}
    if arguments.wavelength is not None:
        settings["wavelength"] = arguments.wavelength
    if arguments.folder is not None:
        grid = load_grid(arguments.library, arguments.folder, medium=arguments.medium, **settings)
    else:
        settings |= {
            "data_home": arguments.data_home,
            "mirror": arguments.mirror,
            "n_jobs": arguments.n_jobs,
            "n_retries": arguments.retries,
            "download_if_missing": not arguments.offline,
        }
        if arguments.library != "phoenix":
            grid = fetch_grid(arguments.library, medium=arguments.medium, **settings)
        elif arguments.medium == "air":
            raise ValueError("the wavelengths of phoenix are in vacuum; leave --medium out.")
        else:
            grid = fetch_phoenix(**settings)
    write_grid(arguments.output, grid)
    print(grid.DESCR)
    print(f"Saved to {arguments.output}.")


def run_grids(_: argparse.Namespace) -> None:
    """Print the names of the libraries."""
    print("\n".join(list_grids()))
