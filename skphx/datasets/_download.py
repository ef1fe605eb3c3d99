"""One file over HTTP, whole and checked, or an error that says why not.

A file is received under a temporary name, checked, and only then moved to its place. A transfer
that breaks off goes on from where it stopped, if the server confirms that the file is still the
same (``If-Range``); what arrived and does not pass its check is thrown away.
"""

import hashlib
import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit

from skphx._files import (
    TEMPORARY,
    LocalFileError,
    explain_write_errors,
    make_folder,
    move_into_place,
    write_atomically,
)
from skphx._version import __version__

_BLOCK = 1 << 18
_MISSING = {404, 410}
# Other statuses below 500 are answers that will not change by asking again.
_WORTH_ASKING_AGAIN = {408, 425, 429}
_LONGEST_WAIT = 60.0


class DownloadError(OSError):
    """A file could not be had: the message says which and why, and what to do."""


class MissingOnServerError(DownloadError):
    """The server says that it has no such file."""


class DownloadStopped(DownloadError):
    """Another file's trouble, or the user, ended all downloads."""


class _TransientError(Exception):
    """Worth another attempt; `wait` is what the server asked for, in seconds."""

    def __init__(self, reason, wait=0.0):
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Attempts:
    """How patiently to download.

    Attributes
    ----------
    n_retries : int
        Attempts after the first.
    delay : float
        Seconds before the first retry; doubled for each further one.
    timeout : float
        Seconds without any answer after which a connection counts as broken.
    max_bytes : int
        Size beyond which a file cannot be what was asked for.
    """

    n_retries: int = 5
    delay: float = 1.0
    timeout: float = 60.0
    max_bytes: int = 1 << 30


