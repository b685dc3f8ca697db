"""The systemd unit: what it starts is a command that exists, and systemd has nothing to say about its keys."""

import argparse
import configparser
import os
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from supervisor.cli.daemon import add_arguments

UNIT = Path(__file__).resolve().parents[2] / "systemd/supervisor.service"


def test_it_starts_the_daemon():
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(UNIT)
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[:3] == ["/usr/bin/env", "supervise", "daemon"]


    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args(words[3:]).socket.startswith("/run/supervise/")
    assert unit["Service"]["Type"] == "notify"


def test_systemd_takes_every_key():
    if shutil.which("systemd-analyze") is None:
        assert not os.environ.get("CI"), "systemd-analyze is needed (Debian package systemd)"
        pytest.skip("systemd-analyze is needed (Debian package systemd)")
    # Its status is 0 for unknown keys, too: what counts is that it is silent.
    said = subprocess.run(["systemd-analyze", "verify", "--man=no", str(UNIT)], capture_output=True, text=True)
    assert [line for line in said.stderr.splitlines() if "supervisor.service" in line] == []
