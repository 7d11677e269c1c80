"""The environment of a request (PEP 3333, "environ Variables").

Most of it is the same for all requests of a connection, and a request mostly repeats the one before
it, or at least its fields, byte for byte. So there is one environment that is only copied, and
never given away.

Of the fields of a request, some never reach an application:

1.  Names with an underscore: ``X_Real_IP`` and ``X-Real-IP`` would both be ``HTTP_X_REAL_IP``, and
    a proxy that sets the one lets the other pass.
2.  ``Proxy``: ``HTTP_PROXY`` is where HTTP clients look for their proxy (CVE-2016-5385).
"""

from __future__ import annotations

import functools
import io
import socketserver
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from tlshttp.handler._head import RequestHeaders
from tlshttp.server import ThreadingTLSHTTPServer
from tlshttp.wsgi._streams import FileWrapper, RequestBody
from tlshttp.wsgi._tls_names import disguised, tls_variables

if TYPE_CHECKING:
    from tlshttp.handler._exchange import HTTPExchange

__all__ = ["Environments", "body_of", "path_and_query"]

_AT_ONCE = 65_536
"""Bytes of a body that is given to an application in one piece."""

_LONGEST_REMEMBERED = 2_048
"""Bytes of a head whose environment is kept for the next request's sake."""

_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104


class Environments:
    """The environments of a connection's requests.

    Args:
        handler: Who serves the connection.
    """

    __slots__ = ("_address", "_base", "_fields", "_raw", "_template")

    def __init__(self, handler: Any) -> None:
        self._base = _base(handler)
        self._address = handler.client_address
        self._raw: bytes | None = None
        self._fields: list[tuple[str, str]] | None = None
        self._template: dict[str, Any] = {}

    def next(self, handler: Any, exchange: HTTPExchange) -> dict[str, Any]:
        """Return the environment of the request that is being served.

        What other classes have made of it counts, not what was sent: mix-ins find out whose it is,
        and handlers lead to another path.

        Args:
            handler: Who serves it.
            exchange: What is known of it.

        Raises:
            ValueError: It has no path.
        """
        request, headers = exchange.request, handler.headers
        if (
            handler.path is request.path
            and handler.command is request.command
            and handler.client_address is self._address
            and handler.forwarded is None
            and type(headers) is RequestHeaders
            and headers.has(exchange.fields)
        ):
            return self._as_sent(handler, exchange)
        environ = self._base.copy()
        _add_fields(environ, headers.items())
        _add_line(environ, handler)
        _add_client(environ, handler)
        return environ

    def _as_sent(self, handler: Any, exchange: HTTPExchange) -> dict[str, Any]:
        request, fields = exchange.request, exchange.fields
        if request.raw is self._raw:
            return self._template.copy()
        # Not the head: a target's host is a field, too, and what comes in chunks has a length.
        if fields is self._fields:
            template = self._template.copy()
        else:
            template = self._base.copy()
            _add_fields(template, fields)
        _add_line(template, handler)
        if len(request.raw) > _LONGEST_REMEMBERED or request.head.body_size < 0:
            self._raw = self._fields = None
            self._template = {}
            return template
        self._raw, self._fields, self._template = request.raw, fields, template
        return template.copy()


def body_of(handler: Any, environ: dict[str, Any]) -> Any:
    """Return ``wsgi.input`` for a request that has a body, or may have one."""
    length = environ.get("CONTENT_LENGTH", "")
    exchange = handler.request.exchange
    is_small = 0 < len(length) < 6 and int(length) <= _AT_ONCE
    if is_small and exchange.rfile.is_received():
        return io.BytesIO(handler.rfile.read(int(length)))
    return RequestBody(handler.rfile)


def path_and_query(target: str) -> tuple[str, str]:
    """Return path and query of a request target, as they were sent.

    Raises:
        ValueError: It has no path.
    """
    path, _, query = target.partition("?")
    if path[:1] == "/":
        return path, query
    if path == "*":  # of the server as a whole (RFC 9112, section 3.2.4)
        return "/", query
    scheme, separator, rest = path.partition("://")
    if not (separator and scheme.isalnum()):
        raise ValueError("Malformed request target")
    return "/" + rest.partition("/")[2].lstrip("/"), query


def _add_fields(environ: dict[str, Any], fields: Iterable[tuple[str, str]]) -> None:
    """Add the fields of a request; several of a name become one (RFC 9110, section 5.3)."""
    for name, value in fields:
        key = _key(name)
        if key not in environ:
            environ[key] = value
        elif key:
            # RFC 9113, section 8.2.3, has the same for fields that were split on their way.
            separator = "; " if key == "HTTP_COOKIE" else ","
            environ[key] = f"{environ[key]}{separator}{value}"
    environ.pop("", None)


@functools.lru_cache(maxsize=256)
def _key(name: str) -> str:
    """Return the variable of a field; nothing where it is to be dropped."""
    key = name.upper().replace("-", "_")
    if "_" in name or key == "PROXY":
        return ""
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _add_line(environ: dict[str, Any], handler: Any) -> None:
    """Add what the request line says.

    Raises:
        ValueError: There is no path in it.
    """
    path, query = path_and_query(handler.path)
    environ["REQUEST_METHOD"] = handler.command
    environ["SERVER_PROTOCOL"] = handler.request_version
    environ["REQUEST_URI"] = handler.path
    environ["QUERY_STRING"] = query
    if "%" in path:
        # Native strings that are bytes in disguise (PEP 3333, "Unicode Issues").
        path = unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
    environ["PATH_INFO"] = path


def _add_client(environ: dict[str, Any], handler: Any) -> None:
    """Add whose request it is, which a proxy may have said of this one alone."""
    environ.update(_of_client(handler.client_address))
    forwarded = handler.forwarded
    if forwarded is None or forwarded.scheme not in ("http", "https"):
        return
    environ["wsgi.url_scheme"] = forwarded.scheme
    if forwarded.scheme == "http":
        del environ["HTTPS"]


def _base(handler: Any) -> dict[str, Any]:
    """Return what all requests of a connection have in common."""
    server = handler.server
    name = server.server_name
    base: dict[str, Any] = {
        "SCRIPT_NAME": "",
        "SERVER_NAME": "localhost" if name in _WILDCARDS else name,
        # An AF_UNIX socket has none; what is in front of it mostly listens on this one.
        "SERVER_PORT": str(server.server_port or 443),
        "SERVER_SOFTWARE": handler.version_string(),
        "GATEWAY_INTERFACE": "CGI/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "https",
        "wsgi.errors": handler.error_stream,
        "wsgi.multithread": _has_threads(handler),
        "wsgi.multiprocess": _has_processes(server),
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileWrapper,
        "wsgi.input_terminated": True,
        "tlshttp.tls": handler.request.tls,
        **tls_variables(handler.request.tls),
        **_of_client(handler.client_address),
    }
    proxy = getattr(handler.request, "proxy", None)
    if proxy is not None:
        base["tlshttp.proxy"] = proxy
    return base


def _of_client(address: Any) -> dict[str, str]:
    host, port = address[:2]
    return {"REMOTE_ADDR": disguised(str(host)), "REMOTE_PORT": str(port)}


def _has_threads(handler: Any) -> bool:
    kinds = (ThreadingTLSHTTPServer, socketserver.ThreadingMixIn)
    return isinstance(handler.server, kinds) or bool(handler.stream_request)


def _has_processes(server: Any) -> bool:
    forking: Any = getattr(socketserver, "ForkingMixIn", ())
    return getattr(server, "shared_counters", None) is not None or isinstance(server, forking)
