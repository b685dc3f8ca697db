"""The command line: `supervise COMMAND`. One module a command.

A command module has DESCRIPTION, `add_arguments(parser)` and `run(arguments) -> int`. Modules are imported only
when their command is used, because the launcher's start-up is part of every program's.
"""

import argparse
import importlib
import os
import signal
import sys
from typing import Final, Protocol

from supervisor.errors import StartError, UsageError

COMMANDS: Final = {
    "exec": "run a program under a policy",
    "daemon": "serve many programs from one process",
    "ps": "list what is supervised",
    "check": "check a policy file",
    "explain": "say what a policy answers, and why",
    "doctor": "say what this machine can do",
}

EXIT_USAGE: Final = 2
EXIT_OWN_FAILURE: Final = 125


class Command(Protocol):
    """What `importlib.import_module("supervisor.cli.NAME")` gives."""

    DESCRIPTION: str

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None: ...

    @staticmethod
    def run(arguments: argparse.Namespace) -> int: ...


def _overview() -> argparse.ArgumentParser:
    from supervisor import __version__

    listing = "\n".join(f"  {name:<9} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="supervise",
        description="Put any Linux program's network under one policy file, without root, namespaces or proxies.",
        epilog=f"commands:\n{listing}\n\n`supervise COMMAND --help` tells the rest.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="supervise COMMAND ...",
    )
    parser.add_argument("--version", action="version", version=f"supervise {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


def _open_closed_stdio() -> None:
    """A standard descriptor that was closed is /dev/null from here on: what we open must not get its number."""
    for number, name in ((0, "stdin"), (1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number: this one
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status: 2 for usage, 125 for a failure of our own."""
    _open_closed_stdio()
    if argv is None:
        argv = sys.argv[1:]
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            # Ctrl-C ends us, and a launcher that is not the program yet, as a signal does: no exception, no traceback.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    name = argv[0] if argv else ""
    if name not in COMMANDS:
        _overview().parse_args(argv or ["--help"])
        return EXIT_USAGE
    command: Command = importlib.import_module(f"supervisor.cli.{name}")  # type: ignore[assignment]
    parser = argparse.ArgumentParser(
        prog=f"supervise {name}", description=command.DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_arguments(parser)
    arguments = parser.parse_args(argv[1:])
    try:
        return command.run(arguments)
    except UsageError as error:
        print(f"supervise: {error}", file=sys.stderr)
        return EXIT_USAGE
    except StartError as error:
        print(f"supervise: {error}", file=sys.stderr)
        return EXIT_OWN_FAILURE
