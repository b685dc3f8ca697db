"""The policy file: text in, policies out, or every error of the file at once, each with its line and key.

What each table holds is `schema`; here is what one table has to do with another, and what becomes of them. Positions
are looked up only when there are errors (`lines`).
"""

import re
import tomllib
from collections.abc import Iterator
from itertools import chain
from typing import Any, Final, NamedTuple

from supervisor.errors import UsageError
from supervisor.policy.engine import Policy
from supervisor.policy.extends import cycle, lineage
from supervisor.policy.operation import ACTIONS
from supervisor.policy.rule import EFFECTS, Rule
from supervisor.policy.schema import DaemonSettings, Path, PolicyTable, Scalars, SchemaErrors, Wrong, decode, suggest

_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_SYNTAX_LINE: Final = re.compile(r" \(at line (\d+), column \d+\)$")


class ConfigError(NamedTuple):
    """One error: where it is (`key` may be empty), the `value` as the file spells it, and what was `expected`."""

    file: str
    line: int
    key: str
    value: str
    expected: str

    def __str__(self) -> str:
        parts = (f"{self.file}:{self.line}", self.key, self.value, self.expected)
        return ": ".join(part for part in parts if part)


class ConfigErrors(Exception):  # noqa: N818 - there may be several
    """The file has errors, and nothing of it is in force; str() has one line for each."""

    def __init__(self, errors: list[ConfigError]) -> None:
        super().__init__("\n".join(map(str, errors)))
        self.errors: Final = errors


class Config(NamedTuple):
    """A file without errors."""

    file: str
    policies: dict[str, Policy]
    daemon: DaemonSettings

    def policy(self, name: str | None = None) -> Policy:
        """The policy of that name; without one `daemon.default_policy`, the only one, or the one called "default".

        Raises `UsageError` with the names that there are.
        """
        known = ", ".join(self.policies)
        if name is None:
            name = self.daemon.default_policy or ("default" if len(self.policies) != 1 else known)
            if name not in self.policies:
                raise UsageError(f"{self.file} has several policies, name one: {known}" if known else
                                 f"{self.file} has no policies")  # fmt: skip
        if name not in self.policies:
            raise UsageError(f'{self.file} has no policy "{name}", it has: {known or "none"}')
        return self.policies[name]


def parse_config(text: str, file: str) -> Config:
    """Check a whole file; `file` is its name in errors. Raises `ConfigErrors`."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigErrors([_syntax_error(error, text, file)]) from None
    except RecursionError:
        raise ConfigErrors([ConfigError(file, 1, "", "", "nested too deeply")]) from None
    errors = list(_reference_errors(raw))
    try:
        tables = decode(raw)
    except SchemaErrors as found:
        errors += found.errors
    if errors:
        raise ConfigErrors(_located(errors, text, file))
    return Config(file, dict(_policies(tables.get("policy", {}))), tables.get("daemon", DaemonSettings()))


def _located(errors: list[Wrong], text: str, file: str) -> list[ConfigError]:
    from supervisor.policy.lines import find_lines  # not needed by a file without errors

    lines = find_lines(text)
    found = [
        ConfigError(file, _line(lines, path), _spell(path), "" if value is None else _quote(value), expected)
        for path, value, expected in errors
    ]
    return sorted(found, key=lambda error: (error.line, error.key))


def _syntax_error(error: tomllib.TOMLDecodeError, text: str, file: str) -> ConfigError:
    message = str(error)
    found = _SYNTAX_LINE.search(message)
    line = int(found[1]) if found else text.rstrip("\n").count("\n") + 1
    reason = message[: found.start()] if found else message.removesuffix(" (at end of document)")
    return ConfigError(file, line, "", "", f"not TOML: {reason[:1].lower()}{reason[1:]}")


def _line(lines: dict[Path, int], path: Path) -> int:
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def _spell(path: Path) -> str:
    spelled = ""
    for part in path:
        if isinstance(part, int):
            spelled += f"[{part}]"
        else:
            key = part if _NAME.fullmatch(part) else _quote(part)
            spelled += f".{key}" if spelled else key
    return spelled


def _quote(value: object) -> str:
    """A value as the file would spell it, on one line."""
    if isinstance(value, str):
        inner = value.replace("\\", "\\\\").replace('"', '\\"')
        return '"' + "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in inner) + '"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{...}" if value else "{}"
    if isinstance(value, list):
        return "[...]" if value else "[]"
    return str(value)


def _reference_errors(raw: dict[str, Any]) -> Iterator[Wrong]:
    """Names that are none or name nothing: looked for before the tables are checked, so of whatever they hold."""
    policies, daemon = (table if isinstance(table := raw.get(key), dict) else {} for key in ("policy", "daemon"))
    extends = {name: list(_extends(("policy", name, "extends"), table)) for name, table in policies.items()}
    default = daemon.get("default_policy")
    named = [*chain.from_iterable(extends.values()), (("daemon", "default_policy"), default)]
    for path, name in named:
        if isinstance(name, str) and name not in policies:
            yield Wrong(path, name, f"there is no such policy{suggest(name, policies)}")
    for name in policies:
        if not _NAME.fullmatch(name):
            yield Wrong(("policy", name), None, "a policy's name is made of letters, digits, _ and -")
    yield from _cycles({name: [base for _, base in bases if base in policies] for name, bases in extends.items()})


def _extends(path: Path, table: object) -> Iterator[tuple[Path, str]]:
    value = table.get("extends") if isinstance(table, dict) else None
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, list):
        yield from (((*path, index), base) for index, base in enumerate(value) if isinstance(base, str))


def _cycles(bases: dict[str, list[str]]) -> Iterator[Wrong]:
    reported: set[str] = set()
    for name in bases:
        way = cycle(name, bases)
        if way and not reported.intersection(way):
            reported.update(way)
            yield Wrong(("policy", name, "extends"), None, f"extends itself: {' -> '.join(way)}")


def _policies(tables: dict[str, PolicyTable]) -> Iterator[tuple[str, Policy]]:
    bases = {name: list(table.get("extends", ())) for name, table in tables.items()}
    own = {name: list(_rules(name, table)) for name, table in tables.items()}
    for name in tables:
        order = lineage(name, bases)
        values: dict[str, Any] = {}
        for base in order:
            values |= {key: value for key, value in tables[base].items() if key in Scalars.__annotations__}
            if "default" in tables[base]:
                values["default_rule"] = f'policy.{base}.default "{values["default"]}"'
        yield name, Policy(name, [rule for base in order for rule in own[base]], **values)


def _rules(name: str, table: PolicyTable) -> Iterator[Rule]:
    for action in ACTIONS:
        for effect in EFFECTS:
            for index, rule in enumerate(table.get(action, {}).get(effect, ())):
                place = _spell(("policy", name, action, effect, index))
                yield rule._replace(action=action, effect=effect, place=place)
