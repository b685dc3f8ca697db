"""Line numbers for the keys and array items of a TOML text that is known to be valid.

`tomllib` gives no positions, and `tomlkit`, which keeps the text, gives none either. What is left to find in a text
that `tomllib` has accepted is its outline (strings, brackets, commas), and that is what is read here, only after an
error was found.
"""

import re
import tomllib
from typing import Final

Path = tuple[str | int, ...]

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"""(?:"{0,2})'  # up to two quotes may stand before the closing three
    r"|'''.*?'''(?:'{0,2})"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_DOT: Final = re.compile(r"[ \t]*\.[ \t]*")


def find_lines(text: str) -> dict[Path, int]:
    """The line (from 1) where each key or array item stands; a table stands where it is first named."""
    return _Outline(text).lines


class _Outline:
    def __init__(self, text: str) -> None:
        self.lines: dict[Path, int] = {}
        self._text = text
        self._at = 0
        self._counted = (0, 1)
        self._arrays: dict[Path, int] = {}
        self._document()

    def _line(self) -> int:
        at, line = self._counted
        self._counted = (self._at, line + self._text.count("\n", at, self._at))
        return self._counted[1]

    def _blank(self) -> None:
        self._at = self._end(_BLANK)

    def _end(self, pattern: re.Pattern[str]) -> int:
        found = pattern.match(self._text, self._at)
        return found.end() if found else self._at

    def _sees(self, start: str) -> bool:
        return self._text.startswith(start, self._at)

    def _document(self) -> None:
        table: Path = ()
        self._blank()
        while self._at < len(self._text):
            if self._sees("["):
                table = self._header()
            else:
                self._pair(table)
            self._blank()

    def _header(self) -> Path:
        brackets = 2 if self._sees("[[") else 1
        self._at += brackets
        self._blank()
        path: Path = ()
        keys = self._keys()
        for number, key in enumerate(keys, 1):
            path = (*path, key)
            self.lines.setdefault(path, self._line())
            if number == len(keys) and brackets == 2:
                self._arrays[path] = self._arrays.get(path, -1) + 1
            if path in self._arrays:
                path = (*path, self._arrays[path])
                self.lines.setdefault(path, self._line())
        self._blank()
        self._at += brackets
        return path

    def _keys(self) -> list[str]:
        keys = [self._key()]
        while (after := self._end(_DOT)) > self._at:
            self._at = after
            keys.append(self._key())
        return keys

    def _key(self) -> str:
        start = self._at
        bare = self._end(_BARE_KEY)
        self._at = bare if bare > start else self._end(_STRING)
        raw = self._text[start : self._at]
        return raw if bare > start else str(tomllib.loads(f"key = {raw}")["key"])

    def _pair(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path = (*path, key)
            self.lines.setdefault(path, line)
        self._blank()
        self._at += 1
        self._blank()
        self._value(path)

    def _value(self, path: Path) -> None:
        if self._sees("["):
            self._array(path)
        elif self._sees("{"):
            self._inline_table(path)
        else:
            string = self._end(_STRING)
            self._at = string if string > self._at else self._end(_SCALAR)

    def _array(self, path: Path) -> None:
        self._at += 1
        self._blank()
        index = 0
        while not self._sees("]"):
            self.lines[(*path, index)] = self._line()
            self._value((*path, index))
            index += 1
            self._skip_comma()
        self._at += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        self._blank()
        while not self._sees("}"):
            self._pair(path)
            self._skip_comma()
        self._at += 1

    def _skip_comma(self) -> None:
        self._blank()
        self._at += self._sees(",")
        self._blank()
