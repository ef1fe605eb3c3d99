"""Feed odd and damaged inputs to what users call, and count wrong answers and bare tracebacks.

Valid spectra of every format that is read are written to files, with odd values, names, units,
cards and separators, or with damaged bytes; grids and observed stars are given as arrays, tables
and objects with faults. An answer is right if it agrees with what was written, or if it is a
refusal in the package's own words that says what to do. Anything else is a fault: the exit status
is then 1. Case K of seed N is always the same.

Run as ``python benchmarks/fuzz.py [--seed N] [--cases M] [--case K] [--n-jobs J]``.
"""

import argparse
import collections
import os
import sys
import time
import traceback

from fuzzing.cases import make_case, run_cases
from fuzzing.judging import FAULTS, OUTCOMES
from joblib import Parallel, delayed

_TITLES = ("inputs", "read right", "refused", "read, warned", "wrong", "tracebacks")
_BLOCK = 28
_MOST_SHOWN = 20


def table_of(outcomes):
    """Return a table with a line for each kind of input."""
    counts = collections.defaultdict(collections.Counter)
    for one in outcomes:
        counts[one.kind][one.status] += 1
        counts["all"][one.status] += 1
    lines = [f"{'kind':<30}" + "".join(f"{title:>14}" for title in _TITLES)]
    for kind in (*sorted(set(counts) - {"all"}), "all"):
        found = counts[kind]
        numbers = [found.total(), *(found[status] for status in OUTCOMES)]
        lines.append(f"{kind:<30}" + "".join(f"{number:>14}" for number in numbers))
    return "\n".join(lines)


def show(seed, number):
    """Run one case, and print what was given and what happened."""
    case = make_case(seed, number)
    print(f"{case.kind}: {case.story}")
    print(getattr(case, "content", None) or getattr(case, "star", None) or case.call)
    try:
        print(case.run())
    except Exception:
        traceback.print_exc()
    return report(run_cases(seed, [number]), seed)


def report(outcomes, seed):
    """Print the table and the faults; return the exit status."""
    print(table_of(outcomes))
    faults = [one for one in outcomes if one.status in FAULTS]
    for one in faults[:_MOST_SHOWN]:
        print(f"\n{one.status}, {one.kind}: {one.detail}\n  made by: {one.story}")
        print(f"  again: python benchmarks/fuzz.py --seed {seed} --case {one.number}")
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cases", type=int, default=10_080)
    parser.add_argument("--case", type=int, help="run this one only, and show it")
    parser.add_argument("--n-jobs", type=int, default=2)
    given = parser.parse_args()
    if given.case is not None:
        return show(given.seed, given.case)
    start = time.monotonic()
    blocks = [
        range(first, min(first + _BLOCK, given.cases)) for first in range(0, given.cases, _BLOCK)
    ]
    found = Parallel(n_jobs=given.n_jobs)(
        delayed(run_cases)(given.seed, block) for block in blocks
    )
    status = report([one for block in found for one in block], given.seed)
    print(f"\nseed {given.seed}, {time.monotonic() - start:.0f} s")
    return status


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    sys.exit(main())
