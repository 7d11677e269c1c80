"""Which encoding a text file is in, as far as it can be told.

If text has no charset, a browser assumes what its language had before Unicode, and shows ``Ã¤`` for
``ä``. So files that are UTF-8 are marked as such.
"""

from __future__ import annotations

import codecs
import os

__all__ = ["with_charset"]

_LOOKED_AT = 65_536
"""Bytes that are looked at. What is UTF-8 for so long, and not all ASCII, is not so by chance."""

_ESCAPE = b"\x1b"  # of ISO 2022, in which ASCII stands for other letters
_NUL = b"\0"  # of UTF-16 and UTF-32


def with_charset(content_type: str, descriptor: int) -> str:
    """Return the type of a file with ``charset=utf-8``, if it is text and looks like UTF-8.

    Args:
        content_type: The type by the file's name. One that has a parameter is left alone.
        descriptor: The file, open for reading, at its beginning; it is left there.
    """
    if not content_type.startswith("text/") or ";" in content_type:
        return content_type
    return f"{content_type}; charset=utf-8" if _is_utf8(_beginning(descriptor)) else content_type


def _beginning(descriptor: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, _LOOKED_AT, 0)
    beginning = os.read(descriptor, _LOOKED_AT)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return beginning


def _is_utf8(beginning: bytes) -> bool:
    if _ESCAPE in beginning or _NUL in beginning:
        return False
    try:
        codecs.utf_8_decode(beginning, "strict", False)  # the last letter may be cut
    except UnicodeDecodeError:
        return False
    return True
