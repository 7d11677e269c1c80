"""Handlers made from a table: which methods of the base they override, and how they call them.

Every method of the base that a handler may override is overridden in each way that programs do
it, alone and in pairs. None of them knows of tlshttp. Each override counts its calls.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any, Final

from tests.handler.side_by_side import Ask, page

__all__ = [
    "ASKS",
    "COUNTED",
    "DIFFERENCES",
    "EVERYTHING",
    "PAIRS",
    "SINGLES",
    "Recipe",
    "write_site",
]

# How a method of the base is called --------------------------------------------------------------

OF_A_CONNECTION: Final = ("__init__", "setup", "handle", "finish")
OF_A_REQUEST: Final = ("handle_one_request", "parse_request", "handle_expect_100")
OF_A_RESPONSE: Final = (
    "send_error", "send_response", "send_response_only", "send_header", "end_headers",
    "flush_headers",
)  # fmt: skip
OF_A_LOG: Final = (
    "log_request", "log_error", "log_message", "version_string", "date_time_string",
    "log_date_time_string", "address_string",
)  # fmt: skip
OF_FILES: Final = (
    "do_GET", "do_HEAD", "send_head", "list_directory", "translate_path", "copyfile", "guess_type",
)  # fmt: skip
OF_THE_BASE: Final = (*OF_A_CONNECTION, *OF_A_REQUEST, *OF_A_RESPONSE, *OF_A_LOG)

WAYS: Final = ("super", "base", "definer")
"""``super().m()``, ``SimpleHTTPRequestHandler.m(self)`` (the class that is derived from), and
``StreamRequestHandler.m(self)`` (the class that defines it)."""

COUNTED: Final = frozenset({
    "parse_request", "send_error", "send_response", "end_headers", "log_request", "log_error",
    *OF_FILES,
})  # fmt: skip
"""What is called as often as on `http.server`; of all others it counts whether they are called."""

DIFFERENCES: Final[dict[str, str]] = {}
"""Recipes that may end otherwise than on `http.server`, by `Recipe.name`, and why."""


@dataclass(frozen=True)
class Override:
    """One method, and how it calls the base's."""

    method: str
    way: str

    def __str__(self) -> str:
        return f"{self.method}-{self.way}"


@dataclass(frozen=True)
class Recipe:
    """How a handler class is made."""

    files: bool
    """Whether it derives from `SimpleHTTPRequestHandler` rather than from its base."""
    version: str
    overrides: tuple[Override, ...]

    @property
    def name(self) -> str:
        """A name for reports and for `DIFFERENCES`."""
        base = "files" if self.files else "base"
        return "+".join([base, self.version[-3:], *map(str, self.overrides)])

    def make(self, site: Path) -> tuple[Any, Counter[str]]:
        """Return a class, and the counter of what is called on its instances."""
        base: Any = Files if self.files else Own
        calls: Counter[str] = Counter()
        kind: Any = type("Generated", (base,), {"protocol_version": self.version, "site": site})
        for override in self.overrides:
            call = _caller(override, kind, base.__mro__[1])
            setattr(kind, override.method, _counting(override.method, call, calls))
        return kind, calls


def _caller(override: Override, kind: type, base: type) -> Callable[..., Any]:
    name = override.method
    if override.way == "super":
        return lambda self, *args, **more: getattr(super(kind, self), name)(*args, **more)
    if override.way == "definer":
        base = next(each for each in base.__mro__ if name in vars(each))
    named: Callable[..., Any] = getattr(base, name)
    return named


def _counting(name: str, call: Callable[..., Any], calls: Counter[str]) -> Callable[..., Any]:
    before, after = _BEFORE.get(name), _AFTER.get(name)

    def method(self: Any, *args: Any, **more: Any) -> Any:
        calls[name] += 1
        if before is not None:
            before(self)
        if name == "__init__" and isinstance(self, Files):
            more["directory"] = str(self.site)
        result = call(self, *args, **more)
        return result if after is None else after(self, result, args)

    return method


# What an override does besides -------------------------------------------------------------------


def _add_origin(self: Any) -> None:
    self.send_header("Access-Control-Allow-Origin", "*")


def _add_status(self: Any, result: Any, args: Any) -> Any:
    self.send_header("X-Status", str(int(args[0])))
    return result


def _set_timeout(self: Any, result: Any, args: Any) -> Any:
    self.connection.settimeout(30)
    return result


def _add_word(self: Any, result: Any, args: Any) -> Any:
    return f"{result} generated"


def _add_charset(self: Any, result: Any, args: Any) -> Any:
    return f"{result}; charset=utf-8" if result.startswith("text/") else result


_BEFORE: Final[dict[str, Callable[[Any], None]]] = {"end_headers": _add_origin}
_AFTER: Final[dict[str, Callable[[Any, Any, Any], Any]]] = {
    "send_response": _add_status,
    "setup": _set_timeout,
    "version_string": _add_word,
    "guess_type": _add_charset,
}

# What is derived from, and what it is asked ------------------------------------------------------


class Own(BaseHTTPRequestHandler):
    """A handler of its own: lengths, streams, errors and bodies."""

    site: Path

    def do_GET(self) -> None:
        if self.path == "/error":
            self.send_error(404, "Nothing here")
        elif self.path == "/stream":
            self._stream()
        elif self.path == "/204":
            self.send_response(204)
            self.end_headers()
        else:
            page(self, self.path.encode(), ("Content-Type", "text/plain"))

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()

    def do_POST(self) -> None:
        page(self, self.rfile.read(int(self.headers["Content-Length"])))

    def _stream(self) -> None:
        self.send_response(200)
        if self.protocol_version == "HTTP/1.1":
            self.send_header("Connection", "close")
        self.end_headers()
        for piece in (b"one ", b"two ", b"x" * 20_000):
            self.wfile.write(piece)


class Files(SimpleHTTPRequestHandler):
    """The standard library's handler of files."""

    site: Path

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **{"directory": str(self.site), **more})


ASKS: Final[dict[bool, tuple[Ask, ...]]] = {
    False: (
        Ask(),
        Ask("HEAD"),
        Ask("POST", body=b"hello"),
        Ask(target="/204"),
        Ask(target="/error"),
        Ask(target="/stream"),
        Ask("BREW", target="/"),
        Ask(target="/last"),
    ),
    True: (
        Ask(target="/hello.txt"),
        Ask("HEAD", target="/hello.txt"),
        Ask(target="/missing"),
        Ask(target="/sub"),
        Ask(target="/sub/"),
        Ask(target="/"),
        Ask("BREW", target="/"),
        Ask(target="/hello.txt", fields=(("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),)),
    ),
}
"""By `Recipe.files`."""


def write_site(folder: Path) -> None:
    """Write the files that are asked for."""
    (folder / "sub").mkdir()
    (folder / "hello.txt").write_text("Hello, world\n" * 100)
    (folder / "sub" / "index.html").write_text("<p>index")


# The recipes -------------------------------------------------------------------------------------


def _methods(files: bool) -> tuple[str, ...]:
    return (*OF_THE_BASE, *OF_FILES) if files else OF_THE_BASE


def _ways(method: str, files: bool) -> Iterator[str]:
    base = SimpleHTTPRequestHandler if files else BaseHTTPRequestHandler
    yield from ("super", "base")
    if method not in vars(base):  # else both names are one
        yield "definer"


def _singles() -> Iterator[Recipe]:
    for files, version in itertools.product((False, True), ("HTTP/1.0", "HTTP/1.1")):
        for method in _methods(files):
            for way in _ways(method, files):
                yield Recipe(files, version, (Override(method, way),))


def _pairs() -> Iterator[Recipe]:
    """Yield every pair of methods in every pair of ways, on the handler of files."""
    for one, other in itertools.combinations(_methods(True), 2):
        for ways in itertools.product(_ways(one, True), _ways(other, True)):
            number = sum(map(ord, one + other + "".join(ways)))
            version = ("HTTP/1.0", "HTTP/1.1")[number % 2]
            yield Recipe(True, version, (Override(one, ways[0]), Override(other, ways[1])))


SINGLES: Final = tuple(_singles())
PAIRS: Final = tuple(_pairs())
EVERYTHING: Final = tuple(
    Recipe(files, version, tuple(Override(method, "base") for method in _methods(files)))
    for files, version in itertools.product((False, True), ("HTTP/1.0", "HTTP/1.1"))
)
"""Every method at once, by the name of its class."""
