"""What a difference is. Pure: results in, verdicts out.

Natively a module is run twice, so every test has a set of native answers; a supervised answer that is none of them
differs. Before it is called different the test is run alone again, natively and supervised, and either run may settle
it: as unsteady natively too, or as unsteady supervised.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .run import Result

MISSING = Result("missing", "no line in the record")
GOOD = ("ok", "expected failure")
GRAVE = ("hung", "crashed")


class Answer(NamedTuple):
    """The part of a result that has to be the same: the verdict, and the reason when it is a skip."""

    outcome: str
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.outcome} ({self.reason})" if self.reason else self.outcome


def answer(result: Result) -> Answer:
    return Answer(result.outcome, result.detail if result.outcome == "skip" else "")


def answers(runs: Iterable[Mapping[str, Result]], test: str) -> set[Answer]:
    """Everything that `test` answered in these runs, in which it may be missing."""
    return {answer(run.get(test, MISSING)) for run in runs}


def unsteady(runs: list[Mapping[str, Result]]) -> list[str]:
    """The tests that do not answer alike in all native runs."""
    return [test for test in _every(runs) if len(answers(runs, test)) > 1]


def differing(native: list[Mapping[str, Result]], supervised: Mapping[str, Result]) -> list[str]:
    """The tests whose supervised answer is none of the native ones, in the order of the module."""
    return [
        test
        for test in _every([*native, supervised])
        if answer(supervised.get(test, MISSING)) not in answers(native, test)
    ]


def counts(results: Mapping[Any, Result]) -> str:
    """`ok 512, skip 30`: every verdict that occurs."""
    counted = Counter(result.outcome for result in results.values())
    good = sum(counted.pop(outcome, 0) for outcome in GOOD)
    return ", ".join([f"ok {good}", *(f"{outcome} {count}" for outcome, count in sorted(counted.items()))])


def _every(runs: list[Mapping[str, Result]]) -> list[str]:
    return list(dict.fromkeys(test for run in runs for test in run))
