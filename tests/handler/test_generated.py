"""Generated handlers end on ours as on `http.server` over TLS."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from tests.handler.generated import (
    ASKS,
    COUNTED,
    DIFFERENCES,
    EVERYTHING,
    OF_FILES,
    OF_THE_BASE,
    PAIRS,
    SINGLES,
    Recipe,
    write_site,
)
from tests.handler.side_by_side import OURS, Outcome, Reference, framed_once, outcome

SAMPLE = 16
"""Of so many pairs one is tested each time; all of them are with ``-m thorough``."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the files that are asked for."""
    folder = tmp_path_factory.mktemp("site")
    write_site(folder)
    return folder


@dataclass(frozen=True)
class Run:
    """What came of a conversation, and which methods were called for it."""

    outcome: Outcome
    calls: Counter[str]

    @property
    def counted(self) -> dict[str, int]:
        """How often what has to be called as often was called."""
        return {name: self.calls[name] for name in COUNTED if self.calls[name]}


def _run(server_class: type, recipe: Recipe, site: Path) -> Run:
    handler, calls = recipe.make(site)
    return Run(outcome(server_class, handler, ASKS[recipe.files]), calls)


def _check(recipe: Recipe, site: Path) -> None:
    """Compare both of ours with the reference."""
    if recipe.name in DIFFERENCES:
        pytest.skip(DIFFERENCES[recipe.name])
    reference = _run(Reference, recipe, site)
    for server_class in OURS:
        ours = _run(server_class, recipe, site)
        assert ours.outcome.meaning == reference.outcome.meaning
        assert all(framed_once(response) for response in ours.outcome.responses)
        assert ours.outcome.tracebacks == reference.outcome.tracebacks == 0
        assert set(ours.calls) == set(reference.calls)
        assert ours.counted == reference.counted
        if recipe.version == "HTTP/1.1":
            assert kept(ours) >= kept(reference)
        if {"setup", "finish"} <= set(ours.calls):
            assert ours.calls["setup"] == ours.calls["finish"]


def kept(run: Run) -> int:
    """Return after how many responses the connection was kept."""
    return sum(response.kept for response in run.outcome.responses)


@pytest.mark.parametrize("recipe", [*SINGLES, *EVERYTHING], ids=lambda recipe: recipe.name)
def test_one_override_ends_as_on_http_server(recipe: Recipe, site: Path) -> None:
    """Every method of the base, overridden alone or all at once, in every way of calling it."""
    _check(recipe, site)


@pytest.mark.parametrize("recipe", PAIRS[::SAMPLE], ids=lambda recipe: recipe.name)
def test_two_overrides_end_as_on_http_server(recipe: Recipe, site: Path) -> None:
    """Two methods of the base, overridden together."""
    _check(recipe, site)


@pytest.mark.thorough
@pytest.mark.parametrize("part", range(SAMPLE))
def test_all_pairs_of_overrides_end_as_on_http_server(part: int, site: Path) -> None:
    """Every two methods, in every two ways."""
    for recipe in PAIRS[part::SAMPLE]:
        _check(recipe, site)


def test_the_corpus_is_as_large_as_was_asked_for() -> None:
    """There are at least 120 handlers, and every method of the base has its place."""
    assert len(SINGLES) + len(EVERYTHING) >= 120
    assert len(PAIRS) > 1000
    named = {override.method for recipe in SINGLES for override in recipe.overrides}
    assert named == {*OF_THE_BASE, *OF_FILES}
    assert not _methods_of(SimpleHTTPRequestHandler) - named - NOT_FOR_OVERRIDING


NOT_FOR_OVERRIDING = {"_control_char_table", "_log_request_info"}


def _methods_of(kind: type) -> set[str]:
    """Return the methods of the standard library's handler, as this Python has them."""
    classes = [each for each in kind.__mro__ if issubclass(each, BaseHTTPRequestHandler)]
    return {
        name
        for each in classes
        for name, value in vars(each).items()
        if callable(value) and not name.startswith("__") and not isinstance(value, type)
    }
