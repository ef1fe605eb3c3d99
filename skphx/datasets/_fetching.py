"""Many files at once: threads, progress, and one clear end to all trouble."""

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from numbers import Integral
from threading import Event, Lock

from sklearn.utils import check_scalar
from tqdm import tqdm

from skphx._files import LocalFileError
from skphx.datasets._download import DownloadError, DownloadStopped


def fetch_files(
    cache, relatives, checks, *, first=(), check_first=None, n_jobs, download_if_missing, verbose
):
    """Files of a cache, those that are not there downloaded several at once.

    Parameters
    ----------
    cache : FileCache
        Where they are kept and come from.
    relatives : list of str
        Paths of the files.
    checks : list of callable
        The check of each.
    first : sequence of str
        Paths of files that every check needs; without them nothing goes on.
    check_first : callable or None
        The check of these.
    n_jobs : int
        Files downloaded at once.
    download_if_missing : bool
        False never asks a server.
    verbose : int
        Above 0, a bar with files done, bytes, and the time left.

    Returns
    -------
    list of pathlib.Path or None
        Each file; None where the server has none.

    Raises
    ------
    DownloadError
        If files could not be had, after all others were tried.
    LocalFileError
        If a file could not be written; the others are stopped.
    """
    check_scalar(n_jobs, "n_jobs", Integral, min_val=1)
    for relative in first:
        check = check_first or _anything
        if cache.get(relative, check, download_if_missing=download_if_missing) is None:
            raise DownloadError(
                f"{' and '.join(cache.mirrors)} has no {relative}, which all spectra need; the "
                f"address of the mirror must be that of the folder that holds it."
            )
    progress = _Progress(len(relatives), verbose)
    stop = Event()
    paths, failures = [None] * len(relatives), []

    def one(row):
        paths[row] = cache.get(
            relatives[row],
            checks[row],
            download_if_missing=download_if_missing,
            on_bytes=progress.add_bytes,
            stop=stop,
        )
        progress.add_file()

    with progress, ThreadPoolExecutor(n_jobs) as pool:
        tasks = {pool.submit(_gather, one, row, failures): row for row in range(len(relatives))}
        try:
            # Only what makes all further work vain comes out of a task.
            done, _ = wait(tasks, return_when=FIRST_EXCEPTION)
            for task in done:
                task.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    if failures:
        shown = [str(error) for error in failures[:5]] + ["..."] * bool(failures[5:])
        listed = "\n  ".join(shown)
        raise DownloadError(
            f"{len(failures)} of {len(relatives)} files could not be had:\n  {listed}\nThe other "
            f"{len(relatives) - len(failures)} are done and kept in {cache.folder}."
        )
    return paths


def _gather(one, row, failures):
    """Run one file; keep its failure for the end, unless it is this machine's."""
    try:
        one(row)
    except (LocalFileError, DownloadStopped):
        raise
    except DownloadError as error:
        failures.append(error)


def _anything(path):
    """Check a file of which nothing is known: that it is not empty or a page."""
    with open(path, "rb") as file:
        start = file.read(64).lstrip().lower()
    if not start or start.startswith((b"<!doctype", b"<html")):
        raise ValueError("it is empty or a web page")


class _Progress:
    """A bar of files, with bytes, their rate, and the time left."""

    def __init__(self, n_files, verbose):
        self._bar = tqdm(
            total=n_files,
            desc="downloading",
            unit="file",
            disable=not verbose,
            bar_format="{desc}: {n_fmt}/{total_fmt} files |{bar}| {postfix} {elapsed}<{remaining}",
        )
        self._lock, self._bytes = Lock(), 0

    def add_bytes(self, n_bytes):
        with self._lock:
            self._bytes += n_bytes
            rate = self._bytes / max(self._bar.format_dict["elapsed"], 1e-3)
            self._bar.set_postfix_str(
                f"{tqdm.format_sizeof(self._bytes, 'B')}, {tqdm.format_sizeof(rate, 'B/s')}",
                refresh=False,
            )

    def add_file(self):
        with self._lock:
            self._bar.update()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._bar.close()
