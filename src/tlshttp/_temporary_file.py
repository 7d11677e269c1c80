"""Files without a name for bytes that wait."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from typing import IO

__all__ = ["TemporaryFile", "warn_without_files"]

_log = logging.getLogger("tlshttp.server")


class TemporaryFile:
    """A temporary file that is written at one end and read at the other."""

    __slots__ = ("_file", "done", "written")

    def __init__(self, kept: IO[bytes] | None = None) -> None:
        self._file: IO[bytes] = kept or tempfile.TemporaryFile(  # noqa: SIM115 (closed in `close`)
            prefix="tlshttp-", buffering=0
        )
        self.written = 0
        self.done = 0
        """Bytes that have been read."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Add bytes; where that fails, none of them."""
        left, at = memoryview(data), self.written
        while left:
            done = _write_at(self._file, left, at)
            left, at = left[done:], at + done
        self.written = at

    def read(self, most: int) -> bytes:
        """Read on."""
        data = _read_at(self._file, min(most, self.written - self.done), self.done)
        if not data:
            raise OSError("a temporary file has become shorter")
        self.done += len(data)
        return data

    def is_kept(self, keep: Callable[[IO[bytes], int], bool]) -> bool:
        """Leave what is underneath to `KeptFile.keep` if that takes it; tell whether it did."""
        return keep(self._file, self.written)

    def close(self) -> None:
        """Give it back."""
        self._file.close()


if hasattr(os, "pread"):

    def _write_at(file: IO[bytes], data: memoryview, at: int) -> int:
        return os.pwrite(file.fileno(), data, at)

    def _read_at(file: IO[bytes], size: int, at: int) -> bytes:
        return os.pread(file.fileno(), size, at)

else:  # Windows

    def _write_at(file: IO[bytes], data: memoryview, at: int) -> int:
        file.seek(at)
        return file.write(data)

    def _read_at(file: IO[bytes], size: int, at: int) -> bytes:
        file.seek(at)
        return file.read(size)


def warn_without_files() -> None:
    """Say so where no temporary file can be made: else the first large upload would be told."""
    try:
        file = TemporaryFile()
        try:
            file.write(b"1")
        finally:
            file.close()
    except OSError as error:
        _log.warning(
            "no temporary file can be made in %s (%s): large request bodies will be refused with "
            "507, and large responses cut; set TMPDIR to a folder that can be written to",
            _folder(), error.strerror or error,
        )  # fmt: skip


def _folder() -> str:
    """Return where such files are made."""
    try:
        return tempfile.gettempdir()
    except OSError:  # none will do; the error names them
        return "any of the usual folders"
