"""Which processes are ours, so that a test can end those and no others."""

import ctypes
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE = 3.0  # seconds a process may take to go after the one that started it


def adopt_orphans(adopt: bool) -> None:
    """Whether a process whose parent is gone becomes our child: otherwise it would be lost from sight."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def descendants(root: int) -> dict[int, str]:
    """Every live process below `root`: pid -> command line. Zombies do not count; ours are reaped here."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(ppid)
            elif int(ppid) == os.getpid():
                with suppress(ChildProcessError):
                    os.waitpid(int(entry.name), os.WNOHANG)
    found: dict[int, str] = {}
    level = {root}
    while level:
        level = {pid for pid, parent in parents.items() if parent in level and pid not in found}
        found |= {pid: _command(pid) for pid in level}
    return found


def leftovers(before: dict[int, str]) -> dict[int, str]:
    """Our descendants that were not there `before` and do not go by themselves; they are killed here."""
    deadline = time.monotonic() + GRACE
    while left := {pid: command for pid, command in descendants(os.getpid()).items() if pid not in before}:
        if time.monotonic() > deadline:
            kill(left)
            return left
        time.sleep(0.02)
    return {}


def kill(pids) -> None:
    """End processes at once and wait until none of them runs any more."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + GRACE
    while descendants(os.getpid()).keys() & set(pids) and time.monotonic() < deadline:
        time.sleep(0.01)


def _command(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return "?"
