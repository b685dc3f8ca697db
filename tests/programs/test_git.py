"""git clone and push over http (git http-backend behind a small server), and clone over git://."""

import sys
from contextlib import contextmanager
from pathlib import Path

from .compared import compared
from .needs import program

HTTP_SERVER = Path(__file__).with_name("sources") / "http_server.py"
ENV = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_DATE": "2020-01-01T00:00:00Z",
    "GIT_COMMITTER_DATE": "2020-01-01T00:00:00Z",
    **{f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def repository(stage):
    """A bare repository repo.git with two commits, in the folder `srv` of the stage."""
    git = program("git")
    work, bare = stage.folder / "work", stage.folder / "srv" / "repo.git"
    stage.file("work/file", "first\n")
    stage.file("work/large", b"".join(b"%d\n" % (number * 7919) for number in range(100_000)))
    with stage.natively():
        for step in (
            ("init", "-q", "-b", "main", work),
            ("-C", work, "add", "."),
            ("-C", work, "commit", "-q", "-m", "first"),
            ("-C", work, "commit", "-q", "--allow-empty", "-m", "second"),
            ("clone", "-q", "--bare", work, bare),
            ("-C", bare, "config", "http.receivepack", "true"),
        ):
            done = stage.client(git, *step, env=ENV)
            assert done.status == 0, done


@contextmanager
def http_server(stage):
    """The repository over http; the port and the server."""
    repository(stage)
    port = stage.port("http")
    with stage.server(sys.executable, HTTP_SERVER, port, stage.folder / "srv", tcp=(port,), env=ENV) as server:
        yield port, server


@compared("client", "server")
def test_git_over_http(stage):
    git = program("git")
    clone = stage.folder / "clone"
    with http_server(stage) as (port, server):
        url = f"http://127.0.0.1:{port}/repo.git"
        seen = [
            stage.client(git, "ls-remote", url, env=ENV),
            stage.client(git, "clone", url, clone, env=ENV),
            stage.client(git, "-C", clone, "log", "--oneline", env=ENV),
            stage.client(git, "-C", clone, "commit", "-q", "--allow-empty", "-m", "third", env=ENV),
            stage.client(git, "-C", clone, "push", "origin", "main", env=ENV),
            stage.client(git, "clone", "--depth=1", url.replace("repo", "none"), stage.folder / "none", env=ENV),
        ]
    assert [outcome.status for outcome in seen] == [0, 0, 0, 0, 0, 128], seen
    return [*seen, server.status]


@compared()
def test_git_daemon(stage):
    git = program("git")
    port = stage.port("git")
    repository(stage)
    daemon = [git, "daemon", "--export-all", f"--base-path={stage.folder}/srv", "--listen=127.0.0.1", f"--port={port}"]
    with stage.server(*daemon, "--reuseaddr", tcp=(port,), env=ENV) as server:
        seen = [
            stage.client(git, "clone", f"git://127.0.0.1:{port}/repo.git", stage.folder / "clone", env=ENV),
            stage.client(git, "-C", stage.folder / "clone", "fsck", "--full", env=ENV),
        ]
    assert [outcome.status for outcome in seen] == [0, 0], seen
    return [*seen, server.status]
