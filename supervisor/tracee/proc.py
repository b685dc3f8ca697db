"""Parsers of /proc text: pure functions from bytes to records."""

from typing import NamedTuple

from supervisor.kernel.identity import Credentials


class Status(NamedTuple):
    """What /proc/PID/task/TID/status says, as far as it is needed. `uids` and `gids`: real, effective, saved, file
    system."""

    tgid: int
    umask: int
    threads: int
    uids: tuple[int, ...]
    gids: tuple[int, ...]
    credentials: Credentials


def parse_status(text: bytes) -> Status:
    """Parse proc_pid_status(5). ValueError when a line that must be there is missing."""
    lines = dict(line.split(b":\t", 1) for line in text.splitlines() if b":\t" in line)
    try:
        # The file-system ids: equal to the effective ones unless the program says otherwise, and what files are
        # checked against.
        uids = tuple(int(uid) for uid in lines[b"Uid"].split())
        gids = tuple(int(gid) for gid in lines[b"Gid"].split())
        return Status(
            tgid=int(lines[b"Tgid"]),
            umask=int(lines.get(b"Umask", b"0022"), 8),
            threads=int(lines[b"Threads"]),
            uids=uids,
            gids=gids,
            credentials=Credentials(
                uids[3], gids[3], tuple(sorted(int(g) for g in lines[b"Groups"].split())), int(lines[b"CapEff"], 16)
            ),
        )
    except (KeyError, IndexError) as error:
        raise ValueError(f"no such line in /proc/PID/status: {error}") from None


def parse_filters(text: bytes) -> int:
    """The Seccomp_filters line (5.9) of proc_pid_status(5); 0 where there is none."""
    _, found, rest = text.partition(b"Seccomp_filters:\t")
    return int(rest.split(None, 1)[0]) if found else 0


def parse_state(stat: bytes) -> str:
    """The state letter of proc_pid_stat(5). The name before it may hold anything, so count from its last ')'."""
    return chr(stat[stat.rindex(b")") + 2])
