"""What would be sent for a path, if the request had no conditions (RFC 9110, section 3.2)."""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from tlshttp.handler._charset import with_charset
from tlshttp.handler._conditions import Validators
from tlshttp.handler._encodings import SUFFIXES, preferred_coding

__all__ = ["Representation", "represent"]


@dataclass(frozen=True, slots=True)
class Representation:
    """A file, and what is said of it."""

    file: io.FileIO
    size: int
    content_type: str
    coding: str | None
    varies: bool
    validators: Validators


def represent(
    path: str,
    file: io.FileIO,
    content_type: str,
    accepted: str | None,
    open_sibling: Callable[[str], io.FileIO] | None,
) -> Representation:
    """Choose between a file and its compressed siblings.

    Args:
        path: The file's.
        file: It, open.
        content_type: Its type, by its name.
        accepted: The value of ``Accept-Encoding``; `None` without it.
        open_sibling: Opens one, if it may be served; `None`: there are none to choose from.
    """
    status = os.fstat(file.fileno())
    content_type = with_charset(content_type, file.fileno())
    available = [] if open_sibling is None else _siblings(path, status)
    coding = preferred_coding(accepted, available)
    if coding is not None and open_sibling is not None:
        sibling = _open_fresh(path + SUFFIXES[coding], status, open_sibling)
        if sibling is None:
            coding = None
        else:
            file, status = sibling, os.fstat(sibling.fileno())
    return Representation(
        file=file,
        size=status.st_size,
        content_type=content_type,
        coding=coding,
        varies=bool(available),
        validators=Validators.of(status, coding),
    )


def _siblings(path: str, original: os.stat_result) -> list[str]:
    """Return the codings a file is there in, besides itself."""
    found = []
    for coding, suffix in SUFFIXES.items():
        with contextlib.suppress(OSError):
            if _is_fresh(os.stat(path + suffix), original):
                found.append(coding)
    return found


def _open_fresh(
    path: str, original: os.stat_result, open_sibling: Callable[[str], io.FileIO]
) -> io.FileIO | None:
    """Open one; `None` where it may not be served, or has gone or grown stale meanwhile."""
    try:
        file = open_sibling(path)
    except OSError:
        return None
    if _is_fresh(os.fstat(file.fileno()), original):
        return file
    file.close()
    return None


def _is_fresh(sibling: os.stat_result, original: os.stat_result) -> bool:
    return stat.S_ISREG(sibling.st_mode) and sibling.st_mtime_ns >= original.st_mtime_ns
