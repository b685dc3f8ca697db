"""How unix sockets read addresses."""

import errno
import os
import socket
from contextlib import nullcontext

import pytest

from supervisor.abi.socket import AF_NETLINK, AF_UNIX, AF_VSOCK
from supervisor.errors import SyscallError
from supervisor.families import provider_of
from supervisor.families.other import OTHER
from supervisor.families.unix import UNIX
from supervisor.kernel.paths import ProgramPaths
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import Inet4, Opaque, UnixAbstract, UnixPath, UnixUnnamed, Unspec, parse_address

STREAM, SEQPACKET = SocketKind(AF_UNIX, 1, 0), SocketKind(AF_UNIX, 5, 0)


@pytest.fixture
def paths():
    return ProgramPaths(os.getpid(), nullcontext)


def located(action, paths, path):
    target = UNIX.locate(action, paths, UnixPath(path), b"raw")
    target.keep.close()
    return target


def code_of(action, paths, path):
    with pytest.raises(SyscallError) as caught:
        located(action, paths, path)
    return caught.value.errno


def test_which_it_is():
    assert provider_of(AF_UNIX) is UNIX
    assert provider_of(AF_NETLINK) is provider_of(AF_VSOCK) is provider_of(-5) is OTHER
    assert not UNIX.serviced
    assert not OTHER.serviced


@pytest.mark.parametrize(("action", "kind", "address", "hopeless"), [
    ("connect", STREAM, UnixPath(b"/x"), False), ("bind", STREAM, UnixUnnamed(), False),
    ("send", STREAM, UnixAbstract(b"x"), False), ("connect", STREAM, Unspec(b"\0\0"), False),
    ("bind", STREAM, Unspec(b"\0\0"), True), ("send", STREAM, Unspec(b"\0\0"), True),
    ("connect", STREAM, Inet4(1, 1), True), ("connect", STREAM, Opaque(1, b""), True),
    ("send", SEQPACKET, UnixPath(b"/x"), True), ("connect", SEQPACKET, UnixPath(b"/x"), False),
])
def test_what_is_hopeless(action, kind, address, hopeless):
    assert UNIX.is_hopeless(action, kind, address) is hopeless


def test_paths_alone_are_looked_up():
    assert UNIX.needs_lookup(UnixPath(b"/x"))
    assert not any(map(UNIX.needs_lookup, (UnixAbstract(b"x"), UnixUnnamed(), Unspec(b""))))
    assert UNIX.performed("connect", UnixAbstract(b"x"), b"raw") == b"raw"


@pytest.mark.parametrize("action", ["connect", "send"])
def test_a_socket_behind_a_link(paths, tmp_path, action):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        (tmp_path / "way").symlink_to("s")
        target = UNIX.locate(action, paths, UnixPath(bytes(tmp_path / "way")), b"raw")
        with target.keep as fd:
            assert target.judged == UnixPath(bytes(tmp_path / "s"))
            assert parse_address(target.raw) == UnixPath(b"/proc/self/fd/%d" % fd.fileno())


def test_what_is_not_there(paths, tmp_path):
    assert code_of("connect", paths, bytes(tmp_path / "no")) == errno.ENOENT
    assert code_of("bind", paths, bytes(tmp_path / "no" / "s")) == errno.ENOENT
    (tmp_path / "file").touch()
    assert code_of("connect", paths, bytes(tmp_path / "file" / "s")) == errno.ENOTDIR
    assert code_of("bind", paths, bytes(tmp_path / "file" / "s")) == errno.ENOTDIR


def test_binding_is_judged_by_the_directory(paths, tmp_path, monkeypatch):
    (tmp_path / "dir").mkdir()
    (tmp_path / "way").symlink_to("dir")
    for path in (tmp_path / "way" / "s", tmp_path / "dir" / ".." / "dir" / "s"):
        assert located("bind", paths, bytes(path)).judged == UnixPath(bytes(tmp_path / "dir" / "s"))
    assert located("bind", paths, bytes(tmp_path / "dir" / "s")).raw == b"raw"
    monkeypatch.chdir(tmp_path)
    assert located("bind", paths, b"s").judged == UnixPath(bytes(tmp_path / "s"))
    assert located("bind", paths, b"dir/s").judged == UnixPath(bytes(tmp_path / "dir" / "s"))
    assert located("bind", paths, b"/s").judged == UnixPath(b"/s")


def test_names_that_end_in_a_slash(paths, tmp_path):
    assert code_of("bind", paths, b"/") == errno.EADDRINUSE
    assert code_of("bind", paths, bytes(tmp_path) + b"/s/") == errno.ENOENT


def test_other_families_know_nothing():
    assert OTHER.address("connect", None, b"\x10\0abc") == Opaque(16, b"\x10\0abc")
    assert not OTHER.is_hopeless("connect", None, Opaque(16, b""))
    assert not OTHER.needs_lookup(UnixPath(b"/x"))
    assert OTHER.performed("send", None, b"raw") == OTHER.locate("send", None, None, b"raw").raw == b"raw"
