"""Programs in pid and user namespaces of their own: pids and uids are in their terms, as natively."""

import os

import pytest

from .harness import command, each_mode, python, run

PID = ["unshare", "--pid", "--fork"]
USER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]


@each_mode
@pytest.mark.parametrize("within", [
    pytest.param(PID, marks=pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a pid namespace alone")),
    pytest.param(USER),
], ids=["pid", "user and pid"])
def test_who_is_who(mode, within):
    native = run([*within, *python("who.py")])
    supervised = run(command(*within, *python("who.py"), mode=mode))
    assert native.stdout
    assert b"pid 1\n" in native.stdout
    assert (supervised.stdout, supervised.returncode) == (native.stdout, native.returncode)
