"""The parser of the command line, and options that several commands have."""

import argparse
import ast
import re
import shlex
from collections.abc import Container, Sequence

from skphx._domain import MEDIA
from skphx._version import __version__

_DESCRIPTION = """\
Emulate a library of model spectra, and infer the parameters of observed stars.

  skphx fetch grid.npz --teff 5000:6000 --logg 4:5 --wavelength 8450:8710
  skphx fit-lines grid.npz grid.lines --n-jobs 8
  skphx build grid.npz model.skops --archive grid.lines
  skphx infer model.skops star1.fits star2.fits --output results.csv

Each command has its own help: skphx fetch --help."""

_EPILOG = "Grids, spectra and models are described in docs/data.md."

# Arguments of functions that are named in messages, and are options of commands.
_ARGUMENTS = (
    "wavelength_unit", "wavelength", "flux", "sigma", "variance", "ivar", "mask_good", "mask",
    "hdu", "row", "format", "medium", "resolution", "barycentric", "sky_factor",
    "continuum_degree",
)  # fmt: skip
# Advice by the option that it is about, and what it is on the command line.
_ADVICE = (
    ("barycentric", "use barycentric=False", "leave --barycentric out"),
    ("hdu", "leave hdu out", "leave --hdu out"),
    (
        "wavelength_unit",
        "convert them to Å, or give them with their unit, as a Quantity of astropy",
        "pass the right --wavelength-unit",
    ),
)
# A call, which stays as it is; an argument and its value; or a name that is no usual word.
_IN_MESSAGES = re.compile(
    r"[\w.]+\((?:[^()]|\([^()]*\))*\)"
    rf"|(?<![\w.'\"-])(?P<name>{'|'.join(_ARGUMENTS)})="
    r"(?P<value>'[^']*'|\"[^\"]*\"|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?|(?!\w))"
    r"|(?<![\w.'\"=-])(?P<bare>[a-z]+_[a-z]+)(?![\w'\"=(])"
)


def make_parser():
    """Make the argparse.ArgumentParser of all commands."""
    # Imported here, because these modules import functions of this one.
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
    """Add a command; its description says what it does, with an example and the next command."""
    parser = commands.add_parser(
        name,
        help=summary,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument("--quiet", action="store_true", help="print only results, no progress")
    return parser


def axis_values(text):
    """Parse the values of a parameter: ``4500``, ``4000:5000`` or ``4000,4500``.

    Parameters
    ----------
    text : str
        One value, a range from low to high, or a list of values.

    Returns
    -------
    float, tuple (low, high) or list of float
        Argument for the functions of :mod:`skphx.datasets`.

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
    """Parse a name and values, ``alpha=0:0.4``: tuple of the name and the `axis_values`."""
    name, sign, values = text.partition("=")
    if not sign or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUES, such as alpha=0:0.4")
    return name, axis_values(values)


def wavelength_range(text):
    """Parse a wavelength range, ``8450:8710``: tuple (low, high) in Å."""
    values = axis_values(text)
    if not isinstance(values, tuple):
        raise argparse.ArgumentTypeError(f"{text!r} is not a wavelength range LOW:HIGH in Å")
    return values


def add_configuration(parser):
    """Add the options of make_stellar_estimator."""
    parser.add_argument(
        "--configuration",
        choices=("default", "paper"),
        help="settings of all steps, the best ones or those of the paper (default: those of the "
        "archive if there is one, else 'default')",
    )
    parser.add_argument(
        "--normalized",
        action="store_true",
        default=None,
        help="the spectra already have a continuum of 1: do not normalise them",
    )
    parser.add_argument(
        "--interpolation",
        metavar="KIND",
        help="interpolation between nodes, such as linear or cubic (default: that of the "
        "configuration)",
    )
    parser.add_argument(
        "--n-jobs", type=int, default=None, metavar="N", help="number of processes (1)"
    )
    parser.add_argument(
        "--medium", choices=MEDIA, help="medium of the grid, if its file does not state it"
    )


def add_no_lines(parser):
    """Add the option to fit no lines."""
    parser.add_argument(
        "--no-lines",
        action="store_true",
        help="fit no lines, which takes seconds; flux and inferred parameters are the same",
    )


def in_options(text: str, known: Container[str]) -> str:
    """Name the options of a command in place of the arguments of functions.

    Parameters
    ----------
    text : str
        Message of an error or warning.
    known : container of str
        Arguments that are options of the command.

    Returns
    -------
    str
        The message.

    Examples
    --------
    >>> from skphx.cli._parser import in_options
    >>> in_options("pass medium='air', sigma=2 or flux=.", {"medium", "sigma", "flux"})
    'pass --medium air, --sigma 2 or --flux.'
    >>> in_options("pass medium='air'", set())
    "pass medium='air'"
    """
    for name, words, with_option in _ADVICE:
        if name in known:
            text = text.replace(words, with_option)

    def option(match):
        name = match["name"] or (match["bare"] if match["bare"] in _ARGUMENTS else None)
        if name is None or name not in known:
            return match[0]
        value = match["value"] or ""
        if value[:1] in ("'", '"'):
            value = shlex.quote(ast.literal_eval(value))
        return f"--{name.replace('_', '-')} {value}".rstrip()

    return _IN_MESSAGES.sub(option, text)


def protect_negative_numbers(argv: Sequence[str]) -> list[str]:
    """Join options and values that start with a minus, which argparse would take for options.

    Examples
    --------
    >>> from skphx.cli._parser import protect_negative_numbers
    >>> protect_negative_numbers(["--feh", "-0.5:0", "--quiet"])
    ['--feh=-0.5:0', '--quiet']
    """
    joined: list[str] = []
    for word in argv:
        negative = re.match(r"-[\d.]", word)
        if negative and joined and re.fullmatch(r"--[a-z][a-z-]*", joined[-1]):
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined
