"""Putting `TLSRequestHandler` underneath a user's handler, and choosing how that is run."""

from __future__ import annotations

import enum
import functools
import os
import stat
import types
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from socketserver import BaseRequestHandler
from typing import Any, NamedTuple

from tlshttp._own_files import OWN_FILES
from tlshttp._several import require_several
from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._paths import decode, has_too_many_names, path_of
from tlshttp.handler._regular_files import STANDARD_COPY, copy_file

__all__ = ["Composition", "Mode", "compose"]


class Mode(enum.Enum):
    """How handlers are run."""

    DRIVEN = enum.auto()
    """One handler for a connection, called for each request that is ready."""
    ONE_SHOT = enum.auto()
    """One handler for each request, made when that is ready: set up, called and finished within its
    constructor, as `http.server` does with HTTP/1.0."""
    CLASSIC = enum.auto()
    """One handler for a connection, all within its constructor, in a thread of its own."""


class Composition(NamedTuple):
    """How a server makes its handlers."""

    factory: Callable[..., Any]
    """Called with request, client address and server."""
    mode: Mode
    """How they are run where every request can be waited for."""
    threaded_mode: Mode
    """How they are run by a server with many threads, where requests need not share one."""
    handler_class: type[TLSRequestHandler] | None
    """What the factory makes, where that is known."""
    dispatches: bool = False
    """Whether it finds the method of a request in a way of its own."""
    is_http: bool = True
    """Whether it makes handlers of HTTP, as far as that is known."""
    finishes: bool = False
    """Whether its handlers have a ``finish()`` of their own."""
    renews: bool = False
    """Whether a handler that serves several requests is to be as it was made before each of them:
    `http.server` makes one for each connection, which with HTTP/1.0 is one for each request."""
    first_timeout: float | None = None
    """Seconds that its handlers wait for a request, by their class."""


def compose(handler: Callable[..., Any]) -> Composition:
    """Compose a handler class, a `functools.partial` of one, or anything else that makes one.

    What only makes handlers (a function) is served as it is: its handlers do all their work in
    their constructor.

    Raises:
        TypeError: The class has one text where several are due.
    """
    if isinstance(handler, functools.partial):
        inner = compose(handler.func)
        factory = functools.partial(inner.factory, *handler.args, **handler.keywords)
        return inner._replace(factory=factory)
    if isinstance(handler, type) and issubclass(handler, BaseHTTPRequestHandler):
        composed = _compose_class(handler)
        return Composition(
            composed,
            *_modes(handler),
            composed,
            dispatches=_has_own(handler, "handle", "handle_one_request", "parse_request"),
            finishes=_has_own(handler, "finish"),
            renews=not _sets_version(handler),
            first_timeout=_known_timeout(composed),
        )
    is_http = not (isinstance(handler, type) and issubclass(handler, BaseRequestHandler))
    return Composition(handler, Mode.CLASSIC, Mode.CLASSIC, None, is_http=is_http)


_STANDARD = ("http.server", "socketserver")
_OURS = ("tlshttp", "tlshttp.aio", "tlshttp.handler", "tlshttp.testing", "tlshttp.wsgi")


def _has_own(handler: type, *names: str) -> bool:
    """Return whether a class, or one of a user's below it, defines one of these methods."""
    return any(
        name in vars(base)
        for base in handler.__mro__
        if base.__module__ not in _STANDARD
        and base.__module__.rpartition(".")[0] not in _OURS
        and base is not object
        for name in names
    )


def _known_timeout(handler: type[TLSRequestHandler]) -> float | None:
    """Return the ``timeout`` of a class; `None` where only its handlers can tell (a property)."""
    timeout: object = handler.timeout
    return timeout if isinstance(timeout, (int, float)) else None


def _modes(original: type) -> tuple[Mode, Mode]:
    """Return how handlers of a class are run with one thread, and with many.

    A class with a constructor, ``setup()`` or ``finish()`` of its own has these and all its
    requests run on one thread, in the order of `socketserver`. If it is for HTTP/1.0, which is the
    default, `http.server` makes a handler for each request; so does this.
    """
    if hasattr(original, "_create_answerer"):  # nobody has a thread to wait in
        return Mode.DRIVEN, Mode.DRIVEN
    if _has_own(original, "handle"):
        return Mode.CLASSIC, Mode.CLASSIC
    is_constructed = _has_own(original, "__init__", "__new__")
    if not is_constructed and not _has_own(original, "setup", "finish"):
        return Mode.DRIVEN, Mode.DRIVEN
    if not _sets_version(original):
        return Mode.ONE_SHOT, Mode.ONE_SHOT
    return Mode.ONE_SHOT if is_constructed else Mode.DRIVEN, Mode.CLASSIC


