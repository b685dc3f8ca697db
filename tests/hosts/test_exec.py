"""`supervise exec` without a daemon: how it ends, what it says, and that nothing ever runs without a filter."""

import errno
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .harness import (
    FATAL,
    SUPERVISE,
    command,
    complaint,
    each_mode,
    lines,
    listening,
    only,
    policy_file,
    python,
    run,
    send,
    started,
    supervisor_of,
    until,
    was_reached,
)

STATUSES = {"auto": (0, 1, 2, 125, 126, 127, 255), "full": (0, 3, 128, 143)}


@each_mode
def test_exit_status_is_the_programs(mode):
    processes = {
        status: subprocess.Popen(command("sh", "-c", f"exit {status}", mode=mode)) for status in STATUSES[mode]
    }
    assert {status: process.wait(60) for status, process in processes.items()} == {s: s for s in STATUSES[mode]}


def test_dies_of_the_signal_that_killed_the_program(tmp_path):
    programs = {number: ("sh", "-c", f"kill -{int(number)} $$") for number in FATAL}
    processes = {number: subprocess.Popen(command(*p), cwd=tmp_path) for number, p in programs.items()}
    native = {number: run(list(p), cwd=tmp_path).returncode for number, p in programs.items()}
    assert {number: process.wait(60) for number, process in processes.items()} == native


def test_dies_of_a_fault_of_the_program():
    fault = [sys.executable, "-c", "import ctypes; ctypes.string_at(0)"]
    assert run(command(*fault)).returncode == run(fault).returncode == -signal.SIGSEGV


def test_not_found_is_127():
    done = run(command("no-such-program-anywhere"))
    assert done.returncode == 127
    assert complaint(done.stderr) == ["supervise: no-such-program-anywhere: not found"]


@pytest.mark.parametrize("kind", ["not executable", "directory", "missing interpreter", "path through a file"])
def test_not_executable_is_126_or_127(kind, tmp_path):
    file = tmp_path / "file"
    file.write_text("#!/no/such/interpreter\n")
    file.chmod(0o755 if kind == "missing interpreter" else 0o644)
    target = {"directory": tmp_path, "path through a file": file / "x"}.get(kind, file)
    done = run(command(target))
    native = run(["env", str(target)])
    assert done.returncode == native.returncode
    assert len(complaint(done.stderr)) == 1


WRONG_POLICIES = {
    "broken TOML": "[policy.p\n",
    "unknown key": '[policy.p]\nconect.allow = ["*:*"]\n',
    "port 70000": '[policy.p]\nconnect.allow = ["127.0.0.1:70000"]\n',
    "wrong type": "[policy.p]\ndefault = 3\n",
    "unknown errno": '[policy.p]\nerrno = "ENOSUCH"\n',
    "extends itself": '[policy.p]\nextends = "p"\n',
    "not UTF-8": b'[policy.p]\nerrno = "\xff"\n',
    "two errors": '[policy.p]\ndefault = "maybe"\nerrno = 3\n',
}


@pytest.mark.parametrize("wrong", WRONG_POLICIES)
def test_a_wrong_policy_starts_nothing(wrong, tmp_path):
    text = WRONG_POLICIES[wrong]
    path = tmp_path / "policy.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    marker = tmp_path / "ran"
    done = run(command("touch", marker, policy=f"{path}:p"))
    assert done.returncode == 2
    assert len(complaint(done.stderr)) == (2 if wrong == "two errors" else 1)
    assert "Traceback" not in done.stderr.decode()
    assert not marker.exists()


OWN_FAILURES = {
    "no such file": ["--policy", "missing.toml:p"],
    "no such policy": ["--policy", "good.toml:other"],
    "a directory": ["--policy", ".:p"],
    "missing log directory": ["--log", "missing/log"],
    "a log that is a directory": ["--log", "."],
    "unknown mediation": ["--mediate", "half"],
    "unknown option": ["--no-such-option"],
    "descriptor that is not open": ["--keep-fd", "999"],
    "descriptor that is no number": ["--keep-fd", "x"],
    "no daemon": ["--daemon", "missing.sock"],
}


