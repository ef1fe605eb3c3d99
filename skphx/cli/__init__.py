"""The command line, ``skphx``: thin over the functions that notebooks use.

Each command is a module: what it does, in functions, and how it is called, in ``add_parser``.
"""

import sys
import warnings

from skphx.cli._parser import make_parser, protect_negative_numbers


def main(argv=None):
    """Run a command.

    Parameters
    ----------
    argv : list of str or None
        Arguments; None is those of the process.

    Returns
    -------
    int
        0 where all went well, 1 after an error, whose message is on the standard error, and 130
        where the user interrupted.

    Examples
    --------
    >>> from skphx.cli import main
    >>> main(["info", "no-such-file"])
    1
    """
    argv = sys.argv[1:] if argv is None else argv
    arguments = make_parser().parse_args(protect_negative_numbers(argv))
    with warnings.catch_warnings():
        # A warning is for whoever runs the command: one line, and not the code that raised it.
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
    """Message of an error, without the number that an OSError begins with."""
    if isinstance(error, OSError) and error.strerror and error.filename is None:
        return error.strerror
    return str(error)
