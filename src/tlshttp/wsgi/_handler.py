"""The handler class that has an application answer."""

from __future__ import annotations

import inspect
import io
from collections.abc import Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tlshttp.errors import ConfigurationError
from tlshttp.handler._base import TLSRequestHandler
from tlshttp.handler._log_failures import bear_log_failure
from tlshttp.handler._response import header_line, status_line, usual_lines
from tlshttp.wsgi._environ import Environments, body_of
from tlshttp.wsgi._head import Head
from tlshttp.wsgi._response import Response, name_of
from tlshttp.wsgi._streams import STANDARD_ERROR, RequestBody
from tlshttp.wsgi._tls_names import disguised

if TYPE_CHECKING:
    import wsgiref.types

    from tlshttp.handler._forwarded import ForwardedRequest

__all__ = ["handler"]


def handler(
    application: wsgiref.types.WSGIApplication, *, script_name: str = ""
) -> type[TLSRequestHandler]:
    """Return a handler class that has a WSGI application answer, for either server.

    Derive from it, or put mix-ins before it, as with any other handler class. With
    `~tlshttp.ThreadingTLSHTTPServer` the application is called in many threads at once.

    Args:
        application: What answers (PEP 3333).
        script_name: The path below which the application is, such as ``"/shop"``: its
            ``SCRIPT_NAME``. Whatever is not below it is 404. Empty: the application has all paths.

    Raises:
        ConfigurationError: It is no WSGI application, or ``script_name`` no path.
    """
    ConfigurationError.raise_if(_findings(application, script_name))
    attributes = {
        "application": staticmethod(application),
        "script_name": script_name,
        "__doc__": f"Has {name_of(application)} answer.",
    }
    return type("WSGIHandler", (_Handler,), attributes)


def _findings(application: Any, script_name: str) -> list[str]:
    found = []
    if not callable(application):
        found.append(f"{application!r} is no WSGI application: it cannot be called")
    elif _is_asynchronous(application):
        found.append(f"{name_of(application)} is asynchronous, as ASGI applications are")
    if script_name and (script_name[0] != "/" or script_name[-1] == "/"):
        found.append(f"script_name begins with a slash and ends without one, not {script_name!r}")
    return found


def _is_asynchronous(application: Any) -> bool:
    called = getattr(application, "__call__", None)  # noqa: B004 (the method itself is looked at)
    return inspect.iscoroutinefunction(application) or inspect.iscoroutinefunction(called)


class _Handler(TLSRequestHandler):
    # A user's class comes before this one: so ours are mangled, but for what the user may set.

    application: Any
    script_name: str
    forwarded: ForwardedRequest | None = None
    """What `ForwardedMixIn` has found, where that comes before this class."""

    error_stream: Any = STANDARD_ERROR
    """What applications are given as ``wsgi.errors``."""

    __environments: Environments | None = None

    def do_GET(self) -> None:
        """Have the application answer."""
        try:
            self.__answer()
        except (Exception, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001 (CancelledError, say, would end thread or server)
            self.request.exchange.apologise()
            self.server.handle_error(self.request, self.client_address)

    def __answer(self) -> None:
        environ = self.__environ()
        if environ is None:
            return
        body: Any = None
        if self.request.exchange.request.head.body_size:
            body = environ["wsgi.input"] = body_of(self, environ)
        else:
            environ["wsgi.input"] = io.BytesIO()
        response = Response(self, self.__send_head)
        returned: Any = ()
        try:
            returned = self.application(environ, response.start)
            response.send(returned)
        except SystemExit:
            self.__answer_exit()
            if not environ["wsgi.multithread"]:
                raise  # it ends the server, which has no other thread
        finally:
            try:
                if hasattr(returned, "close"):
                    returned.close()
            finally:
                response.end()
                if self.error_stream is not STANDARD_ERROR:
                    self.error_stream.flush()
                if type(body) is RequestBody:
                    body.end()

    def __answer_exit(self) -> None:
        """Answer where the application ends the thread, so that the client does not wait."""
        exchange = self.request.exchange
        name = name_of(self.application)
        exchange.warn("%r: %s has called sys.exit()", self.requestline, name)
        exchange.apologise()

    def __environ(self) -> dict[str, Any] | None:
        """Return the environment of the request; `None` where it has been answered."""
        environments = self.__environments
        if environments is None:
            environments = self.__environments = Environments(self)
        try:
            environ = environments.next(self, self.request.exchange)
        except ValueError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            return None
        return environ if not self.script_name or self.__enter_below(environ) else None

    def __enter_below(self, environ: dict[str, Any]) -> bool:
        """Take the application's own path off the request's; false where it is another's."""
        name, path = disguised(self.script_name), environ["PATH_INFO"]
        if path != name and not path.startswith(f"{name}/"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return False
        environ["SCRIPT_NAME"], environ["PATH_INFO"] = name, path[len(name) :]
        return True

    def __send_head(self, head: Head) -> None:
        try:
            self.log_request(head.code)
        except Exception:  # noqa: BLE001 (whatever it is)
            bear_log_failure(self)
        own = type(self)
        if (
            own.send_header is TLSRequestHandler.send_header
            and own.send_response_only is TLSRequestHandler.send_response_only
        ):
            lines = self.__lines(head)
            if (
                own.end_headers is TLSRequestHandler.end_headers
                and own.flush_headers is TLSRequestHandler.flush_headers
            ):
                self.wfile.write(b"".join(lines))
                return
            self._headers_buffer = lines[:-1]
        else:  # who has its own sees all fields
            self.send_response_only(head.code, head.phrase)
            for name, value in (*self.__usual_fields(head), *head.pairs):
                self.send_header(name, value)
        self.end_headers()

    def __lines(self, head: Head) -> list[bytes]:
        """Return the lines of a head, the empty one included; none in HTTP/0.9."""
        if self.request_version == "HTTP/0.9":
            return []
        status = status_line(self.protocol_version, head.code, head.phrase)
        if not head.says_usual:
            usual = usual_lines(self.version_string(), self.date_time_string())
            return [status, usual, *head.lines, b"\r\n"]
        usual_fields = [header_line(*field) for field in self.__usual_fields(head)]
        return [status, *usual_fields, *head.lines, b"\r\n"]

    def __usual_fields(self, head: Head) -> Iterator[tuple[str, str]]:
        """Yield the fields that each response has, unless the application has them."""
        given = {name.lower() for name, _ in head.pairs}
        if "server" not in given:
            yield "Server", self.version_string()
        if "date" not in given:
            yield "Date", self.date_time_string()


_METHODS = (
    "ACL BASELINE-CONTROL BIND CHECKIN CHECKOUT COPY DELETE HEAD LABEL LINK LOCK MERGE MKACTIVITY"
    " MKCALENDAR MKCOL MKREDIRECTREF MKWORKSPACE MOVE OPTIONS ORDERPATCH PATCH POST PROPFIND"
    " PROPPATCH PUT QUERY REBIND REPORT SEARCH TRACE UNBIND UNCHECKOUT UNLINK UNLOCK UPDATE"
    " UPDATEREDIRECTREF VERSION-CONTROL"
)
"""The methods that IANA has registered (2026-11), besides GET: others are 501 (RFC 9110, section
9.1). So is CONNECT: what follows the head of a tunnel would be no body of an application's.

A ``__getattr__()`` would do for all, and make each attribute of a handler take longer.
"""

for _method in _METHODS.split():
    setattr(_Handler, f"do_{_method}", _Handler.do_GET)
