"""Every case in every mode: what the program sees supervised is what it sees natively."""

import os

import pytest

from tests.conformance.case import load
from tests.conformance.session import MODES, NATIVE, differences, run_once, unclean

pytestmark = pytest.mark.timeout(1800)  # the first test of a mode runs all of that mode's cases

CASES = load()


@pytest.fixture(scope="session")
def selected(request):
    """The ids of this session's tests by mode, so that `-k` runs no more than it shows."""
    found: dict[str, dict[str, None]] = {}
    for item in request.session.items:
        if item.module.__name__ == __name__:
            identity, mode = item.callspec.params["identity"], item.callspec.params.get("mode", NATIVE)
            found.setdefault(mode.name, {})[identity] = None
            found.setdefault(NATIVE.name, {})[identity] = None
    return {name: tuple(ids) for name, ids in found.items()}


def native_result(identity, selected):
    if CASES[identity].root and os.geteuid() != 0:
        pytest.skip("needs root")
    native = run_once(NATIVE, selected[NATIVE.name])
    if identity not in native.results:
        pytest.fail(f"no native result: {native.broken}", pytrace=False)
    return native.results[identity]


@pytest.mark.parametrize("identity", CASES)
def test_native_is_sound(identity, selected):
    """No case raises, hangs, dies or leaves anything behind without a supervisor."""
    assert unclean(native_result(identity, selected)) == ""


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("identity", CASES)
def test_same_as_native(identity, mode, selected):
    native = native_result(identity, selected)
    supervised = run_once(mode, selected[mode.name])
    if identity not in supervised.results:
        pytest.fail(f"no result: {supervised.broken}", pytrace=False)
    difference = differences(native, supervised.results[identity], mode.name)
    if reason := CASES[identity].known.get(mode.name):
        if not difference:
            pytest.fail(f"{identity} is the same now: remove its `differs` ({reason})", pytrace=False)
        pytest.xfail(reason)
    if difference:
        pytest.fail(f"{identity} differs\n{difference}", pytrace=False)
