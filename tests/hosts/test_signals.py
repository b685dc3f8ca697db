"""Signals that are sent to `supervise`: the program gets each of them, once."""

import os
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from .harness import (
    children,
    command,
    each_mode,
    gone,
    lines,
    python,
    send,
    started,
    state,
    supervisor_of,
    until,
)

PASSED_ON = ("TERM", "INT", "HUP", "QUIT", "USR1", "WINCH", "CONT", "ALRM", "TSTP")


def number(name: str) -> signal.Signals:
    return signal.Signals[f"SIG{name}"]


def pid_in(log: Path) -> int:
    return int(until(lambda: lines(log), "the program")[0])


def noted(log: Path) -> list[str]:
    return lines(log)[1:]


@each_mode
def test_each_signal_is_passed_on_once(mode, tmp_path):
    log = tmp_path / "log"
    with started(command(*python("noting.py", log), mode=mode)) as process:
        pid_in(log)
        for count, name in enumerate(PASSED_ON, 1):
            process.send_signal(number(name))
            until(lambda count=count: len(noted(log)) >= count, name)
        process.send_signal(signal.SIGUSR2)
        assert process.wait(20) == 7
    assert noted(log) == [f"SIG{name}" for name in (*PASSED_ON, "USR2")]


def test_a_signal_to_the_group_arrives_once(tmp_path):
    """As a shell's `kill %1`, `timeout` and service managers send it: the program is in the group itself."""
    log = tmp_path / "log"
    with started(command(*python("noting.py", log)), start_new_session=True) as process:
        pid_in(log)
        for name in ("TERM", "HUP", "USR1"):
            os.killpg(process.pid, number(name))
            until(lambda name=name: f"SIG{name}" in noted(log), name)
            # The front has nothing left to pass on once it has taken in a signal that comes later.
            process.send_signal(signal.SIGWINCH)
            until(lambda: noted(log)[-1] == "SIGWINCH", "a later signal")
        process.send_signal(signal.SIGUSR2)
        assert process.wait(20) == 7
    assert [name for name in noted(log) if name != "SIGWINCH"] == ["SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"]


SIBLING = "import os, signal, sys; os.kill(int(sys.argv[1]), signal.SIGTERM); sys.stdin.read()"


def test_a_signal_of_a_member_of_the_group_is_passed_on(tmp_path):
    """A script's helper has the same process group; it sends to `supervise` alone, and lives on."""
    log = tmp_path / "log"
    with started(command(*python("noting.py", log))) as process:
        pid_in(log)
        with started([sys.executable, "-c", SIBLING, str(process.pid)], stdin=subprocess.PIPE):
            until(lambda: noted(log) == ["SIGTERM"], "SIGTERM", 5)
        process.send_signal(signal.SIGUSR2)
        assert process.wait(20) == 7


