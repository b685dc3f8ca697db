"""A program that is killed in the middle of a waiting call leaves nothing behind."""

import json
import signal
import socket
import subprocess

import pytest
from hosts.harness import MODES, SUPERVISE, children, gone, run, send, started, state, supervisor_of, until

from .common import first_line, held, program, under

ROUNDS = 4
KEEPER = 'echo $$; while read line; do "$@" & done; wait'


def waiting_calls(pid: int) -> int:
    """What `supervise ps` says of the session of program `pid`."""
    sessions = json.loads(run([SUPERVISE, "ps", "--json"]).stdout)
    (session,) = [session for session in sessions if session["pid"] == pid]
    return int(session["waiting"])


@pytest.mark.parametrize("op", ["accept", "accept-limited", "connect-unix", "connect-tcp", "send", "recv"])
@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_kept_for_a_dead_program(mode, op, tmp_path):
    keeper = under(mode, tmp_path, ["sh", "-c", KEEPER, "sh", *program("wait", op)])
    with started(keeper, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        (keeper_pid,) = first_line(process)
        supervisor = supervisor_of(process.pid)
        baseline = 0
        for attempt in range(ROUNDS):
            process.stdin.write(b"\n")
            process.stdin.flush()
            pid, port = first_line(process)
            until(lambda pid=pid: state(pid) == "S", "it waits")
            send(pid, signal.SIGKILL)
            until(lambda pid=pid: gone(pid), "it is dead")
            if port:
                socket.create_server(("127.0.0.1", port), reuse_port=False).close()
            if attempt == 0:
                # Whatever is opened once and for all (threads, the log) is open now.
                until(lambda: waiting_calls(keeper_pid) == 0, "no call waits")
                baseline = held(supervisor)
        until(lambda: held(supervisor) <= baseline, f"no more than {baseline} descriptors")
        assert waiting_calls(keeper_pid) == 0
        process.stdin.close()
        assert process.wait(20) == 0


@pytest.mark.parametrize("mode", ["native", *MODES])
def test_the_port_of_a_killed_listener_is_free_at_once(mode, tmp_path):
    """Its parent reaps it and takes the port: natively that never fails."""
    done = run(under(mode, tmp_path, program("rebind", 60)), timeout=60)
    assert done.stdout == b"failed 0\n"


@pytest.mark.parametrize("mode", MODES)
def test_exec_by_another_thread(mode, tmp_path):
    """All other threads are gone, in the middle of their calls; the new image is supervised as before."""
    script = f"echo $$; read line; exec {' '.join(program('wait', 'connect-tcp'))}"
    argv = under(mode, tmp_path, program("takeover", "/bin/sh", "-c", script))
    with started(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        (pid,) = first_line(process)
        supervisor = supervisor_of(process.pid)
        assert children(supervisor) == [pid]
        until(lambda: waiting_calls(pid) == 0, "no call of the old image is left")
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert first_line(process) == [pid, 0]
        until(lambda: waiting_calls(pid) == 1, "the new image's call waits")
        send(pid, signal.SIGTERM)
        assert process.wait(20) == -signal.SIGTERM
