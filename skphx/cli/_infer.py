"""``skphx infer``: infer the stellar parameters of observed spectra."""

import argparse
import csv
import io
import json

from skphx._atomic_write import write_atomically
from skphx._domain import MEDIA
from skphx._paths import as_path
from skphx._persistence import load_model
from skphx.cli._parser import add_command, axis_values, named_axis
from skphx.datasets import load_spectrum

_DESCRIPTION = """\
Infer the parameters of observed stars with a model of skphx build.

  skphx infer model.skops star1.fits star2.csv --velocity -100:100 --output results.csv
  skphx infer model.skops star.txt --wavelength-unit nm --medium air --bounds teff=4000:5000

Spectra may be HPF or Gaia RVS files, FITS tables and images, or text. All orders of a spectrum are
fitted together. --velocity and --vsini are fixed if they are a number, and fitted within a range
LOW:HIGH. Uncertainties are from the errors of the flux, or from the residuals if a file has no
errors; flags mark problems. If a file cannot be used, the others are still processed, and the
command ends with an error that names the file."""


def add_parsers(commands):
    """Add the command to the parser."""
    parser = add_command(
        commands, "infer", run, "infer the parameters of observed spectra", _DESCRIPTION
    )
    parser.add_argument("model", metavar="MODEL", help="file of skphx build")
    parser.add_argument("spectra", metavar="SPECTRUM", nargs="+", help="files of observed stars")
    parser.add_argument("--medium", choices=MEDIA, help="medium, if files do not state it")
    parser.add_argument("--wavelength-unit", metavar="UNIT", help="unit, if files do not state it")
    parser.add_argument(
        "--resolution", type=float, metavar="R", help="resolution, if files do not state it"
    )
    parser.add_argument(
        "--barycentric", action="store_true", help="convert wavelengths to the barycentre"
    )
    for name in ("velocity", "vsini"):
        parser.add_argument(
            f"--{name}",
            type=axis_values,
            metavar="KM/S",
            help="in km/s (default: that of the model, 0)",
        )
    parser.add_argument(
        "--continuum-degree",
        type=int,
        default=None,
        metavar="N",
        help="degree of the continuum polynomial of each order, -1 for normalised flux (default: "
        "that of the model, 3)",
    )
    parser.add_argument(
        "--bounds",
        type=named_axis,
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="range of the search; may be repeated for other parameters",
    )
    parser.add_argument("--output", metavar="FILE", help="also write a table, .csv or .json")


def run(arguments: argparse.Namespace) -> None:
    """Print the inferred parameters, and write the table."""
    if arguments.output and as_path(arguments.output).suffix not in (".csv", ".json"):
        raise ValueError(f"{arguments.output} must end in .csv or .json; rename the file.")
    model = load_model(arguments.model)
    settings = {
        "velocity": _number_or_range(arguments.velocity, "velocity"),
        "vsini": _number_or_range(arguments.vsini, "vsini"),
        "continuum_degree": _degree(arguments.continuum_degree),
        "bounds": _bounds(arguments.bounds, model.emulator_.grid_.parameter_names),
    }
    rows, failures = [], []
    for path in arguments.spectra:
        try:
            star = load_spectrum(
                path,
                medium=arguments.medium,
                wavelength_unit=arguments.wavelength_unit,
                resolution=arguments.resolution,
                barycentric=arguments.barycentric,
            )
            result = model.infer(star, **settings)
        except (ValueError, OSError) as error:
            # The other stars are still processed.
            failures.append(f"{path}: {error}")
            continue
        rows.append({"file": path, **result.as_dict()})
        print(f"{path}\n{result}")
    if rows and arguments.output:
        _write(arguments.output, rows, arguments.model)
    if failures:
        listed = "\n  ".join(failures)
        raise ValueError(
            f"{len(failures)} of {len(arguments.spectra)} spectra cannot be used:\n  {listed}"
        )


def _degree(given):
    """Convert the degree to the argument of `infer`."""
    if given is None:
        return "default"
    return given if given >= 0 else None


def _number_or_range(values, name):
    if values is None:
        return "default"
    if isinstance(values, list):
        raise ValueError(f"--{name} must be a number or a range LOW:HIGH.")
    return values


def _bounds(given, names):
    """Bounds of the search by name, or None."""
    unknown = sorted({name for name, _ in given} - set(names))
    if unknown:
        raise ValueError(
            f"--bounds {unknown[0]}: the parameters of the model are {', '.join(names)}."
        )
    for name, values in given:
        if not isinstance(values, tuple):
            raise ValueError(f"--bounds {name} must be a range LOW:HIGH.")
    return dict(given) or None


def _write(path, rows, model):
    """Write the rows as CSV or JSON."""
    path = as_path(path)
    if path.suffix == ".json":
        text = json.dumps({"model": str(as_path(model).absolute()), "stars": rows}, indent=1)
    else:
        stream = io.StringIO()
        # Only some files name their star.
        columns = max((list(row) for row in rows), key=len)
        table = csv.DictWriter(stream, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        text = stream.getvalue()
    write_atomically(path, lambda file: file.write(text.encode()))
