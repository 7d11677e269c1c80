"""`AccessLogMixIn`: one line for each response, when it is complete.

`http.server` logs a request when its status is sent; then neither the size of the body nor the time
it takes is known. So the status is only remembered then, and the line is written at the first of
these moments:

1.  ``handle_one_request()`` returns, or raises after a response has been begun;
2.  another final response is begun, because somebody overrides that method;
3.  the connection ends: for a response made after a handler has raised.

Only public methods of `~http.server.BaseHTTPRequestHandler` are overridden, so that it works for
handlers on any server.
"""

from __future__ import annotations

import logging
import time
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Literal

from tlshttp._log_fields import with_fields
from tlshttp.errors import ConfigurationError
from tlshttp.handler._access_record import FORMATS, AccessRecord, without_query
from tlshttp.handler._log_failures import bear_log_failure

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["AccessLogMixIn"]

_LOG = logging.getLogger("tlshttp.access")


class AccessLogMixIn(BaseHTTPRequestHandler):
    """Write an access log through `logging`, to the logger ``tlshttp.access`` at level INFO.

    It is put before the handler it is mixed into: ``class Mine(AccessLogMixIn, Handler)``. Behind
    `~http.server.BaseHTTPRequestHandler` itself it would be without effect, and is a `TypeError`.

    ``log_message()`` goes on to get everything else: errors and what a handler says.
    """

    access_log_format: Literal["combined", "json"] = "combined"
    """The form of a line.

    ``"combined"`` is the Combined Log Format, followed by TLS version, cipher suite, server name,
    client name and duration. ``"json"`` is an object with the fields of
    `~tlshttp.AccessRecord`."""

    access_log_query = False
    """Whether the query of request target and ``Referer`` is logged.

    .. warning::
        Pages put tokens and names there; whoever may read the log can read them then."""

    def __init_subclass__(cls, **arguments: Any) -> None:
        """Refuse a format that does not exist.

        Raises:
            ConfigurationError: `access_log_format` is not one of the two.
        """
        super().__init_subclass__(**arguments)
        if cls.access_log_format not in FORMATS:
            raise ConfigurationError(
                f'access_log_format must be "combined" or "json", not {cls.access_log_format!r}'
            )

    def log_access(self, record: AccessRecord) -> None:
        """Write a line (hook).

        Args:
            record: What it is about.
        """
        line = FORMATS[self.access_log_format](record)
        _LOG.info("%s", line, extra=with_fields(record.fields()))

    # The moments ------------------------------------------------------------------------------

    def setup(self) -> None:
        """Count what is written from the beginning."""
        super().setup()
        self.__writer = _CountingWriter(self.wfile)
        self.wfile: Any = self.__writer
        self.__status: int | None = None
        self.__client_name: str | None = None
        self.__begin()

    def handle_one_request(self) -> None:
        """Serve a request, and log it."""
        self.__end()
        self.__begin()
        try:
            super().handle_one_request()
        except BaseException:
            # Without a status yet, there may still come one: the 500 for the handler's mistake.
            self.__end()
            raise
        self.__end()

    def answered(self) -> None:
        """Log a request that a coroutine has answered (`tlshttp.aio`)."""
        self.__end()

    def parse_request(self) -> bool:
        """Take the time: the head is there."""
        self.__received, self.__received_at = time.monotonic(), time.time()
        return super().parse_request()

    def flush_headers(self) -> None:
        """Send the head, which does not count."""
        before = self.__writer.count
        super().flush_headers()
        self.__writer.count = before

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Remember the status, unless it is informational (RFC 9110, section 15.2)."""
        del size
        status = int(code) if str(code).isdecimal() else 0
        if 100 <= status < 200:
            return
        if self.__status is not None:
            self.__end()
            self.__begin()
        self.__status = status

    def finish(self) -> None:
        """Log what has not been logged, and end."""
        self.__end()
        super().finish()

    # In between -------------------------------------------------------------------------------

    def __begin(self) -> None:
        self.__writer.count = 0
        self.__headers_before = getattr(self, "headers", None)
        self.__received, self.__received_at = time.monotonic(), time.time()

    def __end(self) -> None:
        """Write the line, if there has been a response."""
        status, self.__status = self.__status, None
        if status is not None and _LOG.isEnabledFor(logging.INFO):
            try:
                self.log_access(self.__record(status))
            except Exception:  # noqa: BLE001 (whatever it is)
                bear_log_failure(self)

    def __record(self, status: int) -> AccessRecord:
        tls = getattr(self, "tls", None)
        headers: Any = getattr(self, "headers", None)
        if headers is None or headers is self.__headers_before:
            headers = {}  # they are of an earlier request: this one's head could not be read
        request = getattr(self, "requestline", "")
        referer = headers.get("Referer")
        if not self.access_log_query:
            request, referer = without_query(request) or "", without_query(referer)
        bodiless = getattr(self, "command", None) == "HEAD" or status in (204, 304)
        return AccessRecord(
            time=self.__received_at,
            client=self.address_string(),
            request=request,
            status=status,
            size=0 if bodiless else self.__writer.count,
            referer=referer,
            user_agent=headers.get("User-Agent"),
            tls_version=tls.version if tls else None,
            tls_cipher=tls.cipher if tls else None,
            server_name=tls.server_name if tls else None,
            client_name=self.__name_of_client(tls) if tls else None,
            duration=time.monotonic() - self.__received,
            **_ids(self),
        )

    def __name_of_client(self, tls: Any) -> str | None:
        """Return the name in the client's certificate; it stays the same for a connection."""
        if self.__client_name is None:
            self.__client_name = _client_name(tls) or ""
        return self.__client_name or None


class _CountingWriter:
    """``wfile``, with the bytes written counted."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.count = 0

    def write(self, data: Buffer, /) -> Any:
        written = self._file.write(data)
        self.count += memoryview(data).nbytes
        return written

    def writelines(self, lines: Any, /) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _ids(handler: Any) -> dict[str, str | None]:
    """Return how the request is called, where the handler has `RequestIdMixIn`, or says it so."""
    found = {name: getattr(handler, name, None) for name in ("request_id", "trace_id")}
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _client_name(tls: Any) -> str | None:
    try:
        if tls.peer_certificate is None:
            return None
        name: str = (*tls.peer_names, tls.peer_certificate.subject.rfc4514_string())[0]
    except ValueError:  # OpenSSL takes certificates that cryptography does not; served they are
        return "(unreadable)"
    return name
