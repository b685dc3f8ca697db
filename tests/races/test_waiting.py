"""Calls that wait hold up nobody: not each other, not a debugger, not a freezer."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hosts.harness import MODES, each_mode, listening, run, send, started, state, until

from .common import POLICY, first_line, program, under

SOFT = 1024


@pytest.mark.parametrize("stuck", [100, 450])
@each_mode
def test_stuck_connects_delay_no_other(mode, stuck, tmp_path):
    """The second number is more than fits into the usual limit of descriptors when a call takes three."""

    def usual_limit() -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, hard))

    with listening(512) as listener:
        argv = program("stuck", stuck, 200, listener.getsockname()[1])
        done = run(under(mode, tmp_path, argv), timeout=40, preexec_fn=usual_limit)
    assert (done.stdout, done.stderr) == (b"worked 200 errno 0\n", b"")


NONBLOCKING = """\
import errno, socket
server = socket.socket(socket.AF_UNIX)
server.bind("")
server.listen(0)
said = []
for _ in range(4):
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)
    said.append(errno.errorcode.get(client.connect_ex(server.getsockname()), "done"))
print(*said)
"""


@pytest.mark.parametrize("unix", ["continue", "perform"])
@each_mode
def test_a_full_backlog_is_eagain_for_who_does_not_wait(mode, unix, tmp_path):
    argv = [sys.executable, "-S", "-c", NONBLOCKING]
    native = run(argv).stdout
    assert b"EAGAIN" in native
    assert run(under(mode, tmp_path, argv, f'{POLICY}unix = "{unix}"\n')).stdout == native


def connect_to(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=10).close()


@contextmanager
def accepting(mode: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """A program that waits in accept: the process, its pid, its port."""
    with started(under(mode, folder, program("wait", "accept")), stdout=subprocess.PIPE) as process:
        pid, port = first_line(process)
        until(lambda: state(pid) == "S", "it waits")
        yield process, pid, port


def went_on(process: subprocess.Popen[bytes], port: int) -> None:
    """The call, which waited all the time, is served as if nothing had been."""
    connect_to(port)
    assert process.stdout is not None
    assert process.stdout.readline() == b"accept done\n"
    assert process.wait(10) == 0


@pytest.mark.parametrize("mode", ["native", *MODES])
def test_strace_looks_at_a_waiting_call(mode, tmp_path):
    strace = shutil.which("strace") or pytest.skip("no strace; Debian package strace")
    with accepting(mode, tmp_path) as (process, pid, port):
        log = tmp_path / "strace"
        with started([strace, "-o", str(log), "-p", str(pid)], stderr=subprocess.PIPE) as tracer:
            assert tracer.stderr is not None
            assert b"attached" in tracer.stderr.readline()
            until(lambda: "accept" in log.read_text(), "the call in the trace")
            tracer.send_signal(signal.SIGINT)
            tracer.wait(10)
        assert state(pid) == "S"
        went_on(process, port)


@pytest.mark.parametrize("mode", ["native", *MODES])
def test_gdb_looks_at_a_waiting_call(mode, tmp_path):
    gdb = shutil.which("gdb") or pytest.skip("no gdb; Debian package gdb")
    with accepting(mode, tmp_path) as (process, pid, port):
        seen = run([gdb, "-nx", "-batch", "-p", str(pid), "-ex", "bt"], timeout=30)
        assert b"accept" in seen.stdout, seen
        went_on(process, port)


def freezers() -> list[str]:
    """Where groups can be made, by version."""
    found = []
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, where, kind, options, *_ = line.split()
        if kind == "cgroup2" or (kind == "cgroup" and "freezer" in options.split(",")):
            found.append(where)
    return found


@contextmanager
def group(root: str) -> Iterator[Path]:
    folder = Path(root, f"supervise-test-{os.getpid()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made in {root}: {error.strerror}")
    try:
        yield folder
    finally:
        until(lambda: not (folder / "cgroup.procs").read_text(), "the group is empty")
        folder.rmdir()


@pytest.mark.skipif(os.geteuid() != 0 or not freezers(), reason="needs root and control groups")
@pytest.mark.parametrize("root", freezers())
@pytest.mark.parametrize("mode", ["native", *MODES])
def test_freezing_a_waiting_call(mode, root, tmp_path):
    with group(root) as folder, accepting(mode, tmp_path) as (process, pid, port):
        (folder / "cgroup.procs").write_text(str(pid))
        if (folder / "freezer.state").exists():
            switch, on, off = folder / "freezer.state", "FROZEN", "THAWED"
            frozen = lambda: switch.read_text() == "FROZEN\n"  # noqa: E731
        else:
            switch, on, off = folder / "cgroup.freeze", "1", "0"
            frozen = lambda: "frozen 1" in (folder / "cgroup.events").read_text()  # noqa: E731
        switch.write_text(on)
        try:
            until(frozen, "frozen", 5)
        finally:
            switch.write_text(off)
        went_on(process, port)
        send(pid, signal.SIGKILL)
