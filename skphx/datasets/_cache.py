"""A folder of downloaded files with a manifest of checksums, shared by processes.

====================  =================================================================
file                  what
====================  =================================================================
manifest.json         of each file: address, bytes, SHA-256, when it was downloaded; and
                      which files the server did not have
<file>                as on the server, under the same path
.locks/               one lock a file, held while it is being downloaded
====================  =================================================================
"""

import json
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock

from skphx._files import explain_write_errors, inside, make_folder, write_atomically
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


def get_data_home(data_home=None):
    """Folder in which downloaded grids are kept; made where it is missing.

    Parameters
    ----------
    data_home : path or None
        The folder; None is the environment's ``SKPHX_DATA``, or else ``~/skphx_data``.

    Returns
    -------
    pathlib.Path
        The folder, absolute.

    Raises
    ------
    LocalFileError
        If it cannot be made.

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
    return make_folder(Path(data_home).expanduser().absolute())


class FileCache:
    """Files of one grid, downloaded once and checked whenever they are used.

    Parameters
    ----------
    folder : path
        Where the files are kept.
    mirrors : sequence of str
        Addresses of the folder that the files' paths start from, tried in turn.
    attempts : Attempts or None
        How patiently to download.
    """

    def __init__(self, folder, mirrors, attempts=None):
        for mirror in mirrors:
            check_url(mirror)
        self.folder = Path(folder)
        self.mirrors = [mirror.rstrip("/") for mirror in mirrors]
        self.attempts = attempts
        self._last_read = None, None

    def get(self, relative, check, *, download_if_missing=True, on_bytes=None, stop=None):
        """Path of a file that is whole and checked; None if the server does not have it.

        Parameters
        ----------
        relative : str
            Path of the file on the server, and here.
        check : callable
            Takes a path and raises ValueError where the file is not what it should be.
        download_if_missing : bool
            False never asks a server.
        on_bytes, stop
            As for :func:`skphx.datasets._download.download`.

        Returns
        -------
        pathlib.Path or None
            The file.

        Raises
        ------
        DownloadError
            If it cannot be had; without `download_if_missing` also where it is damaged.
        LocalFileError
            If it cannot be written.
        ValueError
            If the path leads out of the folder.
        """
        path = inside(self.folder, relative)
        if not download_if_missing:
            return self._present(relative, path, check)
        # Without a lock first: what is good already may stand in a folder that is read-only.
        if self._is_known(relative) and self._fault(relative, path, check) is None:
            return path
        with self._lock(relative):
            # Another process may have finished it while this one waited.
            if self._fault(relative, path, check) is None:
                if not self._is_known(relative):
                    self._note(files={relative: _found_here(path)})
                return path
            try:
                receipt = self._from_mirrors(relative, path, check, on_bytes, stop)
            except MissingOnServerError:
                self._note(missing={relative: _now()})
                return None
            self._note(files={relative: receipt})
        return path

    def checksums(self, relatives):
        """SHA-256 of files, from the manifest: dict."""
        files = self._read()["files"]
        return {relative: files[relative]["sha256"] for relative in relatives if relative in files}

    def _present(self, relative, path, check):
        fault = self._fault(relative, path, check)
        if fault is None:
            return path
        if fault == "absent" and relative in self._read()["missing"]:
            return None
        raise DownloadError(
            f"{path} is {fault}, and download_if_missing=False: allow the download, or put the "
            f"file there."
        )

    def _fault(self, relative, path, check):
        """Why a file cannot be used: "absent", "damaged ..."; None where it can."""
        if not path.is_file():
            return "absent"
        entry = self._read()["files"].get(relative)
        if entry is not None:
            # Both: a checksum says whether a file changed, not whether it was good.
            if path.stat().st_size != entry["bytes"] or sha256_of(path) != entry["sha256"]:
                return "damaged: it is not the file that was downloaded (checksum)"
            return None
        try:
            check(path)
        except ValueError as error:
            return f"damaged: {error}"
        return None

    def _is_known(self, relative):
        return relative in self._read()["files"]

    def _from_mirrors(self, relative, path, check, on_bytes, stop):
        """Receipt of the first mirror that has the file."""
        absent, trouble = None, None
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
                trouble = error
        # A server that did not answer may have the file that another one lacks.
        raise trouble or absent

    @contextmanager
    def _lock(self, relative):
        """Hold a file for this thread of this process."""
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
            if self._last_read[0] == version:  # asked for every file: read once
                return self._last_read[1]
            manifest = json.loads(file.read_bytes())
            if manifest["format"] != _FORMAT or manifest["version"] > _VERSION:
                raise ValueError(f"its format is {manifest['format']!r} {manifest['version']}")
            content = {"files": dict(manifest["files"]), "missing": dict(manifest["missing"])}
        except FileNotFoundError:
            return {"files": {}, "missing": {}}
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file} is no manifest that this skphx reads ({error}). Delete it and run the "
                f"same again: the files are kept, and checked anew."
            ) from error
        self._last_read = version, content
        return content

    def _note(self, *, files=None, missing=None):
        """Add to the manifest, which other threads and processes write, too."""
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


def _found_here(path):
    """Receipt of a file that came by other means."""
    size = path.stat().st_size
    return {"url": None, "bytes": size, "sha256": sha256_of(path), "retrieved": None}


def _now():
    return datetime.now(UTC).isoformat(timespec="seconds")
