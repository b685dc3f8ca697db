"""The client's side of the control protocol, without trio: the launcher's start-up is part of the program's."""

import argparse
import base64
import errno
import json
import os
import socket
from typing import Any, Final, NoReturn

from shim.launch import become, inherited_doors
from supervisor.errors import StartError

PATIENCE: Final = 5.0
_LONGEST_ANSWER: Final = 16 * 1024 * 1024


def connect(path: str) -> socket.socket:
    """A connection to a daemon. StartError, in one line, when it is absent, refuses or hangs."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    try:
        sock.connect(path)
    except TimeoutError:
        sock.close()
        raise StartError(f"daemon {path}: does not answer") from None
    except OSError as error:
        sock.close()
        reason = {
            errno.ENOENT: "no such socket", errno.ECONNREFUSED: "nobody listens", errno.EAGAIN: "does not answer",
        }.get(error.errno or 0, error.strerror or str(error))
        raise StartError(f"daemon {path}: {reason}") from None
    return sock


def ask(sock: socket.socket, path: str, message: dict[str, Any]) -> dict[str, Any]:
    """Send one message and wait for its answer, five seconds at most. StartError for anything but an answer."""
    try:
        sock.sendall(json.dumps(message).encode() + b"\n")
        line = b""
        while not line.endswith(b"\n"):
            more = sock.recv(65536)
            if not more or len(line) > _LONGEST_ANSWER:
                raise StartError(f"daemon {path}: hung up")
            line += more
        answer = json.loads(line)
    except TimeoutError:
        raise StartError(f"daemon {path}: does not answer") from None
    except OSError as error:
        raise StartError(f"daemon {path}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise StartError(f"daemon {path}: does not speak the protocol") from None
    if not isinstance(answer, dict):
        raise StartError(f"daemon {path}: does not speak the protocol")
    if "error" in answer:
        raise StartError(f"daemon {path}: {answer['error']}")
    return answer


def exec_with_daemon(arguments: argparse.Namespace) -> NoReturn:
    """Become the program, supervised by a running daemon."""
    doors = [number for number in inherited_doors() if number not in arguments.keep_fd]
    sock = connect(arguments.daemon)
    request = {
        "op": "exec", "mediation": arguments.mediate, "program": arguments.program[0],
        **_policy(arguments.policy),
    }
    answer = ask(sock, arguments.daemon, request)
    try:
        program = base64.b64decode(answer["filter"], validate=True)
        net, scopes = answer["domain"]
        domain = int(net), int(scopes)
    except (KeyError, TypeError, ValueError):
        raise StartError(f"daemon {arguments.daemon}: sent no filter") from None
    sock.settimeout(None)
    become(sock.fileno(), program, arguments.program, doors, domain)


def _policy(argument: str | None) -> dict[str, Any]:
    """`--policy` for a daemon: a name it knows, or a file of ours, whose text is sent along."""
    if argument is None:
        return {"policy": None}
    from supervisor.cli.policy_file import split_policy_argument

    path, name = split_policy_argument(argument)
    if "/" not in path and not path.endswith(".toml") and not os.path.exists(path):
        return {"policy": argument}
    try:
        with open(path, encoding="utf-8") as file:
            return {"policy": name, "text": file.read(), "file": path}
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"cannot read the policy file {path}: {error}") from None
