"""The parser of the command line, and what commands share of it."""

import argparse
import re

from skphx._version import __version__

_DESCRIPTION = """\
From a library of model spectra to the parameters of observed stars.

  skphx fetch grid.npz --teff 5000:6000 --logg 4:5 --wavelength 8450:8710
  skphx clone grid.npz grid.lines --n-jobs 8
  skphx build grid.npz model.skops --archive grid.lines
  skphx infer model.skops star1.fits star2.fits --output results.csv

Every command has its own help: skphx fetch --help."""

_EPILOG = "Grids, spectra and models are described in docs/data.md."


def make_parser():
    """Parser of all commands: argparse.ArgumentParser."""
    # Here, so that each command can use the functions below.
    from skphx.cli import _emulate, _evaluate, _fetch, _infer, _info

    parser = argparse.ArgumentParser(
        prog="skphx",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"skphx {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in (_fetch, _emulate, _infer, _evaluate, _info):
        module.add_parsers(commands)
    return parser


def add_command(commands, name, run, summary, description):
    """Add a command with help that teaches: what it does, an example, what comes next."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--quiet", action="store_true", help="no progress, only results")
    return parser


def axis_values(text):
    """Values of a parameter as they are written: ``4500``, ``4000:5000`` or ``4000,4500``.

    Parameters
    ----------
    text : str
        One value; all from low to high; or just these.

    Returns
    -------
    float, tuple (low, high) or list of float
        As the functions of :mod:`skphx.datasets` take them.

    Examples
    --------
    >>> from skphx.cli._parser import axis_values
    >>> axis_values("4000:5000"), axis_values("-0.5,0"), axis_values("4500")
    ((4000.0, 5000.0), [-0.5, 0.0], 4500.0)
    """
    try:
        if ":" in text:
            low, high = (float(part) for part in text.split(":"))
            return low, high
        if "," in text:
            return [float(part) for part in text.split(",")]
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a value (4500), a range (4000:5000) nor a list (4000,4500)"
        ) from None


def named_axis(text):
    """Name and values, ``alpha=0:0.4``: tuple of a str and what `axis_values` returns."""
    name, sign, values = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUES, such as alpha=0:0.4")
    return name, axis_values(values)


def wavelength_range(text):
    """Range of wavelengths, ``8450:8710``: tuple (low, high) in Å."""
    values = axis_values(text)
    if not isinstance(values, tuple):
        raise argparse.ArgumentTypeError(f"{text!r} is no range of wavelengths LOW:HIGH in Å")
    return values


def add_configuration(parser):
    """Options of the chain from spectra to lines."""
    parser.add_argument(
        "--configuration",
        choices=("default", "paper"),
        help="settings of every step: what measures best, or the paper's (default: those of the "
        "archive, where one is given, else 'default')",
    )
    parser.add_argument(
        "--normalized",
        action="store_true",
        default=None,
        help="the spectra have a continuum of 1 already: leave normalising out",
    )
    parser.add_argument(
        "--interpolation",
        metavar="ORDER",
        help="between nodes, such as linear or cubic (default: the configuration's)",
    )
    parser.add_argument(
        "--n-jobs", type=int, default=None, metavar="N", help="processes (default: one)"
    )


def add_no_lines(parser):
    """Option that leaves the lines out."""
    parser.add_argument(
        "--no-lines",
        action="store_true",
        help="fit no lines: seconds instead of minutes to hours, flux and parameters the same",
    )


def protect_negative_numbers(argv):
    """Join an option and a value that begins with a minus, which would be taken for an option.

    Examples
    --------
    >>> from skphx.cli._parser import protect_negative_numbers
    >>> protect_negative_numbers(["--feh", "-0.5:0", "--quiet"])
    ['--feh=-0.5:0', '--quiet']
    """
    joined = []
    for word in argv:
        negative = re.match(r"-[\d.]", word)
        if negative and joined and re.fullmatch(r"--[a-z][a-z-]*", joined[-1]):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
