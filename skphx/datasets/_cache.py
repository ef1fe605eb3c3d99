"""FileCache: a folder of downloaded files with a manifest of checksums, shared by processes.

====================  =================================================================
file                  what
====================  =================================================================
manifest.json         for each file: URL, bytes, SHA-256 and time of the download; and the
                      files that the server does not have
<file>                a file of the server, under the same path
.locks/               one lock per file, held during its download
====================  =================================================================
"""

import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from filelock import FileLock

from skphx._atomic_write import explain_write_errors, inside, make_folder, write_atomically
from skphx._paths import as_path
from skphx.datasets._download import (
    DownloadError,
    DownloadStopped,
    MissingOnServerError,
    check_url,
    download,
    sha256_of,
)

_FORMAT = "skphx manifest of downloaded files"
_VERSION = 1


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder of downloaded grids; create it if it does not exist.

    Parameters
    ----------
    data_home : path or None
        The folder; None is the environment variable ``SKPHX_DATA``, or ``~/skphx_data`` if it is
        not set.

    Returns
    -------
    pathlib.Path
        Absolute path of the folder.

    Raises
    ------
    LocalFileError
        If the folder cannot be created.

    Examples
    --------
    >>> import tempfile
    >>> from skphx.datasets import get_data_home
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     get_data_home(folder).name == os.path.basename(folder)
    True
    """
    if data_home is None:
        data_home = os.environ.get("SKPHX_DATA") or Path.home() / "skphx_data"
    return make_folder(as_path(data_home).absolute())


class FileCache:
    """Files of one grid, downloaded once and checked each time they are used.

    Parameters
    ----------
    folder : path
        Folder of the files.
    mirrors : sequence of str
        URLs of the folder from which the paths of the files start; they are tried in this order.
    attempts : Attempts or None
        Number of retries, delay and limits of the downloads.
    """

    def __init__(self, folder, mirrors, attempts=None):
        for mirror in mirrors:
            check_url(mirror)
        self.folder = Path(folder)
        self.mirrors = [mirror.rstrip("/") for mirror in mirrors]
        self.attempts = attempts
        # The content of the manifest, and the version of the file from which it was read.
        self._manifest: dict[str, dict[str, Any]] = {"files": {}, "missing": {}}
        self._manifest_version: tuple[int, int, int] | None = None

    def get(self, relative, check, *, download_if_missing=True, on_bytes=None, stop=None):
        """Return the path of a complete and checked file; None if the server does not have it.

        Parameters
        ----------
        relative : str
            Path of the file, on the server and in the folder.
        check : callable
            Takes a path; raises ValueError if the file is not valid.
        download_if_missing : bool
            Whether to download the file if it does not exist.
        on_bytes, stop
            As for :func:`skphx.datasets._download.download`.

        Returns
        -------
        pathlib.Path or None
            Path of the file.

        Raises
        ------
        DownloadError
            If the file cannot be downloaded; without `download_if_missing` also if it does not
            exist or is damaged.
        LocalFileError
            If the file cannot be written.
        ValueError
            If the path leads out of the folder.
        """
        path = inside(self.folder, relative)
        if not download_if_missing:
            return self._present(relative, path, check)
        # Without a lock, because the folder of a file that is already there may be read-only.
        if self._is_known(relative) and self._fault(relative, path, check) is None:
            return path
        with self._lock(relative):
            # Another process may have downloaded the file during the wait for the lock.
            if self._fault(relative, path, check) is None:
                if not self._is_known(relative):
                    self._note(files={relative: _receipt_of(path)})
                return path
            try:
                receipt = self._from_mirrors(relative, path, check, on_bytes, stop)
            except MissingOnServerError:
                self._note(missing={relative: _now()})
                return None
            self._note(files={relative: receipt})
        return path

    def checksums(self, relatives):
        """Return the SHA-256 of files in the manifest: dict."""
        files = self._read()["files"]
        return {relative: files[relative]["sha256"] for relative in relatives if relative in files}

    def _present(self, relative, path, check):
        fault = self._fault(relative, path, check)
        if fault is None:
            return path
        if fault == "absent" and relative in self._read()["missing"]:
            return None
        raise DownloadError(
            f"{path} is {fault}, and download_if_missing=False: set it to True, or copy the file "
            f"to this path."
        )

    def _fault(self, relative, path, check):
        """Why a file cannot be used, "absent" or "damaged: ..."; None if it can be used."""
        if not path.is_file():
            return "absent"
        entry = self._read()["files"].get(relative)
        if entry is not None:
            # `check` was called before the checksum was stored.
            if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
                return "damaged: its checksum is not that of the downloaded file"
            return None
        try:
            check(path)
        except ValueError as error:
            return f"damaged: {error}"
        return None

    def _is_known(self, relative):
        return relative in self._read()["files"]

    def _from_mirrors(self, relative, path, check, on_bytes, stop):
        """Download a file from the first mirror that has it; return its manifest entry."""
        absent: MissingOnServerError | None = None
        failure: DownloadError | None = None
        for mirror in self.mirrors:
            url = f"{mirror}/{quote(relative)}"
            try:
                return download(
                    url, path, check, attempts=self.attempts, on_bytes=on_bytes, stop=stop
                )
            except DownloadStopped:
                raise
            except MissingOnServerError as error:
                absent = error
            except DownloadError as error:
                failure = error
        # A mirror that failed may have the file, so the file is not known to be missing.
        raise failure or absent or DownloadError(f"there is no mirror with {relative}")

    @contextmanager
    def _lock(self, relative):
        """Hold the lock of a file for this thread."""
        folder = make_folder(self.folder / ".locks")
        lock = FileLock(folder / f"{relative.replace('/', '~')}.lock")
        with explain_write_errors(folder):
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _read(self):
        file = self.folder / "manifest.json"
        try:
            stat = file.stat()
            version = stat.st_ino, stat.st_mtime_ns, stat.st_size
            if self._manifest_version == version:  # called for each file: read only once
                return self._manifest
            manifest = json.loads(file.read_bytes())
            if manifest["format"] != _FORMAT or manifest["version"] > _VERSION:
                raise ValueError(f"its format is {manifest['format']!r} {manifest['version']}")
            content = {"files": dict(manifest["files"]), "missing": dict(manifest["missing"])}
        except FileNotFoundError:
            return {"files": {}, "missing": {}}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file} is not a manifest that this version of skphx can read ({error}). Delete "
                f"it and run the same again: the downloaded files are kept, and checked again."
            ) from error
        self._manifest, self._manifest_version = content, version
        return content

    def _note(self, *, files=None, missing=None):
        """Add entries to the manifest, which other threads and processes may also change."""
        with self._lock("manifest"):
            before = self._read()
            known = before["files"] | (files or {})
            absent = before["missing"] | (missing or {})
            content = {
                "format": _FORMAT,
                "version": _VERSION,
                "files": known,
                "missing": {name: when for name, when in absent.items() if name not in known},
            }
            text = json.dumps(content, indent=1, sort_keys=True).encode()
            write_atomically(self.folder / "manifest.json", lambda file: file.write(text))


def _receipt_of(path):
    """Manifest entry of a file that was not downloaded by this cache."""
    size = path.stat().st_size
    return {"url": None, "bytes": size, "sha256": sha256_of(path), "retrieved": None}


def _now():
    return datetime.now(UTC).isoformat(timespec="seconds")
