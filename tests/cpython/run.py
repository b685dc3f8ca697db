"""Runs a module of a suite, natively or supervised, to its end: behind a hang or a crash it goes on."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from . import modules

GRACE = 15.0  # seconds more than a test has, before the process is killed from outside instead of by itself
RESTARTS = 20  # hangs and crashes in one module before the rest of it is given up


class Result(NamedTuple):
    """What became of one test: its verdict, and for a skip the reason, for a failure the traceback."""

    outcome: str
    detail: str = ""
    seconds: float = 0.0


class Report(NamedTuple):
    """All tests of one run of a module by id, the ids left out, what happened to the run itself, its filters."""

    results: dict[str, Result]
    left_out: frozenset[str]
    events: tuple[str, ...]
    seconds: float
    filters: frozenset[int | None]


class Setup(NamedTuple):
    """The Python that is tested and the command that supervises it."""

    python: str = modules.PYTHON
    supervise: tuple[str, ...] = (str(Path(sys.executable).with_name("supervise")),)

    def command(self, mode: str) -> list[str]:
        if mode == "native":
            return [self.python]
        return [*self.supervise, "exec", "--mediate", mode, "--", self.python]


def run_module(setup: Setup, module: modules.Module, mode: str, only: frozenset[str] | None = None) -> Report:
    """Run `module` in `mode` ("native", "auto", "full"), all of it or only some ids."""
    begun = time.monotonic()
    results: dict[str, Result] = {}
    left_out: set[str] = set()
    events: list[str] = []
    filters: set[int | None] = set()
    for _ in range(RESTARTS):
        seconds_left = module.seconds - (time.monotonic() - begun)
        if seconds_left <= 0:
            events.append(f"out of time after {module.seconds:g} s; what is missing did not run")
            break
        ended = _run_once(setup, module, mode, only, results, left_out, filters, seconds_left)
        if ended is None:
            break
        events.append(ended)
        if ended.startswith("before any test"):
            break
    else:
        events.append(f"given up after {RESTARTS} hangs and crashes; what is missing did not run")
    return Report(results, frozenset(left_out), tuple(events), time.monotonic() - begun, frozenset(filters))


def _run_once(
    setup: Setup,
    module: modules.Module,
    mode: str,
    only: frozenset[str] | None,
    results: dict[str, Result],
    left_out: set[str],
    filters: set[int | None],
    seconds_left: float,
) -> str | None:
    """One process; adds to the three collections, and tells how it ended if not well."""
    with tempfile.TemporaryDirectory(prefix="cpython-compare-") as folder:
        scratch = Path(folder)
        lines, output = scratch / "lines", scratch / "output"
        lines.touch()
        command = [*setup.command(mode), str(module.script), *module.arguments]
        command += ["--lines", str(lines), "--patience", str(modules.TEST_SECONDS)]
        for option, ids in (("--only", only), ("--without", results)):
            if ids is not None:
                file = scratch / option.strip("-")
                file.write_text(json.dumps(sorted(ids)))
                command += [option, str(file)]
        command += ["--leave-out", *module.left_out]
        try:
            status = _wait(command, dict(module.env), scratch, lines, output, seconds_left)
        except OSError as error:
            return f"before any test: {error}"
        running, done = _read(lines, results, left_out, filters)
        text = output.read_text(errors="replace")
    if done:
        # The tests are over; a status other than 0 is the interpreter's own end, which is to be the same everywhere.
        if status != 0:
            results["(exit status)"] = Result("error", f"{_status(status)} after the last test\n{text[-2000:]}")
        return None
    if running is None:
        return f"before any test: {_status(status)}\n{text[-2000:]}"
    hung = "Timeout (" in text or status == -signal.SIGKILL
    results[running] = Result("hung" if hung else "crashed", f"{_status(status)}\n{text[-6000:]}")
    return f"{running} {results[running].outcome} ({_status(status)}); going on behind it"


def _wait(
    command: list[str], extra: dict[str, str], scratch: Path, lines: Path, output: Path, seconds_left: float
) -> int:
    """The exit status of the command; killed when no line came for too long, or the time is over."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env |= {"TMPDIR": str(scratch)} | extra
    deadline = time.monotonic() + seconds_left
    with output.open("wb") as sink:
        # A session of its own: what tests do to their process group and terminal stays there, and a run that
        # hangs can be ended as one group.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=scratch,
            start_new_session=True,
        )
        try:
            # The process stays a zombie until its group has been ended, so nobody else can have that number.
            while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                silent = time.time() - lines.stat().st_mtime
                if silent > modules.TEST_SECONDS + GRACE or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
        finally:
            # What the tests left behind in the group, or all of it.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def _read(
    lines: Path, results: dict[str, Result], left_out: set[str], filters: set[int | None]
) -> tuple[str | None, bool]:
    """Take the record over; the test that was running when it stopped, and whether it stopped at its end."""
    running, done = None, False
    for line in lines.read_text().splitlines():
        fields = json.loads(line)
        match fields["event"]:
            case "process":
                filters.add(fields["filters"])
            case "start":
                running = fields["id"]
            case "end":
                running = None
                results[fields["id"]] = Result(fields["outcome"], fields["detail"], fields["seconds"])
            case "left out":
                left_out.add(fields["id"])
            case "done":
                done = True
    return running, done


def _status(status: int) -> str:
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
