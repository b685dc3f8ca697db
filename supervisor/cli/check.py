"""`supervise check FILE`: is this policy file right?"""

import argparse
import sys
from typing import Final

from supervisor.cli import EXIT_USAGE
from supervisor.cli.policy_file import read_config
from supervisor.policy.config import ConfigError, ConfigErrors

NAME: Final = "check"
HELP: Final = "check a policy file"
DESCRIPTION: Final = """\
Check a policy file as a whole. Every error is printed on one line, with its file, line, key and what was expected;
the exit status is then 2. With --json the errors are a list on standard output, empty when there are none."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="policy file")
    parser.add_argument("--json", action="store_true", help="print the errors as JSON")


def run(arguments: argparse.Namespace) -> int:
    errors: list[ConfigError] = []
    count = 0
    try:
        count = len(read_config(arguments.file).policies)
    except ConfigErrors as found:
        errors = found.errors
    if arguments.json:
        import json  # only this way out needs it

        print(json.dumps([error._asdict() for error in errors], indent=2))
    elif errors:
        print(*errors, sep="\n", file=sys.stderr)
    else:
        print(f"{arguments.file}: {count} {'policy' if count == 1 else 'policies'}, no errors")
    return EXIT_USAGE if errors else 0
