"""Modes, runs and comparisons: the same runner natively and under `supervise exec`, one result a case."""

import difflib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
POLICY = Path(__file__).with_name("policies.toml")
SUPERVISE = Path(os.environ.get("CONFORMANCE_SUPERVISE", str(Path(sys.executable).parent / "supervise")))

JOBS = os.environ.get("CONFORMANCE_JOBS", "3")
"""How many cases the runner runs at a time: most of their time is waiting."""

_LIMIT = 1200
"""Seconds after which a whole run is killed."""


class Mode(NamedTuple):
    """How the runner is started: the words that come before it."""

    name: str
    prefix: tuple[str, ...] = ()


def _exec(mediate: str, *policy: str) -> tuple[str, ...]:
    return (str(SUPERVISE), "exec", "--mediate", mediate, *policy, "--")


NATIVE = Mode("native")
MODES = (
    Mode("auto", _exec("auto")),
    Mode("full", _exec("full")),
    Mode("auto-enforcing", _exec("auto", "--policy", f"{POLICY}:enforcing")),
    Mode("full-enforcing", _exec("full", "--policy", f"{POLICY}:enforcing")),
)
"""What is compared by default."""

MORE_MODES = (
    Mode("auto-performing", _exec("auto", "--policy", f"{POLICY}:performing")),
    Mode("full-performing", _exec("full", "--policy", f"{POLICY}:performing")),
)
"""Unix sockets too are connected and sent to by the supervisor: peers see its pid, so that some cases must differ."""


class Run(NamedTuple):
    """The results by case id, and why there are fewer than asked for, if there are."""

    results: dict[str, dict]
    broken: str = ""


def run(mode: Mode, ids: Iterable[str], cases: str | None = None, environment: dict[str, str] | None = None) -> Run:
    """Run the cases under the mode; a supervisor that dies under a case is started again for the rest."""
    waiting = list(ids)
    results: dict[str, dict] = {}
    while waiting:
        status, found, said = _start(mode, waiting, cases, environment)
        results |= found
        left = [identity for identity in waiting if identity not in results]
        if left and not found:
            return Run(results, f"{' '.join(mode.prefix[:4])} ... ended with {status}: {said[-2000:].strip()}")
        if left:
            last = list(found)[-1]
            results[last]["supervisor_gone"] = f"status {status}: {said[-1000:].strip()}"
        waiting = left
    return Run(results)


def _start(mode: Mode, ids: list[str], cases: str | None, environment: dict[str, str] | None):
    with tempfile.TemporaryDirectory(prefix="conformance-") as directory:
        out, wanted, errors = (Path(directory) / name for name in ("out", "ids", "stderr"))
        wanted.write_text("\n".join(ids))
        out.touch()
        command = [*mode.prefix, sys.executable, "-m", "tests.conformance.runner", "--out", str(out), "--jobs", JOBS]
        command += ["--ids", str(wanted), *(("--cases", cases) if cases else ())]
        with errors.open("wb") as stderr:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                start_new_session=True,
            )
            try:
                status: object = process.wait(_LIMIT)
            except subprocess.TimeoutExpired:
                status = "a time-out"
            finally:
                _end(process)
        lines = [json.loads(line) for line in out.read_text().splitlines() if line.endswith("}")]
        return status, {line["id"]: line for line in lines}, errors.read_text(errors="replace")


def _end(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


@cache
def run_once(mode: Mode, ids: tuple[str, ...]) -> Run:
    """The same, remembered for the session."""
    return run(mode, ids)


_INCIDENTAL = {"id", "ms", "diagnosis"}


def essence(result: dict) -> dict:
    """What two runs of a case must have in common."""
    return {key: value for key, value in result.items() if key not in _INCIDENTAL}


def unclean(result: dict) -> str:
    """Why a native result is worth nothing as an expected value; empty when it is sound."""
    faults = [f"{label} {value}" for label, value in result["trace"] if label in ("error", "descriptors", "meanwhile")]
    faults += [key for key in ("hang", "died", "left_processes", "unkillable", "supervisor_gone") if key in result]
    return "; ".join(faults)


def render(result: dict) -> list[str]:
    """A result as lines to be compared and read."""
    lines = [f"{label}: {json.dumps(value)}" for label, value in result["trace"]]
    return lines + [f"{key.upper()}: {value}" for key, value in essence(result).items() if key != "trace"]


def differences(native: dict, other: dict, name: str) -> str:
    """Empty, or a readable diff with all of the native trace as its context."""
    if essence(native) == essence(other):
        return ""
    diff = difflib.unified_diff(render(native), render(other), "native", name, lineterm="", n=1000)
    diagnosis = "".join(f"\n  thread: {line}" for line in other.get("diagnosis", ()))
    return "\n".join(diff) + diagnosis
