"""Putting `TLSRequestHandler` underneath whatever a user serves with."""

from __future__ import annotations

import functools
import os
import stat
import types
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler
from typing import Any, NamedTuple

from tlshttp._own_files import OWN_FILES
from tlshttp._several import require_several
from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._paths import decode, has_too_many_names, path_of

__all__ = ["Composition", "compose"]


class Composition(NamedTuple):
    """How a server makes its handlers."""

    factory: Callable[..., Any]
    """Called with request, client address and server."""
    driven: bool
    """Whether what it makes is driven by the front, a request at a time."""
    composed: bool = True
    """Whether `TLSRequestHandler` is underneath, which looks at the host of each request."""


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
        return Composition(composed, composed.handle is TLSRequestHandler.handle)
    return Composition(handler, driven=False, composed=False)


def _compose_class(handler: type[BaseHTTPRequestHandler]) -> type[TLSRequestHandler]:
    require_several("allowed_hosts", getattr(handler, "allowed_hosts", None))
    if issubclass(handler, SimpleHTTPRequestHandler):
        require_several("index_pages", getattr(handler, "index_pages", _INDEX_PAGES))
    if issubclass(TLSRequestHandler, handler):  # http.server's own, which answers 501
        return TLSRequestHandler
    runs_scripts = hasattr(handler, "run_cgi")
    # TLSFileRequestHandler looks at what it has opened, which is better.
    serves_files = issubclass(handler, SimpleHTTPRequestHandler) and not hasattr(
        handler, "root_for"
    )
    if issubclass(handler, TLSRequestHandler) and not (runs_scripts or serves_files):
        return handler
    names: dict[str, Any] = {
        "__module__": handler.__module__,
        "__qualname__": handler.__qualname__,
        "__doc__": handler.__doc__,
    }
    if runs_scripts:
        names.update(_CGI_NAMES)
    if serves_files:
        names["translate_path"] = _translate_path
    bases: tuple[type, ...] = (handler,)
    if not issubclass(handler, TLSRequestHandler):
        bases = (*bases, TLSRequestHandler)
    if any("__init_subclass__" in vars(base) for base in handler.__mro__[:-1]):
        bases = (_Unseen, *bases)
    return types.new_class(handler.__name__, bases, {}, lambda body: body.update(names))


def _translate_path(self: Any, path: str) -> str:
    """Return the path of a file; that of none for one of the server's own, or of too many names."""
    if has_too_many_names(decode(path_of(path))):
        return _ABSENT
    found: str = super(type(self), self).translate_path(path)
    pages = getattr(self, "index_pages", _INDEX_PAGES)
    return _ABSENT if _is_own(found, pages) else found


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
    super(type(self), self).setup()
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
