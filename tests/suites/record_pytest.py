"""Runs pytest and writes the record that tests/cpython/record.py writes for unittest. Imports nothing of this project.

It is run by the Python of the suites. What is not known here is an argument for pytest.
"""

import argparse
import faulthandler
import json
import os
import sys
import time
from pathlib import Path

import pytest

RECORD = str(Path(__file__).parents[1] / "cpython")
sys.path.insert(0, RECORD)
from record import ORDER, filters, ids  # noqa: E402 - the folder it is in is known now

sys.path.remove(RECORD)


class Recorder:
    """A plugin of pytest: a line when a test starts, another when it has ended with its teardown."""

    def __init__(self, options, lines, stderr):
        self._only, self._without = ids(options.only), ids(options.without) or set()
        self._leave_out, self._patience = options.leave_out, options.patience
        self._lines, self._stderr = lines, stderr
        self._owner = os.getpid()
        self._outcome, self._details, self._started = "ok", [], 0.0

    def write(self, **fields):
        if os.getpid() == self._owner:
            self._lines.write(json.dumps(fields) + "\n")
            self._lines.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config, items):
        left_out = [item for item in items if any(part in item.nodeid for part in self._leave_out)]
        for item in left_out:
            self.write(event="left out", id=item.nodeid)
        run = [
            item
            for item in items
            if item not in left_out
            and (self._only is None or item.nodeid in self._only)
            and item.nodeid not in self._without
        ]
        config.hook.pytest_deselected(items=[item for item in items if item not in run])
        items[:] = run

    def pytest_collectreport(self, report):
        if report.outcome != "passed" and (self._only is None or report.nodeid in self._only):
            outcome, detail = ("skip", report.longrepr[2]) if report.skipped else ("error", str(report.longrepr))
            self.write(event="end", id=report.nodeid, outcome=outcome, detail=detail, seconds=0.0)

    def pytest_runtest_logstart(self, nodeid):
        self._outcome, self._details, self._started = "ok", [], time.monotonic()
        self.write(event="start", id=nodeid)
        faulthandler.dump_traceback_later(self._patience, exit=True, file=self._stderr)

    def pytest_runtest_logreport(self, report):
        outcome, detail = self._judged(report)
        self._outcome = max(self._outcome, outcome, key=ORDER.index)
        if detail:
            self._details.append(detail)

    def pytest_runtest_logfinish(self, nodeid):
        faulthandler.cancel_dump_traceback_later()
        seconds = round(time.monotonic() - self._started, 3)
        detail = "\n".join(self._details)
        self.write(event="end", id=nodeid, outcome=self._outcome, detail=detail, seconds=seconds)

    @staticmethod
    def _judged(report):
        if hasattr(report, "wasxfail"):
            return ("expected failure" if report.skipped else "unexpected success"), ""
        if report.skipped:
            return "skip", report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if report.failed:
            sections = [f"{title}\n{text}" for title, text in report.sections if "Captured" in title]
            return ("fail" if report.when == "call" else "error"), "\n".join([*sections, report.longreprtext])
        return "ok", ""


def main():
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--lines", required=True)
    parser.add_argument("--patience", type=float, required=True)
    parser.add_argument("--only")
    parser.add_argument("--without")
    parser.add_argument("--leave-out", nargs="*", default=[])
    options, rest = parser.parse_known_args()
    with Path(options.lines).open("a", encoding="utf-8") as lines, os.fdopen(os.dup(2), "w") as stderr:
        recorder = Recorder(options, lines, stderr)
        recorder.write(event="process", filters=filters())
        status = pytest.main(["-p", "no:faulthandler", "-p", "no:cacheprovider", "--tb=short", *rest], [recorder])
        if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            return int(status)
        recorder.write(event="done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
