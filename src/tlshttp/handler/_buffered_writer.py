"""A buffer before ``wfile``, for handlers that ask for one by ``wbufsize``."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from tlshttp.handler._writer import ResponseWriter

__all__ = ["buffered"]


def buffered(writer: ResponseWriter, size: int) -> io.BufferedIOBase:
    """Return a buffer before the writer, for handlers that ask for one by ``wbufsize``."""
    raw: Any = writer
    return _BufferedWriter(raw, size if size > 1 else io.DEFAULT_BUFFER_SIZE)


class _BufferedWriter(io.BufferedWriter):
    """A buffer whose ``flush()`` also sends a head that is held back, and that stays open.

    A head goes through at once, to be judged: that of an event stream must not wait.
    """

    def write(self, data: Buffer, /) -> int:
        raw: Any = self.raw
        raw.trust()
        size = super().write(data)
        if not raw.head_ended and bytes(memoryview(data)[-4:]) == b"\r\n\r\n":
            super().flush()
        return size

    def flush(self) -> None:
        super().flush()
        self.raw.flush()

    def close(self) -> None:
        self.flush()
