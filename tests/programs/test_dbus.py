"""A private dbus-daemon: EXTERNAL authentication and what the bus knows of its clients come from the socket."""

import subprocess
from pathlib import Path

from .compared import compared
from .needs import missing, program

SOURCES = Path(__file__).with_name("sources")
CONFIG = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""


@compared()
def test_dbus(stage):
    path = stage.folder / "bus"
    config = stage.file("bus.conf", CONFIG.format(socket=path))
    dbus_send = program("dbus-send")
    ask = [dbus_send, f"--bus=unix:path={path}", "--dest=org.freedesktop.DBus", "--print-reply=literal", "/"]

    def call(method, *arguments):
        return stage.client(*ask, f"org.freedesktop.DBus.{method}", *arguments)

    with stage.server(program("dbus-daemon"), "--nofork", f"--config-file={config}", unix=(path,)) as server:
        seen = [
            call("ListNames"),  # the first client of the bus is :1.0
            call("GetConnectionUnixUser", "string::1.1"),
            call("NameHasOwner", "string:org.example.Nobody"),
            call("StartServiceByName", "string:org.example.Nobody", "uint32:0"),
        ]
        # The pid that the bus sees has to be the one the client has.
        shell = 'echo $$; exec "$0" "$@" org.freedesktop.DBus.GetConnectionUnixProcessID string::1.4'
        own, shown = stage.client("sh", "-c", shell, *ask).out.split(maxsplit=1)
    assert seen[0].status == 0, seen
    return [*seen, shown.split() == ["uint32", own], server.status]


@compared()
def test_dbus_descriptors(stage):
    """Files go through the bus to a service and come back."""
    path = stage.folder / "bus"
    config = stage.file("bus.conf", CONFIG.format(socket=path))
    passed = stage.file("passed", "some words\n")
    ready = stage.folder / "ready"
    env = {"DBUS_SESSION_BUS_ADDRESS": f"unix:path={path}"}
    script = (system_python(), SOURCES / "dbus_fds.py")
    with (
        stage.server(program("dbus-daemon"), "--nofork", f"--config-file={config}", unix=(path,)) as server,
        stage.server(*script, "serve", ready, files=(ready,), env=env) as service,
    ):
        talked = stage.client(*script, "call", passed, 8, env=env)
    assert talked.status == 0, talked
    return talked, service.status, server.status


def system_python():
    """Debian's Python, which Debian's jeepney is for."""
    python = program("/usr/bin/python3")
    if subprocess.run([python, "-c", "import jeepney"], capture_output=True).returncode != 0:
        missing("no jeepney; Debian package python3-jeepney")
    return python
