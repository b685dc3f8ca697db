"""`supervise doctor`: what can this machine do, what is lost without the rest, and how to get it?"""

import argparse
import platform
import re
import struct
import sys
from typing import Final, NamedTuple

DESCRIPTION = """\
Try everything that supervising needs from this machine, and say for each: ok, limited or missing, what was found,
what is lost without it, and how to get it. Nothing is changed: what could change a process is tried in a child.

The exit status is 1 when no program can be supervised here, and 0 otherwise."""

EXIT_UNABLE: Final = 1
_NEWEST_USED: Final = (6, 10)
_OLDEST_USABLE: Final = (5, 9)
_STYLES: Final = {"ok": "green", "limited": "yellow", "missing": "bold red"}


class Requirement(NamedTuple):
    """One line. `needed`: without it nothing can be supervised."""

    key: str
    title: str
    needed: bool
    lost: str
    remedy: str


REQUIREMENTS: Final = (
    Requirement(
        "architecture", "architecture", True, "nothing can be supervised: other machines number their calls otherwise",
        "use a 64-bit Python on x86-64 or aarch64",
    ),
    Requirement(
        "kernel", "kernel version", False, "what the other lines say", "Linux 6.10 and later have everything used here",
    ),
    Requirement(
        "notification", "seccomp user notification", True, "nothing can be supervised",
        "Linux 5.9 with CONFIG_SECCOMP_FILTER; in a container, a seccomp profile that allows seccomp(2)",
    ),
    Requirement(
        "no-other-listener", "no other listener", True,
        "nothing can be supervised: the kernel allows one listener in a process tree",
        "start it outside of the other supervisor, or from a container without a listenerPath",
    ),
    Requirement(
        "libseccomp", "libseccomp", True, "nothing can be supervised: filters cannot be built",
        "install libseccomp 2.5 (Debian: libseccomp2, Fedora: libseccomp) and the Python package pyseccomp",
    ),
    Requirement(
        "ptrace", "looking into programs", True, "without children: nothing can be supervised; children only: "
        "`supervise exec` works, a daemon serves only programs it is an ancestor of",
        "CAP_SYS_PTRACE, or kernel.yama.ptrace_scope=0; in a container or a unit, a filter that allows pidfd_getfd "
        "and process_vm_readv",
    ),
    Requirement(
        "yama", "Yama", False, "a daemon may look only into programs it is an ancestor of",
        "sysctl kernel.yama.ptrace_scope=0, or CAP_SYS_PTRACE for the daemon",
    ),
    Requirement(
        "cap-sys-ptrace", "CAP_SYS_PTRACE", False,
        "programs of other users, and those that make themselves undumpable (ssh-agent, browsers), are refused",
        "run the daemon as root or with AmbientCapabilities=CAP_SYS_PTRACE; for undumpable programs keep_dumpable in "
        "the policy",
    ),
    Requirement(
        "addfd-send", "ADDFD with FLAG_SEND", False, "calls that return a new descriptor from the supervisor (accept)",
        "Linux 5.14",
    ),
    Requirement(
        "wait-killable", "WAIT_KILLABLE_RECV", False,
        "a signal cancels a call that is being served: what it did may be done twice", "Linux 5.19",
    ),
    Requirement("sync-wake-up", "SYNC_WAKE_UP", False, "several microseconds a call", "Linux 6.6"),
    Requirement(
        "thread-pidfd", "PIDFD_THREAD", False, "calls of threads with a descriptor table of their own are refused",
        "Linux 6.9",
    ),
    Requirement(
        "io_uring", "io_uring", False,
        "every connect and accept that waits holds a thread, and costs four times as much",
        "sysctl kernel.io_uring_disabled=0; in a container, a profile that allows io_uring_*; Linux 6.10 for accept",
    ),
    Requirement(
        "landlock", "Landlock", False, "programs cannot be kept from tracing processes beside them",
        "Linux 6.12 for ABI 6, with landlock among the kernel's lsm=",
    ),
    Requirement(
        "user-namespace", "user namespaces", False, "networks of their own for programs of users who are not root",
        "sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone=1 or "
        "kernel.apparmor_restrict_unprivileged_userns=0; in a container, a profile that allows unshare",
    ),
)


class Line(NamedTuple):
    """A requirement and what was found of it."""

    requirement: Requirement
    state: str
    found: str

    @property
    def is_fatal(self) -> bool:
        return self.requirement.needed and self.state == "missing"

    def record(self) -> dict[str, object]:
        """The line for JSON: what is lost and how to get it only where it is not ok."""
        key, title, needed, lost, remedy = self.requirement
        fine = self.state == "ok"
        return {
            "requirement": key, "title": title, "needed": needed, "state": self.state, "found": self.found,
            "lost": None if fine else lost, "remedy": None if fine else remedy,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print what was found; 1 when something is missing that everything needs."""
    findings = examine()
    lines = [Line(known, *findings[known.key]) for known in REQUIREMENTS if known.key in findings]
    lacking = [line.requirement.title for line in lines if line.is_fatal]
    if arguments.json:
        _print_json(lines, able=not lacking)
    elif sys.stdout.isatty():
        _print_rich(lines, _verdict(lacking))
    else:
        _print_plain(lines, _verdict(lacking))
    return EXIT_UNABLE if lacking else 0


def examine() -> dict[str, tuple[str, str]]:
    """State and finding by requirement; on a machine that is not supported, only what can be known there."""
    from supervisor.kernel.libc import ARCHITECTURE

    bits = struct.calcsize("P") * 8
    machine = f"{platform.machine()}, {bits}-bit Python"
    if ARCHITECTURE is None or bits != 64:
        return {"architecture": ("missing", machine), "kernel": kernel_version(platform.release())}
    from supervisor.kernel import probe  # it needs the numbers of this machine's calls

    return {"architecture": ("ok", machine), "kernel": kernel_version(platform.release()), **probe.probe()}


def kernel_version(release: str) -> tuple[str, str]:
    """What a release as of uname(2) promises; the probes know better."""
    numbers = re.match(r"(\d+)\.(\d+)", release)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    state = "ok" if version >= _NEWEST_USED else "limited" if version >= _OLDEST_USABLE else "missing"
    return state, release


def _verdict(lacking: list[str]) -> str:
    return f"nothing can be supervised here: {', '.join(lacking)}" if lacking else "programs can be supervised here"


def _print_json(lines: list[Line], *, able: bool) -> None:
    import json  # only this way out needs it

    print(json.dumps({"able": able, "requirements": [line.record() for line in lines]}, indent=2))


def _print_plain(lines: list[Line], verdict: str) -> None:
    for requirement, state, found in lines:
        text = f"{state:<8} {requirement.title}: {found}"
        print(text if state == "ok" else f"{text}; lost: {requirement.lost}; to get it: {requirement.remedy}")
    print(verdict)


def _print_rich(lines: list[Line], verdict: str) -> None:
    from rich.console import Console  # 60 ms, and only for a person
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    for requirement, state, found in lines:
        text = Text(found)
        if state != "ok":
            text.append(f"\nlost: {requirement.lost}\nto get it: {requirement.remedy}", style="dim")
        table.add_row(Text(state, style=_STYLES[state]), Text(requirement.title, no_wrap=True), text)
    console = Console()
    console.print(table)
    console.print(Text(verdict, style="bold"))
