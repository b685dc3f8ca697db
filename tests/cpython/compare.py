"""`python -m tests.cpython.compare [MODULES]`: CPython's suites natively and supervised, and what differs.

Exit status 0: nothing differs. 1: something does. 2: it could not be compared.
"""

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Self

from tests.conformance.page import write_part

from . import judge, modules
from .run import Report, Result, Setup, run_module

NATIVE_RUNS = 2
RERUNS = 2
MOST_RERUN = 40  # of one module in one mode; more than that is one cause, and an hour of re-runs would not tell more


class Tally(NamedTuple):
    """One cell of the table: all results of a group in one mode."""

    results: Mapping[tuple[str, str], Result] = {}
    seconds: float = 0.0
    unsteady: int = 0
    different: int = 0

    def plus(self, module: modules.Module, report: Report, unsteady: int = 0, different: int = 0) -> Self:
        results = {(module.name, test): result for test, result in report.results.items()}
        return self._replace(
            results={**self.results, **results},
            seconds=self.seconds + report.seconds,
            unsteady=self.unsteady + unsteady,
            different=self.different + different,
        )

    def __str__(self) -> str:
        shown = judge.counts(self.results)
        shown += f"; {self.unsteady} unsteady" if self.unsteady else ""
        shown += f"; {self.different} DIFFER" if self.different else ""
        return f"{shown} ({self.seconds:.0f} s)"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.cpython.compare", description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(modules.DEFAULT), help="default: %(default)s")
    parser.add_argument("--all", action="store_true", help="every module that is about sockets, signals or processes")
    parser.add_argument("--write", action="store_true", help="the table into docs/conformance.md")
    parser.add_argument("--modes", default=",".join(modules.MODES), help="comma separated; default: %(default)s")
    parser.add_argument("--python", default=modules.PYTHON, help=f"with CPython's suite (Debian: {modules.PACKAGE})")
    parser.add_argument(
        "--supervise",
        default=os.environ.get("SUPERVISE"),
        help="command before `exec`; default: $SUPERVISE, or supervise beside this Python",
    )
    options = parser.parse_args(arguments)
    setup = Setup(python=options.python)
    if options.supervise:
        setup = setup._replace(supervise=tuple(shlex.split(options.supervise)))
    modes = [mode for mode in options.modes.split(",") if mode]
    names = modules.ALL if options.all else options.modules
    page = "cpython" if options.write else ""
    return compare(setup, [modules.module(name) for name in names], modes, modules.PACKAGE, page=page)


def compare(
    setup: Setup,
    parts: list[modules.Module],
    modes: list[str],
    needed: str,
    say: Callable[[str], None] = print,
    native_runs: int = NATIVE_RUNS,
    reruns: int = RERUNS,
    page: str = "",
) -> int:
    """Compare these modules in these modes; the exit status. `needed` is what to install if one does not run, `page`
    the part of docs/conformance.md that the table is written to."""
    for part, why in {part: why for module in parts for part, why in module.left_out.items()}.items():
        say(f"left out everywhere: {part}: {why}")
    columns = ["native", *modes]
    rows = {module.group: dict.fromkeys(columns, Tally()) for module in parts}
    found = 0
    for module in parts:
        name, row = module.name, rows[module.group]
        native = [_told(setup, module, "native", say, f"run {run}") for run in range(1, native_runs + 1)]
        if not all(report.results for report in native):
            say(f"{name}: does not run natively; is {needed} installed?")
            return 2
        for test in judge.unsteady([report.results for report in native]):
            shown = " and ".join(str(judge.answer(report.results.get(test, judge.MISSING))) for report in native)
            say(f"  unsteady natively: {test}: {shown}")
        row["native"] = row["native"].plus(module, native[0])
        for mode in modes:
            supervised = _told(setup, module, mode, say)
            if supervised.filters <= native[0].filters:
                say(f"{name}: was not supervised in mode {mode}: no seccomp filter more than natively")
                return 2
            different, unsteady = _differences(setup, module, mode, native, supervised, say, reruns)
            found += different
            row[mode] = row[mode].plus(module, supervised, unsteady, different)
    say("")
    table = [{"": group} | {column: str(tally) for column, tally in row.items()} for group, row in rows.items()]
    _table(table, ["", *columns], say)
    verdict = f"{found} tests differ" if found else "nothing differs"
    say(f"\n{verdict}")
    if page:
        head = ["what", *columns]
        lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [f"| {' | '.join(line.values())} |" for line in table]
        write_part(page, [*lines, "", f"In this run {verdict}."])
    return 1 if found else 0


