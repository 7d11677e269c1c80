"""Bytes on their way to OpenSSL and from it, by its own functions: see `_direct`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlshttp.pyopenssl import _library

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Incoming", "Outgoing", "new_buffer"]

_lib, _ffi = _library.lib, _library.ffi
_read, _write, _unpack = _lib.BIO_read, _lib.BIO_write, _ffi.unpack

_SIZE = 20_480
"""Bytes of a buffer: one record of the largest size, encrypted (RFC 8446, section 5.2), and more
than the flight of most handshakes."""


def new_buffer() -> Any:
    """Return a buffer for the length of one call of OpenSSL."""
    return _ffi.new("char[]", _SIZE)


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
        if data and _write(self._bio, data, len(data)) != len(data):
            raise MemoryError("OpenSSL has no room for what the peer has sent")
        return len(data)

    def write_eof(self) -> None:
        """Have OpenSSL read the end."""
        _lib.BIO_set_mem_eof_return(self._bio, 0)

    def move_to(self, bio: Any) -> None:
        """Use another of OpenSSL's buffers, now that this one is empty."""
        self._bio = bio

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
        buffers: Those for single calls that nobody uses now.
    """

    __slots__ = ("_bio", "_buffers", "_owner", "_taken", "is_stale")

    def __init__(self, owner: Any, bio: Any, buffers: list[Any]) -> None:
        self._owner, self._bio, self._buffers = owner, bio, buffers
        self._taken = b""
        self.is_stale = False
        """Whether OpenSSL has been called since it was looked at: whoever calls it says so."""

    def move_to(self, bio: Any) -> None:
        """Use another of OpenSSL's buffers; what is in this one is kept."""
        self._taken += self._take()
        self._bio = bio

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
        buffers = self._buffers
        try:
            buffer = buffers.pop()
        except IndexError:
            buffer = new_buffer()
        size: int = _read(self._bio, buffer, _SIZE)
        data: bytes = _unpack(buffer, size) if size > 0 else b""
        buffers.append(buffer)
        if size < _SIZE:
            return data
        return data + self._take()
