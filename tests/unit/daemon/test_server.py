"""The control socket of the daemon, and what its clients may ask."""

import base64
import grp
import json
import os
import signal
import socket
import stat
from contextlib import asynccontextmanager

import pytest
import trio

from supervisor.daemon import server as module
from supervisor.daemon.server import Server, open_control_socket
from supervisor.errors import StartError
from supervisor.kernel import process, seccomp
from supervisor.policy.config import parse_config
from tests.unit.kernel.puppet import needs_root

SEVERAL = '[policy.a]\ndefault = "allow"\n[policy.b]\n'


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "control")


def mode_of(path):
    return stat.S_IMODE(os.stat(path).st_mode)


# The socket.


def test_its_mode(path):
    before = os.umask(0)
    try:
        with open_control_socket(path, None) as sock:
            assert mode_of(path) == 0o600
            assert not sock.getblocking()
            assert os.umask(0) == 0
    finally:
        os.umask(before)


@needs_root
def test_its_group(path):
    group = next(each for each in grp.getgrall() if each.gr_gid != os.getegid())
    with open_control_socket(path, group.gr_name):
        assert (mode_of(path), os.stat(path).st_gid) == (0o660, group.gr_gid)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_group_that_is_none(path):
    with pytest.raises(StartError, match="no group 'nobody-has-this'"):
        open_control_socket(path, "nobody-has-this")


def test_one_that_was_left_behind(path):
    socket.socket(socket.AF_UNIX).close()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    with open_control_socket(path, None), socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_one_that_is_served(path):
    with open_control_socket(path, None):
        with pytest.raises(StartError, match="another daemon serves it"):
            open_control_socket(path, None)
        assert os.path.exists(path)


def test_a_file_that_is_no_socket(path):
    with open(path, "w") as file:
        file.write("precious")
    with pytest.raises(StartError, match="is not a socket"):
        open_control_socket(path, None)
    with open(path) as file:
        assert file.read() == "precious"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("bad", ["/nowhere/control", "/" + "x" * 200])
def test_a_place_that_cannot_be(bad):
    with pytest.raises(StartError, match="control socket"):
        open_control_socket(bad, None)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_is_left_of_a_socket_that_failed(path):
    with pytest.raises(StartError):
        open_control_socket(path, "nobody-has-this")
    assert not os.path.exists(path)


# The daemon.


class Silent:
    """A log for nobody."""

    wants_allowed = False

    def write(self, event):
        """Nothing is written."""

    def close(self):
        """Nothing is open."""


@pytest.fixture
def harmless(monkeypatch):
    """What a daemon does to its process is not done to this one."""
    monkeypatch.setattr(seccomp, "set_undumpable", lambda: None)
    monkeypatch.setattr(process, "raise_descriptor_limit", lambda: None)
    said, opened = [], []
    monkeypatch.setattr(module, "notify", said.append)

    def remember(*arguments):
        opened.append(open_control_socket(*arguments))
        return opened[-1]

    monkeypatch.setattr(module, "open_control_socket", remember)
    yield said
    for sock in opened:
        sock.close()


@asynccontextmanager
async def serving(path, text=SEVERAL):
    server = Server(parse_config(text, "daemon.toml"), path, Silent())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run)
        while not await trio.Path(path).exists():
            await trio.lowlevel.checkpoint()
        yield nursery
        os.kill(os.getpid(), signal.SIGTERM)


async def ask(path, *messages):
    """One connection: each message, and what comes back."""
    answers = []
    async with await trio.open_unix_socket(path) as stream:
        for message in messages:
            await stream.send_all(message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
            line = b""
            while not line.endswith(b"\n"):
                more = await stream.receive_some(1 << 20)
                if not more:
                    return answers
                line += more
            answers.append(json.loads(line))
    return answers


async def test_its_life(path, harmless):
    async with serving(path):
        assert await ask(path, {"op": "ps"}) == [{"sessions": []}]
    assert not await trio.Path(path).exists()
    assert harmless[0].startswith("READY=1\n")
    assert harmless[-1] == "STOPPING=1"


async def test_its_end(path, harmless, monkeypatch):
    opened = []
    remember = module.open_control_socket

    def look(*arguments):
        opened.append(remember(*arguments))
        return opened[-1]

    monkeypatch.setattr(module, "open_control_socket", look)
    async with serving(path):
        pass
    assert opened[0].fileno() == -1


@pytest.mark.parametrize(("message", "says"), [
    (b"garbage\n", "not JSON"), (b"[]\n", "not an object"), (b"[" * 60_000 + b"\n", "not JSON"),
    ({"op": "stop"}, "expected ps"), ({}, "expected ps"),
    ({"op": "exec", "mediation": "most"}, "expected auto or full"),
    ({"op": "exec", "mediation": ["auto"]}, "expected auto or full"), ({"op": "exec"}, "name one: a, b"),
    ({"op": "exec", "policy": "c"}, 'no policy "c"'), ({"op": "exec", "policy": 5}, "not a name"),
    ({"op": "exec", "text": "a = 1", "file": "x.toml"}, "x.toml:1: a: unknown key"),
    ({"op": "exec", "text": 5}, "not TOML"),
])
async def test_what_is_refused_ends_nothing(path, harmless, message, says):
    async with serving(path):
        (answer,) = await ask(path, message)
        assert says in answer["error"]
        assert await ask(path, {"op": "ps"}) == [{"sessions": []}]


@pytest.mark.parametrize("request_", [
    {"policy": "b"}, {"text": SEVERAL, "policy": "b"}, {"mediation": "full", "policy": "a"},
])
async def test_a_filter_and_then_no_listener(path, harmless, request_):
    async with serving(path):
        filtered, refused = await ask(path, {"op": "exec", **request_}, {"listener": 0})
        assert len(base64.b64decode(filtered["filter"])) % 8 == 0
        assert "may not hand over" in refused["error"]
        assert await ask(path, {"op": "ps"}) == [{"sessions": []}]


async def test_another_user(path, harmless, monkeypatch):
    monkeypatch.setattr(module.Lines, "peer", lambda _: (1, 12345, 12345))
    async with serving(path):
        assert await ask(path, {"op": "ps"}) == [{"error": "user 12345 may not use this daemon"}]


async def test_clients_that_go_away(path, harmless):
    async with serving(path):
        for sent in (b"", b"{", b'{"op": "ps"}\n'):
            async with await trio.open_unix_socket(path) as stream:
                await stream.send_all(sent)
        assert await ask(path, {"op": "ps"}) == [{"sessions": []}]


async def test_a_failure_of_ours_ends_one_client(path, harmless, monkeypatch):
    def fail(_plan):
        raise RuntimeError("no")

    monkeypatch.setattr(module, "compile_filter", fail)
    async with serving(path):
        (answer,) = await ask(path, {"op": "exec", "policy": "a"})
        assert "RuntimeError" in answer["error"]
        assert await ask(path, {"op": "ps"}) == [{"sessions": []}]