def test_a_signal_of_the_program_itself_is_passed_on(tmp_path):
    """The program signals the front, which is in its group: `kill -TERM` of what it knows as the job."""
    front = tmp_path / "front"
    wait, loop = f"while [ ! -s {front} ]; do sleep 0.01; done", "while :; do sleep 0.01; done"
    script = f"trap 'exit 9' TERM; echo ready; {wait}; kill -TERM $(cat {front}); {loop}"
    with started(command("bash", "-c", script), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        (tmp_path / "next").write_text(f"{process.pid}\n")
        (tmp_path / "next").rename(front)
        assert process.wait(5) == 9


@pytest.mark.parametrize("name", ["TERM", "INT"])
def test_signals_that_come_before_the_program_are_not_lost(name):
    """A signal at any moment of the start ends it: before the front knows the program, before the filter, before exec.

    The supervisor is stopped meanwhile, somewhere on its way.
    """
    for attempt in range(8):
        with started(command("sleep", "77"), stderr=subprocess.DEVNULL) as process:
            supervisor = supervisor_of(process.pid)
            if attempt % 2:
                until(lambda supervisor=supervisor: children(supervisor), "the launcher")
            send(supervisor, signal.SIGSTOP)
            process.send_signal(number(name))
            send(supervisor, signal.SIGCONT)
            assert process.wait(10) == -number(name), f"attempt {attempt}"


def test_a_program_that_dies_of_what_was_passed_on():
    for name in ("TERM", "INT", "HUP", "USR1", "ALRM"):
        with started(command("sh", "-c", "echo ready; exec sleep 77"), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(number(name))
            assert process.wait(20) == -number(name)


@each_mode
def test_killing_the_front_kills_the_program(mode, tmp_path):
    log = tmp_path / "log"
    with started(command(*python("noting.py", log), mode=mode)) as process:
        pid = pid_in(log)
        supervisor = supervisor_of(process.pid)
        process.kill()
        until(lambda: gone(pid) and gone(supervisor), "both to end")


@each_mode
def test_supervise_ends_after_the_program_when_its_supervisor_was_killed(mode, tmp_path):
    log = tmp_path / "log"
    with started(command(*python("noting.py", log), mode=mode), stderr=subprocess.PIPE) as process:
        pid = pid_in(log)
        send(supervisor_of(process.pid), signal.SIGKILL)
        assert process.stderr is not None
        process.stderr.readline()
        process.send_signal(signal.SIGUSR1)
        until(lambda: noted(log) == ["SIGUSR1"], "signals go through as before")
        assert process.poll() is None
        send(pid, signal.SIGKILL)
        assert process.wait(20) == 125


def test_stopping_and_continuing_from_outside(tmp_path):
    """SIGSTOP for the program stops `supervise`; SIGCONT for `supervise` continues both."""
    log = tmp_path / "log"
    with started(command(*python("noting.py", log))) as process:
        pid = pid_in(log)
        send(pid, signal.SIGSTOP)
        until(lambda: state(process.pid) == "T", "the front stops")
        assert os.WSTOPSIG(os.waitpid(process.pid, os.WUNTRACED)[1]) == signal.SIGSTOP
        process.send_signal(signal.SIGCONT)
        until(lambda: state(process.pid) != "T" and state(pid) != "T", "both go on")
        process.send_signal(signal.SIGUSR2)
        assert process.wait(20) == 7
    assert noted(log).count("SIGCONT") <= 1


def test_each_stop_signal_is_one_stop():
    """In a group that is not orphaned, as a shell's job. A second stop by the same signal would take a second `fg`."""
    with ExitStack() as busy, started(
        command("sh", "-c", "echo $$; exec sleep 77"), stdout=subprocess.PIPE, process_group=0
    ) as process:
        assert process.stdout is not None
        program = int(process.stdout.readline())
        for _ in range(4):  # so that what is sent at the same time is not always seen at the same time
            busy.enter_context(started(["sh", "-c", "while :; do :; done"]))
        for _ in range(25):
            os.killpg(process.pid, signal.SIGTSTP)
            assert os.WSTOPSIG(os.waitpid(process.pid, os.WUNTRACED)[1]) == signal.SIGTSTP
            until(lambda: state(program) == "T", "the program stops")
            os.killpg(process.pid, signal.SIGCONT)

            def settled() -> bool:
                pid, status = os.waitpid(process.pid, os.WUNTRACED | os.WNOHANG)
                assert pid == 0, f"a second {signal.Signals(os.WSTOPSIG(status)).name}"
                return state(process.pid) == "S" and state(program) == "S"

            until(settled, "both wait again", 5)
        process.terminate()
        assert process.wait(20) == -signal.SIGTERM


def test_a_program_that_others_stop_and_continue(tmp_path):
    """SIGCONT for the program alone: `supervise` goes on too, and ends with it."""
    log = tmp_path / "log"
    with started(command(*python("noting.py", log))) as process:
        pid = pid_in(log)
        send(pid, signal.SIGSTOP)
        until(lambda: state(process.pid) == "T", "the front stops")
        send(pid, signal.SIGCONT)
        send(pid, signal.SIGUSR2)
        assert process.wait(5) == 7


def test_the_end_of_a_stopped_program_hangs_up_nobody(tmp_path):
    """A script in a session of its own, without job control: its group must not become an orphaned one with us."""
    pids = tmp_path / "pids"
    job = shlex.join(command("sh", "-c", f"echo $PPID $$ >{pids}; kill -STOP $$"))
    with started(["sh", "-c", f"{job}; echo survived $?"], stdout=subprocess.PIPE, start_new_session=True) as script:
        assert script.stdout is not None
        supervisor, program = (int(pid) for pid in until(lambda: lines(pids), "the program")[0].split())
        front = int(Path(f"/proc/{supervisor}/stat").read_text().rpartition(")")[2].split()[1])
        until(lambda: state(front) == "T", "the front stops")
        send(program, signal.SIGKILL)
        assert script.stdout.read() == b"survived 137\n"
        assert script.wait(20) == 0
