"""Reading a request head line by line: the slow way.

It is for handlers in blocking mode, whose next head need not have come, for a ``parse_request()``
of the user's own, and for heads that are too long or otherwise odd. All limits are kept while bytes
come.
"""

from __future__ import annotations

import io
from http import HTTPStatus

from tlshttp._seam import Transport
from tlshttp.errors import RequestRefused
from tlshttp.handler._ready import LONGEST_LINE, head_end, section_size

__all__ = ["HeadLines", "section_too_large"]

_EMPTY = (b"\r\n", b"\n")


class HeadLines:
    """The lines of the heads of one connection.

    Args:
        transport: Where they come from.
        most: Bytes that a head may have.
    """

    def __init__(self, transport: Transport, most: int) -> None:
        self._transport = transport
        self._most = most

    def request_line(self, rfile: io.BufferedIOBase) -> bytes:
        """Read the first line; one empty line before it is ignored (RFC 9112, section 2.2).

        Raises:
            RequestRefused: The head, as far as it is there, is over a limit.
        """
        self._transport.examine(self._check_size)
        line = rfile.readline(LONGEST_LINE + 1)
        if line in _EMPTY:
            line = rfile.readline(LONGEST_LINE + 1)
        if len(line) > LONGEST_LINE:
            raise _line_too_long()
        return line

    def section(self, rfile: io.BufferedIOBase, line_size: int) -> bytes:
        """Read the header lines with the empty line that ends them.

        Args:
            rfile: The handler's own.
            line_size: How long the request line was.

        Raises:
            RequestRefused: They are over a limit.
        """
        size = self._transport.examine(section_size)
        section = self._transport.read(size) if size else self._read_lines(rfile)
        if line_size + len(section) > self._most:
            raise _line_too_long() if line_size > self._most else section_too_large()
        return section

    def _read_lines(self, rfile: io.BufferedIOBase) -> bytes:
        section = b""
        while (line := rfile.readline(LONGEST_LINE + 1)) not in _EMPTY:
            section += line
            if len(section) > self._most or len(line) > LONGEST_LINE:
                raise section_too_large()
            if not line.endswith(b"\n"):
                self._transport.fail("the peer left in the middle of a request")
        return section + line

    def _check_size(self, buffer: bytes, start: int) -> None:
        end = head_end(buffer, start)
        if (end if end >= 0 else len(buffer)) - start > self._most:
            if buffer.find(b"\n", start, start + self._most) < 0:
                raise _line_too_long()
            raise section_too_large()


def _line_too_long() -> RequestRefused:
    return RequestRefused("Request line too long", status=HTTPStatus.REQUEST_URI_TOO_LONG)


def section_too_large(message: str = "Header section too large") -> RequestRefused:
    """Return the refusal of a head that is over a limit."""
    return RequestRefused(message, status=HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
