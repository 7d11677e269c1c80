"""`serve`: one line from a handler to a running HTTPS server."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import BaseRequestHandler, BaseServer
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

from tlshttp import profiles, wsgi
from tlshttp._default_engine import ENGINES
from tlshttp._several import require_several
from tlshttp.certs import Certificate, CertificateAuthority, CertificateStore
from tlshttp.context import ClientAuth, create_server_context
from tlshttp.errors import ConfigurationError
from tlshttp.server import ThreadingTLSHTTPServer, TLSHTTPServer
from tlshttp.testing._authority import LOCAL_NAMES, Authority, authority
from tlshttp.testing._endpoint import check_timeout
from tlshttp.testing._observer import observe, without_handler
from tlshttp.testing._options import refuse_untaken
from tlshttp.testing._recorded import Happenings
from tlshttp.testing._responses import Respond, Responses, responder
from tlshttp.testing._running import RunningServer

if TYPE_CHECKING:
    from tlshttp._tls import TLSContext

__all__ = ["Served", "own", "serve"]

WSGIApplication: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

Served: TypeAlias = (
    type[BaseHTTPRequestHandler | HTTPServer]
    | functools.partial[Any]
    | WSGIApplication
    | Mapping[str, Respond]
)
"""What can be served: a handler class or a `functools.partial` of one, a server class that knows
its handler, a WSGI application, or a mapping of `Respond` by path."""


def serve(
    served: Served | None = None,
    *,
    server_class: type[HTTPServer] = ThreadingTLSHTTPServer,
    host: str = "localhost",
    names: Iterable[str] = (),
    ca: CertificateAuthority | None = None,
    certificate: Certificate | CertificateStore | None = None,
    client_auth: ClientAuth = ClientAuth.NONE,
    profile: profiles.TLSProfile = profiles.INTERMEDIATE,
    engine: Literal["ssl", "pyopenssl"] = "ssl",
    ssl_context: TLSContext | None = None,
    timeout: float = 5.0,
    **options: Any,
) -> RunningServer:
    """Serve over HTTPS, in a thread of its own, on a port that the system chooses.

    The server runs when this returns. Close it, best by ``with``: that joins everything, and raises
    what a handler has raised.

    Args:
        served: What answers: a `~http.server.BaseHTTPRequestHandler` class or a
            `functools.partial` of one; an `~http.server.HTTPServer` class that knows its handler; a
            WSGI application; or a mapping of paths to answers (see `Responses`). `None`: an empty
            mapping, to be filled by `RunningServer.responses`.
        server_class: The server for a handler, an application or a mapping. One that is not of this
            package is served by `~tlshttp.ThreadingTLSHTTPServer`, with all its hooks.
        host: Where to listen, and the host in the URL.
        names: DNS names and addresses that the certificate has besides ``localhost``,
            ``127.0.0.1``, ``::1`` and ``host``.
        ca: The authority that issues the certificate, and that `RunningServer.client_context` and
            `RunningServer.ca_path` are about; `None`: that of the process (`authority`).
        certificate: What the server shows instead of one from ``ca``; `None`: one from ``ca``.
        client_auth: Whether clients have to show a certificate from ``ca``, such as
            `RunningServer.client_certificate` issues.
        profile: What is negotiated.
        engine: What does the TLS: Python's own `ssl`, or ``"pyopenssl"`` (`tlshttp.pyopenssl`).
        ssl_context: A finished context instead of certificate, client authentication, profile and
            engine; `None`: one made from these.
        timeout: Seconds that the server's `~RunningServer.wait_for`, `~RunningServer.get` and
            `~RunningServer.close` wait before they raise.
        **options: Further arguments of the server class, such as ``limits``.

    Raises:
        ConfigurationError: It cannot be served as asked; all that is wrong is named.
        OSError: The address cannot be bound.
        TypeError: Nobody takes one of the options; the message names those there are.
    """
    require_several("names", names)
    names = tuple(names)
    check_timeout(timeout)
    ConfigurationError.raise_if(
        _findings(served, names, certificate, client_auth, profile, engine, ssl_context)
    )
    issuer = _authority(ca)
    if ssl_context is None:
        certificate = certificate or issuer.server_certificate(
            *dict.fromkeys((*LOCAL_NAMES, host, *names))
        )
        ssl_context = _creator(engine)(
            certificate,
            profile=profile,
            client_auth=client_auth,
            client_cas=() if client_auth is ClientAuth.NONE else [issuer.certificate.leaf],
        )
    happenings = Happenings(timeout)
    responses = _responses(served)
    made = observe(served if _is_server(served) else server_class, ssl_context, happenings)
    try:
        if _is_server(served):
            server = _construct(made, (host, 0), options)
        else:
            server = made((host, 0), _handler(served, responses), **options)
    except TypeError as error:
        refuse_untaken(error, options, serve, made)
        raise
    return RunningServer(server, issuer, certificate, happenings, responses)


def own(served: Any) -> Any:
    """Return a copy of what tests share, so that what one adds to it is not there for the next."""
    return dict(served) if isinstance(served, dict) else served


def _is_server(served: object) -> TypeGuard[type[HTTPServer]]:
    return isinstance(served, type) and issubclass(served, HTTPServer)


def _authority(ca: CertificateAuthority | None) -> Authority:
    """Return who issues and is trusted."""
    if ca is None:
        return authority()
    return ca if isinstance(ca, Authority) else Authority.of(ca)


def _creator(engine: str) -> Callable[..., TLSContext]:
    """Return what makes contexts on an engine."""
    if engine == "ssl":
        return create_server_context
    from tlshttp import pyopenssl  # it takes time, and few want it

    return pyopenssl.create_server_context


def _responses(served: Served | None) -> Responses | None:
    """Return the mapping that answers, if one does."""
    if served is None:
        return {}
    if isinstance(served, MutableMapping):
        return served
    return dict(served) if isinstance(served, Mapping) else None


def _handler(served: Any, responses: Responses | None) -> Callable[..., Any]:
    """Return what makes the handlers."""
    if responses is not None:
        return responder(responses)
    if _makes_handlers(served):
        handler: Callable[..., Any] = served
        return handler
    return wsgi.handler(served)


def _makes_handlers(served: object) -> bool:
    while isinstance(served, functools.partial):
        served = served.func
    return isinstance(served, type) and issubclass(served, BaseHTTPRequestHandler)


def _construct(
    made: type[TLSHTTPServer], address: tuple[str, int], options: dict[str, Any]
) -> TLSHTTPServer:
    """Make a server that knows its handler."""
    try:
        inspect.signature(made).bind(address, **options)
    except TypeError as error:
        refuse_untaken(error, options, serve, made)
        raise without_handler(made, error) from None
    make: Callable[..., TLSHTTPServer] = made
    return make(address, **options)


def _findings(
    served: object,
    names: Sequence[str],
    certificate: Certificate | CertificateStore | None,
    client_auth: ClientAuth,
    profile: profiles.TLSProfile,
    engine: str,
    ssl_context: TLSContext | None,
) -> list[str]:
    """Say what does not fit together."""
    found = _unfit(served)
    others = {
        "certificate": certificate is not None,
        "client_auth": client_auth is not ClientAuth.NONE,
        "profile": profile is not profiles.INTERMEDIATE,
        "engine": engine != "ssl",
    }
    if engine not in ENGINES:
        found.append(f"engine is {engine!r}; there are {' and '.join(map(repr, ENGINES))}")
    if ssl_context is not None:
        found += [
            f"ssl_context is finished: {name} cannot be applied to it"
            for name, given in others.items()
            if given
        ]
    if names and (ssl_context is not None or certificate is not None):
        found.append("names are for a certificate that serve() issues; one is given")
    return found


def _unfit(served: object) -> list[str]:
    """Say why something cannot be served."""
    if served is None or isinstance(served, Mapping):
        return []
    what = getattr(served, "__name__", repr(served))
    if inspect.iscoroutinefunction(served) or inspect.iscoroutinefunction(
        getattr(served, "__call__", None)  # noqa: B004 (the method itself is looked at)
    ):
        return [f"{what} is asynchronous, as ASGI applications are: give tlshttp.aio.asgi({what})"]
    if not callable(served):
        return [f"{what} is no handler class, server class, WSGI application or dict of responses"]
    if isinstance(served, type):
        of_sockets = issubclass(served, (BaseServer, BaseRequestHandler))
        if of_sockets and not issubclass(served, (HTTPServer, BaseHTTPRequestHandler)):
            return [f"{what} is neither an HTTPServer nor a BaseHTTPRequestHandler"]
    return []
