"""`supervise daemon` and its door: one process for many programs."""

import base64
import errno
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .built import built
from .harness import (
    MODES,
    PATIENCE,
    SUPERVISE,
    complaint,
    each_mode,
    lines,
    listening,
    policy_file,
    python,
    run,
    send,
    started,
    until,
    was_reached,
)

CONFIG = """\
[daemon]
default_policy = "closed"
{daemon}
[policy.closed]
default = "deny"
[policy.open]
default = "allow"
[policy.parked]
default = "deny"
bind.allow = ["127.0.0.1:*", "unix:*"]
connect.allow = ["127.0.0.1:*", "unix:*"]
accept.allow = ["127.0.0.1:*"]
[policy.performed]
unix = "perform"
connect.allow = ["unix:*"]
bind.allow = ["127.0.0.1:*"]
"""


class Daemon:
    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self.path, self.process = path, process

    def command(self, *program: object, policy: str | None = None, mode: str = "auto") -> list[str]:
        chosen = [] if policy is None else ["--policy", policy]
        return [SUPERVISE, "exec", "--daemon", str(self.path), "--mediate", mode, *chosen, "--", *map(str, program)]

    def sessions(self) -> list[dict]:
        done = run([SUPERVISE, "ps", "--daemon", str(self.path), "--json"])
        assert done.returncode == 0, done
        return json.loads(done.stdout)

    def held(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def call(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(PATIENCE)
        try:
            client.connect(str(self.path))
        except OSError:
            client.close()
            raise
        return client


@contextmanager
def serving(folder: Path, *, daemon: str = "", **options) -> Iterator[Daemon]:
    """A daemon that has said READY=1; it ends by SIGTERM, in time, and takes its socket away."""
    config = policy_file(folder, CONFIG.format(daemon=daemon), "daemon.toml")
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(folder / "notify.sock"))
        told.settimeout(PATIENCE)
        argv = [SUPERVISE, "daemon", "--config", str(config), "--socket", str(path), "--log", str(folder / "log")]
        environment = os.environ | {"NOTIFY_SOCKET": str(folder / "notify.sock")}
        with started(argv, env=environment, **options) as process:
            assert "READY=1" in told.recv(4096).decode().splitlines()
            yield Daemon(path, process)
            if process.poll() is None:
                process.terminate()
                assert process.wait(10) == 0
                assert told.recv(4096) == b"STOPPING=1"
                assert not path.exists()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short name that others may look into."""
    made = Path(tempfile.mkdtemp(prefix="daemon-"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


@pytest.fixture
def daemon(folder) -> Iterator[Daemon]:
    with serving(folder) as one:
        yield one


def request(client: socket.socket, message: object) -> dict:
    client.sendall(json.dumps(message).encode() + b"\n")
    with client.makefile("rb") as answers:
        return json.loads(answers.readline() or b"{}")


def test_its_socket_is_for_this_user_alone(daemon):
    info = daemon.path.stat()
    assert stat.S_ISSOCK(info.st_mode)
    assert (stat.S_IMODE(info.st_mode), info.st_uid) == (0o600, os.geteuid())


@each_mode
def test_exec_becomes_the_program(daemon, mode, tmp_path):
    script = "echo $$; grep Seccomp: /proc/self/status; exit 43"
    with started(daemon.command("sh", "-c", script, mode=mode), stdout=subprocess.PIPE) as process:
        out, _ = process.communicate(timeout=PATIENCE)
        assert out.split() == [str(process.pid).encode(), b"Seccomp:", b"2"]
        assert process.returncode == 43
    assert run(daemon.command("sh", "-c", "kill -USR1 $$", mode=mode)).returncode == -signal.SIGUSR1
    assert run(daemon.command("no-such-program", mode=mode)).returncode == 127
    assert run(daemon.command(tmp_path, mode=mode)).returncode == 126


@each_mode
def test_policies_by_name_and_by_file(daemon, mode, tmp_path):
    file = policy_file(tmp_path, '[policy.mine]\ndefault = "allow"\n[policy.other]\ndefault = "deny"\n')
    expected = {None: errno.EACCES, "closed": errno.EACCES, "open": None, f"{file}:mine": None,
                f"{file}:other": errno.EACCES}
    with listening(64) as listener:
        port = listener.getsockname()[1]
        for policy, code in expected.items():
            result = tmp_path / str(code) / str(len(os.listdir(tmp_path)))
            result.parent.mkdir(exist_ok=True)
            assert run(daemon.command(*python("reach.py", result, port), policy=policy, mode=mode)).returncode == 0
            assert lines(result)[1:] == [f"{port} {code or 'ok'}"], policy
            assert was_reached(listener) == (code is None)
            result.unlink()


@pytest.mark.parametrize("policy", ["missing", "missing.toml:x", "wrong.toml:p"])
def test_a_policy_that_is_not_there_starts_nothing(daemon, policy, tmp_path):
    policy_file(tmp_path, "[policy.p]\nport = 70000\n", "wrong.toml")
    done = run(daemon.command("touch", "ran", policy=policy), cwd=tmp_path)
    assert done.returncode in (2, 125)
    assert len(complaint(done.stderr)) == 1
    assert not (tmp_path / "ran").exists()


@each_mode
def test_many_sessions_at_once(daemon, mode, tmp_path):
    """Thirty programs: each one's calls are its own policy's, `ps` shows them all, and nothing is kept of them."""
    assert run(daemon.command("true", mode=mode)).returncode == 0
    until(lambda: not daemon.sessions(), "the first session has ended")
    baseline = daemon.held()
    gate = tmp_path / "gate"
    with listening(64) as listener, ExitStack() as stack:
        port = listener.getsockname()[1]
        processes = {}
        for number in range(30):
            policy = "open" if number % 2 else "closed"
            result = tmp_path / f"result-{number}"
            argv = daemon.command(*python("reach.py", result, f"{port}={gate}"), policy=policy, mode=mode)
            processes[number] = stack.enter_context(started(argv))
        until(lambda: len(daemon.sessions()) == 30, "30 sessions")
        shown = {session["pid"]: session["policy"] for session in daemon.sessions()}
        assert shown == {p.pid: "open" if number % 2 else "closed" for number, p in processes.items()}
        until(lambda: all(lines(tmp_path / f"result-{n}") for n in processes), "all of them run")
        gate.touch()
        for number, process in processes.items():
            assert process.wait(PATIENCE) == 0
            answer = "ok" if number % 2 else errno.EACCES
            assert lines(tmp_path / f"result-{number}")[1:] == [f"{port} {answer}"]
    until(lambda: not daemon.sessions(), "no session is left")
    until(lambda: daemon.held() <= baseline, "no descriptor is left")


def test_ps_on_a_pipe(daemon):
    with started(daemon.command("cat"), stdin=subprocess.PIPE) as process:
        until(daemon.sessions, "the session")
        done = run([SUPERVISE, "ps", "--daemon", str(daemon.path)])
        heading, row = (line.split() for line in done.stdout.decode().splitlines())
        shown = dict(zip(heading, row, strict=False))
        assert (shown["program"], shown["pid"], shown["policy"]) == ("cat", str(process.pid), "closed")
    assert run([SUPERVISE, "ps", "--daemon", str(daemon.path / "missing")]).returncode == 125


ACCEPTING = """\
import socket
s = socket.create_server(("127.0.0.1", 0))
print("up", flush=True)
try:
    s.accept()
except OSError as e:
    print(e.errno)
"""


@each_mode
def test_ending_while_calls_wait(folder, mode):
    """SIGTERM: bounded, status 0, and what still waits fails with ENOSYS."""
    with serving(folder) as daemon:
        argv = daemon.command("python3", "-S", "-c", ACCEPTING, policy="parked", mode=mode)
        with started(argv, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            until(lambda: any(session["waiting"] for session in daemon.sessions()), "a call waits")
            daemon.process.terminate()
            begun = time.monotonic()
            assert daemon.process.wait(10) == 0
            assert time.monotonic() - begun < 8
            assert process.stdout.readline() == f"{errno.ENOSYS}\n".encode()


def test_a_killed_daemon_and_its_successor(folder, tmp_path):
    """Programs' calls fail; a new daemon takes the place of the socket that was left."""
    gate, result = tmp_path / "gate", tmp_path / "result"
    with listening() as listener, serving(folder) as daemon:
        port = listener.getsockname()[1]
        argv = daemon.command(*python("reach.py", result, port, f"{port}={gate}"), policy="open")
        with started(argv) as process:
            until(lambda: len(lines(result)) == 2, "the first connection")
            daemon.process.kill()
            daemon.process.wait()
            gate.touch()
            assert process.wait(PATIENCE) == 0
        assert lines(result)[1:] == [f"{port} ok", f"{port} {errno.ENOSYS}"]
        assert daemon.path.exists()
        (folder / "notify.sock").unlink()
        with serving(folder) as successor:
            assert run(successor.command("true")).returncode == 0


def test_a_second_daemon_leaves_the_first_alone(daemon, folder):
    done = run([SUPERVISE, "daemon", "--config", str(folder / "daemon.toml"), "--socket", str(daemon.path)])
    assert done.returncode == 125
    assert len(complaint(done.stderr)) == 1
    assert run(daemon.command("true")).returncode == 0


@pytest.mark.parametrize("wrong", ["missing.toml", "wrong.toml", "file in the way", "missing folder"])
def test_a_daemon_that_cannot_start(wrong, tmp_path):
    good = policy_file(tmp_path, CONFIG.format(daemon=""), "good.toml")
    policy_file(tmp_path, "[daemon]\nsocket = 3\n", "wrong.toml")
    (tmp_path / "file").write_text("precious")
    config = wrong if wrong.endswith("toml") else str(good)
    path = {"file in the way": "file", "missing folder": "missing/socket"}.get(wrong, "socket")
    done = run([SUPERVISE, "daemon", "--config", config, "--socket", path], cwd=tmp_path)
    assert done.returncode in (2, 125)
    assert len(complaint(done.stderr)) == 1
    assert (tmp_path / "file").read_text() == "precious"


# A door that is not what it should be.

ALLOW = base64.b64encode(bytes.fromhex("060000000000ff7f")).decode()  # RET ALLOW: no listener


def says(*answers: bytes, hang: bool = False) -> Callable[[socket.socket, threading.Event], None]:
    def behave(client: socket.socket, over: threading.Event) -> None:
        for answer in answers:
            client.recv(65536)
            client.sendall(answer)
        if hang:
            over.wait(60)

    return behave


FAKES = {
    "hangs": says(hang=True),
    "hangs up": says(),
    "hangs up in the middle": says(b'{"filter": "'),
    "trickles": says(b'{"filter"', hang=True),
    "garbage": says(b"\x00\xff\xfe not JSON\n"),
    "a list": says(b"[1, 2]\n"),
    "no filter": says(b"{}\n"),
    "not base64": says(b'{"filter": "***", "domain": [0, 0]}\n'),
    "not a program": says(b'{"filter": "AAAA", "domain": [0, 0]}\n'),
    "an empty program": says(b'{"filter": "", "domain": [0, 0]}\n'),
    "an error": says(b'{"error": "go away"}\n'),
    "silent after the filter": says(f'{{"filter": "{ALLOW}", "domain": [0, 0]}}\n'.encode(), hang=True),
    "hangs up after the filter": says(f'{{"filter": "{ALLOW}", "domain": [0, 0]}}\n'.encode()),
    "refuses after the filter": says(f'{{"filter": "{ALLOW}", "domain": [0, 0]}}\n'.encode(), b'{"error": "no"}\n'),
    "nonsense after the filter": says(f'{{"filter": "{ALLOW}", "domain": [0, 0]}}\n'.encode(), b"nonsense\n"),
}


@contextmanager
def faking(path: Path, behave: Callable[[socket.socket, threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(8)

        def serve() -> None:
            try:
                client, _ = listener.accept()
                with client:
                    behave(client, over)
            except OSError:
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)


def test_doors_that_are_none(folder, tmp_path):
    """Each ends with 125 and one line, nothing started, within the five seconds and a little."""
    wrong = {}
    with ExitStack() as stack:
        processes = {}
        for number, (name, behave) in enumerate(FAKES.items()):
            path = folder / f"{number}.sock"
            stack.enter_context(faking(path, behave))
            processes[name] = path
        full = stack.enter_context(socket.socket(socket.AF_UNIX))
        full.bind(str(folder / "full.sock"))
        full.listen(0)
        filler = stack.enter_context(socket.socket(socket.AF_UNIX))
        filler.connect(str(folder / "full.sock"))
        processes["full backlog"] = folder / "full.sock"
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(folder / "stale.sock"))
        processes["nobody listens"] = folder / "stale.sock"
        processes["absent"] = folder / "absent.sock"
        (folder / "plain").write_text("")
        processes["a plain file"] = folder / "plain"
        processes["a name that is too long"] = folder / ("x" * 200)
        running = {}
        for number, (name, path) in enumerate(processes.items()):
            argv = [SUPERVISE, "exec", "--daemon", str(path), "--", "touch", str(tmp_path / f"ran-{number}")]
            running[name] = number, stack.enter_context(started(argv, stderr=subprocess.PIPE))
        deadline = time.monotonic() + 15
        for name, (number, process) in running.items():
            try:
                _, said = process.communicate(timeout=max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                wrong[name] = "still there"
                continue
            if (tmp_path / f"ran-{number}").exists():
                wrong[name] = "the program was started"
            elif process.returncode != 125 or len(complaint(said)) != 1:
                wrong[name] = f"{process.returncode}: {said.decode()}"
    assert not wrong


# A client that is not what it should be.


@each_mode
def test_garbage_does_no_harm(daemon, mode):
    payloads = [
        b"", b"\n", b"garbage\n", b"\xff" * 1000 + b"\n", b"[]\n", b"null\n", b'{"op": 3}\n', b'{"op": "stop"}\n',
        b'{"op": "exec", "policy": 7}\n', b'{"op": "exec", "text": 7}\n', b'{"op": "exec", "mediation": []}\n',
        b'{"op": "exec", "text": "[policy.x", "file": []}\n', b'{"op": "exec", "mediation": {}, "program": {}}\n',
        b'{"op": "exec", "policy": "\\ud800"}\n', b"[" * 100_000 + b"\n", b"9" * 10_000 + b"\n", b"x" * 3_000_000,
        b'{"op": "exec", "text": "[policy.x]\\na = ' + b"[" * 5000 + b'"}\n',
        b'{"op": "exec"}\n{"listener": 1}\n{"listener": 1}\n', b'{"op": "ps"}\n' * 3,
    ]
    baseline = daemon.held()
    for payload in payloads:
        with daemon.call() as client:
            try:
                client.sendall(payload)
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            except (BrokenPipeError, ConnectionResetError):
                pass
        assert run([SUPERVISE, "ps", "--daemon", str(daemon.path)]).returncode == 0, payload[:60]
    with ExitStack() as idle:
        for _ in range(40):
            idle.enter_context(daemon.call()).sendall(b'{"op"')
        assert run(daemon.command("sh", "-c", "exit 6", mode=mode)).returncode == 6
    until(lambda: daemon.held() <= baseline + 1, "nothing is kept of them")


@pytest.mark.parametrize("number", [0, -1, "x", None, True, 1.5, 10**6, 10**12, 10**30, [3]])
def test_a_descriptor_that_is_no_listener(daemon, number):
    baseline = daemon.held()
    with daemon.call() as client:
        assert "filter" in request(client, {"op": "exec"})
        assert "error" in request(client, {"listener": number})
        assert client.recv(1) == b""
    assert daemon.sessions() == []
    until(lambda: daemon.held() <= baseline, "nothing is kept of it")


def test_launchers_that_vanish(daemon, tmp_path):
    """Between any two steps; killed at any moment: no session stays, no descriptor either."""
    baseline = daemon.held()
    for _ in range(5):
        with daemon.call() as client:
            request(client, {"op": "exec"})
    for attempt in range(10):
        with started(daemon.command("sleep", "77"), stderr=subprocess.DEVNULL) as process:
            deadline = time.perf_counter() + attempt * 0.03
            while time.perf_counter() < deadline:
                pass
            process.kill()
    until(lambda: daemon.sessions() == [], "no session")
    until(lambda: daemon.held() <= baseline, "no descriptor")
    assert run(daemon.command("true")).returncode == 0


# Other users.

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
# The interpreter may be below /root: the launcher may look there, the program may not.
READS = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
READS_NO_MORE = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all")
as_root = pytest.mark.skipif(os.geteuid() != 0 or shutil.which("setpriv") is None, reason="needs root and setpriv")


def nogroup() -> str:
    import grp

    return grp.getgrgid(65534).gr_name


@as_root
def test_others_are_refused(daemon, folder):
    folder.chmod(0o777)
    done = run([*NOBODY, *READS, *daemon.command("touch", folder / "ran")])
    assert done.returncode == 125
    assert len(complaint(done.stderr)) == 1
    assert not (folder / "ran").exists()


@as_root
def test_others_are_refused_by_who_they_are(daemon, folder):
    """Not only by the mode of the file."""
    daemon.path.chmod(0o666)
    done = run([*NOBODY, *READS, *daemon.command("touch", folder / "ran")])
    assert done.returncode == 125
    assert len(complaint(done.stderr)) == 1
    with daemon.call() as client:
        assert "sessions" in request(client, {"op": "ps"})


@as_root
@pytest.mark.parametrize("policy", ["open", "parked", "performed"])
@pytest.mark.parametrize("mode", MODES)
def test_a_root_daemon_lends_its_rights_to_nobody(folder, mode, policy):
    """A program of another user may bind and reach what it may natively."""
    rights = built("rights.c")
    with socket.socket(socket.AF_UNIX) as private:
        private.bind(str(folder / "private.sock"))
        (folder / "private.sock").chmod(0o600)
        private.listen(8)
        program = [str(rights), str(folder / "private.sock")]
        native = run([*NOBODY, *program])
        with serving(folder, daemon=f'group = "{nogroup()}"') as daemon:
            assert stat.S_IMODE(daemon.path.stat().st_mode) == 0o660
            argv = daemon.command(*READS_NO_MORE, *program, policy=policy, mode=mode)
            done = run([*NOBODY, *READS, *argv])
        assert native.stdout.split()[0] == b"65534"
        assert (done.stdout, done.returncode) == (native.stdout, 0), done.stderr


@as_root
def test_sessions_of_others_end_like_others(folder):
    with serving(folder, daemon=f'group = "{nogroup()}"') as daemon:
        argv = [*NOBODY, *READS, *daemon.command("sleep", "77")]
        with started(argv) as process:
            until(daemon.sessions, "the session")
            assert daemon.sessions()[0]["pid"] == process.pid
            send(process.pid, signal.SIGTERM)
            assert process.wait(PATIENCE) == -signal.SIGTERM
        until(lambda: daemon.sessions() == [], "no session")
