"""The policy file: text in, policies out, or every error of the file at once, each with its line and key.

Two tables below list the keys and what each takes; what the strings mean is checked by the modules that own the
grammar. A decoder such as `msgspec` would stop at the first error, so that it could only be asked about one value at a
time, and its import (10 ms) is a quarter of what reading a policy adds to the start of every program. Positions are
looked up only when there are errors (`lines`).
"""

import errno as _errno
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from supervisor.errors import UsageError
from supervisor.policy.engine import Policy
from supervisor.policy.extends import cycle, lineage
from supervisor.policy.operation import ACTIONS
from supervisor.policy.rule import EFFECTS, Rule, RuleError, parse_rule

LogLevel = Literal["all", "refusals"]
Path = tuple[str | int, ...]
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


class DaemonSettings(NamedTuple):
    """[daemon]: `socket` and `log` are paths, `group` owns the control socket, `default_policy` names a policy."""

    socket: str | None = None
    group: str | None = None
    log: str | None = None
    log_level: LogLevel = "all"
    default_policy: str | None = None


class _Check(NamedTuple):
    """What a key takes, and how an error says it."""

    accepts: Callable[[object], bool]
    described: str


def _one_of(*choices: str) -> _Check:
    return _Check(lambda value: value in choices, "must be " + " or ".join(f'"{choice}"' for choice in choices))


_Shape = Mapping[str, "_Check | _Shape"]

_TEXT: Final = _Check(lambda value: isinstance(value, str), "must be a string")
_LIST: Final = _Check(lambda value: isinstance(value, list), "must be a list of strings")
_NAMES: Final = _Check(lambda value: isinstance(value, str | list), "must be a name or a list of names")
_FLAG: Final = _Check(lambda value: isinstance(value, bool), "must be true or false")
_LISTS: Final[_Shape] = {"allow": _LIST, "deny": _LIST}
_POLICY: Final[_Shape] = {
    "extends": _NAMES,
    "default": _one_of("allow", "deny"),
    "errno": _TEXT,
    "unix": _one_of("continue", "perform"),
    "keep_dumpable": _FLAG,
    **dict.fromkeys(ACTIONS, _LISTS),
}
_SCALARS: Final = ("default", "errno", "unix", "keep_dumpable")
_DAEMON: Final[_Shape] = {
    "socket": _TEXT,
    "group": _TEXT,
    "log": _TEXT,
    "log_level": _one_of("all", "refusals"),
    "default_policy": _TEXT,
}


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
    reader = _Reader()
    config = Config(file, *reader.read(raw))
    if reader.errors:
        from supervisor.policy.lines import find_lines  # not needed by a file without errors

        lines = find_lines(text)
        errors = [ConfigError(file, _line(lines, path), _spell(path), *rest) for path, *rest in reader.errors]
        raise ConfigErrors(sorted(errors, key=lambda error: (error.line, error.key)))
    return config


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


def _suggest(name: str, known: Iterable[str]) -> str:
    import difflib  # not needed by a file without errors

    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f', did you mean "{near[0]}"?' if near else ""


