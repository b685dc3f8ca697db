"""The judgement itself, on results made up for it."""

from . import judge
from .run import Result

OK, FAIL = Result("ok"), Result("fail", "a traceback")


def test_what_is_the_same_does_not_differ():
    assert judge.differing([{"a": OK}, {"a": OK}], {"a": OK}) == []


def test_two_failures_are_alike_whatever_their_tracebacks_say():
    assert judge.differing([{"a": FAIL}], {"a": Result("fail", "another")}) == []


def test_a_pass_that_fails_supervised_differs_and_so_does_the_reverse():
    assert judge.differing([{"a": OK, "b": FAIL}], {"a": FAIL, "b": OK}) == ["a", "b"]


def test_a_test_without_a_line_differs_on_either_side():
    assert judge.differing([{"a": OK}], {"b": OK}) == ["a", "b"]


def test_a_skip_for_another_reason_differs():
    assert judge.differing([{"a": Result("skip", "no CAN")}], {"a": Result("skip", "no IPv6")}) == ["a"]


def test_every_native_answer_is_good_enough():
    native = [{"a": OK}, {"a": FAIL}]
    assert judge.unsteady(native) == ["a"]
    assert judge.differing(native, {"a": FAIL}) == []
    assert judge.differing(native, {"a": Result("hung")}) == ["a"]


def test_counts_name_every_verdict_that_occurs():
    results = {"a": OK, "b": FAIL, "c": Result("expected failure"), "d": Result("skip", "no CAN")}
    assert judge.counts(results) == "ok 2, fail 1, skip 1"
