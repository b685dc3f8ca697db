import argparse
import base64
import os
import socket

import pytest

from supervisor.cli import client
from supervisor.cli.client import ask, connect, exec_with_daemon
from supervisor.errors import StartError


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.settimeout(5)
        yield ours, theirs


def test_connecting(tmp_path):
    path = str(tmp_path / "d")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        with pytest.raises(StartError, match="nobody listens"):
            connect(path)
        listener.listen()
        connect(path).close()
    with pytest.raises(StartError, match="nobody listens"):
        connect(path)
    with pytest.raises(StartError, match=f"daemon {path}2: no such socket"):
        connect(path + "2")
    with pytest.raises(StartError, match="too long"):
        connect("x" * 200)


def test_a_daemon_that_accepts_nobody(tmp_path, monkeypatch):
    monkeypatch.setattr(client, "PATIENCE", 0.01)
    path = str(tmp_path / "d")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(path)
        listener.listen(0)
        first.connect(path)
        with pytest.raises(StartError, match="does not answer"):
            connect(path)


def test_asking(pair):
    ours, theirs = pair
    theirs.sendall(b'{"a": [1]}\n')
    assert ask(ours, "p", {"op": "x"}) == {"a": [1]}
    assert theirs.recv(99) == b'{"op": "x"}\n'


@pytest.mark.parametrize(("answer", "says"), [
    (b"", "hung up"), (b'{"a"', "hung up"), (b"x\n", "does not speak"), (b"[]\n", "does not speak"),
    (b'{"error": "no"}\n', "daemon p: no"), (b"\xff\n", "does not speak"),
])
def test_bad_answers(pair, answer, says):
    ours, theirs = pair
    theirs.sendall(answer)
    theirs.shutdown(socket.SHUT_WR)
    with pytest.raises(StartError, match=says):
        ask(ours, "p", {})


def test_no_answer(pair):
    pair[0].settimeout(0.01)
    with pytest.raises(StartError, match="does not answer"):
        ask(pair[0], "p", {})


def test_a_daemon_that_is_gone(pair):
    pair[1].close()
    with pytest.raises(StartError, match="Broken pipe"):
        ask(pair[0], "p", {})


# Becoming the program.


@pytest.fixture
def run(pair, monkeypatch):
    """exec_with_daemon against an answer: what the daemon was asked, and what was to become of us."""
    became = []
    monkeypatch.setattr(client, "connect", lambda _: pair[0])
    monkeypatch.setattr(client, "become", lambda *arguments: became.append(arguments))
    monkeypatch.setattr(client, "inherited_doors", lambda: [7, 8])

    def go(answer, **changes):
        options = {"keep_fd": [8], "daemon": "d", "mediate": "auto", "program": ["curl", "x"], "policy": None}
        pair[1].sendall(answer)
        exec_with_daemon(argparse.Namespace(**(options | changes)))
        return pair[1].recv(99999), became[0]

    return go


GOOD = b'{"filter": "%s", "domain": [2, 3]}\n' % base64.b64encode(b"12345678")


def test_the_filter_and_the_doors(run, pair):
    asked, (channel, program, argv, doors, domain) = run(GOOD)
    assert asked == b'{"op": "exec", "mediation": "auto", "program": "curl", "policy": null}\n'
    assert (channel, program, argv, doors) == (pair[0].fileno(), b"12345678", ["curl", "x"], [7])
    assert domain == (2, 3)
    assert pair[0].gettimeout() is None


@pytest.mark.parametrize("answer", [
    b"{}\n", b'{"filter": 5}\n', b'{"filter": "%"}\n', b'{"filter": null}\n', GOOD.replace(b"[2, 3]", b"null"),
    GOOD.replace(b"[2, 3]", b"[2]"), GOOD.replace(b"[2, 3]", b'["x", 3]'),
])
def test_no_filter(run, answer):
    with pytest.raises(StartError, match="sent no filter"):
        run(answer)


def test_policies(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert client._policy("ci") == {"policy": "ci"}
    (tmp_path / "ci").write_text("text")
    assert client._policy("ci") == {"policy": None, "text": "text", "file": "ci"}
    assert client._policy("ci:x") == {"policy": "x", "text": "text", "file": "ci"}
    for name in ("other.toml", "dir/other", "."):
        with pytest.raises(StartError, match="cannot read the policy file"):
            client._policy(name)
    (tmp_path / "ci").write_bytes(b"\xff")
    with pytest.raises(StartError, match="cannot read"):
        client._policy("ci")
    assert os.path.exists("ci")
