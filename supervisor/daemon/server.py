"""`supervise daemon`: many listeners, one process, one control socket.

A handover: the launcher asks (`{"op": "exec", "policy": NAME or null, "text": TOML or null, "mediation": ...,
"program": ...}`), gets the compiled filter, loads it, writes `{"listener": N}`, and execs when it reads `{"go": true}`.
"""

import base64
import grp
import os
import signal
import socket
import stat
from typing import Any, Final

import trio

from shim.filter import compile_filter
from supervisor.daemon.audit import Log
from supervisor.daemon.control import Lines, ProtocolError, answer
from supervisor.daemon.handover import filters_of, must_have_loaded, take_listener
from supervisor.daemon.notify import notify
from supervisor.daemon.reader import serve
from supervisor.errors import StartError, UsageError
from supervisor.kernel import landlock, process, seccomp
from supervisor.policy.config import Config, ConfigErrors, parse_config
from supervisor.policy.engine import ALLOW_ALL, Policy
from supervisor.syscalls.event import Event
from supervisor.syscalls.plan import Mediation, Plan, plan_for
from supervisor.syscalls.session import Session
from supervisor.syscalls.waiting import Waiting

GRACE: Final = 3.0
"""Seconds that calls in flight get to end after SIGTERM."""
_MEDIATIONS: Final[tuple[Mediation, ...]] = ("auto", "full")


class Server:
    """The daemon: `run` it under trio."""

    def __init__(self, config: Config, path: str, log: Log) -> None:
        self._config = config
        self._path = path
        self._log = log
        self._waiting = Waiting()
        self._sessions: dict[str, Session] = {}
        self._count = 0
        self._filters: dict[Plan, bytes] = {}

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT; then let calls in flight end, and close every listener."""
        seccomp.set_undumpable()
        process.raise_descriptor_limit()
        listener = open_control_socket(self._path, self._config.daemon.group)
        try:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._waiting.run)
                    nursery.start_soon(self._accept, trio.socket.from_stdlib_socket(listener), nursery)
                    notify(f"READY=1\nSTATUS=serving on {self._path}\nMAINPID={os.getpid()}")
                    async for _ in signals:
                        break
                    notify("STOPPING=1")
                    await self._finish()
                    nursery.cancel_scope.cancel()
        finally:
            listener.close()
            os.unlink(self._path)
            self._waiting.close()
            self._log.close()

    async def _finish(self) -> None:
        """Let calls in flight end, for as long as that is decent."""
        with trio.move_on_after(GRACE):
            while any(session.waiting_calls for session in self._sessions.values()):  # noqa: ASYNC110 - rarely, briefly
                await trio.sleep(0.02)

    async def _accept(self, listener: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            try:
                connection, _ = await listener.accept()
            except OSError:
                await trio.sleep(0.1)  # out of descriptors: those in use will be returned
                continue
            nursery.start_soon(self._serve_client, trio.SocketStream(connection), nursery)

    async def _serve_client(self, stream: trio.SocketStream, nursery: trio.Nursery) -> None:
        lines = Lines(stream)
        async with stream:
            try:
                if not self._may_ask(lines.peer()[1]):
                    raise ProtocolError(f"user {lines.peer()[1]} may not use this daemon")
                await self._converse(lines, nursery)
            except (ProtocolError, UsageError, StartError) as error:
                await _try_to_say(lines, str(error))
            except (trio.BrokenResourceError, trio.ClosedResourceError, OSError):
                pass  # gone: nothing was started that has not been handed over
            except Exception as error:  # noqa: BLE001 - one client must not end the others' supervisor
                await _try_to_say(lines, f"the daemon failed: {type(error).__name__}")

    def _may_ask(self, uid: int) -> bool:
        """Root and the daemon's own user; with a group, whoever the socket's mode lets in."""
        return uid in (0, os.geteuid()) or self._config.daemon.group is not None

    async def _converse(self, lines: Lines, nursery: trio.Nursery) -> None:
        message = await lines.receive()
        if message is None:
            return
        if message.get("op") == "exec":
            await self._hand_over(lines, message, nursery)
        else:
            await lines.send(answer(message, list(self._sessions.values())))

    async def _hand_over(self, lines: Lines, message: dict[str, Any], nursery: trio.Nursery) -> None:
        mediation = message.get("mediation", "auto")
        if mediation not in _MEDIATIONS:
            raise ProtocolError(f"mediation {mediation!r}: expected auto or full")
        pid = lines.peer()[0]
        filters = filters_of(pid)
        policy = self._policy(message)
        plan = plan_for(policy, mediation)
        await lines.send({"filter": base64.b64encode(self._filter(plan)).decode(), "domain": plan.domain})
        answered = await lines.receive()
        if answered is None:
            return
        must_have_loaded(pid, filters)
        session = self._session(take_listener(pid, answered.get("listener")), policy, mediation, plan, pid, message)
        nursery.start_soon(self._serve, session)
        await lines.send({"go": True})

    def _filter(self, plan: Plan) -> bytes:
        program = self._filters.get(plan)
        if program is None:
            program = self._filters[plan] = compile_filter(plan)
        return program

    def _policy(self, message: dict[str, Any]) -> Policy:
        name, text = message.get("policy"), message.get("text")
        if name is not None and not isinstance(name, str):
            raise ProtocolError("policy is not a name")
        if text is not None:
            try:
                return parse_config(str(text), str(message.get("file", "policy"))).policy(name)
            except ConfigErrors as errors:
                raise UsageError(str(errors)) from None
        name = name or self._config.daemon.default_policy
        if name is None and not self._config.policies:
            return ALLOW_ALL
        return self._config.policy(name)

    def _session(
        self, listener: Any, policy: Policy, mediation: Mediation, plan: Plan, pid: int, message: dict[str, Any]
    ) -> Session:
        self._count += 1
        return Session(
            f"{os.getpid():x}-{self._count}", listener, policy, mediation, self._waiting, self._report,
            program=str(message.get("program", ""))[:256], pid=pid, guarded=plan.guarded,
            landlocked=landlock.holds(*plan.domain), wants_allowed=self._log.wants_allowed,
        )

    async def _serve(self, session: Session) -> None:
        self._sessions[session.ident] = session
        try:
            await serve(session)
        finally:
            del self._sessions[session.ident]
            session.listener.close()

    def _report(self, event: Event) -> None:
        self._log.write(event)


async def _try_to_say(lines: Lines, reason: str) -> None:
    try:
        await lines.send({"error": reason})
    except (ProtocolError, trio.BrokenResourceError, trio.ClosedResourceError, OSError):
        pass


def open_control_socket(path: str, group: str | None) -> socket.socket:
    """Bind and listen: mode 0600, or 0660 and owned by the group. StartError when another daemon is there."""
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    before = os.umask(0o177)
    made = False
    try:
        listener.bind(path)
        made = True
        if group is not None:
            os.chown(path, -1, grp.getgrnam(group).gr_gid)
            os.chmod(path, 0o660)
        listener.listen(128)
    except (KeyError, OSError) as error:
        listener.close()
        if made:
            os.unlink(path)
        if isinstance(error, KeyError):
            raise StartError(f"control socket {path}: there is no group {group!r}") from None
        raise StartError(f"control socket {path}: {error.strerror or error}") from None
    finally:
        os.umask(before)
    listener.setblocking(False)
    return listener


def _remove_stale(path: str) -> None:
    """Remove a socket that nobody serves; StartError for one that somebody does, and for any other file."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(mode):
        raise StartError(f"control socket {path}: the file is there and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            return
        except OSError:
            pass
    raise StartError(f"control socket {path}: another daemon serves it")


