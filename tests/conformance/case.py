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
FULL = frozenset({"full", "full-enforcing"})


class Case(NamedTuple):
    """`known` maps the modes in which the case must differ to the reason; `root` cases need to start as uid 0."""

    id: str
    call: str
    body: Callable[[Any], None]
    kind: Kind | None
    variant: str
    root: bool
    slow: float
    known: dict[str, str]


REGISTRY: dict[str, Case] = {}


def case(
    *variants: Kind | str,
    call: str | None = None,
    kinds: Iterable[Kind] = (),
    root: bool = False,
    seconds: float = 0,
    differs: Iterable[str] = (),
    because: str = "",
):
    """Register the function once per kind or variant (once at all when there are none).

    `differs` names the modes in which the case cannot be the same, and `because` says why: it is compared all the
    same, and to be the same is then the failure. `seconds` is added to the time limit of the case.
    """

    def register(body):
        module = body.__module__.rsplit(".", 1)[-1]
        for variant in (*variants, *kinds) or ("",):
            kind = variant if isinstance(variant, Kind) else None
            name = kind.name if kind else variant
            identity = f"{module}.{body.__name__}" + (f"[{name}]" if name else "")
            if identity in REGISTRY:
                raise ValueError(f"two cases are called {identity}")
            known = dict.fromkeys(differs, because)
            REGISTRY[identity] = Case(
                identity, call or module.partition("_")[0], body, kind, name, root, seconds, known
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
