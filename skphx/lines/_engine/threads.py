"""How many threads compiled kernels use."""

import os
import sys
import threading
from contextlib import contextmanager
from functools import cache

import numba
from threadpoolctl import ThreadpoolController

_LOCK = threading.Lock()

# Below so many elementary steps, waiting for other threads costs more than they save.
_WORTH_THREADS = 200_000


@contextmanager
def threads(work):
    """Run kernels with as many threads as allowed; one call at a time where numba demands it.

    Contexts must not be nested.

    Parameters
    ----------
    work : int
        About how many elementary steps the kernels take; little work gets one thread.
    """
    _openmp_libraries()
    wanted = 1 if work < _WORTH_THREADS else count_threads()
    before = numba.get_num_threads()
    if before != wanted:
        numba.set_num_threads(wanted)
    try:
        if _exclusive():
            with _LOCK:
                yield
        else:
            yield
    finally:
        if before != wanted:
            numba.set_num_threads(before)


def count_threads():
    """Return how many threads this thread's work may use.

    The least of numba's own number (NUMBA_NUM_THREADS, which joblib sets in its processes, or
    `numba.set_num_threads`), of OMP_NUM_THREADS, and of what OpenMP is limited to, for instance
    by `threadpoolctl.threadpool_limits`.
    """
    limits = [library.num_threads for library in _openmp_libraries()]
    return max(1, min([numba.get_num_threads(), _from_environment(), *limits]))


@cache
def _from_environment():
    """Return how many threads OMP_NUM_THREADS allows: the first number of a list."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) > 0 else sys.maxsize


@cache
def _openmp_libraries():
    """Start numba's threads, and return the OpenMP libraries that are loaded then.

    Where numba uses OpenMP, its start raises the number of threads of that library, which torch
    may share, beyond what the process was told; that is taken back.
    """
    before = {each.filepath: each.num_threads for each in _find_openmp()}
    numba.get_num_threads()
    libraries = _find_openmp()
    for each in libraries:
        each.set_num_threads(before.get(each.filepath, min(each.num_threads, _from_environment())))
    return libraries


def _find_openmp():
    """Return controllers of the OpenMP libraries that are loaded now."""
    return ThreadpoolController().select(user_api="openmp").lib_controllers


def _exclusive():
    """Whether numba's thread pool takes one caller only; it is unknown before the first."""
    try:
        return numba.threading_layer() == "workqueue"
    except ValueError:
        return True
