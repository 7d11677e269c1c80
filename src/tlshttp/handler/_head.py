"""The head of a request, parsed strictly and once.

What is ambiguous is refused, because two servers that read it differently are what request
smuggling needs. Sections are of RFC 9112 (HTTP/1.1) where none is named.

Three things are accepted that the grammar does not have, because `http.server` and CPython's tests
of it do: lines that end with a bare line feed (section 2.2 allows it), targets that do not begin
with a slash, and HTTP/0.9 requests (``GET /path`` without a version).
"""

from __future__ import annotations

import email.parser
import functools
import re
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPMessage
from typing import Self

from tlshttp.errors import RequestRefused

__all__ = [
    "CHUNKED",
    "NO_HEAD",
    "Head",
    "LastRequest",
    "RequestHeaders",
    "asks_for_other_version",
    "is_host",
    "parse_fields",
    "parse_head",
    "parse_request_line",
    "parse_simple_request",
]

CHUNKED = -1
"""The body size of a request whose body comes in chunks."""

_WORD = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"  # RFC 9110, section 5.6.2

# Everything but controls and blanks: http.server also takes bytes above 0x7F in a target.
_REQUEST_LINE = re.compile(rf"({_WORD}) ([^\x00-\x20\x7f]+) HTTP/1\.([0-9])")
_SIMPLE_REQUEST = re.compile(r"GET (?!HTTP/)([^\x00-\x20\x7f]+) ?")
_OTHER_VERSION = re.compile(r"[^\x00-\x1f\x7f]* HTTP/0*([2-9]|[1-9][0-9]{1,9})\.[0-9]{1,10}")

# A name of token characters alone: no line folding (section 5.2), no blank before the colon (5.1);
# and a value without the blanks around it, of which there are none or one in almost all requests.
_FIELD = re.compile(rf"^({_WORD}): ?(\S.*\S|\S?)\r\n", re.ASCII | re.MULTILINE)

# What may stand in a field line: all but NUL and the other controls (RFC 9110, section 5.5).
_LINE_BYTES = bytes({*range(0x20, 0x100), 0x09} - {0x7F})

_HOST = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?")
_LENGTH = re.compile(r"[0-9]{1,19}")


_ONCE = ("Host", "Content-Length", "Transfer-Encoding", "Expect")


class RequestHeaders(HTTPMessage):
    """An `http.client.HTTPMessage` that is filled at once."""

    _headers: list[tuple[str, str]]

    @classmethod
    def of(cls, fields: list[tuple[str, str]]) -> Self:
        """Return one that has these fields, as if each had been given to ``set_raw()``."""
        made = cls.__new__(cls)
        made._headers = fields.copy()  # noqa: SLF001 (its own)
        made.defects = []
        return made

    @classmethod
    def of_message(cls, fields: list[tuple[str, str]]) -> Self:
        """Return one as `http.server` makes it where the body is announced to be a message."""
        text = "".join(f"{name}: {value}\r\n" for name, value in fields)
        return email.parser.Parser(_class=cls).parsestr(text + "\r\n")

    def has(self, fields: list[tuple[str, str]]) -> bool:
        """Return whether these are its fields: nobody has changed any."""
        return self._headers == fields


def _share(names: dict[str, object]) -> None:
    """Give the class what a constructor gives each message, so that `RequestHeaders.of` need not.

    But for the lists, which a message may change in place.
    """
    for name, value in names.items():
        if not isinstance(value, list):
            setattr(RequestHeaders, name, value)


_share(vars(HTTPMessage()) | {"_payload": ""})
# What http.server makes has an empty body, and not none: ``bytes(self.headers)`` is the head.


@dataclass(slots=True)  # not frozen, which takes four times as long to make
class Head:
    """What the header section of a request says about its framing."""

    fields: list[tuple[str, str]]
    """All fields in order, names as sent, values without surrounding blanks."""
    body_size: int
    """Bytes of body; `CHUNKED` where only its end will tell."""
    keep_alive: bool | None
    """Whether the client asks to keep the connection or to close it; `None`: neither."""
    expects_continue: bool
    """Whether the client waits for 100 (Continue) before it sends the body."""
    host: str | None
    """The Host field; `None` where there is none, as HTTP/1.0 allows."""
    holds_message: bool = False
    """Whether the body is an e-mail message (``message/rfc822``): `email` then has one ready."""


NO_HEAD = Head([], 0, None, False, None)
"""What no fields at all say."""


class LastRequest:
    """What the last request of a connection was.

    The next mostly repeats its line or its section, byte for byte, which then is not parsed again.
    (HPACK of HTTP/2 lives on the same.) A handler has all this in one attribute, because Python is
    slower with an object that has more than some thirty, and users have their own.
    """

    __slots__ = ("head", "line", "minor_version", "section", "words")

    def __init__(self) -> None:
        self.line: bytes | None = None
        """A request line that was parsed; `None` if none was yet."""
        self.words = ("", "", "", "", 0)
        """What it says: itself, method, path, version, minor version of HTTP/1."""
        self.section: bytes | None = None
        """A section that was parsed; `None` if none was yet."""
        self.minor_version = 0
        """For which version of HTTP/1 it was."""
        self.head = NO_HEAD
        """What it says."""


def parse_request_line(line: str) -> tuple[str, str, str] | None:
    """Return method, target and minor version of HTTP/1; `None` if it is not a request line."""
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        return None
    method, target, minor_version = match.groups()
    return method, target, minor_version


