"""Sources in C, compiled once a session."""

import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

SOURCES = Path(__file__).with_name("sources")


@cache
def folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="hosts-built-"))


@cache
def built(name: str, sources: Path = SOURCES) -> Path:
    """The program of one source file; the test is skipped where there is no compiler."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("no gcc; Debian package gcc")
    output = folder() / Path(name).stem
    subprocess.run(
        [gcc, "-O1", "-Wall", "-Werror", "-pthread", "-o", output, sources / name], check=True, timeout=60
    )
    folder().chmod(0o755)
    return output


def clear() -> None:
    """Remove what has been built."""
    built.cache_clear()
    if folder.cache_info().currsize:
        shutil.rmtree(folder())
        folder.cache_clear()
