"""`python -m tests.bench`."""

import argparse
import json
import sys
from pathlib import Path

from . import report
from .measure import Size, measure
from .setting import BrokenError, setting

PAGE = Path(__file__).resolve().parents[2] / "docs/performance.md"


def main() -> int:
    """Measure, and print; 1 when something could not be run."""
    size = Size()
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="What supervision costs.")
    parser.add_argument("--rounds", type=int, default=size.rounds, help="default %(default)s")
    parser.add_argument("--batches", type=int, default=size.batches, help="batches of a call in a round")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures to FILE")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    arguments = parser.parse_args()
    if arguments.rounds < 1 or arguments.batches < 1:
        parser.error("at least one round of one batch")
    size = size._replace(rounds=arguments.rounds, batches=arguments.batches)
    about = report.machine()
    try:
        with setting() as ours:
            results = measure(ours, size, lambda line: print(line, file=sys.stderr, flush=True))
    except BrokenError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(report.text(results))
    if arguments.json:
        arguments.json.write_text(json.dumps(report.as_json(results, size, about), indent=1) + "\n")
    if arguments.write:
        PAGE.write_text(report.page(results, size, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
