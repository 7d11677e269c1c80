"""What handlers use of a socket, made of the few things that a `Stream` does.

Code that was written for an `ssl.SSLSocket` finds here what that has. What must not be done to a
socket that carries what is encrypted is refused.
"""

from __future__ import annotations

import contextlib
import operator
import socket
from typing import TYPE_CHECKING, Any, NoReturn, Self

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp._interfaces import Exchange
    from tlshttp._machinery.patience import StreamChannel, StreamOwner

__all__ = ["SocketLike", "refuse_flags"]

_PIECE = 262_144  # bytes of a file read at once: sixteen records


class SocketLike:
    """A socket's methods and attributes, over those that a subclass has.

    As long as the connection is HTTP, what is received here is the request and what is sent here
    is the response, as through ``rfile`` and ``wfile``: these are the same two files. Once it has
    been taken over, or where there is no protocol, it is the bytes themselves.
    """

    if TYPE_CHECKING:
        exchange: Exchange | None
        tunnel: bool
        owner: StreamOwner
        _channel: StreamChannel

        @property
        def fd(self) -> int: ...
        @property
        def buffered(self) -> int: ...
        @property
        def backlog(self) -> int: ...
        def raw_recv(self, size: int) -> bytes: ...
        def transmit(self, data: Buffer) -> None: ...
        def conclude(self) -> bool: ...
        def end_waiting(self) -> None: ...
        def end_sending(self) -> None: ...
        def close(self) -> None: ...

    timeout: float | None
    """What `settimeout` was last given, `None` at first."""

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """Receive up to `bufsize` bytes; empty at the end."""
        refuse_flags(flags)
        if bufsize < 0:
            raise ValueError("negative buffersize in recv")
        if self.exchange is None or self.tunnel:
            return self.raw_recv(bufsize)
        return self.exchange.rfile.read1(bufsize)

    read = recv

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into `buffer`; return how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def pending(self) -> int:
        """Return how many bytes can be received without the network, at least."""
        if not self.buffered and self._channel.has_input:
            with contextlib.suppress(OSError):
                self.fill()  # type: ignore[attr-defined]
        return self.buffered

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Send all of `data`; return its size."""
        self.sendall(data, flags)
        return memoryview(data).nbytes

    write = send

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of `data`."""
        refuse_flags(flags)
        if self.exchange is None or self.tunnel:
            self.transmit(data)
        else:
            self.exchange.wfile.write(data)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file opened in binary mode, from `offset`; return how many bytes.

        Args:
            file: An object with ``read()``; with ``seek()``, too, where `offset` is given.
            offset: Where to begin, in bytes.
            count: How many bytes; `None`: to the end of the file.
        """
        if offset:
            file.seek(offset)
        if self.exchange is not None and not self.tunnel:
            sent = self.exchange.send_file(file, count)
            if sent is not None:
                return sent
        total = 0
        while count is None or total < count:
            data = file.read(_PIECE if count is None else min(_PIECE, count - total))
            if not data:
                break
            self.sendall(data)
            total += len(data)
        return total

    def makefile(self, mode: str = "r", buffering: int | None = None, **text: Any) -> Any:
        """Return a file object over this connection, as `socket.socket.makefile` does.

        Where the connection is HTTP, it is the request or the response: what `socketserver` makes
        ``rfile`` and ``wfile`` of.
        """
        if self.exchange is not None and mode in ("rb", "wb"):
            return self.exchange.makefile(mode, buffering)
        make: Any = socket.socket.makefile  # it needs no more of a socket than this class has
        return make(self, mode, buffering, **text)

    _io_refs = 0

    def _decref_socketios(self) -> None:
        """Bear the end of such a file; the connection is not closed by it."""

    def fileno(self) -> int:
        """Return the file descriptor, -1 once closed. What passes there is encrypted.

        From now on no more than a record is taken from it at once, so that ``select()`` and its
        like tell whether there is something to receive, as for an `ssl.SSLSocket`.
        """
        self._channel.by_record = True
        if self.tunnel:
            self.owner.lend()  # its handler is going to wait in a way of its own
        return self.fd

    def shutdown(self, how: int) -> None:
        """End sending, in an orderly way: response, ``close_notify`` and the end of the stream."""
        if how != socket.SHUT_RD and self.conclude():
            self.end_waiting()
            self.end_sending()

    def unwrap(self) -> socket.socket:
        """Say goodbye and return the bare socket, which is non-blocking.

        Where the peer has some of the response still to take, and this thread must not wait for
        that, the goodbye is said when the handler has returned, as after `shutdown`.
        """
        if self.conclude():
            self.end_waiting()
        return self._channel.socket

    def settimeout(self, value: float | None) -> None:
        """Bound each further wait by `value` seconds, besides the server's own limits.

        0 makes the socket non-blocking; `None` leaves the server's limits alone.
        """
        if value is not None and value < 0:
            raise ValueError("Timeout value out of range")
        self.timeout = value

    def gettimeout(self) -> float | None:
        """Return what `settimeout` was last given, `None` at first."""
        return self.timeout

    def setblocking(self, flag: bool) -> None:
        """Do ``settimeout(None)`` or ``settimeout(0)``."""
        self.settimeout(None if flag else 0.0)

    def getblocking(self) -> bool:
        """Return whether reads and writes wait."""
        return self.timeout != 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def refuse_flags(flags: int) -> None:
    """Refuse flags, which are for a bare socket.

    Raises:
        ValueError: There are any.
    """
    if flags:
        raise ValueError("a TLS connection takes no flags")


# By name, because a class with __getattr__() has every attribute looked up the slow way.
for _name in (
    "cipher", "client_sigalg", "compression", "context", "get_channel_binding",
    "get_unverified_chain", "get_verified_chain", "getpeercert", "group", "selected_alpn_protocol",
    "selected_npn_protocol", "server_hostname", "server_side", "server_sigalg", "session",
    "session_reused", "shared_ciphers", "verify_client_post_handshake", "version",
):  # fmt: skip
    setattr(SocketLike, _name, property(operator.attrgetter(f"_channel.tls.{_name}")))

for _name in (
    "detach", "family", "get_inheritable", "getpeername", "getsockname", "getsockopt", "proto",
    "set_inheritable", "setsockopt", "type",
):  # fmt: skip
    setattr(SocketLike, _name, property(operator.attrgetter(f"_channel.socket.{_name}")))


def _refuse(_socket: SocketLike, *_arguments: object, **_named: object) -> NoReturn:
    raise ValueError("not on a TLS connection: what passes the socket is encrypted")


for _name in ("dup", "recvfrom", "recvfrom_into", "recvmsg", "recvmsg_into", "sendmsg", "sendto"):
    setattr(SocketLike, _name, _refuse)
