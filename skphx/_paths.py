"""Paths as users give them, and files that may be compressed.

Every function of the package that takes a path calls `as_path`, `check_file` of
:mod:`skphx._domain` or `check_folder`: ``~`` is the home folder, and text, `pathlib.Path` and
bytes are alike. Files compressed with gzip, bzip2 or xz are known by their first bytes.
"""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Suffixes of compressed files.
COMPRESSED = (".gz", ".bz2", ".xz")
# First bytes of compressed files.
_OPENERS: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
#: First bytes of all compressed files that are read.
MAGIC = tuple(_OPENERS)


def as_path(path: Any) -> Path:
    """Return a path with ``~`` replaced by the home folder.

    Parameters
    ----------
    path : str, path-like or bytes
        Path of a file or folder, which need not exist.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    TypeError
        If `path` is of another type.

    Examples
    --------
    >>> from skphx._paths import as_path
    >>> as_path("~/grid.npz") == Path.home() / "grid.npz"
    True
    """
    path = Path(os.fsdecode(path))
    try:
        return path.expanduser()
    except RuntimeError:  # ~name, and there is no user of this name
        return path


def check_folder(path: Any) -> Path:
    """Return the path of a folder; raise FileNotFoundError unless the folder exists.

    Parameters
    ----------
    path : str, path-like or bytes
        Path of a folder.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    FileNotFoundError
        If there is no folder with this path.
    """
    folder = as_path(path)
    if folder.is_file():
        raise FileNotFoundError(f"{folder} is a file; give the folder of the files.")
    if not folder.is_dir():
        raise FileNotFoundError(f"folder {folder} does not exist; give the folder of the files.")
    return folder


def plain_name(path: Any) -> str:
    """Return the name of a file without the suffix of its compression.

    Examples
    --------
    >>> from skphx._paths import plain_name
    >>> plain_name("folder/grid.h5.gz")
    'grid.h5'
    """
    path = Path(os.fsdecode(path))
    return path.stem if path.suffix.lower() in COMPRESSED else path.name


def find_file(folder: Path, name: str) -> Path | None:
    """Return the path of a file in a folder, which may be compressed there; None if absent."""
    for candidate in (folder / name, *(folder / f"{name}{suffix}" for suffix in COMPRESSED)):
        if candidate.is_file():
            return candidate
    return None


@contextmanager
def explain_damage(name: str = "it") -> Iterator[None]:
    """Turn the errors of damaged compressed files into a ValueError that says so."""
    try:
        yield
    except (EOFError, zlib.error, lzma.LZMAError, OSError) as error:
        # OSError is also raised for files that cannot be opened, and by astropy.
        is_bzip2 = str(error) == "Invalid data stream"
        if isinstance(error, OSError) and not (is_bzip2 or isinstance(error, gzip.BadGzipFile)):
            raise
        raise ValueError(f"{name} is compressed, and damaged or cut short ({error})") from error


@contextmanager
def open_text(
    path: Path,
    *,
    name: str = "it",
    encoding: str = "utf-8",
    errors: str = "strict",
    newline: str | None = None,
) -> Iterator[Any]:
    """Open a text file, which may be compressed; messages of errors begin with `name`.

    Raises
    ------
    ValueError
        In the block, if the file is compressed and damaged.
    """
    opened = _opener_of(path) or open
    with (
        explain_damage(name),
        opened(path, "rt", encoding=encoding, errors=errors, newline=newline) as file,
    ):
        yield file


def whole_file(path: Path) -> Path | io.BytesIO:
    """Return the path of a file, or, if the file is compressed, its content in memory.

    Raises
    ------
    ValueError
        If the file is compressed and damaged.
    """
    opened = _opener_of(path)
    if opened is None:
        return path
    try:
        with explain_damage(), opened(path, "rb") as file:
            return io.BytesIO(file.read())
    except ValueError as error:
        raise ValueError(f"{path.name} cannot be read: {error}; write it again.") from error


def _opener_of(path):
    """Return the function that opens a compressed file, or None for other files."""
    with open(path, "rb") as file:
        start = file.read(8)
    return next((opener for magic, opener in _OPENERS.items() if start.startswith(magic)), None)