class _Reader:
    """Turns the decoded file into values and collects what is wrong with it."""

    def __init__(self) -> None:
        self.errors: list[tuple[Path, str, str]] = []

    def _fail(self, path: Path, value: object, expected: str) -> None:
        self.errors.append((path, "" if value is None else _quote(value), expected))

    def read(self, raw: dict[str, Any]) -> tuple[dict[str, Policy], DaemonSettings]:
        for key in raw:
            if key not in ("policy", "daemon"):
                self._unknown((key,), ("policy", "daemon"))
        settings = self._fields(raw.get("daemon", {}), _DAEMON, ("daemon",))
        tables = self._tables(raw)
        default = settings.get("default_policy")
        if default is not None and default not in tables:
            self._fail(("daemon", "default_policy"), default, f"there is no such policy{_suggest(default, tables)}")
        return self._policies(tables), DaemonSettings(**settings)

    def _unknown(self, path: Path, known: Iterable[str]) -> None:
        self._fail(path, None, f"unknown key{_suggest(str(path[-1]), known)}")

    def _tables(self, raw: dict[str, Any]) -> dict[str, dict[str, Any]]:
        """The valid keys of every [policy.NAME]."""
        found: dict[str, dict[str, Any]] = {}
        policies = raw.get("policy", {})
        if not isinstance(policies, dict):
            self._fail(("policy",), policies, "must be a table: [policy.NAME]")
            return found
        for name, table in policies.items():
            path = ("policy", name)
            if not _NAME.fullmatch(name):
                self._fail(path, None, "a policy's name is made of letters, digits, _ and -")
            found[name] = self._fields(table, _POLICY, path)
        return found

    def _fields(self, table: object, shape: _Shape, path: Path) -> dict[str, Any]:
        """The valid values of a table; a list becomes a `dict` of its valid items by index."""
        if not isinstance(table, dict):
            self._fail(path, table, "must be a table")
            return {}
        found: dict[str, Any] = {}
        for key, value in table.items():
            here = (*path, key)
            check = shape.get(key)
            if check is None:
                self._unknown(here, shape)
            elif not isinstance(check, _Check):
                found[key] = self._fields(value, check, here)
            elif not check.accepts(value):
                self._fail(here, value, check.described)
            elif isinstance(value, list):
                found[key] = self._strings(value, here)
            else:
                found[key] = value
        return found

    def _strings(self, items: list[object], path: Path) -> dict[int, str]:
        found = {}
        for index, item in enumerate(items):
            if isinstance(item, str):
                found[index] = item
            else:
                self._fail((*path, index), item, _TEXT.described)
        return found

    def _policies(self, tables: dict[str, dict[str, Any]]) -> dict[str, Policy]:
        bases = {name: self._bases(name, table, tables) for name, table in tables.items()}
        own = {name: tuple(self._rules(name, table)) for name, table in tables.items()}
        errnos = {name: self._errno(name, table) for name, table in tables.items()}
        self._check_cycles(bases)
        if self.errors:
            return {}
        policies = {}
        for name in tables:
            order = lineage(name, bases)
            scalars = {key: (base, tables[base][key]) for base in order for key in _SCALARS if key in tables[base]}
            values: dict[str, Any] = {key: value for key, (_, value) in scalars.items()}
            rules = [rule for base in order for rule in own[base]]
            if "errno" in scalars:
                values["errno"] = errnos[scalars["errno"][0]]
            if "default" in scalars:
                base, value = scalars["default"]
                values["default_rule"] = f'policy.{base}.default "{value}"'
            policies[name] = Policy(name, rules, **values)
        return policies

    def _rules(self, name: str, table: dict[str, Any]) -> Iterator[Rule]:
        for action in ACTIONS:
            for effect in EFFECTS:
                for index, text in table.get(action, {}).get(effect, {}).items():
                    path = ("policy", name, action, effect, index)
                    try:
                        yield parse_rule(action, effect, _spell(path), text)
                    except RuleError as error:
                        self._fail(path, text, str(error))

    def _errno(self, name: str, table: dict[str, Any]) -> int:
        wanted: str = table.get("errno", "EACCES")
        known: dict[str, int] = {key: number for key, number in vars(_errno).items() if key.startswith("E")}
        if wanted not in known:
            self._fail(("policy", name, "errno"), wanted, f"must be the name of an errno{_suggest(wanted, known)}")
        return known.get(wanted, _errno.EACCES)

    def _bases(self, name: str, table: dict[str, Any], tables: dict[str, dict[str, Any]]) -> list[str]:
        extends = table.get("extends", {})
        if isinstance(extends, str):
            named: list[tuple[Path, str]] = [(("policy", name, "extends"), extends)]
        else:
            named = [(("policy", name, "extends", index), base) for index, base in extends.items()]
        for path, base in named:
            if base not in tables:
                self._fail(path, base, f"there is no such policy{_suggest(base, tables)}")
        return [base for _, base in named if base in tables]

    def _check_cycles(self, bases: dict[str, list[str]]) -> None:
        reported: set[str] = set()
        for name in bases:
            way = cycle(name, bases)
            if way and not reported.intersection(way):
                reported.update(way)
                self._fail(("policy", name, "extends"), None, f"extends itself: {' -> '.join(way)}")
