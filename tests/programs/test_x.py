"""Xvfb and its clients, over a path and an abstract name; shared memory by descriptor and by the peer's credentials."""

import hashlib
import sys
from contextlib import contextmanager
from pathlib import Path

from .compared import compared
from .needs import program

X_SHM = Path(__file__).with_name("sources") / "x_shm.py"
OPTIONS = ("-screen", "0", "320x200x24", "-nolisten", "tcp", "-noreset", "-nolock", "-fp", "built-ins")
PATH, ABSTRACT = "/tmp/.X11-unix/X{}", "@/tmp/.X11-unix/X{}"


@contextmanager
def xvfb(stage, name, *options):
    """A server that listens at `name` only; the number of its display, and the server."""
    number = stage.port("display")
    with stage.server(program("Xvfb"), f":{number}", *OPTIONS, *options, unix=(name.format(number),)) as server:
        yield number, server


def seen_by_clients(stage, name, *options):
    with xvfb(stage, name, *options) as (number, server):
        env = {"DISPLAY": f":{number}"}
        information = stage.client(program("xdpyinfo"), env=env)
        tree = stage.client(program("xwininfo"), "-root", "-tree", env=env)
        stage.client(program("xprop"), "-root", "-f", "_BIG", "8s", "-set", "_BIG", "y" * 60_000, env=env)
        big = stage.client(program("xprop"), "-root", "_BIG", env=env)
        image = stage.client(program("xwd"), "-root", "-silent", "-out", "image", env=env)
        nobody = stage.client(program("xdpyinfo"), env={"DISPLAY": f":{number + 1}"})
    assert "MIT-SHM" in information.out, information
    assert len(big.out) > 60_000
    return [
        *(information, tree, big, image, hashlib.sha256((stage.folder / "image").read_bytes()).hexdigest()),
        nobody.status,
        server.status,
    ]


@compared()
def test_x_at_a_path(stage):
    return seen_by_clients(stage, PATH, "-nolisten", "local")


@compared("both")
def test_x_at_an_abstract_name(stage):
    return seen_by_clients(stage, ABSTRACT, "-nolisten", "unix")


@compared()
def test_x_shared_memory(stage):
    with xvfb(stage, PATH) as (number, server):
        seen = stage.client(sys.executable, X_SHM, PATH.format(number))
    assert seen.status == 0, seen
    assert "False" not in seen.out, seen
    return seen, server.status
