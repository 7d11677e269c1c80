"""Files: read within bounds, written whole or not at all.

A file that others read while it changes must never be seen, or left behind, half-written. So the
new content is written aside, flushed to the disk and renamed over the old one, and then the folder
is flushed, because a rename lives in the folder. On Linux the file aside has no name until it is
complete (``O_TMPFILE``): a process killed in the middle leaves no half of a file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from tlshttp._own_files import OWN_FILES
from tlshttp.certs._reading import read_file
from tlshttp.errors import CertificateError

MAXIMUM_FILE_SIZE = 1024 * 1024
"""Bytes. Four times the largest public bundle of trust anchors (certifi 2026: 0.28 MB)."""

MAXIMUM_LIST_SIZE = 64 * 1024 * 1024
"""Bytes of a file of revocation lists; the largest public ones have some 10 MB."""

PRIVATE = 0o600
PUBLIC = 0o644


class Kind(NamedTuple):
    """What a file is to have in it."""

    name: str
    most: int
    """Bytes: no file of this kind is larger."""


ANY_KIND: Final = Kind("certificate or key", MAXIMUM_FILE_SIZE)
LIST: Final = Kind("revocation list", MAXIMUM_LIST_SIZE)


def read_bounded(path: str | os.PathLike[str], kind: Kind = ANY_KIND) -> bytes:
    """Read a whole file.

    Raises:
        CertificateError: It cannot be read, or is too large.
    """
    OWN_FILES.add(path)
    try:
        content = read_file(path, kind.most + 1)
    except OSError as error:
        raise CertificateError(f"cannot read {os.fspath(path)!r}: {error.strerror}") from error
    except ValueError:
        # What open() says to a null character in the path.
        raise CertificateError(f"{os.fspath(path)!r} cannot be the path of a file") from None
    if len(content) > kind.most:
        raise CertificateError(
            f"{os.fspath(path)!r} is larger than {kind.most >> 20} MiB: that is no {kind.name}"
        )
    return content


def write_atomically(path: str | os.PathLike[str], content: bytes, *, mode: int) -> None:
    """Replace a file in one step; a symbolic link stays, its target is replaced.

    Args:
        path: The file; its folder must exist.
        content: All of the new content.
        mode: The permissions of the file, from its first byte. What is private is never served,
            though nobody reads it again.

    Raises:
        CertificateError: The file cannot be written, or is none. What was there before is still
            there.
    """
    refuse_special(path)
    if mode == PRIVATE:
        OWN_FILES.add(path)
    target = Path(os.path.realpath(path))
    aside = target.with_name(f".{target.name}.{secrets.token_hex(8)}.new")
    try:
        _write_aside(aside, content, mode)
        try:
            aside.replace(target)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
        sync_folder(target.parent)
    except OSError as error:
        raise CertificateError(f"cannot write {str(target)!r}: {error.strerror}") from error


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Refuse to put a file where there is a device, a pipe or a folder.

    Raises:
        CertificateError: There is one, perhaps by way of symbolic links.
    """
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 (it may be what /dev/stdout leads to)
    except (OSError, ValueError):
        return  # nothing there, or what writing says better
    if not stat.S_ISREG(kind):
        what = "a folder" if stat.S_ISDIR(kind) else "a device, pipe or socket"
        raise CertificateError(f"cannot write {os.fspath(path)!r}: it is {what}, not a file")


def create_exclusively(path: Path, content: bytes, *, mode: int) -> bool:
    """Create a file in one step, or return `False` where somebody else was first.

    Raises:
        OSError: The file cannot be written.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    _write_aside(aside, content, mode)
    try:
        # Unlike rename on POSIX, link fails where the target exists.
        os.link(aside, path)
    except FileExistsError:
        return False
    except OSError:
        # FAT has no links: whoever reads meanwhile may see half of it.
        return _create_in_place(path, content, mode)
    finally:
        aside.unlink()
    sync_folder(path.parent)
    return True


def _create_in_place(path: Path, content: bytes, mode: int) -> bool:
    try:
        _write_named(path, content, mode)
    except FileExistsError:
        return False
    sync_folder(path.parent)
    return True


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, on systems that can."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_aside(path: Path, content: bytes, mode: int) -> None:
    if not _write_unnamed(path, content, mode):
        _write_named(path, content, mode)


def _write_unnamed(path: Path, content: bytes, mode: int) -> bool:
    """Write a file that gets its name at the end, or return `False` where that does not work."""
    flag = getattr(os, "O_TMPFILE", None)
    if flag is None:
        return False
    try:
        with os.fdopen(os.open(path.parent, os.O_WRONLY | flag, mode), "wb") as file:
            _write_through(file, content)
            # Python follows the link to the open file only when a folder is given, too; the
            # system ignores the folder, because the path is absolute (open(2), O_TMPFILE).
            link = f"/proc/self/fd/{file.fileno()}"
            os.link(link, path, src_dir_fd=file.fileno(), follow_symlinks=True)
    except OSError:
        # Not every file system has O_TMPFILE, and they say so with different numbers.
        return False
    return True


def _write_named(path: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, mode)  # what exists already is not ours to remove
    try:
        with os.fdopen(descriptor, "wb") as file:
            _write_through(file, content)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _write_through(file: BinaryIO, content: bytes) -> None:
    file.write(content)
    file.flush()
    os.fsync(file.fileno())
