"""A private dbus-daemon: EXTERNAL authentication and what the bus knows of its clients come from the socket."""

from .compared import compared
from .needs import program

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
