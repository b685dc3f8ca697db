"""What a thread can no longer do after it has given it up: in a child, because it is for good."""

import socket
import subprocess
import sys

import pytest

from supervisor.abi.landlock import (
    LANDLOCK_ACCESS_NET_BIND_TCP,
    LANDLOCK_ACCESS_NET_CONNECT_TCP,
    LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
    LANDLOCK_SCOPE_SIGNAL,
)
from supervisor.kernel import landlock

needs_landlock = pytest.mark.skipif(landlock.version() < landlock.SCOPES_ABI, reason="Landlock ABI 6")
SCRIPT = """
import os, signal, socket, sys
from supervisor.kernel import landlock
print(landlock.give_up(int(sys.argv[1]), int(sys.argv[2])))

def tried(do):
    try:
        do()
    except OSError as error:
        return error.errno
    return 0

inet, unix = socket.socket(), socket.socket(socket.AF_UNIX)
print(
    tried(lambda: socket.socket().bind(("127.0.0.1", 0))), tried(lambda: inet.connect(("127.0.0.1", int(sys.argv[3])))),
    tried(lambda: unix.connect("\\0" + sys.argv[4])),
    tried(lambda: os.kill(os.getppid(), 0)), tried(lambda: os.kill(os.getpid(), 0)),
    tried(lambda: os.readlink(f"/proc/{os.getppid()}/cwd")),
)
"""


@needs_landlock
@pytest.mark.parametrize(("net", "scopes", "refused"), [
    (0, 0, (0, 0, 0, 0, 0, 0)),
    (LANDLOCK_ACCESS_NET_BIND_TCP, 0, (13, 0, 0, 0, 0, 13)),
    (LANDLOCK_ACCESS_NET_CONNECT_TCP, 0, (0, 13, 0, 0, 0, 13)),
    (0, LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, (0, 0, 1, 0, 0, 13)),
    (0, LANDLOCK_SCOPE_SIGNAL, (0, 0, 0, 1, 0, 13)),
])
def test_giving_up(tmp_path, net, scopes, refused):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        named.bind(f"\0{tmp_path}")
        named.listen()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(net), str(scopes), str(server.getsockname()[1]), str(tmp_path)],
            capture_output=True, text=True, timeout=20,
        )
    said = done.stdout.split()
    assert done.stderr == ""
    assert (said[0], tuple(map(int, said[1:]))) == (str(bool(net | scopes)), refused)


def test_a_kernel_without_it(monkeypatch):
    monkeypatch.setattr(landlock, "version", lambda: 3)
    assert not landlock.holds(LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_SCOPE_SIGNAL)
    assert landlock.give_up(LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_SCOPE_SIGNAL) is False


def test_a_kernel_with_half_of_it(monkeypatch):
    monkeypatch.setattr(landlock, "version", lambda: 4)
    assert landlock.holds(LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_SCOPE_SIGNAL)
    assert not landlock.holds(0, LANDLOCK_SCOPE_SIGNAL)
