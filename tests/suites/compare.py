"""`python -m tests.suites.compare [NAMES]`: other projects' suites natively and supervised, and what differs.

Exit status 0: nothing differs. 1: something does. 2: it could not be compared.
"""

import argparse
import os
import shlex
import sys
from pathlib import Path

from tests.cpython.compare import compare
from tests.cpython.modules import MODES
from tests.cpython.run import Setup

from . import suites
from .environment import CACHE, environment

# One run of everything natively is long enough: a suspect is run again natively before it is called different.
NATIVE_RUNS, RERUNS = 1, 4


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.suites.compare", description=__doc__)
    parser.add_argument(
        "names", nargs="*", default=list(suites.NAMES), help="SUITE, or SUITE:FILE of uvloop and gevent; %(default)s"
    )
    parser.add_argument("--mode", action="append", choices=MODES, help="only this one; may be given again")
    parser.add_argument("--write", action="store_true", help="the table into docs/conformance.md")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where the suites are installed: %(default)s")
    parser.add_argument(
        "--supervise",
        default=os.environ.get("SUPERVISE"),
        help="command before `exec`; default: $SUPERVISE, or supervise beside this Python",
    )
    options = parser.parse_args()
    for name in options.names:
        if name.partition(":")[0] not in suites.NAMES:
            parser.error(f"no suite {name}: there are {', '.join(suites.NAMES)}")
    installed = environment(options.cache.expanduser().absolute(), print)
    setup = Setup(python=installed.python)
    if options.supervise:
        setup = setup._replace(supervise=tuple(shlex.split(options.supervise)))
    parts = []
    for name in options.names:
        suite, _, file = name.partition(":")
        found = [module for module in suites.modules(suite, installed) if not file or module.name == f"{suite} {file}"]
        if not found:
            parser.error(f"no {file} of its own in {suite}")
        parts += found
    modes = options.mode or list(MODES)
    return compare(
        setup, parts, modes, "tests/suites/requirements.txt", native_runs=NATIVE_RUNS, reruns=RERUNS,
        page="suites" if options.write else "",
    )


if __name__ == "__main__":
    if not Path("tests/suites").is_dir():
        sys.exit("run it from the top folder of the project")
    sys.exit(main())
