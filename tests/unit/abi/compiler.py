"""What the C compiler and the kernel's headers say: values of constant expressions, by compiling and running them."""

import os
import re
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

STRICT = os.environ.get("CI") == "true"
# What gcc says of a name that the headers do not have, whatever it was meant to be.
_UNKNOWN = re.compile(
    r"probe\.c:(\d+):\d+: error: .*(?:undeclared|has no member|undefined|incomplete|before .*token|expected|unknown)"
)


@cache
def compiler() -> str:
    """gcc or cc; without one the test is skipped, or fails where CI says that there is one."""
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        (pytest.fail if STRICT else pytest.skip)("no C compiler; Debian packages gcc and libc6-dev")
    return found


def evaluate(headers: tuple[str, ...], expressions: dict[str, str], before: str = "") -> dict[str, int]:
    """The values of C expressions by name; an expression with something that these headers lack is left out.

    `before` goes in front of the headers.
    """
    wanted = dict(expressions)
    while wanted:
        source = _source(headers, wanted, before)
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "probe.c").write_text(source)
            built = subprocess.run(
                [compiler(), "-w", "-fmax-errors=0", "-o", "probe", "probe.c"], cwd=directory, capture_output=True,
                text=True, env={**os.environ, "LC_ALL": "C"},
            )
            if built.returncode == 0:
                out = subprocess.run([f"{directory}/probe"], capture_output=True, text=True, check=True).stdout
                return {name: int(value) for name, value in (line.split("\t") for line in out.splitlines())}
        lines = source.splitlines()
        bad = {lines[int(number) - 1].partition("//")[2] for number in _UNKNOWN.findall(built.stderr)} & wanted.keys()
        assert bad, built.stderr
        wanted = {name: text for name, text in wanted.items() if name not in bad}
    return {}


def _source(headers: tuple[str, ...], expressions: dict[str, str], before: str) -> str:
    return "\n".join([
        "#define _GNU_SOURCE",
        before,
        *(f"#include <{header}>" for header in (*headers, "stddef.h", "stdio.h")),
        "int main(void) {",
        *(
            f'printf("%s\\t%lld\\n", "{name}", (long long)({expression})); //{name}'
            for name, expression in expressions.items()
        ),
        "return 0; }\n",
    ])
