"""A connection between two buffers of `ssl`, for whoever has these and no others."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp.pyopenssl._way import Connection

__all__ = ["Bridge"]

_OWN = frozenset({"_connection", "_incoming", "_outgoing"})


class Bridge:
    """What ``wrap_bio`` returns: bytes are carried over before each call, and back after it.

    All else is the connection's.

    Args:
        connection: The connection, with buffers of its own.
        incoming: What comes from the peer.
        outgoing: What goes there.
    """

    def __init__(
        self, connection: Connection, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO
    ) -> None:
        self._connection = connection
        self._incoming = incoming
        self._outgoing = outgoing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _OWN:
            super().__setattr__(name, value)
        else:
            setattr(self._connection, name, value)

    def do_handshake(self) -> None:
        """Take the handshake as far as the peer's bytes go."""
        self._carry(self._connection.do_handshake)

    def read(self, size: int = 1024, /) -> bytes:
        """Return up to `size` bytes, decrypted; empty at the peer's end."""
        data: bytes = self._carry(self._connection.read, size)
        return data

    def write(self, data: Buffer, /) -> int:
        """Encrypt all of `data`; return its size."""
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += self._carry(self._connection.write, view[done:])
        return done

    def unwrap(self) -> None:
        """Write ``close_notify``, and look for the peer's."""
        self._carry(self._connection.unwrap)

    def _carry(self, method: Any, *arguments: Any) -> Any:
        if self._incoming.pending:
            self._connection.incoming.write(self._incoming.read())
        if self._incoming.eof:
            self._connection.incoming.write_eof()
        try:
            return method(*arguments)
        finally:
            if written := self._connection.outgoing.read():
                self._outgoing.write(written)
