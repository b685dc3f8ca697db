"""Readiness as services tell it: the receiver takes the sender from SCM_CREDENTIALS, so the pid has to be right."""

import sys
from pathlib import Path

from .compared import compared
from .needs import program

NOTIFIED = Path(__file__).with_name("sources") / "notified.py"


@compared()
def test_notify(stage):
    return told(stage, str(stage.folder / "notify"))


@compared()
def test_notify_abstract(stage):
    return told(stage, f"@{stage.folder}/notify")


def told(stage, name):
    env = {"NOTIFY_SOCKET": name}
    # systemd-notify speaks for the process that started it, and then waits until the receiver has seen that.
    shell = '"$0" --ready --status="by the shell" SAYS_PID=$$; exec "$0" --pid=$$ STATUS=exec'
    with stage.server(sys.executable, NOTIFIED, "serve", name, unix=(name,)) as server:
        seen = [
            stage.client(sys.executable, NOTIFIED, "tell", env=env),
            stage.client("sh", "-c", shell, program("systemd-notify"), env=env),
        ]
    said = server.log.read_text()
    assert [outcome.status for outcome in seen] == [0, 0], seen
    assert "and it says" not in said, said
    assert said.count("the one who says so") == 6, said
    # The pid in MAINPID is another one each time.
    return [*seen, [line for line in said.splitlines() if "MAINPID" not in line], server.status]