def download(url, target, check, *, attempts=None, on_bytes=None, stop=None):
    """Download one file, check it, and move it to its place.

    Parameters
    ----------
    url : str
        Address, http or https.
    target : pathlib.Path
        Where the file goes; its folder is made.
    check : callable
        Takes a path and raises ValueError where the file is not what it should be.
    attempts : Attempts or None
        How patiently; None is the default.
    on_bytes : callable or None
        Called with the number of bytes of every block that arrives; negative where bytes
        that arrived before are thrown away.
    stop : threading.Event or None
        Ends the download when it is set.

    Returns
    -------
    dict
        ``url``, ``bytes``, ``sha256`` and ``retrieved``, for the manifest.

    Raises
    ------
    MissingOnServerError
        If the server has no such file.
    DownloadStopped
        If `stop` was set.
    DownloadError
        If the file cannot be had after all attempts.
    LocalFileError
        If it cannot be written: disk full, no permission.
    """
    check_url(url)
    attempts = attempts or Attempts()
    target = Path(target)
    make_folder(target.parent)
    part = target.with_name(target.name + TEMPORARY)
    for attempt in range(attempts.n_retries + 1):
        if stop is not None and stop.is_set():
            raise DownloadStopped(f"download of {url} was stopped")
        try:
            _receive(url, part, attempts, on_bytes, stop)
            _check_part(part, check, on_bytes)
            break
        except _TransientError as error:
            if attempt == attempts.n_retries:
                raise DownloadError(
                    f"{url} could not be downloaded in {attempt + 1} attempts: {error}. What "
                    f"has arrived is kept; run the same again to go on, or choose another mirror."
                ) from error
            pause = max(error.wait, attempts.delay * 2**attempt)
            _sleep(min(pause, _LONGEST_WAIT), stop)
    receipt = {
        "url": url,
        "bytes": part.stat().st_size,
        "sha256": sha256_of(part),
        "retrieved": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    move_into_place(part, target)
    with explain_write_errors(target):
        _state_of(part).unlink(missing_ok=True)
    return receipt


def check_url(url):
    """Raise ValueError unless a URL is one of a web server, without credentials in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"a mirror must be an http or https address, got {url!r}; for files on disk use "
            f"load_grid or load_phoenix."
        )
    if parts.username or parts.password:
        raise ValueError(
            f"the address of {parts.hostname} holds a user name or a password, which would be "
            f"written to the manifest; give it without."
        )


def sha256_of(path):
    """Checksum of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url, part, attempts, on_bytes, stop):
    """Append what is missing of a file to its part, or begin anew."""
    offset, headers = _where_to_go_on(url, part)
    headers |= {"User-Agent": f"skphx/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)
    try:
        with _opener().open(request, timeout=attempts.timeout) as answer:
            total = _size_of_all(answer, offset)
            if answer.status != 206:
                offset = 0
                _remember(url, part, answer)
            if (total or 0) > attempts.max_bytes:
                raise DownloadError(_too_large(url, total, attempts.max_bytes))
            _write_blocks(url, part, answer, offset, total, attempts, on_bytes, stop)
    except urllib.error.HTTPError as error:
        _explain_status(url, part, error)
    except (DownloadError, _TransientError):
        raise
    except (HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise _TransientError(f"{type(error).__name__}: {reason}") from error


def _opener():
    # Only web servers, also after a redirect: neither files of this machine nor ftp.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _where_to_go_on(url, part):
    """Bytes that are there already, and the headers that ask for the rest."""
    try:
        state = json.loads(_state_of(part).read_bytes())
        validator, known = state["validator"], state["url"] == url
        offset = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, {}
    # Without its tag or date the rest of the file could be that of another version.
    if not known or not validator or not offset:
        return 0, {}
    return offset, {"Range": f"bytes={offset}-", "If-Range": validator}


def _remember(url, part, answer):
    """Note what identifies the version of the file that begins to arrive."""
    etag = answer.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
    state = json.dumps({"url": url, "validator": validator}).encode()
    write_atomically(_state_of(part), lambda file: file.write(state))


def _state_of(part):
    return part.with_name(part.name + ".json")


def _size_of_all(answer, offset):
    """Size of the whole file, None where the server does not say."""
    length = answer.headers.get("Content-Length")
    if length is not None and not length.isdigit():
        raise _TransientError(f"the server announced a length of {length!r}")
    if answer.status != 206:
        return None if length is None else int(length)
    span = answer.headers.get("Content-Range", "")
    if not span.startswith(f"bytes {offset}-"):
        raise _TransientError(f"asked for bytes from {offset}, the server sent {span or 'others'}")
    total = span.rpartition("/")[2]
    if total.isdigit():
        return int(total)
    return None if length is None else offset + int(length)


def _write_blocks(url, part, answer, offset, total, attempts, on_bytes, stop):
    """Write the body behind the bytes that are there."""
    received = offset
    try:
        with explain_write_errors(part):
            file = open(part, "ab" if offset else "wb")  # noqa: SIM115, each step has its errors
        try:
            while block := _next_block(answer):
                with explain_write_errors(part):
                    file.write(block)
                received += len(block)
                if on_bytes is not None:
                    on_bytes(len(block))
                if received > attempts.max_bytes:
                    raise DownloadError(_too_large(url, received, attempts.max_bytes))
                if stop is not None and stop.is_set():
                    raise DownloadStopped(f"download of {url} was stopped")
        finally:
            # Closing writes what is buffered, and so may find the disk full, too.
            with explain_write_errors(part):
                file.close()
    except LocalFileError:
        _discard(part)  # on a full disk the part itself is in the way
        raise
    if total is not None and received != total:
        raise _TransientError(f"the connection ended after {received} of {total} bytes")


def _next_block(answer):
    """Bytes from the server, none at the end."""
    try:
        return answer.read(_BLOCK)
    except (HTTPException, OSError) as error:
        raise _TransientError(f"{type(error).__name__}: {error}") from error


def _check_part(part, check, on_bytes):
    """Check what arrived; throw it away where it is not what it should be."""
    try:
        check(part)
    except ValueError as error:
        if on_bytes is not None:
            on_bytes(-part.stat().st_size)
        _discard(part)
        raise _TransientError(f"what the server sent is damaged: {error}") from error


def _discard(part):
    with explain_write_errors(part):
        part.unlink(missing_ok=True)
        _state_of(part).unlink(missing_ok=True)


def _explain_status(url, part, error):
    """Raise what an answer with an error status means."""
    status = error.code
    error.close()
    if status in _MISSING:
        raise MissingOnServerError(f"{url}: the server has no such file ({status})") from None
    if status == 416:
        # More is here than there: the file on the server is another one now.
        _discard(part)
        raise _TransientError(
            "the part that had arrived does not fit the file on the server"
        ) from None
    if status >= 500 or status in _WORTH_ASKING_AGAIN:
        wait = _asked_to_wait(error.headers)
        raise _TransientError(f"the server answered {status} {error.reason}", wait) from None
    raise DownloadError(
        f"{url}: the server refused with {status} {error.reason}; check the address of the mirror."
    ) from None


def _asked_to_wait(headers):
    """Seconds that the header Retry-After names, 0 without it."""
    value = headers.get("Retry-After", "") if headers else ""
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _too_large(url, size, limit):
    return (
        f"{url} has {size} bytes, more than {limit}, the most that such a file can have: it is "
        f"something else; check the address of the mirror."
    )


def _sleep(seconds, stop):
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)
