"""One request and its response, then the next: what stands between a connection and its handler.

Theory of operation. The connection gives the exchange what arrives (`Intake.receive`). It finds
the head, judges it and collects the body; nobody has been called so far. When it says `READY`, a
handler is called (`HTTPExchange.run`), reads from ``rfile`` what is there and writes to ``wfile``
what is to be sent. A handler is a black box: whichever methods it inherits, overrides or calls by
the name of their class, it is these two files that count. `HTTPExchange.end` ends the response and
tells whether the connection may be kept.

Rules:

1.  What is refused is refused when its head is there, before any body is waited for. The handler is
    called to say so, since what an error looks like is its to decide.
2.  A body is collected unless the handler wants it as it comes (``stream_request``), decides on
    100 (Continue) by itself, or can wait for what is large. What has been collected arrives with a
    Content-Length, whatever framing it came in.
3.  When in doubt the connection is closed after the response, and the response says so.
4.  A handler in blocking mode asks for its next request itself (`HTTPExchange.next_request`).
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from tlshttp._interfaces import (
    HEAD_MISSING,
    NEVER,
    OTHERS_FIRST,
    READY,
    ROOM_MISSING,
    Answerer,
    DrivenHandler,
    Ending,
    Transport,
)
from tlshttp.errors import PeerDisconnected, RequestRefused
from tlshttp.handler._intake import AT_ONCE, AT_WORK, LONGEST_PLAIN, NONE, STATE_READY
from tlshttp.handler._reader import RequestReader
from tlshttp.handler._renewal import another_as_made, forget_head
from tlshttp.handler._responding import Responding
from tlshttp.handler._writer import ResponseWriter
from tlshttp.limits import Limits

if TYPE_CHECKING:
    from tlshttp.handler._compose import Composition

__all__ = ["HTTPExchange"]


class HTTPExchange(Responding):
    """The requests and responses of one connection.

    Args:
        stream: The connection.
        limits: Sizes and deadlines.
        composition: How handlers are made; `None`: not known.
        collects_all: Whether every body is collected, however large.
        ending: Whether the server is coming to its end; `None`: it never is.
    """

    __slots__ = ("_answerer", "fresh", "one_shot")

    def __init__(
        self,
        stream: Transport,
        limits: Limits,
        composition: Composition | None,
        *,
        collects_all: bool,
        ending: Ending | None = None,
    ) -> None:
        super().__init__(stream, limits, composition, collects_all=collects_all)
        self._ending = ending or NEVER
        self._renews = composition is not None and composition.renews
        self._answerer: Answerer | None = None
        self.fresh = False
        """Whether a request has been begun that its handler has not asked for yet."""
        self.one_shot = False
        """Whether a handler is made for this request alone."""
        self.blocking = False
        """Whether the handler asks for its next request itself."""
        self.says_keep_alive = False
        """Whether a response that keeps the connection has to say so: to HTTP/1.0."""
        self.rfile = RequestReader(self, stream)
        self.wfile = ResponseWriter(self, stream)

    @property
    def to_come(self) -> int:
        """Bytes of the response that have been announced and not been written."""
        return self.wfile.to_come

    # The handler reads --------------------------------------------------------------------------

    def begin_handler(self) -> None:
        """Take note that a handler is to be made, by whatever hook: it may be one that blocks."""
        self.blocking, self.one_shot = True, False
        # Before it asks for its request: it may answer without.
        if self._state == STATE_READY and self.refused is None:
            self.fresh = self.begin()

    def begin(self) -> bool:
        """Begin with the request that is ready; tell if there is one.

        Raises:
            RequestRefused: It has to be refused.
        """
        if self._state != STATE_READY:
            return False
        self._state = AT_WORK
        stream, wfile = self._stream, self.wfile
        stream.begin_exchange()
        wfile.begin()
        if self.is_plain and self.refused is None:  # as nearly always: the rest for one case
            stream.input_complete = True
            self.rfile.begin_empty()
            return True
        if not self.request.minor_version and self.version == "HTTP/0.9" and self.refused is None:
            wfile.begin_without_head()
        body = self._body
        if body is None and self._spool is None and self.refused is None:
            stream.input_complete = True
            if stream.tunnel:
                self.rfile.take_over()
            else:
                self.rfile.begin_empty()
            return True
        if body is None or body.done:
            stream.input_complete = self.refused is None
            data, spool = b"", self._spool
            if spool is not None and spool.size <= AT_ONCE:
                data, spool = spool.read_all(), None
            self.rfile.begin(data, spool, None, owes_100=False)
        else:
            stream.input_complete = False
            stream.late = self._late
            self.rfile.begin(b"", self._spool, body, owes_100=self._expects_100())
        self._spool = None
        if self.refused is not None:
            raise self.refused
        return True

    def head_bytes(self) -> bytes:
        """Return the head as a handler is to read it that reads it line by line."""
        request = self.request
        if request.version == "HTTP/0.9":
            return request.raw
        unchanged = self.fields is request.head.fields
        if unchanged and not (self._continued and request.head.expects_continue):
            return request.raw
        lines = [f"{name}: {value}\r\n" for name, value in self.fields if name.lower() != "expect"]
        return "".join([request.line, "\r\n", *lines, "\r\n"]).encode("iso-8859-1")

    def send_continue(self) -> None:
        """Tell a waiting client to send its body, unless it has been answered already."""
        self.wfile.keep_back()  # a head that has not left comes after it
        if self.wfile.started and self._state == AT_WORK:
            self._continued = True
        else:
            self._tell_to_continue()

    def before_wait(self) -> None:
        """Send what is held back: the handler is going to wait for its peer."""
        self.wfile.flush()

    def next_request(self) -> None:
        """End this exchange and wait for the next request, for a handler in blocking mode."""
        if not self.blocking or not (self.wfile.head_ended or self.wfile.started):
            return
        if not self.end() or not self._await_request():
            self.rfile.end()

    def await_request(self) -> bool:
        """Begin with the request that is ready, or wait for one in blocking mode.

        Raises:
            RequestRefused: It has to be refused.
        """
        if self._state == AT_WORK and self.blocking and not self.end():
            return False
        if self._state != STATE_READY and not (self.blocking and self._await_request()):
            return False
        return self.begin()

    def _await_request(self) -> bool:
        """Wait for a request in this thread; tell if there is one."""
        stream, limits = self._stream, self._limits
        if stream.failure is not None:
            return False
        stream.await_taken()
        if not stream.buffered:
            stream.begin_exchange()
            if not stream.wait_for_request():
                return False
        timeout = limits.header_timeout
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        while (missing := self.receive()) != READY:
            if missing == ROOM_MISSING:
                self.refuse_for_room()
                break
            if missing == OTHERS_FIRST:
                continue
            if missing == HEAD_MISSING and not stream.buffered:
                return self._await_request()  # there was nothing but an empty line
            if not self._await_more(missing, deadline):
                if not self.begun:
                    return False
                stream.fail(PeerDisconnected("the peer left in the middle of a request"))
        return True

    def _await_more(self, missing: int, deadline: float) -> bool:
        """Wait for more of a request; false at the peer's end."""
        stream = self._stream
        if missing == HEAD_MISSING:
            return stream.wait_for_head(deadline)
        try:
            return stream.fill_waiting()
        except TimeoutError as error:
            if stream.failure is not None or not stream.raised(error):
                raise
        self.time_out()
        return True

    # Running ------------------------------------------------------------------------------------

    def run(self, handler: DrivenHandler) -> bool | None:
        """Have a handler serve the request; tell whether the connection may be kept.

        `None`: the handler has said who answers in its place. An exception passes through, after
        the client has been told with a 500 if nothing had been sent.
        """
        self.handler = handler
        made = dict(vars(handler)) if self._renews else None
        was_unknown = self._state == AT_WORK
        if self._state == STATE_READY and self.refused is None:
            self.fresh = self.begin()
        try:
            if was_unknown:
                self.judge_host(handler)
            handler.handle_one_request()
        except RequestRefused as refused:
            if refused is not self.refused:
                raise
            self.refuse(refused)
        except Exception:
            if self._answerer is not None:
                self._answerer.drop()
                self._answerer = None
            self.apologise()
            raise
        answerer, self._answerer = self._answerer, None
        if answerer is not None:
            self._stream.owner.answer_later(answerer)
            return None
        keep = self.end()
        if made is not None and keep:
            self._stream.handler = another_as_made(handler, made)
        return keep

    def answer_later(self, answerer: Answerer) -> None:
        """Have somebody else go on when the handler has returned.

        Raises:
            RuntimeError: The handler runs in a thread of its own, which is to do that itself.
        """
        if self.blocking or self.one_shot:
            answerer.drop()
            raise RuntimeError(
                "a coroutine needs a handler that the server drives: one whose thread is of"
                " ThreadingMixIn, ForkingMixIn or a process_request() of your own cannot have any"
            )
        self._answerer = answerer

    def end(self) -> bool:
        """End the response, and let go of the request; tell whether the connection may be kept."""
        self.fresh = False
        if self._state != AT_WORK:
            self.handler = None
            return False
        stream, rfile, wfile, handler = self._stream, self.rfile, self.wfile, self.handler
        is_over = wfile.is_over
        if (
            is_over
            and self.is_plain
            and self.refused is None
            and handler is not None
            and handler.wfile is wfile
            and not stream.tunnel
            and stream.failure is None
        ):
            # As after nearly every request, which saves half the steps of what follows: nothing is
            # left to be sent or read, and what was large was not kept.
            self._state = NONE
            rfile.end()
            self.handler = None
            return not (wfile.closes or handler.close_connection)
        return self._end_with_care(is_over=is_over)

    def _end_with_care(self, *, is_over: bool) -> bool:
        """Do what `end` does where something is left to be sent, read or said."""
        stream, rfile = self._stream, self.rfile
        wfile, handler = self.wfile, self.handler
        if not is_over and wfile.is_in_doubt:
            self.apologise()
        self._state = NONE
        if stream.failure is not None or stream.tunnel:
            rfile.end()
            return False
        if handler is not None and handler.wfile is not wfile:
            with contextlib.suppress(ValueError):  # it may have been closed
                handler.wfile.flush()
            is_over = wfile.is_over
        wrong = None if is_over else wfile.end()
        if wrong is not None:
            self.warn("the response to %r has %s", self.request_line, wrong)
        if not wfile.head_ended and self.is_unanswered():
            wfile.begin_without_head()  # the connection ends; ``finish()`` may write it all
        keep = not (
            wrong
            or wfile.closes
            or not wfile.head_ended
            or (handler is not None and handler.close_connection)
        )
        # Whatever is left of a body would be taken for the next request.
        complete = self.refused is None and (
            self._body is None or rfile.is_received() or rfile.drain()
        )
        if self.refused is not None and stream.fault is None:
            stream.fault = self.refused  # the handler may have borne it
        stream.input_complete = complete
        rfile.end()
        if len(self.request.raw) > LONGEST_PLAIN:
            self._forget()
        self.handler = None
        return keep and complete

    def conclude(self) -> bool:
        """End the response of a handler that ends the connection itself; tell if there is one.

        Such a handler has sent all that it wants to; the end of its body is not among that, because
        it need not know how the response is framed.
        """
        wfile, handler = self.wfile, self.handler
        if self._state != AT_WORK or wfile.is_in_doubt or self.is_unanswered():
            return False
        with contextlib.suppress(OSError, ValueError):  # it is lost, or a file has been closed
            if handler is not None and handler.wfile is not wfile:
                handler.wfile.flush()
            wrong = wfile.conclude()
            if wrong is not None:
                self.warn("the response to %r has %s", self.request_line, wrong)
        wfile.closes = True
        return True

    def _forget(self) -> None:
        """Let go of a large head: while it is idle a connection is to be small."""
        self.request.forget()
        self.fields = []
        forget_head(self.handler)

    def let_go(self) -> None:
        """Give back what is collected: the connection is over."""
        spool, self._spool = self._spool, None
        if spool is not None:
            spool.clear()
        self.rfile.end()
        self.handler = None

    def let_go_of_files(self) -> None:
        """Forget ``rfile`` and ``wfile``, which know the exchange: nobody asks for them again.

        A handler that somebody has kept still has them.
        """
        self.wfile.begin_no_more()
        del self.rfile, self.wfile
