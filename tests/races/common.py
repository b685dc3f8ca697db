"""The programs in C of these tests, their policy, and what their supervisor holds."""

import os
import subprocess
from pathlib import Path

from hosts.built import built
from hosts.harness import command, policy_file, python

SOURCES = Path(__file__).with_name("sources")

POLICY = """\
[policy.parked]
default = "deny"
bind.allow = ["127.0.0.1:*", "unix:*"]
connect.allow = ["127.0.0.1:*", "unix:*"]
accept.allow = ["127.0.0.1:*", "unix:*"]
"""


def program(name: str, *arguments: object) -> list[str]:
    """A compiled program and its arguments."""
    return [str(built(f"{name}.c", SOURCES)), *map(str, arguments)]


def under(mode: str, folder: Path, argv: list[str], policy: str = POLICY) -> list[str]:
    """The command for `argv`: natively, or in a mode under a policy that makes accept wait in the supervisor."""
    if mode == "native":
        return argv
    name = policy.partition("[policy.")[2].partition("]")[0]
    return command(*argv, mode=mode, policy=f"{policy_file(folder, policy)}:{name}")


def held(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def first_line(process: subprocess.Popen[bytes]) -> list[int]:
    """The numbers of the first line that a program prints."""
    assert process.stdout is not None
    return [int(word) for word in process.stdout.readline().split()]


__all__ = ["POLICY", "first_line", "held", "program", "python", "under"]
