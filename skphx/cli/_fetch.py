"""``skphx fetch`` and ``skphx grids``: spectra of a library into one file."""

from skphx.cli._grid_files import check_output, write_grid
from skphx.cli._parser import add_command, axis_values, named_axis, wavelength_range
from skphx.datasets import fetch_grid, fetch_phoenix, list_grids, load_grid

_DESCRIPTION = """\
Download spectra of a library and keep the wavelengths you need, in one file.

  skphx fetch grid.npz --teff 5000:6000 --logg 4:5 --feh -0.5:0 --wavelength 8450:8710
  skphx fetch grid.npz --library bt-settl --from FOLDER --medium vacuum --teff 3000:4000

Without ranges it is the grid of the paper: 1,314 PHOENIX spectra, 8038 to 12849 Å, 8 GB to
download. Files that are there already are checked and used; a run that failed goes on where it
stopped when you repeat it. Values are written 4500, 4000:5000 (a range) or 4000,4500 (a list).

Next: skphx clone."""


def add_parsers(commands):
    """Add the commands to the parser."""
    parser = add_command(
        commands, "fetch", run_fetch, "download spectra of a library, or load its files",
        _DESCRIPTION,
    )  # fmt: skip
    parser.add_argument("output", metavar="GRID", help="file to write, .npz or .h5")
    parser.add_argument("--library", default="phoenix", help="see skphx grids (default: phoenix)")
    parser.add_argument("--from", dest="folder", metavar="FOLDER", help="load files on disk")
    for name, unit in (("teff", "K"), ("logg", "dex"), ("feh", "dex"), ("alpha", "dex")):
        parser.add_argument(f"--{name}", type=axis_values, metavar="VALUES", help=f"in {unit}")
    parser.add_argument(
        "--select",
        type=named_axis,
        action="append",
        default=[],
        metavar="NAME=VALUES",
        help="of any other parameter; repeat it for more",
    )
    parser.add_argument("--wavelength", type=wavelength_range, metavar="LOW:HIGH", help="in Å")
    parser.add_argument(
        "--medium", choices=("air", "vacuum"), help="where the library does not say"
    )
    parser.add_argument(
        "--data-home", metavar="FOLDER", help="of downloads (default: $SKPHX_DATA, ~/skphx_data)"
    )
    parser.add_argument(
        "--mirror", action="append", metavar="URL", help="repeat it for more, tried in turn"
    )
    parser.add_argument("--n-jobs", type=int, default=4, metavar="N", help="files at once (4)")
    parser.add_argument("--retries", type=int, default=5, metavar="N", help="of a file (5)")
    parser.add_argument("--offline", action="store_true", help="only what is downloaded already")
    parser.add_argument(
        "--on-missing",
        choices=("warn", "raise", "ignore"),
        default="warn",
        help="what to do where nodes are missing (warn)",
    )
    add_command(
        commands, "grids", run_grids, "list the libraries that can be loaded",
        "Names of libraries for skphx fetch --library.",
    )  # fmt: skip


def run_fetch(arguments):
    """Fetch or load, and save."""
    check_output(arguments.output)
    ranges = {name: getattr(arguments, name) for name in ("teff", "logg", "feh", "alpha")}
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
            raise ValueError("wavelengths of phoenix hold for vacuum; leave --medium out.")
        else:
            grid = fetch_phoenix(**settings)
    write_grid(arguments.output, grid)
    print(grid.DESCR)
    print(f"Saved to {arguments.output}.")


def run_grids(_):
    """Print names of libraries."""
    print("\n".join(list_grids()))
