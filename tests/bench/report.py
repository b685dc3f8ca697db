"""Results as tables for a terminal, as docs/performance.md, and as JSON."""

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from .measure import START_UPS, TITLES, Figure, Results, Size, added, multiple

FLOORS = ("floor: continue", "floor: emulate")
_DISTRIBUTIONS = ("trio", "pyseccomp")

Rows = list[list[str]]


def machine() -> dict[str, str]:
    """What the figures depend on."""
    versions = {name: metadata.version(name) for name in ("socket-supervisor", *_DISTRIBUTIONS)}
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": f"{len(os.sched_getaffinity(0))} x {_cpu()}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "user": "root" if os.geteuid() == 0 else "not root",
        "supervisor": f"{versions.pop('socket-supervisor')}, commit {_commit()}",
        "versions": ", ".join([
            f"Python {platform.python_version()}", *(f"{name} {version}" for name, version in versions.items()),
            _first_line("gcc", "--version"), _first_line("strace", "--version"),
        ]),
    }


def _cpu() -> str:
    text = Path("/proc/cpuinfo").read_text()
    found = re.search(r"model name\s*:\s*(.*)", text)
    return (found[1] if found else "unknown") + (" (virtual)" if " hypervisor" in text else "")


def _commit() -> str:
    there = Path(__file__).parent
    said = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=there, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"


def _first_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return f"no {command[0]}"
    return subprocess.run(command, capture_output=True, text=True).stdout.partition("\n")[0]


def details(results: Results) -> Rows:
    """A row a call and way: median, spread, added, and the multiples of both floors."""
    rows = [["call", "how", "us", "middle half of the rounds", "added us", "x continue", "x emulate"]]
    for call, ways in results.calls.items():
        for way, figure in ways.items():
            more = ["", "", ""] if way == "native" else [
                _number(added(results, call, way)), *(_times(multiple(results, call, way, floor)) for floor in FLOORS),
            ]
            rows.append([TITLES[call], way, _number(figure.median), _spread(figure), *more])
    return rows


def summary(results: Results) -> Rows:
    """Added microseconds: a row a call, a column a way."""
    ways = [way.name for way in results.ways]
    rows = [["call", "native us", *(f"+ {way}" for way in ways[1:])]]
    for call, figures in results.calls.items():
        native = _number(figures["native"].median)
        rows.append([TITLES[call], native, *(_number(added(results, call, way)) for way in ways[1:])])
    return rows


def start_ups(results: Results) -> Rows:
    """A row a way to start /bin/true."""
    rows = [["command", "ms", "middle half of the rounds", "added ms"]]
    native = results.start_ups["native"].median
    for name, figure in results.start_ups.items():
        more = "" if name == "native" else _number(figure.median - native)
        rows.append([START_UPS[name], _number(figure.median), _spread(figure), more])
    return rows


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _spread(figure: Figure) -> str:
    return f"{_number(figure.low)} to {_number(figure.high)}"


def _times(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def plain(rows: Rows, left: int) -> str:
    """Aligned text; the first `left` columns are words, the others numbers."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def markdown(rows: Rows, left: int) -> str:
    """The same as a table of Markdown."""
    head, *body = rows
    rule = ["---" if column < left else "---:" for column in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def text(results: Results) -> str:
    """Everything, for a terminal."""
    skipped = "".join(f"\nskipped: {reason}" for reason in results.skipped)
    return "\n\n".join([
        plain(details(results), 2), "Added microseconds\n" + plain(summary(results), 1),
        "Start-up\n" + plain(start_ups(results), 1),
    ]) + skipped


def as_json(results: Results, size: Size, about: dict[str, str]) -> dict:
    """Everything, for a program: microseconds, and milliseconds in `start_ups`."""
    return {
        "machine": about,
        "size": size._asdict(),
        "ways": {way.name: list(way.prefix) for way in results.ways},
        "skipped": results.skipped,
        "calls": {
            call: {way: _figure_as_json(results, call, way) for way in figures}
            for call, figures in results.calls.items()
        },
        "start_ups": {name: figure._asdict() for name, figure in results.start_ups.items()},
    }


def _figure_as_json(results: Results, call: str, way: str) -> dict:
    figure: dict = results.calls[call][way]._asdict()
    if way != "native":
        figure["added"] = added(results, call, way)
        figure["multiple"] = {floor: multiple(results, call, way, floor) for floor in FLOORS}
    return figure


def page(results: Results, size: Size, about: dict[str, str]) -> str:
    """docs/performance.md."""
    return _PAGE.format(
        summary=markdown(summary(results), 1),
        start_ups=markdown(start_ups(results), 1),
        ways=_listed(f"**{way.name}**: {way.meaning}" for way in results.ways),
        skipped=_listed(f"skipped: {reason}" for reason in results.skipped),
        details=markdown(details(results), 2),
        machine=markdown([["", ""], *([key, value] for key, value in about.items())], 2),
        rounds=size.rounds, batches=size.batches, milliseconds=size.milliseconds, starts=size.starts,
    )


def _listed(lines: Iterable[str]) -> str:
    return "".join(f"* {line}\n" for line in lines)


_PAGE = """\
# Performance

What supervision adds to a socket call, and to the start of a program. This page is written by
`.venv/bin/python -m tests.bench --write`; do not edit it. The figures hold for one machine: compare the columns, not
the microseconds with those of another page.

## Microseconds added to a call

{summary}

{ways}{skipped}
Calls that a way does not trap cost what the filter costs; what is shown for them is noise around that.
In `auto` without a policy `socket` and `getsockname` are not trapped; an enforced policy traps `socket` as well.

## Start-up

{start_ups}

## All figures

`us` is one call (or the calls named together). `x continue` and `x emulate` are what is added divided by what each
floor adds: a supervisor that lets the kernel perform a call is to be compared with the first, one that performs it
itself with the second. The `emulate` floor continues `socket`.

{details}

## How it was measured

{machine}

`tests/bench/sources/calls.c` makes the calls in tight loops from one thread; the other side is a process that is not
supervised. Each of {rounds} rounds runs every way once, in turning order. A round's figure is the median of {batches}
batches of about {milliseconds} ms (connections: at most 50 or 200 a batch); the table has the median of the rounds and
the quartiles, between which half of them lie. Start-up: the median of {starts} in each round, from the start to the end
of the command. Processes are not pinned to CPUs. The floor is `tests/bench/floor.c`.

## How to repeat it

```
make bench                                                 # the tables, on the terminal
.venv/bin/python -m tests.bench --rounds 15 --json FILE    # longer, and every round's figures
.venv/bin/python -m tests.bench --write                    # writes this page
```

Nothing else should run on the machine meanwhile.
"""
