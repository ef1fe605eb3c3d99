"""How many threads compiled kernels use."""

import threading
from contextlib import contextmanager

import numba
import torch

_LOCK = threading.Lock()

# Below so many elementary steps, waiting for other threads costs more than they save.
_WORTH_THREADS = 200_000


@contextmanager
def threads(work):
    """Run kernels with torch's number of threads; one call at a time where numba demands it.

    Contexts must not be nested.

    Parameters
    ----------
    work : int
        About how many elementary steps the kernels take; little work gets one thread.
    """
    wanted = max(1, min(torch.get_num_threads(), numba.config.NUMBA_NUM_THREADS))
    if work < _WORTH_THREADS:
        wanted = 1
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


def _exclusive():
    """Whether numba's thread pool takes one caller only; it is unknown before the first."""
    try:
        return numba.threading_layer() == "workqueue"
    except ValueError:
        return True
