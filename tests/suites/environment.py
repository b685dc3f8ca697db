"""The suites' own virtual environment, outside of the work tree: made once for each content of requirements.txt."""

import hashlib
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
CACHE = Path("~/.cache/supervise-suites").expanduser()
WITH_SOURCES = ("anyio", "uvloop")  # their wheels have no tests


class Environment(NamedTuple):
    python: str
    sources: dict[str, str]  # of each of WITH_SOURCES: the folder with its tests
    tests: str  # the folder of gevent.tests


def environment(cache: Path, say: Callable[[str], None]) -> Environment:
    """The environment in this folder; installed first if it is not there."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + version.encode()).hexdigest()[:12]
    folder = cache / f"{version}-{key}"
    python, complete = folder / "venv/bin/python", folder / "complete"
    if not complete.exists():
        say(f"installing the suites in {folder}")
        _run(sys.executable, "-m", "venv", "--clear", str(folder / "venv"))
        _run(str(python), "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS))
        for name in WITH_SOURCES:
            _sources(str(python), folder, name)
        complete.touch()
    sources = {name: str(folder / name) for name in WITH_SOURCES}
    return Environment(str(python), sources, str(folder / f"venv/lib/python{version}/site-packages/gevent/tests"))


def _sources(python: str, folder: Path, name: str) -> None:
    """Unpack what the tests need, and not the package itself: that would hide the installed one."""
    pinned = next(line for line in REQUIREMENTS.read_text().splitlines() if line.startswith(f"{name}=="))
    to = str(folder / "sdists")
    _run(python, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "--dest", to, pinned)
    with tarfile.open(folder / "sdists" / f"{pinned.replace('==', '-')}.tar.gz") as archive:
        for member in archive.getmembers():
            inside = member.name.partition("/")[2]
            if inside == "pyproject.toml" or inside.startswith("tests/"):
                archive.extract(member.replace(name=inside), folder / name, filter="data")


def _run(*command: str) -> None:
    subprocess.run([*command], check=True)
