"""What an access log says of one request, and the two forms it says it in."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["FORMATS", "AccessRecord", "without_query"]

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

# Whatever could end a field or a line, or speak to a terminal. All that is not ASCII is escaped
# besides, as Apache does: no character that ends a line somewhere is left (U+0085, U+2028).
_UNSAFE = {number: f"\\x{number:02x}" for number in (*range(0x20), 0x7F)}
_UNSAFE[ord('"')] = '\\"'
_UNSAFE[ord("\\")] = "\\\\"

_USER_INFO = re.compile(r"(?<=://)[^/?#\s]*@")
_QUERY = re.compile(r"\?[^\s]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessRecord:
    """One request and the response to it.

    Text is as the client sent it, without what might be secret: see
    `~tlshttp.AccessLogMixIn.access_log_query`. It is escaped when it is formatted.
    """

    time: float
    """When the request had been received, in seconds since the epoch."""
    client: str
    """The client's address."""
    request: str
    """The request line; empty where there was none to be read."""
    status: int
    """The status of the response."""
    size: int
    """Bytes of the body, as the handler wrote them."""
    referer: str | None
    """The field ``Referer``; `None` without it."""
    user_agent: str | None
    """The field ``User-Agent``; `None` without it."""
    tls_version: str | None
    """Such as ``"TLSv1.3"``; `None` without TLS, as for the next three."""
    tls_cipher: str | None
    """The cipher suite as OpenSSL names it."""
    server_name: str | None
    """The host name the client asked for in its handshake (SNI); `None` where it sent none."""
    client_name: str | None
    """The first name in the client's certificate, or its subject; `None` without a certificate."""
    duration: float
    """Seconds from the moment the request was received to the end of the response."""
    request_id: str | None = None
    """What `~tlshttp.RequestIdMixIn` calls the request; `None` without it."""
    trace_id: str | None = None
    """The trace that the request belongs to; `None`: none is told."""

    def combined(self) -> str:
        """Return the Combined Log Format of Apache and nginx, followed by five fields of ours."""
        return (
            f"{_word(self.client)} - - [{_date(int(self.time))}] {_quoted(self.request)} "
            f"{self.status} {self.size or '-'} {_quoted(self.referer)} {_quoted(self.user_agent)} "
            f"{_word(self.tls_version)} {_word(self.tls_cipher)} {_quoted(self.server_name)} "
            f"{_quoted(self.client_name)} {self.duration:.6f}"
        )

    def json(self) -> str:
        """Return a JSON object (RFC 8259), in ASCII and on one line."""
        return json.dumps(self.fields())

    def fields(self) -> dict[str, Any]:
        """Return all fields by name; the time as text (RFC 3339)."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        fields["time"] = _timestamp(self.time)
        fields["duration"] = round(self.duration, 6)
        return fields


FORMATS = {"combined": AccessRecord.combined, "json": AccessRecord.json}
"""The formats by name."""


def without_query(text: str | None) -> str | None:
    """Return a request line or URL without query and user information; ``?`` stays as a trace."""
    return None if text is None else _QUERY.sub("?", _USER_INFO.sub("", text))


def _quoted(text: str | None) -> str:
    return f'"{_escaped(text)}"' if text else '"-"'


def _word(text: str | None) -> str:
    return _escaped(text).replace(" ", "\\x20") if text else "-"


def _escaped(text: str) -> str:
    return text.translate(_UNSAFE).encode("ascii", "backslashreplace").decode("ascii")


@functools.lru_cache(maxsize=2)
def _date(seconds: int) -> str:
    """Return a moment as Apache's ``%t`` has it, in UTC and in English wherever we run."""
    moment = time.gmtime(seconds)
    return (
        f"{moment.tm_mday:02}/{_MONTHS[moment.tm_mon - 1]}/{moment.tm_year:04}:"
        f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} +0000"
    )


def _timestamp(seconds: float) -> str:
    """Return a moment as RFC 3339 has it, in UTC, with milliseconds."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(int(seconds)))
    return f"{whole}.{int(seconds % 1 * 1000):03}Z"
