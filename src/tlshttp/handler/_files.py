"""``self.rfile`` and ``self.wfile``: the connection as the file objects handlers expect.

`RequestReader` never reads ahead: whatever a handler has not asked for stays in the connection's
own buffer, where the next request is looked for.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from tlshttp._seam import Transport

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["RequestReader", "ResponseWriter"]


class RequestReader(io.BufferedIOBase):
    """The bytes a client sends."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.taken = 0
        """Bytes read so far."""

    def readable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection; what passes there is encrypted."""
        return self._transport.fileno()

    def readline(self, size: int | None = -1, /) -> bytes:
        """Read a line, with its line feed, of at most `size` bytes."""
        return self._took(self._transport.readline(-1 if size is None else size))

    def read(self, size: int | None = -1, /) -> bytes:
        """Read `size` bytes, fewer only at the client's end; all up to there without a size."""
        return self._took(self._transport.read(size))

    def read1(self, size: int = -1, /) -> bytes:
        """Read what is there, waiting only if there is nothing; at most `size` bytes."""
        return self._took(self._transport.recv(size if size >= 0 else io.DEFAULT_BUFFER_SIZE))

    def _took(self, data: bytes) -> bytes:
        self.taken += len(data)
        return data


class ResponseWriter(io.BufferedIOBase):
    """The bytes sent to a client, each write at once."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def writable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the connection; what is written there reaches no client."""
        return self._transport.fileno()

    def write(self, data: Buffer, /) -> int:
        """Send all of `data`; return its size in bytes."""
        self._transport.sendall(data)
        return memoryview(data).nbytes
