"""The command line ``skphx``, which calls the public functions of the package.

Each command is in a module with its functions and its options, which ``add_parsers`` defines.
"""

import sys
import warnings
from collections.abc import Sequence

from skphx.cli._parser import make_parser, protect_negative_numbers


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
        after an interruption by the user.

    Examples
    --------
    >>> from skphx.cli import main
    >>> main(["info", "no-such-file"])
    1
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = make_parser().parse_args(protect_negative_numbers(argv))
    with warnings.catch_warnings():
        # Print warnings as one line, without the line of code.
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = _show_warning
        try:
            arguments.run(arguments)
        except (ValueError, OSError, ImportError, TypeError) as error:
            print(f"skphx {arguments.command}: error: {_text_of(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"skphx {arguments.command}: interrupted", file=sys.stderr)
            return 130
    return 0


def _show_warning(message, *_, **__):
    print(f"skphx: warning: {message}", file=sys.stderr)


def _text_of(error):
    """Message of an error, without the number of an OSError."""
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    return str(error)
