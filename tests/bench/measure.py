"""The rounds: every way once in each, in turning order, so that what disturbs the machine disturbs all of them."""

import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import NamedTuple

from .setting import SUPERVISE, Setting, Way, daemon, duration, peer, run

TITLES = {
    "socket": "socket + close (UDP)",
    "connect-tcp": "TCP connect + close",
    "connect-udp": "UDP connect",
    "connect-unix-path": "unix connect + close, path",
    "connect-unix-abstract": "unix connect + close, abstract",
    "getsockname": "getsockname",
    "sendto": "UDP sendto, with address",
    "sendmsg": "UDP sendmsg, connected",
}
START_UPS = {
    "native": "/bin/true",
    "embedded": "supervise exec -- /bin/true",
    "daemon": "supervise exec --daemon SOCKET -- /bin/true",
}


class Size(NamedTuple):
    """How much is measured: rounds, batches a call in each, about how long a batch is, start-ups a round."""

    rounds: int = 9
    batches: int = 7
    milliseconds: float = 6
    starts: int = 3


class Figure(NamedTuple):
    """The median of the rounds' medians, and the quartiles they lie between."""

    median: float
    low: float
    high: float
    rounds: list[float]


class Results(NamedTuple):
    """Microseconds by call and way, milliseconds by start-up."""

    ways: list[Way]
    skipped: list[str]
    calls: dict[str, dict[str, Figure]]
    start_ups: dict[str, Figure]


Say = Callable[[str], None]


def measure(ours: Setting, size: Size, say: Say = lambda _: None) -> Results:
    """Run all rounds."""
    ways, skipped = ours.ways()
    calls: dict[str, dict[str, list[float]]] = {call: defaultdict(list) for call in TITLES}
    starts: dict[str, list[float]] = defaultdict(list)
    with daemon(ours) as control:
        commands = {
            "native": ["/bin/true"],
            "embedded": [SUPERVISE, "exec", "--", "/bin/true"],
            "daemon": [SUPERVISE, "exec", "--daemon", control, "--", "/bin/true"],
        }
        for number in range(size.rounds):
            say(f"round {number + 1} of {size.rounds}")
            for index, way in enumerate(_turned(ways, number)):
                for call, batches in _one(ours, way, size, number * len(ways) + index).items():
                    calls[call][way.name].append(statistics.median(batches) / 1000)
            for name in _turned(list(commands), number):
                starts[name].append(statistics.median(duration(commands[name]) for _ in range(size.starts)))
    return Results(
        ways, skipped,
        {call: {way.name: figure(measured[way.name]) for way in ways} for call, measured in calls.items()},
        {name: figure(starts[name]) for name in START_UPS},
    )


def _turned(things: list, by: int) -> list:
    by %= len(things)
    return things[by:] + things[:by]


def _one(ours: Setting, way: Way, size: Size, number: int) -> dict[str, list[float]]:
    """All calls in one process started in one way: nanoseconds of each batch."""
    with peer(ours, number) as (tcp, udp, path, name):
        command = [*way.prefix, ours.calls, str(size.batches), str(size.milliseconds), tcp, udp, path, name]
        lines = [line.split() for line in run(command).splitlines()]
    return {call: [float(batch) for batch in batches] for call, *batches in lines}


def figure(rounds: list[float]) -> Figure:
    """The figure of these rounds."""
    low, _, high = statistics.quantiles(rounds, n=4, method="inclusive") if len(rounds) > 1 else rounds * 3
    return Figure(statistics.median(rounds), low, high, rounds)


def added(results: Results, call: str, way: str) -> float:
    """Microseconds that a way adds to a call."""
    return results.calls[call][way].median - results.calls[call]["native"].median


def multiple(results: Results, call: str, way: str, floor: str) -> float | None:
    """What a way adds, as a multiple of what a floor adds; None where noise made the floor free."""
    least = added(results, call, floor)
    return added(results, call, way) / least if least > 0 else None
