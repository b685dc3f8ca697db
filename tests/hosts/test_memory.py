"""What a program sends and receives in one call is not what the supervisor holds."""

import subprocess
from pathlib import Path

from .harness import command, each_mode, python, started, supervisor_of

MANY = 64 * 1024  # KiB


def most_held(pid: int) -> int:
    """The largest resident set so far, in KiB; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
    except (OSError, IndexError):
        return 0


@each_mode
def test_a_gigabyte_in_one_call(mode):
    before = after = 0
    with started(command(*python("gigabyte.py"), mode=mode), stdout=subprocess.PIPE) as process:
        supervisor = supervisor_of(process.pid)
        while process.poll() is None:
            held = most_held(supervisor)
            before, after = before or held, max(after, held)
        assert process.stdout is not None
        assert process.stdout.read().split() == [b"1073741824", b"1073741824"]
    assert 0 < after - before < MANY
