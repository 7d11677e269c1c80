"""`asgi`: a handler class that has an ASGI application answer (ASGI 3.0)."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import TYPE_CHECKING, Any, TypeAlias

from tlshttp._several import require_several
from tlshttp.aio._handler import AsyncTLSRequestHandler
from tlshttp.aio._heads import Heads
from tlshttp.aio._http import Call, Message
from tlshttp.aio._lifespan import Lifespan
from tlshttp.aio._scope import (
    Scope,
    Scopes,
    checked_root_path,
    tls_extension,
)
from tlshttp.errors import ConfigurationError

if TYPE_CHECKING:
    from tlshttp.handler._forwarded import ForwardedRequest
    from tlshttp.server import TLSHTTPServer
    from tlshttp.websocket._terms import Origins

__all__ = ["ASGIApplication", "asgi"]

Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger("tlshttp.handler")


def asgi(
    application: Any,
    *,
    root_path: str = "",
    lifespan: bool | None = None,
    origins: Origins | Collection[str] | None = None,
) -> type[AsyncTLSRequestHandler]:
    """Return a handler class that has an ASGI application answer, for either server.

    Args:
        application: The application: Starlette, FastAPI, Quart, or a function of yours that takes
            ``scope``, ``receive`` and ``send``.
        root_path: Where the application is mounted, by a proxy that takes this off the path; the
            application finds it in its scope, and before the path. Empty: at the root.
        lifespan: Whether the application is told of the server's beginning and end. With true it
            has to answer ``lifespan.startup.complete``: one that raises or returns without that
            keeps the server from serving. With `None` only ``lifespan.startup.failed`` does so;
            whoever raises is served, and has one warning in the log if it has taken the event.
            With false it is not told. For its end it has five seconds, and is cancelled then.
        origins: Whose pages may open WebSockets: a list such as ``["https://example.org"]``, or
            ``tlshttp.websocket.ANY_ORIGIN``; `None`: those of the host that the request is for.

    Raises:
        ConfigurationError: ``root_path`` does not begin with a slash, or the application takes
            other arguments than those of ASGI 3.0, as WSGI applications do.
        TypeError: The application cannot be called, or ``origins`` is one text.
    """
    if not callable(application):
        raise TypeError(f"an ASGI application is called, and {application!r} cannot be")
    _check_arguments(application)
    require_several("origins", origins)
    attributes = {
        "_application": staticmethod(application),
        "_root_path": checked_root_path(root_path),
        "_wants_lifespan": lifespan,
        "_origins": origins,
        "__module__": __name__,
    }
    return type("ASGIHandler", (_ASGIHandler,), attributes)


def _check_arguments(application: Any) -> None:
    """Refuse what cannot be called as ASGI applications are.

    Raises:
        ConfigurationError: It cannot.
    """
    try:
        signature = inspect.signature(application)
    except (TypeError, ValueError):  # of C, mostly: nobody knows
        return
    try:
        signature.bind("scope", "receive", "send")
    except TypeError as error:
        named = application if hasattr(application, "__qualname__") else type(application)
        raise ConfigurationError(
            f"{named.__module__}.{named.__qualname__} is no ASGI application: it is not to be"
            f" called with scope, receive and send, but as {signature}; WSGI applications are for"
            " tlshttp.wsgi.handler() and --wsgi"
        ) from error


class _ASGIHandler(AsyncTLSRequestHandler):
    """The handler class."""

    stream_request = True
    cancel_when_left = False  # the application is told, and may have something to put away

    _application: Callable[..., Coroutine[Any, Any, None]]
    _root_path: str
    _wants_lifespan: bool | None
    _origins: Origins | Collection[str] | None
    _scopes: Scopes | None = None
    _heads: Heads
    forwarded: ForwardedRequest | None = None
    """What `ForwardedMixIn` has found, where that comes before this class."""

    def __getattr__(self, name: str) -> Any:
        # What follows the head of a tunnel would be no body of an application's: 501.
        if name.startswith("do_") and name != "do_CONNECT":
            return self.do_GET
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def do_GET(self) -> Any:
        """Call the application."""
        if self._scopes is None:
            self._scopes = Scopes(self._root_path, tls_extension(self.tls))
            self._heads = Heads(type(self))
        scope = self._scopes.scope(self)
        state = vars(self.server).get("_asgi_state")
        if state is not None:
            scope["state"] = state.copy()
        if scope["type"] == "http":
            return Call(self).run(self._application, scope)
        from tlshttp.aio._websocket import WebSocketCall

        return WebSocketCall(self, self._origins).run(self._application, scope)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = do_GET

    @classmethod
    def _answers_by_coroutine(cls, _command: str, /) -> bool:
        return True

    # The server's beginning and end -----------------------------------------------------------

    @classmethod
    async def _open(cls, server: TLSHTTPServer) -> None:
        if cls._wants_lifespan is False:
            return
        lifespan = Lifespan(cls._application, is_required=cls._wants_lifespan is True)
        failure = await lifespan.start()
        if failure is not None:
            raise ConfigurationError(f"the ASGI application has not started: {failure}")
        if lifespan.is_there:
            vars(server)["_asgi_lifespan"] = lifespan
            vars(server)["_asgi_state"] = lifespan.state

    @classmethod
    async def _close(cls, server: TLSHTTPServer) -> None:
        lifespan: Lifespan | None = vars(server).pop("_asgi_lifespan", None)
        if lifespan is None:
            return
        failure = await lifespan.stop()
        if failure is not None:
            _log.error("the ASGI application has not ended in good order: %s", failure)
