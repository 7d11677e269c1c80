"""What every server is started on: one certificate, the files it serves, and two cores."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tlshttp import certs

MIB: Final = 1 << 20
GIB: Final = 1 << 30

DOWNLOADS: Final = {"1m": MIB, "256m": 256 * MIB}
UPLOAD: Final = ("64m", 64 * MIB)


class NotServed(Exception):
    """A server did not do what was asked of it; the message says what, in few words."""


@dataclass(frozen=True)
class Ground:
    """A folder with certificate, key and files, and the cores for server and load."""

    folder: Path
    server_core: int
    load_core: int

    @property
    def certfile(self) -> Path:
        """The certificate, PEM."""
        return self.folder / "cert.pem"

    @property
    def keyfile(self) -> Path:
        """Its private key, PEM."""
        return self.folder / "key.pem"


@contextlib.contextmanager
def prepared_ground() -> Iterator[Ground]:
    """Make the folder, pin this process to the load's core, and raise the limit on open files."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise NotServed("two cores are needed: one for the server, one for the load")
    _raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="tlshttp-bench-") as name:
        ground = Ground(Path(name), server_core=cores[0], load_core=cores[-1])
        _fill(ground)
        os.sched_setaffinity(0, {ground.load_core})
        try:
            yield ground
        finally:
            os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def on_core(core: int) -> Iterator[None]:
    """Start processes on this core: they inherit where this one runs."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _fill(ground: Ground) -> None:
    """Write the files; all but the certificate are sparse, and in memory after the first read."""
    certs.self_signed("localhost", "127.0.0.1").write(ground.certfile, ground.keyfile)
    for name, size in (*DOWNLOADS.items(), UPLOAD):
        with (ground.folder / name).open("wb") as file:
            file.truncate(size)
    ground.folder.chmod(0o755)  # nginx's workers are somebody else


def _raise_file_limit() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
