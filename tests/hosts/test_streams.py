"""Pipes, files, sockets and the rest of what a process is given: the program finds it as it would natively."""

import errno
import json
import os
import resource
import signal
import socket
import subprocess

import pytest

from .harness import command, each_mode, lines, listening, only, python, run, started, until

BULK = bytes(range(256)) * 4096


@each_mode
def test_data_goes_through_both_ways(mode):
    done = run(command("cat", mode=mode), stdin=None, input=BULK)
    assert (done.returncode, done.stdout, done.stderr) == (0, BULK, b"")


def test_both_outputs_are_the_programs():
    done = run(command("sh", "-c", "echo out; echo err >&2; exit 4"))
    assert (done.returncode, done.stdout, done.stderr) == (4, b"out\n", b"err\n")


@each_mode
def test_returns_with_the_program_and_goes_on_supervising(mode, tmp_path):
    """What it left running is under the same policy, and the last of it ends the supervisor."""
    gate, result = tmp_path / "gate", tmp_path / "result"
    with listening() as allowed, listening() as refused:
        yes, no = allowed.getsockname()[1], refused.getsockname()[1]
        reach = " ".join(python("reach.py", result, f"{no}={gate}", yes, no))
        done = run(command("sh", "-c", f"{reach} >/dev/null 2>&1 & exit 5", mode=mode, policy=only(tmp_path, yes)))
        assert done.returncode == 5
        assert len(lines(result)) <= 1
        gate.touch()
        until(lambda: len(lines(result)) == 4, "the child's answers")
        assert lines(result)[1:] == [f"{no} {errno.EACCES}", f"{yes} ok", f"{no} {errno.EACCES}"]


def test_a_pipe_closes_when_the_last_child_has_let_go_of_it(tmp_path):
    gate = tmp_path / "gate"
    script = f"(while [ ! -e {gate} ]; do sleep 0.01; done; echo late) & echo early"
    with started(command("sh", "-c", script), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.wait(20) == 0
        assert process.stdout.readline() == b"early\n"
        gate.touch()
        assert process.stdout.read() == b"late\n"
        assert process.stderr.read() == b""


def test_a_pipe_closes_when_the_program_closes_it(tmp_path):
    """Nothing of ours holds stdout open meanwhile. (stderr is held: refusals are told there.)"""
    gate = tmp_path / "gate"
    script = f"echo x; exec >&-; while [ ! -e {gate} ]; do sleep 0.01; done"
    with started(command("sh", "-c", script), stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            seen = b""

            def ended() -> bool:
                nonlocal seen
                try:
                    more = os.read(process.stdout.fileno(), 100)
                except BlockingIOError:
                    return False
                seen += more
                return not more

            until(ended, "the end of the pipe", 5)
            assert seen == b"x\n"
        finally:
            gate.touch()
            process.wait(20)


def test_a_writer_notices_that_the_program_reads_no_more(tmp_path):
    gate = tmp_path / "gate"
    script = f"exec <&-; echo closed; while [ ! -e {gate} ]; do sleep 0.01; done"
    with started(command("sh", "-c", script), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()

            def broken() -> bool:
                try:
                    os.write(process.stdin.fileno(), b"x")
                except BrokenPipeError:
                    return True
                return False

            until(broken, "EPIPE", 5)
        finally:
            gate.touch()
            process.wait(20)


def test_an_inherited_pipe_closes_with_the_program(tmp_path):
    """One beyond stdio, which a child in the background does not have: nothing of ours holds it either."""
    gate = tmp_path / "gate"
    read, write = os.pipe()
    script = f"(exec {write}>&-; while [ ! -e {gate} ]; do sleep 0.01; done) >/dev/null 2>&1 & echo x >&{write}"
    try:
        with os.fdopen(read, "rb") as pipe:
            process = subprocess.Popen(command("bash", "-c", script), pass_fds=[write])
            os.close(write)
            assert process.wait(20) == 0
            os.set_blocking(read, False)
            assert pipe.read() == b"x\n"
            until(lambda: pipe.read() == b"", "the end of the pipe", 5)
    finally:
        gate.touch()


def test_a_summary_that_nobody_reads_changes_no_status():
    with started(command("sh", "-c", "exit 3", options=("--summary",)), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        process.stderr.close()
        assert process.wait(20) == 3


def descriptors(**options) -> dict[int, str]:
    """What the program has open, as it sees it."""
    return {int(n): link for n, link in json.loads(run(**options).stdout).items()}


def test_sockets_beyond_stdio_are_closed_and_the_rest_is_kept(tmp_path):
    show = python("descriptors.py")
    here, there = socket.socketpair()
    tcp = socket.create_server(("127.0.0.1", 0))
    read, write = os.pipe()
    with here, there, tcp, open(tmp_path / "file", "wb") as file:
        passed = [there.fileno(), tcp.fileno(), read, file.fileno()]
        native = descriptors(argv=show, pass_fds=passed)
        assert set(passed) <= set(native)
        sockets = {there.fileno(), tcp.fileno()}
        expected = {number: link for number, link in native.items() if number > 2}
        without = {number: link for number, link in expected.items() if number not in sockets}
        got = descriptors(argv=command(*show), pass_fds=passed)
        assert {number: link for number, link in got.items() if number > 2} == without
        options = tuple(f"--keep-fd={number}" for number in sockets)
        got = descriptors(argv=command(*show, options=options), pass_fds=passed)
        assert {number: link for number, link in got.items() if number > 2} == expected
    os.close(read)
    os.close(write)


def test_a_socket_as_stdio_is_kept():
    here, there = socket.socketpair()
    with here:
        here.sendall(b"hello\n")
        with there:
            echo = subprocess.Popen(command("sh", "-c", "read line; echo got $line"), stdin=there, stdout=there)
        assert echo.wait(20) == 0
        assert here.recv(100) == b"got hello\n"


# What a process inherits besides descriptors.


def peculiar() -> None:
    os.umask(0o027)
    os.nice(5)
    resource.setrlimit(resource.RLIMIT_NOFILE, (777, 888))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 4096))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGRTMIN + 3, signal.SIGTERM})


