"""CPython's own suites pass supervised as they pass natively; SUPERVISE_CPYTHON_MODULES names other ones."""

import os
import subprocess

import pytest

from . import modules
from .compare import compare
from .run import Setup

STRICT = os.environ.get("CI") == "true" or os.environ.get("SUPERVISE_REQUIRE") == "1"
NAMES = os.environ.get("SUPERVISE_CPYTHON_MODULES", " ".join(modules.DEFAULT)).split()


@pytest.fixture(scope="module", autouse=True)
def _suite() -> None:
    if subprocess.run([modules.PYTHON, "-c", "import test.test_socket"], capture_output=True).returncode != 0:
        (pytest.fail if STRICT else pytest.skip)(f"no test.test_socket; Debian package {modules.PACKAGE}")


@pytest.mark.timeout(3 * 3600)  # every module and every test in it has a limit of its own
@pytest.mark.parametrize("name", NAMES)
def test_module(name: str) -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        print(line)
        lines.append(line)

    assert compare(Setup(), [modules.module(name)], list(modules.MODES), modules.PACKAGE, say) == 0, "\n".join(lines)
