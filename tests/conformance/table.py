"""Prints call x cases x same or different for every mode: `python -m tests.conformance.table [--differences]`."""

import argparse
import os
import sys
from collections import Counter

from .case import Case, load
from .page import write_part
from .raw import CALLS
from .session import MODES, MORE_MODES, NATIVE, Mode, Run, differences, run


def verdict(case: Case, mode: Mode, native: Run, other: Run) -> tuple[str, str]:
    """`same`, `differs`, `known` (to differ), `missing` or `root`, with the difference."""
    if case.root and os.geteuid() != 0:
        return "root", ""
    if case.id not in other.results or case.id not in native.results:
        return "missing", other.broken or native.broken
    difference = differences(native.results[case.id], other.results[case.id], mode.name)
    if mode.name in case.known:
        return ("known" if difference else "differs"), f"known: {case.known[mode.name]}\n{difference}"
    return ("differs", difference) if difference else ("same", "")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="table", description=__doc__)
    names = ", ".join(mode.name for mode in MODES + MORE_MODES)
    parser.add_argument("--mode", action="append", help=f"only this mode, may be repeated: {names}")
    parser.add_argument("--differences", action="store_true", help="also print every difference")
    parser.add_argument("--write", action="store_true", help="every mode, into docs/conformance.md")
    parser.add_argument("words", nargs="*", help="substrings of case ids")
    options = parser.parse_args(arguments)
    words = options.words
    cases = [one for one in load().values() if not words or any(word in one.id for word in words)]
    modes = [mode for mode in MODES + MORE_MODES if mode.name in options.mode] if options.mode else MODES
    if options.write:
        modes = MODES + MORE_MODES
    native = run(NATIVE, [one.id for one in cases])
    counts: dict[str, Counter] = {mode.name: Counter() for mode in modes}
    total = Counter(one.call for one in cases)
    for mode in modes:
        other = run(mode, [one.id for one in cases])
        for one in cases:
            word, difference = verdict(one, mode, native, other)
            counts[mode.name][one.call, word] += 1
            if difference and options.differences:
                print(f"\n--- {one.id} in {mode.name}: {word}\n{difference}")
    width = max(map(len, total))
    print(f"\n{'call':{width}} {'cases':>6}" + "".join(f" | {mode.name:^23}" for mode in modes))
    print(f"{'':{width}} {'':>6}" + " |    same  differs  known" * len(modes))
    for call in sorted(total, key=lambda name: CALLS.index(name) if name in CALLS else len(CALLS)):
        print(f"{call:{width}} {total[call]:>6}" + "".join(_cell(counts[mode.name], call) for mode in modes))
    sums = {mode.name: Counter() for mode in modes}
    for name, counter in counts.items():
        for (_, word), number in counter.items():
            sums[name]["all", word] += number
    print(f"{'all':{width}} {len(cases):>6}" + "".join(_cell(sums[mode.name], "all") for mode in modes))
    if options.write:
        write_part("harness", _page(cases, [mode.name for mode in modes], counts, sums))
    return int(any(counter["all", word] for counter in sums.values() for word in ("differs", "missing")))


def _page(cases: list[Case], modes: list[str], counts: dict[str, Counter], sums: dict[str, Counter]) -> list[str]:
    """Same / differs / known to differ, a line a call; then what is known to differ."""
    total = Counter(one.call for one in cases)
    lines = [
        "Cases that are the same / that differ / that are known to differ.", "",
        f"| call | cases | {' | '.join(modes)} |", "|---|---:|" + "---:|" * len(modes),
    ]
    lines += [
        f"| {call} | {total[call]} | {' | '.join(_three(counts[mode], call) for mode in modes)} |"
        for call in sorted(total, key=lambda name: CALLS.index(name) if name in CALLS else len(CALLS))
    ]
    lines += [f"| all | {len(cases)} | {' | '.join(_three(sums[mode], 'all') for mode in modes)} |", ""]
    known = sorted({
        (one.id.partition("[")[0], ", ".join(one.known), because) for one in cases for because in one.known.values()
    })
    lines += ["| known to differ | in | because |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in known)]
    return lines


def _three(counter: Counter, call: str) -> str:
    differs = counter[call, "differs"] + counter[call, "missing"]
    return f"{counter[call, 'same']} / {differs} / {counter[call, 'known'] + counter[call, 'root']}"


def _cell(counter: Counter, call: str) -> str:
    differs = counter[call, "differs"] + counter[call, "missing"]
    return f" | {counter[call, 'same']:>7} {differs:>8} {counter[call, 'known'] + counter[call, 'root']:>5}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
