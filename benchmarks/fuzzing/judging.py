"""Run one call, and say whether it was read right, refused with a message, or went wrong."""

import contextlib
import re
import signal
import threading
import traceback
import warnings
from dataclasses import dataclass
from pathlib import Path

import sklearn

import skphx

PACKAGE = str(Path(skphx.__file__).parent)
#: Outcomes, in the order of the table.
OUTCOMES = ("read", "refused", "warned", "wrong", "traceback")
FAULTS = ("wrong", "traceback")
_REFUSALS = (ValueError, TypeError, FileNotFoundError, ImportError)
_ADVICE = re.compile(
    r"(?i)\b(pass|give|check|leave|save|write|copy|download|convert|use|choose|keep|rename|remove|"
    r"sort|pip install|unpack|resample|mask|divide|compute|must|needs?|merge|interpolate|read|"
    r"refused|one of|spectra have|correct|do you mean|hold one)\b"
)
_LONGEST_MESSAGE = 2500
_SECONDS = 30


class Wrong(Exception):
    """An answer contradicts what is known."""


class Hang(BaseException):
    """A call takes too long."""


@dataclass
class Outcome:
    """What became of one input."""

    kind: str
    number: int
    status: str
    detail: str = ""
    story: str = ""


@contextlib.contextmanager
def time_limit(seconds=_SECONDS):
    """Raise Hang after some seconds, where the system has alarms."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number, frame):
        raise Hang

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def judge(case, number):
    """Return the outcome of a case.

    Parameters
    ----------
    case : object
        With `kind`, `story`, a text, `words`, one of which the message of a refusal must hold,
        `run()`, and `check(answer, messages)`, which raises Wrong; `may_refuse`; `must_refuse`.
    number : int
        Number of the case.

    Returns
    -------
    Outcome
        The outcome.
    """

    def outcome(status, detail=""):
        return Outcome(case.kind, number, status, detail, case.story)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with time_limit():
                answer = case.run()
        except Hang:
            return outcome("traceback", f"takes more than {_SECONDS} s")
        except Exception as error:
            fault = _fault_of(error, case.words, not case.known)
            if fault:
                return outcome("traceback", fault)
            if not (case.may_refuse or case.must_refuse):
                return outcome("wrong", f"refused without need: {error}")
            return outcome("refused", str(error))
    foreign = [one for one in caught if not _is_own(one)]
    if foreign:
        one = foreign[0]
        where = f"{Path(one.filename).name}:{one.lineno}"
        return outcome("traceback", f"warning {one.category.__name__}: {one.message} ({where})")
    messages = [str(one.message) for one in caught]
    if case.must_refuse:
        said = f"; warned {messages}" if messages else ""
        return outcome("wrong", f"read, though {case.must_refuse}{said}")
    try:
        case.check(answer, messages)
    except Wrong as error:
        return outcome("wrong", f"{error}; warned {messages}")
    return outcome("warned" if messages else "read", "; ".join(messages))


def _is_own(warning):
    """Whether a warning is one of the package's own, for the user."""
    own = warning.category is UserWarning
    return own and ("site-packages" not in warning.filename)


def _fault_of(error, words, is_damaged):
    """Return what is wrong with an exception that a user sees, or an empty text."""
    frames = traceback.extract_tb(error.__traceback__)
    where = "; ".join(f"{Path(one.filename).name}:{one.lineno}" for one in frames[-4:])
    text = f"{type(error).__name__}: {str(error)[:300]} ({where})"
    is_own_type = type(error) in _REFUSALS or type(error).__module__.startswith("skphx")
    # scikit-learn's checks of settings name the setting and what it must be.
    places = (PACKAGE, str(Path(sklearn.__file__).parent / "utils"))
    if not is_own_type or not frames[-1].filename.startswith(places):
        return text
    message = str(error)
    if len(message) > _LONGEST_MESSAGE:
        return f"message of {len(message)} characters: {text}"
    if not any(word in message for word in words):
        return f"names neither the file nor an argument: {text}"
    if not _ADVICE.search(message):
        return f"does not say what to do: {text}"
    cause = error.__cause__
    if cause is None or str(cause) not in message or _is_refusal(cause):
        return ""
    # Words of other packages may be quoted for a damaged file, beside what to do.
    last = traceback.extract_tb(cause.__traceback__)[-1]
    by_us = last.filename.startswith(PACKAGE)
    if by_us or not _ADVICE.search(message.replace(str(cause), "")):
        fault = "passes on"
    elif is_damaged or "cannot be read as a spectrum: " not in message:
        return ""
    else:
        fault = "does not check before"
    where = f"{Path(last.filename).name}:{last.lineno}"
    return f"{fault} {type(cause).__name__} of {where}: {text}"


def _is_refusal(error):
    """Whether an exception is the package's own."""
    own = type(error) in _REFUSALS or type(error).__module__.startswith("skphx")
    return own and traceback.extract_tb(error.__traceback__)[-1].filename.startswith(PACKAGE)
