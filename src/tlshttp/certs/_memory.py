"""PEM bytes for the ``ssl`` module, which loads certificates from paths only.

(Loading from memory has been asked for since 2012: Python's issue 60691.) On Linux an anonymous
file (``memfd_create``) has a path below ``/proc`` while it is open and never touches a disk.
Elsewhere a file that only its owner may read exists for the moment of the loading.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def pem_path(pem: bytes) -> Iterator[str]:
    """Offer bytes under a path for as long as the block runs.

    Args:
        pem: The content, mostly a private key with its certificates.

    Yields:
        A path that only this process is meant to open.
    """
    if hasattr(os, "memfd_create") and Path("/proc/self/fd").is_dir():
        with os.fdopen(os.memfd_create("tlshttp", os.MFD_CLOEXEC), "wb") as file:
            file.write(pem)
            file.flush()
            yield f"/proc/self/fd/{file.fileno()}"
        return
    # mkstemp creates with mode 0600. Windows cannot open the file twice while we hold it.
    descriptor, path = tempfile.mkstemp(suffix=".pem")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        yield path
    finally:
        Path(path).unlink()
