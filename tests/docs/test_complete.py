"""The documentation: that it has every public name and every session, and no others."""

from __future__ import annotations

import inspect
import re
import runpy
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import tlshttp
from tests.docs.pages import DOCS, ROOT
from tlshttp import certs

pytestmark = pytest.mark.thorough

_SESSION = re.compile(r"^@nox\.session.*\ndef (\w+)", re.MULTILINE)
_DIRECTIVE = re.compile(r"^\.\. (?:auto|py:)(\w+):: ([\w.]+)", re.MULTILINE)


def public_names() -> Iterator[str]:
    """Yield every name in ``__all__`` of the package and of its public modules."""
    for name in tlshttp.__all__:
        yield f"tlshttp.{name}"
        module = getattr(tlshttp, name)
        if isinstance(module, ModuleType):
            yield from (f"tlshttp.{name}.{inner}" for inner in module.__all__)


def documented_names() -> Iterator[str]:
    """Yield what the pages of the reference describe, the members of whole modules included."""
    for page in (DOCS / "reference").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        for directive in _DIRECTIVE.finditer(text):
            kind, name = directive.groups()
            yield name
            options = text[directive.end() :].partition("\n\n")[0]
            if kind == "module" and ":no-members:" not in options:
                module = getattr(tlshttp, name.removeprefix("tlshttp."))
                yield from (f"{name}.{inner}" for inner in module.__all__)


def test_every_public_name_has_a_place_in_the_reference() -> None:
    """Public means documented."""
    missing = sorted(set(public_names()) - set(documented_names()))
    assert not missing


def test_the_reference_describes_only_what_there_is() -> None:
    """A name that was renamed or removed does not live on in the reference."""
    unknown = sorted(set(documented_names()) - set(public_names()) - {"tlshttp"})
    assert not unknown


def test_every_session_is_told_of() -> None:
    """Who works on tlshttp finds each session of nox on the page that is for them."""
    noxfile = (ROOT / "noxfile.py").read_text(encoding="utf-8")
    page = (DOCS / "contributing.md").read_text(encoding="utf-8")
    sessions = _SESSION.findall(noxfile)
    assert "tests" in sessions
    assert [name for name in sessions if not re.search(rf"`{name}(-3|`)", page)] == []


def test_no_signature_publishes_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A default that is ``os.environ`` is shown by its name, not with the builder's secrets."""
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setenv("TLSHTTP_TEST_TOKEN", "very }) 'secret'")
    shorten = runpy.run_path(str(DOCS / "conf.py"))["say_it_shorter"]
    signature = str(inspect.signature(certs.local_authority_folder))
    assert "TLSHTTP_TEST_TOKEN" in signature
    shown, _ = shorten(None, "function", "", None, None, signature, "Path")
    assert "os.environ" in shown
    assert "TLSHTTP_TEST_TOKEN" not in shown
    assert "secret" not in shown
