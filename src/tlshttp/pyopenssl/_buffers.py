"""Bytes on their way to OpenSSL and from it, by its own functions: see `_direct`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlshttp.pyopenssl import _library

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Incoming", "Outgoing", "Pool"]

_lib, _ffi = _library.lib, _library.ffi

_SIZE = 20_480
"""Bytes of a buffer: one record of the largest size, encrypted (RFC 8446, section 5.2), and more
than the flight of most handshakes."""


class Pool:
    """Buffers that nobody uses now: as many as there have been calls at the same moment."""

    def __init__(self) -> None:
        self._free: list[Any] = []

    def take(self) -> Any:
        """Return a buffer of 20 KiB for the length of one call of OpenSSL."""
        try:
            return self._free.pop()
        except IndexError:
            return _ffi.new("char[]", _SIZE)

    def give_back(self, buffer: Any) -> None:
        """Let others use a buffer."""
        self._free.append(buffer)


class Incoming:
    """What has come from the peer.

    Args:
        owner: The ``SSL`` that frees the buffer.
        bio: OpenSSL's buffer.
    """

    __slots__ = ("_bio", "_owner")

    def __init__(self, owner: Any, bio: Any) -> None:
        self._owner, self._bio = owner, bio

    def write(self, data: Buffer, /) -> int:
        """Have OpenSSL read something."""
        if type(data) is not bytes:
            data = bytes(data)
        if data and _lib.BIO_write(self._bio, data, len(data)) != len(data):
            raise MemoryError("OpenSSL has no room for what the peer has sent")
        return len(data)

    def write_eof(self) -> None:
        """Have OpenSSL read the end."""
        _lib.BIO_set_mem_eof_return(self._bio, 0)

    @property
    def pending(self) -> int:
        """How many bytes OpenSSL has not read."""
        left: int = _lib.BIO_get_mem_data(self._bio, _ffi.NULL)
        return left


class Outgoing:
    """What goes to the peer.

    Args:
        owner: The ``SSL`` that frees the buffer.
        bio: OpenSSL's buffer.
        pool: Where buffers for single calls are.
    """

    __slots__ = ("_bio", "_owner", "_pool", "_taken", "is_stale")

    def __init__(self, owner: Any, bio: Any, pool: Pool) -> None:
        self._owner, self._bio, self._pool = owner, bio, pool
        self._taken = b""
        self.is_stale = False
        """Whether OpenSSL has been called since it was looked at: whoever calls it says so."""

    def read(self) -> bytes:
        """Return what OpenSSL has written."""
        data, self._taken = self._taken, b""
        return data + self._take() if self.is_stale else data

    @property
    def pending(self) -> int:
        """How many bytes OpenSSL has written that nobody has read."""
        if self.is_stale:
            self._taken += self._take()  # the call that counts them would cost as much
        return len(self._taken)

    def _take(self) -> bytes:
        self.is_stale = False
        buffer = self._pool.take()
        size: int = _lib.BIO_read(self._bio, buffer, _SIZE)
        data: bytes = _ffi.unpack(buffer, size) if size > 0 else b""
        self._pool.give_back(buffer)
        if size < _SIZE:
            return data
        return data + self._take()
