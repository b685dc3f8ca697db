"""What a sentinel says of signals. In a process of its own, because the whole process group is signalled."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

PRELUDE = """
import os, signal, time
os.setpgid(0, 0)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
from supervisor.cli.sentinel import Sentinel
sentinel = Sentinel()
me, group, T, U, C = os.getpid(), os.getpgrp(), signal.SIGTERM, signal.SIGUSR1, signal.SIGCONT

def state():
    return open(f"/proc/{sentinel._pid}/stat").read().rpartition(")")[2].split()[0]

def stop():
    os.kill(sentinel._pid, signal.SIGSTOP)
    while state() != "T":
        time.sleep(0.001)
"""


@pytest.mark.parametrize(("script", "expected"), [
    ("os.killpg(group, T); print(sentinel.take(T), sentinel.take(T))", "True False"),
    ("os.kill(me, T); print(sentinel.take(T))", "False"),
    ("os.killpg(group, T); print(sentinel.take(U), sentinel.take(T))", "False True"),
    ("os.killpg(group, T); os.killpg(group, T); print(sentinel.take(T), sentinel.take(T))", "True False"),
    (("n = signal.SIGRTMIN; os.killpg(group, n); os.killpg(group, n); "
     "print([sentinel.take(n) for _ in range(3)])"), "[True, True, False]"),
    ("os.killpg(group, T); stop(); os.kill(me, C); print(sentinel.take(C), sentinel.take(T))", "False True"),
    ("stop(); os.killpg(group, C); print(sentinel.take(C), sentinel.take(C))", "True False"),
    (("os.kill(sentinel._pid, signal.SIGKILL); os.waitpid(sentinel._pid, 0); os.killpg(group, T); "
     "print(sentinel.take(T), signal.SIGPIPE in signal.sigpending())"), "False False"),
    ("sentinel._pid = -1; sentinel._channel.close(); print(sentinel.take(T))", "False"),
], ids=[
    "group", "alone", "another", "merged", "queued", "stopped", "continued", "killed", "none",
])  # fmt: skip
def test_take(script, expected):
    done = subprocess.run([sys.executable, "-c", PRELUDE + script], capture_output=True, text=True, timeout=20)
    assert (done.stdout.strip(), done.stderr) == (expected, "")


def test_it_ends_with_its_maker():
    script = PRELUDE + "print(sentinel._pid, flush=True); os.kill(me, signal.SIGKILL)"
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        pid = int(process.stdout.read())  # to the end: the sentinel holds nothing of it
    deadline = time.monotonic() + 5
    while is_running(pid):
        assert time.monotonic() < deadline


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
