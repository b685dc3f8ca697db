"""The control socket of an embedded supervisor: so that `supervise ps` finds it. Best effort: nothing depends on it."""

import os
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

import trio

from supervisor.daemon.control import answer_questions
from supervisor.syscalls.session import Session

_PREFIX: Final = "exec-"


def runtime_directory() -> str:
    """Where this user's sockets are: below $XDG_RUNTIME_DIR, /run for root, and /tmp otherwise."""
    base = os.environ.get("XDG_RUNTIME_DIR") or ("/run" if os.geteuid() == 0 else "")
    return f"{base}/supervise" if base and os.path.isdir(base) else f"/tmp/supervise-{os.geteuid()}"  # noqa: S108 - owner and mode are checked


def embedded_sockets() -> list[str]:
    """The control sockets of this user's embedded supervisors."""
    directory = runtime_directory()
    try:
        return sorted(f"{directory}/{name}" for name in os.listdir(directory) if name.startswith(_PREFIX))
    except OSError:
        return []


def _remove_stale(directory: str) -> None:
    """Remove the sockets of supervisors that were killed: their names say whose they were."""
    for path in embedded_sockets():
        pid = path.removeprefix(f"{directory}/{_PREFIX}").removesuffix(".sock")
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            with suppress(OSError):
                os.unlink(path)


class LocalControl:
    """Serves questions about sessions on a socket in the runtime directory, while its body runs."""

    def __init__(self, nursery: trio.Nursery, sessions: Callable[[], list[Session]]) -> None:
        self._nursery = nursery
        self._sessions = sessions
        self._path = f"{runtime_directory()}/{_PREFIX}{os.getpid()}.sock"

    async def __aenter__(self) -> None:
        with suppress(OSError):
            directory = os.path.dirname(self._path)
            os.makedirs(directory, mode=0o700, exist_ok=True)
            info = os.stat(directory)
            if info.st_uid != os.geteuid() or info.st_mode & 0o022:
                return  # somebody else's directory in /tmp
            _remove_stale(directory)
            listener = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
            await listener.bind(self._path)
            os.chmod(self._path, 0o600)
            listener.listen(16)
            self._nursery.start_soon(self._accept, listener)

    async def _accept(self, listener: trio.socket.SocketType) -> None:
        while True:
            try:
                stream, _ = await listener.accept()
            except OSError:
                await trio.sleep(0.1)  # out of descriptors: those in use will be returned
                continue
            self._nursery.start_soon(answer_questions, trio.SocketStream(stream), self._sessions)

    async def __aexit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            os.unlink(self._path)
