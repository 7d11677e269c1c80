"""What handlers use of a socket, made of the few things that a `tlshttp._front.stream.Stream` does.

Code that was written for an `ssl.SSLSocket` finds here what that has. What must not be done to a
socket that carries what is encrypted is refused.
"""

from __future__ import annotations

import operator
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["SocketLike", "refuse_flags"]

_PIECE = 262_144  # bytes of a file read at once: sixteen records


class SocketLike:
    """A socket's methods and attributes, over those that a subclass has."""

    if TYPE_CHECKING:
        before_send: Callable[[], None] | None

        def recv(self, bufsize: int, flags: int = 0) -> bytes: ...
        def transmit(self, data: Buffer) -> None: ...

    timeout: float | None
    """What `settimeout` was last given, `None` at first."""

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        """Receive into `buffer`; return how many bytes, 0 at the peer's end."""
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def send(self, data: Buffer, flags: int = 0) -> int:
        """Send all of `data`; return its size."""
        self.sendall(data, flags)
        return memoryview(data).nbytes

    write = send

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        """Send all of `data`, past the handler's ``wfile``."""
        refuse_flags(flags)
        if self.before_send is not None:
            self.before_send()
        self.transmit(data)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """Send a file opened in binary mode, from `offset`; return how many bytes.

        Args:
            file: An object with ``read()``; with ``seek()``, too, where `offset` is given.
            offset: Where to begin, in bytes.
            count: How many bytes; `None`: to the end of the file.
        """
        if offset:
            file.seek(offset)
        total = 0
        while count is None or total < count:
            data = file.read(_PIECE if count is None else min(_PIECE, count - total))
            if not data:
                break
            self.sendall(data)
            total += len(data)
        return total

    def makefile(self, mode: str = "r", buffering: int | None = None, **text: Any) -> Any:
        """Return a file object over this connection, as `socket.socket.makefile` does."""
        make: Any = socket.socket.makefile  # it needs no more of a socket than this class has
        return make(self, mode, buffering, **text)

    _io_refs = 0

    def _decref_socketios(self) -> None:
        """Bear the end of such a file; the connection is not closed by it."""

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
