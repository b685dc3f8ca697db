"""sd_notify(3)."""

import os
import socket

import pytest

from supervisor.daemon.notify import notify


@pytest.mark.parametrize("abstract", [False, True])
def test_a_message(tmp_path, monkeypatch, abstract):
    path = f"@notify-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0" + path[1:] if abstract else path)
        manager.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", path)
        notify("READY=1\nSTATUS=fine")
        assert manager.recv(999) == b"READY=1\nSTATUS=fine"


@pytest.mark.parametrize("path", [None, "", "/nowhere/at/all", "/" + "x" * 300, "@" + "x" * 300, "relative"])
def test_no_manager(monkeypatch, path):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if path is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", path)
    notify("READY=1")


def test_a_status_with_a_path_that_is_not_utf8(tmp_path, monkeypatch):
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
    notify("STATUS=serving on " + os.fsdecode(b"/run/\xff.sock"))
