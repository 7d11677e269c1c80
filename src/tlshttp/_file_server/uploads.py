"""Where uploads go: a folder, in which nothing is overwritten and nothing half is left.

A file that arrives has no name until all of it, and of those that came with it, is there. Linux has
files without a name (``O_TMPFILE``), which vanish with the process that has them open, however it
ends. Elsewhere such a file has a name that begins with a dot, which no handler serves, and is
removed at the end.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Self

from tlshttp.handler._paths import is_servable_name

__all__ = ["Batch", "NoNameLeft", "UploadFolder", "clean_name"]

_LONGEST_NAME = 200
"""Bytes: file systems have 255, and a number may be added."""

_MOST_NAMES = 1000
"""Names that are tried for one file."""

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"|?*]')

_DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""What has ``gpj.exe`` read ``exe.jpg`` (Unicode, UAX 9)."""

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV)
_NO_UNNAMED = (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL)


class NoNameLeft(Exception):
    """There are too many files of one name."""


class UploadFolder:
    """A folder that takes files.

    Args:
        path: The folder.
        limit: Bytes that are taken at once.
    """

    def __init__(self, path: str, limit: int) -> None:
        self.path = Path(path).resolve()
        self.limit = limit

    def contains(self, path: str) -> bool:
        """Return whether something lies in it, by whatever name; yes, if nobody can tell.

        Folders are known by what they are (device and inode): ``IN`` is ``in`` to some systems.
        """
        try:
            own = self.path.stat()
            real = Path(path).resolve()
        except (OSError, ValueError, RuntimeError):  # links in a circle, names nothing can have
            return True
        for folder in (real, *real.parents):
            with contextlib.suppress(OSError):
                if os.path.samestat(folder.stat(), own):
                    return True
        return False

    @contextlib.contextmanager
    def receiving(self) -> Iterator[Batch]:
        """Take files that come together; what is not kept at the end is gone."""
        with contextlib.ExitStack() as stack:
            yield Batch(self.path, stack)


class Batch:
    """Files that have come together: all are kept, or none."""

    def __init__(self, folder: Path, stack: contextlib.ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._files: list[tuple[str, _Incoming]] = []

    def __len__(self) -> int:
        return len(self._files)

    def add(self, name: str) -> BinaryIO:
        """Return where the content of another file goes.

        Args:
            name: A name that `clean_name` has returned.
        """
        incoming = self._stack.enter_context(_Incoming(self._folder))
        self._files.append((name, incoming))
        return incoming.file

    def keep(self) -> list[str]:
        """Give all of them their names, or others where these are taken; return those.

        Raises:
            NoNameLeft: One got no name.
        """
        for _, incoming in self._files:
            incoming.file.flush()
        kept: list[str] = []
        try:
            for name, incoming in self._files:
                kept.append(_keep(incoming, self._folder, name))
        except BaseException:
            for name in kept:
                (self._folder / name).unlink(missing_ok=True)
            raise
        return kept


def clean_name(name: str) -> str | None:
    """Return what a file that is called so by a client is called here; `None`: it cannot be.

    Folders before it are cut off, and so are dots at its beginning; what one system or another
    reads in a way of its own is replaced.
    """
    text = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode()
    last = re.split(r"[/\\]", text)[-1]
    plain = _DIRECTIONS.sub("", _NOT_IN_NAMES.sub("_", last)).strip(" ").lstrip(". ").rstrip(". ")
    plain = _shortened(plain)
    if not plain:
        return None
    if not is_servable_name(plain, at_root=False, serve_dotfiles=False, windows=True):
        plain = f"_{plain}".replace("~", "_")
    return plain


def _shortened(name: str) -> str:
    suffix = Path(name).suffix
    suffix = suffix if len(suffix.encode()) <= _LONGEST_NAME // 4 else ""
    stem = name.removesuffix(suffix)
    room = _LONGEST_NAME - len(suffix.encode())
    return stem.encode()[:room].decode("utf-8", "ignore").rstrip(". ") + suffix


def _keep(incoming: _Incoming, folder: Path, name: str) -> str:
    stem, suffix = Path(name).stem, Path(name).suffix
    for number in range(1, _MOST_NAMES):
        numbered = name if number == 1 else f"{stem} ({number}){suffix}"
        with contextlib.suppress(FileExistsError):
            incoming.keep(folder / numbered)
            return numbered
    raise NoNameLeft(name)


class _Incoming:
    """A file without a name, or with a temporary one."""

    def __init__(self, folder: Path) -> None:
        self._temporary: Path | None = None
        descriptor = _open_unnamed(folder)
        if descriptor is None:
            self._temporary = folder / f".upload-{secrets.token_hex(8)}"
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            descriptor = os.open(self._temporary, flags, 0o666)
        self.file: BinaryIO = open(descriptor, "wb")  # noqa: PTH123, SIM115 (a descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the disk is full, and it will be removed
            self.file.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)

    def keep(self, path: Path) -> None:
        """Give it a name.

        Raises:
            FileExistsError: The name is taken.
        """
        if self._temporary is None:
            _link_unnamed(self.file.fileno(), path)
            return
        try:
            path.hardlink_to(self._temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            path.touch(exist_ok=False)
            self.file.close()  # Windows renames nothing that is open
            self._temporary.replace(path)


def _open_unnamed(folder: Path) -> int | None:
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not os.path.exists("/proc/self/fd"):  # noqa: PTH110 (quick)
        return None
    try:
        return os.open(folder, os.O_RDWR | flag | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in _NO_UNNAMED:
            return None
        raise


def _link_unnamed(descriptor: int, path: Path) -> None:
    # With a descriptor for the folder, Python calls linkat(), which follows what is in /proc.
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.link(f"/proc/self/fd/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)
