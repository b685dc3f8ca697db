"""Every case in every mode: what the program sees supervised is what it sees natively."""

import os

import pytest

from tests.conformance.case import load
from tests.conformance.session import MODES, NATIVE, differences, run_once

pytestmark = pytest.mark.timeout(1800)  # the first test of a mode runs all of that mode's cases

CASES = load()


@pytest.fixture
def selected(request):
    """The ids of this session's tests by mode, so that `-k` runs no more than it shows."""
    found: dict[str, dict[str, None]] = {}
    for item in request.session.items:
        if getattr(item, "originalname", "") == "test_same_as_native" and item.module.__name__ == __name__:
            identity, mode = item.callspec.params["identity"], item.callspec.params["mode"]
            found.setdefault(mode.name, {})[identity] = None
            found.setdefault(NATIVE.name, {})[identity] = None
    return {name: tuple(ids) for name, ids in found.items()}


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("identity", CASES)
def test_same_as_native(identity, mode, selected):
    case = CASES[identity]
    if case.root and os.geteuid() != 0:
        pytest.skip("needs root")
    if mode.name in case.unlike:
        pytest.skip(f"a policy makes the difference: {case.unlike[mode.name]}")
    native = run_once(NATIVE, selected[NATIVE.name])
    supervised = run_once(mode, selected[mode.name])
    if native.broken:
        pytest.fail(f"the native run broke: {native.broken}", pytrace=False)
    if identity not in supervised.results:
        pytest.fail(f"no result: {supervised.broken}", pytrace=False)
    difference = differences(native.results[identity], supervised.results[identity], mode.name)
    if difference:
        pytest.fail(f"{identity} differs\n{difference}", pytrace=False)
