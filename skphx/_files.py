"""Writing files so that none is ever half written, and saying clearly why one cannot be."""

import errno
import os
import threading
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

#: Ending of files that are being written.
TEMPORARY = ".skphx-part"

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class LocalFileError(OSError):
    """A file of this machine cannot be written: disk full, no permission, a broken disk."""


@contextmanager
def explain_write_errors(path):
    """Turn an OSError about a local file into one that says what to do.

    Parameters
    ----------
    path : path
        The file that the block writes.

    Raises
    ------
    LocalFileError
        In place of any OSError of the block, with its ``errno``.
    """
    try:
        yield
    except LocalFileError:
        raise
    except OSError as error:
        raise LocalFileError(error.errno, _reason(error, Path(path))) from error


def _reason(error, path):
    """Say what happened to a file, and the remedy."""
    if error.errno in _FULL:
        return (
            f"the disk, or the quota, is full: {path} could not be written and nothing half "
            f"written stands in its place. Free some space in {path.parent}, or choose a folder "
            f"on another disk, and run the same again"
        )
    if error.errno in _FORBIDDEN:
        return (
            f"no permission to write {path}: choose a folder that you may write to, or change the "
            f"permissions of {path.parent}"
        )
    return f"{path} could not be written ({error.strerror or error})"


def make_folder(path):
    """Make a folder and its parents where they are missing; return it.

    Raises
    ------
    LocalFileError
        If it cannot be made, or is a file.
    """
    path = Path(path)
    with explain_write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def move_into_place(temporary, path):
    """Move a file that is whole to its place, so that it lasts through a power cut.

    Parameters
    ----------
    temporary : pathlib.Path
        The file, in the folder of `path`.
    path : pathlib.Path
        Its place; a file that stands there is replaced.

    Raises
    ------
    LocalFileError
        If it cannot be moved.
    """
    with explain_write_errors(path):
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        if hasattr(os, "O_DIRECTORY"):
            # A new name is on disk only when its folder is, too.
            folder = os.open(path.parent, os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


def write_atomically(path, write):
    """Call ``write(file)`` on a new file, and move it to its place when it is safely on disk.

    Parameters
    ----------
    path : pathlib.Path
        The file; one that exists is replaced.
    write : callable
        Takes a binary file, open for writing.

    Raises
    ------
    LocalFileError
        If the file cannot be written; what stood in its place before still does.
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
            # After the move it is gone; whatever else happened must leave nothing behind.
            temporary.unlink(missing_ok=True)


def inside(folder, relative):
    """Path of a file in a folder, refused where it would lead out of it.

    Names that come from a server, a table or a registry are not trusted: an absolute path,
    ``..``, a drive letter or a symbolic link must not reach other files.

    Parameters
    ----------
    folder : path
        The folder.
    relative : str
        Path below it, with ``/`` between its parts.

    Returns
    -------
    pathlib.Path
        The file's path; it need not exist.

    Raises
    ------
    ValueError
        If the path leaves the folder.

    Examples
    --------
    >>> from skphx._files import inside
    >>> inside("cache", "Z-0.0/lte05000.fits").as_posix()
    'cache/Z-0.0/lte05000.fits'
    >>> inside("cache", "../../etc/passwd")
    Traceback (most recent call last):
        ...
    ValueError: the path '../../etc/passwd' leads out of the folder cache: ...
    """
    folder = Path(folder)
    parts = PurePosixPath(relative).parts
    usable = (
        parts
        and not relative.startswith("/")
        and not any(part == ".." or any(sign in part for sign in "\\:\0") for part in parts)
    )
    path = folder.joinpath(*parts) if usable else folder
    # resolve() follows links that exist: one that leads elsewhere is found out here.
    if not usable or not path.resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"the path {relative!r} leads out of the folder {folder}: it is refused. Names of "
            f"files must be relative and stay below their folder."
        )
    return path
