"""Finding and judging the heads of requests: bytes in, a decision out.

A head is looked for where the last search ended, and parsed once, when it is there or too long.
"""

from __future__ import annotations

from http import HTTPStatus

from tlshttp.errors import RequestRefused
from tlshttp.handler._head import (
    NO_HEAD,
    Head,
    asks_for_other_version,
    parse_head,
    parse_request_line,
    parse_simple_request,
)
from tlshttp.limits import Limits

__all__ = ["HeadFinder", "Requests", "head_end"]

_LONGEST_LINE = 65_536  # as http.server has it

_LONGEST_REMEMBERED = 2_048
"""Bytes of a head that is kept to be compared with the next: an idle connection holds no more."""

LONGEST_SUBJECT = 64
"""Characters of a path by which one thing that is asked for is told from another."""

_SIMPLE = "HTTP/0.9"

TOO_LONG = 0

_HEAD_MISSING = -1

_MOST_EMPTY_LINES = 9
"""Empty lines that are passed over before a head; the tenth is ignored as a part of it. RFC 9112,
section 2.2, asks for one at least, for old clients that sent one after a body; Apache
(``DEFAULT_LIMIT_BLANK_LINES``) ignores ten."""

_LINE_ENDS = (b"\r", b"\n")


class HeadFinder:
    """Looks for the end of a head that is arriving.

    Args:
        most: Bytes that a head may have.
        passes_over: Whether empty lines before a head are none of it.
    """

    __slots__ = ("_looked_at", "_most", "_passes_over", "has_begun", "passed")

    def __init__(self, most: int, *, passes_over: bool) -> None:
        self._most = most
        self._passes_over = passes_over
        self._looked_at = 0
        self.has_begun = False
        """Whether some of what comes before a head's end has been looked at."""
        self.passed = 0
        """Empty lines passed over before the head that is looked for."""

    def __call__(self, buffer: bytes, start: int) -> int:
        """Return how many bytes the head has; 0 if it is too long.

        Negative: its end is missing, or -1 - n: before it there are n bytes to be passed over.
        """
        if buffer[start : start + 1] in _LINE_ENDS and self._passes_over:
            empty = self._empty_lines(buffer, start)
            if empty:
                return _HEAD_MISSING - empty
        end = head_end(buffer, start + self._looked_at) - start
        size = len(buffer) - start
        if end < 0:
            if size > self._most:
                return TOO_LONG
            self._looked_at = max(0, size - 3)
            self.has_begun = size > 0 or self.passed > 0
            return _HEAD_MISSING
        self._looked_at = self.passed = 0
        self.has_begun = False
        return end if end <= self._most else TOO_LONG

    def _empty_lines(self, buffer: bytes, start: int) -> int:
        """Return how many bytes of empty lines there are that may be passed over."""
        end = start
        while self.passed < _MOST_EMPTY_LINES and buffer.startswith((b"\r\n", b"\n"), end):
            end = buffer.index(b"\n", end) + 1
            self.passed += 1
        return end - start


def head_end(buffer: bytes, start: int) -> int:
    """Return where the head that begins at `start` ends, after its empty line; -1 if it does not.

    Lines may end with a bare line feed (RFC 9112, section 2.2), as `http.server` allows.
    """
    end = buffer.find(b"\n\r\n", start)
    bare = buffer.find(b"\n\n", start, None if end < 0 else end + 1)
    if bare >= 0:
        return bare + 2
    return end + 3 if end >= 0 else -1


