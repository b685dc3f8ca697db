"""rsync: to a daemon over TCP, and to itself through what it takes for rsh. Its own pipes are socketpairs."""

import hashlib
import os
from contextlib import contextmanager

from .compared import compared
from .needs import program

CONFIG = """\
use chroot = no
max verbosity = 2
{ids}
[module]
    path = {folder}/module
    read only = no
    comment = where everything goes
"""
IDS = "uid = root\ngid = root\n"
RSH = '#!/bin/sh\nshift\nexec "$@"\n'
FILES = {
    "small": b"hello\n",
    "empty": b"",
    "deep/er/file": b"down here\n",
    "big": b"".join(b"%d\n" % (number * 7919) for number in range(150_000)),
    **{f"many/{number}": b"%d" % number for number in range(100)},
}


@contextmanager
def daemon(stage):
    port = stage.port("rsync")
    stage.file("module/.keep", "")
    config = stage.file("rsyncd.conf", CONFIG.format(folder=stage.folder, ids=IDS if os.getuid() == 0 else ""))
    command = (program("rsync"), "--daemon", "--no-detach", f"--config={config}", "--log-file=/dev/null")
    with stage.server(*command, "--address=127.0.0.1", f"--port={port}", tcp=(port,)) as server:
        yield f"rsync://127.0.0.1:{port}", server


def tree(folder):
    """Name -> digest of every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def source(stage):
    for name, content in FILES.items():
        dated(stage.file(f"source/{name}", content, 0o644), 1_000_000_000)
    return stage.folder / "source"


def dated(path, seconds):
    """Times of files are compared, and shown."""
    os.utime(path, (seconds, seconds))


def first_line(outcome):
    """Who of the processes comes to tell of the other's end is a matter of time."""
    return outcome._replace(err=outcome.err.partition("\n")[0])


@compared()
def test_rsync_daemon(stage):
    rsync = (program("rsync"), "-a", "-O", "--itemize-changes", "--timeout=20")
    closed = stage.port("closed")
    folder = source(stage)
    with daemon(stage) as (url, server):
        seen = [
            stage.client(program("rsync"), f"{url}/"),
            stage.client(*rsync, f"{folder}/", f"{url}/module/"),
            stage.client(*rsync, f"{url}/module/", stage.folder / "back/"),
        ]
        dated(stage.file("source/big", FILES["big"].replace(b"\n79190\n", b"\nchanged\n"), 0o644), 1_000_000_001)
        seen += [
            stage.client(*rsync, "--delete", "-z", f"{folder}/", f"{url}/module/"),
            stage.client(*rsync, f"{url}/module/none", stage.folder),
            stage.client(*rsync, f"{url}/none/", stage.folder),
            stage.client(*rsync, f"rsync://127.0.0.1:{closed}/module/", stage.folder),
        ]
        trees = tree(stage.folder / "back"), tree(stage.folder / "module")
    assert [outcome.status for outcome in seen[:4]] == [0, 0, 0, 0], seen
    assert trees[1] == tree(folder)
    return [*map(first_line, seen), trees, server.status]


@compared("client")
def test_rsync_through_rsh(stage):
    rsync = (program("rsync"), "-a", "-O", "--itemize-changes", "-e", stage.file("rsh", RSH, 0o700), "--timeout=20")
    folder = source(stage)
    seen = [
        stage.client(*rsync, f"{folder}/", f"host:{stage.folder}/there/"),
        stage.client(*rsync, f"host:{stage.folder}/there/", stage.folder / "back/"),
        stage.client(*rsync, f"host:{stage.folder}/nothing/", stage.folder / "back/"),
        stage.client(program("rsync"), "-a", f"{folder}/", stage.folder / "local/"),
    ]
    assert tree(folder) == tree(stage.folder / "there") == tree(stage.folder / "back") == tree(stage.folder / "local")
    return [*map(first_line, seen), tree(folder)]
