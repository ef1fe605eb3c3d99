"""``skphx infer``: stellar parameters of observed spectra."""

import csv
import io
import json
from pathlib import Path

import numpy as np

from skphx._files import write_atomically
from skphx._model_files import load_model, read_provenance
from skphx.cli._parser import add_command, named_axis
from skphx.datasets import load_spectrum
from skphx.observing._medium import to_medium

_DESCRIPTION = """\
Infer the parameters of observed stars with a model of skphx build.

  skphx infer model.skops star1.fits star2.csv --output results.csv
  skphx infer model.skops star.txt --wavelength-unit nm --medium air --bounds teff=4000:5000

Spectra may be HPF or Gaia RVS files, FITS tables and images, or text. Each must be at rest, cover
the wavelengths of the model, and be in the state of the model's grid: raw flux, or continuum 1.
A file that cannot be used is named, the others are done, and the command ends with an error."""


def add_parsers(commands):
    """Add the command to the parser."""
    parser = add_command(
        commands, "infer", run, "infer the parameters of observed spectra", _DESCRIPTION
    )
    parser.add_argument("model", metavar="MODEL", help="file of skphx build")
    parser.add_argument("spectra", metavar="SPECTRUM", nargs="+", help="files of observed stars")
    parser.add_argument("--medium", choices=("air", "vacuum"), help="where files do not say")
    parser.add_argument("--wavelength-unit", metavar="UNIT", help="where files do not say")
    parser.add_argument("--barycentric", action="store_true", help="shift to the barycentre")
    parser.add_argument(
        "--bounds",
        type=named_axis,
        action="append",
        default=[],
        metavar="NAME=LOW:HIGH",
        help="search only there; repeat it for other parameters",
    )
    parser.add_argument("--output", metavar="FILE", help="also write a table, .csv or .json")


def run(arguments):
    """Print a table of parameters, and write it."""
    if arguments.output and Path(arguments.output).suffix not in (".csv", ".json"):
        raise ValueError(f"{arguments.output} must end in .csv or .json; give such a name.")
    provenance = read_provenance(arguments.model)
    model = load_model(arguments.model)
    emulator = model.emulator_
    names = emulator.grid_.parameter_names
    bounds = _bounds(arguments.bounds, names)
    rows, failures = [], []
    for path in arguments.spectra:
        try:
            star = load_spectrum(
                path,
                medium=arguments.medium,
                wavelength_unit=arguments.wavelength_unit,
                barycentric=arguments.barycentric,
            )
            flux = on_pixels_of(emulator, star, provenance["made_of"].get("medium"))
            found = model.predict(flux[None], bounds=bounds)[0]
        except (ValueError, OSError) as error:
            failures.append(f"{path}: {error}")
            continue
        rms = _residual_rms(emulator, flux, found)
        rows.append({"file": path, **dict(zip(names, found.tolist(), strict=True)), "rms": rms})
    if rows:
        _print(rows)
    if rows and arguments.output:
        _write(arguments.output, rows, arguments.model)
    if failures:
        listed = "\n  ".join(failures)
        raise ValueError(f"{len(failures)} of {len(arguments.spectra)} spectra:\n  {listed}")


def on_pixels_of(emulator, star, medium):
    """Flux of an observed star on the pixels of an emulator.

    Parameters
    ----------
    emulator : LineManifoldRegressor
        Fitted.
    star : Bunch
        Of :func:`skphx.datasets.load_spectrum`, one order.
    medium : {"air", "vacuum"} or None
        Of the emulator's wavelengths.

    Returns
    -------
    ndarray of shape (n_pixels,)
        Interpolated linearly over the usable pixels.

    Raises
    ------
    ValueError
        If the star has several orders or does not cover the pixels.
    """
    if star.flux.ndim != 1:
        raise ValueError(f"it has {len(star.flux)} orders, and the model one range of pixels")
    good = ~star.mask
    wavelength = to_medium(star.wavelength, star.medium, medium)[good]
    low, high = emulator.wavelength_[[0, -1]]
    if wavelength[0] > low or wavelength[-1] < high:
        raise ValueError(
            f"it covers {wavelength[0]:.2f} to {wavelength[-1]:.2f} Å and the model needs "
            f"{low:.2f} to {high:.2f}; make a model of fewer wavelengths (skphx fetch "
            f"--wavelength)"
        )
    return np.interp(emulator.wavelength_, wavelength, star.flux[good])


def _residual_rms(emulator, flux, parameters):
    observed = emulator.normalize(flux[None], parameters[None])
    return float(np.sqrt(np.mean((observed - emulator.predict(parameters[None])) ** 2)))


def _bounds(given, names):
    """Search box of shape (n_parameters, 2), NaN where none is given."""
    unknown = sorted({name for name, _ in given} - set(names))
    if unknown:
        raise ValueError(f"--bounds {unknown[0]}: the model has {', '.join(names)}.")
    if not given:
        return None
    box = np.full((len(names), 2), np.nan)
    for name, values in given:
        if not isinstance(values, tuple):
            raise ValueError(f"--bounds {name} needs LOW:HIGH.")
        box[names.index(name)] = values
    return box


def _print(rows):
    width = max(len(row["file"]) for row in rows)
    print(f"{'file':<{width}}", *(f"{name:>10}" for name in rows[0] if name != "file"))
    for row in rows:
        numbers = (value for name, value in row.items() if name != "file")
        print(f"{row['file']:<{width}}", *(f"{value:>10.4f}" for value in numbers))


def _write(path, rows, model):
    if Path(path).suffix == ".json":
        text = json.dumps({"model": str(Path(model).absolute()), "stars": rows}, indent=1)
    else:
        stream = io.StringIO()
        table = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        text = stream.getvalue()
    write_atomically(Path(path), lambda file: file.write(text.encode()))
