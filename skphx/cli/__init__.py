"""The command line ``skphx``, which calls the public functions of the package.

Each command is in a module with its functions and its options, which ``add_parsers`` defines.
"""

import sys
import warnings
from collections.abc import Sequence

from tqdm import tqdm

from skphx.cli._parser import in_options, make_parser, protect_negative_numbers


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    argv : list of str or None
        Arguments; None is ``sys.argv[1:]``.

    Returns
    -------
    int
        0 without error, 1 after an error, whose message is printed to standard error, and 130
        after an interruption by the user. Warnings are lines on standard error, too; they do not
        change the status.

    Raises
    ------
    SystemExit
        With status 2 for options that do not exist, and 0 after --help.

    Examples
    --------
    >>> from skphx.cli import main
    >>> main(["info", "no-such-file"])
    1
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = make_parser().parse_args(protect_negative_numbers(argv))
    options = vars(arguments)
    shown = set()

    def show_warning(message, *_, **__):
        text = in_options(" ".join(str(message).split()), options)
        # The same is said once, of however many spectra.
        if text not in shown:
            shown.add(text)
            tqdm.write(f"skphx {arguments.command}: warning: {text}", file=sys.stderr)

    with warnings.catch_warnings():
        # Print warnings as one line, without the line of code.
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show_warning
        try:
            arguments.run(arguments)
        except (ValueError, OSError, ImportError, TypeError) as error:
            text = in_options(_text_of(error), options)
            print(f"skphx {arguments.command}: error: {text}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"skphx {arguments.command}: interrupted", file=sys.stderr)
            return 130
    return 0


def _text_of(error):
    """Message of an error, without the number of an OSError."""
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    return str(error)
