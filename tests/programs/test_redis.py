"""redis-server with two I/O threads, redis-cli and a short redis-benchmark."""

import re
from contextlib import contextmanager

from .compared import compared
from .needs import program

NUMBER = re.compile(r"\d+(\.\d+)?")


@contextmanager
def redis(stage, name="redis"):
    port, path = stage.port(name), stage.folder / f"{name}.sock"
    command = [program("redis-server"), "--port", port, "--bind", "127.0.0.1", "--unixsocket", path]
    command += ["--dir", stage.folder, "--save", "", "--io-threads", 2, "--io-threads-do-reads", "yes"]
    with stage.server(*command, tcp=(port,), unix=(path,)) as server:
        yield port, path, server


@compared()
def test_redis_cli(stage):
    closed = stage.port("closed")
    with redis(stage) as (port, path, server):
        cli = (program("redis-cli"), "-h", "127.0.0.1", "-p", port)
        mass = b"".join(b"SET key%d %d\r\n" % (number, number) for number in range(2000))
        seen = [
            stage.client(*cli, "ping"),
            stage.client(*cli, "-x", "set", "big", stdin=b"x" * 300_000),
            stage.client(*cli, "strlen", "big"),
            stage.client(*cli, "--pipe", stdin=mass),
            stage.client(*cli, "dbsize"),
            stage.client(program("redis-cli"), "-s", path, "get", "key1999"),
            stage.client(*cli, "nonsense"),
            stage.client(program("redis-cli"), "-h", "127.0.0.1", "-p", closed, "ping"),
        ]
    assert seen[0] == (0, "PONG\n", "")
    return [*seen, server.status]


@compared("client", "server")
def test_redis_benchmark(stage):
    """The numbers vary, but every test of the benchmark has to end without an error."""

    def rows(outcome):
        last = [line.rpartition("\r")[2] for line in outcome.out.splitlines()]
        return outcome.status, [NUMBER.sub("N", line) for line in last if "per second" in line], outcome.err

    with redis(stage) as (port, path, server):
        benchmark = (program("redis-benchmark"), "-q", "-n", 2000, "-t", "ping,set,get,lrange_100")
        seen = [
            rows(stage.client(*benchmark, "-c", 20, "-h", "127.0.0.1", "-p", port)),
            rows(stage.client(*benchmark, "-c", 5, "-P", 16, "-s", path)),
        ]
    assert len(seen[0][1]) >= 4
    return [*seen, server.status]
