"""What an application answers: ``start_response()``, ``write()`` and what it returns.

Rules:

1.  The head leaves with the first bytes of the body, or at the end (PEP 3333). Until then it can be
    replaced, by an application that has failed, and a 500 can take its place.
2.  Each piece is sent at once. Of a body that needs none, after HEAD and with 204 and 304, no
    second piece is asked for, however many there are: some never end.
3.  What an application does wrong is raised where it does it, so that the traceback shows the line;
    or, where it has just ended, here, with its name.
4.  What it returns is closed, whatever has happened, once.
5.  After the end nothing of it works any more: the connection is another request's.
"""

from __future__ import annotations

import io
import os
import stat
import sys
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, TypeAlias

from tlshttp.handler._body_end import in_bytes
from tlshttp.handler._regular_files import is_read_plainly
from tlshttp.wsgi._head import Head
from tlshttp.wsgi._streams import FileWrapper

__all__ = ["Response", "name_of"]

_UNKNOWN = -1

ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType | None]"


class Response:
    """One response of an application.

    Args:
        handler: Who serves the request.
        send_head: Sends a head.
    """

    __slots__ = ("_begun", "_bodiless", "_handler", "_head", "_is_head", "_left", "_send_head")

    def __init__(self, handler: Any, send_head: Callable[[Head], None]) -> None:
        self._handler: Any = handler
        self._send_head: Any = send_head
        self._is_head = self._bodiless = handler.command == "HEAD"
        self._head: Head | None = None
        self._begun = False
        self._left = _UNKNOWN

    # For the application ----------------------------------------------------------------------

    def start(
        self,
        status: str,
        response_headers: list[tuple[str, str]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[bytes], None]:
        """Take status and fields: ``start_response()``; return ``write()``.

        Raises:
            RuntimeError: It has been called before, and it is no failure that replaces the first.
            TypeError: Something has not the type that PEP 3333 wants.
            ValueError: Something must not be in a head.
        """
        if self._handler is None:
            raise RuntimeError("start_response() called after the end of the response")
        if exc_info is not None and exc_info[1] is not None:
            try:
                if self._begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # no circle
        elif self._head is not None:
            raise RuntimeError("start_response() called twice without exc_info (PEP 3333)")
        head = self._head = Head(status, response_headers)
        self._bodiless = self._is_head or not head.has_body
        return self.write

    def write(self, data: bytes) -> None:
        """Send a piece of the body at once: ``write()``.

        Raises:
            RuntimeError: There is no head yet, or the response is over, or it is more than the
                application's Content-Length.
            TypeError: It is not bytes.
        """
        handler = self._handler
        if handler is None:
            raise RuntimeError("write() called after the end of the response")
        if not isinstance(data, bytes):
            raise _not_bytes(data)
        if not self._begun:
            self._begin(_UNKNOWN)
        if self._bodiless or not data:
            return
        if self._left >= 0:
            excess = len(data) - self._left
            if excess > 0:
                much = in_bytes(excess)
                raise RuntimeError(
                    f"write() called with {much} more than the Content-Length (PEP 3333)"
                )
            self._left -= len(data)
        handler.wfile.write(data)

    # For the handler --------------------------------------------------------------------------

    def send(self, returned: Any) -> None:
        """Send what the application has returned."""
        kind = type(returned)
        if kind is list or kind is tuple:
            self._send_whole(returned[0] if len(returned) == 1 else _joined(returned))
        elif kind is FileWrapper:
            self._send_file(returned)
        else:
            self._send_pieces(returned)

    def end(self) -> None:
        """Let go: what the application still does is not this connection's any more."""
        self._handler = self._send_head = None

    def _send_whole(self, data: bytes) -> None:
        """Send a body of which all is there."""
        if not isinstance(data, bytes):
            raise _not_bytes(data)
        if not self._begun:
            self._begin(len(data))
        if data and not self._bodiless:
            self._handler.wfile.write(data)

    def _send_pieces(self, returned: Any) -> None:
        pieces, is_only = _iterated(self._handler.application, returned)
        wfile = self._handler.wfile
        for piece in pieces:
            if not isinstance(piece, bytes):
                raise _not_bytes(piece)
            if not piece:
                continue
            if not self._begun:
                self._begin(len(piece) if is_only else _UNKNOWN)
            if self._bodiless:
                return
            wfile.write(piece)
            if self._left >= 0:
                self._left -= len(piece)
                if self._left < 0:  # it has been told of; there may be no end of it
                    return
        if not self._begun:
            self._begin(0)

    def _send_file(self, wrapper: FileWrapper) -> None:
        """Send a file as a file where it is one, up to the length that has been announced."""
        handler, file = self._handler, wrapper.filelike
        if not self._begun:
            self._begin(_size_of(file))
        if self._bodiless:
            return
        exchange = handler.request.exchange
        left = self._left if self._left >= 0 else sys.maxsize
        if handler.wfile is exchange.wfile:
            left -= exchange.send_file(file, left) or 0
        while left and (data := file.read(min(wrapper.block_size, left))):
            if not isinstance(data, bytes):
                raise _not_bytes(data)
            handler.wfile.write(data)
            left -= len(data)

    def _begin(self, size: int) -> None:
        """Send the head.

        Args:
            size: Bytes of the body, where all of it is known; else negative.
        """
        head = self._head
        if head is None:
            name = name_of(self._handler.application)
            raise RuntimeError(f"{name} has not called start_response() (PEP 3333)")
        self._begun = True
        # What has no body after HEAD says nothing of the one that there would be.
        if head.length < 0 <= size and head.has_body and (size or not self._is_head):
            head.announce(size)
        self._left = head.length
        self._send_head(head)


def name_of(application: Any) -> str:
    """Return what an application is called, without showing what is in it."""
    named = application if hasattr(application, "__qualname__") else type(application)
    return f"{named.__module__}.{named.__qualname__}"


def _iterated(application: Any, returned: Any) -> tuple[Iterator[Any], bool]:
    """Return the pieces of what has been returned, and whether there is known to be one."""
    if isinstance(returned, (bytes, str)):  # their pieces are letters
        raise _not_iterable(application, returned)
    try:
        # PEP 3333 allows to take the length of the only piece for that of the body.
        is_only = hasattr(type(returned), "__len__") and len(returned) == 1
        return iter(returned), is_only
    except TypeError:
        raise _not_iterable(application, returned) from None


def _joined(pieces: Any) -> bytes:
    for piece in pieces:
        if not isinstance(piece, bytes):
            raise _not_bytes(piece)
    return b"".join(pieces)


def _size_of(file: Any) -> int:
    """Return how many bytes are left of a file on disk; negative where it is none."""
    try:
        if not is_read_plainly(file):
            return _UNKNOWN
        if type(file) is io.BufferedRandom:
            file.flush()  # what has been written to it is to be sent, too
        status, position = os.fstat(file.fileno()), file.tell()
    except (OSError, ValueError):
        return _UNKNOWN
    return max(0, status.st_size - position) if stat.S_ISREG(status.st_mode) else _UNKNOWN


def _not_bytes(piece: object) -> TypeError:
    return TypeError(f"a body is of bytes, not of {type(piece).__name__} (PEP 3333)")


def _not_iterable(application: Any, returned: Any) -> TypeError:
    close = getattr(returned, "close", None)
    if hasattr(returned, "__await__") and close is not None:
        close()  # it would complain that nobody has awaited it
    name, kind = name_of(application), type(returned).__name__
    return TypeError(f"{name} has returned {kind}, no iterable of bytes (PEP 3333)")
