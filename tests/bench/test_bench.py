"""The benchmark runs, and measures something in every row. Nothing is asserted on time."""

import json
import shutil

import pytest

from . import report
from .measure import START_UPS, TITLES, Results, Size, Way, added, figure, measure, multiple
from .setting import setting

TINY = Size(rounds=1, batches=2, milliseconds=0.5, starts=1)


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc; Debian package gcc")
def test_one_tiny_round_has_a_positive_figure_in_every_row():
    with setting() as ours:
        results = measure(ours, TINY)
    names = [way.name for way in results.ways]
    assert names[:6] == ["native", "auto", "auto, policy", "full", *report.FLOORS]
    assert names[6:] == ["strace"] or results.skipped
    assert list(results.calls) == list(TITLES)
    assert list(results.start_ups) == list(START_UPS)
    for call, figures in results.calls.items():
        assert list(figures) == names
        assert all(one.median > 0 for one in figures.values()), call
    assert all(one.median > 0 for one in results.start_ups.values())
    about = report.machine()
    assert json.loads(json.dumps(report.as_json(results, TINY, about)))["calls"]["sendto"]["full"]["median"] > 0
    for shown in (report.text(results), report.page(results, TINY, about)):
        assert all(title in shown for title in (*TITLES.values(), *START_UPS.values()))


def test_figures():
    calls = {"socket": {
        "native": figure([1.0, 2.0, 9.0]), "auto": figure([12.0]), "floor: continue": figure([4.0]),
        "floor: emulate": figure([2.0]),
    }}
    results = Results([Way(name, (), "") for name in calls["socket"]], [], calls, {})
    assert calls["socket"]["native"][:3] == (2.0, 1.5, 5.5)
    assert added(results, "socket", "auto") == 10.0
    assert multiple(results, "socket", "auto", "floor: continue") == 5.0
    assert multiple(results, "socket", "auto", "floor: emulate") is None
