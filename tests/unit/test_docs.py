"""The documentation says what is: links lead somewhere, commands exist, facts hold, the calls are up to date."""

import argparse
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
PROBES = sorted(path for path in (ROOT / "docs/probes").glob("*.py") if not path.name.startswith("_"))
NOT_HERE = 77


def name_of(path):
    return str(path.relative_to(ROOT))


def without_code(text):
    return re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """As they are made for headings: lower case, punctuation dropped, spaces to hyphens."""
    headings = re.findall(r"^#+ (.*)$", without_code(path.read_text()), flags=re.MULTILINE)
    plain = (re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def code_lines(path):
    for block in re.findall(r"^```\w*\n(.*?)^```", path.read_text(), flags=re.DOTALL | re.MULTILINE):
        yield from (line.removeprefix("$ ") for line in block.splitlines())


def supervise_lines():
    for page in PAGES:
        for line in code_lines(page):
            if line.startswith(("supervise ", ".venv/bin/supervise ")):
                yield pytest.param(line, id=f"{page.name}: {line[:60]}")


def test_the_page_of_calls_is_up_to_date():
    spec = importlib.util.spec_from_file_location("generate_syscalls", ROOT / "docs/generate_syscalls.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.TARGET.read_text() == module.render(), "run .venv/bin/python docs/generate_syscalls.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


@pytest.mark.parametrize("line", list(supervise_lines()))
def test_every_command_is_understood(line):
    words = shlex.split(line, comments=True)
    words = words[: words.index(";")] if ";" in words else [word.rstrip(";") for word in words]
    command = words[1]
    assert command in COMMANDS
    module = importlib.import_module(f"supervisor.cli.{command}")
    parser = argparse.ArgumentParser(exit_on_error=False)
    module.add_arguments(parser)
    parser.parse_args(words[2:])


def test_the_table_of_commands_is_the_command_line():
    rows = re.findall(r"^\| `supervise (\w+)` \| (.*) \|$", (ROOT / "README.md").read_text(), flags=re.MULTILINE)
    assert dict(rows) == COMMANDS


def test_every_make_target_exists():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    for page in PAGES:
        assert set(re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)) <= targets


@pytest.mark.parametrize("probe", PROBES, ids=lambda path: path.stem)
def test_every_kernel_fact_holds(probe):
    done = subprocess.run([sys.executable, probe], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == NOT_HERE:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout + done.stderr