def _sets_version(handler: type) -> bool:
    """Return whether a class says that it speaks HTTP/1.1: by a name of its own, or of ours."""
    return issubclass(handler, TLSRequestHandler) or (
        _has_own(handler, "protocol_version")
        and str(getattr(handler, "protocol_version", "")) >= "HTTP/1.1"
    )


def _compose_class(handler: type[BaseHTTPRequestHandler]) -> type[TLSRequestHandler]:
    require_several("allowed_hosts", getattr(handler, "allowed_hosts", None))
    if issubclass(handler, SimpleHTTPRequestHandler):
        require_several("index_pages", getattr(handler, "index_pages", _INDEX_PAGES))
    if issubclass(TLSRequestHandler, handler):  # http.server's own, which answers 501
        return TLSRequestHandler
    names = _mended(handler)
    if issubclass(handler, TLSRequestHandler) and not names:
        return handler
    if _has_own(handler, "handle") and not _sets_version(handler):
        # It may return after any response, as in http.server: so each response says that it is the
        # last.
        names["protocol_version"] = getattr(handler, "protocol_version", "HTTP/1.0")
    names.update(
        __module__=handler.__module__, __qualname__=handler.__qualname__, __doc__=handler.__doc__
    )
    bases: tuple[type, ...] = (handler,)
    if handler is BaseHTTPRequestHandler:
        bases = (TLSRequestHandler,)
    elif not issubclass(handler, TLSRequestHandler):
        bases = (*bases, TLSRequestHandler)
    if any("__init_subclass__" in vars(base) for base in handler.__mro__[:-1]):
        bases = (_Unseen, *bases)
    return types.new_class(handler.__name__, bases, {}, lambda body: body.update(names))


def _mended(handler: type[BaseHTTPRequestHandler]) -> dict[str, Any]:
    """Return the inherited methods of `http.server` that would not work here."""
    names: dict[str, Any] = {}
    if hasattr(handler, "run_cgi") and _composed_of(handler, "setup", _setup_cgi) is None:
        names.update(_CGI_NAMES)
    if getattr(handler, "copyfile", None) is STANDARD_COPY:
        names["copyfile"] = copy_file
    # TLSFileRequestHandler looks at what it has opened, which is better.
    serves_files = issubclass(handler, SimpleHTTPRequestHandler) and not hasattr(
        handler, "root_for"
    )
    if serves_files and _composed_of(handler, "translate_path", _translate_path) is None:
        names["translate_path"] = _translate_path
    return names


def _translate_path(self: Any, path: str) -> str:
    """Return the path of a file; one of no file for the server's own, or for too many names."""
    if has_too_many_names(decode(path_of(path))):
        return _ABSENT
    composed: Any = _composed_of(type(self), "translate_path", _translate_path)
    found: str = super(composed, self).translate_path(path)
    pages = getattr(self, "index_pages", _INDEX_PAGES)
    return _ABSENT if _is_own(found, pages) else found


def _composed_of(handler: type, name: str, method: object) -> type | None:
    """Return the class that composition has given a method; `None` if none has it."""
    return next((base for base in handler.__mro__ if vars(base).get(name) is method), None)


def _is_own(path: str, pages: Iterable[str]) -> bool:
    """Return whether a path, or what is sent for the folder there, is the server's own."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return False
    if OWN_FILES.include(path, status):
        return True
    within = (os.path.join(path, page) for page in pages) if stat.S_ISDIR(status.st_mode) else ()
    return any(_is_own(page, ()) for page in within)


class _Unseen:
    """Keeps composition from the user's own ``__init_subclass__()``."""

    def __init_subclass__(cls) -> None:
        """Do nothing, not even ask the next class."""


def _setup_cgi(self: Any) -> None:
    composed: Any = _composed_of(type(self), "setup", _setup_cgi)
    super(composed, self).setup()
    self.rfile.__dict__["_sock"] = _NothingMore(self.rfile)


_ABSENT = os.path.join(os.devnull, "absent")  # below what is no folder there is nothing
_INDEX_PAGES = ("index.html", "index.htm")


class _NothingMore:
    """What ``CGIHTTPRequestHandler`` looks for behind ``rfile`` after a request: always empty."""

    def __init__(self, file: Any) -> None:
        self.fileno = file.fileno

    def recv(self, _size: int) -> bytes:
        return b""


# http.server.CGIHTTPRequestHandler (deprecated, gone in Python 3.15) gives a forked script the
# connection itself, which would bypass TLS; its other way, through pipes, does not.
_CGI_NAMES: dict[str, Any] = {"have_fork": False, "setup": _setup_cgi}