SURROUNDINGS = {
    "plain": {},
    "peculiar": {"preexec_fn": peculiar},
    "no environment": {"env": {}},
    "C locale": {"env": {"PATH": os.defpath, "LC_ALL": "C"}},
    "bytes": {"env": {b"PATH": os.defpath.encode(), b"N\xff": b"\xfe\n=", b"EMPTY": b"", b"LANG": b"C"}},
}


@pytest.mark.parametrize("name", SURROUNDINGS)
def test_surroundings(name, tmp_path):
    options = {"cwd": tmp_path} | SURROUNDINGS[name]
    native = run([str(_surroundings()), "a", "", "\udcff b"], **options)
    assert native.returncode == 0
    done = run(command(_surroundings(), "a", "", "\udcff b"), **options)
    assert done.stdout.splitlines() == native.stdout.splitlines()
    assert (done.returncode, done.stderr) == (0, b"")


def _surroundings():
    from .built import built  # compiled once

    return built("surroundings.c")


def test_nohup_keeps_its_meaning(tmp_path):
    """SIGHUP is ignored by the program as by `supervise`."""
    done = run(["nohup", *command("sh", "-c", "kill -HUP $$; echo alive")], cwd=tmp_path)
    assert done.stdout == b"alive\n"


def test_sigpipe_ends_the_program_as_natively():
    """Python ignores SIGPIPE for itself, and exec would keep that."""
    assert run(command("bash", "-c", "yes | head -1; echo ${PIPESTATUS[0]}")).stdout == b"y\n141\n"


@each_mode
def test_a_summary_on_a_pipe_is_plain_columns(mode, tmp_path):
    with listening() as allowed, listening() as refused:
        yes, no = allowed.getsockname()[1], refused.getsockname()[1]
        reach = python("reach.py", tmp_path / "result", yes, no, yes, no, yes)
        done = run(command(*reach, mode=mode, policy=only(tmp_path, yes), options=("--summary", "--log=log")),
                   cwd=tmp_path)
    rows = [row.split() for row in done.stderr.decode().splitlines()]
    assert rows[0] == ["call", "socket", "address", "answer", "errno", "times", "rule"]
    assert b"\x1b" not in done.stderr
    connects = [row for row in rows if row[0] == "connect"]
    assert ["connect", "tcp", f"127.0.0.1:{yes}", "allowed", "3"] in [row[:5] for row in connects]
    assert ["connect", "tcp", f"127.0.0.1:{no}", "refused", "EACCES", "2"] in [row[:6] for row in connects]
    logged = [json.loads(text) for text in lines(tmp_path / "log")]
    verdicts = [event["verdict"] for event in logged if event["call"] == "connect"]
    assert verdicts == ["allow", "deny", "allow", "deny", "allow"]


def test_a_summary_of_nothing():
    done = run(command("true", options=("--summary",)))
    assert "nothing was asked for" in done.stderr.decode()
