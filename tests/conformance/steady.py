"""Runs the cases natively again and again and prints those that are not always the same: `... steady [N] [WORDS]`."""

import sys
from collections import Counter

from .case import load
from .session import NATIVE, differences, run, unclean


def main(arguments: list[str]) -> int:
    times = int(arguments.pop(0)) if arguments and arguments[0].isdigit() else 10
    ids = [name for name in load() if not arguments or any(word in name for word in arguments)]
    first = run(NATIVE, ids)
    unsteady: Counter[str] = Counter()
    faulty = {name: unclean(result) for name, result in first.results.items() if unclean(result)}
    for number in range(1, times):
        again = run(NATIVE, ids)
        for name in ids:
            difference = differences(first.results[name], again.results[name], f"run {number + 1}")
            if difference:
                unsteady[name] += 1
                print(f"--- {name}\n{difference}", flush=True)
    for name, fault in faulty.items():
        print(f"faulty: {name}: {fault}")
    print(f"{len(ids)} cases, {times} runs, {len(unsteady)} unsteady, {len(faulty)} faulty {dict(unsteady)}")
    return int(bool(unsteady or faulty))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
