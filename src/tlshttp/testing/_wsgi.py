"""As much of WSGI (PEP 3333) as a test of a client needs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, TypeAlias
from urllib.parse import unquote_to_bytes

__all__ = ["WSGIApplication", "wsgi_handler"]

WSGIApplication: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType]"


def wsgi_handler(application: WSGIApplication) -> type[BaseHTTPRequestHandler]:
    """Return a handler class that has an application answer."""
    return type("WSGIHandler", (_Handler,), {"application": staticmethod(application)})


class _Handler(BaseHTTPRequestHandler):
    application: Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("do_"):
            return self._run
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _run(self) -> None:
        _Run(self).run(self.application, self._environ())

    def _environ(self) -> dict[str, Any]:
        path, _, query = self.path.partition("?")
        server: Any = self.server
        environ = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            # Native strings that are bytes in disguise (PEP 3333, "Unicode Issues").
            "PATH_INFO": unquote_to_bytes(path.encode("latin-1")).decode("latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": server.server_name,
            "SERVER_PORT": str(server.server_port),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_PORT": str(self.client_address[1]),
            "HTTPS": "on",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "https",
            "wsgi.input": self.rfile,
            "wsgi.input_terminated": True,  # what Flask and its like ask for chunked bodies
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in self.headers.items():
            key = name.upper().replace("-", "_")
            key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ


class _Run:
    """One call of an application."""

    def __init__(self, handler: BaseHTTPRequestHandler) -> None:
        self._handler = handler
        self._head: tuple[str, list[tuple[str, str]]] | None = None
        self._sent = False

    def run(self, application: WSGIApplication, environ: dict[str, Any]) -> None:
        """Call it and send what it returns."""
        pieces = application(environ, self._start_response)
        try:
            for piece in pieces:
                if piece:
                    self._write(piece)
            if not self._sent:
                self._write(b"")
        finally:
            if hasattr(pieces, "close"):
                pieces.close()

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        try:
            if exc_info is not None and self._sent:
                raise exc_info[1].with_traceback(exc_info[2])
            if exc_info is None and self._head is not None:
                raise RuntimeError("start_response() called twice without exc_info (PEP 3333)")
        finally:
            exc_info = None  # no circle
        self._head = (status, headers)
        return self._write

    def _write(self, data: bytes) -> None:
        if not self._sent:
            self._send_head()
        if self._handler.command != "HEAD":
            self._handler.wfile.write(data)

    def _send_head(self) -> None:
        if self._head is None:
            raise RuntimeError("the application has not called start_response() (PEP 3333)")
        self._sent = True
        (code, _, phrase), headers = self._head[0].partition(" "), self._head[1]
        if not code.isdecimal():
            raise RuntimeError(f'the status is to begin as "200 OK" does (PEP 3333), not {code!r}')
        given = {name.lower() for name, _ in headers}
        handler = self._handler
        handler.log_request(code)
        handler.send_response_only(int(code), phrase)
        if "server" not in given:
            handler.send_header("Server", handler.version_string())
        if "date" not in given:
            handler.send_header("Date", handler.date_time_string())
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
