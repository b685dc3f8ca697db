"""One run of one test: its folder, its ports, its servers and clients, each of them supervised or not."""

import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from . import listening, needs, processes

SUPERVISE = os.environ.get("SUPERVISE") or str(Path(sys.executable).with_name("supervise"))
REFUSE = str(Path(__file__).with_name("refuse.py"))

# Below the range that the kernel takes ports for outgoing connections from: nobody else gets one meanwhile.
PORTS = range(20000, 32000)

# What differs between two native runs as well.
VARYING = (
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"), "<time>"),
    (re.compile(r"after \d+ ms"), "after <some> ms"),
    (re.compile(r"(?m)^(Total wall clock time|Downloaded): .*"), r"\1: <some>"),
)


class Outcome(NamedTuple):
    """How a program ended, and what it printed; ports and folder under their names in the test."""

    status: int
    out: str
    err: str


class Server:
    """A running server; `status` is its exit status when it has been told to end."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        self.status: int | None = None


class Stage:
    """Runs the programs of one test: all natively (`mode` "native"), or `side` (client, server, both) supervised."""

    def __init__(self, folder: Path, mode: str = "native", side: str = "both") -> None:
        self.folder, self.mode, self.side = folder, mode, side
        self.policy: str | None = None  # FILE:NAME, for clients
        self.refused = ""  # calls that fail with EACCES natively, comma separated: how a refused client looks
        self.log = folder / "supervise.log"
        self.env = {
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PATH": needs.PATH,
            "TMPDIR": str(folder),
        }
        self._names: dict[str, str] = {str(folder): "<folder>"}
        self._logs: list[Path] = []

    def port(self, name: str) -> int:
        """A free port of 127.0.0.1 and 127.0.0.2 (TCP and UDP), shown as `<name>` in outputs."""
        while True:
            port = random.choice(PORTS)
            if str(port) not in self._names and _free(port):
                self._names[str(port)] = f"<{name}>"
                return port

    def file(self, name: str, content: str | bytes, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        return path

    def client(
        self,
        *argv: str | Path | int,
        stdin: bytes = b"",
        timeout: float = 25,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Outcome:
        """Run a program to its end."""
        process = self._start("client", argv, env, cwd, subprocess.PIPE, subprocess.PIPE, subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired:
            self._kill(process)
            out, err = process.communicate()
            self._logs.append(self.file("hung-client.log", out + err))
            raise AssertionError(f"not finished after {timeout} s ({self}): {argv}\n{self.logs()}") from None
        except BaseException:
            self._kill(process)
            process.communicate()
            raise
        return Outcome(_shell(process.returncode), self.plain(out), self.plain(err))

    @contextmanager
    def server(
        self,
        *argv: str | Path | int,
        tcp: tuple[int, ...] = (),
        udp: tuple[int, ...] = (),
        unix: tuple[str | Path, ...] = (),
        files: tuple[Path, ...] = (),
        timeout: float = 25,
        env: dict[str, str] | None = None,
        as_side: str = "server",
    ) -> Iterator[Server]:
        """Run a server, from when it listens everywhere it is said to (or has made `files`) to SIGTERM at the end."""
        log = self.folder / f"server-{len(self._logs)}.log"
        self._logs.append(log)
        with log.open("wb") as sink:
            process = self._start(as_side, argv, env, None, subprocess.DEVNULL, sink, subprocess.STDOUT)
        server = Server(process, log)
        try:

            def ready() -> bool:
                return (
                    set(tcp) <= listening.tcp_ports()
                    and set(udp) <= listening.udp_ports()
                    and {str(path) for path in unix} <= listening.unix_paths()
                    and all(file.exists() for file in files)
                )

            self._await(process, ready, timeout, argv)
            yield server
            process.send_signal(signal.SIGTERM)
            try:
                server.status = _shell(process.wait(timeout))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"still there {timeout} s after SIGTERM ({self}): {argv}\n{self.logs()}") from None
        finally:
            if process.poll() is None:
                self._kill(process)

    @contextmanager
    def natively(self) -> Iterator[None]:
        """Steps that only prepare are not supervised, whatever else is."""
        mode, self.mode = self.mode, "native"
        try:
            yield
        finally:
            self.mode = mode

    def plain(self, output: bytes) -> str:
        """Text of a program without what cannot be the same in two runs."""
        text = output.decode(errors="backslashreplace")
        for number, name in self._names.items():
            text = text.replace(number, name) if number.startswith("/") else re.sub(rf"\b{number}\b", name, text)
        for pattern, name in VARYING:
            text = pattern.sub(name, text)
        return text

    def logs(self) -> str:
        """The last words of every server, for the message of a failure."""
        return "\n".join(f"--- {log.name}\n{log.read_text(errors='replace')[-3000:]}" for log in self._logs)

    def __str__(self) -> str:
        return self.mode if self.mode == "native" else f"{self.mode}, {self.side} supervised"

    def _command(self, side: str) -> list[str]:
        if side == "client" and self.refused:
            return [sys.executable, REFUSE, self.refused]
        if self.mode == "native" or self.side not in (side, "both"):
            return []
        policy = ["--policy", self.policy] if self.policy and side == "client" else []
        # Without a log refusals are told on stderr, between the lines of the program.
        return [SUPERVISE, "exec", "--mediate", self.mode, "--log", str(self.log), *policy, "--"]

    def _start(self, side, argv, env, cwd, stdin, stdout, stderr) -> subprocess.Popen[bytes]:
        command = [*self._command(side), *map(str, argv)]
        environment = self.env | (env or {})
        # A session of its own: no terminal to ask for passwords at, and signals of ours do not reach it by accident.
        return subprocess.Popen(
            command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=cwd or self.folder,
            start_new_session=True,
        )

    def _await(self, process, ready: Callable[[], bool], timeout: float, argv) -> None:
        deadline = time.monotonic() + timeout
        while not ready():
            if process.poll() is not None:
                raise AssertionError(f"ended with {process.returncode} ({self}): {argv}\n{self.logs()}")
            if time.monotonic() > deadline:
                raise AssertionError(f"not listening after {timeout} s ({self}): {argv}\n{self.logs()}")
            time.sleep(0.01)

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        below = processes.descendants(process.pid)
        process.kill()
        process.wait()
        processes.kill(below)


def _shell(status: int) -> int:
    """An exit status as a shell shows it: a launcher can only tell a signal of its program this way."""
    return 128 - status if status < 0 else status


def _free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("0.0.0.0", port))
            except OSError:
                return False
    return True
