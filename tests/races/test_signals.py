"""Signals that come while calls wait: what the program sees is what it would see natively."""

import errno
import os
import random
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from hosts.harness import MODES, send, started

from .common import first_line, program, under

DURATION = 2000
RESTARTED, INTERRUPTED, MIXED = 1, 0, 2


def storm(mode: str, restart: int, folder: Path, *, stops: bool) -> dict[str, tuple[int, dict[int, int]]]:
    """{call: (signals handled, {errno: how often})}."""
    argv = under(mode, folder, program("storm", restart, DURATION))
    with started(argv, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        (pid,) = first_line(process)
        done = threading.Event()
        stopper = threading.Thread(target=_stop_and_go, args=(pid, process.pid, done))
        if stops:
            stopper.start()
        text = process.stdout.read().decode()
        done.set()
        if stops:
            stopper.join()
        send(process.pid, signal.SIGCONT)
        assert process.wait(20) == 0
    result = {}
    for line in text.splitlines():
        name, _, handled, *codes = line.split()
        result[name] = int(handled), {int(code.split("=")[0]): int(code.split("=")[1]) for code in codes}
    assert len(result) == 6, text
    return result


def _stop_and_go(pid: int, front: int, done: threading.Event) -> None:
    while not done.wait(random.uniform(0.01, 0.06)):
        send(pid, signal.SIGSTOP)
        done.wait(random.uniform(0, 0.02))
        send(pid, signal.SIGCONT)
        if front != pid:
            send(front, signal.SIGCONT)
    send(pid, signal.SIGCONT)


def plausible(name: str, restart: int) -> set[int]:
    """What a call may return here: man 7 signal, "Interruption of system calls by signal handlers"."""
    if restart == RESTARTED and name != "accept-limited":
        return set()
    return {errno.EINTR}


@pytest.mark.parametrize("restart", [RESTARTED, INTERRUPTED, MIXED], ids=["SA_RESTART", "without", "mixed"])
@pytest.mark.parametrize("mode", ["native", *MODES])
def test_storm(mode, restart, tmp_path):
    stops = restart == MIXED
    result = storm(mode, restart, tmp_path, stops=stops)
    for name, (handled, codes) in result.items():
        assert handled > 0, f"no signal reached the thread in {name}"
        assert not set(codes) & set(range(512, 517)), f"{name}: a restart code reached the program: {codes}"
        assert set(codes) <= plausible(name, restart), f"{name} returned {_names(codes)}"
        if restart == INTERRUPTED or (name == "accept-limited" and not stops):
            assert codes.get(errno.EINTR), f"{name} was never interrupted by {handled} signals"


def _names(codes: dict[int, int]) -> dict[str, int]:
    return {errno.errorcode.get(code, str(code)): count for code, count in codes.items()}


@pytest.mark.parametrize("op", ["accept", "connect-unix", "connect-tcp", "send", "recv"])
@pytest.mark.parametrize("mode", MODES)
def test_a_signal_that_kills_does_so_at_once(mode, op, tmp_path):
    with started(under(mode, tmp_path, program("wait", op)), stdout=subprocess.PIPE) as process:
        pid, _ = first_line(process)
        os.kill(pid, signal.SIGTERM)
        assert process.wait(5) == -signal.SIGTERM
