"""A connection that a handler has taken over: what it offers, and what it asks of a driver."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._tls_info import TLSInfo
    from tlshttp.errors import ConnectionCut

__all__ = ["ConnectionDriver", "DrivenConnection", "TakenOverConnection"]


class TakenOverConnection(Protocol):
    """A connection in the hands of a handler: `~tlshttp.TLSRequestHandler.take_over` returns it.

    It has the other methods of an `ssl.SSLSocket`, too.
    """

    ending: bool
    """Whether the server is coming to its end: then `recv` comes to its end (``b""``), and
    what is sent still arrives."""

    @property
    def tls(self) -> TLSInfo:
        """What the handshake agreed on."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive up to ``bufsize`` bytes, waiting if there are none; empty at the end.

        Raises:
            TimeoutError: The time of `settimeout` has passed.
            ConnectionCut: The peer is gone, or ``Limits.tunnel_timeout`` has passed.
        """

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into ``buffer``; return how many bytes, 0 at the end."""

    def pending(self) -> int:
        """Return how many bytes are here already, which ``select()`` does not see."""

    def await_data(self, timeout: float | None) -> bool:
        """Wait up to ``timeout`` seconds until `recv` need not wait; tell if it need not.

        Args:
            timeout: Seconds; `None`: as long as ``Limits.tunnel_timeout`` allows.

        Raises:
            ConnectionCut: The peer is gone, or that time has passed.
        """

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of ``data``, from any thread; wait while the peer is 64 KiB behind."""

    def settimeout(self, value: float | None) -> None:
        """Bound each further wait by ``value`` seconds; 0 never waits, `None` lifts that."""

    def makefile(self, mode: str = "r", buffering: int | None = None, **text: Any) -> Any:
        """Return a file object over this connection, as `socket.socket.makefile` does."""

    def fileno(self) -> int:
        """Return the descriptor, for ``select()``; the bytes on it are encrypted."""

    def shutdown(self, how: int) -> None:
        """Say goodbye, and send and receive nothing more; with ``SHUT_RD`` do nothing.

        ``SHUT_WR`` ends receiving, too: TLS is over on this side with the goodbye.
        """

    def close(self) -> None:
        """Close at once, without a word to the peer. It is better to return from the handler."""


class DrivenConnection(Protocol):
    """A connection as its driver uses it; all of this may be called from any thread."""

    @property
    def tls(self) -> TLSInfo:
        """What the handshake agreed on."""

    @property
    def backlog(self) -> int:
        """Bytes that were written and that the peer has not taken."""

    @property
    def is_full(self) -> bool:
        """Whether that is so much that nothing is received until most of it has gone."""

    def write(self, data: Buffer) -> None:
        """Send ``data``, or have it sent as soon as the peer takes it; never wait.

        Raises:
            ConnectionCut: The connection is broken; or it is broken by this, because the peer has
                more waiting for it than it may have (`~tlshttp.errors.ResponseBacklog`).
            BrokenPipeError: It has been closed on this side.
        """

    def wake_after(self, seconds: float | None) -> None:
        """Have `ConnectionDriver.due` called once, after so many seconds.

        It may be a quarter of a second late. Only the last of these calls counts; with `None`
        `ConnectionDriver.due` is not called.
        """

    def pause(self) -> None:
        """Receive nothing more until `resume`."""

    def resume(self) -> None:
        """Receive again."""

    def close(self, fault: ConnectionCut | None = None) -> None:
        """End the connection in an orderly way, when all that was written has gone.

        Args:
            fault: What the peer has done wrong, to be reported; `None`: nothing.
        """


class ConnectionDriver:
    """What is done with a connection that has been taken over; derive from it.

    These methods are called one at a time for each connection, and no thread waits between them.
    Each call is a handler at work. In `~tlshttp.TLSHTTPServer` it must not wait; in
    `~tlshttp.ThreadingTLSHTTPServer`, where a worker makes it, it may. What it raises is reported
    by ``handle_error()``, and closes the connection. After `ended` there is no further call.
    """

    connection: DrivenConnection
    """What it drives, from `began` on."""

    def began(self, connection: DrivenConnection) -> None:
        """Begin: the handler has returned, and nothing has been received yet."""
        self.connection = connection

    def received(self, data: bytes) -> None:
        """Take bytes that have arrived."""

    def peer_ended(self) -> None:
        """Take note that the peer sends no more; by default close the connection."""
        self.connection.close()

    def writable(self) -> None:
        """Take note that the peer was too far behind, and has now taken most of it."""

    def due(self) -> None:
        """Take note that the time of `DrivenConnection.wake_after` has come."""

    def leave(self) -> None:
        """Say goodbye and close: the server comes to its end, or needs the place.

        By default close the connection.
        """
        self.connection.close()

    def ended(self, error: Exception | None) -> None:
        """Take note of the end.

        Args:
            error: What cut the connection, a `~tlshttp.errors.ConnectionCut`, or what another
                method raised; `None`: it was closed, or a method has raised what is no `Exception`,
                such as `SystemExit`.
        """
