"""Files on disk, which can be sent without being read by a handler."""

from __future__ import annotations

import io
import os
import stat
from typing import Any

__all__ = ["regular_file"]


def regular_file(file: Any) -> tuple[int, int, int] | None:
    """Return descriptor, position and bytes left of a file on disk; `None` where it is none."""
    if not hasattr(os, "pread") or type(file) not in (io.FileIO, io.BufferedReader):
        return None
    try:
        fd, position = file.fileno(), file.tell()
        status = os.fstat(fd)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return fd, position, max(0, status.st_size - position)
