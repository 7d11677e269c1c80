"""Where a certificate store gets its certificate from.

Files are watched by ``stat``, because that works for every way in which people replace them:
renames (`Certificate.write`), writes in place (``cp``), and symbolic links swapped somewhere on the
path (Kubernetes' ``..data``, certbot's ``live``). What is remembered is the resolved path and the
state of the file and of both folders, since a file renamed into place may by chance have the size,
the times and even the inode number of the old one.

One race is left. File systems keep times in steps (2 s on FAT, a clock tick on ext4), so a write
in the same step as our reading changes no time. Therefore a state is believed only once its times
are older than such a step; until then the content is read again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, TypeAlias

from tlshttp.certs._certificate import Certificate
from tlshttp.certs._files import read_bounded
from tlshttp.certs._keys import Password
from tlshttp.certs._load import load

_COARSEST_TIME_STEP = 2_000_000_000
"""Nanoseconds: the modification time of FAT, the coarsest in use."""

_State: TypeAlias = tuple[object, ...]


class CertificateSource(Protocol):
    """What a store asks for certificates."""

    def has_changed(self) -> bool:
        """Tell whether loading may give something new. Never raises."""

    def load(self) -> Certificate:
        """Return the certificate of now.

        Raises:
            CertificateError: There is none that could be used.
        """


class FileSource:
    """A certificate and its key in files that others replace."""

    def __init__(
        self,
        certfile: str | os.PathLike[str],
        keyfile: str | os.PathLike[str] | None,
        password: Password | None,
        tolerate: Iterable[str],
    ) -> None:
        self._certfile, self._keyfile = certfile, keyfile
        self._password = password
        self._tolerate = tuple(tolerate)
        self._paths = [Path(path) for path in (certfile, keyfile) if path is not None]
        self._seen: _State | None = None
        self._digest = b""
        self._certificate: Certificate | None = None

    def has_changed(self) -> bool:
        """Look at the files and their folders."""
        return self._seen is None or self._seen != self._look()

    def load(self) -> Certificate:
        """Read the files, and parse them if their content is another one."""
        self._seen = None
        # Looked at before it is read: what changes meanwhile shows the next time.
        looked = self._look()
        digest = self._read_digest()
        if self._certificate is None or digest != self._digest:
            self._certificate = load(
                self._certfile, self._keyfile, self._password, tolerate=self._tolerate
            )
            self._digest = digest
        if _newest(looked) < time.time_ns() - _COARSEST_TIME_STEP:
            self._seen = looked
        return self._certificate

    def _look(self) -> _State:
        return tuple(part for path in self._paths for part in _state_of(path))

    def _read_digest(self) -> bytes:
        digest = hashlib.sha256()
        for path in self._paths:
            digest.update(hashlib.sha256(read_bounded(path)).digest())
        return digest.digest()


class CallableSource:
    """A certificate that the user's own function fetches, from a secret manager for example."""

    def __init__(self, function: Callable[[], Certificate]) -> None:
        self._function = function

    def has_changed(self) -> bool:
        """Return `True`, since only the function knows."""
        return True

    def load(self) -> Certificate:
        """Call the function."""
        certificate = self._function()
        if not isinstance(certificate, Certificate):
            raise TypeError(
                f"the source must return a Certificate, not {type(certificate).__name__}"
            )
        return certificate


class FixedSource:
    """A certificate that changes only when the store is told to."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate

    def has_changed(self) -> bool:
        """Return `False`."""
        return False

    def load(self) -> Certificate:
        """Return the certificate."""
        return self._certificate


def _state_of(path: Path) -> _State:
    """Return what changes when a file, or a link on the way to it, is replaced."""
    resolved = Path(os.path.realpath(path))
    return (
        str(resolved),
        *(_stat(place) for place in (resolved, resolved.parent, path.absolute().parent)),
    )


def _stat(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_dev, found.st_ino, found.st_size


def _newest(state: _State) -> int:
    """Return the newest time in a state, in nanoseconds since 1970."""
    return max((max(part[:2]) for part in state if isinstance(part, tuple)), default=0)
