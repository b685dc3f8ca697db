"""Runs one module of unittest's tests and writes one JSON line per finished test. Imports nothing of this project.

It is run by the Python that is tested, so it keeps to the standard library. A line is written when a test starts and
another when it ends: after a hang or a crash the lines tell which test it was, and the next run goes on behind it.
"""
# ruff: noqa: N802 - unittest's names

import argparse
import faulthandler
import importlib
import json
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

# A test with several verdicts (subtests, tearDown after a failure) counts as the last of them in this order.
ORDER = ("ok", "skip", "expected failure", "unexpected success", "fail", "error")


class Recorder(unittest.TestResult):
    """A result that tells `lines` about every test, in a form that survives the death of this process."""

    def __init__(self, lines, patience):
        super().__init__()
        self._lines = lines
        self._patience = patience
        self._owner = os.getpid()
        self._running = None
        self._outcome, self._details = "ok", []
        self._started = 0.0

    def _write(self, **fields):
        # A child that a test forked and that escaped by an exception must not write into its parent's record.
        if os.getpid() == self._owner:
            self._lines.write(json.dumps(fields) + "\n")
            self._lines.flush()

    def startTest(self, test):
        super().startTest(test)
        self._running = test.id()
        self._outcome, self._details = "ok", []
        self._started = time.monotonic()
        self._write(event="start", id=self._running)
        faulthandler.dump_traceback_later(self._patience, exit=True, file=sys.__stderr__)

    def stopTest(self, test):
        super().stopTest(test)
        faulthandler.cancel_dump_traceback_later()
        self._write(
            event="end",
            id=self._running,
            outcome=self._outcome,
            detail="\n".join(self._details),
            seconds=round(time.monotonic() - self._started, 3),
        )
        self._running = None

    def _note(self, test, outcome, detail):
        if self._running is None:  # setUpClass, setUpModule and their counterparts have no test around them
            self._write(event="end", id=test.id(), outcome=outcome, detail=detail, seconds=0.0)
            return
        self._outcome = max(self._outcome, outcome, key=ORDER.index)
        if detail:
            self._details.append(detail)

    def addError(self, test, err):
        super().addError(test, err)
        self._note(test, "error", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(test, "fail", self.failures[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            outcome, where = (
                ("fail", self.failures) if issubclass(err[0], test.failureException) else ("error", self.errors)
            )
            self._note(test, outcome, f"{subtest}: {where[-1][1]}")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skip", reason)

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self._note(test, "expected failure", "")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self._note(test, "unexpected success", "")


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.BaseTestSuite):
            yield from flat(test)
        else:
            yield test


def wanted(test_id, only):
    """Whether a test belongs to the asked ones; `setUpClass (a.b.C)` asks for every test of that class."""
    if only is None or test_id in only:
        return True
    return any(asked.endswith(")") and test_id.startswith(asked[asked.rindex("(") + 1 : -1] + ".") for asked in only)


def ids(path):
    return set(json.loads(Path(path).read_text())) if path else None


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("module", help="by its full name: test.test_socket")
    parser.add_argument("--path", help="a folder to import it from")
    parser.add_argument("--lines", required=True, help="the record, appended to")
    parser.add_argument("--patience", type=float, required=True, help="seconds one test may take")
    parser.add_argument("--resources", nargs="*", help="of regrtest; for CPython's own modules")
    parser.add_argument("--only", help="a file with the ids to run, as a JSON list")
    parser.add_argument("--without", help="a file with the ids not to run, as a JSON list")
    parser.add_argument("--leave-out", nargs="*", default=[], help="parts of ids not to run, noted as such")
    options = parser.parse_args()

    if options.path:
        sys.path.insert(0, options.path)
    if options.resources is not None:
        from test import support  # CPython's package of tests, not this project's folder

        # As regrtest sets it: with None every resource would count as allowed, the internet among them.
        support.use_resources = options.resources
        support.record_original_stdout(sys.stdout)
    faulthandler.enable(file=sys.__stderr__)

    only, without = ids(options.only), ids(options.without) or set()
    with Path(options.lines).open("a", encoding="utf-8") as lines:
        recorder = Recorder(lines, options.patience)
        recorder._write(event="process", filters=filters())
        home = Path.cwd()
        with tempfile.TemporaryDirectory(prefix="cpython-test-", ignore_cleanup_errors=True) as scratch:
            os.chdir(scratch)  # tests leave files under fixed names in the current directory
            try:
                run(options, only, without, recorder)
            finally:
                os.chdir(home)
        recorder._write(event="done")


def filters():
    """How many seccomp filters are on this process: proof that it is supervised, or that it is not."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Seccomp_filters:"):
            return int(line.split()[1])
    return None  # before Linux 5.9


def run(options, only, without, recorder):
    loader = unittest.TestLoader()
    try:
        module = importlib.import_module(options.module)
    except unittest.SkipTest as skipped:
        recorder._write(event="end", id=options.module, outcome="skip", detail=str(skipped), seconds=0.0)
        return
    suite = unittest.TestSuite()
    for test in flat(loader.loadTestsFromModule(module)):
        if any(part in test.id() for part in options.leave_out):
            recorder._write(event="left out", id=test.id())
        elif wanted(test.id(), only) and test.id() not in without:
            suite.addTest(test)
    suite.run(recorder)


if __name__ == "__main__":
    main()
