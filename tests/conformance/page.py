"""docs/conformance.md: each tool that compares writes its own part of it."""

import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[2] / "docs/conformance.md"


def write_part(name: str, lines: list[str]) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- end -->`."""
    text = PAGE.read_text(encoding="utf-8")
    part = f"<!-- {name} -->\n" + "\n".join(lines) + "\n<!-- end -->"
    pattern = rf"<!-- {re.escape(name)} -->\n.*?<!-- end -->"
    if not re.search(pattern, text, flags=re.DOTALL):
        raise LookupError(f"{PAGE} has no part {name}")
    PAGE.write_text(re.sub(pattern, lambda _: part, text, flags=re.DOTALL), encoding="utf-8")
