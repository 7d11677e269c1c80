"""What a response asks of its exchange, and what is said in its place.

Whether the connection is kept after it, whether it goes over to the handler with it, and what of it
is sent as a file. Where a request is refused or a handler fails, the client is told.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tlshttp._passed_on import passes_on
from tlshttp.handler._buffered_writer import buffered
from tlshttp.handler._error_answers import say_error
from tlshttp.handler._intake import AT_WORK, Intake
from tlshttp.handler._regular_files import regular_file
from tlshttp.handler._response import ResponseHead

if TYPE_CHECKING:
    from tlshttp._interfaces import Ending
    from tlshttp.errors import RequestRefused
    from tlshttp.handler._reader import RequestReader
    from tlshttp.handler._writer import ResponseWriter

__all__ = ["Responding"]


class Responding(Intake):
    """The half of an exchange that its response depends on; `HTTPExchange` is the whole."""

    __slots__ = ("_ending", "_renews", "blocking", "rfile", "says_keep_alive", "wfile")

    rfile: RequestReader
    wfile: ResponseWriter
    blocking: bool
    says_keep_alive: bool
    _ending: Ending
    _renews: bool

    def is_flushing(self, data: bytes) -> bool:
        """Return whether this is the head that the handler's own ``flush_headers()`` writes."""
        lines: list[bytes] | None = getattr(self.handler, "_headers_buffer", None)
        return bool(lines) and b"".join(lines or ()) == data

    def must_close(self, head: ResponseHead) -> bool:
        """Return whether the connection has to end after the response with this head."""
        request, handler = self.request, self.handler
        keeps = head.asks()
        if keeps is None:  # RFC 9112, section 9.3
            keeps = head.minor_version > 0
        if keeps and handler is not None:
            keeps = not handler.close_connection
        elif keeps and head.connection is None:
            keeps = request.wants_to_keep
        keeps = keeps and not self._ending.begun
        self.says_keep_alive = head.connection is None and not request.minor_version
        # A client that is still sending its body is not told later.
        return (
            not keeps
            or self.refused is not None
            or not self.rfile.is_received()
            or self._ends_after_one()
            # What a client has sent ahead for a tunnel that it does not get is no request.
            or self.method == "CONNECT"
        )

    def _ends_after_one(self) -> bool:
        """Return whether a thread or process of the user's is to serve one request, and be free.

        So it is, too, where others need the place of a connection that was idle until just now, and
        where the server closes.
        """
        stream = self._stream
        return self.blocking and (self._renews or stream.ending or stream.awaits_no_other)

    def closes_plainly(self) -> bool | None:
        """Return whether the connection ends after a response that says nothing about it.

        `None`: the request is none of those for which that is all there is to `must_close`.
        """
        handler = self.handler
        if not self.is_plain or self.refused is not None or handler is None:
            return None
        return bool(
            handler.close_connection
            or self._ending.begun
            or (self.blocking and self._ends_after_one())
        )

    def send_interim(self, head: ResponseHead) -> None:
        """Send a head that another one follows (RFC 9110, section 15.2)."""
        if head.status == HTTPStatus.CONTINUE:
            if self._continued:
                return
            self._continued = True
            self.rfile.told_to_continue()
        if self.request.minor_version:
            self._stream.transmit(head.data)

    def takes_over(self, head: ResponseHead) -> bool:
        """Return whether the connection is the handler's after that head, and no longer HTTP.

        So it is after 101, and after CONNECT (RFC 9110, sections 15.2.2 and 9.3.6).
        """
        return head.switches_protocols or (self.method == "CONNECT" and 200 <= head.status < 300)

    def take_over(self) -> None:
        """Let the handler have the connection as it is."""
        self.rfile.take_over()
        self._stream.take_over()

    def makefile(self, mode: str, buffering: int | None) -> Any:
        """Return ``rfile`` (``"rb"``) or ``wfile`` (``"wb"``)."""
        if mode == "rb":
            return self.rfile
        return self.wfile if buffering == 0 else buffered(self.wfile, buffering or -1)

    def send_file(self, file: Any, count: int | None) -> int | None:
        """Queue a file as a file; `None` where it is none that can be.

        Args:
            file: What is to be sent, from where it stands.
            count: How many bytes; `None`: to its end.
        """
        found = regular_file(file)
        if found is None:
            return None
        fd, position, left = found
        size = self.wfile.bounds(left if count is None else min(left, count))
        if size <= 0 or not self.wfile.send_file(fd, position, size):
            return None
        file.seek(position + size)
        return size

    # In the place of a response ---------------------------------------------------------------

    def mute(self) -> None:
        """Drop what is still written of the response, and what is held back."""
        self.wfile.mute()

    def refuse(self, refused: RequestRefused) -> None:
        """Answer what is wrong with a request, if it has not been answered."""
        self._stream.fault = refused
        say_error(self, self._stream, refused.status, str(refused))

    def apologise(self) -> None:
        """Tell the client of a handler's failure, if it can still be told, and spoil the rest."""
        if self._state == AT_WORK:
            say_error(self, self._stream, HTTPStatus.INTERNAL_SERVER_ERROR, None)

    def is_unanswered(self) -> bool:
        """Return whether the response has not so much as a head."""
        return not (self.wfile.head_ended or self.wfile.started)

    def say_unanswered(self) -> None:
        """Answer what a handler has left without an answer, and say so in the log."""
        self.warn("%r: the handler has ended without an answer", self.request_line)
        self.apologise()

    def doubt(self) -> None:
        """Take note that the handler has raised an exception, which it may bear itself.

        If it writes nothing more, the client is told as the response ends.
        """
        if self._state == AT_WORK:
            self.wfile.doubt()

    def bear(self, error: BaseException) -> bool:
        """Answer what a handler has raised; tell if that is only what the peer did wrong."""
        refused = self.refused
        if refused is not None and passes_on(error, lambda each: each is refused):
            self.refuse(refused)
            return True
        self.apologise()
        return False
