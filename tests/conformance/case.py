"""The `case` decorator and the registry of all cases.

A case is a function of one `Context`. Its identity is `module.function[variant]`; a variant is a kind of socket or any
string. The first line of its docstring is what the tables show.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

from .kinds import Kind

ENFORCING = frozenset({"auto-enforcing", "full-enforcing"})


class Case(NamedTuple):
    """`apart` maps a mode to the reason why the case says nothing there; `root` cases need to start as uid 0."""

    id: str
    call: str
    body: Callable[[Any], None]
    kind: Kind | None
    variant: str
    root: bool
    slow: float
    unlike: dict[str, str]


REGISTRY: dict[str, Case] = {}


def case(
    *variants: Kind | str,
    call: str | None = None,
    kinds: Iterable[Kind] = (),
    root: bool = False,
    seconds: float = 0,
    policy: str = "",
):
    """Register the function once per kind or variant (once at all when there are none).

    `policy` is given where a policy that is enforced must make a difference, and says which: the case is then not
    compared in the enforcing modes. `seconds` is added to the time limit of the case.
    """

    def register(body):
        module = body.__module__.rsplit(".", 1)[-1]
        for variant in (*variants, *kinds) or ("",):
            kind = variant if isinstance(variant, Kind) else None
            name = kind.name if kind else variant
            identity = f"{module}.{body.__name__}" + (f"[{name}]" if name else "")
            if identity in REGISTRY:
                raise ValueError(f"two cases are called {identity}")
            unlike = dict.fromkeys(ENFORCING, policy) if policy else {}
            REGISTRY[identity] = Case(
                identity, call or module.partition("_")[0], body, kind, name, root, seconds, unlike
            )
        return body

    return register


@cache
def load() -> dict[str, Case]:
    """Import every module of cases and return the registry, in the order of the files."""
    package = importlib.import_module(".cases", __package__)
    for module in sorted(info.name for info in pkgutil.iter_modules(package.__path__)):
        importlib.import_module(f"{package.__name__}.{module}")
    return REGISTRY
