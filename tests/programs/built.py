"""The programs of `sources` that have to be compiled; once a session, natively."""

import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from .needs import missing, program

SOURCES = Path(__file__).with_name("sources")
JAVA_OPTIONS = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m")  # it starts in half of the time


def java() -> list[str]:
    """The command that runs sources/Net.java."""
    javac, run = program("javac"), program("java")
    return [run, *JAVA_OPTIONS, "-cp", str(_classes(javac)), "Net"]


def static_c() -> str:
    """The path of sources/net.c, statically linked."""
    return str(_static(program("gcc")))


def static_musl() -> str:
    """The path of sources/net.c, statically linked with musl."""
    return str(_static(program("musl-gcc")))


def static_go() -> str:
    """The path of sources/net.go, with Go's own network code and no libc at all."""
    return str(_go(program("go")))


def clear() -> None:
    """Remove what has been built."""
    for build in (_classes, _static, _go):
        build.cache_clear()
    if _folder.cache_info().currsize:
        shutil.rmtree(_folder())
        _folder.cache_clear()


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="programs-built-"))


@cache
def _classes(javac: str) -> Path:
    subprocess.run([javac, "-d", _folder(), SOURCES / "Net.java"], check=True, timeout=60)
    return _folder()


@cache
def _static(gcc: str) -> Path:
    output = _folder() / Path(gcc).name
    built = subprocess.run(
        [gcc, "-static", "-O1", "-o", output, SOURCES / "net.c"], capture_output=True, text=True, timeout=60
    )
    if built.returncode != 0:
        missing(f"{gcc} cannot link statically (Debian package libc6-dev): {built.stderr}")
    return output


@cache
def _go(go: str) -> Path:
    output = _folder() / "go"
    env = os.environ | {"CGO_ENABLED": "0", "GO111MODULE": "off", "GOCACHE": str(_folder() / "cache"), "GOFLAGS": ""}
    subprocess.run([go, "build", "-o", output, SOURCES / "net.go"], check=True, timeout=100, env=env)
    return output
