"""Private keys in the folder that is served, which some other program has left there.

The server's own are never served. Of any other file nobody but the user can say whether it is to be
read by everybody; of a private key that is never meant.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from tlshttp._own_files import OWN_FILES

__all__ = ["strange_keys"]

_SUFFIXES = (".pem", ".key")
_MARK = b" PRIVATE KEY-----"
_MOST_BYTES = 65_536
"""As much is read of a file: a chain and a key of RSA with 16 384 bits are a quarter of that."""
_MOST_FILES = 1000


def strange_keys(folder: Path) -> list[str]:
    """Return the names of files directly in a folder that have a private key and would be served.

    Args:
        folder: What is served. What cannot be read is left out.
    """
    found = []
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        candidates = (it for it in entries if _may_be_key(it.name))
        for entry, _ in zip(candidates, range(_MOST_FILES), strict=False):
            with contextlib.suppress(OSError):
                if entry.is_file(follow_symlinks=False) and _has_key(entry.path):
                    found.append(entry.name)
    return sorted(found)


def _may_be_key(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(_SUFFIXES)


def _has_key(path: str) -> bool:
    with Path(path).open("rb") as file:
        return _MARK in file.read(_MOST_BYTES) and not OWN_FILES.include(
            path, os.fstat(file.fileno())
        )
