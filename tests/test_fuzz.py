"""A few of the inputs of `make fuzz`: none is answered wrongly or with a bare traceback."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")
SEED, N_CASES, N_PARTS = 2026, 168, 4


@pytest.fixture(scope="module")
def cases():
    sys.path.insert(0, BENCHMARKS)
    from fuzzing import cases, judging

    yield cases, judging
    sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("part", range(N_PARTS))
def test_odd_and_damaged_inputs(cases, part):
    cases, judging = cases
    outcomes = cases.run_cases(SEED, range(part, N_CASES, N_PARTS))
    faults = [one for one in outcomes if one.status in judging.FAULTS]
    assert not faults, faults[:3]
    # Not all is refused, and not all is read.
    assert {"read", "refused"} <= {one.status for one in outcomes}


def test_the_judge_finds_faults(cases):
    cases, judging = cases
    cases_of = [cases.make_case(SEED, number) for number in range(5 * len(cases.KINDS))]
    case = next(one for one in cases_of if judging.judge(one, 0).status == "read")

    def status(run):
        case.run = run
        return judging.judge(case, 0).status

    run, answer = case.run, case.run()
    assert status(run) == "read"
    assert status(lambda: [][1]) == "traceback"
    answer.flux = answer.flux * 1.01
    assert status(lambda: answer) == "wrong"
    answer.flux = answer.flux / 1.01
    answer.mask = ~answer.mask
    assert status(lambda: answer) == "wrong"
