"""The control protocol."""

import json
import os
import socket
from collections import Counter
from types import SimpleNamespace

import pytest
import trio

from supervisor.daemon import control
from supervisor.daemon.control import LONGEST_LINE, PATIENCE, Lines, ProtocolError, answer, answer_questions
from supervisor.policy.engine import ALLOW_ALL


@pytest.fixture
async def ends():
    """Our end of a connection, and the peer's stream."""
    ours, theirs = trio.socket.socketpair()
    one, other = trio.SocketStream(ours), trio.SocketStream(theirs)
    async with one, other:
        yield Lines(one), other


SESSION = SimpleNamespace(
    ident="s", program="curl", pid=7, policy=ALLOW_ALL, mediation="auto", calls=Counter(connect=2, bind=1), refusals=1,
    waiting_calls=0, landlocked=True, since=5.0,
)


# Receiving.


async def test_messages_in_pieces_and_together(ends):
    lines, peer = ends
    await peer.send_all(b'{"a": 1}\n{"b"')
    assert await lines.receive() == {"a": 1}
    await peer.send_all(b': 2}\n{"c": 3}\n')
    assert await lines.receive() == {"b": 2}
    assert await lines.receive() == {"c": 3}
    await peer.aclose()
    assert await lines.receive() is None


@pytest.mark.parametrize(("garbage", "says"), [
    (b"\n", "not JSON"), (b"hello\n", "not JSON"), (b'{"a"\n', "not JSON"), (b"\xff\xfe\n", "not JSON"),
    (b"[]\n", "not an object"), (b"7\n", "not an object"), (b"null\n", "not an object"),
    (b"1" * 5000 + b"\n", "not JSON"),
    (b"[" * 100_000 + b"\n", "not JSON"), (b"\0\n", "not JSON"),
])
async def test_garbage(ends, garbage, says):
    lines, peer = ends
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send_all, garbage)
        with pytest.raises(ProtocolError, match=says):
            await lines.receive()


async def test_a_message_that_is_too_long(ends):
    lines, peer = ends
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.send_all, b" " * (LONGEST_LINE + 100_000))
        with pytest.raises(ProtocolError, match="too long"):
            await lines.receive()
        nursery.cancel_scope.cancel()


async def test_a_message_that_is_incomplete(ends):
    lines, peer = ends
    await peer.send_all(b'{"a": 1')
    await peer.aclose()
    with pytest.raises(ProtocolError, match="incomplete"):
        await lines.receive()


async def test_a_peer_that_says_nothing(ends, autojump_clock):
    lines, _ = ends
    began = trio.current_time()
    with pytest.raises(ProtocolError, match="five seconds"):
        await lines.receive()
    assert trio.current_time() - began == pytest.approx(PATIENCE)


async def test_a_peer_that_says_a_letter_a_second(ends, autojump_clock):
    lines, peer = ends

    async def drip():
        while True:
            await peer.send_all(b" ")
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        with pytest.raises(ProtocolError, match="five seconds"):
            await lines.receive()
        nursery.cancel_scope.cancel()


# Sending.


async def test_a_peer_that_does_not_read(ends, autojump_clock):
    lines, _ = ends
    with pytest.raises(ProtocolError, match="does not read"):
        await lines.send({"long": "x" * 10_000_000})


async def test_who_is_there(ends):
    assert ends[0].peer() == (os.getpid(), os.getuid(), os.getgid())


# Questions.


def test_a_session_as_ps_shows_it():
    assert answer({"op": "ps"}, [SESSION]) == {"sessions": [{
        "session": "s", "program": "curl", "pid": 7, "policy": "allow-all", "mediation": "auto", "calls": 3,
        "by_call": {"connect": 2, "bind": 1}, "refusals": 1, "waiting": 0, "landlock": True, "since": 5.0,
    }]}


@pytest.mark.parametrize("message", [{}, {"op": "exec"}, {"op": None}, {"op": ["ps"]}, {"op": {}}])
def test_other_questions(message):
    assert "expected ps" in answer(message, [])["error"]


async def ask(sent, **patches):
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        await answer_questions(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), lambda: [SESSION])
        theirs.settimeout(5)
        return theirs.recv(65536)


async def test_a_question_and_its_answer():
    assert json.loads(await ask(b'{"op": "ps"}\n'))["sessions"][0]["session"] == "s"


@pytest.mark.parametrize("sent", [b"", b"garbage\n", b'{"op"', b"[" * 50_000 + b"\n"])
async def test_a_client_that_talks_nonsense_ends_nothing(sent):
    assert await ask(sent) == b""


async def test_another_user(monkeypatch):
    monkeypatch.setattr(control.Lines, "peer", lambda _: (1, 12345, 12345))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    ours, theirs = socket.socketpair()
    with theirs:
        await answer_questions(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), lambda: [SESSION])
        assert json.loads(theirs.recv(999)) == {"error": "not your supervisor"}


async def test_a_client_that_is_gone():
    ours, theirs = socket.socketpair()
    theirs.sendall(b'{"op": "ps"}\n')
    theirs.close()
    await answer_questions(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), lambda: [SESSION] * 5000)
