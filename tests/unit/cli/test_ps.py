import json
import socket
import sys
import threading
from contextlib import contextmanager

import pytest

from supervisor.cli import main
from supervisor.daemon import local

SESSION = {
    "session": "1f-1", "program": "curl", "pid": 42, "policy": "ci", "mediation": "auto", "calls": 7,
    "by_call": {"connect": 7}, "refusals": 2, "waiting": 0, "since": 0,
}


@contextmanager
def daemon(path, answer):
    """Answers one question."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(5)

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.recv(999)
                connection.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield str(path)
        thread.join()


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """A runtime directory of its own."""
    monkeypatch.delenv("SUPERVISE_DAEMON", raising=False)
    monkeypatch.setenv("TZ", "UTC")
    directory = tmp_path / "supervise"
    directory.mkdir()
    monkeypatch.setattr(local, "runtime_directory", lambda: str(directory))
    return directory


def test_nothing_runs(capsys):
    assert main(["ps"]) == 0
    assert capsys.readouterr().out.split() == [
        "session", "program", "pid", "policy", "mediation", "calls", "refusals", "since",
    ]
    assert main(["ps", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_sessions_of_a_daemon(tmp_path, capsys):
    with daemon(tmp_path / "d", {"sessions": [SESSION]}) as path:
        assert main(["ps", "--daemon", path]) == 0
    heading, line = capsys.readouterr().out.splitlines()
    assert line.split()[:7] == ["1f-1", "curl", "42", "ci", "auto", "7", "2"]
    assert heading.index("pid") == line.index("42")


def test_json(tmp_path, capsys):
    with daemon(tmp_path / "d", {"sessions": [SESSION]}) as path:
        assert main(["ps", "--json", "--daemon", path]) == 0
    assert json.loads(capsys.readouterr().out) == [SESSION]


def test_every_supervisor_of_this_user(nowhere, capsys):
    (nowhere / "exec-1.sock").touch()  # ended, and its socket left behind
    with (
        daemon(nowhere / "daemon.sock", {"sessions": [SESSION]}),
        daemon(nowhere / "exec-2.sock", {"sessions": [{**SESSION, "session": "2"}]}),
    ):
        assert main(["ps", "--json"]) == 0
    assert [session["session"] for session in json.loads(capsys.readouterr().out)] == ["1f-1", "2"]


def test_a_terminal(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    with daemon(tmp_path / "d", {"sessions": [SESSION]}) as path:
        assert main(["ps", "--daemon", path]) == 0
    assert "1f-1" in capsys.readouterr().out


@pytest.mark.parametrize(("answer", "says"), [
    ({"error": "not your supervisor"}, "not your supervisor"), (b"x\n", "does not speak"), (b"", "hung up"),
])
def test_a_daemon_that_cannot_be_asked(tmp_path, capsys, answer, says):
    with daemon(tmp_path / "d", answer) as path:
        assert main(["ps", "--daemon", path]) == 125
    assert says in capsys.readouterr().err


def test_no_daemon(tmp_path, capsys):
    assert main(["ps", "--daemon", str(tmp_path / "none")]) == 125
    assert "no such socket" in capsys.readouterr().err


@pytest.mark.parametrize("answer", [{}, {"sessions": 5}, {"sessions": [{}]}])
def test_an_answer_of_another_shape(tmp_path, answer):
    with daemon(tmp_path / "d", answer) as path:
        assert main(["ps", "--daemon", path]) == 125