def parse_simple_request(line: str) -> str | None:
    """Return the target of an HTTP/0.9 request; `None` if it is not one."""
    match = _SIMPLE_REQUEST.fullmatch(line)
    return match and match[1]


def asks_for_other_version(line: str) -> bool:
    """Return whether this is a request line of HTTP/2 or later."""
    return _OTHER_VERSION.fullmatch(line) is not None


def parse_fields(section: bytes) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Parse the lines between request line and empty line.

    Returns:
        All fields in order, and the last value of each by its name in lower case.

    Raises:
        RequestRefused: A line is not a field.
    """
    text = section.decode("iso-8859-1")
    fields: list[tuple[str, str]] = _FIELD.findall(text)
    ended = text.endswith("\n") or not text
    # Besides legal bytes there are only the ends of these lines: no line that is not a field, no
    # controls, no bare CR (section 2.2).
    if section.translate(None, _LINE_BYTES) != b"\r\n" * len(fields) or not ended:
        return _parse_odd_lines(section)
    return fields, {name.lower(): value for name, value in fields}


def _parse_odd_lines(section: bytes) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Parse lines of which some have more blanks, or end with a bare line feed (section 2.2).

    They are written as usual and parsed again; what then still is odd is refused.
    """
    lines = [line.removesuffix(b"\r") for line in section.split(b"\n")]
    if any(line.translate(None, _LINE_BYTES) for line in lines):
        raise RequestRefused("Illegal character in header")
    usual = b"\r\n".join(map(_without_blanks, lines))
    if usual == section:
        raise RequestRefused("Malformed header field")
    return parse_fields(usual)


def _without_blanks(line: bytes) -> bytes:
    name, colon, value = line.partition(b":")
    return name + colon + value.strip(b" \t")


def parse_head(section: bytes, minor_version: int, *, needs_host: bool) -> Head:
    """Parse the lines between request line and empty line, and what they say about framing.

    Args:
        section: The lines, each with its line end.
        minor_version: Of HTTP/1; 0 also for HTTP/0.9.
        needs_host: Whether there must be a Host field, as in HTTP/1.1.

    Raises:
        RequestRefused: They are malformed or ambiguous.
    """
    fields, values = parse_fields(section)
    connection = values.get("connection")
    if len(values) < len(fields):
        _refuse_repeated(fields)
        connection = _all_values(fields, "connection")
    return Head(
        fields,
        _body_size(values.get("content-length"), values.get("transfer-encoding"), minor_version),
        None if connection is None else _keep_alive(connection),
        "expect" in values and _expects_continue(values["expect"], minor_version),
        _host(values.get("host"), needs_host=needs_host),
        values.get("content-type", "").lower().startswith("message/"),
    )


def _refuse_repeated(fields: list[tuple[str, str]]) -> None:
    """Refuse fields that must be there once; others may be repeated (RFC 9110, section 5.3)."""
    names = [name.lower() for name, _ in fields]
    for name in _ONCE:
        if names.count(name.lower()) > 1:
            raise RequestRefused(f"Repeated {name}")


def _body_size(length: str | None, codings: str | None, minor_version: int) -> int:
    """Return how long the body is (section 6.3)."""
    if codings is not None:
        return _check_codings(codings, length, minor_version)
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        # A list of equal numbers may be accepted (section 6.3, item 5); nobody honest sends one.
        raise RequestRefused("Malformed Content-Length")
    return int(length)


def _check_codings(codings: str, length: str | None, minor_version: int) -> int:
    """Accept ``chunked`` alone (section 6.1)."""
    if length is not None:
        raise RequestRefused("Content-Length with Transfer-Encoding")
    if minor_version == 0:
        raise RequestRefused("Transfer-Encoding in HTTP/1.0")
    names = [name.strip(" \t").lower() for name in codings.split(",")]
    if names == ["chunked"]:
        return CHUNKED
    if "chunked" in names[:-1] or not all(names):
        raise RequestRefused("Malformed Transfer-Encoding")
    raise RequestRefused("Unknown transfer coding", status=HTTPStatus.NOT_IMPLEMENTED)


def _expects_continue(expect: str, minor_version: int) -> bool:
    """Return whether 100 (Continue) is expected (RFC 9110, section 10.1.1), never by HTTP/1.0."""
    return minor_version > 0 and expect.lower() == "100-continue"


def _all_values(fields: list[tuple[str, str]], name: str) -> str | None:
    """Return what a field that may be repeated says, all of it."""
    return ",".join(value for key, value in fields if key.lower() == name) or None


@functools.lru_cache(maxsize=16)
def _keep_alive(connection: str) -> bool | None:
    """Return what the Connection field asks for (section 9.3); ``close`` wins."""
    options = [option.strip(" \t") for option in connection.lower().split(",")]
    if "close" in options:
        return False
    return True if "keep-alive" in options else None


def _host(host: str | None, *, needs_host: bool) -> str | None:
    """Return the Host field (section 3.2)."""
    if host is None:
        if needs_host:
            raise RequestRefused("Missing Host")
    elif not is_host(host):
        raise RequestRefused("Malformed Host")
    return host


@functools.lru_cache(maxsize=16)  # clients name few hosts, again and again
def is_host(host: str) -> bool:
    """Return whether this may stand in a Host field (section 3.2): host and port."""
    return _HOST.fullmatch(host) is not None
