"""One TLS connection: bytes in, bytes out; and the socket that handlers know as ``self.request``.

Rules:

1.  What has been received and not yet been asked for stands in one buffer, here. The connection
    fills it without waiting, the protocol looks for requests there. Nobody else reads ahead.
2.  What is sent leaves at once as far as the socket takes it. The rest stands in the outbox, and
    somebody sends it on: the thread that writes next, the drainer while a handler goes on, the loop
    when the handler has returned. There are several of them, so sending and receiving have a lock.
3.  The channel underneath never waits. Where a handler has to wait for its peer, it waits here,
    under an `MinimumRate`, and has given back its place among the workers meanwhile.
4.  A peer's fault is remembered in `Stream.failure` before it is raised, so that the connection can
    tell it from the handler's own exceptions, however the handler dealt with it. After a failure
    no more of a response is sent: the peer may have got half a record.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import TYPE_CHECKING

from tlshttp._machinery.driven import Driven
from tlshttp._machinery.passing_on import PassingOnStream
from tlshttp._machinery.patience import StreamOwner
from tlshttp._machinery.poller import WRITE
from tlshttp._machinery.sending import AHEAD

if TYPE_CHECKING:
    from tlshttp._taken_over import ConnectionDriver

__all__ = ["Stream", "StreamOwner"]


class Stream(PassingOnStream):
    """A TLS connection that is read from and written to."""

    __slots__ = ()

    def drive(self, driver: ConnectionDriver, max_backlog: int) -> None:
        """Have the loop drive the connection, which has been taken over, from the handler's end on.

        Args:
            driver: What it calls.
            max_backlog: Bytes that may wait for the peer.

        Raises:
            RuntimeError: It is driven already, or its handler is in blocking mode.
        """
        if self.driven_by is not None:
            raise RuntimeError("the connection has been taken over already")
        self._channel.by_record = False
        self.driven_by = Driven(self, driver, min(AHEAD, max_backlog), max_backlog)

    def lend(self, *, ends_with_server: bool) -> None:
        """Leave the connection to its handler's thread, which is no worker at work any more.

        Args:
            ends_with_server: Whether what is received ends when the server comes to its end.
        """
        self.ends_with_server = ends_with_server
        self.owner.lend()

    def say_goodbye(self) -> None:
        """Send ``close_notify`` (RFC 8446, section 6.1); again, do nothing.

        TLS is over afterwards: what is read from now on is what the peer sends, undecrypted.

        Raises:
            ssl.SSLWantWriteError: A response on its way fills all buffers: there is no room yet.
        """
        channel = self._channel
        if (self._is_over and not channel.unsent) or channel.socket.fileno() < 0:
            return
        self.at_end = self._is_over = True
        try:
            if self.failure is None:
                channel.say_goodbye()
            elif not channel.unsent:
                channel.flush()  # the alert that says what the engine has found wrong
        except ssl.SSLWantWriteError:
            if self.failure is None:
                raise
        except OSError:
            pass

    def end_sending(self) -> None:
        """Tell the peer, after the goodbye, that nothing more comes; to close says so, too."""
        with contextlib.suppress(OSError):
            self._channel.socket.shutdown(socket.SHUT_WR)

    def end_waiting(self) -> None:
        """Send all that waits and say goodbye, waiting for the peer."""
        if self.backlog and self.failure is None and not self._is_over:
            self._wait_for_room(0)
        while True:
            try:
                self.say_goodbye()
                return
            except ssl.SSLWantWriteError:
                self._wait_at_rate(WRITE, WRITE)

    def discard(self, size: int = 65_536) -> bool:
        """Throw away what has arrived after the goodbye; false at the peer's end.

        Args:
            size: Bytes at most.

        Raises:
            BlockingIOError: Nothing more has arrived.
        """
        try:
            return bool(self._channel.socket.recv(size))
        except BlockingIOError:
            raise
        except OSError:
            return False

    def conclude(self) -> bool:
        """End the response that a handler is at work on, which is about to end the connection.

        Return whether it may do so now. Where the peer has some of the response still to take, and
        this thread must not wait for that, the connection ends when the handler has returned.
        """
        exchange = self.exchange
        if exchange is None or self.tunnel or self.failure is not None or not exchange.conclude():
            return True
        if self.backlog and not self.owner.may_wait():
            exchange.mute()
            return False
        with contextlib.suppress(OSError):  # it is remembered
            self.await_taken()
        return True

    def close(self) -> None:
        """Close the socket, without a goodbye to the peer. Closing again does nothing.

        One that is driven ends in good order, and its driver is told: whoever has it in hand does
        that, since this may be any thread.
        """
        driven = self.driven_by
        if driven is not None and not driven.is_over:
            driven.close()
            return
        if self._channel.socket.fileno() < 0 or self.conclude():
            self.abandon()

    def abandon(self) -> None:
        """Close the socket in the middle of whatever there is."""
        self.owner.closed()
        self.let_go()
        self._channel.close()

    def let_go(self) -> None:
        """Give back what waits: nobody will take it."""
        if self._outbox is not None:
            self.drop_backlog()
        if self.exchange is not None:
            self.exchange.let_go()

    def forget_exchange(self) -> None:
        """Let go of what the protocol has made, so that nothing is left for the garbage collector.

        The handler has returned, and the connection is closed.
        """
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.let_go_of_files()
