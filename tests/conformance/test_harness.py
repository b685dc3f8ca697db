"""The harness itself: equal runs are equal, and whatever differs, hangs, dies or leaks is found and named."""

import sys

import pytest

from tests.conformance.case import load
from tests.conformance.session import NATIVE, Mode, differences, run, unclean

FAULTY = "tests.conformance.faulty_cases"
SUBSET = [
    "connect.success[tcp4]",
    "connect.refused[tcp4]",
    "bind.success[tcp4]",
    "names.getsockname_connected[tcp4]",
    "socket.flags[udp4]",
    "socketpair.success[stream-pair]",
]


def sabotaged(call: str, error: str) -> Mode:
    return Mode(f"{call}={error}", (sys.executable, "-m", "tests.conformance.sabotage", call, error, "--"))


@pytest.fixture(scope="module")
def faulty():
    names = ("behaves", "depends", "hangs", "dies", "raises", "leaks", "closes", "leaves_a_process", "setup_fails",
             "writes_too_far")  # fmt: skip
    ids = [f"faulty_cases.{name}" for name in names]
    return run(NATIVE, ids, FAULTY, {"CONFORMANCE_SECONDS": "0.7"}).results


def text(result):
    return differences({"trace": []}, result, "run")


def test_two_native_runs_are_the_same():
    one, two = run(NATIVE, SUBSET).results, run(NATIVE, SUBSET).results
    assert set(one) == set(two) == set(SUBSET)
    assert [differences(one[name], two[name], "again") for name in SUBSET] == [""] * len(SUBSET)


def test_a_refused_call_is_found_where_it_is_made_and_nowhere_else():
    native, other = run(NATIVE, SUBSET).results, run(sabotaged("getsockname", "EPERM"), SUBSET).results
    differing = {name for name in SUBSET if differences(native[name], other[name], "sabotaged")}
    assert {"connect.success[tcp4]", "bind.success[tcp4]", "names.getsockname_connected[tcp4]"} <= differing
    assert "socketpair.success[stream-pair]" not in differing
    assert "socket.flags[udp4]" not in differing
    shown = differences(native["connect.success[tcp4]"], other["connect.success[tcp4]"], "sabotaged")
    assert "EPERM" in shown


def test_calls_that_are_not_there_end_the_run_and_are_named():
    other = run(sabotaged("socket", "ENOSYS"), SUBSET).results
    assert set(other) == set(SUBSET)
    assert sum("supervisor_gone" in result for result in other.values()) == len(SUBSET) - 1


def test_a_supervisor_that_does_not_start_says_why():
    broken = run(Mode("absent", (sys.executable, "-c", "import sys; sys.exit('no such mode')")), SUBSET)
    assert not broken.results
    assert "no such mode" in broken.broken


def test_a_good_case_is_clean(faulty):
    assert unclean(faulty["faulty_cases.behaves"]) == ""


def test_a_different_value_is_shown(faulty):
    other = run(NATIVE, ["faulty_cases.depends"], FAULTY, {"FAULTY": "changed"}).results["faulty_cases.depends"]
    shown = differences(faulty["faulty_cases.depends"], other, "changed")
    assert '-value: "usual"' in shown
    assert '+value: "changed"' in shown


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hangs", "HANG: True"),
        ("hangs", "S accept"),
        ("hangs", 'before: "hanging"'),
        ("dies", "DIED: signal 9"),
        ("dies", 'before: "dying"'),
        ("raises", "ValueError on purpose in faulty_cases.py:raises"),
        ("leaks", "fd+0 socket"),
        ("closes", '"lost": [0]'),
        ("leaves_a_process", "LEFT_PROCESSES: True"),
        ("setup_fails", "SetupError connect: -EBADF"),
        ("writes_too_far", "OVERRUN 35363738"),
    ],
)
def test_what_goes_wrong_is_named(faulty, name, said):
    assert said in text(faulty[f"faulty_cases.{name}"])


@pytest.mark.parametrize("name", ["hangs", "dies", "raises", "leaks", "closes", "leaves_a_process", "setup_fails"])
def test_what_goes_wrong_is_not_clean(faulty, name):
    assert unclean(faulty[f"faulty_cases.{name}"])


def test_every_call_has_cases():
    from tests.conformance.raw import CALLS

    assert {one.call for one in load().values()} == set(CALLS)
