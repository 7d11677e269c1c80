"""Where a store gets what it keeps from.

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
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeAlias, TypeVar

from tlshttp.certs._certificate import Certificate
from tlshttp.certs._reading import is_given_once, read_once

_COARSEST_TIME_STEP = 2_000_000_000
"""Nanoseconds: the modification time of FAT, the coarsest in use."""

_State: TypeAlias = tuple[object, ...]


_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class Source(Protocol[_T_co]):
    """What a store asks."""

    def has_changed(self) -> bool:
        """Tell whether loading may give something new. Never raises."""

    def load(self) -> _T_co:
        """Return what is to be used now.

        Raises:
            ConfigurationError: There is nothing that could be used.
        """


class FileSource(Generic[_T]):
    """What is in files that others replace, a certificate and its key for example.

    Where one of them is a descriptor of this process, such as a shell's ``<(command)``, nobody
    replaces them: they are read once.

    Args:
        paths: The files.
        read: Returns the content of one.
        load: Returns what is in all of them.
    """

    def __init__(
        self, paths: Sequence[Path], read: Callable[[Path], bytes], load: Callable[[], _T]
    ) -> None:
        self._paths, self._read, self._load = paths, read, load
        self._seen: _State | None = None
        self._digest = b""
        self._loaded: _T | None = None
        self._is_final = any(map(is_given_once, paths))

    def describe(self) -> str:
        """Name the files in a sentence."""
        return " and ".join(repr(str(path)) for path in self._paths)

    def has_changed(self) -> bool:
        """Look at the files and their folders."""
        if self._is_final:
            return self._loaded is None
        return self._seen is None or self._seen != self._look()

    def forget(self) -> None:
        """Look again the next time, though nothing may have changed."""
        self._seen = None

    def load(self) -> _T:
        """Read the files, and parse them if their content is another one."""
        if self._is_final and self._loaded is not None:
            return self._loaded
        self._seen = None
        # Looked at before it is read: what changes meanwhile shows the next time.
        looked = self._look()
        with read_once():
            digest = self._read_digest()
            if self._loaded is None or digest != self._digest:
                # What fails may be taken in part: what was there before is then not the same again.
                self._digest = b""
                self._loaded = self._load()
                self._digest = digest
        if _newest(looked) < time.time_ns() - _COARSEST_TIME_STEP:
            self._seen = looked
        return self._loaded

    def _look(self) -> _State:
        return tuple(part for path in self._paths for part in _state_of(path))

    def _read_digest(self) -> bytes:
        digest = hashlib.sha256()
        for path in self._paths:
            digest.update(hashlib.sha256(self._read(path)).digest())
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


class FixedSource(Generic[_T]):
    """Something that changes only when the store is told to."""

    def __init__(self, value: _T) -> None:
        self._value = value

    def has_changed(self) -> bool:
        """Return `False`."""
        return False

    def load(self) -> _T:
        """Return it."""
        return self._value


def _state_of(path: Path) -> _State:
    """Return what changes when a file, or a link on the way to it, is replaced."""
    try:
        resolved = Path(os.path.realpath(path))
    except ValueError:  # a null character: no such file
        return (str(path),)
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
