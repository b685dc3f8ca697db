"""postgres, psql and pgbench: a server of many processes, of a user that is not root."""

import getpass
import os
import shutil
from contextlib import contextmanager

from .compared import compared
from .needs import program

USER = "nobody"
CONFIG = """\
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{folder}'
fsync = off
max_connections = 30
"""
HBA = """\
local all {user} peer
local all all reject
host all {user} 127.0.0.1/32 trust
"""
ADDED_UP = "select count(*), sum(delta) = (select sum(bbalance) from pgbench_branches) from pgbench_history"


def unprivileged():
    """postgres refuses to run as root."""
    if os.getuid() != 0:
        return ()
    return program("setpriv"), f"--reuid={USER}", "--regid=nogroup", "--clear-groups"


def database_user():
    return USER if os.getuid() == 0 else getpass.getuser()


@contextmanager
def postgres(stage):
    """A new cluster; its port, what every client begins with, and the server."""
    port = stage.port("postgres")
    data = stage.folder / "data"
    data.mkdir()
    if os.getuid() == 0:
        stage.folder.chmod(0o777)
        shutil.chown(data, USER)
    user = database_user()
    initdb = (*unprivileged(), program("initdb"), "--no-sync", "--no-instructions", "--locale=C.UTF-8")
    made = stage.client(*initdb, "-A", "trust", "-U", user, "-D", data)
    assert made.status == 0, made
    stage.file("data/postgresql.conf", CONFIG.format(port=port, folder=stage.folder), 0o644)
    stage.file("data/pg_hba.conf", HBA.format(user=user), 0o644)
    command = (*unprivileged(), program("postgres"), "-D", data)
    with stage.server(*command, tcp=(port,), unix=(f"{stage.folder}/.s.PGSQL.{port}",)) as server:
        yield port, ("-U", user, "-p", port), server


@compared("both")
def test_pgbench(stage):
    with postgres(stage) as (_, who, server):
        tcp, unix = (*who, "-h", "127.0.0.1"), (*who, "-h", stage.folder)

        def bench(*arguments):
            outcome = stage.client(*unprivileged(), program("pgbench"), *arguments, "postgres")
            said = [line for line in outcome.out.splitlines() if "transactions" in line]
            return outcome.status, said[:2], outcome.err if outcome.status else ""

        def ask(*arguments):
            return stage.client(*unprivileged(), program("psql"), "-X", "-A", "-t", "-d", "postgres", *arguments)

        endless = ("timeout", "-s", "INT", 1, *unprivileged(), program("psql"), "-X", "-d", "postgres")
        seen = [
            bench(*tcp, "-i", "-q"),
            bench(*tcp, "-n", "-c", 6, "-j", 2, "-t", 40),
            bench(*unix, "-n", "-c", 4, "-j", 2, "-t", 40, "-M", "prepared"),
            bench(*tcp, "-n", "-c", 2, "-t", 20, "-S", "-C"),
            ask(*tcp, "-c", ADDED_UP),
            ask(*unix, "-c", "select current_user, inet_client_addr()"),
            ask(*tcp, "-c", "select inet_client_addr(), inet_server_port()"),
            ask(*unix, "-c", "select repeat(n::text, 100) from generate_series(1, 2000) n"),
            ask(*tcp, "-c", "select 1/0"),
            ask("-p", who[-1], "-U", "somebody", "-h", stage.folder, "-c", "select 1"),
            stage.client(*endless, *tcp, "-c", "select pg_sleep(20)"),  # cancelled over another connection
        ]
    assert [status for status, *_ in seen[:6]] == [0] * 6, seen
    assert seen[4].out.strip() == "400|t", seen[4]
    return [*seen, server.status]