class Requests:
    """What the heads of one connection say, one after the other.

    The next mostly repeats the line or the section of the last, byte for byte, which then is not
    parsed again. (HPACK of HTTP/2 lives on the same.)

    Args:
        limits: How much a head may have.
    """

    __slots__ = (
        "_last_line",
        "_last_raw",
        "_last_section",
        "_last_words",
        "_limits",
        "command",
        "head",
        "line",
        "minor_version",
        "path",
        "raw",
        "raw_line",
        "version",
    )  # fmt: skip

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last_raw: bytes | None = None
        self._last_line: bytes | None = None
        self._last_words = ("", "", "", "", 0)
        self._last_section: tuple[bytes, int] | None = None
        self.raw = b""
        """The head as it came."""
        self.raw_line = b""
        """Its first line, with its end."""
        self.head: Head = NO_HEAD
        """What its fields say."""
        self.line = self.command = self.path = self.version = ""
        """The request line, and what it says, as `http.server` has it; empty where it cannot be
        read."""
        self.minor_version = 0
        """Of HTTP/1."""

    @property
    def wants_to_keep(self) -> bool:
        """Whether the client wants to keep the connection (RFC 9112, section 9.3)."""
        keep = self.head.keep_alive
        return self.minor_version > 0 if keep is None else keep

    def forget(self) -> None:
        """Forget a request that is too large to be kept for the next one's sake."""
        self.raw = self.raw_line = b""
        self.head = NO_HEAD
        self.line, self.path = "", self.path[:LONGEST_SUBJECT]
        self._last_words = ("", "", "", "", 0)
        self._last_line = self._last_section = self._last_raw = None

    def refuse_size(self, begun: bytes) -> RequestRefused:
        """Return the refusal of a head that is too long; this is the part that has come."""
        self._begin(begun[:_LONGEST_LINE])
        if b"\n" not in begun[: self._limits.max_header_bytes]:
            return _line_too_long()
        line = begun[: begun.index(b"\n") + 1]
        if len(line) <= _LONGEST_LINE:
            self._read_line(line)
        return section_too_large()

    def read(self, raw: bytes) -> None:
        """Parse a head.

        Raises:
            RequestRefused: It is malformed, ambiguous or too large; what could be read is there.
        """
        if raw == self._last_raw:
            return
        self._last_raw = None
        self._begin(raw)
        end = raw.index(b"\n") + 1
        if end <= 2 and raw[:end] in (b"\r\n", b"\n"):  # RFC 9112, section 2.2
            raw = self.raw = raw[end:]
            end = raw.find(b"\n") + 1
        self.raw_line = line = raw[:end]
        if end > _LONGEST_LINE:
            raise _line_too_long()
        if line == self._last_line:
            words = self._last_words
            self.line, self.command, self.path, self.version, self.minor_version = words
        elif not self._read_line(line):
            raise self._malformed()
        self._read_section(raw[end:])
        if len(raw) > _LONGEST_REMEMBERED:
            self._last_line = self._last_section = None
            self._last_words = ("", "", "", "", 0)
        else:
            self._last_raw = raw

    def _begin(self, raw: bytes) -> None:
        self.raw = raw
        self.line = self.command = self.path = ""
        self.version = _SIMPLE
        self.minor_version = 0

    def _read_line(self, raw: bytes) -> bool:
        """Take in a request line; return whether it is one."""
        self.line = line = str(raw, "iso-8859-1").removesuffix("\n").removesuffix("\r")
        parsed = parse_request_line(line)
        if parsed is None:
            target = parse_simple_request(line)
            if target is None:
                return False
            self.command, self.path = "GET", target
            self.head = NO_HEAD
            return True
        self.command, target, minor = parsed
        # If a handler makes a redirect of a target with two slashes, it leads to another host
        # (cpython #87389).
        self.path = "/" + target.lstrip("/") if target.startswith("//") else target
        self.version = "HTTP/1." + minor
        self.minor_version = int(minor)
        self._last_line = raw
        self._last_words = line, self.command, self.path, self.version, self.minor_version
        return True

    def _malformed(self) -> RequestRefused:
        if asks_for_other_version(self.line):
            return RequestRefused(
                "Invalid HTTP version", status=HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
            )
        return RequestRefused("Malformed request line")

    def _read_section(self, section: bytes) -> None:
        """Take in the header lines with the empty line that ends them."""
        if (section, self.minor_version) == self._last_section:
            return
        self._last_section = None
        if len(section) > _LONGEST_LINE and max(map(len, section.split(b"\n"))) > _LONGEST_LINE:
            raise section_too_large()
        fields = section[:-2] if section.endswith(b"\r\n") else section[:-1]
        self.head = parse_head(fields, self.minor_version, needs_host=False)
        if len(self.head.fields) > self._limits.max_header_count:
            raise section_too_large("Too many headers")
        self._last_section = section, self.minor_version


def _line_too_long() -> RequestRefused:
    return RequestRefused("Request line too long", status=HTTPStatus.REQUEST_URI_TOO_LONG)


def section_too_large(message: str = "Header section too large") -> RequestRefused:
    """Return the refusal of a head that is over a limit."""
    return RequestRefused(message, status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
