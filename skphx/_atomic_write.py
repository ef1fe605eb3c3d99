"""Write files completely or not at all, and explain why a file could not be written."""

import errno
import os
import threading
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

#: Suffix of files that are being written.
TEMPORARY = ".skphx-part"

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class LocalFileError(OSError):
    """A local file cannot be written: disk full, no permission, or a disk error."""


@contextmanager
def explain_write_errors(path):
    """Turn an OSError about a local file into a LocalFileError that says what to do.

    Parameters
    ----------
    path : path
        The file that the block writes.

    Raises
    ------
    LocalFileError
        Instead of any OSError that the block raises, with the same ``errno``.
    """
    try:
        yield
    except LocalFileError:
        raise
    except OSError as error:
        raise LocalFileError(error.errno, _reason(error, Path(path))) from error


def _reason(error, path):
    """Say why a file could not be written, and what to do."""
    if error.errno in _FULL:
        return (
            f"the disk, or the quota, is full: {path} could not be written, and no incomplete "
            f"file was left. Free some space in {path.parent}, or choose a folder on another "
            f"disk, and run the same command again"
        )
    if error.errno in _FORBIDDEN:
        return (
            f"no permission to write {path}: choose a folder in which you can write, or change "
            f"the permissions of {path.parent}"
        )
    return f"{path} could not be written ({error.strerror or error})"


def make_folder(path):
    """Create a folder and its parents if they do not exist; return its path.

    Raises
    ------
    LocalFileError
        If the folder cannot be created, or a file has its name.
    """
    path = Path(path)
    with explain_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def move_into_place(temporary, path):
    """Move a complete file to its final path, and flush both file and folder to the disk.

    Parameters
    ----------
    temporary : pathlib.Path
        The file, in the folder of `path`.
    path : pathlib.Path
        Final path; an existing file is replaced.

    Raises
    ------
    LocalFileError
        If the file cannot be moved.
    """
    with explain_write_errors(path):
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if hasattr(os, "O_DIRECTORY"):
            # The new name is on the disk only after the folder has been flushed, too.
            folder = os.open(path.parent, os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def write_atomically(path, write):
    """Call ``write(file)`` on a temporary file, then move that file to its final path.

    Parameters
    ----------
    path : pathlib.Path
        The file; an existing one is replaced.
    write : callable
        Takes a binary file that is open for writing.

    Raises
    ------
    LocalFileError
        If the file cannot be written; an existing file is then unchanged.
    """
    path = Path(path)
    writer = f"{os.getpid()}-{threading.get_ident()}"
    temporary = path.with_name(f".{path.name}.{writer}{TEMPORARY}")
    with explain_write_errors(path):
        try:
            with open(temporary, "wb") as file:
                write(file)
            move_into_place(temporary, path)
        finally:
            # After the move it no longer exists; after an error it must not remain.
            temporary.unlink(missing_ok=True)


def inside(folder, relative):
    """Return the path of a file in a folder; refuse paths that lead out of the folder.

    Names that come from a server, a table or a registry are not trusted: an absolute path,
    ``..``, a drive letter or a symbolic link must not reach other files.

    Parameters
    ----------
    folder : path
        The folder.
    relative : str
        Path below the folder, with ``/`` between its parts.

    Returns
    -------
    pathlib.Path
        Path of the file, which need not exist.

    Raises
    ------
    ValueError
        If the path leaves the folder.

    Examples
    --------
    >>> from skphx._atomic_write import inside
    >>> inside("cache", "Z-0.0/lte05000.fits").as_posix()
    'cache/Z-0.0/lte05000.fits'
    >>> inside("cache", "../../etc/passwd")
    Traceback (most recent call last):
        ...
    ValueError: the path '../../etc/passwd' leads out of the folder cache...
    """
    folder = Path(folder)
    parts = PurePosixPath(relative).parts
    usable = (
        parts
        and not relative.startswith("/")
        and not any(part == ".." or any(sign in part for sign in "\\:\0") for part in parts)
    )
    path = folder.joinpath(*parts) if usable else folder
    # resolve() follows symbolic links, so that links to other folders are refused here.
    if not usable or not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"the path {relative!r} leads out of the folder {folder}, and is refused: file names "
            f"must be relative, and stay below that folder."
        )
    return path
