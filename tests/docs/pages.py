"""Pages of the documentation, and the code that a reader of them sees and copies."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
DOCS: Final = ROOT / "docs"
EXAMPLES: Final = DOCS / "examples"


class Kind(Enum):
    """What a reader does with a block."""

    PROGRAM = "program"
    """Runs it, below what the page had before."""

    SESSION = "session"
    """Types it at the prompt of Python, where the page's other code has been run."""

    TESTS = "tests"
    """Saves it as a file of tests, for pytest."""

    FILE = "file"
    """Saves it under the name in its first line, ``# hello.py``."""

    SHELL = "shell"
    """Gives it to a shell."""

    OUTPUT = "output"
    """Compares it with what the block before it has printed."""

    OTHER = "other"
    """Reads it."""


LANGUAGES: Final = {
    "": Kind.OTHER,
    "output": Kind.OUTPUT,
    "sh": Kind.SHELL,
    "text": Kind.OTHER,
    "dockerfile": Kind.OTHER,
    "ini": Kind.OTHER,
    "yaml": Kind.OTHER,
}
"""What is done with the blocks of a language; Python's depend on what is in them."""

_BLOCK: Final = re.compile(
    r"(?:^<!-- not run: (?P<reason>[^\n]+) -->\n)?"
    r"^(?P<indent> *)(?P<fence>`{3,})(?P<info>[^`\n]*)\n(?P<text>.*?)^(?P=indent)(?P=fence)$",
    re.MULTILINE | re.DOTALL,
)
INSTALL: Final = re.compile(
    r"python3 -m venv \.venv(?: && |\n)\.venv/bin/pip install (\.)(?: && |\n)"
)
"""How the README and the tutorial install tlshttp, in a clone; its group is what is installed."""

_FILE_NAME: Final = re.compile(r"# ([\w./-]+\.\w+)\n")
_TESTS: Final = re.compile(r"^(?:    )?def test_", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """Code that a page shows."""

    kind: Kind
    text: str
    place: str
    """Page and line, as ``tutorial.md:12``."""
    language: str
    name: str | None = None
    """What to save it as; ``None`` where that does not matter."""
    reason: str | None = None
    """Why no test runs it; ``None``: tests do."""


def pages() -> list[Path]:
    """Return every page, the README included."""
    made = DOCS / "_build"
    return [ROOT / "README.md", *(p for p in sorted(DOCS.rglob("*.md")) if made not in p.parents)]


def blocks(page: Path) -> Iterator[Block]:
    """Yield what a page shows as code, in its order, files that it includes as well."""
    source = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(source):
        line = source.count("\n", 0, found.start()) + 1
        language, text = found["info"].strip(), textwrap.dedent(found["text"])
        reason = found["reason"]
        if language.startswith("{literalinclude}"):
            file = (page.parent / language.partition(" ")[2]).resolve()
            language, text = "python", file.read_text(encoding="utf-8")
            reason = None if EXAMPLES in file.parents else "it is run where it lies"
        kind, name = _judge(language, text)
        yield Block(kind, text, f"{page.name}:{line}", language, name, reason)


def _judge(language: str, text: str) -> tuple[Kind, str | None]:
    """Tell what is done with a block, and the name under which it is saved."""
    named = _FILE_NAME.match(text)
    if named:
        return Kind.FILE, named[1]
    if language != "python":
        return LANGUAGES.get(language, Kind.OTHER), None
    if ">>> " in text:
        return Kind.SESSION, None
    return (Kind.TESTS if _TESTS.search(text) else Kind.PROGRAM), None


def installed(text: str) -> str:
    """Leave out that tlshttp is installed."""
    return INSTALL.sub("", text)


def with_wheel(text: str, wheel: str) -> str:
    """Have a wheel installed in place of a clone, and change nothing else."""
    return INSTALL.sub(lambda found: found[0].replace("install .", f"install {wheel}"), text)
