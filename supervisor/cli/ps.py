"""`supervise ps`: what is supervised now."""

import argparse
import json
import os
import sys
import time
from typing import Any, Final

from supervisor.cli.client import ask, connect
from supervisor.errors import StartError

DESCRIPTION = """\
List sessions: those of a daemon (--daemon, SUPERVISE_DAEMON, or the one in the runtime directory) and those of this
user's embedded supervisors."""

_COLUMNS: Final = ("session", "program", "pid", "policy", "mediation", "calls", "refusals", "since")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--daemon", metavar="SOCKET", default=os.environ.get("SUPERVISE_DAEMON") or None)
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the sessions; 125 when a daemon that was named cannot be asked."""
    from supervisor.daemon.local import embedded_sockets, runtime_directory

    sessions: list[dict[str, Any]] = []
    if arguments.daemon:
        sessions += _sessions(arguments.daemon)
    else:
        for path in [f"{runtime_directory()}/daemon.sock", *embedded_sockets()]:
            try:
                sessions += _sessions(path)
            except StartError:
                continue  # ended, or killed and its socket left behind
    if arguments.json:
        print(json.dumps(sessions))
    elif sys.stdout.isatty():
        _print_rich(sessions)
    else:
        _print_plain(sessions)
    return 0


def _sessions(path: str) -> list[dict[str, Any]]:
    with connect(path) as sock:
        sessions = ask(sock, path, {"op": "ps"}).get("sessions")
    if not isinstance(sessions, list) or not all(
        isinstance(each, dict) and each.keys() >= set(_COLUMNS) for each in sessions
    ):
        raise StartError(f"daemon {path}: does not speak the protocol")
    return sessions


def _rows(sessions: list[dict[str, Any]]) -> list[list[str]]:
    rows = []
    for session in sessions:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(session["since"]))
        rows.append([str({**session, "since": since}[column]) for column in _COLUMNS])
    return rows


def _print_plain(sessions: list[dict[str, Any]]) -> None:
    table = [list(_COLUMNS), *_rows(sessions)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_COLUMNS))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print_rich(sessions: list[dict[str, Any]]) -> None:
    from rich.console import Console  # 60 ms, and only for a person
    from rich.table import Table

    table = Table()
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column in ("pid", "calls", "refusals") else "left")
    for row in _rows(sessions):
        table.add_row(*row)
    Console().print(table)
