"""The classes around a server class that tell what happens at the server.

One goes in front of the user's class, so that its hooks see everything whatever the user's do. The
other goes below it, where constructors arrive: it gives the server its context, and its handlers a
recorder.
"""

from __future__ import annotations

import socketserver
import sys
from collections.abc import Callable
from http.server import HTTPServer
from typing import TYPE_CHECKING, Any

from tlshttp._second_bases import default_handler
from tlshttp.errors import ConfigurationError, ConnectionCut, HandshakeError
from tlshttp.server import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp.testing._recorded import Happenings
from tlshttp.testing._recorder import derive, record

if TYPE_CHECKING:
    from tlshttp._tls import TLSContext

__all__ = ["observe", "without_handler"]

_CERTIFICATES = ("ssl_context", "certfile", "certificate")
"""Arguments that each say what is shown to clients."""

if TYPE_CHECKING:
    _Base = TLSHTTPServer
else:
    _Base = object


def observe(
    server_class: type[HTTPServer], ssl_context: TLSContext, happenings: Happenings
) -> type[TLSHTTPServer]:
    """Return a server class that serves over TLS and records what happens.

    Args:
        server_class: One of ours, or any `~http.server.HTTPServer`, whose hooks are kept.
        ssl_context: The context it has where its constructor is given none.
        happenings: Where everything is recorded.
    """
    forks = getattr(socketserver, "ForkingMixIn", None)
    if forks is not None and issubclass(server_class, forks):
        happenings.not_recorded = (
            f"the requests of {server_class.__name__} are not recorded: child processes serve them"
        )
    names = {
        "_InFront__happenings": happenings,
        "_Below__happenings": happenings,
        "_Below__ssl_context": ssl_context,
    }
    return derive(server_class, (_InFront, *_bases(server_class), _Below), names)


def without_handler(made: type, error: TypeError) -> ConfigurationError:
    """Return what is raised where a server class has no handler of its own."""
    return ConfigurationError(
        f"{made.__name__} cannot be made from an address alone ({error}): where it is to be"
        f" given a handler, call serve(Handler, server_class={made.__name__})"
    )


def _bases(server_class: type[HTTPServer]) -> tuple[type, ...]:
    """Return what stands above `_Below`, which is a `TLSHTTPServer` itself."""
    if server_class is TLSHTTPServer:
        return ()
    if server_class is HTTPServer:
        return (ThreadingTLSHTTPServer,)
    if issubclass(server_class, TLSHTTPServer):
        return (server_class,)
    return (server_class, ThreadingTLSHTTPServer)


class _InFront(_Base):
    """Hooks that do what they did, then record: after an event its hook is done."""

    __happenings: Happenings

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exception()
        if error is not None:
            self.__happenings.add_handler_error(error, f"a request of {client_address}")
            self.__happenings.forget_passing()
        super().handle_error(request, client_address)

    def handle_handshake_error(self, exc: HandshakeError, client_address: Any) -> None:
        try:
            super().handle_handshake_error(exc, client_address)
        finally:
            self.__happenings.add_peer_error(exc)

    def handle_connection_cut(self, exc: ConnectionCut, client_address: Any) -> None:
        try:
            super().handle_connection_cut(exc, client_address)
        finally:
            self.__happenings.add_peer_error(exc)


class _Below(TLSHTTPServer):
    """What stands between a user's server class and ours."""

    __happenings: Happenings
    __ssl_context: TLSContext

    def __init__(
        self,
        server_address: Any,
        RequestHandlerClass: Callable[..., Any] | None = None,
        bind_and_activate: bool = True,
        **options: Any,
    ) -> None:
        if RequestHandlerClass is None:
            try:
                RequestHandlerClass = default_handler(super(TLSHTTPServer, self).__init__)
            except TypeError as error:
                raise without_handler(type(self), error) from None
        if all(options.get(name) is None for name in _CERTIFICATES):
            options["ssl_context"] = self.__ssl_context
        handler = record(RequestHandlerClass, self.__happenings)
        super().__init__(server_address, handler, bind_and_activate, **options)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Print nothing: the exception is raised where the test sees it."""
