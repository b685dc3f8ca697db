"""The shape of the code: who may import whom, how long a module is, and what the tools say."""

import ast
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.abi.numbers import ARCHITECTURES
from supervisor.cli import COMMANDS
from supervisor.syscalls.table import ROWS

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("supervisor", "shim")
MODULES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
LONGEST = 500
NAMELESS = {"util", "utils", "helper", "helpers", "common", "misc", "manager", "tools"}

each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))


def tool(name, *arguments, cwd=ROOT):
    """Run one of the development tools, as it is installed beside this Python."""
    program = Path(sys.executable).parent / name
    if not program.exists():
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"{name} is not installed")
    return subprocess.run([program, *arguments], cwd=cwd, capture_output=True, text=True)


def assert_clean(finished):
    if finished.returncode:
        pytest.fail(finished.stdout + finished.stderr, pytrace=False)


# Who may import whom.


def test_imports():
    assert_clean(tool("lint-imports", "--no-cache"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the code that may be spoiled."""
    directory = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, directory / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", directory)
    return directory


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("supervisor/kernel/process.py", "import supervisor.syscalls.table", "Rooms are stacked"),
        ("supervisor/policy/match.py", "import supervisor.tracee.proc", "Rooms are stacked"),
        ("supervisor/newroom/__init__.py", "", "Rooms are stacked"),
        ("shim/launch.py", "import supervisor.daemon.local", "The launcher stands"),
        ("supervisor/syscalls/call.py", "import shim.launch", "The launcher stands"),
        ("shim/launch.py", "import trio", "What becomes the program"),
        ("supervisor/abi/layout.py", "import os", "What is pure"),
        ("supervisor/tracee/proc.py", "import ctypes", "Only the kernel room"),
        ("supervisor/daemon/audit.py", "import pyseccomp", "Only shim.filter"),
        ("supervisor/kernel/hostfd.py", "import trio", "What touches the machine"),
        ("supervisor/families/inet.py", "import supervisor.families.unix", "Families do not know"),
    ],
)
def test_a_broken_contract_is_noticed(copy, module, line, contract):
    path = copy / module
    before = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text((before or "") + f"\n{line}\n")
    try:
        finished = tool("lint-imports", "--no-cache", cwd=copy)
    finally:
        if before is None:
            shutil.rmtree(path.parent)
        else:
            path.write_text(before)
    assert finished.returncode
    assert any(told.startswith(contract) and "BROKEN" in told for told in finished.stdout.splitlines()), finished.stdout


# How a module looks.


@each_module
def test_a_module_is_not_too_long(path):
    assert len(path.read_text().splitlines()) <= LONGEST


@each_module
def test_a_module_says_what_may_live_in_it(path):
    text = path.read_text()
    assert not text or ast.get_docstring(ast.parse(text))


@each_module
def test_a_module_is_named_by_what_it_is_about(path):
    assert path.stem not in NAMELESS
    assert path.parent.name not in NAMELESS


# Single sources.


def test_the_table_has_the_18_calls():
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted({
        "socket", "socketpair", "bind", "connect", "listen", "accept", "accept4", "shutdown", "getsockname",
        "getpeername", "getsockopt", "setsockopt", "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg",
    })
    assert len(names) == 18


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_fits_its_handler_and_every_machine(row):
    arguments = row.handler.__code__.co_argcount - 1
    assert len(row.letters) == arguments
    assert row.handler.__name__ == row.name
    assert all(row.name in architecture.calls for architecture in ARCHITECTURES.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_what_is_asked_of_it(name):
    module = importlib.import_module(f"supervisor.cli.{name}")
    assert module.DESCRIPTION
    assert callable(module.add_arguments)
    assert callable(module.run)


# What the tools say.


def test_ruff():
    assert_clean(tool("ruff", "check", "--no-cache", "."))


def test_mypy():
    assert_clean(tool("mypy"))