@pytest.mark.parametrize("failure", OWN_FAILURES)
def test_a_failure_of_ours_starts_nothing(failure, tmp_path):
    policy_file(tmp_path, '[policy.p]\ndefault = "deny"\n', "good.toml")
    done = run([SUPERVISE, "exec", *OWN_FAILURES[failure], "--", "touch", "ran"], cwd=tmp_path)
    assert done.returncode in (2, 125)
    assert len(complaint(done.stderr)) == 1
    assert complaint(done.stderr)[0].startswith("supervise")
    assert not (tmp_path / "ran").exists()


def test_no_program_is_a_usage_error():
    assert run([SUPERVISE, "exec"]).returncode == run([SUPERVISE, "exec", "--"]).returncode == 2


@each_mode
def test_one_inside_another_is_refused_by_the_kernel(mode, tmp_path):
    marker = tmp_path / "ran"
    done = run(command(*command("touch", marker, mode=mode), mode=mode))
    assert done.returncode == 125
    assert len(complaint(done.stderr)) == 1
    assert "listener" in complaint(done.stderr)[0]
    assert not marker.exists()


@pytest.mark.parametrize("shell", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_runs_with_standard_descriptors_closed(shell, tmp_path):
    """And the program finds them closed, as it would natively."""
    inner = ["sh", "-c", f"for n in 0 1 2; do test -e /proc/$$/fd/$n && echo $n >>{tmp_path}/open; done; exit 3"]
    native = run(["sh", "-c", f'exec "$@" {shell}', "sh", *inner]).returncode, lines(tmp_path / "open")
    (tmp_path / "open").unlink(missing_ok=True)
    done = run(["sh", "-c", f'exec "$@" {shell}', "sh", *command(*inner)])
    assert (done.returncode, lines(tmp_path / "open")) == native


# Whatever goes wrong before the program starts, it does not start without its filter.


def judged(tmp_path: Path, done: subprocess.CompletedProcess[bytes], canary) -> str:
    """"supervised" or "not started": anything else is a failure of the promise."""
    said = lines(tmp_path / "result")
    assert not was_reached(canary)
    if not said:
        assert done.returncode not in (0, 2), done
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return "not started"
    # Two filters are one mode: what tells is that nothing was reached, and that the answer is the policy's or ENOSYS.
    assert said[0] == "seccomp 2"
    assert all(int(line.split()[1]) in (errno.EACCES, errno.ENOSYS) for line in said[1:]), said
    return "supervised"


def reaching(tmp_path: Path, canary, mode: str = "auto") -> list[str]:
    """A supervised program that tries the canary, which its policy refuses."""
    port = canary.getsockname()[1]
    return command(*python("reach.py", tmp_path / "result", port), mode=mode, policy=only(tmp_path, 1))


# x86-64 and aarch64 numbers of the calls that starting a supervised program takes.
CALLS = {
    "seccomp": (317, 277), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "socketpair": (53, 199),
    "signalfd4": (289, 74), "setpgid": (109, 154), "prctl": (157, 167), "epoll_create1": (291, 20),
    "eventfd2": (290, 19), "clone": (56, 220), "process_vm_readv": (310, 270), "io_uring_setup": (425, 425),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_machine_that_refuses_a_call(call, tmp_path):
    """An outer filter (a container's) refuses a call that we need: supervised, or 125 with a reason."""
    number = CALLS[call][os.uname().machine == "aarch64"]
    with listening() as canary:
        done = run([*python("refusing.py", number), *reaching(tmp_path, canary)])
        if judged(tmp_path, done, canary) == "not started":
            assert done.returncode == 125
            assert complaint(done.stderr)


@pytest.mark.parametrize("limit", [7, *range(9, 20)])
def test_few_descriptors(limit, tmp_path):
    with listening() as canary:
        done = run(["sh", "-c", f'ulimit -n {limit}; exec "$@"', "sh", *reaching(tmp_path, canary)])
        if judged(tmp_path, done, canary) == "not started" and limit > 9:  # fewer, and Python itself cannot start
            assert done.returncode == 125


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be nobody with a limit")
@pytest.mark.parametrize("more", [0, 1])
def test_no_more_processes(more, tmp_path):
    """The first or the second fork fails."""
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent.is_relative_to("/tmp"):
            parent.chmod(parent.stat().st_mode | 0o011)
    uid = 61234 + more
    # The interpreter may be below /root: CAP_DAC_READ_SEARCH lets it be found. It does not lift RLIMIT_NPROC.
    ids = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=+dac_read_search",
           "--ambient-caps=+dac_read_search"]
    with listening() as canary:
        done = run([
            *ids, "prlimit", f"--nproc={1 + more}", "--", *reaching(tmp_path, canary)
        ])
        assert judged(tmp_path, done, canary) == "not started"
        assert done.returncode == 125
        assert len(complaint(done.stderr)) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount")
def test_without_proc(tmp_path):
    with listening() as canary:
        hide = 'mount -t tmpfs none /proc && exec "$@"'
        done = run(["unshare", "-m", "--propagation", "private", "sh", "-c", hide, "sh", *reaching(tmp_path, canary)])
        assert judged(tmp_path, done, canary) == "not started"
        assert done.returncode == 125
        assert len(complaint(done.stderr)) == 1


@each_mode
def test_the_supervisor_killed_at_any_moment(mode, tmp_path):
    """It dies before, in, and after the handover: nothing is reached, and supervise ends with 125."""
    outcomes = set()
    for attempt in range(8):
        (tmp_path / "result").unlink(missing_ok=True)
        with listening() as canary, started(
            reaching(tmp_path, canary, mode), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            supervisor = supervisor_of(process.pid)
            deadline = time.perf_counter() + attempt * 0.005
            while time.perf_counter() < deadline:
                pass
            send(supervisor, signal.SIGKILL)
            out, err = process.communicate(timeout=20)
            outcomes.add(judged(
                tmp_path, subprocess.CompletedProcess([], process.returncode, out, err), canary
            ))
            assert process.returncode == 125 or lines(tmp_path / "result")[1:], err
    assert "not started" in outcomes


@each_mode
def test_the_front_killed_at_any_moment(mode, tmp_path):
    for attempt in range(5):
        (tmp_path / "result").unlink(missing_ok=True)
        with listening() as canary, started(
            reaching(tmp_path, canary, mode), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            supervisor_of(process.pid)
            deadline = time.perf_counter() + attempt * 0.008
            while time.perf_counter() < deadline:
                pass
            process.kill()
            process.wait()
            assert not was_reached(canary)


@each_mode
def test_a_dead_supervisor_makes_socket_calls_fail(mode, tmp_path):
    """Every call that is trapped fails with ENOSYS, and supervise ends with 125 after the program."""
    gate = tmp_path / "gate"
    with listening() as allowed:
        port = allowed.getsockname()[1]
        reach = python("reach.py", tmp_path / "result", port, f"{port}={gate}")
        with started(
            command(*reach, mode=mode, policy=only(tmp_path, port)), stderr=subprocess.PIPE
        ) as process:
            until(lambda: lines(tmp_path / "result")[1:] == [f"{port} ok"], "the first connection")
            send(supervisor_of(process.pid), signal.SIGKILL)
            assert process.stderr is not None
            assert b"socket calls fail" in process.stderr.readline()
            assert process.poll() is None
            gate.touch()
            assert process.wait(20) == 125
        assert lines(tmp_path / "result")[2:] == [f"{port} {errno.ENOSYS}"]


def test_a_core_limit_is_not_needed(tmp_path):
    """The same signal, without a second core dump: no file of ours appears."""
    def no_core_limit():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    done = run(command("sh", "-c", "ulimit -c 0; kill -ABRT $$"), cwd=tmp_path, preexec_fn=no_core_limit)
    assert done.returncode == -signal.SIGABRT
    assert list(tmp_path.iterdir()) == []
