"""Which request a log line is about: an id for each, and the trace that it belongs to.

A trace is what several services do for one request of a user. Its number comes in the field
``traceparent`` (W3C Trace Context, level 1, section 3.2) and goes on to whatever is asked next.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, NamedTuple

from tlshttp._log_fields import of_this_request
from tlshttp.handler._response import writes_interim_response

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler as _Base
else:
    _Base = object

__all__ = ["RequestIdMixIn"]

_SPACE = " \t"
"""What may stand around a value: RFC 9110, section 5.6.3."""

_ID = re.compile(r"[A-Za-z0-9._~+/=:@-]{1,128}")
"""What other programs make: UUIDs, base64, HAProxy's ``%{+X}o`` formats, AWS's ``Root=1-...``.
Nothing of it can end a field or a line."""

_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<parent>[0-9a-f]{16})-[0-9a-f]{2}"
    r"(?P<more>-[!-~]*)?"
)
_LONGEST_TRACEPARENT = 256
_LONGEST_TRACESTATE = 512  # what must be passed on: Trace Context, section 3.3.1.5


class _Ids(NamedTuple):
    """What is known of one request."""

    request: str
    traceparent: str | None
    tracestate: str | None

    @property
    def trace(self) -> str | None:
        return None if self.traceparent is None else self.traceparent[3:35]


class RequestIdMixIn(_Base):
    """Gives each request an id, in its response and in all logs: put it before the handler class.

    An id that comes with the request is kept, where it is one; so a proxy in front and the server
    behind it say the same. Otherwise it is a new one, 32 random hexadecimal digits. The response
    has it, too, so that users can quote it.

    What is logged while a handler is at work, by whomever, has ``request_id`` and ``trace_id`` with
    `tlshttp.logs.JSONFormatter`, and so has a line of `~tlshttp.AccessLogMixIn` in JSON.

    .. warning::
        Whoever can send requests can choose ids, the same one twice for example. They are for
        finding things, and prove nothing.
    """

    request_id_header = "X-Request-Id"
    """The field that has the id, in requests and in responses."""

    __ids: _Ids | None = None

    @property
    def request_id(self) -> str | None:
        """The id of the request; `None` while there is none that could be read."""
        return None if self.__ids is None else self.__ids.request

    @property
    def trace_id(self) -> str | None:
        """The trace that the request belongs to, 32 hexadecimal digits; `None`: none is told."""
        return None if self.__ids is None else self.__ids.trace

    @property
    def trace_fields(self) -> dict[str, str]:
        """The fields to send with what the handler itself asks of others for this request.

        The id, and ``traceparent`` and ``tracestate`` as they came, if they are well-formed.
        """
        if self.__ids is None:
            return {}
        named = {
            self.request_id_header: self.__ids.request,
            "traceparent": self.__ids.traceparent,
            "tracestate": self.__ids.tracestate,
        }
        return {name: value for name, value in named.items() if value is not None}

    def handle_one_request(self) -> None:
        """Serve a request; what is logged meanwhile says which."""
        self.__ids = None
        before = of_this_request.set({})
        try:
            super().handle_one_request()
        finally:
            of_this_request.reset(before)

    def parse_request(self) -> bool:
        """Take the ids: the head is there."""
        if not super().parse_request():
            return False
        self.__ids = _read(self.headers, self.request_id_header)
        told = {"request_id": self.__ids.request, "trace_id": self.__ids.trace}
        of_this_request.set({name: value for name, value in told.items() if value is not None})
        return True

    def end_headers(self) -> None:
        """Add the id to every response but interim ones."""
        if self.__ids is not None and not writes_interim_response(self):
            self.send_header(self.request_id_header, self.__ids.request)
        super().end_headers()


def _read(headers: Any, name: str) -> _Ids:
    """Take what a request says; of a field that comes twice, or is no id, nothing."""
    given = headers.get_all(name, [])
    kept = len(given) == 1 and _ID.fullmatch(given[0].strip(_SPACE))
    request = given[0].strip(_SPACE) if kept else secrets.token_hex(16)
    parents = headers.get_all("traceparent", [])
    parent = parents[0].strip(_SPACE) if len(parents) == 1 else ""
    if not _is_traceparent(parent):
        return _Ids(request, None, None)
    return _Ids(request, parent, _tracestate(headers.get_all("tracestate", [])))


def _is_traceparent(text: str) -> bool:
    found = _TRACEPARENT.fullmatch(text) if len(text) <= _LONGEST_TRACEPARENT else None
    if found is None or found["version"] == "ff":
        return False
    if found["version"] == "00" and found["more"]:
        return False
    return bool(found["trace"].strip("0") and found["parent"].strip("0"))


def _tracestate(fields: list[str]) -> str | None:
    """Return what services have added to the trace, in one field; `None`: nothing to pass on."""
    state = ",".join(field.strip(_SPACE) for field in fields)
    is_plain = state.isascii() and state.isprintable()
    return state if state and is_plain and len(state) <= _LONGEST_TRACESTATE else None
