"""``skphx infer``: infer the stellar parameters of observed spectra."""

import argparse
import csv
import io
import json
from dataclasses import replace

from tqdm import tqdm

from skphx._atomic_write import write_atomically
from skphx._paths import as_path
from skphx._persistence import load_model
from skphx.cli._parser import add_command, axis_values, named_axis
from skphx.cli._spectrum_options import add_spectrum_options, fitted_resolution, read_spectrum
from skphx.inference._result import stack_results, text_of_stars
from skphx.species._abundances import abundance_name

_SUFFIXES = (".csv", ".ecsv", ".json")
_DESCRIPTION = """\
Infer the parameters of observed stars with a model of skphx build.

  skphx infer model.skops star1.fits star2.csv --velocity -100:100 --output results.csv
  skphx infer model.skops star.txt --wavelength-unit nm --medium air --sigma 2
  skphx infer model.skops star.fits --bounds teff=4000:5000 --resolution 50000

Each file is one star; all orders of a spectrum are fitted together. Spectra may be FITS tables and
images, text, ECSV, VOTable, HPF and Gaia RVS files, also compressed. skphx info FILE says what is
read of a file. If a file does not say what its arrays are, an error names the option to give.

--velocity, --vsini and --resolution are fixed if they are a number, and fitted within a range
LOW:HIGH. Uncertainties are from the errors of the flux, or from the residuals if a file has no
errors; flags mark problems. If a file cannot be used, the others are still processed, and the
command ends with an error that names the file, and status 1. Warnings and errors are lines on
standard error."""


def add_parsers(commands):
    """Add the command to the parser."""
    parser = add_command(
        commands, "infer", run, "infer the parameters of observed spectra", _DESCRIPTION
    )
    parser.add_argument("model", metavar="MODEL", help="file of skphx build")
    parser.add_argument("spectra", metavar="SPECTRUM", nargs="+", help="files of observed stars")
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
    parser.add_argument(
        "--abundances",
        type=lambda text: tuple(one.strip() for one in text.split(",")),
        default=(),
        metavar="X,Y,...",
        help="elements whose abundances [X/Fe] are fitted too, such as Ca,Ti; for models whose "
        "lines have names (skphx.species.name_lines)",
    )
    parser.add_argument(
        "--output", metavar="FILE", help="also write a table: .csv, .ecsv (with units) or .json"
    )
    add_spectrum_options(parser)


def run(arguments: argparse.Namespace) -> None:
    """Print the inferred parameters, and write the table."""
    if arguments.output and as_path(arguments.output).suffix not in _SUFFIXES:
        raise ValueError(f"{arguments.output} must end in .csv, .ecsv or .json; rename the file.")
    model = load_model(arguments.model)
    if not hasattr(model, "infer"):
        raise ValueError(
            f"{arguments.model} holds a {type(model).__name__}, which infers nothing: give a "
            f"model of skphx build, or a saved StellarParameterEstimator."
        )
    settings = {
        "velocity": _number_or_range(arguments.velocity, "velocity"),
        "vsini": _number_or_range(arguments.vsini, "vsini"),
        "resolution": fitted_resolution(arguments),
        "continuum_degree": _degree(arguments.continuum_degree),
        "abundances": arguments.abundances,
        "bounds": _bounds(
            arguments.bounds,
            (
                *model.emulator_.grid_.parameter_names,
                *(abundance_name(element) for element in arguments.abundances),
            ),
        ),
    }
    files, n_files = [], len(arguments.spectra)
    results, failures = [], []
    quiet = arguments.quiet or n_files == 1
    # None shows no bar where standard error is no terminal.
    for path in tqdm(arguments.spectra, unit="star", disable=quiet or None):
        try:
            result = model.infer(read_spectrum(path, arguments), **settings)
        except (ValueError, OSError, ImportError, TypeError) as error:
            # The other stars are still processed.
            failures.append(_naming_file(path, error))
            continue
        files.append(path)
        results.append(result)
    if results:
        print(_shown(files, results))
    if results and arguments.output:
        _write(arguments.output, files, results, arguments.model)
    if failures and n_files == 1:
        raise ValueError(failures[0])
    if failures:
        listed = "\n  ".join(failures)
        raise ValueError(f"{len(failures)} of {n_files} spectra cannot be used:\n  {listed}")


def _naming_file(path, error):
    """Message of an error that begins with the path, in one line."""
    text, name = " ".join(str(error).split()), as_path(path).name
    if text.startswith(f"{name} "):
        return path + text.removeprefix(name)
    return text if path in text else f"{path}: {text}"


def _shown(files, results):
    """Text of the parameters of one star, or a table of several."""
    if len(results) == 1:
        return f"{files[0]}\n{results[0]}"
    named = [
        replace(result, name=f"{path} {result.name or ''}".rstrip())
        for path, result in zip(files, results, strict=True)
    ]
    return text_of_stars(stack_results(named))


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


def _write(path, files, results, model):
    """Write the results as CSV, ECSV or JSON."""
    path = as_path(path)
    rows = [
        {"file": file, **result.as_dict()} for file, result in zip(files, results, strict=True)
    ]
    stream = io.StringIO()
    if path.suffix == ".json":
        # JSON has no NaN, which an abundance that is not determined has.
        rows = [
            {name: None if value != value else value for name, value in row.items()}
            for row in rows
        ]
        json.dump({"model": str(as_path(model).absolute()), "stars": rows}, stream, indent=1)
    elif path.suffix == ".ecsv":
        table = stack_results(results).to_table()
        table.add_column(files, name="file", index=0)
        table.meta["model"] = str(as_path(model).absolute())
        table.write(stream, format="ascii.ecsv")
    else:
        # Only some files name their star.
        columns = max((list(row) for row in rows), key=len)
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_atomically(path, lambda file: file.write(stream.getvalue().encode()))
