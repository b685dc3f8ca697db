"""`supervise explain FILE[:NAME] ACTION ADDRESS`: what would the policy answer, and why?"""

import argparse
import errno
import os
from typing import Any, Final

from supervisor.abi.socket import AF_INET, AF_INET6, AF_UNIX, SOCK_DGRAM, SOCK_STREAM
from supervisor.cli.policy_file import ARGUMENT_HELP, load_policy
from supervisor.errors import UsageError
from supervisor.policy.endpoint import EndpointError, InetEndpoint, parse_endpoint
from supervisor.policy.engine import Explanation
from supervisor.policy.kind import KindError, parse_kind
from supervisor.policy.operation import ACTIONS, Action, Operation
from supervisor.sockets.address import Address, Inet4, Inet6, UnixAbstract, UnixPath, UnixUnnamed

NAME: Final = "explain"
HELP: Final = "say what a policy answers, and why"
DESCRIPTION: Final = """\
Say what a policy answers to one operation, which rule decided, and which matching rules lost. Nothing is run.

ACTION is connect, bind, accept, send (or sendto) or socket. ADDRESS is one of
  10.0.0.1:443  [::1]:80  [fe80::1%2]:22  unix:/run/x.sock  /run/x.sock  unix:@name
and for socket a kind as in the policy: inet, inet:raw, netlink:route.
The exit status is 0 when the operation is allowed and 1 when it is refused."""

EXIT_REFUSED: Final = 1
_TYPES: Final = {"tcp": SOCK_STREAM, "udp": SOCK_DGRAM}
_ACTIONS: Final[dict[str, Action]] = {**{action: action for action in ACTIONS}, "sendto": "send"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("policy", metavar="FILE[:NAME]", help=ARGUMENT_HELP)
    parser.add_argument("action", metavar="ACTION", choices=list(_ACTIONS), help=", ".join(_ACTIONS))
    parser.add_argument("address", metavar="ADDRESS", help="address, or kind of socket for the action socket")
    protocol = parser.add_mutually_exclusive_group()
    protocol.add_argument("--tcp", dest="protocol", action="store_const", const="tcp", help="for a stream socket")
    protocol.add_argument("--udp", dest="protocol", action="store_const", const="udp", help="for a datagram socket")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


def run(arguments: argparse.Namespace) -> int:
    operation = parse_operation(_ACTIONS[arguments.action], arguments.address, arguments.protocol)
    explanation = load_policy(arguments.policy).explain(operation)
    if arguments.json:
        import json  # only this way out needs it

        print(json.dumps(_record(operation, explanation), indent=2))
    else:
        print("\n".join(_lines(arguments.address, operation, explanation)))
    return 0 if explanation.verdict.allowed else EXIT_REFUSED


def parse_operation(action: Action, text: str, protocol: str | None) -> Operation:
    """The operation that the command line describes; `protocol` None is the usual one. Raises `UsageError`."""
    if action == "socket":
        return _socket(text, protocol)
    usual = "udp" if action == "send" else "tcp"
    if text.startswith(("/", "@", "unix:")):
        return Operation(action, AF_UNIX, _TYPES[protocol or usual], 0, _unix(text.removeprefix("unix:")))
    address, spelled = _inet(text)
    if protocol and spelled and protocol != spelled:
        raise UsageError(f"{text} and --{protocol} contradict each other")
    family = AF_INET if isinstance(address, Inet4) else AF_INET6
    return Operation(action, family, _TYPES[protocol or spelled or usual], 0, address)


def _socket(text: str, protocol: str | None) -> Operation:
    try:
        family, type_, number = parse_kind(text).example()
    except KindError as error:
        raise UsageError(f"{text}: {error}") from None
    if text == "*" or text.endswith(":*"):
        raise UsageError(f"{text}: explain takes one kind of socket")
    if protocol and text not in ("inet", "inet6"):
        raise UsageError(f"{text}: --{protocol} is for plain inet and inet6")
    return Operation("socket", family, _TYPES[protocol] if protocol else type_, number)


def _unix(name: str) -> Address:
    raw = os.fsencode(name)
    if raw.startswith(b"/"):
        return UnixPath(raw)
    if raw.startswith(b"@"):
        return UnixAbstract(raw[1:].replace(b"\\0", b"\0"))
    if raw:
        raise UsageError(f'unix:{name}: must be an absolute path ("unix:/path") or an abstract name ("unix:@name")')
    return UnixUnnamed()


def _inet(text: str) -> tuple[Inet4 | Inet6, str | None]:
    try:
        endpoint = parse_endpoint(text)
    except EndpointError as error:
        raise UsageError(f"{text}: {error}") from None
    assert isinstance(endpoint, InetEndpoint)
    host = endpoint.host
    (low, high), *more = endpoint.ports
    if host is None or host.prefix != host.bits or low != high or more:
        raise UsageError(f"{text}: explain takes one address and one port")
    if host.version == 4:
        return Inet4(host.address, low), endpoint.protocol
    return Inet6(host.address, low, host.scope or 0), endpoint.protocol


def _errno_name(number: int) -> str:
    return errno.errorcode.get(number, str(number))


def _lines(spelled: str, operation: Operation, explanation: Explanation) -> list[str]:
    allowed, rule, number = explanation.verdict
    answer = "allowed" if allowed else f"refused with {_errno_name(number)}"
    lines = [f"{operation.action} {spelled}: {answer}", f"  by    {rule}"]
    lines += [f"  over  {lost}" for lost in explanation.lost]
    if explanation.normalised != operation.address:
        lines.append(f"  compared as {explanation.normalised}")
    return lines


def _record(operation: Operation, explanation: Explanation) -> dict[str, Any]:
    allowed, rule, number = explanation.verdict
    return {
        "action": operation.action,
        "address": None if operation.address is None else str(operation.address),
        "compared": None if explanation.normalised is None else str(explanation.normalised),
        "allowed": allowed,
        "errno": None if allowed else _errno_name(number),
        "rule": rule,
        "lost": list(explanation.lost),
    }
