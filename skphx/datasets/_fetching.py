"""fetch_files: download several files in parallel, with a progress bar and one error report."""

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from numbers import Integral
from pathlib import Path
from threading import Event, Lock

from sklearn.utils import check_scalar
from tqdm import tqdm

from skphx._atomic_write import LocalFileError
from skphx.datasets._download import DownloadError, DownloadStopped


def fetch_files(
    cache, relatives, checks, *, first=(), check_first=None, n_jobs, download_if_missing, verbose
):
    """Return the paths of files in a cache; download missing files in parallel.

    Parameters
    ----------
    cache : FileCache
        The cache, with folder and mirrors.
    relatives : list of str
        Paths of the files.
    checks : list of callable
        The check of each file.
    first : sequence of str
        Paths of files that are needed for all checks, and downloaded first.
    check_first : callable or None
        The check of these files.
    n_jobs : int
        Number of parallel downloads.
    download_if_missing : bool
        Whether to download files that do not exist.
    verbose : int
        Whether to show a progress bar with files, bytes and remaining time (above 0).

    Returns
    -------
    list of pathlib.Path or None
        Path of each file; None if the server does not have it.

    Raises
    ------
    DownloadError
        If downloads fail, after all other files have been tried.
    LocalFileError
        If a file could not be written; all other downloads are stopped.
    """
    check_scalar(n_jobs, "n_jobs", Integral, min_val=1)
    for relative in first:
        check = check_first or _check_not_a_page
        if cache.get(relative, check, download_if_missing=download_if_missing) is None:
            raise DownloadError(
                f"{' and '.join(cache.mirrors)} has no {relative}, which is needed for all "
                f"spectra; the address of the mirror must be that of the folder of this file."
            )
    progress = _Progress(len(relatives), verbose)
    stop = Event()
    paths: list[Path | None] = [None] * len(relatives)
    failures: list[DownloadError] = []

    def fetch(row):
        paths[row] = cache.get(
            relatives[row],
            checks[row],
            download_if_missing=download_if_missing,
            on_bytes=progress.add_bytes,
            stop=stop,
        )
        progress.add_file()

    with progress, ThreadPoolExecutor(n_jobs) as pool:
        tasks = {
            pool.submit(_collect_failure, fetch, row, failures): row
            for row in range(len(relatives))
        }
        try:
            # Tasks raise only errors after which all downloads are stopped.
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
            f"{len(failures)} of {len(relatives)} files could not be downloaded:\n  {listed}\n"
            f"The other {len(relatives) - len(failures)} are in {cache.folder}; run the same "
            f"again to download the rest."
        )
    return paths


def _collect_failure(fetch, row, failures):
    """Fetch one file, and add its error to the list, unless it is an error of this computer."""
    try:
        fetch(row)
    except (LocalFileError, DownloadStopped):
        raise
    except DownloadError as error:
        failures.append(error)


def _check_not_a_page(path):
    """Check that a file is neither empty nor a web page."""
    with open(path, "rb") as file:
        start = file.read(64).lstrip().lower()
    if not start or start.startswith((b"<!doctype", b"<html")):
        raise ValueError("the file is empty or a web page")


class _Progress:
    """A progress bar with files, bytes, rate and remaining time."""

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
