"""Descriptors and addresses that change while a call is judged: the refused place is never reached."""

import errno
import os
import socket
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hosts.harness import MODES, each_mode, lines, listening, only, python, run, started, was_reached

from .common import program, under

TRIES = 2500
ENFORCING = """\
[policy.enforcing]
default = "deny"
bind.allow = ["unix:*"]
connect.allow = ["unix:*", "127.0.0.1:1"]
"""


@contextmanager
def places(kind: int):
    """An abstract unix name that is served, and a canary: both take what comes."""
    with ExitStack() as stack:
        friendly = stack.enter_context(socket.socket(socket.AF_UNIX, kind))
        name = f"friendly-{os.getpid()}-{kind}"
        friendly.bind(f"\0{name}")
        canary = stack.enter_context(socket.socket(socket.AF_INET, kind))
        canary.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            friendly.listen(4096)
            canary.listen(4096)
        yield name, canary


def reached(canary: socket.socket) -> bool:
    if canary.type == socket.SOCK_STREAM:
        return was_reached(canary)
    canary.setblocking(False)
    try:
        canary.recv(1)
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("op", ["connect", "sendto", "sendmsg"])
@pytest.mark.parametrize("mode", ["native", *MODES])
@pytest.mark.parametrize("unix", ["continue", "perform"])
def test_flipping(mode, op, unix, tmp_path):
    kind = socket.SOCK_STREAM if op == "connect" else socket.SOCK_DGRAM
    with places(kind) as (name, canary):
        argv = program("flip", op, TRIES, name, canary.getsockname()[1])
        policy = f'{ENFORCING}unix = "{unix}"\n'
        for _ in range(20 if mode == "native" else 1):
            with started(under(mode, tmp_path, argv, policy), stderr=subprocess.DEVNULL) as process:
                assert process.wait(60) == 0
            if beaten := reached(canary):
                break
        assert beaten == (mode == "native")


@each_mode
def test_a_thread_with_a_table_of_its_own(mode, tmp_path):
    """The same number is another socket there: each call acts on its own."""
    with listening() as one, listening() as other:
        first, second = one.getsockname()[1], other.getsockname()[1]
        done = run(under(mode, tmp_path, program("tables", first, second)))
        assert sorted(done.stdout.decode().splitlines()) == [f"leader 0 {second}", f"thread 0 {first}"]


@each_mode
def test_children_made_with_vfork_and_posix_spawn(mode, tmp_path):
    with listening() as allowed, listening() as refused:
        yes, no = allowed.getsockname()[1], refused.getsockname()[1]
        policy = Path(only(tmp_path, yes).removesuffix(":only")).read_text()
        argv = program("spawn", yes, no, *python("reach.py", tmp_path / "result", yes, no))
        done = run(under(mode, tmp_path, argv, policy))
        assert done.stdout.decode().splitlines() == [f"vfork 0 {errno.EACCES}", "posix_spawn 0 0"]
        assert lines(tmp_path / "result")[1:] == [f"{yes} ok", f"{no} {errno.EACCES}"]
        assert not was_reached(refused)
