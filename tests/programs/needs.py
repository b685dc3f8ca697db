"""Which programs a test needs, and which Debian package brings them. PACKAGES is the only list."""

import os
import shutil
from functools import cache
from pathlib import Path

import pytest

POSTGRES = map(str, Path("/usr/lib/postgresql").glob("*/bin"))  # Debian links only its clients to /usr/bin
PATH = os.pathsep.join([os.environ.get("PATH", "/usr/bin:/bin"), "/usr/sbin", "/sbin", *POSTGRES])
STRICT = os.environ.get("CI") == "true" or os.environ.get("SUPERVISE_REQUIRE") == "1"


@cache
def packages() -> dict[str, str]:
    """Program -> Debian package."""
    rows = Path(__file__).with_name("PACKAGES").read_text().splitlines()
    columns = (row.split(None, 2) for row in rows if row and not row.startswith("#"))
    return {program: package for package, programs, _ in columns for program in programs.split(",") if program != "-"}


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, or fails where programs are required."""
    path = shutil.which(name, path=PATH)
    if path is None:
        missing(f"no {name}; Debian package {packages()[name]}")
    return path


def missing(what: str) -> None:
    """End the test: nothing to run."""
    (pytest.fail if STRICT else pytest.skip)(what)