def _told(setup: Setup, module: modules.Module, mode: str, say: Callable[[str], None], which: str = "") -> Report:
    report = run_module(setup, module, mode)
    left_out = f", left out {len(report.left_out)}" if report.left_out else ""
    say(f"{module.name} {mode} {which}: {judge.counts(report.results)}{left_out} ({report.seconds:.0f} s)")
    for event in report.events:
        say(f"  {event}")
    return report


def _differences(
    setup: Setup,
    module: modules.Module,
    mode: str,
    native: list[Report],
    supervised: Report,
    say: Callable[[str], None],
    reruns: int,
) -> tuple[int, int]:
    """Print every test that differs, and its re-runs; how many still do, and how many were settled by re-runs."""
    suspects = judge.differing([report.results for report in native], supervised.results)
    if len(suspects) > MOST_RERUN:
        say(f"  {len(suspects)} tests differ; the first {MOST_RERUN} of them are run again, the others are not")
    different = 0
    for index, test in enumerate(suspects):
        answered = judge.answers([report.results for report in native], test)
        result = supervised.results.get(test, judge.MISSING)
        say(f"  differs: {test}: natively {_joined(answered)}, {mode} {judge.answer(result)}")
        settled = index < MOST_RERUN and _rerun(setup, module, mode, test, answered, result, say, reruns)
        if not settled:
            different += 1
            say("    DIFFERENT" + ("" if index < MOST_RERUN else " (not run again)"))
            _indented(result.detail, say)
    return different, len(suspects) - different


def _rerun(
    setup: Setup,
    module: modules.Module,
    mode: str,
    test: str,
    answered: set[judge.Answer],
    first: Result,
    say: Callable[[str], None],
    reruns: int,
) -> bool:
    """Run a suspect alone again, natively and supervised; whether that settles the difference.

    A hang or a crash is printed with its re-runs, but nothing settles it except the same natively: a race of the
    supervisor with a program's end is no unsteady test.
    """
    seen = {judge.answer(first)}
    for attempt in range(1, reruns + 1):
        again: Mapping[str, Result] = run_module(setup, module, "native", frozenset([test])).results
        answered |= judge.answers([again], test)
        again = run_module(setup, module, mode, frozenset([test])).results
        now = judge.answers([again], test)
        say(f"    re-run {attempt} alone: natively {_joined(answered)} so far, {mode} {_joined(now)}")
        if now <= answered and first.outcome not in judge.GRAVE:
            say(f"    not called different: unsteady {mode}")
            return True
        seen |= now
        if seen <= answered:
            say("    not called different: unsteady natively too")
            return True
    return False


def _joined(answered: set[judge.Answer]) -> str:
    return " / ".join(sorted(map(str, answered)))


def _indented(detail: str, say: Callable[[str], None]) -> None:
    for line in detail.splitlines()[-25:]:
        say(f"      | {line}")


def _table(rows: list[dict[str, str]], columns: list[str], say: Callable[[str], None]) -> None:
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in columns]
    for row in [dict(zip(columns, columns, strict=True)), *rows]:
        say("  ".join(row[column].ljust(width) for column, width in zip(columns, widths, strict=True)).rstrip())


if __name__ == "__main__":
    if not Path("tests/cpython").is_dir():
        sys.exit("run it from the top folder of the project")
    sys.exit(main())
