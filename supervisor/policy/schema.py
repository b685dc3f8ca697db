"""What a policy file may hold: its tables and keys as types, and the decoder that finds all that is wrong with one.

`cattrs` decodes: it goes on after an error and keeps the key at which each stood. `msgspec` stops at the first.
`pydantic` goes on too, but from its import to the first file read took it 88 ms of processor time where cattrs took
18 (CPython 3.11, beside trio, which every supervisor loads); and every program that is started waits for that.

Left alone cattrs converts what it can (3 to "3", a string to the list of its letters), so the hooks below insist on
what TOML says.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from types import UnionType
from typing import Any, Final, Literal, NamedTuple, NewType, TypedDict, get_args, get_origin, is_typeddict

from cattrs import (
    AttributeValidationNote,
    BaseValidationError,
    Converter,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)
from cattrs.cols import is_namedtuple, list_structure_factory, mapping_structure_factory
from cattrs.cols import namedtuple_dict_structure_factory as namedtuple_factory
from cattrs.gen.typeddicts import make_dict_structure_fn as typeddict_factory

from supervisor.policy.rule import Rule, RuleError, parse_rule

LogLevel = Literal["all", "refusals"]
Path = tuple[str | int, ...]
Errno = NewType("Errno", int)
Names = NewType("Names", list[str])
SocketRule = NewType("SocketRule", Rule)
AddressRule = NewType("AddressRule", Rule)


class SocketLists(TypedDict, total=False):
    """[policy.NAME.socket]: a rule here has no place yet."""

    allow: list[SocketRule]
    deny: list[SocketRule]


class AddressLists(TypedDict, total=False):
    """[policy.NAME.ACTION] of the other actions: a rule here has no place yet, and any of these actions."""

    allow: list[AddressRule]
    deny: list[AddressRule]


class Scalars(TypedDict, total=False):
    """What a policy takes from the last of its bases that says it."""

    default: Literal["allow", "deny"]
    errno: Errno
    unix: Literal["continue", "perform"]
    keep_dumpable: bool
    landlock: bool


class PolicyTable(Scalars, total=False):
    """[policy.NAME]."""

    extends: Names
    socket: SocketLists
    bind: AddressLists
    connect: AddressLists
    accept: AddressLists
    send: AddressLists


class DaemonSettings(NamedTuple):
    """[daemon]: `socket` and `log` are paths, `group` owns the control socket, `default_policy` names a policy."""

    socket: str | None = None
    group: str | None = None
    log: str | None = None
    log_level: LogLevel = "all"
    default_policy: str | None = None


class File(TypedDict, total=False):
    policy: dict[str, PolicyTable]
    daemon: DaemonSettings


class Wrong(NamedTuple):
    """One error: the key, the value (None when the key itself is wrong), and what was expected."""

    path: Path
    value: object
    expected: str


class SchemaErrors(Exception):  # noqa: N818 - there may be several
    def __init__(self, errors: list[Wrong]) -> None:
        super().__init__(errors)
        self.errors: Final = errors


class _UnexpectedError(ValueError):
    """The value is not what the key takes; str() says what was expected."""


_Hook = Callable[[Any, Any], Any]


def decode(raw: dict[str, Any]) -> File:
    """Check the keys and values of a decoded TOML file. Raises `SchemaErrors` with all that is wrong."""
    try:
        return _CONVERTER.structure(raw, File)
    except BaseValidationError as error:
        raise SchemaErrors(list(_flatten(error, (), raw))) from None


def suggest(name: str, known: Iterable[str]) -> str:
    """A known name that may have been meant, as the end of a message."""
    import difflib  # not needed by a file without errors

    near = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f', did you mean "{near[0]}"?' if near else ""


def _flatten(group: BaseValidationError, path: Path, value: Any) -> Iterator[Wrong]:
    for error in group.exceptions:
        if isinstance(error, ForbiddenExtraKeysError):
            for unknown in error.extra_fields:
                yield Wrong((*path, unknown), None, f"unknown key{suggest(unknown, error.cl.__annotations__)}")
            continue
        key = _key(error)
        here, there = (*path, key), value[key]
        if isinstance(error, BaseValidationError):
            yield from _flatten(error, here, there)
        elif isinstance(error, _UnexpectedError | RuleError):
            yield Wrong(here, there, str(error))
        else:
            raise error


def _key(error: Exception) -> str | int:
    note = error.__notes__[-1]
    if isinstance(note, AttributeValidationNote):
        return note.name
    assert isinstance(note, IterableValidationNote)
    return note.index


def _insist(kind: type | UnionType, expected: str, then: _Hook | None = None) -> _Hook:
    """A hook that takes values of that kind only, and goes on with `then`."""

    def hook(value: Any, target: Any) -> Any:
        if not isinstance(value, kind):
            raise _UnexpectedError(expected)
        return then(value, target) if then else value

    return hook


def _choice(value: Any, target: Any) -> Any:
    choices = get_args(target)
    if value not in choices:
        raise _UnexpectedError("must be " + " or ".join(f'"{choice}"' for choice in choices))
    return value


def _errno_number(name: str, _: Any) -> int:
    known: dict[str, int] = {key: number for key, number in vars(errno).items() if key.startswith("E")}
    if name not in known:
        raise _UnexpectedError(f"must be the name of an errno{suggest(name, known)}")
    return known[name]


def _is(form: object) -> Callable[[Any], bool]:
    return lambda target: get_origin(target) == form


def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    text, names = "must be a string", "must be a name or a list of names"

    def make_list(target: Any) -> _Hook:
        return _insist(list, "must be a list of strings", list_structure_factory(target, converter))

    def make_mapping(target: Any) -> _Hook:
        return _insist(dict, "must be a table: [policy.NAME]", mapping_structure_factory(target, converter))

    def make_table(target: Any) -> _Hook:
        if is_namedtuple(target):
            return _insist(dict, "must be a table", namedtuple_factory(target, converter, "from_converter", True))
        return _insist(dict, "must be a table", typeddict_factory(target, converter))

    def one_or_more(value: Any, _: Any) -> Any:
        return [value] if isinstance(value, str) else converter.structure(value, list[str])

    for target, hook in {
        str: _insist(str, text),
        bool: _insist(bool, "must be true or false"),
        Errno: _insist(str, text, _errno_number),
        Names: _insist(str | list, names, one_or_more),
        SocketRule: _insist(str, text, lambda value, _: parse_rule("socket", "allow", "", value)),
        AddressRule: _insist(str, text, lambda value, _: parse_rule("connect", "allow", "", value)),
    }.items():
        converter.register_structure_hook(target, hook)
    converter.register_structure_hook_func(_is(Literal), _choice)
    converter.register_structure_hook_factory(_is(list), make_list)
    converter.register_structure_hook_factory(_is(dict), make_mapping)
    converter.register_structure_hook_factory(lambda target: is_typeddict(target) or is_namedtuple(target), make_table)
    return converter


_CONVERTER: Final = _converter()
