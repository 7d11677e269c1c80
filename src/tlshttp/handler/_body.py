"""The body of a response that comes from a file: exactly as many bytes as were announced."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tlshttp.handler._ranges import Span

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["FileBody"]


class FileBody(io.RawIOBase):
    """Pieces of a file, and what stands between them, to be read once.

    What a file grows by after it was opened is not read. A file that has become shorter ends the
    body early, and `remaining` is not 0 then.

    Args:
        file: The file, which is closed with the body.
        pieces: What the body consists of.
    """

    def __init__(self, file: io.FileIO, pieces: Iterable[bytes | Span]) -> None:
        self._file = file
        self._pieces = deque(pieces)
        self.remaining = sum(
            piece.length if isinstance(piece, Span) else len(piece) for piece in self._pieces
        )
        """Bytes that have not been read."""

    def readable(self) -> bool:
        """Return true."""
        return True

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._file.fileno()

    def readinto(self, buffer: Buffer, /) -> int:
        """Read into `buffer`; return how many bytes, 0 at the end."""
        view = memoryview(buffer).cast("B")
        while self._pieces:
            piece = self._pieces.popleft()
            size, rest = (
                self._read_span(piece, view) if isinstance(piece, Span) else _copy(piece, view)
            )
            if rest:
                self._pieces.appendleft(rest)
            if size or rest:
                self.remaining -= size
                return size
        return 0

    def _read_span(self, span: Span, view: memoryview) -> tuple[int, Span | None]:
        self._file.seek(span.start)
        size = self._file.readinto(view[: min(span.length, len(view))]) or 0
        return size, Span(span.start + size, span.stop) if size < span.length else None

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def _copy(piece: bytes, view: memoryview) -> tuple[int, bytes | None]:
    size = min(len(piece), len(view))
    view[:size] = piece[:size]
    return size, piece[size:] or None
