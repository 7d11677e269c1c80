"""A TLS connection as a thread waits for it: how long its peer may take, and who is told.

A peer's fault is remembered in `PatientStream.failure` before it is raised, so that the connection
can tell it from the handler's own exceptions, however the handler dealt with it.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import socket
import ssl
import threading
import time
from typing import TYPE_CHECKING, NoReturn, Protocol

from tlshttp._budget import Budget
from tlshttp._machinery.in_bulk import Wait, is_worthwhile, wait_for_many
from tlshttp._machinery.minimum_rate import MinimumRate
from tlshttp._machinery.outbox import Outbox
from tlshttp._machinery.poller import READ, wait_for
from tlshttp._machinery.send_queue import size_of_send_queue
from tlshttp._machinery.socket_like import SocketLike
from tlshttp._tls import TLSObject
from tlshttp._tls_info import TLSInfo
from tlshttp.errors import (
    BodyTimeout,
    ConnectionCut,
    PeerDisconnected,
    TunnelTimeout,
    WriteTimeout,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._interfaces import DrivenHandler, Exchange
    from tlshttp._machinery.driven import Driven
    from tlshttp._machinery.later import Later
    from tlshttp._proxied import ProxyInfo
    from tlshttp.limits import Limits

__all__ = ["LINGER_SECONDS", "WANTS", "PatientStream", "StreamChannel", "StreamOwner", "WouldBlock"]

WANTS = (ssl.SSLWantReadError, ssl.SSLWantWriteError)

LINGER_SECONDS = 0.2
"""For how long a handler waits, at most, for a peer that takes nothing of a response, before what
it writes goes to a file, as far as others allow (`tlshttp._machinery.lingering`)."""


class WouldBlock(ssl.SSLWantReadError, BlockingIOError):
    """What a connection in non-blocking mode raises, be it taken for an SSL socket or for none."""


class StreamOwner(Protocol):
    """The connection of a stream, as far as the stream needs it."""

    group: bytes

    def may_wait(self) -> bool: ...
    def may_linger(self) -> bool: ...
    def linger(self, seconds: float) -> bool: ...
    def before_wait(self) -> None: ...
    def after_wait(self) -> None: ...
    def turn(self) -> contextlib.AbstractContextManager[object]: ...
    def watch(self) -> None: ...
    def watch_head(self) -> None: ...
    def unwatch(self) -> None: ...
    def lend(self) -> None: ...
    def take_up(self) -> None: ...
    def report_exception(self) -> None: ...
    def let_go_by_borrower(self) -> None: ...
    def begin_close(self) -> None: ...
    def closed(self) -> None: ...


class StreamChannel(Protocol):
    """What a stream asks of a `tlshttp._machinery.tls_channel.Channel`."""

    unsent: bytes
    by_record: bool
    tls: TLSObject
    socket: socket.socket

    @property
    def at_once(self) -> int: ...
    @property
    def has_input(self) -> bool: ...
    def do_handshake(self) -> None: ...
    def recv(self, size: int) -> bytes: ...
    def recv_more(self, pieces: list[bytes], size: int) -> None: ...
    def send(self, data: Buffer, *, hold: bool = False) -> int: ...
    def flush(self) -> None: ...
    def say_goodbye(self) -> None: ...
    def close(self) -> None: ...


class PatientStream(SocketLike):
    """A TLS connection.

    Args:
        channel: What encrypts and decrypts.
        limits: How long the peer may keep somebody waiting.
        owner: Who is told of waits and of the end.
        server_name: The host name the client asks for, `None` without one.
        budget: What all connections may have waiting; `None`: any amount.
    """

    # A dictionary for so many is 1.4 KiB, and of an object with more than thirty attributes in one
    # Python looks each up there, and each method, too: a kept GET took 2 % more instructions. What
    # others set has one (`SocketLike`).
    __slots__ = (
        "_buffer", "_channel", "_info", "_is_over", "_limits", "_lock", "_outbox", "_position",
        "_rate", "_reading", "_server_name", "at_end", "awaits_more", "awaits_no_other", "budget",
        "bytes_in", "bytes_out", "driven", "driven_by", "ends_with_server", "exchange", "failure",
        "fault", "goodbye_with_response", "handler", "head_left", "held_head", "idle",
        "input_complete", "known_length", "last_timeout", "late", "later", "linger_left", "owner",
        "requests", "timeout", "tunnel", "watched",
    )  # fmt: skip

    def __init__(  # noqa: PLR0915 (one for each fact)
        self,
        channel: StreamChannel,
        limits: Limits,
        owner: StreamOwner,
        server_name: str | None = None,
        budget: Budget | None = None,
    ) -> None:
        self._channel = channel
        self._limits = limits
        self._server_name = server_name
        self.budget = budget or Budget(None, None)
        self._info: TLSInfo | None = None
        self.timeout = None
        self.last_timeout: TimeoutError | None = None
        """What was raised when the handler's own timeout had passed."""
        self._buffer = b""
        self._position = 0
        self._is_over = False
        self._lock = threading.Lock()
        self._outbox: Outbox | None = None
        self._rate: MinimumRate | None = None
        self._reading = True
        self.owner = owner
        self.exchange: Exchange | None = None
        """What the protocol makes of the bytes; `None` until somebody has set it."""
        self.handler: DrivenHandler | None = None
        """The handler that the connection drives; `None` until there is one."""
        self.failure: ConnectionCut | None = None
        """What broke the connection, once it is broken."""
        self.held_head = b""
        """A response head that waits for the first bytes of its body."""
        self.head_left = False
        """Whether it did not wait any longer."""
        self.late = False
        """Whether the handler's own timeout has passed before it was called: no read waits."""
        self.fault: ConnectionCut | None = None
        """What the peer did wrong, though it was answered in good order."""
        self.later: Later | None = None
        """What answers in the place of a handler that has returned; it never waits here."""
        self.idle = False
        """Whether a handler in blocking mode is waiting for a request to begin."""
        self.awaits_no_other = False
        """Whether the request that is being answered is the last one: the server closes."""
        self.awaits_more = True
        """Whether such a handler is to wait at all; set to false when the server ends."""
        self.linger_left = LINGER_SECONDS
        """Seconds that the handler may still wait: for the peer to take some of the response, or
        for its turn to write to a file."""
        self.tunnel = False
        """Whether a handler has taken the connection over, which is no longer HTTP."""
        self.driven_by: Driven | None = None
        """What drives it then, if that is not the handler."""
        self.ends_with_server = False
        """Whether the handler that has taken it over is to be told when the server ends."""
        self.known_length = False
        """Whether the response being sent has an end that is known."""
        self.goodbye_with_response = False
        """Whether the goodbye may leave with the last response, before anybody asks for it."""
        self.watched = False
        """Whether the drainer looks after what is in the outbox."""
        self.at_end = False
        """Whether the peer has said that it sends no more."""
        self.input_complete = False
        """Whether the last request has been read to its end, as far as HTTP tells."""
        self.requests = self.bytes_in = self.bytes_out = 0
        """Requests answered, and bytes moved either way, that are not in the server's counters."""

    @property
    def tls(self) -> TLSInfo:
        """What the handshake agreed on."""
        if self._info is None:
            self._info = TLSInfo(self._channel.tls, self._server_name)
        return self._info

    @property
    def proxy(self) -> ProxyInfo | None:
        """What a trusted proxy has said of the connection; `None` where there is none."""
        return getattr(self.owner, "proxy", None)

    @property
    def ending(self) -> bool:
        """Whether the server has come to its end: what is received ends, what is sent arrives."""
        return not self.awaits_more

    @property
    def restricted(self) -> bool:
        """Whether there are hosts that may not be asked for here (`TLSInfo.may_serve`)."""
        return getattr(self._channel.tls, "may_serve", None) is not None

    @property
    def cut(self) -> ConnectionCut | None:
        """What the peer did wrong, whether or not that broke the connection."""
        return self.failure or self.fault

    @property
    def fd(self) -> int:
        """The file descriptor, -1 once closed."""
        return self._channel.socket.fileno()

    @property
    def backlog(self) -> int:
        """Bytes that were written and that the peer's socket has not taken."""
        outbox = self._outbox
        # In this order: another thread may just be sending, by which bytes go from there to here.
        waiting = outbox.size if outbox is not None else 0
        return waiting + len(self._channel.unsent)

    @property
    def rests(self) -> bool:
        """Whether nobody misses anything if it ends: the next request has not begun."""
        return self.idle and not self.backlog

    def do_handshake(self) -> TLSObject:
        """Take one step of the handshake; return what knows its outcome.

        Raises:
            OSError: What the engine raises.
        """
        self._channel.do_handshake()
        return self._channel.tls

    def fail(self, cut: ConnectionCut) -> NoReturn:
        """Take note of what broke the connection, and raise it."""
        if self.failure is None:
            self.failure = cut
        raise self.failure

    def raised(self, error: TimeoutError) -> bool:
        """Return whether this is a time limit of this connection, not one of the handler's own."""
        return error in (self.failure, self.last_timeout)

    def begin_rate(self, direction: int) -> MinimumRate:
        """Return what the peer has from now on for a request body (`READ`) or a response."""
        limits = self._limits
        if direction == READ:
            return MinimumRate(
                limits.body_timeout, limits.body_min_rate, BodyTimeout,
                "sent the request body", self.bytes_in,
            )  # fmt: skip
        return MinimumRate(
            limits.write_timeout, limits.write_min_rate, WriteTimeout,
            "took the response", self.taken,
        )  # fmt: skip

    @property
    def moved_out(self) -> int:
        """Bytes of responses that the kernel has taken."""
        return self.bytes_out - len(self._channel.unsent)

    @property
    def taken(self) -> int:
        """Bytes of responses that the peer has taken, as far as the system tells."""
        return self.moved_out - size_of_send_queue(self.fd)

    def _wait_at_rate(self, event: int, direction: int, wanted: int = 1) -> None:
        """Wait as long as the peer's rate and the handler's own timeout have it.

        Args:
            event: For what.
            direction: What the peer is to do: send (`READ`), or take what is sent.
            wanted: Bytes that will come, and before which nobody goes on.

        Raises:
            TimeoutError: The handler's own timeout (`settimeout`) has passed.
            ConnectionCut: The peer was too slow, or is gone.
        """
        if self.timeout == 0 or self.later is not None:
            raise WouldBlock("the operation would have to wait for the peer")
        if self.late and direction == READ:
            self._time_out()
        if self.tunnel:
            self._wait_in_tunnel(event)
            return
        if (direction == READ) != self._reading or self._rate is None:
            self._reading = direction == READ
            self._rate = self.begin_rate(direction)
        rate = self._rate
        rate.earn(self.bytes_in if self._reading else self.taken)
        shortest = rate.left if self.timeout is None else min(rate.left, self.timeout)
        wait = wait_for
        # A timeout of the handler's own is one for each piece that comes.
        if event == READ and self.timeout is None and is_worthwhile(wanted, rate.waited):
            wait = functools.partial(wait_for_many, self._channel.socket, wanted, rate.waited)
        began = time.monotonic()
        ready = self._wait_here(event, shortest, wait)
        waited = time.monotonic() - began
        # That we wake late, when it has moved, is not the peer's fault.
        rate.spend(min(waited, shortest) if ready else waited)
        if ready:
            return
        if rate.left:
            self._time_out()
        if not self._reading:
            rate.earn(self.taken)
        if not rate.left:
            self.fail(rate.used_up())

    def _wait_in_tunnel(self, event: int) -> None:
        limit = self._limits.tunnel_timeout
        if self._wait_here(event, min(filter(None, (limit, self.timeout)), default=None)):
            return
        if self.timeout is None or (limit is not None and limit <= self.timeout):
            self.fail(TunnelTimeout(f"nothing has moved for {limit:g} s"))
        self._time_out()

    def _time_out(self) -> NoReturn:
        """Raise what tells that the handler's own timeout has passed."""
        self.last_timeout = TimeoutError("timed out")
        raise self.last_timeout

    def _wait_here(self, event: int, timeout: float | None, wait: Wait = wait_for) -> bool:
        """Wait in this thread, which has no place among the workers meanwhile."""
        self.owner.before_wait()
        try:
            return wait(self.fd, event, timeout if timeout != float("inf") else None)
        finally:
            self.owner.after_wait()

    def wait_for_disk(self, size: int) -> bool:
        """Wait until there is room for `size` bytes on disk; false where none is made in time."""
        self.owner.before_wait()
        try:
            return self.budget.await_disk(
                size, self._limits.body_timeout, self.owner, lambda: self.failure is not None
            )
        finally:
            self.owner.after_wait()

    def take_over(self) -> None:
        """Be a plain connection from now on: no framing, and a limit of its own."""
        self.tunnel = True
        self.known_length = False
        self._channel.by_record = True

    def begin_exchange(self) -> None:
        """Have the next body and the next response begin with allowances of their own."""
        self._rate = None
        self.known_length = self.late = self.head_left = False
        self.linger_left = LINGER_SECONDS
        self.held_head = b""

    def _break(self, error: OSError) -> NoReturn:
        """Take note of what the TLS engine found wrong with the connection, and raise that."""
        if self._channel.socket.fileno() < 0:
            raise OSError(errno.EBADF, "the connection has been closed on this side") from error
        self.fail(_disconnected(error))

    def __repr__(self) -> str:
        """Show whose connection it is."""
        return f"<tlshttp connection {self._info!r} fd={self.fd}>"


def _disconnected(error: OSError) -> PeerDisconnected:
    if isinstance(error, ssl.SSLEOFError):
        return PeerDisconnected("the peer left without closing the TLS session (close_notify)")
    if isinstance(error, ssl.SSLError):
        return PeerDisconnected(f"the peer broke off: {error.reason or error}")
    return PeerDisconnected(f"the peer broke off: {os.strerror(error.errno or 0)}")
