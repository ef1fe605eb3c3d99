"""Download one file over HTTP, check it, and explain errors.

A file is downloaded under a temporary name, checked, and then moved to its final path. An
interrupted download is continued, if the server confirms that its file has not changed
(``If-Range``). A file that does not pass the check is deleted.
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

from skphx._atomic_write import (
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
# For other statuses below 500 a retry does not help.
_RETRY_STATUSES = {408, 425, 429}
_LONGEST_WAIT = 60.0


class DownloadError(OSError):
    """A file could not be downloaded: the message says which, why, and what to do."""


class MissingOnServerError(DownloadError):
    """The server does not have the file."""


class DownloadStopped(DownloadError):
    """All downloads were stopped, by the user or after an error of another file."""


class _TransientError(Exception):
    """An error after which to retry; `wait` is the delay that the server requests, in seconds."""

    def __init__(self, reason, wait=0.0):
        super().__init__(reason)
        self.wait = wait


@dataclass(frozen=True)
class Attempts:
    """Number of retries, delay and limits of downloads.

    Attributes
    ----------
    n_retries : int
        Number of attempts after the first.
    delay : float
        Delay in seconds before the first retry; doubled before each further one.
    timeout : float
        Seconds without data after which a connection is closed.
    max_bytes : int
        Largest size of a file; larger files are refused.
    """

    n_retries: int = 5
    delay: float = 1.0
    timeout: float = 60.0
    max_bytes: int = 1 << 30


def download(url, target, check, *, attempts=None, on_bytes=None, stop=None):
    """Download one file, check it, and move it to its final path.

    Parameters
    ----------
    url : str
        URL, http or https.
    target : pathlib.Path
        Final path of the file; its folder is created.
    check : callable
        Takes a path; raises ValueError if the file is not valid.
    attempts : Attempts or None
        Number of retries, delay and limits; None is the default.
    on_bytes : callable or None
        Called with the number of bytes of each block; negative if downloaded bytes are
        deleted.
    stop : threading.Event or None
        Stops the download when it is set.

    Returns
    -------
    dict
        ``url``, ``bytes``, ``sha256`` and ``retrieved``, for the manifest.

    Raises
    ------
    MissingOnServerError
        If the server does not have the file.
    DownloadStopped
        If `stop` was set.
    DownloadError
        If the download fails in all attempts.
    LocalFileError
        If the file cannot be written: disk full, no permission.
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
                    f"{url} could not be downloaded in {attempt + 1} attempts: {error}. The part "
                    f"that was received is kept; run the same again to continue, or choose "
                    f"another mirror."
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
    """Raise ValueError unless a URL is of http or https, without a user name and password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(
            f"a mirror must be an http or https address, got {url!r}; for files on the disk use "
            f"load_grid or load_phoenix."
        )
    if parts.username or parts.password:
        raise ValueError(
            f"the address of {parts.hostname} holds a user name or a password, which would be "
            f"written to the manifest; remove them from the address."
        )


def sha256_of(path):
    """Return the hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _receive(url, part, attempts, on_bytes, stop):
    """Download the missing rest of a file, or all of it."""
    offset, headers = _resume_offset(url, part)
    headers |= {"User-Agent": f"skphx/{__version__}", "Accept-Encoding": "identity"}
    request = urllib.request.Request(url, headers=headers)
    try:
        with _opener().open(request, timeout=attempts.timeout) as answer:
            total = _total_size(answer, offset)
            if answer.status != 206:
                offset = 0
                _write_state(url, part, answer)
            if (total or 0) > attempts.max_bytes:
                raise DownloadError(_too_large(url, total, attempts.max_bytes))
            _write_blocks(url, part, answer, offset, total, attempts, on_bytes, stop)
    except urllib.error.HTTPError as error:
        _raise_for_status(url, part, error)
    except (DownloadError, _TransientError):
        raise
    except (HTTPException, urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise _TransientError(f"{type(error).__name__}: {reason}") from error


def _opener():
    """Make an opener for http and https only, also after a redirect: no local files, no ftp."""
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


def _resume_offset(url, part):
    """Return the number of bytes that were already received, and the headers for the rest."""
    try:
        state = json.loads(_state_of(part).read_bytes())
        validator, known = state["validator"], state["url"] == url
        offset = part.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return 0, {}
    # Without its tag or date, the rest could be from another version of the file.
    if not known or not validator or not offset:
        return 0, {}
    return offset, {"Range": f"bytes={offset}-", "If-Range": validator}


def _write_state(url, part, answer):
    """Write the tag or date that identifies the version of the file."""
    etag = answer.headers.get("ETag", "")
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified")
    state = json.dumps({"url": url, "validator": validator}).encode()
    write_atomically(_state_of(part), lambda file: file.write(state))


def _state_of(part):
    return part.with_name(part.name + ".json")


def _total_size(answer, offset):
    """Size of the complete file, None if the server does not give it."""
    length = answer.headers.get("Content-Length")
    if length is not None and not length.isdigit():
        raise _TransientError(f"the server gave a length of {length!r}")
    if answer.status != 206:
        return None if length is None else int(length)
    span = answer.headers.get("Content-Range", "")
    if not span.startswith(f"bytes {offset}-"):
        raise _TransientError(
            f"requested bytes from {offset}, but the server sent {span or 'other bytes'}"
        )
    total = span.rpartition("/")[2]
    if total.isdigit():
        return int(total)
    return None if length is None else offset + int(length)


def _write_blocks(url, part, answer, offset, total, attempts, on_bytes, stop):
    """Append the received data to the bytes that are already in the file."""
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
            # Closing writes buffered data, and may also fail because the disk is full.
            with explain_write_errors(part):
                file.close()
    except LocalFileError:
        _discard(part)  # frees space on a full disk
        raise
    if total is not None and received != total:
        raise _TransientError(f"the connection ended after {received} of {total} bytes")


def _next_block(answer):
    """Next bytes from the server, none at the end."""
    try:
        return answer.read(_BLOCK)
    except (HTTPException, OSError) as error:
        raise _TransientError(f"{type(error).__name__}: {error}") from error


def _check_part(part, check, on_bytes):
    """Check the downloaded file; delete it if it is not valid."""
    try:
        check(part)
    except ValueError as error:
        if on_bytes is not None:
            on_bytes(-part.stat().st_size)
        _discard(part)
        raise _TransientError(f"the file from the server is damaged: {error}") from error


def _discard(part):
    with explain_write_errors(part):
        part.unlink(missing_ok=True)
        _state_of(part).unlink(missing_ok=True)


def _raise_for_status(url, part, error):
    """Raise the error for an HTTP status."""
    status = error.code
    error.close()
    if status in _MISSING:
        raise MissingOnServerError(
            f"{url}: the server does not have this file ({status})"
        ) from None
    if status == 416:
        # The part is longer than the file on the server, which has changed.
        _discard(part)
        raise _TransientError(
            "the part that was received is not from the file that is now on the server"
        ) from None
    if status >= 500 or status in _RETRY_STATUSES:
        wait = _retry_after(error.headers)
        raise _TransientError(f"the server answered {status} {error.reason}", wait) from None
    raise DownloadError(
        f"{url}: the server refused with {status} {error.reason}; check the address of the mirror."
    ) from None


def _retry_after(headers):
    """Seconds in the header Retry-After, 0 without it."""
    value = headers.get("Retry-After", "") if headers else ""
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _too_large(url, size, limit):
    return (
        f"{url} has {size} bytes, more than {limit}, the most that files of this grid can have: "
        f"it must be another file; check the address of the mirror."
    )


def _sleep(seconds, stop):
    if stop is None:
        time.sleep(seconds)
    else:
        stop.wait(seconds)
