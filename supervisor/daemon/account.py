"""The account of flows: what a session asked for, how often, and what it was answered."""

import errno as errno_names
from typing import Final, NamedTuple, TextIO

from supervisor.abi.names import family_name, protocol_name, type_name
from supervisor.abi.socket import AF_INET, AF_INET6
from supervisor.daemon.audit import printable
from supervisor.kernel.sockets import SocketKind
from supervisor.sockets.address import Address
from supervisor.syscalls.event import Event

_BOUND: Final = 10_000


class Flow(NamedTuple):
    """What is counted together. Kept as it came: a line is made of it when somebody looks."""

    call: str
    kind: SocketKind | None
    address: Address | None
    answer: str
    errno: int
    rule: str


_REST: Final = Flow("...", None, None, "", 0, "more than can be kept")


class Account:
    """Counts of flows, bounded: past the bound new ones are counted together."""

    def __init__(self) -> None:
        self.flows: Final[dict[Flow, int]] = {}

    def add(self, event: Event) -> None:
        """Count one event."""
        flow = Flow(
            event.call, event.kind, event.performed or event.asked,
            event.how if event.how in ("refused", "failed") else "allowed",
            event.errno, event.verdict.rule if event.verdict is not None else event.note,
        )
        flows = self.flows
        if flow not in flows and len(flows) >= _BOUND:
            flow = _REST
        flows[flow] = flows.get(flow, 0) + 1

    def print(self, file: TextIO) -> None:
        """Print the account: a rich table on a terminal, aligned text elsewhere."""
        rows = [_row(flow, count) for flow, count in self.flows.items()]
        if file.isatty():
            _print_rich(rows, file)
        else:
            _print_plain(rows, file)


_HEADINGS: Final = ("call", "socket", "address", "answer", "errno", "times", "rule")


def transport(kind: SocketKind | None) -> str:
    """"tcp", "udp", "unix stream": what a person calls this socket."""
    if kind is None:
        return ""
    if kind.family in (AF_INET, AF_INET6):
        name = {1: "tcp", 2: "udp"}.get(kind.type, type_name(kind.type)) if kind.protocol in (0, 6, 17) else ""
        return (name or protocol_name(kind.family, kind.protocol)) + ("6" if kind.family == AF_INET6 else "")
    return f"{family_name(kind.family)} {type_name(kind.type)}"


def _row(flow: Flow, count: int) -> tuple[str, ...]:
    return (
        flow.call, transport(flow.kind), printable(str(flow.address or "")), flow.answer,
        errno_names.errorcode.get(flow.errno, str(flow.errno)) if flow.errno else "", str(count), flow.rule,
    )


def _print_plain(rows: list[tuple[str, ...]], file: TextIO) -> None:
    table = [_HEADINGS, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS) - 1)]
    for row in table:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0], strict=True))
        file.write(line.rstrip() + "\n")
    if not rows:
        file.write("(nothing was asked for)\n")
    file.flush()


def _print_rich(rows: list[tuple[str, ...]], file: TextIO) -> None:
    from rich.console import Console  # 60 ms, and only for a person
    from rich.table import Table
    from rich.text import Text

    table = Table(title="flows", title_justify="left")
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading == "times" else "left")
    for row in rows:
        style = "red" if row[3] in ("refused", "failed") else ""
        table.add_row(*(Text(cell, style=style) for cell in row))
    Console(file=file).print(table)
