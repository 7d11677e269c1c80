"""The programs that stand for our users' type checking: that they use every public name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.pages import ROOT
from tests.docs.test_complete import public_names

pytestmark = pytest.mark.thorough

PROGRAMS = sorted((ROOT / "tests/typing").glob("*.py"))


def used_names(program: str) -> Iterator[str]:
    """Yield the names of tlshttp that a program mentions other than where it imports them."""
    tree = ast.parse(program)
    known = dict(_imported(tree))
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name) if name in known:
                yield known[name]
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in known:
                yield f"{known[name]}.{attribute}"
            case _:
                pass


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((one.name, one.name) for one in names if one.name == "tlshttp")
            case ast.ImportFrom(module=str(module), names=names) if module.startswith("tlshttp"):
                yield from ((one.asname or one.name, f"{module}.{one.name}") for one in names)
            case _:
                pass


def test_every_public_name_is_used_by_a_typed_program() -> None:
    """What the session ``types`` checks for four Pythons leaves no public name out."""
    used = {name for path in PROGRAMS for name in used_names(path.read_text(encoding="utf-8"))}
    missing = sorted(set(public_names()) - used)
    assert not missing


def test_an_import_alone_is_no_use() -> None:
    """Names count where they are used, under whatever name they were imported."""
    program = "import tlshttp\nfrom tlshttp import Limits, certs as c\nc.load\ntlshttp.Stats\n"
    assert set(used_names(program)) == {
        "tlshttp",
        "tlshttp.Stats",
        "tlshttp.certs",
        "tlshttp.certs.load",
    }


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_typed_program_stays_a_users(path: Path) -> None:
    """Nothing private is imported: a user could have written it."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in modules if "._" in name or name.startswith("tests")]
